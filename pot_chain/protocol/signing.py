"""secp256k1 signatures over 32-byte digests, by libsecp256k1 (coincurve)."""

from __future__ import annotations

from functools import lru_cache

from coincurve import PrivateKey, PublicKey
from eth_utils import keccak, to_checksum_address

from pot_chain.protocol.addresses import Address, Digest
from pot_chain.protocol.errors import ProtocolError

SIGNATURE_BYTES = 65
_HALF_ORDER = 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0


class InvalidSignature(ProtocolError):
    """Bytes that are no canonical signature."""


def address_of(private_key: bytes) -> Address:
    """Address of a 32-byte private key."""
    return _address(PrivateKey(private_key).public_key.format(compressed=False))


def sign_digest(private_key: bytes, digest: Digest) -> bytes:
    """65-byte signature r ‖ s ‖ v (v is 27 or 28, s is low: EIP-2); deterministic (RFC 6979)."""
    signature = PrivateKey(private_key).sign_recoverable(digest, hasher=None)
    return signature[:64] + bytes([signature[64] + 27])


def recover(digest: Digest, signature: bytes) -> Address:
    """Address that signed ``digest``.

    Raises:
        InvalidSignature: wrong length, v not 27 or 28, high s (malleable), or no point on the curve.
    """
    if len(signature) != SIGNATURE_BYTES:
        raise InvalidSignature(f"a signature has {SIGNATURE_BYTES} bytes, got {len(signature)}")
    if signature[64] not in (27, 28):
        raise InvalidSignature(f"the recovery byte of a signature is 27 or 28, got {signature[64]}")
    if int.from_bytes(signature[32:64], "big") > _HALF_ORDER:
        raise InvalidSignature("the s value of a signature must be in the lower half of the order (EIP-2)")
    try:
        key = PublicKey.from_signature_and_message(signature[:64] + bytes([signature[64] - 27]), digest, hasher=None)
    except ValueError as error:
        raise InvalidSignature(f"not a valid signature: {error}") from error
    return _address(key.format(compressed=False))


def compact(signature: bytes) -> bytes:
    """EIP-2098 form r ‖ vs (64 bytes) of a 65-byte signature."""
    s = bytearray(signature[32:64])
    if signature[64] == 28:
        s[0] |= 0x80
    return signature[:32] + bytes(s)


@lru_cache(maxsize=1024)
def _address(point: bytes) -> Address:
    """Address of an uncompressed public key; remembered, since the same few validators sign again and again.

    The two hashes (key, checksum) cost more than the recovery before them.
    """
    return str(to_checksum_address(keccak(point[1:])[-20:]))
