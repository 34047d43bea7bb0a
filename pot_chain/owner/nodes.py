"""Registering nodes: stake, vote key, endpoint, and the epoch that makes validators voters."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from eth_account.signers.local import LocalAccount

from pot_chain.chain.bindings import Node, Role
from pot_chain.chain.epochs import start_epoch
from pot_chain.chain.errors import ContractReverted
from pot_chain.chain.network import ChainClient
from pot_chain.owner.errors import RegistrationError
from pot_chain.owner.signer import account_of
from pot_chain.protocol.eip712 import Domain, key_ownership_digest
from pot_chain.protocol.signing import sign_digest


class Registered(StrEnum):
    """What ``register_validator`` had to do."""

    NEW = "registered"
    MOVED = "endpoint changed"
    UNCHANGED = "was registered"


@dataclass(frozen=True, slots=True)
class Voting:
    """Whether a validator votes.

    Attributes:
        epoch: latest epoch; 0 while there is none.
        votes: whether the validator is in it.
        reason: why it could not be brought into a new one, in words; empty if it votes.
    """

    epoch: int
    votes: bool
    reason: str = ""


def register_validator(client: ChainClient, endpoint: str, stake: int | None = None) -> Registered:
    """Make the client's account a validator at ``endpoint``; it is operator and vote key in one.

    A validator that is registered already only gets its endpoint corrected.

    Args:
        stake: wei; default: the least that the registry takes.

    Raises:
        RegistrationError: the account is a miner, or is leaving.
        ContractReverted, InsufficientFunds: the registry refuses it, or the account cannot pay.
    """
    account, registry = account_of(client), client.registry
    node = registry.node(account.address)
    if _is_bonded(node, Role.VALIDATOR, account):
        if registry.endpoint_of(account.address) == endpoint:
            return Registered.UNCHANGED
        client.send(registry.set_endpoint(endpoint))
        return Registered.MOVED
    domain = Domain(client.deployment.chain_id, registry.address, name="NodeRegistry")
    possession = sign_digest(bytes(account.key), key_ownership_digest(domain, account.address))
    value = registry.config().min_validator_stake if stake is None else stake
    client.send(registry.register_validator(account.address, possession, endpoint, value))
    return Registered.NEW


def register_miner(client: ChainClient, stake: int | None = None) -> bool:
    """Make the client's account a miner; returns False if it is one already.

    Args:
        stake: wei; default: the least that the registry takes.

    Raises:
        RegistrationError: the account is a validator, or is leaving.
        ContractReverted, InsufficientFunds: the registry refuses it, or the account cannot pay.
    """
    account, registry = account_of(client), client.registry
    if _is_bonded(registry.node(account.address), Role.MINER, account):
        return False
    value = registry.config().min_miner_stake if stake is None else stake
    client.send(registry.register_miner(value))
    return True


def join_epoch(client: ChainClient) -> Voting:
    """Bring the client's account, a registered validator, into the current epoch: by a new one if it can start.

    Where the current validators have to agree to that, they are asked.

    Raises:
        ChainError: the chain does not answer, or the account cannot pay.
    """
    account, registry = account_of(client), client.registry
    if account.address in _voters(client):
        return Voting(registry.current_epoch(), votes=True)
    try:
        start_epoch(client)
    except ContractReverted as refusal:
        if refusal.name not in ("EpochNotOver", "TooFewValidators", "QuorumNotReached"):
            raise
        return Voting(registry.current_epoch(), votes=False, reason=refusal.message)
    return Voting(registry.current_epoch(), votes=account.address in _voters(client))


def _voters(client: ChainClient) -> tuple[str, ...]:
    epoch = client.registry.current_epoch()
    return client.registry.epoch_validators(epoch) if epoch else ()


def _is_bonded(node: Node, role: Role, account: LocalAccount) -> bool:
    """Whether the account holds ``role``; raises if it holds another or is leaving."""
    if node.role is Role.NONE:
        return False
    if node.role is not role:
        raise RegistrationError(
            f"{account.address} is registered as a {node.role.name.lower()}",
            f"use another account as a {role.name.lower()}",
        )
    if node.unbonding_at:
        raise RegistrationError(
            f"{account.address} is leaving: its stake is unbonding",
            "withdraw the stake when it is free, then register again; or use another account",
        )
    return True
