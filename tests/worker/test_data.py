"""Data sets: built-in and users' own, published, read back, and refused where they are not what they promise."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ipfs.embedded import EmbeddedStore
from pot_chain.protocol import canonical
from worker import tensorfile
from worker.data import (
    ArrayData,
    DataError,
    Dataset,
    DatasetManifest,
    builtin_names,
    fetch_manifest,
    load_dataset,
    load_source,
    pin_dataset,
)
from worker.data.manifest import MAX_MANIFEST_BYTES
from worker.data.split import split


class CountingStore(EmbeddedStore):
    """The embedded store, counting what is fetched from it."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.fetched: list[str] = []

    def get(self, cid: str, *, max_bytes: int, timeout: float | None = None) -> bytes:
        self.fetched.append(cid)
        return super().get(cid, max_bytes=max_bytes, timeout=timeout)


@pytest.fixture
def counting(tmp_path: Path) -> CountingStore:
    return CountingStore(tmp_path / "store")


def small(samples: int = 10, features: tuple[int, ...] = (2, 3)) -> ArrayData:
    size = samples * int(np.prod(features))
    x = np.arange(size, dtype=np.float32).reshape(samples, *features)
    y = np.arange(samples, dtype=np.int64) % 3
    return ArrayData("small", x, y, x[:4] + 0.5, y[:4], classes=3)


# The split and the built-in data


@given(st.integers(2, 300), st.floats(0.01, 0.99))
@settings(max_examples=60, deadline=None)
def test_a_split_is_a_partition_with_something_on_either_side(samples, share):
    train, test = split(samples, share)
    assert sorted([*train, *test]) == list(range(samples))
    assert len(train) >= 1
    assert len(test) >= 1


def test_the_split_is_pinned():
    train, test = split(10)
    assert train.tolist() == [4, 3, 0, 1, 7, 2, 6, 5]
    assert test.tolist() == [9, 8]
    with pytest.raises(ValueError, match="cannot be split"):
        split(1)


def test_digits():
    digits = load_source("digits")
    assert builtin_names() == ["digits"]
    assert digits.x.shape == (1438, 1, 8, 8)
    assert digits.x_test.shape == (359, 1, 8, 8)
    assert digits.x.dtype == np.float32
    assert digits.y.dtype == np.int64
    assert (digits.x.min(), digits.x.max()) == (0, 1)
    assert set(digits.y) == set(digits.y_test) == set(range(10))


def test_digits_that_are_not_the_digits_are_refused(monkeypatch):
    monkeypatch.setattr("worker.data.digits._SHA256", "0" * 64)
    with pytest.raises(DataError, match="not in the installed scikit-learn"):
        load_source("digits")


def test_the_published_digits_are_pinned_so_that_a_task_means_the_same_everywhere(counting):
    assert pin_dataset(load_source("digits"), counting).digest.hex() == (
        "06ae3933769efad05f33a2b519b7fbc2dd9f701c1e4fc2acfa2efa655f73519f"
    )


# Publishing and reading


def test_what_is_published_is_what_is_read(counting):
    data = small()
    pinned = pin_dataset(data, counting, shard_samples=4)
    assert [shard.samples for shard in pinned.manifest.shards] == [4, 4, 2]
    manifest = fetch_manifest(pinned.cid, counting)
    assert manifest == pinned.manifest
    assert hashlib.sha256(manifest.encode()).digest() == pinned.digest
    dataset = load_dataset(manifest, counting)
    x, y = dataset.batch(range(10))
    assert np.array_equal(x, data.x)
    assert np.array_equal(y, data.y)
    tests = list(dataset.test_batches(size=3))
    assert [len(labels) for _, labels in tests] == [3, 1]
    assert np.array_equal(np.concatenate([samples for samples, _ in tests]), data.x_test)


@pytest.fixture(scope="module")
def source() -> ArrayData:
    return load_source("digits")


@given(st.lists(st.integers(0, 1437), max_size=40))
@settings(max_examples=40, deadline=None)
def test_a_batch_keeps_the_order_and_repetitions_asked_for(digits: Dataset, source: ArrayData, indices):
    x, y = digits.batch(indices)
    assert np.array_equal(x, source.x[indices])
    assert np.array_equal(y, source.y[indices])


@pytest.mark.parametrize("indices", [[-1], [0, 10], [10**12]])
def test_numbers_outside_the_data_are_refused(counting, indices):
    dataset = load_dataset(pin_dataset(small(), counting).manifest, counting)
    with pytest.raises(IndexError, match="0 to 9"):
        dataset.batch(indices)


