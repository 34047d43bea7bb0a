"""The validator as a long-running program: follows the chain, keeps one actor a round, serves peers and miners."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import ParamSpec, TypeVar

import uvloop
from aiohttp import web
from eth_account.signers.local import LocalAccount

from ipfs import open_store
from ipfs.errors import IpfsError
from ipfs.store import Store
from pot_chain.chain.errors import ContractReverted
from pot_chain.chain.history import RoundHistory, TaskHistory
from pot_chain.chain.network import ChainClient
from pot_chain.chain.structs import CommitCertificate, TaskState
from pot_chain.pbft.certificate import Certificate
from pot_chain.pbft.config import Timeouts
from pot_chain.pbft.errors import GuardError
from pot_chain.pbft.guard import SigningGuard
from pot_chain.protocol.addresses import Address, Digest
from pot_chain.protocol.assignment import audit_seed
from pot_chain.protocol.errors import PotError, ProtocolError
from pot_chain.protocol.round import Proposal
from pot_chain.protocol.votes import Slot
from pot_chain.validator import frames
from pot_chain.validator.actor import RoundActor
from pot_chain.validator.background import Background
from pot_chain.validator.epochs import EpochKeeper
from pot_chain.validator.http import serve
from pot_chain.validator.judge import Judge
from pot_chain.validator.metrics import Snapshot, ValidatorMetrics
from pot_chain.validator.rounds import OpenRound, TaskShelf, open_rounds
from pot_chain.validator.services import Services, Wiring
from pot_chain.validator.transport import WebsocketMesh
from worker.runtime import configure_torch

POLL_SECONDS = 0.2
FOLLOW_RETRY_SECONDS = 1.0
SKIP_STAGGER_SECONDS = 3
"""How much later each further validator skips an overdue round, so that usually one pays for it."""
OPEN_RETRY_SECONDS = (1.0, 60.0)
"""First and longest pause when a task cannot be loaded."""
RENEW_CHECK_SECONDS = 15.0
"""Between two looks whether the next validator epoch is due."""
RETIRE_BLOCKS = 64
"""Blocks after which a closed round's votes are forgotten: until then a reorg may open it again."""

P = ParamSpec("P")
T = TypeVar("T")
Key = tuple[int, int]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ValidatorConfig:
    """How a validator is run.

    Attributes:
        account: unlocked; operator and vote key in one. Registered on chain with the endpoint ``http://host:port``.
        state_dir: holds the signing log; losing it means abstaining from the rounds that are open.
        announce: blocking; registers the validator. Called when the signing log is held and the port is bound, so that
            the chain never names a validator that cannot run.
    """

    rpc_url: str
    ipfs_url: str
    deployment: Path
    account: LocalAccount
    state_dir: Path
    port: int
    host: str = "127.0.0.1"
    timeouts: Timeouts = field(default_factory=Timeouts)
    announce: Callable[[ChainClient], None] | None = None


def run_validator(config: ValidatorConfig) -> None:
    """Run until SIGTERM or SIGINT.

    Raises:
        PotError: it cannot start (chain or storage down, log damaged or locked, not registered), or its signing log
            cannot be written any more.
    """
    configure_torch()
    uvloop.run(_run(config))


async def _run(config: ValidatorConfig) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    service = ValidatorService(config)
    try:
        await service.start()
        await service.follow(stop)
    finally:
        await service.close()


