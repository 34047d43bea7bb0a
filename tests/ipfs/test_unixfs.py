"""Files as blocks: Kubo's CIDs, the way back, and hostile DAGs and sources."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ipfs.unixfs
from ipfs.cid import DAG_PB, RAW, Cid
from ipfs.dagpb import Link, encode_node
from ipfs.errors import BlockMissing, InvalidBlock, TooLarge, WrongBytes
from ipfs.unixfs import CHUNK_BYTES, LINKS_PER_NODE, MAX_DEPTH, Block, blocks_of, file_cid, file_size, read_file, tree

# What Kubo 0.42.0 prints for `ipfs add --cid-version=1 --raw-leaves --chunker=size-262144 --max-file-links=174`
# of the first n bytes of SHAKE-256("proof of training").
VECTORS = [
    (0, "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku"),
    (1, "bafkreigfkxvlixiiqrnot4iniuvjtp6la33uuufzrd7h4sg5gi3ytoeo4m"),
    (CHUNK_BYTES - 1, "bafkreieufbqnqnfrgfqtdes6hosxl62lnlxwnk5xhq6o4lkar6gwrlgbcy"),
    (CHUNK_BYTES, "bafkreieunhe5d6wadc5nm54rtioqa3ecuhdygwmlkblpgdqtorllllna7m"),
    (CHUNK_BYTES + 1, "bafybeif5pgv672jz7hxdoigsiuibbnzjhkqlxdvfovcx2aenoecawufutq"),
    (1024 * 1024, "bafybeih4wjfj4hj6nciioncv5s6ziqqzjr3i2fuovjxg4rzyq5eszi7p4q"),
    (LINKS_PER_NODE * CHUNK_BYTES, "bafybeienq3dhjg4hydo4konb4e2fzj5hxbpougmmw2xhvdhsba4u27buge"),
    (LINKS_PER_NODE * CHUNK_BYTES + 1, "bafybeifgx6fg3j44x45gsydlnbtnueppigd2t4oulci6i6nnjlz7sc5b5e"),
]


class Memory:
    """A source of blocks that counts what it is asked for and streams if told to."""

    name = "a test"

    def __init__(self, blocks: Iterator[Block] | Sequence[Block] = (), *, content: bytes | None = None) -> None:
        self.blocks = {block.cid: block.data for block in blocks}
        self.content = content
        self.asked: list[Cid] = []

    def put(self, data: bytes, codec: int = RAW) -> Cid:
        cid = Cid.of(data, codec)
        self.blocks[cid] = data
        return cid

    def block(self, cid: Cid) -> bytes:
        self.asked.append(cid)
        if cid not in self.blocks:
            raise BlockMissing(f"no {cid}")
        return self.blocks[cid]

    def stream(self, leaves: Sequence[Link], offset: int) -> Iterator[bytes]:
        if self.content is None:
            return
        for leaf in leaves:
            yield self.content[offset : offset + leaf.size]
            offset += leaf.size


def deterministic(size: int) -> bytes:
    return hashlib.shake_256(b"proof of training").digest(size)


@pytest.mark.parametrize(("size", "cid"), VECTORS)
def test_files_have_the_cids_that_kubo_gives_them(size: int, cid: str) -> None:
    assert str(file_cid(deterministic(size))) == cid


@pytest.fixture
def small_layout(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks of 4 bytes and 3 links a node, so that small files have deep trees."""
    monkeypatch.setattr(ipfs.unixfs, "CHUNK_BYTES", 4)
    monkeypatch.setattr(ipfs.unixfs, "LINKS_PER_NODE", 3)
    monkeypatch.setattr(ipfs.unixfs, "_MIN_BYTES_PER_NODE", 1)


@pytest.mark.usefixtures("small_layout")
@given(data=st.binary(max_size=400), streams=st.booleans())
def test_files_round_trip_through_deep_trees(data: bytes, streams: bool) -> None:
    blocks = list(blocks_of(data))
    source = Memory(blocks, content=data if streams else None)
    root = blocks[-1].cid
    assert root == file_cid(data)
    assert read_file(root, source, max_bytes=len(data)) == data
    assert file_size(root, source) == len(data)
    assert set(tree(root, source.block)) == {block.cid for block in blocks}
    if streams and len(data) > 4:
        assert all(cid.codec == DAG_PB for cid in source.asked)


@pytest.mark.usefixtures("small_layout")
@given(data=st.binary(min_size=5, max_size=200), position=st.integers(min_value=0), flip=st.integers(1, 255))
def test_a_stream_that_errs_is_not_believed_and_does_no_harm(data: bytes, position: int, flip: int) -> None:
    wrong = bytearray(data)
    wrong[position % len(data)] ^= flip
    blocks = list(blocks_of(data))
    assert read_file(blocks[-1].cid, Memory(blocks, content=bytes(wrong)), max_bytes=len(data)) == data
    short = Memory(blocks, content=data[: position % len(data)])
    assert read_file(blocks[-1].cid, short, max_bytes=len(data)) == data


@pytest.mark.usefixtures("small_layout")
@given(data=st.binary(min_size=1, max_size=200), choice=st.integers(min_value=0), flip=st.integers(1, 255))
def test_a_block_that_is_changed_anywhere_is_detected(data: bytes, choice: int, flip: int) -> None:
    blocks = list(blocks_of(data))
    source = Memory(blocks)
    victim = blocks[choice % len(blocks)]
    changed = bytearray(victim.data)
    changed[choice % len(changed)] ^= flip
    source.blocks[victim.cid] = bytes(changed)
    with pytest.raises(WrongBytes, match=str(victim.cid)):
        read_file(blocks[-1].cid, source, max_bytes=len(data))


