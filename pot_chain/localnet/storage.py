"""Where a local network keeps content: a private Kubo if there is one on the machine, else the embedded store."""

from __future__ import annotations

from ipfs import open_store
from ipfs.daemon import KuboDaemon
from ipfs.kubo_binary import find_kubo, require_kubo
from pot_chain.localnet.description import Ipfs, Process
from pot_chain.localnet.paths import NetworkPaths
from pot_chain.localnet.processes import ProcessRecord


def kubo_daemon(paths: NetworkPaths) -> KuboDaemon:
    """The network's Kubo, running or not."""
    return KuboDaemon(paths.ipfs / "kubo")


def start_storage(paths: NetworkPaths, *, before: Ipfs | None, use_kubo: bool) -> tuple[Ipfs, Process | None]:
    """Start or open the content store.

    Args:
        before: what the network used until now: its content is there, so it is used again.
        use_kubo: False asks for the embedded store.

    Returns:
        What to use, with the reason, and the daemon's process if there is one.

    Raises:
        KuboMissing: the content is in a Kubo repository and there is no Kubo any more.
        DaemonStartError: Kubo does not start.
        StoreError: the folder of the embedded store cannot be used.
    """
    if before is not None:
        return (before, None) if before.backend == "embedded" else _start_kubo(paths, before.reason)
    if not use_kubo:
        return _open_embedded(paths, "the embedded store was asked for")
    found = find_kubo()
    if found is None:
        return _open_embedded(paths, "no Kubo was found on this machine (`make kubo` builds one)")
    return _start_kubo(paths, f"Kubo {found.version} was found at {found.path}")


def _start_kubo(paths: NetworkPaths, reason: str) -> tuple[Ipfs, Process]:
    require_kubo()
    daemon = kubo_daemon(paths)
    url = daemon.start()
    record = ProcessRecord.of(daemon.pid)
    with daemon.store() as store:
        return Ipfs(address=url, backend=store.name, reason=reason), Process(
            pid=record.pid, created=record.created, kind="ipfs"
        )


def _open_embedded(paths: NetworkPaths, reason: str) -> tuple[Ipfs, None]:
    with open_store(f"embedded:{paths.ipfs / 'embedded'}") as store:
        return Ipfs(address=store.address, backend=store.name, reason=reason), None
