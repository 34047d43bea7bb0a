"""The main job as people run it: the command, its output, and the report that it leaves."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pot_chain.dashboard.model import RunReport

REQUIRED: dict[str, list[str]] = {
    "": ["task_id", "rounds_expected", "rounds_finalized", "view_changes", "wall_seconds"],
    "final": ["accuracy", "loss"],
    "centralized": ["accuracy", "loss", "wall_seconds"],
    "gas": ["commitGradient", "finalizeRound", "claim"],
    "bytes": ["gradient", "checkpoint"],
    "escrow": ["funded_wei", "paid_wei", "refunded_wei", "left_wei"],
    "ipfs": ["backend"],
    "chain": ["client"],
}


def demo(folder: Path, *options: str) -> tuple[str, dict[str, Any]]:
    """Run ``pot demo`` and return what it printed and its report."""
    command = [sys.executable, "-P", "-m", "pot_chain.cli", "demo", "--output", str(folder), *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=400, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout + done.stderr, json.loads((folder / "report.json").read_text())


def test_the_demo_survives_a_poisoner_and_a_killed_primary_and_accounts_for_every_wei(tmp_path: Path) -> None:
    printed, report = demo(tmp_path, "--rounds", "20")
    for section, keys in REQUIRED.items():
        assert set(keys) <= set(report[section] if section else report)
    assert report["rounds_finalized"] == report["rounds_expected"] == 20
    assert report["view_changes"] >= 1
    escrow = report["escrow"]
    assert escrow["left_wei"] == 0
    assert escrow["funded_wei"] == escrow["paid_wei"] + escrow["refunded_wei"]
    paid = sum(account["paid_wei"] for account in report["miners"] + report["validators"])
    assert paid == escrow["paid_wei"]
    rejected = {miner["label"]: miner["rounds_rejected"] for miner in report["miners"]}
    assert [label for label, rounds in rejected.items() if rounds] == ["miner 5"]
    assert abs(report["final"]["accuracy"] - report["centralized"]["accuracy"]) <= 0.01
    assert RunReport.from_json(json.dumps(report)).check() == []
    page = (tmp_path / "report.html").read_text()
    assert "Every claim about this run holds" in page
    assert (tmp_path / "model.safetensors").stat().st_size == report["bytes"]["checkpoint"]
    assert "is killed (SIGKILL)" in printed
    assert report["ipfs"]["backend"] in printed


def test_without_faults_the_result_is_plain_sgd_even_on_the_embedded_store(tmp_path: Path) -> None:
    printed, report = demo(tmp_path, "--no-faults", "--no-kubo", "--rounds", "10", "--miners", "3")
    assert report["parameters_relative_difference"] <= 1e-5
    assert report["view_changes"] == 0
    assert report["ipfs"]["backend"] == "embedded"
    assert all(miner["rounds_accepted"] == 10 for miner in report["miners"])
    assert "embedded" in printed


@pytest.mark.parametrize("option", ["--rounds=3", "--validators=3", "--miners=0"])
def test_numbers_that_make_no_demo_are_refused_before_anything_starts(option: str, tmp_path: Path) -> None:
    command = [sys.executable, "-P", "-m", "pot_chain.cli", "demo", "--output", str(tmp_path), option]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert option.partition("=")[0] in done.stderr
    assert not list(tmp_path.iterdir())
