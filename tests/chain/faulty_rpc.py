"""A JSON-RPC endpoint that fails on demand."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.request import Request, urlopen

Answer = Any
"""The answer's JSON, or a pair (HTTP status, text); None cuts the connection."""
Rule = Callable[[str, Callable[[], Answer]], Answer]
"""``rule(method, forward)``; ``forward()`` asks the node."""


class FaultyRpc:
    """A JSON-RPC endpoint between a test and a real node that fails on demand, over real sockets.

    Attributes:
        rule: what to do with each request.
        calls: number of requests by method.
        url: its address.
    """

    def __init__(self, upstream: str) -> None:
        self.rule: Rule = lambda method, forward: forward()
        self.calls: Counter[str] = Counter()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                parsed = json.loads(body)

                def forward() -> Answer:
                    with urlopen(Request(upstream, body, {"Content-Type": "application/json"}), timeout=10) as answer:
                        return json.loads(answer.read())

                method = parsed["method"] if isinstance(parsed, dict) else "batch"
                outer.calls[method] += 1
                answer = outer.rule(method, forward)
                if answer is None:
                    self.close_connection = True
                    return
                status, text = answer if isinstance(answer, tuple) else (200, json.dumps(answer))
                self.send_response(status)
                self.send_header("Content-Length", str(len(text.encode())))
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, *_: object) -> None:
                """Quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
