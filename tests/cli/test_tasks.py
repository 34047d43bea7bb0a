"""A task from its creation to the last wei, by the commands that people type; and what they type wrongly."""

from __future__ import annotations

import signal
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from pot_chain.localnet.ports import free_port

from .conftest import ETHER, SPEC, Shell, Trained, ended


def test_watching_tells_loss_accuracy_and_verdicts(trained: Trained) -> None:
    first, *rounds, last = trained.events
    assert (first["event"], first["task_id"]) == ("task", trained.task_id)
    assert [event["round"] for event in rounds] == [0, 1, 2]
    for event in rounds:
        assert event["state"] == "final"
        assert event["loss"] > 0
        assert 0 <= event["accuracy"] <= 1
        assert sorted(event["accepted"]) == sorted(trained.miners)
    assert last["event"] == "ended"
    assert last["state"] == "completed"
    assert last["name"] == "digits"


def test_the_task_is_listed_and_shown(up: Shell, trained: Trained) -> None:
    listed = {task["task_id"]: task for task in up("task", "list", "--json").succeeded().json}
    assert listed[trained.task_id]["state"] == "completed"
    assert listed[trained.task_id]["finalized"] == 3
    shown = up("task", "show", trained.task_id).succeeded().out
    assert "digits (mlp, sync-sgd)" in shown
    assert "3 of 3 final" in shown
    assert "3 ETH funded" in shown
    document = up("task", "show", trained.task_id, "--json").succeeded().json
    assert document["spec"]["training"]["rounds"] == 3
    assert document["escrow"]["funded"] == str(3 * ETHER)


def test_a_person_watches_live(up: Shell, trained: Trained) -> None:
    code, screen = up.in_terminal("task", "watch", trained.task_id)
    assert code == 0, screen
    assert "completed" in screen
    assert "2 of 2" in screen


def test_watching_can_be_left_with_ctrl_c(up: Shell) -> None:
    task_id = up("task", "create", up.spec(), "--json").succeeded().json["task_id"]
    with ended(up.start("task", "watch", task_id)) as process:
        assert process.stdout is not None
        assert "open: starts when 2 more miners join" in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
        assert process.returncode == 130
    assert (out, err) == ("", "")
    assert up("task", "cancel", task_id).succeeded().out == (
        f"task {task_id} is cancelled; `pot task refund {task_id}` returns the escrow\n"
    )
    assert "3 ETH went back to" in up("task", "refund", task_id).succeeded().out
    up("task", "refund", task_id).failed("nothing is left to refund", "went back to the owner before")
    up("task", "cancel", task_id).failed("has ended already (cancelled)", "pot task refund")


