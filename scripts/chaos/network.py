"""Validators as processes behind proxies, and what can be done to them."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pot_chain.pbft.config import Timeouts
from scripts.bench.cluster import ROOT
from scripts.bench.worker import LOG_FAILED
from scripts.chaos.proxy import Link, Mode

TIMEOUTS = Timeouts(initial=1.0, maximum=8.0, resend=0.2)
"""Shorter than in use, so that views change often; the cap keeps the end short."""
START_SECONDS = 60.0


class ChaosError(Exception):
    """A validator did something that it must not; the message says what."""


@dataclass
class History:
    """What the processes have said: (round, view, digest, parent) of each decision, by validator."""

    decided: dict[int, dict[int, tuple[str, str]]] = field(default_factory=dict)
    views: dict[int, int] = field(default_factory=dict)

    def note(self, node: int, number: int, digest: str, parent: str, view: int) -> None:
        """A decision; a second one for the same round, after a restart, must be the same."""
        said = self.decided.setdefault(node, {})
        if said.setdefault(number, (digest, parent)) != (digest, parent):
            raise ChaosError(f"validator {node} decided round {number} twice, differently")
        self.views[view] = self.views.get(view, 0) + 1

    def next_round(self, node: int) -> int:
        """First round that ``node`` has not decided."""
        said = self.decided.get(node, {})
        return max(said) + 1 if said else 0

    def check(self, size: int, rounds: int) -> None:
        """Raises ChaosError unless all ``size`` validators have decided the same chain of at least ``rounds``."""
        digests: dict[int, set[str]] = {}
        for node in range(size):
            said = self.decided.get(node, {})
            if sorted(said) != list(range(len(said))) or len(said) < rounds:
                raise ChaosError(f"validator {node} has decided {len(said)} rounds, with gaps or too few of {rounds}")
            parent = "00" * 32
            for number in range(len(said)):
                digest, named = said[number]
                digests.setdefault(number, set()).add(digest)
                if named != parent:
                    raise ChaosError(f"round {number} of validator {node} stands on {named}, not on {parent}")
                parent = digest
        forks = [number for number, found in digests.items() if len(found) > 1]
        if forks:
            raise ChaosError(f"FORK: several decisions of rounds {forks}")


class Validator:
    """The process of one validator; it can be killed, stopped and started again."""

    def __init__(
        self, index: int, size: int, folder: Path, history: History, to_me: Sequence[Link] = (), **config: Any
    ) -> None:
        """``to_me``: links to tell where it listens; ``config``: more settings for its process."""
        self.index, self._size, self._folder = index, size, folder
        self._history, self._to_me, self._config = history, to_me, config
        self.port = 0
        self._process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.Task[None] | None = None
        self._urls: dict[int, str] = {}
        self._listening = asyncio.Event()
        self.stats: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.fatal: BaseException | None = None
        self.disk_failures = 0

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.returncode is None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    async def start(self) -> None:
        """Start the process with its old state; wait until it listens. It dials whom it dialled before."""
        self._folder.mkdir(parents=True, exist_ok=True)
        self._listening.clear()
        with (self._folder / "stderr").open("ab") as errors:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "scripts.chaos.replica"),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=errors,
                cwd=ROOT,
                env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
                limit=1 << 20,
            )
        self._reader = asyncio.create_task(self._read(self._process))
        config = {"size": self._size, "nodes": [self.index], "folder": str(self._folder)}
        self.tell(**config, timeouts=asdict(TIMEOUTS), **self._config)
        async with asyncio.timeout(START_SECONDS):
            await self._listening.wait()
        if self.running and self._urls:
            self.connect(self._urls)

    def connect(self, urls: dict[int, str]) -> None:
        """Have it dial the other validators at ``urls``."""
        self._urls = urls
        self.tell(do="connect", endpoints=urls)

    def tell(self, **line: Any) -> None:
        """A line to the process, lost if it has gone."""
        assert self._process is not None
        assert self._process.stdin is not None
        if not self._process.stdin.is_closing():
            self._process.stdin.write(json.dumps(line).encode() + b"\n")

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, if it runs."""
        if self._process is not None and self.running:
            self._process.send_signal(number)

    def fill_disk(self, spare: int) -> None:
        """From now on no file of the process can grow beyond the signing log's size plus ``spare`` bytes."""
        log = self._folder / str(self.index) / "votes.log"
        size = log.stat().st_size + spare if log.exists() else spare
        self._limit_files(size)

    def free_disk(self) -> None:
        """Files may grow again."""
        self._limit_files(resource.RLIM_INFINITY)

    def _limit_files(self, size: int) -> None:
        if self._process is not None and self.running and hasattr(resource, "prlimit"):  # Linux only
            resource.prlimit(self._process.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

    async def ended(self) -> int:
        """Wait until it has ended and all it said is read; its exit code."""
        assert self._process is not None
        assert self._reader is not None
        code = await self._process.wait()
        await asyncio.shield(self._reader)  # who gives up waiting must not end the reader
        return code

    async def stop(self) -> None:
        """End it gently."""
        if self._process is not None and self.running:
            assert self._process.stdin is not None
            self._process.stdin.close()
            try:
                await asyncio.wait_for(self.ended(), 20)
            except TimeoutError:
                self.signal(signal.SIGKILL)
                await self.ended()

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        try:
            while line := await process.stdout.readline():
                if line.endswith(b"\n"):  # a killed process may leave half a line
                    self._hear(json.loads(line))
        except (ChaosError, ValueError, KeyError) as error:
            self.fatal = error
        finally:
            self._listening.set()

    def _hear(self, said: dict[str, Any]) -> None:
        match said["event"]:
            case "listening":
                self.port = said["ports"][str(self.index)]
                for link in self._to_me:
                    link.retarget(self.port)
                self._listening.set()
            case "decided":
                self._history.note(self.index, said["slot"][1], said["digest"], said["parent"], said["view"])
            case "stats":
                self.stats.put_nowait(said)
            case "failed":
                self.disk_failures += 1

    def complaints(self) -> list[str]:
        """What it wrote to stderr that no fault explains: failures with what follows them."""
        lines = self._errors()
        marked = [at for at, line in enumerate(lines) if "Traceback" in line or "failure" in line]
        return ["\n".join(lines[max(0, at - 1) : at + 24]) for at in marked]

    def accusations(self) -> list[str]:
        """Proofs of equivocation that it wrote to stderr; each names its signer."""
        return [line for line in self._errors() if "EQUIVOCATION" in line]

    def _errors(self) -> list[str]:
        return (self._folder / "stderr").read_text(errors="replace").splitlines()


class Network:
    """All validators and all links of one run."""

    def __init__(self, size: int, folder: Path, seen: Callable[[int, bytes], None]) -> None:
        self.size, self.history = size, History()
        pairs = [(sender, receiver) for sender in range(size) for receiver in range(size) if sender != receiver]
        self.links = {pair: Link(*pair, seen) for pair in pairs}
        self.validators = [
            Validator(
                index,
                size,
                folder / str(index),
                self.history,
                [link for (_, receiver), link in self.links.items() if receiver == index],
            )
            for index in range(size)
        ]
        self.held: dict[tuple[int, int], list[Mode]] = {pair: [] for pair in pairs}

    async def start(self) -> None:
        """Start all links and processes."""
        urls: dict[int, dict[int, str]] = {index: {} for index in range(self.size)}
        for (sender, receiver), link in self.links.items():
            urls[sender][receiver] = await link.listen()
        await asyncio.gather(*(validator.start() for validator in self.validators))
        for validator in self.validators:
            validator.connect(urls[validator.index])

    async def close(self) -> None:
        """End everything; nothing of it is left running."""
        for validator in self.validators:
            validator.signal(signal.SIGCONT)
        await asyncio.gather(*(validator.stop() for validator in self.validators))
        await asyncio.gather(*(link.close() for link in self.links.values()))

    def impair(self, pair: tuple[int, int], mode: Mode) -> None:
        """One more reason why a link does not work; the last one counts."""
        self.held[pair].append(mode)
        self.links[pair].set_mode(mode)

    def repair(self, pair: tuple[int, int], mode: Mode) -> None:
        """That reason is over."""
        self.held[pair].remove(mode)
        self.links[pair].set_mode(self.held[pair][-1] if self.held[pair] else Mode.OPEN)

    async def wait_for_round(self, number: int, seconds: float) -> float:
        """Wait until all have decided round ``number``; returns how long that took."""
        begun = time.monotonic()
        while min(self.history.next_round(index) for index in range(self.size)) <= number:
            self.check_alive()
            await self._revive()
            if time.monotonic() > begun + seconds:
                reached = [self.history.next_round(index) for index in range(self.size)]
                raise ChaosError(f"after {seconds:.0f} s of calm the validators are at rounds {reached} of {number}")
            await asyncio.sleep(0.05)
        return time.monotonic() - begun

    async def _revive(self) -> None:
        """Start whoever ended on a full disk only after its fault had been given up as without effect."""
        for validator in self.validators:
            if not validator.running:
                if not self.explained(code := await validator.ended()):
                    raise ChaosError(f"validator {validator.index} ended by itself with code {code}")
                await validator.start()

    def check_alive(self) -> None:
        """Raises what a validator did wrong, if one did."""
        for validator in self.validators:
            if validator.fatal is not None:
                raise ChaosError(f"validator {validator.index}: {validator.fatal!r}")

    @staticmethod
    def explained(code: int) -> bool:
        """Whether a process may end with ``code``: killed by us, or its log could not be written."""
        return code in (-signal.SIGKILL, LOG_FAILED)
