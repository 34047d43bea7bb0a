"""The proxies of the chaos runs: what they overhear is what a real websocket client sends, and faults are faults."""

from __future__ import annotations

import asyncio
from random import Random

import aiohttp
import pytest
from aiohttp import web

from scripts.chaos.proxy import Link, Mode
from scripts.chaos.tap import Tap, binary_frame, unmasked

HEAD = b"GET /peer HTTP/1.1\r\nUpgrade: websocket\r\n\r\n"


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65_535, 65_536, 70_000])
def test_frames_of_every_length_are_overheard_however_the_bytes_come(size: int) -> None:
    rng = Random(size)
    payloads = [rng.randbytes(size), b"short", rng.randbytes(size)]
    text = bytes([0x81, 0x82]) + b"abcd" + unmasked(b"hi", b"abcd")
    stream = HEAD + text + b"".join(binary_frame(payload, rng.randbytes(4)) for payload in payloads)
    whole = Tap()
    assert whole.feed(stream) == payloads
    assert whole.at_boundary
    pieces, heard, at = Tap(), [], 0
    while at < len(stream):
        step = rng.randint(1, 5_000)
        heard += pieces.feed(stream[at : at + step])
        at += step
    assert heard == payloads


class Echo:
    """A websocket server that keeps what it receives."""

    def __init__(self) -> None:
        self.received: asyncio.Queue[bytes] = asyncio.Queue()

    async def handle(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for message in socket:
            if message.type is aiohttp.WSMsgType.BINARY:
                self.received.put_nowait(message.data)
        return socket


async def test_a_link_carries_holds_pollutes_and_cuts() -> None:
    echo, heard = Echo(), []
    app = web.Application()
    app.router.add_get("/peer", echo.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    link = Link(2, 3, lambda sender, frame: heard.append((sender, frame)))
    link.retarget(runner.addresses[0][1])
    url = await link.listen()
    try:
        async with asyncio.timeout(20), aiohttp.ClientSession() as session:
            async with session.ws_connect(url + "/peer") as socket:
                await socket.send_bytes(b"first")
                assert await echo.received.get() == b"first"
                link.pollute(b"garbage", raw=False)
                await socket.send_bytes(b"second")
                assert [await echo.received.get() for _ in range(2)] == [b"second", b"garbage"]
                assert heard == [(2, b"first"), (2, b"second")]  # what the proxy adds is not the sender's

                link.set_mode(Mode.HELD)
                await socket.send_bytes(b"held")
                while len(heard) < 3:  # the proxy has it
                    await asyncio.sleep(0.01)
                assert echo.received.empty()
                link.set_mode(Mode.SLOW)
                assert await echo.received.get() == b"held"

                link.set_mode(Mode.CUT)
                assert (await socket.receive()).type in (
                    aiohttp.WSMsgType.CLOSED,
                    aiohttp.WSMsgType.CLOSE,
                    aiohttp.WSMsgType.ERROR,
                )
            with pytest.raises(aiohttp.ClientError):
                await session.ws_connect(url + "/peer")
            link.set_mode(Mode.OPEN)
            async with session.ws_connect(url + "/peer") as socket:
                await socket.send_bytes(b"again")
                assert await echo.received.get() == b"again"
    finally:
        await link.close()
        await runner.cleanup()
