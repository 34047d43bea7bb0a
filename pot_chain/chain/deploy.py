"""Deploying the contracts, and the file that says where they lie."""

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

from pot_chain.chain.abi import encode
from pot_chain.chain.bindings import Contracts, revert_decoder
from pot_chain.chain.compiler import Artifact, Artifacts, compile_contracts
from pot_chain.chain.connection import chain_id_of, endpoint, rpc
from pot_chain.chain.contract import Call
from pot_chain.chain.errors import DeploymentError, WrongChain
from pot_chain.chain.sender import TransactionSender
from pot_chain.protocol.addresses import Address, parse_address
from pot_chain.protocol.errors import ProtocolError

FORMAT: Final = 1
_NAMES: Final = ("NodeRegistry", "ProofOfTraining")


@dataclass(frozen=True, slots=True)
class RegistryConfig:
    """Constructor arguments of NodeRegistry.

    Attributes:
        min_miner_stake: wei.
        min_validator_stake: wei.
        unbonding_period: seconds.
        epoch_length: least number of seconds between two validator epochs; 0 for local networks.
    """

    min_miner_stake: int
    min_validator_stake: int
    unbonding_period: int
    epoch_length: int


@dataclass(frozen=True, slots=True)
class DeployedContract:
    """One contract on chain.

    Attributes:
        address: where it lies.
        block: number of the block that created it; events are read from there on.
        transaction: hash of the transaction that created it, 0x-hex.
        arguments: constructor arguments by their Solidity names, as text: amounts may exceed what JSON numbers keep.
        bytecode_hash: keccak256 of the creation code without arguments, 0x-hex.
        code_hash: keccak256 of the code on chain, 0x-hex.
        gas_used: gas of the creation.
    """

    address: Address
    block: int
    transaction: str
    arguments: Mapping[str, str]
    bytecode_hash: str
    code_hash: str
    gas_used: int


@dataclass(frozen=True, slots=True)
class Deployment:
    """What was deployed on a chain.

    Attributes:
        chain_id: EIP-155 id.
        compiler: full version of the Solidity compiler.
        registry: NodeRegistry.
        training: ProofOfTraining.
    """

    chain_id: int
    compiler: str
    registry: DeployedContract
    training: DeployedContract

    @property
    def from_block(self) -> int:
        """First block that can hold an event of the contracts."""
        return min(self.registry.block, self.training.block)

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
        for name, contract in self._contracts().items():
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
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=".deployment-")
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                json.dump(self.to_json(), file, indent=2)
                file.write("\n")
            Path(temporary).chmod(0o644)
            Path(temporary).replace(path)
        except OSError as error:
            raise DeploymentError(f"cannot write {path}: {error.strerror}") from error

    def to_json(self) -> dict[str, Any]:
        """JSON form."""
        return {
            "format": FORMAT,
            "chainId": self.chain_id,
            "compiler": self.compiler,
            "contracts": {
                name: {
                    "address": contract.address,
                    "block": contract.block,
                    "transaction": contract.transaction,
                    "arguments": dict(contract.arguments),
                    "bytecodeHash": contract.bytecode_hash,
                    "codeHash": contract.code_hash,
                    "gasUsed": contract.gas_used,
                }
                for name, contract in self._contracts().items()
            },
        }

    @classmethod
    def from_json(cls, value: Any) -> Deployment:
        """Inverse of ``to_json``; raises KeyError, TypeError, ValueError or ProtocolError on anything else."""
        if value["format"] != FORMAT:
            raise ValueError(f"unknown format {value['format']!r}")
        contracts = [
            DeployedContract(
                address=parse_address(item["address"]),
                block=int(item["block"]),
                transaction=str(item["transaction"]),
                arguments={str(key): str(text) for key, text in item["arguments"].items()},
                bytecode_hash=str(item["bytecodeHash"]),
                code_hash=str(item["codeHash"]),
                gas_used=int(item["gasUsed"]),
            )
            for item in (value["contracts"][name] for name in _NAMES)
        ]
        return cls(int(value["chainId"]), str(value["compiler"]), *contracts)

    def _contracts(self) -> dict[str, DeployedContract]:
        return dict(zip(_NAMES, (self.registry, self.training), strict=True))


def deploy(sender: TransactionSender, config: RegistryConfig, artifacts: Artifacts | None = None) -> Deployment:
    """Deploy NodeRegistry and ProofOfTraining from the sender's account.

    Args:
        sender: pays; has no power over the contracts afterwards.
        config: constructor arguments of NodeRegistry.
        artifacts: compiled contracts; default: the repository's.

    Raises:
        CompileError: the contracts cannot be compiled.
        ChainError: as for ``TransactionSender.send``.
    """
    artifacts = artifacts if artifacts is not None else compile_contracts()
    arguments = (config.min_miner_stake, config.min_validator_stake, config.unbonding_period, config.epoch_length)
    registry = _create(sender, artifacts, artifacts["NodeRegistry"], arguments)
    training = _create(sender, artifacts, artifacts["ProofOfTraining"], (registry.address,))
    return Deployment(chain_id_of(sender.web3), artifacts.compiler, registry, training)


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


def _create(
    sender: TransactionSender, artifacts: Artifacts, artifact: Artifact, arguments: tuple[Any, ...]
) -> DeployedContract:
    inputs: list[dict[str, Any]] = next(
        (entry["inputs"] for entry in artifact.abi if entry["type"] == "constructor"), []
    )
    named = {item["name"].rstrip("_"): value for item, value in zip(inputs, arguments, strict=True)}
    call = Call(
        to=None,
        data=artifact.bytecode + encode(inputs, arguments),
        function=f"deployment of {artifact.name}",
        arguments=named,
        errors=revert_decoder(artifacts),
    )
    mined = sender.send(call)
    if mined.contract is None:
        raise DeploymentError(f"the receipt of {mined.transaction} names no contract")
    code = bytes.fromhex(rpc(sender.web3, "eth_getCode", [mined.contract, hex(mined.block_number)])[2:])
    return DeployedContract(
        address=mined.contract,
        block=mined.block_number,
        transaction=mined.transaction,
        arguments={name: str(value) for name, value in named.items()},
        bytecode_hash=artifact.bytecode_hash,
        code_hash="0x" + keccak(code).hex(),
        gas_used=mined.gas_used,
    )
