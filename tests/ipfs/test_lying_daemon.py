"""The Kubo store against a daemon that lies, stalls or breaks: an HTTP server made for that (see conftest)."""

from __future__ import annotations

import base64
import gzip
import json
import time
import tracemalloc
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

from ipfs import file_cid
from ipfs.cid import DAG_PB, Cid
from ipfs.dagpb import MAX_BLOCK_BYTES, Link, encode_node
from ipfs.errors import (
    BadContent,
    BlockMissing,
    DaemonDown,
    DaemonError,
    InvalidBlock,
    Timeout,
    TooLarge,
    WrongBytes,
)
from ipfs.kubo import KuboStore
from ipfs.kubo_rpc import ATTEMPTS
from ipfs.unixfs import CHUNK_BYTES, blocks_of

if TYPE_CHECKING:
    from tests.ipfs.conftest import LyingDaemon

CONTENT = bytes(range(256)) * 4
CID = str(file_cid(CONTENT))
BIG = b"".join(i.to_bytes(4, "big") for i in range(CHUNK_BYTES))  # four different chunks
BIG_CID = str(file_cid(BIG))
BIG_BLOCKS = {block.cid: block.data for block in blocks_of(BIG)}


@pytest.fixture
def store(lying_daemon: LyingDaemon) -> Iterator[KuboStore]:
    with KuboStore(lying_daemon.url, timeout=2) as store:
        yield store


def serve_blocks(handler: LyingDaemon.Handler) -> None:
    """Answer /block/get with the true blocks of BIG."""
    cid = handler.path.partition("arg=")[2].partition("&")[0]
    handler.answer(BIG_BLOCKS[Cid.parse(cid)])


def test_true_bytes_are_accepted(lying_daemon: LyingDaemon, store: KuboStore) -> None:
    lying_daemon.on("/block/get", lying_daemon.body(CONTENT))
    assert store.get(CID, max_bytes=len(CONTENT)) == CONTENT


@pytest.mark.parametrize("wrong", [b"", CONTENT[:-1], CONTENT + b"x", CONTENT[::-1], bytes(len(CONTENT))])
def test_wrong_bytes_are_detected(lying_daemon: LyingDaemon, store: KuboStore, wrong: bytes) -> None:
    lying_daemon.on("/block/get", lying_daemon.body(wrong))
    with pytest.raises(WrongBytes, match=CID) as caught:
        store.get(CID, max_bytes=len(CONTENT))
    assert store.address in caught.value.message
    with pytest.raises(WrongBytes):
        store.size(CID)


def test_a_stream_with_one_wrong_byte_is_not_believed(lying_daemon: LyingDaemon, store: KuboStore) -> None:
    wrong = bytearray(BIG)
    wrong[CHUNK_BYTES + 5] ^= 1
    lying_daemon.on("/block/get", serve_blocks)
    lying_daemon.on("/cat", lying_daemon.body(bytes(wrong)))
    assert store.get(BIG_CID, max_bytes=len(BIG)) == BIG  # the blocks are true, so the content can be had
    victim = Cid.of(BIG[CHUNK_BYTES : 2 * CHUNK_BYTES])
    root = Cid.parse(BIG_CID)
    lying_daemon.on("/block/get", lying_daemon.body(BIG_BLOCKS[root]), lying_daemon.body(b"wrong"))
    with pytest.raises(WrongBytes, match=str(victim)):
        store.get(BIG_CID, max_bytes=len(BIG))


@pytest.mark.parametrize("trouble", ["short", "long", "reset", "hang", "drip", "refused", "missing"])
def test_a_stream_that_fails_is_replaced_by_blocks(lying_daemon: LyingDaemon, store: KuboStore, trouble: str) -> None:
    behaviours = {
        "short": lying_daemon.body(BIG[: CHUNK_BYTES + 100]),
        "long": lying_daemon.body(BIG + bytes(1000)),
        "reset": lying_daemon.reset,
        "hang": lying_daemon.hang,
        "drip": lying_daemon.drip,
        "refused": lying_daemon.error("cat: something is odd"),
    }
    lying_daemon.on("/block/get", serve_blocks)
    if trouble in behaviours:
        lying_daemon.on("/cat", behaviours[trouble])
    assert store.get(BIG_CID, max_bytes=len(BIG), timeout=4) == BIG


@pytest.mark.parametrize("command", ["/block/get", "/cat", "/version", "/add"])
@pytest.mark.parametrize("chunked", [True, False], ids=["chunk", "body"])
def test_endless_answers_are_cut_off(lying_daemon: LyingDaemon, store: KuboStore, command: str, chunked: bool) -> None:
    lying_daemon.on("/block/get", serve_blocks)
    lying_daemon.on(command, lying_daemon.endless(chunked))
    operations: dict[str, Callable[[], object]] = {
        "/block/get": lambda: store.get(CID, max_bytes=len(CONTENT)),
        "/cat": lambda: store.get(BIG_CID, max_bytes=len(BIG)),
        "/version": lambda: store.name,
        "/add": lambda: store.add(CONTENT),
    }
    expected = {"/block/get": WrongBytes, "/cat": None}.get(command, DaemonError)
    tracemalloc.start()
    try:
        if expected is None:
            assert operations[command]() == BIG  # the stream is given up, the blocks are true
        else:
            with pytest.raises(expected, match=lying_daemon.url):
                operations[command]()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4 * MAX_BLOCK_BYTES + 2 * len(BIG)


