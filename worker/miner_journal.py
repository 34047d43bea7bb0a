"""What a miner must not lose: the salt and the submission behind each seal it has sent."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pot_chain.protocol import canonical
from pot_chain.protocol.addresses import Digest, hex_digest, parse_digest
from pot_chain.protocol.errors import PotError, ProtocolError
from pot_chain.protocol.record import exact_fields, small_uint

MAX_ENTRY_BYTES = 4_096


class JournalDamaged(PotError):
    """A journal entry cannot be read."""


class JournalUnwritable(PotError):
    """A journal entry cannot be made durable; nothing was sealed."""


@dataclass(frozen=True, slots=True)
class Sealed:
    """A submission before its seal is sent.

    Attributes:
        cid_digest: digest of the submission manifest.
        salt: 32 secret random bytes, revealed only when all have committed.
        gradient: CID of the gradient, to be unpinned after the evidence window.
        opening: sha2-256 of the round's seed and checkpoint; after a reorg the round may have opened with others.
    """

    round: int
    cid_digest: Digest
    salt: Digest
    seal: Digest
    gradient: str
    opening: Digest


class SubmissionJournal:
    """One file a round of a task, written durably before the seal leaves; readable by its owner only.

    Raises:
        JournalUnwritable: the folder cannot be made.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise _unwritable(folder, error) from error

    def save(self, sealed: Sealed) -> None:
        """Store ``sealed``; it survives a crash from the moment this returns. An older entry is replaced at once.

        Raises:
            JournalUnwritable: it could not be stored.
        """
        text = json.dumps(
            {
                "round": sealed.round,
                "cid_digest": hex_digest(sealed.cid_digest),
                "salt": hex_digest(sealed.salt),
                "seal": hex_digest(sealed.seal),
                "gradient": sealed.gradient,
                "opening": hex_digest(sealed.opening),
            }
        )
        temporary = self._folder / f".{sealed.round}.tmp"
        try:
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "w") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(self._path(sealed.round))
            folder = os.open(self._folder, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as error:
            raise _unwritable(self._folder, error) from error

    def load(self, round_number: int) -> Sealed | None:
        """The submission of a round, if one was sealed.

        Raises:
            JournalDamaged: the file is not what ``save`` wrote.
        """
        path = self._path(round_number)
        try:
            with path.open("rb") as file:
                document = canonical.parse(file.read(MAX_ENTRY_BYTES + 1), max_bytes=MAX_ENTRY_BYTES)
            fields = exact_fields(document, "round", "cid_digest", "salt", "seal", "gradient", "opening")
            gradient = fields["gradient"]
            if small_uint(fields["round"]) != round_number or not isinstance(gradient, str):
                raise ProtocolError("it is the entry of another round")
            return Sealed(
                round_number,
                parse_digest(fields["cid_digest"]),
                parse_digest(fields["salt"]),
                parse_digest(fields["seal"]),
                gradient,
                parse_digest(fields["opening"]),
            )
        except FileNotFoundError:
            return None
        except (OSError, ProtocolError) as error:
            raise JournalDamaged(
                f"the entry {path} of the submission journal is damaged: {error}",
                "nothing can be revealed for its round, which earns nothing; check the disk",
            ) from error

    def rounds(self) -> Iterator[int]:
        """Rounds with an entry, ascending."""
        yield from sorted(int(path.stem) for path in self._folder.glob("*.json") if path.stem.isdecimal())

    def forget(self, round_number: int) -> None:
        """Drop the entry of a round whose evidence window is over."""
        self._path(round_number).unlink(missing_ok=True)

    def _path(self, round_number: int) -> Path:
        return self._folder / f"{round_number}.json"


def _unwritable(folder: Path, error: OSError) -> JournalUnwritable:
    return JournalUnwritable(
        f"the submission journal in {folder} cannot be written: {error.strerror or error}",
        "make the folder writable and free space on its disk; the miner goes on then",
    )
