"""Four validators' actors around one round in one event loop: real judges, real signing logs, real storage.

What is missing is the chain, whose facts the test states, and the sockets: ``Hub`` delivers frames, or loses them.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Hashable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import ParamSpec, TypeVar

import numpy as np

from ipfs.embedded import EmbeddedStore
from ipfs.store import Store
from ipfs.unixfs import file_cid
from pot_chain.chain.history import CommitSeen, RoundHistory
from pot_chain.pbft.certificate import Certificate
from pot_chain.pbft.config import Timeouts
from pot_chain.pbft.guard import SigningGuard
from pot_chain.protocol.addresses import Address, Digest, canonical_order
from pot_chain.protocol.assignment import assign, audit_seed
from pot_chain.protocol.canonical import digest
from pot_chain.protocol.eip712 import Domain
from pot_chain.protocol.errors import PotError, ProtocolError
from pot_chain.protocol.manifests import Submission
from pot_chain.protocol.record import Reveal
from pot_chain.protocol.rewards import RewardLedger, RewardRule
from pot_chain.protocol.round import Proposal, RoundContext
from pot_chain.protocol.seal import gradient_seal
from pot_chain.protocol.signing import address_of
from pot_chain.protocol.spec import TaskSpec
from pot_chain.protocol.votes import Slot
from pot_chain.validator import frames
from pot_chain.validator.actor import RoundActor
from pot_chain.validator.judge import Judge
from pot_chain.validator.services import Services, Wiring
from worker.aggregate import aggregate, apply_sgd
from worker.data import pin_dataset
from worker.data.sources import ArrayData
from worker.gradient import compute_gradient
from worker.models import initial_parameters
from worker.task import TrainingTask, make_checkpoint
from worker.tensors import Tensors, encode

DOMAIN = Domain(31337, "0x" + "c0" * 20)
KEYS = {address_of(key): key for key in (bytes([i]) * 32 for i in range(1, 5))}
VOTERS = canonical_order(KEYS)
MINERS = canonical_order("0x" + f"{i:02x}" * 20 for i in range(0x21, 0x26))
FAST = Timeouts(initial=0.6, maximum=4.0, resend=0.1)
PATIENT = Timeouts(initial=120.0, maximum=120.0, resend=0.1)
"""No slow machine changes a view: only a refusal does."""
SAMPLES = 8

P = ParamSpec("P")
T = TypeVar("T")


def until(condition: Callable[[], bool], seconds: float = 20.0) -> asyncio.Future[None]:
    """Wait until ``condition`` holds."""

    async def wait() -> None:
        async with asyncio.timeout(seconds):
            while not condition():
                await asyncio.sleep(0.01)

    return asyncio.ensure_future(wait())


class Hub:
    """Carries frames between the nodes; ``loses(sender, receiver, frame)`` says which it does not."""

    def __init__(self) -> None:
        self.nodes: dict[Address, Node] = {}
        self.loses: Callable[[Address, Address, bytes], bool] = lambda *_: False
        self.carried: list[tuple[Address, Address, bytes]] = []

    def carry(self, sender: Address, receiver: Address, frame: bytes) -> None:
        if sender != receiver and receiver in self.nodes and not self.loses(sender, receiver, frame):
            self.carried.append((sender, receiver, frame))
            asyncio.get_running_loop().call_soon(self._deliver, sender, receiver, frame)

    def _deliver(self, sender: Address, receiver: Address, frame: bytes) -> None:
        if receiver in self.nodes:
            self.nodes[receiver].receive(sender, frame)


@dataclass
class Port:
    """One node's end of the hub, a ``Transport``."""

    hub: Hub
    address: Address

    def set_peers(self, epoch: int, endpoints: Mapping[Address, str]) -> None:
        """The hub knows everybody."""

    def send(self, peer: Address, frame: bytes, *, supersedes: Hashable = None) -> None:
        self.hub.carry(self.address, peer, frame)

    def broadcast(self, frame: bytes, *, supersedes: Hashable = None) -> None:
        for peer in list(self.hub.nodes):
            self.hub.carry(self.address, peer, frame)


