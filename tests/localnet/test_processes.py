"""Processes are recognised by pid and time of creation, and ended gracefully first."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from pot_chain.localnet.processes import ProcessRecord, kill, spawn, tail, terminate

SLEEPER = [sys.executable, "-c", "import time; print('ready', flush=True); time.sleep(600)"]
DEAF = [
    sys.executable,
    "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready', flush=True); time.sleep(600)",
]
POLITE = [
    sys.executable,
    "-c",
    "import signal, sys, time\n"
    "signal.signal(signal.SIGTERM, lambda *_: (print('saved', flush=True), sys.exit(0)))\n"
    "print('ready', flush=True)\n"
    "time.sleep(600)",
]


def await_line(log: Path, text: str, timeout: float = 10.0) -> None:
    deadline = time.monotonic() + timeout
    while text not in tail(log):
        assert time.monotonic() < deadline, f"{text!r} never appeared in {log}"
        time.sleep(0.01)


class Started:
    """Processes of one test, all killed at its end."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.processes: list[subprocess.Popen[bytes]] = []

    def __call__(self, argv: list[str]) -> tuple[ProcessRecord, Path]:
        log = self.folder / f"{len(self.processes)}.log"
        process = spawn(argv, log=log)
        self.processes.append(process)
        await_line(log, "ready")
        return ProcessRecord.of(process.pid), log


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Started]:
    processes = Started(tmp_path)
    yield processes
    for process in processes.processes:
        process.kill()
        process.wait()


def test_a_process_is_found_by_pid_and_creation_time(started: Started) -> None:
    record, _ = started(SLEEPER)
    assert record.alive
    assert ProcessRecord.of(record.pid) == record


def test_another_process_with_the_same_pid_is_not_ours(started: Started) -> None:
    record, _ = started(SLEEPER)
    stranger = replace(record, created=record.created - 5.0)
    assert not stranger.alive
    assert terminate([stranger], timeout=1.0) == []
    assert not kill(stranger, timeout=1.0)
    assert record.alive


def test_terminate_lets_a_process_save_its_state(started: Started) -> None:
    record, log = started(POLITE)
    assert terminate([record], timeout=10.0) == []
    assert not record.alive
    assert "saved" in tail(log)


def test_terminate_kills_what_does_not_listen_and_says_so(started: Started) -> None:
    (deaf, _), (polite, _) = started(DEAF), started(SLEEPER)
    assert terminate([deaf, polite], timeout=0.5) == [deaf]
    assert not deaf.alive
    assert not polite.alive


def test_an_ended_process_is_not_waited_for_because_its_parent_does_not_notice(tmp_path: Path) -> None:
    """A network that one program started may be stopped by another while the first lives."""
    careless = (
        "import subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "print('child', child.pid, flush=True)\n"
        "time.sleep(600)"
    )
    parent = subprocess.Popen([sys.executable, "-c", careless], stdout=subprocess.PIPE, text=True)
    try:
        assert parent.stdout is not None
        record = ProcessRecord.of(int(parent.stdout.readline().split()[1]))
        started = time.monotonic()
        assert terminate([record], timeout=30.0) == []
        assert time.monotonic() - started < 15.0
        assert psutil.Process(record.pid).status() == psutil.STATUS_ZOMBIE
    finally:
        parent.kill()
        parent.communicate()


def test_kill_gives_no_warning(started: Started) -> None:
    record, log = started(POLITE)
    assert kill(record, timeout=10.0)
    assert not record.alive
    assert "saved" not in tail(log)
    assert not kill(record, timeout=10.0)


def test_a_child_that_ended_and_was_not_waited_for_is_not_alive(started: Started) -> None:
    record, _ = started(SLEEPER)
    started.processes[0].send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 10.0
    while psutil.Process(record.pid).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline
    assert not record.alive


def test_spawned_processes_have_their_own_session(started: Started) -> None:
    import os

    record, _ = started(SLEEPER)
    assert os.getsid(record.pid) == record.pid


def test_tail_shows_the_last_lines(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert tail(log) == ""
    log.write_text("\n".join(f"line {number}" for number in range(10_000)) + "\n")
    assert tail(log, lines=2) == "line 9998\nline 9999"
