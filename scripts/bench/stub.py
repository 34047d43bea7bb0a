"""The stub application of benchmarks, chaos and fuzzing: instead of training, each slot has a made-up outcome.

Proposals are well-formed (the replicas hash and parse them as they do real ones); what they say is derived from the
slot, the proposer and the view, so that different proposers propose different outcomes.
"""

from __future__ import annotations

import json

from eth_utils import keccak

from pot_chain.protocol import canonical
from pot_chain.protocol.addresses import ZERO_DIGEST, Digest
from pot_chain.protocol.outcome import Outcome
from pot_chain.protocol.record import RoundRecord
from pot_chain.protocol.round import Proposal
from pot_chain.protocol.votes import Slot

_MINERS = tuple("0x" + f"{i:02x}" * 20 for i in (0x31, 0x32, 0x33, 0x34))


def stub_proposal(slot: Slot, proposer: int, view: int, parent: Digest = ZERO_DIGEST) -> Proposal:
    """A well-formed proposal (about 2 kB) of validator ``proposer`` in ``view`` of ``slot``, on top of ``parent``."""
    seed = keccak(text=f"stub {slot.task_id} {slot.round} {slot.epoch} {proposer} {view}")
    record = RoundRecord(
        task_id=slot.task_id,
        round=slot.round,
        epoch=slot.epoch,
        seed=seed,
        members=_MINERS,
        commits=tuple((miner, keccak(seed + miner.encode())) for miner in _MINERS),
        reveals={},
        rejected={},
        reports=(),
        audit_seed=keccak(seed),
        train_loss=1.0,
        earned=dict.fromkeys(_MINERS, 10**15),
        cumulative=dict.fromkeys(_MINERS, 10**15 * (slot.round + 1)),
    )
    outcome = Outcome(
        task_id=slot.task_id,
        round=slot.round,
        parent=parent,
        checkpoint=keccak(b"checkpoint" + seed),
        record=canonical.digest(record.to_bytes()),
        loss=1_000_000,
        accepted=len(_MINERS),
        chain_reveals=0,
        rewards_root=keccak(b"root" + seed),
        rewards_total=4 * 10**15 * (slot.round + 1),
    )
    return Proposal(outcome, record)


def belongs_to(slot: Slot, payload: bytes) -> bool:
    """The stub's external validity: a proposal for ``slot``, which the replica has found well-formed."""
    outcome = json.loads(payload)["outcome"]
    return (outcome["task_id"], outcome["round"]) == (str(slot.task_id), str(slot.round))
