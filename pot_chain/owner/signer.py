"""The account behind a client that sends."""

from __future__ import annotations

from eth_account.signers.local import LocalAccount

from pot_chain.chain.network import ChainClient
from pot_chain.owner.errors import OwnerError


def account_of(client: ChainClient) -> LocalAccount:
    """The account that ``client`` sends with.

    Raises:
        OwnerError: the client was opened for reading only.
    """
    if client.account is None:
        raise OwnerError("this needs an account that pays", "give a wallet with --keystore")
    return client.account