def test_only_the_shards_needed_are_fetched_and_each_once(counting):
    manifest = pin_dataset(small(), counting, shard_samples=4).manifest
    dataset = load_dataset(manifest, counting)
    dataset.batch([9, 8])
    dataset.batch([8])
    assert counting.fetched == [manifest.shards[2].cid]


def test_the_cache_serves_the_next_run_and_a_damaged_file_in_it_is_replaced(counting, tmp_path):
    manifest = pin_dataset(small(), counting).manifest
    cache = tmp_path / "cache"
    expected = load_dataset(manifest, counting, cache).batch([3])[0]
    counting.fetched.clear()
    assert np.array_equal(load_dataset(manifest, counting, cache).batch([3])[0], expected)
    assert counting.fetched == []
    cached = cache / manifest.shards[0].cid
    cached.write_bytes(cached.read_bytes()[:-1] + b"\x7f")
    assert np.array_equal(load_dataset(manifest, counting, cache).batch([3])[0], expected)
    assert counting.fetched == [manifest.shards[0].cid]
    assert hashlib.sha256(cached.read_bytes()).hexdigest() == manifest.shards[0].sha256
    assert [path.name for path in cache.iterdir()] == [manifest.shards[0].cid]


def test_a_cache_that_cannot_be_written_is_an_error_with_a_hint(counting, tmp_path):
    manifest = pin_dataset(small(), counting).manifest
    (tmp_path / "file").write_bytes(b"no folder")
    with pytest.raises(DataError, match=r"cache .* cannot be used: ") as caught:
        load_dataset(manifest, counting, tmp_path / "file").batch([0])
    assert "folder" in caught.value.hint


def test_the_same_data_get_the_same_digest(tmp_path):
    first = pin_dataset(small(), CountingStore(tmp_path / "a"), shard_samples=4)
    second = pin_dataset(small(), CountingStore(tmp_path / "b"), shard_samples=4)
    assert (first.cid, first.digest) == (second.cid, second.digest)


def test_too_many_shards_are_refused(counting):
    with pytest.raises(DataError, match="2004 shards, at most 1024"):
        pin_dataset(small(2000), counting, shard_samples=1)
    with pytest.raises(DataError, match="shards of 0 samples"):
        pin_dataset(small(), counting, shard_samples=0)


# Hostile manifests and shards


def document(counting: CountingStore) -> dict[str, object]:
    found: dict[str, object] = json.loads(pin_dataset(small(), counting, shard_samples=4).manifest.encode())
    return found


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "checkpoint"}, "kind"),
        ({"name": "../../etc"}, "name"),
        ({"name": "x" * 65}, "name"),
        ({"samples": 11}, "samples is 11, its shards hold 10"),
        ({"samples": 10.0}, "samples"),
        ({"samples": "10"}, "samples"),
        ({"test_samples": 5}, "test_samples is 5, its shards hold 4"),
        ({"features": []}, "features"),
        ({"features": [0]}, "features"),
        ({"features": [1] * 5}, "features"),
        ({"features": [1 << 20, 1 << 20]}, "exceeds 67108864 bytes"),
        ({"classes": 1}, "classes"),
        ({"classes": 10**9}, "classes"),
        ({"shards": []}, "shards"),
        ({"shards": [{"cid": "/etc/passwd", "samples": 10}]}, "shards.0.cid"),
        ({"shards": [{"cid": "b" + "a" * 58, "samples": -1}]}, "shards.0.samples"),
        ({"shards": [{"cid": "b" + "a" * 58, "samples": 10, "sha256": "00"}]}, "shards.0.sha256"),
        ({"loader": "os.system"}, "loader"),
        ({"\x1b[2J" * 1000: 1}, "\\x1b[2J"),
    ],
)
def test_a_manifest_with_a_bad_field_is_refused_by_the_fields_name(counting, change, message):
    with pytest.raises(DataError) as caught:
        DatasetManifest.decode(canonical.encode(document(counting) | change))
    assert message in caught.value.message
    assert "pot data add" in caught.value.hint
    assert len(caught.value.message) < 400
    assert caught.value.message.isprintable()


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"null", b'{"a": 1}', b"\xff", b"[" * 100_000, b" " * 300_000])
def test_bytes_that_are_no_manifest_are_refused(data):
    with pytest.raises(DataError, match="manifest"):
        DatasetManifest.decode(data)


