"""What an account earned and why, and that claims pay exactly that."""

from __future__ import annotations

from dataclasses import replace

import pytest
from eth_account.signers.local import LocalAccount

from pot_chain.chain.errors import TaskNotFound
from pot_chain.chain.wallet import balances
from pot_chain.owner.errors import NothingToPay, RecordMismatch
from pot_chain.owner.nodes import register_miner
from pot_chain.owner.records import RecordReader
from pot_chain.owner.rewards import claim, claim_many, earnings_of
from pot_chain.owner.settle import refund_task
from pot_chain.owner.tasks import synced
from pot_chain.protocol.eip712 import outcome_hash
from pot_chain.protocol.record import Reveal

from .conftest import ETHER, World

POOL = ETHER * 8 // 10
SHARE = ETHER * 2 // 10 // 4


def held(world: World, account: str) -> int:
    return balances(world.client().web3, [account])[account]


@pytest.fixture(scope="module")
def played(world: World) -> tuple[int, list[LocalAccount]]:
    """Three rounds with two miners: both accepted; the second rejected; one validator silent."""
    task_id = world.create().task_id
    miners = world.join(task_id)
    world.play_round(task_id)
    world.play_round(task_id, rejected={miners[1].address: "not_finite"})
    world.play_round(task_id, reporting=3)
    return task_id, miners


