"""Creating a task: what is on chain and in the store afterwards, and that nothing happens before it can be paid."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ipfs import open_store
from ipfs.errors import DaemonDown
from pot_chain.chain.bindings import TaskState
from pot_chain.chain.compiler import Artifact, compile_contracts
from pot_chain.chain.contract import Call, Contract
from pot_chain.chain.errors import ContractReverted, DeploymentError
from pot_chain.chain.project import find_project
from pot_chain.chain.reverts import RevertDecoder
from pot_chain.chain.sender import TransactionSender
from pot_chain.chain.token import Token
from pot_chain.chain.wallet import balances
from pot_chain.cli.views import SpecView, task_json
from pot_chain.localnet.ports import free_port
from pot_chain.owner import create
from pot_chain.owner.create import create_task
from pot_chain.owner.errors import BudgetAboveBalance, OwnerError
from pot_chain.owner.records import RecordReader
from pot_chain.owner.settle import refund_task
from pot_chain.owner.tasks import view_task
from pot_chain.protocol.addresses import ZERO_ADDRESS
from pot_chain.protocol.errors import PotError
from pot_chain.protocol.spec import InvalidSpec, TaskSpec
from worker.data import DataError, load_source, pin_dataset
from worker.models import ModelError
from worker.task import TrainingTask

from .conftest import ETHER, SPEC, World


def test_a_task_is_on_chain_and_everything_it_names_is_in_the_store(world: World) -> None:
    owner = world.account(5 * ETHER)
    created = world.create(owner)
    task = world.client().training.task(created.task_id)
    assert task.state is TaskState.OPEN
    assert task.owner == owner.address
    assert task.params == created.params
    assert (task.params.budget, task.params.reward_per_round, task.params.rounds) == (3 * ETHER, ETHER, 3)
    assert (task.params.min_miners, task.params.max_miners, task.params.token) == (2, 8, ZERO_ADDRESS)
    assert balances(world.client().web3, [owner.address])[owner.address] == 2 * ETHER - created.fee

    training = TrainingTask.load(world.store, task.params.spec)
    assert training.spec == created.spec
    assert training.spec.data.source is None
    assert training.dataset.samples == 1438
    assert len(list(training.dataset.test_batches())) > 0
    assert training.checkpoint(task.params.checkpoint).round == 0
    assert set(training.parameters(task.params.checkpoint)) == set(training.shapes)


def test_a_stop_loss_stands_on_chain_and_ends_the_task(world: World) -> None:
    created = world.create(stop_loss={"loss": 1.25, "after": 2})
    task_id, client = created.task_id, world.client()
    assert (created.params.stop_loss, created.params.stop_loss_after) == (1_250_000, 2)
    world.join(task_id)
    world.play_round(task_id, loss=1.5)
    assert client.training.task(task_id).state is TaskState.RUNNING
    world.play_round(task_id, loss=1.5)
    assert client.training.task(task_id).state is TaskState.STOPPED
    view = view_task(world.client(), RecordReader(world.store), task_id)
    assert view.history.ended
    shown = task_json(view, SpecView.of(world.store, view.history))
    assert (shown["state"], shown["stop_loss"]) == ("stopped", {"loss": 1.25, "after": 2})
    assert refund_task(world.client(world.account()), task_id).amount == ETHER


def test_data_that_is_pinned_already_is_used(world: World) -> None:
    pinned = pin_dataset(load_source("digits"), world.store)
    created = create_task(world.client(world.account()), world.store, world.spec().with_data(pinned.cid))
    assert created.spec.data.manifest == pinned.cid


def test_the_number_of_miners_is_bounded_by_the_data_unless_it_was_asked_for(world: World) -> None:
    many = {"samples_per_miner": 100}
    spec = TaskSpec.parse({**SPEC, "training": {**SPEC["training"], **many}, "miners": {"min": 2}})
    created = create_task(world.client(world.account()), world.store, spec)
    assert created.params.max_miners == 1438 // 100
    with pytest.raises(InvalidSpec, match="20 miners times 100 samples need 2000; the data set has 1438"):
        world.create(training=many, miners={"max": 20})


@pytest.mark.parametrize(
    ("balance", "message"),
    [
        (ETHER, r"the budget of 3 ETH is above the balance of 0x\w{40}: 1 ETH"),
        (3 * ETHER, r"the balance of 0x\w{40}, 3 ETH, leaves too little for the transaction's fee"),
        (0, r"the budget of 3 ETH is above the balance of 0x\w{40}: 0 ETH"),
    ],
)
def test_a_budget_above_the_balance_is_refused_before_anything_happens(
    world: World, balance: int, message: str
) -> None:
    owner, before, tasks = world.account(balance), world.store.pins(), world.client().training.task_count()
    with pytest.raises(BudgetAboveBalance, match=message) as caught:
        world.create(owner, training={"seed": 99})
    assert "send at least" in caught.value.hint
    assert world.store.pins() == before
    assert world.client().training.task_count() == tasks
    assert balances(world.client().web3, [owner.address])[owner.address] == balance


@pytest.mark.parametrize(
    ("sections", "error", "message"),
    [
        ({"rewards": {"budget": "2wei"}}, InvalidSpec, "rewards.budget: 2 is less than one unit for each of 3 rounds"),
        ({"model": {"name": "oracle"}}, ModelError, "there is no model 'oracle'"),
        ({"model": {"params": {"inputs": 64, "classes": 1}}}, ModelError, "classes"),
        ({"model": {"params": {"inputs": 9, "classes": 10}}}, ModelError, "takes 9 values a sample"),
        ({"data": {"source": "nowhere"}}, DataError, "there is no data set 'nowhere'"),
    ],
)
def test_what_is_not_possible_is_refused_and_leaves_nothing_behind(
    world: World, sections: dict[str, Any], error: type[PotError], message: str
) -> None:
    before, tasks = world.store.pins(), world.client().training.task_count()
    with pytest.raises(error, match=message) as caught:
        world.create(**sections)
    assert caught.value.hint
    assert world.store.pins() == before
    assert world.client().training.task_count() == tasks


def test_a_client_that_only_reads_cannot_pay(world: World) -> None:
    with pytest.raises(OwnerError, match="needs an account"):
        create_task(world.client(), world.store, world.spec())


def test_a_store_that_is_down_is_named(world: World) -> None:
    port = free_port()
    with open_store(f"http://127.0.0.1:{port}") as store, pytest.raises(DaemonDown, match=str(port)):
        create_task(world.client(world.account()), store, world.spec())


# ---- tokens


@pytest.fixture(scope="session")
def token_artifact() -> Artifact:
    return compile_contracts(replace(find_project(), source="contracts/test/mocks"))["TestToken"]


class Mint:
    """Deploys a test token and gives its coins away."""

    def __init__(self, world: World, artifact: Artifact) -> None:
        self.sender = TransactionSender(world.client().web3, world.account())
        mined = self.sender.send(Call(to=None, data=artifact.bytecode))
        assert mined.contract is not None
        self.address = mined.contract
        self.contract = Contract(self.sender.web3, mined.contract, artifact.abi, RevertDecoder([artifact.abi]))
        self.token = Token(self.sender.web3, mined.contract)

    def give(self, account: str, units: int) -> None:
        self.sender.send(self.contract.call("mint", account, units))


@pytest.fixture
def mint(world: World, token_artifact: Artifact) -> Mint:
    return Mint(world, token_artifact)


def test_a_task_can_be_paid_in_tokens(world: World, mint: Mint) -> None:
    owner = world.account()
    mint.give(owner.address, 5000)
    created = world.create(owner, rewards={"budget": 3000, "token": mint.address})
    assert mint.token.balance_of(owner.address) == 2000
    assert mint.token.balance_of(world.client().training.address) == 3000
    assert mint.token.allowance(owner.address, world.client().training.address) == 0
    assert created.params.token == mint.address


def test_an_earlier_smaller_allowance_is_replaced_by_exactly_the_budget(world: World, mint: Mint) -> None:
    owner = world.account()
    mint.give(owner.address, 5000)
    client = world.client(owner)
    client.send(mint.token.approve(client.training.address, 7))
    create_task(client, world.store, world.spec(rewards={"budget": 3000, "token": mint.address}))
    assert mint.token.allowance(owner.address, client.training.address) == 0


def test_too_few_tokens_are_noticed_first(world: World, mint: Mint) -> None:
    owner, before = world.account(), world.store.pins()
    mint.give(owner.address, 2999)
    with pytest.raises(
        BudgetAboveBalance, match=f"3000 units of {mint.address} is above the balance .*: 2999"
    ) as caught:
        world.create(owner, rewards={"budget": 3000, "token": mint.address}, training={"seed": 98})
    assert "send 1 units more" in caught.value.hint
    assert world.store.pins() == before


def test_tokens_need_coins_for_the_fee(world: World, mint: Mint) -> None:
    owner = world.account(1)
    mint.give(owner.address, 3000)
    with pytest.raises(BudgetAboveBalance, match="leaves too little for the transaction's fee"):
        world.create(owner, rewards={"budget": 3000, "token": mint.address})


def test_a_token_that_is_no_contract_is_named(world: World) -> None:
    nowhere = world.account(0).address
    with pytest.raises(DeploymentError, match=nowhere):
        world.create(rewards={"budget": 3000, "token": nowhere})


def test_what_was_pinned_for_a_task_that_is_refused_is_given_up(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The contract refuses rewards above the budget; only a faulty client would ask for them, so one is made."""
    world.create(training={"seed": 41})
    before = world.store.pins()
    honest = create._params
    monkeypatch.setattr(create, "_params", lambda *arguments: replace(honest(*arguments), reward_per_round=2 * ETHER))
    with pytest.raises(ContractReverted, match="budget"):
        world.create(training={"seed": 42})
    assert world.store.pins() == before, "new content is unpinned, that of the other task (the same data) stays"
