"""A chain and four validators in this process: real Anvil, real sockets, real torch, one import of it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest
from eth_account import Account
from eth_account.signers.local import LocalAccount

from ipfs import open_store
from ipfs.store import Store
from pot_chain.chain.anvil import AnvilConfig, AnvilProcess, fund
from pot_chain.chain.connection import rpc
from pot_chain.chain.deploy import NetworkParameters, deploy
from pot_chain.chain.history import TaskHistory
from pot_chain.chain.network import ChainClient
from pot_chain.chain.sender import TransactionSender
from pot_chain.chain.structs import TaskParams
from pot_chain.localnet.ports import free_port
from pot_chain.owner.nodes import join_epoch, register_validator
from pot_chain.protocol.addresses import Digest, canonical_order
from pot_chain.protocol.errors import PotError
from pot_chain.protocol.record import RoundRecord
from pot_chain.protocol.spec import TaskSpec
from pot_chain.validator.service import ValidatorConfig, ValidatorService
from tests.parameters import PARAMETERS
from worker.data import load_source, pin_dataset
from worker.miner import Miner, MinerConfig
from worker.models import initial_parameters
from worker.task import make_checkpoint

ETHER = 10**18
SPEC: dict[str, Any] = {
    "name": "test",
    "model": {"name": "mlp", "params": {"inputs": 64, "hidden": [16], "classes": 10}},
    "data": {"source": "digits"},
    "training": {"rounds": 3, "samples_per_miner": 16, "learning_rate": 0.5},
    "rewards": {"budget": "3eth"},
    "miners": {"min": 3, "max": 8},
    "verification": {},
    "timing": {"commit_window": 20, "reveal_window": 10, "finalize_window": 30},
}


@dataclass
class Chain:
    """A deployed chain, a store, and the accounts of four validators."""

    rpc: str
    store_url: str
    folder: Path
    ports: list[int]
    validators: list[LocalAccount]
    owner: LocalAccount
    client: ChainClient = field(init=False)
    store: Store = field(init=False)

    @property
    def deployment(self) -> Path:
        return self.folder / "deployment.json"

    def account(self, ether: int = 10) -> LocalAccount:
        """A new account with coins."""
        account = cast(LocalAccount, Account.create())
        fund(self.client.web3, account.address, ether * ETHER)
        return account

    def create_task(self, **changes: Any) -> int:
        """Create and fund a task on digits; ``changes`` override sections of SPEC."""
        document = {
            name: {**value, **changes.get(name, {})} if isinstance(value, dict) else value
            for name, value in SPEC.items()
        }
        assert changes.keys() <= SPEC.keys()
        spec = TaskSpec.parse(document)
        data = pin_dataset(load_source("digits"), self.store)
        spec = spec.with_data(data.cid)
        weights = initial_parameters(spec.model.name, spec.model.params, spec.training.seed)
        checkpoint = make_checkpoint(self.store, spec.digest, weights, 0)
        self.store.put_manifest(checkpoint.to_bytes())
        self.store.put_manifest(spec.to_bytes())
        return self.create(spec, spec.digest, checkpoint.digest)

    def create(self, spec: TaskSpec, spec_digest: Digest, checkpoint: Digest) -> int:
        """Create and fund a task like ``spec`` whose documents are said to be ``spec_digest`` and ``checkpoint``."""
        timing, budget = spec.timing, spec.rewards.budget or 0
        params = TaskParams(
            spec=spec_digest,
            checkpoint=checkpoint,
            budget=budget,
            reward_per_round=spec.reward_per_round,
            rounds=spec.training.rounds,
            min_miners=spec.miners.min,
            max_miners=spec.miners.max,
            max_skips=timing.max_skips,
            start_window=timing.start_window,
            commit_window=timing.commit_window,
            reveal_window=timing.reveal_window,
            finalize_window=timing.finalize_window,
        )
        self.client.send(self.client.training.create_task(params))
        return self.client.training.task_count()

    def validator(self, index: int, **changes: Any) -> ValidatorService:
        """A validator that is not started yet; the same index continues the same signing log."""
        return ValidatorService(
            ValidatorConfig(
                rpc_url=self.rpc,
                ipfs_url=self.store_url,
                deployment=self.deployment,
                account=self.validators[index],
                state_dir=self.folder / f"validator-{index}",
                port=self.ports[index],
                **changes,
            )
        )

    def voters(self) -> list[int]:
        """Positions in ``validators`` by index in the epoch: the i-th leads the rounds r with r % 4 == i first."""
        order = canonical_order(account.address for account in self.validators[:4])
        return [next(i for i, v in enumerate(self.validators) if v.address == voter) for voter in order]

    def advance(self, seconds: int) -> None:
        """Let ``seconds`` pass on chain."""
        rpc(self.client.web3, "evm_increaseTime", [seconds])
        rpc(self.client.web3, "evm_mine")

    def ghost(self, task_id: int) -> LocalAccount:
        """A member of the task that does nothing."""
        account = self.account()
        client = ChainClient(self.rpc, self.deployment, account)
        client.send(client.registry.register_miner(client.registry.config().min_miner_stake))
        client.send(client.training.join(task_id), gas=500_000)
        return account

    def history(self, task_id: int) -> TaskHistory:
        """What has happened to the task so far."""
        self.client.poll()
        return self.client.history.tasks[task_id]

    def records(self, task_id: int) -> list[RoundRecord]:
        """Records of the task's final rounds."""
        finals = (seen.final for seen in self.history(task_id).finals)
        return [RoundRecord.from_bytes(self.store.get_manifest(final.record)) for final in finals if final]

    def miner(
        self, task_id: int, account: LocalAccount | None = None, kind: type[Miner] = Miner, **changes: Any
    ) -> MinerThread:
        """A miner that is not started yet; ``kind``: one with peculiarities."""
        account = account or self.account()
        config = MinerConfig(
            self.rpc,
            self.store_url,
            self.deployment,
            account,
            self.folder / f"miner-{account.address}",
            task_id,
            **changes,
        )
        return MinerThread(config, kind)