def test_the_model_is_downloaded_and_measured(up: Shell, trained: Trained, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    done = up("task", "download", trained.task_id, "--output", path, "--json").succeeded().json
    assert (done["rounds"], done["bytes"]) == (3, path.stat().st_size)
    assert done["evaluation"]["accuracy"] == trained.events[3]["accuracy"]
    assert {name: value.shape for name, value in load_file(path).items()} == {
        "hidden_0.weight": (8, 64),
        "hidden_0.bias": (8,),
        "output.weight": (10, 8),
        "output.bias": (10,),
    }
    up("task", "download", trained.task_id, "-o", path).failed("model.safetensors exists", "--force")
    first = up("task", "download", trained.task_id, "-o", path, "--force", "--round", 0, "--no-evaluate")
    assert "after 1 rounds" in first.succeeded().out
    up("task", "download", trained.task_id, "--round", 9).failed("has no final round 9", "last final round is 2")


def test_miners_and_validators_are_paid_and_the_escrow_is_empty(up: Shell, trained: Trained) -> None:
    task = ("--task", trained.task_id)
    status = up("miner", "status", *task, "--keystore", "miner-0", "--json").succeeded().json
    assert [item["verdict"] for item in status["rounds"]] == ["accepted"] * 3
    assert status["claimable"] == status["earned"] == str(3 * ETHER * 8 // 10 // 2)
    assert "accepted" in up("miner", "status", *task, "--account", "miner-1").succeeded().out

    paid = up("miner", "claim", *task, "--keystore", "miner-0", "--json").succeeded().json
    assert paid["amount"] == status["earned"]
    up("miner", "claim", *task, "--keystore", "miner-0").failed("has been paid all that it has earned", "more can be")
    others = ["miner-1", *(f"validator-{index}" for index in range(4))]
    for account in others:
        up("miner", "claim", *task, "--keystore", "owner", "--account", account).succeeded()
    up("miner", "claim", *task, "--keystore", "owner").failed("has earned nothing", "pot miner status")

    escrow = up("task", "show", trained.task_id, "--json").succeeded().json["escrow"]
    assert escrow["paid"] == escrow["earned"]
    left = int(escrow["funded"]) - int(escrow["earned"])
    refund = up("task", "refund", trained.task_id, "--json")
    if left:
        assert refund.succeeded().json["amount"] == str(left)
    else:
        refund.failed("nothing is left to refund", "all of the budget was earned")


def test_own_data_is_added_and_named_in_a_spec(up: Shell, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    np.save(tmp_path / "x.npy", rng.integers(0, 255, (100, 4, 4)))
    np.save(tmp_path / "y.npy", rng.integers(0, 3, 100))
    added = up("data", "add", tmp_path, "--scale", 255, "--json").succeeded().json
    assert (added["samples"], added["test_samples"], added["features"], added["classes"]) == (80, 20, [4, 4], 3)
    own = SPEC.replace('source = "digits"', f'manifest = "{added["cid"]}"').replace("inputs = 64", "inputs = 16")
    created = up("task", "create", up.spec(own, "own.toml"), "--json").succeeded().json
    assert created["data"] == added["cid"]
    up("data", "add", tmp_path / "nothing").failed("there is no data set", "x.npy and y.npy")
    wrong = SPEC.replace('source = "digits"', f'manifest = "{added["cid"]}"')
    up("task", "create", up.spec(wrong, "wrong.toml")).failed("takes 64 values a sample, the data has 16", "16 values")


@pytest.mark.parametrize(
    ("spec", "options", "cause", "hint"),
    [
        (SPEC + "surprise = 1\n", (), "timing.surprise: unknown field", "pot task create --help"),
        (SPEC.replace('"3eth"', '"-3eth"'), (), "rewards.budget: an amount cannot be negative", ""),
        (SPEC, ("--budget", "-1eth"), "rewards.budget: an amount cannot be negative: '-1eth'", ""),
        (SPEC, ("--budget", "1000001eth"), "the budget of 1000001 ETH is above the balance of 0x", "lower the budget"),
        (SPEC.replace('"mlp"', '"oracle"'), (), "there is no model 'oracle'", "models are: "),
        ("name = ", (), "is not valid TOML", "the place"),
    ],
)
def test_specs_that_cannot_be_paid_or_trained(
    up: Shell, spec: str, options: tuple[str, ...], cause: str, hint: str
) -> None:
    tasks = len(up("task", "list", "--json").json)
    up("task", "create", up.spec(spec, "bad.toml"), *options).failed(cause, hint)
    assert len(up("task", "list", "--json").json) == tasks, "nothing was sent"


def test_a_wrong_password_sends_nothing(up: Shell) -> None:
    keystore = up.network().paths.wallet("owner")
    wrong = {"POT_KEYSTORE_PASSWORD": "wrong"}
    copied = up.home / "copied.json"
    copied.write_bytes(keystore.read_bytes())
    up("task", "create", up.spec(), "--keystore", copied, env=wrong).failed(
        "wrong password for", "nothing has been sent"
    )
    up("miner", "claim", "--task", 1, "--keystore", copied).failed("needs a password", "POT_KEYSTORE_PASSWORD")
    up("task", "create", up.spec(), "--keystore", up.home / "none.json").failed("no wallet", "")


def test_services_that_are_down_are_named(up: Shell) -> None:
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    deployment = up.network().paths.deployment
    up("task", "list", "--rpc", address, "--deployment", deployment).failed(
        f"no answer from the chain at {address}", "RPC"
    )
    tasks = len(up("task", "list", "--json").json)
    up("task", "create", up.spec(), "--ipfs", address).failed(address, "")
    up("data", "add", "digits", "--ipfs", address).failed(address, "")
    assert len(up("task", "list", "--json").json) == tasks, "nothing was sent"
    up("task", "list", "--deployment", up.home / "none.json").failed("there is no deployment file", "deploy")


def test_tasks_that_do_not_exist(up: Shell) -> None:
    for command in ("show", "watch", "cancel", "refund", "download"):
        up("task", command, 4242).failed("there is no task 4242", "pot task list")
    for command in ("status", "claim"):
        up("miner", command, "--task", 4242, "--keystore", "owner").failed("there is no task 4242", "pot task list")
    up("miner", "start", "--task", 4242, "--keystore", "owner").failed("task 4242 does not exist", "pot task list")


def test_only_the_owner_cancels(up: Shell, trained: Trained) -> None:
    task_id = up("task", "create", up.spec(), "--json").succeeded().json["task_id"]
    up("task", "cancel", task_id, "--keystore", "miner-0").failed("belongs to 0x", "--keystore")
    up("task", "cancel", task_id).succeeded()


def test_a_wallet_mines_a_task_once(up: Shell, trained: Trained) -> None:
    task_id = up("task", "create", up.spec(), "--json").succeeded().json["task_id"]
    state = ("--state-dir", up.home / "rig")
    options = ("--task", task_id, "--keystore", "miner-0", *state)
    with ended(up.start("miner", "start", *options, "--json")) as process:
        assert process.stdout is not None
        assert '"event": "joined"' in process.stdout.readline()
        up("miner", "start", *options).failed("mines task", "a second rig needs a wallet of its own")
        process.send_signal(signal.SIGTERM)
        assert '"event": "stopped"' in process.stdout.read()
        assert process.wait(30) == 0
    up("task", "cancel", task_id).succeeded()
    up("miner", "start", *options).failed("has ended (cancelled)", "pot task list")
