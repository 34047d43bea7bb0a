"""A private Kubo daemon: made, started, found again and stopped by us; any number of them side by side."""

from __future__ import annotations

import json
import os
import re
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import psutil
from filelock import FileLock
from filelock import Timeout as LockTimeout

from ipfs.errors import DaemonDown, DaemonStartError, InvalidAddress, Unavailable
from ipfs.kubo import KuboStore
from ipfs.kubo_address import KuboAddress
from ipfs.kubo_binary import KuboBinary, require_kubo
from ipfs.kubo_config import private_config

START_SECONDS: Final = 60.0
"""Longest wait for a daemon to become ready."""
STOP_SECONDS: Final = 15.0
"""How long a daemon may take to stop by itself before it is killed."""

_POLL_SECONDS: Final = 0.05
_PROBE_SECONDS: Final = 2.0
_LOG_LINES: Final = 5
_SAME_START_SECONDS: Final = 2.0
_BUSY: Final = re.compile(r"listen tcp4? 127\.0\.0\.1:(\d+): bind: address already in use")


class KuboDaemon:
    """One private Kubo node in a folder of its own.

    The folder holds ``repo`` (Kubo's repository), ``daemon.log`` and, while it runs, ``daemon.json`` (process and
    address), by which another process finds the daemon. The daemon outlives the process that started it, until someone
    calls :meth:`stop`.

    Args:
        folder: made if it does not exist; an existing repository in it is used with its identity and content.
        binary: the Kubo to run; by default the first that :func:`~ipfs.kubo_binary.find_kubo` finds.
        api_port: TCP port of the RPC on 127.0.0.1; 0 for any free one.
        swarm_port: TCP port for other nodes on 127.0.0.1; 0 for any free one.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        binary: KuboBinary | None = None,
        api_port: int = 0,
        swarm_port: int = 0,
    ) -> None:
        self._folder = Path(folder).expanduser().absolute()
        self._repo = self._folder / "repo"
        self._record = self._folder / "daemon.json"
        self._binary = binary
        self._api_port = api_port
        self._swarm_port = swarm_port
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> Path:
        """The file with the output of the daemon."""
        return self._folder / "daemon.log"

    @property
    def running(self) -> bool:
        """Whether the daemon of this folder runs, whoever started it."""
        return self._process() is not None

    @property
    def pid(self) -> int:
        """Its process id.

        Raises:
            DaemonDown: if it does not run.
        """
        return self._require()[0].pid

    @property
    def url(self) -> str:
        """The address of its RPC, such as ``http://127.0.0.1:41234``.

        Raises:
            DaemonDown: if it does not run.
        """
        return self._require()[1]

    def store(self) -> KuboStore:
        """The store that it keeps.

        Raises:
            DaemonDown: if it does not run.
        """
        return KuboStore(self.url)

    def start(self, *, timeout: float = START_SECONDS) -> str:
        """Start the daemon, wait until it answers, and return :attr:`url`. One that runs already is left as it is.

        Args:
            timeout: seconds to wait.

        Raises:
            KuboMissing: if no binary was given and none is found.
            DaemonStartError: if the repository cannot be made, a port is taken, or it is not ready in time; it does not
                run then.
        """
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with FileLock(self._folder / "start.lock", timeout=timeout, is_singleton=False):
                if self.running:
                    self._wait_ready(0, timeout)  # ready at once, unless whoever started it was killed over it
                else:
                    self._launch(timeout)
                return self.url
        except LockTimeout:
            raise DaemonStartError(
                f"another process has been starting the IPFS daemon in {self._folder} for {timeout:g} s",
                "stop it first",
            ) from None
        except OSError as error:
            raise DaemonStartError(
                f"cannot use the folder {self._folder}: {error}", "check that it is writable and its disk not full"
            ) from error

    def stop(self, *, timeout: float = STOP_SECONDS) -> None:
        """Stop the daemon if it runs, whoever started it; kill it if it takes more than ``timeout`` seconds."""
        process = self._process()
        if process is not None:
            with suppress(psutil.NoSuchProcess):  # it may end by itself meanwhile
                process.terminate()
                try:
                    process.wait(timeout)
                except psutil.TimeoutExpired:
                    process.kill()
                    process.wait(timeout)
        if self._child is not None:
            self._child.wait()  # reap it
            self._child = None
        self._record.unlink(missing_ok=True)

    def connect(self, other: KuboDaemon) -> None:
        """Connect to another daemon on this machine, so that each can fetch what the other has.

        Raises:
            Unavailable: if one of them does not run or they cannot connect.
        """
        with self.store() as ours, other.store() as theirs:
            addresses = theirs.peer_addresses()
            if not addresses:
                raise DaemonDown(f"the IPFS daemon at {other.url} accepts no connections", "look at its log")
            ours.connect(addresses[0])

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _launch(self, timeout: float) -> None:
        binary = self._binary or require_kubo()
        self._prepare(binary)
        began = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as log:
            # A session of its own: Ctrl-C in a terminal is for the program that runs the daemon, which then stops it.
            child = subprocess.Popen(
                [str(binary.path), "daemon", "--migrate=true"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=_environment(self._repo),
                start_new_session=True,
            )
        self._child = child
        try:
            _write_private(self._record, {"pid": child.pid, "started": psutil.Process(child.pid).create_time()})
            self._wait_ready(began, timeout)
        except psutil.Error as error:  # it ended before it could be looked at
            self.stop()
            raise self._start_error("ended at once", began) from error
        except BaseException:
            self.stop()
            raise

    def _prepare(self, binary: KuboBinary) -> None:
        """Make the repository if there is none, and its configuration private, in case it is an older one."""
        config = self._repo / "config"
        try:
            if not config.exists():
                self._make_repo(binary)
            # What a killed daemon left behind would pass for the address of the new one.
            (self._repo / "api").unlink(missing_ok=True)
            content = json.loads(config.read_text(encoding="utf-8"))
            _write_private(config, private_config(content, api_port=self._api_port, swarm_port=self._swarm_port))
        except (OSError, ValueError, TypeError) as error:
            raise DaemonStartError(
                f"cannot prepare the IPFS repository {self._repo}: {error}",
                "check that the folder is writable and its disk not full; a damaged repository can be removed",
            ) from error

    def _make_repo(self, binary: KuboBinary) -> None:
        """Make it elsewhere and rename it, so that there is a whole repository or none."""
        with tempfile.TemporaryDirectory(prefix="init-", dir=self._folder) as temporary:
            repo = Path(temporary) / "repo"
            command = [str(binary.path), "init", "--empty-repo"]
            try:
                subprocess.run(
                    command, env=_environment(repo), capture_output=True, text=True, timeout=START_SECONDS, check=True
                )
            except subprocess.SubprocessError as error:
                said = getattr(error, "stderr", None) or str(error)
                raise DaemonStartError(
                    f"`{' '.join(command)}` failed: {said.strip()}", "try this command by hand, with IPFS_PATH set"
                ) from error
            repo.replace(self._repo)

    def _wait_ready(self, began: int, timeout: float) -> None:
        """Wait until the daemon answers.

        Args:
            began: size of the log before this start, bytes.
            timeout: seconds to wait.
        """
        deadline = time.monotonic() + timeout
        while not self._answers():
            if self._process() is None:
                raise self._start_error("ended", began)
            if time.monotonic() > deadline:
                raise self._start_error(f"was not ready within {timeout:g} s", began)
            time.sleep(_POLL_SECONDS)

    def _answers(self) -> bool:
        """Whether the daemon answers at the address that it wrote; that is on record then."""
        record = self._read_record()
        if "url" in record:
            return True
        try:
            url = KuboAddress.parse((self._repo / "api").read_text(encoding="ascii").strip()).url
        except (FileNotFoundError, InvalidAddress):  # not there yet, or half written
            return False
        try:
            with KuboStore(url, timeout=_PROBE_SECONDS) as store:
                name = store.name
        except Unavailable:
            return False
        _write_private(self._record, record | {"url": url, "name": name})
        return True

    def _start_error(self, what: str, began: int) -> DaemonStartError:
        with self.log.open("rb") as log:
            log.seek(began)
            output = log.read().decode("utf-8", "replace")
        busy = _BUSY.search(output)
        if busy is not None:
            return DaemonStartError(
                f"the IPFS daemon in {self._folder} cannot start: port {busy[1]} of 127.0.0.1 is in use",
                "stop the program that uses it, or choose another port (0 takes any free one)",
            )
        tail = " | ".join(output.strip().splitlines()[-_LOG_LINES:])
        return DaemonStartError(f"the IPFS daemon in {self._folder} {what}: {tail}", f"its log is {self.log}")

    def _process(self) -> psutil.Process | None:
        """The process of the daemon, if it runs."""
        if self._child is not None and self._child.poll() is None:
            return psutil.Process(self._child.pid)
        record = self._read_record()
        try:
            process = psutil.Process(record["pid"])
            # The number may meanwhile be that of another program. (The clock that start times rest on may be adjusted.)
            same = abs(process.create_time() - record["started"]) < _SAME_START_SECONDS
            return process if same and process.status() != psutil.STATUS_ZOMBIE else None
        except (KeyError, psutil.Error):
            return None

    def _require(self) -> tuple[psutil.Process, str]:
        process = self._process()
        url = self._read_record().get("url")
        if process is None or url is None:
            raise DaemonDown(f"the IPFS daemon in {self._folder} does not run", "start it (`pot up`)")
        return process, str(url)

    def _read_record(self) -> dict[str, Any]:
        try:
            record = json.loads(self._record.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        return record if isinstance(record, dict) else {}


def _write_private(path: Path, content: dict[str, Any]) -> None:
    """Replace a JSON file in one step, for its owner's eyes only: Kubo's configuration holds a private key."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        json.dump(content, file, indent=2)
    temporary.replace(path)


def _environment(repo: Path) -> dict[str, str]:
    """The environment of Kubo's processes: ours without the user's own settings for Kubo and its log."""
    own = {"IPFS_PATH": str(repo), "IPFS_TELEMETRY": "off", "GOLOG_LOG_LEVEL": "error"}
    return {key: value for key, value in os.environ.items() if not key.startswith(("IPFS_", "GOLOG_"))} | own
