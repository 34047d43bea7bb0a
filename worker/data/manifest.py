"""The manifest of a data set: what it holds and where its shards are. Written by the owner, so checked by everybody
else.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from pot_chain.protocol import canonical
from worker.data.errors import DataError
from worker.tensorfile import MAX_HEADER_BYTES, TensorSpec

MAX_MANIFEST_BYTES = 262_144
"""A manifest is one raw block, so that its digest can stand on chain."""
MAX_SHARD_BYTES = 64 << 20
MAX_SAMPLES = 1 << 31
MAX_CLASSES = 65_536
MAX_FEATURE_DIMENSIONS = 4
MAX_NAME = 64

Cid = Annotated[str, Field(pattern=r"^b[a-z2-7]{50,120}$")]
"""CIDv1 in base32; the store checks what it says."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Shard(_Strict):
    """One safetensors file with ``x`` float32 ``[samples, *features]`` and ``y`` int64 ``[samples]``.

    ``sha256`` (hex, of the file's bytes) lets a local cache be checked without the storage layer.
    """

    cid: Cid
    samples: int = Field(ge=1, le=MAX_SAMPLES)
    sha256: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")


class DatasetManifest(_Strict):
    """A sharded classification data set; training samples are numbered through the shards in order."""

    kind: Literal["dataset"]
    name: str = Field(pattern=rf"^[a-z0-9][a-z0-9_.-]{{0,{MAX_NAME - 1}}}$")
    samples: int = Field(ge=1, le=MAX_SAMPLES)
    test_samples: int = Field(ge=1, le=MAX_SAMPLES)
    features: list[Annotated[int, Field(ge=1, le=1 << 24)]] = Field(min_length=1, max_length=MAX_FEATURE_DIMENSIONS)
    classes: int = Field(ge=2, le=MAX_CLASSES)
    shards: list[Shard] = Field(min_length=1)
    test_shards: list[Shard] = Field(min_length=1)

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        for label, promised, shards in (
            ("samples", self.samples, self.shards),
            ("test_samples", self.test_samples, self.test_shards),
        ):
            total = sum(shard.samples for shard in shards)
            if total != promised:
                raise ValueError(f"{label} is {promised}, its shards hold {total}")
            largest = max(shard.samples for shard in shards)
            if shard_bytes(largest, self.features) > MAX_SHARD_BYTES:
                raise ValueError(f"a shard of {largest} samples exceeds {MAX_SHARD_BYTES} bytes")
        return self

    def encode(self) -> bytes:
        """Canonical JSON, the bytes whose digest names the data set.

        Raises:
            DataError: longer than one block.
        """
        data = canonical.encode(self.model_dump(exclude_none=True))
        if len(data) > MAX_MANIFEST_BYTES:
            raise DataError(
                f"the manifest has {len(data):,} bytes, at most {MAX_MANIFEST_BYTES:,} are allowed",
                "use larger shards, so that there are fewer of them",
            )
        return data

    @classmethod
    def checked(cls, **fields: Any) -> DatasetManifest:
        """A manifest of these fields (``kind`` is added).

        Raises:
            DataError: naming the field that is missing, unknown, out of range or contradicts another.
        """
        return cls._validated({"kind": "dataset", **fields}, "look at the data that are being published")

    @classmethod
    def decode(cls, data: bytes) -> DatasetManifest:
        """The manifest in ``data``, written by somebody else.

        Raises:
            DataError: not canonical JSON, or a field that is missing, unknown, out of range or contradicts another.
        """
        hint = "publish the data with `pot data add` and use the CID that it prints"
        try:
            document = canonical.decode(data, max_bytes=MAX_MANIFEST_BYTES)
        except canonical.NotCanonical as error:
            raise DataError(f"the data set's manifest is unusable: {error}", hint) from error
        return cls._validated(document, hint)

    @classmethod
    def _validated(cls, document: Any, hint: str) -> DatasetManifest:
        try:
            return cls.model_validate(document)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            # An unknown field's name is the stranger's text: short, and without control characters.
            field = ascii(".".join(str(part) for part in first["loc"]))[1:-1][:80] or "document"
            raise DataError(f"the data set's manifest: {field}: {first['msg']}", hint) from error


def shard_specs(samples: int, features: list[int]) -> dict[str, TensorSpec]:
    """The tensors of a shard of ``samples`` samples."""
    return {"x": TensorSpec("F32", (samples, *features)), "y": TensorSpec("I64", (samples,))}


def shard_payload(samples: int, features: list[int]) -> int:
    """Bytes of the tensors of such a shard."""
    return sum(spec.nbytes for spec in shard_specs(samples, features).values())


def shard_bytes(samples: int, features: list[int]) -> int:
    """Most bytes that the file of such a shard can have."""
    return 8 + MAX_HEADER_BYTES + shard_payload(samples, features)
