"""Python's JSON parser overflows the C stack once a library has raised the recursion limit, as web3's do."""

from __future__ import annotations

import sys

import pytest

from ipfs.kubo_rpc import _parse


@pytest.mark.parametrize("opening", [b"[", b'{"a":'])
def test_deep_answers_are_refused_whatever_the_recursion_limit_is(opening: bytes) -> None:
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(100_000)
    try:
        with pytest.raises(ValueError, match="nested"):
            _parse(opening * 60_000)
    finally:
        sys.setrecursionlimit(limit)
    assert _parse(b'{"Keys":{"a":[1,"]["]}}') == {"Keys": {"a": [1, "]["]}}
