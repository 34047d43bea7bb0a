"""``pot up``, ``down``, ``status``, ``doctor``, ``validator``."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import psutil
import pytest

from pot_chain.cli.app import report
from pot_chain.cli.diagnosis import Verdict, diagnose
from pot_chain.localnet.errors import StartFailed
from pot_chain.localnet.launch import StartOptions
from pot_chain.localnet.ports import free_port

from .conftest import Shell, ended


def test_status_tells_scripts_and_people_the_same(up: Shell) -> None:
    found = up("status", "--json").succeeded().json
    assert (found["name"], found["state"]) == ("default", "running")
    assert found["chain"]["epoch"] >= 1
    assert {process["name"] for process in found["processes"]} >= {"anvil", *(f"validator-{i}" for i in range(4))}
    shown = up("status").succeeded().out
    for text in (found["rpc_url"], found["ipfs"]["backend"], found["ipfs"]["reason"], found["owner"]):
        assert text in shown
    assert up("status", "--all", "--json").succeeded().json[0]["name"] == "default"


def test_validators_tell_what_they_do(up: Shell) -> None:
    def peers() -> list[int]:
        return [len(item["status"]["peers"]) for item in up("validator", "status", "--json").succeeded().json]

    deadline = time.monotonic() + 30  # the last one to start is dialled again within seconds
    while peers() != [3, 3, 3, 3]:
        assert time.monotonic() < deadline
    found = up("validator", "status", "--json").succeeded().json
    assert "validator-3" in up("validator", "status").succeeded().out
    one = up("validator", "status", found[0]["endpoint"], "--json").succeeded().json
    assert one[0]["status"]["address"] == found[0]["status"]["address"]
    nobody = up("validator", "status", "http://127.0.0.1:1")
    assert nobody.code == 1
    assert "no answer" in nobody.out


def test_a_killed_validator_is_seen_and_comes_back_with_up(up: Shell) -> None:
    assert up.network().kill_validator(2)
    found = up("status", "--json").succeeded().json
    assert found["state"] == "degraded"
    assert [process["name"] for process in found["processes"] if not process["alive"]] == ["validator-2"]
    assert up("validator", "status").code == 1
    assert "starting validator-2 again" in up("up").succeeded().err
    assert up("status", "--json").succeeded().json["state"] == "running"


def test_up_twice_and_up_on_a_busy_port(up: Shell) -> None:
    up("up").failed("the local network 'default' runs already", "pot down")
    up("up", "--fresh").failed("the local network 'default' runs already", "pot down")
    port = up("status", "--json").json["rpc_url"].rpartition(":")[2]
    up("up", "--name", "second", "--port", port).failed(f"port {port} on 127.0.0.1 is in use", "choose another port")
    up("status", "--name", "second").failed("there is no local network 'second'", "there is default: give --network")


def test_bad_wishes(pot: Shell) -> None:
    pot("up", "--name", "odd", "--validators", "3").failed("has 4 to 32 validators, not 3", "fewest")
    pot("up", "--name", "odd", "--owner-balance", "much").failed("not an amount: 'much'", "1.5eth")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_up_leaves_nothing_running(pot: Shell, number: signal.Signals) -> None:
    before = {process.pid for process in psutil.process_iter()}
    with ended(pot.start("up", "--name", "interrupted", "--no-kubo")) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if "deploying the contracts" in line:
                break
        process.send_signal(number)
        rest = process.stderr.read()
        assert process.wait(60) == 128 + number
    assert "Traceback" not in rest
    folder = str(pot.home / "networks" / "interrupted")
    left = [p.info for p in psutil.process_iter(["pid", "cmdline"]) if p.pid not in before]
    assert not [info for info in left if folder in " ".join(info["cmdline"] or [])]
    pot("status", "--name", "interrupted").failed("there is no local network 'interrupted'", "")


def test_an_error_with_a_log_shows_its_end(capsys: pytest.CaptureFixture[str]) -> None:
    report(StartFailed("validator-0 ended", "its log is there", "line 1\nline 2"))
    assert capsys.readouterr().err == "error: validator-0 ended\nline 1\nline 2\nhint: its log is there\n"


def test_doctor_finds_this_machine_fit(pot: Shell) -> None:
    checks = {check["name"]: check for check in pot("doctor", "--json").succeeded().json}
    needed = ("python", "packages", "signatures", "torch", "node_modules", "anvil", "solc", "disk")
    assert [name for name in needed if checks[name]["verdict"] == "missing"] == []
    assert checks["signatures"]["found"].startswith("libsecp256k1")


def test_doctor_says_what_to_do_where_something_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("POT_CACHE", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "constraints.txt").write_text("typer==0.0.1\n")
    checks = {check.name: check for check in diagnose(tmp_path)}
    assert checks["node_modules"].verdict is Verdict.MISSING
    assert checks["solc"].verdict is Verdict.MISSING
    assert checks["node"].verdict is Verdict.WARNING
    assert "(pinned: 0.0.1)" in checks["packages"].found
    assert all(check.hint for check in checks.values() if check.verdict is not Verdict.OK)


def test_down_stops_everything_and_up_goes_on(pot: Shell) -> None:
    """A network of its own, so that the session's stays up."""
    network, port = pot.network("short"), free_port()
    made = network.start(StartOptions(use_kubo=False, run_validators=False))
    records = [process.record for process in made.processes.values()]
    pot("down", "--name", "short").succeeded()
    assert not any(record.alive for record in records)
    assert pot("down", "--name", "short").code == 0, "twice is once"
    pot("task", "list", "--network", "short").failed("'short' does not run", "pot up --name short")

    again = pot("up", "--name", "short", "--port", port, "--json").succeeded()
    assert "content store: embedded (the embedded store was asked for)" in again.err
    assert again.json["state"] == "running"
    assert again.json["rpc_url"] == f"http://127.0.0.1:{port}"
    assert again.json["owner"] == made.owner
    assert [item["address"] for item in again.json["validators"]] == [item.address for item in made.validators]
    records = [process.record for process in network.description().processes.values()]
    assert len(records) == 5
    assert all(record.alive for record in records)
    pot("down", "--name", "short").succeeded()
    assert not any(record.alive for record in records)
