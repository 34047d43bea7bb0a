"""The file that says where the contracts of a network lie, and whether it is true."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from eth_utils import keccak
from web3 import Web3

from pot_chain.chain.bindings import Contracts
from pot_chain.chain.compiler import Artifacts
from pot_chain.chain.connection import chain_id_of, endpoint, rpc
from pot_chain.chain.errors import DeploymentError, WrongChain
from pot_chain.chain.project import Project, find_project
from pot_chain.protocol.addresses import Address, Digest, hex_digest, parse_address, parse_digest
from pot_chain.protocol.errors import ProtocolError

FORMAT: Final = 2


@dataclass(frozen=True, slots=True)
class DeployedContract:
    """One contract on chain.

    Attributes:
        address: where it lies.
        block: number of the block that created it; events are read from there on.
        transaction: hash of the transaction that created it, 0x-hex.
        source: source unit, as explorers want it for verification (``source:name``).
        arguments: constructor arguments by their Solidity names, as text: amounts may exceed what JSON numbers keep.
        encoded_arguments: the same, ABI-encoded, 0x-hex.
        bytecode_hash: keccak256 of the creation code without arguments, 0x-hex.
        code_hash: keccak256 of the code on chain, 0x-hex.
        gas_used: gas of the transaction.
    """

    address: Address
    block: int
    transaction: str
    source: str
    arguments: Mapping[str, str]
    encoded_arguments: str
    bytecode_hash: str
    code_hash: str
    gas_used: int


@dataclass(frozen=True, slots=True)
class Deployment:
    """What was deployed on a chain.

    Attributes:
        chain_id: EIP-155 id.
        compiler: full version of the Solidity compiler.
        creator: the contract (contracts/src/Deployment.sol) that created the others.
        salt: CREATE2 salt of the creator.
        contracts: by name, in the order of their creation.
    """

    chain_id: int
    compiler: str
    creator: Address
    salt: Digest
    contracts: Mapping[str, DeployedContract]

    @property
    def registry(self) -> DeployedContract:
        """NodeRegistry."""
        return self.contracts["NodeRegistry"]

    @property
    def training(self) -> DeployedContract:
        """ProofOfTraining."""
        return self.contracts["ProofOfTraining"]

    @property
    def from_block(self) -> int:
        """First block that can hold an event of the contracts."""
        return min(contract.block for contract in self.contracts.values())

    def bind(self, web3: Web3, artifacts: Artifacts | None = None) -> Contracts:
        """The contracts, bound to a connection; does not look at the chain (``check`` does)."""
        return Contracts(web3, self.registry.address, self.training.address, artifacts)

    def check(self, web3: Web3) -> None:
        """Make sure that this is what lies on the chain behind ``web3``.

        Raises:
            WrongChain: the chain has another id.
            DeploymentError: no code, or another code, at an address.
        """
        found = chain_id_of(web3)
        if found != self.chain_id:
            raise WrongChain(endpoint(web3), self.chain_id, found)
        for name, contract in self.contracts.items():
            code = bytes.fromhex(rpc(web3, "eth_getCode", [contract.address, "latest"])[2:])
            if not code:
                raise DeploymentError(
                    f"there is no {name} at {contract.address} on {endpoint(web3)}",
                    "the chain was started anew, or the deployment file is of another one: deploy again (`pot up`)",
                )
            if "0x" + keccak(code).hex() != contract.code_hash:
                raise DeploymentError(
                    f"the code at {contract.address} on {endpoint(web3)} is not the deployed {name}",
                    "the deployment file is of another chain with the same id: get the right one",
                )

    def save(self, path: Path) -> None:
        """Write the deployment file, whole or not at all.

        Raises:
            DeploymentError: the file cannot be written.
        """
        write_json(path, self.to_json())

    def save_verification(self, path: Path, project: Project | None = None) -> Path:
        """Write the compiler's standard JSON input, which explorers verify by, beside ``path``; returns its path.

        Args:
            project: default: the repository's.

        Raises:
            CompileError: a source is missing.
            DeploymentError: the file cannot be written.
        """
        beside = path.with_suffix(".input.json")
        write_json(beside, (project or find_project()).standard_json())
        return beside

    def to_json(self) -> dict[str, Any]:
        """JSON form."""
        return {
            "format": FORMAT,
            "chainId": self.chain_id,
            "compiler": self.compiler,
            "creator": self.creator,
            "salt": hex_digest(self.salt),
            "contracts": {
                name: {
                    "address": contract.address,
                    "block": contract.block,
                    "transaction": contract.transaction,
                    "source": contract.source,
                    "arguments": dict(contract.arguments),
                    "encodedArguments": contract.encoded_arguments,
                    "bytecodeHash": contract.bytecode_hash,
                    "codeHash": contract.code_hash,
                    "gasUsed": contract.gas_used,
                }
                for name, contract in self.contracts.items()
            },
        }

    @classmethod
    def from_json(cls, value: Any) -> Deployment:
        """Inverse of ``to_json``; raises KeyError, TypeError, ValueError or ProtocolError on anything else."""
        if value["format"] != FORMAT:
            raise ValueError(f"unknown format {value['format']!r}")
        contracts = {
            str(name): DeployedContract(
                address=parse_address(item["address"]),
                block=int(item["block"]),
                transaction=str(item["transaction"]),
                source=str(item["source"]),
                arguments={str(key): str(text) for key, text in item["arguments"].items()},
                encoded_arguments=str(item["encodedArguments"]),
                bytecode_hash=str(item["bytecodeHash"]),
                code_hash=str(item["codeHash"]),
                gas_used=int(item["gasUsed"]),
            )
            for name, item in value["contracts"].items()
        }
        if not {"NodeRegistry", "ProofOfTraining"} <= set(contracts):
            raise ValueError("it does not name NodeRegistry and ProofOfTraining")
        creator, salt = parse_address(value["creator"]), parse_digest(value["salt"])
        return cls(int(value["chainId"]), str(value["compiler"]), creator, salt, contracts)


def load_deployment(path: Path, web3: Web3 | None = None) -> Deployment:
    """Read a deployment file; with ``web3`` also compare it with the chain.

    Raises:
        DeploymentError: the file is missing or damaged, or does not describe what lies on the chain.
        WrongChain: ``web3`` serves another chain.
    """
    try:
        deployment = Deployment.from_json(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError as error:
        raise DeploymentError(
            f"there is no deployment file {path}", "deploy the contracts first, or give the file of this chain"
        ) from error
    except OSError as error:
        raise DeploymentError(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError, ProtocolError) as error:
        raise DeploymentError(
            f"{path} is not a deployment file: {error}", "get a fresh copy, or deploy again"
        ) from error
    if web3 is not None:
        deployment.check(web3)
    return deployment


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file, whole or not at all.

    Raises:
        DeploymentError: it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=".deployment-")
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(value, file, indent=2)
            file.write("\n")
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except OSError as error:
        raise DeploymentError(f"cannot write {path}: {error.strerror}") from error
