"""Typed access to NodeRegistry: reads return values, writes return a ``Call`` for ``TransactionSender.send``.

Reads raise ContractReverted, DeploymentError, RpcDown or RpcError; a write raises AbiError for values that do not fit.
"""

from __future__ import annotations

from typing import cast

from pot_chain.chain.contract import Block, Call, Contract
from pot_chain.chain.structs import Node
from pot_chain.protocol.addresses import Address, Digest


class Registry:
    """Stakes, vote keys and validator epochs.

    Attributes:
        contract: ABI-level access.
        address: where it lies.
    """

    def __init__(self, contract: Contract) -> None:
        self.contract = contract
        self.address = contract.address

    # ---- writes

    def register_miner(self, stake: int) -> Call:
        """Become a miner with ``stake`` wei, at least ``min_miner_stake``."""
        return self.contract.call("registerMiner", value=stake)

    def register_validator(self, vote_key: Address, possession: bytes, endpoint: str, stake: int) -> Call:
        """Become a validator with ``stake`` wei, at least ``min_validator_stake``.

        Args:
            vote_key: address of the key that signs votes.
            possession: its signature (65 bytes) over ``protocol.eip712.key_ownership_digest`` of the sender.
            endpoint: URL for peers and miners.
            stake: wei.
        """
        return self.contract.call("registerValidator", vote_key, possession, endpoint, value=stake)

    def add_stake(self, stake: int) -> Call:
        """Add ``stake`` wei."""
        return self.contract.call("addStake", value=stake)

    def set_endpoint(self, endpoint: str) -> Call:
        """Move a validator to another URL."""
        return self.contract.call("setEndpoint", endpoint)

    def start_unbonding(self) -> Call:
        """Leave; the stake can be withdrawn after ``unbonding_period`` seconds."""
        return self.contract.call("startUnbonding")

    def withdraw_stake(self) -> Call:
        """Take the stake after unbonding."""
        return self.contract.call("withdrawStake")

    def advance_epoch(self) -> Call:
        """Snapshot the bonded validators as the next epoch."""
        return self.contract.call("advanceEpoch")

    # ---- reads

    def node(self, account: Address, block: Block = "latest") -> Node:
        """State of a node; role NONE if it is not registered."""
        return cast(Node, self.contract.read("node", account, hints=(Node,), block=block))

    def endpoint_of(self, account: Address, block: Block = "latest") -> str:
        """URL of a validator; empty for everybody else."""
        return cast(str, self.contract.read("endpointOf", account, block=block))

    def is_active_miner(self, account: Address, block: Block = "latest") -> bool:
        """Whether the account is a bonded miner."""
        return cast(bool, self.contract.read("isActiveMiner", account, block=block))

    def operator_of(self, vote_key: Address, block: Block = "latest") -> Address:
        """The operator behind a vote key; the zero address if unknown."""
        return cast(Address, self.contract.read("operatorOf", vote_key, block=block))

    def bonded_validators(self, block: Block = "latest") -> int:
        """Number of validators that the next epoch would list."""
        return cast(int, self.contract.read("bondedValidators", block=block))

    def current_epoch(self, block: Block = "latest") -> int:
        """Latest epoch; 0 while there is none."""
        return cast(int, self.contract.read("currentEpoch", block=block))

    def epoch_validators(self, epoch: int, block: Block = "latest") -> tuple[Address, ...]:
        """Vote keys of an epoch, ascending: what signer indices point into."""
        return cast("tuple[Address, ...]", self.contract.read("epochValidators", epoch, block=block))

    def epoch_quorum(self, epoch: int, block: Block = "latest") -> int:
        """Signatures that a certificate of the epoch needs."""
        return cast(int, self.contract.read("epochQuorum", epoch, block=block))

    def verify_certificate(
        self, epoch: int, digest: Digest, signatures: bytes, block: Block = "latest"
    ) -> tuple[int, ...]:
        """Signer indices of a valid certificate.

        Raises:
            ContractReverted: it is no quorum of ``epoch`` over ``digest``.
        """
        words = cast("tuple[int, ...]", self.contract.read("verifyCertificate", epoch, digest, signatures, block=block))
        return tuple(256 * place + bit for place, word in enumerate(words) for bit in range(256) if word >> bit & 1)

    def min_miner_stake(self, block: Block = "latest") -> int:
        """Least stake of a miner, wei."""
        return cast(int, self.contract.read("minMinerStake", block=block))

    def min_validator_stake(self, block: Block = "latest") -> int:
        """Least stake of a validator, wei."""
        return cast(int, self.contract.read("minValidatorStake", block=block))

    def unbonding_period(self, block: Block = "latest") -> int:
        """Seconds from the start of unbonding until the stake can be withdrawn."""
        return cast(int, self.contract.read("unbondingPeriod", block=block))

    def epoch_length(self, block: Block = "latest") -> int:
        """Least number of seconds between two epochs."""
        return cast(int, self.contract.read("epochLength", block=block))
