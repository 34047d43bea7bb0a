"""What can go wrong with a local network."""

from __future__ import annotations

from pot_chain.protocol.errors import PotError


class NetworkError(PotError):
    """A local network cannot do what was asked."""


class NoNetwork(NetworkError):
    """There is no local network of that name."""


class NetworkRunning(NetworkError):
    """The network runs already."""


class NetworkStopped(NetworkError):
    """The network exists and does not run."""


class NetworkBusy(NetworkError):
    """Another command is changing the network."""


class StartFailed(NetworkError):
    """A process of the network did not become ready.

    Attributes:
        details: what it wrote last, several lines.
    """

    def __init__(self, message: str, hint: str = "", details: str = "") -> None:
        super().__init__(message, hint)
        self.details = details
