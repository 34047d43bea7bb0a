"""Contract logs: as a node sends them, and as typed events."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, TypeVar, get_type_hints

from eth_utils import to_checksum_address

from pot_chain.chain.abi import AbiError, Component, decode, snake_case, topic_of
from pot_chain.protocol.addresses import Address


@dataclass(frozen=True, slots=True)
class RawLog:
    """An entry of a receipt or of ``eth_getLogs``.

    Attributes:
        address: contract that emitted it.
        topics: up to four words of 32 bytes.
        data: ABI encoding of what is not indexed.
        block_number: block that holds it.
        block_hash: hash of that block, 0x-hex.
        transaction: hash of the transaction, 0x-hex.
        log_index: position in the block.
    """

    address: Address
    topics: tuple[bytes, ...] = field(repr=False)
    data: bytes = field(repr=False)
    block_number: int
    block_hash: str
    transaction: str
    log_index: int

    @classmethod
    def from_rpc(cls, log: Mapping[str, Any]) -> RawLog:
        """From the node's JSON, inverse of ``to_json``; raises KeyError, TypeError or ValueError on another form."""
        return cls(
            address=str(to_checksum_address(log["address"])),
            topics=tuple(bytes.fromhex(topic[2:]) for topic in log["topics"]),
            data=bytes.fromhex(log["data"][2:]),
            block_number=int(log["blockNumber"], 16),
            block_hash=str(log["blockHash"]),
            transaction=str(log["transactionHash"]),
            log_index=int(log["logIndex"], 16),
        )

    def to_json(self) -> dict[str, Any]:
        """The node's JSON form."""
        return {
            "address": self.address,
            "topics": ["0x" + topic.hex() for topic in self.topics],
            "data": "0x" + self.data.hex(),
            "blockNumber": hex(self.block_number),
            "blockHash": self.block_hash,
            "transactionHash": self.transaction,
            "logIndex": hex(self.log_index),
        }


@dataclass(frozen=True, slots=True)
class Event:
    """Base of the typed events: a subclass bears the event's name, its fields the parameters' names in snake case.

    Attributes:
        log: where it was emitted.
    """

    log: RawLog

    @property
    def block_number(self) -> int:
        """Block that holds it."""
        return self.log.block_number

    @property
    def transaction(self) -> str:
        """Hash of its transaction, 0x-hex."""
        return self.log.transaction

    @property
    def log_index(self) -> int:
        """Position in the block."""
        return self.log.log_index


E = TypeVar("E", bound=Event)


class EventDecoder:
    """Turns logs of one contract's ABI into typed events.

    Args:
        abi: JSON ABI that holds every event of ``kinds``.
        kinds: event classes.

    Raises:
        AbiError: a class does not match the ABI, so that a change of the contract is noticed at once.
    """

    def __init__(self, abi: Iterable[Component], kinds: Iterable[type[Event]]) -> None:
        entries = {entry["name"]: entry for entry in abi if entry["type"] == "event"}
        self._kinds: dict[bytes, tuple[type[Event], Component, dict[str, Any]]] = {}
        for kind in kinds:
            entry = entries.get(kind.__name__)
            names = tuple(item.name for item in fields(kind))[1:]  # without ``log``
            if entry is None or names != tuple(snake_case(item["name"]) for item in entry["inputs"]):
                raise AbiError(f"{kind.__name__} does not match the contract's ABI", "adapt the bindings")
            hints = get_type_hints(kind)
            self._kinds[topic_of(entry)] = (kind, entry, {name: hints[name] for name in names})

    def decode(self, log: RawLog) -> Event | None:
        """The event in ``log``; None when it is of no known kind.

        Raises:
            AbiError: the log is malformed.
        """
        found = self._kinds.get(log.topics[0]) if log.topics else None
        if found is None:
            return None
        kind, entry, types = found
        indexed = [item for item in entry["inputs"] if item["indexed"]]
        plain = [item for item in entry["inputs"] if not item["indexed"]]
        if len(log.topics) != 1 + len(indexed):
            raise AbiError(f"a log of {kind.__name__} has {len(log.topics)} topics instead of {1 + len(indexed)}")
        values: dict[str, Any] = {}
        for items, data in ((indexed, b"".join(log.topics[1:])), (plain, log.data)):
            names = [snake_case(item["name"]) for item in items]
            values.update(zip(names, decode(items, data, [types[name] for name in names]), strict=True))
        return kind(log=log, **values)


def events_of(kind: type[E], events: Iterable[Event]) -> list[E]:
    """The events of one kind, in order."""
    return [event for event in events if isinstance(event, kind)]
