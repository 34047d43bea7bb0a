"""Nonces of one account, shared by all senders of this process."""

from __future__ import annotations

import threading
from typing import Final

from web3 import Web3

from pot_chain.chain.connection import chain_id_of, rpc
from pot_chain.protocol.addresses import Address


class Nonces:
    """Hands out nonces so that no two transactions of this process collide and no gap stays open.

    The chain's pending count is asked each time, which takes in what other processes sent with the same key too. It may
    lag behind the transactions that this process has just handed over, so those are remembered until they are settled.

    Attributes:
        lock: held from ``next`` until the transaction was offered to the node, so that nonces reach it in order.
    """

    def __init__(self, address: Address) -> None:
        self._address = address
        self._in_flight: set[int] = set()
        self.lock = threading.Lock()

    def next(self, web3: Web3, at_least: int = 0) -> int:
        """The nonce for a new transaction; call with ``lock`` held.

        Args:
            web3: connection.
            at_least: lower bound, after the node said that a smaller one is taken.
        """
        pending = int(rpc(web3, "eth_getTransactionCount", [self._address, "pending"]), 16)
        return max(pending, at_least, max(self._in_flight, default=-1) + 1)

    def claim(self, nonce: int) -> None:
        """Note that a transaction with ``nonce`` may be on its way; call with ``lock`` held."""
        self._in_flight.add(nonce)

    def release(self, nonce: int) -> None:
        """Note that nobody waits for the transaction with ``nonce`` any more; what became of it, the chain knows."""
        with self.lock:
            self._in_flight.discard(nonce)


_registry: Final[dict[tuple[int, str, Address], Nonces]] = {}
_registry_lock: Final = threading.Lock()


def nonces_of(web3: Web3, address: Address) -> Nonces:
    """The nonces of ``address`` on the chain behind ``web3``: one object per process, account and chain.

    A chain is known by its id and its genesis block: local networks share an id.
    """
    genesis = str(rpc(web3, "eth_getBlockByNumber", ["0x0", False])["hash"])
    key = (chain_id_of(web3), genesis, address)
    with _registry_lock:
        return _registry.setdefault(key, Nonces(address))
