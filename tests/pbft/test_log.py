"""The record log under torn tails, damage and failing disks."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pot_chain.pbft import LogDamaged, LogLocked, LogWriteFailed
from pot_chain.pbft.log import MAX_RECORD_BYTES, FileStorage, RecordLog
from pot_chain.pbft.sim.storage import MemoryStorage

OWNER = b"o" * 32
HEADER = 52


def memory(content: bytes = b"") -> MemoryStorage:
    storage = MemoryStorage("test.log")
    storage.replace(content)
    return storage


def written(bodies: list[bytes]) -> bytes:
    storage = memory()
    log = RecordLog(storage, OWNER)
    for body in bodies:
        log.append(body)
    return storage.read()


def test_records_come_back_in_order() -> None:
    log = RecordLog(memory(written([b"one", b"", b"three"])), OWNER)
    assert not log.created
    assert log.records == [b"one", b"", b"three"]


bodies = st.lists(st.binary(max_size=60), min_size=1, max_size=6)


@given(bodies, st.data())
def test_a_log_cut_anywhere_in_its_last_record_keeps_all_others(records: list[bytes], data: st.DataObject) -> None:
    content = written(records)
    start = len(written(records[:-1])) if len(records) > 1 else HEADER
    cut = data.draw(st.integers(start, len(content) - 1))
    storage = memory(content[:cut])
    assert RecordLog(storage, OWNER).records == records[:-1]
    assert len(storage.read()) == start


@given(bodies, st.integers(0, 80))
def test_zeros_in_place_of_the_last_record_are_a_torn_tail(records: list[bytes], zeros: int) -> None:
    storage = memory(written(records) + bytes(zeros))
    assert RecordLog(storage, OWNER).records == records


@given(bodies, st.binary(max_size=60), st.data())
def test_after_a_torn_tail_the_log_goes_on(records: list[bytes], more: bytes, data: st.DataObject) -> None:
    content = written(records)
    storage = memory(content[: data.draw(st.integers(HEADER, len(content)))])
    log = RecordLog(storage, OWNER)
    kept = list(log.records)
    log.append(more)
    assert RecordLog(storage, OWNER).records == [*kept, more]


@given(st.lists(st.binary(max_size=60), min_size=2, max_size=6), st.data())
def test_damage_before_the_last_record_stops_the_start(records: list[bytes], data: st.DataObject) -> None:
    content = bytearray(written(records))
    last = len(written(records[:-1]))
    at = data.draw(st.integers(0, last - 1))
    content[at] ^= data.draw(st.integers(1, 255))
    with pytest.raises(LogDamaged) as caught:
        RecordLog(memory(bytes(content)), OWNER)
    assert caught.value.hint


@given(st.lists(st.binary(min_size=1, max_size=60), min_size=3, max_size=6, unique=True), st.data())
def test_records_can_be_neither_dropped_nor_swapped(records: list[bytes], data: st.DataObject) -> None:
    content = written(records)
    ends = [len(written(records[:count])) for count in range(len(records) + 1)]
    ends[0] = HEADER
    victim = data.draw(st.integers(0, len(records) - 2))
    without = content[: ends[victim]] + content[ends[victim + 1] :]
    with pytest.raises(LogDamaged):
        RecordLog(memory(without), OWNER)


def test_a_body_that_looks_like_a_record_does_not_turn_a_torn_tail_into_damage() -> None:
    """The log id is random, so nobody else can make a header that belongs to this log."""
    foreign = written([b"x", b"y", b"z"])[HEADER:]
    content = written([b"one", foreign])
    storage = memory(content[:-1])
    assert RecordLog(storage, OWNER).records == [b"one"]


def test_a_tail_longer_than_any_record_is_damage() -> None:
    with pytest.raises(LogDamaged):
        RecordLog(memory(written([b"one"]) + b"\1" * (MAX_RECORD_BYTES + 100)), OWNER)


@pytest.mark.parametrize("content", [b"x", b"PoTvote1", b"something else entirely, and long enough to be a header...."])
def test_a_file_that_is_no_log_is_not_overwritten(content: bytes) -> None:
    storage = memory(content)
    with pytest.raises(LogDamaged):
        RecordLog(storage, OWNER)
    assert storage.read() == content


def test_the_log_of_another_owner_does_not_open() -> None:
    with pytest.raises(LogDamaged, match="another key or another deployment"):
        RecordLog(memory(written([b"one"])), b"p" * 32)


def test_rewriting_replaces_everything_at_once() -> None:
    storage = memory(written([b"one", b"two"]))
    log = RecordLog(storage, OWNER)
    log.rewrite([b"three"])
    log.append(b"four")
    assert RecordLog(storage, OWNER).records == [b"three", b"four"]
    assert log.size == len(storage.read())


class FailingStorage(MemoryStorage):
    """A disk that is full, once."""

    def __init__(self) -> None:
        super().__init__("full.log")
        self.full = False

    def append(self, data: bytes) -> None:
        if self.full:
            self.full = False
            self.content += data[:5]
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        super().append(data)


def test_after_a_failed_write_nothing_more_is_taken_until_a_restart() -> None:
    storage = FailingStorage()
    log = RecordLog(storage, OWNER)
    log.append(b"one")
    storage.full = True
    with pytest.raises(LogWriteFailed, match="No space left"):
        log.append(b"two")
    with pytest.raises(LogWriteFailed, match="failed earlier"):
        log.append(b"three")
    assert RecordLog(storage, OWNER).records == [b"one"]


def test_a_record_has_a_largest_size() -> None:
    with pytest.raises(ValueError, match="at most"):
        RecordLog(memory(), OWNER).append(bytes(MAX_RECORD_BYTES + 1))


def test_a_file_is_private_and_locked(tmp_path: Path) -> None:
    path = tmp_path / "state" / "votes.log"
    storage = FileStorage(path)
    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(LogLocked) as caught:
        FileStorage(path)
    assert "another validator process" in caught.value.hint
    storage.close()
    FileStorage(path).close()


def test_a_file_keeps_what_is_appended_truncated_and_replaced(tmp_path: Path) -> None:
    storage = FileStorage(tmp_path / "votes.log")
    storage.append(b"abcdef")
    storage.truncate(3)
    storage.append(b"XYZ")
    assert storage.read() == b"abcXYZ"
    storage.replace(b"new")
    storage.append(b"er")
    assert storage.read() == b"newer"
    storage.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["votes.log", "votes.log.lock"]


def test_a_folder_that_is_none_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(LogWriteFailed, match="cannot be opened") as caught:
        FileStorage(tmp_path / "file" / "votes.log")
    assert caught.value.hint
    (tmp_path / "votes.log").mkdir()
    with pytest.raises(LogWriteFailed, match="cannot be opened"):
        FileStorage(tmp_path / "votes.log")
    (tmp_path / "votes.log").rmdir()
    FileStorage(tmp_path / "votes.log").close()


def test_a_failed_replacement_leaves_the_old_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "votes.log"
    storage = FileStorage(path)
    log = RecordLog(storage, OWNER)
    log.append(b"one")

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(LogWriteFailed, match="No space left"):
            log.rewrite([b"two"])
    log.close()
    storage = FileStorage(path)
    assert RecordLog(storage, OWNER).records == [b"one"]
    storage.close()


def test_a_closed_file_takes_nothing(tmp_path: Path) -> None:
    storage = FileStorage(tmp_path / "votes.log")
    log = RecordLog(storage, OWNER)
    log.close()
    with pytest.raises(LogWriteFailed):
        log.append(b"late")
