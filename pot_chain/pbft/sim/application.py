"""The simulated application: payloads that carry their slot, an author and a verdict."""

from __future__ import annotations

from functools import lru_cache
from hashlib import blake2b

from pot_chain.protocol.addresses import Digest
from pot_chain.protocol.votes import Slot


def payload(slot: Slot, tag: str, *, valid: bool = True) -> bytes:
    """An outcome of ``slot``; different tags are different outcomes."""
    return f"{slot.task_id} {slot.round} {slot.epoch} {'ok' if valid else 'bad'} {tag}".encode()


@lru_cache(maxsize=4096)
def digest_of(data: bytes) -> Digest | None:
    """Digest of a payload; None if it is malformed."""
    return blake2b(data, digest_size=32).digest() if len(data.split(b" ")) == 5 else None


def is_valid(slot: Slot, data: bytes) -> bool:
    """Whether an honest validator of ``slot`` confirms ``data``."""
    fields = data.split(b" ")
    return len(fields) == 5 and fields[:4] == [b"%d" % slot.task_id, b"%d" % slot.round, b"%d" % slot.epoch, b"ok"]
