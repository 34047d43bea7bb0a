"""The command line as such: help, versions, usage errors, speed. Needs no network."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from pot_chain import __version__
from pot_chain.cli.app import app

from .conftest import POT, Result, Shell, Zygote


def commands() -> list[tuple[str, ...]]:
    """Every command as the words that call it."""
    found: list[tuple[str, ...]] = []
    todo = [((), get_command(app))]
    while todo:
        words, command = todo.pop()
        inner = getattr(command, "commands", None)
        if inner is None:
            found.append(words)
        else:
            todo += [((*words, name), below) for name, below in inner.items()]
    return sorted(found)


def test_all_commands_of_the_issue_are_there() -> None:
    expected = {
        *("up", "down", "status", "doctor", "deploy"),
        *(f"task {name}" for name in ("create", "list", "show", "watch", "cancel", "refund", "download")),
        *(f"miner {name}" for name in ("start", "status", "claim")),
        *(f"miner delegate {name}" for name in ("authorize", "revoke", "draw")),
        *(f"validator {name}" for name in ("start", "status")),
        *(f"wallet {name}" for name in ("new", "list", "import", "balance")),
        "data add",
    }
    assert expected <= {" ".join(words) for words in commands()}


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_help_teaches_with_examples(words: tuple[str, ...]) -> None:
    shown = CliRunner().invoke(app, [*words, "--help"], prog_name="pot", env={"COLUMNS": "140"})
    assert shown.exit_code == 0
    assert "Examples:" in shown.output
    assert f"pot {' '.join(words)}" in shown.output.partition("Examples:")[2]


def test_help_of_create_shows_a_whole_spec() -> None:
    shown = CliRunner().invoke(app, ["task", "create", "--help"], env={"COLUMNS": "140"})
    for line in ("[model]", "[training]", "samples_per_miner = 96", 'source = "digits"'):
        assert line in shown.output


def test_help_loads_nothing_heavy() -> None:
    heavy = {"torch", "web3", "eth_account", "numpy", "pydantic", "requests", "sklearn"}
    code = f"import sys, pot_chain.cli.app; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_console_script_is_the_same_command() -> None:
    for command in (POT, [str(Path(sys.executable).with_name("pot"))]):
        done = subprocess.run([*command, "--version"], capture_output=True, text=True, check=True)
        assert done.stdout == f"pot {__version__}\n"


def test_an_error_of_a_process_that_has_loaded_nothing_yet(pot: Shell) -> None:
    done = subprocess.run(
        [*POT, "task", "list"],
        capture_output=True,
        text=True,
        env=pot.environment({"POT_NETWORK": "none"}),
        check=False,
    )
    Result(done.returncode, done.stdout, done.stderr).failed("no local network 'none'", "start one with `pot up`")


@pytest.mark.parametrize(
    "arguments",
    [
        ("nonsense",),
        ("task", "nonsense"),
        ("task", "show"),
        ("task", "show", "one"),
        ("task", "show", "0"),
        ("up", "--port", "70000"),
        ("miner", "start"),
        ("miner", "start", "--task", "1", "--private-key", "0x01"),
        ("validator", "start"),
    ],
)
def test_usage_errors_exit_with_2(pot: Shell, arguments: tuple[str, ...]) -> None:
    done = pot(*arguments)
    assert done.code == 2
    assert "Usage:" in done.err
    assert "Traceback" not in done.err


def test_no_command_takes_a_key() -> None:
    for words in commands():
        shown = CliRunner().invoke(app, [*words, "--help"], env={"COLUMNS": "140"}).output.lower()
        assert "--private-key" not in shown
        assert "--password " not in shown


def test_the_example_spec_is_valid(pot: Shell) -> None:
    from pot_chain.protocol.spec import TaskSpec
    from worker.models import require_fit

    spec = TaskSpec.from_toml(pot("task", "example").succeeded().out)
    require_fit(spec.model.name, spec.model.params, features=[64], classes=10)
    assert spec.rewards.budget == 15 * 10**17


def test_options_may_stand_before_or_behind_the_command(tmp_path: Path, zygote: Zygote) -> None:
    pot = Shell(tmp_path, zygote)
    hint = "start one with `pot up`"
    pot("--network", "before", "task", "list").failed("no local network 'before'", hint)
    pot("task", "list", "--network", "behind").failed("no local network 'behind'", hint)
    pot("--network", "before", "task", "list", "--network", "behind").failed("no local network 'behind'", hint)
    pot("task", "list", env={"POT_NETWORK": "variable"}).failed("no local network 'variable'", hint)
    pot("task", "list").failed("no local network 'default'", hint)
    pot("task", "list", "-n", "../up").failed("'../up' cannot be the name of a network", "lower-case letters")
    for command in ("status", "down"):
        pot("--network", "before", command).failed("no local network 'before'", hint)
        pot(command, "--name", "behind").failed("no local network 'behind'", hint)


def test_addresses_without_their_companions(pot: Shell) -> None:
    rpc = ("--rpc", "http://127.0.0.1:1")
    pot("task", "list", *rpc).failed("--rpc is given without --deployment", "--deployment", code=2)
    pot("data", "add", "digits", *rpc).failed("--rpc is given without --ipfs", "--ipfs", code=2)
    deployment = ("--deployment", "d.json")
    pot("task", "cancel", 1, *rpc, *deployment).failed("the command needs a wallet", "--keystore", code=2)
