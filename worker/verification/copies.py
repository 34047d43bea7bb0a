"""Copies: the same gradient handed in by two miners.

Assignments are disjoint, so two honest miners do not compute the same gradient. A seal hides a gradient until all
have committed, so whoever committed later is the copier (it must have got the gradient from the first by another
way).
"""

from __future__ import annotations

from collections.abc import Sequence


def find_copies(cids: Sequence[str], digests: Sequence[bytes | None] | None = None) -> list[tuple[int, int]]:
    """Pairs ``(original, copy)`` of positions, for submissions given in the order of their commits.

    Every copy is listed once, with the earliest submission of the same content.

    Args:
        cids: CID of each gradient file.
        digests: ``worker.tensors.content_digest`` of each gradient (None where it could not be decoded): finds copies
            that
            were written as a different file.

    Raises:
        ValueError: the two lists differ in length.
    """
    if digests is None:
        digests = [None] * len(cids)
    if len(digests) != len(cids):
        raise ValueError(f"{len(cids)} CIDs and {len(digests)} digests")
    first_cid: dict[str, int] = {}
    first_digest: dict[bytes, int] = {}
    pairs = []
    for position, (cid, digest) in enumerate(zip(cids, digests, strict=True)):
        originals = [first_cid.setdefault(cid, position)]
        if digest is not None:
            originals.append(first_digest.setdefault(digest, position))
        if min(originals) < position:
            pairs.append((min(originals), position))
    return pairs
