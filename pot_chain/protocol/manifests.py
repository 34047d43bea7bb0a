"""Small documents that name large content: the submission of a miner and the checkpoint of a task."""

from __future__ import annotations

from dataclasses import dataclass

from pot_chain.protocol import canonical
from pot_chain.protocol.addresses import Address, Digest, hex_digest, parse_address, parse_digest
from pot_chain.protocol.errors import ProtocolError
from pot_chain.protocol.outcome import parse_uint
from pot_chain.protocol.record import exact_fields, small_uint

MAX_MANIFEST_BYTES = 262_144
MAX_CONTENT_BYTES = 1 << 40
MAX_LOSS = 3.4028234663852886e38
"""Largest float32: losses are computed in it, and the sum of many claims must not overflow."""


@dataclass(frozen=True, slots=True)
class Submission:
    """A miner's work of one round; its digest is what the seal hides.

    Attributes:
        parent: digest of the checkpoint that was trained from.
        gradient: CID of the safetensors file.
        size: bytes of that file.
        loss: mean loss over the assigned samples.
        samples: samples worked on.
    """

    task_id: int
    round: int
    miner: Address
    parent: Digest
    gradient: str
    size: int
    loss: float
    samples: int

    def to_bytes(self) -> bytes:
        """Canonical JSON."""
        return canonical.encode(
            {
                "kind": "submission",
                "task": str(self.task_id),
                "round": self.round,
                "miner": self.miner,
                "parent": hex_digest(self.parent),
                "gradient": self.gradient,
                "bytes": self.size,
                "loss": self.loss,
                "samples": self.samples,
            }
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> Submission:
        """Parse a submission; raises ProtocolError on anything unexpected."""
        fields = exact_fields(
            canonical.decode(data, max_bytes=MAX_MANIFEST_BYTES),
            *("kind", "task", "round", "miner", "parent", "gradient", "bytes", "loss", "samples"),
        )
        loss = fields["loss"]
        if fields["kind"] != "submission" or not isinstance(loss, float) or not 0 <= loss <= MAX_LOSS:
            raise ProtocolError("not a submission manifest")
        return cls(
            task_id=parse_uint(fields["task"]),
            round=small_uint(fields["round"]),
            miner=parse_address(fields["miner"]),
            parent=parse_digest(fields["parent"]),
            gradient=_cid(fields["gradient"]),
            size=_content_bytes(fields["bytes"]),
            loss=loss,
            samples=small_uint(fields["samples"]),
        )


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A model's state: ``parameters`` is the CID of a safetensors file of ``size`` bytes.

    ``round`` counts the rounds that are in it: 0 for the initial weights. ``spec`` is the digest of the task spec.
    """

    spec: Digest
    round: int
    parameters: str
    size: int

    def to_bytes(self) -> bytes:
        """Canonical JSON."""
        return canonical.encode(
            {
                "kind": "checkpoint",
                "spec": hex_digest(self.spec),
                "round": self.round,
                "parameters": self.parameters,
                "bytes": self.size,
            }
        )

    @property
    def digest(self) -> Digest:
        """sha2-256 of ``to_bytes()``: what outcomes and the chain name."""
        return canonical.digest(self.to_bytes())

    @classmethod
    def from_bytes(cls, data: bytes) -> Checkpoint:
        """Parse a checkpoint manifest; raises ProtocolError on anything unexpected."""
        fields = exact_fields(
            canonical.decode(data, max_bytes=MAX_MANIFEST_BYTES), "kind", "spec", "round", "parameters", "bytes"
        )
        if fields["kind"] != "checkpoint":
            raise ProtocolError("not a checkpoint manifest")
        return cls(
            spec=parse_digest(fields["spec"]),
            round=small_uint(fields["round"]),
            parameters=_cid(fields["parameters"]),
            size=_content_bytes(fields["bytes"]),
        )


def _cid(value: object) -> str:
    if isinstance(value, str) and 0 < len(value) <= 128 and value.isascii() and value.isalnum():
        return value
    raise ProtocolError(f"not a CID: {value!r}")


def _content_bytes(value: object) -> int:
    size = small_uint(value)
    if not 0 < size <= MAX_CONTENT_BYTES:
        raise ProtocolError(f"a file of {size} bytes is out of bounds")
    return size
