from __future__ import annotations

import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pot_chain.protocol import canonical
from pot_chain.protocol.canonical import MAX_DEPTH, NotCanonical

leaves = st.none() | st.booleans() | st.integers() | st.text() | st.floats(allow_nan=False, allow_infinity=False)
values = st.recursive(leaves, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20)


@given(values)
def test_every_value_survives_and_has_one_spelling(value: Any) -> None:
    data = canonical.encode(value)
    assert canonical.decode(data) == value
    assert canonical.encode(canonical.decode(data)) == data


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"nul", b"NaN", b"[1, 2]", b'{"b":1,"a":2}', b'{"a":1,"a":1}', b"1.0e0", b"-0", b"\xff", b'"\\u0061"'],
)
def test_another_spelling_is_refused(data: bytes) -> None:
    with pytest.raises(NotCanonical):
        canonical.decode(data)


@given(st.binary(max_size=200))
def test_hostile_bytes_raise_nothing_else(data: bytes) -> None:
    try:
        value = canonical.decode(data)
    except NotCanonical:
        return
    assert canonical.encode(value) == data


@pytest.mark.parametrize("opening", [b"[", b'{"a":', b'[{"a":'])
def test_deep_nesting_is_refused_whatever_the_recursion_limit_is(opening: bytes) -> None:
    """web3 raises the limit to 100,000; Python's parser then overflows the C stack."""
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(100_000)
    try:
        with pytest.raises(NotCanonical, match="nested"):
            canonical.decode(opening * 100_000)
    finally:
        sys.setrecursionlimit(limit)


def test_brackets_in_strings_are_not_nesting() -> None:
    value = {"a": '[{"' * 1000, "b\\": ['"' + "[" * 99], 'c"': "\\"}
    assert canonical.decode(canonical.encode(value)) == value
    deepest: Any = 1
    for _ in range(MAX_DEPTH):
        deepest = [deepest]
    assert canonical.decode(canonical.encode(deepest)) == deepest


def test_too_long_a_document_is_refused_before_it_is_read() -> None:
    with pytest.raises(NotCanonical, match="larger than the 10 allowed"):
        canonical.decode(b" " * 11, max_bytes=10)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {1, 2}, b"bytes"])
def test_what_json_has_not_cannot_be_written(value: Any) -> None:
    with pytest.raises(canonical.ProtocolError):
        canonical.encode(value)
