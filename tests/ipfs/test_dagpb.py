"""The dag-pb parser: round trips, and refusal of hostile bytes by one clear error."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipfs.cid import DAG_PB, RAW, Cid
from ipfs.dagpb import (
    MAX_BLOCK_BYTES,
    MAX_LINKS,
    FileNode,
    Link,
    decode_node,
    decode_varint,
    encode_node,
    encode_varint,
)
from ipfs.errors import InvalidBlock

CID = Cid.of(b"leaf")
CID_FIELD = b"\x0a\x24" + CID.to_bytes()
LEAF_LINK = CID_FIELD + b"\x12\x00\x18\x04"

sizes = st.integers(min_value=1, max_value=2**40)
links = st.builds(
    Link,
    cid=st.builds(Cid, st.sampled_from((RAW, DAG_PB)), st.binary(min_size=32, max_size=32)),
    tsize=st.integers(min_value=0, max_value=2**63),
    size=sizes,
)
nodes = st.lists(links, max_size=20).map(tuple)


def decode(block: bytes) -> FileNode:
    return decode_node(block, Cid.of(block, DAG_PB))


def field(number: int, value: bytes | int) -> bytes:
    if isinstance(value, int):
        return encode_varint(number << 3) + encode_varint(value)
    return encode_varint(number << 3 | 2) + encode_varint(len(value)) + value


def node(unixfs: bytes, *link_messages: bytes) -> bytes:
    return b"".join(field(2, message) for message in link_messages) + field(1, unixfs)


@given(nodes)
def test_nodes_round_trip(children: tuple[Link, ...]) -> None:
    assert decode(encode_node(children)) == FileNode(children)


@given(st.integers(min_value=0, max_value=2**64 - 1), st.binary(max_size=4))
def test_varints_round_trip(value: int, behind: bytes) -> None:
    encoded = encode_varint(value)
    assert decode_varint(encoded + behind, 0) == (value, len(encoded))


@pytest.mark.parametrize(
    "data", [b"", b"\x80", b"\xff" * 9, b"\xff" * 10 + b"\x01", b"\xff" * 9 + b"\x02", b"\x80\x00"]
)
def test_varints_that_are_truncated_too_large_or_padded_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="varint"):
        decode_varint(data, 0)


@given(st.binary(max_size=300))
def test_random_bytes_give_a_node_or_one_error(block: bytes) -> None:
    try:
        decoded = decode(block)
    except InvalidBlock:
        return
    assert decoded.size == len(decoded.data) + sum(link.size for link in decoded.links)


@given(nodes, st.data())
def test_damaged_nodes_give_a_node_or_one_error(children: tuple[Link, ...], data: st.DataObject) -> None:
    block = bytearray(encode_node(children))
    for _ in range(data.draw(st.integers(min_value=1, max_value=3))):
        position = data.draw(st.integers(min_value=0, max_value=len(block) - 1))
        block[position] = data.draw(st.integers(min_value=0, max_value=255))
    del block[data.draw(st.integers(min_value=0, max_value=len(block))) :]
    try:
        decoded = decode(bytes(block))
    except InvalidBlock:
        return
    assert decoded.size == len(decoded.data) + sum(link.size for link in decoded.links)


def test_content_in_the_node_itself_is_read() -> None:
    assert decode(node(field(1, 2) + field(2, b"hello") + field(3, 5))) == FileNode((), b"hello")
    assert decode(node(field(1, 0) + field(2, b"hello") + field(3, 5))).data == b"hello"


def test_mode_and_mtime_are_passed_over() -> None:
    unixfs = field(1, 2) + field(2, b"x") + field(3, 1) + field(7, 0o644) + field(8, b"\x08\x01")
    assert decode(node(unixfs)).data == b"x"


@pytest.mark.parametrize(
    ("block", "reason"),
    [
        (b"", "no UnixFS data"),
        (field(2, LEAF_LINK), "no UnixFS data"),
        (node(b""), "not a file"),
        (node(field(1, 1)), "not a file"),  # a directory
        (node(field(1, 4) + field(2, b"/etc/passwd")), "not a file"),  # a symbolic link
        (node(field(1, 5)), "not a file"),  # a HAMT directory
        (node(field(1, 2) + field(3, 5)), "claims 5 bytes"),
        (node(field(1, 2) + field(2, b"abc")), "claims None bytes"),
        (node(field(1, 2) + field(3, 0), LEAF_LINK), "sizes for 0"),
        (node(field(1, 2) + field(3, 4) + field(4, 4)), "sizes for 1"),
        (node(field(1, 2) + field(3, 0) + field(4, 0), LEAF_LINK), "child without content"),
        (node(field(1, 2) + field(3, 4) + field(4, 4), b"\x12\x00"), "names no block"),
        (node(field(1, 2) + field(3, 4) + field(4, 4), field(1, b"\x12\x20" + bytes(32))), "a link is not a CIDv1"),
        (node(field(1, 2) + field(3, 4) + field(4, 4), CID_FIELD + CID_FIELD), "repeated or out of order"),
        (node(field(1, 2) + field(3, 4) + field(4, 4), LEAF_LINK + field(4, 1)), "unknown field 4"),
        (node(field(1, 2) + field(3, 4) + field(4, 4), field(1, 7)), "unknown field 1"),
        (node(field(1, 2)) + field(2, LEAF_LINK), "not a canonical"),  # a link behind the data
        (node(field(1, 2)) + field(1, field(1, 2)), "not a canonical"),
        (field(3, b"") + node(field(1, 2)), "not a canonical"),
        (field(2, 7) + node(field(1, 2)), "not a canonical"),
        (node(field(1, 2) + field(5, 1)), "unexpected field 5"),
        (node(field(1, 2) + field(1, 2)), "repeated or out of order"),
        (node(field(3, 0) + field(1, 2)), "repeated or out of order"),
        (node(field(1, 2) + field(4, 1) * (MAX_LINKS + 1)), "unexpected field 4"),
        (node(field(1, 2) + field(2, 1)), "unexpected field 2"),
        (b"\x0a\xff\xff\xff\xff\x0f", "longer than its message"),
        (b"\x0d\x00\x00\x00\x00", "wire type 5"),
        (b"\x0a", "truncated"),
        (b"\xff" * 11, "64 bits"),
    ],
)
def test_malformed_nodes_are_refused_by_reason(block: bytes, reason: str) -> None:
    with pytest.raises(InvalidBlock, match=reason):
        decode(block)


def test_a_node_beyond_the_limits_is_refused() -> None:
    unixfs = field(1, 2) + field(3, MAX_LINKS + 1) + field(4, 1) * (MAX_LINKS + 1)
    with pytest.raises(InvalidBlock, match=f"more than {MAX_LINKS} links"):
        decode(node(unixfs, *[LEAF_LINK] * (MAX_LINKS + 1)))
    with pytest.raises(InvalidBlock, match="bytes, more than"):
        decode(bytes(MAX_BLOCK_BYTES + 1))
