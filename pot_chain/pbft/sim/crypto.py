"""Signatures for simulations: keyed hashes, 20 times faster than secp256k1 and just as unforgeable to the simulated
adversary.

Never for anything else: who can verify can also sign. A sample of seeds runs with real signatures instead
(``RealKeys``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import blake2b
from typing import Protocol, TypeAlias

from eth_utils import keccak

from pot_chain.pbft.certificate import Verifier, ecdsa_verifier
from pot_chain.pbft.guard import EcdsaSigner, Signer
from pot_chain.protocol.addresses import Address, canonical_order
from pot_chain.protocol.eip712 import Domain
from pot_chain.protocol.signing import SIGNATURE_BYTES, address_of
from pot_chain.protocol.votes import Slot, Statement, VerdictReport, ViewChange, Vote

SignedBytes: TypeAlias = Callable[[Statement], bytes]

DOMAIN = Domain(31337, "0x5FbDB2315678afecb367f032d93F642f64180aa3")
FOREIGN_DOMAIN = Domain(31337, "0xe7f1725E7734CE288F8367e1Bb143E90bb3F0512")
"""Another contract of the same chain, in which the same validators vote too."""


def _slot_bytes(slot: Slot) -> bytes:
    return b"%d/%d/%d/" % (slot.task_id, slot.round, slot.epoch)


def signed_bytes(statement: Statement) -> bytes:
    """Everything that ``statement`` says, its kind included: the stand-in for its EIP-712 encoding."""
    match statement:
        case Vote(phase, slot, view, digest):
            return phase.value.encode() + _slot_bytes(slot) + b"%d/" % view + digest
        case ViewChange(slot, view, prepared_view, prepared_digest):
            return b"ViewChange" + _slot_bytes(slot) + b"%d/%d/" % (view, prepared_view) + prepared_digest
        case VerdictReport(slot, verdicts):
            return b"Verdict" + _slot_bytes(slot) + verdicts
        case _:
            return repr(statement).encode()


class Keys(Protocol):
    """The keys of all simulated validators; validator ids count from 0."""

    def signer(self, node: int, domain: Domain | None = None) -> Signer:
        """Its signer, under the world's own domain unless another is named."""

    def verifier(self, validators: Sequence[int]) -> Verifier:
        """A verifier for the epoch of ``validators`` (ids in the order of their indices)."""

    def address(self, node: int) -> Address: ...


class FastTestSigner:
    """Signs with a keyed hash over (domain, statement)."""

    def __init__(self, node: int, domain: Domain, encode: SignedBytes) -> None:
        self.address: Address = f"0x{node:040x}"
        self._secret = b"%d %s" % (node, domain.contract.encode())
        self._encode = encode

    def sign(self, statement: Statement) -> bytes:
        return blake2b(self._encode(statement), digest_size=64, key=self._secret).digest() + b"\x1b"

    def log_owner(self) -> bytes:
        return blake2b(self._secret, digest_size=32).digest()


class FastTestKeys:
    """``Keys`` with ``FastTestSigner``; ``encode`` is a parameter so that a mutant can sign too little."""

    def __init__(self, encode: SignedBytes = signed_bytes) -> None:
        self._encode = encode

    def signer(self, node: int, domain: Domain | None = None) -> Signer:
        return FastTestSigner(node, domain or DOMAIN, self._encode)

    def address(self, node: int) -> Address:
        return self.signer(node).address

    def verifier(self, validators: Sequence[int]) -> Verifier:
        signers = [FastTestSigner(node, DOMAIN, self._encode) for node in validators]

        def verify(statement: Vote | ViewChange, signer: int, signature: bytes) -> bool:
            return 0 <= signer < len(signers) and signers[signer].sign(statement) == signature

        return verify


class RealKeys:
    """``Keys`` with EIP-712 and secp256k1, as validators use them; ``domain`` may be that of a deployed contract."""

    def __init__(self, count: int, domain: Domain = DOMAIN) -> None:
        self._domain = domain
        keys = [keccak(text=f"simulated validator {number}") for number in range(count)]
        by_address = {address_of(key): key for key in keys}
        self._addresses = canonical_order(by_address)
        self._keys = [by_address[address] for address in self._addresses]

    def signer(self, node: int, domain: Domain | None = None) -> Signer:
        return EcdsaSigner(self._keys[node], domain or self._domain)

    def private_key(self, node: int) -> bytes:
        """The vote key itself: for whoever registers it on a chain."""
        return self._keys[node]

    def address(self, node: int) -> Address:
        return self._addresses[node]

    def verifier(self, validators: Sequence[int]) -> Verifier:
        return ecdsa_verifier(self._domain, [self._addresses[node] for node in validators])


def junk_signature(seed: int) -> bytes:
    """65 bytes that are nobody's signature."""
    return blake2b(b"junk %d" % seed, digest_size=64).digest()[: SIGNATURE_BYTES - 1] + b"\x1c"
