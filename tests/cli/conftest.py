"""The real command against a real local network."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import select
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pot_chain.localnet.network import Network

POT = [sys.executable, "-P", "-m", "pot_chain.cli"]
TIMEOUT_S = 120.0
ETHER = 10**18

SPEC = """
name = "digits"
[model]
name = "mlp"
params = { inputs = 64, hidden = [8], classes = 10 }
[data]
source = "digits"
[training]
rounds = 3
samples_per_miner = 32
learning_rate = 0.5
[miners]
min = 2
[rewards]
budget = "3eth"
[timing]
commit_window = "60s"
reveal_window = "20s"
finalize_window = "60s"
"""


@dataclass(frozen=True)
class Result:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Its output, which is one JSON document."""
        return json.loads(self.out)

    def succeeded(self) -> Result:
        assert self.code == 0, self.err
        return self

    def failed(self, cause: str, hint: str, code: int = 1) -> Result:
        """Check the shape that every error has: one line of cause, one of hint, on stderr, and nothing else there."""
        lines = self.err.strip().splitlines()[-2:]
        assert self.code == code, f"exit code {self.code}: {self.out}\n{self.err}"
        assert len(lines) == 2, self.err
        assert lines[0].startswith("error: "), self.err
        assert lines[1].startswith("hint: "), self.err
        assert cause in lines[0], lines[0]
        assert hint in lines[1], lines[1]
        assert "Traceback" not in self.err
        return self


class Zygote:
    """Runs commands in forks of a process that has loaded everything (see ``zygote.py``)."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-P", str(Path(__file__).with_name("zygote.py")), str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                env={**os.environ, "OMP_NUM_THREADS": "1"},
            )
        self._socket = ours
        self._socket.settimeout(TIMEOUT_S)
        self._answers = ours.makefile("r", encoding="utf-8")
        assert self._answers.readline() == "ready\n"

    def run(self, arguments: Sequence[str], env: Mapping[str, str], folder: Path, text: str) -> Result:
        request = json.dumps({"arguments": list(arguments), "env": dict(env), "folder": str(folder)}).encode()
        with tempfile.TemporaryFile() as stdin, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            stdin.write(text.encode())
            stdin.seek(0)
            socket.send_fds(self._socket, [request], [stdin.fileno(), out.fileno(), err.fileno()])
            code = int(self._answers.readline())
            out.seek(0)
            err.seek(0)
            return Result(code, out.read().decode(), err.read().decode())

    def close(self) -> None:
        self._answers.close()
        self._socket.close()
        self._process.wait(TIMEOUT_S)


@dataclass
class Shell:
    """Runs ``pot`` with a home folder of its own."""

    home: Path
    zygote: Zygote

    def __call__(self, *arguments: object, env: Mapping[str, str] | None = None, text: str = "") -> Result:
        return self.zygote.run([*map(str, arguments)], self.environment(env), self.home, text)

    def start(self, *arguments: object) -> subprocess.Popen[str]:
        """Start ``pot`` and go on; its output is piped."""
        return subprocess.Popen(
            [*POT, *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=self.environment(),
            cwd=self.home,
        )

    def in_terminal(self, *arguments: object, answers: Sequence[str] = ()) -> tuple[int, str]:
        """Run ``pot`` at a terminal and answer its questions; returns the exit code and what was on the screen."""
        child, terminal = pty.fork()
        if child == 0:
            os.chdir(self.home)
            command = [*POT, *map(str, arguments)]
            os.execve(command[0], command, self.environment({"COLUMNS": "160", "LINES": "50", "TERM": "xterm"}))
        try:
            screen = self._converse(terminal, list(answers))
        finally:
            os.close(terminal)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), screen

    def _converse(self, terminal: int, answers: list[str]) -> str:
        screen, seen, deadline = "", 0, time.monotonic() + TIMEOUT_S
        while time.monotonic() < deadline:
            if not select.select([terminal], [], [], 1.0)[0]:
                continue
            try:
                data = os.read(terminal, 65_536)
            except OSError:  # how Linux says that the other side is closed
                data = b""
            if not data:
                return screen
            screen += data.decode("utf-8", "replace")
            if answers and screen.rstrip(" ").endswith(":") and len(screen) > seen:
                seen = len(screen)
                os.write(terminal, (answers.pop(0) + "\n").encode())
        raise AssertionError(f"the command did not end: {screen}")

    def environment(self, extra: Mapping[str, str] | None = None) -> dict[str, str]:
        clean = {key: value for key, value in os.environ.items() if not key.startswith("POT_")}
        return {
            **clean,
            "POT_HOME": str(self.home),
            "OMP_NUM_THREADS": "1",
            "NO_COLOR": "1",
            **(extra or {}),
        }

    def network(self, name: str = "default") -> Network:
        return Network(self.home / "networks" / name)

    def spec(self, text: str = SPEC, name: str = "spec.toml") -> Path:
        """A spec file in the home folder."""
        path = self.home / name
        path.write_text(text)
        return path


@pytest.fixture(scope="session")
def zygote() -> Iterator[Zygote]:
    zygote = Zygote()
    yield zygote
    zygote.close()


@pytest.fixture(scope="session")
def pot(tmp_path_factory: pytest.TempPathFactory, zygote: Zygote) -> Iterator[Shell]:
    """``pot`` with an empty home folder; networks that are left in it are stopped at the end."""
    shell = Shell(tmp_path_factory.mktemp("home"), zygote)
    yield shell
    for path in sorted((shell.home / "networks").glob("*/network.json")):
        Network(path.parent).stop()


@pytest.fixture(scope="session")
def up(pot: Shell) -> Shell:
    """``pot`` with the network ``default`` running."""
    pot("up").succeeded()
    return pot


@dataclass(frozen=True)
class Trained:
    """A task that two miners have trained to its end.

    Attributes:
        events: what `pot task watch --json --accuracy` printed.
    """

    task_id: int
    miners: tuple[str, str]
    events: list[dict[str, Any]]


@pytest.fixture(scope="session")
def trained(up: Shell) -> Trained:
    task_id = up("task", "create", up.spec(), "--json").succeeded().json["task_id"]
    network = up.network()
    names = ("miner-0", "miner-1")
    for name in names:
        network.start_miner(name, task_id)
    watched = up("task", "watch", task_id, "--json", "--accuracy").succeeded()
    addresses = [network.wallet(name).address for name in names]
    return Trained(task_id, (addresses[0], addresses[1]), [json.loads(line) for line in watched.out.splitlines()])


@contextlib.contextmanager
def ended(process: subprocess.Popen[str]) -> Iterator[subprocess.Popen[str]]:
    """Kills what a test started and could not end."""
    try:
        yield process
    finally:
        process.kill()
        process.communicate()
