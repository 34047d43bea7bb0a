"""The miner: joins a task, trains each round from the checkpoint on chain, commits, reveals.

Everything it does can be done again: what must not change between two attempts (salt and submission of a round) is in
the journal before the seal leaves, and everything else is read from the chain. So it may be killed at any instruction.
"""

from __future__ import annotations

import logging
import secrets
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from eth_account.signers.local import LocalAccount
from pot_chain.chain.network import ChainClient

from ipfs import open_store
from ipfs.errors import IpfsError
from pot_chain.chain.errors import ContractReverted
from pot_chain.chain.history import RoundHistory, TaskHistory
from pot_chain.protocol.addresses import Address, Digest
from pot_chain.protocol.assignment import assign
from pot_chain.protocol.canonical import digest
from pot_chain.protocol.errors import PotError
from pot_chain.protocol.manifests import Submission
from pot_chain.protocol.quorum import weak_quorum
from pot_chain.protocol.record import Reveal
from pot_chain.protocol.seal import gradient_seal
from worker.gradient import compute_gradient
from worker.miner_journal import Sealed, SubmissionJournal
from worker.poison import Context as AttackContext
from worker.poison import attack
from worker.reveal_client import post_reveal
from worker.runtime import configure_torch
from worker.task import TrainingTask
from worker.tensors import encode

POLL_SECONDS = 0.2
REVEAL_RETRY_SECONDS = 1.0
JOIN_GAS = 500_000
"""The join that completes the task's members also opens its first round, and an estimate made a moment before does not
know that it will be this one."""

log = logging.getLogger(__name__)


class TaskUnavailable(PotError):
    """The task cannot be mined: it does not exist, has ended, or is full."""


@dataclass(frozen=True)
class MinerConfig:
    """How a miner is run.

    Attributes:
        account: unlocked; earns the rewards.
        state_dir: holds the journal of submissions; losing it loses the round that is open.
        misbehave: name of an attack of ``worker.poison``: a tool of demonstrations and tests.
        misbehave_rounds: first and last round of the attack.
        keep_seconds: how long the gradient of a final round stays pinned, the evidence window.
    """

    rpc_url: str
    ipfs_url: str
    deployment: Path
    account: LocalAccount
    state_dir: Path
    task_id: int
    misbehave: str | None = None
    misbehave_rounds: tuple[int, int] | None = None
    keep_seconds: int = 7 * 86_400


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
    """What this process knows of the open round beyond the chain."""

    number: int
    taken_by: set[Address] = field(default_factory=set)
    next_attempt: float = 0.0
    revealed_on_chain: bool = False
    done: bool = False


