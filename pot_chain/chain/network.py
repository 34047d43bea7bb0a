"""A role's view of the chain: one connection, one history, one sender."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

from eth_account.signers.local import LocalAccount

from pot_chain.chain.connection import connect, rpc
from pot_chain.chain.contract import Call
from pot_chain.chain.deployment import load_deployment
from pot_chain.chain.errors import ChainError
from pot_chain.chain.follower import EventFollower, Reorged
from pot_chain.chain.history import History
from pot_chain.chain.logs import Event
from pot_chain.chain.sender import Mined, TransactionSender
from pot_chain.protocol.addresses import Digest
from pot_chain.protocol.eip712 import Domain

REMEMBERED_BLOCKS = 4096


@dataclass(frozen=True, slots=True)
class Block:
    """A block's number, timestamp (seconds) and prevrandao (32 bytes)."""

    number: int
    timestamp: int
    randomness: Digest


class ChainClient:
    """What miners, validators and owners need of the chain. Blocking; safe to use from several threads.

    Args:
        rpc_url: JSON-RPC endpoint.
        deployment: file that names the contracts.
        account: unlocked account that pays; None for a client that only reads.

    Raises:
        RpcDown, DeploymentError: the chain cannot be reached, or has no such contracts.

    Attributes:
        history: everything the contracts have emitted up to block ``head``, whose timestamp is ``now``.
    """

    def __init__(self, rpc_url: str, deployment: Path, account: LocalAccount | None = None) -> None:
        self.web3 = connect(rpc_url)
        self.deployment = load_deployment(deployment, self.web3)
        self.contracts = self.deployment.bind(self.web3)
        self.registry, self.training = self.contracts.registry, self.contracts.training
        self.domain = Domain(self.deployment.chain_id, self.training.address)
        self.account = account
        self._sender = TransactionSender(self.web3, account) if account is not None else None
        self._follower = EventFollower(self.contracts, from_block=self.deployment.from_block)
        self._events: list[Event] = []
        self._lock, self._blocks_lock = threading.Lock(), threading.Lock()
        self._blocks: OrderedDict[int, Block] = OrderedDict()
        self._reorgs = 0
        self.history = History(self.domain)
        self.head = 0
        self.now = 0

    def poll(self) -> bool:
        """Take what is new on the chain; returns whether there were events.

        Raises:
            RpcDown, RpcError: the node does not answer; what was known stays as it is.
        """
        with self._lock:
            latest = self._fetch("latest")
            changed = False
            while True:
                news = self._follower.poll()
                changed |= bool(news)
                for item in news:
                    if isinstance(item, Reorged):
                        self._roll_back(item.to_block)
                    else:
                        self._events.append(item)
                        self.history.apply(item)
                if not news or self._follower.block >= latest.number:
                    break
            # Time must not run ahead of the events: a deadline has passed only when all that came before it is known.
            if self._follower.block >= latest.number:
                self.head, self.now = latest.number, latest.timestamp
            return changed

    def _roll_back(self, block: int) -> None:
        """Forget what happened after ``block``."""
        self._events = [event for event in self._events if event.block_number <= block]
        with self._blocks_lock:
            self._reorgs += 1
            self._blocks = OrderedDict((number, seen) for number, seen in self._blocks.items() if number <= block)
        self.history = History.fold(self.domain, self._events)

    def block(self, number: int) -> Block:
        """A block of the chain; the last few thousand that were asked for are remembered."""
        with self._blocks_lock:
            found, reorgs = self._blocks.get(number), self._reorgs
        if found is not None:
            return found
        fetched = self._fetch(hex(number))
        with self._blocks_lock:
            if reorgs == self._reorgs:  # else it may be a block of the abandoned branch
                self._blocks[number] = fetched
                if len(self._blocks) > REMEMBERED_BLOCKS:
                    self._blocks.popitem(last=False)
        return fetched

    def first_block_after(self, timestamp: int, from_block: int) -> int | None:
        """Number of the first block above ``from_block`` with a later timestamp; None while there is none."""
        low, high = from_block, self.head
        if self.block(high).timestamp <= timestamp:
            return None
        while high - low > 1:
            middle = (low + high) // 2
            if self.block(middle).timestamp > timestamp:
                high = middle
            else:
                low = middle
        return high

    def send(self, call: Call, *, gas: int | None = None) -> Mined:
        """Send a transaction and wait until it is mined.

        Args:
            gas: limit; estimated when None.

        Raises:
            ChainError: this client has no account, or see ``TransactionSender.send``.
        """
        if self._sender is None:
            raise ChainError("this needs an account that pays", "give a wallet with --keystore")
        return self._sender.send(call, gas=gas)

    def _fetch(self, tag: str) -> Block:
        answer = rpc(self.web3, "eth_getBlockByNumber", [tag, False])
        if answer is None:
            raise ChainError(f"the node does not have block {tag}", "it may still be catching up; try again")
        return Block(int(answer["number"], 16), int(answer["timestamp"], 16), bytes.fromhex(answer["mixHash"][2:]))
