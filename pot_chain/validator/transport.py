"""The validators' mesh: authenticated websockets that carry opaque frames.

Each validator dials every other and *sends* on the connection it opened, so there is no tie to break when two dial at
once. What arrives is attributed to the vote key that signed the handshake; it is not trusted for it, since every vote,
report and reveal proves itself. Attribution only serves limits and metrics.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable, Mapping
from typing import Any, Protocol

import aiohttp
from aiohttp import WSMsgType, web

from pot_chain.protocol import canonical
from pot_chain.protocol.addresses import Address, hex_digest, parse_address, parse_digest
from pot_chain.protocol.eip712 import Domain, signing_digest
from pot_chain.protocol.errors import ProtocolError
from pot_chain.protocol.signing import recover
from pot_chain.protocol.votes import Hello

MAX_FRAME_BYTES = 1 << 20
MAX_QUEUED_FRAMES = 1024
MAX_QUEUED_BYTES = 16 << 20
TOKENS_PER_SECOND = 2_000.0
BURST_TOKENS = 8_000.0
BYTES_PER_TOKEN = 1_024
"""A frame costs one token and one more for each so many bytes: large frames are work, too."""
HANDSHAKE_SECONDS = 5.0
CLOSE_SECONDS = 2.0
"""How long a peer may take to agree that a connection is over."""
MAX_HANDSHAKE_BYTES = 4_096
RECONNECT_SECONDS = (0.1, 2.0)
"""First and longest pause between two dials."""

log = logging.getLogger(__name__)

FrameHandler = Callable[[Address, bytes], None]


class Transport(Protocol):
    """Carries frames between validators; frames may be lost, doubled or reordered."""

    def set_peers(self, epoch: int, endpoints: Mapping[Address, str]) -> None:
        """Speak with these vote keys at these URLs; drops all others."""

    def send(self, peer: Address, frame: bytes, *, supersedes: Hashable = None) -> None:
        """Queue ``frame`` for ``peer``; an unsent frame with the same ``supersedes`` key is replaced."""

    def broadcast(self, frame: bytes, *, supersedes: Hashable = None) -> None:
        """Queue ``frame`` for every peer."""


class FrameQueue:
    """A queue, bounded in frames and bytes, that replaces superseded frames and drops the oldest when full."""

    def __init__(self, limit: int = MAX_QUEUED_FRAMES, max_bytes: int = MAX_QUEUED_BYTES) -> None:
        self._frames: OrderedDict[Hashable, bytes] = OrderedDict()
        self._limit, self._max_bytes, self._bytes = limit, max_bytes, 0
        self._ready = asyncio.Event()
        self.dropped = 0

    def put(self, frame: bytes, supersedes: Hashable = None) -> None:
        """Add ``frame``; without a key it supersedes nothing."""
        key = object() if supersedes is None else supersedes
        self._bytes += len(frame) - len(self._frames.pop(key, b""))
        self._frames[key] = frame
        while len(self._frames) > self._limit or self._bytes > self._max_bytes:
            self._bytes -= len(self._frames.popitem(last=False)[1])
            self.dropped += 1
        self._ready.set()

    async def get(self) -> bytes:
        """Oldest frame; waits for one."""
        while not self._frames:
            self._ready.clear()
            await self._ready.wait()
        frame = self._frames.popitem(last=False)[1]
        self._bytes -= len(frame)
        return frame

    def __len__(self) -> int:
        return len(self._frames)


class TokenBucket:
    """Rate limit: ``rate`` tokens a second, at most ``burst`` saved up."""

    def __init__(self, rate: float, burst: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate, self._burst, self._clock = rate, burst, clock
        self._tokens, self._at = burst, clock()

    def take(self, tokens: float = 1.0) -> bool:
        """Take ``tokens`` if there are so many."""
        now = self._clock()
        self._tokens = min(self._burst, self._tokens + (now - self._at) * self._rate)
        self._at = now
        if self._tokens < tokens:
            return False
        self._tokens -= tokens
        return True


class WebsocketMesh:
    """Transport over aiohttp websockets.

    Args:
        domain: EIP-712 domain of the network; a handshake for another chain or contract is refused.
        address: own vote key.
        sign: signs a ``Hello`` with the vote key.
        on_frame: called in the event loop with (sender's vote key, frame).
    """

    def __init__(
        self, domain: Domain, address: Address, sign: Callable[[Hello], bytes], on_frame: FrameHandler
    ) -> None:
        self._domain, self._address, self._sign, self._on_frame = domain, address, sign, on_frame
        self._epoch = 0
        self._endpoints: dict[Address, str] = {}
        self._queues: dict[Address, FrameQueue] = {}
        self._dialers: dict[Address, asyncio.Task[None]] = {}
        self._buckets: dict[Address, TokenBucket] = {}
        self._connected: set[Address] = set()
        self._inbound: dict[Address, web.WebSocketResponse] = {}
        self._session: aiohttp.ClientSession | None = None
        self._closing: set[asyncio.Future[bool]] = set()
        self.rejected: dict[str, int] = {}

    @property
    def connected(self) -> frozenset[Address]:
        """Peers to which frames can be sent now."""
        return frozenset(self._connected)

    async def start(self) -> None:
        """Begin to dial; needs a running event loop."""
        # One connection a peer, held for ever: the pool's usual bound of 100 would cut a larger epoch off.
        self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
        for peer in self._endpoints:
            self._dial(peer)

    async def stop(self) -> None:
        """Close all connections."""
        for task in self._dialers.values():
            task.cancel()
        await asyncio.gather(*self._dialers.values(), return_exceptions=True)
        await asyncio.gather(*(socket.close() for socket in list(self._inbound.values())))
        if self._session is not None:
            await self._session.close()

    def set_peers(self, epoch: int, endpoints: Mapping[Address, str]) -> None:
        """Speak with these vote keys; a changed URL is dialled anew."""
        self._epoch = epoch
        wanted = {peer: url for peer, url in endpoints.items() if peer != self._address}
        for peer in list(self._endpoints):
            if self._endpoints[peer] != wanted.get(peer):
                self._endpoints.pop(peer)
                self._queues.pop(peer, None)
                if (task := self._dialers.pop(peer, None)) is not None:
                    task.cancel()
                if peer not in wanted and (socket := self._inbound.pop(peer, None)) is not None:
                    self._closing.add(closing := asyncio.ensure_future(socket.close(code=4403, message=b"no peer")))
                    closing.add_done_callback(self._closing.discard)
        for peer, url in wanted.items():
            if peer not in self._endpoints:
                self._endpoints[peer] = url
                self._queues[peer] = FrameQueue()
                self._buckets.setdefault(peer, TokenBucket(TOKENS_PER_SECOND, BURST_TOKENS))
                if self._session is not None:
                    self._dial(peer)

    def send(self, peer: Address, frame: bytes, *, supersedes: Hashable = None) -> None:
        """Queue ``frame`` for ``peer``; unknown peers are ignored."""
        if len(frame) > MAX_FRAME_BYTES:
            raise ValueError(f"a frame of {len(frame)} bytes is larger than {MAX_FRAME_BYTES}")
        if (queue := self._queues.get(peer)) is not None:
            queue.put(frame, supersedes)

    def broadcast(self, frame: bytes, *, supersedes: Hashable = None) -> None:
        """Queue ``frame`` for every peer."""
        for peer in self._queues:
            self.send(peer, frame, supersedes=supersedes)

    # -- receiving ------------------------------------------------------------

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """aiohttp handler of ``GET /peer``."""
        socket = web.WebSocketResponse(timeout=CLOSE_SECONDS, max_msg_size=MAX_FRAME_BYTES, heartbeat=10.0)
        try:
            await socket.prepare(request)
            peer = await self._welcome(socket)
        except ConnectionError as error:  # gone before it had said who it is: no failure of ours
            self._reject("handshake_lost", None, error)
            return socket if socket.prepared else web.Response(status=400)
        if peer is None:
            await socket.close(code=4401, message=b"handshake refused")
            return socket
        if (previous := self._inbound.get(peer)) is not None:
            await previous.close(code=4409, message=b"replaced by a newer connection")
        self._inbound[peer] = socket
        try:
            async for message in socket:
                if message.type is not WSMsgType.BINARY:
                    self._reject("not_binary", peer)
                elif not self._buckets[peer].take(1 + len(message.data) / BYTES_PER_TOKEN):
                    self._reject("rate_limit", peer)
                else:
                    self._on_frame(peer, message.data)
        finally:
            if self._inbound.get(peer) is socket:
                del self._inbound[peer]
        return socket

    async def _welcome(self, socket: web.WebSocketResponse) -> Address | None:
        """Challenge the dialer; returns its vote key or None."""
        nonce = secrets.token_bytes(32)
        await socket.send_json({"peer": self._address, "nonce": hex_digest(nonce)})
        try:
            answer = _parse(await socket.receive_str(timeout=HANDSHAKE_SECONDS))
            claimed = parse_address(answer["address"])
            hello = Hello(self._address, nonce, int(answer["epoch"]))
            signer = recover(signing_digest(self._domain, hello), bytes.fromhex(answer["signature"]))
        except _MALFORMED as error:
            self._reject("handshake_malformed", None, error)
            return None
        if signer != claimed or signer not in self._endpoints:
            self._reject("handshake_unknown_key", None)
            return None
        return signer

    def _reject(self, reason: str, peer: Address | None, error: BaseException | None = None) -> None:
        count = self.rejected[reason] = self.rejected.get(reason, 0) + 1
        if count & (count - 1) == 0:  # the 1st, 2nd, 4th, 8th, …: who floods us must not fill our disk
            source, cause = peer or "an unknown peer", f": {error!r}" if error else ""
            log.warning("rejected %s from %s%s (%d times so far)", reason, source, cause, count)

    # -- sending --------------------------------------------------------------

    def _dial(self, peer: Address) -> None:
        self._dialers[peer] = asyncio.get_running_loop().create_task(self._keep_connected(peer))

    async def _keep_connected(self, peer: Address) -> None:
        pause = RECONNECT_SECONDS[0]
        while True:
            try:
                await self._speak(peer)
                pause = RECONNECT_SECONDS[0]
            except (aiohttp.ClientError, OSError, *_MALFORMED) as error:
                log.debug("connection to %s lost: %r", peer, error)
            finally:
                self._connected.discard(peer)
            await asyncio.sleep(pause)
            pause = min(2 * pause, RECONNECT_SECONDS[1])

    async def _speak(self, peer: Address) -> None:
        """Connect to ``peer`` and send its queue until the connection ends."""
        assert self._session is not None
        url = self._endpoints[peer].rstrip("/") + "/peer"
        async with self._session.ws_connect(url, max_msg_size=65_536, heartbeat=10.0, timeout=_TIMEOUT) as socket:
            challenge = _parse(await asyncio.wait_for(socket.receive_str(), HANDSHAKE_SECONDS))
            if not isinstance(challenge, dict) or challenge.get("peer") != peer:
                raise ProtocolError(f"{url} is not the validator {peer}")
            hello = Hello(peer, parse_digest(challenge.get("nonce")), self._epoch)
            answer = {"address": self._address, "epoch": self._epoch, "signature": self._sign(hello).hex()}
            await socket.send_json(answer)
            self._connected.add(peer)
            queue = self._queues[peer]
            await _first_done(self._pump(queue, socket), _until_closed(socket))

    async def _pump(self, queue: FrameQueue, socket: aiohttp.ClientWebSocketResponse) -> None:
        while True:
            await socket.send_bytes(await queue.get())


_TIMEOUT = aiohttp.ClientWSTimeout(ws_close=CLOSE_SECONDS)
_MALFORMED = (TimeoutError, ProtocolError, ValueError, TypeError, KeyError, OverflowError, RecursionError)
"""What a handshake that is none can raise."""


def _parse(text: str) -> Any:
    """A handshake message of a peer that is not known yet."""
    return canonical.parse(text.encode(), max_bytes=MAX_HANDSHAKE_BYTES)


async def _until_closed(socket: aiohttp.ClientWebSocketResponse) -> None:
    async for _ in socket:
        pass


async def _first_done(*coroutines: Awaitable[None]) -> None:
    """Run until one ends, cancel the others, raise what the first raised."""
    tasks = [asyncio.ensure_future(coroutine) for coroutine in coroutines]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