def test_an_endless_error_text_is_cut_off(lying_daemon: LyingDaemon, store: KuboStore) -> None:
    lying_daemon.on("/version", lying_daemon.body(b"x" * 50_000_000, 500))
    with pytest.raises(DaemonError, match="status 500"):
        _ = store.name


@pytest.mark.parametrize("behaviour", ["hang", "drip"])
def test_a_daemon_that_stalls_is_given_up_in_time(lying_daemon: LyingDaemon, behaviour: str) -> None:
    lying_daemon.on("/block/get", getattr(lying_daemon, behaviour))
    lying_daemon.on("/version", getattr(lying_daemon, behaviour))
    with KuboStore(lying_daemon.url, timeout=0.5) as store:
        for ask in (lambda: store.get(CID, max_bytes=10_000), lambda: store.name):
            began = time.monotonic()
            with pytest.raises(Timeout, match=lying_daemon.url):
                ask()
            assert time.monotonic() - began < 10
    with KuboStore(lying_daemon.url) as store:
        began = time.monotonic()
        with pytest.raises(Timeout):
            store.get(CID, max_bytes=10_000, timeout=0.5)
        assert time.monotonic() - began < 10


def test_bytes_that_drip_in_do_not_prolong_the_wait(lying_daemon: LyingDaemon) -> None:
    def drip_then_hang(handler: LyingDaemon.Handler) -> None:
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        until = time.monotonic() + 1.9
        while time.monotonic() < until and not lying_daemon.stopping.wait(0.05):
            handler.wfile.write(b"1\r\nx\r\n")
            handler.wfile.flush()
        lying_daemon.hang(handler)

    lying_daemon.on("/version", drip_then_hang)
    with KuboStore(lying_daemon.url, timeout=2) as store:
        began = time.monotonic()
        with pytest.raises(Timeout):
            _ = store.name
        assert time.monotonic() - began < 3.4


def test_the_time_for_a_whole_file_is_limited(lying_daemon: LyingDaemon) -> None:
    def slow_blocks(handler: LyingDaemon.Handler) -> None:
        lying_daemon.stopping.wait(0.3)
        serve_blocks(handler)

    lying_daemon.on("/block/get", slow_blocks)
    with KuboStore(lying_daemon.url) as store:
        began = time.monotonic()
        with pytest.raises(Timeout):
            store.get(BIG_CID, max_bytes=len(BIG), timeout=0.8)
        assert time.monotonic() - began < 10


def test_passing_failures_are_tried_again(lying_daemon: LyingDaemon, store: KuboStore) -> None:
    bad_gateway = lying_daemon.body(b"bad gateway", 502)
    lying_daemon.on("/block/get", lying_daemon.reset, bad_gateway, lying_daemon.body(CONTENT))
    assert store.get(CID, max_bytes=len(CONTENT)) == CONTENT
    assert lying_daemon.requests == ["/block/get"] * 3


def test_an_upload_that_breaks_is_sent_again(lying_daemon: LyingDaemon, store: KuboStore) -> None:
    answer = lying_daemon.body(json.dumps({"Name": CID, "Hash": CID}).encode())
    lying_daemon.on("/add", lying_daemon.reset, answer)
    assert store.add(CONTENT) == CID
    assert lying_daemon.requests == ["/add"] * 2


def test_attempts_are_bounded(lying_daemon: LyingDaemon) -> None:
    lying_daemon.on("/block/get", lying_daemon.reset)
    with KuboStore(lying_daemon.url, timeout=20) as store, pytest.raises(DaemonDown):
        store.get(CID, max_bytes=10)
    assert len(lying_daemon.requests) == ATTEMPTS


def test_refusals_are_not_repeated(lying_daemon: LyingDaemon, store: KuboStore) -> None:
    lying_daemon.on("/block/get", lying_daemon.error("disk on fire"))
    with pytest.raises(DaemonError, match="disk on fire"):
        store.get(CID, max_bytes=10)
    assert len(lying_daemon.requests) == 1


def test_a_daemon_that_stores_something_else_is_caught(lying_daemon: LyingDaemon, store: KuboStore) -> None:
    for answer in (b'{"Hash":"%s"}' % BIG_CID.encode(), b"{}", b""):
        lying_daemon.on("/add", lying_daemon.body(answer))
        with pytest.raises(WrongBytes, match=CID):
            store.add(CONTENT)
    late_error = b'{"Name":"x"}\n{"Message":"no space left on device","Code":0,"Type":"error"}'
    lying_daemon.on("/add", lying_daemon.body(late_error))
    with pytest.raises(DaemonError, match="no space left"):
        store.add(CONTENT)


