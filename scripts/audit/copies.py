"""Copies of the contracts to work on: tools that clean, patch or mutate never touch the checkout."""

from __future__ import annotations

import posixpath
import re
import shutil
from collections.abc import Iterable
from pathlib import Path

from scripts.audit.project import BUILD, ROOT, AuditError, foundry_config, remappings

IMPORT = re.compile(r"""^\s*import\s+(?:[^"';]*?\sfrom\s+)?["']([^"']+)["']""", re.MULTILINE)


def imports_of(path: str, text: str, mapping: list[tuple[str, str]]) -> list[str]:
    """What a file imports, as paths relative to the root."""
    found = []
    for target in IMPORT.findall(text):
        if target.startswith("."):
            found.append(posixpath.normpath(posixpath.join(posixpath.dirname(path), target)))
            continue
        for prefix, replacement in mapping:
            if target.startswith(prefix):
                target = replacement + target[len(prefix) :]
                break
        found.append(target)
    return found


def closure(roots: Iterable[Path]) -> dict[str, str]:
    """The given files and everything that they import, by path relative to the root."""
    mapping = remappings()
    texts: dict[str, str] = {}
    waiting = [path.as_posix() for path in roots]
    while waiting:
        path = waiting.pop()
        if path in texts:
            continue
        file = ROOT / path
        if not file.is_file():
            raise AuditError(f"{path} is imported but does not exist")
        texts[path] = file.read_text()
        waiting.extend(imports_of(path, texts[path], mapping))
    return texts


def make_copy(name: str, roots: Iterable[Path]) -> Path:
    """A Foundry project in build/audit/<name> with only these files and their imports; build outputs there are kept."""
    folder = BUILD / name
    wanted = closure(roots)
    keep = {*wanted, "foundry.toml"}
    folder.mkdir(parents=True, exist_ok=True)
    for path, text in {**wanted, "foundry.toml": (ROOT / "foundry.toml").read_text()}.items():
        write(folder / path, text)
    for permission in foundry_config().get("fs_permissions", []):
        source = ROOT / permission["path"]
        # what the copy builds is its own
        if source.is_dir() and not permission["path"].startswith("build/"):
            shutil.copytree(source, folder / permission["path"], dirs_exist_ok=True)
    for stale in [path for path in folder.rglob("*.sol") if path.is_file()]:
        relative = stale.relative_to(folder)
        # forge's output folders are named after sources: build/out/Some.sol/
        if relative.parts[0] != "build" and relative.as_posix() not in keep:
            stale.unlink()
    return folder


def write(path: Path, text: str) -> None:
    """Write only what differs, so that forge's cache holds."""
    if path.is_file() and path.read_text() == text:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
