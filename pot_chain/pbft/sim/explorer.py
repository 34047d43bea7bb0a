"""Exhaustive search: four validators, one slot, a few views, one Byzantine validator, every schedule.

The real replica is stepped through everything that can happen to it in every order, with messages lost, delayed and
reordered at will. What keeps the space small loses no schedule that matters to agreement:

- Votes short of a quorum change nothing, so a replica gets the votes of a quorum at once or none ("it prepares"); a new
  primary gets a quorum of view changes at once.
- The Byzantine validator votes for everything. Its vote comes together with the honest ones; withholding it is no
  stronger than withholding an honest vote, which the search does too.
- Timers may fire at any moment, so following others upwards needs no step of its own.
- Who has decided says nothing more. So it is enough to find the digests that *can* be decided (COMMITs of a quorum).

States count as the same if they differ only in who signed a certificate. Since messages are never taken back, a state
is the replicas' states and the set of what honest validators have sent. Agreement and "one prepared certificate a view"
are checked in every state, and every decidable digest is shown to all replicas, which must decide it.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any, TypeAlias

from pot_chain.pbft.certificate import Certificate
from pot_chain.pbft.config import Config
from pot_chain.pbft.events import (
    Broadcast,
    Decide,
    Event,
    ProposalReady,
    Received,
    RequestProposal,
    Sign,
    SignatureReady,
    Start,
    Timer,
    TimerFired,
    Validate,
    Validated,
)
from pot_chain.pbft.messages import (
    Ballot,
    Decided,
    NewView,
    OwnMessage,
    Prepared,
    Proposal,
    Signed,
    ViewChangeRequest,
    signed,
)
from pot_chain.pbft.replica import Replica
from pot_chain.pbft.sim import application
from pot_chain.pbft.sim.crypto import FastTestKeys
from pot_chain.protocol.addresses import Digest
from pot_chain.protocol.quorum import quorum
from pot_chain.protocol.votes import Phase, Slot, ViewChange, Vote

SIZE = 4
SLOT = Slot(7, 0, 1)

State: TypeAlias = tuple[int, ...]
"""Numbers of the honest replicas' local states; last, the messages sent as a bit set of their numbers."""


class Disagreement(Exception):
    """A reachable state breaks an invariant; the text has the path to it."""


@dataclass(frozen=True)
class Action:
    """Something that can happen to one replica; ``name`` tells actions with different effects apart."""

    name: Hashable
    text: str
    events: tuple[Event, ...]


@dataclass
class Scene:
    """What honest validators have sent in a state, sorted: votes and view changes with their senders' messages."""

    votes: dict[Vote, dict[int, OwnMessage]] = field(default_factory=dict)
    changes: dict[int, dict[int, ViewChangeRequest]] = field(default_factory=dict)
    proposals: dict[int, list[Proposal]] = field(default_factory=dict)


