"""A JSON-RPC connection with time-outs, retries and errors that say what to do.

``connect`` gives a Web3 whose provider turns every transport failure into ``RpcDown``, so that no caller has to know
requests' exceptions; ``rpc`` and ``rpc_batch`` add one error type for everything a node can refuse. The provider
keeps a session per thread, hence one Web3 may be shared by threads.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Sequence
from typing import Any, Final, cast
from urllib.parse import urlsplit

import requests
from eth_keys.backends import get_backend
from web3 import Web3
from web3.providers.rpc import HTTPProvider
from web3.types import RPCEndpoint, RPCResponse

from pot_chain.chain.errors import ChainError, RpcDown, RpcError, SlowSignatures, WrongChain

CONNECT_TIMEOUT_S: Final = 5.0
LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})
RETRIED_STATUS: Final = frozenset({429, 500, 502, 503, 504})


def public_url(url: str) -> str:
    """Scheme, host and port of ``url`` only: path, query and user part of an RPC address often hold an access key."""
    parts = urlsplit(url)
    try:
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        port = ""
    return f"{parts.scheme}://{parts.hostname or '?'}{port}"


class RetryingProvider(HTTPProvider):
    """HTTP provider that retries short outages with jittered exponential back-off, then raises ``RpcDown``.

    Everything is retried, ``eth_sendRawTransaction`` too: a signed transaction is bound to its nonce, so sending it
    twice has the effect of once; what a node answers to the second ("already known") is the sender's business.

    Args:
        url: http or https address.
        timeout: seconds for one answer.
        attempts: tries a request, at least 1.
        backoff: seconds before the second try; doubles.
    """

    def __init__(self, url: str, timeout: float, attempts: int, backoff: float) -> None:
        super().__init__(url)
        self._url = url
        self._timeout = (min(CONNECT_TIMEOUT_S, timeout), timeout)
        self._headers = self.get_request_headers()
        self._loopback = urlsplit(url).hostname in LOOPBACK
        self._threads = threading.local()
        self._attempts = attempts
        self._backoff = backoff
        self.public_url = public_url(url)

    def __repr__(self) -> str:
        return f"RetryingProvider({self.public_url})"

    __str__ = __repr__

    def make_request(self, method: RPCEndpoint, params: Any) -> RPCResponse:
        """One JSON-RPC exchange.

        Raises:
            RpcDown: no answer, or not a JSON-RPC one.
        """
        return cast(RPCResponse, self._exchange(self.encode_rpc_request(method, params), dict))

    def make_batch_request(self, batch_requests: list[tuple[RPCEndpoint, Any]]) -> list[RPCResponse] | RPCResponse:
        """Several requests in one HTTP exchange; the answers in the order of the requests.

        Raises:
            RpcDown: no answer, or not a JSON-RPC one.
        """
        answers = cast(
            "list[RPCResponse] | RPCResponse",
            self._exchange(self.encode_batch_rpc_request(batch_requests), (list, dict)),
        )
        if isinstance(answers, list):
            # ids are ascending numbers; servers may answer in any order
            answers = sorted(answers, key=lambda answer: int(answer.get("id") or 0))
            if len(answers) != len(batch_requests):
                raise RpcDown(self.public_url, f"{len(answers)} answers to a batch of {len(batch_requests)}")
        return answers

    def _exchange(self, body: bytes, expected: type | tuple[type, ...]) -> Any:
        delay = self._backoff
        for attempt in range(1, self._attempts + 1):
            try:
                return self._post(body, expected)
            except _Transient as failure:
                if attempt == self._attempts:
                    raise RpcDown(self.public_url, failure.cause) from None
                time.sleep(delay * random.uniform(0.5, 1.0))
                delay *= 2
        raise AssertionError("unreachable: attempts >= 1")

    def _session(self) -> requests.Session:
        """The calling thread's session: requests' sessions are not safe to share."""
        session: requests.Session | None = getattr(self._threads, "session", None)
        if session is None:
            session = self._threads.session = requests.Session()
            # a proxy of the environment is not asked for this machine; looking for one takes as long as the request
            session.trust_env = not self._loopback
        return session

    def _post(self, body: bytes, expected: type | tuple[type, ...]) -> Any:
        try:
            response = self._session().post(self._url, data=body, headers=self._headers, timeout=self._timeout)
            response.raise_for_status()
        # "from None" throughout: the text of requests' errors holds the whole address, access key included
        except requests.HTTPError as error:
            status = error.response.status_code if error.response is not None else 0
            if status in RETRIED_STATUS:
                raise _Transient(f"HTTP status {status}") from None
            raise RpcDown(
                self.public_url, f"HTTP status {status}", "check the address and the access key of the RPC provider"
            ) from None
        except requests.Timeout:
            raise _Transient("timed out") from None
        except requests.ConnectionError as error:
            raise _Transient(_root_cause(error)) from None
        except requests.RequestException as error:
            raise RpcDown(self.public_url, type(error).__name__, "check the RPC address") from None
        try:
            answer: Any = self.decode_rpc_response(response.content)
        except ValueError as error:
            raise RpcDown(
                self.public_url, "the answer is not JSON", "is this the address of a JSON-RPC node?"
            ) from error
        if not isinstance(answer, expected):
            raise RpcDown(self.public_url, "the answer is not JSON-RPC", "is this the address of a JSON-RPC node?")
        return answer


class _Transient(Exception):
    """A failure worth another try."""

    def __init__(self, cause: str) -> None:
        super().__init__(cause)
        self.cause = cause


def _root_cause(error: BaseException) -> str:
    """The operating system's word for it, without requests' wrapping (which would repeat the full URL)."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, OSError) and seen.strerror:
            return seen.strerror.lower()
        reason = getattr(seen, "reason", None) or (seen.args[0] if seen.args else None)
        seen = reason if isinstance(reason, BaseException) else seen.__cause__ or seen.__context__
    return "connection failed"


