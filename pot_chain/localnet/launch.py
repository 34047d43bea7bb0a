"""Brings a local network up, step by step; each process is on record before the next is started."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from pot_chain.chain.anvil import LOCAL_CHAIN_ID, AnvilConfig, AnvilProcess
from pot_chain.chain.deployment import load_deployment
from pot_chain.chain.errors import PortBusy
from pot_chain.localnet.description import Description, Process
from pot_chain.localnet.errors import NetworkError
from pot_chain.localnet.paths import NetworkPaths
from pot_chain.localnet.population import ETHER, populate
from pot_chain.localnet.ports import free_port, is_free
from pot_chain.localnet.processes import ProcessRecord
from pot_chain.localnet.roles import spawn_validator, wait_until_ready
from pot_chain.localnet.storage import start_storage
from pot_chain.protocol.quorum import MIN_VALIDATORS

BLOCK_SECONDS: Final = 1
"""A block at least so often, and at once for every transaction: deadlines pass and rounds do not wait."""
STATE_INTERVAL_S: Final = 30
"""A chain that is killed loses at most this much; one that is stopped loses nothing."""
MAX_VALIDATORS: Final = 32
"""Each is a process with torch in it."""

Say = Callable[[str], None]
"""Takes a line for the person who waits."""
Save = Callable[[Description], None]
"""Puts the description on record."""


@dataclass(frozen=True, slots=True)
class StartOptions:
    """What a local network shall be.

    Attributes:
        validators: how many, at least 4; None: as many as it had, 4 for a new one.
        port: TCP port of the chain's RPC on 127.0.0.1; None: the one it had, any free one for a new network.
        use_kubo: False asks for the embedded store even where there is a Kubo (a network keeps what it began with).
        owner_balance: coins of the wallet ``owner`` of a new network, wei.
        run_validators: False registers the validators without starting their processes.
    """

    validators: int | None = None
    port: int | None = None
    use_kubo: bool = True
    owner_balance: int = 1_000 * ETHER
    run_validators: bool = True


def launch(paths: NetworkPaths, options: StartOptions, before: Description | None, save: Save, say: Say) -> Description:
    """Start the network and wait until it is ready.

    Args:
        before: what it was when it was stopped; None for a new network.

    Raises:
        PotError, IpfsError: what did not start and why; what was started is on record, for the caller to stop.
    """
    _check(options, before)
    port = _rpc_port(options, before)
    ipfs, daemon = start_storage(paths, before=before.ipfs if before else None, use_kubo=options.use_kubo)
    say(f"content store: {ipfs.backend} ({ipfs.reason})")
    if before is None:
        description = Description(name=paths.name, chain_id=LOCAL_CHAIN_ID, rpc_port=port, ipfs=ipfs)
    else:
        description = before.model_copy(update={"rpc_port": port, "ipfs": ipfs, "processes": {}})
    description = description.with_process("kubo", daemon)
    save(description)
    chain = _start_chain(paths, port)
    description = description.with_process("anvil", _process(chain.pid, "chain"))
    save(description)
    say(f"chain: {description.rpc_url}")
    if before is None:
        description = populate(
            paths, description, chain.web3(), options.validators or MIN_VALIDATORS, options.owner_balance, say
        )
    else:
        load_deployment(paths.deployment, chain.web3())
        description = _with_free_ports(description)
    save(description)
    if options.run_validators:
        say(f"starting {len(description.validators)} validators")
        for validator in description.validators:
            description = description.with_process(validator.name, spawn_validator(paths, description, validator))
            save(description)
        for validator in description.validators:
            wait_until_ready(paths, description, validator)
    description = description.model_copy(update={"ready": True})
    save(description)
    return description


def _check(options: StartOptions, before: Description | None) -> None:
    wanted = options.validators
    if wanted is None:
        return
    if not MIN_VALIDATORS <= wanted <= MAX_VALIDATORS:
        raise NetworkError(
            f"a local network has {MIN_VALIDATORS} to {MAX_VALIDATORS} validators, not {wanted}",
            f"{MIN_VALIDATORS} are the fewest that tolerate one that lies",
        )
    if before is not None and wanted != len(before.validators):
        raise NetworkError(
            f"the network {before.name!r} has {len(before.validators)} validators, not {wanted}",
            "leave --validators out, or start anew with --fresh",
        )


def _rpc_port(options: StartOptions, before: Description | None) -> int:
    if options.port is not None:
        if not is_free(options.port):
            raise PortBusy(options.port)
        return options.port
    return before.rpc_port if before is not None and is_free(before.rpc_port) else free_port()


def _start_chain(paths: NetworkPaths, port: int) -> AnvilProcess:
    paths.chain.mkdir(parents=True, exist_ok=True)
    config = AnvilConfig(
        log=paths.log("anvil"),
        port=port,
        block_time=BLOCK_SECONDS,
        mixed_mining=True,
        state=paths.chain / "state.json",
        state_interval=STATE_INTERVAL_S,
    )
    return AnvilProcess.start(config, detached=True)


def _with_free_ports(description: Description) -> Description:
    """Validators whose port was taken meanwhile get another; they tell the registry when they start."""
    taken = {validator.port for validator in description.validators}
    validators = []
    for validator in description.validators:
        if not is_free(validator.port):
            port = free_port(taken)
            taken.add(port)
            validator = validator.model_copy(update={"port": port})
        validators.append(validator)
    return description.model_copy(update={"validators": tuple(validators)})


def _process(pid: int, kind: str) -> Process:
    record = ProcessRecord.of(pid)
    return Process.model_validate({"pid": record.pid, "created": record.created, "kind": kind})
