"""Follows the contracts' events: in the order of the chain, each once, through restarts, outages and reorgs.

Far from the head, logs are read in ranges of blocks. The last ``window`` blocks are read one by one, each by its hash
and checked against its parent's, so that a reorg between two requests cannot mix two branches; their hashes are kept,
and a reorg is reported as ``Reorged`` before the events of the new branch.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from web3 import Web3

from pot_chain.chain.bindings import Contracts
from pot_chain.chain.connection import chain_id_of, endpoint, rpc
from pot_chain.chain.cursor import BlockRef, Cursor, CursorFile
from pot_chain.chain.errors import CursorDamaged, ReorgTooDeep, RpcDown, RpcError
from pot_chain.chain.logs import Event, RawLog

logger = logging.getLogger(__name__)

DEFAULT_WINDOW: Final = 64
"""Blocks that a reorg may remove: two epochs of Ethereum, after which it is final."""
DEFAULT_CHUNK: Final = 2_000
"""Blocks a request for logs: what most providers allow."""
MAX_BACKOFF_S: Final = 30.0
_BATCH: Final = 1_000
_JOURNAL_SLACK: Final = 256


_ANEW: Final = "was the chain started anew? then delete the saved position and deploy the contracts again"


@dataclass(frozen=True, slots=True)
class Reorged:
    """Blocks were replaced: everything after block ``to_block`` has not happened.

    Attributes:
        to_block: last block that stays.
        removed_events: events given before that lie after it, newest first: the order in which to undo them.
    """

    to_block: int
    removed_events: tuple[Event, ...]


Item = Event | Reorged


@dataclass(frozen=True, slots=True)
class _Handed:
    """An item that was given out, and the cursor once it is acknowledged."""

    item: Item
    cursor: Cursor


class EventFollower:
    """Gives the events of both contracts to one consumer.

    ``poll`` gives what is new; ``acknowledge`` saves that an item is done. What was given but not acknowledged is given
    again after a restart, so a consumer that acknowledges after its work sees every event, and sees one twice only if
    it was killed between its work and the acknowledgement. ``follow`` does both for a loop. Without a file there is
    nothing to save, and each ``poll`` acknowledges what the one before gave.

    Args:
        contracts: what to follow.
        from_block: first block to read (``Deployment.from_block``).
        path: file of the position; None keeps it in memory only.
        confirmations: blocks on top of a block before its events are given.
        window: number of blocks that a reorg may remove.
        chunk: blocks a request far from the head.

    Raises:
        CursorDamaged: the saved position is unreadable or of another chain.
        RpcDown: no answer.
    """

    def __init__(
        self,
        contracts: Contracts,
        from_block: int,
        path: Path | None = None,
        *,
        confirmations: int = 0,
        window: int = DEFAULT_WINDOW,
        chunk: int = DEFAULT_CHUNK,
    ) -> None:
        self._contracts = contracts
        self._web3: Web3 = contracts.web3
        self._from_block = from_block
        self._confirmations = confirmations
        self._window = window
        self._max_chunk = self._chunk = chunk
        self._recent: deque[RawLog] = deque()
        self._resume_at: int | None = None
        self._handed: deque[_Handed] = deque()
        self._file: CursorFile | None = None
        anchor = self._block(max(0, from_block - 1))
        if anchor is None:
            raise CursorDamaged(f"the chain at {endpoint(self._web3)} has no block {from_block}", _ANEW)
        self._anchor = anchor
        self._blocks: deque[BlockRef] = deque([anchor] if from_block > 0 else [])
        self._saved_block = self._tip
        if path is not None:
            self._file = CursorFile(path, chain_id_of(self._web3), anchor, contracts.addresses)
            saved = self._file.load()
            if saved is not None:
                cursor, logs = saved
                self._blocks = deque(cursor.blocks)
                self._recent.extend(logs)
                self._resume_at = cursor.log_index

    @property
    def block(self) -> int:
        """Last block up to which all events were given out; at first ``from_block - 1``."""
        return self._tip if self._resume_at is None else self._tip - 1

    @property
    def _tip(self) -> int:
        return self._blocks[-1].number if self._blocks else self._from_block - 1

    def poll(self) -> list[Item]:
        """What is new, in order; empty when nothing is. Far behind the head, some thousand events a call.

        Raises:
            RpcDown, RpcError: the node did not answer; nothing is lost, call again.
            ReorgTooDeep: more blocks were replaced than ``window``.
        """
        if self._file is None:
            self._handed.clear()
        head = self._head()
        if head is None or (self._blocks and head == self._blocks[-1] and self._resume_at is None):
            return []
        reorg = self._check_tip(head)
        if reorg is not None:
            return [reorg]
        items: list[Item] = []
        try:
            while len(items) < _BATCH and (self._tip < head.number or self._resume_at is not None):
                before = self._tip, self._resume_at, self._chunk
                items += self._advance(head)
                if before == (self._tip, self._resume_at, self._chunk):
                    break  # the chain changed under our eyes: look again next time
        except (RpcDown, RpcError):
            if not items:
                raise
        if self._file is not None and not self._handed and self._tip - self._saved_block >= self._window:
            self._save(Cursor(tuple(self._blocks)))  # quiet stretches need not be read again after a restart
        return items

    def acknowledge(self, item: Item) -> None:
        """Note that ``item`` is done; items must be acknowledged in the order in which they were given.

        Raises:
            ValueError: it is not the oldest item that is not acknowledged.
        """
        if not self._handed or self._handed[0].item is not item:
            raise ValueError("items must be acknowledged in the order in which they were given")
        cursor = self._handed.popleft().cursor
        if self._file is None:
            return
        if isinstance(item, Event):
            self._file.append(item.log)
        self._save(cursor)
        if isinstance(item, Reorged) or self._file.journal_lines > 2 * len(self._recent) + _JOURNAL_SLACK:
            self._file.compact(log for log in self._recent if cursor.covers(log))

    def follow(self, stop: threading.Event, *, interval: float = 0.5, raise_when_down: bool = False) -> Iterator[Item]:
        """Items as they come, until ``stop`` is set; the one before is acknowledged when the next is asked for.

        Begins with the items that were given and not acknowledged.

        Args:
            stop: ends the iteration, within ``interval`` or at once while it waits.
            interval: seconds between looks at a quiet chain.
            raise_when_down: raise RpcDown and RpcError instead of waiting (up to 30 s between tries) for the node.
        """
        pause = interval
        items = [handed.item for handed in self._handed]
        while not stop.is_set():
            for item in items:
                yield item
                self.acknowledge(item)
                if stop.is_set():
                    return
            try:
                items = self.poll()
                pause = interval
                if not items:
                    stop.wait(interval)
            except (RpcDown, RpcError) as error:
                if raise_when_down:
                    raise
                items = []
                logger.warning("%s; trying again in %.1f s", error, pause)
                stop.wait(pause)
                pause = min(2 * pause, MAX_BACKOFF_S)

    def _save(self, cursor: Cursor) -> None:
        if self._file is not None:
            self._file.save(cursor)
            self._saved_block = cursor.blocks[-1].number

    # ---- the chain

    def _head(self) -> BlockRef | None:
        """The newest block with enough confirmations."""
        if self._confirmations == 0:
            return self._block("latest")
        number = int(rpc(self._web3, "eth_blockNumber"), 16) - self._confirmations
        return self._block(number) if number >= 0 else None

    def _block(self, number: int | str) -> BlockRef | None:
        found = self._header(number)
        return None if found is None else BlockRef(int(found["number"], 16), str(found["hash"]))

    def _header(self, number: int | str) -> dict[str, Any] | None:
        tag = hex(number) if isinstance(number, int) else number
        header: dict[str, Any] | None = rpc(self._web3, "eth_getBlockByNumber", [tag, False])
        return header

    def _logs(self, where: dict[str, str]) -> list[RawLog]:
        logs = rpc(self._web3, "eth_getLogs", [{"address": list(self._contracts.addresses), **where}])
        return sorted((RawLog.from_rpc(log) for log in logs), key=lambda log: (log.block_number, log.log_index))

    # ---- reorgs

    def _check_tip(self, head: BlockRef) -> Reorged | None:
        """Roll back if our last block is gone."""
        if not self._blocks:
            return None
        tip = self._blocks[-1]
        if head.number >= tip.number:
            found = self._block(tip.number)
            # None: the node behind this address that was asked now lags behind the one that told the head
            return None if found is None or found == tip else self._roll_back()
        ours = next((block for block in self._blocks if block.number == head.number), None)
        if ours is not None and ours != head:
            return self._roll_back()
        if self._block(self._anchor.number) != self._anchor:
            raise self._too_deep()
        # the same branch, but shorter: a node that lags, or a chain that was cut; its next blocks tell which
        return None

    def _too_deep(self) -> ReorgTooDeep:
        oldest = self._blocks[0].number
        return ReorgTooDeep(f"the chain at {endpoint(self._web3)} was rewritten from block {oldest} or before", _ANEW)

    def _roll_back(self) -> Reorged:
        """Forget what is not on the chain any more."""
        blocks = list(self._blocks)
        while blocks and self._block(blocks[-1].number) != blocks[-1]:
            blocks.pop()
        if not blocks:
            raise self._too_deep()
        to_block = blocks[-1].number
        removed = [log for log in self._recent if log.block_number > to_block]
        self._blocks = deque(blocks)
        self._recent = deque(log for log in self._recent if log.block_number <= to_block)
        self._resume_at = None
        event = Reorged(to_block, tuple(reversed(self._contracts.events(removed))))
        logger.warning("reorg to block %d: %d events removed", to_block, len(event.removed_events))
        self._handed.append(_Handed(event, Cursor(tuple(blocks))))
        return event

    # ---- reading

    def _advance(self, head: BlockRef) -> list[Item]:
        """Read one step towards ``head``."""
        if self._resume_at is not None:
            index, tip = self._resume_at, self._blocks[-1]
            logs = [log for log in self._logs({"blockHash": tip.hash}) if log.log_index > index]
            self._resume_at = None
            return self._hand_out(logs, tip)
        first = self._tip + 1
        if head.number - first >= self._window:
            return self._read_range(first, min(first + self._chunk - 1, head.number - self._window))
        return self._read_block(first)

    def _read_range(self, first: int, last: int) -> list[Item]:
        end = self._block(last)
        if end is None:
            return []
        try:
            logs = self._logs({"fromBlock": hex(first), "toBlock": hex(last)})
        except RpcError:
            if last == first:
                raise
            self._chunk = max(1, (last - first + 1) // 2)  # "too many results": each provider says it differently
            return []
        # the last block and the one before the range are still the same: so is all between them
        tip_stays = not self._blocks or self._block(self._blocks[-1].number) == self._blocks[-1]
        if not tip_stays or self._block(last) != end:
            return []
        self._chunk = min(2 * self._chunk, self._max_chunk)
        return self._take(logs, end)

    def _read_block(self, number: int) -> list[Item]:
        header = self._header(number)
        if header is None:
            return []
        block = BlockRef(number, str(header["hash"]))
        if self._blocks and self._blocks[-1].number == number - 1 and header["parentHash"] != self._blocks[-1].hash:
            return []  # replaced just now; the next look at the tip sees it
        try:
            logs = self._logs({"blockHash": block.hash})
        except RpcError:
            if self._block(number) == block:
                raise
            return []
        return self._take(logs, block)

    def _take(self, logs: list[RawLog], end: BlockRef) -> list[Item]:
        self._blocks.append(end)
        # one block older than the window stays: the ancestor of a reorg that removes all of it
        while len(self._blocks) > 2 and self._blocks[1].number <= end.number - self._window:
            self._blocks.popleft()
        return self._hand_out(logs, end)

    def _hand_out(self, logs: list[RawLog], end: BlockRef) -> list[Item]:
        oldest = self._blocks[0].number
        while self._recent and self._recent[0].block_number <= oldest:
            self._recent.popleft()
        items: list[Item] = []
        events = [event for log in logs if (event := self._contracts.decode(log)) is not None]
        for position, event in enumerate(events):
            if position == len(events) - 1:
                cursor = Cursor(tuple(self._blocks))
            else:
                log = event.log
                before = [block for block in self._blocks if block.number < log.block_number]
                cursor = Cursor((*before, BlockRef(log.block_number, log.block_hash)), log.log_index)
            self._recent.append(event.log)
            self._handed.append(_Handed(event, cursor))
            items.append(event)
        return items
