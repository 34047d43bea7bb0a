"""What must hold after every event, checked by code that shares nothing with the engine's own checks.

The monitor sees all honest steps and sends and knows who really signed what (``register``), so that even an engine
whose signature checks are broken cannot fool it.
"""

from __future__ import annotations

from collections.abc import Sequence

from pot_chain.pbft.certificate import Certificate
from pot_chain.pbft.events import Decide, Effect, Evidence
from pot_chain.pbft.messages import Ballot, Decided, Message, Prepared, Proposal, ViewChangeRequest, signed
from pot_chain.pbft.replica import REMEMBERED_PAYLOADS, Replica
from pot_chain.pbft.sim import application
from pot_chain.pbft.sim.storage import MemoryStorage
from pot_chain.pbft.tally import VIEWS_PER_SENDER
from pot_chain.protocol.addresses import Digest
from pot_chain.protocol.quorum import quorum
from pot_chain.protocol.votes import Phase, Slot, Statement, ViewChange, Vote


class Violation(Exception):
    """An invariant does not hold."""


class Monitor:
    """Watches one world.

    Attributes:
        decisions: what honest validators decided, by slot.
        certificates: commit certificates seen, one for each (slot, view).
    """

    def __init__(self, epochs: Sequence[Sequence[int]], honest: frozenset[int]) -> None:
        self._epochs = epochs
        self._honest = honest
        self._signed: set[tuple[int, Statement]] = set()
        self._on_wire: dict[tuple[int, Slot, int, str], Statement] = {}
        self._durable: set[bytes] = set()
        self._prepared: dict[tuple[Slot, int], Digest] = {}
        self._sound: set[int] = set()
        self._decided_by: dict[tuple[int, Slot], Digest] = {}
        self._committed: dict[tuple[int, Slot], Vote] = {}
        self.decisions: dict[Slot, Digest] = {}
        self.certificates: dict[tuple[Slot, int], Decided] = {}
        self.evidence = 0
        self.max_view = 0

    def register(self, node: int, statement: Statement) -> None:
        """``node`` has signed ``statement`` for the simulated contract."""
        self._signed.add((node, statement))

    # After each honest step

    def on_step(self, node: int, slot: Slot, replica: Replica, effects: list[Effect]) -> None:
        self.max_view = max(self.max_view, replica.view)
        if replica.buffered() > (2 * VIEWS_PER_SENDER + 1) * len(self._epochs[slot.epoch - 1]) + REMEMBERED_PAYLOADS:
            raise Violation(f"bounded buffers: validator {node} holds {replica.buffered()} messages in {slot}")
        if replica.prepared is not None:
            self._check_prepared(node, slot, replica.prepared)
        for effect in effects:
            if isinstance(effect, Decide):
                self._check_decision(node, slot, effect)

    def _check_prepared(self, node: int, slot: Slot, prepared: Prepared) -> None:
        if id(prepared) in self._sound and self._prepared.get((slot, prepared.view)) == prepared.digest:
            return
        self._check_certificate(node, slot, prepared.certificate, Phase.PREPARE)
        known = self._prepared.setdefault((slot, prepared.view), prepared.digest)
        if known != prepared.digest:
            raise Violation(f"one prepared certificate: two digests prepared in view {prepared.view} of {slot}")
        self._sound.add(id(prepared))

    def _check_decision(self, node: int, slot: Slot, decide: Decide) -> None:
        self._check_certificate(node, slot, decide.certificate, Phase.COMMIT)
        if application.digest_of(decide.payload) != decide.digest or decide.certificate.vote.digest != decide.digest:
            raise Violation(f"validity: validator {node} decided a payload that is not its digest in {slot}")
        if not application.is_valid(slot, decide.payload):
            raise Violation(f"validity: validator {node} decided {decide.payload!r} in {slot}")
        if self.decisions.setdefault(slot, decide.digest) != decide.digest:
            raise Violation(f"agreement: two outcomes decided in {slot}")
        if self._decided_by.setdefault((node, slot), decide.digest) != decide.digest:
            raise Violation(f"integrity: validator {node} decided twice in {slot}")
        decided = Decided(decide.certificate, decide.payload)
        self.certificates.setdefault((slot, decide.certificate.vote.view), decided)

    def _check_certificate(self, node: int, slot: Slot, certificate: Certificate, phase: Phase) -> None:
        members = self._epochs[slot.epoch - 1]
        signers = [signer for signer, _ in certificate.signatures]
        vote = certificate.vote
        if vote.phase is not phase or vote.slot != slot:
            raise Violation(f"certificate soundness: validator {node} holds {vote} as a {phase.value} of {slot}")
        if len(set(signers)) != quorum(len(members)) or signers != sorted(set(signers)):
            raise Violation(f"certificate soundness: validator {node} holds one signed by {signers} in {slot}")
        for signer in signers:
            if not 0 <= signer < len(members):
                raise Violation(f"certificate soundness: signer {signer} is outside the epoch of {slot}")
            author = members[signer]
            if author in self._honest and (author, vote) not in self._signed:
                raise Violation(f"certificate soundness: validator {author} never signed {vote}")

    # Each honest send

    def on_send(self, node: int, slot: Slot, message: Message, storage: MemoryStorage) -> None:
        if not isinstance(message, Proposal | Ballot | ViewChangeRequest):
            return
        own = signed(message)
        kind = own.statement.phase.value if isinstance(own.statement, Vote) else "ViewChange"
        said = self._on_wire.setdefault((node, slot, own.statement.view, kind), own.statement)
        if said != own.statement:
            raise Violation(f"no honest equivocation: validator {node} said {said}, then {own.statement}")
        self._check_hidden_commit(node, slot, own.statement)
        if own.signature not in self._durable:
            if own.signature not in storage.content:
                raise Violation(f"persisted before sent: {own.statement} of validator {node} is not on its log")
            self._durable.add(own.signature)

    def _check_hidden_commit(self, node: int, slot: Slot, statement: Vote | ViewChange) -> None:
        """A view change must own up to the commits before it."""
        if isinstance(statement, ViewChange):
            commit = self._committed.get((node, slot))
            if commit is not None and commit.view < statement.view and statement.prepared_view < commit.view:
                raise Violation(f"no honest equivocation: {statement} of validator {node} hides {commit}")
        elif statement.phase is Phase.COMMIT:
            known = self._committed.get((node, slot))
            if known is None or known.view < statement.view:
                self._committed[(node, slot)] = statement

    # Accountability

    def on_evidence(self, slot: Slot, evidence: Evidence) -> None:
        """Evidence must never point at an honest validator."""
        accused = self._epochs[slot.epoch - 1][evidence.first.signer]
        if accused in self._honest:
            raise Violation(f"accountability: honest validator {accused} is accused: {evidence.reason}")
        self.evidence += 1
