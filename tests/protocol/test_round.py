"""Proposals: what an honest validator makes passes, whatever is changed in it does not."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pot_chain.protocol.addresses import ZERO_DIGEST, canonical_order
from pot_chain.protocol.canonical import digest, encode
from pot_chain.protocol.eip712 import Domain, signing_digest
from pot_chain.protocol.errors import ProtocolError
from pot_chain.protocol.record import Reveal, SignedReport
from pot_chain.protocol.rewards import RewardLedger, RewardRule
from pot_chain.protocol.round import (
    Collection,
    InvalidProposal,
    Proposal,
    RoundContext,
    check_proposal,
    make_proposal,
    report_statement,
)
from pot_chain.protocol.seal import gradient_seal
from pot_chain.protocol.signing import address_of, sign_digest
from pot_chain.protocol.votes import Slot

DOMAIN = Domain(31337, "0x" + "c0" * 20)
KEYS = {address_of(key): key for key in (bytes([i]) * 32 for i in range(1, 5))}
VOTERS = canonical_order(KEYS)
OPERATORS = {voter: "0x" + f"{i + 1:02x}" * 20 for i, voter in enumerate(VOTERS)}
MINERS = tuple("0x" + f"{i:02x}" * 20 for i in range(0x21, 0x26))
AUDIT_SEED = b"\xaa" * 32
CHECKPOINT = b"\xbb" * 32


def context() -> RoundContext:
    return RoundContext(
        domain=DOMAIN,
        slot=Slot(1, 4, 1),
        parent=b"\x01" * 32,
        seed=b"\x02" * 32,
        members=MINERS,
        commit_deadline=100,
        reveal_deadline=120,
        finalize_deadline=150,
        voters=VOTERS,
        operators=OPERATORS,
        ledger=RewardLedger(1, {MINERS[0]: 500}),
        rule=RewardRule(10**15, 2_000),
        weights=dict.fromkeys(MINERS, 32),
    )


def collected(ctx: RoundContext, revealed: int = 5) -> Collection:
    collection = Collection(ctx)
    reveals = [Reveal(miner, bytes([i]) * 32, bytes([i + 50]) * 32) for i, miner in enumerate(MINERS)]
    for reveal in reveals:
        seal = gradient_seal(DOMAIN, 1, 4, reveal.miner, reveal.cid_digest, reveal.salt)
        collection.commit(reveal.miner, seal)
    for reveal in reveals[:revealed]:
        collection.reveal(reveal)
    return collection


def reports(ctx: RoundContext, collection: Collection, rejected: dict[str, str]) -> list[SignedReport]:
    statement = report_statement(ctx, collection.ordered_reveals(), rejected)
    return [SignedReport(v, rejected, sign_digest(KEYS[v], signing_digest(DOMAIN, statement))) for v in VOTERS]


def honest(rejected: dict[str, str] | None = None, revealed: int = 5) -> tuple[RoundContext, Collection, Proposal]:
    ctx = context()
    collection = collected(ctx, revealed)
    rejected = rejected or {}
    proposal = make_proposal(
        ctx,
        collection,
        rejected=rejected,
        reports=reports(ctx, collection, rejected),
        audit_seed=AUDIT_SEED,
        checkpoint=CHECKPOINT,
        losses=dict.fromkeys(MINERS, 2.25),
    )
    return ctx, collection, proposal


def rebuilt(proposal: Proposal, outcome: dict[str, Any], record: dict[str, Any]) -> Proposal:
    """``proposal`` with changed fields, the outcome naming the changed record."""
    changed = dataclasses.replace(proposal.record, **record)
    fields = {"record": digest(changed.to_bytes())} | outcome
    return Proposal(dataclasses.replace(proposal.outcome, **fields), changed)


def test_an_honest_proposal_passes_and_survives_the_wire() -> None:
    ctx, collection, proposal = honest({MINERS[2]: "gradient_mismatch"})
    again = Proposal.from_bytes(proposal.to_bytes())
    assert again == proposal
    assert again.digest == proposal.digest
    check_proposal(ctx, collection, again, AUDIT_SEED)
    assert MINERS[2] not in proposal.record.accepted
    assert MINERS[2] not in proposal.record.earned
    assert proposal.record.cumulative[MINERS[0]] == 500 + proposal.record.earned[MINERS[0]]


def test_every_single_change_is_refused() -> None:
    ctx, collection, proposal = honest({MINERS[2]: "gradient_mismatch"})
    record = proposal.record
    more = {**record.earned, MINERS[0]: record.earned[MINERS[0]] + 1}
    forged = dataclasses.replace(record.reports[0], rejected={})
    mutations: list[tuple[dict[str, Any], dict[str, Any]]] = [
        ({"parent": ZERO_DIGEST}, {}),
        ({"round": 5}, {}),
        ({"rewards_total": proposal.outcome.rewards_total + 1}, {}),
        ({"rewards_root": ZERO_DIGEST}, {}),
        ({"accepted": 5}, {}),
        ({"loss": proposal.outcome.loss + 1}, {}),
        ({"loss": (1 << 64) - 1}, {}),
        ({}, {"train_loss": record.train_loss + 1e-6}),
        ({}, {"train_loss": -1.0}),
        ({"chain_reveals": 1}, {}),
        ({}, {"seed": ZERO_DIGEST}),
        ({}, {"epoch": 2}),
        ({}, {"members": record.members[:-1]}),
        ({}, {"commits": record.commits[:-1]}),
        ({}, {"commits": record.commits[::-1]}),
        ({}, {"audit_seed": ZERO_DIGEST}),
        ({}, {"reveals": {m: r for m, r in record.reveals.items() if m != MINERS[4]}}),
        ({}, {"rejected": {}}),
        ({}, {"rejected": {**record.rejected, MINERS[1]: "duplicate"}}),
        ({}, {"earned": more}),
        ({}, {"cumulative": {**record.cumulative, MINERS[1]: 10**18}}),
        ({}, {"reports": record.reports[:2]}),
        ({}, {"reports": record.reports[::-1]}),
        ({}, {"reports": (*record.reports[:3], record.reports[0])}),
        ({}, {"reports": (forged, *record.reports[1:])}),
    ]
    for outcome, changed in mutations:
        with pytest.raises(ProtocolError):
            check_proposal(ctx, collection, rebuilt(proposal, outcome, changed), AUDIT_SEED)


def test_a_proposal_that_leaves_out_a_known_reveal_is_refused() -> None:
    ctx, _, proposal = honest(revealed=4)
    with pytest.raises(InvalidProposal, match="left out"):
        check_proposal(ctx, collected(ctx, 5), proposal, AUDIT_SEED)


def test_a_reveal_that_does_not_open_its_seal_is_refused() -> None:
    ctx = context()
    collection = collected(ctx, 0)
    with pytest.raises(ProtocolError, match="does not open"):
        collection.reveal(Reveal(MINERS[0], b"\x09" * 32, b"\x09" * 32))
    with pytest.raises(ProtocolError, match="has not committed"):
        Collection(ctx).reveal(Reveal(MINERS[0], bytes(32), bytes(32)))


def test_a_copied_seal_opens_for_nobody_else() -> None:
    ctx = context()
    collection = Collection(ctx)
    original = Reveal(MINERS[0], b"\x07" * 32, b"\x08" * 32)
    seal = gradient_seal(DOMAIN, 1, 4, MINERS[0], original.cid_digest, original.salt)
    collection.commit(MINERS[1], seal)
    with pytest.raises(ProtocolError, match="does not open"):
        collection.reveal(Reveal(MINERS[1], original.cid_digest, original.salt))


@pytest.mark.parametrize(
    ("commits", "reveals", "now", "complete"),
    [
        *[(5, 5, 10, True), (5, 4, 10, False), (5, 4, 121, True)],
        *[(4, 4, 100, False), (4, 4, 101, True), (4, 3, 120, False)],
        *[(5, 5, 114, True), (5, 5, 115, False), (5, 5, 120, False), (5, 5, 121, True)],  # the last third of the window
    ],
)
def test_a_round_is_complete_when_all_is_open_or_time_is_over(
    commits: int, reveals: int, now: int, complete: bool
) -> None:
    ctx = context()
    full = collected(ctx, 5)
    collection = Collection(ctx)
    for miner in MINERS[:commits]:
        collection.commit(miner, full.commits[miner])
    for miner in MINERS[:reveals]:
        collection.reveal(full.reveals[miner])
    assert collection.complete(now) is complete


@given(st.binary(max_size=400))
def test_hostile_proposals_raise_only_protocol_errors(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        Proposal.from_bytes(data)


@given(st.data())
def test_a_proposal_with_any_value_replaced_is_refused_or_unchanged(data: st.DataObject) -> None:
    ctx, collection, proposal = honest({MINERS[2]: "duplicate"})
    value: Any = json.loads(proposal.to_bytes())
    node, path = value, []
    while isinstance(node, dict | list) and node:
        key = data.draw(st.sampled_from(sorted(node) if isinstance(node, dict) else range(len(node))))
        path.append((node, key))
        node = node[key]
    parent, key = path[-1]
    floats = st.floats(allow_nan=False, allow_infinity=False)
    junk = st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=8), floats)
    parent[key] = data.draw(junk)
    if encode(value) == proposal.to_bytes():
        return
    with pytest.raises(ProtocolError):
        check_proposal(ctx, collection, Proposal.from_bytes(encode(value)), AUDIT_SEED)
