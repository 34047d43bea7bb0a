"""A whole network of benchmark validators: worker processes, their mesh, and decisions one after the other in lanes."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from pot_chain.pbft.config import Timeouts
from pot_chain.protocol.votes import Slot
from scripts.bench.limit import REQUEST, Delays
from scripts.bench.node import EPOCH, HOST

ROOT = Path(__file__).resolve().parents[2]
PATIENT = Timeouts(initial=120.0, maximum=120.0, resend=120.0)
"""No view change and no repetition: every message is sent exactly once, as the limit assumes."""
_STEP_SECONDS = 120.0
"""Longest that anything may take before the run is given up."""


class BenchError(Exception):
    """The network under test did not do what it must; the message says what."""


@dataclass
class Outcome:
    """One decided slot; times in seconds of ``time.monotonic``.

    Attributes:
        begun: when the primary proposed; with a dead primary, when the first replica had work.
        replies: when each reply reached the client.
    """

    slot: Slot
    requested: float = 0.0
    begun: float = 0.0
    decided: dict[int, float] = field(default_factory=dict)
    views: set[int] = field(default_factory=set)
    digests: set[str] = field(default_factory=set)
    replies: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Usage:
    """What all validators together have used since they started."""

    cpu: float
    frames: int
    bytes: int
    delayed: int
    late: float
    counts: dict[str, int]


class Cluster:
    """``size`` validators of which ``dead`` do not run, on ``len(workers)`` processes."""

    def __init__(self, size: int, delays: Delays | None, *, client: bool, timeouts: Timeouts, dead: frozenset[int]):
        self.size, self.delays, self.timeouts, self.dead = size, delays, timeouts, dead
        self.live = [index for index in range(size) if index not in dead]
        self._client = client
        self._workers: list[asyncio.subprocess.Process] = []
        self._host: dict[int, asyncio.subprocess.Process] = {}
        self._outcomes: dict[Slot, Outcome] = {}
        self._done: dict[Slot, asyncio.Future[None]] = {}
        self._answers: asyncio.Queue[tuple[str, dict[str, Any]]] = asyncio.Queue()
        self._opened: dict[Slot, int] = {}
        self._ready: dict[Slot, asyncio.Future[None]] = {}
        self._readers: list[asyncio.Task[None]] = []
        self._stopping = False
        self._folder: Path | None = None

    async def start(self, processes: int, folder: Path) -> None:
        """Start the workers and wait until every validator has a link to every other."""
        self._folder = folder
        parts = [part for part in (self.live[number::processes] for number in range(processes)) if part]
        ports: dict[int, int] = {}
        for part in parts:
            worker = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "scripts.bench.worker"),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                cwd=ROOT,
                env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
                limit=1 << 20,
            )
            self._workers.append(worker)
            self._host |= dict.fromkeys(part, worker)
            config = {
                "size": self.size,
                "nodes": part,
                "folder": str(folder),
                "timeouts": asdict(self.timeouts),
                "delays": asdict(self.delays) if self.delays else None,
                "client": self._client,
            }
            self._write(worker, config)
            self._readers.append(reader := asyncio.create_task(self._read(worker)))
            reader.add_done_callback(self._reader_ended)
        for answer in await self._collect("listening"):
            ports |= {int(index): port for index, port in answer["ports"].items()}
        endpoints = {index: f"http://{HOST}:{port}" for index, port in ports.items()}
        self._tell_all(do="connect", endpoints=endpoints)
        wanted = len(self.live) * (len(self.live) - 1)
        async with asyncio.timeout(_STEP_SECONDS):
            while True:
                self._tell_all(do="linked")
                if sum(answer["links"] for answer in await self._collect("linked")) == wanted:
                    break
                await asyncio.sleep(0.05)
        self._tell_all(do="settle")
        await self._collect("settled")

    async def stop(self) -> None:
        """End the workers: they go when their stdin ends."""
        self._stopping = True
        for worker in self._workers:
            assert worker.stdin is not None
            worker.stdin.close()
        for worker in self._workers:
            try:
                await asyncio.wait_for(worker.wait(), 20)
            except TimeoutError:
                worker.kill()
                await worker.wait()
        await asyncio.gather(*self._readers, return_exceptions=True)

    def disk_sync(self) -> float:
        """Median time of an append made durable in the logs' folder (seconds): what each vote pays before it leaves."""
        assert self._folder is not None
        return _sync_seconds(self._folder / "probe")

    async def decide(self, slot: Slot) -> Outcome:
        """One decision: open the slot everywhere, have the primary propose, wait for all live validators."""
        outcome = await self._open(slot)
        primary = slot.round % self.size
        self._tell_all(do="start", slot=_listed(slot))
        outcome.requested = time.monotonic()
        if self._client and self.delays is not None:
            await asyncio.sleep(self.delays.of(REQUEST, slot, 0, 0, primary))
        self._write(self._host[primary], {"do": "propose", "slot": _listed(slot), "nodes": [primary]})
        return await self._finish(outcome)

    async def recover(self, slot: Slot) -> Outcome:
        """One decision although the slot's first primary is dead: all others may propose from the start."""
        outcome = await self._open(slot)
        self._tell_all(do="propose", slot=_listed(slot))
        outcome.begun = 0.0
        self._tell_all(do="start", slot=_listed(slot))
        return await self._finish(outcome)

    async def usage(self) -> Usage:
        """Processor time, traffic and counters of all workers."""
        self._tell_all(do="stats")
        answers = await self._collect("stats")
        traffic = [part for answer in answers for part in answer["traffic"]]
        counts: dict[str, int] = {}
        for answer in answers:
            for name, count in answer["counts"].items():
                counts[name] = counts.get(name, 0) + count
        return Usage(
            cpu=sum(answer["cpu"] for answer in answers),
            frames=sum(part["frames"] for part in traffic),
            bytes=sum(part["bytes"] for part in traffic),
            delayed=sum(part["delayed"] for part in traffic),
            late=sum(part["late"] for part in traffic),
            counts=counts,
        )

    async def _open(self, slot: Slot) -> Outcome:
        loop = asyncio.get_running_loop()
        outcome = self._outcomes[slot] = Outcome(slot)
        self._done[slot], self._ready[slot] = loop.create_future(), loop.create_future()
        self._opened[slot] = 0
        self._tell_all(do="open", slot=_listed(slot))
        await asyncio.wait_for(self._ready[slot], _STEP_SECONDS)
        del self._ready[slot], self._opened[slot]
        return outcome

    async def _finish(self, outcome: Outcome) -> Outcome:
        await asyncio.wait_for(self._done[outcome.slot], _STEP_SECONDS)
        self._tell_all(do="drop", slot=_listed(outcome.slot))
        del self._outcomes[outcome.slot], self._done[outcome.slot]
        if len(outcome.digests) != 1:
            raise BenchError(f"validators disagree in {outcome.slot}: {outcome.digests}")
        return outcome

    def _tell_all(self, **command: Any) -> None:
        for worker in self._workers:
            self._write(worker, command)

    @staticmethod
    def _write(worker: asyncio.subprocess.Process, line: dict[str, Any]) -> None:
        assert worker.stdin is not None
        worker.stdin.write(json.dumps(line).encode() + b"\n")

    async def _collect(self, event: str) -> list[dict[str, Any]]:
        """One answer of each worker."""
        answers: list[dict[str, Any]] = []
        async with asyncio.timeout(_STEP_SECONDS):
            while len(answers) < len(self._workers):
                name, fields = await self._answers.get()
                if name != event:
                    raise BenchError(f"a worker says {name} instead of {event}: {fields}")
                answers.append(fields)
        return answers

    async def _read(self, worker: asyncio.subprocess.Process) -> None:
        assert worker.stdout is not None
        while line := await worker.stdout.readline():
            now = time.monotonic()
            fields = json.loads(line)
            event = fields.pop("event")
            slot = Slot(*fields["slot"]) if "slot" in fields else None
            if slot is None:
                self._answers.put_nowait((event, fields))
            elif event == "opened":
                self._opened[slot] += 1
                if self._opened[slot] == len(self._workers):
                    self._ready[slot].set_result(None)
            elif (outcome := self._outcomes.get(slot)) is not None:
                self._note(outcome, event, fields, now)

    def _reader_ended(self, reader: asyncio.Task[None]) -> None:
        """A worker that ends by itself ends the run."""
        cause = None if reader.cancelled() else reader.exception()
        if cause is not None or not self._stopping:
            self._answers.put_nowait(("its end", {"cause": repr(cause)}))
            for waiting in (*self._ready.values(), *self._done.values()):
                if not waiting.done():
                    waiting.set_exception(BenchError(f"a worker has ended: {cause!r}"))

    def _note(self, outcome: Outcome, event: str, fields: dict[str, Any], now: float) -> None:
        if event == "proposing" and not self.dead:
            outcome.begun = fields["at"]
        elif event == "started" and self.dead:
            outcome.begun = min(outcome.begun or fields["at"], fields["at"])
        elif event == "reply":
            outcome.replies.append(now)
        elif event == "decided":
            outcome.decided[fields["node"]] = fields["at"]
            outcome.views.add(fields["view"])
            outcome.digests.add(fields["digest"])
        complete = len(outcome.decided) == len(self.live)
        if self._client and self.delays is not None:
            complete = complete and len(outcome.replies) == len(self.live)
        done = self._done.get(outcome.slot)
        if complete and done is not None and not done.done():
            done.set_result(None)


