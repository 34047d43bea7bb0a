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
from pot_chain.chain.structs import CommitCertificate
from pot_chain.pbft.certificate import Certificate
from pot_chain.pbft.config import Timeouts
from pot_chain.pbft.guard import SigningGuard
from pot_chain.protocol.addresses import Address, Digest
from pot_chain.protocol.assignment import audit_seed
from pot_chain.protocol.errors import PotError, ProtocolError
from pot_chain.protocol.record import Reveal, RoundRecord, SignedReport
from pot_chain.protocol.rewards import RewardLedger, RewardRule
from pot_chain.protocol.round import Proposal, RoundContext
from pot_chain.protocol.votes import Slot
from pot_chain.validator import frames
from pot_chain.validator.actor import RoundActor, Services
from pot_chain.validator.http import serve
from pot_chain.validator.judge import Judge
from pot_chain.validator.transport import WebsocketMesh
from worker.runtime import configure_torch
from worker.task import TrainingTask

POLL_SECONDS = 0.2
SKIP_STAGGER_SECONDS = 3
"""How much later each further validator skips an overdue round, so that usually one pays for it."""

P = ParamSpec("P")
T = TypeVar("T")

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ValidatorConfig:
    """How a validator is run.

    Attributes:
        account: unlocked; operator and vote key in one. Registered on chain with the endpoint ``http://host:port``.
        state_dir: holds the signing log; losing it means abstaining from the rounds that are open.
    """

    rpc_url: str
    ipfs_url: str
    deployment: Path
    account: LocalAccount
    state_dir: Path
    port: int
    host: str = "127.0.0.1"
    timeouts: Timeouts = field(default_factory=Timeouts)


def run_validator(config: ValidatorConfig) -> None:
    """Run until SIGTERM or SIGINT.

    Raises:
        PotError: it cannot start (chain or storage down, log damaged or locked, not registered).
    """
    configure_torch()
    uvloop.run(_run(config))


async def _run(config: ValidatorConfig) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    service = ValidatorService(config)
    await service.start()
    try:
        await service.follow(stop)
    finally:
        await service.close()


