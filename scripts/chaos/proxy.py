"""A loopback TCP proxy for the link of one validator to another, which can be held, cut, slowed and polluted."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from enum import Enum

from scripts.bench.node import HOST
from scripts.chaos.tap import Tap, binary_frame

_CHUNK = 65_536
_DRIP_BYTES, _DRIP_SECONDS = 24, 0.02
"""A slow link carries about 1.2 kB a second: less than the votes need, more than nothing."""


class Mode(Enum):
    """What a link does with bytes."""

    OPEN = "open"
    HELD = "held"
    """Nothing passes, connections stay up, what was sent arrives after the heal: a partition as TCP shows it."""
    CUT = "cut"
    """Connections are reset and new ones refused."""
    SLOW = "slow"


class Link:
    """Validator ``sender`` dials this instead of ``receiver``.

    Args:
        seen: called with (sender, frame) for each binary frame that the sender has put on the link.
    """

    def __init__(self, sender: int, receiver: int, seen: Callable[[int, bytes], None]) -> None:
        self.sender, self.receiver = sender, receiver
        self._seen = seen
        self._target: int | None = None
        self._mode = Mode.OPEN
        self._passing = asyncio.Event()
        self._passing.set()
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self._garbage: list[bytes] = []
        self.polluted = 0

    async def listen(self) -> str:
        """Start; returns the URL to dial."""
        self._server = await asyncio.start_server(self._serve, HOST, 0)
        return f"http://{HOST}:{self._server.sockets[0].getsockname()[1]}"

    def retarget(self, port: int) -> None:
        """The receiver listens here now."""
        self._target = port

    def set_mode(self, mode: Mode) -> None:
        """From now on behave like ``mode``."""
        self._mode = mode
        if mode is Mode.HELD:
            self._passing.clear()
        else:
            self._passing.set()
        if mode is Mode.CUT:
            for connection in self._connections:
                connection.cancel()

    def pollute(self, garbage: bytes, *, raw: bool) -> None:
        """Put ``garbage`` on the link behind the next frame: as a frame, or ``raw``, which breaks the websocket."""
        self._garbage.append(garbage if raw else binary_frame(garbage))

    async def close(self) -> None:
        """End all connections."""
        if self._server is not None:
            self._server.close()
        for connection in list(self._connections):
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            await self._passing.wait()
            if self._mode is not Mode.CUT and self._target is not None:
                await self._join(reader, writer)
        except (OSError, asyncio.CancelledError):
            pass  # a lost connection is what proxies are for; cancelled by ``set_mode`` or ``close``
        finally:
            self._connections.discard(task)
            writer.transport.abort()

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(HOST, self._target)
        pumps = [asyncio.create_task(self._forward(reader, back)), asyncio.create_task(self._pump(there, writer))]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            back.transport.abort()

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Sender to receiver: listen in, and pollute."""
        tap = Tap()
        while data := await reader.read(_CHUNK):
            for frame in tap.feed(data):
                self._seen(self.sender, frame)
            await self._carry(data, writer)
            if self._garbage and tap.at_boundary and tap.binary:
                self.polluted += 1
                await self._carry(self._garbage.pop(), writer)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(_CHUNK):
            await self._carry(data, writer)

    async def _carry(self, data: bytes, writer: asyncio.StreamWriter) -> None:
        view = memoryview(data)
        while view:
            await self._passing.wait()
            size = _DRIP_BYTES if self._mode is Mode.SLOW else len(view)
            writer.write(view[:size])
            await writer.drain()
            view = view[size:]
            if self._mode is Mode.SLOW:
                await asyncio.sleep(_DRIP_SECONDS)
