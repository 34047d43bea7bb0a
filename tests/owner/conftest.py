"""A real chain with four registered validators and a real store; the tests sign for the validators.

So a round costs milliseconds, and everything that the owner's side reads and checks is what validators would have made.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, cast

import pytest
from eth_account import Account
from eth_account.signers.local import LocalAccount

from ipfs import open_store
from ipfs.store import Store
from pot_chain.chain.bindings import CommitCertificate
from pot_chain.chain.connection import rpc
from pot_chain.chain.history import TaskHistory
from pot_chain.chain.network import ChainClient
from pot_chain.localnet.launch import StartOptions
from pot_chain.localnet.network import Network
from pot_chain.owner.create import CreatedTask, create_task
from pot_chain.owner.nodes import register_miner
from pot_chain.owner.tasks import synced
from pot_chain.pbft.certificate import Certificate
from pot_chain.protocol.addresses import Address
from pot_chain.protocol.canonical import digest
from pot_chain.protocol.eip712 import outcome_hash, signing_digest
from pot_chain.protocol.quorum import quorum
from pot_chain.protocol.record import Reveal, RoundRecord, SignedReport
from pot_chain.protocol.rewards import RewardLedger, RewardRule
from pot_chain.protocol.round import Collection, RoundContext, make_proposal, report_statement
from pot_chain.protocol.seal import gradient_seal
from pot_chain.protocol.signing import sign_digest
from pot_chain.protocol.spec import TaskSpec
from pot_chain.protocol.votes import Phase, Slot, Vote
from worker.task import TrainingTask

ETHER = 10**18
SPEC: dict[str, Any] = {
    "name": "test",
    "model": {"name": "mlp", "params": {"inputs": 64, "hidden": [8], "classes": 10}},
    "data": {"source": "digits"},
    "training": {"rounds": 3, "samples_per_miner": 16, "learning_rate": 0.5},
    "rewards": {"budget": "3eth"},
    "miners": {"min": 2, "max": 8},
}


@dataclass
class World:
    """A network without validator processes, and those who act on it."""

    network: Network
    store: Store
    accounts: dict[Address, LocalAccount] = field(default_factory=dict)
    clients: dict[Address, ChainClient] = field(default_factory=dict)

    @property
    def rpc_url(self) -> str:
        return self.network.description().rpc_url

    def client(self, account: LocalAccount | None = None) -> ChainClient:
        """The client of ``account``, or one that only reads; it knows all that has happened."""
        address = account.address if account else ""
        if address not in self.clients:
            self.clients[address] = ChainClient(self.rpc_url, self.network.paths.deployment, account)
        return synced(self.clients[address])

    def account(self, wei: int = 10 * ETHER) -> LocalAccount:
        """A fresh account with coins."""
        account = cast(LocalAccount, Account.create())
        self.accounts[account.address] = account
        if wei:
            self.network.fund(account.address, wei)
        return account

    def spec(self, **sections: Mapping[str, Any]) -> TaskSpec:
        """The test's spec with some fields of some sections replaced."""
        return TaskSpec.parse({**SPEC, **{name: {**SPEC.get(name, {}), **new} for name, new in sections.items()}})

    def create(self, owner: LocalAccount | None = None, **sections: Mapping[str, Any]) -> CreatedTask:
        """A task of a fresh owner, unless one is given."""
        return create_task(self.client(owner or self.account()), self.store, self.spec(**sections))

    def join(self, task_id: int, count: int = 2) -> list[LocalAccount]:
        """Fresh miners of the task, in canonical order."""
        miners = [self.account() for _ in range(count)]
        for miner in miners:
            client = self.client(miner)
            register_miner(client)
            client.send(client.training.join(task_id))
        return sorted(miners, key=lambda miner: bytes.fromhex(miner.address[2:]))

    def travel(self, seconds: int) -> None:
        """Let the chain's clock pass ``seconds``."""
        web3 = self.client().web3
        rpc(web3, "evm_increaseTime", [seconds])
        rpc(web3, "evm_mine")

    def play_round(
        self,
        task_id: int,
        *,
        rejected: Mapping[Address, str] | None = None,
        absent: frozenset[Address] = frozenset(),
        reporting: int = 4,
        loss: float = 1.5,
        spoil: Callable[[RoundRecord], RoundRecord] = lambda record: record,
        checkpoint_rounds: int | None = None,
    ) -> RoundRecord:
        """Play the open round to its end: commits, reveals, reports, certificate.

        Args:
            rejected: reasons by miner.
            absent: members that do not commit; the caller has to let the commit deadline pass.
            reporting: how many validators report.
            spoil: changes the record before the outcome names it.
            checkpoint_rounds: what the checkpoint says of itself; by default the truth.
        """
        client = self.client()
        task = client.history.tasks[task_id]
        context, training = self._context(client, task)
        collection = Collection(context)
        for miner in context.members:
            if miner not in absent:
                self._submit(collection, miner)
        client.poll()
        reveals = collection.ordered_reveals()
        parameters = {
            name: value * (1 + len(task.finals)) for name, value in training.parameters(task.checkpoint).items()
        }
        proposal = make_proposal(
            context,
            collection,
            rejected=rejected or {},
            reports=[self._report(context, reveals, rejected or {}, key) for key in context.voters[:reporting]],
            audit_seed=bytes(32),
            checkpoint=training.pin_parameters(parameters, checkpoint_rounds or len(task.finals) + 1).digest,
            losses=dict.fromkeys(context.members, loss),
        )
        record = spoil(proposal.record)
        data = record.to_bytes()
        self.store.put_manifest(data)
        outcome = proposal.outcome if record is proposal.record else replace(proposal.outcome, record=digest(data))
        vote = Vote(Phase.COMMIT, context.slot, 0, outcome_hash(outcome))
        signatures = tuple(
            (index, sign_digest(self._key(key), signing_digest(context.domain, vote)))
            for index, key in enumerate(context.voters[: quorum(len(context.voters))])
        )
        relay = self.client(self.network.owner)
        certificate = CommitCertificate(context.slot.epoch, 0, Certificate(vote, signatures).to_contract_signatures())
        relay.send(relay.training.finalize_round(outcome, certificate))
        return record

    def _context(self, client: ChainClient, task: TaskHistory) -> tuple[RoundContext, TrainingTask]:
        current = task.current
        assert current is not None, "no round is open"
        training = TrainingTask.load(self.store, task.params.spec)
        members = task.membership.members(current.number)
        cumulative = self._last_record(task).cumulative if task.finals else {}
        return RoundContext(
            domain=client.domain,
            slot=Slot(task.task_id, current.number, current.epoch),
            parent=current.parent,
            seed=current.seed,
            members=members,
            commit_deadline=1 << 40,
            reveal_deadline=1 << 40,
            finalize_deadline=1 << 40,
            voters=client.history.epochs[current.epoch],
            operators=client.history.operators(current.epoch),
            ledger=RewardLedger(task.task_id, cumulative),
            rule=RewardRule(task.params.reward_per_round, training.spec.rewards.validator_share),
            weights=dict.fromkeys(members, training.spec.training.samples_per_miner),
        ), training

    def _last_record(self, task: TaskHistory) -> RoundRecord:
        final = task.finals[-1].final
        assert final is not None
        return RoundRecord.from_bytes(self.store.get_manifest(final.record))

    def _submit(self, collection: Collection, miner: Address) -> None:
        context = collection.context
        reveal = Reveal(miner, secrets.token_bytes(32), secrets.token_bytes(32))
        slot = context.slot
        seal = gradient_seal(context.domain, slot.task_id, slot.round, miner, reveal.cid_digest, reveal.salt)
        client = self.client(self.accounts[miner])
        client.send(client.training.commit_gradient(slot.task_id, slot.round, seal))
        collection.commit(miner, seal)
        collection.reveal(reveal)

    def _report(
        self, context: RoundContext, reveals: Mapping[Address, Reveal], rejected: Mapping[Address, str], key: Address
    ) -> SignedReport:
        statement = report_statement(context, reveals, rejected)
        return SignedReport(key, dict(rejected), sign_digest(self._key(key), signing_digest(context.domain, statement)))

    def _key(self, vote_key: Address) -> bytes:
        for validator in self.network.description().validators:
            if validator.address == vote_key:
                return bytes(self.network.account(validator.name).key)
        raise AssertionError(f"{vote_key} is no validator of the network")


@pytest.fixture(scope="session")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    network = Network(tmp_path_factory.mktemp("networks") / "owner")
    network.start(StartOptions(use_kubo=False, run_validators=False))
    yield network
    assert network.stop() == ()


@pytest.fixture(scope="session")
def world(network: Network) -> Iterator[World]:
    with open_store(network.description().ipfs.address) as store:
        yield World(network, store)
