"""Typed access to NodeRegistry: reads return values, writes return a ``Call`` for ``TransactionSender.send``.

Reads raise ContractReverted, DeploymentError, RpcDown or RpcError; a write raises AbiError for values that do not fit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from pot_chain.chain.contract import Block, Call, Contract
from pot_chain.chain.structs import Delegation, EpochInfo, Node, RegistryConfig
from pot_chain.protocol.addresses import Address, Digest


class Registry:
    """Stakes, vote keys, delegates and validator epochs.

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

    def advance_epoch(self, certificate: bytes = b"") -> Call:
        """Snapshot the bonded validators as the next epoch.

        Args:
            certificate: of the current epoch over ``protocol.eip712.rotation_digest``, k times 66 bytes; empty when
                none is needed (for the first epoch, and one epoch length after the current one could be replaced).
        """
        return self.contract.call("advanceEpoch", certificate)

    def register_bls_key(self, key: bytes, possession: bytes) -> Call:
        """Add a BLS12-381 key to the sender's registration.

        Args:
            key: point of G2 (256 bytes, EIP-2537).
            possession: its signature (128 bytes) over ``protocol.eip712.key_ownership_digest`` of the sender.
        """
        return self.contract.call("registerBlsKey", key, possession)

    def authorize_delegate(self, delegate: Address, expires_at: int, allowance: int = 0) -> Call:
        """Let a hot key act for the sender until ``expires_at`` (seconds) and draw ``allowance`` wei more."""
        return self.contract.call("authorizeDelegate", delegate, expires_at, value=allowance)

    def revoke_delegate(self, delegate: Address) -> Call:
        """Take the right of a hot key back, and what it has not drawn."""
        return self.contract.call("revokeDelegate", delegate)

    def draw_allowance(self, node: Address, amount: int) -> Call:
        """Draw ``amount`` wei from what ``node`` has granted the sender."""
        return self.contract.call("drawAllowance", node, amount)

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

    def bls_key_of(self, account: Address, block: Block = "latest") -> bytes:
        """BLS key of a validator (192 bytes); empty if it has none."""
        return cast(bytes, self.contract.read("blsKeyOf", account, block=block))

    def bonded_validators(self, block: Block = "latest") -> int:
        """Number of validators that the next epoch would list."""
        return cast(int, self.contract.read("bondedValidators", block=block))

    def current_epoch(self, block: Block = "latest") -> int:
        """Latest epoch; 0 while there is none."""
        return cast(int, self.contract.read("currentEpoch", block=block))

    def epoch_validators(self, epoch: int, block: Block = "latest") -> tuple[Address, ...]:
        """Vote keys of an epoch, ascending: what signer indices point into."""
        return cast("tuple[Address, ...]", self.contract.read("epochValidators", epoch, block=block))

    def epoch_info(self, epoch: int, block: Block = "latest") -> EpochInfo:
        """Size, quorum, scheme and life of an epoch."""
        return cast(EpochInfo, self.contract.read("epochInfo", epoch, hints=(EpochInfo,), block=block))

    def next_validators(self, block: Block = "latest") -> tuple[Address, ...]:
        """Vote keys that the next epoch would list now, ascending."""
        return cast("tuple[Address, ...]", self.contract.read("nextValidators", block=block))

    def rotation_digest(self, epoch: int, vote_keys: Sequence[Address]) -> Digest:
        """The contract's digest of a rotation; equals ``protocol.eip712.rotation_digest``."""
        return cast(Digest, self.contract.read("rotationDigest", epoch, list(vote_keys)))

    def is_delegate(self, account: Address, delegate: Address, block: Block = "latest") -> bool:
        """Whether ``delegate`` may act for ``account`` now."""
        return cast(bool, self.contract.read("isDelegate", account, delegate, block=block))

    def delegation(self, account: Address, delegate: Address, block: Block = "latest") -> Delegation:
        """What ``account`` has granted ``delegate``."""
        return Delegation(*self.contract.read("delegation", account, delegate, block=block))

    def verify_certificate(
        self, epoch: int, digest: Digest, signatures: bytes, block: Block = "latest"
    ) -> tuple[int, ...]:
        """Signer indices of a valid certificate.

        Raises:
            ContractReverted: it is no quorum of ``epoch`` over ``digest``.
        """
        signers = cast(int, self.contract.read("verifyCertificate", epoch, digest, signatures, block=block))
        return tuple(bit for bit in range(256) if signers >> bit & 1)

    def config(self, block: Block = "latest") -> RegistryConfig:
        """What the registry was deployed with."""
        return cast(RegistryConfig, self.contract.read("config", hints=(RegistryConfig,), block=block))
