"""The Kubo store against a real, private daemon."""

from __future__ import annotations

import hashlib
import io
import random
import socket
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ipfs import EmbeddedStore, file_cid, raw_cid
from ipfs.car import write_car
from ipfs.cid import DAG_PB, Cid
from ipfs.daemon import KuboDaemon
from ipfs.dagpb import Link, encode_node
from ipfs.errors import BlockMissing, DaemonDown, InvalidBlock, InvalidCid, TooLarge, Unavailable
from ipfs.kubo import KuboStore
from ipfs.kubo_address import KuboAddress
from ipfs.kubo_binary import KuboBinary
from ipfs.kubo_rpc import KuboRpc, Refused
from ipfs.unixfs import CHUNK_BYTES, LINKS_PER_NODE, Block

MEBIBYTE = 1024 * 1024


def unique(size: int) -> bytes:
    """Content that no other test has stored."""
    return random.randbytes(size)


def rpc(store: KuboStore) -> KuboRpc:
    """Direct access to the daemon of a store."""
    return KuboRpc(KuboAddress.parse(store.address))


@pytest.mark.parametrize("size", [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, MEBIBYTE])
def test_kubo_and_the_embedded_store_agree_on_cids(kubo_store: KuboStore, tmp_path: Path, size: int) -> None:
    data = unique(size)
    cid = kubo_store.add(data)
    assert cid == EmbeddedStore(tmp_path).add(data)
    assert kubo_store.get(cid, max_bytes=size) == data
    assert kubo_store.size(cid) == size
    assert kubo_store.has(cid)
    assert cid in kubo_store.pins()


def test_they_agree_on_files_of_more_than_one_node(kubo_store: KuboStore) -> None:
    data = unique(LINKS_PER_NODE * CHUNK_BYTES + 100_000)
    cid = kubo_store.add(data)  # raises if the daemon's CID is not the one computed here
    assert kubo_store.get(cid, max_bytes=len(data)) == data
    with pytest.raises(TooLarge, match=f"{len(data)} bytes"):
        kubo_store.get(cid, max_bytes=len(data) - 1)


def test_it_says_which_program_keeps_the_content(kubo_store: KuboStore, kubo_binary: KuboBinary) -> None:
    assert kubo_store.name == f"kubo/{kubo_binary.version}"


def test_absent_content_is_reported_within_the_time_out(kubo: KuboDaemon) -> None:
    cid = str(file_cid(unique(100)))
    with KuboStore(kubo.url, timeout=1.5) as store:
        assert not store.has(cid)
        for ask in (lambda: store.get(cid, max_bytes=100), lambda: store.pin(cid), lambda: store.size(cid)):
            began = time.monotonic()
            with pytest.raises(BlockMissing, match=cid) as caught:
                ask()
            assert time.monotonic() - began < 10
            assert kubo.url in caught.value.message
    with kubo.store() as store:
        began = time.monotonic()
        with pytest.raises(BlockMissing, match=cid):
            store.get(cid, max_bytes=100, timeout=1.5)
        assert time.monotonic() - began < 10


def test_a_file_that_lacks_a_leaf_names_it(kubo_store: KuboStore, tmp_path: Path) -> None:
    data = unique(3 * CHUNK_BYTES)
    cid = kubo_store.add(data, pin=False)
    leaf = str(Cid.of(data[CHUNK_BYTES : 2 * CHUNK_BYTES]))
    rpc(kubo_store).call("/block/rm", leaf, max_bytes=10_000, seconds=10)
    assert not kubo_store.has(cid)
    with pytest.raises(BlockMissing, match=leaf):
        kubo_store.get(cid, max_bytes=len(data), timeout=3)


def test_content_is_unpinned_and_collected(kubo_binary: KuboBinary, tmp_path: Path) -> None:
    with KuboDaemon(tmp_path, binary=kubo_binary) as daemon, daemon.store() as store:
        kept, dropped = store.add(b"kept"), store.add(unique(2 * CHUNK_BYTES))
        loose = store.add(b"loose", pin=False)
        assert store.pins() >= {kept, dropped}
        assert loose not in store.pins()
        store.unpin(dropped)
        store.unpin(dropped)
        store.unpin(loose)
        assert store.gc() >= 4
        assert [store.has(cid) for cid in (kept, dropped, loose)] == [True, False, False]
        store.pin(kept)
        assert store.get(kept, max_bytes=4) == b"kept"


