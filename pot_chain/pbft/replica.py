"""The PBFT replica of one slot, as a pure state machine.

Castro and Liskov, "Practical Byzantine Fault Tolerance", OSDI 1999, sections 4.2 (normal case), 4.4 (view changes) and
4.5.2 (liveness), in the single-shot shape of IBFT/QBFT: one decision a slot, views from 0, at most one prepared
certificate in a view change. Differences:

- votes are transferable signatures, so a commit certificate decides by itself, in any view;
- the primary signs a PREPARE like everybody else and only PREPAREs count: a certificate has Q distinct validators;
- there is no checkpoint and no sequence number window: the chain is both.

Why it is safe. A decision for d in view v means Q COMMITs, hence at least Q - f honest replicas that made a prepared
certificate (v, d) durable before they signed a view change above v. Every quorum of view changes to v' > v contains one
of them (2Q - n > f), and the highest certificate wins, so by induction every certificate at or above v is for d.

The replica does no IO and knows no time, key or randomness: ``events`` is all it takes and gives.
"""

from __future__ import annotations

from collections.abc import Hashable

from pot_chain.pbft.certificate import Certificate, certificate_fault
from pot_chain.pbft.config import Config
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
    Restored,
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
from pot_chain.pbft.justification import claim_fault, new_view_fault, view_change_fault
from pot_chain.pbft.messages import (
    MAX_PAYLOAD_BYTES,
    Ballot,
    Decided,
    Message,
    NewView,
    OwnMessage,
    Prepared,
    Proposal,
    Signed,
    SignedStatement,
    Status,
    ViewChangeRequest,
    signed,
)
from pot_chain.pbft.order import Rank, rank_of
from pot_chain.pbft.tally import Tally
from pot_chain.protocol.addresses import Digest
from pot_chain.protocol.quorum import quorum, weak_quorum
from pot_chain.protocol.votes import Phase, ViewChange, Vote

REMEMBERED_PAYLOADS = 4
"""Proposals whose payload is kept, in case COMMITs of an older view decide one of them."""