@pytest.mark.parametrize(
    "body", [b"<html>", b"[]", b"1", b'{"Version":', b"[" * 60_000, b"{}{}", b"\xff\xfe", b"{}\n{}"]
)
def test_answers_that_are_not_kubos_are_refused(lying_daemon: LyingDaemon, store: KuboStore, body: bytes) -> None:
    lying_daemon.on("/version", lying_daemon.body(body))
    with pytest.raises(DaemonError, match=r"no .*Kubo daemon") as caught:
        _ = store.name
    assert "address" in caught.value.hint


def test_another_program_at_the_address_is_recognised(lying_daemon: LyingDaemon, store: KuboStore) -> None:
    with pytest.raises(DaemonError, match="404") as caught:
        store.get(CID, max_bytes=10)
    assert "RPC API" in caught.value.hint


def test_redirects_are_not_followed(lying_daemon: LyingDaemon, store: KuboStore) -> None:
    elsewhere = lying_daemon.body(b"", 307, Location=f"{lying_daemon.url}/api/v0/secret")
    lying_daemon.on("/block/get", elsewhere)
    with pytest.raises(DaemonError, match="TooManyRedirects"):
        store.get(CID, max_bytes=10)
    assert lying_daemon.requests == ["/block/get"]


def test_compressed_answers_are_not_unpacked(lying_daemon: LyingDaemon, store: KuboStore) -> None:
    bomb = gzip.compress(bytes(100_000_000))
    lying_daemon.on("/block/get", lying_daemon.body(bomb, Content_Encoding="gzip"))
    tracemalloc.start()
    try:
        with pytest.raises(WrongBytes):
            store.get(CID, max_bytes=len(CONTENT))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2_000_000


def test_foreign_pins_are_left_out(lying_daemon: LyingDaemon, store: KuboStore) -> None:
    pins = [CID, "QmUNLLsPACCz1vLxQVkXqqLX5R1X345qqfHbsf67hvA3Nn", 7, None]
    lying_daemon.on(
        "/pin/ls", lying_daemon.body("\n".join(json.dumps({"Cid": pin}) for pin in pins).encode() + b"\n{}")
    )
    assert store.pins() == {CID}


def test_a_collection_that_fails_is_reported(lying_daemon: LyingDaemon, store: KuboStore) -> None:
    lying_daemon.on("/repo/gc", lying_daemon.body(b'{"Key":{"/":"x"}}\n{"Error":"block is gone"}'))
    with pytest.raises(DaemonError, match="block is gone"):
        store.gc()


def test_credentials_are_sent_and_never_shown(lying_daemon: LyingDaemon) -> None:
    seen: list[str] = []

    def behave(handler: LyingDaemon.Handler) -> None:
        seen.append(handler.headers["Authorization"])
        handler.answer(b"no", 401)

    lying_daemon.on("/version", behave)
    with KuboStore(lying_daemon.url.replace("http://", "http://me:hush@")) as store:
        with pytest.raises(DaemonError) as caught:
            _ = store.name
        assert "hush" not in f"{store.address} {caught.value.message} {caught.value.hint}"
    assert seen == ["Basic " + base64.b64encode(b"me:hush").decode()]


def test_a_false_parent_is_told_from_a_false_daemon(lying_daemon: LyingDaemon, store: KuboStore) -> None:
    leaf = Cid.of(CONTENT)
    lie = encode_node((Link(leaf, len(CONTENT), 7), Link(leaf, len(CONTENT), len(CONTENT))))
    root = str(Cid.of(lie, DAG_PB))
    lying_daemon.on("/block/get", lying_daemon.body(lie), lying_daemon.body(CONTENT))
    lying_daemon.on("/cat", lying_daemon.body(bytes(7 + len(CONTENT))))
    with pytest.raises(InvalidBlock) as caught:
        store.get(root, max_bytes=10_000)
    assert isinstance(caught.value, BadContent)
    lying_daemon.on("/block/get", lying_daemon.body(lie))
    with pytest.raises(TooLarge):
        store.get(root, max_bytes=10)


@pytest.mark.parametrize(
    "reason", ["context deadline exceeded", "block was not found locally (offline): ipld: could not find x"]
)
def test_kubos_ways_to_say_missing_are_understood(lying_daemon: LyingDaemon, store: KuboStore, reason: str) -> None:
    for command in ("/block/get", "/pin/add", "/dag/stat"):
        lying_daemon.on(command, lying_daemon.error(reason))
    with pytest.raises(BlockMissing, match=CID):
        store.get(CID, max_bytes=10)
    with pytest.raises(BlockMissing, match=CID):
        store.pin(CID)
    assert not store.has(CID)
