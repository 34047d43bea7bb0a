"""The mesh over real sockets: who may speak, what is delivered, what is refused."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web

from pot_chain.protocol.addresses import Address
from pot_chain.protocol.eip712 import Domain, signing_digest
from pot_chain.protocol.signing import address_of, sign_digest
from pot_chain.protocol.votes import Hello
from pot_chain.validator.transport import FrameQueue, TokenBucket, WebsocketMesh

DOMAIN = Domain(31337, "0x" + "c0" * 20)
OTHER_CHAIN = Domain(1, "0x" + "c0" * 20)
KEYS = [bytes([i + 1]) * 32 for i in range(3)]


class Peer:
    """A mesh with its server and what it has received."""

    def __init__(self, key: bytes, domain: Domain = DOMAIN) -> None:
        self.address: Address = address_of(key)
        self.key, self.domain = key, domain
        self.received: asyncio.Queue[tuple[Address, bytes]] = asyncio.Queue()
        self.mesh = WebsocketMesh(domain, self.address, self.sign, lambda *item: self.received.put_nowait(item))
        self.url = ""
        self._runner: web.AppRunner | None = None

    def sign(self, hello: Hello) -> bytes:
        return sign_digest(self.key, signing_digest(self.domain, hello))

    async def listen(self, port: int = 0) -> None:
        app = web.Application()
        app.router.add_get("/peer", self.mesh.handle)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", port).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def close(self) -> None:
        await self.mesh.stop()
        if self._runner is not None:
            await self._runner.cleanup()


@asynccontextmanager
async def meshed(*peers: Peer) -> AsyncIterator[None]:
    for peer in peers:
        await peer.listen()
    endpoints = {peer.address: peer.url for peer in peers}
    for peer in peers:
        peer.mesh.set_peers(1, endpoints)
        await peer.mesh.start()
    try:
        yield
    finally:
        for peer in peers:
            await peer.close()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.01)


async def test_frames_arrive_with_the_vote_key_of_their_sender() -> None:
    a, b, c = (Peer(key) for key in KEYS)
    async with meshed(a, b, c):
        a.mesh.broadcast(b"hello")
        b.mesh.send(c.address, b"for c")
        async with asyncio.timeout(10):
            assert await b.received.get() == (a.address, b"hello")
            assert {await c.received.get(), await c.received.get()} == {(a.address, b"hello"), (b.address, b"for c")}


async def test_a_peer_that_was_away_gets_what_was_sent_last() -> None:
    a, b = Peer(KEYS[0]), Peer(KEYS[1])
    await a.listen()
    await b.listen()
    endpoints = {a.address: a.url, b.address: b.url}
    port = int(b.url.rpartition(":")[2])
    await b.close()
    a.mesh.set_peers(1, endpoints)
    await a.mesh.start()
    a.mesh.broadcast(b"view 0", supersedes="vote")
    a.mesh.broadcast(b"view 1", supersedes="vote")
    back = Peer(KEYS[1])
    await back.listen(port)
    back.mesh.set_peers(1, endpoints)
    async with asyncio.timeout(10):
        assert await back.received.get() == (a.address, b"view 1")
    assert back.received.empty()
    await a.close()
    await back.close()


@pytest.mark.parametrize(
    ("stranger", "listed"), [(Peer(KEYS[2]), False), (Peer(KEYS[0], OTHER_CHAIN), True)], ids=["unknown", "other-chain"]
)
async def test_strangers_and_other_chains_are_refused(stranger: Peer, listed: bool) -> None:
    host = Peer(KEYS[1])
    async with meshed(host):
        known = {host.address: host.url} | ({stranger.address: "http://127.0.0.1:1"} if listed else {})
        host.mesh.set_peers(1, known)
        stranger.mesh.set_peers(1, {host.address: host.url})
        await stranger.mesh.start()
        stranger.mesh.broadcast(b"let me in")
        await until(lambda: host.mesh.rejected.get("handshake_unknown_key", 0) > 0)
        assert host.received.empty()
        await stranger.close()


@pytest.mark.parametrize(
    "answer",
    ["", "[]", "{}", '{"address":"0x12","epoch":1,"signature":"00"}', "nonsense", '{"epoch":' + "9" * 80 + "}"],
)
async def test_malformed_handshakes_are_refused_and_harm_nobody(answer: str) -> None:
    a, b = Peer(KEYS[0]), Peer(KEYS[1])
    async with meshed(a, b), aiohttp.ClientSession() as session:
        async with session.ws_connect(b.url + "/peer") as socket:
            await socket.receive_str()
            await socket.send_str(answer)
            async with asyncio.timeout(10):
                message = await socket.receive()
            assert message.type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED)
        assert b.mesh.rejected == {"handshake_malformed": 1}
        a.mesh.broadcast(b"still fine")
        async with asyncio.timeout(10):
            assert await b.received.get() == (a.address, b"still fine")


async def test_a_recorded_handshake_cannot_be_replayed() -> None:
    host, peer = Peer(KEYS[0]), Peer(KEYS[1])
    async with meshed(host), aiohttp.ClientSession() as session:
        host.mesh.set_peers(1, {host.address: host.url, peer.address: "http://127.0.0.1:1"})
        recorded = ""
        for attempt in range(2):
            async with session.ws_connect(host.url + "/peer") as socket:
                challenge = json.loads(await socket.receive_str())
                if attempt == 0:
                    hello = Hello(host.address, bytes.fromhex(challenge["nonce"][2:]), 1)
                    fields = {"address": peer.address, "epoch": 1, "signature": peer.sign(hello).hex()}
                    recorded = json.dumps(fields)
                await socket.send_str(recorded)
                await socket.send_bytes(b"frame %d" % attempt)
                if attempt == 0:
                    async with asyncio.timeout(10):
                        assert await host.received.get() == (peer.address, b"frame 0")
                else:
                    await until(lambda: host.mesh.rejected.get("handshake_unknown_key") == 1)
        assert host.received.empty()


async def test_a_full_queue_drops_the_oldest_and_superseded_frames_first() -> None:
    queue = FrameQueue(limit=3)
    for frame, key in ((b"a", "x"), (b"b", None), (b"c", "x"), (b"d", None), (b"e", None)):
        queue.put(frame, key)
    assert [await queue.get() for _ in range(len(queue))] == [b"c", b"d", b"e"]
    assert queue.dropped == 1


def test_a_token_bucket_refills_with_time() -> None:
    now = 0.0
    bucket = TokenBucket(rate=2, burst=3, clock=lambda: now)
    assert [bucket.take() for _ in range(4)] == [True, True, True, False]
    now = 1.0
    assert [bucket.take() for _ in range(3)] == [True, True, False]


def test_a_queue_is_bounded_in_bytes() -> None:
    queue = FrameQueue(limit=100, max_bytes=1_000)
    for i in range(10):
        queue.put(bytes(300), supersedes=i)
    assert (len(queue), queue.dropped) == (3, 7)
    queue.put(bytes(10), supersedes=9)  # replaces 300 bytes, so there is room again
    queue.put(bytes(390), supersedes=10)
    assert (len(queue), queue.dropped) == (4, 7)
    queue.put(bytes(2_000), supersedes=11)  # more than it can ever hold
    assert len(queue) == 0


def test_large_frames_cost_more() -> None:
    bucket = TokenBucket(rate=1, burst=10, clock=lambda: 0.0)
    assert bucket.take(9.5)
    assert not bucket.take(1)
    assert bucket.take(0.5)


async def test_who_is_no_peer_any_more_is_cut_off() -> None:
    a, b = Peer(KEYS[0]), Peer(KEYS[1])
    async with meshed(a, b):
        a.mesh.broadcast(b"while we are peers")
        async with asyncio.timeout(10):
            assert await b.received.get() == (a.address, b"while we are peers")
        b.mesh.set_peers(2, {b.address: b.url})
        await until(lambda: a.mesh.connected == frozenset())
        a.mesh.broadcast(b"from outside")
        await until(lambda: b.mesh.rejected.get("handshake_unknown_key", 0) > 0)
        assert b.received.empty()


async def test_a_flood_of_bad_handshakes_is_counted_and_hardly_logged(caplog: pytest.LogCaptureFixture) -> None:
    host = Peer(KEYS[1])
    async with meshed(host), aiohttp.ClientSession() as session:
        for _ in range(33):
            async with session.ws_connect(host.url + "/peer") as socket:
                await socket.receive_str()
                await socket.send_str("nonsense")
                await socket.receive()
        assert host.mesh.rejected == {"handshake_malformed": 33}
    assert len([record for record in caplog.records if "handshake_malformed" in record.getMessage()]) == 6


@pytest.mark.parametrize("step", ["prepare", "send_json"])
async def test_who_is_gone_during_the_handshake_is_no_failure_of_ours(
    step: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """aiohttp would log a traceback for whatever leaves the handler, as often as a stranger likes."""

    async def gone(*_: object, **__: object) -> None:
        raise aiohttp.ClientConnectionResetError("Cannot write to closing transport")

    host = Peer(KEYS[0])
    async with meshed(host), aiohttp.ClientSession() as session:
        monkeypatch.setattr(web.WebSocketResponse, step, gone)
        with contextlib.suppress(aiohttp.ClientError):  # refused, or closed instead of challenged
            async with session.ws_connect(host.url + "/peer") as socket:
                await socket.receive()
        await until(lambda: host.mesh.rejected != {})
        assert set(host.mesh.rejected) == {"handshake_lost"}  # once or twice: a client may ask again
        assert "Traceback" not in caplog.text


async def test_an_epoch_of_more_than_a_hundred_links_up() -> None:
    """An HTTP client's pool usually ends at 100 connections, and a mesh holds each of its own for ever."""
    peers = [address_of(bytes([1, *i.to_bytes(31, "big")])) for i in range(110)]

    async def welcome(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.send_json({"peer": peers[int(request.match_info["number"])], "nonce": "0x" + "00" * 32})
        async for _ in socket:
            pass
        return socket

    app = web.Application()
    app.router.add_get("/{number}/peer", welcome)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    base = f"http://127.0.0.1:{runner.addresses[0][1]}"
    dialer = Peer(KEYS[0])
    dialer.mesh.set_peers(1, {peer: f"{base}/{number}" for number, peer in enumerate(peers)})
    await dialer.mesh.start()
    try:
        await until(lambda: dialer.mesh.connected == frozenset(peers))
    finally:
        await dialer.close()
        await runner.cleanup()
