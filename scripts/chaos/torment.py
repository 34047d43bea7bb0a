"""One run: start, torment, heal, and hold the validators to their promises."""

from __future__ import annotations

import asyncio
import signal
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from pot_chain.protocol.signing import address_of
from scripts.bench.node import DOMAIN, keys_of
from scripts.chaos.network import TIMEOUTS, ChaosError, Network, Validator
from scripts.chaos.proxy import Mode
from scripts.chaos.schedule import Fault, Kind, draw
from scripts.chaos.votes import VoteBook

CALM_ROUNDS = 4
"""Rounds that all must decide after the faults are over."""
GARBAGE_SIZES = (0, 1, 58, 157, 158, 4_096, 200_000)


def calm_seconds(size: int) -> float:
    """How long the validators may take for ``CALM_ROUNDS`` rounds once everything works again.

    Liveness: the longest time-out may just have begun, then at most f views have a primary that lags; each costs the
    longest time-out again. Twice that, since processes share this machine's processors.
    """
    return 2 * (2 + (size - 1) // 3) * TIMEOUTS.maximum + 20.0


@dataclass
class Verdict:
    """What a run showed."""

    seed: int
    size: int
    rounds: int = 0
    heal_seconds: float = 0.0
    statements: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    highest_view: int = 0
    polluted: int = 0
    disk_failures: int = 0

    def __str__(self) -> str:
        faults = ", ".join(f"{count} {kind}" for kind, count in sorted(self.faults.items()))
        return (
            f"seed {self.seed}, n = {self.size}: one chain of {self.rounds} rounds, views up to {self.highest_view}, "
            f"{self.statements} signed statements without contradiction, all together again after "
            f"{self.heal_seconds:.1f} s; {faults}; {self.polluted} pieces of garbage, {self.disk_failures} logs full"
        )


class Torment:
    """Carries out one schedule."""

    def __init__(self, seed: int, size: int, seconds: float, folder: Path) -> None:
        self._seed, self._size = seed, size
        self._faults = draw(seed, size, seconds)
        self.book = VoteBook(DOMAIN, [address_of(key) for key in keys_of(size)])
        self.network = Network(size, folder, lambda _, frame: self.book.see(frame))
        self.verdict = Verdict(seed, size)
        self._locks = [asyncio.Lock() for _ in range(size)]

    async def run(self) -> Verdict:
        """All of it.

        Raises:
            ChaosError: a promise is broken.
        """
        network, verdict = self.network, self.verdict
        try:
            await network.start()
            await network.wait_for_round(0, calm_seconds(self._size))
            await asyncio.gather(*(self._strike(fault) for fault in self._faults))
            network.check_alive()
            reached = max(network.history.next_round(index) for index in range(self._size))
            verdict.heal_seconds = await network.wait_for_round(reached + CALM_ROUNDS - 1, calm_seconds(self._size))
            await self._check_counts()
        finally:
            await network.close()
        network.check_alive()
        network.history.check(self._size, reached + CALM_ROUNDS)
        if contradictions := self.book.contradictions():
            raise ChaosError("; ".join(contradictions))
        verdict.rounds = min(network.history.next_round(index) for index in range(self._size))
        verdict.statements = self.book.statements
        verdict.highest_view = max(network.history.views)
        verdict.polluted = sum(link.polluted for link in network.links.values())
        verdict.disk_failures = sum(validator.disk_failures for validator in network.validators)
        least = verdict.rounds * (2 * (2 * self._size // 3) + 1)
        if verdict.statements < least:
            raise ChaosError(f"only {verdict.statements} statements were seen of at least {least}: the tap is deaf")
        return verdict

    async def _strike(self, fault: Fault) -> None:
        await asyncio.sleep(fault.at)  # the schedule's clock
        self.verdict.faults[fault.kind.value] += 1
        match fault.kind:
            case Kind.KILL | Kind.STOP | Kind.FULL_DISK:
                await asyncio.gather(*(self._strike_process(fault, node) for node in sorted(fault.nodes)))
            case Kind.PARTITION | Kind.DEAFNESS | Kind.RESET | Kind.SLOW:
                await self._strike_links(fault)
            case Kind.GARBAGE:
                self._pollute(fault)

    async def _strike_process(self, fault: Fault, node: int) -> None:
        validator = self.network.validators[node]
        async with self._locks[node]:  # one fault of a process after the other
            if fault.kind is Kind.STOP:
                validator.signal(signal.SIGSTOP)
                await asyncio.sleep(fault.lasting)
                validator.signal(signal.SIGCONT)
                return
            if fault.kind is Kind.KILL:
                validator.signal(signal.SIGKILL)
                await self._restart(validator, fault.lasting)
                return
            validator.fill_disk(Random(fault.number).randint(0, 400))
            try:
                await asyncio.wait_for(validator.ended(), fault.lasting + 2)
            except TimeoutError:
                validator.free_disk()  # it had nothing to sign: its disk was full for nothing
            else:
                await self._restart(validator, fault.lasting / 4)

    async def _restart(self, validator: Validator, downtime: float) -> None:
        code = await validator.ended()
        if not self.network.explained(code):
            raise ChaosError(f"validator {validator.index} ended by itself with code {code}")
        await asyncio.sleep(downtime)
        await validator.start()
        if not validator.running:
            raise ChaosError(f"validator {validator.index} does not start again")

    async def _strike_links(self, fault: Fault) -> None:
        inside = fault.nodes
        mode = {Kind.RESET: Mode.CUT, Kind.SLOW: Mode.SLOW}.get(fault.kind, Mode.HELD)
        outward = [pair for pair in self.network.links if pair[0] in inside and pair[1] not in inside]
        inward = [] if fault.kind is Kind.DEAFNESS else [(b, a) for a, b in outward]
        for pair in outward + inward:
            self.network.impair(pair, mode)
        await asyncio.sleep(fault.lasting)
        for pair in outward + inward:
            self.network.repair(pair, mode)

    def _pollute(self, fault: Fault) -> None:
        rng = Random(f"garbage {self._seed} {fault.number}")
        for pair, link in sorted(self.network.links.items()):
            if pair[0] in fault.nodes:
                size = rng.choice(GARBAGE_SIZES)
                head = bytes([1, 1, rng.randint(1, 7)]) if rng.random() < 0.5 else b""  # looks like PBFT at first
                link.pollute(head + rng.randbytes(size), raw=rng.random() < 0.2)

    async def _check_counts(self) -> None:
        """No validator has met a bug of its own, or found another one guilty."""
        for validator in self.network.validators:
            validator.tell(do="stats")
            async with asyncio.timeout(20):
                counts = (await validator.stats.get())["counts"]
            bad = {name: count for name, count in counts.items() if name.startswith(("bug", "evidence", "refused"))}
            said = validator.complaints() + validator.accusations()
            if bad or said:
                raise ChaosError(f"validator {validator.index}: {bad} {said[:3]}")


async def torment(seed: int, size: int, seconds: float) -> Verdict:
    """One run in a folder of its own."""
    with tempfile.TemporaryDirectory(prefix="pot-chaos-") as folder:
        return await Torment(seed, size, seconds, Path(folder)).run()
