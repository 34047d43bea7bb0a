"""The embedded store: content, pins, collection, damage, concurrency and archives."""

from __future__ import annotations

import hashlib
import io
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from filelock import FileLock
from hypothesis import given
from hypothesis import strategies as st

import ipfs.embedded
from ipfs import EmbeddedStore, IpfsError, file_cid, open_store, raw_cid
from ipfs.car import MAX_ROOTS, read_car, write_car
from ipfs.cid import DAG_PB, Cid
from ipfs.errors import BlockMissing, InvalidBlock, InvalidCar, InvalidCid, StoreError, TooLarge, WrongBytes
from ipfs.store import MANIFEST_BYTES
from ipfs.unixfs import CHUNK_BYTES, Block, blocks_of

BIG = hashlib.shake_256(b"big").digest(2 * CHUNK_BYTES + 7)
SMALL = b"small"


@pytest.fixture
def store(tmp_path: Path) -> EmbeddedStore:
    return EmbeddedStore(tmp_path / "store")


def block_files(store: EmbeddedStore) -> list[Path]:
    return list(Path(store.address.removeprefix("embedded:")).glob("blocks/*/*"))


def file_of(store: EmbeddedStore, cid: Cid | str) -> Path:
    (path,) = [path for path in block_files(store) if path.name == str(cid)]
    return path


@pytest.mark.parametrize("data", [b"", SMALL, bytes(CHUNK_BYTES), BIG], ids=["empty", "small", "chunk", "big"])
def test_content_comes_back_under_its_cid(store: EmbeddedStore, data: bytes) -> None:
    cid = store.add(data)
    assert cid == str(file_cid(data))
    assert store.get(cid, max_bytes=len(data)) == data
    assert store.has(cid)
    assert store.size(cid) == len(data)
    assert store.pins() == {cid}
    assert store.add(data) == cid


def test_content_survives_the_store_object(store: EmbeddedStore) -> None:
    cid = store.add(BIG)
    with open_store(store.address) as again:
        assert again.name == "embedded"
        assert again.get(cid, max_bytes=len(BIG)) == BIG
        assert again.pins() == {cid}


def test_absent_content_is_named(store: EmbeddedStore) -> None:
    cid = str(file_cid(BIG))
    assert not store.has(cid)
    for ask in (lambda: store.get(cid, max_bytes=10**6), lambda: store.size(cid), lambda: store.pin(cid)):
        with pytest.raises(BlockMissing, match=cid) as caught:
            ask()
        assert "import" in caught.value.hint
    assert store.pins() == frozenset()


def test_text_that_is_no_cid_is_refused_and_touches_nothing(store: EmbeddedStore) -> None:
    for operation in (store.has, store.size, store.pin, store.unpin, lambda cid: store.get(cid, max_bytes=1)):
        with pytest.raises(InvalidCid):
            operation("../../etc/passwd")


def test_content_above_the_limit_is_refused(store: EmbeddedStore) -> None:
    for data in (SMALL, BIG):
        with pytest.raises(TooLarge, match=f"{len(data)} bytes"):
            store.get(store.add(data), max_bytes=len(data) - 1)


@pytest.mark.parametrize(
    "damage", [lambda data: b"", lambda data: data[:-1], lambda data: bytes(len(data)), lambda data: data * 9]
)
@pytest.mark.parametrize("victim", [0, -1], ids=["leaf", "root"])
def test_damage_on_the_disk_is_detected_and_mended(
    store: EmbeddedStore, damage: Callable[[bytes], bytes], victim: int
) -> None:
    cid = store.add(BIG)
    block = list(blocks_of(BIG))[victim]
    file_of(store, block.cid).write_bytes(damage(block.data))
    with pytest.raises(WrongBytes, match=str(block.cid)):
        store.get(cid, max_bytes=len(BIG))
    store.add(BIG)
    assert store.get(cid, max_bytes=len(BIG)) == BIG


