"""A private Kubo for the tests that need one, and an HTTP server that lies in the language of its RPC."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from ipfs.daemon import KuboDaemon
from ipfs.kubo import KuboStore
from ipfs.kubo_binary import KuboBinary, find_kubo

Behaviour = Callable[["LyingDaemon.Handler"], None]


@pytest.fixture(scope="session")
def kubo_binary() -> KuboBinary:
    """The Kubo of this machine. Without one the test is skipped, or fails where POT_REQUIRE_KUBO=1 (as in CI)."""
    binary = find_kubo()
    if binary is None:
        if os.environ.get("POT_REQUIRE_KUBO") == "1":
            pytest.fail("POT_REQUIRE_KUBO=1, but no Kubo was found: run `make kubo`")
        pytest.skip("no Kubo on PATH, in node_modules or in the cache: `make kubo` builds it")
    return binary


@pytest.fixture(scope="session")
def kubo(kubo_binary: KuboBinary, tmp_path_factory: pytest.TempPathFactory) -> Iterator[KuboDaemon]:
    """A private daemon, shared by the tests of a session."""
    with KuboDaemon(tmp_path_factory.mktemp("kubo"), binary=kubo_binary) as daemon:
        yield daemon


@pytest.fixture
def kubo_store(kubo: KuboDaemon) -> Iterator[KuboStore]:
    with kubo.store() as store:
        yield store


class LyingDaemon:
    """An HTTP server on loopback that answers Kubo's RPC as a test tells it to.

    ``answers`` maps a command such as ``/block/get`` to what is done with its requests, the last behaviour for all that
    follow. ``requests`` lists the commands received.
    """

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        daemon: LyingDaemon

        def do_POST(self) -> None:
            self.read_body()
            command = self.path.removeprefix("/api/v0").partition("?")[0]
            with self.daemon.lock:
                self.daemon.requests.append(command)
                behaviours = self.daemon.answers.get(command, [])
                behaviour = behaviours.pop(0) if len(behaviours) > 1 else behaviours[0] if behaviours else not_found
            try:
                behaviour(self)
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True  # the client had enough, which is what these tests want

        def read_body(self) -> None:
            if self.headers.get("Transfer-Encoding") == "chunked":
                while size := int(self.rfile.readline(), 16):
                    self.rfile.read(size + 2)
                self.rfile.readline()
            else:
                self.rfile.read(int(self.headers.get("Content-Length", 0)))

        def answer(self, body: bytes, status: int = 200, **headers: str) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.stopping = threading.Event()
        self.answers: dict[str, list[Behaviour]] = {}
        self.requests: list[str] = []
        handler = type("Handler", (self.Handler,), {"daemon": self})
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})

    def on(self, command: str, *behaviours: Behaviour) -> None:
        """Answer ``command`` by each of the behaviours in turn."""
        self.answers[command] = list(behaviours)

    def __enter__(self) -> LyingDaemon:
        self.thread.start()
        return self

    def __exit__(self, *unused: object) -> None:
        self.stopping.set()
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()

    # Behaviours

    @staticmethod
    def body(data: bytes, status: int = 200, **headers: str) -> Behaviour:
        """A complete answer."""
        return lambda handler: handler.answer(data, status, **headers)

    @staticmethod
    def error(message: str) -> Behaviour:
        """An error as Kubo reports it."""
        return lambda handler: handler.answer(b'{"Message":"%s","Code":0,"Type":"error"}' % message.encode(), 500)

    @staticmethod
    def reset(handler: LyingDaemon.Handler) -> None:
        """Break the connection without an answer."""
        handler.close_connection = True

    def hang(self, handler: LyingDaemon.Handler) -> None:
        """Never answer."""
        self.stopping.wait()
        handler.close_connection = True

    def drip(self, handler: LyingDaemon.Handler) -> None:
        """Send a byte now and then, for ever."""
        handler.send_response(200)
        handler.end_headers()
        while not self.stopping.wait(0.05):
            handler.wfile.write(b"x")
            handler.wfile.flush()

    def endless(self, chunked: bool) -> Behaviour:
        """Send as much as the client takes, as one huge chunk or one huge body; counts it in ``sent``."""

        def behave(handler: LyingDaemon.Handler) -> None:
            handler.send_response(200)
            if chunked:
                handler.send_header("Transfer-Encoding", "chunked")
            else:
                handler.send_header("Content-Length", str(2**40))
            handler.end_headers()
            if chunked:
                handler.wfile.write(b"%x\r\n" % 2**40)
            while not self.stopping.is_set():
                handler.wfile.write(bytes(65536))
                self.sent += 65536

        return behave

    sent = 0


def not_found(handler: LyingDaemon.Handler) -> None:
    handler.answer(b"404 page not found", 404)


@pytest.fixture
def lying_daemon() -> Iterator[LyingDaemon]:
    with LyingDaemon() as daemon:
        yield daemon


@pytest.fixture
def until() -> Callable[[Callable[[], bool]], None]:
    """Wait for a condition, at most ten seconds."""

    def wait(condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 10
        while not condition():
            assert time.monotonic() < deadline, "the condition did not come true within 10 s"
            time.sleep(0.01)

    return wait


@pytest.fixture
def no_kubo(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine on which no Kubo can be found."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("POT_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("ipfs.kubo_binary.__file__", str(tmp_path / "ipfs" / "kubo_binary.py"))
