"""The signing guard: the one place that holds a validator's vote key.

Whatever bug, crash or restore there is elsewhere, the guard never signs two statements that contradict each other
(CometBFT's ``privval`` and Diem's ``safety_rules`` do the same). A statement is on the log, durable, before its
signature leaves. Rules within a slot:

- order: VIEW-CHANGE(v) < PROPOSE(v) < PREPARE(v) < COMMIT(v) < VIEW-CHANGE(v + 1); nothing behind the highest statement
is newly signed;
- what is signed already is signed again with the stored signature; something else in its place is refused for ever;
- the votes of one view are all for one digest;
- a COMMIT brings its prepared certificate, which becomes durable with it; a VIEW-CHANGE claims exactly the highest one
on the log.

``retire`` forgets the slots of final rounds and raises the task's floor: at or below it nothing is signed any more. A
new log knows nothing of what was signed before it, so a fresh guard signs nothing until ``begin`` has told it which
rounds are open; it abstains from those.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn, Protocol, Self

from eth_utils import keccak

from pot_chain.pbft import wire
from pot_chain.pbft.errors import EquivocationRefused, GuardError, LogDamaged, MessageError, SlotRetired
from pot_chain.pbft.events import Restored, Sign
from pot_chain.pbft.log import FileStorage, RecordLog, Storage
from pot_chain.pbft.messages import Ballot, OwnMessage, Prepared, Proposal, ViewChangeRequest, signed
from pot_chain.pbft.order import Rank, rank_of
from pot_chain.protocol.addresses import Address, address_bytes
from pot_chain.protocol.eip712 import Domain, signing_digest
from pot_chain.protocol.signing import address_of, sign_digest
from pot_chain.protocol.votes import Hello, Slot, Statement, VerdictReport, ViewChange

COMPACTION_BYTES = 1 << 20
"""Size from which ``retire`` rewrites the log, if that makes it at least half as small."""

_BEGUN, _FLOOR, _MESSAGE, _COMMIT = range(1, 5)


class Signer(Protocol):
    """Whatever turns a statement into a signature: a key in memory here, hardware elsewhere."""

    address: Address

    def sign(self, statement: Statement) -> bytes:
        """65-byte signature; the same statement always gives the same bytes."""

    def log_owner(self) -> bytes:
        """32 bytes that bind a log to this key and to one deployment."""


class EcdsaSigner:
    """A vote key in memory; its text forms show the address only."""

    __slots__ = ("_domain", "_key", "address")

    def __init__(self, private_key: bytes, domain: Domain) -> None:
        self._key = private_key
        self._domain = domain
        self.address = address_of(private_key)

    def __repr__(self) -> str:
        return f"EcdsaSigner({self.address})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a vote key does not leave its process")

    def sign(self, statement: Statement) -> bytes:
        return sign_digest(self._key, signing_digest(self._domain, statement))

    def log_owner(self) -> bytes:
        return keccak(address_bytes(self.address) + self._domain.separator())


@dataclass(slots=True)
class _SlotHistory:
    """What was signed in one slot."""

    messages: dict[tuple[int, Rank], OwnMessage] = field(default_factory=dict)
    prepared: dict[int, Prepared] = field(default_factory=dict)

    def highest_prepared(self) -> Prepared | None:
        return self.prepared[max(self.prepared)] if self.prepared else None


class SigningGuard:
    """Signs for one validator. Safe to call from several threads; a call blocks for one disk sync (about 0.2 ms)."""

    def __init__(self, storage: Storage, signer: Signer) -> None:
        """Read the log in ``storage``. Programs use ``open``; simulations bring their own storage and signer.

        Raises:
            LogDamaged: the log is damaged before its tail, or belongs to another key or deployment.
        """
        self._signer = signer
        self._mutex = threading.Lock()
        self._begun = False
        self._floors: dict[int, int] = {}
        self._slots: dict[Slot, _SlotHistory] = {}
        self._log = RecordLog(storage, signer.log_owner())
        try:
            for body in self._log.records:
                self._replay(body)
        except (MessageError, IndexError, ValueError) as error:
            raise LogDamaged(
                f"the signing log {storage.name} holds a record that this version cannot read: {error}",
                "start the version of the program that wrote it",
            ) from error
        self._log.records.clear()

    @classmethod
    def open(cls, path: Path, private_key: bytes, domain: Domain) -> Self:
        """The guard of the log at ``path``, created if there is none; it holds the file's lock until ``close``.

        Raises:
            LogLocked: another process has it open.
            LogDamaged: the log is damaged before its tail, or belongs to another key or deployment.
        """
        storage = FileStorage(path)
        try:
            return cls(storage, EcdsaSigner(private_key, domain))
        except BaseException:
            storage.close()
            raise

    @property
    def address(self) -> Address:
        """Address of the vote key."""
        return self._signer.address

    @property
    def fresh(self) -> bool:
        """Whether this is a new log that waits for ``begin``."""
        return not self._begun

    def __repr__(self) -> str:
        return f"SigningGuard({self.address})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Release the log; nothing can be signed afterwards."""
        with self._mutex:
            self._log.close()

    def begin(self, open_rounds: Mapping[int, int]) -> None:
        """Take a fresh log into use, abstaining from rounds in which this key may have voted before.

        Args:
            open_rounds: task id to the highest round that is open or was ever open; empty if the key has never been in
            an epoch.
        """
        with self._mutex:
            if self._begun:
                raise GuardError("the signing log is already in use")
            for task_id, round_number in open_rounds.items():
                self._raise_floor(task_id, round_number)
            self._log.append(bytes([_BEGUN]))
            self._begun = True

    def sign(self, request: Sign) -> bytes:
        """Signature (65 bytes) of ``request.statement``, durable on the log when this returns.

        Raises:
            EquivocationRefused: it contradicts, or lies behind, what is signed.
            SlotRetired: the slot is at or below the task's floor.
            LogWriteFailed: the log cannot be written; nothing was signed and nothing will be until a restart.
        """
        statement = request.statement
        with self._mutex:
            history = self._history(statement.slot)
            key = (statement.view, rank_of(statement))
            held = history.messages.get(key)
            if held is not None and signed(held).statement == statement:
                return signed(held).signature
            _refuse_contradiction(history, request, key)
            message = request.message(self._signer.sign(statement))
            with_certificate = request.prepared if key[1] is Rank.COMMIT else None
            self._log.append(_message_record(message, with_certificate))
            self._keep(message, with_certificate)
            return signed(message).signature

    def sign_report(self, report: VerdictReport) -> bytes:
        """Signature of a verdict report. A validator may learn more and report again; no rule forbids it, so no log."""
        return self._signer.sign(report)

    def sign_hello(self, hello: Hello) -> bytes:
        """Signature of a handshake; it commits to nothing but one connection, so it is not logged."""
        return self._signer.sign(hello)

    def restore(self, slot: Slot) -> Restored:
        """What was signed in ``slot``, to be the first event of its replica."""
        with self._mutex:
            history = self._slots.get(slot, _SlotHistory())
            messages = tuple(_with_proof(message, history) for _, message in sorted(history.messages.items()))
            return Restored(messages, history.highest_prepared())

    def slots(self) -> list[Slot]:
        """Slots on the log that are not retired, ascending."""
        with self._mutex:
            return sorted(self._slots)

    def retire(self, task_id: int, round_number: int) -> None:
        """Rounds of the task up to ``round_number`` are final: forget them and sign nothing in them again."""
        with self._mutex:
            if self._floors.get(task_id, -1) >= round_number:
                return
            self._raise_floor(task_id, round_number)
            if self._log.size >= COMPACTION_BYTES:
                bodies = self._live_records()
                if 2 * sum(map(len, bodies)) <= self._log.size:
                    self._log.rewrite(bodies)

    def _history(self, slot: Slot) -> _SlotHistory:
        if not self._begun:
            raise GuardError(
                "the signing log is new", "tell the guard which rounds are open (begin): it must abstain from them"
            )
        if slot.round <= self._floors.get(slot.task_id, -1):
            raise SlotRetired(f"round {slot.round} of task {slot.task_id} is closed for this validator's signature")
        return self._slots.get(slot) or _SlotHistory()

    def _raise_floor(self, task_id: int, round_number: int) -> None:
        self._log.append(_floor_record(task_id, round_number))
        self._apply_floor(task_id, round_number)

    def _apply_floor(self, task_id: int, round_number: int) -> None:
        self._floors[task_id] = max(round_number, self._floors.get(task_id, -1))
        for slot in [old for old in self._slots if old.task_id == task_id and old.round <= round_number]:
            del self._slots[slot]

    def _keep(self, message: OwnMessage, prepared: Prepared | None) -> None:
        statement = signed(message).statement
        history = self._slots.setdefault(statement.slot, _SlotHistory())
        if isinstance(message, ViewChangeRequest):
            message = ViewChangeRequest(message.change, None)  # the certificate it claims is kept once, with its COMMIT
        history.messages[(statement.view, rank_of(statement))] = message
        if prepared is not None:
            history.prepared[prepared.view] = prepared

    def _live_records(self) -> list[bytes]:
        bodies = [bytes([_BEGUN])]
        bodies += [_floor_record(task_id, floor) for task_id, floor in sorted(self._floors.items())]
        for _, history in sorted(self._slots.items()):
            for (view, rank), message in sorted(history.messages.items()):
                bodies.append(_message_record(message, history.prepared[view] if rank is Rank.COMMIT else None))
        return bodies

    def _replay(self, body: bytes) -> None:
        kind = body[0]
        if kind == _BEGUN:
            self._begun = True
        elif kind == _FLOOR:
            self._apply_floor(int.from_bytes(body[1:33], "big"), int.from_bytes(body[33:41], "big"))
        elif kind == _MESSAGE:
            self._keep(_own_message(wire.decode(body[1:])), None)
        elif kind == _COMMIT:
            length = int.from_bytes(body[1:5], "big")
            ballot = _own_message(wire.decode(body[5 : 5 + length]))
            self._keep(ballot, wire.decode_prepared(body[5 + length :]))
        else:
            raise ValueError(f"record of kind {kind}")