def test_a_lost_leaf_is_noticed(store: EmbeddedStore) -> None:
    cid = store.add(BIG)
    leaf = next(iter(blocks_of(BIG))).cid
    file_of(store, leaf).unlink()
    assert not store.has(cid)
    with pytest.raises(BlockMissing, match=str(leaf)):
        store.pin(cid)
    with pytest.raises(BlockMissing, match=str(leaf)):
        store.get(cid, max_bytes=len(BIG))


def test_a_root_that_is_no_file_is_refused(store: EmbeddedStore, tmp_path: Path) -> None:
    root = Cid.of(b"\xff\xff", DAG_PB)
    archive = tmp_path / "bad.car"
    with archive.open("wb") as stream:
        write_car(stream, [root], [Block(root, b"\xff\xff")])
    with pytest.raises(InvalidBlock, match=str(root)):
        store.import_car(archive)
    with pytest.raises(InvalidBlock):
        store.get(str(root), max_bytes=100)


def test_manifests_are_found_by_their_digest(store: EmbeddedStore) -> None:
    digest = store.put_manifest(b'{"kind":"checkpoint"}')
    assert digest == hashlib.sha256(b'{"kind":"checkpoint"}').digest()
    assert store.get_manifest(digest) == b'{"kind":"checkpoint"}'
    assert store.pins() == {raw_cid(digest)}
    largest = bytes(MANIFEST_BYTES)
    assert store.get_manifest(store.put_manifest(largest)) == largest
    with pytest.raises(TooLarge, match="one block"):
        store.put_manifest(bytes(MANIFEST_BYTES + 1))
    with pytest.raises(TooLarge):
        store.get_manifest(digest, max_bytes=5)


def test_collection_removes_what_no_pin_needs(store: EmbeddedStore) -> None:
    big, small = store.add(BIG), store.add(SMALL)
    shared = store.add(BIG[:CHUNK_BYTES])  # also the first leaf of BIG
    loose = store.add(b"loose", pin=False)
    assert store.pins() == {big, small, shared}
    assert store.gc() == 1
    assert not store.has(loose)
    store.unpin(big)
    store.unpin(big)
    assert store.gc() == 3  # two leaves and the root; the first leaf is pinned by itself
    assert not store.has(big)
    assert store.get(shared, max_bytes=CHUNK_BYTES) == BIG[:CHUNK_BYTES]
    assert store.get(small, max_bytes=10) == SMALL
    assert store.gc() == 0


def test_a_pin_can_be_set_later(store: EmbeddedStore) -> None:
    cid = store.add(BIG, pin=False)
    assert store.pins() == frozenset()
    store.pin(cid)
    store.pin(cid)
    assert store.gc() == 0
    assert store.get(cid, max_bytes=len(BIG)) == BIG


def test_collection_touches_nothing_when_a_pin_cannot_be_followed(store: EmbeddedStore) -> None:
    cid = store.add(BIG)
    loose = store.add(SMALL, pin=False)
    file_of(store, cid).unlink()
    with pytest.raises(BlockMissing, match=cid):
        store.gc()
    assert store.has(loose)


