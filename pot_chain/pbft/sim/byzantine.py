"""The adversary: one mind behind all Byzantine validators. It sees all honest traffic at once and holds their keys
only.

Each Byzantine validator runs a copy of the real replica without its guard (``puppet``), two copies as twins, or none;
the attacks of the scenario (``attacks``) come on top, by chance and whenever something new is seen.
"""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

from pot_chain.pbft.certificate import Verifier
from pot_chain.pbft.errors import MessageError
from pot_chain.pbft.guard import Signer
from pot_chain.pbft.messages import Ballot, Message, Proposal, Signed, ViewChangeRequest
from pot_chain.pbft.sim import application, attacks
from pot_chain.pbft.sim.clock import Clock
from pot_chain.pbft.sim.crypto import FOREIGN_DOMAIN
from pot_chain.pbft.sim.knowledge import Knowledge
from pot_chain.pbft.sim.puppet import Puppet
from pot_chain.pbft.sim.scenario import Attack
from pot_chain.pbft.wire import decode
from pot_chain.protocol.addresses import Digest
from pot_chain.protocol.quorum import quorum
from pot_chain.protocol.votes import Slot, ViewChange, Vote

if TYPE_CHECKING:
    from pot_chain.pbft.sim.world import World

ACTIVE_SECONDS = 100.0
"""Attacks go on for this long after stabilisation."""


REPEATED_MESSAGES = 100


