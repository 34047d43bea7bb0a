"""CIDs: fixed vectors, round trips, and refusal of everything that is not exactly one."""

from __future__ import annotations

import base64
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipfs.cid import DAG_PB, RAW, Cid, digest_of, raw_cid
from ipfs.errors import BadContent, InvalidCid, Unavailable, WrongBytes

EMPTY = "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku"
HELLO = "bafkreifzjut3te2nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e"
DIRECTORY = "bafybeiczsscdsbs7ffqz55asqdf3smv6klcw3gofszvwlyarci47bgf354"  # an empty UnixFS directory

digests = st.binary(min_size=32, max_size=32)
cids = st.builds(Cid, st.sampled_from((RAW, DAG_PB)), digests)


@pytest.mark.parametrize(("content", "text"), [(b"", EMPTY), (b"hello world", HELLO)])
def test_raw_block_has_its_known_cid(content: bytes, text: str) -> None:
    cid = Cid.of(content)
    assert str(cid) == text
    assert Cid.parse(text) == cid
    assert raw_cid(sha256(content).digest()) == text
    assert digest_of(text) == sha256(content).digest()


def test_dag_pb_block_has_its_known_cid() -> None:
    assert str(Cid.of(bytes.fromhex("0a020801"), DAG_PB)) == DIRECTORY


@given(cids)
def test_text_and_binary_forms_round_trip(cid: Cid) -> None:
    assert Cid.parse(str(cid)) == cid
    assert Cid.from_bytes(cid.to_bytes()) == cid


@given(digests)
def test_digest_and_raw_cid_are_inverse(digest: bytes) -> None:
    assert digest_of(raw_cid(digest)) == digest


@given(cids, cids)
def test_different_cids_have_different_texts(first: Cid, second: Cid) -> None:
    assert (first == second) == (str(first) == str(second))


@given(
    st.text() | st.from_regex(r"b[a-z2-7]{58}", fullmatch=True) | st.from_regex(r"bafkrei[a-z2-7]{52}", fullmatch=True)
)
def test_text_is_refused_or_is_the_one_name(text: str) -> None:
    try:
        cid = Cid.parse(text)
    except InvalidCid:
        return
    assert str(cid) == text


@given(st.binary(max_size=80))
def test_bytes_are_refused_or_are_the_one_form(data: bytes) -> None:
    try:
        cid = Cid.from_bytes(data)
    except InvalidCid:
        return
    assert cid.to_bytes() == data


def _with_prefix(prefix: str, digest: bytes = bytes(32)) -> str:
    return "b" + base64.b32encode(bytes.fromhex(prefix) + digest).decode().rstrip("=").lower()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "QmUNLLsPACCz1vLxQVkXqqLX5R1X345qqfHbsf67hvA3Nn",  # CIDv0
        EMPTY.upper(),
        "B" + EMPTY[1:].upper(),  # multibase base32upper
        EMPTY + "a",
        EMPTY[:-1],
        EMPTY + "=",
        " " + EMPTY,
        EMPTY + "\n",
        f"/ipfs/{EMPTY}",
        EMPTY[:-1] + "v",  # a spare bit set: the same bytes by another name
        "zb2rhe5P4gXftAwvA4eXQ5HJwsER2owDyS9sKaQRRVQPn93bA",  # base58
        _with_prefix("01711220"),  # dag-cbor
        _with_prefix("01550012", bytes(18)),  # identity hash
        _with_prefix("01551320"),  # another hash function
        _with_prefix("0155121f", bytes(31)),  # truncated digest
        _with_prefix("02551220"),  # another version
        "ж" * 59,
    ],
)
def test_other_kinds_are_refused(text: str) -> None:
    with pytest.raises(InvalidCid) as caught:
        Cid.parse(text)
    assert "not a CID" in caught.value.message
    assert "baf" in caught.value.hint


def test_digest_of_a_dag_pb_node_is_refused_because_it_would_name_a_raw_block() -> None:
    with pytest.raises(InvalidCid, match="not a raw block") as caught:
        digest_of(DIRECTORY)
    assert "manifest" in caught.value.hint


@pytest.mark.parametrize("digest", [b"", bytes(31), bytes(33), 32, "00" * 32, None])
def test_only_32_bytes_are_a_digest(digest: object) -> None:
    with pytest.raises(InvalidCid, match="32 bytes"):
        raw_cid(digest)  # type: ignore[arg-type]


def test_other_codecs_are_refused() -> None:
    with pytest.raises(InvalidCid, match="0x71"):
        Cid(0x71, bytes(32))


@given(st.binary(max_size=64), st.binary(max_size=64))
def test_check_passes_the_named_bytes_and_no_others(block: bytes, other: bytes) -> None:
    cid = Cid.of(block)
    assert cid.check(block, "a disk") == block
    if other != block:
        with pytest.raises(WrongBytes, match="a disk delivered") as caught:
            cid.check(other, "a disk")
        assert str(cid) in caught.value.message


def test_errors_say_who_is_at_fault() -> None:
    assert issubclass(InvalidCid, BadContent)
    assert issubclass(WrongBytes, Unavailable)
    assert not issubclass(WrongBytes, BadContent)
