"""Ports on 127.0.0.1 that stay free until the process that was given them listens."""

from __future__ import annotations

import errno
import random
import socket
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from pot_chain.localnet.errors import NetworkError

HOST: Final = "127.0.0.1"
_RANGE_FILE: Final = Path("/proc/sys/net/ipv4/ip_local_port_range")
_LOWEST: Final = 10_000
_DEFAULT_EPHEMERAL: Final = (32_768, 60_999)


def is_free(port: int) -> bool:
    """Whether a server could listen on ``port`` now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # as servers do it: a connection in TIME_WAIT is no obstacle
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            if error.errno in (errno.EADDRINUSE, errno.EACCES):
                return False
            raise
    return True


def free_port(taken: Iterable[int] = ()) -> int:
    """A free port that is not in ``taken``.

    It lies outside the range from which the system draws ports for outgoing connections: one of those may be gone in
    the second between this call and the server's.

    Raises:
        NetworkError: a thousand tries found none.
    """
    low, high = _ephemeral_range()
    candidates = [port for port in range(_LOWEST, 65_536) if not low <= port <= high] or list(range(_LOWEST, 65_536))
    excluded = set(taken)
    # drawn at random, so that networks started at the same time do not all try the same
    for port in random.SystemRandom().choices(candidates, k=1000):
        if port not in excluded and is_free(port):
            return port
    raise NetworkError("no free port was found on 127.0.0.1", "end servers that are no longer needed")


def _ephemeral_range() -> tuple[int, int]:
    try:
        low, high = _RANGE_FILE.read_text(encoding="ascii").split()
        return int(low), int(high)
    except (OSError, ValueError):
        return _DEFAULT_EPHEMERAL
