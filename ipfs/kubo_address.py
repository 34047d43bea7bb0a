"""Where the RPC of a Kubo daemon listens: as a URL, as a multiaddr."""

from __future__ import annotations

import ipaddress
import re
import urllib.parse
from dataclasses import dataclass, field
from typing import Final, Self

from ipfs.errors import InvalidAddress

_DNS_NAME: Final = re.compile(
    r"(?=.{1,253}\Z)[A-Za-z0-9_]([A-Za-z0-9_-]{0,62})(\.[A-Za-z0-9_]([A-Za-z0-9_-]{0,62}))*\.?"
)
_HINT: Final = "give http://127.0.0.1:5001 or /ip4/127.0.0.1/tcp/5001, the API address that `ipfs daemon` prints"


@dataclass(frozen=True, slots=True)
class KuboAddress:
    """The address of a Kubo RPC.

    Attributes:
        host: IPv4 or IPv6 address (no brackets) or DNS name.
        port: TCP port.
        secure: whether it is reached by HTTPS.
        auth: (user, password) for HTTP basic authentication; never part of a text.
    """

    host: str
    port: int
    secure: bool = False
    auth: tuple[str, str] | None = field(default=None, repr=False)

    @classmethod
    def parse(cls, text: str) -> Self:
        """The address written as ``text``.

        Args:
            text: ``http[s]://[user:password@]host[:port]`` or ``/ip4|ip6|dns|dns4|dns6/host/tcp/port[/http[s]]``.

        Raises:
            InvalidAddress: for anything else.
        """
        return cls._from_multiaddr(text) if text.startswith("/") else cls._from_url(text)

    @classmethod
    def _from_url(cls, text: str) -> Self:
        try:
            parts = urllib.parse.urlsplit(text)
            port = parts.port or (443 if parts.scheme == "https" else 80)
        except ValueError:
            raise _invalid("it is no URL") from None
        if parts.scheme not in ("http", "https"):
            raise _invalid("its scheme is neither http nor https")
        if parts.path not in ("", "/") or parts.query or parts.fragment:
            raise _invalid("something follows the port")
        auth = None
        if parts.username is not None:
            auth = (urllib.parse.unquote(parts.username), urllib.parse.unquote(parts.password or ""))
        return cls(_checked_host(parts.hostname or ""), port, parts.scheme == "https", auth)

    @classmethod
    def _from_multiaddr(cls, text: str) -> Self:
        match text.rstrip("/").split("/")[1:]:
            case [kind, host, "tcp", port, *rest] if rest in ([], ["http"], ["https"], ["tls", "http"]):
                pass
            case _:
                raise _invalid("it is not a multiaddr of the form /ip4/<address>/tcp/<port>")
        if kind in ("ip4", "ip6"):
            try:
                right = f"ip{ipaddress.ip_address(host).version}" == kind
            except ValueError:
                right = False
            if not right:
                raise _invalid(f"{host!r} is no /{kind} address")
        elif kind not in ("dns", "dns4", "dns6"):
            raise _invalid(f"/{kind} is not supported")
        if not re.fullmatch(r"[0-9]{1,5}", port) or not 0 < int(port) < 65536:
            raise _invalid(f"{port!r} is no TCP port")
        return cls(_checked_host(host), int(port), rest not in ([], ["http"]))

    @property
    def url(self) -> str:
        """As a URL, without credentials."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.secure else 'http'}://{host}:{self.port}"

    @property
    def multiaddr(self) -> str:
        """As a multiaddr, in the form ipfshttpclient takes."""
        try:
            kind = f"ip{ipaddress.ip_address(self.host).version}"
        except ValueError:
            kind = "dns"
        return f"/{kind}/{self.host}/tcp/{self.port}/{'https' if self.secure else 'http'}"


def _checked_host(host: str) -> str:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        if not _DNS_NAME.fullmatch(host):
            raise _invalid(f"{host!r} is no host") from None
    return host


def _invalid(reason: str) -> InvalidAddress:
    # The text itself stays out of the message: it may hold a password.
    return InvalidAddress(f"not the address of an IPFS daemon: {reason}", _HINT)
