"""A validator's own judgement of the gradients of one round: fetch, check, re-execute, aggregate.

Nothing here takes another node's word: a gradient is faulty only when this validator has seen the fault itself.

What computes or fetches (``examine``, ``to_audit``, ``reexecute``, ``next_checkpoint``) is blocking and changes no
verdict; what it finds is recorded by ``note`` and ``note_check`` in the event loop. So fetches run side by side while
verdicts have one writer.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ipfs.errors import BadContent, DaemonDown, TooLarge, Unavailable
from pot_chain.protocol.addresses import Address, Digest
from pot_chain.protocol.assignment import assign, audited
from pot_chain.protocol.errors import PotError, ProtocolError
from pot_chain.protocol.manifests import Submission
from pot_chain.protocol.record import Reveal
from pot_chain.protocol.round import RoundContext
from worker.aggregate import aggregate, apply_sgd
from worker.task import TrainingTask
from worker.tensors import GradientError, content_digest, decode, encoded_limit
from worker.verification import Check, reexecute, suspicious

UNAVAILABLE = "unavailable"
FETCH_SECONDS = 10.0
"""How long a gradient is waited for. It was pinned before it was sealed, so it is there or its miner is at fault."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Sound:
    """A gradient that has the form it must have; ``content`` is equal for equal tensors."""

    submission: Submission
    tensors: Mapping[str, NDArray[np.float32]]
    content: Digest


@dataclass(frozen=True)
class Flawed:
    """A gradient that needs no computation to be rejected; ``reason`` is one of ``record.REASONS``."""

    reason: str
    detail: str


Finding = Sound | Flawed


