"""A validator's own judgement of the gradients of one round: fetch, check, re-execute, aggregate.

Blocking and single-threaded: the service runs it in an executor. Nothing here takes another node's word. A fault is
recorded only when this validator has seen it itself.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ipfs.errors import BadContent, Unavailable
from pot_chain.protocol.addresses import Address, Digest
from pot_chain.protocol.assignment import assign, audited
from pot_chain.protocol.errors import ProtocolError
from pot_chain.protocol.manifests import Submission
from pot_chain.protocol.record import Reveal
from pot_chain.protocol.round import RoundContext
from worker.aggregate import aggregate, apply_sgd
from worker.task import TrainingTask
from worker.tensors import GradientError, content_digest, decode, encoded_limit
from worker.verification import reexecute, suspicious

UNAVAILABLE = "unavailable"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Examined:
    """A gradient that has the form it must have."""

    submission: Submission
    tensors: Mapping[str, NDArray[np.float32]]
    content: Digest


class Judge:
    """What one validator knows about the gradients of one round.

    Attributes:
        examined: well-formed gradients by miner.
        faults: confirmed reasons for rejection by miner.
        audited: miners whose gradient was re-executed here.
    """

    def __init__(self, task: TrainingTask, context: RoundContext, checkpoint: Digest, finalized_rounds: int) -> None:
        """``checkpoint``: digest of the round's start; ``finalized_rounds``: how many rounds it already contains."""
        self._task, self._context, self._checkpoint = task, context, checkpoint
        self._rounds = finalized_rounds
        self._parameters = task.parameters(checkpoint)
        self._assignment = assign(
            context.seed, context.members, task.spec.training.samples_per_miner, task.dataset.samples
        )
        self.examined: dict[Address, Examined] = {}
        self.faults: dict[Address, str] = {}
        self.audited: set[Address] = set()
        self._outcomes: dict[tuple[Address, ...], Digest] = {}

    def examine(self, reveal: Reveal) -> None:
        """Fetch the submission and its gradient and check all that needs no computation.

        A gradient that could not be fetched is looked for again at the next call.
        """
        miner = reveal.miner
        if miner in self.examined or self.faults.get(miner, UNAVAILABLE) != UNAVAILABLE:
            return
        try:
            submission = Submission.from_bytes(self._task.store.get_manifest(reveal.cid_digest))
            self._require_assignment(submission, miner)
            data = self._task.store.get(submission.gradient, max_bytes=encoded_limit(self._task.shapes))
            tensors = decode(data, self._task.shapes)
        except GradientError as error:
            self._fault(miner, error.reason, error)
        except (ProtocolError, BadContent) as error:
            self._fault(miner, "malformed", error)
        except Unavailable as error:
            self._fault(miner, UNAVAILABLE, error)
        except _WrongRoundError as error:
            self._fault(miner, "wrong_round", error)
        else:
            self.faults.pop(miner, None)
            self.examined[miner] = Examined(submission, tensors, content_digest(tensors))

    def compare(self, order: Iterable[Address]) -> None:
        """Find copies: of equal gradients all but the one committed first (``order``: miners as they committed)."""
        first: dict[Digest, Address] = {}
        for miner in order:
            if miner in self.examined:
                original = first.setdefault(self.examined[miner].content, miner)
                if original != miner and miner not in self.faults:
                    self._fault(miner, "duplicate", f"equal to the gradient of {original}")

    def to_audit(self, audit_seed: Digest, me: Address) -> tuple[Address, ...]:
        """Miners to re-execute: those drawn for this validator, and those that look unlike the others."""
        sound = [miner for miner in self._context.members if miner in self.examined and miner not in self.faults]
        drawn = audited(audit_seed, me, sound, self._task.spec.verification.audit_rate)
        odd = suspicious([self.examined[miner].tensors for miner in sound])
        return tuple(miner for i, miner in enumerate(sound) if miner in drawn or i in odd)

    def audit(self, miner: Address) -> None:
        """Re-execute the gradient of ``miner`` on its assigned samples and compare."""
        if miner in self.audited or miner not in self.examined:
            return
        examined, spec = self.examined[miner], self._task.spec
        x, y = self._task.dataset.batch(self._assignment[miner])
        check = reexecute(
            examined.tensors,
            examined.submission.loss,
            spec.model.name,
            spec.model.params,
            self._parameters,
            x,
            y,
            tolerance=spec.verification.tolerance,
        )
        self.audited.add(miner)
        if check.reason is not None:
            self._fault(miner, check.reason, f"relative error {check.error:.3g}")

    def next_checkpoint(self, accepted: tuple[Address, ...]) -> Digest:
        """Digest of the checkpoint after aggregating ``accepted`` (canonical order); pins its content."""
        if accepted not in self._outcomes:
            mean = aggregate("mean", [self.examined[miner].tensors for miner in accepted])
            parameters = apply_sgd(self._parameters, mean, self._task.spec.training.learning_rate)
            self._outcomes[accepted] = self._task.pin_parameters(parameters, self._rounds + 1).digest
        return self._outcomes[accepted]

    def losses(self, accepted: Iterable[Address]) -> dict[Address, float]:
        """Reported losses of ``accepted``."""
        return {miner: self.examined[miner].submission.loss for miner in accepted}

    def _require_assignment(self, submission: Submission, miner: Address) -> None:
        slot = self._context.slot
        expected = (slot.task_id, slot.round, miner, self._checkpoint, len(self._assignment[miner]))
        found = (submission.task_id, submission.round, submission.miner, submission.parent, submission.samples)
        if found != expected:
            raise _WrongRoundError(f"the submission is for {found}, expected {expected}")

    def _fault(self, miner: Address, reason: str, detail: object) -> None:
        self.faults[miner] = reason
        slot = self._context.slot
        log.warning("task %d round %d: %s rejected: %s: %s", slot.task_id, slot.round, miner, reason, detail)


class _WrongRoundError(Exception):
    """A submission made for another task, round, miner, checkpoint or number of samples."""
