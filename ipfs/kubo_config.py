"""The configuration of a private Kubo node: it speaks to nobody but whom it is told to, on this machine."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, Final

_PRIVATE: Final[Mapping[str, Mapping[str, Any]]] = {
    # Finds nobody by itself and tells nobody what it has.
    "Discovery": {"MDNS": {"Enabled": False}},
    "Routing": {"Type": "none", "DelegatedRouters": []},
    "Provide": {"Enabled": False},
    "Ipns": {"DelegatedPublishers": []},
    "HTTPRetrieval": {"Enabled": False},
    # Fetches neither its configuration nor certificates nor news of versions, and reports nothing.
    "AutoConf": {"Enabled": False},
    "AutoTLS": {"Enabled": False},
    "DNS": {"Resolvers": {}},
    "Version": {"SwarmCheckEnabled": False},
    "Plugins": {"Plugins": {"telemetry": {"Disabled": True, "Config": {"Mode": "off"}}}},
    # Loopback needs no help through firewalls, and one transport does.
    "AutoNAT": {"ServiceMode": "disabled"},
    "Swarm": {
        "DisableNatPortMap": True,
        "EnableHolePunching": False,
        "RelayClient": {"Enabled": False},
        "RelayService": {"Enabled": False},
        "Transports": {"Network": {"QUIC": False, "Websocket": False, "WebTransport": False, "Relay": False}},
    },
}


def private_config(config: Mapping[str, Any], *, api_port: int, swarm_port: int) -> dict[str, Any]:
    """``config``, the content of a repository's configuration file, made private.

    Args:
        config: what is there; its identity and datastore stay.
        api_port: TCP port of the RPC on 127.0.0.1; 0 for any free one.
        swarm_port: TCP port for other nodes on 127.0.0.1; 0 for any free one.
    """
    private = copy.deepcopy(dict(config))
    _merge(private, _PRIVATE)
    private["Bootstrap"] = []
    private["Peering"] = {"Peers": []}
    private["Addresses"] = {
        "API": f"/ip4/127.0.0.1/tcp/{api_port}",
        "Gateway": [],
        "Swarm": [f"/ip4/127.0.0.1/tcp/{swarm_port}"],
        "Announce": [],
        "AppendAnnounce": [],
        "NoAnnounce": [],
    }
    return private


def _merge(into: dict[str, Any], settings: Mapping[str, Any]) -> None:
    for key, value in settings.items():
        if isinstance(value, Mapping) and value and isinstance(into.get(key), dict):
            _merge(into[key], value)
        else:
            into[key] = copy.deepcopy(dict(value) if isinstance(value, Mapping) else value)
