"""A run as `pot demo` reports it: five miners, one of them poisoned for a while, and a primary that is killed."""

from __future__ import annotations

import hashlib
import math

import pytest

from pot_chain.dashboard.model import (
    Centralized,
    CentralizedRound,
    Chain,
    Escrow,
    EventKind,
    Gas,
    Ipfs,
    RoundRow,
    RunEvent,
    RunReport,
    Score,
    Sizes,
    ValidatorTotal,
    tally_miners,
)

ROUNDS = 20
BUDGET = 10**18 + 7
POISONED = range(6, 11)
VALIDATORS_TOTAL = 4


def _address(name: str) -> str:
    return "0x" + hashlib.sha256(name.encode()).hexdigest()[:40]


MINERS = [_address(f"miner {number}") for number in range(1, 6)]
VALIDATORS = [_address(f"validator {number}") for number in range(VALIDATORS_TOTAL)]
POISONER = MINERS[2]
LABELS = {address: f"miner {number}" for number, address in enumerate(MINERS, 1)} | {
    address: f"validator {number}" for number, address in enumerate(VALIDATORS)
}


def _cid(text: str) -> str:
    digest = hashlib.sha256(text.encode()).hexdigest()
    return "bafkrei" + "".join("abcdefghijklmnopqrstuvwxyz234567"[int(digit, 16) * 2] for digit in digest[:52])


def _loss(step: int) -> float:
    return 0.14 + 2.15 * math.exp(-0.33 * step)


def _accuracy(step: int) -> float:
    return round(360 * (0.9583 - 0.78 * math.exp(-0.45 * step))) / 360


def _row(number: int, pool: int) -> RoundRow:
    """Validators share a fifth, miners the rest; a rejected miner's share is not spent."""
    rejected = {POISONER: "gradient_mismatch"} if number in POISONED else {}
    accepted = [address for address in MINERS if address not in rejected]
    for_validators = pool // 5
    earned = {address: (pool - for_validators) // len(MINERS) for address in accepted}
    reporting = [v for v in VALIDATORS if not (number in (9, 10) and v == VALIDATORS[1])]
    earned |= dict.fromkeys(reporting, for_validators // VALIDATORS_TOTAL)
    drag = 0.06 * math.exp(-((number - 9.5) ** 2) / 8) if number >= POISONED.start else 0.0
    return RoundRow(
        number=number,
        view=1 if number == 9 else 0,
        accepted=accepted,
        rejected=rejected,
        train_loss=_loss(number) + 0.05 * math.sin(number * 2.3),
        test_loss=_loss(number + 1) + drag,
        accuracy=_accuracy(number + 1),
        seconds=7.9 if number == 9 else 2.1 + 0.2 * math.sin(number),
        paid_wei=sum(earned.values()),
        earned_wei=earned,
        checkpoint=_cid(f"checkpoint {number}"),
        record=_cid(f"record {number}"),
        transaction="0x" + hashlib.sha256(f"transaction {number}".encode()).hexdigest(),
    )


def build_report() -> RunReport:
    """The sample, from which tests make their own with ``dataclasses.replace``."""
    rows = [_row(number, BUDGET // ROUNDS) for number in range(ROUNDS)]
    earned = {address: sum(row.earned_wei.get(address, 0) for row in rows) for address in MINERS + VALIDATORS}
    paid = sum(earned.values())
    reference = [
        CentralizedRound(n, _loss(n) + 0.04 * math.sin(n * 2.1), _loss(n + 1), _accuracy(n + 1)) for n in range(ROUNDS)
    ]
    return RunReport(
        task_id=1,
        rounds_expected=ROUNDS,
        rounds_finalized=ROUNDS,
        view_changes=1,
        final=Score(rows[-1].accuracy, rows[-1].test_loss),
        centralized=Centralized(reference[-1].accuracy, reference[-1].test_loss, 1.84, reference),
        parameters_relative_difference=0.0132,
        wall_seconds=48.3,
        miners=tally_miners(rows, {address: earned[address] for address in MINERS}, LABELS),
        validators=[ValidatorTotal(address, earned[address], LABELS[address]) for address in VALIDATORS],
        gas=Gas(commit_gradient=31_204, finalize_round=78_412, claim=61_877),
        bytes=Sizes(gradient=19_584, checkpoint=19_520),
        escrow=Escrow(BUDGET, paid, BUDGET - paid, 0),
        ipfs=Ipfs("kubo/0.39.0", "found on PATH"),
        chain=Chain(
            "anvil/v1.7.1",
            31337,
            {
                "NodeRegistry": "0x5FbDB2315678afecb367f032d93F642f64180aa3",
                "ProofOfTraining": "0xe7f1725E7734CE288F8367e1Bb143E90bb3F0512",
            },
        ),
        rounds=rows,
        events=[
            RunEvent(12.9, EventKind.POISONER_ON, "miner 3 starts to send poisoned gradients (sign_flip)", 6, POISONER),
            RunEvent(
                19.6, EventKind.VALIDATOR_KILLED, "validator 1, the primary, killed with SIGKILL", 9, VALIDATORS[1]
            ),
            RunEvent(25.2, EventKind.VIEW_CHANGE, "the others moved to view 1", 9),
            RunEvent(29.8, EventKind.POISONER_OFF, "miner 3 is honest again", 11, POISONER),
            RunEvent(31.0, EventKind.VALIDATOR_RESTARTED, "validator 1 started again from its log", 11, VALIDATORS[1]),
        ],
        spec={
            "name": "digits",
            "model": {"name": "mlp", "params": {"inputs": 64, "hidden": [64], "classes": 10}},
            "training": {"mode": "sync-sgd", "rounds": ROUNDS, "samples_per_miner": 64, "learning_rate": 0.5},
            "verification": {"audit_rate": 0.25, "tolerance": 0.0001},
        },
        spec_cid=_cid("spec"),
        model_cid=_cid("model"),
        versions={"pot": "0.1.0", "python": "3.11.2", "torch": "2.13.0", "web3": "8.0.0", "solc": "0.8.37"},
        machine="Linux x86_64, 2 cores",
        started_at=1_790_000_000,
    )


@pytest.fixture
def report() -> RunReport:
    return build_report()


@pytest.fixture
def labels() -> dict[str, str]:
    return dict(LABELS)


@pytest.fixture
def poisoner() -> str:
    return POISONER