class MinerThread:
    """A miner in a thread, with what it told."""

    def __init__(self, config: MinerConfig, kind: type[Miner]) -> None:
        self.config, self._kind = config, kind
        self.address = config.account.address
        self.events: list[dict[str, Any]] = []
        self.error: PotError | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        try:
            self._kind(self.config, self.events.append).run(self._stop)
        except PotError as error:  # handed to the test
            self.error = error

    def start(self) -> MinerThread:
        self._thread.start()
        return self

    def told(self, event: str) -> int:
        """How many events of that kind it has told."""
        return sum(told["event"] == event for told in self.events)

    def stop(self) -> None:
        """Stop as SIGTERM would."""
        self._stop.set()
        self.finish()

    def finish(self) -> None:
        """Wait for the miner to end by itself; raises what it raised."""
        self._thread.join(30)
        assert not self._thread.is_alive()
        if self.error is not None:
            raise self.error


@asynccontextmanager
async def running(*services: ValidatorService) -> AsyncIterator[None]:
    """Start validators and let them follow the chain."""
    stop = asyncio.Event()
    tasks = []
    try:
        for service in services:
            await service.start()
            tasks.append(asyncio.create_task(service.follow(stop)))
        yield
    finally:
        stop.set()
        await asyncio.gather(*tasks)
        await asyncio.gather(*(service.close() for service in services))


async def until(condition: Callable[[], bool], seconds: float = 60) -> None:
    """Wait until ``condition``, which may block a little, holds."""
    async with asyncio.timeout(seconds):
        while not await asyncio.to_thread(condition):
            await asyncio.sleep(0.05)


@contextmanager
def new_chain(tmp_path: Path, parameters: NetworkParameters = PARAMETERS) -> Iterator[Chain]:
    """A chain with the contracts and four registered validators, which do not run."""
    with AnvilProcess.start(AnvilConfig(tmp_path / "anvil.log", block_time=1, mixed_mining=True)) as anvil:
        store_url = f"embedded:{tmp_path / 'store'}"
        made = Chain(
            anvil.rpc_url,
            store_url,
            tmp_path,
            [],
            [cast(LocalAccount, Account.create()) for _ in range(4)],
            cast(LocalAccount, Account.create()),
        )
        web3 = anvil.web3()
        for account in (*made.validators, made.owner):
            fund(web3, account.address, 100 * ETHER)
        deploy(TransactionSender(web3, made.owner), parameters).save(made.deployment)
        for account in made.validators:
            port = free_port(made.ports)
            made.ports.append(port)
            register_validator(ChainClient(anvil.rpc_url, made.deployment, account), f"http://127.0.0.1:{port}")
        made.client = ChainClient(anvil.rpc_url, made.deployment, made.owner)
        join_epoch(made.client)
        made.store = open_store(store_url)
        yield made


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chain]:
    with new_chain(tmp_path_factory.mktemp("chain")) as made:
        yield made
