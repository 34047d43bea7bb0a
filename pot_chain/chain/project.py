"""Where the Solidity sources lie and how they are compiled: foundry.toml is the only place that says so."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final

from pot_chain.chain.errors import CompileError

_IMPORT: Final = re.compile(r"""^\s*import\b(?:[^"';]*?\bfrom)?\s*(["'])(?P<path>[^"']+)\1""", re.MULTILINE)
# string literals are matched first, so that "https://…" is not taken for a comment
_COMMENT_OR_STRING: Final = re.compile(r"""("(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')|//[^\n]*|/\*.*?\*/""", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Project:
    """A Foundry project.

    Attributes:
        root: folder of foundry.toml.
        source: folder of the contracts, relative to the root, with forward slashes.
        solc: executable that stands in for a native compiler, absolute.
        remappings: import remappings ``prefix=target`` as in foundry.toml.
        settings: ``settings`` of the compiler's standard JSON input without remappings and output selection.
        artifacts: folder of the compiler cache, absolute.
    """

    root: Path
    source: str
    solc: Path
    remappings: tuple[str, ...]
    settings: dict[str, Any]
    artifacts: Path

    @classmethod
    def load(cls, root: Path) -> Project:
        """Read ``root/foundry.toml``.

        Raises:
            CompileError: no such file, or it is malformed.
        """
        path = root / "foundry.toml"
        try:
            profile = tomllib.loads(path.read_text(encoding="utf-8"))["profile"]["default"]
            return cls(
                root=root.resolve(),
                source=str(PurePosixPath(profile["src"])),
                solc=(root / profile["solc"]).resolve(),
                remappings=tuple(profile.get("remappings", ())),
                settings={
                    "optimizer": {"enabled": bool(profile["optimizer"]), "runs": int(profile["optimizer_runs"])},
                    "evmVersion": str(profile["evm_version"]),
                    "viaIR": bool(profile.get("via_ir", False)),
                    # forge's defaults, spelled out: they are part of the metadata and so of the bytecode
                    "metadata": {"useLiteralContent": False, "bytecodeHash": "ipfs", "appendCBOR": True},
                    "libraries": {},
                },
                artifacts=(root / "build" / "artifacts").resolve(),
            )
        except FileNotFoundError as error:
            raise CompileError(f"no foundry.toml in {root}", "run from a checkout of the repository") from error
        except (tomllib.TOMLDecodeError, KeyError, TypeError, ValueError) as error:
            raise CompileError(f"{path} is malformed: {error}", "restore it from the repository") from error

    def standard_json(self) -> dict[str, Any]:
        """The compiler's standard JSON input: all sources with what they import, and the settings.

        Source units are named as forge names them (paths from the root), so that both produce the same bytecode.

        Raises:
            CompileError: a source or an imported file is missing.
        """
        sources = self._sources()
        own = [name for name in sources if PurePosixPath(name).is_relative_to(self.source)]
        outputs = ["abi", "metadata", "evm.bytecode.object", "evm.deployedBytecode.object"]
        settings = {
            **self.settings,
            "remappings": list(self.remappings),
            "outputSelection": {name: {"*": outputs} for name in own},
        }
        return {
            "language": "Solidity",
            "sources": {name: {"content": sources[name]} for name in sorted(sources)},
            "settings": settings,
        }

    def _sources(self) -> dict[str, str]:
        folder = self.root / self.source
        names = sorted(path.relative_to(self.root).as_posix() for path in folder.rglob("*.sol"))
        if not names:
            raise CompileError(f"no Solidity sources in {folder}", "run from a checkout of the repository")
        found: dict[str, str] = {}
        wanted = [(name, "") for name in names]
        while wanted:
            name, importer = wanted.pop()
            if name in found:
                continue
            found[name] = self._read(name, importer)
            wanted += [(self._resolve(name, target), name) for target in imports_of(found[name])]
        return found

    def _read(self, name: str, importer: str) -> str:
        try:
            return (self.root / name).read_text(encoding="utf-8")
        except FileNotFoundError as error:
            hint = "run `make setup`" if name.startswith("node_modules/") else "correct the import"
            raise CompileError(f"{importer} imports {name}, which is not there", hint) from error

    def _resolve(self, importer: str, target: str) -> str:
        """Name of the source unit that ``target`` means in ``importer`` (Solidity's import path resolution)."""
        if target.startswith(("./", "../")):
            parts: list[str] = list(PurePosixPath(importer).parent.parts)
            for part in target.split("/"):
                if part == "..":
                    if not parts:
                        raise CompileError(f"{importer} imports {target}, which lies outside the project")
                    parts.pop()
                elif part != ".":
                    parts.append(part)
            return "/".join(parts)
        matches = [
            (prefix, to) for prefix, to in (item.split("=", 1) for item in self.remappings) if target.startswith(prefix)
        ]
        if matches:
            prefix, to = max(matches, key=lambda match: len(match[0]))
            return to + target.removeprefix(prefix)
        return target


def imports_of(source: str) -> list[str]:
    """Import paths in a Solidity source, in order; comments and string literals elsewhere are no imports."""
    code = _COMMENT_OR_STRING.sub(lambda match: match.group(1) or " ", source)
    return [match.group("path") for match in _IMPORT.finditer(code)]


def find_project() -> Project:
    """The project that this package belongs to.

    Raises:
        CompileError: the package is installed without its repository.
    """
    return Project.load(Path(__file__).resolve().parents[2])
