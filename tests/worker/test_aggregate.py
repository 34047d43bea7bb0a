"""The exact aggregate: right, in a fixed order, and byte for byte the same however it is computed."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from worker.aggregate import AggregationError, aggregate, apply_sgd, mean, rule_names
from worker.tensors import NotFinite, WrongNames, WrongShape, content_digest

floats = st.floats(width=32, allow_nan=False, allow_infinity=False)


def vectors(count: int, size: int) -> st.SearchStrategy[list[list[float]]]:
    row = st.lists(floats, min_size=size, max_size=size)
    return st.lists(row, min_size=count, max_size=count)


def gradients(rows: list[list[float]]) -> list[dict[str, np.ndarray]]:
    return [{"w": np.array(row, dtype=np.float32)} for row in rows]


def wide_range(seed: int, count: int, size: int) -> list[dict[str, np.ndarray]]:
    """Gradients over many magnitudes, for which every order of summation rounds differently."""
    generator = np.random.default_rng(seed)
    return [
        {
            name: (generator.standard_normal(shape) * 10.0 ** generator.uniform(-12, 12, shape)).astype(np.float32)
            for name, shape in (("b", (size,)), ("a", (3, 5)), ("scalar", ()))
        }
        for _ in range(count)
    ]


@given(st.integers(1, 6).flatmap(lambda count: vectors(count, 3)))
@settings(max_examples=150, deadline=None)
def test_each_element_is_the_sequential_float64_sum_divided_by_n(rows):
    result = mean(gradients(rows))["w"]
    for column in range(3):
        total = float(np.float32(rows[0][column]))
        for row in rows[1:]:
            total += float(np.float32(row[column]))
        assert result[column] == total / len(rows)


@given(st.lists(st.integers(-(2**20), 2**20), min_size=1, max_size=9))
@settings(max_examples=100, deadline=None)
def test_the_mean_of_integers_is_the_correctly_rounded_quotient(values):
    result = mean([{"w": np.float32([value])} for value in values])["w"][0]
    assert result == float(Fraction(sum(values), len(values)))


@given(st.integers(0, 2**32), st.integers(1, 45), st.integers(1, 45))
@settings(max_examples=60, deadline=None)
def test_the_chunk_size_changes_no_bit(seed, first, second):
    found = wide_range(seed, 5, 40)
    one, other = mean(found, chunk=first), mean(found, chunk=second)
    assert all(one[name].tobytes() == other[name].tobytes() for name in one)
    stepped = (apply_sgd(found[0], one, 0.1, chunk=chunk) for chunk in (first, second))
    assert content_digest(next(stepped)) == content_digest(next(stepped))


def test_the_order_of_the_miners_decides_the_rounding_and_the_order_of_the_names_does_not():
    found = wide_range(1, 5, 2000)
    expected = mean(found)
    turned = [dict(reversed(gradient.items())) for gradient in found]
    assert list(mean(turned)) == ["a", "b", "scalar"]
    assert all(mean(turned)[name].tobytes() == expected[name].tobytes() for name in expected)
    backwards = mean(found[::-1])
    assert backwards["b"].tobytes() != expected["b"].tobytes()
    assert np.allclose(backwards["b"], expected["b"], rtol=1e-9, atol=1e-3)


def test_shapes_scalars_and_layouts_are_kept():
    found = wide_range(2, 3, 10)
    result = mean(found)
    assert {name: value.shape for name, value in result.items()} == {"a": (3, 5), "b": (10,), "scalar": ()}
    assert all(value.dtype == np.float64 for value in result.values())
    fortran = [{**gradient, "a": np.asfortranarray(gradient["a"])} for gradient in found]
    assert mean(fortran)["a"].tobytes() == result["a"].tobytes()


def test_memory_mapped_gradients_are_aggregated_like_others(tmp_path):
    found = wide_range(3, 3, 5000)
    mapped = []
    for number, gradient in enumerate(found):
        np.save(tmp_path / f"{number}.npy", gradient["b"])
        mapped.append({**gradient, "b": np.load(tmp_path / f"{number}.npy", mmap_mode="r")})
    assert mean(mapped, chunk=512)["b"].tobytes() == mean(found)["b"].tobytes()


def test_gradients_that_differ_in_tensors_are_refused():
    with pytest.raises(AggregationError, match="no gradient"):
        mean([])
    with pytest.raises(WrongNames, match="gradient 1 has other tensors"):
        mean([{"a": np.zeros(1, np.float32)}, {"b": np.zeros(1, np.float32)}])
    with pytest.raises(WrongShape, match="gradient 2 has other shapes"):
        mean([{"a": np.zeros(n, np.float32)} for n in (2, 2, 3)])
    with pytest.raises(ValueError, match="chunk of 0"):
        mean([{"a": np.zeros(1, np.float32)}], chunk=0)


# The registry and its guard


def test_the_mean_is_registered_and_bears_no_byzantine_gradient():
    assert rule_names() == ["mean"]
    found = wide_range(4, 3, 10)
    assert aggregate("mean", found)["b"].tobytes() == mean(found)["b"].tobytes()
    with pytest.raises(AggregationError, match="with 3 gradients bears at most 0 Byzantine ones, not 1"):
        aggregate("mean", found, byzantine=1)
    with pytest.raises(AggregationError, match="not -1"):
        aggregate("mean", found, byzantine=-1)
    with pytest.raises(AggregationError, match="no aggregation rule 'average'") as caught:
        aggregate("average", found)
    assert caught.value.hint == "rules are: mean"


# The step


@given(st.lists(floats, min_size=1, max_size=20), st.floats(1e-6, 1e3), st.data())
@settings(max_examples=100, deadline=None)
def test_the_step_is_computed_in_float64_and_rounded_once(values, rate, data):
    steps = data.draw(st.lists(st.floats(-1e30, 1e30), min_size=len(values), max_size=len(values)))
    start = np.array(values, dtype=np.float32)
    expected = [float(value) - rate * step for value, step in zip(start, steps, strict=True)]
    rounded = [np.float32(value) if abs(value) < 3e38 else None for value in expected]
    if None in rounded:
        return
    result = apply_sgd({"w": start}, {"w": np.array(steps)}, rate)["w"]
    assert result.dtype == np.float32
    assert result.tolist() == [float(value) for value in rounded]


def test_ties_round_to_even():
    half = 2.0**-24
    result = apply_sgd({"w": np.float32([1.0, 1.0 + 2 * half])}, {"w": np.array([-half, -half])}, 1.0)["w"]
    assert result.tolist() == [1.0, 1.0 + 4 * half]


def test_a_step_out_of_the_range_of_float32_is_divergence():
    with pytest.raises(NotFinite, match="tensor 'w' holds -inf"):
        apply_sgd({"w": np.float32([1.0])}, {"w": np.array([1e39])}, 1.0)


def test_an_aggregate_of_another_model_is_refused():
    start = {"w": np.zeros((2, 2), np.float32)}
    with pytest.raises(WrongNames):
        apply_sgd(start, {"v": np.zeros((2, 2))}, 1.0)
    with pytest.raises(WrongShape, match=r"\(4,\)"):
        apply_sgd(start, {"w": np.zeros(4)}, 1.0)


def test_a_process_that_flushes_subnormals_refuses_to_aggregate():
    tiny = [{"w": np.float32([1e-42])}] * 3
    assert mean(tiny)["w"][0] == float(np.float32(1e-42))
    if not torch.set_flush_denormal(True):
        pytest.skip("this processor cannot flush subnormals")
    try:
        with pytest.raises(AggregationError, match="flushes subnormal"):
            mean(tiny)
    finally:
        torch.set_flush_denormal(False)


# Exactness across machines, as far as one machine can vary

PROGRAM = """
import hashlib, os, sys
import numpy as np
if "ATEN_CPU_CAPABILITY" in os.environ:
    import torch
