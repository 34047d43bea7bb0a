"""Finding the Kubo binary: one on PATH, npm's, or the one that `make kubo` built."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ipfs.errors import KuboMissing

_EXECUTABLE: Final = "ipfs.exe" if os.name == "nt" else "ipfs"
_VERSION: Final = re.compile(r"\d+\.\d+\.\d+[0-9A-Za-z.+-]*")
_SECONDS: Final = 30.0


@dataclass(frozen=True, slots=True)
class KuboBinary:
    """A Kubo that runs on this machine.

    Attributes:
        path: the executable.
        version: what it says it is, such as ``0.42.0``.
    """

    path: Path
    version: str


def cache_folder() -> Path:
    """Where what is built once for all clones is kept: ``$POT_CACHE``, by default ``~/.cache/pot-chain``."""
    return Path(os.environ.get("POT_CACHE") or Path.home() / ".cache" / "pot-chain").expanduser().absolute()


def find_kubo() -> KuboBinary | None:
    """The first Kubo that runs: ``ipfs`` on PATH, npm's ``kubo``, the one of `make kubo`; None if there is none."""
    for path in _candidates():
        version = _version(path)
        if version is not None:
            return KuboBinary(path, version)
    return None


def require_kubo() -> KuboBinary:
    """As :func:`find_kubo`.

    Raises:
        KuboMissing: if there is none.
    """
    found = find_kubo()
    if found is None:
        raise KuboMissing(
            f"no Kubo was found: no `ipfs` on PATH, in node_modules or in {cache_folder() / 'bin'}",
            "run `make kubo` (needs Go) or install Kubo (https://docs.ipfs.tech/install), or use the embedded store",
        )
    return found


def _candidates() -> Iterator[Path]:
    on_path = shutil.which("ipfs")
    if on_path is not None:
        yield Path(on_path)
    # npm's package unpacks its binary there; its bin/ipfs is a placeholder when the download failed.
    for root in dict.fromkeys((Path.cwd(), Path(__file__).resolve().parents[1])):
        yield root / "node_modules" / "kubo" / "kubo" / _EXECUTABLE
    yield cache_folder() / "bin" / _EXECUTABLE


def _version(path: Path) -> str | None:
    if not path.is_file():
        return None
    try:
        answer = subprocess.run(
            [path, "version", "--number"], capture_output=True, text=True, timeout=_SECONDS, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    version = answer.stdout.strip()
    return version if _VERSION.fullmatch(version) else None
