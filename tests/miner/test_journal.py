"""The journal: what was saved is read back whole, everything else is called damaged."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from worker.miner_journal import JournalDamaged, JournalUnwritable, Sealed, SubmissionJournal

digests = st.binary(min_size=32, max_size=32)
entries = st.builds(
    Sealed,
    round=st.integers(0, (1 << 53) - 1),
    cid_digest=digests,
    salt=digests,
    seal=digests,
    gradient=st.text(st.characters(codec="utf-8"), max_size=80),
    opening=digests,
)
in_a_folder = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
ENTRY = Sealed(3, b"\x01" * 32, b"\x02" * 32, b"\x03" * 32, "bafy", b"\x04" * 32)


@pytest.fixture
def journal(tmp_path: Path) -> SubmissionJournal:
    return SubmissionJournal(tmp_path / "task-1")


@in_a_folder
@given(entries)
def test_what_is_saved_is_read_back(tmp_path: Path, entry: Sealed) -> None:
    SubmissionJournal(tmp_path).save(entry)
    assert SubmissionJournal(tmp_path).load(entry.round) == entry


def test_rounds_ascend_and_can_be_forgotten(journal: SubmissionJournal) -> None:
    for number in (10, 2, 0):
        journal.save(Sealed(number, *(b"\x01" * 32,) * 3, "bafy", b"\x04" * 32))
    assert list(journal.rounds()) == [0, 2, 10]
    journal.forget(2)
    journal.forget(2)
    assert list(journal.rounds()) == [0, 10]
    assert journal.load(2) is None


def test_a_later_entry_replaces_the_earlier_one(journal: SubmissionJournal) -> None:
    journal.save(ENTRY)
    other = Sealed(3, *(b"\x09" * 32,) * 3, "other", b"\x09" * 32)
    journal.save(other)
    assert journal.load(3) == other


def test_only_the_owner_can_read_it(tmp_path: Path) -> None:
    """The salt is a secret until the reveal."""
    SubmissionJournal(tmp_path / "task-1").save(ENTRY)
    assert (tmp_path / "task-1").stat().st_mode & 0o077 == 0
    assert (tmp_path / "task-1" / "3.json").stat().st_mode & 0o077 == 0


@in_a_folder
@given(st.data())
def test_a_torn_or_overwritten_file_is_damaged(tmp_path: Path, data: st.DataObject) -> None:
    journal = SubmissionJournal(tmp_path)
    journal.save(ENTRY)
    path = tmp_path / "3.json"
    whole = path.read_bytes()
    length = data.draw(st.integers(0, len(whole) - 1))
    path.write_bytes(data.draw(st.sampled_from([whole[:length], whole[:length] + bytes(len(whole) - length)])))
    with pytest.raises(JournalDamaged, match=r"3\.json"):
        journal.load(3)


@in_a_folder
@given(st.binary(max_size=400))
def test_garbage_is_damaged(tmp_path: Path, garbage: bytes) -> None:
    (tmp_path / "3.json").write_bytes(garbage)
    with pytest.raises(JournalDamaged):
        SubmissionJournal(tmp_path).load(3)


@pytest.mark.parametrize(
    "changes",
    [
        {"round": 4},
        {"round": "3"},
        {"round": True},
        {"seal": "0x12"},
        {"salt": None},
        {"gradient": 5},
        {"opening": "0x" + "AB" * 32},
        {"unknown": 1},
    ],
)
def test_other_values_are_damaged(tmp_path: Path, changes: dict[str, object]) -> None:
    journal = SubmissionJournal(tmp_path)
    journal.save(ENTRY)
    path = tmp_path / "3.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    with pytest.raises(JournalDamaged):
        journal.load(3)


@pytest.mark.parametrize("content", [b"[" * 5_000, b"[" * 100_000_00, b'"' + b"x" * 10_000 + b'"'])
def test_the_size_and_depth_of_what_is_read_are_bounded(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "3.json").write_bytes(content)
    with pytest.raises(JournalDamaged):
        SubmissionJournal(tmp_path).load(3)


def test_something_else_in_its_place_is_damaged(tmp_path: Path) -> None:
    (tmp_path / "3.json").mkdir()
    (tmp_path / "notes.txt").write_text("")
    journal = SubmissionJournal(tmp_path)
    with pytest.raises(JournalDamaged):
        journal.load(3)
    assert list(journal.rounds()) == [3]


def test_a_folder_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(JournalUnwritable) as caught:
        SubmissionJournal(tmp_path / "file" / "task-1")
    assert caught.value.hint
    journal = SubmissionJournal(tmp_path / "task-1")
    (tmp_path / "task-1").rmdir()
    with pytest.raises(JournalUnwritable):
        journal.save(ENTRY)


KILLED_WHILE_SAVING = """
import os, sys
from pathlib import Path
from worker.miner_journal import Sealed, SubmissionJournal
steps = int(sys.argv[2])
def trace(frame, event, argument):
    global steps
    if event == "line":
        steps -= 1
        if steps < 0:
            os.kill(os.getpid(), 9)
    return trace
journal = SubmissionJournal(Path(sys.argv[1]))
new = Sealed(3, *(b"\\x09" * 32,) * 3, "new", b"\\x09" * 32)
sys.settrace(trace)
journal.save(new)
"""


def test_a_save_that_is_killed_at_any_line_leaves_the_old_entry_or_the_new(tmp_path: Path) -> None:
    outcomes = set()
    for steps in (0, 3, 5, 8, 12, 20, 40, 1_000_000):
        folder = tmp_path / str(steps)
        journal = SubmissionJournal(folder)
        journal.save(ENTRY)
        killed = subprocess.run(
            [sys.executable, "-c", KILLED_WHILE_SAVING, str(folder), str(steps)],
            check=False,
            env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
        )
        found = journal.load(3)
        assert found is not None
        outcomes.add((killed.returncode, found.gradient))
        journal.save(ENTRY)  # a leftover of the killed process is in nobody's way
        assert journal.load(3) == ENTRY
    assert {(-9, "bafy"), (0, "new")} <= outcomes
    assert {gradient for _, gradient in outcomes} == {"bafy", "new"}
