"""Seals: commitments to a gradient that only their author can open."""

from __future__ import annotations

from eth_utils import keccak

from pot_chain.protocol.addresses import Address, Digest, address_bytes
from pot_chain.protocol.eip712 import Domain


def gradient_seal(
    domain: Domain, task_id: int, round_number: int, miner: Address, cid_digest: Digest, salt: Digest
) -> Digest:
    """keccak256(abi.encode(chainid, contract, taskId, round, miner, cidDigest, salt)).

    The miner's address is inside, so a copied seal opens for nobody; the salt (32 random bytes) hides ``cid_digest``.
    """
    return keccak(
        domain.chain_id.to_bytes(32, "big")
        + bytes(12)
        + address_bytes(domain.contract)
        + task_id.to_bytes(32, "big")
        + round_number.to_bytes(32, "big")
        + bytes(12)
        + address_bytes(miner)
        + cid_digest
        + salt
    )


def genesis_head(domain: Domain, task_id: int, spec: Digest, checkpoint: Digest) -> Digest:
    """Parent of a task's first outcome: keccak256(abi.encode(chainid, contract, taskId, spec, checkpoint))."""
    return keccak(
        domain.chain_id.to_bytes(32, "big")
        + bytes(12)
        + address_bytes(domain.contract)
        + task_id.to_bytes(32, "big")
        + spec
        + checkpoint
    )
