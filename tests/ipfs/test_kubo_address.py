"""Addresses of Kubo daemons and of stores."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipfs import EmbeddedStore, open_store
from ipfs.errors import InvalidAddress
from ipfs.kubo import KuboStore
from ipfs.kubo_address import KuboAddress


@pytest.mark.parametrize(
    ("text", "url", "multiaddr"),
    [
        ("http://127.0.0.1:5001", "http://127.0.0.1:5001", "/ip4/127.0.0.1/tcp/5001/http"),
        ("http://127.0.0.1:5001/", "http://127.0.0.1:5001", "/ip4/127.0.0.1/tcp/5001/http"),
        ("http://localhost", "http://localhost:80", "/dns/localhost/tcp/80/http"),
        ("https://ipfs.example.org", "https://ipfs.example.org:443", "/dns/ipfs.example.org/tcp/443/https"),
        ("http://[::1]:5001", "http://[::1]:5001", "/ip6/::1/tcp/5001/http"),
        ("/ip4/127.0.0.1/tcp/5001", "http://127.0.0.1:5001", "/ip4/127.0.0.1/tcp/5001/http"),
        ("/ip4/127.0.0.1/tcp/5001/http", "http://127.0.0.1:5001", "/ip4/127.0.0.1/tcp/5001/http"),
        ("/ip6/::1/tcp/5001", "http://[::1]:5001", "/ip6/::1/tcp/5001/http"),
        ("/dns/node/tcp/443/https", "https://node:443", "/dns/node/tcp/443/https"),
        ("/dns4/node/tcp/443/tls/http", "https://node:443", "/dns/node/tcp/443/https"),
    ],
)
def test_urls_and_multiaddrs_are_understood(text: str, url: str, multiaddr: str) -> None:
    address = KuboAddress.parse(text)
    assert (address.url, address.multiaddr) == (url, multiaddr)
    assert KuboAddress.parse(address.url) == KuboAddress.parse(address.multiaddr) == address


@pytest.mark.parametrize(
    "text",
    [
        "",
        "127.0.0.1:5001",
        "ftp://127.0.0.1:5001",
        "http://",
        "http://127.0.0.1:99999",
        "http://127.0.0.1:port",
        "http://127.0.0.1:5001/api/v0",
        "http://127.0.0.1:5001?x=1",
        "http://[::1:5001",
        "http://ho st:5001",
        "/",
        "/ip4/127.0.0.1",
        "/ip4/127.0.0.1/tcp/0",
        "/ip4/127.0.0.1/tcp/65536",
        "/ip4/127.0.0.1/tcp/-1",
        "/ip4/127.0.0.1/udp/5001",
        "/ip4/localhost/tcp/5001",
        "/ip6/127.0.0.1/tcp/5001",
        "/ip4/127.0.0.1/tcp/5001/ws",
        "/unix/run/ipfs.sock",
        "/dns/../tcp/1",
    ],
)
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(InvalidAddress) as caught:
        KuboAddress.parse(text)
    assert "127.0.0.1" in caught.value.hint


@given(st.text())
def test_any_text_is_an_address_or_an_error(text: str) -> None:
    for prefix in ("", "http://", "/ip4/127.0.0.1/tcp/", "/dns/"):
        try:
            address = KuboAddress.parse(prefix + text)
        except InvalidAddress:
            continue
        assert KuboAddress.parse(address.multiaddr).url == address.url


def test_passwords_are_kept_out_of_every_text() -> None:
    address = KuboAddress.parse("https://user:hush%40@node.example:5001")
    assert address.auth == ("user", "hush@")
    assert "hush" not in f"{address} {address!r} {address.url} {address.multiaddr}"
    with pytest.raises(InvalidAddress) as caught:
        KuboAddress.parse("https://user:hush@node.example:5001/path")
    assert "hush" not in f"{caught.value.message} {caught.value.hint}"


def test_stores_are_opened_by_address(tmp_path: Path) -> None:
    embedded = open_store(f"embedded:{tmp_path}/a store")
    assert isinstance(embedded, EmbeddedStore)
    assert embedded.address == f"embedded:{tmp_path}/a store"
    for text in ("http://127.0.0.1:5001", "/ip4/127.0.0.1/tcp/5001"):
        store = open_store(text)
        assert isinstance(store, KuboStore)
        assert store.address == "http://127.0.0.1:5001"
    for text in ("", "embedded:", "file:///tmp", "tmp/store"):
        with pytest.raises(InvalidAddress) as caught:
            open_store(text)
        assert "embedded:/path" in caught.value.hint
