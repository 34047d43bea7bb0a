"""Private Kubo daemons: their life, their privacy, and what goes wrong."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from ipfs.daemon import KuboDaemon
from ipfs.errors import DaemonDown, DaemonStartError, KuboMissing
from ipfs.kubo_binary import KuboBinary, cache_folder, find_kubo, require_kubo
from ipfs.kubo_config import private_config

if TYPE_CHECKING:
    from tests.ipfs.conftest import LyingDaemon

BUILD_SCRIPT = Path(__file__).parents[2] / "scripts" / "kubo" / "build.py"


@pytest.fixture
def daemon(kubo_binary: KuboBinary, tmp_path: Path) -> Iterator[KuboDaemon]:
    daemon = KuboDaemon(tmp_path / "node", binary=kubo_binary)
    yield daemon
    daemon.stop()


def elsewhere(daemon: KuboDaemon) -> KuboDaemon:
    """The same daemon as another process sees it."""
    return KuboDaemon(daemon.log.parent)


def test_it_starts_stops_and_starts_again_with_its_content(daemon: KuboDaemon) -> None:
    url = daemon.start()
    assert daemon.running
    assert daemon.url == url
    with daemon.store() as store:
        cid = store.add(b"content")
    assert daemon.start() == url  # it runs already
    pid = daemon.pid
    daemon.stop()
    daemon.stop()
    assert not daemon.running
    assert not psutil.pid_exists(pid)
    with pytest.raises(DaemonDown, match="does not run"):
        _ = daemon.url
    daemon.start()
    with daemon.store() as store:
        assert store.get(cid, max_bytes=10) == b"content"
        assert cid in store.pins()


def test_it_is_found_and_stopped_by_another_process(daemon: KuboDaemon) -> None:
    script = "import sys; from ipfs.daemon import KuboDaemon; print(KuboDaemon(sys.argv[1]).start())"
    command = [sys.executable, "-c", script, str(daemon.log.parent)]
    url = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout.strip()
    assert daemon.running
    assert daemon.url == url
    assert daemon.start() == url
    with daemon.store() as store:
        assert store.name.startswith("kubo/")
    daemon.stop()
    assert not daemon.running


def test_it_starts_again_after_being_killed(daemon: KuboDaemon, until: Callable[[Callable[[], bool]], None]) -> None:
    daemon.start()
    with daemon.store() as store:
        cid = store.add(b"durable")
    os.kill(daemon.pid, signal.SIGKILL)
    until(lambda: not daemon.running)
    assert not elsewhere(daemon).running
    daemon.start()
    with daemon.store() as store:
        assert store.get(cid, max_bytes=10) == b"durable"


def test_what_a_killed_daemon_left_behind_is_not_taken_for_its_address(
    daemon: KuboDaemon, lying_daemon: LyingDaemon
) -> None:
    daemon.start()
    daemon.stop()
    lying_daemon.on("/version", lying_daemon.body(b'{"Version":"0.0.0"}'))
    port = lying_daemon.url.rsplit(":", 1)[1]
    (daemon.log.parent / "repo" / "api").write_text(f"/ip4/127.0.0.1/tcp/{port}")
    assert daemon.start() != lying_daemon.url
    assert lying_daemon.requests == []


def test_a_process_that_took_over_the_number_is_left_alone(daemon: KuboDaemon) -> None:
    record = daemon.log.parent / "daemon.json"
    record.parent.mkdir(parents=True)
    started = psutil.Process().create_time()
    record.write_text(json.dumps({"pid": os.getpid(), "started": started - 1000, "url": "http://127.0.0.1:1"}))
    assert not daemon.running
    daemon.stop()  # must not end this test run
    record.write_text(json.dumps({"pid": 2**22 + 1, "started": started, "url": "http://127.0.0.1:1"}))
    assert not daemon.running


def test_a_start_that_was_interrupted_is_taken_up(daemon: KuboDaemon) -> None:
    url = daemon.start()
    record = daemon.log.parent / "daemon.json"
    content = json.loads(record.read_text())
    del content["url"]  # its starter was killed before it knew the address
    record.write_text(json.dumps(content))
    other = elsewhere(daemon)
    with pytest.raises(DaemonDown):
        _ = other.url
    assert other.start() == url


def test_several_run_side_by_side(kubo_binary: KuboBinary, tmp_path: Path) -> None:
    daemons = [KuboDaemon(tmp_path / str(i), binary=kubo_binary) for i in range(3)]
    try:
        assert len({daemon.start() for daemon in daemons}) == 3
        assert len({daemon.pid for daemon in daemons}) == 3
    finally:
        for daemon in daemons:
            daemon.stop()


@pytest.mark.parametrize("which", ["api_port", "swarm_port"])
def test_a_port_in_use_is_named(kubo_binary: KuboBinary, tmp_path: Path, which: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        ports = {"api_port": 0, "swarm_port": 0} | {which: port}
        daemon = KuboDaemon(tmp_path, binary=kubo_binary, **ports)
        with pytest.raises(DaemonStartError, match=f"port {port} of 127.0.0.1 is in use") as caught:
            daemon.start()
        assert "another port" in caught.value.hint
        assert not daemon.running
    assert daemon.start()
    daemon.stop()


def test_it_listens_on_loopback_only_and_speaks_to_nobody(daemon: KuboDaemon) -> None:
    daemon.start()
    connections = psutil.Process(daemon.pid).net_connections()
    assert {connection.laddr.ip for connection in connections} == {"127.0.0.1"}
    assert {connection.type for connection in connections} == {socket.SOCK_STREAM}  # no mDNS, no QUIC
    config = json.loads((daemon.log.parent / "repo" / "config").read_text())
    assert config["Bootstrap"] == []
    assert config["Routing"]["Type"] == "none"
    assert config["Discovery"]["MDNS"]["Enabled"] is False
    assert config["AutoConf"]["Enabled"] is False
    assert config["AutoTLS"]["Enabled"] is False
    assert config["Plugins"]["Plugins"]["telemetry"]["Disabled"] is True
    assert config["Provide"]["Enabled"] is False
    assert config["Addresses"]["Gateway"] == []
    assert "auto" not in json.dumps(config).replace('"AutoNAT"', "").lower().split('"')
    assert not list((daemon.log.parent / "repo").glob("telemetry*"))
    log = daemon.log.read_text()
    assert "ERROR" not in log
    assert "telemetry" not in log.lower()


def test_the_key_of_the_node_is_readable_by_its_owner_only(daemon: KuboDaemon) -> None:
    daemon.start()
    for name in ("repo/config", "daemon.json"):
        assert stat.S_IMODE((daemon.log.parent / name).stat().st_mode) == 0o600


def test_a_public_configuration_becomes_private(kubo_binary: KuboBinary, daemon: KuboDaemon) -> None:
    repo = daemon.log.parent / "repo"
    repo.parent.mkdir(parents=True)
    environment = os.environ | {"IPFS_PATH": str(repo), "IPFS_TELEMETRY": "off"}
    subprocess.run([kubo_binary.path, "init"], env=environment, capture_output=True, timeout=60, check=True)
    identity = json.loads((repo / "config").read_text())["Identity"]
    daemon.start()
    config = json.loads((repo / "config").read_text())
    assert config["Identity"] == identity
    assert config["Bootstrap"] == []
    with daemon.store() as store:
        assert store.peer_addresses()[0].endswith(identity["PeerID"])


def test_private_settings_leave_the_rest_of_a_configuration_alone() -> None:
    config = {"Identity": {"PeerID": "x"}, "Swarm": {"ConnMgr": {"Type": "basic"}}, "Datastore": {"StorageMax": "1GB"}}
    private = private_config(config, api_port=1, swarm_port=2)
    assert private["Identity"] == {"PeerID": "x"}
    assert private["Datastore"] == {"StorageMax": "1GB"}
    assert private["Swarm"]["ConnMgr"] == {"Type": "basic"}
    assert private["Swarm"]["DisableNatPortMap"] is True
    assert private["Addresses"]["API"] == "/ip4/127.0.0.1/tcp/1"
    assert private["Addresses"]["Swarm"] == ["/ip4/127.0.0.1/tcp/2"]
    assert config == {
        "Identity": {"PeerID": "x"},
        "Swarm": {"ConnMgr": {"Type": "basic"}},
        "Datastore": {"StorageMax": "1GB"},
    }
    assert private_config(private, api_port=1, swarm_port=2) == private


def test_a_damaged_repository_is_a_clear_error(daemon: KuboDaemon) -> None:
    config = daemon.log.parent / "repo" / "config"
    config.parent.mkdir(parents=True)
    for content in ("{", "[]", "{}"):
        config.write_text(content)
        with pytest.raises(DaemonStartError, match=str(daemon.log.parent)):
            daemon.start()
        assert not daemon.running


def test_a_folder_that_cannot_be_used_is_a_clear_error(kubo_binary: KuboBinary, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DaemonStartError, match="cannot use the folder") as caught:
        KuboDaemon(tmp_path / "file" / "node", binary=kubo_binary).start()
    assert "writable" in caught.value.hint


def program(path: Path, script: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def test_a_binary_that_does_not_work_is_a_clear_error(tmp_path: Path) -> None:
    broken = program(tmp_path / "ipfs", "echo 'no space left on device' >&2; exit 1")
    with pytest.raises(DaemonStartError, match="no space left on device"):
        KuboDaemon(tmp_path / "node", binary=KuboBinary(broken, "0.42.0")).start()
    assert not (tmp_path / "node" / "repo").exists()
    mute = program(
        tmp_path / "ipfs", '[ "$1" = init ] && mkdir "$IPFS_PATH" && echo "{}" > "$IPFS_PATH/config" || exec sleep 60'
    )
    daemon = KuboDaemon(tmp_path / "node", binary=KuboBinary(mute, "0.42.0"))
    with pytest.raises(DaemonStartError, match=r"not ready within 0\.2 s"):
        daemon.start(timeout=0.2)
    assert not daemon.running


@pytest.mark.usefixtures("no_kubo")
def test_a_machine_without_kubo_is_told_how_to_get_it(tmp_path: Path) -> None:
    assert find_kubo() is None
    for attempt in (require_kubo, KuboDaemon(tmp_path / "node").start):
        with pytest.raises(KuboMissing, match="no Kubo was found") as caught:
            attempt()
        assert "make kubo" in caught.value.hint
        assert "embedded store" in caught.value.hint


@pytest.mark.usefixtures("no_kubo")
def test_kubo_is_looked_for_on_path_then_in_node_modules_then_in_the_cache(tmp_path: Path) -> None:
    found = program(cache_folder() / "bin" / "ipfs", "echo 0.42.0")
    assert find_kubo() == KuboBinary(found, "0.42.0")
    found = program(tmp_path / "node_modules" / "kubo" / "kubo" / "ipfs", "echo 0.41.0")
    assert find_kubo() == KuboBinary(found, "0.41.0")
    found = program(tmp_path / "ipfs", "echo 0.40.1-rc1")
    assert find_kubo() == KuboBinary(found, "0.40.1-rc1")
    program(tmp_path / "ipfs", "echo js-ipfs version: x")  # another program of that name
    assert find_kubo() == KuboBinary(tmp_path / "node_modules" / "kubo" / "kubo" / "ipfs", "0.41.0")


def build(cache: Path, *arguments: str, path: str | None = None) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"POT_CACHE": str(cache)} | ({} if path is None else {"PATH": path})
    command = [sys.executable, str(BUILD_SCRIPT), *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)


def test_the_build_puts_the_binary_where_it_is_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POT_CACHE", str(tmp_path))
    assert build(tmp_path, "--print-path").stdout.strip() == str(cache_folder() / "bin" / "ipfs")


def test_the_build_is_skipped_when_the_pinned_version_is_there(tmp_path: Path) -> None:
    version = (BUILD_SCRIPT.parent / "VERSION").read_text().strip()
    program(tmp_path / "bin" / "ipfs", f"echo {version.removeprefix('v')}")
    done = build(tmp_path, path="/nowhere")
    assert (done.returncode, done.stdout.count("there already")) == (0, 1)
    program(tmp_path / "bin" / "ipfs", "echo 0.1.0")
    failed = build(tmp_path, path="/nowhere")
    assert failed.returncode == 1
    assert "error: Go is not installed" in failed.stderr
    assert "hint: " in failed.stderr
