"""Spec files: what is wrong is said in one line that names the field."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pot_chain.owner.specs import read_spec
from pot_chain.protocol.spec import MAX_SPEC_BYTES, InvalidSpec

from .conftest import SPEC

GOOD = """
name = "digits"
[model]
name = "mlp"
params = { inputs = 64, hidden = [8], classes = 10 }
[data]
source = "digits"
[training]
rounds = 3
samples_per_miner = 16
learning_rate = 0.5
[rewards]
budget = "3eth"
"""


def write(folder: Path, text: str, name: str = "spec.toml") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def test_toml_and_json_say_the_same(tmp_path: Path) -> None:
    document = {key: value for key, value in SPEC.items() if key != "miners"} | {"name": "digits"}
    spec = read_spec(write(tmp_path, GOOD))
    assert spec == read_spec(write(tmp_path, json.dumps(document), "spec.json"))
    assert spec.rewards.budget == 3 * 10**18


def test_the_budget_option_replaces_that_of_the_file(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD)
    assert read_spec(path, "1.5eth").rewards.budget == 15 * 10**17
    without = write(tmp_path, GOOD.replace('budget = "3eth"', ""))
    assert read_spec(without, "7wei").rewards.budget == 7
    assert read_spec(path, "1eth").miners.model_fields_set == set(), "defaults stay defaults"


def test_a_stop_loss_comes_from_the_file_or_from_options(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD)
    assert read_spec(path).stop_loss is None
    given = read_spec(path, stop_loss=2.5).stop_loss
    assert given is not None
    assert (given.loss, given.units, given.after) == (2.5, 2_500_000, 1)
    both = write(tmp_path, GOOD + "[stop_loss]\nloss = 3.0\nafter = 5\n", "both.toml")
    for options, expected in (({}, (3.0, 5)), ({"stop_loss": 2.0}, (2.0, 5)), ({"stop_loss_after": 7}, (3.0, 7))):
        found = read_spec(both, **options).stop_loss  # type: ignore[arg-type]
        assert found is not None
        assert (found.loss, found.after) == expected
    for wrong, message in (
        ({"stop_loss": -1.0}, "stop_loss.loss"),
        ({"stop_loss_after": 5}, "stop_loss.loss: missing"),
    ):
        with pytest.raises(InvalidSpec, match=message):
            read_spec(path, **wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "budget", "message"),
    [
        (GOOD + "surprise = 1", None, "rewards.surprise: unknown field"),
        (GOOD.replace('"3eth"', '"-3eth"'), None, "rewards.budget: an amount cannot be negative: '-3eth'"),
        (GOOD.replace('"3eth"', "-3"), None, "rewards.budget: an amount cannot be negative: -3"),
        (GOOD, "-1eth", "rewards.budget: an amount cannot be negative: '-1eth'"),
        (GOOD, "0", "rewards.budget: an amount above zero is needed"),
        (GOOD, "much", "rewards.budget: not an amount: 'much'"),
        (GOOD.replace("rounds = 3", "rounds = 0"), None, "training.rounds: "),
        (GOOD.replace("rounds = 3", ""), None, "training.rounds: missing"),
        ("name = ", None, "is not valid TOML"),
        ("rewards = 3", "1eth", "rewards: "),
    ],
)
def test_faults_are_named(tmp_path: Path, text: str, budget: str | None, message: str) -> None:
    with pytest.raises(InvalidSpec) as caught:
        read_spec(write(tmp_path, text), budget)
    assert message in caught.value.message
    assert "\n" not in caught.value.message
    assert caught.value.hint


def test_files_that_are_no_specs(tmp_path: Path) -> None:
    with pytest.raises(InvalidSpec, match=r"cannot read the spec .*nothing\.toml: No such file"):
        read_spec(tmp_path / "nothing.toml")
    with pytest.raises(InvalidSpec, match="at most 65536"):
        read_spec(write(tmp_path, "#" * (MAX_SPEC_BYTES + 1)))
    with pytest.raises(InvalidSpec, match="no table of fields"):
        read_spec(write(tmp_path, "[1]", "list.json"))
    with pytest.raises(InvalidSpec, match="is not valid JSON"):
        read_spec(write(tmp_path, "[" * 30_000, "deep.json"))
    binary = tmp_path / "binary.toml"
    binary.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InvalidSpec, match="is not valid TOML"):
        read_spec(binary)


_FIELDS = ["name", "model", "params", "data", "source", "manifest", "training", "rounds", "rewards", "budget", "miners"]
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(_FIELDS), inner, max_size=4),
    max_leaves=12,
)


@given(document=st.dictionaries(st.sampled_from(_FIELDS), _VALUES, max_size=6), budget=st.none() | st.text(max_size=12))
def test_no_document_causes_anything_but_an_invalid_spec(
    tmp_path_factory: pytest.TempPathFactory, document: object, budget: str | None
) -> None:
    path = write(tmp_path_factory.getbasetemp(), json.dumps(document), "fuzz.json")
    with pytest.raises(InvalidSpec):
        read_spec(path, budget)