class Miner:
    """One miner in one task."""

    def __init__(self, config: MinerConfig, on_event: Callable[[dict[str, Any]], None]) -> None:
        self.config = config
        self.me: Address = config.account.address
        self.chain = ChainClient(config.rpc_url, config.deployment, config.account)
        self.store = open_store(config.ipfs_url)
        self._on_event = on_event
        self._journal = SubmissionJournal(
            config.state_dir / f"{self.chain.domain.chain_id}-{self.chain.domain.contract}" / f"task-{config.task_id}"
        )
        self._training: TrainingTask | None = None
        self._progress = _RoundProgress(-1)

    def run(self, stop: threading.Event) -> None:
        """Work until the task has ended or ``stop`` is set."""
        self.chain.poll()
        self._require_task()
        self._register_and_join()
        while not stop.is_set():
            try:
                self.chain.poll()
                task = self._task()
                if task.ended:
                    self._emit("task_ended", state=task.state.name.lower())
                    return
                if task.current is not None:
                    self._work(task, task.current)
            except (PotError, IpfsError) as error:
                log.warning("will try again: %s (%s)", error, error.hint)
                self._emit("trouble", message=str(error), hint=error.hint)
                stop.wait(1.0)
            stop.wait(POLL_SECONDS)
        self._emit("stopped")

    # -- joining --------------------------------------------------------------------------------------------------

    def _task(self) -> TaskHistory:
        return self.chain.history.tasks[self.config.task_id]

    def _require_task(self) -> None:
        task_id = self.config.task_id
        task = self.chain.history.tasks.get(task_id)
        if task is None:
            raise TaskUnavailable(f"task {task_id} does not exist", "see `pot task list`")
        if task.ended:
            raise TaskUnavailable(f"task {task_id} has ended ({task.state.name.lower()})", "see `pot task list`")
        self._training = TrainingTask.load(self.store, task.params.spec, self.config.state_dir / "data")

    def _register_and_join(self) -> None:
        """Register with the least stake if needed, and join; both are skipped when they are done already."""
        if not self.chain.registry.is_active_miner(self.me):
            stake = self.chain.registry.min_miner_stake()
            self.chain.send(self.chain.registry.register_miner(stake))
            self._emit("registered", stake_wei=stake)
        if self._is_member_from_now_on():
            return
        self.chain.send(self.chain.training.join(self.config.task_id), gas=JOIN_GAS)
        self._emit("joined", task=self.config.task_id)

    def _is_member_from_now_on(self) -> bool:
        task = self._task()
        far = max(task.rounds, default=-1) + 1
        return task.membership.includes(self.me, far)

    # -- a round --------------------------------------------------------------------------------------------------

    def _work(self, task: TaskHistory, current: RoundHistory) -> None:
        if current.number != self._progress.number:
            self._clean_up(task)
            self._progress = _RoundProgress(current.number)
        if self.me not in task.membership.members(current.number) or self._progress.done:
            return
        if self.me not in current.commits:
            self._commit(task, current)
        elif self._commits_closed(task, current):
            self._reveal(task, current)

    def _commit(self, task: TaskHistory, current: RoundHistory) -> None:
        if self.chain.now > self._opened(current) + task.params.commit_window:
            self._give_up(current, "the commit deadline has passed")
            return
        sealed = self._journal.load(current.number)
        if sealed is None or not self._still_valid(sealed, current):
            sealed = self._train(task, current)
        try:
            self.chain.send(self.chain.training.commit_gradient(task.task_id, current.number, sealed.seal))
        except ContractReverted:
            self.chain.poll()
            if self._task().current is current:
                raise  # the round is still open, so the refusal is about us
        self._emit("committed", round=current.number, seal="0x" + sealed.seal.hex())

    def _still_valid(self, sealed: Sealed, current: RoundHistory) -> bool:
        """A reorg may have opened the round anew with other samples: then the work must be done again."""
        submission = Submission.from_bytes(self.store.get_manifest(sealed.cid_digest))
        return submission.parent == current.checkpoint and sealed.opening == self._opening(current)

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
            tensors = dishonesty.on_gradient(tensors, AttackContext(seed=current.number))
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
        sealed = self._journal.load(current.number)
        if sealed is None or sealed.seal != current.commits[self.me].seal:
            self._give_up(current, "the journal does not hold the submission behind our seal")
            return
        progress, now = self._progress, time.monotonic()
        if now < progress.next_attempt:
            return
        progress.next_attempt = now + REVEAL_RETRY_SECONDS
        reveal = Reveal(self.me, sealed.cid_digest, sealed.salt)
        endpoints = self.chain.history.endpoints(current.epoch)
        missing = {key: url for key, url in endpoints.items() if key not in progress.taken_by}
        progress.taken_by |= post_reveal(missing, task.task_id, current.number, reveal)
        if not missing.keys() - progress.taken_by:
            progress.done = True
            self._emit("revealed", round=current.number, validators=len(progress.taken_by))
        elif len(progress.taken_by) < weak_quorum(len(endpoints)) and not progress.revealed_on_chain:
            self._reveal_on_chain(task, current, sealed)

    def _reveal_on_chain(self, task: TaskHistory, current: RoundHistory, sealed: Sealed) -> None:
        """The fallback: validators must count a reveal that stands on chain. Used in the second half of the window."""
        params = task.params
        closes = self._opened(current) + params.commit_window + params.reveal_window
        if self.chain.now < closes - params.reveal_window // 2:
            return
        self.chain.send(
            self.chain.training.reveal_gradient(task.task_id, current.number, sealed.cid_digest, sealed.salt)
        )
        self._progress.revealed_on_chain = True
        self._emit("revealed_on_chain", round=current.number)

    def _give_up(self, current: RoundHistory, why: str) -> None:
        self._progress.done = True
        log.warning("round %d: nothing to earn: %s", current.number, why)
        self._emit("round_missed", round=current.number, why=why)

    def _clean_up(self, task: TaskHistory) -> None:
        """Unpin gradients whose evidence window is over."""
        for number in self._journal.rounds():
            history = task.rounds.get(number)
            if history is None or history.final is None:
                continue
            sealed = self._journal.load(number)
            final_at = self.chain.block(history.final.block).timestamp
            if sealed is not None and self.chain.now > final_at + self.config.keep_seconds:
                self.store.unpin(sealed.gradient)
                self._journal.forget(number)

    def _opened(self, current: RoundHistory) -> int:
        return self.chain.block(current.opened_block).timestamp

    def _opening(self, current: RoundHistory) -> Digest:
        """What fixes the samples and the start of the round."""
        return digest(current.seed + current.checkpoint)

    def _misbehaves(self, number: int) -> bool:
        first, last = self.config.misbehave_rounds or (0, number)
        return first <= number <= last

    def _emit(self, event: str, **fields: Any) -> None:
        log.info("%s %s", event, fields)
        self._on_event({"event": event, "miner": self.me, **fields})
