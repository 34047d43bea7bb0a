#!/usr/bin/env python3
"""Build the pinned Kubo (the IPFS daemon) from its Go module into the cache, once; `make kubo` calls this.

Needs Go and the Go module proxy, nothing else; runs before the virtual environment exists, hence standard library only.
Kubo's own go.mod and go.sum decide every dependency. `go install` of the same version would do, were it not that it
refuses modules with replace directives and asks the proxy for the list of versions, which not every proxy gives.

The pinned version stands in the file VERSION beside this script. The binary goes to $POT_CACHE/bin (default
~/.cache/pot-chain/bin), where `ipfs.kubo_binary` finds it.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import stat
import subprocess
import sys
import tempfile
import time
from pathlib import Path

MODULE = "github.com/ipfs/kubo"
VERSION = (Path(__file__).parent / "VERSION").read_text(encoding="utf-8").strip()


def main() -> int:
    parser = argparse.ArgumentParser(description=f"Build Kubo {VERSION} into the cache unless it is there.")
    parser.add_argument("--print-path", action="store_true", help="print where the binary belongs and do nothing else")
    arguments = parser.parse_args()
    target = binary_path()
    if arguments.print_path:
        print(target)
        return 0
    if installed_version(target) == VERSION:
        print(f"kubo {VERSION} is there already: {target}")
        return 0
    go = shutil.which("go")
    if go is None:
        return fail("Go is not installed", "install Go (https://go.dev/dl) or put a Kubo `ipfs` binary on PATH")
    started = time.monotonic()
    print(f"kubo {VERSION}: fetching the source", flush=True)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        build(go, target)
    except subprocess.CalledProcessError as error:
        return fail(f"`{' '.join(error.cmd)}` exited with {error.returncode}", "its own message stands above")
    except OSError as error:
        return fail(str(error), f"check that {target.parent} is writable and its disk has 2 GB left")
    print(f"kubo {VERSION}: built in {time.monotonic() - started:.0f} s: {target}")
    return 0


def binary_path() -> Path:
    """Where the binary belongs."""
    cache = os.environ.get("POT_CACHE") or Path.home() / ".cache" / "pot-chain"
    return Path(cache).expanduser().absolute() / "bin" / ("ipfs.exe" if os.name == "nt" else "ipfs")


def installed_version(binary: Path) -> str | None:
    """The version of a Kubo binary as `v1.2.3`, None if it does not run."""
    try:
        answer = subprocess.run([binary, "version", "--number"], capture_output=True, text=True, timeout=60, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return "v" + answer.stdout.strip()


def build(go: str, target: Path) -> None:
    """Fetch the module, build it in a writable copy and move the binary to its place in one step."""
    # The module's own requirements decide; a workspace or flags of the user's must not.
    environment = os.environ | {"GOFLAGS": "", "GOWORK": "off", "CGO_ENABLED": "0"}
    with tempfile.TemporaryDirectory(prefix="kubo-", dir=target.parent) as folder:
        # Outside any module of the caller's: its replace directives would apply otherwise.
        download = [go, "mod", "download", "-json", f"{MODULE}@{VERSION}"]
        answer = subprocess.run(download, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True, check=True)
        source = Path(folder) / "source"
        shutil.copytree(json.loads(answer.stdout)["Dir"], source)
        for path in [source, *source.rglob("*")]:  # Go's module cache is read-only
            path.chmod(path.stat().st_mode | stat.S_IWUSR)
        print(f"kubo {VERSION}: building, which takes some minutes the first time", flush=True)
        binary = Path(folder) / target.name
        command = [go, "build", "-trimpath", "-buildvcs=false", "-o", str(binary), "./cmd/ipfs"]
        subprocess.run(command, cwd=source, env=environment, check=True)
        if installed_version(binary) != VERSION:
            raise OSError(f"the binary that was built says {installed_version(binary)}, not {VERSION}")
        binary.replace(target)


def fail(message: str, hint: str) -> int:
    print(f"error: {message}\nhint: {hint}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
