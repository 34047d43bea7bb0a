"""The RPC of a Kubo daemon over ipfshttpclient, safe with a daemon that is not trusted and with many threads.

The only module that imports ipfshttpclient, which is no longer maintained: its transport works with current daemons
(the warning about their version comes from its `connect`, which is not used), but it buffers whatever a server sends
for as long as it sends. Here every answer has a limit in bytes and in seconds, error texts included, redirects and
proxies are ignored, and failures that may pass are tried again.

Source: https://docs.ipfs.tech/reference/kubo/rpc/.
"""

from __future__ import annotations

import json
import random
import re
import time
import urllib.parse
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from queue import Empty, Full, LifoQueue
from typing import Any, Final

import requests
import urllib3.exceptions
from ipfshttpclient import multipart
from ipfshttpclient.http_requests import ClientSync

from ipfs.errors import DaemonDown, DaemonError, Timeout
from ipfs.kubo_address import KuboAddress

ATTEMPTS: Final = 4
"""How often a request is made before a failure of the connection is reported."""

_CONNECT_SECONDS: Final = 5.0  # a daemon is on this machine or near
_FIRST_PAUSE: Final = 0.1  # seconds before the second attempt; doubles
_READ_BYTES: Final = 256 * 1024
_SEND_BYTES: Final = 1024 * 1024
_ERROR_BYTES: Final = 16 * 1024
_IDLE_TRANSPORTS: Final = 16
_TRANSIENT_STATUS: Final = (502, 503, 504)  # what a proxy in front of a restarting daemon answers


class AnswerTooLong(DaemonError):
    """The daemon sends more than the answer can have."""


class Refused(DaemonError):
    """The daemon answered with an error, whose text is in ``reason``."""

    def __init__(self, message: str, hint: str, reason: str) -> None:
        super().__init__(message, hint)
        self.reason = reason


class _Passing(Exception):
    """A failure that may pass; carries the error to report when it does not."""

    def __init__(self, final: DaemonDown | DaemonError) -> None:
        super().__init__(str(final))
        self.final = final


class _Limits:
    """What an answer may take; ``deadline`` is on the monotonic clock."""

    def __init__(self, max_bytes: int, seconds: float) -> None:
        self.max_bytes = max_bytes
        self.deadline = time.monotonic() + seconds

    def remaining(self) -> float:
        """Seconds left, more than 0; raises requests.Timeout if there are none."""
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise requests.Timeout("no time left")
        return left


class _Transport(ClientSync):  # type: ignore[misc]  # the library has no type information
    """ipfshttpclient's transport with limits. An instance serves one request at a time."""

    limits: _Limits

    def _make_session(self) -> requests.Session:
        # A plain session, not the library's: that patches urllib3 in a way that urllib3 3.0 will refuse.
        session = requests.Session()
        session.auth = self._session_props.get("auth")
        session.trust_env = False  # no HTTP proxy, no .netrc: the address says all
        session.max_redirects = 0  # the daemon must not send our requests elsewhere
        session.headers["Accept-Encoding"] = "identity"  # nothing that swells when unpacked
        return session

    def _request(
        self, method: str, path: str, params: Sequence[tuple[str, str]], **options: Any
    ) -> tuple[list[Any], Generator[bytes, None, None]]:
        """The one place where ipfshttpclient touches the network: (what to close, pieces of the answer)."""
        closables, session = self._access_session()
        remaining = self.limits.remaining()
        response = session.request(
            method,
            urllib.parse.urljoin(self._base_url, path.lstrip("/")),
            params=list(params),
            data=options["data"],
            headers=options["headers"],
            timeout=(min(_CONNECT_SECONDS, remaining), remaining),
            stream=True,
        )
        closables.insert(0, response)
        if not response.ok:
            text = b""
            with response, suppress(AnswerTooLong):
                for piece in _pieces(response, _Limits(_ERROR_BYTES, remaining)):
                    text += piece
            raise requests.HTTPError(text.decode("utf-8", "replace"), response=response)
        return closables, _pieces(response, self.limits)


