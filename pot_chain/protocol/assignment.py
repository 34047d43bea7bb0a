"""Which samples each member trains on, and which gradients each validator re-executes.

Both follow from public randomness, so that every node derives the same and nobody chooses.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence

from eth_utils import keccak

from pot_chain.protocol.addresses import Address, Digest, address_bytes, canonical_order
from pot_chain.protocol.errors import ProtocolError


def _uniform(seed: Digest) -> Iterator[int]:
    """64-bit words of sha256(seed ‖ counter)."""
    counter = 0
    while True:
        block = hashlib.sha256(seed + counter.to_bytes(8, "big")).digest()
        for offset in range(0, 32, 8):
            yield int.from_bytes(block[offset : offset + 8], "big")
        counter += 1


def _below(words: Iterator[int], bound: int) -> int:
    """Unbiased integer in [0, bound) by rejection."""
    limit = (1 << 64) - (1 << 64) % bound
    while (word := next(words)) >= limit:
        pass
    return word % bound


def draw(seed: Digest, population: int, count: int) -> list[int]:
    """``count`` distinct integers below ``population``: a partial Fisher-Yates shuffle in O(count)."""
    if not 0 <= count <= population:
        raise ProtocolError(f"cannot draw {count} distinct samples out of {population}")
    words = _uniform(seed)
    moved: dict[int, int] = {}
    drawn: list[int] = []
    for i in range(count):
        j = i + _below(words, population - i)
        drawn.append(moved.get(j, j))
        moved[j] = moved.get(i, i)
    return drawn


def assign(
    seed: Digest, members: Sequence[Address], samples_per_miner: int, dataset_size: int
) -> dict[Address, list[int]]:
    """Disjoint sample indices for each member: the i-th slice of one draw, members in canonical order.

    Raises:
        ProtocolError: the dataset is too small for the members.
    """
    needed = samples_per_miner * len(members)
    if needed > dataset_size:
        raise ProtocolError(
            f"{len(members)} members times {samples_per_miner} samples need {needed}, the dataset has {dataset_size}",
            "lower training.samples_per_miner or miners.max in the task spec",
        )
    drawn = draw(keccak(b"assignment" + seed), dataset_size, needed)
    return {
        member: drawn[i * samples_per_miner : (i + 1) * samples_per_miner]
        for i, member in enumerate(canonical_order(members))
    }


def audit_seed(seals: Sequence[tuple[Address, Digest]], randomness: Digest) -> Digest:
    """Seed of the audits: chain hash of (miner, seal) in order of commitment, then ``randomness`` of a later block."""
    chain = bytes(32)
    for miner, seal in seals:
        chain = keccak(chain + address_bytes(miner) + seal)
    return keccak(chain + randomness)


def audited(seed: Digest, validator: Address, submitters: Sequence[Address], rate: float) -> tuple[Address, ...]:
    """The submitters whose gradients ``validator`` re-executes: ceil(rate * n), at least one, drawn for it alone."""
    ordered = canonical_order(submitters)
    if not ordered:
        return ()
    count = min(len(ordered), max(1, -int(-rate * len(ordered) // 1)))
    drawn = draw(keccak(b"audit" + seed + address_bytes(validator)), len(ordered), count)
    return canonical_order(ordered[i] for i in drawn)
