"""Cancelling and refunding: who may, when, and that every wei comes back."""

from __future__ import annotations

import pytest

from pot_chain.chain.bindings import TaskState
from pot_chain.chain.errors import TaskNotFound
from pot_chain.chain.wallet import balances
from pot_chain.owner.errors import NothingToPay, NotYours, WrongState
from pot_chain.owner.settle import cancel_task, refund_task

from .conftest import ETHER, World


def test_an_open_task_ends_at_once_and_its_budget_comes_back(world: World) -> None:
    owner = world.account()
    task_id = world.create(owner).task_id
    client = world.client(owner)
    assert cancel_task(client, task_id).after_round is None
    assert client.training.task(task_id).state is TaskState.CANCELLED
    payer = world.account()
    before = balances(client.web3, [owner.address])[owner.address]
    refunded = refund_task(world.client(payer), task_id)
    assert (refunded.owner, refunded.amount) == (owner.address, 3 * ETHER)
    assert balances(client.web3, [owner.address])[owner.address] == before + 3 * ETHER


def test_only_the_owner_cancels_and_only_once(world: World) -> None:
    owner, stranger = world.account(), world.account()
    task_id = world.create(owner).task_id
    with pytest.raises(NotYours, match=f"belongs to {owner.address}, not to {stranger.address}"):
        cancel_task(world.client(stranger), task_id)
    world.join(task_id)
    client = world.client(owner)
    assert cancel_task(client, task_id).after_round == 0
    with pytest.raises(WrongState, match="is being cancelled: it ends with round 0"):
        cancel_task(client, task_id)
    world.play_round(task_id)
    with pytest.raises(WrongState, match=r"has ended already \(cancelled\)"):
        cancel_task(client, task_id)


def test_a_refund_returns_what_no_round_has_earned_and_no_more(world: World) -> None:
    owner = world.account()
    task_id = world.create(owner).task_id
    world.join(task_id)
    world.play_round(task_id)
    client = world.client(owner)
    with pytest.raises(WrongState, match="is running: round 1, 1 of 3 are final"):
        refund_task(client, task_id)
    cancel_task(client, task_id)
    world.play_round(task_id, reporting=3)
    task = client.training.task(task_id)
    refunded = refund_task(client, task_id)
    assert refunded.amount == 3 * ETHER - task.allocated
    assert task.allocated == ETHER + (ETHER * 8 // 10) + 3 * (ETHER * 2 // 10 // 4)
    with pytest.raises(NothingToPay, match="nothing is left to refund") as caught:
        refund_task(client, task_id)
    assert "went back to the owner" in caught.value.hint


def test_an_open_task_is_refunded_only_when_its_start_is_overdue(world: World) -> None:
    owner = world.account()
    task_id = world.create(owner, timing={"start_window": 60}).task_id
    client = world.client(owner)
    with pytest.raises(WrongState, match="waits for 2 miners and has 0") as caught:
        refund_task(client, task_id)
    assert f"pot task cancel {task_id}" in caught.value.hint
    world.travel(61)
    assert refund_task(client, task_id).amount == 3 * ETHER
    assert client.training.task(task_id).state is TaskState.EXPIRED


def test_a_cancelled_task_whose_validators_are_gone_is_ended_by_the_refund(world: World) -> None:
    owner = world.account()
    task_id = world.create(owner, timing={"commit_window": 5, "reveal_window": 5, "finalize_window": 5}).task_id
    world.join(task_id)
    client = world.client(owner)
    cancel_task(client, task_id)
    with pytest.raises(WrongState, match="is running"):
        refund_task(client, task_id)
    world.travel(20)
    assert refund_task(client, task_id).amount == 3 * ETHER
    assert client.training.task(task_id).state is TaskState.CANCELLED


def test_a_task_that_does_not_exist(world: World) -> None:
    client = world.client(world.account())
    with pytest.raises(TaskNotFound, match="there is no task 4242"):
        cancel_task(client, 4242)
    with pytest.raises(TaskNotFound, match="there is no task 4242"):
        refund_task(client, 4242)