class Answer:
    """The answer to a streamed request."""

    def __init__(self, pieces: Iterator[bytes], limits: _Limits) -> None:
        self._pieces = pieces
        self._limits = limits
        self._buffer = bytearray()

    def take(self, size: int, seconds: float) -> bytes | None:
        """The next ``size`` bytes, received within ``seconds``; None if the answer ends before."""
        self._limits.deadline = time.monotonic() + seconds
        while len(self._buffer) < size:
            piece = next(self._pieces, None)
            if piece is None:
                return None
            self._buffer += piece
        taken = bytes(self._buffer[:size])
        del self._buffer[:size]
        return taken


class KuboRpc:
    """A client of one daemon; any number of threads may use it at once."""

    def __init__(self, address: KuboAddress) -> None:
        self._address = address
        self._idle: LifoQueue[_Transport] = LifoQueue(_IDLE_TRANSPORTS)

    @property
    def url(self) -> str:
        """The daemon's address, without credentials."""
        return self._address.url

    def call(
        self,
        path: str,
        *args: str,
        max_bytes: int,
        seconds: float,
        options: Mapping[str, str] | None = None,
        data: bytes | None = None,
    ) -> bytes:
        """The whole answer to one request. All requests made here may be repeated, and are when the connection fails.

        Args:
            path: the command, such as ``/block/get``.
            args: its positional arguments.
            max_bytes: longest answer accepted, bytes.
            seconds: time for the request, its repetitions included.
            options: its options.
            data: a file to send along.

        Raises:
            DaemonDown: nothing answers.
            Timeout: no complete answer in time.
            Refused: the daemon answered with an error.
            AnswerTooLong: it sent more than ``max_bytes``.
            DaemonError: what came is no answer of a Kubo daemon.
        """
        limits = _Limits(max_bytes, seconds)
        pause = _FIRST_PAUSE
        for attempt in range(1, ATTEMPTS + 1):
            try:
                with self._request(path, args, options or {}, data, limits) as pieces:
                    return b"".join(pieces)
            except _Passing as failure:
                # Spread over time, so that workers that failed together do not come back together.
                wait = pause * random.uniform(0.5, 1.5)
                if attempt == ATTEMPTS or time.monotonic() + wait > limits.deadline:
                    raise failure.final from failure.__cause__
                time.sleep(wait)
                pause *= 2
        raise AssertionError("the last attempt returns or raises")

    def call_json(
        self,
        path: str,
        *args: str,
        max_bytes: int,
        seconds: float,
        options: Mapping[str, str] | None = None,
        data: bytes | None = None,
    ) -> list[dict[str, Any]]:
        """Like :meth:`call`, for answers of JSON objects, one a line."""
        body = self.call(path, *args, max_bytes=max_bytes, seconds=seconds, options=options, data=data)
        try:
            lines = [_parse(line) for line in body.splitlines() if line]
        except (ValueError, RecursionError) as error:
            raise self._strange(f"its answer to {path} is not JSON") from error
        if not all(isinstance(line, dict) for line in lines):
            raise self._strange(f"its answer to {path} does not consist of JSON objects")
        for line in lines:
            if line.get("Type") == "error":  # what goes wrong after the answer has begun comes in its place
                raise self._refused(path, str(line.get("Message", "")))
        return lines

    @contextmanager
    def stream(
        self, path: str, *args: str, max_bytes: int, seconds: float, options: Mapping[str, str] | None = None
    ) -> Iterator[Answer]:
        """The answer to one request as it arrives; not repeated. Arguments and errors as for :meth:`call`."""
        limits = _Limits(max_bytes, seconds)
        try:
            with self._request(path, args, options or {}, None, limits) as pieces:
                yield Answer(iter(pieces), limits)
        except _Passing as failure:
            raise failure.final from failure.__cause__

    def close(self) -> None:
        """Close the idle connections."""
        with suppress(Empty):
            while True:
                self._idle.get_nowait().close_session()

    @contextmanager
    def _request(
        self, path: str, args: Sequence[str], options: Mapping[str, str], data: bytes | None, limits: _Limits
    ) -> Iterator[Iterator[bytes]]:
        """One attempt, with the failures of the library turned into ours."""
        transport = self._transport()
        transport.limits = limits
        try:
            body, headers = (None, {}) if data is None else multipart.stream_bytes(data, chunk_size=_SEND_BYTES)
            with transport.request(path, args, opts=options, stream=True, data=body, headers=headers) as pieces:
                yield pieces
        except BaseException as error:
            transport.close_session()  # whatever is left in the connection must not be read as the next answer
            if isinstance(error, requests.RequestException | urllib3.exceptions.HTTPError):
                raise self._translate(path, error) from error
            raise
        try:
            self._idle.put_nowait(transport)
        except Full:
            transport.close_session()

    def _transport(self) -> _Transport:
        try:
            return self._idle.get_nowait()
        except Empty:
            address = self._address
            transport = _Transport(address.multiaddr, "api/v0", auth=address.auth)
            transport.open_session()
            return transport

    def _translate(self, path: str, error: requests.RequestException | urllib3.exceptions.HTTPError) -> Exception:
        match error:
            case requests.HTTPError() if error.response is not None:
                status = error.response.status_code
                try:
                    reason = str(_parse(str(error).encode())["Message"])
                except (ValueError, KeyError, TypeError, RecursionError):
                    strange = self._strange(f"it answered {path} with HTTP status {status}")
                    return _Passing(strange) if status in _TRANSIENT_STATUS else strange
                return self._refused(path, reason)
            case requests.ConnectionError():  # ConnectTimeout too
                return _Passing(
                    DaemonDown(
                        f"no IPFS daemon answers at {self.url}",
                        "start it (`pot up` starts a private one, `ipfs daemon` your own) or correct the address",
                    )
                )
            case requests.Timeout() | urllib3.exceptions.TimeoutError():
                return Timeout(
                    f"the IPFS daemon at {self.url} did not complete its answer to {path} in time",
                    "it may be overloaded or stuck: look at its log, or allow more time",
                )
            case urllib3.exceptions.HTTPError():
                return _Passing(self._strange(f"it broke off its answer to {path}"))
            case _:
                return self._strange(f"its answer to {path} is not usable ({type(error).__name__})")

    def _refused(self, path: str, reason: str) -> Refused:
        shown = reason if len(reason) <= 300 else reason[:297] + "..."
        return Refused(f"the IPFS daemon at {self.url} refused {path}: {shown}", "its log may say more", reason)

    def _strange(self, what: str) -> DaemonError:
        return DaemonError(
            f"what answers at {self.url} is no working Kubo daemon: {what}",
            "check the address: it has to be that of the RPC API, not of the gateway or of another program",
        )


