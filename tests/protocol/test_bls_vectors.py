"""BLS vectors: the file is what RFC 9380 and the pairing say; forge checks the contracts against it."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from py_ecc import optimized_bls12_381

ROOT = Path(__file__).parent.parent.parent
VECTORS: dict[str, Any] = json.loads((ROOT / "tests" / "vectors" / "bls.json").read_text())

curve: Any = optimized_bls12_381


def load_script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_bls_vectors", ROOT / "scripts" / "make_bls_vectors.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


SCRIPT: Any = load_script()


def to_bytes(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))


def elements(encoded: str) -> list[int]:
    data = to_bytes(encoded)
    return [int.from_bytes(data[i : i + 64], "big") for i in range(0, len(data), 64)]


def g1(encoded: str) -> Any:
    x, y = elements(encoded)
    return curve.FQ(x), curve.FQ(y), curve.FQ.one()


def g2(encoded: str) -> Any:
    x0, x1, y0, y1 = elements(encoded)
    return curve.FQ2([x0, x1]), curve.FQ2([y0, y1]), curve.FQ2.one()


def is_signature(key: str, hashed: str, signature: str) -> bool:
    return bool(curve.pairing(curve.G2, g1(signature)) == curve.pairing(g2(key), g1(hashed)))


def hashed(digest: str, tag: str) -> str:
    return str(SCRIPT.encode(SCRIPT.hash_to_curve(to_bytes(digest), tag.encode())))


@pytest.mark.parametrize(("message", "x", "y"), SCRIPT.RFC_9380)
def test_hash_to_curve_meets_rfc_9380(message: bytes, x: int, y: int) -> None:
    assert SCRIPT.elements(SCRIPT.hash_to_curve(message, SCRIPT.RFC_9380_TAG)) == [x, y]


def test_file_is_what_the_script_writes() -> None:
    assert SCRIPT.vectors() == VECTORS


def test_tags_name_application_version_domain_and_suite() -> None:
    tags = [VECTORS["voteTag"], VECTORS["possessionTag"]]
    for tag in tags:
        assert tag.startswith("POT-V01-CS01-")
        assert tag.endswith("-BLS12381G1_XMD:SHA-256_SSWU_RO_")
    assert len(set(tags)) == 2


def test_possession_satisfies_the_pairing_in_its_domain_only() -> None:
    row = VECTORS["keys"][0]
    assert is_signature(row["key"], hashed(row["digest"], VECTORS["possessionTag"]), row["possession"])
    assert not is_signature(row["key"], hashed(row["digest"], VECTORS["voteTag"]), row["possession"])


def test_certificates_satisfy_the_pairing_for_the_sum_of_those_present() -> None:
    votes = VECTORS["votes"]
    message = hashed(votes["digest"], VECTORS["voteTag"])
    for row in votes["certificates"]:
        certificate = to_bytes(row["certificate"])
        present = [i for i in range(len(VECTORS["keys"])) if not certificate[i // 8] >> (i % 8) & 1]
        assert sum(1 << i for i in present) == int(row["signers"], 16)
        assert certificate[-128:] == to_bytes(row["signature"])
        assert SCRIPT.encode(SCRIPT.total([g2(VECTORS["keys"][i]["key"]) for i in present])) == row["key"]
    row = votes["certificates"][-1]
    assert is_signature(row["key"], message, row["signature"])
    assert not is_signature(row["key"], message, votes["certificates"][0]["signature"])


def test_packed_keys_are_the_keys_without_padding() -> None:
    for row in VECTORS["keys"]:
        packed = to_bytes(row["packed"])
        assert [int.from_bytes(packed[i : i + 48], "big") for i in range(0, 192, 48)] == elements(row["key"])


def test_refused_points_are_what_their_names_say() -> None:
    refused, valid = VECTORS["refused"], VECTORS["keys"][0]
    for name, good in (("Key", valid["key"]), ("Signature", valid["possession"])):
        decode, b = (g2, curve.b2) if name == "Key" else (g1, curve.b)
        canonical = [element % curve.field_modulus for element in elements(refused["nonCanonical" + name])]
        assert max(elements(refused["nonCanonical" + name])) >= curve.field_modulus
        assert canonical == elements(good)
        assert not curve.is_on_curve(decode(refused["offCurve" + name]), b)
        off_subgroup = decode(refused["offSubgroup" + name])
        assert curve.is_on_curve(off_subgroup, b)
        assert not curve.is_inf(curve.multiply(off_subgroup, curve.curve_order))
        assert curve.is_inf(curve.multiply(decode(good), curve.curve_order))