class Explorer:
    """Search with Byzantine validator ``liar`` and views below ``views``.

    Attributes:
        states: states visited.
        steps: transitions taken.
        decidable: (view, digest) pairs that can be decided in some state.
    """

    def __init__(self, liar: int, views: int = 3, replica: type[Replica] = Replica) -> None:
        self.liar = liar
        self.views = views
        self.states = 0
        self.steps = 0
        self.decidable: set[tuple[int, Digest]] = set()
        self._keys = FastTestKeys()
        self._signer = self._keys.signer(liar)
        self._honest = [index for index in range(SIZE) if index != liar]
        self._quorum = quorum(SIZE)
        self._replica = replica
        self._payloads: dict[Digest, bytes] = {}
        self._locals: list[Replica] = []
        self._local_numbers: dict[Hashable, int] = {}
        self._messages: list[OwnMessage] = []
        self._message_numbers: dict[tuple[int, Vote | ViewChange], int] = {}
        self._known: dict[tuple[int, Hashable], tuple[int, int]] = {}
        self._parents: dict[State, tuple[State, str] | None] = {}

    def run(self) -> None:
        """Visit every state.

        Raises:
            Disagreement: an invariant is broken.
        """
        first = self._begin()
        self._parents[first] = None
        todo = [first]
        while todo:
            state = todo.pop()
            self.states += 1
            scene = self._scene(state[-1])
            self._check(state, scene)
            for place, index in enumerate(self._honest):
                for action in self._actions(index, self._locals[state[place]], scene):
                    self.steps += 1
                    number, sent = self._take(index, state[place], action)
                    successor = (*state[:place], number, *state[place + 1 : -1], state[-1] | sent)
                    if successor not in self._parents:
                        self._parents[successor] = (state, action.text)
                        todo.append(successor)

    def _begin(self) -> State:
        verify = self._keys.verifier(range(SIZE))
        numbers, sent = [], 0
        for index in self._honest:
            replica = self._replica(Config(SLOT, SIZE, index, verify, application.digest_of))
            messages = self._drive(index, replica, (Start(),))
            numbers.append(self._number(index, replica))
            sent |= messages
        return (*numbers, sent)

    # Steps

    def _take(self, index: int, number: int, action: Action) -> tuple[int, int]:
        """Local state after ``action`` and the messages that it sent; each is computed once."""
        key = (number, action.name)
        if key not in self._known:
            replica = self._locals[number].copy()
            sent = self._drive(index, replica, action.events)
            self._known[key] = (self._number(index, replica), sent)
        return self._known[key]

    def _drive(self, index: int, replica: Replica, events: tuple[Event, ...]) -> int:
        """Step ``replica`` as its shell does, with a guard that never says no; returns what it sent."""
        sent = 0
        queue = list(events)
        while queue:
            event = queue.pop(0)
            if isinstance(event, TimerFired):
                replica._timer_view = event.view  # whether it was armed in time is not the question here
            for effect in replica.step(event):
                match effect:
                    case Sign(statement):
                        queue.append(SignatureReady(effect, self._keys.signer(index).sign(statement)))
                    case Broadcast(Proposal() | Ballot() | ViewChangeRequest() as message):
                        sent |= 1 << self._message_number(index, message)
                    case Validate(_, _, digest):
                        queue.append(Validated(digest, ok=True))
                    case RequestProposal(view):
                        queue.append(ProposalReady(view, self._payload(view, "a")))
                    case _:
                        pass
        return sent

    def _number(self, index: int, replica: Replica) -> int:
        proposal, prepared = replica._proposal, replica.prepared
        image = (
            index,
            (replica.view, replica.active, replica._accepted),
            proposal.vote.statement.digest if proposal else None,
            (prepared.view, prepared.digest) if prepared else None,
        )
        if image not in self._local_numbers:
            self._local_numbers[image] = len(self._locals)
            self._locals.append(replica)
        return self._local_numbers[image]

    def _message_number(self, index: int, message: OwnMessage) -> int:
        key = (index, signed(message).statement)
        if key not in self._message_numbers:
            self._message_numbers[key] = len(self._messages)
            self._messages.append(message)
        return self._message_numbers[key]

    def _scene(self, sent: int) -> Scene:
        scene = Scene()
        while sent:
            lowest = sent & -sent
            sent ^= lowest
            message = self._messages[lowest.bit_length() - 1]
            own = signed(message)
            if isinstance(message, ViewChangeRequest):
                scene.changes.setdefault(own.statement.view, {})[own.signer] = message
            elif isinstance(message, Proposal):
                scene.proposals.setdefault(own.statement.view, []).append(message)
            elif isinstance(own.statement, Vote):
                scene.votes.setdefault(own.statement, {})[own.signer] = message
        return scene

    # What can happen

    def _actions(self, index: int, replica: Replica, scene: Scene) -> Iterator[Action]:
        view = replica.view
        if view + 1 < self.views:
            yield Action("time-out", f"{index} gives up view {view}", (TimerFired(Timer.VIEW, view),))
        if not replica.active and replica.primary(view) == index:
            yield from self._new_views(index, view, scene)
        for later in range(view, self.views):
            leader = replica.primary(later)
            if leader != index and (later > view or replica._proposal is None):
                proposals = self._lies(later, scene) if leader == self.liar else _honest_proposals(later, scene)
                for name, proposal in proposals:
                    text = f"{index} gets {name} in view {later}"
                    yield Action((later, name), text, (Received(leader, proposal),))
        if replica.active and replica._proposal is not None and not replica._is_prepared(view):
            vote = Vote(Phase.PREPARE, SLOT, view, replica._proposal.vote.statement.digest)
            others = [message for sender, message in scene.votes.get(vote, {}).items() if sender != index]
            if others:
                events = (Received(self.liar, Ballot(self._vote(vote))), _from(others[0]))
                yield Action("prepare", f"{index} prepares {vote.digest.hex()[:6]} in view {view}", events)

    def _new_views(self, index: int, view: int, scene: Scene) -> Iterator[Action]:
        """An honest primary starts its view with each set of view changes that it may get."""
        others = [request for signer, request in scene.changes.get(view, {}).items() if signer != index]
        lies = [self._own_change(view, prepared) for prepared in self._claims(view, scene)]
        for chosen in [*((other, lie) for other in others for lie in lies), *combinations(others, self._quorum - 1)]:
            name = frozenset(request.change.statement for request in chosen)
            yield Action(("lead", name), f"{index} leads view {view}", tuple(map(_from, chosen)))

    # What the liar can say

    def _vote(self, statement: Vote) -> Signed[Vote]:
        return Signed(statement, self.liar, self._signer.sign(statement))

    def _own_change(self, view: int, prepared: Prepared | None) -> ViewChangeRequest:
        claim = ViewChange(SLOT, view, *((prepared.view, prepared.digest) if prepared else ()))
        return ViewChangeRequest(Signed(claim, self.liar, self._signer.sign(claim)), prepared)

    def _certificates(self, phase: Phase, scene: Scene) -> Iterator[Certificate]:
        """All that honest votes and the liar's make."""
        for vote, by in scene.votes.items():
            if vote.phase is phase and len(by) >= self._quorum - 1:
                entries = {sender: signed(message).signature for sender, message in by.items()}
                entries[self.liar] = self._vote(vote).signature
                yield Certificate(vote, tuple(sorted(entries.items())[: self._quorum]))

    def _claims(self, view: int, scene: Scene) -> list[Prepared | None]:
        """What the liar's view change to ``view`` can claim: each certificate there is, or none."""
        return [
            None,
            *(
                Prepared(certificate, self._payloads[certificate.vote.digest])
                for certificate in self._certificates(Phase.PREPARE, scene)
                if certificate.vote.view < view
            ),
        ]

    def _lies(self, view: int, scene: Scene) -> Iterator[tuple[str, Proposal]]:
        """Proposals of the liar as primary of ``view``: each that is justified somehow, and others that are not."""
        if view == 0:
            for name in "ab":
                yield name, self._proposal(view, self._payload(view, name), None)
            return
        honest = scene.changes.get(view, {})
        yield "an unjustified proposal", self._proposal(view, self._payload(view, "b"), None)
        found: dict[str, Proposal] = {}
        for claim in self._claims(view, scene):
            own = self._own_change(view, claim)
            for others in combinations(sorted(honest), self._quorum - 1):
                requests = sorted([own, *(honest[other] for other in others)], key=_signer_of)
                found.update(self._proposals_for(view, requests))
        if len(honest) >= self._quorum:
            found.update(self._proposals_for(view, [honest[other] for other in sorted(honest)][: self._quorum]))
        yield from found.items()

    def _proposals_for(self, view: int, requests: list[ViewChangeRequest]) -> Iterator[tuple[str, Proposal]]:
        changes = tuple(request.change for request in requests)
        claimed = sorted((request.prepared for request in requests if request.prepared is not None), key=_view_of)
        if not claimed:
            for name in "ab":
                yield name, self._proposal(view, self._payload(view, name), NewView(changes, None))
            return
        highest, lowest, fresh = claimed[-1], claimed[0], self._payload(view, "b")
        name = highest.digest.hex()[:6]
        yield f"{name} carried", self._proposal(view, highest.payload, NewView(changes, highest.certificate))
        yield "b without the certificate", self._proposal(view, fresh, NewView(changes, None))
        yield "b beside the certificate", self._proposal(view, fresh, NewView(changes, highest.certificate))
        if lowest.view < highest.view:
            lower = self._proposal(view, lowest.payload, NewView(changes, lowest.certificate))
            yield f"{lowest.digest.hex()[:6]} with a lower certificate", lower

    def _proposal(self, view: int, payload: bytes, justification: NewView | None) -> Proposal:
        digest = application.digest_of(payload)
        assert digest is not None
        return Proposal(self._vote(Vote(Phase.PROPOSE, SLOT, view, digest)), payload, justification)

    def _payload(self, view: int, name: str) -> bytes:
        payload = application.payload(SLOT, f"{name}{view}")
        digest = application.digest_of(payload)
        assert digest is not None
        self._payloads[digest] = payload
        return payload

    # What must hold

    def _check(self, state: State, scene: Scene) -> None:
        prepared: dict[int, Digest] = {}
        for certificate in self._certificates(Phase.PREPARE, scene):
            vote = certificate.vote
            if prepared.setdefault(vote.view, vote.digest) != vote.digest:
                raise Disagreement(f"two digests are prepared in view {vote.view}:\n{self._path(state)}")
        decidable = {certificate.vote.digest: certificate for certificate in self._certificates(Phase.COMMIT, scene)}
        if len(decidable) > 1:
            raise Disagreement(f"two outcomes can be decided:\n{self._path(state)}")
        for digest, certificate in decidable.items():
            if (certificate.vote.view, digest) not in self.decidable:
                self.decidable.add((certificate.vote.view, digest))
                self._must_decide(state, Decided(certificate, self._payloads[digest]))

    def _must_decide(self, state: State, decided: Decided) -> None:
        for number in state[:-1]:
            effects = self._locals[number].copy().step(Received(self.liar, decided))
            if not any(isinstance(effect, Decide) for effect in effects):
                raise Disagreement(f"a valid decision is not taken:\n{self._path(state)}")

    def _path(self, state: State) -> str:
        lines: list[str] = []
        parent = self._parents[state]
        while parent is not None:
            state, text = parent
            lines.append(text)
            parent = self._parents[state]
        return "\n".join(reversed(lines))


def _honest_proposals(view: int, scene: Scene) -> Iterator[tuple[str, Proposal]]:
    for proposal in scene.proposals.get(view, []):
        yield proposal.vote.statement.digest.hex()[:6], proposal


def _from(message: OwnMessage) -> Received:
    return Received(signed(message).signer, message)


def _signer_of(request: ViewChangeRequest) -> int:
    return request.change.signer


def _view_of(prepared: Prepared) -> int:
    return prepared.view


def explore(liar: int, views: int) -> dict[str, Any]:
    """One search as plain figures, for a process of its own (so it may not live in ``__main__``)."""
    explorer = Explorer(liar, views)
    finding: str | None = None
    try:
        explorer.run()
    except Disagreement as found:
        finding = str(found)
    return {"liar": liar, "states": explorer.states, "steps": explorer.steps, "finding": finding}
