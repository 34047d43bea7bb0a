"""A local network as an object: start, stop, its validators, miners and wallets.

What speaks to the chain is imported where it is needed: it loads for a second, and stopping a network does not need it.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from filelock import FileLock, Timeout

from pot_chain.localnet.description import Description, Process, ValidatorEntry, running_on_record
from pot_chain.localnet.errors import NetworkBusy, NetworkError, NetworkRunning, NetworkStopped, NoNetwork
from pot_chain.localnet.paths import NetworkPaths, networks_dir
from pot_chain.localnet.processes import kill, terminate
from pot_chain.localnet.roles import spawn_miner, spawn_validator, wait_until_ready
from pot_chain.localnet.status import NetworkStatus, ProcessStatus, state_of

if TYPE_CHECKING:
    from eth_account.signers.local import LocalAccount

    from ipfs.daemon import KuboDaemon
    from pot_chain.chain.wallet import Wallet
    from pot_chain.localnet.accounts import NetworkAccounts
    from pot_chain.localnet.launch import StartOptions

STOP_TIMEOUT_S: Final = 20.0
"""How long a process may take to save what it has before it is killed."""
_LOCK_TIMEOUT_S: Final = 30.0
_STOP_ORDER: Final = ("miner", "validator", "ipfs", "chain")
MINER_BALANCE: Final = 10 * 10**18


class Network:
    """The local network in the folder ``root``; any program may use it at the same time.

    Attributes:
        paths: its files.
    """

    def __init__(self, root: Path) -> None:
        self.paths = NetworkPaths(root)
        self._lock = FileLock(self.paths.lock, is_singleton=False)

    @classmethod
    def named(cls, name: str) -> Network:
        """The network ``name`` in the user's home folder.

        Raises:
            NetworkError: not a name.
        """
        return cls(NetworkPaths.named(name).root)

    @classmethod
    def all(cls) -> list[Network]:
        """Every network in the user's home folder, by name."""
        return [cls(path.parent) for path in sorted(networks_dir().glob("*/network.json"))]

    # ---- as a whole

    def start(
        self, options: StartOptions | None = None, *, fresh: bool = False, say: Callable[[str], None] = lambda _: None
    ) -> Description:
        """Bring the network up; one that was stopped goes on with the same chain, content and wallets.

        What was started is stopped again when something fails.

        Args:
            options: what it shall be.
            fresh: forget all that was.
            say: told what is being done.

        Raises:
            NetworkRunning: it runs.
            NetworkBusy: another command is changing it.
            PotError, IpfsError: something does not start.
        """
        from pot_chain.localnet.launch import StartOptions, launch

        self.paths.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self._locked(timeout=0):
            before = None if fresh else Description.read(self.paths.description)
            self._require_stopped()
            if before is not None and not before.ready:
                before = None  # its first start never ended
            if before is None:
                self._wipe(keep_logs=False)
            try:
                return launch(self.paths, options or StartOptions(), before, self._save, say)
            except BaseException:
                say("stopping what was started")
                self._stop(STOP_TIMEOUT_S)
                if before is None:
                    self._wipe(keep_logs=True)
                raise

    def stop(self, *, timeout: float = STOP_TIMEOUT_S) -> tuple[str, ...]:
        """Stop everything, validators and miners first; nothing is lost.

        Args:
            timeout: seconds that a process may take before it is killed.

        Returns:
            Names of the processes that had to be killed.

        Raises:
            NoNetwork: there is none.
            NetworkBusy: another command is changing it.
        """
        self.description()
        with self._locked():
            return self._stop(timeout)

    def status(self) -> NetworkStatus:
        """What runs now.

        Raises:
            NoNetwork: there is none.
        """
        description = self.description()
        processes = tuple(
            ProcessStatus(name, process.kind, process.pid, process.record.alive, self.log(name))
            for name, process in sorted(description.processes.items())
        )
        state = state_of(description, {process.name for process in processes if process.alive})
        return NetworkStatus(self.paths.root, state, description, processes)

    def description(self) -> Description:
        """What the network consists of, running or not.

        Raises:
            NoNetwork: there is none.
        """
        description = Description.read(self.paths.description)
        if description is None:
            others = [other.paths.name for other in Network.all()]
            known = f"there is {', '.join(others)}: give --network; or " if others else ""
            raise NoNetwork(
                f"there is no local network {self.paths.name!r}",
                f"{known}start one with `pot up`, or give --rpc, --ipfs and --deployment",
            )
        return description

    def running_description(self) -> Description:
        """What the network consists of, provided that its chain runs.

        Raises:
            NoNetwork: there is none.
            NetworkStopped: it does not run.
        """
        description = self.description()
        chain = description.processes.get("anvil")
        if chain is None or not chain.record.alive:
            raise NetworkStopped(f"the local network {self.paths.name!r} does not run", f"start it: {self._up()}")
        return description

    # ---- validators

    def start_validator(self, index: int, *, wait: bool = True) -> Process:
        """Start the validator ``index`` again.

        Args:
            wait: until it answers.

        Raises:
            NetworkError: there is no such validator, or it runs.
            StartFailed: it does not become ready.
        """
        with self._locked():
            description = self.running_description()
            validator = self._validator(description, index)
            self._require_not_running(description, validator.name)
            process = spawn_validator(self.paths, description, validator)
            description = description.with_process(validator.name, process)
            self._save(description)
        if wait:
            wait_until_ready(self.paths, description, validator)
        return process

    def revive(self, say: Callable[[str], None] = lambda _: None) -> tuple[str, ...]:
        """Start the validators that have ended while the chain goes on; returns their names.

        Raises:
            NoNetwork, NetworkStopped: it does not run.
            StartFailed: one does not become ready.
        """
        alive = {process.name for process in self.status().processes if process.alive}
        ended = [entry for entry in self.running_description().validators if entry.name not in alive]
        for validator in ended:
            say(f"starting {validator.name} again")
            self.start_validator(validator.index)
        return tuple(validator.name for validator in ended)

    def kill_validator(self, index: int) -> bool:
        """End the validator ``index`` by SIGKILL, as a power failure would; returns whether it was running."""
        description = self.description()
        return self._kill(description, self._validator(description, index).name)

    # ---- miners

    def start_miner(
        self,
        name: str,
        task_id: int,
        *,
        misbehave: str | None = None,
        misbehave_rounds: tuple[int, int] | None = None,
    ) -> Process:
        """Start a miner with the wallet ``name``, which is made and funded if there is none.

        Args:
            task_id: what to mine.
            misbehave: name of an attack, for demonstrations and tests.
            misbehave_rounds: first and last round of the attack.

        Raises:
            NetworkError: a process of that name runs.
        """
        with self._locked():
            description = self.running_description()
            self._require_not_running(description, name)
            self.wallet(name, MINER_BALANCE)
            process = spawn_miner(self.paths, description, name, task_id, misbehave, misbehave_rounds)
            self._save(description.with_process(name, process))
        return process

    def stop_miner(self, name: str, *, timeout: float = STOP_TIMEOUT_S) -> bool:
        """End the miner ``name`` gracefully; returns whether it was running."""
        process = self.description().processes.get(name)
        if process is None or not process.record.alive:
            return False
        terminate([process.record], timeout)
        return True

    def kill_miner(self, name: str) -> bool:
        """End the miner ``name`` by SIGKILL; returns whether it was running."""
        return self._kill(self.description(), name)

    def miner_events(self, name: str) -> Iterator[dict[str, Any]]:
        """What the miner ``name`` has told so far, oldest first (see ``worker.miner``)."""
        try:
            with self.log(name).open(encoding="utf-8", errors="replace") as lines:
                for line in lines:
                    if line.startswith("{") and line.endswith("}\n"):
                        try:
                            yield json.loads(line)
                        except ValueError:
                            continue  # a line of the log that only looks like an event
        except FileNotFoundError:
            return

    # ---- accounts and logs

    def wallet(self, name: str, balance: int = 0) -> Wallet:
        """The network's wallet ``name``; made, with ``balance`` wei, if there is none."""
        wallet = self._accounts.find(name)
        if wallet is None:
            wallet = self._accounts.create(name)
            if balance:
                self.fund(wallet.address, balance)
        return wallet

    def account(self, name: str) -> LocalAccount:
        """The key of the network's wallet ``name`` (``owner``, ``validator-0``, …).

        Raises:
            WalletError: there is no such wallet.
        """
        return self._accounts.unlock(name)

    @property
    def owner(self) -> LocalAccount:
        """The key of the wallet that pays for tasks."""
        from pot_chain.localnet.accounts import OWNER

        return self.account(OWNER)

    def fund(self, address: str, wei: int) -> None:
        """Give ``address`` ``wei`` more, out of nothing."""
        from pot_chain.chain.anvil import fund
        from pot_chain.chain.connection import connect

        fund(connect(self.running_description().rpc_url), address, wei)

    def log(self, name: str) -> Path:
        """Log of the process ``name``."""
        return self._kubo.log if name == "kubo" else self.paths.log(name)

    # ---- inside

    @property
    def _accounts(self) -> NetworkAccounts:
        from pot_chain.localnet.accounts import NetworkAccounts

        return NetworkAccounts(self.paths)

    @property
    def _kubo(self) -> KuboDaemon:
        from pot_chain.localnet.storage import kubo_daemon

        return kubo_daemon(self.paths)

    @contextmanager
    def _locked(self, timeout: float = _LOCK_TIMEOUT_S) -> Iterator[None]:
        try:
            self._lock.acquire(timeout=timeout)
        except Timeout as error:
            raise NetworkBusy(
                f"another command is changing the local network {self.paths.name!r}", "wait until it is done"
            ) from error
        try:
            yield
        finally:
            self._lock.release()

    def _save(self, description: Description) -> None:
        description.write(self.paths.description)

    def _stop(self, timeout: float) -> tuple[str, ...]:
        description = Description.read(self.paths.description)
        killed: list[str] = []
        processes = description.processes if description is not None else {}
        for kind in _STOP_ORDER:
            records = {process.record: name for name, process in processes.items() if process.kind == kind}
            killed += [records[record] for record in terminate(records, timeout)]
        self._kubo.stop(timeout=timeout)  # also one that was started and is not on record yet
        if description is not None:
            self._save(description.model_copy(update={"processes": {}}))
        return tuple(sorted(killed))

    def _require_stopped(self) -> None:
        """Also for ``fresh``: what runs must not lose its files."""
        running = running_on_record(self.paths.description)
        if running:
            raise NetworkRunning(
                f"the local network {self.paths.name!r} runs already ({', '.join(sorted(running))})",
                f"`pot status{self._option()}` shows it; `pot down{self._option()}` stops it; "
                "another one beside it: `pot up --name OTHER`",
            )

    def _require_not_running(self, description: Description, name: str) -> None:
        known = description.processes.get(name)
        if known is not None and known.record.alive:
            raise NetworkError(f"{name} runs already (process {known.pid})", "stop it first")

    def _validator(self, description: Description, index: int) -> ValidatorEntry:
        for validator in description.validators:
            if validator.index == index:
                return validator
        raise NetworkError(
            f"the network has no validator {index}", f"they are numbered 0 to {len(description.validators) - 1}"
        )

    def _kill(self, description: Description, name: str) -> bool:
        process = description.processes.get(name)
        return process is not None and kill(process.record, STOP_TIMEOUT_S)

    def _wipe(self, *, keep_logs: bool) -> None:
        """Remove what a start makes, and nothing else."""
        paths = self.paths
        paths.description.unlink(missing_ok=True)
        paths.deployment.unlink(missing_ok=True)
        folders = [paths.chain, paths.ipfs, paths.wallets, paths.states] + ([] if keep_logs else [paths.logs])
        for folder in folders:
            if folder.exists():
                shutil.rmtree(folder)

    def _option(self) -> str:
        return "" if self.paths.name == "default" else f" --name {self.paths.name}"

    def _up(self) -> str:
        return f"`pot up{self._option()}`"
