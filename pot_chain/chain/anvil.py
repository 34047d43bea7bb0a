"""A private Anvil chain as a child process.

No development key exists on it: it starts without accounts, and coins come from ``fund``.
"""

from __future__ import annotations

import errno
import os
import platform
import shutil
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from web3 import Web3

from pot_chain.chain.connection import connect, rpc
from pot_chain.chain.errors import AnvilError, PortBusy
from pot_chain.protocol.addresses import Address

LOCAL_CHAIN_ID: Final = 31337
START_TIMEOUT_S: Final = 20.0
STOP_TIMEOUT_S: Final = 20.0
_POLL_S: Final = 0.02
_LISTENING: Final = "Listening on 127.0.0.1:"
_MACHINES: Final = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}


@dataclass(frozen=True, slots=True)
class AnvilConfig:
    """How to run the chain.

    Attributes:
        log: file that the program's output is appended to.
        port: TCP port on 127.0.0.1; 0 takes a free one.
        chain_id: EIP-155 id.
        block_time: seconds between blocks; None mines one a transaction.
        mixed_mining: with ``block_time``: also mine at once when a transaction arrives.
        state: file from which the chain is loaded if it exists, and to which it is saved on ``stop``.
        state_interval: seconds between further saves, which bound what a crash of the chain can lose.
        hardfork: EVM rules.
    """

    log: Path
    port: int = 0
    chain_id: int = LOCAL_CHAIN_ID
    block_time: int | None = None
    mixed_mining: bool = False
    state: Path | None = None
    state_interval: int | None = None
    hardfork: str = "osaka"

    def command(self, binary: Path) -> list[str]:
        """Argument list that starts it."""
        arguments = [str(binary), "--host", "127.0.0.1", "--port", str(self.port), "--chain-id", str(self.chain_id)]
        # no accounts: the well-known development keys hold nothing here
        arguments += ["--accounts", "0", "--hardfork", self.hardfork, "--enable-tx-gas-limit", "--color", "never"]
        if self.block_time is not None:
            arguments += ["--block-time", str(self.block_time)]
            if self.mixed_mining:
                arguments.append("--mixed-mining")
        if self.state is not None:
            arguments += ["--state", str(self.state)]
            if self.state_interval is not None:
                arguments += ["--state-interval", str(self.state_interval)]
        return arguments


class AnvilProcess:
    """A running Anvil; ``with AnvilProcess.start(config) as chain`` stops it at the end.

    Attributes:
        port: TCP port on 127.0.0.1.
        rpc_url: address for ``connect``.
    """

    def __init__(self, process: subprocess.Popen[bytes], config: AnvilConfig, port: int) -> None:
        self._process = process
        self.config = config
        self.port = port
        self.rpc_url = f"http://127.0.0.1:{port}"

    @classmethod
    def start(cls, config: AnvilConfig, *, binary: Path | None = None, detached: bool = False) -> Self:
        """Start the chain and wait until it answers.

        Args:
            config: how to run it.
            binary: executable; default ``find_anvil()``.
            detached: leave the caller's process group, so that the chain survives the end of a terminal session.

        Raises:
            AnvilError: no binary, a damaged state file, or no answer within 20 s; the message quotes the log.
            PortBusy: something listens on ``config.port``.
        """
        binary = binary or find_anvil()
        if config.port and not _port_is_free(config.port):
            raise PortBusy(config.port)
        config.log.parent.mkdir(parents=True, exist_ok=True)
        with config.log.open("ab") as log:
            begin = log.tell()
            try:
                process = subprocess.Popen(
                    config.command(binary),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=detached,
                )
            except OSError as error:
                raise AnvilError(f"{binary} does not run: {error.strerror}", "run `make setup`") from error
        try:
            chain = cls(process, config, _wait_until_listening(process, config, begin))
            # otherwise it writes a line a request, for ever
            rpc(chain.web3(), "anvil_setLoggingEnabled", [False])
        except BaseException:
            process.kill()
            process.wait()
            raise
        return chain

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether the process lives."""
        return self._process.poll() is None

    def web3(self) -> Web3:
        """A new connection to it."""
        return connect(self.rpc_url, chain_id=self.config.chain_id)

    def stop(self) -> None:
        """End the process after it has saved its state; does nothing when it has ended.

        Raises:
            AnvilError: it did not end within 20 s; it was killed then, and its state may not be saved.
        """
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired as error:
                self.kill()
                raise AnvilError(f"anvil did not end within {STOP_TIMEOUT_S:.0f} s; it was killed") from error

    def kill(self) -> None:
        """End the process at once, as a power failure would; what was not saved is lost."""
        self._process.kill()
        self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def find_anvil() -> Path:
    """Native Anvil binary: npm's of this checkout, else the one on PATH.

    Raises:
        AnvilError: none found.
    """
    machine = _MACHINES.get(platform.machine().lower(), platform.machine().lower())
    suffix = ".exe" if sys.platform == "win32" else ""
    # npm's wrapper in node_modules/.bin hides exit codes; the binary is next to it
    packaged = (
        Path(__file__).resolve().parents[2]
        / f"node_modules/@foundry-rs/anvil-{sys.platform}-{machine}/bin/anvil{suffix}"
    )
    if os.access(packaged, os.X_OK):
        return packaged
    on_path = shutil.which("anvil")
    if on_path is not None:
        return Path(on_path)
    raise AnvilError("Anvil, the local chain, is not installed", "run `make setup`, or install Foundry")


def fund(web3: Web3, account: Address, wei: int) -> None:
    """Give ``account`` ``wei`` more on a development chain.

    Raises:
        RpcError: the chain is no development chain.
    """
    balance = int(rpc(web3, "eth_getBalance", [account, "latest"]), 16)
    rpc(web3, "anvil_setBalance", [account, hex(balance + wei)])


def _port_is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        if sys.platform != "win32":  # there the option means the opposite
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            if error.errno in (errno.EADDRINUSE, errno.EACCES):
                return False
            raise
    return True


def _wait_until_listening(process: subprocess.Popen[bytes], config: AnvilConfig, begin: int) -> int:
    """Port that the process says it listens on; asking the port could reach a stranger who took it first."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while True:
        ended = process.poll() is not None
        with config.log.open("rb") as log:
            log.seek(begin)
            text = log.read().decode("utf-8", "replace")
        for line in text.splitlines(keepends=True):
            if line.startswith(_LISTENING) and line.endswith("\n"):
                return int(line.removeprefix(_LISTENING))
        if ended:
            if "already in use" in text:
                raise PortBusy(config.port)
            raise AnvilError(f"anvil ended with status {process.returncode}: {_last_lines(text)}", f"see {config.log}")
        if time.monotonic() > deadline:
            raise AnvilError(f"anvil is not ready after {START_TIMEOUT_S:.0f} s", f"see {config.log}")
        time.sleep(_POLL_S)


def _last_lines(text: str) -> str:
    return " ".join(line.strip() for line in text.strip().splitlines()[-3:]) or "no output"


__all__ = ["LOCAL_CHAIN_ID", "AnvilConfig", "AnvilProcess", "find_anvil", "fund"]
