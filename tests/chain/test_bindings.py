"""The typed bindings against the real contracts: every function, every event, hashes equal to the protocol's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from eth_account import Account
from eth_utils import keccak
from web3 import Web3

from pot_chain.chain import events as ev
from pot_chain.chain.abi import encode, snake_case
from pot_chain.chain.anvil import AnvilProcess
from pot_chain.chain.bindings import Contracts
from pot_chain.chain.compiler import compile_contracts
from pot_chain.chain.connection import rpc
from pot_chain.chain.contract import Call
from pot_chain.chain.deploy import deploy
from pot_chain.chain.deployment import Deployment
from pot_chain.chain.errors import ContractReverted, TaskNotFound
from pot_chain.chain.logs import Event
from pot_chain.chain.project import Project
from pot_chain.chain.registry import Registry
from pot_chain.chain.sender import TransactionSender
from pot_chain.chain.structs import (
    Claim,
    CommitCertificate,
    Deadlines,
    Delegation,
    EpochInfo,
    Node,
    Role,
    Scheme,
    TaskParams,
    TaskState,
)
from pot_chain.chain.token import Token
from pot_chain.chain.training import Training
from pot_chain.protocol.addresses import ZERO_ADDRESS, ZERO_DIGEST, address_bytes
from pot_chain.protocol.eip712 import (
    Domain,
    decision_hash,
    key_ownership_digest,
    outcome_hash,
    rotation_digest,
    signing_digest,
)
from pot_chain.protocol.outcome import Outcome
from pot_chain.protocol.rewards import RewardLedger
from pot_chain.protocol.seal import genesis_head, gradient_seal
from pot_chain.protocol.signing import address_of, compact, sign_digest
from pot_chain.protocol.votes import Phase, Slot, Vote
from tests.parameters import PARAMETERS, parameters

MINER_STAKE, VALIDATOR_STAKE = PARAMETERS.registry.min_miner_stake, PARAMETERS.registry.min_validator_stake
PARAMS = TaskParams(
    spec=b"\x01" * 32,
    checkpoint=b"\x02" * 32,
    budget=1000,
    reward_per_round=100,
    rounds=2,
    min_miners=2,
    max_miners=3,
    max_skips=1,
    start_window=600,
    commit_window=100,
    reveal_window=50,
    finalize_window=30,
    stop_loss_after=1,
    stop_loss=2_000_000,
)

Deploy = Callable[[TransactionSender], Deployment]


class Town:
    """Contracts with four validators, of which the vote keys are known, and an owner."""

    def __init__(self, web3: Web3, new_sender: Callable[..., TransactionSender], deploy: Deploy) -> None:
        self.web3 = web3
        self.new_sender = lambda: new_sender(web3)
        self.owner = self.new_sender()
        self.deployment = deploy(self.owner)
        self.contracts: Contracts = self.deployment.bind(web3)
        self.registry, self.training = self.contracts.registry, self.contracts.training
        self.domain = Domain(self.deployment.chain_id, self.training.address)
        self.keys: list[bytes] = []

    def send(self, sender: TransactionSender, call: Call) -> list[Event]:
        """The events of a transaction."""
        return self.contracts.events(sender.send(call).logs)

    def add_validator(self) -> tuple[TransactionSender, list[Event]]:
        operator, key = self.new_sender(), bytes(Account.create().key)
        domain = Domain(self.deployment.chain_id, self.registry.address, name="NodeRegistry")
        possession = sign_digest(key, key_ownership_digest(domain, operator.address))
        self.keys = sorted([*self.keys, key], key=lambda known: address_bytes(address_of(known)))
        call = self.registry.register_validator(address_of(key), possession, "http://v", VALIDATOR_STAKE)
        return operator, self.send(operator, call)

    def add_miner(self) -> TransactionSender:
        miner = self.new_sender()
        self.send(miner, self.registry.register_miner(MINER_STAKE))
        return miner

    def open_epoch(self) -> None:
        for _ in range(4):
            self.add_validator()
        self.send(self.owner, self.registry.advance_epoch())

    def running_task(self, **changes: object) -> tuple[int, list[TransactionSender]]:
        """A task in round 0 with two miners."""
        self.open_epoch()
        created = self.send(self.owner, self.training.create_task(replace(PARAMS, **changes)))[0]  # type: ignore[arg-type]
        assert isinstance(created, ev.TaskCreated)
        miners = [self.add_miner() for _ in range(2)]
        for miner in miners:
            self.send(miner, self.training.join(created.task_id))
        return created.task_id, miners

    def certificate(self, outcome: Outcome, epoch: int, view: int = 0, signers: int = 3) -> CommitCertificate:
        vote = Vote(Phase.COMMIT, Slot(outcome.task_id, outcome.round, epoch), view, outcome_hash(outcome))
        digest = signing_digest(self.domain, vote)
        signed = [index.to_bytes(2, "big") + compact(sign_digest(self.keys[index], digest)) for index in range(signers)]
        return CommitCertificate(epoch, view, b"".join(signed))

    def outcome(self, task_id: int, ledger: RewardLedger, chain_reveals: int = 0, loss: int = 1_500_000) -> Outcome:
        task = self.training.task(task_id)
        return Outcome(
            task_id=task_id,
            round=task.round,
            parent=task.head,
            checkpoint=b"\x03" * 32,
            record=b"\x04" * 32,
            loss=loss,
            accepted=2,
            chain_reveals=chain_reveals,
            rewards_root=ledger.root,
            rewards_total=ledger.total,
        )

    def pass_time(self, seconds: int) -> None:
        rpc(self.web3, "evm_increaseTime", [seconds])
        rpc(self.web3, "anvil_mine", ["0x1"])


@pytest.fixture
def town(own_chain: AnvilProcess, new_sender: Callable[..., TransactionSender], new_contracts: Deploy) -> Town:
    return Town(own_chain.web3(), new_sender, new_contracts)


# ---- completeness


@pytest.mark.parametrize(("interface", "binding"), [("INodeRegistry", Registry), ("IProofOfTraining", Training)])
def test_every_function_is_bound(interface: str, binding: type) -> None:
    functions = {
        snake_case(entry["name"]) for entry in compile_contracts()[interface].abi if entry["type"] == "function"
    }
    assert functions
    assert functions - {"slash", "hold"} <= set(vars(binding))  # those two are for courts


@pytest.mark.parametrize(
    ("contract", "kinds"), [("NodeRegistry", ev.REGISTRY_EVENTS), ("ProofOfTraining", ev.TRAINING_EVENTS)]
)
def test_every_event_is_bound(contract: str, kinds: tuple[type[Event], ...]) -> None:
    artifacts = compile_contracts()
    interface = {entry["name"] for entry in artifacts[f"I{contract}"].abi if entry["type"] == "event"}
    assert {kind.__name__ for kind in kinds} == interface
    Contracts(Web3(), ZERO_ADDRESS, "0x" + "01" * 20)  # checks the fields


# ---- registry


def test_a_miner_s_life_in_the_registry(town: Town) -> None:
    miner = town.new_sender()
    registered = town.send(miner, town.registry.register_miner(MINER_STAKE))[0]
    assert registered == ev.NodeRegistered(registered.log, miner.address, Role.MINER, ZERO_ADDRESS, MINER_STAKE, "")
    assert town.registry.is_active_miner(miner.address)
    added = town.send(miner, town.registry.add_stake(5))[0]
    assert added == ev.StakeAdded(added.log, miner.address, 5, MINER_STAKE + 5)
    started = town.send(miner, town.registry.start_unbonding())[0]
    assert isinstance(started, ev.UnbondingStarted)
    assert town.registry.node(miner.address) == Node(Role.MINER, started.withdrawable_at, MINER_STAKE + 5, ZERO_ADDRESS)
    assert not town.registry.is_active_miner(miner.address)
    with pytest.raises(ContractReverted, match="is locked; the day of its release: 20"):
        miner.send(town.registry.withdraw_stake())
    town.pass_time(town.registry.config().unbonding_period)
    withdrawn = town.send(miner, town.registry.withdraw_stake())[0]
    assert withdrawn == ev.StakeWithdrawn(withdrawn.log, miner.address, MINER_STAKE + 5)
    assert town.registry.node(miner.address).role is Role.NONE


def test_validators_form_an_epoch(town: Town) -> None:
    assert town.registry.current_epoch() == 0
    with pytest.raises(ContractReverted, match="an epoch needs 4 validators; 0 are registered"):
        town.owner.send(town.registry.advance_epoch())
    operators = {}
    for _ in range(4):
        operator, (event,) = town.add_validator()
        assert isinstance(event, ev.NodeRegistered)
        assert event.role is Role.VALIDATOR
        operators[event.vote_key] = operator
        assert town.registry.operator_of(event.vote_key) == event.node == operator.address
    assert town.registry.bonded_validators() == 4
    advanced = town.send(town.owner, town.registry.advance_epoch())[0]
    keys = tuple(address_of(key) for key in town.keys)
    assert isinstance(advanced, ev.EpochAdvanced)
    assert (advanced.epoch, advanced.quorum, advanced.scheme, advanced.vote_keys) == (1, 3, Scheme.ECDSA, keys)
    assert town.registry.epoch_validators(1) == keys
    assert town.registry.current_epoch() == 1
    config, info = town.registry.config(), town.registry.epoch_info(1)
    assert replace(config, validator_court=ZERO_ADDRESS, miner_court=ZERO_ADDRESS) == PARAMETERS.registry
    started = info.started_at
    assert info == EpochInfo(4, 3, Scheme.ECDSA, started, started, started + config.epoch_lifetime)
    assert advanced.expires_at == info.expires_at
    assert town.registry.next_validators() == keys
    assert town.registry.bls_key_of(operator.address) == b""
    moved = town.send(operators[keys[0]], town.registry.set_endpoint("http://there"))[0]
    assert moved == ev.EndpointChanged(moved.log, operators[keys[0]].address, "http://there")
    assert town.registry.endpoint_of(moved.node) == "http://there"  # type: ignore[attr-defined]


def test_a_vote_key_must_be_owned(town: Town) -> None:
    thief, key = town.new_sender(), bytes(Account.create().key)
    domain = Domain(town.deployment.chain_id, town.registry.address, name="NodeRegistry")
    possession = sign_digest(key, key_ownership_digest(domain, town.owner.address))
    with pytest.raises(ContractReverted, match=f"the proof for vote key {address_of(key)} was signed by"):
        thief.send(town.registry.register_validator(address_of(key), possession, "http://v", VALIDATOR_STAKE))


def test_certificates_are_verified(town: Town) -> None:
    town.open_epoch()
    digest = b"\x09" * 32

    def signed(*indices: int) -> bytes:
        return b"".join(index.to_bytes(2, "big") + compact(sign_digest(town.keys[index], digest)) for index in indices)

    assert town.registry.verify_certificate(1, digest, signed(0, 2, 3)) == (0, 2, 3)
    for indices, reason in (((0, 1), "has 2 signatures, the quorum is 3"), ((0, 0, 1), "lists signer 0 after 0")):
        with pytest.raises(ContractReverted, match=reason):
            town.registry.verify_certificate(1, digest, signed(*indices))


# ---- a task from its creation to the last wei


def test_a_task_from_creation_to_the_last_wei(town: Town) -> None:
    training, owner = town.training, town.owner
    assert training.registry() == town.registry.address
    assert training.task_count() == 0
    task_id, (alice, bob) = town.running_task()
    assert (task_id, training.task_count()) == (1, 1)

    task = training.task(1)
    assert (task.owner, task.state, task.members, task.round, task.epoch) == (owner.address, TaskState.RUNNING, 2, 0, 1)
    assert task.params == PARAMS
    assert task.head == genesis_head(town.domain, 1, PARAMS.spec, PARAMS.checkpoint)
    assert training.is_member(1, 0, alice.address)
    assert not training.is_member(1, 0, owner.address)
    deadlines = training.deadlines(1)
    assert deadlines == Deadlines(task.round_started_at + 100, task.round_started_at + 150, task.round_started_at + 180)

    # seals
    cid_digest, salt = b"\x05" * 32, b"\x06" * 32
    seal = gradient_seal(town.domain, 1, 0, alice.address, cid_digest, salt)
    committed = town.send(alice, training.commit_gradient(1, 0, seal))[0]
    assert committed == ev.GradientCommitted(committed.log, 1, 0, alice.address, seal)
    assert seal.startswith(training.seal_of(1, 0, alice.address))
    assert training.seal_of(1, 0, bob.address) == bytes(24)
    revealed = town.send(alice, training.reveal_gradient(1, 0, cid_digest, salt))[0]
    assert revealed == ev.GradientRevealed(revealed.log, 1, 0, alice.address, cid_digest, salt)

    # the first round
    ledger = RewardLedger(1, {}).add({alice.address: 60, bob.address: 30})
    outcome = town.outcome(1, ledger, chain_reveals=1)
    assert training.outcome_digest(outcome) == outcome_hash(outcome)
    vote = Vote(Phase.COMMIT, Slot(1, 0, 1), 2, outcome_hash(outcome))
    assert training.commit_digest(1, 0, 1, 2, outcome_hash(outcome)) == signing_digest(town.domain, vote)
    with pytest.raises(ContractReverted, match="has 2 signatures, the quorum is 3"):
        owner.send(training.finalize_round(outcome, town.certificate(outcome, 1, signers=2)))
    (final,) = town.send(owner, training.finalize_round(outcome, town.certificate(outcome, 1, view=2)))
    assert isinstance(final, ev.RoundFinalized)
    assert (final.task_id, final.round, final.digest, final.view_number) == (1, 0, outcome_hash(outcome), 2)
    assert (final.checkpoint, final.record, final.loss) == (outcome.checkpoint, outcome.record, outcome.loss)
    assert (final.rewards_root, final.rewards_total, final.next_epoch) == (ledger.root, 90, 1)
    randomness = bytes.fromhex(rpc(town.web3, "eth_getBlockByNumber", [hex(final.block_number), False])["mixHash"][2:])
    assert final.next_seed == keccak(outcome_hash(outcome) + (1).to_bytes(32, "big") + randomness)
    task = training.task(1)
    assert (task.head, task.allocated, task.round, task.epoch) == (outcome_hash(outcome), 90, 1, 1)

    # one leaves; the last round
    left = town.send(bob, training.leave(1))[0]
    assert left == ev.MinerLeft(left.log, 1, bob.address, 2)
    ledger = ledger.add({alice.address: 100})
    outcome = town.outcome(1, ledger)
    events = town.send(owner, training.finalize_round(outcome, town.certificate(outcome, 1)))
    assert [type(event) for event in events] == [ev.RoundFinalized, ev.TaskCompleted]
    assert (events[0].next_epoch, events[0].next_seed) == (0, ZERO_DIGEST)  # type: ignore[attr-defined]
    assert training.task(1).state is TaskState.COMPLETED

    # money
    assert training.decision_hash(outcome) == decision_hash(outcome)
    for_alice, for_bob = (
        Claim(1, account, cumulative, 190, decision_hash(outcome), tuple(ledger.proof(account)))
        for account, cumulative in ((alice.address, 160), (bob.address, 30))
    )
    claimed = town.send(owner, training.claim(for_alice))[0]
    assert claimed == ev.RewardClaimed(claimed.log, 1, alice.address, 160, 160)
    with pytest.raises(ContractReverted, match=r"has been paid all it earned in task 1 \(160\)"):
        owner.send(training.claim(for_alice))
    (claimed,) = town.send(owner, training.claim_many([for_alice, for_bob]))
    assert claimed == ev.RewardClaimed(claimed.log, 1, bob.address, 30, 30)
    assert (training.claimed_of(1, alice.address), training.claimed_of(1, bob.address)) == (160, 30)
    with pytest.raises(ContractReverted, match="the proof does not show a reward of 31"):
        owner.send(training.claim(replace(for_bob, cumulative=31)))
    refunded = town.send(owner, training.refund(1))[0]
    assert refunded == ev.TaskRefunded(refunded.log, 1, owner.address, 810)
    assert int(rpc(town.web3, "eth_getBalance", [training.address, "latest"]), 16) == 0
    task = training.task(1)
    assert (task.allocated, task.claimed, task.refunded) == (190, 190, 810)


def test_past_states_can_be_read(town: Town) -> None:
    block = town.owner.send(town.training.create_task(PARAMS)).block_number
    town.send(town.owner, town.training.cancel_task(1))
    assert town.training.task(1).state is TaskState.CANCELLED
    assert town.training.task(1, block=block).state is TaskState.OPEN
    block_hash = rpc(town.web3, "eth_getBlockByNumber", [hex(block), False])["hash"]
    assert town.training.task(1, block=block_hash).state is TaskState.OPEN


def test_cancelling(town: Town) -> None:
    created, cancelled = (
        town.send(town.owner, call)[0] for call in (town.training.create_task(PARAMS), town.training.cancel_task(1))
    )
    assert created == ev.TaskCreated(created.log, 1, town.owner.address, PARAMS)
    assert cancelled == ev.TaskCancelled(cancelled.log, 1)
    task_id, _ = town.running_task()
    requested = town.send(town.owner, town.training.cancel_task(task_id))[0]
    assert requested == ev.CancelRequested(requested.log, task_id, 0)
    assert town.training.task(task_id).cancel_requested


def test_a_loss_above_the_limit_stops_the_task(town: Town) -> None:
    task_id, _ = town.running_task(stop_loss_after=2, rounds=4)
    for loss, end in ((2_000_001, None), (2_000_000, None), (2_000_001, ev.TaskStopped)):
        outcome = town.outcome(task_id, RewardLedger(task_id, {}), loss=loss)
        events = town.send(town.owner, town.training.finalize_round(outcome, town.certificate(outcome, 1)))
        assert [type(event) for event in events] == [ev.RoundFinalized, *([end] if end else [])]
    task = town.training.task(task_id)
    assert (task.state, task.state.ended, task.finalized_rounds) == (TaskState.STOPPED, True, 3)


def test_a_delegate_acts_for_a_miner(town: Town) -> None:
    registry, training = town.registry, town.training
    town.open_epoch()
    town.send(town.owner, training.create_task(replace(PARAMS, min_miners=1)))
    cold, hot = town.add_miner(), town.new_sender()
    with pytest.raises(ContractReverted, match=f"{hot.address} is no delegate of {cold.address}") as caught:
        hot.send(training.join_for(1, cold.address))
    assert "pot miner delegate authorize" in caught.value.hint
    end = int(rpc(town.web3, "eth_getBlockByNumber", ["latest", False])["timestamp"], 16) + 1000
    authorized = town.send(cold, registry.authorize_delegate(hot.address, end, 7))[0]
    assert authorized == ev.DelegateAuthorized(authorized.log, cold.address, hot.address, end, 7)
    assert registry.is_delegate(cold.address, hot.address)
    assert registry.delegation(cold.address, hot.address) == Delegation(end, 7)
    joined = town.send(hot, training.join_for(1, cold.address))[0]
    assert joined == ev.MinerJoined(joined.log, 1, cold.address, 0)
    cid_digest, salt = b"\x05" * 32, b"\x06" * 32
    seal = gradient_seal(town.domain, 1, 0, cold.address, cid_digest, salt)
    committed = town.send(hot, training.commit_gradient_for(1, 0, seal, cold.address))[0]
    assert committed == ev.GradientCommitted(committed.log, 1, 0, cold.address, seal)
    revealed = town.send(hot, training.reveal_gradient_for(1, 0, cid_digest, salt, cold.address))[0]
    assert revealed == ev.GradientRevealed(revealed.log, 1, 0, cold.address, cid_digest, salt)
    drawn = town.send(hot, registry.draw_allowance(cold.address, 5))[0]
    assert drawn == ev.AllowanceDrawn(drawn.log, cold.address, hot.address, 5)
    assert isinstance(town.send(hot, training.leave_for(1, cold.address))[0], ev.MinerLeft)
    revoked = town.send(cold, registry.revoke_delegate(hot.address))[0]
    assert revoked == ev.DelegateRevoked(revoked.log, cold.address, hot.address, 2)
    assert not registry.is_delegate(cold.address, hot.address)


def test_a_rotation_takes_a_certificate_or_time(
    own_chain: AnvilProcess, new_sender: Callable[..., TransactionSender]
) -> None:
    def deploy_slow(sender: TransactionSender) -> Deployment:
        return deploy(sender, parameters(epoch_length=100))

    town = Town(own_chain.web3(), new_sender, deploy_slow)
    town.open_epoch()
    old = town.keys
    town.add_validator()
    with pytest.raises(ContractReverted, match="the current validator epoch lasts until"):
        town.owner.send(town.registry.advance_epoch())
    town.pass_time(100)
    with pytest.raises(ContractReverted, match="has 0 signatures, the quorum is 3"):
        town.owner.send(town.registry.advance_epoch())
    following = town.registry.next_validators()
    digest = rotation_digest(Domain(town.deployment.chain_id, town.registry.address, name="NodeRegistry"), 2, following)
    assert town.registry.rotation_digest(2, following) == digest
    signed = b"".join(index.to_bytes(2, "big") + compact(sign_digest(old[index], digest)) for index in (0, 1, 3))
    advanced = town.send(town.owner, town.registry.advance_epoch(signed))[0]
    assert isinstance(advanced, ev.EpochAdvanced)
    assert (advanced.epoch, advanced.vote_keys) == (2, following)
    town.pass_time(200)
    town.send(town.owner, town.registry.advance_epoch())
    assert town.registry.current_epoch() == 3


def test_skipping_and_expiring(town: Town) -> None:
    task_id, _ = town.running_task()
    with pytest.raises(ContractReverted, match="the round can be skipped after 20"):
        town.owner.send(town.training.skip_round(task_id))
    town.pass_time(181)
    skipped, opened = town.send(town.owner, town.training.skip_round(task_id))
    assert skipped == ev.RoundSkipped(skipped.log, task_id, 0)
    assert isinstance(opened, ev.RoundOpened)
    town.pass_time(181)
    events = town.send(town.owner, town.training.skip_round(task_id))
    assert [type(event) for event in events] == [ev.RoundSkipped, ev.TaskExpired]
    town.send(town.owner, town.training.create_task(PARAMS))
    town.pass_time(600)
    expired = town.send(town.owner, town.training.expire_task(2))[0]
    assert expired == ev.TaskExpired(expired.log, 2)


# ---- what people do wrong


def test_joining_twice(town: Town) -> None:
    town.send(town.owner, town.training.create_task(PARAMS))
    miner = town.add_miner()
    joined = town.send(miner, town.training.join(1))[0]
    assert joined == ev.MinerJoined(joined.log, 1, miner.address, 0)
    with pytest.raises(ContractReverted, match=f"miner {miner.address} is already a member of task 1") as caught:
        miner.send(town.training.join(1))
    assert caught.value.name == "AlreadyMember"


def test_a_task_that_does_not_exist(town: Town) -> None:
    with pytest.raises(TaskNotFound, match="there is no task 7") as none:
        town.training.task(7)
    assert none.value.hint == "there are no tasks yet"
    town.send(town.owner, town.training.create_task(PARAMS))
    for number in (0, 2, -1, 2**256):
        with pytest.raises(TaskNotFound) as some:
            town.training.task(number)
        assert "the last one is 1" in some.value.hint
    with pytest.raises(ContractReverted, match="there is no task 7"):
        town.add_miner().send(town.training.join(7))


def test_a_budget_that_does_not_cover_the_rounds(town: Town) -> None:
    with pytest.raises(ContractReverted, match="the budget 199 does not cover all rounds, which need 200"):
        town.owner.send(town.training.create_task(replace(PARAMS, budget=199)))


def test_somebody_elses_task(town: Town) -> None:
    town.send(town.owner, town.training.create_task(PARAMS))
    stranger = town.new_sender()
    with pytest.raises(ContractReverted, match=f"{stranger.address} does not own the task") as caught:
        stranger.send(town.training.cancel_task(1))
    assert town.owner.address in caught.value.hint


# ---- tokens


def test_a_task_paid_in_tokens(town: Town, probe_project: Project) -> None:
    artifact = compile_contracts(probe_project)["Coin"]
    supply = encode([{"type": "uint256"}], [5000])
    address = town.owner.send(Call(to=None, data=artifact.bytecode + supply)).contract
    assert address is not None
    token = Token(town.web3, address)
    assert (token.symbol(), token.decimals(), token.balance_of(town.owner.address)) == ("COIN", 18, 5000)
    params = replace(PARAMS, token=address)
    with pytest.raises(ContractReverted, match="may take 0 token units and needs 1000") as caught:
        town.owner.send(town.training.create_task(params))
    assert caught.value.hint == "approve the amount first"
    town.owner.send(token.approve(town.training.address, 1000))
    assert token.allowance(town.owner.address, town.training.address) == 1000
    town.send(town.owner, town.training.create_task(params))
    assert token.balance_of(town.training.address) == 1000
    assert token.allowance(town.owner.address, town.training.address) == 0
    town.send(town.owner, town.training.cancel_task(1))
    town.send(town.owner, town.training.refund(1))
    assert token.balance_of(town.owner.address) == 5000
    assert (town.training.task(1).allocated, town.training.task(1).refunded) == (0, 1000)
