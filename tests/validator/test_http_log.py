"""What strangers send over HTTP must not fill the log."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from pot_chain.validator.http import server_logger

COUNTED: list[tuple[str, str]] = []


async def fail(request: web.Request) -> web.Response:
    raise RuntimeError("a bug of ours")


@asynccontextmanager
async def served() -> AsyncIterator[int]:
    app = web.Application()
    app.router.add_get("/", fail)
    logger = server_logger(lambda what, detail: COUNTED.append((what, detail)))
    runner = web.AppRunner(app, access_log=None, logger=logger, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


async def ask(port: int, request: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    async with asyncio.timeout(10):
        answer = await reader.readline()
    writer.close()
    return answer


@pytest.mark.parametrize(
    ("request_bytes", "counted"),
    [
        (b"GET / HTTP/1.1\r\nHost: x\r\nX: \x00" + b"secret" * 1_000 + b"\r\n\r\n", [("http", "malformed")]),
        (b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"secret" * 20_000 + b"\r\n\r\n", [("http", "malformed")]),
        (b"secret \xff\xfe\x00 nonsense\r\n\r\n", []),  # no method: aiohttp itself takes it for a TLS client
    ],
)
async def test_requests_that_are_none_are_counted_and_not_logged(
    request_bytes: bytes, counted: list[tuple[str, str]], caplog: pytest.LogCaptureFixture
) -> None:
    COUNTED.clear()
    async with served() as port:
        assert b" 400 " in await ask(port, request_bytes)
    assert "secret" not in caplog.text
    assert len(caplog.text) < 500
    assert counted == COUNTED


async def test_failures_of_our_own_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    COUNTED.clear()
    async with served() as port:
        assert b" 500 " in await ask(port, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert "a bug of ours" in caplog.text
    assert COUNTED == []
