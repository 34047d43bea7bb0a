"""Files as DAGs of blocks: the balanced UnixFS layout, and the verified way back.

The layout is that of ``ipfs add --cid-version=1 --raw-leaves --chunker=size-262144 --max-file-links=174``: leaves are
raw blocks of 262,144 bytes, inner nodes have up to 174 children, all leaves lie at one depth, and a file of one chunk
(the empty one too) is its raw block. Files that others laid out differently can be read within the limits below.

Source: https://specs.ipfs.tech/unixfs/; the balanced importer of https://github.com/ipfs/boxo.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from ipfs.cid import DAG_PB, RAW, Cid
from ipfs.dagpb import FileNode, Link, decode_node, encode_node
from ipfs.errors import InvalidBlock, TooLarge

CHUNK_BYTES: Final = 262_144
"""Size of every leaf but the last, bytes."""
LINKS_PER_NODE: Final = 174
"""Most children of an inner node."""
MAX_DEPTH: Final = 8
"""Most inner nodes on a path from the root to a leaf; three carry 1.3 TiB in the layout above."""

_SPARE_NODES: Final = 64
_MIN_BYTES_PER_NODE: Final = 1024


@dataclass(frozen=True, slots=True)
class Block:
    """A block and its identifier."""

    cid: Cid
    data: bytes


class BlockSource(Protocol):
    """Where the blocks of one file come from. It is not trusted and need not check them."""

    @property
    def name(self) -> str:
        """What it is, for messages."""

    def block(self, cid: Cid) -> bytes:
        """The block ``cid``; never more than :data:`ipfs.dagpb.MAX_BLOCK_BYTES` and a byte."""

    def stream(self, leaves: Sequence[Link], offset: int) -> Iterator[bytes]:
        """The raw blocks of neighbouring leaves in a faster way, in order; ends early where there is none.

        Args:
            leaves: the leaves, with the sizes that their parent states.
            offset: where their content begins in the file, bytes.
        """


def blocks_of(data: bytes) -> Iterator[Block]:
    """The blocks of the file ``data``, children before parents; the last one is the root."""
    level: list[Link] = []
    for start in range(0, max(len(data), 1), CHUNK_BYTES):
        chunk = data[start : start + CHUNK_BYTES]
        leaf = Block(Cid.of(chunk, RAW), chunk)
        level.append(Link(leaf.cid, len(chunk), len(chunk)))
        yield leaf
    while len(level) > 1:
        parents: list[Link] = []
        for start in range(0, len(level), LINKS_PER_NODE):
            children = tuple(level[start : start + LINKS_PER_NODE])
            encoded = encode_node(children)
            node = Block(Cid.of(encoded, DAG_PB), encoded)
            tsize = len(encoded) + sum(child.tsize for child in children)
            parents.append(Link(node.cid, tsize, sum(child.size for child in children)))
            yield node
        level = parents


def file_cid(data: bytes) -> Cid:
    """The CID of the file ``data``, computed without storing anything."""
    root: Cid | None = None
    for block in blocks_of(data):
        root = block.cid
    assert root is not None  # even the empty file has a leaf
    return root


def read_file(root: Cid, source: BlockSource, *, max_bytes: int) -> bytes:
    """The content of the file ``root``, every block checked against its CID.

    At no time are more than ``max_bytes`` of content and the blocks in flight in memory, whatever the source sends, and
    the number of blocks fetched is proportional to the size of the file, however the DAG is built.

    Args:
        root: raw or dag-pb CID of the file.
        source: where the blocks come from.
        max_bytes: largest content accepted, bytes.

    Raises:
        WrongBytes: if the source sends a block that does not hash to its CID.
        InvalidBlock: if the DAG is malformed, contradicts itself, is too deep or made of absurdly many nodes.
        TooLarge: if the content has more than ``max_bytes``.
        Unavailable: whatever the source raises.
    """
    return b"".join(_Walk(root, source, max_bytes).content())


def file_size(root: Cid, source: BlockSource) -> int:
    """The number of content bytes that the verified root block of a file states.

    For a file of several blocks this is the word of whoever made the file; :func:`read_file` holds the file to it.

    Raises:
        As :func:`read_file`.
    """
    block = root.check(source.block(root), source.name)
    return len(block) if root.codec == RAW else decode_node(block, root).size


def tree(root: Cid, get: Callable[[Cid], bytes]) -> Iterator[Cid]:
    """Every block of the file ``root``, each once, parents before children; leaves are named without being read.

    Args:
        root: raw or dag-pb CID of the file.
        get: the checked bytes of an inner node.

    Raises:
        InvalidBlock: if an inner node is malformed or the DAG too deep.
    """
    seen = {root}
    pending = [(root, 0)]
    while pending:
        cid, depth = pending.pop()
        yield cid
        if cid.codec == RAW:
            continue
        if depth == MAX_DEPTH:
            raise _too_deep(root)
        for link in reversed(decode_node(get(cid), cid).links):
            if link.cid not in seen:
                seen.add(link.cid)
                pending.append((link.cid, depth + 1))


class _Walk:
    """One reading of a file; counts the nodes so that a hostile DAG cannot keep the reader busy."""

    def __init__(self, root: Cid, source: BlockSource, max_bytes: int) -> None:
        self._root = root
        self._source = source
        self._max_bytes = max_bytes
        self._nodes_left = 0
        self._offset = 0  # content bytes delivered so far

    def content(self) -> Iterator[bytes]:
        """The pieces of the file, in order."""
        node = self._open(self._root, self._source.block(self._root))
        if node.size > self._max_bytes:
            raise TooLarge(
                f"{self._root} has {node.size} bytes, more than the {self._max_bytes} accepted here",
                "publish something smaller, or raise the limit",
            )
        self._nodes_left = _SPARE_NODES + node.size // _MIN_BYTES_PER_NODE
        yield from self._below(node, 1)

    def _below(self, node: FileNode, depth: int) -> Iterator[bytes]:
        if node.data:
            self._offset += len(node.data)
            yield node.data
        if not node.links:
            return
        if depth > MAX_DEPTH:
            raise _too_deep(self._root)
        self._nodes_left -= len(node.links)
        if self._nodes_left < 0:
            raise InvalidBlock(
                f"{self._root} is no valid file: it consists of too many blocks for its size",
                "publish it again with chunks of 262144 bytes",
            )
        streamed: Iterator[bytes] = iter(())
        if all(link.cid.codec == RAW for link in node.links):
            streamed = self._source.stream(node.links, self._offset)
        for link in node.links:
            piece = next(streamed, None)
            if piece is not None and link.cid.names(piece):
                child = FileNode((), piece)
            else:
                # Only the block itself tells a source that errs from a parent that misstates the size of its child.
                streamed = iter(())
                child = self._open(link.cid, self._source.block(link.cid))
            if child.size != link.size:
                raise InvalidBlock(
                    f"{self._root} is no valid file: {link.cid} holds {child.size} bytes, its parent says {link.size}",
                    "its publisher has to publish the content again",
                )
            yield from self._below(child, depth + 1)

    def _open(self, cid: Cid, block: bytes) -> FileNode:
        """The checked block as a node; a raw block is a node of nothing but content."""
        checked = cid.check(block, self._source.name)
        return FileNode((), checked) if cid.codec == RAW else decode_node(checked, cid)


def _too_deep(root: Cid) -> InvalidBlock:
    return InvalidBlock(
        f"{root} is no valid file: its DAG is deeper than {MAX_DEPTH} levels", "publish it again in the balanced layout"
    )