def test_a_manifest_without_a_field_is_refused(counting):
    whole = document(counting)
    for name in whole:
        with pytest.raises(DataError, match=f"{name}: Field required"):
            DatasetManifest.decode(canonical.encode({key: value for key, value in whole.items() if key != name}))


def test_a_manifest_that_does_not_fit_a_block_is_not_published(counting):
    manifest = pin_dataset(small(), counting).manifest
    shards = [manifest.shards[0]] * (MAX_MANIFEST_BYTES // 100)
    long = manifest.model_copy(update={"shards": shards})
    with pytest.raises(DataError, match="at most 262,144"):
        long.encode()


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({"x": np.full((2, 3), np.nan, np.float32), "y": np.zeros(2, np.int64)}, "tensor 'x' holds nan"),
        ({"x": np.zeros((2, 3), np.float32), "y": np.array([0, 2])}, "labels run from 0 to 2, not 0 to 1"),
        ({"x": np.zeros((2, 3), np.float32), "y": np.array([-1, 0])}, "labels run from -1 to 0"),
        (
            {"x": np.zeros((3, 3), np.float32), "y": np.zeros(3, np.int64)},
            "tensor 'x' has shape [3, 3], expected [2, 3]",
        ),
        ({"x": np.zeros((2, 3), np.float32)}, "tensor 'y' is missing"),
        ({"x": np.zeros((2, 3), np.float32), "y": np.zeros(2, np.float32)}, "element type F32, expected I64"),
    ],
)
def test_a_shard_that_is_not_what_the_manifest_promises_is_refused(counting, tensors, message):
    good = {"x": np.zeros((2, 3), np.float32), "y": np.array([0, 1])}
    manifest = DatasetManifest.checked(
        name="hostile",
        samples=2,
        test_samples=2,
        features=[3],
        classes=2,
        shards=[{"cid": counting.add(tensorfile.write(tensors)), "samples": 2}],
        test_shards=[{"cid": counting.add(tensorfile.write(good)), "samples": 2}],
    )
    dataset = load_dataset(manifest, counting)
    with pytest.raises(DataError) as caught:
        dataset.batch([0])
    assert message in caught.value.message
    assert manifest.shards[0].cid in caught.value.message
    assert sum(len(y) for _, y in dataset.test_batches()) == 2


def test_a_shard_whose_sha256_is_not_the_manifests_is_refused(counting):
    manifest = pin_dataset(small(), counting).manifest
    lying = manifest.shards[0].model_copy(update={"sha256": "0" * 64})
    dataset = load_dataset(manifest.model_copy(update={"shards": [lying]}), counting)
    with pytest.raises(DataError, match="sha256 is not the one"):
        dataset.batch([0])


# Users' own arrays


def save(folder: Path, **arrays: np.ndarray) -> Path:
    folder.mkdir(exist_ok=True)
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)
    return folder


def test_a_folder_with_its_own_test_set_is_taken_as_it_is(tmp_path):
    x = np.arange(12, dtype=np.uint8).reshape(6, 2)
    folder = save(tmp_path / "My Data!", x=x, y=np.array([0, 1, 2, 0, 1, 3]), x_test=x[:2], y_test=np.array([0, 1]))
    data = load_source(str(folder), scale=2)
    assert data.name == "my-data"
    assert data.classes == 4
    assert np.array_equal(data.x, (x / 2).astype(np.float32))
    assert data.y.dtype == np.int64
    assert len(data.x_test) == 2


