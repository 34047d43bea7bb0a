"""Content identifiers: CIDv1 with the codecs raw and dag-pb, sha2-256, base32.

A CID of this kind is 36 bytes: version (0x01), codec (0x55 raw or 0x70 dag-pb), multihash code (0x12 sha2-256), digest
length (0x20), digest. Its text is ``b`` (multibase base32, lower case, unpadded) and 58 characters. Every other kind is
refused: one content, one name.

The module is our own because content addressing is the root of trust of the protocol: it needs one strict profile, no
plug-in tables, and few enough lines to be audited.

Source: https://github.com/multiformats/cid, https://github.com/multiformats/multicodec.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from hashlib import sha256
from typing import Final, Self

from ipfs.errors import InvalidCid, WrongBytes

RAW: Final = 0x55
"""Multicodec of a block of plain bytes."""
DAG_PB: Final = 0x70
"""Multicodec of a MerkleDAG protobuf node, which carries UnixFS files of several chunks."""

DIGEST_BYTES: Final = 32
CID_BYTES: Final = 4 + DIGEST_BYTES

_CODEC_NAMES: Final = {RAW: "raw", DAG_PB: "dag-pb"}
_PREFIXES: Final = {bytes((0x01, codec, 0x12, DIGEST_BYTES)): codec for codec in _CODEC_NAMES}
_TEXT: Final = re.compile(r"b[a-z2-7]{58}")
_PADDING: Final = "=" * 6  # base32 works on groups of 8 characters: 58 + 6 = 64
_EXPECTED: Final = (
    "give a CIDv1 in base32 with sha2-256, as `ipfs add --cid-version=1` prints it (it begins with 'baf')"
)


@dataclass(frozen=True, slots=True, order=True)
class Cid:
    """One content identifier.

    Attributes:
        codec: :data:`RAW` or :data:`DAG_PB`.
        digest: sha2-256 of the block, 32 bytes.

    Raises:
        InvalidCid: at construction, for another codec or length.
    """

    codec: int
    digest: bytes

    def __post_init__(self) -> None:
        if self.codec not in _CODEC_NAMES:
            raise InvalidCid(
                f"unsupported CID codec 0x{self.codec:x}", "only raw (0x55) and dag-pb (0x70) blocks are used"
            )
        if not isinstance(self.digest, bytes) or len(self.digest) != DIGEST_BYTES:
            raise InvalidCid(f"a CID digest has {DIGEST_BYTES} bytes, not {self.digest!r}", "give a sha2-256 digest")

    @classmethod
    def parse(cls, text: str) -> Self:
        """The CID written as ``text``; exactly one text is accepted for a CID.

        Raises:
            InvalidCid: for anything else, CIDv0 (``Qm…``) and other bases included.
        """
        if not isinstance(text, str) or not _TEXT.fullmatch(text):
            raise InvalidCid(f"not a CID: {_shorten(text)}", _EXPECTED)
        cid = cls.from_bytes(base64.b32decode(text[1:].upper() + _PADDING))
        # 58 characters hold 290 bits for the 288 of a CID: unchecked, the spare two would give each CID four names.
        if str(cid) != text:
            raise InvalidCid(f"not a CID: {text} has stray bits at its end", _EXPECTED)
        return cid

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """The CID whose binary form is ``data`` (36 bytes).

        Raises:
            InvalidCid: if it is of another kind or length.
        """
        codec = _PREFIXES.get(bytes(data[:4]))
        if codec is None or len(data) != CID_BYTES:
            raise InvalidCid(
                f"not a CIDv1 with sha2-256 and codec raw or dag-pb: {_shorten(bytes(data).hex())}", _EXPECTED
            )
        return cls(codec, bytes(data[4:]))

    @classmethod
    def of(cls, block: bytes, codec: int = RAW) -> Self:
        """The CID of ``block``, the bytes of one block."""
        return cls(codec, sha256(block).digest())

    def to_bytes(self) -> bytes:
        """The binary form, 36 bytes."""
        return bytes((0x01, self.codec, 0x12, DIGEST_BYTES)) + self.digest

    def names(self, block: bytes) -> bool:
        """Whether ``block`` hashes to this CID."""
        return sha256(block).digest() == self.digest

    def check(self, block: bytes, source: str) -> bytes:
        """``block`` itself, once it is known to hash to this CID.

        Args:
            block: the bytes that are claimed to be the block.
            source: who claims it (a URL, a path), for the message.

        Raises:
            WrongBytes: if the digest differs.
        """
        if not self.names(block):
            raise WrongBytes(
                f"{source} delivered {len(block)} bytes that do not hash to {self}",
                "do not trust this source: check its disk, or fetch the content from another node",
            )
        return block

    def __str__(self) -> str:
        return "b" + base64.b32encode(self.to_bytes()).decode("ascii").rstrip("=").lower()


def raw_cid(digest: bytes) -> str:
    """The CID text of the raw block with the sha2-256 ``digest`` (32 bytes), as contracts store it.

    Raises:
        InvalidCid: if ``digest`` is not 32 bytes.
    """
    return str(Cid(RAW, digest))


def digest_of(cid: str) -> bytes:
    """The 32-byte sha2-256 digest of the raw block that ``cid`` names: what goes on chain.

    Raises:
        InvalidCid: if ``cid`` is no CID, or a dag-pb node, whose digest would be read back as that of a raw block.
    """
    parsed = Cid.parse(cid)
    if parsed.codec != RAW:
        raise InvalidCid(
            f"{cid} is a dag-pb node, not a raw block, so its digest alone does not name it",
            "put its CID into a manifest of one block and use the digest of the manifest",
        )
    return parsed.digest


def _shorten(text: object) -> str:
    shown = text if isinstance(text, str) else repr(text)
    return repr(shown) if len(shown) <= 80 else repr(shown[:77] + "...")
