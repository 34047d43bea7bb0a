"""Compiled contracts, from a cache that several processes may share.

The cache's key is the hash of the compiler's whole input (every source with its imports, settings, compiler version),
so a stale artifact cannot be read; a process with a warm cache starts without a compiler.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from eth_utils import keccak
from filelock import FileLock, Timeout

from pot_chain.chain.errors import CompileError
from pot_chain.chain.project import Project, find_project
from pot_chain.chain.solc import PINNED, compile_standard

LOCK_TIMEOUT_S: Final = 600.0
KEPT_CACHES: Final = 4

Abi = list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Artifact:
    """A compiled contract.

    Attributes:
        name: contract name.
        source: source unit, a path from the project's root.
        abi: JSON ABI.
        bytecode: creation code without constructor arguments; empty for interfaces and abstract contracts.
        runtime: code that lies on chain (immutables still zero).
    """

    name: str
    source: str
    abi: Abi
    bytecode: bytes
    runtime: bytes

    @property
    def bytecode_hash(self) -> str:
        """keccak256 of the creation code, 0x-hex."""
        return "0x" + keccak(self.bytecode).hex()


class Artifacts(Mapping[str, Artifact]):
    """All contracts of a project by name.

    Attributes:
        key: hash of the compiler's input (64 hex digits).
        compiler: full version of the compiler.
    """

    def __init__(self, key: str, compiler: str, contracts: Mapping[str, Artifact]) -> None:
        self.key = key
        self.compiler = compiler
        self._contracts = dict(contracts)

    def __getitem__(self, name: str) -> Artifact:
        try:
            return self._contracts[name]
        except KeyError:
            raise CompileError(
                f"no contract {name!r} among the sources", f"there are {', '.join(sorted(self._contracts))}"
            ) from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._contracts)

    def __len__(self) -> int:
        return len(self._contracts)

    def __contains__(self, name: object) -> bool:
        return name in self._contracts

    def to_json(self) -> dict[str, Any]:
        """JSON form of the cache file."""
        return {
            "key": self.key,
            "compiler": self.compiler,
            "contracts": {
                item.name: {
                    "source": item.source,
                    "abi": item.abi,
                    "bytecode": item.bytecode.hex(),
                    "runtime": item.runtime.hex(),
                }
                for item in self._contracts.values()
            },
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Artifacts:
        """Inverse of ``to_json``; raises KeyError, TypeError or ValueError on anything else."""
        contracts = {
            name: Artifact(
                name, item["source"], item["abi"], bytes.fromhex(item["bytecode"]), bytes.fromhex(item["runtime"])
            )
            for name, item in value["contracts"].items()
        }
        return cls(value["key"], value["compiler"], contracts)


def compile_contracts(project: Project | None = None) -> Artifacts:
    """Artifacts of ``project`` (default: the repository's), compiled only if its sources changed.

    Several processes may call this at once: one compiles, the others wait for it.

    Raises:
        CompileError: sources, imports or the compiler are missing, or the sources have errors.
    """
    project = project or find_project()
    standard_json = project.standard_json()
    key = _key(standard_json)
    path = project.artifacts / f"{key[:16]}.json"
    cached = _read(path, key)
    if cached is not None:
        return cached
    project.artifacts.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(project.artifacts / ".lock", timeout=LOCK_TIMEOUT_S):
            cached = _read(path, key)
            if cached is None:
                cached = _compile(project, standard_json, key)
                _write(path, cached)
    except Timeout as error:
        raise CompileError(
            f"another process has been compiling for {LOCK_TIMEOUT_S:.0f} s", f"end it, or delete {project.artifacts}"
        ) from error
    return cached


def _key(standard_json: dict[str, Any]) -> str:
    identity = {"compiler": PINNED, "input": standard_json}
    return hashlib.sha256(json.dumps(identity, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _compile(project: Project, standard_json: dict[str, Any], key: str) -> Artifacts:
    output = compile_standard(project, standard_json)
    contracts: dict[str, Artifact] = {}
    for source, units in output.get("contracts", {}).items():
        for name, unit in units.items():
            if name in contracts:
                raise CompileError(
                    f"two contracts are called {name}: in {contracts[name].source} and {source}", "rename one"
                )
            evm = unit["evm"]
            contracts[name] = Artifact(
                name, source, unit["abi"], _code(name, evm["bytecode"]), _code(name, evm["deployedBytecode"])
            )
    return Artifacts(key, PINNED, contracts)


def _code(name: str, bytecode: dict[str, Any]) -> bytes:
    try:
        return bytes.fromhex(bytecode["object"])
    except ValueError as error:  # the compiler leaves placeholders where a library's address belongs
        raise CompileError(f"{name} needs a linked library", "make the library's functions internal") from error


def _read(path: Path, key: str) -> Artifacts | None:
    try:
        artifacts = Artifacts.from_json(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None  # missing or damaged: compile again
    return artifacts if artifacts.key == key else None


def _write(path: Path, artifacts: Artifacts) -> None:
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, suffix=".tmp")
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(artifacts.to_json(), file, separators=(",", ":"))
    Path(temporary).replace(path)
    # keep a few, so that switching between branches does not recompile; writers hold the lock
    for old in sorted(path.parent.glob("*.json"), key=lambda item: item.stat().st_mtime, reverse=True)[KEPT_CACHES:]:
        old.unlink(missing_ok=True)
