"""The wire format of dag-pb nodes and of the UnixFS message inside them, with a bounds-checked parser.

The bytes come from strangers, so the parser accepts the strict form only (links before data, no unknown fields, every
length inside its message), and its work is linear in the size of the block, at most :data:`MAX_BLOCK_BYTES`.

Source: https://ipld.io/specs/codecs/dag-pb/spec/ and https://specs.ipfs.tech/unixfs/.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from ipfs.cid import Cid
from ipfs.errors import InvalidBlock, InvalidCid

MAX_BLOCK_BYTES: Final = 2 * 1024 * 1024
"""Largest block that IPFS nodes exchange (bitswap's limit), bytes."""
MAX_LINKS: Final = 8192
"""Most links accepted in one node; Kubo's profiles write at most 1024 into a file."""

_UINT64_MAX: Final = 2**64 - 1
_VARINT, _BYTES = 0, 2  # protobuf wire types
_UNIXFS_RAW, _UNIXFS_FILE = 0, 2  # UnixFS data types that are files


@dataclass(frozen=True, slots=True)
class Link:
    """A child of a file node.

    Attributes:
        cid: its block.
        tsize: bytes of all blocks of the child's DAG, as its author counted them; encoded, never relied on.
        size: bytes of file content below the child.
    """

    cid: Cid
    tsize: int
    size: int


@dataclass(frozen=True, slots=True)
class FileNode:
    """A dag-pb node that is a UnixFS file or a part of one.

    Attributes:
        links: its children in the order of the content.
        data: content that stands in the node itself, before that of the children; empty in what this package writes.
    """

    links: tuple[Link, ...]
    data: bytes = b""

    @property
    def size(self) -> int:
        """Bytes of file content in the node and below."""
        return len(self.data) + sum(link.size for link in self.links)


def encode_node(links: tuple[Link, ...]) -> bytes:
    """The dag-pb block of a UnixFS file node with these children, byte for byte as Kubo writes it."""
    message = bytearray()
    for link in links:
        cid = link.cid.to_bytes()
        # Hash = 1, Name = 2 (empty, yet always written), Tsize = 3
        body = b"\x0a" + encode_varint(len(cid)) + cid + b"\x12\x00" + b"\x18" + encode_varint(link.tsize)
        message += b"\x12" + encode_varint(len(body)) + body
    # Type = 1 (File), filesize = 3, blocksizes = 4 (repeated, not packed)
    unixfs = b"\x08\x02\x18" + encode_varint(sum(link.size for link in links))
    unixfs += b"".join(b"\x20" + encode_varint(link.size) for link in links)
    return bytes(message + b"\x0a" + encode_varint(len(unixfs)) + unixfs)


def decode_node(block: bytes, cid: Cid) -> FileNode:
    """The file node that ``block`` encodes.

    Args:
        block: bytes already checked against ``cid``.
        cid: names the block in messages.

    Raises:
        InvalidBlock: if it is malformed, not a file, over a limit, or contradicts itself.
    """
    if len(block) > MAX_BLOCK_BYTES:
        raise _invalid(cid, f"it has {len(block)} bytes, more than the {MAX_BLOCK_BYTES} of a block")
    children: list[tuple[Cid, int]] = []
    unixfs: bytes | None = None
    for field, value in _fields(block, cid):
        if unixfs is not None or not isinstance(value, bytes) or field not in (1, 2):
            raise _invalid(cid, "it is not a canonical dag-pb node")
        if field == 1:
            unixfs = value
        elif len(children) == MAX_LINKS:
            raise _invalid(cid, f"it has more than {MAX_LINKS} links")
        else:
            children.append(_decode_link(value, cid))
    if unixfs is None:
        raise _invalid(cid, "it holds no UnixFS data")
    data, sizes = _decode_unixfs(unixfs, cid)
    if len(sizes) != len(children):
        raise _invalid(cid, f"it has {len(children)} links and sizes for {len(sizes)}")
    # A child without content adds work and no bytes: with many of them a small file would take forever to read.
    if 0 in sizes:
        raise _invalid(cid, "it has a child without content")
    return FileNode(tuple(Link(child, tsize, size) for (child, tsize), size in zip(children, sizes, strict=True)), data)


def encode_varint(value: int) -> bytes:
    """``value`` >= 0 as an unsigned LEB128 varint."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def decode_varint(data: bytes, offset: int) -> tuple[int, int]:
    """The varint at ``offset`` and the offset behind it.

    Raises:
        ValueError: if it is truncated, longer than needed, or above 64 bits.
    """
    value = 0
    for shift in range(0, 70, 7):
        if offset >= len(data):
            raise ValueError("truncated varint")
        byte = data[offset]
        offset += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            if value > _UINT64_MAX or (byte == 0 and shift):
                raise ValueError("varint above 64 bits or not minimal")
            return value, offset
    raise ValueError("varint above 64 bits")


def _decode_link(message: bytes, cid: Cid) -> tuple[Cid, int]:
    target: Cid | None = None
    tsize = 0
    last = 0
    for field, value in _fields(message, cid):
        if field <= last:
            raise _invalid(cid, "the fields of a link are repeated or out of order")
        last = field
        if field == 1 and isinstance(value, bytes):
            try:
                target = Cid.from_bytes(value)
            except InvalidCid as error:
                raise _invalid(cid, f"a link is {error}") from error
        elif field == 2 and isinstance(value, bytes):
            continue  # names matter in directories only
        elif field == 3 and isinstance(value, int):
            tsize = value
        else:
            raise _invalid(cid, f"a link has the unknown field {field}")
    if target is None:
        raise _invalid(cid, "a link names no block")
    return target, tsize


def _decode_unixfs(message: bytes, cid: Cid) -> tuple[bytes, list[int]]:
    kind: int | None = None
    data = b""
    filesize: int | None = None
    sizes: list[int] = []
    last = 0
    for field, value in _fields(message, cid):
        if field < last or (field == last and field != 4):
            raise _invalid(cid, "the fields of its UnixFS data are repeated or out of order")
        last = field
        if field == 1 and isinstance(value, int):
            kind = value
        elif field == 2 and isinstance(value, bytes):
            data = value
        elif field == 3 and isinstance(value, int):
            filesize = value
        elif field == 4 and isinstance(value, int) and len(sizes) < MAX_LINKS:
            sizes.append(value)
        elif field not in (7, 8):  # mode and mtime say nothing about the content
            raise _invalid(cid, f"its UnixFS data has the unexpected field {field}")
    if kind not in (_UNIXFS_RAW, _UNIXFS_FILE):
        raise _invalid(cid, f"it is not a file (UnixFS type {kind})")
    total = len(data) + sum(sizes)
    if filesize != total and not (filesize is None and total == 0):
        raise _invalid(cid, f"it claims {filesize} bytes of content, its parts {total}")
    return data, sizes


def _fields(message: bytes, cid: Cid) -> Iterator[tuple[int, int | bytes]]:
    """The fields of a protobuf message: (number, varint or bytes)."""
    offset = 0
    try:
        while offset < len(message):
            key, offset = decode_varint(message, offset)
            value, offset = decode_varint(message, offset)
            if key & 7 == _VARINT:
                yield key >> 3, value
            elif key & 7 == _BYTES:
                if value > len(message) - offset:
                    raise ValueError("field longer than its message")
                yield key >> 3, message[offset : offset + value]
                offset += value
            else:
                raise ValueError(f"wire type {key & 7}")
    except ValueError as error:
        raise _invalid(cid, f"it is malformed at byte {offset}: {error}") from error


def _invalid(cid: Cid, reason: str) -> InvalidBlock:
    return InvalidBlock(f"{cid} is no valid file: {reason}", "its publisher has to publish the content again")
