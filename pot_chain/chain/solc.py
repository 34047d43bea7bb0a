"""The pinned Solidity compiler: the native one where it can be had, else npm's behind ``scripts/solc``.

Both are the same version and commit and produce the same bytes.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import solcx
from solcx.exceptions import SolcError

from pot_chain.chain.errors import CompileError
from pot_chain.chain.project import Project

SOLC_VERSION: Final = "0.8.37"
SOLC_COMMIT: Final = "f401782d"
"""Commit of that release; a compiler that says otherwise is not the pinned one."""
PINNED: Final = f"{SOLC_VERSION}+commit.{SOLC_COMMIT}"

INSTALL_TIMEOUT_S: Final = 30.0
_VERSION_LINE: Final = re.compile(r"Version: (?P<version>[0-9.]+)\+commit\.(?P<commit>[0-9a-f]+)")


def compile_standard(project: Project, standard_json: dict[str, Any]) -> dict[str, Any]:
    """Compile; returns the compiler's standard JSON output.

    Raises:
        CompileError: no compiler, or errors in the sources (the message is the compiler's).
    """
    binary = find_solc(project)
    try:
        output: dict[str, Any] = solcx.compile_standard(standard_json, solc_binary=binary)
    except SolcError as error:
        if error.error_dict:
            raise CompileError(f"the contracts do not compile:\n{error.message.strip()}") from error
        reason = (error.stderr_data or error.message).strip()
        raise CompileError(f"the Solidity compiler {binary} does not work: {reason}", "run `make setup`") from error
    except (OSError, subprocess.SubprocessError, json.JSONDecodeError) as error:
        raise CompileError(f"the Solidity compiler {binary} does not work: {error}", "run `make setup`") from error
    _check_version(binary, output)
    return output


def _check_version(binary: Path, output: dict[str, Any]) -> None:
    """Refuse the output of a compiler that is not the pinned one; a separate ``--version`` would take half a second."""
    for units in output.get("contracts", {}).values():
        for unit in units.values():
            version = json.loads(unit["metadata"])["compiler"]["version"] if unit.get("metadata") else PINNED
            if version != PINNED:
                raise CompileError(f"{binary} is Solidity {version}, not {PINNED}", "run `make setup`")


def find_solc(project: Project) -> Path:
    """Executable of the pinned compiler.

    The first call in a checkout tries to install the native compiler; a failure is remembered next to the
    artifacts (until `make clean`), so that an offline machine waits for the network once.

    Raises:
        CompileError: neither the native compiler nor Node.js with npm's solc is there.
    """
    return _native(project) or _shim(project)


def _native(project: Project) -> Path | None:
    try:
        binary = Path(solcx.install.get_executable(SOLC_VERSION))
    except solcx.exceptions.SolcNotInstalled:
        binary = None
    if binary is not None:
        return binary if _is_pinned(binary) else None
    note = project.artifacts / f"no-native-solc-{SOLC_VERSION}"
    if note.exists():
        return None
    reason = _install()
    if reason is None:
        binary = Path(solcx.install.get_executable(SOLC_VERSION))
        if _is_pinned(binary):
            return binary
        reason = f"{binary} is not {PINNED}"
    project.artifacts.mkdir(parents=True, exist_ok=True)
    note.write_text(reason + "\n", encoding="utf-8")
    return None


def _install() -> str | None:
    """Install the native compiler; returns why not. In a process of its own: solcx's downloads know no time-out."""
    code = f"import solcx; solcx.install_solc({SOLC_VERSION!r})"
    try:
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, timeout=INSTALL_TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired:
        # the kill may have left half a file; _is_pinned would refuse it, but solcx would take it for installed for ever
        Path(solcx.install.get_solcx_install_folder(), f"solc-v{SOLC_VERSION}").unlink(missing_ok=True)
        return f"no native compiler within {INSTALL_TIMEOUT_S:.0f} s"
    if done.returncode != 0:
        return (done.stderr.strip().splitlines() or ["unknown reason"])[-1]
    return None


def _is_pinned(binary: Path) -> bool:
    try:
        done = subprocess.run([binary, "--version"], capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    match = _VERSION_LINE.search(done.stdout)
    return match is not None and match["version"] == SOLC_VERSION and match["commit"] == SOLC_COMMIT


def _shim(project: Project) -> Path:
    if shutil.which("node") is None:
        raise CompileError(
            "the contracts need a compiler: Node.js is not installed and no native solc can be fetched",
            "install Node.js 20 or newer, then run `make setup`",
        )
    if not (project.root / "node_modules" / "solc" / "package.json").exists():
        raise CompileError("the Solidity compiler is not installed", "run `make setup`")
    if not os.access(project.solc, os.X_OK):
        raise CompileError(f"{project.solc} is missing or not executable", "restore it from the repository")
    return project.solc
