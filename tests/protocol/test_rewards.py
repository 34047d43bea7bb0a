from __future__ import annotations

import pytest
from eth_utils import to_checksum_address
from hypothesis import given
from hypothesis import strategies as st

from pot_chain.protocol.errors import ProtocolError
from pot_chain.protocol.merkle import reward_leaf, verify_proof
from pot_chain.protocol.rewards import RewardLedger, RewardRule, round_rewards

ACCOUNTS = [str(to_checksum_address(bytes([i + 1]) * 20)) for i in range(24)]
MINERS, OPERATORS = ACCOUNTS[:12], ACCOUNTS[12:]


@st.composite
def rounds(draw: st.DrawFn) -> tuple[RewardRule, dict[str, int], list[str], int, list[str]]:
    rule = RewardRule(draw(st.integers(0, 1 << 100)), draw(st.integers(0, 10_000)))
    members = draw(st.lists(st.sampled_from(MINERS), unique=True, min_size=1))
    weights = {member: draw(st.integers(1, 1 << 40)) for member in members}
    accepted = draw(st.lists(st.sampled_from(members), unique=True))
    reporting = draw(st.lists(st.sampled_from(OPERATORS), unique=True))
    return rule, weights, accepted, draw(st.integers(max(4, len(reporting)), 40)), reporting


@given(rounds())
def test_a_round_never_allocates_more_than_its_pool_and_pays_only_who_worked(
    case: tuple[RewardRule, dict[str, int], list[str], int, list[str]],
) -> None:
    rule, weights, accepted, validators, reporting = case
    earned = round_rewards(rule, weights=weights, accepted=accepted, validators=validators, reporting=reporting)
    assert sum(earned.values()) <= rule.per_round
    assert set(earned) <= set(accepted) | set(reporting)
    assert all(amount > 0 for amount in earned.values())


@given(rounds())
def test_nobody_gains_by_the_rejection_of_another(
    case: tuple[RewardRule, dict[str, int], list[str], int, list[str]],
) -> None:
    rule, weights, accepted, validators, reporting = case
    everybody = round_rewards(
        rule, weights=weights, accepted=list(weights), validators=validators, reporting=OPERATORS[: min(12, validators)]
    )
    some = round_rewards(rule, weights=weights, accepted=accepted, validators=validators, reporting=reporting)
    assert all(some[account] == everybody.get(account, some[account]) for account in some)


def test_the_pool_is_spent_but_for_the_dust_when_all_work() -> None:
    rule = RewardRule(1_000_003, 2_000)
    weights = dict.fromkeys(MINERS[:5], 32)
    earned = round_rewards(rule, weights=weights, accepted=list(weights), validators=4, reporting=OPERATORS[:4])
    assert {earned[miner] for miner in weights} == {rule.miner_pool // 5}
    assert rule.per_round - sum(earned.values()) < 9


def test_a_stranger_is_never_paid() -> None:
    with pytest.raises(ProtocolError, match="no member"):
        round_rewards(RewardRule(10, 0), weights={MINERS[0]: 1}, accepted=[MINERS[1]], validators=4, reporting=[])
    with pytest.raises(ProtocolError, match="one verdict report"):
        round_rewards(
            RewardRule(10, 0), weights={MINERS[0]: 1}, accepted=[], validators=4, reporting=[OPERATORS[0]] * 2
        )


@given(st.dictionaries(st.sampled_from(ACCOUNTS), st.integers(0, 1 << 90), min_size=1), st.integers(0, 1 << 60))
def test_every_leaf_of_a_ledger_proves_itself_and_no_other_amount(cumulative: dict[str, int], task_id: int) -> None:
    ledger = RewardLedger(task_id, {}).add(cumulative)
    assert ledger.total == sum(cumulative.values())
    for account, amount in cumulative.items():
        proof = ledger.proof(account)
        assert verify_proof(reward_leaf(task_id, account, amount), proof, ledger.root)
        assert not verify_proof(reward_leaf(task_id, account, amount + 1), proof, ledger.root)
        assert not verify_proof(reward_leaf(task_id + 1, account, amount), proof, ledger.root)