def test_leftovers_of_killed_processes_are_removed_when_old(
    store: EmbeddedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    tmp = Path(store.address.removeprefix("embedded:")) / "tmp"
    (tmp / "leftover.tmp").write_bytes(b"half")
    store.gc()
    assert [path.name for path in tmp.iterdir()] == ["leftover.tmp"]
    monkeypatch.setattr(ipfs.embedded, "_STALE_SECONDS", -1.0)
    store.gc()
    assert list(tmp.iterdir()) == []


def test_nothing_is_left_behind_by_an_add_that_fails(store: EmbeddedStore, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = Path(store.address.removeprefix("embedded:"))
    monkeypatch.setattr(ipfs.embedded, "_LOCK_SECONDS", 0.05)
    with FileLock(folder / "lock", is_singleton=False), pytest.raises(StoreError, match="locked by another process"):
        store.add(BIG)
    assert block_files(store) == []
    assert list((folder / "tmp").iterdir()) == []
    assert store.pins() == frozenset()


def test_a_folder_that_cannot_be_made_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot open") as caught:
        EmbeddedStore(tmp_path / "file" / "store")
    assert "writable" in caught.value.hint


def test_foreign_files_in_the_folder_are_passed_over(store: EmbeddedStore) -> None:
    cid = store.add(SMALL)
    folder = Path(store.address.removeprefix("embedded:"))
    (folder / "pins" / ".DS_Store").write_text("")
    (file_of(store, cid).parent / "notes.txt").write_text("mine")
    assert store.pins() == {cid}
    assert store.gc() == 0
    assert (file_of(store, cid).parent / "notes.txt").exists()


def test_threads_add_and_collect_at_once_and_lose_nothing(store: EmbeddedStore) -> None:
    contents = [hashlib.shake_256(bytes([i % 6])).digest(CHUNK_BYTES + 100 + i % 6) for i in range(24)]
    done = threading.Event()

    def collect() -> int:
        rounds = 0
        while not done.is_set() or rounds == 0:
            store.gc()
            rounds += 1
        return rounds

    def add(data: bytes) -> str:
        # Without a pin first, so that the pinned add meets blocks that a collection may take away under its hands.
        store.add(data, pin=False)
        return store.add(data)

    with ThreadPoolExecutor(5) as pool:
        collector = pool.submit(collect)
        try:
            cids = list(pool.map(add, contents))
        finally:
            done.set()
        assert collector.result() > 0
    for cid, data in zip(cids, contents, strict=True):
        assert store.get(cid, max_bytes=len(data)) == data


def test_several_processes_share_a_folder(store: EmbeddedStore) -> None:
    script = (
        "import hashlib, sys\n"
        "from ipfs import open_store\n"
        "store = open_store(sys.argv[1])\n"
        "for i in range(8):\n"
        "    print(store.add(hashlib.shake_256(bytes([i])).digest(300_000)))\n"
        "    store.gc()\n"
    )
    command = [sys.executable, "-c", script, store.address]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    printed = {process.communicate(timeout=60)[0] for process in processes}
    assert [process.returncode for process in processes] == [0, 0, 0]
    (lines,) = printed  # all three say the same
    for i, cid in enumerate(lines.split()):
        assert store.get(cid, max_bytes=300_000) == hashlib.shake_256(bytes([i])).digest(300_000)


def test_archives_carry_content_to_another_store(store: EmbeddedStore, tmp_path: Path) -> None:
    big, small, empty = store.add(BIG), store.add(SMALL), store.add(b"")
    archive = tmp_path / "out.car"
    assert store.export_car([big, small, big, empty], archive) == archive.stat().st_size
    other = EmbeddedStore(tmp_path / "other")
    assert other.import_car(archive) == [big, small, empty]
    assert other.get(big, max_bytes=len(BIG)) == BIG
    assert other.get(small, max_bytes=10) == SMALL
    assert other.pins() == {big, small, empty}
    third = EmbeddedStore(tmp_path / "third")
    third.import_car(archive, pin=False)
    assert third.pins() == frozenset()
    assert third.has(big)


def test_an_archive_is_written_whole_or_not_at_all(store: EmbeddedStore, tmp_path: Path) -> None:
    cid = store.add(BIG)
    file_of(store, next(iter(blocks_of(BIG))).cid).unlink()
    target = tmp_path / "exports"
    target.mkdir()
    with pytest.raises(BlockMissing):
        store.export_car([cid], target / "out.car")
    assert list(target.iterdir()) == []
    with pytest.raises(StoreError, match="cannot write"):
        store.export_car([store.add(SMALL)], tmp_path / "absent" / "out.car")
    with pytest.raises(InvalidCar, match="roots"):
        store.export_car([], target / "out.car")


def archive_of(data: bytes) -> bytes:
    blocks = list(blocks_of(data))
    stream = io.BytesIO()
    write_car(stream, [blocks[-1].cid], blocks)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("archive", "reason"),
    [
        (b"", "no CAR header"),
        (b"\x00", "header is not that"),
        (b"\xff" * 20, "malformed"),
        (b"\xff\xff\xff\xff\x0f", "no CAR header"),
        (archive_of(SMALL)[:-1], "middle of a section"),
        (archive_of(SMALL)[:30], "middle of a section"),
        (archive_of(SMALL) + b"\x80", "middle of a length"),
        (archive_of(SMALL) + b"\x05hello", "section of 5 bytes"),
        (archive_of(SMALL) + b"\xff\xff\xff\xff\x0f", "section of 4294967295 bytes"),
        (archive_of(SMALL) + b"\x24" + bytes(36), "something else than a CID"),
        (archive_of(SMALL).replace(SMALL, b"swall"), "does not hash"),
        (archive_of(SMALL).replace(b"version\x01", b"version\x02"), "header is not that"),
        (archive_of(BIG)[: -len(BIG) // 2], "middle of a section"),
    ],
)
def test_a_damaged_archive_is_refused_and_nothing_is_pinned(
    store: EmbeddedStore, tmp_path: Path, archive: bytes, reason: str
) -> None:
    path = tmp_path / "in.car"
    path.write_bytes(archive)
    with pytest.raises(InvalidCar, match=reason) as caught:
        store.import_car(path)
    assert str(path) in caught.value.message
    assert store.pins() == frozenset()


def test_an_archive_that_lacks_a_block_is_refused(store: EmbeddedStore, tmp_path: Path) -> None:
    blocks = list(blocks_of(BIG))
    path = tmp_path / "in.car"
    with path.open("wb") as stream:
        write_car(stream, [blocks[-1].cid], blocks[1:])
    with pytest.raises(InvalidCar, match="lacks blocks"):
        store.import_car(path)
    assert store.pins() == frozenset()
    with pytest.raises(StoreError, match="cannot read"):
        store.import_car(tmp_path / "absent.car")


@given(st.lists(st.binary(max_size=40), min_size=1, max_size=30), st.integers(1, 3))
def test_archives_round_trip(contents: list[bytes], repeat: int) -> None:
    blocks = [Block(Cid.of(data), data) for data in contents]
    roots = [block.cid for block in blocks] * repeat
    stream = io.BytesIO()
    assert write_car(stream, roots, blocks) == len(stream.getvalue())
    stream.seek(0)
    read_roots, read_blocks = read_car(stream, "a test")
    assert read_roots == tuple(roots)
    assert list(read_blocks) == blocks


@pytest.mark.parametrize("count", [1, 23, 24, 255, 256, MAX_ROOTS])
def test_headers_of_all_lengths_are_read(count: int) -> None:
    roots = [Cid.of(bytes([i % 256, i // 256])) for i in range(count)]
    stream = io.BytesIO()
    write_car(stream, roots, [])
    stream.seek(0)
    assert read_car(stream, "a test")[0] == tuple(roots)


@given(st.binary(max_size=200), st.data())
def test_archives_of_any_bytes_never_do_worse_than_an_error(noise: bytes, data: st.DataObject) -> None:
    archive = bytearray(archive_of(SMALL))
    position = data.draw(st.integers(0, len(archive)))
    for candidate in (
        noise,
        bytes(archive[:position]) + noise,
        bytes(archive[:position]) + noise + bytes(archive[position:]),
    ):
        try:
            _, blocks = read_car(io.BytesIO(candidate), "a test")
            assert all(block.cid.names(block.data) for block in blocks)
        except InvalidCar:
            continue


def test_too_many_roots_are_refused() -> None:
    with pytest.raises(InvalidCar, match="roots"):
        write_car(io.BytesIO(), [Cid.of(b"")] * (MAX_ROOTS + 1), [])


def test_errors_have_a_message_a_hint_and_an_exit_code(store: EmbeddedStore) -> None:
    with pytest.raises(IpfsError) as caught:
        store.get("nonsense", max_bytes=1)
    assert (caught.value.exit_code, str(caught.value)) == (1, caught.value.message)
    assert caught.value.hint