def test_a_fifth_is_set_aside_where_there_is_no_test_set(tmp_path):
    x = np.arange(40, dtype=np.float64).reshape(20, 2)
    data = load_source(str(save(tmp_path / "d", x=x, y=np.arange(20) % 2)))
    assert (len(data.x), len(data.x_test)) == (16, 4)
    assert sorted(np.concatenate([data.x, data.x_test])[:, 0]) == list(range(0, 40, 2))
    assert np.array_equal(data.x[:, 0] // 2 % 2, data.y)


def test_an_archive_is_read_alone_or_in_a_folder(tmp_path):
    arrays = {"x": np.ones((10, 3)), "y": np.arange(10) % 2}
    np.savez_compressed(tmp_path / "train.npz", **arrays, unrelated=np.zeros(1))
    alone, inside = load_source(str(tmp_path / "train.npz")), load_source(str(tmp_path))
    assert alone.name == "train"
    assert np.array_equal(alone.x, inside.x)


def test_large_arrays_are_converted_piece_by_piece_with_the_right_sample_named(tmp_path):
    x = np.zeros((3000, 1024), dtype=np.float32)
    x[2500, 7] = np.inf
    folder = save(tmp_path / "d", x=x, y=np.arange(3000) % 2)
    with pytest.raises(DataError, match="array 'x' holds inf in sample 2500"):
        load_source(str(folder))
    x[2500, 7] = 0.5
    np.save(folder / "x.npy", x)
    data = load_source(str(folder))
    assert np.concatenate([data.x, data.x_test]).sum() == 0.5


X, Y = np.ones((4, 2)), np.array([0, 1, 0, 1])
PICKLED = np.array([{"a": 1}, {}, {}, {}], dtype=object)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"y": Y}, "has no array 'x'"),
        ({"x": X}, "has no array 'y'"),
        ({"x": X, "y": Y, "x_test": X}, "only one of x_test and y_test"),
        ({"x": X[:3], "y": Y}, "'x' has 3 samples, 'y' has 4 labels"),
        ({"x": X, "y": Y, "x_test": X, "y_test": Y[:2]}, "'x_test' has 4 samples, 'y_test' has 2 labels"),
        (
            {"x": X, "y": Y, "x_test": np.ones((4, 3)), "y_test": Y},
            "samples of x have shape [2], samples of x_test [3]",
        ),
        ({"x": X[:, 0], "y": Y}, "array 'x' has shape [4]"),
        ({"x": np.ones((4, 1, 1, 1, 1, 1)), "y": Y}, "array 'x' has shape"),
        ({"x": X.astype(complex), "y": Y}, "complex128, not real numbers"),
        ({"x": X.astype(str), "y": Y}, "not real numbers"),
        ({"x": PICKLED, "y": Y}, "cannot be read"),
        ({"x": X * np.nan, "y": Y}, "holds nan in sample 0"),
        ({"x": X * 1e300, "y": Y}, "in sample 0"),
        ({"x": X, "y": Y + 0.5}, "array 'y' holds float64"),
        ({"x": X, "y": Y[:, None]}, "of shape [4, 1]"),
        ({"x": X, "y": Y - 1}, "labels in 'y' run from -1 to 0"),
        ({"x": X, "y": Y * 70_000}, "labels in 'y' run from 0 to 70000"),
        ({"x": X, "y": Y * 0}, "all labels are 0"),
        ({"x": X[:1], "y": Y[:1]}, "one sample cannot be split"),
    ],
)
def test_bad_arrays_are_refused_by_name(tmp_path, arrays, message):
    with pytest.raises(DataError) as caught:
        load_source(str(save(tmp_path / "d", **arrays)))
    assert message in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("d.npz", b"no archive"),
        ("d.npz", b""),
        ("d.npz", b"PK\x03\x04 cut short"),
        ("d.npz", b"\x93NUMPY\x01\x00\x02\x00{}"),
        ("d.csv", b"1,2\n"),
    ],
)
def test_damaged_or_foreign_files_are_refused(tmp_path, file, content):
    path = tmp_path / file
    path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        load_source(str(path))
    assert file in caught.value.message


def test_an_array_where_an_archive_should_be_and_the_reverse(tmp_path):
    with (tmp_path / "a.npz").open("wb") as file:
        np.save(file, X)
    with pytest.raises(DataError, match="is one NumPy array, not an archive"):
        load_source(str(tmp_path / "a.npz"))
    folder = save(tmp_path / "d", y=Y)
    with (folder / "x.npy").open("wb") as file:
        np.savez(file, x=X)
    with pytest.raises(DataError, match="is an archive, not one NumPy array"):
        load_source(str(folder))


def test_an_archive_that_was_damaged_inside_is_refused(tmp_path):
    path = tmp_path / "d.npz"
    np.savez_compressed(path, x=np.random.default_rng(0).random((100, 10)), y=np.arange(100) % 2)
    content = bytearray(path.read_bytes())
    content[500:520] = bytes(20)
    path.write_bytes(content)
    with pytest.raises(DataError, match="cannot be read"):
        load_source(str(path))


def test_a_source_that_does_not_exist_lists_what_does():
    with pytest.raises(DataError, match="no data set 'mnist'") as caught:
        load_source("mnist")
    assert "digits" in caught.value.hint


@pytest.mark.parametrize("scale", [0, -1, np.nan, np.inf])
def test_a_scale_that_cannot_divide_is_refused(tmp_path, scale):
    with pytest.raises(DataError, match="scale is"):
        load_source(str(save(tmp_path / "d", x=X, y=Y)), scale=scale)
