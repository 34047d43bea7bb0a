"""One validator of a test network: the project's own mesh, signing guard, log and consensus shell, a stub application.

Nothing of the consensus is replaced. What a validator does around it (chain, storage, training) is not here.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from aiohttp import web
from eth_utils import keccak

from pot_chain.pbft.certificate import Certificate
from pot_chain.pbft.config import Timeouts
from pot_chain.pbft.events import Validate
from pot_chain.pbft.guard import SigningGuard
from pot_chain.pbft.messages import Decided, Message, Proposal, Status, ViewChangeRequest
from pot_chain.protocol import round as rounds
from pot_chain.protocol.addresses import Address, canonical_order
from pot_chain.protocol.eip712 import Domain
from pot_chain.protocol.errors import PotError, ProtocolError
from pot_chain.protocol.rewards import RewardLedger, RewardRule
from pot_chain.protocol.signing import address_of
from pot_chain.protocol.votes import Phase, Slot
from pot_chain.validator import frames
from pot_chain.validator.consensus import Application, Consensus
from pot_chain.validator.http import server_logger
from pot_chain.validator.services import Wiring
from pot_chain.validator.transport import Transport, WebsocketMesh
from scripts.bench.limit import COMMIT, PREPARE, PROPOSE, VIEW_CHANGE, Delays
from scripts.bench.stub import belongs_to, stub_proposal

HOST = "127.0.0.1"
DOMAIN = Domain(31337, "0x5FbDB2315678afecb367f032d93F642f64180aa3")
EPOCH = 1
_OTHER = 6
"""Kind of a message that the limits know nothing of (STATUS, DECIDED)."""
_KINDS = {Proposal.__name__: PROPOSE, ViewChangeRequest.__name__: VIEW_CHANGE}
_KINDS |= {Status.__name__: _OTHER, Decided.__name__: _OTHER}

log = logging.getLogger(__name__)


def keys_of(size: int) -> list[bytes]:
    """Vote keys of a test epoch of ``size``, in the contract's order."""
    keys = [keccak(text=f"test validator {number}") for number in range(size)]
    by_address = {address_of(key): key for key in keys}
    return [by_address[address] for address in canonical_order(by_address)]


def context_of(slot: Slot, voters: tuple[Address, ...]) -> rounds.RoundContext:
    """What the chain would say about the round; the shell uses domain, slot and voters of it."""
    zero = bytes(32)
    return rounds.RoundContext(
        domain=DOMAIN,
        slot=slot,
        parent=zero,
        seed=zero,
        members=(),
        commit_deadline=0,
        reveal_deadline=0,
        finalize_deadline=0,
        voters=voters,
        operators={voter: voter for voter in voters},
        ledger=RewardLedger(slot.task_id, {}),
        rule=RewardRule(0, 0),
        weights={},
    )


@dataclass
class Traffic:
    """What one validator has handed to its mesh.

    Attributes:
        late: sum of (actual - drawn delay) over the delayed frames, seconds.
    """

    frames: int = 0
    bytes: int = 0
    delayed: int = 0
    late: float = 0.0


class DelayedTransport:
    """Hands each frame to the mesh after the delay drawn for it: the emulated network sits at the sender."""

    def __init__(self, mesh: WebsocketMesh, index: int, voters: Sequence[Address], delays: Delays | None) -> None:
        self._mesh, self._index, self._delays = mesh, index, delays
        self._of = {voter: number for number, voter in enumerate(voters)}
        self.traffic = Traffic()

    def set_peers(self, epoch: int, endpoints: Mapping[Address, str]) -> None:
        self._mesh.set_peers(epoch, endpoints)

    def send(self, peer: Address, frame: bytes, *, supersedes: Hashable = None) -> None:
        receiver = self._of[peer]
        if receiver == self._index:
            return  # the shell addresses all voters; the mesh has no link to itself
        self.traffic.frames += 1
        self.traffic.bytes += len(frame)
        if self._delays is None:
            self._mesh.send(peer, frame, supersedes=supersedes)
            return
        delay = self._delays.of(*self._name(frame, supersedes), self._index, receiver)
        due = time.monotonic() + delay
        asyncio.get_running_loop().call_later(delay, self._deliver, due, peer, frame, supersedes)

    def broadcast(self, frame: bytes, *, supersedes: Hashable = None) -> None:
        for peer in self._of:
            self.send(peer, frame, supersedes=supersedes)

    def _deliver(self, due: float, peer: Address, frame: bytes, supersedes: Hashable) -> None:
        self.traffic.delayed += 1
        self.traffic.late += time.monotonic() - due
        self._mesh.send(peer, frame, supersedes=supersedes)

    @staticmethod
    def _name(frame: bytes, supersedes: Hashable) -> tuple[int, Slot, int]:
        """Kind, slot and view of a frame, from the shell's key (slot, type, phase) and the frame's header."""
        assert isinstance(supersedes, tuple)
        slot, kind, phase = supersedes
        view = int.from_bytes(frame[51:59], "big")  # behind the frame's kind, see pot_chain.pbft.wire
        if phase is not None:
            return (COMMIT if phase is Phase.COMMIT else PREPARE), slot, view
        return _KINDS[kind], slot, view


@dataclass
class Decision:
    """A slot as one validator decided it; ``at`` by ``time.monotonic``, which all processes share."""

    slot: Slot
    node: int
    at: float
    view: int
    digest: bytes
    parent: bytes
    certificate: Certificate
    proposal: rounds.Proposal


@dataclass
class _Slot:
    consensus: Consensus
    wanted: int | None = None
    may_propose: bool = False