class Node:
    """A validator's part in the round. ``store`` replaces the storage that the others share."""

    def __init__(self, world: World, address: Address, store: Store | None = None, timeouts: Timeouts = FAST) -> None:
        self.world, self.address = world, address
        self.counts: dict[tuple[str, str], int] = {}
        self.kept: list[Proposal] = []
        self.finalized: list[tuple[Proposal, Certificate]] = []
        self.failures: list[PotError] = []
        self.computing = asyncio.Lock()
        self.guard = SigningGuard.open(world.folder / address / "votes.log", KEYS[address], DOMAIN)
        if self.guard.fresh:
            self.guard.begin({})
        task = TrainingTask(world.task.spec, world.task.spec_digest, store or world.store)
        services = Services(
            Wiring(self.guard, Port(world.hub, address), timeouts, self.count, self.failures.append),
            compute=self.compute,
            fetch=self.fetch,
            keep=self.keep,
            finalize=self.finalize,
        )
        open_judge = partial(Judge, task, world.context, world.checkpoint, 0)
        self.actor = RoundActor(services, world.context, address, "0xopened", open_judge)
        world.hub.nodes[address] = self
        self.actor.start()

    def receive(self, sender: Address, frame: bytes) -> None:
        slot, content = frames.parse(frame)
        assert slot == self.world.context.slot
        try:
            self.actor.on_content(sender, content)
        except ProtocolError as error:
            self.count("frame", str(error))

    def count(self, what: str, detail: str) -> None:
        self.counts[what, detail] = self.counts.get((what, detail), 0) + 1

    def counted(self, what: str) -> int:
        return sum(count for (kind, _), count in self.counts.items() if kind == what)

    async def compute(self, function: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
        async with self.computing:
            return await asyncio.to_thread(function, *arguments, **named)

    async def fetch(self, function: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
        return await asyncio.to_thread(function, *arguments, **named)

    async def keep(self, proposal: Proposal) -> None:
        self.kept.append(proposal)

    async def finalize(self, proposal: Proposal, certificate: Certificate) -> None:
        self.finalized.append((proposal, certificate))

    async def stop(self) -> None:
        """End like a killed process: nothing is said, the log stays."""
        self.world.hub.nodes.pop(self.address, None)
        self.actor.close()
        await self.actor.closed()
        self.guard.close()


@dataclass
class World:
    """A task, its miners, and what the chain says about its round 0. ``alike``: all samples are the same."""

    folder: Path
    alike: bool = False
    members: tuple[Address, ...] = MINERS
    hub: Hub = field(default_factory=Hub)
    gradients: dict[Address, Tensors] = field(default_factory=dict)
    reveals: dict[Address, Reveal] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.store = EmbeddedStore(self.folder / "store")
        generator = np.random.default_rng(7)
        x = generator.standard_normal((80, 4)).astype(np.float32)
        x = np.repeat(x[:1], 80, axis=0) if self.alike else x
        y = (np.abs(x).argmax(axis=1) % 3).astype(np.int64)
        data = pin_dataset(ArrayData("toy", x[:64], y[:64], x[64:], y[64:], 3), self.store)
        spec = TaskSpec.parse(
            {
                "name": "toy",
                "model": {"name": "mlp", "params": {"inputs": 4, "hidden": [4], "classes": 3}},
                "data": {"manifest": data.cid},
                "training": {"rounds": 1, "samples_per_miner": SAMPLES, "learning_rate": 0.5},
                "rewards": {"budget": "1eth"},
            }
        )
        self.parameters = initial_parameters(spec.model.name, spec.model.params, 0)
        checkpoint = make_checkpoint(self.store, spec.digest, self.parameters, 0)
        self.checkpoint = self.store.put_manifest(checkpoint.to_bytes())
        self.store.put_manifest(spec.to_bytes())
        self.task = TrainingTask.load(self.store, spec.digest)
        self.seed = b"\x02" * 32
        self.assignment = assign(self.seed, self.members, SAMPLES, self.task.dataset.samples)
        self.context = RoundContext(
            domain=DOMAIN,
            slot=Slot(1, 0, 1),
            parent=b"\x01" * 32,
            seed=self.seed,
            members=self.members,
            commit_deadline=100,
            reveal_deadline=120,
            finalize_deadline=150,
            voters=VOTERS,
            operators={voter: voter for voter in VOTERS},
            ledger=RewardLedger(1, {}),
            rule=RewardRule(10**18, 2_000),
            weights=dict.fromkeys(self.members, SAMPLES),
        )
        self.history = RoundHistory(0, 1, self.seed, 1, "0xopened", self.context.parent, self.checkpoint, 0)
        self.now = 50

    def honest(self, miner: Address) -> tuple[Tensors, float]:
        """The gradient and loss of ``miner``."""
        x, y = self.task.dataset.batch(self.assignment[miner])
        spec = self.task.spec
        gradient = compute_gradient(spec.model.name, spec.model.params, self.parameters, x, y)
        return gradient.tensors, gradient.loss

    def submit(self, miner: Address, tensors: Tensors | None = None, *, loss: float | None = None) -> Reveal:
        """Seal a submission of ``miner``: its honest gradient, or ``tensors``."""
        if tensors is None or loss is None:
            gradient, honest_loss = self.honest(miner)
            tensors, loss = tensors or gradient, honest_loss if loss is None else loss
        self.gradients[miner] = tensors
        data = encode(tensors)
        submission = Submission(1, 0, miner, self.checkpoint, self.store.add(data), len(data), loss, SAMPLES)
        return self.seal(miner, self.store.put_manifest(submission.to_bytes()))

    def gradient_cid(self, miner: Address) -> str:
        """CID of what ``submit`` has stored for ``miner``."""
        return str(file_cid(encode(self.gradients[miner])))

    def next_checkpoint(self, accepted: Iterable[Address]) -> Digest:
        """The checkpoint after aggregating the submissions of ``accepted``."""
        mean = aggregate("mean", [self.gradients[miner] for miner in accepted])
        parameters = apply_sgd(self.parameters, mean, self.task.spec.training.learning_rate)
        return make_checkpoint(self.store, self.task.spec_digest, parameters, 1).digest

    def replace_parameters(self, parameters: Tensors) -> None:
        """Let the round start from ``parameters``."""
        self.parameters = dict(parameters)
        checkpoint = make_checkpoint(self.store, self.task.spec_digest, parameters, 0)
        self.checkpoint = self.store.put_manifest(checkpoint.to_bytes())

    def seal(self, miner: Address, cid_digest: Digest) -> Reveal:
        """Commit ``miner`` to a submission."""
        reveal = Reveal(miner, cid_digest, digest(miner.encode()))
        seal = gradient_seal(DOMAIN, 1, 0, miner, reveal.cid_digest, reveal.salt)
        self.history.commits[miner] = CommitSeen(seal, 2, "0x")
        self.reveals[miner] = reveal
        return reveal

    @property
    def audit_seed(self) -> Digest:
        return audit_seed([(miner, seen.seal) for miner, seen in self.history.commits.items()], b"\x09" * 32)

    def tell(self, nodes: Iterable[Node] | None = None, *, audit: bool = True) -> None:
        """Tell ``nodes`` (all) what the chain says now."""
        for node in list(self.hub.nodes.values()) if nodes is None else nodes:
            node.actor.on_chain(self.history, self.now, self.audit_seed if audit else None)

    def reveal(self, *miners: Address, to: Iterable[Node] | None = None) -> None:
        """Let miners reveal to ``to`` (all)."""
        for node in list(self.hub.nodes.values()) if to is None else to:
            for miner in miners or self.reveals:
                node.actor.on_reveal(self.reveals[miner])

    @asynccontextmanager
    async def ticking(self) -> AsyncIterator[None]:
        """Tell all nodes what the chain says again and again, as their services do."""

        async def tick() -> None:
            while True:
                self.tell()
                await asyncio.sleep(0.05)

        task = asyncio.create_task(tick())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            for node in list(self.hub.nodes.values()):
                await node.stop()

    def decided(self, node: Node) -> Proposal:
        """What ``node`` has decided."""
        assert node.actor.decided is not None
        return node.actor.decided