@pytest.mark.usefixtures("small_layout")
@given(data=st.binary(max_size=100), limit=st.integers(min_value=0, max_value=100))
def test_content_above_the_limit_is_refused_after_one_block(data: bytes, limit: int) -> None:
    blocks = list(blocks_of(data))
    source = Memory(blocks)
    if len(data) <= limit:
        assert read_file(blocks[-1].cid, source, max_bytes=limit) == data
        return
    with pytest.raises(TooLarge, match=f"has {len(data)} bytes, more than the {limit}"):
        read_file(blocks[-1].cid, source, max_bytes=limit)
    assert source.asked == [blocks[-1].cid]


@settings(max_examples=5, deadline=None)
@given(size=st.integers(min_value=0, max_value=3 * CHUNK_BYTES + 1))
def test_files_round_trip_in_the_real_layout(size: int) -> None:
    data = deterministic(size)
    blocks = list(blocks_of(data))
    assert all(len(block.data) <= CHUNK_BYTES for block in blocks)
    assert read_file(blocks[-1].cid, Memory(blocks), max_bytes=size) == data


def test_blocks_come_children_first_and_the_root_last() -> None:
    blocks = list(blocks_of(deterministic(3 * CHUNK_BYTES)))
    assert [block.cid.codec for block in blocks] == [RAW, RAW, RAW, DAG_PB]
    assert all(block.cid.names(block.data) for block in blocks)


def test_a_missing_block_is_named() -> None:
    blocks = list(blocks_of(deterministic(2 * CHUNK_BYTES)))
    source = Memory(blocks[1:])
    with pytest.raises(BlockMissing, match=str(blocks[0].cid)):
        read_file(blocks[-1].cid, source, max_bytes=2 * CHUNK_BYTES)


@pytest.mark.parametrize("stated", [1, 3, 5, 2**50])
@pytest.mark.parametrize("streams", [False, True])
def test_a_parent_that_misstates_its_child_is_at_fault_not_the_source(stated: int, streams: bool) -> None:
    source = Memory(content=b"abcdefgh" if streams else None)
    leaves = (Link(source.put(b"abcd"), 4, stated), Link(source.put(b"efgh"), 4, 4))
    root = source.put(encode_node(leaves), DAG_PB)
    with pytest.raises(InvalidBlock, match=f"holds 4 bytes, its parent says {stated}"):
        read_file(root, source, max_bytes=2**60)


def nested(source: Memory, levels: int, width: int) -> Cid:
    """A root above ``levels`` inner nodes, each with ``width`` times the same child, over a leaf of one byte."""
    cid, size = source.put(b"x"), 1
    for _ in range(levels):
        cid = source.put(encode_node((Link(cid, 0, size),) * width), DAG_PB)
        size *= width
    return cid


def test_a_dag_deeper_than_the_limit_is_refused() -> None:
    source = Memory()
    assert read_file(nested(source, MAX_DEPTH, 1), source, max_bytes=10) == b"x"
    root = nested(source, MAX_DEPTH + 1, 1)
    for read in (
        lambda: read_file(root, source, max_bytes=10),
        lambda: list(tree(root, source.block)),
    ):
        with pytest.raises(InvalidBlock, match="deeper than"):
            read()


def test_a_dag_that_repeats_itself_exponentially_is_refused_at_once() -> None:
    source = Memory()
    # 1000^4 leaves of one byte out of five blocks; the size is even honest.
    root = nested(source, 4, 1000)
    with pytest.raises(TooLarge):
        read_file(root, source, max_bytes=10**9)
    with pytest.raises(InvalidBlock, match="too many blocks"):
        read_file(nested(source, 1, 1000), source, max_bytes=10**9)
    assert len(source.asked) < 10
    assert len(list(tree(root, source.block))) == 5


def test_the_work_is_bounded_by_the_size_of_the_file() -> None:
    source = Memory()
    root = nested(source, 5, 16)  # a megabyte in chunks of one byte
    with pytest.raises(InvalidBlock, match="too many blocks"):
        read_file(root, source, max_bytes=2**20)
    assert len(source.asked) < 64 + 2**20 // 1024 + 2


def test_files_of_other_layouts_are_read() -> None:
    source = Memory()
    # dag-pb leaves, and content in the root before that of its children, as the trickle layout has it
    leaf = source.put(bytes.fromhex("0a0b08021205") + b"World" + bytes.fromhex("1805"), DAG_PB)
    raw = source.put(b"!")
    unixfs = bytes.fromhex("08021206") + b"Hello " + bytes.fromhex("180c20052001")
    links = b"".join(b"\x12\x26\x0a\x24" + cid.to_bytes() for cid in (leaf, raw))
    root = source.put(links + b"\x0a" + bytes((len(unixfs),)) + unixfs, DAG_PB)
    assert read_file(root, source, max_bytes=100) == b"Hello World!"


@given(st.binary(max_size=200))
def test_hostile_roots_never_do_worse_than_an_error(block: bytes) -> None:
    source = Memory()
    root = source.put(block, DAG_PB)
    operations: tuple[Callable[[], object], ...] = (
        lambda: read_file(root, source, max_bytes=1000),
        lambda: file_size(root, source),
        lambda: list(tree(root, source.block)),
    )
    for operation in operations:
        try:
            operation()
        except (InvalidBlock, BlockMissing, TooLarge):
            continue
