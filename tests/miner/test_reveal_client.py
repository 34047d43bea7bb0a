"""Handing a reveal to validators, some of which are down, slow or hostile."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from pot_chain.localnet.ports import free_port
from pot_chain.protocol.record import Reveal
from worker.reveal_client import post_reveal

REVEAL = Reveal("0x" + "22" * 20, b"\x01" * 32, b"\x02" * 32)
TAKEN = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
REFUSED = b'HTTP/1.1 400 Bad Request\r\nContent-Length: 19\r\n\r\n{"error": "\x1b[31m"}  '


@contextmanager
def answering(*answers: bytes, pause: float = 0.0, endless: bytes = b"") -> Iterator[tuple[str, list[bytes]]]:
    """A server that answers the first request with ``answers``, a ``pause`` before each, then ``endless`` for ever."""
    server = socket.create_server(("127.0.0.1", 0))
    requests: list[bytes] = []
    stop = threading.Event()

    def serve() -> None:
        while not stop.is_set():
            try:
                link, _ = server.accept()
            except OSError:
                return
            with link:
                try:
                    requests.append(link.recv(65_536))
                    for answer in answers:
                        stop.wait(pause)
                        link.sendall(answer)
                    while endless and not stop.is_set():
                        link.sendall(endless)
                        stop.wait(pause)
                except OSError:
                    continue

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.getsockname()[1]}", requests
    finally:
        stop.set()
        server.close()


def test_who_takes_it_and_who_does_not() -> None:
    with answering(TAKEN) as (good, requests), answering(REFUSED) as (bad, _):
        down = f"http://127.0.0.1:{free_port()}"
        assert post_reveal({"good": good + "/", "bad": bad, "down": down}, 7, 3, REVEAL) == {"good"}
    assert requests[0].startswith(b"POST /reveal HTTP/1.1\r\n")
    assert b'"task": "7"' in requests[0]
    assert b'"round": 3' in requests[0]


@pytest.mark.parametrize(
    ("answers", "endless"),
    [
        ((b"HTTP/1.1 400 Bad Request\r\n\r\n",), b"x" * 65_536),
        ((b"HTTP/1.1 200 OK\r\n",), b"X-Drip: 1\r\n"),
        ((b"H", b"T", b"T", b"P"), b""),
        ((b"nonsense\r\n\r\n",), b""),
        ((), b""),
    ],
    ids=["endless body", "endless head", "drip", "no HTTP", "hang up"],
)
def test_a_hostile_validator_delays_nobody_beyond_the_time_out(answers: tuple[bytes, ...], endless: bytes) -> None:
    """Found by review: the time-out was one of each read, and the whole body was taken into memory."""
    with answering(TAKEN) as (good, _), answering(*answers, pause=0.3, endless=endless) as (hostile, _):
        started = time.monotonic()
        taken = post_reveal({"hostile": hostile, "good": good}, 7, 3, REVEAL, timeout=1.0)
        assert time.monotonic() - started < 5.0
    assert taken == {"good"}


def test_redirects_are_not_followed() -> None:
    with answering(TAKEN) as (inside, requests):
        location = f"HTTP/1.1 307 Temporary Redirect\r\nLocation: {inside}/secret\r\nContent-Length: 0\r\n\r\n"
        with answering(location.encode()) as (validator, _):
            assert post_reveal({"validator": validator}, 7, 3, REVEAL) == set()
        assert requests == []


@pytest.mark.parametrize(
    "url",
    [
        "",
        "nonsense",
        "http://",
        "http://[",
        "http://a b",
        "file:///etc/passwd",
        "http://x:99999",
        "http://\u2603.\ud800",
    ],
)
def test_an_endpoint_that_is_none(url: str) -> None:
    with answering(TAKEN) as (good, _):
        assert post_reveal({"odd": url, "good": good}, 7, 3, REVEAL, timeout=2.0) == {"good"}


def test_nobody_to_tell() -> None:
    assert post_reveal({}, 7, 3, REVEAL) == set()


async def test_it_is_used_outside_of_event_loops_only() -> None:
    """It runs a loop of its own; the miner is a thread."""
    with answering(TAKEN) as (good, _):
        assert await asyncio.to_thread(post_reveal, {"good": good}, 7, 3, REVEAL) == {"good"}
