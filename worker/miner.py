"""The miner: joins a task, trains each round from the checkpoint on chain, commits, reveals.

Everything it does can be done again: what must not change between two attempts (salt and submission of a round) is in
the journal before the seal leaves, and everything else is read from the chain. So it may be killed at any instruction.
"""

from __future__ import annotations

import logging
import math
import secrets
import signal
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from ipfs import open_store
from ipfs.errors import IpfsError
from pot_chain.chain.acting import MinerCalls
from pot_chain.chain.contract import Call
from pot_chain.chain.errors import ContractReverted
from pot_chain.chain.history import RoundHistory, TaskHistory
from pot_chain.chain.network import ChainClient
from pot_chain.protocol.addresses import Address, Digest
from pot_chain.protocol.assignment import assign
from pot_chain.protocol.canonical import digest
from pot_chain.protocol.errors import PotError
from pot_chain.protocol.manifests import Submission
from pot_chain.protocol.quorum import weak_quorum
from pot_chain.protocol.record import Reveal
from pot_chain.protocol.seal import gradient_seal
from worker.gradient import compute_gradient
from worker.miner_config import MinerConfig, NoRight, TaskUnavailable
from worker.miner_journal import JournalDamaged, Sealed, SubmissionJournal
from worker.poison import Context as AttackContext
from worker.poison import attack
from worker.reveal_client import post_reveal
from worker.runtime import configure_torch
from worker.task import TrainingTask
from worker.tensors import NotFinite, Tensors, encode

POLL_SECONDS = 0.2
RETRY_SECONDS = 1.0
"""Pause after a failure."""
REVEAL_RETRY_SECONDS = (0.2, 2.0)
"""First and longest pause until a reveal is offered again to those that did not take it."""
REVEAL_REPEAT_SECONDS = 10.0
"""Pause until a reveal is offered anew to those that have taken it: a validator that restarts forgets it."""
JOIN_GAS = 500_000
"""The join that completes the task's members also opens its first round, and an estimate made a moment before does not
know that it will be this one."""

__all__ = ["Miner", "MinerConfig", "TaskUnavailable", "run_miner"]

log = logging.getLogger(__name__)


def run_miner(config: MinerConfig, on_event: Callable[[dict[str, Any]], None] = lambda _: None) -> None:
    """Mine until the task ends or SIGTERM or SIGINT comes.

    Args:
        on_event: told each step as a JSON-able dict with ``event``.

    Raises:
        PotError: the task cannot be mined, or chain or storage cannot be reached at the start.
    """
    configure_torch()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    Miner(config, on_event).run(stop)


@dataclass
class _RoundProgress:
    """What this process knows of the open round beyond the chain.

    Attributes:
        opened: hash of the block that opened it.
        taken_by: validators that have taken the reveal, lately.
        pause, next_attempt: seconds until, and monotonic time of, the next offer to the others.
        repeat_at: monotonic time at which all are asked again.
        told: whether the miner has told that it revealed.
        given_up: whether there is nothing more to be done.
    """

    opened: str
    taken_by: set[Address] = field(default_factory=set)
    pause: float = REVEAL_RETRY_SECONDS[0]
    next_attempt: float = 0.0
    repeat_at: float = math.inf
    told: bool = False
    given_up: bool = False


