"""Canonical safetensors: one byte string a set of tensors, and nothing hostile gets through the reader."""

from __future__ import annotations

import hashlib
import json
import math

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from worker import tensorfile
from worker.tensors import (
    GradientError,
    Malformed,
    NotFinite,
    TooLarge,
    WrongDtype,
    WrongNames,
    WrongShape,
    content_digest,
    decode,
    element_count,
    encode,
    encoded_limit,
    flatten,
    shapes_of,
    unflatten,
)

SHAPES = {"a.weight": (3, 4), "b": (5,), "c": ()}


def example() -> dict[str, NDArray[np.float32]]:
    return {
        name: (np.arange(math.prod(shape), dtype=np.float32) + 0.5).reshape(shape) for name, shape in SHAPES.items()
    }


names = st.text("abcdefgh_.0123456789", min_size=1, max_size=12)
shapes = st.lists(st.integers(0, 4), max_size=3).map(tuple)
floats = st.floats(width=32, allow_nan=False, allow_infinity=False)


@st.composite
def tensor_sets(draw: st.DrawFn) -> dict[str, NDArray[np.float32]]:
    chosen = draw(st.dictionaries(names, shapes, min_size=1, max_size=5))
    return {
        name: np.array(
            draw(st.lists(floats, min_size=math.prod(shape), max_size=math.prod(shape))), dtype=np.float32
        ).reshape(shape)
        for name, shape in chosen.items()
    }


@given(tensor_sets(), st.randoms())
@settings(max_examples=100, deadline=None)
def test_round_trip_keeps_every_bit_and_the_bytes_do_not_depend_on_the_order_given(tensors, random):
    data = encode(tensors)
    shuffled = list(tensors.items())
    random.shuffle(shuffled)
    assert encode(dict(shuffled)) == data
    found = decode(data, shapes_of(tensors))
    assert list(found) == sorted(tensors)
    assert all(found[name].tobytes() == tensors[name].tobytes() for name in tensors)
    assert all(found[name].shape == tensors[name].shape for name in tensors)
    assert len(data) <= encoded_limit(shapes_of(tensors))


def test_bytes_are_pinned_so_that_a_change_of_library_or_code_cannot_move_cids():
    data = encode(example())
    header_bytes = int.from_bytes(data[:8], "little")
    assert header_bytes % 8 == 0
    assert data[8 : 8 + header_bytes].rstrip(b" ") == (
        b'{"a.weight":{"data_offsets":[0,48],"dtype":"F32","shape":[3,4]},'
        b'"b":{"data_offsets":[48,68],"dtype":"F32","shape":[5]},'
        b'"c":{"data_offsets":[68,72],"dtype":"F32","shape":[]}}'
    )
    assert hashlib.sha256(data).hexdigest() == "6e2f434763f0ccbc54d203c60be7c39fa08239aad5bd1f6d58bbb7758d67abfc"


def test_non_contiguous_and_big_endian_arrays_are_written_like_any_other():
    tensors = example()
    other = {
        "a.weight": np.asfortranarray(tensors["a.weight"]),
        "b": np.repeat(tensors["b"], 2)[::2],
        "c": tensors["c"].astype(">f4"),
    }
    assert encode(other) == encode(tensors)


def test_the_official_library_reads_our_files_and_we_read_its():
    tensors = example()
    loaded = safetensors.numpy.load(encode(tensors))
    assert all(np.array_equal(loaded[name], tensors[name]) for name in tensors)
    theirs = safetensors.numpy.save(tensors)
    assert content_digest(decode(theirs, SHAPES)) == content_digest(tensors)


def test_mixed_types_lie_aligned_in_the_file():
    data = tensorfile.write({"x": np.zeros((3, 1), np.float32), "y": np.arange(3, dtype=np.int64)})
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    assert header["y"]["data_offsets"] == [0, 24]
    assert header["x"]["data_offsets"] == [24, 36]


@pytest.mark.parametrize("dtype", [np.float64, np.int64, np.float16])
def test_encode_converts_nothing_silently(dtype):
    with pytest.raises(TypeError, match="expected float32"):
        encode({"a": np.zeros(2, dtype)})
    if dtype is not np.int64:
        with pytest.raises(TypeError, match="only float32 and int64"):
            tensorfile.write({"a": np.zeros(2, dtype)})


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_refused_and_located(value):
    tensors = example()
    tensors["b"][3] = value
    with pytest.raises(NotFinite, match=r"tensor 'b' holds -?(nan|inf) \(element 3\)") as caught:
        decode(encode(tensors), SHAPES)
    assert caught.value.reason == "not_finite"


