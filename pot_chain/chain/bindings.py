"""Both contracts of a deployment, bound to a connection."""

from __future__ import annotations

from collections.abc import Iterable

from web3 import Web3

from pot_chain.chain.compiler import Artifacts, compile_contracts
from pot_chain.chain.contract import Contract
from pot_chain.chain.events import REGISTRY_EVENTS, TRAINING_EVENTS
from pot_chain.chain.logs import Event, EventDecoder, RawLog
from pot_chain.chain.registry import Registry
from pot_chain.chain.reverts import RevertDecoder
from pot_chain.chain.structs import (
    Claim,
    CommitCertificate,
    Deadlines,
    Node,
    RegistryConfig,
    Role,
    Task,
    TaskParams,
    TaskState,
)
from pot_chain.chain.token import ERC20_ERRORS
from pot_chain.chain.training import Training
from pot_chain.protocol.addresses import Address


class Contracts:
    """The two contracts, what they emit, and what their refusals mean.

    Args:
        web3: connection.
        registry: address of NodeRegistry.
        training: address of ProofOfTraining.
        artifacts: compiled contracts; default: the repository's.

    Raises:
        CompileError: the contracts have to be compiled and cannot be.

    Attributes:
        registry: typed NodeRegistry.
        training: typed ProofOfTraining.
        errors: decodes the refusals of both.
    """

    def __init__(self, web3: Web3, registry: Address, training: Address, artifacts: Artifacts | None = None) -> None:
        artifacts = artifacts if artifacts is not None else compile_contracts()
        registry_abi, training_abi = artifacts["NodeRegistry"].abi, artifacts["ProofOfTraining"].abi
        self.web3 = web3
        self.errors = revert_decoder(artifacts)
        self.registry = Registry(Contract(web3, registry, registry_abi, self.errors))
        self.training = Training(Contract(web3, training, training_abi, self.errors))
        self._decoders = {
            registry: EventDecoder(registry_abi, REGISTRY_EVENTS),
            training: EventDecoder(training_abi, TRAINING_EVENTS),
        }

    @property
    def addresses(self) -> tuple[Address, Address]:
        """Addresses of NodeRegistry and ProofOfTraining."""
        return self.registry.address, self.training.address

    def decode(self, log: RawLog) -> Event | None:
        """The typed event in ``log``; None for a log of another contract or of an unknown kind."""
        decoder = self._decoders.get(log.address)
        return decoder.decode(log) if decoder is not None else None

    def events(self, logs: Iterable[RawLog]) -> list[Event]:
        """The typed events among ``logs``, in order; ``mined.logs`` of a transaction, for instance."""
        return [event for log in logs if (event := self.decode(log)) is not None]


def revert_decoder(artifacts: Artifacts) -> RevertDecoder:
    """Decodes the errors of all our contracts and of ERC-20 tokens."""
    return RevertDecoder([*(artifact.abi for artifact in artifacts.values()), ERC20_ERRORS])


__all__ = [
    "Claim",
    "CommitCertificate",
    "Contracts",
    "Deadlines",
    "Node",
    "RegistryConfig",
    "Role",
    "Task",
    "TaskParams",
    "TaskState",
    "revert_decoder",
]