class Adversary:
    """Acts for ``world.scenario.byzantine``; without Byzantine validators it does nothing."""

    def __init__(self, world: World, rng: Random) -> None:
        scenario = world.scenario
        self.rng = rng
        self.clock: Clock = world.clock
        self.nodes = sorted(scenario.byzantine)
        self.attacks = scenario.attacks
        self.signers: dict[int, Signer] = {node: world.signer(node) for node in self.nodes}
        self.slots: dict[Slot, Knowledge] = {}
        self._world = world
        self._puppets: dict[tuple[int, Slot], list[Puppet]] = {}
        self._silent = {
            (node, to, kind)
            for node in self.nodes
            for to in range(scenario.pool)
            for kind in (Proposal, Ballot, ViewChangeRequest)
            if Attack.SILENCE in self.attacks and rng.random() < 0.5
        }
        self._dead = frozenset(node for node in self.nodes if rng.random() < 0.15)
        self.bias = rng.randrange(5)
        self._voted: set[tuple[Slot, int, Digest]] = set()
        self._two_faced: set[tuple[int, Slot, int]] = set()
        self._repeated: list[tuple[int, int, Message | bytes]] = []

    def begin(self) -> None:
        if self.nodes:
            self._tick()

    # What the adversary may use

    def members(self, slot: Slot) -> tuple[int, ...]:
        return self._world.epoch(slot)

    def verifier(self, slot: Slot) -> Verifier:
        return self._world.keys.verifier(self.members(slot))

    def quorum(self, slot: Slot) -> int:
        return quorum(len(self.members(slot)))

    def honest(self, slot: Slot) -> list[int]:
        return [node for node in self.members(slot) if node in self._world.honest]

    def liars(self, slot: Slot) -> list[int]:
        return [node for node in self.members(slot) if node in self.signers]

    def sign(self, node: int, statement: Vote) -> Signed[Vote]:
        return Signed(statement, self.members(statement.slot).index(node), self.signers[node].sign(statement))

    def sign_change(self, node: int, change: ViewChange) -> Signed[ViewChange]:
        return Signed(change, self.members(change.slot).index(node), self.signers[node].sign(change))

    def foreign_signature(self, node: int, statement: Vote) -> bytes:
        """An honest validator's vote in another contract, which the adversary can bring about at will."""
        return self._world.keys.signer(node, FOREIGN_DOMAIN).sign(statement)

    def other_slot_signature(self, node: int, statement: Vote) -> bytes:
        """An honest validator's vote in another slot of this contract, which the adversary can bring about at will."""
        self._world.monitor.register(node, statement)
        return self._world.keys.signer(node).sign(statement)

    def send(self, node: int, to: int, message: Message | bytes, *, again: bool = False) -> None:
        """Send as Byzantine validator ``node``; ``again``: repeat it later, as an honest validator does."""
        self._world.network.send(node, to, message, hostile=True)
        if again and len(self._repeated) < REPEATED_MESSAGES:
            self._repeated.append((node, to, message))

    # What happens

    def on_open(self, slot: Slot) -> None:
        if not self.nodes or slot in self.slots:
            return
        self.slots[slot] = Knowledge(slot, self.members(slot))
        self._repeated.clear()
        self.clock.after(self.rng.uniform(0, 2.0), self._start_puppets, slot)

    def _start_puppets(self, slot: Slot) -> None:
        everybody = frozenset(self.members(slot))
        for node in self.liars(slot):
            if node in self._dead:
                continue
            sides = [everybody]
            if Attack.TWINS in self.attacks:
                left = frozenset(peer for peer in everybody if self.rng.random() < 0.6)
                sides = [left, (everybody - left) | frozenset(self.rng.sample(sorted(everybody), 1))]
            self._puppets[(node, slot)] = [Puppet(self, node, slot, number, side) for number, side in enumerate(sides)]

    def on_message(self, receiver: int, sender: int, message: Message | bytes) -> None:
        """A message reaches a Byzantine validator: its puppets take it as an honest one would."""
        if isinstance(message, bytes):
            try:
                message = decode(message)
            except MessageError:
                return
        for puppet in self._puppets.get((receiver, message.slot), []):
            puppet.receive(sender, message)

    def observe(self, _node: int, message: Message) -> None:
        """Something honest was sent, to whomever."""
        if not self.nodes or message.slot not in self.slots:
            return
        known = self.slots[message.slot]
        news = known.witness(message)
        if news is not None and Attack.VOTE_ALL in self.attacks:
            self._vote_for(known, news)
        if isinstance(message, ViewChangeRequest) and Attack.LOW_NEW_VIEW in self.attacks:
            self._lead_astray(known, message.change.statement.view)

    def _lead_astray(self, known: Knowledge, view: int) -> None:
        leader = known.members[(known.slot.round + view) % len(known.members)]
        if (leader, known.slot, view) not in self._two_faced and attacks.low_new_view(self, known, view):
            self._two_faced.add((leader, known.slot, view))

    def _vote_for(self, known: Knowledge, news: Vote) -> None:
        key = (known.slot, news.view, news.digest)
        if key in self._voted:
            return
        self._voted.add(key)
        receivers = [node for node in self.honest(known.slot) if self.rng.random() < 0.8]
        attacks.vote(self, known, news.view, news.digest, receivers)

    def _tick(self) -> None:
        """Now and then, try something on the open slot."""
        self.clock.after(self.rng.uniform(0.1, 1.0), self._tick)
        slot = max(self.slots, default=None)
        if slot is None or not self.liars(slot) or self.clock.now > self._world.scenario.stable_at + ACTIVE_SECONDS:
            return
        for node, to, message in self.rng.sample(self._repeated, min(6, len(self._repeated))):
            self.send(node, to, message)
        for attack in sorted(self.attacks, key=lambda attack: attack.name):
            action = attacks.ON_TICK.get(attack)
            if action is not None and self.rng.random() < 0.4:
                action(self, self.slots[slot])

    # What puppets do

    def puppet_sends(self, node: int, to: int, message: Message) -> None:
        known = self.slots.get(message.slot)
        if known is not None:
            known.learn(message)
        if isinstance(message, Proposal | Ballot):
            vote = message.vote.statement
            if (node, vote.slot, vote.view) in self._two_faced:
                return  # the lie speaks for itself
        if (node, to, type(message)) not in self._silent:
            self.send(node, to, message)

    def puppet_proposal(self, node: int, slot: Slot, view: int, copy: int) -> bytes:
        valid = not (Attack.INVALID in self.attacks and self.rng.random() < 0.5)
        payload = application.payload(slot, f"{node}.{view}.twin{copy}", valid=valid)
        if (
            Attack.EQUIVOCATE in self.attacks
            and slot in self.slots
            and attacks.equivocate(self, self.slots[slot], node, view, payload)
        ):
            self._two_faced.add((node, slot, view))
        return payload
