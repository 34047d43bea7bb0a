"""The signing guard, rule by rule."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from eth_utils import keccak

from pot_chain.pbft import (
    Ballot,
    Certificate,
    EquivocationRefused,
    GuardError,
    LogDamaged,
    LogLocked,
    NewView,
    Prepared,
    Proposal,
    Sign,
    Signed,
    SigningGuard,
    SigningRefused,
    SlotRetired,
    Status,
    ViewChangeRequest,
    encode,
)
from pot_chain.pbft import guard as guard_module
from pot_chain.protocol.eip712 import Domain, signing_digest
from pot_chain.protocol.signing import address_of, recover
from pot_chain.protocol.votes import Hello, Phase, Slot, VerdictReport, ViewChange, Vote

from .cluster import DOMAIN, PRIVATE_KEYS, SLOT

KEY = PRIVATE_KEYS[0]
D, E = keccak(text="d"), keccak(text="e")
SIGNATURE = bytes(range(65))


def prepared(view: int, digest: bytes = D, slot: Slot = SLOT) -> Prepared:
    entries = tuple((signer, SIGNATURE) for signer in range(3))
    return Prepared(Certificate(Vote(Phase.PREPARE, slot, view, digest), entries), b"payload")


def vote(phase: Phase, view: int, digest: bytes = D, slot: Slot = SLOT) -> Sign:
    certificate = prepared(view, digest, slot) if phase is Phase.COMMIT else None
    return Sign(Vote(phase, slot, view, digest), 2, b"payload" if phase is Phase.PROPOSE else b"", None, certificate)


def change(view: int, claim: Prepared | None = None) -> Sign:
    statement = ViewChange(SLOT, view, *((claim.view, claim.digest) if claim else ()))
    return Sign(statement, 2, prepared=claim)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "votes.log"


@pytest.fixture
def guard(path: Path) -> Iterator[SigningGuard]:
    with SigningGuard.open(path, KEY, DOMAIN) as opened:
        opened.begin({})
        yield opened


def reopened(guard: SigningGuard, path: Path) -> SigningGuard:
    guard.close()
    return SigningGuard.open(path, KEY, DOMAIN)


def test_signatures_are_the_keys_and_are_on_the_log(guard: SigningGuard, path: Path) -> None:
    request = vote(Phase.PREPARE, 0)
    signature = guard.sign(request)
    assert recover(signing_digest(DOMAIN, request.statement), signature) == guard.address == address_of(KEY)
    assert signature in path.read_bytes()


def test_the_order_of_a_slot(guard: SigningGuard) -> None:
    for request in (
        vote(Phase.PROPOSE, 0),
        vote(Phase.PREPARE, 0),
        vote(Phase.COMMIT, 0),
        change(1, prepared(0)),
        vote(Phase.PROPOSE, 1),
        vote(Phase.PREPARE, 1),
        vote(Phase.COMMIT, 1),
        change(5, prepared(1)),
    ):
        guard.sign(request)


@pytest.mark.parametrize(
    ("first", "then"),
    [
        (vote(Phase.PREPARE, 0), vote(Phase.PREPARE, 0, E)),
        (vote(Phase.PROPOSE, 0), vote(Phase.PROPOSE, 0, E)),
        (vote(Phase.COMMIT, 0), vote(Phase.COMMIT, 0, E)),
        (vote(Phase.PREPARE, 0), vote(Phase.PROPOSE, 0)),
        (vote(Phase.COMMIT, 0), vote(Phase.PREPARE, 0)),
        (vote(Phase.PREPARE, 3), vote(Phase.COMMIT, 2)),
        (change(1), vote(Phase.PREPARE, 0)),
        (change(2), change(1)),
        (change(1), vote(Phase.COMMIT, 0)),
        (vote(Phase.PROPOSE, 0), vote(Phase.PREPARE, 0, E)),
        (vote(Phase.PREPARE, 0), vote(Phase.COMMIT, 0, E)),
        (vote(Phase.PROPOSE, 0), vote(Phase.COMMIT, 0, E)),
        (change(1), change(1, prepared(0))),
        (vote(Phase.COMMIT, 0), change(1)),
        (vote(Phase.COMMIT, 0), change(1, prepared(0, E))),
        (vote(Phase.PREPARE, 0), change(1, prepared(0))),
    ],
)
def test_contradictions_are_refused_now_and_after_a_restart(
    guard: SigningGuard, path: Path, first: Sign, then: Sign
) -> None:
    signature = guard.sign(first)
    with pytest.raises(EquivocationRefused):
        guard.sign(then)
    with reopened(guard, path) as again:
        with pytest.raises(EquivocationRefused):
            again.sign(then)
        assert again.sign(first) == signature


def test_the_same_statement_gets_the_same_signature_even_behind_later_ones(guard: SigningGuard, path: Path) -> None:
    requests = [vote(Phase.PREPARE, 0), vote(Phase.COMMIT, 0), change(1, prepared(0)), vote(Phase.PREPARE, 1)]
    signatures = [guard.sign(request) for request in requests]
    size = path.stat().st_size
    assert [guard.sign(request) for request in requests] == signatures
    assert path.stat().st_size == size
    with reopened(guard, path) as again:
        assert [again.sign(request) for request in requests] == signatures


def test_a_commit_needs_its_certificate(guard: SigningGuard) -> None:
    commit = vote(Phase.COMMIT, 1)
    for wrong in (None, prepared(0), prepared(1, E)):
        with pytest.raises(EquivocationRefused, match="without its prepared certificate"):
            guard.sign(replace(commit, prepared=wrong))
    guard.sign(commit)


def test_slots_do_not_disturb_each_other(guard: SigningGuard) -> None:
    guard.sign(vote(Phase.COMMIT, 3))
    for slot in (Slot(7, 0, 2), Slot(7, 1, 1), Slot(8, 0, 1)):
        guard.sign(vote(Phase.PREPARE, 0, E, slot))
    assert guard.slots() == [Slot(7, 0, 1), Slot(7, 0, 2), Slot(7, 1, 1), Slot(8, 0, 1)]


def test_restoring_gives_messages_in_order_with_their_proofs(guard: SigningGuard, path: Path) -> None:
    justification = NewView((Signed(ViewChange(SLOT, 1), 3, SIGNATURE),), None)
    requests = [
        vote(Phase.COMMIT, 0),
        change(1, prepared(0)),
        replace(vote(Phase.PROPOSE, 1), justification=justification),
        vote(Phase.PREPARE, 1),
        vote(Phase.COMMIT, 1),
    ]
    signatures = [guard.sign(request) for request in requests]
    expected = tuple(request.message(signature) for request, signature in zip(requests, signatures, strict=True))
    assert [type(message) for message in expected] == [Ballot, ViewChangeRequest, Proposal, Ballot, Ballot]
    assert guard.restore(SLOT).messages == expected
    with reopened(guard, path) as again:
        assert again.restore(SLOT).messages == expected
        assert again.restore(SLOT).prepared == prepared(1)
        assert again.restore(Slot(9, 9, 9)).messages == ()


def test_a_new_log_signs_nothing_until_it_has_begun(path: Path) -> None:
    with SigningGuard.open(path, KEY, DOMAIN) as guard:
        assert guard.fresh
        with pytest.raises(GuardError, match="new") as caught:
            guard.sign(vote(Phase.PREPARE, 0))
        assert not isinstance(caught.value, SigningRefused)
        guard.begin({7: 4})
        assert not guard.fresh
        with pytest.raises(GuardError, match="already"):
            guard.begin({})


def test_a_new_log_abstains_from_what_was_open(path: Path) -> None:
    with SigningGuard.open(path, KEY, DOMAIN) as guard:
        guard.begin({7: 4})
        for number in (0, 4):
            with pytest.raises(SlotRetired):
                guard.sign(vote(Phase.PREPARE, 0, D, Slot(7, number, 9)))
    with SigningGuard.open(path, KEY, DOMAIN) as again:
        assert not again.fresh
        with pytest.raises(SlotRetired):
            again.sign(vote(Phase.PREPARE, 0, D, Slot(7, 4, 9)))
        again.sign(vote(Phase.PREPARE, 0, D, Slot(7, 5, 9)))
        again.sign(vote(Phase.PREPARE, 0, D, Slot(8, 0, 9)))


def test_a_certificate_is_on_the_log_once_however_often_it_is_claimed(guard: SigningGuard, path: Path) -> None:
    guard.sign(vote(Phase.COMMIT, 0))
    for view in range(1, 5):
        guard.sign(change(view, prepared(0)))
    assert path.read_bytes().count(b"payload") == 1


def test_a_small_log_is_not_rewritten(guard: SigningGuard, path: Path) -> None:
    for number in range(5):
        guard.sign(vote(Phase.COMMIT, 0, D, Slot(7, number, 1)))
    before = path.read_bytes()
    guard.retire(7, 4)
    assert path.read_bytes().startswith(before)


def test_a_log_that_does_not_open_is_not_kept_locked(path: Path) -> None:
    SigningGuard.open(path, KEY, DOMAIN).close()
    with pytest.raises(LogDamaged) as refused:
        SigningGuard.open(path, PRIVATE_KEYS[1], DOMAIN)
    SigningGuard.open(path, KEY, DOMAIN).close()
    assert refused.value.hint


def test_retired_rounds_are_forgotten_and_closed(guard: SigningGuard, path: Path) -> None:
    old, new = Slot(7, 2, 1), Slot(7, 3, 1)
    guard.sign(vote(Phase.PREPARE, 0, D, old))
    guard.sign(vote(Phase.PREPARE, 0, D, new))
    guard.retire(7, 2)
    guard.retire(7, 1)
    assert guard.slots() == [new]
    with reopened(guard, path) as again:
        assert again.slots() == [new]
        for digest in (D, E):
            with pytest.raises(SlotRetired):
                again.sign(vote(Phase.PREPARE, 0, digest, old))
        again.sign(vote(Phase.PREPARE, 0, D, new))


def test_compaction_drops_the_past_and_keeps_every_promise(
    guard: SigningGuard, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard_module, "COMPACTION_BYTES", 4000)
    sizes = []
    for number in range(60):
        slot = Slot(7, number, 1)
        for request in (vote(Phase.PREPARE, 0, D, slot), vote(Phase.COMMIT, 0, D, slot)):
            guard.sign(request)
        guard.retire(7, number - 2)
        sizes.append(path.stat().st_size)
    assert max(sizes) < 8000
    with reopened(guard, path) as again:
        assert again.slots() == [Slot(7, 58, 1), Slot(7, 59, 1)]
        assert again.restore(Slot(7, 59, 1)).prepared == prepared(0, D, Slot(7, 59, 1))
        with pytest.raises(EquivocationRefused):
            again.sign(vote(Phase.PREPARE, 0, E, Slot(7, 59, 1)))
        with pytest.raises(SlotRetired):
            again.sign(vote(Phase.PREPARE, 0, E, Slot(7, 57, 1)))


def test_verdict_reports_may_be_revised(guard: SigningGuard, path: Path) -> None:
    size = path.stat().st_size
    for verdicts in (D, E):
        report = VerdictReport(SLOT, verdicts)
        assert recover(signing_digest(DOMAIN, report), guard.sign_report(report)) == guard.address
    assert path.stat().st_size == size


def test_handshakes_are_signed_and_not_logged(guard: SigningGuard, path: Path) -> None:
    size = path.stat().st_size
    hello = Hello(guard.address, D, 1)
    assert recover(signing_digest(DOMAIN, hello), guard.sign_hello(hello)) == guard.address
    assert path.stat().st_size == size


def test_two_processes_cannot_have_one_log(guard: SigningGuard, path: Path) -> None:
    with pytest.raises(LogLocked):
        SigningGuard.open(path, KEY, DOMAIN)


@pytest.mark.parametrize(
    ("key", "domain"),
    [(PRIVATE_KEYS[1], DOMAIN), (KEY, Domain(1, DOMAIN.contract)), (KEY, Domain(DOMAIN.chain_id, address_of(KEY)))],
)
def test_a_log_belongs_to_one_key_and_one_deployment(
    guard: SigningGuard, path: Path, key: bytes, domain: Domain
) -> None:
    guard.sign(vote(Phase.PREPARE, 0))
    guard.close()
    with pytest.raises(LogDamaged, match="another key or another deployment"):
        SigningGuard.open(path, key, domain)
    SigningGuard.open(path, KEY, DOMAIN).close()


def test_damage_stops_the_start_and_says_what_to_do(guard: SigningGuard, path: Path) -> None:
    guard.sign(vote(Phase.PREPARE, 0))
    guard.sign(vote(Phase.COMMIT, 0))
    guard.close()
    content = bytearray(path.read_bytes())
    content[80] ^= 1
    path.write_bytes(content)
    with pytest.raises(LogDamaged, match="damaged at byte") as caught:
        SigningGuard.open(path, KEY, DOMAIN)
    assert "abstains" in caught.value.hint
    assert path.read_bytes() == content


def test_a_record_of_a_later_version_is_not_ignored(guard: SigningGuard, path: Path) -> None:
    guard.close()
    status = bytes([3]) + encode(Status(SLOT, 0))
    for body in (b"\x7f", b"", bytes([3]) + b"no message", status):
        path.unlink()
        with SigningGuard.open(path, KEY, DOMAIN) as other:
            other._log.append(body)
        with pytest.raises(LogDamaged, match="cannot read"):
            SigningGuard.open(path, KEY, DOMAIN)


def test_a_closed_guard_signs_nothing(guard: SigningGuard) -> None:
    guard.close()
    with pytest.raises(GuardError):
        guard.sign(vote(Phase.PREPARE, 0))


def test_the_key_is_in_no_text(guard: SigningGuard) -> None:
    guard.sign(vote(Phase.PREPARE, 0))
    for text in (repr(guard), str(guard), repr(guard._signer), repr(vars(guard))):
        assert KEY.hex() not in text
        assert repr(KEY) not in text
    assert guard.address in repr(guard)
    with pytest.raises(TypeError):
        pickle.dumps(guard._signer)