@asynccontextmanager
async def cluster(
    size: int,
    processes: int,
    delays: Delays | None,
    *,
    client: bool = False,
    timeouts: Timeouts = PATIENT,
    dead: Iterable[int] = (),
) -> AsyncIterator[Cluster]:
    """A running network; its logs lie in a temporary folder."""
    made = Cluster(size, delays, client=client, timeouts=timeouts, dead=frozenset(dead))
    with tempfile.TemporaryDirectory(prefix="pot-bench-") as folder:
        try:
            await made.start(processes, Path(folder))
            yield made
        finally:
            await made.stop()


def lane_slot(lane: int, number: int) -> Slot:
    """The ``number``-th slot of a lane; each lane is a task of its own, and primaries take turns."""
    return Slot(lane + 1, number, EPOCH)


def _sync_seconds(path: Path, appends: int = 40, size: int = 308) -> float:
    """Median of ``appends`` appends of ``size`` bytes with fdatasync, as the signing log makes them."""
    times, sync = [], getattr(os, "fdatasync", os.fsync)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND)
    try:
        for _ in range(appends):
            begun = time.perf_counter()
            os.write(descriptor, bytes(size))
            sync(descriptor)
            times.append(time.perf_counter() - begun)
    finally:
        os.close(descriptor)
        path.unlink()
    return median(times)


def _listed(slot: Slot) -> list[int]:
    return [slot.task_id, slot.round, slot.epoch]
