"""Quorum certificates: votes that anybody can check without trusting who carries them.

A certificate is Q votes of distinct validators for one (phase, slot, view, digest). Commit certificates are what the
contract verifies; prepared certificates travel in view changes. Q is ``protocol.quorum.quorum`` (OSDI'99 4.2 has 2f + 1
= Q for n = 3f + 1).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

from pot_chain.protocol.addresses import Address
from pot_chain.protocol.eip712 import Domain, signing_digest
from pot_chain.protocol.quorum import quorum
from pot_chain.protocol.signing import InvalidSignature, compact, recover
from pot_chain.protocol.votes import Phase, ViewChange, Vote

Verifier: TypeAlias = Callable[[Vote | ViewChange, int, bytes], bool]
"""``verify(statement, signer index, signature)``: pure; False for anything but that validator's own signature."""

_CACHED_DIGESTS = 1024
_CACHED_SIGNATURES = 4096


@dataclass(frozen=True, slots=True)
class Certificate:
    """Exactly Q (validator index, 65-byte signature) pairs over ``vote``, indices strictly increasing."""

    vote: Vote
    signatures: tuple[tuple[int, bytes], ...]

    def to_contract_signatures(self) -> bytes:
        """Q times 66 bytes: signer index (uint16, big-endian) ‖ r ‖ vs (EIP-2098), as ``finalizeRound`` takes them."""
        return b"".join(index.to_bytes(2, "big") + compact(signature) for index, signature in self.signatures)


def ecdsa_verifier(domain: Domain, validators: Sequence[Address]) -> Verifier:
    """A verifier for the epoch whose vote keys are ``validators``, in the contract's order.

    The EIP-712 digest of a statement is computed once, and a signature that has been checked as a vote is not checked
    again inside a certificate (recovery costs 32 us). Both caches are bounded, so a flood costs time but no memory.
    """
    keys = tuple(validators)

    @lru_cache(maxsize=_CACHED_DIGESTS)
    def digest_of(statement: Vote | ViewChange) -> bytes:
        return signing_digest(domain, statement)

    @lru_cache(maxsize=_CACHED_SIGNATURES)
    def verify(statement: Vote | ViewChange, signer: int, signature: bytes) -> bool:
        if not 0 <= signer < len(keys):
            return False
        try:
            return recover(digest_of(statement), signature) == keys[signer]
        except InvalidSignature:
            return False

    return verify


def certificate_fault(certificate: Certificate, phase: Phase, size: int, verify: Verifier) -> str | None:
    """Why ``certificate`` is no ``phase`` certificate of an epoch of ``size`` validators; None if it is one.

    Exactly Q signatures are required, as on chain: more would be cost without meaning.
    """
    if certificate.vote.phase is not phase:
        return "certificate of the wrong phase"
    if len(certificate.signatures) != quorum(size):
        return "certificate without exactly a quorum of signatures"
    previous = -1
    for signer, _ in certificate.signatures:
        if signer <= previous:
            return "certificate whose signers are not strictly increasing"
        previous = signer
    if previous >= size:
        return "certificate with a signer outside the epoch"
    for signer, signature in certificate.signatures:
        if not verify(certificate.vote, signer, signature):
            return "certificate with a wrong signature"
    return None
