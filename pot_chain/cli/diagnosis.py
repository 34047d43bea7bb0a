"""What ``pot doctor`` looks at: each check says what it found and what to do about it."""

from __future__ import annotations

import importlib.metadata
import json
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from pot_chain.localnet.paths import pot_home
from pot_chain.protocol.errors import PotError

MIN_PYTHON: Final = (3, 11)
MIN_NODE: Final = 20
MIN_FREE_BYTES: Final = 1 << 30
GOOD_FREE_BYTES: Final = 5 << 30
_TIMEOUT_S: Final = 30.0
_VERSION: Final = re.compile(r"\d+(?:\.\d+)+")
_PIN: Final = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;#]+)", re.MULTILINE)
_SETUP: Final = "run `make setup`"


class Verdict(StrEnum):
    """How a check ended."""

    OK = "ok"
    WARNING = "warning"
    """Something is different or less than it could be; everything works."""
    MISSING = "missing"
    """Something does not work before this is put right."""


@dataclass(frozen=True, slots=True)
class Check:
    """``found`` says what there is; ``hint`` what to do unless the verdict is OK."""

    name: str
    verdict: Verdict
    found: str
    hint: str = ""


def diagnose(root: Path) -> Iterator[Check]:
    """All checks, one after the other, so that they can be shown as they come.

    Args:
        root: folder of the checkout, with node_modules and the pins.
    """
    npm = _npm_pins(root)
    checks: list[Callable[[], Check]] = [
        _python,
        lambda: _packages(root),
        _signatures,
        _torch,
        _node,
        lambda: _node_modules(root, npm),
        lambda: _anvil(npm),
        lambda: _forge(root, npm),
        lambda: _solc(root),
        _storage,
        _disk,
    ]
    for check in checks:
        yield check()


def _python() -> Check:
    version = platform.python_version()
    if sys.version_info < MIN_PYTHON:
        return Check("python", Verdict.MISSING, version, "install Python 3.11 or newer")
    return Check("python", Verdict.OK, f"{version} ({sys.executable})")


def _packages(root: Path) -> Check:
    """The installed versions of what pot-chain needs, against constraints.txt."""
    try:
        needed = importlib.metadata.requires("pot-chain") or []
    except importlib.metadata.PackageNotFoundError:
        return Check("packages", Verdict.MISSING, "pot-chain is not installed", _SETUP)
    names = {re.split(r"[^A-Za-z0-9._-]", need, maxsplit=1)[0] for need in needed if "extra ==" not in need}
    pins = {_normal(name): version for name, version in _PIN.findall(_text(root / "constraints.txt"))}
    missing, different = [], []
    for name in sorted(names):
        try:
            version = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            if name != "uvloop" or sys.platform != "win32":
                missing.append(name)
            continue
        pin = pins.get(_normal(name), version)
        if version.partition("+")[0] != pin:
            different.append(f"{name} {version} (pinned: {pin})")
    if missing:
        return Check("packages", Verdict.MISSING, f"not installed: {', '.join(missing)}", _SETUP)
    if different:
        return Check("packages", Verdict.WARNING, "; ".join(different), f"{_SETUP} for the versions that are tested")
    return Check("packages", Verdict.OK, f"{len(names)} at their pinned versions")


def _signatures() -> Check:
    try:
        from pot_chain.chain.connection import assert_fast_signatures

        assert_fast_signatures()
        version = importlib.metadata.version("coincurve")
    except PotError as error:
        return Check("signatures", Verdict.MISSING, error.message, error.hint)
    except ImportError as error:
        return Check("signatures", Verdict.MISSING, str(error), _SETUP)
    return Check("signatures", Verdict.OK, f"libsecp256k1 by coincurve {version}")


def _torch() -> Check:
    try:
        import torch
    except (ImportError, OSError) as error:  # OSError: one of its libraries cannot be loaded
        return Check("torch", Verdict.MISSING, _first_line(str(error)), _SETUP)
    device = torch.cuda.get_device_name(0) if torch.cuda.is_available() else "CPU only: fine for small models"
    return Check("torch", Verdict.OK, f"{torch.__version__} ({device})")