def with_header(header: object, payload: bytes = b"", length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return (len(text) if length is None else length).to_bytes(8, "little") + text + payload


def entry(begin: int, end: int, shape: list[int], dtype: str = "F32") -> dict[str, object]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


HOSTILE = {
    "empty": (b"", Malformed),
    "seven bytes": (b"1234567", Malformed),
    "header cut short": (with_header(b"{}", length=100), Malformed),
    "header of a tebibyte": ((1 << 40).to_bytes(8, "little") + b"{}", TooLarge),
    "header longer than allowed": ((tensorfile.MAX_HEADER_BYTES + 1).to_bytes(8, "little"), TooLarge),
    "header is no JSON": (with_header(b"{{{{"), Malformed),
    "header is no UTF-8": (with_header(b"\xff\xfe\xfd\xfc"), Malformed),
    "header is a list": (with_header([]), Malformed),
    "deeply nested header": (with_header(b'{"a":' * 50_000), Malformed),
    "hole before the data": (with_header({"a": entry(4, 8, [1])}, b"\0" * 8), Malformed),
    "overlap": (with_header({"a": entry(0, 4, [1]), "b": entry(0, 4, [1])}, b"\0" * 4), Malformed),
    "out of bounds": (with_header({"a": entry(0, 400, [100])}, b"\0" * 4), Malformed),
    "bytes after the data": (with_header({"a": entry(0, 4, [1])}, b"\0" * 8), Malformed),
    "offsets reversed": (with_header({"a": entry(4, 0, [1])}, b"\0" * 4), Malformed),
    "shape and offsets disagree": (with_header({"a": entry(0, 4, [2])}, b"\0" * 4), Malformed),
    "shape overflows": (with_header({"a": entry(0, 4, [2**32, 2**32, 2**32])}, b"\0" * 4), Malformed),
    "negative shape": (with_header({"a": entry(0, 4, [-1])}, b"\0" * 4), Malformed),
    "unknown element type": (with_header({"a": entry(0, 4, [1], "PICKLE")}, b"\0" * 4), Malformed),
    "endless element type": (with_header({"a": entry(0, 4, [1], "\x1b[2J" * 20_000)}, b"\0" * 4), Malformed),
    "endless name": (with_header({"\x1b[2J" * 20_000: entry(0, 4, [1])}, b"\0" * 4), WrongNames),
    "endless shape": (with_header({"a": entry(0, 4, [1] * 50_000)}, b"\0" * 4), WrongShape),
    "no tensor": (with_header({}), WrongNames),
    "only metadata": (with_header({"__metadata__": {"format": "np"}}), WrongNames),
    "another name": (with_header({"z": entry(0, 4, [1])}, b"\0" * 4), WrongNames),
    "one tensor too many": (with_header({"a": entry(0, 4, [1]), "b": entry(4, 8, [1])}, b"\0" * 8), WrongNames),
    "half precision": (with_header({"a": entry(0, 2, [1], "F16")}, b"\0" * 2), WrongDtype),
    "integers of the same size": (with_header({"a": entry(0, 4, [1], "I32")}, b"\0" * 4), WrongDtype),
    "8-bit floats": (with_header({"a": entry(0, 1, [1], "F8_E4M3")}, b"\0"), WrongDtype),
    "more elements": (with_header({"a": entry(0, 8, [2])}, b"\0" * 8), WrongShape),
    "another rank": (with_header({"a": entry(0, 4, [1, 1])}, b"\0" * 4), WrongShape),
    "no rank": (with_header({"a": entry(0, 4, [])}, b"\0" * 4), WrongShape),
}


@pytest.mark.parametrize(("data", "error"), HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_files_are_refused_with_their_reason(data, error):
    with pytest.raises(error) as caught:
        decode(data, {"a": (1,)})
    assert type(caught.value) is error
    assert caught.value.reason == error.reason
    assert len(caught.value.message) < 400
    assert caught.value.message.isprintable()


def test_a_file_larger_than_the_receiver_allows_is_not_parsed():
    data = encode(example())
    assert decode(data, SHAPES, max_bytes=len(data)).keys() == SHAPES.keys()
    with pytest.raises(TooLarge, match="at most"):
        decode(data, SHAPES, max_bytes=len(data) - 1)


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_a_damaged_file_is_refused_or_yields_exactly_the_expected_tensors(data):
    damaged = bytearray(encode(example()))
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.one_of(st.just(len(damaged)), st.integers(0, len(damaged))))
    found, reason = None, None
    try:
        found = decode(bytes(damaged[:cut]), SHAPES)
    except GradientError as error:
        reason = error.reason
    if found is None:
        assert reason in {"malformed", "too_large", "wrong_names", "wrong_dtype", "wrong_shape", "not_finite"}
    else:
        assert shapes_of(found) == SHAPES
        assert all(array.dtype == np.float32 and np.isfinite(array).all() for array in found.values())


@given(st.binary(max_size=200))
@settings(max_examples=200, deadline=None)
def test_random_bytes_are_refused(data):
    with pytest.raises(GradientError):
        decode(data, SHAPES)


@given(tensor_sets())
@settings(max_examples=50, deadline=None)
def test_flat_vectors_are_the_tensors_in_canonical_order(tensors):
    vector = flatten(tensors)
    assert vector.shape == (element_count(shapes_of(tensors)),)
    back = unflatten(vector, shapes_of(tensors))
    assert content_digest(back) == content_digest(tensors)


def test_unflatten_refuses_a_vector_of_another_length():
    with pytest.raises(WrongShape):
        unflatten(np.zeros(17, np.float32), SHAPES)


def test_the_content_digest_sees_every_bit():
    digest = content_digest(example())
    changed = example()
    changed["c"] = np.nextafter(changed["c"], np.float32(np.inf))
    assert content_digest(changed) != digest
    zero, minus_zero = {"a": np.float32([0.0])}, {"a": np.float32([-0.0])}
    assert content_digest(zero) != content_digest(minus_zero)
