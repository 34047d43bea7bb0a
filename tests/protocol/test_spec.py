from __future__ import annotations

import pytest

from pot_chain.protocol.spec import InvalidSpec, TaskSpec

TOML = """
name = "digits"
[model]
name = "mlp"
params = {inputs = 64, hidden = [32], classes = 10}
[data]
source = "digits"
[training]
rounds = 20
samples_per_miner = 32
learning_rate = 0.5
[rewards]
budget = "1.5eth"
validator_share = 0.25
[timing]
commit_window = "5m"
"""


def test_a_spec_survives_pinning() -> None:
    spec = TaskSpec.from_toml(TOML)
    assert TaskSpec.from_bytes(spec.to_bytes()) == spec
    assert spec.rewards.budget == 15 * 10**17
    assert spec.rewards.validator_share == 2_500
    assert spec.timing.commit_window == 300
    assert spec.reward_per_round * 20 <= 15 * 10**17


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("rounds = 20", "rounds = 20\nepochs = 3", "training.epochs: unknown field"),
        ("rounds = 20", "", "training.rounds: missing"),
        ("rounds = 20", "rounds = 0", "training.rounds: input should be greater than or equal to 1 (got 0)"),
        ('"1.5eth"', '"-1.5eth"', "rewards.budget: an amount cannot be negative"),
        ('"1.5eth"', '"0eth"', "rewards.budget: an amount above zero is needed"),
        ('source = "digits"', "", "data: give either data.source"),
        ("learning_rate = 0.5", "learning_rate = inf", "training.learning_rate: input should be a finite number"),
        ("0.25", "1.25", "rewards.validator_share: a share is a part from 0 to 1"),
        ('"5m"', '"soon"', "timing.commit_window: not a duration: 'soon'"),
        ('name = "mlp"', 'name = "../mlp"', "model.name"),
        ("[timing]", "[miners]\nmin = 9\nmax = 3\n[timing]", "miners.max (3) must not be below miners.min (9)"),
    ],
)
def test_a_wrong_field_is_named(old: str, new: str, named: str) -> None:
    assert old in TOML
    with pytest.raises(InvalidSpec) as caught:
        TaskSpec.from_toml(TOML.replace(old, new))
    assert named in caught.value.message
    assert "\n" not in caught.value.message
    assert caught.value.hint


def test_bad_toml_names_the_line() -> None:
    with pytest.raises(InvalidSpec, match="line 2"):
        TaskSpec.from_toml('name = "x"\nrounds = = 3')


def test_a_spec_without_a_budget_says_so_when_the_budget_is_needed() -> None:
    spec = TaskSpec.from_toml(TOML.replace('budget = "1.5eth"', ""))
    with pytest.raises(InvalidSpec, match="budget is missing"):
        _ = spec.reward_rule
    assert spec.with_budget(10**18).reward_rule.per_round == 5 * 10**16