class Node:
    """Validator ``index`` of an epoch whose vote keys are ``keys``. Create it in the event loop.

    Args:
        folder: state folder; it holds the signing log.
        decided: told of each decision.
        fail: told when the signing log cannot be written any more.
        delays: of the emulated network; None sends at once.
    """

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
        self.index, self.voters = index, tuple(address_of(key) for key in keys)
        self.address = self.voters[index]
        self.counts: dict[tuple[str, str], int] = {}
        self.slots: dict[Slot, _Slot] = {}
        self._decided, self.fail = decided, fail
        self.guard = SigningGuard.open(folder / "votes.log", keys[index], DOMAIN)
        if self.guard.fresh:
            self.guard.begin({})
        self.mesh = WebsocketMesh(DOMAIN, self.address, self.guard.sign_hello, self._on_frame)
        self.transport = DelayedTransport(self.mesh, index, self.voters, delays)
        transport: Transport = self.transport
        self._wiring = Wiring(self.guard, transport, timeouts, self.count, fail)
        self._runner: web.AppRunner | None = None

    async def listen(self, port: int = 0) -> int:
        """Serve ``/peer``; returns the port."""
        app = web.Application()
        app.router.add_get("/peer", self.mesh.handle)
        self._runner = web.AppRunner(app, access_log=None, logger=server_logger(self.count), shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, HOST, port, backlog=512).start()
        bound: int = self._runner.addresses[0][1]
        return bound

    async def connect(self, endpoints: Mapping[int, str]) -> None:
        """Dial the validators at ``endpoints`` (index to URL)."""
        self.mesh.set_peers(EPOCH, {self.voters[index]: url for index, url in endpoints.items()})
        await self.mesh.start()

    @property
    def linked(self) -> int:
        """Validators to which frames can be sent now."""
        return len(self.mesh.connected)

    def open(self, slot: Slot) -> None:
        """Create the slot's replica; it takes messages, and does nothing by itself before ``start``."""
        application = Application(
            partial(self._on_request, slot), partial(self._on_validate, slot), partial(self._on_decided, slot)
        )
        self.slots[slot] = _Slot(Consensus(self._wiring, context_of(slot, self.voters), self.address, application))

    def start(self, slot: Slot) -> float:
        """Arm the slot's timers; returns the time."""
        now = time.monotonic()
        self.slots[slot].consensus.start()
        return now

    def propose(self, slot: Slot) -> float:
        """From now on a primary of ``slot`` proposes when it is asked to; returns the time."""
        held = self.slots[slot]
        now = time.monotonic()
        held.may_propose = True
        self._propose(slot, held)
        return now

    def drop(self, slot: Slot) -> None:
        """Forget the slot's replica."""
        self.slots.pop(slot).consensus.close()

    def view(self, slot: Slot) -> int:
        """View in which the slot's replica is."""
        return self.slots[slot].consensus.view

    async def close(self) -> None:
        """End everything."""
        for slot in list(self.slots):
            self.drop(slot)
        await self.mesh.stop()
        if self._runner is not None:
            await self._runner.cleanup()
        self.guard.close()

    def count(self, what: str, detail: str) -> None:
        """Count something, as the validator's metrics do."""
        self.counts[what, detail] = self.counts.get((what, detail), 0) + 1

    # -- what a subclass may choose -------------------------------------------------------------------------------

    def proposal(self, slot: Slot, view: int) -> rounds.Proposal:
        """What to propose as primary of ``view``."""
        return stub_proposal(slot, self.index, view)

    def refusal(self, slot: Slot, payload: bytes) -> str | None:
        """Why a proposal is not prepared; None if it is."""
        return None if belongs_to(slot, payload) else "a proposal of another slot"

    def note(self, decision: Decision) -> None:
        """A slot is decided."""
        self._decided(decision)

    def unknown(self, sender: Address, slot: Slot, message: Message) -> None:
        """A PBFT message of a slot that has no replica here."""
        self.count("frame", "no such round here")

    # -- the application ------------------------------------------------------------------------------------------

    def _on_request(self, slot: Slot, view: int) -> None:
        held = self.slots.get(slot)
        if held is not None:
            held.wanted = view
            # not inside the shell's step: a real application answers later, too
            asyncio.get_running_loop().call_soon(self._propose, slot, held)

    def _propose(self, slot: Slot, held: _Slot) -> None:
        if held.wanted is not None and held.may_propose and self.slots.get(slot) is held:
            view, held.wanted = held.wanted, None
            held.consensus.propose(view, self.proposal(slot, view))

    def _on_validate(self, slot: Slot, request: Validate) -> None:
        self.slots[slot].consensus.answer(request, self.refusal(slot, request.payload))

    def _on_decided(self, slot: Slot, proposal: rounds.Proposal, certificate: Certificate) -> None:
        at, view, outcome = time.monotonic(), certificate.vote.view, proposal.outcome
        self.note(Decision(slot, self.index, at, view, proposal.digest, outcome.parent, certificate, proposal))

    # -- frames ---------------------------------------------------------------------------------------------------

    def _on_frame(self, sender: Address, frame: bytes) -> None:
        """As ``ValidatorService._on_frame``: a frame that cannot be used is counted and harms nobody."""
        try:
            slot, content = frames.parse(frame)
            held = self.slots.get(slot)
            if not isinstance(content, Message):
                self.count("frame", "no PBFT message")
            elif held is None:
                self.unknown(sender, slot, content)
            else:
                held.consensus.receive(self.voters.index(sender), content)
        except ProtocolError:
            self.count("frame", "not used")
        except Exception as error:
            log.exception("a frame of %s caused a failure", sender)
            self.count("bug", type(error).__name__)
