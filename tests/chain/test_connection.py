from __future__ import annotations

import secrets
import socket
import traceback
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from web3 import Web3
from web3.types import RPCEndpoint

from pot_chain.chain.anvil import AnvilProcess
from pot_chain.chain.connection import (
    RetryingProvider,
    assert_fast_signatures,
    connect,
    endpoint,
    public_url,
    rpc,
    rpc_batch,
)
from pot_chain.chain.errors import ChainError, RpcDown, RpcError, SlowSignatures, WrongChain
from tests.chain.faulty_rpc import FaultyRpc

REFUSAL = {"jsonrpc": "2.0", "id": 0, "error": {"code": -32000, "message": "no", "data": "0x01"}}


def quick(url: str) -> Web3:
    return connect(url, timeout=2, attempts=3, backoff=0.01)


def test_nobody_listens() -> None:
    access_key = secrets.token_hex()
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{unused.getsockname()[1]}"
        with pytest.raises(RpcDown) as caught:
            quick(f"{address}/v3/{access_key}")
    assert str(caught.value) == f"no answer from the chain at {address}: connection refused"
    assert "pot up" in caught.value.hint
    assert access_key not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("url", ["ws://127.0.0.1:1", "127.0.0.1:8545", "file:///etc/passwd", "", "http://"])
def test_only_http_addresses_are_taken(url: str) -> None:
    with pytest.raises(ChainError, match="not an RPC address"):
        connect(url)


def test_another_chain_is_refused(shared_chain: AnvilProcess) -> None:
    assert connect(shared_chain.rpc_url, chain_id=31337).eth.chain_id == 31337
    with pytest.raises(WrongChain, match="has id 31337, expected 1"):
        connect(shared_chain.rpc_url, chain_id=1)


@pytest.mark.parametrize("failure", [None, (503, "busy"), (429, "slow down")])
def test_short_outages_are_bridged(
    failure: Any, shared_chain: AnvilProcess, faulty_rpc: Callable[[AnvilProcess], FaultyRpc]
) -> None:
    proxy = faulty_rpc(shared_chain)
    web3 = quick(proxy.url)
    failures = [failure, failure]
    proxy.rule = lambda method, forward: failures.pop() if failures else forward()
    assert rpc(web3, "eth_chainId") == hex(31337)
    assert proxy.calls["eth_chainId"] == 1 + 3


@pytest.mark.parametrize(
    ("answer", "cause", "tries"),
    [
        (None, "connection failed", 3),
        ((503, "busy"), "HTTP status 503", 3),
        ((401, "who are you"), "HTTP status 401", 1),
        ((200, "<html>"), "not JSON", 1),
        ((200, "7"), "not JSON-RPC", 1),
    ],
)
def test_a_lasting_outage_is_reported_with_its_cause(
    answer: Any, cause: str, tries: int, shared_chain: AnvilProcess, faulty_rpc: Callable[[AnvilProcess], FaultyRpc]
) -> None:
    proxy = faulty_rpc(shared_chain)
    web3 = quick(proxy.url)
    proxy.rule = lambda method, forward: answer
    with pytest.raises(RpcDown, match=cause):
        rpc(web3, "eth_blockNumber")
    assert proxy.calls["eth_blockNumber"] == tries


def test_a_refusal_is_not_retried_and_keeps_its_data(
    shared_chain: AnvilProcess, faulty_rpc: Callable[[AnvilProcess], FaultyRpc]
) -> None:
    proxy = faulty_rpc(shared_chain)
    web3 = quick(proxy.url)
    proxy.rule = lambda method, forward: REFUSAL
    with pytest.raises(RpcError, match=r"the node refused eth_call: no \(code -32000\)") as caught:
        rpc(web3, "eth_call", [{}, "latest"])
    assert caught.value.revert_data() == b"\x01"
    assert proxy.calls["eth_call"] == 1


def test_a_proxy_of_the_environment_is_not_asked_for_this_machine(
    shared_chain: AnvilProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    assert rpc(quick(shared_chain.rpc_url), "eth_chainId") == hex(31337)
    elsewhere = RetryingProvider("http://node.example", timeout=1, attempts=1, backoff=0)
    with pytest.raises(RpcDown, match=r"http://node\.example: connection refused"):
        elsewhere.make_request(RPCEndpoint("eth_chainId"), [])


def test_a_batch_answers_in_order(web3: Web3) -> None:
    answers = rpc_batch(web3, [("eth_chainId", []), ("eth_getBalance", ["0x" + "7e" * 20, "latest"])] * 3)
    assert answers == [hex(31337), "0x0"] * 3
    assert rpc_batch(web3, []) == []
    with pytest.raises(RpcError, match="eth_nonsense"):
        rpc_batch(web3, [("eth_chainId", []), ("eth_nonsense", [])])


def test_slow_signatures_stop_the_start(monkeypatch: pytest.MonkeyPatch, shared_chain: AnvilProcess) -> None:
    assert_fast_signatures()
    monkeypatch.setenv("ECC_BACKEND_CLASS", "eth_keys.backends.NativeECCBackend")
    with pytest.raises(SlowSignatures, match="NativeECCBackend instead of libsecp256k1"):
        connect(shared_chain.rpc_url)


@given(st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=6), st.integers(1, 65535))
def test_no_part_of_an_address_that_may_hold_a_key_is_shown(secret: str, port: int) -> None:
    shown = public_url(f"https://{secret}:{secret}@node.example:{port}/{secret}?key={secret}#{secret}")
    assert urlsplit(shown).netloc == f"node.example:{port}"
    assert shown == f"https://node.example:{port}"


def test_a_connection_shows_no_path(web3: Web3, shared_chain: AnvilProcess) -> None:
    assert endpoint(web3) == shared_chain.rpc_url
    provider = RetryingProvider("https://node.example/v3/secret-key", timeout=1, attempts=1, backoff=0)
    assert "secret-key" not in f"{provider!r} {provider}"
