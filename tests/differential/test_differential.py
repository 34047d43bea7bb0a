"""Random cases through Python and through the contracts: both must say the same.

POT_DIFFERENTIAL_CASES is the number of cases of all tests together; each test takes its share of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

import pytest
from eth_utils import to_checksum_address

from pot_chain.chain.structs import Claim
from pot_chain.protocol import eip712, merkle, quorum
from pot_chain.protocol.addresses import Address, Digest, address_bytes, canonical_order
from pot_chain.protocol.outcome import Outcome
from pot_chain.protocol.rewards import RewardLedger, RewardRule, round_rewards
from pot_chain.protocol.seal import genesis_head, gradient_seal
from pot_chain.protocol.signing import address_of, compact, sign_digest
from pot_chain.protocol.votes import Phase, Slot, Vote
from tests.differential.conftest import CASES, Harness

_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141


def share(part: float) -> int:
    return max(10, int(CASES * part))


def uint(random: Random, bits: int) -> int:
    """Uniform in size, not in value, with the ends of the range often."""
    return random.choice((0, 1, (1 << bits) - 1, *[random.getrandbits(random.randint(1, bits)) for _ in range(5)]))


def digest(random: Random) -> bytes:
    return random.choice((bytes(32), b"\xff" * 32, *[random.randbytes(32) for _ in range(6)]))


def account(random: Random) -> Address:
    """Above all that a chain reserves for precompiled contracts."""
    return str(to_checksum_address((random.getrandbits(159) + (1 << 159)).to_bytes(20, "big")))


def outcome(random: Random) -> Outcome:
    return Outcome(
        task_id=uint(random, 256),
        round=uint(random, 64),
        parent=digest(random),
        checkpoint=digest(random),
        record=digest(random),
        loss=uint(random, 64),
        accepted=uint(random, 32),
        chain_reveals=uint(random, 32),
        rewards_root=digest(random),
        rewards_total=uint(random, 128),
    )


def ledger(random: Random) -> RewardLedger:
    """What some rounds have earned, by the rule."""
    accounts = canonical_order({account(random) for _ in range(random.randint(2, 24))})
    cut = random.randint(1, len(accounts) - 1)
    miners, validators = accounts[:cut], accounts[cut:]
    rule = RewardRule(random.getrandbits(random.randint(1, 88)), random.randint(0, 10_000))
    made = RewardLedger(uint(random, 256), {})
    for _ in range(random.randint(1, 4)):
        earned = round_rewards(
            rule,
            weights={miner: random.randint(0, 1000) for miner in miners},
            accepted=[miner for miner in miners if random.random() < 0.8],
            validators=len(validators),
            reporting=[validator for validator in validators if random.random() < 0.8],
        )
        assert sum(earned.values()) <= rule.per_round
        made = made.add(earned)
    return made if made.cumulative else RewardLedger(made.task_id, {accounts[0]: 1})


# ---- hashes


def test_outcomes(harness: Harness, random: Random) -> None:
    cases = [outcome(random) for _ in range(share(0.2))]
    for case, (decision, head) in zip(cases, harness.ask("outcomes", cases), strict=True):
        assert decision == eip712.decision_hash(case)
        assert head == eip712.outcome_hash(case)
        assert head == eip712.head_of(decision, case.rewards_root, case.rewards_total)


def commit(harness: Harness, random: Random) -> tuple[tuple[Any, ...], Any]:
    task, number, epoch, view, value = uint(random, 256), *(uint(random, 64) for _ in range(3)), digest(random)
    vote = Vote(Phase.COMMIT, Slot(task, number, epoch), view, value)
    return (task, number, epoch, view, value), eip712.signing_digest(harness.domain, vote)


def rotation(harness: Harness, random: Random) -> tuple[tuple[Any, ...], Any]:
    epoch, keys = uint(random, 64), canonical_order(account(random) for _ in range(random.randint(0, 40)))
    return (epoch, keys), eip712.rotation_digest(harness.registry_domain, epoch, keys)


def fault(harness: Harness, random: Random) -> tuple[tuple[Any, ...], Any]:
    case = uint(random, 256), uint(random, 64), account(random), digest(random)
    first, second = (eip712.fault_digest(harness.domain, *case, upheld=upheld) for upheld in (False, True))
    return case, (first, second)


def seal(harness: Harness, random: Random) -> tuple[tuple[Any, ...], Any]:
    case = uint(random, 256), uint(random, 64), account(random), digest(random), digest(random)
    return case, gradient_seal(harness.domain, *case)


def head(harness: Harness, random: Random) -> tuple[tuple[Any, ...], Any]:
    case = uint(random, 256), digest(random), digest(random)
    return case, genesis_head(harness.domain, *case)


Maker = Callable[[Harness, Random], tuple[tuple[Any, ...], Any]]


@pytest.mark.parametrize(
    ("function", "maker", "part"),
    [
        ("votes", commit, 0.12),
        ("rotations", rotation, 0.06),
        ("faults", fault, 0.1),
        ("seals", seal, 0.12),
        ("heads", head, 0.06),
    ],
)
def test_hashes(harness: Harness, random: Random, function: str, maker: Maker, part: float) -> None:
    cases, expected = zip(*(maker(harness, random) for _ in range(share(part))), strict=True)
    assert harness.ask(function, list(cases)) == list(expected)


# ---- arithmetic


def test_quorums(harness: Harness) -> None:
    sizes = list(range(1, share(0.05) + 1))
    numbers = harness.ask("quorums", sizes)
    assert numbers == [(quorum.max_faulty(n), quorum.quorum(n)) for n in sizes]


# ---- trees


def test_trees_of_both_sides_are_the_same(harness: Harness, random: Random) -> None:
    ledgers = [ledger(random) for _ in range(share(0.08))]
    places = [random.randrange(len(made.accounts)) for made in ledgers]
    trees = [(made.task_id, made.accounts, [made.cumulative[one] for one in made.accounts]) for made in ledgers]
    for made, place, built in zip(ledgers, places, harness.ask("trees", trees, places), strict=True):
        holder = made.accounts[place]
        assert built["leaf"] == merkle.reward_leaf(made.task_id, holder, made.cumulative[holder])
        assert built["root"] == made.root
        assert list(built["proof"]) == made.proof(holder)
        assert merkle.verify_proof(built["leaf"], built["proof"], built["root"])


def test_proofs_are_accepted_and_refused_alike(harness: Harness, random: Random) -> None:
    cases = []
    for _ in range(share(0.08)):
        made = ledger(random)
        holder = random.choice(made.accounts)
        leaf, proof = merkle.reward_leaf(made.task_id, holder, made.cumulative[holder]), made.proof(holder)
        if random.random() < 0.5 and proof:
            match random.randrange(3):
                case 0:
                    del proof[random.randrange(len(proof))]
                case 1:
                    proof.insert(random.randrange(len(proof) + 1), digest(random))
                case _:
                    leaf = merkle.reward_leaf(made.task_id, holder, made.cumulative[holder] ^ 1)
        cases.append((leaf, made.root, proof))
    expected = [merkle.verify_proof(leaf, proof, root) for leaf, root, proof in cases]
    assert {True, False} == set(expected)
    assert harness.ask("accepted", cases) == expected


# ---- certificates


def certificate(random: Random) -> tuple[tuple[list[Address], bytes, bytes], int]:
    """A certificate, sound or damaged, and the bitmap of its signers (0: none that counts)."""
    secrets = sorted((random.randbytes(31).rjust(32, b"\x01") for _ in range(random.randint(4, 12))), key=_place)
    size, value = len(secrets), random.randbytes(32)
    chosen = sorted(random.sample(range(size), random.randint(quorum.quorum(size) - 1, size)))
    signed = [(index, compact(sign_digest(secrets[index], value))) for index in chosen]
    sound = len(signed) >= quorum.quorum(size)
    match random.randrange(8):
        case 0:
            signed[-1] = (chosen[0], signed[0][1])  # somebody twice
            sound = False
        case 1:
            signed[0] = (signed[0][0], compact(sign_digest(secrets[chosen[0]], random.randbytes(32))))
            sound = False
        case 2:
            r, vs = signed[0][1][:32], int.from_bytes(signed[0][1][32:], "big")
            parity, s = vs >> 255, vs & ((1 << 255) - 1)
            high = (_ORDER - s) & ((1 << 255) - 1) | (1 - parity) << 255  # the malleated twin, cut to its field
            signed[0] = (signed[0][0], r + high.to_bytes(32, "big"))
            sound = False
        case 3:
            signed = signed[::-1]
            sound = False
    encoded = b"".join(index.to_bytes(2, "big") + signature for index, signature in signed)
    return ([address_of(key) for key in secrets], value, encoded), sum(1 << index for index in chosen) if sound else 0


def _place(key: bytes) -> bytes:
    return address_bytes(address_of(key))


def test_certificates_count_for_the_same_signers(harness: Harness, random: Random) -> None:
    made = [certificate(random) for _ in range(share(0.08))]
    assert harness.ask("certificates", [case for case, _ in made]) == [signers for _, signers in made]


# ---- money


@dataclass(frozen=True)
class Claimed:
    """A claim in a task with this head, of which so much was claimed by all and paid to the account before."""

    request: Claim
    head: Digest
    claimed: int
    paid: int


def test_claims_pay_what_the_ledger_says(harness: Harness, random: Random) -> None:
    cases, expected = [], []
    for number in range(share(0.1)):
        earned = ledger(random)
        made = RewardLedger(number + 1, earned.cumulative)  # a task of its own: a batch writes the state of each
        holder = random.choice(made.accounts)
        cumulative, final = made.cumulative[holder], outcome(random)
        decision, total = eip712.decision_hash(final), made.total
        paid = random.choice((0, cumulative, random.randint(0, cumulative)))
        others = random.randint(0, total - cumulative)
        proof = made.proof(holder)
        due = cumulative - paid
        head_ = eip712.head_of(decision, made.root, total)
        match random.randrange(8):
            case 0:
                cumulative, due = cumulative + 1, 0  # another leaf
            case 1:
                decision, due = digest(random), 0
            case 2:
                total, due = total + 1, 0
        request = Claim(made.task_id, holder, cumulative, total, decision, tuple(proof))
        cases.append(Claimed(request, head_, paid + others, paid))
        expected.append(due)
    assert any(expected)
    assert harness.ask("claims", cases) == expected
