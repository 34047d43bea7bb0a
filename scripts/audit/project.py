"""Where things are, and how the tools are called. Nothing here knows the contracts of today."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "build" / "audit"
SOURCES = Path("contracts/src")
TESTS = Path("contracts/test")
SNAPSHOTS = ROOT / "contracts" / "snapshots"
AUDIT_BIN = ROOT / "build" / "audit-venv" / "bin"


class AuditError(Exception):
    """A layer could not do its work; the message says why."""


@dataclass(frozen=True)
class Finished:
    """A process that has ended."""

    code: int
    output: str
    errors: str
    timed_out: bool = False

    def tail(self, lines: int = 12) -> str:
        """The last lines of what it printed, errors last."""
        text = (self.output.rstrip() + "\n" + self.errors.rstrip()).strip()
        return "\n".join(text.splitlines()[-lines:])


@contextmanager
def alone() -> Iterator[None]:
    """Two audits of one checkout would work in the same copies."""
    path = ROOT / "build" / "audit.lock"
    path.parent.mkdir(exist_ok=True)
    with path.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            sys.exit("error: another audit of this checkout is running")
        yield


def forge_path() -> Path:
    """The native forge: npm's wrapper exits 0 even when tests fail."""
    found = sorted(ROOT.glob("node_modules/@foundry-rs/forge-*/bin/forge"))
    if not found:
        raise AuditError("no native forge in node_modules: run `make setup`")
    return found[0]


def foundry_config() -> dict[str, Any]:
    """The default profile of foundry.toml."""
    profile: dict[str, Any] = tomllib.loads((ROOT / "foundry.toml").read_text())["profile"]["default"]
    return profile


def remappings() -> list[tuple[str, str]]:
    """Import prefixes and what they stand for, relative to the root."""
    pairs = []
    for entry in foundry_config().get("remappings", []):
        prefix, _, target = entry.partition("=")
        pairs.append((prefix, target))
    return pairs


def source_files(folder: Path = SOURCES) -> list[Path]:
    """Solidity files below `folder`, relative to the root."""
    return sorted(path.relative_to(ROOT) for path in (ROOT / folder).rglob("*.sol"))


def environment(**changes: str) -> dict[str, str]:
    """The environment for Foundry and what calls it: native forge first, nothing from outside, our compiler."""
    env = dict(os.environ)
    for name in [name for name in env if name.startswith(("FOUNDRY_", "DAPP_"))]:
        del env[name]
    env["PATH"] = f"{forge_path().parent}:{AUDIT_BIN}:{env['PATH']}"
    env["FOUNDRY_OFFLINE"] = "true"
    # compiled quickly; what is deployed is built apart (forge_tests.whole_copy)
    env["FOUNDRY_PROFILE"] = "test"
    # the compiler with a memory: many layers build the same sources
    env["FOUNDRY_SOLC"] = str(Path(__file__).with_name("solc_memo"))
    env["AUDIT_SOLC"] = str(ROOT / foundry_config()["solc"])
    env["AUDIT_SOLC_MEMORY"] = str(BUILD / "solc-memory")
    env["NO_COLOR"] = "1"
    env.update(changes)
    return env


def run(
    command: Sequence[str | Path], *, cwd: Path = ROOT, env: Mapping[str, str] | None = None, timeout: float = 3600
) -> Finished:
    """Run to the end or to the time-out; never raises for a failing command."""
    process = subprocess.Popen(
        [str(part) for part in command],
        cwd=cwd,
        env=dict(env) if env is not None else environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    try:
        output, errors = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        # the whole group: halmos and forge leave solvers and compilers behind otherwise
        os.killpg(process.pid, 9)
        output, errors = process.communicate()
        return Finished(process.returncode, output, errors, timed_out=True)
    return Finished(process.returncode, output, errors)
