"""What a miner does on chain, by its own key or by a delegate's."""

from __future__ import annotations

from dataclasses import dataclass

from pot_chain.chain.contract import Call
from pot_chain.chain.training import Training
from pot_chain.protocol.addresses import Address, Digest


@dataclass(frozen=True, slots=True)
class MinerCalls:
    """The calls of ``miner``.

    Attributes:
        delegated: whether the sender is a delegate of the miner and not the miner itself.
    """

    training: Training
    miner: Address
    delegated: bool

    def join(self, task_id: int) -> Call:
        """Join as a miner."""
        return self.training.join_for(task_id, self.miner) if self.delegated else self.training.join(task_id)

    def commit(self, task_id: int, round_number: int, seal: Digest) -> Call:
        """Commit to a gradient of the open round."""
        if self.delegated:
            return self.training.commit_gradient_for(task_id, round_number, seal, self.miner)
        return self.training.commit_gradient(task_id, round_number, seal)

    def reveal(self, task_id: int, round_number: int, cid_digest: Digest, salt: Digest) -> Call:
        """Reveal on chain."""
        if self.delegated:
            return self.training.reveal_gradient_for(task_id, round_number, cid_digest, salt, self.miner)
        return self.training.reveal_gradient(task_id, round_number, cid_digest, salt)
