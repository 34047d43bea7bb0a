"""The process that chaos torments: one validator's consensus over the real mesh, guard and log, with a stub chain.

Slots follow each other without end; the proposal for slot r + 1 names the decision of slot r as its parent, and a
replica prepares nothing that stands on another parent. Decisions are kept durably with their certificates, as a
validator must, and given to whoever asks for a slot that is over here.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from pot_chain.pbft import wire
from pot_chain.pbft.config import Timeouts
from pot_chain.pbft.errors import MessageError
from pot_chain.pbft.messages import Decided, Message, Status, ViewChangeRequest
from pot_chain.protocol import round as rounds
from pot_chain.protocol.addresses import ZERO_DIGEST, Address, Digest, parse_digest
from pot_chain.protocol.errors import PotError
from pot_chain.protocol.votes import Slot
from pot_chain.validator import frames
from scripts.bench.limit import Delays
from scripts.bench.node import EPOCH, Decision, Node
from scripts.bench.stub import belongs_to, stub_proposal
from scripts.bench.worker import run

TASK = 1
ROUND_SECONDS = 0.1
"""Pause of a primary before it proposes: training rounds do not follow each other at once."""


class ChainNode(Node):
    """A validator that opens slot r + 1 as soon as it knows the decision of slot r."""

    def __init__(
        self,
        index: int,
        keys: Sequence[bytes],
        folder: Path,
        *,
        timeouts: Timeouts,
        decided: Callable[[Decision], None],
        fail: Callable[[PotError], None],
        delays: Delays | None = None,
    ) -> None:
        super().__init__(index, keys, folder, timeouts=timeouts, decided=decided, fail=fail, delays=delays)
        self._archive = _Archive(folder / "decisions")
        self._loop = asyncio.get_running_loop()
        self._loop.call_soon(self._continue)

    def proposal(self, slot: Slot, view: int) -> rounds.Proposal:
        return stub_proposal(slot, self.index, view, self._archive.head)

    def refusal(self, slot: Slot, payload: bytes) -> str | None:
        if not belongs_to(slot, payload):
            return "a proposal of another slot"
        parent = parse_digest(json.loads(payload)["outcome"]["parent"])
        return None if parent == self._archive.head else "a proposal on another parent"

    def note(self, decision: Decision) -> None:
        """Durable first: what is told and built upon must outlast a crash."""
        try:
            self._archive.add(Decided(decision.certificate, decision.proposal.to_bytes()))
        except OSError as error:
            self.fail(PotError(f"a decision cannot be kept: {error.strerror}"))
            return
        super().note(decision)
        self._loop.call_soon(self._continue)

    def _on_frame(self, sender: Address, frame: bytes) -> None:
        self.count("received", str(self.voters.index(sender)))
        super()._on_frame(sender, frame)

    def unknown(self, sender: Address, slot: Slot, message: Message) -> None:
        """Who asks for a slot that is over gets its certificate."""
        decided = self._archive.frames.get(slot)
        if decided is not None and isinstance(message, Status | ViewChangeRequest):
            self.transport.send(sender, decided, supersedes=(slot, Decided.__name__, None))
        else:
            self.count("frame", "no such round here")

    def _continue(self) -> None:
        slot = Slot(TASK, self._archive.next_round, EPOCH)
        for old in [held for held in self.slots if held.round < slot.round]:
            self.drop(old)
        self.open(slot)
        self.start(slot)
        self._loop.call_later(ROUND_SECONDS, self._propose_if_open, slot)

    def _propose_if_open(self, slot: Slot) -> None:
        if slot in self.slots:
            self.propose(slot)


class _Archive:
    """Decisions with their certificates, one line of hex each; a line that a crash cut off is dropped."""

    def __init__(self, path: Path) -> None:
        self.frames: dict[Slot, bytes] = {}
        self.head: Digest = ZERO_DIGEST
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        whole = 0
        for line in path.read_bytes().splitlines(keepends=True):
            try:
                message = wire.decode(bytes.fromhex(line.decode().rstrip("\n"))) if line.endswith(b"\n") else None
            except (ValueError, MessageError):
                message = None
            if not isinstance(message, Decided):
                break
            self._take(message)
            whole += len(line)
        os.ftruncate(self._file, whole)

    @property
    def next_round(self) -> int:
        """First round that is not decided here."""
        return len(self.frames)

    def add(self, decided: Decided) -> None:
        """Make the next decision durable."""
        line = memoryview(wire.encode(decided).hex().encode() + b"\n")
        while line:
            line = line[os.write(self._file, line) :]
        os.fsync(self._file)
        self._take(decided)

    def _take(self, decided: Decided) -> None:
        self.frames[decided.slot] = frames.pbft(decided)
        self.head = decided.digest


if __name__ == "__main__":
    sys.exit(run(ChainNode))
