"""Typed access to ProofOfTraining: reads return values, writes return a ``Call`` for ``TransactionSender.send``.

Reads raise ContractReverted, DeploymentError, RpcDown or RpcError; a write raises AbiError for values that do not fit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from pot_chain.chain.contract import Block, Call, Contract
from pot_chain.chain.errors import TaskNotFound
from pot_chain.chain.structs import Claim, CommitCertificate, Deadlines, Task, TaskParams, TaskState
from pot_chain.protocol.addresses import ZERO_ADDRESS, Address, Digest
from pot_chain.protocol.outcome import Outcome


class Training:
    """Tasks, escrow, seals, certified rounds and rewards.

    Attributes:
        contract: ABI-level access.
        address: where it lies.
    """

    def __init__(self, contract: Contract) -> None:
        self.contract = contract
        self.address = contract.address

    # ---- writes

    def create_task(self, params: TaskParams) -> Call:
        """Create and fund a task; an ERC-20 needs an allowance of ``params.budget`` first (``token.approve``).

        The number of the new task is in the ``TaskCreated`` event of the transaction.
        """
        value = params.budget if params.token == ZERO_ADDRESS else 0
        return self.contract.call("createTask", params, value=value)

    def join(self, task_id: int) -> Call:
        """Join as a miner."""
        return self.contract.call("join", task_id)

    def join_for(self, task_id: int, miner: Address) -> Call:
        """``join`` by a delegate of ``miner``."""
        return self.contract.call("joinFor", task_id, miner)

    def leave(self, task_id: int) -> Call:
        """Leave; a member of the open round stays one until it ends."""
        return self.contract.call("leave", task_id)

    def evict(self, task_id: int, miner: Address) -> Call:
        """Take out a member that is no bonded miner any more; anybody may."""
        return self.contract.call("evict", task_id, miner)

    def leave_for(self, task_id: int, miner: Address) -> Call:
        """``leave`` by a delegate of ``miner``."""
        return self.contract.call("leaveFor", task_id, miner)

    def commit_gradient(self, task_id: int, round_number: int, seal: Digest) -> Call:
        """Commit to a gradient of the open round."""
        return self.contract.call("commitGradient", task_id, round_number, seal)

    def commit_gradient_for(self, task_id: int, round_number: int, seal: Digest, miner: Address) -> Call:
        """``commit_gradient`` by a delegate of ``miner``, which the seal names as its author."""
        return self.contract.call("commitGradientFor", task_id, round_number, seal, miner)

    def reveal_gradient(self, task_id: int, round_number: int, cid_digest: Digest, salt: Digest) -> Call:
        """Reveal on chain, when the validators do not take the reveal."""
        return self.contract.call("revealGradient", task_id, round_number, cid_digest, salt)

    def reveal_gradient_for(
        self, task_id: int, round_number: int, cid_digest: Digest, salt: Digest, miner: Address
    ) -> Call:
        """``reveal_gradient`` by a delegate of ``miner``."""
        return self.contract.call("revealGradientFor", task_id, round_number, cid_digest, salt, miner)

    def finalize_round(self, outcome: Outcome, certificate: CommitCertificate) -> Call:
        """Finalize the open round."""
        return self.contract.call("finalizeRound", outcome, certificate)

    def skip_round(self, task_id: int) -> Call:
        """Skip the open round after its finalize deadline."""
        return self.contract.call("skipRound", task_id)

    def expire_task(self, task_id: int) -> Call:
        """Expire a task that did not start within its start window."""
        return self.contract.call("expireTask", task_id)

    def cancel_task(self, task_id: int) -> Call:
        """Cancel one's own task: at once while open, with the open round while running."""
        return self.contract.call("cancelTask", task_id)

    def claim(self, claim: Claim) -> Call:
        """Pay an account what its leaf allows beyond what it has claimed."""
        return self.contract.call("claim", claim)

    def claim_many(self, claims: Sequence[Claim]) -> Call:
        """Several claims; those with nothing to be paid, or with a proof that a further round made worthless, are
        passed over."""
        return self.contract.call("claimMany", list(claims))

    def refund(self, task_id: int) -> Call:
        """Return the unallocated escrow of an ended task to its owner."""
        return self.contract.call("refund", task_id)

    # ---- reads

    def task(self, task_id: int, block: Block = "latest") -> Task:
        """A task.

        Raises:
            TaskNotFound: there is no such task.
        """
        if not 0 < task_id < 1 << 256:
            raise TaskNotFound(task_id, self.task_count(block))
        task = cast(Task, self.contract.read("task", task_id, hints=(Task,), block=block))
        if task.state is TaskState.NONE:
            raise TaskNotFound(task_id, self.task_count(block))
        return task

    def task_count(self, block: Block = "latest") -> int:
        """Number of tasks; they are numbered from 1."""
        return cast(int, self.contract.read("taskCount", block=block))

    def is_member(self, task_id: int, round_number: int, account: Address, block: Block = "latest") -> bool:
        """Whether the account is a member of the round."""
        return cast(bool, self.contract.read("isMember", task_id, round_number, account, block=block))

    def seal_of(self, task_id: int, round_number: int, miner: Address, block: Block = "latest") -> bytes:
        """First 24 bytes of the miner's seal in the round; zeros if it made none, or a later one."""
        return cast(bytes, self.contract.read("sealOf", task_id, round_number, miner, block=block))

    def claimed_of(self, task_id: int, account: Address, block: Block = "latest") -> int:
        """What the account has been paid for the task."""
        return cast(int, self.contract.read("claimedOf", task_id, account, block=block))

    def deadlines(self, task_id: int, block: Block = "latest") -> Deadlines:
        """Deadlines of the open round."""
        return Deadlines(*self.contract.read("deadlines", task_id, block=block))

    def decision_hash(self, outcome: Outcome) -> Digest:
        """The contract's hash of an outcome's decision; equals ``protocol.eip712.decision_hash``."""
        return cast(Digest, self.contract.read("decisionHash", outcome))

    def outcome_digest(self, outcome: Outcome) -> Digest:
        """The contract's hash of an outcome; equals ``protocol.eip712.outcome_hash``."""
        return cast(Digest, self.contract.read("outcomeDigest", outcome))

    def commit_digest(self, task_id: int, round_number: int, epoch: int, view: int, outcome_hash: Digest) -> Digest:
        """What a validator signs to commit, by the contract; equals ``protocol.eip712.signing_digest``."""
        return cast(Digest, self.contract.read("commitDigest", task_id, round_number, epoch, view, outcome_hash))

    def registry(self) -> Address:
        """Address of the NodeRegistry that certifies rounds."""
        return cast(Address, self.contract.read("registry"))
