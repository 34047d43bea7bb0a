"""The errors of the storage layer: what is wrong, and what to do about it.

Two families matter to callers that judge other people's content (a validator, an auditor):

- :class:`BadContent`: what the CID names cannot be accepted from anywhere, because the CID fixes the bytes. Whoever
  published the CID is at fault, and everybody who looks sees the same.
- :class:`Unavailable`: nothing is proven about the content; another attempt or another source may deliver it.
"""

from __future__ import annotations


class IpfsError(Exception):
    """Root of the storage errors: a cause for people and a hint that says what to do.

    Attributes:
        message: one line that names the CID, path or URL concerned.
        hint: what the user can do about it; may be empty.
        exit_code: exit status of a command that ends with this error.
    """

    exit_code: int = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return self.message


class BadContent(IpfsError):
    """What a CID names is unacceptable whoever delivers it: the publisher of the CID is at fault."""


class InvalidCid(BadContent):
    """The text or bytes are not a CID of the kind used here (CIDv1, raw or dag-pb, sha2-256, base32)."""


class InvalidBlock(BadContent):
    """A block hashes to its CID and yet is not what its place demands: malformed, contradictory or beyond a limit."""


class TooLarge(BadContent):
    """The content, as its own verified blocks declare it, is larger than the caller accepts."""


class Unavailable(IpfsError):
    """The content could not be had from this source now; this says nothing against the content."""


class BlockMissing(Unavailable):
    """A block is neither in the store nor, within the time-out, at any connected peer."""


class WrongBytes(Unavailable):
    """The source delivered bytes that do not hash to the CID asked for: the source is faulty or lies."""


class Timeout(Unavailable):
    """The source gave no complete answer in time."""


class DaemonDown(Unavailable):
    """Nothing answers at the address of the IPFS daemon."""


class DaemonError(Unavailable):
    """The IPFS daemon answered with an error, or not in the language of the Kubo RPC."""


class InvalidAddress(IpfsError):
    """The address of a store is not one of the forms that are understood."""


class InvalidCar(IpfsError):
    """A file is not a well-formed CAR version 1 archive, or lacks blocks of its roots."""


class StoreError(IpfsError):
    """The folder of an embedded store cannot be used."""


class KuboMissing(IpfsError):
    """No Kubo binary was found on this machine."""


class DaemonStartError(IpfsError):
    """A private Kubo daemon could not be initialised or did not become ready."""
