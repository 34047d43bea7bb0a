"""The Solidity compiler as a running process, for the many small compilations of the audit."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from scripts.audit.project import AuditError, foundry_config, remappings

SERVER = Path(__file__).with_name("solc_server.js")


class Compiler:
    """Answers standard-JSON inputs one after the other."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Compiler:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def compile(
        self,
        sources: Mapping[str, str],
        outputs: Mapping[str, Sequence[str]],
        *,
        optimizer: bool = True,
        metadata: bool = True,
    ) -> dict[str, Any]:
        """Compile; `outputs` maps a path (or `*`) to what is wanted of its contracts."""
        config = foundry_config()
        settings = {
            "remappings": [f"{prefix}={target}" for prefix, target in remappings()],
            "evmVersion": config["evm_version"],
            "optimizer": {"enabled": optimizer, "runs": config["optimizer_runs"]},
            "viaIR": False,  # as tests are compiled: [profile.test] of foundry.toml
            "metadata": {"appendCBOR": metadata},
            "outputSelection": {
                path: {"*": [name for name in names if name != "ast"], "": [name for name in names if name == "ast"]}
                for path, names in outputs.items()
            },
        }
        request = {
            "language": "Solidity",
            "sources": {path: {"content": text} for path, text in sources.items()},
            "settings": settings,
        }
        return self._ask(json.dumps(request))

    def _ask(self, line: str) -> dict[str, Any]:
        if self._process is None:
            self._process = subprocess.Popen(
                ["node", str(SERVER)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(line + "\n")
            process.stdin.flush()
            answer = process.stdout.readline()
        except BrokenPipeError:
            answer = ""
        if not answer:
            self.close()
            raise AuditError("the compiler process ended without an answer")
        output: dict[str, Any] = json.loads(answer)
        return output


def errors_of(output: Mapping[str, Any]) -> list[str]:
    """The errors (not warnings) in a compiler output."""
    return [
        error.get("formattedMessage", error["message"])
        for error in output.get("errors", [])
        if error["severity"] == "error"
    ]
