"""CAR version 1: a stream of blocks with the roots they belong to, to carry content between machines and stores.

The archive is a header (DAG-CBOR map of ``roots`` and ``version``) and one section a block, each preceded by its length
as a varint. The reader takes archives from anywhere: lengths are limited before anything is read, and each block is
checked against its CID.

Source: https://ipld.io/specs/transport/car/carv1/.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import BinaryIO, Final

from ipfs.cid import CID_BYTES, Cid
from ipfs.dagpb import MAX_BLOCK_BYTES, decode_varint, encode_varint
from ipfs.errors import InvalidCar, InvalidCid, WrongBytes
from ipfs.unixfs import Block

MAX_ROOTS: Final = 10_000
"""Most roots in one archive."""

_ROOTS_KEY: Final = b"\xa2\x65roots"  # map of two entries, text of 5 bytes
_VERSION_ENTRY: Final = b"\x67version\x01"
_CID_TAG: Final = b"\xd8\x2a\x58\x25\x00"  # tag 42, byte string of 37 bytes, multibase identity prefix
_ROOT_BYTES: Final = len(_CID_TAG) + CID_BYTES
_MAX_HEADER: Final = len(_ROOTS_KEY) + 3 + MAX_ROOTS * _ROOT_BYTES + len(_VERSION_ENTRY)


def write_car(stream: BinaryIO, roots: Sequence[Cid], blocks: Iterable[Block]) -> int:
    """Write an archive and return its length in bytes.

    Raises:
        InvalidCar: for no root or more than :data:`MAX_ROOTS`.
        OSError: if the stream cannot be written.
    """
    if not 1 <= len(roots) <= MAX_ROOTS:
        raise InvalidCar(f"an archive has 1 to {MAX_ROOTS} roots, not {len(roots)}", "export in several archives")
    header = (
        _ROOTS_KEY + _array_head(len(roots)) + b"".join(_CID_TAG + root.to_bytes() for root in roots) + _VERSION_ENTRY
    )
    written = stream.write(encode_varint(len(header)) + header)
    for block in blocks:
        section = block.cid.to_bytes() + block.data
        written += stream.write(encode_varint(len(section)) + section)
    return written


def read_car(stream: BinaryIO, source: str) -> tuple[tuple[Cid, ...], Iterator[Block]]:
    """The roots of an archive and its blocks, which are read and checked one by one as the iterator advances.

    Args:
        stream: the archive, at its beginning.
        source: names it in messages.

    Raises:
        InvalidCar: if it is malformed, truncated, of another version, or a block does not hash to its CID; some of it
            is found by the iterator only.
    """
    length = _read_length(stream, source)
    if length is None or length > _MAX_HEADER:
        raise _invalid(source, "it has no CAR header")
    roots = _decode_header(_read_exactly(stream, length, source), source)
    return roots, _sections(stream, source)


def _sections(stream: BinaryIO, source: str) -> Iterator[Block]:
    while (length := _read_length(stream, source)) is not None:
        if not CID_BYTES <= length <= CID_BYTES + MAX_BLOCK_BYTES:
            raise _invalid(source, f"it has a section of {length} bytes")
        section = _read_exactly(stream, length, source)
        try:
            cid = Cid.from_bytes(section[:CID_BYTES])
            yield Block(cid, cid.check(section[CID_BYTES:], source))
        except InvalidCid as error:
            raise _invalid(source, f"a section begins with something else than a CID used here ({error})") from error
        except WrongBytes as error:
            raise _invalid(source, f"the block {cid} does not hash to its CID") from error


def _decode_header(header: bytes, source: str) -> tuple[Cid, ...]:
    body = header.removeprefix(_ROOTS_KEY).removesuffix(_VERSION_ENTRY)
    if len(body) != len(header) - len(_ROOTS_KEY) - len(_VERSION_ENTRY):
        raise _invalid(source, "its header is not that of CAR version 1")
    count, rest = divmod(len(body), _ROOT_BYTES)
    head = _array_head(count)
    if count == 0 or rest != len(head) or not body.startswith(head):
        raise _invalid(source, "its header does not list roots of the kind used here")
    roots = []
    for start in range(len(head), len(body), _ROOT_BYTES):
        entry = body[start : start + _ROOT_BYTES]
        if not entry.startswith(_CID_TAG):
            raise _invalid(source, "its header does not list roots of the kind used here")
        try:
            roots.append(Cid.from_bytes(entry[len(_CID_TAG) :]))
        except InvalidCid as error:
            raise _invalid(source, f"a root is {error}") from error
    return tuple(roots)


def _array_head(count: int) -> bytes:
    """Head of a CBOR array in its shortest form, as DAG-CBOR demands."""
    if count < 24:
        return bytes((0x80 | count,))
    if count < 256:
        return bytes((0x98, count))
    return b"\x99" + count.to_bytes(2, "big")


def _read_length(stream: BinaryIO, source: str) -> int | None:
    """The varint at the stream's position, None at its end."""
    read = b""
    while byte := stream.read(1):
        read += byte
        if byte[0] < 0x80 or len(read) == 10:
            try:
                return decode_varint(read, 0)[0]
            except ValueError as error:
                raise _invalid(source, f"a length is malformed: {error}") from error
    if read:
        raise _invalid(source, "it ends in the middle of a length")
    return None


def _read_exactly(stream: BinaryIO, length: int, source: str) -> bytes:
    data = stream.read(length)
    if len(data) != length:
        raise _invalid(source, "it ends in the middle of a section")
    return data


def _invalid(source: str, reason: str) -> InvalidCar:
    return InvalidCar(
        f"{source} is no valid CAR archive: {reason}", "export it again; it may be truncated or of another kind"
    )
