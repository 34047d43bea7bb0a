"""Deploying a network's contracts, at addresses that follow from its parameters alone.

The deterministic deployer, which lies at one address on nearly every chain, makes contracts/src/Deployment.sol by
CREATE2, and that makes the other contracts, one a transaction. Whoever pays, the same parameters, salt and sources give
the same addresses; a deployment that was broken off goes on where it was, and one that is there is found.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final

from eth_utils import keccak, to_checksum_address
from web3 import Web3

from pot_chain.chain.abi import decode, encode, topic_of
from pot_chain.chain.bindings import revert_decoder
from pot_chain.chain.compiler import Artifact, Artifacts, compile_contracts
from pot_chain.chain.connection import chain_id_of, endpoint, rpc
from pot_chain.chain.contract import Call, Contract
from pot_chain.chain.deployment import DeployedContract, Deployment
from pot_chain.chain.errors import ContractReverted, DeploymentError
from pot_chain.chain.logs import Event, EventDecoder, RawLog
from pot_chain.chain.sender import TransactionSender
from pot_chain.chain.structs import RegistryConfig
from pot_chain.protocol.addresses import ZERO_DIGEST, Address, Digest, address_bytes

DETERMINISTIC_DEPLOYER: Final[Address] = "0x4e59b44847b379578588920cA78FbF26c0B4956C"
"""github.com/Arachnid/deterministic-deployment-proxy: takes salt ‖ creation code."""

Say = Callable[[str], None]


class Part(IntEnum):
    """The contracts of a network in the order of their creation: ``Part`` of Deployment.sol."""

    NodeRegistry = 1
    ProofOfTraining = 2
    ValidatorCourt = 3
    MinerCourt = 4


@dataclass(frozen=True, slots=True)
class Created(Event):
    """Deployment.sol created a part."""

    part: Part
    at: Address


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkParameters:
    """What a network is deployed with: ``Parameters`` of Deployment.sol.

    Attributes:
        registry: of NodeRegistry, without the courts.
        answer_window: seconds that a miner has to publish what is demanded.
        appeal_window: seconds that a miner has to appeal, and that the larger committee has to decide.
        deposit: wei that a demand or an appeal costs.
    """

    registry: RegistryConfig
    answer_window: int
    appeal_window: int
    deposit: int


class Deployer:
    """Deploys one network on one chain.

    Args:
        web3: connection.
        parameters: of the network.
        artifacts: compiled contracts; default: the repository's.
        salt: tells networks of equal parameters apart.

    Raises:
        CompileError: the contracts cannot be compiled.

    Attributes:
        creator: address of Deployment.sol, whether it is there or not.
    """

    def __init__(
        self,
        web3: Web3,
        parameters: NetworkParameters,
        artifacts: Artifacts | None = None,
        *,
        salt: Digest = ZERO_DIGEST,
    ) -> None:
        self._web3, self._parameters, self._salt = web3, parameters, salt
        self._artifacts = artifacts if artifacts is not None else compile_contracts()
        self._errors = revert_decoder(self._artifacts)
        creator = self._artifacts["Deployment"]
        hashes = [keccak(self._artifacts[part.name].bytecode) for part in Part]
        self._creation = creator.bytecode + encode(_inputs(creator), [parameters, hashes])
        self.creator = create2_address(DETERMINISTIC_DEPLOYER, salt, self._creation)
        self._contract = Contract(web3, self.creator, creator.abi, self._errors)

    def find(self, from_block: int = 0) -> Deployment | None:
        """The network, if all of it is there.

        Args:
            from_block: where the search for its transactions begins.

        Raises:
            DeploymentError: its transactions cannot be found.
            RpcDown, RpcError: the node does not answer, or does not serve logs from ``from_block`` on.
        """
        if not self._code(self.creator) or not self._code(self._address(max(Part))):
            return None
        decoder = EventDecoder(self._contract.abi, [Created])
        topic = next(topic_of(entry) for entry in self._contract.abi if entry.get("name") == "Created")
        where = {"address": self.creator, "topics": ["0x" + topic.hex()], "fromBlock": hex(from_block)}
        logs = [RawLog.from_rpc(log) for log in rpc(self._web3, "eth_getLogs", [where])]
        found = {event.part: event for log in logs if isinstance(event := decoder.decode(log), Created)}
        if set(found) != set(Part):
            raise DeploymentError(
                f"the contracts exist on {endpoint(self._web3)}, but not all of their transactions are found",
                "search from an earlier block, or ask a node that has the chain's logs",
            )
        contracts = {part.name: self._describe(found[part]) for part in Part}
        compiler = self._artifacts.compiler
        return Deployment(chain_id_of(self._web3), compiler, self.creator, self._salt, contracts)

    def complete(self, sender: TransactionSender, say: Say = lambda _: None) -> Deployment:
        """Create what is not there yet.

        Args:
            sender: pays; has no power over the contracts afterwards.
            say: told what is being done.

        Raises:
            DeploymentError: the chain has no deterministic deployer.
            ContractReverted: a constructor refuses the parameters; the registry's is tried before anything is paid.
            ChainError: as for ``TransactionSender.send``.
        """
        first = int(rpc(self._web3, "eth_blockNumber"), 16)
        if not self._code(self.creator):
            if not self._code(DETERMINISTIC_DEPLOYER):
                raise DeploymentError(
                    f"the chain at {endpoint(self._web3)} has no deterministic deployer at {DETERMINISTIC_DEPLOYER}",
                    "send its well-known first transaction (github.com/Arachnid/deterministic-deployment-proxy)",
                )
            registry = self._artifacts["NodeRegistry"]
            sender.simulate(self._creating(Part.NodeRegistry, encode(_inputs(registry), [self._parameters.registry])))
            say("creating the deployment")
            call = Call(DETERMINISTIC_DEPLOYER, self._salt + self._creation, 0, "the deployment", {}, self._errors)
            self._create(sender, call, self.creator)
        else:
            first = 0  # parts may be older
        for part in Part:
            at = self._address(part)
            if not self._code(at):
                say(f"creating {part.name}")
                self._create_part(sender, part, at)
        made = self.find(first)
        if made is None:
            raise DeploymentError(
                f"the contracts were created, but {endpoint(self._web3)} does not show them", "run the command again"
            )
        return made

    def _create_part(self, sender: TransactionSender, part: Part, at: Address) -> None:
        try:
            self._create(sender, self._contract.call("createNext", self._artifacts[part.name].bytecode), at)
        except ContractReverted as refusal:
            if refusal.name == "CreationFailed":  # which does not say why; the constructor does
                sender.simulate(self._creating(part, self._contract.read("argumentsOf", part)))
            raise

    def _creating(self, part: Part, arguments: bytes) -> Call:
        """The creation of a part by itself, for a simulation."""
        data = self._artifacts[part.name].bytecode + arguments
        return Call(None, data, function=f"the constructor of {part.name}", errors=self._errors)

    def _create(self, sender: TransactionSender, call: Call, at: Address) -> None:
        """Send ``call``; quiet when somebody else was first."""
        try:
            sender.send(call)
        except ContractReverted:
            if not self._code(at):
                raise

    def _code(self, address: Address) -> bytes:
        return bytes.fromhex(rpc(self._web3, "eth_getCode", [address, "latest"])[2:])

    def _address(self, part: Part) -> Address:
        return str(self._contract.read("addressOf", part))

    def _describe(self, created: Created) -> DeployedContract:
        artifact = self._artifacts[created.part.name]
        arguments: bytes = self._contract.read("argumentsOf", created.part)
        receipt = rpc(self._web3, "eth_getTransactionReceipt", [created.transaction])
        return DeployedContract(
            address=created.at,
            block=created.block_number,
            transaction=created.transaction,
            source=artifact.source,
            arguments=_named(artifact, arguments),
            encoded_arguments="0x" + arguments.hex(),
            bytecode_hash=artifact.bytecode_hash,
            code_hash="0x" + keccak(self._code(created.at)).hex(),
            gas_used=int(receipt["gasUsed"], 16),
        )


def deploy(
    sender: TransactionSender,
    parameters: NetworkParameters,
    artifacts: Artifacts | None = None,
    *,
    salt: Digest = ZERO_DIGEST,
) -> Deployment:
    """The network of these parameters and this salt: created, or found where it is.

    Raises:
        CompileError, DeploymentError, ChainError: see ``Deployer``.
    """
    return Deployer(sender.web3, parameters, artifacts, salt=salt).complete(sender)


def create2_address(deployer: Address, salt: Digest, creation_code: bytes) -> Address:
    """Address that CREATE2 gives (EIP-1014)."""
    digest = keccak(b"\xff" + address_bytes(deployer) + salt + keccak(creation_code))
    return str(to_checksum_address(digest[-20:]))


def _inputs(artifact: Artifact) -> list[dict[str, Any]]:
    """ABI of the constructor's arguments."""
    found: list[dict[str, Any]] = next(
        (entry["inputs"] for entry in artifact.abi if entry["type"] == "constructor"), []
    )
    return found


def _named(artifact: Artifact, encoded: bytes) -> dict[str, str]:
    """Constructor arguments by name as text; the fields of a struct stand for it."""
    inputs = _inputs(artifact)
    named: dict[str, str] = {}
    for item, value in zip(inputs, decode(inputs, encoded), strict=True):
        if isinstance(value, Mapping):
            named |= {str(name): str(part) for name, part in value.items()}
        else:
            named[item["name"].rstrip("_")] = str(value)
    return named
