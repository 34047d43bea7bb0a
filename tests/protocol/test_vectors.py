"""Python against vectors from eth-account's and eth-abi's generic encoders; forge checks Solidity against the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pot_chain.protocol import eip712, merkle, quorum, seal
from pot_chain.protocol.outcome import Outcome
from pot_chain.protocol.votes import Hello, Phase, Slot, Statement, VerdictReport, ViewChange, Vote

VECTORS: dict[str, Any] = json.loads((Path(__file__).parent.parent / "vectors" / "eip712.json").read_text())
DOMAIN = eip712.Domain(VECTORS["chainId"], VECTORS["contract"])
REGISTRY_DOMAIN = eip712.Domain(VECTORS["chainId"], VECTORS["registry"], name="NodeRegistry")
SLOT = Slot(task_id=7, round=3, epoch=2)


def to_bytes(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))


def statements() -> dict[str, Statement]:
    structs = VECTORS["structs"]
    digest = to_bytes(structs["commit"]["message"]["digest"])
    change = structs["viewChange"]["message"]
    hello = structs["hello"]["message"]
    return {
        "propose": Vote(Phase.PROPOSE, SLOT, 1, digest),
        "prepare": Vote(Phase.PREPARE, SLOT, 1, digest),
        "commit": Vote(Phase.COMMIT, SLOT, 1, digest),
        "viewChange": ViewChange(SLOT, 4, 2, to_bytes(change["preparedDigest"])),
        "verdict": VerdictReport(SLOT, to_bytes(structs["verdict"]["message"]["verdicts"])),
        "hello": Hello(hello["peer"], to_bytes(hello["nonce"]), 2),
    }


@pytest.mark.parametrize("name", sorted(statements()))
def test_statement_hashes_meet_the_vectors(name: str) -> None:
    vector, statement = VECTORS["structs"][name], statements()[name]
    assert eip712.struct_hash(statement) == to_bytes(vector["structHash"])
    assert eip712.signing_digest(DOMAIN, statement) == to_bytes(vector["digest"])


def outcome_of(message: dict[str, Any]) -> Outcome:
    decision = message["decision"]
    return Outcome(
        task_id=int(decision["taskId"]),
        round=int(decision["round"]),
        parent=to_bytes(decision["parent"]),
        checkpoint=to_bytes(decision["checkpoint"]),
        record=to_bytes(decision["record"]),
        loss=int(decision["loss"]),
        accepted=int(decision["accepted"]),
        chain_reveals=int(decision["chainReveals"]),
        rewards_root=to_bytes(message["rewardsRoot"]),
        rewards_total=int(message["rewardsTotal"]),
    )


def test_outcome_hash_meets_the_vector() -> None:
    vector = VECTORS["structs"]["outcome"]
    outcome = outcome_of(vector["message"])
    assert eip712.outcome_hash(outcome) == to_bytes(vector["structHash"])
    assert eip712.decision_hash(outcome) == to_bytes(VECTORS["structs"]["decision"]["structHash"])
    assert Outcome.from_json(outcome.to_json()) == outcome


def test_rotation_digest_meets_the_vector() -> None:
    vector = VECTORS["structs"]["rotation"]
    m = vector["message"]
    made = eip712.rotation_digest(REGISTRY_DOMAIN, int(m["epoch"]), m["voteKeys"])
    assert made == to_bytes(vector["digest"])


@pytest.mark.parametrize(("name", "upheld"), [("minerFault", False), ("minerFaultUpheld", True)])
def test_fault_digests_meet_the_vectors(name: str, upheld: bool) -> None:
    vector = VECTORS["structs"][name]
    m = vector["message"]
    made = eip712.fault_digest(
        DOMAIN, int(m["taskId"]), int(m["round"]), m["miner"], to_bytes(m["record"]), upheld=upheld
    )
    assert made == to_bytes(vector["digest"])


def test_key_ownership_digest_meets_the_vector() -> None:
    vector = VECTORS["structs"]["keyOwnership"]
    operator = vector["message"]["operator"]
    assert eip712.key_ownership_digest(REGISTRY_DOMAIN, operator) == to_bytes(vector["digest"])


def test_seal_and_genesis_meet_the_vectors() -> None:
    v = VECTORS["seal"]
    made = seal.gradient_seal(
        DOMAIN, v["taskId"], v["round"], v["miner"], to_bytes(v["cidDigest"]), to_bytes(v["salt"])
    )
    assert made == to_bytes(v["seal"])
    g = VECTORS["genesis"]
    assert seal.genesis_head(DOMAIN, g["taskId"], to_bytes(g["spec"]), to_bytes(g["checkpoint"])) == to_bytes(g["head"])


def test_quorums_meet_the_vectors_and_always_intersect_in_an_honest_validator() -> None:
    for row in VECTORS["quorum"]:
        n, f, q = row["n"], quorum.max_faulty(row["n"]), quorum.quorum(row["n"])
        assert (f, q) == (row["maxFaulty"], row["quorum"])
        assert 2 * q - n > f
        assert q <= n - f


@pytest.mark.parametrize("tree", VECTORS["merkle"], ids=lambda tree: str(len(tree["leaves"])))
def test_merkle_trees_meet_the_vectors(tree: dict[str, Any]) -> None:
    leaves = [merkle.reward_leaf(tree["taskId"], row["account"], int(row["cumulative"])) for row in tree["leaves"]]
    assert leaves == [to_bytes(row["leaf"]) for row in tree["leaves"]]
    assert merkle.merkle_root(leaves) == to_bytes(tree["root"])
    for index, row in enumerate(tree["leaves"]):
        proof = merkle.merkle_proof(leaves, index)
        assert proof == [to_bytes(node) for node in row["proof"]]
        assert merkle.verify_proof(leaves[index], proof, to_bytes(tree["root"]))
