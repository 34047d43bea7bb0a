"""The largest task that a spec may ask for can be decided: its proposal fits the wire and its record one block."""

from __future__ import annotations

import pytest

from pot_chain.pbft.messages import MAX_PAYLOAD_BYTES
from pot_chain.protocol.addresses import canonical_order
from pot_chain.protocol.eip712 import signing_digest
from pot_chain.protocol.record import MAX_RECORD_BYTES, Reveal, SignedReport
from pot_chain.protocol.rewards import RewardLedger, RewardRule
from pot_chain.protocol.round import MAX_PROPOSAL_BYTES, Collection, RoundContext, make_proposal, report_statement
from pot_chain.protocol.seal import gradient_seal
from pot_chain.protocol.signing import address_of, sign_digest
from pot_chain.protocol.spec import MAX_MINERS, MinersSpec
from pot_chain.protocol.votes import Slot
from tests.validator.cluster import DOMAIN

WEI = 10**26


@pytest.mark.parametrize("validators", [4, 10])
def test_a_round_of_the_most_miners_fits(validators: int) -> None:
    """A third of the work is bad and everybody says so; one validator lies and rejects all."""
    miners = canonical_order("0x" + f"{i:040x}" for i in range(1, MinersSpec(max=MAX_MINERS).max + 1))
    keys = {address_of(key): key for key in (i.to_bytes(32, "big") for i in range(1, validators + 1))}
    voters = canonical_order(keys)
    slot = Slot(10**6, 10**6, 10**6)
    context = RoundContext(
        domain=DOMAIN,
        slot=slot,
        parent=b"\x01" * 32,
        seed=b"\x02" * 32,
        members=miners,
        commit_deadline=1,
        reveal_deadline=2,
        finalize_deadline=3,
        voters=voters,
        operators={voter: voter for voter in voters},
        ledger=RewardLedger(slot.task_id, dict.fromkeys((*miners, *voters), WEI)),
        rule=RewardRule(WEI, 2_000),
        weights=dict.fromkeys(miners, 1),
    )
    collection = Collection(context)
    for miner in miners:
        seal = gradient_seal(DOMAIN, slot.task_id, slot.round, miner, b"\x03" * 32, b"\x04" * 32)
        collection.commit(miner, seal)
        collection.reveal(Reveal(miner, b"\x03" * 32, b"\x04" * 32), on_chain=True)
    rejected = dict.fromkeys(miners[: MAX_MINERS // 3], "gradient_mismatch")
    reports = []
    for voter in voters:
        said = dict.fromkeys(miners, "gradient_mismatch") if voter == voters[0] else rejected
        statement = report_statement(context, collection.reveals, said)
        reports.append(SignedReport(voter, said, sign_digest(keys[voter], signing_digest(DOMAIN, statement))))
    proposal = make_proposal(
        context,
        collection,
        rejected=rejected,
        reports=reports,
        audit_seed=b"\x05" * 32,
        checkpoint=b"\x06" * 32,
        losses=dict.fromkeys(miners, 1.0),
    )
    assert len(proposal.to_bytes()) <= min(MAX_PROPOSAL_BYTES, MAX_PAYLOAD_BYTES)
    assert len(proposal.record.to_bytes()) <= MAX_RECORD_BYTES
