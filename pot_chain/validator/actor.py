"""One validator in one round: collects, judges, agrees, finalizes.

The actor composes the parts: ``Collection`` (what was revealed), ``Judge`` (what it is worth), ``Reports`` (who says
so) and ``Consensus`` (what is decided). Heavy work goes to the service's threads; everything else happens in the event
loop, so there is no lock. ``_advance`` looks at the whole state and does what can be done; it may run at any time, and
after any failure it simply runs again.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable, Iterable

from ipfs.errors import IpfsError
from pot_chain.chain.history import RoundHistory
from pot_chain.pbft.certificate import Certificate
from pot_chain.pbft.events import Validate
from pot_chain.pbft.messages import Message, Status
from pot_chain.protocol.addresses import Address, Digest
from pot_chain.protocol.errors import PotError, ProtocolError
from pot_chain.protocol.quorum import quorum
from pot_chain.protocol.record import Reveal, SignedReport
from pot_chain.protocol.round import (
    Collection,
    InvalidProposal,
    PrematureProposal,
    Proposal,
    RoundContext,
    check_proposal,
    make_proposal,
    mean_loss,
)
from pot_chain.validator import frames
from pot_chain.validator.background import Background
from pot_chain.validator.consensus import Application, Consensus
from pot_chain.validator.gradients import GradientFetcher
from pot_chain.validator.judge import UNAVAILABLE, Judge, same_fault
from pot_chain.validator.relay import relay
from pot_chain.validator.reports import Reports
from pot_chain.validator.services import Services

REPORT_GRACE_SECONDS = 0.4
"""How long a primary that has a quorum of verdict reports waits for the rest, so that their authors are paid."""
ASK_SECONDS = 1.0
"""Between two requests for reveals that others may have, and at first between two tries to get a missing gradient."""
RETRIES_OF_VOUCHED = 3
"""After so many tries we look also for gradients that nobody vouches for: storage may have failed for all of us."""
RETRY_SECONDS = (0.5, 15.0)
"""First and longest pause after a failure."""

log = logging.getLogger(__name__)


class RoundActor:
    """A validator's part in one slot. Create it in the event loop, ``start`` it, feed it, ``close`` it."""

    def __init__(
        self,
        services: Services,
        context: RoundContext,
        me: Address,
        opened_hash: str,
        open_judge: Callable[[], Judge],
    ) -> None:
        """``opened_hash``: of the block that opened the round; ``open_judge`` blocks."""
        self.context, self.slot, self.opened_hash = context, context.slot, opened_hash
        self.collection = Collection(context)
        self.decided: Proposal | None = None
        self.phase = "collecting"
        self._services, self._me, self._open_judge = services, me, open_judge
        self._transport, self._count = services.wiring.transport, services.wiring.count
        self._index = context.voters.index(me)
        self._judge: Judge | None = None
        self._gradients: GradientFetcher | None = None
        self._now = 0
        self._audit_seed: Digest | None = None
        self._audited: frozenset[Reveal] | None = None
        self._quorum_since: float | None = None
        self._ask_at: float | None = None
        self._retry_at, self._retries = 0.0, 0
        self._to_validate: Validate | None = None
        self._wanted_view: int | None = None
        self._hopeless_view: int | None = None
        self._asked: dict[Address, float] = {}
        self._background = Background(self._name, self._count)
        self._wake = asyncio.Event()
        self.reports = Reports(context, me, services.wiring.guard.sign_report)
        self.consensus = Consensus(
            services.wiring, context, me, Application(self._on_request, self._on_validate, self._on_decided)
        )

    # -- feeding --------------------------------------------------------------------------------------------------

    def on_chain(self, history: RoundHistory, now: int, audit_seed: Digest | None) -> None:
        """What the chain says about the round, at time ``now`` (seconds)."""
        self._now, self._audit_seed = now, audit_seed
        seals = {miner: commit.seal for miner, commit in history.commits.items()}
        self.collection.follow_chain(seals, history.reveals.values())
        self._ask_for_reveals()
        self._wake.set()

    def on_reveal(self, reveal: Reveal, *, relayed: bool = False) -> None:
        """A reveal of its miner, or ``relayed`` by a validator.

        Raises:
            ProtocolError: it does not open a seal that is known here (the commit may still be on its way), or it comes
                from the miner when the round is judged already.
        """
        if not relayed and self.collection.settled and self.collection.reveals.get(reveal.miner) != reveal:
            raise ProtocolError(f"the reveals of round {self.slot.round} are closed")
        if self.collection.reveal(reveal):
            frame = frames.reveal(self.slot, reveal)
            self._send_to_all(frame, (self.slot, "reveal", reveal.miner))
            self._wake.set()

    def on_content(self, sender: Address, content: frames.Content) -> None:
        """What a frame of validator ``sender`` holds.

        Raises:
            ProtocolError: it is of no use.
        """
        match content:
            case Reveal():
                self.on_reveal(content, relayed=True)
            case SignedReport():
                self.reports.take(sender, content)
                self._wake.set()
            case frames.Lacks(miners):
                self._answer_lacks(sender, miners)
            case _:
                self._on_message(sender, content)

    def _answer_lacks(self, sender: Address, miners: Iterable[Address]) -> None:
        """Send what was asked for; now and then only, so that asking costs the asker more than us."""
        now = asyncio.get_running_loop().time()
        if sender not in self.context.voters or now < self._asked.get(sender, -math.inf) + ASK_SECONDS / 2:
            return
        self._asked[sender] = now
        for miner in miners:
            if (reveal := self.collection.reveals.get(miner)) is not None:
                frame = frames.reveal(self.slot, reveal)
                self._transport.send(sender, frame, supersedes=(self.slot, "reveal", miner))

    def _on_message(self, sender: Address, message: Message) -> None:
        if isinstance(message, Status) and self.decided is None and self.reports.own is not None:
            frame = frames.report(self.slot, self.reports.own)  # who asks may have missed it
            self._transport.send(sender, frame, supersedes=(self.slot, "report"))
        voters = self.context.voters
        self.consensus.receive(voters.index(sender) if sender in voters else -1, message)

    def start(self) -> None:
        """Begin to work."""
        self._background.spawn(self._run())

    def close(self) -> None:
        """The chain has closed the round: do nothing any more."""
        self.consensus.close()
        self._background.cancel()

    async def closed(self) -> None:
        """Wait until everything that ``close`` ends has ended."""
        await self._background.ended()

    # -- what the replica asks for ----------------------------------------------------------------------------------

    def _on_request(self, view: int) -> None:
        self._wanted_view = view
        self._wake.set()

    def _on_validate(self, request: Validate) -> None:
        self._to_validate = request  # an older proposal is no longer of interest
        self._wake.set()

    def _on_decided(self, proposal: Proposal, certificate: Certificate) -> None:
        self.decided, self.phase = proposal, "decided"
        size = len(self.context.voters)
        self._background.spawn(
            relay(
                proposal,
                certificate,
                turn=(self._index - self.consensus.primary(certificate.vote.view)) % size,
                size=size,
                keep=self._services.keep,
                finalize=self._services.finalize,
                count=self._count,
            )
        )

    # -- the round ------------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        pause = RETRY_SECONDS[0]
        while True:
            self._wake.clear()
            try:
                if self.decided is None:
                    await self._advance()
            except (PotError, IpfsError) as error:
                log.warning("%s: will try again: %s (%s)", self._name, error, error.hint)
                self._count("trouble", type(error).__name__)
            except Exception as error:
                log.exception("%s: will try again", self._name)
                self._count("bug", type(error).__name__)
            else:
                pause = RETRY_SECONDS[0]
                await self._wake.wait()
                continue
            await asyncio.sleep(pause)
            pause = min(2 * pause, RETRY_SECONDS[1])

    async def _advance(self) -> None:
        judge, gradients = await self._judged()
        gradients.fetch(self.collection.reveals.values())
        audit_seed = self._audit_seed
        if audit_seed is None:
            return
        if not self.collection.settled:
            if not self.collection.complete(self._now):
                return
            if (patience := gradients.patience()) > 0:
                asyncio.get_running_loop().call_later(patience, self._wake.set)
                return
            self.phase = "verifying"
        reveals = self._counted(judge)
        await self._audit(judge, audit_seed, reveals)
        if self.decided is not None:
            return
        if not self.collection.settled:
            self.collection.settle(reveals)
            self.phase = "agreeing"
            self._report(judge)
            self.consensus.start()
        await self._reconsider(judge, gradients)
        await self._answer_validation(judge, gradients, audit_seed)
        await self._answer_request(judge, audit_seed)

    async def _judged(self) -> tuple[Judge, GradientFetcher]:
        if self._judge is None or self._gradients is None:
            judge = self._judge = await self._services.fetch(self._open_judge)
            fetch = self._services.fetch
            self._gradients = GradientFetcher(
                judge, lambda reveal: fetch(judge.examine, reveal), self._background, self._wake.set
            )
        return self._judge, self._gradients

    def _counted(self, judge: Judge) -> dict[Address, Reveal]:
        """The reveals that we report on, canonical order: all that we must count, and late ones that we have seen."""
        required = self.collection.required
        return {
            miner: reveal
            for miner, reveal in self.collection.ordered_reveals().items()
            if miner in required or judge.finding(reveal) is not None
        }

    async def _audit(self, judge: Judge, audit_seed: Digest, reveals: dict[Address, Reveal]) -> None:
        """Re-execute what is drawn, once for each set of reveals."""
        if self._audited == frozenset(reveals.values()):
            return
        for miner in await self._services.compute(judge.to_audit, audit_seed, self._me, reveals):
            await self._reexecute(judge, miner)
        self._audited = frozenset(reveals.values())

    async def _reexecute(self, judge: Judge, miner: Address) -> None:
        if not judge.checked(miner):
            judge.note_check(miner, await self._services.compute(judge.reexecute, miner))

    async def _reconsider(self, judge: Judge, gradients: GradientFetcher) -> None:
        """Confirm for ourselves what others reject, look again for what others have, and report what we now know."""
        reveals = self._counted(judge)
        faults = judge.faults(reveals)
        for miner in self.reports.accused() & set(reveals) - set(faults):
            await self._reexecute(judge, miner)
        now = asyncio.get_running_loop().time()
        if now >= self._retry_at and UNAVAILABLE in faults.values():
            self._retry_at = now + min(ASK_SECONDS * 2**self._retries, RETRY_SECONDS[1])
            missing = [miner for miner, reason in faults.items() if reason == UNAVAILABLE]
            if self._retries < RETRIES_OF_VOUCHED:
                missing = [miner for miner in missing if self.reports.vouched(miner, reveals)]
            self._retries += 1
            gradients.fetch([reveals[miner] for miner in missing], again=True)
        self._report(judge)

    def _report(self, judge: Judge) -> None:
        reveals = self._counted(judge)
        if self.reports.state(reveals, judge.faults(reveals)) and self.reports.own is not None:
            self._send_to_all(frames.report(self.slot, self.reports.own), (self.slot, "report"))

    # -- proposals --------------------------------------------------------------------------------------------------

    async def _answer_validation(self, judge: Judge, gradients: GradientFetcher, audit_seed: Digest) -> None:
        request = self._to_validate
        if request is None:
            return
        refusal: str | None = None
        try:
            await self._validate(judge, gradients, audit_seed, Proposal.from_bytes(request.payload))
        except PrematureProposal as error:
            log.info("%s: the proposal of view %d has to wait: %s", self._name, request.view, error)
            return
        except PotError as error:
            log.warning("%s: refusing the proposal of view %d: %s", self._name, request.view, error)
            refusal = str(error)
        except IpfsError:
            raise  # our own trouble: the proposal is checked again afterwards
        except Exception as error:
            log.exception("%s: refusing the proposal of view %d", self._name, request.view)
            self._count("bug", type(error).__name__)
            refusal = "it cannot be checked"
        if self._to_validate is request:
            self._to_validate = None
        self.consensus.answer(request, refusal)

    async def _validate(self, judge: Judge, gradients: GradientFetcher, audit_seed: Digest, proposal: Proposal) -> None:
        """Raises ProtocolError unless the proposal is what this validator would have decided."""
        record = proposal.record
        for reveal in record.reveals.values():
            self.on_reveal(reveal, relayed=True)
        tasks = gradients.fetch(record.reveals.values())
        tasks += gradients.fetch((record.reveals[miner] for miner in record.accepted), again=True)
        if tasks:
            await asyncio.wait(tasks)
        check_proposal(self.context, self.collection, proposal, audit_seed)
        for miner in set(record.rejected) - set(judge.faults(record.reveals)):
            await self._reexecute(judge, miner)
        faults = judge.faults(record.reveals)
        for miner, reason in record.rejected.items():
            if miner not in faults:
                raise InvalidProposal(f"{miner} is rejected as {reason}, its work is sound")
            if not same_fault(reason, faults[miner]):
                raise InvalidProposal(f"{miner} is rejected as {reason}, its gradient is {faults[miner]}")
        for miner in record.accepted:
            if miner in faults:
                raise InvalidProposal(f"{miner} is accepted, its gradient is {faults[miner]}")
        if record.train_loss != mean_loss(judge.losses(record.accepted).values()):
            raise InvalidProposal("another mean of the reported losses")
        if proposal.outcome.checkpoint != await self._services.compute(judge.next_checkpoint, record.accepted):
            raise InvalidProposal("another aggregate: the next checkpoint differs")

    async def _answer_request(self, judge: Judge, audit_seed: Digest) -> None:
        """As primary: propose once enough verdict reports are there."""
        view = self._wanted_view
        if view is None:
            return
        reveals = self._counted(judge)
        reports = self.reports.about(reveals)
        if not self._enough(len(reports)):
            return
        faults = judge.faults(reveals)
        accepted = tuple(miner for miner in reveals if miner not in faults)
        collection = self.collection.only(reveals)
        try:
            if not accepted:
                raise ProtocolError("no gradient is acceptable")
            checkpoint = await self._services.compute(judge.next_checkpoint, accepted)
            proposal = make_proposal(
                self.context,
                collection,
                rejected=faults,
                reports=reports,
                audit_seed=audit_seed,
                checkpoint=checkpoint,
                losses=judge.losses(accepted),
            )
            self.consensus.propose(view, proposal)
        except PotError as error:
            if self._hopeless_view != view:
                self._hopeless_view = view
                log.warning("%s: nothing to propose in view %d: %s", self._name, view, error)
            return
        if self._wanted_view == view:
            self._wanted_view = None

    def _enough(self, reports: int) -> bool:
        """Whether a proposal may be made with so many reports: a quorum, and all if they come soon."""
        size, loop = len(self.context.voters), asyncio.get_running_loop()
        if reports < quorum(size):
            self._quorum_since = None
            return False
        if self._quorum_since is None:
            self._quorum_since = loop.time()
        left = self._quorum_since + REPORT_GRACE_SECONDS - loop.time()
        if reports < size and left > 0:
            loop.call_later(left, self._wake.set)
            return False
        return True

    # -- helpers ----------------------------------------------------------------------------------------------------

    def _ask_for_reveals(self) -> None:
        """Ask the others for what we lack: a frame may be lost, and a restart forgets everything."""
        collection, now = self.collection, asyncio.get_running_loop().time()
        missing = [miner for miner in collection.commits if miner not in collection.reveals]
        if self.decided is not None or not missing or not collection.commits_closed(self._now):
            self._ask_at = None
        elif self._ask_at is None:
            self._ask_at = now + ASK_SECONDS / 4  # most are on their way
        elif now >= self._ask_at:
            self._ask_at = now + ASK_SECONDS
            self._send_to_all(frames.lacks(self.slot, missing), (self.slot, "lacks"))

    def _send_to_all(self, frame: bytes, supersedes: tuple[object, ...]) -> None:
        for voter in self.context.voters:
            self._transport.send(voter, frame, supersedes=supersedes)

    @property
    def _name(self) -> str:
        return f"task {self.slot.task_id} round {self.slot.round}"