def _refuse_contradiction(history: _SlotHistory, request: Sign, key: tuple[int, Rank]) -> None:
    """Raise EquivocationRefused unless ``request`` is consistent with everything signed in the slot."""
    statement = request.statement
    if history.messages and key <= max(history.messages):
        view, rank = max(history.messages)
        raise EquivocationRefused(
            f"{key[1].name} in view {key[0]} of {statement.slot} is behind {rank.name} in view {view}, signed before"
        )
    if isinstance(statement, ViewChange):
        highest = history.highest_prepared()
        claim = (highest.view, highest.digest) if highest else (0, ViewChange(statement.slot, 0).prepared_digest)
        if (statement.prepared_view, statement.prepared_digest) != claim:
            raise EquivocationRefused(f"a view change in {statement.slot} does not claim the certificate on the log")
        return
    for rank in (Rank.PROPOSE, Rank.PREPARE):
        earlier = history.messages.get((statement.view, rank))
        if isinstance(earlier, Proposal | Ballot) and earlier.vote.statement.digest != statement.digest:
            raise EquivocationRefused(f"{key[1].name} in view {key[0]} of {statement.slot} is for another digest")
    if key[1] is Rank.COMMIT:
        prepared = request.prepared
        if prepared is None or (prepared.view, prepared.digest) != (statement.view, statement.digest):
            raise EquivocationRefused(f"a commit in {statement.slot} comes without its prepared certificate")


def _with_proof(message: OwnMessage, history: _SlotHistory) -> OwnMessage:
    if isinstance(message, ViewChangeRequest) and message.change.statement.prepared:
        return ViewChangeRequest(message.change, history.prepared[message.change.statement.prepared_view])
    return message


def _own_message(message: object) -> OwnMessage:
    if not isinstance(message, Proposal | Ballot | ViewChangeRequest):
        raise ValueError(f"record with a {type(message).__name__}")
    return message


def _message_record(message: OwnMessage, prepared: Prepared | None) -> bytes:
    if prepared is None:
        if isinstance(message, ViewChangeRequest):
            message = ViewChangeRequest(message.change, None)
        return bytes([_MESSAGE]) + wire.encode(message)
    ballot = wire.encode(message)
    return bytes([_COMMIT]) + len(ballot).to_bytes(4, "big") + ballot + wire.encode_prepared(prepared)


def _floor_record(task_id: int, round_number: int) -> bytes:
    return bytes([_FLOOR]) + task_id.to_bytes(32, "big") + round_number.to_bytes(8, "big")
