"""``network.json``: what a local network consists of, for the commands and programs that use it. Holds no secrets."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pot_chain.localnet.errors import NetworkError
from pot_chain.localnet.ports import HOST
from pot_chain.localnet.processes import ProcessRecord


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Process(_Part):
    """A process of the network.

    Attributes:
        pid, created: see ``ProcessRecord``.
        kind: what it does; they are stopped in the order miner, validator, ipfs, chain.
    """

    pid: int = Field(gt=0)
    created: float
    kind: Literal["miner", "validator", "ipfs", "chain"]

    @property
    def record(self) -> ProcessRecord:
        """By which the process is recognised."""
        return ProcessRecord(self.pid, self.created)


class Ipfs(_Part):
    """Where content is kept.

    Attributes:
        address: for ``ipfs.open_store``.
        backend: ``kubo/<version>`` or ``embedded``.
        reason: why this one, in words for people.
    """

    address: str
    backend: str
    reason: str


class ValidatorEntry(_Part):
    """A validator; operator and vote key are one account. Its wallet and process are called ``validator-<index>``."""

    index: int = Field(ge=0)
    address: str
    port: int = Field(gt=0, lt=65_536)

    @property
    def name(self) -> str:
        """Name of its wallet, process, log and state folder."""
        return f"validator-{self.index}"

    @property
    def endpoint(self) -> str:
        """URL in the NodeRegistry."""
        return f"http://{HOST}:{self.port}"


class Description(_Part):
    """A local network.

    Attributes:
        ready: False while it is being started for the first time.
        owner: account of the wallet ``owner``, which holds coins to pay tasks with.
        processes: by name: ``anvil``, ``kubo``, ``validator-<index>``, and miners by the names they were given.
    """

    version: Literal[1] = 1
    name: str
    ready: bool = False
    chain_id: int
    rpc_port: int = Field(gt=0, lt=65_536)
    ipfs: Ipfs
    owner: str | None = None
    validators: tuple[ValidatorEntry, ...] = ()
    processes: dict[str, Process] = Field(default_factory=dict)

    @property
    def rpc_url(self) -> str:
        """JSON-RPC address of the chain."""
        return f"http://{HOST}:{self.rpc_port}"

    @property
    def running(self) -> dict[str, Process]:
        """The processes that live."""
        return {name: process for name, process in self.processes.items() if process.record.alive}

    def with_process(self, name: str, process: Process | None) -> Self:
        """The description with the process ``name`` replaced, or removed if None."""
        others = {other: known for other, known in self.processes.items() if other != name}
        return self.model_copy(update={"processes": others if process is None else {**others, name: process}})

    @classmethod
    def read(cls, path: Path) -> Self | None:
        """The description in ``path``; None if there is no such file.

        Raises:
            NetworkError: it is damaged.
        """
        try:
            return cls.model_validate_json(path.read_bytes())
        except FileNotFoundError:
            return None
        except OSError as error:
            raise NetworkError(f"cannot read {path}: {error.strerror}", "check who owns the file") from error
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            field = ".".join(str(part) for part in first["loc"]) or "the document"
            raise NetworkError(
                f"{path} is damaged: {field}: {first['msg']}", "`pot up --fresh` makes the network anew"
            ) from error

    def write(self, path: Path) -> None:
        """Replace ``path`` in one step."""
        text = json.dumps(self.model_dump(mode="json"), indent=2) + "\n"
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=".network-")
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            Path(temporary).replace(path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise


def running_on_record(path: Path) -> list[str]:
    """Names of the processes in the description ``path`` that run; a damaged one is searched as well as it can be."""
    try:
        document = json.loads(path.read_bytes())
        processes = dict(document["processes"])
    except (OSError, ValueError, KeyError, TypeError):
        return []
    running = []
    for name, process in processes.items():
        try:
            if ProcessRecord(int(process["pid"]), float(process["created"])).alive:
                running.append(str(name))
        except (KeyError, TypeError, ValueError):
            continue  # not the record of a process
    return running