class Replica:
    """``step`` takes one event and returns the effects it has, in the order in which they must happen.

    The state changes in place; ``copy`` gives an independent replica, ``snapshot`` a hashable image, and the
    module's ``step`` is the pure transition function built on them.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        self.view = 0
        self.active = True  # False: a view change to ``view`` is under way
        self.started = False
        self.muted: str | None = None if config.index is not None else "an observer has no key"
        self.prepared: Prepared | None = None
        self.decided: Decided | None = None
        self._quorum = quorum(config.size)
        self._proposal: Proposal | None = None
        self._accepted = False
        self._new_view: NewView | None = None
        self._requested = (-1, Rank.COMMIT)
        self._tallies = self._empty_tallies()
        self._view_changes: dict[int, ViewChangeRequest] = {}
        self._own: dict[Rank, OwnMessage] = {}
        self._payloads: dict[Digest, bytes] = {}
        self._valid: set[Digest] = set()
        self._timer_view: int | None = None
        self._accused: set[int] = set()
        self._effects: list[Effect] = []

    # Interface

    def primary(self, view: int) -> int:
        """Index of the primary: p = v mod n (4.1), shifted by the round so that no one leads every round."""
        return (self.config.slot.round + view) % self.config.size

    def step(self, event: Event) -> list[Effect]:
        """Handle ``event``; deterministic and without side effects outside this object."""
        match event:
            case Received(sender, message):
                self._on_message(sender, message)
            case SignatureReady(request, signature):
                self._on_signature(request, signature)
            case Validated(digest, ok, reason):
                self._on_validated(digest, ok, reason)
            case ProposalReady(view, payload):
                self._on_proposal_ready(view, payload)
            case TimerFired(timer, view):
                self._on_timer(timer, view)
            case Start():
                self._on_start()
            case Restored(messages, prepared):
                self._on_restored(messages, prepared)
            case SignatureRefused(_, reason):
                self.muted = reason
        effects, self._effects = self._effects, []
        return effects

    def copy(self) -> Replica:
        """An independent replica in the same state."""
        twin = type(self).__new__(type(self))
        twin.__dict__.update(self.__dict__)
        twin._tallies = {phase: tally.copy() for phase, tally in self._tallies.items()}
        twin._view_changes, twin._own = dict(self._view_changes), dict(self._own)
        twin._payloads, twin._valid = dict(self._payloads), set(self._valid)
        twin._accused, twin._effects = set(self._accused), []
        return twin

    def snapshot(self) -> Hashable:
        """The whole state as a hashable value; equal snapshots behave equally from here on."""
        return (
            (self.view, self.active, self.started, self.muted, self.prepared, self.decided),
            (self._proposal, self._accepted, self._new_view, self._requested, self._timer_view),
            tuple(tuple(tally) for tally in self._tallies.values()),
            tuple(sorted(self._view_changes.items(), key=lambda item: item[0])),
            tuple(sorted(self._own.items(), key=lambda item: item[0])),
            (tuple(self._payloads.items()), frozenset(self._valid), frozenset(self._accused)),
        )

    def buffered(self) -> int:
        """Messages held: at most 2 * VIEWS_PER_SENDER + 1 for each validator, and REMEMBERED_PAYLOADS payloads."""
        return sum(len(tally) for tally in self._tallies.values()) + len(self._view_changes) + len(self._payloads)

    # Start and restart

    def _on_restored(self, messages: tuple[OwnMessage, ...], prepared: Prepared | None) -> None:
        """Take up the slot where the log ends; with the prepared certificate gone, view changes would lie."""
        self.prepared = prepared
        if prepared is not None:
            self._remember(prepared.digest, prepared.payload)
        for message in messages:
            self._record(message)
            statement = signed(message).statement
            rank = rank_of(statement)
            if (statement.view, rank) > self._requested:
                self._requested = (statement.view, rank)
                self.view, self.active = statement.view, rank is not Rank.VIEW_CHANGE

    def _on_start(self) -> None:
        if self.started or self.decided is not None:
            return
        self.started = True
        self._emit(SetTimer(Timer.RESEND, self.view, self.config.timeouts.resend))
        if self._own:
            self._repeat()
        if not self.active:
            self._count_view_changes()
            return
        self._arm()
        own = self._own.get(Rank.PROPOSE)
        if isinstance(own, Proposal) and own.vote.statement.view == self.view:
            self._install(own, valid=True)
        elif self.view == 0 and self._leads() and self._proposal is None:
            self._emit(RequestProposal(0))

    # Messages

    def _on_message(self, sender: int, message: Message) -> None:
        if not 0 <= sender < self.config.size or sender == self.config.index:
            self._reject(sender, "sender is no other validator of the epoch")
        elif message.slot != self.config.slot:
            self._reject(sender, "message of another slot")
        elif self.decided is not None:
            # Who still asks or changes views has missed the decision; late votes of the normal case need no answer.
            if isinstance(message, Status | ViewChangeRequest):
                self._emit(Send(sender, self.decided))
        else:
            match message:
                case Ballot():
                    self._on_ballot(sender, message.vote)
                case Proposal():
                    self._on_proposal(sender, message)
                case ViewChangeRequest():
                    self._on_view_change(sender, message)
                case Decided():
                    self._on_decided(sender, message)
                case Status():
                    pass  # two undecided replicas cannot help each other beyond their votes, which both repeat

    def _on_proposal(self, sender: int, proposal: Proposal) -> None:
        """4.2: accept a PRE-PREPARE from the primary of its view unless another one was accepted in that view."""
        vote = proposal.vote.statement
        if vote.phase is not Phase.PROPOSE or not sender == proposal.vote.signer == self.primary(vote.view):
            return self._reject(sender, "proposal not from the primary of its view")
        if vote.view < self.view:
            return self._reject(sender, "proposal of an older view")
        held = self._proposal if vote.view == self.view else None
        if held is not None and held.vote == proposal.vote:
            return self._reject(sender, "proposal repeated")
        if not self.config.verify(vote, sender, proposal.vote.signature):
            return self._reject(sender, "proposal with a wrong signature")
        if held is not None:
            self._accuse(held.vote, proposal.vote, "two proposals in one view")
            return self._change_view(self.view + 1)
        own = self._own.get(Rank.PREPARE)
        voted = own.vote.statement if isinstance(own, Ballot) else None
        fault = self._proposal_fault(proposal)
        if fault is None and voted is not None and voted.view == vote.view and voted.digest != vote.digest:
            fault = "proposal differs from the one prepared before the restart"
        if fault is not None:
            self._reject(sender, fault)
            if vote.view == self.view:  # the sender is the faulty primary itself: no need to wait for the timer
                self._change_view(self.view + 1)
            return None
        self._enter(vote.view)
        carried = proposal.justification is not None and proposal.justification.certificate is not None
        return self._install(proposal, valid=carried)

    def _proposal_fault(self, proposal: Proposal) -> str | None:
        vote = proposal.vote.statement
        if len(proposal.payload) > MAX_PAYLOAD_BYTES or self.config.digest_of(proposal.payload) != vote.digest:
            return "proposal whose payload does not match its digest"
        if proposal.justification is None:
            return None if vote.view == 0 else "proposal without a new-view"
        if vote.view == 0:
            return "proposal with a new-view in view 0"
        return self._new_view_fault(vote, proposal.justification)

    def _install(self, proposal: Proposal, *, valid: bool) -> None:
        """Make ``proposal`` the one of this view.

        ``valid``: it need not be checked, since it is our own or fixed by a prepared certificate: Q - f >= f + 1 honest
        replicas have confirmed that digest, and refusing it here would only cost liveness.
        """
        vote = proposal.vote.statement
        self._proposal, self._accepted = proposal, False
        self._remember(vote.digest, proposal.payload)
        if self.decided is not None:
            return
        if valid or vote.digest in self._valid:
            self._accept(vote.digest)
        else:
            self._emit(Validate(vote.view, proposal.payload, vote.digest))

    def _on_validated(self, digest: Digest, ok: bool, reason: str) -> None:
        """External validity: a replica prepares only what it has checked itself. Only a yes outlives its view."""
        if ok and digest in self._payloads:
            self._valid.add(digest)
        waiting = self.active and self.decided is None and self._proposal is not None and not self._accepted
        if not waiting or self._proposal is None or self._proposal.vote.statement.digest != digest:
            return
        if ok:
            self._accept(digest)
        else:
            self._emit(Reject(self.primary(self.view), "proposal is invalid", reason))
            self._change_view(self.view + 1)

    def _accept(self, digest: Digest) -> None:
        self._accepted = True
        self._sign(Vote(Phase.PREPARE, self.config.slot, self.view, digest))
        self._try_commit()

    def _on_ballot(self, sender: int, vote: Signed[Vote]) -> None:
        """4.2: votes come in any order, before the proposal too; COMMITs of older views still count."""
        statement = vote.statement
        tally = self._tallies.get(statement.phase)
        if tally is None or vote.signer != sender:
            return self._reject(sender, "vote not signed by its sender")
        if statement.phase is Phase.PREPARE and statement.view < self.view:
            return self._reject(sender, "prepare of an older view")
        held = tally.get(statement.view, sender)
        if held == vote:
            return self._reject(sender, "vote repeated")
        if (
            held is not None
        ):  # a second, different vote: the first may be forged, or both are right and prove equivocation
            if not self.config.verify(statement, sender, vote.signature):
                return self._reject(sender, "vote with a wrong signature")
            if tally.check(held):
                if held.statement != statement:
                    self._accuse(held, vote, f"two votes of phase {statement.phase.value} in one view")
                return self._reject(sender, "second vote in one view")
        if not tally.put(vote):
            return self._reject(sender, "votes for too many views")
        return self._count_vote(vote)

    def _count_vote(self, vote: Signed[Vote]) -> None:
        if vote.statement.phase is Phase.PREPARE:
            self._try_commit()
        else:
            self._check_honesty(vote.signer)
            self._try_decide(vote.statement)

    def _try_commit(self) -> None:
        """4.2, prepared(m, v, n, i): the accepted proposal and Q matching PREPAREs, durable before the COMMIT."""
        if not (self.active and self._accepted) or self._proposal is None or self._is_prepared(self.view):
            return
        vote = Vote(Phase.PREPARE, self.config.slot, self.view, self._proposal.vote.statement.digest)
        certificate = self._certificate(vote)
        if certificate is not None:
            self.prepared = Prepared(certificate, self._proposal.payload)
            self._sign(Vote(Phase.COMMIT, vote.slot, vote.view, vote.digest), prepared=self.prepared)

    def _is_prepared(self, view: int) -> bool:
        return self.prepared is not None and self.prepared.view == view

    def _try_decide(self, commit: Vote) -> None:
        """4.2, committed-local: Q matching COMMITs of one view, this one or an older one, and a known payload."""
        payload = self._payloads.get(commit.digest)
        if payload is None or self.decided is not None:
            return
        certificate = self._certificate(commit)
        if certificate is not None:
            self._decide(Decided(certificate, payload))

    def _on_decided(self, sender: int, message: Decided) -> None:
        """State transfer: a certificate is verified, never trusted, and then decides whatever the view."""
        if self.config.digest_of(message.payload) != message.digest:
            return self._reject(sender, "decision whose payload does not match its digest")
        fault = self._certificate_fault(message.certificate, Phase.COMMIT)
        if fault is not None:
            return self._reject(sender, fault)
        return self._decide(message)

    def _decide(self, decided: Decided) -> None:
        self.decided = decided
        self._tallies = self._empty_tallies()
        self._view_changes = {}
        for timer in Timer:
            self._emit(CancelTimer(timer))
        self._emit(Decide(decided.payload, decided.digest, decided.certificate))

    # View changes

    def _change_view(self, view: int) -> None:
        """4.4: stop taking part in views below ``view`` and say what was prepared; 4.5.2: wait without a timer."""
        self.view, self.active = view, False
        self._proposal, self._accepted, self._new_view = None, False, None
        if self._timer_view is not None:
            self._timer_view = None
            self._emit(CancelTimer(Timer.VIEW))
        claim = (self.prepared.view, self.prepared.digest) if self.prepared is not None else ()
        self._sign(ViewChange(self.config.slot, view, *claim), prepared=self.prepared)

    def _on_view_change(self, sender: int, message: ViewChangeRequest) -> None:
        """4.4: record each sender's highest valid VIEW-CHANGE, judged alone, so that a bad one spoils nothing."""
        change = message.change
        held = self._view_changes.get(sender)
        if change.signer != sender:
            return self._reject(sender, "view change not signed by its sender")
        if held is not None and held.change.statement.view > change.statement.view:
            return self._reject(sender, "view change older than the sender's last")
        if held is not None and held.change == change:
            return self._reject(sender, "view change repeated")
        fault = view_change_fault(change, self.config) or self._claim_fault(message)
        if fault is not None:
            return self._reject(sender, fault)
        if held is not None and held.change.statement.view == change.statement.view:
            if held.change.statement != change.statement:
                self._accuse(held.change, change, "two view changes to one view")
            return self._reject(sender, "second view change to one view")
        self._view_changes[sender] = message
        self._check_honesty(sender)
        return self._count_view_changes()

    def _claim_fault(self, message: ViewChangeRequest) -> str | None:
        return claim_fault(message, self.config)

    def _count_view_changes(self) -> None:
        """4.5.2: follow f + 1 others upwards; start the timer, and as primary the view, when Q are there."""
        views = [(signer, held.change.statement.view) for signer, held in self._view_changes.items()]
        higher = sorted(
            (view for signer, view in views if view > self.view and signer != self.config.index), reverse=True
        )
        weak = weak_quorum(self.config.size)
        if len(higher) >= weak:
            # The (f+1)-th largest: an honest replica is there or above, so f liars cannot push anybody upwards.
            return self._change_view(higher[weak - 1])
        if self.active:
            return None
        if sum(view >= self.view for _, view in views) >= self._quorum:
            # Those above count too: they will not come back, and waiting for them without a timer would be for ever.
            self._arm()
        return self._try_new_view()

    def _try_new_view(self) -> None:
        """4.4: the new primary proves by Q VIEW-CHANGEs what it may propose: the highest prepared, else anything."""
        if not self._leads() or self.muted is not None:
            return
        chosen = [held for _, held in sorted(self._view_changes.items()) if held.change.statement.view == self.view]
        if len(chosen) < self._quorum:
            return
        chosen = chosen[: self._quorum]
        highest = max((held.prepared for held in chosen if held.prepared is not None), key=_view_of, default=None)
        self._enter(self.view)
        self._new_view = NewView(tuple(held.change for held in chosen), highest.certificate if highest else None)
        if highest is None:
            self._emit(RequestProposal(self.view))
        else:
            self._propose(highest.digest, highest.payload)

    def _new_view_fault(self, vote: Vote, new_view: NewView) -> str | None:
        return new_view_fault(vote, new_view, self.config)

    def _enter(self, view: int) -> None:
        self.view, self.active = view, True
        self._proposal, self._accepted, self._new_view = None, False, None
        self._arm()

    # The primary

    def _leads(self) -> bool:
        return self.primary(self.view) == self.config.index

    def _on_proposal_ready(self, view: int, payload: bytes) -> None:
        if view != self.view or not self.active or not self._leads() or self._proposal is not None:
            return  # the view is over
        digest = self.config.digest_of(payload)
        if digest is None or len(payload) > MAX_PAYLOAD_BYTES:
            raise ValueError(f"the shell proposed a malformed payload of {len(payload)} bytes")
        self._propose(digest, payload)

    def _propose(self, digest: Digest, payload: bytes) -> None:
        vote = Vote(Phase.PROPOSE, self.config.slot, self.view, digest)
        self._sign(vote, payload=payload, justification=self._new_view)

    # Signing

    def _sign(
        self,
        statement: Vote | ViewChange,
        *,
        payload: bytes = b"",
        justification: NewView | None = None,
        prepared: Prepared | None = None,
    ) -> None:
        """Ask the guard, each statement once and in the order of ``order.Rank``."""
        key = (statement.view, rank_of(statement))
        if self.config.index is None or self.muted is not None or key <= self._requested:
            return
        self._requested = key
        self._emit(Sign(statement, self.config.index, payload, justification, prepared))

    def _on_signature(self, request: Sign, signature: bytes) -> None:
        """Only now, when it is durable, does a statement count and leave (persist before send)."""
        message = request.message(signature)
        self._emit(Broadcast(message))
        if self.decided is not None:
            return
        self._record(message)
        match message:
            case Proposal(vote):
                if self.active and vote.statement.view == self.view:
                    self._install(message, valid=True)
            case Ballot(vote):
                self._count_vote(vote)
            case ViewChangeRequest():
                self._count_view_changes()

    def _record(self, message: OwnMessage) -> None:
        """Keep an own message, to count it and to repeat it."""
        self._own[rank_of(signed(message).statement)] = message
        match message:
            case Ballot(vote):
                self._tallies[vote.statement.phase].put(vote, verified=True)
            case ViewChangeRequest():
                self._view_changes[message.change.signer] = message
            case Proposal(vote):
                self._remember(vote.statement.digest, message.payload)

    # Timers

    def _arm(self) -> None:
        """4.5.2: the time-out of a view runs once a quorum can have entered it."""
        if self.started and self._timer_view != self.view:
            self._timer_view = self.view
            self._emit(SetTimer(Timer.VIEW, self.view, self.config.timeouts.of_view(self.view)))

    def _on_timer(self, timer: Timer, view: int) -> None:
        if self.decided is not None:
            return
        if timer is Timer.RESEND:
            self._emit(SetTimer(Timer.RESEND, self.view, self.config.timeouts.resend))
            self._repeat()
        elif view == self._timer_view:
            self._timer_view = None
            self._change_view(self.view + 1)

    def _repeat(self) -> None:
        """Liveness must not rest on the transport: repeat what is current, and ask whether others have decided."""
        for _, message in sorted(self._own.items()):
            if signed(message).statement.view == self.view or isinstance(message, Ballot):
                self._emit(Broadcast(message))
        self._emit(Broadcast(Status(self.config.slot, self.view)))

    # Helpers

    def _empty_tallies(self) -> dict[Phase, Tally]:
        return {phase: Tally(self._quorum, self.config.verify) for phase in (Phase.PREPARE, Phase.COMMIT)}

    def _certificate(self, vote: Vote) -> Certificate | None:
        certificate, forged = self._tallies[vote.phase].certificate(vote)
        for sender in forged:
            self._reject(sender, "vote with a wrong signature")
        return certificate

    def _certificate_fault(self, certificate: Certificate, phase: Phase) -> str | None:
        return certificate_fault(certificate, phase, self.config.size, self.config.verify)

    def _check_honesty(self, sender: int) -> None:
        """A COMMIT in view w proves a certificate there; a later VIEW-CHANGE that hides it is slashable."""
        held = self._view_changes.get(sender)
        if held is None:
            return
        change = held.change.statement
        claimed = (change.prepared_view, change.prepared_digest) if change.prepared else (-1, b"")
        tally = self._tallies[Phase.COMMIT]
        for commit in tally.votes_of(sender):
            vote = commit.statement
            hidden = claimed[0] < vote.view or (claimed[0] == vote.view and claimed[1] != vote.digest)
            if vote.view < change.view and hidden and tally.check(commit):
                self._accuse(commit, held.change, "view change that hides a commit")
                return

    def _accuse(self, first: SignedStatement, second: SignedStatement, reason: str) -> None:
        """One proof for each liar is enough to slash it, and bounds what a liar can make others write."""
        if first.signer not in self._accused:
            self._accused.add(first.signer)
            self._emit(Evidence(first, second, reason))

    def _remember(self, digest: Digest, payload: bytes) -> None:
        """Keep the payloads of the last few proposals: COMMITs of an older view may still decide one of them."""
        self._payloads.pop(digest, None)
        self._payloads[digest] = payload
        if len(self._payloads) > REMEMBERED_PAYLOADS:
            spare = next(old for old in self._payloads if self.prepared is None or old != self.prepared.digest)
            del self._payloads[spare]
            self._valid.discard(spare)
        for view in self._tallies[Phase.COMMIT].views_of(digest):
            self._try_decide(Vote(Phase.COMMIT, self.config.slot, view, digest))

    def _reject(self, sender: int, reason: str) -> None:
        self._emit(Reject(sender, reason))

    def _emit(self, effect: Effect) -> None:
        self._effects.append(effect)


def _view_of(prepared: Prepared) -> int:
    return prepared.view


def step(replica: Replica, event: Event) -> tuple[Replica, list[Effect]]:
    """The transition function: ``replica`` stays as it is, the successor comes back with its effects."""
    successor = replica.copy()
    return successor, successor.step(event)
