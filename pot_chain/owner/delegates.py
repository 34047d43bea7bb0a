"""Hot keys that act for a miner whose own key stays offline: they join, leave, commit and reveal, nothing else."""

from __future__ import annotations

from dataclasses import dataclass

from pot_chain.chain.network import ChainClient
from pot_chain.owner.errors import NothingToPay, RegistrationError
from pot_chain.owner.nodes import register_miner
from pot_chain.owner.signer import account_of
from pot_chain.protocol.addresses import Address


@dataclass(frozen=True, slots=True)
class Authorized:
    """A right that was given.

    Attributes:
        registered: whether the account became a miner for it.
        expires_at: last second of the right.
        allowance: wei that the delegate may draw now.
    """

    delegate: Address
    registered: bool
    expires_at: int
    allowance: int
    transaction: str


@dataclass(frozen=True, slots=True)
class Paid:
    """Wei that a delegate drew, or that went back to the node."""

    amount: int
    transaction: str


def authorize(client: ChainClient, delegate: Address, seconds: int, allowance: int = 0) -> Authorized:
    """Let ``delegate`` act for the client's account for so many seconds from now; registers the account if needed.

    Args:
        allowance: wei that the delegate may draw in addition, for its fees.

    Raises:
        RegistrationError: the account is a validator, or is leaving; or it is the delegate itself.
        ChainError: a transaction fails.
    """
    account, registry = account_of(client), client.registry
    if delegate == account.address:
        raise RegistrationError(f"{delegate} needs no right to act for itself", "name the address of the hot key")
    registered = register_miner(client)
    client.poll()  # brings ``now`` up to date
    mined = client.send(registry.authorize_delegate(delegate, client.now + seconds, allowance))
    granted = registry.delegation(account.address, delegate)
    return Authorized(delegate, registered, granted.expires_at, granted.allowance, mined.transaction)


def revoke(client: ChainClient, delegate: Address) -> Paid:
    """Take the right of ``delegate`` back, and what it has not drawn.

    Raises:
        RegistrationError: it has none.
        ChainError: the transaction fails.
    """
    account, registry = account_of(client), client.registry
    granted = registry.delegation(account.address, delegate)
    if granted.expires_at == 0:
        raise RegistrationError(f"{delegate} is no delegate of {account.address}", "is the address right?")
    return Paid(granted.allowance, client.send(registry.revoke_delegate(delegate)).transaction)


def draw(client: ChainClient, node: Address, amount: int | None = None) -> Paid:
    """Have the client's account, a delegate of ``node``, paid from its allowance.

    Args:
        amount: wei; None: all of it.

    Raises:
        NothingToPay: nothing is left.
        ChainError: the account is no delegate, or the transaction fails.
    """
    account, registry = account_of(client), client.registry
    wei = registry.delegation(node, account.address).allowance if amount is None else amount
    if wei == 0:
        raise NothingToPay(
            f"{account.address} has nothing to draw from {node}",
            "`pot miner delegate authorize --allowance` grants more",
        )
    return Paid(wei, client.send(registry.draw_allowance(node, wei)).transaction)