class ValidatorService:
    """One validator process."""

    def __init__(self, config: ValidatorConfig) -> None:
        self.config = config
        self.me: Address = config.account.address
        self.actors: dict[Key, RoundActor] = {}
        self.counts: dict[tuple[str, str], int] = {}
        self.metrics = ValidatorMetrics(self._look)
        self._opening: dict[Key, tuple[str, asyncio.Task[None]]] = {}
        self._skipping: set[Key] = set()
        self._closed_at: dict[Key, int] = {}
        self._background = Background("validator", self.count)
        self._failure: PotError | None = None
        # Apart from each other: neither re-execution nor a slow storage may delay what the chain must hear.
        self._pools = {
            name: ThreadPoolExecutor(size, thread_name_prefix=name)
            for name, size in (("follow", 1), ("send", 4), ("fetch", 16), ("compute", 1))
        }
        self._open = contextlib.AsyncExitStack()

    # -- life -----------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Open everything; raises PotError or IpfsError with what is missing, ``close`` releases the rest."""
        config, opened = self.config, self._open
        self.chain = await self._in("follow", ChainClient, config.rpc_url, config.deployment, config.account)
        self.store: Store = await self._in("fetch", open_store, config.ipfs_url)
        opened.callback(self.store.close)
        self.storage = await self._in("fetch", lambda: self.store.name)
        self.guard = SigningGuard.open(config.state_dir / "votes.log", bytes(config.account.key), self.chain.domain)
        opened.callback(self.guard.close)
        await self._in("follow", self.chain.poll)
        self._begin()
        self._epochs = EpochKeeper(self.chain, config.account)
        self._shelf = TaskShelf(self.chain, self.store, config.state_dir / "data")
        self.mesh = WebsocketMesh(self.chain.domain, self.me, self.guard.sign_hello, self._on_frame)
        self._services = Services(
            wiring=Wiring(self.guard, self.mesh, config.timeouts, self.count, self._fail, self.metrics.observe),
            compute=self._compute,
            fetch=self._fetch,
            keep=lambda proposal: self._fetch(self._shelf.keep, proposal),
            finalize=lambda proposal, certificate: self._in("send", self._finalize, proposal, certificate),
        )
        self._set_peers(set())
        http: web.AppRunner = await serve(self, config.host, config.port)
        opened.push_async_callback(http.cleanup)
        if config.announce is not None:
            await self._in("send", config.announce, self.chain)
            await self._in("follow", self.chain.poll)
            self._set_peers(set())
        self._background.spawn(self._renew_epochs())
        await self.mesh.start()
        opened.push_async_callback(self.mesh.stop)
        log.info("validator %s listens on %s:%d", self.me, config.host, config.port)

    async def follow(self, stop: asyncio.Event) -> None:
        """Follow the chain until ``stop``.

        Raises:
            PotError: the signing log cannot be written.
        """
        while not stop.is_set():
            try:
                await self._in("follow", self.chain.poll)
                await self._update()
            except GuardError:
                raise
            except PotError as error:
                log.warning("cannot follow the chain now: %s (%s)", error, error.hint)
                self.count("poll_failed", type(error).__name__)
                await asyncio.sleep(FOLLOW_RETRY_SECONDS)
            except Exception as error:
                log.exception("cannot follow the chain now")
                self.count("bug", type(error).__name__)
                await asyncio.sleep(FOLLOW_RETRY_SECONDS)
            if self._failure is not None:
                raise self._failure
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), POLL_SECONDS)

    async def close(self) -> None:
        """Stop everything that was started; the signing log is released when nothing can sign any more."""
        actors = [self._drop(key) for key in list(self.actors)]
        for key in list(self._opening):
            self._stop_opening(key)
        self._background.cancel()
        await asyncio.gather(self._background.ended(), *(actor.closed() for actor in actors))
        for pool in self._pools.values():
            pool.shutdown(wait=False, cancel_futures=True)
        # Whatever a thread is doing ends first; not in this one, where the sockets that it waits for may be served.
        await asyncio.gather(*(asyncio.to_thread(pool.shutdown, wait=True) for pool in self._pools.values()))
        await self._open.aclose()

    def _begin(self) -> None:
        """Tell a new signing log what it must not sign, and forget what is over."""
        history = self.chain.history
        if self.guard.fresh:
            voted_before = any(self.me in voters for voters in history.epochs.values())
            rounds = {t.task_id: max(t.rounds) for t in history.tasks.values() if t.rounds} if voted_before else {}
            self.guard.begin(rounds)
        for slot in self.guard.slots():
            self._closed_at[slot.task_id, slot.round] = self.chain.head

    def _fail(self, error: PotError) -> None:
        self._failure = error

    # -- the chain ------------------------------------------------------------------------------------------------

    async def _update(self) -> None:
        """Bring the actors up to date. The history stands still meanwhile: nobody else polls."""
        history = self.chain.history
        rounds = open_rounds(history, self.me)
        self._set_peers({current.epoch for _, current in rounds.values()})
        for key in set(self.actors) - set(rounds):
            self._drop(key)
            self._closed_at[key] = self.chain.head
        for key in set(self._opening) - set(rounds):
            self._stop_opening(key)
        for key, (task, current) in rounds.items():
            self._ensure_actor(key, task, current)
            self._closed_at.pop(key, None)
            if (actor := self.actors.get(key)) is not None:
                seed = await self._in("follow", self._audit_seed, actor, current)
                actor.on_chain(current, self.chain.now, seed)
                self._skip_if_overdue(actor)
        self._shelf.forget({task_id for task_id, _ in rounds})
        self._retire()

    def _set_peers(self, epochs: set[int]) -> None:
        history = self.chain.history
        if history.epochs:
            newest = max(history.epochs)
            endpoints = {key: url for epoch in epochs | {newest} for key, url in history.endpoints(epoch).items()}
            self.mesh.set_peers(newest, endpoints)

    def _ensure_actor(self, key: Key, task: TaskHistory, current: RoundHistory) -> None:
        """Begin to open an actor for the round unless there is one; a reorg may have opened the round anew."""
        if key in self.actors and self.actors[key].opened_hash != current.opened_hash:
            log.warning("task %d round %d was opened anew by a reorg", *key)
            self._drop(key)
        if key in self._opening and self._opening[key][0] != current.opened_hash:
            self._stop_opening(key)
        if key not in self.actors and key not in self._opening:
            opened = OpenRound.of(self.chain.history, task, current)
            self._opening[key] = current.opened_hash, self._background.spawn(self._open_actor(key, opened))

    async def _open_actor(self, key: Key, opened: OpenRound) -> None:
        """Load the task and start its actor, however long that takes; other tasks do not wait for it."""
        pause = OPEN_RETRY_SECONDS[0]
        while True:
            try:
                training = await self._in("fetch", self._shelf.training, opened)
                context = await self._in("fetch", self._shelf.context, opened)
                break
            except (PotError, IpfsError) as error:
                log.error("task %d round %d cannot be judged now: %s (%s)", *key, error, error.hint)
                self.count("trouble", type(error).__name__)
            await asyncio.sleep(pause)
            pause = min(2 * pause, OPEN_RETRY_SECONDS[1])
        open_judge = partial(Judge, training, context, opened.checkpoint, opened.finalized_before)
        actor = self.actors[key] = RoundActor(self._services, context, self.me, opened.opened_hash, open_judge)
        actor.start()
        del self._opening[key]

    def _stop_opening(self, key: Key) -> None:
        _, task = self._opening.pop(key)
        task.cancel()

    def _drop(self, key: Key) -> RoundActor:
        actor = self.actors.pop(key)
        actor.close()
        return actor

    def _retire(self) -> None:
        """Forget the votes of rounds that no reorg will open again."""
        for key, block in list(self._closed_at.items()):
            if self.chain.head >= block + RETIRE_BLOCKS:
                del self._closed_at[key]
                self.guard.retire(*key)

    def _audit_seed(self, actor: RoundActor, current: RoundHistory) -> Digest | None:
        """Audit seed of the round, once the block after the last commit exists. Blocking."""
        context, commits = actor.context, current.commits
        if len(commits) == len(context.members):
            number: int | None = max(commit.block for commit in commits.values()) + 1
        elif self.chain.now > context.commit_deadline:
            number = self.chain.first_block_after(context.commit_deadline, current.opened_block)
        else:
            return None
        if number is None or number > self.chain.head:
            return None
        seals = [(miner, commit.seal) for miner, commit in commits.items()]
        return audit_seed(seals, self.chain.block(number).randomness)

    def _finalize(self, proposal: Proposal, certificate: Certificate) -> None:
        """Send the certificate unless the round is closed; quiet when somebody else was first. Blocking."""
        slot, view, signatures = certificate.vote.slot, certificate.vote.view, certificate.to_contract_signatures()
        if not self._is_open(slot, proposal):
            return
        try:
            self.chain.send(
                self.chain.training.finalize_round(proposal.outcome, CommitCertificate(slot.epoch, view, signatures))
            )
        except ContractReverted:
            if self._is_open(slot, proposal):
                raise
        else:
            log.info("task %d round %d is final", slot.task_id, slot.round)

    def _is_open(self, slot: Slot, proposal: Proposal) -> bool:
        """Whether the chain waits for an outcome of the round."""
        task = self.chain.training.task(slot.task_id)
        return task.state is TaskState.RUNNING and task.round == slot.round and task.head == proposal.outcome.parent

    def _skip_if_overdue(self, actor: RoundActor) -> None:
        """Past the finalize deadline anybody may skip; the validators do it, one after the other."""
        slot, context = actor.slot, actor.context
        turn = (context.voters.index(self.me) - slot.round) % len(context.voters)
        key = (slot.task_id, slot.round)
        overdue = self.chain.now - context.finalize_deadline
        if overdue > turn * SKIP_STAGGER_SECONDS and key not in self._skipping:
            self._skipping.add(key)
            self._background.spawn(self._skip(slot, key))

    async def _skip(self, slot: Slot, key: Key) -> None:
        try:
            await self._in("send", lambda: self.chain.send(self.chain.training.skip_round(slot.task_id)))
            log.warning("task %d round %d was skipped: it could not be finalized in time", *key)
        except PotError as error:
            log.info("task %d round %d: not skipped: %s", *key, error)
        finally:
            self._skipping.discard(key)

    async def rotation_signature(self) -> bytes | None:
        """Our signature over the handover to the next epoch; see ``EpochKeeper.signature``."""
        return await self._in("send", self._epochs.signature)

    async def _renew_epochs(self) -> None:
        """Start the next epoch whenever it is due."""
        while True:
            await asyncio.sleep(RENEW_CHECK_SECONDS)
            try:
                if await self._in("send", self._epochs.renew_if_due):
                    self.count("epoch", "started")
            except PotError as error:
                log.warning("the validator epoch cannot be renewed now: %s (%s)", error, error.hint)
                self.count("renew_failed", type(error).__name__)

    # -- peers and miners -------------------------------------------------------------------------------------------

    def _on_frame(self, sender: Address, frame: bytes) -> None:
        try:
            slot, content = frames.parse(frame)
            actor = self.actors.get((slot.task_id, slot.round))
            if actor is None or actor.slot != slot:
                self.count("frame", "no such round here")  # its sender repeats what matters
            else:
                actor.on_content(sender, content)
        except ProtocolError as error:
            log.debug("frame of %s not used: %s", sender, error)
            self.count("frame", "not used")
        except Exception as error:
            log.exception("a frame of %s caused a failure", sender)
            self.count("bug", type(error).__name__)

    def _look(self) -> Snapshot:
        views = [(actor.slot, actor.consensus.view) for actor in self.actors.values()]
        return Snapshot(self.counts, self.mesh.rejected, len(self.mesh.connected), views)

    def count(self, what: str, detail: str) -> None:
        """Count something for the metrics."""
        self.counts[what, detail] = self.counts.get((what, detail), 0) + 1

    async def _compute(self, function: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
        return await self._in("compute", function, *arguments, **named)

    async def _fetch(self, function: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
        return await self._in("fetch", function, *arguments, **named)

    async def _in(self, pool: str, function: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
        """Run blocking work in a pool of threads."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pools[pool], partial(function, *arguments, **named))