def _node() -> Check:
    binary = shutil.which("node")
    found = _version_of([binary, "--version"]) if binary else None
    if found is None:
        return Check(
            "node", Verdict.WARNING, "not found", f"install Node.js {MIN_NODE} or newer: it brings the chain tools"
        )
    if int(found.partition(".")[0]) < MIN_NODE:
        return Check("node", Verdict.WARNING, found, f"install Node.js {MIN_NODE} or newer")
    return Check("node", Verdict.OK, found)


def _node_modules(root: Path, pins: dict[str, str]) -> Check:
    missing, different = [], []
    for name, pin in sorted(pins.items()):
        text = _text(root / "node_modules" / name / "package.json")
        if not text:
            missing.append(name)
        elif json.loads(text).get("version") != pin:
            different.append(f"{name} {json.loads(text).get('version')} (pinned: {pin})")
    if missing or not pins:
        return Check("node_modules", Verdict.MISSING, f"not installed: {', '.join(missing) or 'package.json'}", _SETUP)
    if different:
        return Check("node_modules", Verdict.WARNING, "; ".join(different), _SETUP)
    return Check("node_modules", Verdict.OK, f"{len(pins)} at their pinned versions")


def _anvil(pins: dict[str, str]) -> Check:
    try:
        from pot_chain.chain.anvil import find_anvil

        binary = find_anvil()
    except PotError as error:
        return Check("anvil", Verdict.MISSING, error.message, error.hint)
    return _tool("anvil", binary, pins.get("@foundry-rs/anvil"), Verdict.MISSING)


def _forge(root: Path, pins: dict[str, str]) -> Check:
    candidates = sorted((root / "node_modules" / "@foundry-rs").glob("forge-*/bin/forge*"))
    on_path = shutil.which("forge")
    binary = candidates[0] if candidates else Path(on_path) if on_path else None
    if binary is None:
        return Check("forge", Verdict.WARNING, "not found", f"{_SETUP}; only the contracts' tests need it")
    return _tool("forge", binary, pins.get("@foundry-rs/forge"), Verdict.WARNING)


def _tool(name: str, binary: Path, pin: str | None, if_broken: Verdict) -> Check:
    found = _version_of([str(binary), "--version"])
    if found is None:
        return Check(name, if_broken, f"{binary} does not run", _SETUP)
    if pin is not None and found != pin:
        return Check(name, Verdict.WARNING, f"{found} (pinned: {pin})", _SETUP)
    return Check(name, Verdict.OK, found)


def _solc(root: Path) -> Check:
    try:
        from pot_chain.chain.project import Project
        from pot_chain.chain.solc import SOLC_VERSION, find_solc

        project = Project.load(root)
        binary = find_solc(project)
    except PotError as error:
        return Check("solc", Verdict.MISSING, error.message, error.hint)
    kind = "npm's, compiled to WebAssembly" if binary == project.solc else "native"
    return Check("solc", Verdict.OK, f"{SOLC_VERSION} ({kind})")


def _storage() -> Check:
    from ipfs.kubo_binary import find_kubo

    found = find_kubo()
    if found is None:
        hint = "run `make kubo`" if shutil.which("go") else "install Kubo, or Go and then run `make kubo`"
        return Check("ipfs", Verdict.WARNING, "no Kubo: networks use the embedded store, on this machine only", hint)
    return Check("ipfs", Verdict.OK, f"Kubo {found.version} ({found.path})")


def _disk() -> Check:
    home = pot_home()
    existing = next(folder for folder in (home, *home.parents) if folder.exists())
    free = shutil.disk_usage(existing).free
    found = f"{free / (1 << 30):.1f} GiB free for {home}"
    if free < MIN_FREE_BYTES:
        return Check("disk", Verdict.MISSING, found, "make room, or set POT_HOME to a folder on another disk")
    if free < GOOD_FREE_BYTES:
        return Check("disk", Verdict.WARNING, found, "checkpoints and gradients of long tasks may need more")
    return Check("disk", Verdict.OK, found)


def _npm_pins(root: Path) -> dict[str, str]:
    text = _text(root / "package.json")
    return dict(json.loads(text).get("dependencies", {})) if text else {}


def _version_of(command: list[str]) -> str | None:
    """First version number that a tool prints."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = _VERSION.search(done.stdout)
    return match.group() if match and done.returncode == 0 else None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return ""


def _normal(name: str) -> str:
    """A distribution's name as packaging compares it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _first_line(text: str) -> str:
    return (text.splitlines() or ["unknown reason"])[0]
