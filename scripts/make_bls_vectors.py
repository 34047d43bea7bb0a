"""Write tests/vectors/bls.json: BLS keys, signatures and certificates that Python and Solidity must agree on.

All of it comes from py_ecc, an implementation in plain Python that shares nothing with the precompiles of EIP-2537; its
hash to the curve is checked against the vectors of RFC 9380 before a line is written. Run it again only when a tag or
the form of a certificate changes.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from eth_utils import keccak
from py_ecc import optimized_bls12_381
from py_ecc.bls.hash_to_curve import hash_to_G1

curve: Any = optimized_bls12_381  # it does not export its names in the way that mypy wants
sha256: Any = hashlib.sha256  # hash_to_G1 is annotated with the type of a hash object, and takes its constructor
FQ, FQ2, G2 = curve.FQ, curve.FQ2, curve.G2

PATH = Path(__file__).parent.parent / "tests" / "vectors" / "bls.json"

VOTE = b"POT-V01-CS01-VOTE-BLS12381G1_XMD:SHA-256_SSWU_RO_"
POSSESSION = b"POT-V01-CS01-POSS-BLS12381G1_XMD:SHA-256_SSWU_RO_"

# RFC 9380, appendix J.9.1: message, x and y of the point
RFC_9380_TAG = b"QUUX-V01-CS02-with-BLS12381G1_XMD:SHA-256_SSWU_RO_"
RFC_9380 = [
    (
        b"",
        0x052926ADD2207B76CA4FA57A8734416C8DC95E24501772C814278700EED6D1E4E8CF62D9C09DB0FAC349612B759E79A1,
        0x08BA738453BFED09CB546DBB0783DBB3A5F1F566ED67BB6BE0E8C67E2E81A4CC68EE29813BB7994998F3EAE0C9C6A265,
    ),
    (
        b"abc",
        0x03567BC5EF9C690C2AB2ECDF6A96EF1C139CC0B2F284DCA0A9A7943388A49A3AEE664BA5379A7655D3C68900BE2F6903,
        0x0B9C15F3FE6E5CF4211F346271D7B01C8F3B28BE689C8429C85B67AF215533311F0B8DFAAA154FA6B88176C229F2885D,
    ),
    (
        b"abcdef0123456789",
        0x11E0B079DEA29A68F0383EE94FED1B940995272407E3BB916BBF268C263DDD57A6A27200A784CBC248E84F357CE82D98,
        0x03A87AE2CAF14E8EE52E51FA2ED8EEFE80F02457004BA4D486D6AA1F517C0889501DC7413753F9599B099EBCBBD2D709,
    ),
]

VALIDATORS = 10
HASHES = 20
ABSENTEES: list[list[int]] = [[], [0], [9], [7, 8], [0, 4, 9], [1, 2, 3]]


def digest(label: str, number: int = 0) -> bytes:
    return bytes(keccak(label.encode() + bytes([number])))


def secret(number: int) -> int:
    return int.from_bytes(digest("secret", number), "big") % int(curve.curve_order)


def operator(number: int) -> str:
    return "0x" + digest("operator", number)[-20:].hex()


def hash_to_curve(message: bytes, tag: bytes) -> Any:
    return hash_to_G1(message, tag, sha256)


def elements(point: Any) -> list[int]:
    """The field elements of a point of either group: x, y; those of Fp2 as c0, c1."""
    x, y = curve.normalize(point)
    if isinstance(x, FQ):
        return [int(x), int(y)]
    return [int(c) for c in (*x.coeffs, *y.coeffs)]


def encode(point: Any, shift: int = 0) -> str:
    """EIP-2537; `shift` is added to the first element, to make what must be refused."""
    first, *rest = elements(point)
    return "0x" + b"".join(element.to_bytes(64, "big") for element in (first + shift, *rest)).hex()


def pack(point: Any) -> str:
    return "0x" + b"".join(element.to_bytes(48, "big") for element in elements(point)).hex()


def total(points: list[Any]) -> Any:
    result = points[0]
    for point in points[1:]:
        result = curve.add(result, point)
    return result


def check_hash_to_curve() -> None:
    for message, x, y in RFC_9380:
        if elements(hash_to_curve(message, RFC_9380_TAG)) != [x, y]:
            raise ValueError(f"py_ecc does not meet RFC 9380, J.9.1, for the message {message!r}")


def hash_vector(number: int) -> dict[str, str]:
    message = digest("hash", number)
    return {
        "digest": "0x" + message.hex(),
        "vote": encode(hash_to_curve(message, VOTE)),
        "possession": encode(hash_to_curve(message, POSSESSION)),
    }


def key_vector(number: int) -> dict[str, str]:
    key = curve.multiply(G2, secret(number))
    message = digest("possession", number)
    return {
        "secret": f"0x{secret(number):064x}",
        "operator": operator(number),
        "key": encode(key),
        "packed": pack(key),
        "digest": "0x" + message.hex(),
        "possession": encode(curve.multiply(hash_to_curve(message, POSSESSION), secret(number))),
    }


def certificate_vectors() -> dict[str, Any]:
    message = digest("vote")
    hashed = hash_to_curve(message, VOTE)
    keys = [curve.multiply(G2, secret(i)) for i in range(VALIDATORS)]
    signatures = [curve.multiply(hashed, secret(i)) for i in range(VALIDATORS)]
    certificates = []
    for absentees in ABSENTEES:
        present = [i for i in range(VALIDATORS) if i not in absentees]
        bitmap = sum(1 << i for i in absentees).to_bytes((VALIDATORS + 7) // 8, "little")
        signature = encode(total([signatures[i] for i in present]))
        certificates.append(
            {
                "signers": f"0x{sum(1 << i for i in present):064x}",
                "key": encode(total([keys[i] for i in present])),
                "signature": signature,
                "certificate": "0x" + bitmap.hex() + signature[2:],
            }
        )
    return {
        "digest": "0x" + message.hex(),
        "signatures": [encode(signature) for signature in signatures],
        "aggregateKey": pack(total(keys)),
        "certificates": certificates,
    }


def off_subgroup_g1() -> Any:
    """(0, 2): on the curve y² = x³ + 4, of order 3."""
    point = (FQ(0), FQ(2), FQ(1))
    if not curve.is_on_curve(point, curve.b) or not curve.is_inf(curve.multiply(point, 3)):
        raise ValueError("(0, 2) is not a point of order 3")
    return point


def off_subgroup_g2() -> Any:
    """The first point by x = 1, 2, … on the curve of G2, less its part in the subgroup."""
    q = curve.field_modulus**2
    for x in range(1, 100):
        square = FQ2([x, 0]) ** 3 + curve.b2
        # q = 9 mod 16: a root, if there is one, is a candidate times a root of unity of order 8
        candidate = square ** ((q + 7) // 16)
        for power in range(4):
            y = candidate * FQ2([1, 1]) ** (power * (q - 1) // 8)
            if y * y == square:
                point = curve.multiply((FQ2([x, 0]), y, FQ2.one()), curve.curve_order)
                if not curve.is_inf(point) and curve.is_on_curve(point, curve.b2):
                    return point
    raise ValueError("no point found")


def refused_vectors() -> dict[str, str]:
    """Variations of key 0 and its possession that a verifier without the checks of EIP-2537 would take for valid."""
    key = curve.multiply(G2, secret(0))
    possession = curve.multiply(hash_to_curve(digest("possession", 0), POSSESSION), secret(0))
    return {
        "nonCanonicalKey": encode(key, curve.field_modulus),
        "nonCanonicalSignature": encode(possession, curve.field_modulus),
        "offCurveKey": encode(key, 1),
        "offCurveSignature": encode(possession, 1),
        "offSubgroupKey": encode(curve.add(key, off_subgroup_g2())),
        "offSubgroupSignature": encode(curve.add(possession, off_subgroup_g1())),
    }


def vectors() -> dict[str, Any]:
    check_hash_to_curve()
    return {
        "voteTag": VOTE.decode(),
        "possessionTag": POSSESSION.decode(),
        "hashes": [hash_vector(i) for i in range(HASHES)],
        "keys": [key_vector(i) for i in range(VALIDATORS)],
        "votes": certificate_vectors(),
        "refused": refused_vectors(),
    }


if __name__ == "__main__":
    PATH.write_text(json.dumps(vectors(), indent=1) + "\n")
    print(f"wrote {PATH}")
