"""The processes of validators and miners: the same commands that people run, with everything spelled out."""

from __future__ import annotations

import json
import os
import sys
import time
import urllib.error
import urllib.request
from typing import Any, Final

from pot_chain.localnet.description import Description, Process, ValidatorEntry
from pot_chain.localnet.errors import StartFailed
from pot_chain.localnet.paths import NetworkPaths
from pot_chain.localnet.processes import ProcessRecord, spawn, tail

READY_TIMEOUT_S: Final = 120.0
"""Generous: a machine with two cores loads torch for every validator at the same time."""
_POLL_S: Final = 0.1
_STATUS_TIMEOUT_S: Final = 2.0
# -P: a folder named `ipfs` or `worker` where the user happens to be must not be imported instead of ours
_POT: Final = [sys.executable, "-P", "-m", "pot_chain.cli"]


def spawn_validator(paths: NetworkPaths, description: Description, validator: ValidatorEntry) -> Process:
    """Start the process of a validator; does not wait until it is ready."""
    command = [
        *_POT,
        *("validator", "start"),
        *_network_options(paths, description),
        *_wallet_options(paths, validator.name),
        *("--state-dir", str(paths.state(validator.name))),
        *("--port", str(validator.port)),
    ]
    return _spawn(paths, validator.name, command, "validator")


def spawn_miner(
    paths: NetworkPaths,
    description: Description,
    name: str,
    task_id: int,
    misbehave: str | None = None,
    misbehave_rounds: tuple[int, int] | None = None,
) -> Process:
    """Start the process of a miner with the wallet ``name``; its events go to its log as JSON lines.

    Args:
        misbehave: name of an attack, for demonstrations.
        misbehave_rounds: first and last round of the attack.
    """
    command = [
        *_POT,
        *("miner", "start", "--json", "--task", str(task_id)),
        *_network_options(paths, description),
        *_wallet_options(paths, name),
        *("--state-dir", str(paths.state(name))),
    ]
    if misbehave is not None:
        command += ["--misbehave", misbehave]
    if misbehave_rounds is not None:
        command += ["--misbehave-rounds", f"{misbehave_rounds[0]}-{misbehave_rounds[1]}"]
    return _spawn(paths, name, command, "miner")


def validator_status(endpoint: str) -> dict[str, Any] | None:
    """What a validator answers to ``GET /status``; None if it does not answer."""
    try:
        with urllib.request.urlopen(f"{endpoint}/status", timeout=_STATUS_TIMEOUT_S) as answer:
            status = json.load(answer)
    except (OSError, ValueError):  # URLError is an OSError
        return None
    return status if isinstance(status, dict) else None


def wait_until_ready(paths: NetworkPaths, description: Description, validator: ValidatorEntry) -> None:
    """Wait until the validator answers.

    Raises:
        StartFailed: its process ended, or it takes too long.
    """
    record = description.processes[validator.name].record
    deadline = time.monotonic() + READY_TIMEOUT_S
    while validator_status(validator.endpoint) is None:
        if not record.alive:
            raise start_failed(paths, validator.name, "ended before it was ready")
        if time.monotonic() > deadline:
            raise start_failed(paths, validator.name, f"is not ready after {READY_TIMEOUT_S:.0f} s")
        time.sleep(_POLL_S)


def start_failed(paths: NetworkPaths, name: str, what: str) -> StartFailed:
    """The error for a process that did not become ready, with the end of its log."""
    return StartFailed(f"{name} {what}", f"its log is {paths.log(name)}", tail(paths.log(name)))


def _spawn(paths: NetworkPaths, name: str, command: list[str], kind: str) -> Process:
    paths.state(name).mkdir(parents=True, exist_ok=True)
    process = spawn(command, log=paths.log(name), env={"OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1")})
    record = ProcessRecord.of(process.pid)
    return Process.model_validate({"pid": record.pid, "created": record.created, "kind": kind})


def _network_options(paths: NetworkPaths, description: Description) -> list[str]:
    return [
        *("--rpc", description.rpc_url),
        *("--ipfs", description.ipfs.address),
        *("--deployment", str(paths.deployment)),
    ]


def _wallet_options(paths: NetworkPaths, name: str) -> list[str]:
    return ["--keystore", str(paths.wallet(name)), "--password-file", str(paths.password)]
