"""Certificates as the contract takes them, and the verifier's caches."""

from __future__ import annotations

from eth_utils import keccak
from hypothesis import given
from hypothesis import strategies as st

from pot_chain.pbft import Certificate, certificate_fault, ecdsa_verifier
from pot_chain.protocol.eip712 import Domain, signing_digest
from pot_chain.protocol.quorum import quorum
from pot_chain.protocol.signing import address_of, compact, recover, sign_digest
from pot_chain.protocol.votes import Phase, Slot, Vote

from .cluster import DOMAIN, SLOT, keys_of

VOTE = Vote(Phase.COMMIT, SLOT, 2, keccak(text="outcome"))
KEYS = keys_of(7)
ADDRESSES = [address_of(key) for key in KEYS]


def sign(signer: int, vote: Vote = VOTE, domain: Domain = DOMAIN) -> bytes:
    return sign_digest(KEYS[signer], signing_digest(domain, vote))


@given(st.sets(st.integers(0, 6), min_size=5, max_size=5))
def test_the_contract_gets_ascending_indices_and_compact_signatures(signers: set[int]) -> None:
    certificate = Certificate(VOTE, tuple((signer, sign(signer)) for signer in sorted(signers)))
    assert certificate_fault(certificate, Phase.COMMIT, 7, ecdsa_verifier(DOMAIN, ADDRESSES)) is None
    packed = certificate.to_contract_signatures()
    assert len(packed) == 66 * quorum(7)
    records = [packed[start : start + 66] for start in range(0, len(packed), 66)]
    assert [int.from_bytes(record[:2], "big") for record in records] == sorted(signers)
    for record in records:
        r, vs = record[2:34], record[34:]
        s = bytes([vs[0] & 0x7F]) + vs[1:]
        signature = r + s + bytes([27 + (vs[0] >> 7)])
        assert compact(signature) == record[2:]
        signer = int.from_bytes(record[:2], "big")
        assert recover(signing_digest(DOMAIN, VOTE), signature) == ADDRESSES[signer]


def test_a_signature_counts_for_one_statement_signer_and_domain_only() -> None:
    verify = ecdsa_verifier(DOMAIN, ADDRESSES)
    assert verify(VOTE, 3, sign(3))
    for other in (
        Vote(Phase.PREPARE, SLOT, 2, VOTE.digest),
        Vote(Phase.COMMIT, SLOT, 1, VOTE.digest),
        Vote(Phase.COMMIT, Slot(8, 0, 1), 2, VOTE.digest),
        Vote(Phase.COMMIT, Slot(7, 1, 1), 2, VOTE.digest),
        Vote(Phase.COMMIT, Slot(7, 0, 2), 2, VOTE.digest),
        Vote(Phase.COMMIT, SLOT, 2, keccak(text="another")),
    ):
        assert not verify(other, 3, sign(3))
    assert not verify(VOTE, 2, sign(3))
    for elsewhere in (Domain(1, DOMAIN.contract), Domain(DOMAIN.chain_id, ADDRESSES[0])):
        assert not verify(VOTE, 3, sign(3, domain=elsewhere))
    for index in (-1, 7, 1 << 40):
        assert not verify(VOTE, index, sign(3))


@given(st.binary(max_size=70))
def test_junk_is_no_signature(junk: bytes) -> None:
    assert not ecdsa_verifier(DOMAIN, ADDRESSES)(VOTE, 3, junk)


def test_the_caches_are_bounded() -> None:
    verify = ecdsa_verifier(DOMAIN, ADDRESSES)
    for number in range(5000):
        verify(VOTE, 3, number.to_bytes(64, "big") + b"\x1b")
    info = verify.cache_info()  # type: ignore[attr-defined]
    assert info.currsize <= 4096