def assert_fast_signatures() -> None:
    """Refuse to start with eth-keys' pure Python backend.

    Raises:
        SlowSignatures: coincurve is missing, or ECC_BACKEND_CLASS selects another backend.
    """
    backend = type(get_backend()).__name__
    if backend != "CoinCurveECCBackend":
        raise SlowSignatures(backend)


def connect(
    rpc_url: str,
    *,
    chain_id: int | None = None,
    timeout: float = 10.0,
    attempts: int = 4,
    backoff: float = 0.1,
) -> Web3:
    """Open a connection and check that a chain answers.

    Args:
        rpc_url: http(s) address of an Ethereum JSON-RPC endpoint.
        chain_id: the id that the chain must have, if known.
        timeout: seconds for one answer.
        attempts: tries a request before ``RpcDown``.
        backoff: seconds before the second try; doubles with each further one.

    Raises:
        ChainError: not an http(s) address.
        RpcDown: nobody answers.
        WrongChain: another chain answers.
        SlowSignatures: signing would run in pure Python.
    """
    assert_fast_signatures()
    parts = urlsplit(rpc_url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ChainError(
            f"not an RPC address: {public_url(rpc_url) if parts.hostname else rpc_url!r}",
            "expected http://host:port or https://…",
        )
    provider = RetryingProvider(rpc_url, timeout, attempts, backoff)
    web3 = Web3(provider)
    found = chain_id_of(web3)
    if chain_id is not None and found != chain_id:
        raise WrongChain(provider.public_url, chain_id, found)
    return web3


def rpc(web3: Web3, method: str, params: Sequence[Any] = ()) -> Any:
    """Result of one JSON-RPC call, as the node sends it (hex strings).

    web3's own formatters are skipped: they raise a dozen types for a refused call, lose the revert data of some, and
    take most of the time.

    Raises:
        RpcDown: no answer.
        RpcError: the node refused.
    """
    answer = web3.provider.make_request(cast(RPCEndpoint, method), list(params))
    return _result(method, cast("dict[str, Any]", answer))


def rpc_batch(web3: Web3, requests_: Sequence[tuple[str, Sequence[Any]]]) -> list[Any]:
    """Results of several calls in one HTTP exchange, in order.

    Raises:
        RpcDown: no answer.
        RpcError: the first that the node refused.
    """
    if not requests_:
        return []
    provider = cast(HTTPProvider, web3.provider)
    answers = provider.make_batch_request([(cast(RPCEndpoint, method), list(params)) for method, params in requests_])
    if isinstance(answers, dict):
        _result("a batch", cast("dict[str, Any]", answers))
        raise RpcDown(endpoint(web3), "one answer to a batch")
    return [
        _result(method, cast("dict[str, Any]", answer)) for (method, _), answer in zip(requests_, answers, strict=True)
    ]


def _result(method: str, answer: dict[str, Any]) -> Any:
    error = answer.get("error")
    if error is not None:
        if isinstance(error, dict):
            code = error.get("code")
            raise RpcError(
                method,
                code if isinstance(code, int) else 0,
                str(error.get("message", "no reason given")),
                error.get("data"),
            )
        raise RpcError(method, 0, str(error))
    return answer.get("result")


def chain_id_of(web3: Web3) -> int:
    """Chain id (EIP-155) that the endpoint serves.

    Raises:
        RpcDown: no answer.
    """
    return int(rpc(web3, "eth_chainId"), 16)


def endpoint(web3: Web3) -> str:
    """Printable address of the connection, free of secrets."""
    provider = web3.provider
    return provider.public_url if isinstance(provider, RetryingProvider) else type(provider).__name__


__all__ = [
    "RetryingProvider",
    "assert_fast_signatures",
    "chain_id_of",
    "connect",
    "endpoint",
    "public_url",
    "rpc",
    "rpc_batch",
]
