"""Processes that outlive the command that started them, recognised again by pid *and* time of creation."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

CREATED_TOLERANCE_S: Final = 2.0
"""Times of creation rest on the boot time, which moves when the clock is set. No number comes round again this soon."""

_POLL_S: Final = 0.02


@dataclass(frozen=True, slots=True)
class ProcessRecord:
    """A process as it was when it was started.

    Attributes:
        pid: its number, which the system gives to another process once this one has ended.
        created: time of creation, seconds since 1970: what tells the two apart.
    """

    pid: int
    created: float

    @classmethod
    def of(cls, pid: int) -> ProcessRecord:
        """The record of a running process.

        Raises:
            psutil.NoSuchProcess: it has ended.
        """
        return cls(pid, psutil.Process(pid).create_time())

    def find(self) -> psutil.Process | None:
        """The process, or None if it has ended, even if its number lives on."""
        try:
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.created) <= CREATED_TOLERANCE_S
            return process if same and process.status() != psutil.STATUS_ZOMBIE else None
        except psutil.NoSuchProcess:
            return None

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return self.find() is not None


def spawn(argv: Sequence[str], *, log: Path, env: Mapping[str, str] | None = None) -> subprocess.Popen[bytes]:
    """Start ``argv`` detached: its own session (a Ctrl-C of ours is not its own), output appended to ``log``.

    Args:
        env: variables set in addition to ours.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        return subprocess.Popen(
            list(argv),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(env or {})},
            start_new_session=True,
        )


def terminate(records: Iterable[ProcessRecord], timeout: float) -> list[ProcessRecord]:
    """End the processes: SIGTERM, and SIGKILL for what still runs after ``timeout`` seconds.

    Returns:
        Those that had to be killed.
    """
    known = list(records)
    for record in known:
        _signal(record, kill=False)
    stubborn = _wait(known, timeout)
    for record in stubborn:
        _signal(record, kill=True)
    _wait(stubborn, timeout)
    return stubborn


def kill(record: ProcessRecord, timeout: float) -> bool:
    """SIGKILL, without warning; returns whether it was running."""
    if not record.alive:
        return False
    _signal(record, kill=True)
    _wait([record], timeout)
    return True


def _wait(records: Sequence[ProcessRecord], timeout: float) -> list[ProcessRecord]:
    """Wait until the processes have ended; returns those that still run after ``timeout`` seconds.

    Not ``psutil.wait_procs``: that waits until a number is free again, which the parent of an ended process may put off
    for as long as it lives.
    """
    deadline = time.monotonic() + timeout
    running = [record for record in records if record.alive]
    while running and time.monotonic() < deadline:
        time.sleep(_POLL_S)
        running = [record for record in running if record.alive]
    return running


def tail(log: Path, lines: int = 15, limit: int = 16_384) -> str:
    """The last ``lines`` lines of a log (of its last ``limit`` bytes); empty if there is none."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - limit))
            text = file.read().decode("utf-8", errors="replace")
    except FileNotFoundError:
        return ""
    return "\n".join(text.splitlines()[-lines:])


def _signal(record: ProcessRecord, *, kill: bool) -> None:
    process = record.find()
    if process is None:
        return
    try:
        if kill:
            process.kill()
        else:
            process.terminate()
    except psutil.NoSuchProcess:
        return  # it has ended by itself, which is what was wanted
