"""Merkle trees of cumulative rewards, compatible with OpenZeppelin's MerkleProof.

Leaves are hashed twice, so that an inner node can never pass for a leaf; pairs are hashed in sorted order, so that a
proof needs no left/right bits. A node without a sibling moves up unchanged.
"""

from __future__ import annotations

from collections.abc import Sequence

from eth_utils import keccak

from pot_chain.protocol.addresses import ZERO_DIGEST, Address, Digest, address_bytes
from pot_chain.protocol.errors import ProtocolError


def reward_leaf(task_id: int, account: Address, cumulative: int) -> Digest:
    """keccak256(keccak256(abi.encode(taskId, account, cumulative))); ``cumulative`` in wei or token units (uint128)."""
    if not 0 <= cumulative < 1 << 128:
        raise ProtocolError(f"a cumulative reward must fit 128 bits, got {cumulative}")
    encoded = task_id.to_bytes(32, "big") + bytes(12) + address_bytes(account) + cumulative.to_bytes(32, "big")
    return keccak(keccak(encoded))


def merkle_root(leaves: Sequence[Digest]) -> Digest:
    """Root of ``leaves`` in the given order; 32 zero bytes for none (which no proof can meet)."""
    level = list(leaves)
    while len(level) > 1:
        level = _parents(level)
    return level[0] if level else ZERO_DIGEST


def merkle_proof(leaves: Sequence[Digest], index: int) -> list[Digest]:
    """Siblings from leaf ``index`` up to the root."""
    if not 0 <= index < len(leaves):
        raise ProtocolError(f"there is no leaf {index} in a tree of {len(leaves)}")
    level, proof = list(leaves), []
    while len(level) > 1:
        sibling = index ^ 1
        if sibling < len(level):
            proof.append(level[sibling])
        level, index = _parents(level), index // 2
    return proof


def verify_proof(leaf: Digest, proof: Sequence[Digest], root: Digest) -> bool:
    """Whether ``proof`` leads from ``leaf`` to ``root``."""
    node = leaf
    for sibling in proof:
        node = _pair(node, sibling)
    return node == root and root != ZERO_DIGEST


def _parents(level: list[Digest]) -> list[Digest]:
    return [_pair(level[i], level[i + 1]) if i + 1 < len(level) else level[i] for i in range(0, len(level), 2)]


def _pair(a: Digest, b: Digest) -> Digest:
    return keccak(a + b if a < b else b + a)