class Miner:
    """One miner in one task."""

    def __init__(self, config: MinerConfig, on_event: Callable[[dict[str, Any]], None]) -> None:
        self.config = config
        self.me: Address = config.delegate_of or config.account.address
        self.chain = ChainClient(config.rpc_url, config.deployment, config.account)
        self._calls = MinerCalls(self.chain.training, self.me, delegated=config.delegate_of is not None)
        self.store = open_store(config.ipfs_url)
        self._on_event = on_event
        self._journal = SubmissionJournal(
            config.state_dir / f"{self.chain.domain.chain_id}-{self.chain.domain.contract}" / f"task-{config.task_id}"
        )
        self._training: TrainingTask | None = None
        self._progress = _RoundProgress("")

    def run(self, stop: threading.Event) -> None:
        """Work until the task has ended or ``stop`` is set; whatever fails on the way is tried again.

        Raises:
            PotError, IpfsError: the task cannot be joined.
        """
        try:
            self.chain.poll()
            self._require_task()
            self._register_and_join()
            self._emit("mining", task=self.config.task_id)
            while not stop.is_set():
                pause = self._look()
                if pause is None:
                    return
                stop.wait(pause)
            self._emit("stopped")
        finally:
            self.store.close()

    def _look(self) -> float | None:
        """Do what is to be done now; returns seconds until the next look, None when the task has ended."""
        try:
            self.chain.poll()
            task = self._task()
            if task.ended:
                self._emit("task_ended", state=task.state.name.lower())
                return None
            if not task.membership.knows(self.me):
                self._register_and_join()  # a reorg has undone it
            if task.current is not None:
                self._work(task, task.current)
        except (PotError, IpfsError) as error:
            log.warning("will try again: %s (%s)", error, error.hint)
            self._emit("trouble", message=str(error), hint=error.hint)
            return RETRY_SECONDS
        except Exception as error:
            log.exception("will try again")
            self._emit("trouble", message=f"{type(error).__name__}: {error}", hint="this is a bug: please report it")
            return RETRY_SECONDS
        return POLL_SECONDS

    # -- joining --------------------------------------------------------------------------------------------------

    def _task(self) -> TaskHistory:
        task = self.chain.history.tasks.get(self.config.task_id)
        if task is None:  # also while a reorg has undone its creation
            raise TaskUnavailable(f"task {self.config.task_id} does not exist", "see `pot task list`")
        return task

    def _require_task(self) -> None:
        task = self._task()
        if task.ended:
            raise TaskUnavailable(f"task {task.task_id} has ended ({task.state.name.lower()})", "see `pot task list`")
        self._training = TrainingTask.load(self.store, task.params.spec, self.config.state_dir / "data")

    def _register_and_join(self) -> None:
        """Register with the least stake if needed, and join; both are skipped when they are done already."""
        if self._calls.delegated:
            self._require_right()
        elif not self.chain.registry.is_active_miner(self.me):
            stake = self.chain.registry.config().min_miner_stake
            register = self.chain.registry.register_miner(stake)
            if self._send(register, unless=lambda: self.chain.registry.is_active_miner(self.me)):
                self._emit("registered", stake_wei=stake)
        if self._is_member_from_now_on():
            return
        join = self._calls.join(self.config.task_id)
        if self._send(join, unless=self._is_member_from_now_on, gas=JOIN_GAS):
            self._emit("joined", task=self.config.task_id)

    def _require_right(self) -> None:
        hot = self.config.account.address
        if not self.chain.registry.is_delegate(self.me, hot) or not self.chain.registry.is_active_miner(self.me):
            raise NoRight(
                f"{hot} may not mine for {self.me}, or no longer, or that is no bonded miner",
                f"`pot miner delegate authorize {hot}`, with the wallet of {self.me}, gives it the right",
            )

    def _send(self, call: Call, unless: Callable[[], bool], gas: int | None = None) -> bool:
        """Send a transaction; returns False if it was refused because ``unless`` has come true meanwhile.

        A process that was killed may have sent it before: it is refused then, and what it should do is done.
        """
        try:
            self.chain.send(call, gas=gas)
        except ContractReverted:
            self.chain.poll()
            if not unless():
                raise
            return False
        return True

    def _is_member_from_now_on(self) -> bool:
        task = self._task()
        far = max(task.rounds, default=-1) + 1
        return task.membership.includes(self.me, far)

    # -- a round --------------------------------------------------------------------------------------------------

    def _work(self, task: TaskHistory, current: RoundHistory) -> None:
        if current.opened_hash != self._progress.opened:
            self._progress = _RoundProgress(current.opened_hash)
            self._clean_up(task, current)
        if self.me not in task.membership.members(current.number) or self._progress.given_up:
            return
        if self.me not in current.commits:
            self._commit(task, current)
        elif self._commits_closed(task, current):
            self._reveal(task, current)

    def _commit(self, task: TaskHistory, current: RoundHistory) -> None:
        if self.chain.now > self._opened(current) + task.params.commit_window:
            self._give_up(current, "the commit deadline has passed")
            return
        sealed = self._sealed(current)
        if sealed is None or sealed.opening != self._opening(current):
            try:
                sealed = self._train(task, current)
            except NotFinite as error:
                self._give_up(current, str(error))
                return
        commit = self._calls.commit(task.task_id, current.number, sealed.seal)
        if self._send(commit, unless=lambda: self._is_over(current) or self.me in self._now(current).commits):
            self._emit("committed", round=current.number, seal="0x" + sealed.seal.hex())

    def _sealed(self, current: RoundHistory) -> Sealed | None:
        """What was sealed in the round; a reorg may have opened it anew since, with other samples."""
        try:
            return self._journal.load(current.number)
        except JournalDamaged as error:
            log.error("%s (%s)", error, error.hint)
            self._emit("trouble", message=str(error), hint=error.hint)
            return None

    def _now(self, current: RoundHistory) -> RoundHistory:
        """The round as it stands after another look at the chain."""
        return self._task().rounds.get(current.number, current)

    def _is_over(self, current: RoundHistory) -> bool:
        found = self._task().current
        return found is None or found.opened_hash != current.opened_hash

    def _train(self, task: TaskHistory, current: RoundHistory) -> Sealed:
        """Compute, pin and journal this round's submission."""
        assert self._training is not None
        spec, started = self._training.spec, time.monotonic()
        members = task.membership.members(current.number)
        indices = assign(current.seed, members, spec.training.samples_per_miner, self._training.dataset.samples)
        x, y = self._training.dataset.batch(indices[self.me])
        parameters = self._training.parameters(current.checkpoint)
        misbehaves = self.config.misbehave is not None and self._misbehaves(current.number)
        dishonesty = attack(self.config.misbehave or "") if misbehaves else None
        if dishonesty is not None:
            y = dishonesty.on_labels(y, self._training.dataset.manifest.classes)
        gradient = compute_gradient(spec.model.name, spec.model.params, parameters, x, y)
        tensors = gradient.tensors
        if dishonesty is not None:
            tensors = dishonesty.on_gradient(tensors, AttackContext(current.number, self._others(task, current)))
        data = encode(tensors)
        submission = Submission(
            task_id=task.task_id,
            round=current.number,
            miner=self.me,
            parent=current.checkpoint,
            gradient=self.store.add(data),
            size=len(data),
            loss=gradient.loss,
            samples=len(y),
        )
        manifest = submission.to_bytes()
        self.store.put_manifest(manifest)
        salt, cid_digest = secrets.token_bytes(32), digest(manifest)
        seal = gradient_seal(self.chain.domain, task.task_id, current.number, self.me, cid_digest, salt)
        sealed = Sealed(current.number, cid_digest, salt, seal, submission.gradient, self._opening(current))
        self._journal.save(sealed)
        self._emit(
            "trained",
            round=current.number,
            loss=gradient.loss,
            samples=len(y),
            bytes=len(data),
            seconds=round(time.monotonic() - started, 3),
        )
        return sealed

    def _commits_closed(self, task: TaskHistory, current: RoundHistory) -> bool:
        members = task.membership.members(current.number)
        return len(current.commits) == len(members) or (
            self.chain.now > self._opened(current) + task.params.commit_window
        )

    def _reveal(self, task: TaskHistory, current: RoundHistory) -> None:
        """Hand the reveal to the validators; to the chain if too few take it while there is time."""
        progress, now = self._progress, time.monotonic()
        if now >= progress.repeat_at:
            progress.taken_by, progress.repeat_at, progress.next_attempt = set(), math.inf, 0.0
        if now < progress.next_attempt:
            return
        sealed = self._sealed(current)
        if sealed is None or sealed.seal != current.commits[self.me].seal:
            self._give_up(current, "the journal does not hold the submission behind our seal")
            return
        endpoints = self.chain.history.endpoints(current.epoch)
        missing = {key: url for key, url in endpoints.items() if key not in progress.taken_by}
        reveal = Reveal(self.me, sealed.cid_digest, sealed.salt)
        progress.taken_by |= post_reveal(missing, task.task_id, current.number, reveal)
        now = time.monotonic()
        progress.repeat_at = min(progress.repeat_at, now + REVEAL_REPEAT_SECONDS)
        if len(progress.taken_by) == len(endpoints):
            progress.next_attempt = math.inf
        else:
            progress.next_attempt = now + progress.pause
            progress.pause = min(2 * progress.pause, REVEAL_RETRY_SECONDS[1])
        if len(progress.taken_by) < weak_quorum(len(endpoints)):
            self._reveal_on_chain(task, current, sealed)
        elif not progress.told:
            progress.told = True  # one of them is honest and passes it on
            self._emit("revealed", round=current.number, validators=len(progress.taken_by))

    def _reveal_on_chain(self, task: TaskHistory, current: RoundHistory, sealed: Sealed) -> None:
        """The fallback: validators must count a reveal that stands on chain. Used in the second half of the window."""
        params = task.params
        closes = self._opened(current) + params.commit_window + params.reveal_window
        if self.me in current.reveals or not closes - params.reveal_window // 2 <= self.chain.now <= closes:
            return
        reveal = self._calls.reveal(task.task_id, current.number, sealed.cid_digest, sealed.salt)
        if self._send(reveal, unless=lambda: self._is_over(current) or self.me in self._now(current).reveals):
            self._emit("revealed_on_chain", round=current.number)

    def _give_up(self, current: RoundHistory, why: str) -> None:
        self._progress.given_up = True
        log.warning("round %d: nothing to earn: %s", current.number, why)
        self._emit("round_missed", round=current.number, why=why)

    def _clean_up(self, task: TaskHistory, current: RoundHistory) -> None:
        """Unpin the gradients of rounds that ended longer ago than the evidence window; oldest first."""
        for number in self._journal.rounds():
            following = task.rounds.get(number + 1)
            if number >= current.number or following is None:
                return
            if self.chain.now <= self._opened(following) + self.config.keep_seconds:
                return
            try:
                sealed = self._journal.load(number)
                if sealed is not None:
                    self.store.unpin(sealed.gradient)
            except JournalDamaged as error:
                log.warning("%s: what it names stays pinned", error)
            except IpfsError as error:
                log.warning("round %d is not unpinned yet: %s", number, error)
                return
            self._journal.forget(number)

    def _opened(self, current: RoundHistory) -> int:
        return self.chain.block(current.opened_block).timestamp

    def _opening(self, current: RoundHistory) -> Digest:
        """What fixes the samples and the start of the round."""
        return digest(current.seed + current.checkpoint)

    def _others(self, task: TaskHistory, current: RoundHistory) -> Sequence[Tensors]:
        """Gradients of other miners, for the attack that copies one: an honest network shows none before the reveal."""
        return ()

    def _misbehaves(self, number: int) -> bool:
        first, last = self.config.misbehave_rounds or (0, number)
        return first <= number <= last

    def _emit(self, event: str, **fields: Any) -> None:
        log.info("%s %s", event, fields)
        self._on_event({"event": event, "miner": self.me, **fields})
