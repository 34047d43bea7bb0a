"""One validator in one round: collects, judges, agrees, finalizes.

The actor composes the pure parts. It owns the replica of the slot and turns its effects into deeds; heavy work
(fetching, re-execution, aggregation) goes to the service's executor. Everything else happens in the event loop, so
there is no lock.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from typing import ParamSpec, Protocol, TypeVar

from ipfs.errors import IpfsError
from pot_chain.chain.history import RoundHistory
from pot_chain.pbft.certificate import Certificate, ecdsa_verifier
from pot_chain.pbft.config import Config, Timeouts
from pot_chain.pbft.errors import GuardError
from pot_chain.pbft.events import (
    Broadcast,
    CancelTimer,
    Decide,
    Effect,
    Event,
    Evidence,
    ProposalReady,
    Received,
    Reject,
    RequestProposal,
    Send,
    SetTimer,
    Sign,
    SignatureReady,
    SignatureRefused,
    Start,
    Timer,
    TimerFired,
    Validate,
    Validated,
)
from pot_chain.pbft.guard import SigningGuard
from pot_chain.pbft.messages import Ballot, Message, Status
from pot_chain.pbft.replica import Replica
from pot_chain.protocol.addresses import Address, Digest
from pot_chain.protocol.errors import PotError, ProtocolError
from pot_chain.protocol.quorum import quorum
from pot_chain.protocol.record import Reveal, SignedReport
from pot_chain.protocol.round import (
    Collection,
    InvalidProposal,
    Proposal,
    RoundContext,
    check_proposal,
    check_report,
    make_proposal,
    mean_loss,
    report_statement,
)
from pot_chain.validator import frames
from pot_chain.validator.judge import Judge
from pot_chain.validator.transport import Transport

REPORT_GRACE_SECONDS = 0.4
"""How long a primary that has a quorum of verdict reports waits for the rest, so that their authors are paid."""
RELAY_SECONDS = 2.0
"""How long each further validator waits before it relays a certificate that nobody has."""

P = ParamSpec("P")
T = TypeVar("T")

log = logging.getLogger(__name__)


class Executor(Protocol):
    """Runs blocking work, one piece at a time, outside the event loop."""

    def __call__(self, function: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> Awaitable[T]: ...


@dataclass(frozen=True)
class Services:
    """What an actor needs of its validator.

    Attributes:
        finalize: blocking; pins the record and sends ``finalizeRound``, returns quietly when somebody else was first.
        count: metrics: (what, detail).
    """

    guard: SigningGuard
    transport: Transport
    run_blocking: Executor
    finalize: Callable[[Proposal, Certificate], None]
    timeouts: Timeouts
    count: Callable[[str, str], None]


class RoundActor:
    """A validator's part in one slot. Create it in the event loop, feed it, ``await run()``."""

    def __init__(self, services: Services, context: RoundContext, me: Address, open_judge: Callable[[], Judge]) -> None:
        self.context = context
        self.slot = context.slot
        self.collection = Collection(context)
        self.decided: Proposal | None = None
        self.phase = "collecting"
        self._services, self._me, self._open_judge = services, me, open_judge
        self._index = context.voters.index(me)
        self._judge: Judge | None = None
        self._history: RoundHistory | None = None
        self._now = 0
        self._audit_seed: Digest | None = None
        self._verdict_ready = False
        self._early_reveals: dict[Address, Reveal] = {}
        self._reports: dict[Address, SignedReport] = {}
        self._own_report: SignedReport | None = None
        self._quorum_since: float | None = None
        self._wanted_view: int | None = None
        self._to_validate: list[Validate] = []
        self._certificate: Certificate | None = None
        self._timers: dict[Timer, asyncio.TimerHandle] = {}
        self._wake = asyncio.Event()
        self._closed = False
        self.replica = Replica(
            Config(
                self.slot,
                len(context.voters),
                self._index,
                ecdsa_verifier(context.domain, context.voters),
                _digest_of,
                services.timeouts,
            )
        )

    # -- feeding --------------------------------------------------------------------------------------------------

    def on_chain(self, history: RoundHistory, now: int, audit_seed: Digest | None) -> None:
        """What the chain says about the round, at time ``now`` (seconds)."""
        self._history, self._now = history, now
        self._audit_seed = audit_seed
        self.collection.commits.clear()
        for miner, commit in history.commits.items():
            self.collection.commit(miner, commit.seal)
        for reveal in history.reveals.values():
            self.collection.reveal(reveal, on_chain=True)
        for reveal in list(self._early_reveals.values()):
            if reveal.miner in self.collection.commits:
                del self._early_reveals[reveal.miner]
                self._take_reveal(reveal)
        self._wake.set()

    def on_reveal(self, reveal: Reveal) -> None:
        """A reveal from its miner or from another validator.

        Raises:
            ProtocolError: it does not open the seal, or its author is no member.
        """
        if reveal.miner not in self.context.members:
            raise ProtocolError(f"{reveal.miner} is no member of round {self.slot.round}")
        if reveal.miner not in self.collection.commits:
            self._early_reveals[reveal.miner] = reveal  # the commit has not been seen here yet
            return
        self._take_reveal(reveal)

    def _take_reveal(self, reveal: Reveal) -> None:
        try:
            new = self.collection.reveal(reveal)
        except ProtocolError as error:
            self._services.count("reveal", "does not open the seal")
            raise error
        if new:
            self._services.transport.broadcast(
                frames.reveal(self.slot, reveal), supersedes=(self.slot, "reveal", reveal.miner)
            )
            self._wake.set()

    def on_report(self, sender: Address, report: SignedReport) -> None:
        """A verdict report; it is checked when the submissions that it is about are known."""
        if sender != report.validator:
            self._services.count("report", "not from its author")
            return
        self._reports[report.validator] = report
        self._wake.set()

    def on_message(self, sender: int, message: Message) -> None:
        """A PBFT message of validator ``sender``."""
        if isinstance(message, Status) and self._own_report is not None and self.decided is None:
            self._send_report()  # who asks may have missed it
        self._step(Received(sender, message))

    def close(self) -> None:
        """The chain has closed the round: stop."""
        self._closed = True
        for handle in self._timers.values():
            handle.cancel()
        self._wake.set()

    # -- the round ------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Work until the round is closed."""
        self._step(self._services.guard.restore(self.slot))
        while not self._closed:
            try:
                await self._advance()
            except IpfsError as error:
                log.warning("%s: storage: %s (%s)", self._name, error, error.hint)
                self._wake_later(1.0)
            await self._wake.wait()
            self._wake.clear()

    async def _advance(self) -> None:
        judge = await self._judged()
        if judge is not None and not self._verdict_ready:
            await self._reach_verdict(judge)
        if judge is None or not self._verdict_ready or self._closed:
            return
        if self.decided is None:
            await self._reconsider(judge)
            await self._answer_validations(judge)
            await self._answer_request(judge)
        if self.decided is not None and self._certificate is not None:
            await self._finalize(self.decided, self._certificate)

    async def _judged(self) -> Judge | None:
        if self._judge is None:
            self._judge = await self._blocking(self._open_judge)
        for reveal in list(self.collection.reveals.values()):
            if self._judge is not None and reveal.miner not in self._judge.examined | self._judge.faults:
                await self._blocking(self._judge.examine, reveal)
        return self._judge

    async def _reach_verdict(self, judge: Judge) -> None:
        """When the round is complete: re-execute what is drawn, then vote."""
        if self._audit_seed is None or not self.collection.complete(self._now):
            return
        self.phase = "verifying"
        await self._audit_drawn(judge)
        self._verdict_ready = True
        self.phase = "agreeing"
        self._refresh_report(judge)
        self._step(Start())

    async def _audit_drawn(self, judge: Judge) -> None:
        assert self._audit_seed is not None
        for reveal in self.collection.ordered_reveals().values():
            await self._blocking(judge.examine, reveal)
        judge.compare(self.collection.commits)
        for miner in await self._blocking(judge.to_audit, self._audit_seed, self._me):
            await self._blocking(judge.audit, miner)

    async def _reconsider(self, judge: Judge) -> None:
        """Confirm for ourselves what others reject, and sign a new report if that changes ours."""
        for report in list(self._reports.values()):
            for miner in report.rejected:
                if miner in judge.examined and miner not in judge.faults:
                    await self._blocking(judge.audit, miner)
        judge.compare(self.collection.commits)
        self._refresh_report(judge)

    async def _answer_validations(self, judge: Judge) -> None:
        while self._to_validate:
            request = self._to_validate.pop(0)
            try:
                await self._validate(judge, request.payload)
            except PotError as error:
                log.warning("%s: refusing the proposal of view %d: %s", self._name, request.view, error)
                self._step(Validated(request.digest, ok=False, reason=str(error)))
            else:
                self._step(Validated(request.digest, ok=True))

    async def _validate(self, judge: Judge, payload: bytes) -> None:
        """Raises ProtocolError unless the proposal is what this validator would have decided."""
        assert self._audit_seed is not None
        proposal = Proposal.from_bytes(payload)
        for reveal in proposal.record.reveals.values():
            self.on_reveal(reveal)
        for reveal in self.collection.ordered_reveals().values():
            await self._blocking(judge.examine, reveal)
        judge.compare(self.collection.commits)
        check_proposal(self.context, self.collection, proposal, self._audit_seed)
        for miner in proposal.record.rejected:
            if miner not in judge.faults:
                await self._blocking(judge.audit, miner)
            if miner not in judge.faults:
                raise InvalidProposal(f"{miner} is rejected as {proposal.record.rejected[miner]}, its work is sound")
        for miner in proposal.record.accepted:
            if miner in judge.faults:
                raise InvalidProposal(f"{miner} is accepted, its gradient is {judge.faults[miner]}")
        accepted = proposal.record.accepted
        if proposal.record.train_loss != mean_loss(judge.losses(accepted).values()):
            raise InvalidProposal("another mean of the reported losses")
        if proposal.outcome.checkpoint != await self._blocking(judge.next_checkpoint, accepted):
            raise InvalidProposal("another aggregate: the next checkpoint differs")

    async def _answer_request(self, judge: Judge) -> None:
        """As primary: propose once enough verdict reports are there."""
        if self._wanted_view is None or self._audit_seed is None:
            return
        reveals = self.collection.ordered_reveals()
        reports = self._valid_reports(reveals)
        if len(reports) < quorum(len(self.context.voters)):
            self._quorum_since = None
            return
        now = asyncio.get_running_loop().time()
        if self._quorum_since is None:
            self._quorum_since = now
        waited = now - self._quorum_since
        if len(reports) < len(self.context.voters) and waited < REPORT_GRACE_SECONDS:
            self._wake_later(REPORT_GRACE_SECONDS - waited)
            return
        accepted = tuple(m for m in self.context.members if m in reveals and m not in judge.faults)
        if not accepted:
            log.warning("%s: no gradient is acceptable, the round will be skipped", self._name)
            return
        try:
            checkpoint = await self._blocking(judge.next_checkpoint, accepted)
        except PotError as error:
            log.error("%s: no aggregate, the round will be skipped: %s", self._name, error)
            return
        view, self._wanted_view = self._wanted_view, None
        proposal = make_proposal(
            self.context,
            self.collection,
            rejected={miner: reason for miner, reason in judge.faults.items() if miner in reveals},
            reports=reports,
            audit_seed=self._audit_seed,
            checkpoint=checkpoint,
            losses=judge.losses(accepted),
        )
        self._step(ProposalReady(view, proposal.to_bytes()))

    async def _finalize(self, proposal: Proposal, certificate: Certificate) -> None:
        """Relay the certificate: the primary of the deciding view first, the others only if it does not."""
        size = len(self.context.voters)
        turn = (self._index - self.replica.primary(certificate.vote.view)) % size
        self._certificate = None
        asyncio.get_running_loop().call_later(turn * RELAY_SECONDS, self._relay_soon, proposal, certificate)

    def _relay_soon(self, proposal: Proposal, certificate: Certificate) -> None:
        if not self._closed:
            self._relaying = asyncio.ensure_future(self._relay(proposal, certificate))

    async def _relay(self, proposal: Proposal, certificate: Certificate) -> None:
        while not self._closed:
            try:
                await self._blocking(self._services.finalize, proposal, certificate)
                return
            except PotError as error:
                log.warning("%s: cannot finalize yet: %s (%s)", self._name, error, error.hint)
                await asyncio.sleep(RELAY_SECONDS)

    # -- reports --------------------------------------------------------------------------------------------------

    def _refresh_report(self, judge: Judge) -> None:
        """Sign what we now know, unless it is what we have already signed."""
        reveals = self.collection.ordered_reveals()
        rejected = {miner: reason for miner, reason in judge.faults.items() if miner in reveals}
        signature = self._services.guard.sign_report(report_statement(self.context, reveals, rejected))
        report = SignedReport(self._me, rejected, signature)
        if report != self._own_report:
            self._own_report = report
            self._reports[self._me] = report
            self._send_report()

    def _send_report(self) -> None:
        assert self._own_report is not None
        frame = frames.report(self.slot, self._own_report)
        self._services.transport.broadcast(frame, supersedes=(self.slot, "report"))

    def _valid_reports(self, reveals: dict[Address, Reveal]) -> list[SignedReport]:
        valid = []
        for report in list(self._reports.values()):
            try:
                check_report(self.context, reveals, report)
            except ProtocolError as error:
                log.debug("%s: report set aside: %s", self._name, error)
            else:
                valid.append(report)
        return valid

    # -- the replica's effects --------------------------------------------------------------------------------------

    def _step(self, event: Event) -> None:
        """Feed the replica and carry out its effects, in their order."""
        for effect in self.replica.step(event):
            self._perform(effect)

    def _perform(self, effect: Effect) -> None:
        transport = self._services.transport
        match effect:
            case Sign():
                try:
                    signature = self._services.guard.sign(effect)
                except GuardError as error:
                    # Without a durable log nothing may be signed: silence in this slot beats a second vote.
                    log.error("%s: not signing: %s", self._name, error)
                    self._step(SignatureRefused(effect, str(error)))
                else:
                    self._step(SignatureReady(effect, signature))
            case Broadcast(message):
                transport.broadcast(frames.pbft(message), supersedes=_supersedes(message))
            case Send(to, message):
                transport.send(self.context.voters[to], frames.pbft(message), supersedes=_supersedes(message))
            case SetTimer(timer, view, delay):
                self._cancel(timer)
                loop = asyncio.get_running_loop()
                self._timers[timer] = loop.call_later(delay, self._step, TimerFired(timer, view))
            case CancelTimer(timer):
                self._cancel(timer)
            case RequestProposal(view):
                self._wanted_view = view
                self._wake.set()
            case Validate():
                self._to_validate = [effect]  # an older proposal is no longer of interest
                self._wake.set()
            case Decide(payload, _, certificate):
                self.decided, self._certificate = Proposal.from_bytes(payload), certificate
                self.phase = "decided"
                self._services.count("decided", "")
                self._wake.set()
            case Evidence(first, second, reason):
                log.error("%s: EQUIVOCATION by validator %d: %s", self._name, first.signer, reason)
                self._services.count("evidence", reason)
                del second
            case Reject(sender, reason):
                log.debug("%s: message of validator %d not used: %s", self._name, sender, reason)
                self._services.count("rejected", reason)

    def _cancel(self, timer: Timer) -> None:
        if (handle := self._timers.pop(timer, None)) is not None:
            handle.cancel()

    def _wake_later(self, seconds: float) -> None:
        asyncio.get_running_loop().call_later(seconds, self._wake.set)

    async def _blocking(self, function: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
        return await self._services.run_blocking(function, *arguments, **named)

    @property
    def _name(self) -> str:
        return f"task {self.slot.task_id} round {self.slot.round}"


def _supersedes(message: Message) -> Hashable:
    """What a message replaces while unsent: older ones of its kind; a PREPARE does not replace a COMMIT."""
    phase = message.vote.statement.phase if isinstance(message, Ballot) else None
    return (message.slot, type(message).__name__, phase)


def _digest_of(payload: bytes) -> Digest | None:
    """Digest that a proposal's payload stands for; None if it is malformed."""
    try:
        return Proposal.from_bytes(payload).digest
    except ProtocolError:
        return None