class ValidatorService:
    """One validator process."""

    def __init__(self, config: ValidatorConfig) -> None:
        self.config = config
        self.me: Address = config.account.address
        self.actors: dict[tuple[int, int], RoundActor] = {}
        self.counts: dict[tuple[str, str], int] = {}
        self._runs: dict[tuple[int, int], asyncio.Task[None]] = {}
        self._tasks: dict[int, TrainingTask] = {}
        self._unusable: set[int] = set()
        self._ledgers: dict[Digest, RewardLedger] = {}
        # Two executors: re-execution must not delay what is sent to the chain.
        self._work = ThreadPoolExecutor(1, thread_name_prefix="judge")
        self._io = ThreadPoolExecutor(4, thread_name_prefix="chain")
        self._http: web.AppRunner | None = None
        self._skipping: set[tuple[int, int]] = set()

    # -- life -----------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Open everything; raises PotError with what is missing."""
        config = self.config
        self.chain = await self._in_io(ChainClient, config.rpc_url, config.deployment, config.account)
        self.store: Store = await self._in_io(open_store, config.ipfs_url)
        self.guard = SigningGuard.open(config.state_dir / "votes.log", bytes(config.account.key), self.chain.domain)
        await self._in_io(self.chain.poll)
        if self.guard.fresh:
            history = self.chain.history
            voted_before = any(self.me in voters for voters in history.epochs.values())
            rounds = {t.task_id: max(t.rounds) for t in history.tasks.values() if t.rounds} if voted_before else {}
            self.guard.begin(rounds)
        self.mesh = WebsocketMesh(self.chain.domain, self.me, self.guard.sign_hello, self._on_frame)
        self._meet_peers()
        self._http = await serve(self, config.host, config.port)
        await self.mesh.start()
        self._services = Services(
            guard=self.guard,
            transport=self.mesh,
            run_blocking=self._in_work,
            finalize=self._finalize,
            timeouts=config.timeouts,
            count=self.count,
        )
        log.info("validator %s listens on %s:%d", self.me, config.host, config.port)

    async def follow(self, stop: asyncio.Event) -> None:
        """Follow the chain until ``stop``."""
        while not stop.is_set():
            try:
                await self._in_io(self.chain.poll)
                await self._update()
            except (PotError, IpfsError) as error:
                log.warning("cannot follow the chain now: %s (%s)", error, error.hint)
                self.count("poll_failed", type(error).__name__)
                await asyncio.sleep(1.0)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), POLL_SECONDS)

    async def close(self) -> None:
        """Stop everything; the signing log is released last."""
        for key in list(self.actors):
            self._drop(key)
        await asyncio.gather(*self._runs.values(), return_exceptions=True)
        await self.mesh.stop()
        if self._http is not None:
            await self._http.cleanup()
        self._work.shutdown(wait=True, cancel_futures=True)
        self._io.shutdown(wait=True, cancel_futures=True)
        self.guard.close()
        self.store.close()

    # -- the chain ------------------------------------------------------------------------------------------------

    async def _update(self) -> None:
        history = self.chain.history
        self._meet_peers()
        open_rounds = set()
        for task in history.tasks.values():
            current = task.current
            if current is None or self.me not in history.epochs.get(current.epoch, ()):
                continue
            key = (task.task_id, current.number)
            open_rounds.add(key)
            if key not in self.actors and not await self._open(task, current):
                continue
            actor = self.actors[key]
            seed = await self._audit_seed(actor, current)
            actor.on_chain(current, self.chain.now, seed)
            self._skip_if_overdue(actor)
        for key in set(self.actors) - open_rounds:
            self._drop(key)
            self.guard.retire(*key)

    def _meet_peers(self) -> None:
        """Speak with the validators of the latest epoch and of every epoch that still has an open round."""
        history = self.chain.history
        if history.epochs:
            in_use = {max(history.epochs)} | {actor.slot.epoch for actor in self.actors.values()}
            endpoints = {key: url for epoch in in_use for key, url in history.endpoints(epoch).items()}
            self.mesh.set_peers(max(history.epochs), endpoints)

    async def _open(self, task: TaskHistory, current: RoundHistory) -> bool:
        """Start an actor for the round; False if this validator cannot judge the task."""
        if task.task_id in self._unusable:
            return False
        try:
            training = await self._in_work(self._training, task)
            context = await self._in_work(self._context, task, current, training)
        except ProtocolError as error:
            log.error("task %d cannot be judged: %s (%s)", task.task_id, error, error.hint)
            self._unusable.add(task.task_id)
            return False
        key = (task.task_id, current.number)
        open_judge = partial(Judge, training, context, current.checkpoint, current.finalized_before)
        actor = self.actors[key] = RoundActor(self._services, context, self.me, open_judge)
        self._runs[key] = asyncio.create_task(self._run_actor(actor))
        return True

    async def _run_actor(self, actor: RoundActor) -> None:
        try:
            await actor.run()
        except PotError as error:
            log.error("task %d round %d: %s (%s)", actor.slot.task_id, actor.slot.round, error, error.hint)

    def _drop(self, key: tuple[int, int]) -> None:
        self.actors.pop(key).close()
        self._runs = {k: run for k, run in self._runs.items() if not run.done()}

    def _training(self, task: TaskHistory) -> TrainingTask:
        if task.task_id not in self._tasks:
            cache = self.config.state_dir / "data"
            self._tasks[task.task_id] = TrainingTask.load(self.store, task.params.spec, cache)
        return self._tasks[task.task_id]

    def _context(self, task: TaskHistory, current: RoundHistory, training: TrainingTask) -> RoundContext:
        history, params = self.chain.history, task.params
        opened = self.chain.block(current.opened_block).timestamp
        members = task.membership.members(current.number)
        return RoundContext(
            domain=self.chain.domain,
            slot=Slot(task.task_id, current.number, current.epoch),
            parent=current.parent,
            seed=current.seed,
            members=members,
            commit_deadline=opened + params.commit_window,
            reveal_deadline=opened + params.commit_window + params.reveal_window,
            finalize_deadline=opened + params.commit_window + params.reveal_window + params.finalize_window,
            voters=history.epochs[current.epoch],
            operators=history.operators(current.epoch),
            ledger=self._ledger(task),
            rule=RewardRule(params.reward_per_round, training.spec.rewards.validator_share),
            weights=dict.fromkeys(members, training.spec.training.samples_per_miner),
        )

    def _ledger(self, task: TaskHistory) -> RewardLedger:
        """Rewards so far: the leaves in the last round's record, checked against the root on chain."""
        finals = task.finals
        if not finals or finals[-1].final is None:
            return RewardLedger(task.task_id, {})
        final = finals[-1].final
        if final.record not in self._ledgers:
            record = RoundRecord.from_bytes(self.store.get_manifest(final.record))
            ledger = RewardLedger(task.task_id, record.cumulative)
            if ledger.root != final.rewards_root:
                raise ProtocolError(f"the record of round {record.round} does not lead to the rewards root on chain")
            self._ledgers = {final.record: ledger}
        return self._ledgers[final.record]

    async def _audit_seed(self, actor: RoundActor, current: RoundHistory) -> Digest | None:
        """Audit seed of the round, once the block after the last commit exists."""
        context, commits = actor.context, current.commits
        if len(commits) == len(context.members):
            number: int | None = max(commit.block for commit in commits.values()) + 1
        elif self.chain.now > context.commit_deadline:
            number = await self._in_io(self.chain.first_block_after, context.commit_deadline, current.opened_block)
        else:
            return None
        if number is None or number > self.chain.head:
            return None
        block = await self._in_io(self.chain.block, number)
        return audit_seed([(miner, commit.seal) for miner, commit in commits.items()], block.randomness)

    def _finalize(self, proposal: Proposal, certificate: Certificate) -> None:
        """Pin the record and finalize the round; quiet when somebody else was first. Blocking."""
        self.store.put_manifest(proposal.record.to_bytes())
        task = self.chain.training.task(proposal.outcome.task_id)
        if task.round != proposal.outcome.round:
            return
        slot = certificate.vote.slot
        try:
            signatures = CommitCertificate(slot.epoch, certificate.vote.view, certificate.to_contract_signatures())
            self.chain.send(self.chain.training.finalize_round(proposal.outcome, signatures))
        except ContractReverted:
            if self.chain.training.task(proposal.outcome.task_id).round == proposal.outcome.round:
                raise
        else:
            log.info("task %d round %d is final", slot.task_id, slot.round)

    def _skip_if_overdue(self, actor: RoundActor) -> None:
        """Past the finalize deadline anybody may skip; the validators do it, one after the other."""
        slot, context = actor.slot, actor.context
        turn = (context.voters.index(self.me) - slot.round) % len(context.voters)
        key = (slot.task_id, slot.round)
        overdue = self.chain.now - context.finalize_deadline
        if overdue > turn * SKIP_STAGGER_SECONDS and key not in self._skipping:
            self._skipping.add(key)
            skip = asyncio.ensure_future(self._in_io(self._skip, slot))
            skip.add_done_callback(lambda _: self._skipping.discard(key))

    def _skip(self, slot: Slot) -> None:
        try:
            self.chain.send(self.chain.training.skip_round(slot.task_id))
            log.warning("task %d round %d was skipped: it could not be finalized in time", slot.task_id, slot.round)
        except PotError as error:
            log.info("task %d round %d: not skipped: %s", slot.task_id, slot.round, error)

    # -- peers and miners -------------------------------------------------------------------------------------------

    def _on_frame(self, sender: Address, frame: bytes) -> None:
        try:
            slot, content = frames.parse(frame)
        except ProtocolError as error:
            self.count("frame", "malformed")
            log.warning("malformed frame of %s: %s", sender, error)
            return
        actor = self.actors.get((slot.task_id, slot.round))
        if actor is None or actor.slot != slot:
            self.count("frame", "no such round here")
            return
        if isinstance(content, SignedReport):
            actor.on_report(sender, content)
        elif isinstance(content, Reveal):
            self._relayed_reveal(actor, sender, content)
        else:
            actor.on_message(actor.context.voters.index(sender) if sender in actor.context.voters else -1, content)

    def _relayed_reveal(self, actor: RoundActor, sender: Address, reveal: Reveal) -> None:
        try:
            actor.on_reveal(reveal)
        except ProtocolError as error:
            log.warning("reveal passed on by %s is not used: %s", sender, error)

    def count(self, what: str, detail: str) -> None:
        """Count something for the metrics."""
        self.counts[what, detail] = self.counts.get((what, detail), 0) + 1

    async def _in_work(self, function: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._work, partial(function, *arguments, **named))

    async def _in_io(self, function: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._io, partial(function, *arguments, **named))