def test_text_that_is_no_cid_never_reaches_the_daemon(kubo_store: KuboStore) -> None:
    for operation in (kubo_store.has, kubo_store.size, kubo_store.pin, kubo_store.unpin):
        with pytest.raises(InvalidCid):
            operation("/ipns/example.org")


def test_manifests_are_found_by_their_digest(kubo_store: KuboStore) -> None:
    manifest = unique(1000)
    digest = kubo_store.put_manifest(manifest)
    assert digest == hashlib.sha256(manifest).digest()
    assert kubo_store.get_manifest(digest) == manifest
    assert raw_cid(digest) in kubo_store.pins()


def test_many_threads_share_a_store(kubo_store: KuboStore) -> None:
    contents = [unique(random.choice((10, 20_000, CHUNK_BYTES + 5))) for _ in range(48)]

    def work(data: bytes) -> bool:
        cid = kubo_store.add(data)
        return kubo_store.get(cid, max_bytes=len(data)) == data and kubo_store.has(cid)

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, contents))
    assert kubo_store.pins() >= {str(file_cid(data)) for data in contents}


def test_a_proxy_of_the_user_is_not_for_the_daemon(kubo: KuboDaemon, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(variable, "http://127.0.0.1:1")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    with kubo.store() as store:
        assert store.get(store.add(b"direct"), max_bytes=10) == b"direct"


def test_a_daemon_that_is_down_is_named_with_what_to_do() -> None:
    with socket.socket() as taken:  # bound and not listening: nobody can answer there
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        cid = str(file_cid(b""))
        with KuboStore(url, timeout=5) as store:
            for ask in (
                lambda: store.add(b"data"),
                lambda: store.get(cid, max_bytes=1),
                lambda: store.name,
            ):
                began = time.monotonic()
                with pytest.raises(DaemonDown, match=url) as caught:
                    ask()
                assert "pot up" in caught.value.hint
                assert time.monotonic() - began < 15


def test_a_store_outlives_a_restart_of_its_daemon(kubo_binary: KuboBinary, tmp_path: Path) -> None:
    daemon = KuboDaemon(tmp_path, binary=kubo_binary)
    port = int(daemon.start().rsplit(":", 1)[1])
    try:
        store = daemon.store()
        cid = store.add(b"content")
        daemon.stop()
        with pytest.raises(DaemonDown):
            store.get(cid, max_bytes=10)
        daemon = KuboDaemon(tmp_path, binary=kubo_binary, api_port=port)
        daemon.start()
        assert store.get(cid, max_bytes=10) == b"content"
        assert cid in store.pins()
    finally:
        daemon.stop()


def test_content_comes_from_a_connected_peer(kubo: KuboDaemon, kubo_binary: KuboBinary, tmp_path: Path) -> None:
    data = unique(3 * MEBIBYTE)
    with KuboDaemon(tmp_path, binary=kubo_binary) as other, other.store() as theirs, kubo.store() as ours:
        cid = theirs.add(data)
        with pytest.raises(BlockMissing):
            ours.get(cid, max_bytes=len(data), timeout=1.5)
        kubo.connect(other)
        assert not ours.has(cid)
        assert ours.get(cid, max_bytes=len(data)) == data
        ours.pin(cid)
        assert cid in ours.pins()
        with pytest.raises(Unavailable):
            ours.connect("/ip4/127.0.0.1/tcp/1/p2p/12D3KooWSM8wTGT9UfvqoWjMsuVZYsyveWBkWcbvSEmGDNP7WR1v")


@pytest.fixture
def cli(kubo: KuboDaemon, kubo_binary: KuboBinary) -> list[str]:
    """The command line of the real Kubo, which speaks to the private daemon."""
    api = "/ip4/127.0.0.1/tcp/" + kubo.url.rsplit(":", 1)[1]
    return [str(kubo_binary.path), f"--repo-dir={kubo.log.parent / 'repo'}", f"--api={api}"]


def run(command: list[str], *arguments: str) -> bytes:
    return subprocess.run([*command, *arguments], capture_output=True, timeout=60, check=True).stdout


def test_kubo_imports_the_archives_of_the_embedded_store(kubo_store: KuboStore, cli: list[str], tmp_path: Path) -> None:
    embedded = EmbeddedStore(tmp_path / "store")
    contents = [unique(3 * CHUNK_BYTES + 1), unique(10), b""]
    cids = [embedded.add(data) for data in contents]
    embedded.export_car(cids, tmp_path / "out.car")
    printed = run(cli, "dag", "import", "--pin-roots=true", str(tmp_path / "out.car")).decode()
    assert all(cid in printed for cid in cids)
    for cid, data in zip(cids, contents, strict=True):
        assert kubo_store.get(cid, max_bytes=len(data)) == data
        assert cid in kubo_store.pins()


def test_the_embedded_store_imports_the_archives_of_kubo(kubo_store: KuboStore, cli: list[str], tmp_path: Path) -> None:
    data = unique(3 * CHUNK_BYTES + 1)
    cid = kubo_store.add(data)
    (tmp_path / "in.car").write_bytes(run(cli, "dag", "export", cid))
    embedded = EmbeddedStore(tmp_path / "store")
    assert embedded.import_car(tmp_path / "in.car") == [cid]
    assert embedded.get(cid, max_bytes=len(data)) == data


@pytest.mark.parametrize(
    "options",
    [
        ["--raw-leaves=false"],
        ["--chunker=size-65536", "--max-file-links=3"],
        ["--trickle", "--chunker=size-65536"],
        ["--chunker=rabin-16384-65536-131072"],
        ["--trickle", "--raw-leaves=false", "--chunker=size-65536"],
    ],
    ids=" ".join,
)
def test_files_in_other_layouts_are_read(
    kubo_store: KuboStore, cli: list[str], tmp_path: Path, options: list[str]
) -> None:
    data = unique(MEBIBYTE + 17)
    (tmp_path / "file").write_bytes(data)
    cid = run(cli, "add", "-Q", "--cid-version=1", *options, str(tmp_path / "file")).decode().strip()
    assert kubo_store.get(cid, max_bytes=len(data)) == data
    assert kubo_store.size(cid) == len(data)


def test_directories_are_no_files(kubo_store: KuboStore, cli: list[str], tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "file").write_bytes(b"x")
    cid = run(cli, "add", "-Qr", "--cid-version=1", str(tmp_path / "folder")).decode().strip()
    with pytest.raises(InvalidBlock, match="not a file"):
        kubo_store.get(cid, max_bytes=1000)


def test_the_publisher_of_a_lying_dag_is_at_fault_not_the_daemon(
    kubo_store: KuboStore, cli: list[str], tmp_path: Path
) -> None:
    leaves = [Block(Cid.of(data), data) for data in (unique(100), unique(100))]
    links = (Link(leaves[0].cid, 100, 150), Link(leaves[1].cid, 100, 100))  # 150: the lie
    root = encode_node(links)
    block = Block(Cid.of(root, DAG_PB), root)
    stream = io.BytesIO()
    write_car(stream, [block.cid], [*leaves, block])
    (tmp_path / "lie.car").write_bytes(stream.getvalue())
    run(cli, "dag", "import", str(tmp_path / "lie.car"))
    with pytest.raises(InvalidBlock, match="its parent says 150"):
        kubo_store.get(str(block.cid), max_bytes=1000)


def test_what_the_daemon_refuses_is_passed_on(kubo_store: KuboStore) -> None:
    with pytest.raises(Refused, match="invalid path") as caught:
        rpc(kubo_store).call("/cat", "nonsense", max_bytes=1000, seconds=5)
    assert caught.value.reason
