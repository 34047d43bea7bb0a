"""Where a follower of the chain stands, on disk: it survives SIGKILL between any two instructions.

``<path>`` holds the position and the recent block hashes, replaced atomically. ``<path>.events`` holds, one JSON line
each, the logs that were acknowledged in those blocks; it is appended to *before* the position moves, and what lies
beyond the position is ignored, so the two never disagree.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pot_chain.chain.errors import CursorDamaged
from pot_chain.chain.logs import RawLog
from pot_chain.protocol.addresses import Address

_FORMAT: Final = 1


@dataclass(frozen=True, slots=True)
class BlockRef:
    """A block by number and hash (0x-hex)."""

    number: int
    hash: str


@dataclass(frozen=True, slots=True)
class Cursor:
    """What has been acknowledged.

    Attributes:
        blocks: recent blocks, ascending; the last one is the block of the position.
        log_index: last acknowledged log of that block; None when the whole block is done.
    """

    blocks: tuple[BlockRef, ...]
    log_index: int | None = None

    def covers(self, log: RawLog) -> bool:
        """Whether ``log`` lies at or before the position."""
        last = self.blocks[-1]
        if log.block_number != last.number:
            return log.block_number < last.number
        return self.log_index is None or log.log_index <= self.log_index


class CursorFile:
    """The cursor of one follower on disk.

    Args:
        path: file of the position; its folder is created.
        chain_id: chain that it belongs to.
        anchor: a block below everything that is followed: tells chains with the same id apart.
        contracts: addresses that are followed.

    Attributes:
        journal_lines: lines of the journal, for ``compact``.
    """

    def __init__(self, path: Path, chain_id: int, anchor: BlockRef, contracts: Sequence[Address]) -> None:
        self.path = path
        self.journal_lines = 0
        self._journal_path = path.with_name(path.name + ".events")
        self._identity = {
            "format": _FORMAT,
            "chain": chain_id,
            "anchor": [anchor.number, anchor.hash],
            "contracts": sorted(contracts),
        }

    def load(self) -> tuple[Cursor, list[RawLog]] | None:
        """The saved position and the logs that were acknowledged in its blocks; None if there is none.

        Raises:
            CursorDamaged: unreadable, or of another chain or deployment.
        """
        try:
            saved = json.loads(self.path.read_text(encoding="utf-8"))
            found = {key: saved[key] for key in self._identity}
            blocks = tuple(BlockRef(int(number), str(block_hash)) for number, block_hash in saved["blocks"])
            index = saved["logIndex"]
            cursor = Cursor(blocks, None if index is None else int(index))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise CursorDamaged(
                f"the saved position {self.path} cannot be read: {error!r}",
                "delete it: the events are then read again from the deployment on",
            ) from error
        if found != self._identity or not blocks:
            raise CursorDamaged(
                f"the saved position {self.path} belongs to another chain or deployment",
                "delete it, or use the folder of this network",
            )
        logs = self._load_journal(cursor)
        self.compact(logs)
        return cursor, logs

    def append(self, log: RawLog) -> None:
        """Note a log that is about to be acknowledged."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self._journal_path.open("a", encoding="utf-8") as journal:
            journal.write(_line(log))
        self.journal_lines += 1

    def save(self, cursor: Cursor) -> None:
        """Move the position."""
        position = {"blocks": [[block.number, block.hash] for block in cursor.blocks], "logIndex": cursor.log_index}
        self._replace(self.path, json.dumps({**self._identity, **position}))

    def compact(self, logs: Iterable[RawLog]) -> None:
        """Replace the journal by ``logs``: the acknowledged ones in the recent blocks.

        When the position moved back, it is saved first: until the journal follows, it only holds more than is needed.
        """
        lines = [_line(log) for log in logs]
        self._replace(self._journal_path, "".join(lines))
        self.journal_lines = len(lines)

    def _load_journal(self, cursor: Cursor) -> list[RawLog]:
        try:
            lines = self._journal_path.read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return []
        # a log that was given again after a crash is there twice
        logs: dict[tuple[str, int], RawLog] = {}
        for number, line in enumerate(lines, 1):
            try:
                log = RawLog.from_rpc(json.loads(line))
            except (ValueError, KeyError, TypeError) as error:
                if number == len(lines):
                    break  # torn by a crash while it was appended: the position has not moved over it
                raise CursorDamaged(
                    f"line {number} of {self._journal_path} cannot be read", f"delete it and {self.path}"
                ) from error
            if cursor.covers(log) and log.block_number > cursor.blocks[0].number:
                logs[log.block_hash, log.log_index] = log
        return list(logs.values())

    def _replace(self, path: Path, text: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=".cursor-")
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        # not fsynced: after a power failure an older position is as good, events are then given again
        Path(temporary).replace(path)


def _line(log: RawLog) -> str:
    return json.dumps(log.to_json(), separators=(",", ":")) + "\n"