class Judge:
    """What one validator knows about the gradients of one round."""

    def __init__(self, task: TrainingTask, context: RoundContext, checkpoint: Digest, finalized_rounds: int) -> None:
        """Loads the checkpoint, so it blocks.

        Args:
            checkpoint: digest of the round's start.
            finalized_rounds: how many rounds it already contains.

        Raises:
            PotError: the checkpoint or the assignment is impossible: the round cannot be judged.
            IpfsError: the checkpoint cannot be had now.
        """
        self._task, self._context, self._checkpoint = task, context, checkpoint
        self._rounds = finalized_rounds
        self._parameters = task.parameters(checkpoint)
        self._assignment = assign(
            context.seed, context.members, task.spec.training.samples_per_miner, task.dataset.samples
        )
        self._findings: dict[Address, tuple[Reveal, Finding]] = {}
        self._checks: dict[Address, Check] = {}
        self._outcomes: dict[tuple[Digest, ...], Digest | PotError] = {}

    # -- verdicts -------------------------------------------------------------------------------------------------

    def finding(self, reveal: Reveal) -> Finding | None:
        """What was found at ``reveal``; None if nobody has looked."""
        known, found = self._findings.get(reveal.miner, (None, None))
        return found if known == reveal else None

    def note(self, reveal: Reveal, found: Finding) -> None:
        """Record what ``examine`` found; a check of another gradient of the miner is forgotten."""
        before = self.finding(reveal)
        if not (isinstance(before, Sound) and isinstance(found, Sound) and before.content == found.content):
            self._checks.pop(reveal.miner, None)
        self._findings[reveal.miner] = reveal, found
        if isinstance(found, Flawed):
            self._warn(reveal.miner, found.reason, found.detail)

    def note_check(self, miner: Address, check: Check) -> None:
        """Record what ``reexecute`` found."""
        self._checks[miner] = check
        if check.reason is not None:
            self._warn(miner, check.reason, f"relative error {check.error:.3g}, of the loss {check.loss_error:.3g}")

    def checked(self, miner: Address) -> bool:
        """Whether the gradient of ``miner`` was re-executed here."""
        return miner in self._checks

    def faults(self, reveals: Mapping[Address, Reveal]) -> dict[Address, str]:
        """Confirmed reasons for rejection among ``reveals``; what could not be fetched so far is unavailable.

        The reason follows from the gradients alone, so validators that have looked at the same ones agree on it.
        """
        copies = self._copied(reveals)
        faults: dict[Address, str] = {}
        for miner, reveal in reveals.items():
            found = self.finding(reveal)
            check = self._checks.get(miner)
            if found is None:
                faults[miner] = UNAVAILABLE
            elif isinstance(found, Flawed):
                faults[miner] = found.reason
            elif check is not None and check.reason is not None:
                # Of two equal gradients one at most belongs to its miner's samples: the other is the copy.
                copied = check.reason == "gradient_mismatch" and found.content in copies
                faults[miner] = "duplicate" if copied else check.reason
        return faults

    def losses(self, accepted: Iterable[Address]) -> dict[Address, float]:
        """Reported losses of ``accepted``, all of which are sound."""
        return {miner: self._sound(miner).submission.loss for miner in accepted}

    # -- blocking -------------------------------------------------------------------------------------------------

    def examine(self, reveal: Reveal) -> Finding:
        """Fetch the submission and its gradient and check all that needs no computation; safe for several threads.

        Raises:
            IpfsError: our own storage is down, which says nothing about the gradient.
        """
        store, deadline = self._task.store, time.monotonic() + FETCH_SECONDS
        try:
            submission = Submission.from_bytes(store.get_manifest(reveal.cid_digest, timeout=FETCH_SECONDS))
            fault = self._assignment_fault(submission, reveal.miner)
            if fault is not None:
                return Flawed("wrong_round", fault)
            limit = encoded_limit(self._task.shapes)
            left = max(1.0, deadline - time.monotonic())
            data = store.get(submission.gradient, max_bytes=limit, timeout=left)
            tensors = decode(data, self._task.shapes)
        except GradientError as error:
            return Flawed(error.reason, str(error))
        except TooLarge as error:
            return Flawed("too_large", str(error))
        except (ProtocolError, BadContent) as error:
            return Flawed("malformed", str(error))
        except DaemonDown:
            raise
        except Unavailable as error:
            return Flawed(UNAVAILABLE, str(error))
        return Sound(submission, tensors, content_digest(tensors))

    def to_audit(self, audit_seed: Digest, me: Address, reveals: Mapping[Address, Reveal]) -> tuple[Address, ...]:
        """Miners to re-execute: those drawn for validator ``me``, those that look unlike the others, and copies."""
        faults, copies = self.faults(reveals), self._copied(reveals)
        sound = [miner for miner in self._context.members if miner in reveals and miner not in faults]
        if not sound:
            return ()
        drawn = audited(audit_seed, me, sound, self._task.spec.verification.audit_rate)
        odd = suspicious([self._sound(miner).tensors for miner in sound])
        return tuple(
            miner for i, miner in enumerate(sound) if miner in drawn or i in odd or self._sound(miner).content in copies
        )

    def reexecute(self, miner: Address) -> Check:
        """Compute the gradient of ``miner``, which is sound, again on its assigned samples and compare."""
        found, spec = self._sound(miner), self._task.spec
        x, y = self._task.dataset.batch(self._assignment[miner])
        return reexecute(
            found.tensors,
            found.submission.loss,
            spec.model.name,
            spec.model.params,
            self._parameters,
            x,
            y,
            tolerance=spec.verification.tolerance,
        )

    def next_checkpoint(self, accepted: tuple[Address, ...]) -> Digest:
        """Digest of the checkpoint after aggregating ``accepted`` (canonical order, sound); pins its content.

        Raises:
            PotError: there is none: the training has diverged.
            IpfsError: it cannot be pinned now.
        """
        key = tuple(self._sound(miner).content for miner in accepted)
        if key not in self._outcomes:
            try:
                mean = aggregate("mean", [self._sound(miner).tensors for miner in accepted])
                parameters = apply_sgd(self._parameters, mean, self._task.spec.training.learning_rate)
            except PotError as error:
                self._outcomes[key] = error  # it is asked for again and again
            else:
                self._outcomes[key] = self._task.pin_parameters(parameters, self._rounds + 1).digest
        outcome = self._outcomes[key]
        if isinstance(outcome, PotError):
            raise outcome
        return outcome

    # -- inside ---------------------------------------------------------------------------------------------------

    def _sound(self, miner: Address) -> Sound:
        found = self._findings[miner][1]
        assert isinstance(found, Sound), f"the gradient of {miner} is {found.reason}"
        return found

    def _copied(self, reveals: Mapping[Address, Reveal]) -> set[Digest]:
        """Contents that more than one miner has handed in."""
        found = (self.finding(reveal) for reveal in reveals.values())
        counts = Counter(finding.content for finding in found if isinstance(finding, Sound))
        return {content for content, count in counts.items() if count > 1}

    def _assignment_fault(self, submission: Submission, miner: Address) -> str | None:
        slot = self._context.slot
        expected = (slot.task_id, slot.round, miner, self._checkpoint, len(self._assignment[miner]))
        found = (submission.task_id, submission.round, submission.miner, submission.parent, submission.samples)
        return None if found == expected else f"the submission is for {found}, expected {expected}"

    def _warn(self, miner: Address, reason: str, detail: str) -> None:
        slot = self._context.slot
        log.warning("task %d round %d: %s: %s: %s", slot.task_id, slot.round, miner, reason, detail)


def same_fault(stated: str, confirmed: str) -> bool:
    """Whether a proposal may state ``stated`` where this validator has confirmed the fault ``confirmed``.

    Whoever could not fetch a gradient cannot know what else is wrong with it, and whoever lacks the original of a copy
    sees a wrong gradient only.
    """
    return stated in (confirmed, UNAVAILABLE) or {stated, confirmed} == {"duplicate", "gradient_mismatch"}
