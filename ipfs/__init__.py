"""Content addressing and storage: the lowest layer, which knows nothing of the rest.

A file is named by its CID (:mod:`ipfs.cid`, :mod:`ipfs.unixfs`) and kept by a :class:`Store`: a Kubo daemon
(:mod:`ipfs.kubo`) or a folder (:mod:`ipfs.embedded`). Whatever keeps it, every byte that comes back is checked against
the CID.
"""

from __future__ import annotations

from ipfs.cid import Cid, digest_of, raw_cid
from ipfs.embedded import EmbeddedStore
from ipfs.errors import BadContent, InvalidAddress, IpfsError, Unavailable
from ipfs.store import MANIFEST_BYTES, Store
from ipfs.unixfs import file_cid

__all__ = [
    "MANIFEST_BYTES",
    "BadContent",
    "Cid",
    "EmbeddedStore",
    "InvalidAddress",
    "IpfsError",
    "Store",
    "Unavailable",
    "digest_of",
    "file_cid",
    "open_store",
    "raw_cid",
]


def open_store(address: str) -> Store:
    """The store at ``address``. A Kubo daemon need not run yet; the first operation finds out.

    Args:
        address: ``http://127.0.0.1:5001`` or ``/ip4/127.0.0.1/tcp/5001`` for a Kubo daemon,
            ``embedded:/path/to/folder`` for a folder.

    Raises:
        InvalidAddress: if the address has another form.
        StoreError: if the folder cannot be used.
    """
    if address.startswith("embedded:") and address != "embedded:":
        return EmbeddedStore(address.removeprefix("embedded:"))
    if address.startswith(("http://", "https://", "/")):
        from ipfs.kubo import KuboStore  # its HTTP client takes long to import; a folder does without

        return KuboStore(address)
    raise InvalidAddress(
        "not the address of a store: it begins with neither http://, https://, / nor embedded:",
        "give http://127.0.0.1:5001 for a Kubo daemon or embedded:/path/to/folder for a folder",
    )