def test_a_miner_sees_what_it_earned_and_why(world: World, played: tuple[int, list[LocalAccount]]) -> None:
    task_id, miners = played
    client, records = world.client(), RecordReader(world.store)
    good, bad = (earnings_of(client, records, task_id, miner.address) for miner in miners)
    assert [(item.verdict, item.earned) for item in good.rounds] == [("accepted", POOL // 2)] * 3
    assert [(item.verdict, item.earned) for item in bad.rounds] == [
        ("accepted", POOL // 2),
        ("rejected: not_finite", 0),
        ("accepted", POOL // 2),
    ]
    assert (good.earned, good.claimed, good.claimable) == (3 * POOL // 2, 0, 3 * POOL // 2)
    assert bad.earned == POOL


def test_a_validator_sees_its_reports(world: World, played: tuple[int, list[LocalAccount]]) -> None:
    task_id, _ = played
    client, records = world.client(), RecordReader(world.store)
    found = [
        earnings_of(client, records, task_id, validator.address) for validator in world.network.description().validators
    ]
    assert sorted(item.earned for item in found) == [2 * SHARE, 3 * SHARE, 3 * SHARE, 3 * SHARE]
    silent = min(found, key=lambda item: item.earned)
    assert [item.verdict for item in silent.rounds] == ["reported", "reported", "no report"]


def test_a_stranger_has_earned_nothing(world: World, played: tuple[int, list[LocalAccount]]) -> None:
    task_id, _ = played
    stranger = world.account()
    records = RecordReader(world.store)
    found = earnings_of(world.client(), records, task_id, stranger.address)
    assert {item.verdict for item in found.rounds} == {"not a member"}
    with pytest.raises(NothingToPay, match="has earned nothing") as caught:
        claim(world.client(stranger), records, task_id, stranger.address)
    assert f"pot miner status --task {task_id}" in caught.value.hint


def test_claims_and_refund_empty_the_escrow_to_the_wei(world: World) -> None:
    owner = world.account()
    task_id = world.create(owner, rewards={"budget": 3 * 10**18 + 7}, miners={"min": 3, "max": 8}).task_id
    miners = world.join(task_id, 3)
    world.play_round(task_id)
    # claimed in the middle: the next claim pays the difference
    records = RecordReader(world.store)
    first = claim(world.client(miners[0]), records, task_id, miners[0].address)
    world.play_round(task_id, rejected={miners[2].address: "duplicate"})
    world.play_round(task_id, reporting=3)
    relay = world.client(world.account())
    paid = first.amount
    accounts = [m.address for m in miners] + [v.address for v in world.network.description().validators]
    for account in accounts:
        before = held(world, account)
        done = claim(synced(relay), records, task_id, account)
        assert held(world, account) == before + done.amount
        assert done.cumulative == earnings_of(synced(relay), records, task_id, account).earned
        paid += done.amount
    with pytest.raises(NothingToPay, match="has been paid all"):
        claim(synced(relay), records, task_id, miners[0].address)
    refunded = refund_task(relay, task_id).amount
    task = relay.training.task(task_id)
    assert paid == task.allocated == task.claimed
    assert paid + refunded == task.params.budget == 3 * 10**18 + 7


def test_open_and_skipped_rounds_and_silence_are_told(world: World) -> None:
    task_id = world.create(timing={"commit_window": 30, "reveal_window": 5, "finalize_window": 5}).task_id
    miners = world.join(task_id)
    records = RecordReader(world.store)

    def verdicts(account: str) -> list[str]:
        return [item.verdict for item in earnings_of(world.client(), records, task_id, account).rounds]

    assert verdicts(miners[0].address) == ["open: no commit yet"]
    client = world.client(miners[0])
    client.send(client.training.commit_gradient(task_id, 0, bytes([1]) * 32))
    assert verdicts(miners[0].address) == ["open: committed"]
    world.travel(60)
    client.send(client.training.skip_round(task_id))
    world.play_round(task_id, absent=frozenset({miners[1].address}))
    assert verdicts(miners[0].address)[:2] == ["skipped", "accepted"]
    assert verdicts(miners[1].address)[:2] == ["skipped", "no commit"]


def test_a_record_that_contradicts_the_chain_is_not_believed(world: World) -> None:
    """A corrupt quorum could sign it: everybody else has to notice."""
    task_id = world.create().task_id
    miners = world.join(task_id)
    thief = world.account()
    world.play_round(task_id, spoil=lambda record: replace(record, cumulative={thief.address: ETHER}))
    records = RecordReader(world.store)
    with pytest.raises(RecordMismatch, match="does not lead to the rewards root on chain"):
        claim(world.client(thief), records, task_id, thief.address)
    with pytest.raises(RecordMismatch, match="round 0 of task"):
        earnings_of(world.client(), records, task_id, miners[0].address)


def test_a_record_of_another_round_is_not_believed(world: World) -> None:
    task_id = world.create().task_id
    miners = world.join(task_id)
    world.play_round(task_id, spoil=lambda record: replace(record, round=5))
    with pytest.raises(RecordMismatch, match="is of round 5 of task"):
        claim(world.client(miners[0]), RecordReader(world.store), task_id, miners[0].address)


def test_rewards_of_several_tasks_are_claimed_in_one_transaction(world: World) -> None:
    first, second, third = (world.create().task_id for _ in range(3))
    miner = world.account()
    client, records = world.client(miner), RecordReader(world.store)
    register_miner(client)
    for task_id in (first, second, third):
        client.send(client.training.join(task_id), gas=500_000)
        world.join(task_id, 1)
    for task_id in (first, third):
        world.play_round(task_id)
    before = held(world, miner.address)
    paid = claim_many(world.client(miner), records, [first, second, third, first], miner.address)
    assert [(item.task_id, item.amount) for item in paid] == [(first, POOL // 2), (third, POOL // 2)]
    assert len({item.transaction for item in paid}) == 1
    assert held(world, miner.address) == before + POOL - paid[0].fee
    with pytest.raises(NothingToPay, match="has nothing to claim in these tasks"):
        claim_many(world.client(miner), records, [first, second, third], miner.address)


def test_an_outcome_is_found_whatever_number_of_chain_reveals_it_counts(world: World) -> None:
    """A reveal on chain that came when the certificate was signed already is not counted."""
    task_id = world.create().task_id
    miners = world.join(task_id)
    world.play_round(task_id)
    task = world.client().history.tasks[task_id]
    final = task.rounds[0]
    for miner in miners:
        final = replace(final, reveals={**final.reveals, miner.address: Reveal(miner.address, bytes(32), bytes(32))})
        outcome = RecordReader(world.store).outcome(task, final)
        assert (outcome.chain_reveals, outcome.accepted) == (0, 2)
        assert outcome_hash(outcome) == task.head


def test_a_record_that_does_not_lead_to_the_head_pays_nobody(world: World) -> None:
    task_id = world.create().task_id
    miners = world.join(task_id)
    world.play_round(task_id, spoil=lambda record: replace(record, rejected={miners[1].address: "duplicate"}))
    with pytest.raises(RecordMismatch, match="does not lead to the task's head"):
        claim(world.client(miners[0]), RecordReader(world.store), task_id, miners[0].address)


def test_a_record_that_tells_another_loss_is_not_believed(world: World) -> None:
    task_id = world.create().task_id
    miners = world.join(task_id)
    world.play_round(task_id, spoil=lambda record: replace(record, train_loss=0.1))
    with pytest.raises(RecordMismatch, match="tells another loss than the chain"):
        claim(world.client(miners[0]), RecordReader(world.store), task_id, miners[0].address)


def test_a_task_that_does_not_exist(world: World) -> None:
    client = world.client(world.account())
    with pytest.raises(TaskNotFound, match="there is no task 4242"):
        claim(client, RecordReader(world.store), 4242, client.account.address if client.account else "")