from worker.aggregate import aggregate, apply_sgd
from worker.tensors import encode
generator = np.random.default_rng(5)
shapes = {"w": (311, 257), "b": (1031,), "tiny": (7,)}
gradients = []
for _ in range(7):
    scales = {name: 10.0 ** generator.integers(-9, 9, shape) for name, shape in shapes.items()}
    gradients.append({
        name: (generator.integers(-2**24, 2**24, shape) * scales[name]).astype(np.float32)
        for name, shape in shapes.items()
    })
gradients[3]["tiny"][:] = 1e-42
print(",".join(np.show_config(mode="dicts")["SIMD Extensions"].get("found", [])) or "none")
for chunk in map(int, sys.argv[1:]):
    parts = aggregate("mean", gradients, chunk=chunk)
    digest = hashlib.sha256(b"".join(parts[name].tobytes() for name in sorted(parts)))
    digest.update(encode(apply_sgd(gradients[0], parts, 0.3, chunk=chunk)))
    print(digest.hexdigest())
"""
CHUNKS = ["64", "1000", "65536", "1000003"]


def run(environment: dict[str, str]) -> list[str]:
    """What the program prints: the instruction sets that NumPy uses, then a digest for each chunk size."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PROGRAM, *CHUNKS],
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        text=True,
        timeout=120,
        check=True,
    )
    return done.stdout.split()


def test_threads_chunks_and_instruction_sets_change_no_bit():
    wide, *digests = run({"OMP_NUM_THREADS": "1"})
    assert len(digests) == len(CHUNKS)
    assert set(digests) == {digests[0]}
    assert len(digests[0]) == hashlib.sha256().digest_size * 2
    everything = " ".join(wide.split(","))
    narrow, *others = run(
        {"OMP_NUM_THREADS": "2", "ATEN_CPU_CAPABILITY": "default", "NPY_DISABLE_CPU_FEATURES": everything}
    )
    assert narrow == "none"
    assert others == digests
    if wide != "none":
        most = wide.split(",")[-1]
        fewer, *others = run({"OMP_NUM_THREADS": "1", "NPY_DISABLE_CPU_FEATURES": most})
        assert fewer != wide
        assert others == digests