_NESTING: Final = re.compile(rb'"(?:[^"\\]|\\.)*+"|[\[\]{}]', re.DOTALL)
_MAX_DEPTH: Final = 32


def _parse(line: bytes) -> Any:
    """JSON of a daemon that is not trusted. Python's parser recurses in C, and libraries raise the recursion limit so
    far that a line of brackets would end the process; so the depth is bounded here.
    """
    depth = 0
    for token in _NESTING.finditer(line):
        depth += 1 if token[0] in b"[{" else -1 if token[0] in b"]}" else 0
        if depth > _MAX_DEPTH:
            raise ValueError(f"nested more than {_MAX_DEPTH} deep")
    return json.loads(line)


def _pieces(response: requests.Response, limits: _Limits) -> Generator[bytes, None, None]:
    """The body as it arrives, never more than a piece at a time (requests by itself would read it whole)."""
    received = 0
    while True:
        remaining = limits.remaining()
        # The wait for each piece shrinks with the time left. (Where the daemon closes the connection behind its answer,
        # which Kubo does not, the socket cannot be had any more, and the whole may take twice as long.)
        connection = response.raw.connection
        if connection is not None and connection.sock is not None:
            connection.sock.settimeout(remaining)
        piece = response.raw.read1(_READ_BYTES)
        if not piece:
            return
        received += len(piece)
        if received > limits.max_bytes:
            raise AnswerTooLong(f"{response.url} sent more than {limits.max_bytes} bytes")
        yield piece
