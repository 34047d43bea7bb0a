"""A chain with events to follow, and a consumer that checks what it is told."""

from __future__ import annotations

import threading
import time
from pathlib import Path

from pot_chain.chain.anvil import AnvilProcess
from pot_chain.chain.bindings import Contracts
from pot_chain.chain.connection import rpc
from pot_chain.chain.deployment import Deployment
from pot_chain.chain.events import StakeAdded
from pot_chain.chain.follower import EventFollower, Item, Reorged
from pot_chain.chain.logs import Event, RawLog
from pot_chain.chain.sender import TransactionSender


class World:
    """A chain with our contracts, and one miner whose added stakes are the events."""

    def __init__(self, chain: AnvilProcess, sender: TransactionSender, deployment: Deployment) -> None:
        self.chain, self.sender, self.deployment = chain, sender, deployment
        self.web3 = sender.web3
        self.contracts = deployment.bind(self.web3)
        self.sender.send(self.contracts.registry.register_miner(10**17))

    def add(self, *amounts: int) -> None:
        """Each amount is an event in a block of its own."""
        for amount in amounts:
            self.sender.send(self.contracts.registry.add_stake(amount))

    def add_in_one_block(self, *amounts: int) -> None:
        rpc(self.web3, "evm_setAutomine", [False])
        waiting = threading.Thread(
            target=self.sender.send_many, args=[[self.contracts.registry.add_stake(amount) for amount in amounts]]
        )
        waiting.start()
        while int(rpc(self.web3, "txpool_status")["pending"], 16) < len(amounts):
            time.sleep(0.002)
        self.mine(1)
        waiting.join()
        rpc(self.web3, "evm_setAutomine", [True])

    def mine(self, blocks: int) -> None:
        rpc(self.web3, "anvil_mine", [hex(blocks)])

    def snapshot(self) -> str:
        return str(rpc(self.web3, "evm_snapshot"))

    def revert(self, snapshot: str) -> None:
        assert rpc(self.web3, "evm_revert", [snapshot])

    @property
    def head(self) -> int:
        return int(rpc(self.web3, "eth_blockNumber"), 16)

    def follower(self, path: Path | None = None, contracts: Contracts | None = None, **options: int) -> EventFollower:
        return EventFollower(contracts or self.contracts, self.deployment.from_block, path, **options)

    def truth(self) -> list[Event]:
        """What the chain says now."""
        logs = rpc(self.web3, "eth_getLogs", [{"address": list(self.contracts.addresses), "fromBlock": "0x0"}])
        return self.contracts.events(RawLog.from_rpc(log) for log in logs)


def drain(follower: EventFollower) -> list[Item]:
    """All that is new, acknowledged."""
    found: list[Item] = []
    while items := follower.poll():
        for item in items:
            follower.acknowledge(item)
        found += items
    return found


def amounts(items: list[Item] | tuple[Event, ...] | list[Event]) -> list[int]:
    return [item.amount for item in items if isinstance(item, StakeAdded)]


def apply(model: list[Event], items: list[Item]) -> None:
    """What a consumer does; checks that a reorg names exactly what it takes back."""
    for item in items:
        if isinstance(item, Reorged):
            removed = [event for event in model if event.block_number > item.to_block]
            assert list(item.removed_events) == removed[::-1]
            del model[len(model) - len(removed) :]
        else:
            model.append(item)
