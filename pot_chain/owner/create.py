"""Creating a task: check, pin, fund, verify. Nothing is pinned or sent before it is known that it can be paid."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from ipfs.store import Store
from pot_chain.chain.bindings import TaskParams
from pot_chain.chain.errors import ChainError, TransactionPending
from pot_chain.chain.events import TaskCreated
from pot_chain.chain.fees import FeePolicy
from pot_chain.chain.network import ChainClient
from pot_chain.chain.token import Token
from pot_chain.chain.wallet import balances
from pot_chain.owner.errors import BudgetAboveBalance, OwnerError
from pot_chain.owner.pinning import Pins
from pot_chain.owner.signer import account_of
from pot_chain.protocol.addresses import ZERO_ADDRESS, Address, Digest
from pot_chain.protocol.manifests import Checkpoint
from pot_chain.protocol.spec import InvalidSpec, MinersSpec, TaskSpec
from pot_chain.protocol.units import format_amount
from worker.data import DatasetManifest, fetch_manifest, load_source, pin_dataset
from worker.models import initial_parameters, require_fit, resolve
from worker.tensors import encode

CREATE_GAS: Final = 500_000
"""More than creating a task, or two approvals, cost: what is set aside for fees when the balance is checked."""

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class CreatedTask:
    """A task on chain.

    Attributes:
        transaction: hash of the transaction that created it, 0x-hex.
        fee: wei paid for that transaction.
        spec: as pinned: data by manifest, budget and the greatest number of miners filled in.
        params: as on chain.
        model_bytes: size of the initial parameters.
    """

    task_id: int
    transaction: str
    fee: int
    spec: TaskSpec
    params: TaskParams
    model_bytes: int


def create_task(client: ChainClient, store: Store, spec: TaskSpec, *, say: Say = lambda _: None) -> CreatedTask:
    """Pin spec, data and initial model, escrow the budget, and create the task.

    When it fails, what was pinned for it is given up again.

    Args:
        client: opened with the account that pays.
        spec: with a budget; data by source or manifest.
        say: told what is being done.

    Raises:
        InvalidSpec, ModelError, DataError: the spec asks for something that is not possible.
        BudgetAboveBalance: the account cannot pay; nothing has been pinned or sent.
        ChainError: the contract or the token refuses, or the chain cannot be reached.
        IpfsError: the content store does not take the content.
    """
    account = account_of(client).address
    budget = _check_spec(spec)
    _check_balance(client, account, spec.rewards.token, budget)
    with Pins(store) as pins:
        say("preparing the data")
        spec = _with_pinned_data(pins, spec)
        say("drawing the initial model")
        spec_digest = pins.put_manifest(spec.to_bytes())
        parameters = initial_parameters(spec.model.name, spec.model.params, spec.training.seed)
        model = encode(parameters)
        checkpoint = Checkpoint(spec_digest, 0, pins.add(model), len(model))
        params = _params(spec, budget, spec_digest, pins.put_manifest(checkpoint.to_bytes()))
        if params.token != ZERO_ADDRESS:
            say("approving the budget")
            _approve(client, account, params.token, budget)
        say("creating the task")
        try:
            mined = client.send(client.training.create_task(params))
        except TransactionPending:
            pins.keep()  # it may yet be mined, and then its content must be there
            raise
        pins.keep()
    created = [event for event in client.contracts.events(mined.logs) if isinstance(event, TaskCreated)]
    if len(created) != 1 or created[0].params != params or created[0].owner != account:
        raise ChainError(
            f"transaction {mined.transaction} did not create the task that was asked for",
            "do not use this deployment: its contract is another one",
        )
    return CreatedTask(created[0].task_id, mined.transaction, mined.fee, spec, params, checkpoint.size)


def _check_spec(spec: TaskSpec) -> int:
    """What can be said about the spec without data; returns the budget."""
    if spec.reward_per_round == 0:
        raise InvalidSpec(
            f"rewards.budget: {spec.rewards.budget} is less than one unit for each of {spec.training.rounds} rounds",
            "raise the budget, or lower training.rounds",
        )
    resolve(spec.model.name, spec.model.params)
    assert spec.rewards.budget is not None  # reward_per_round has looked
    return spec.rewards.budget


def _check_balance(client: ChainClient, account: Address, token: Address, budget: int) -> None:
    coins = balances(client.web3, [account])[account]
    fee, _ = FeePolicy().current(client.web3)
    fees = CREATE_GAS * fee.limit
    if token != ZERO_ADDRESS:
        held = Token(client.web3, token).balance_of(account)
        if held < budget:
            raise BudgetAboveBalance(
                f"the budget of {budget} units of {token} is above the balance of {account}: {held}",
                f"lower the budget, or send {budget - held} units more to the account",
            )
    elif coins < budget:
        raise BudgetAboveBalance(
            f"the budget of {format_amount(budget)} is above the balance of {account}: {format_amount(coins)}",
            f"lower the budget, or send at least {format_amount(budget + fees - coins)} more to the account",
        )
    needed = fees + (budget if token == ZERO_ADDRESS else 0)
    if coins < needed:
        raise BudgetAboveBalance(
            f"the balance of {account}, {format_amount(coins)}, leaves too little for the transaction's fee "
            f"(up to {format_amount(fees)})",
            f"lower the budget, or send at least {format_amount(needed - coins)} more to the account",
        )


def _with_pinned_data(pins: Pins, spec: TaskSpec) -> TaskSpec:
    """The spec with its data pinned and its number of miners bounded by what the data allow."""
    if spec.data.source is not None:
        pinned = pin_dataset(load_source(spec.data.source), pins)
        manifest, cid = pinned.manifest, pinned.cid
    else:
        assert spec.data.manifest is not None  # DataSpec has one of the two
        manifest, cid = fetch_manifest(spec.data.manifest, pins), spec.data.manifest
    require_fit(spec.model.name, spec.model.params, features=manifest.features, classes=manifest.classes)
    return spec.with_data(cid).model_copy(update={"miners": _bounded(spec, manifest)})


def _bounded(spec: TaskSpec, manifest: DatasetManifest) -> MinersSpec:
    """Members of a round train on disjoint samples, so the data bound their number."""
    each, most = spec.training.samples_per_miner, manifest.samples // spec.training.samples_per_miner
    wanted = spec.miners.max if "max" in spec.miners.model_fields_set else spec.miners.min
    if wanted > most:
        raise InvalidSpec(
            f"{wanted} miners times {each} samples need {wanted * each}; the data set has {manifest.samples}",
            "lower training.samples_per_miner or the number of miners",
        )
    return spec.miners.model_copy(update={"max": min(spec.miners.max, most)})


def _params(spec: TaskSpec, budget: int, spec_digest: Digest, checkpoint: Digest) -> TaskParams:
    return TaskParams(
        spec=spec_digest,
        checkpoint=checkpoint,
        token=spec.rewards.token,
        budget=budget,
        reward_per_round=spec.reward_per_round,
        rounds=spec.training.rounds,
        min_miners=spec.miners.min,
        max_miners=spec.miners.max,
        max_skips=spec.timing.max_skips,
        start_window=spec.timing.start_window,
        commit_window=spec.timing.commit_window,
        reveal_window=spec.timing.reveal_window,
        finalize_window=spec.timing.finalize_window,
        stop_loss_after=spec.stop_loss.after if spec.stop_loss else 0,
        stop_loss=spec.stop_loss.units if spec.stop_loss else 0,
    )


def _approve(client: ChainClient, account: Address, address: Address, budget: int) -> None:
    """Let the contract take the budget, and not a unit more than that."""
    token = Token(client.web3, address)
    allowed = token.allowance(account, client.training.address)
    if allowed >= budget:
        return
    if allowed > 0:
        client.send(token.approve(client.training.address, 0))  # some tokens refuse to change an allowance in one step
    client.send(token.approve(client.training.address, budget))
    if token.allowance(account, client.training.address) < budget:
        raise OwnerError(f"the token {address} did not take the approval", "use another token, or the native coin")
