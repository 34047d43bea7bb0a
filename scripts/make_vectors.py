"""Write tests/vectors/eip712.json: hashes that Python and Solidity must agree on.

The digests come from eth-account's generic EIP-712 encoder and eth-abi, not from our own code, so that a test of either
side against them is a real comparison. Run it again only when a type changes.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from eth_abi import encode as abi_encode
from eth_account.messages import _hash_eip191_message, encode_typed_data
from eth_utils import keccak, to_checksum_address

CHAIN_ID = 31337
CONTRACT = to_checksum_address("0x" + "c0" * 20)
REGISTRY = to_checksum_address("0x" + "ab" * 20)


def digest(byte: int) -> str:
    return "0x" + keccak(bytes([byte])).hex()


def address(byte: int) -> str:
    return str(to_checksum_address(keccak(b"account" + bytes([byte]))[-20:]))


def typed(
    name: str,
    contract: str,
    primary: str,
    fields: list[tuple[str, str]],
    message: dict[str, Any],
    members: dict[str, list[tuple[str, str]]] | None = None,
) -> dict[str, Any]:
    """A struct and its hashes; ``members`` are the types of nested structs."""
    types = {primary: fields} | (members or {})
    full = {
        "types": {
            "EIP712Domain": [
                {"name": "name", "type": "string"},
                {"name": "version", "type": "string"},
                {"name": "chainId", "type": "uint256"},
                {"name": "verifyingContract", "type": "address"},
            ],
            **{type_: [{"name": field, "type": kind} for kind, field in listed] for type_, listed in types.items()},
        },
        "primaryType": primary,
        "domain": {"name": name, "version": "1", "chainId": CHAIN_ID, "verifyingContract": contract},
        "message": message,
    }
    signable = encode_typed_data(full_message=full)
    encoded_type = "".join(
        type_ + "(" + ",".join(f"{kind} {field}" for kind, field in types[type_]) + ")"
        for type_ in [primary, *sorted(members or {})]
    )
    return {
        "type": encoded_type,
        "typeHash": "0x" + keccak(text=encoded_type).hex(),
        "message": as_text(message),
        "structHash": "0x" + signable.body.hex(),
        "digest": "0x" + _hash_eip191_message(signable).hex(),
        "domainSeparator": "0x" + signable.header.hex(),
    }


def as_text(value: Any) -> Any:
    """``value`` with its numbers as text, which JSON readers do not round."""
    if isinstance(value, dict):
        return {key: as_text(item) for key, item in value.items()}
    return str(value) if isinstance(value, int) else value


SLOT = [("uint256", "taskId"), ("uint64", "round"), ("uint64", "epoch")]
VOTE = [*SLOT, ("uint64", "view"), ("bytes32", "digest")]
DECISION = [
    ("uint256", "taskId"),
    ("uint64", "round"),
    ("bytes32", "parent"),
    ("bytes32", "checkpoint"),
    ("bytes32", "record"),
    ("uint64", "loss"),
    ("uint32", "accepted"),
    ("uint32", "chainReveals"),
]
OUTCOME = [("Decision", "decision"), ("bytes32", "rewardsRoot"), ("uint128", "rewardsTotal")]
FAULT = [("uint256", "taskId"), ("uint64", "round"), ("address", "miner"), ("bytes32", "record")]


def main() -> None:
    name = "ProofOfTraining"
    slot = {"taskId": 7, "round": 3, "epoch": 2}
    vote = slot | {"view": 1, "digest": digest(1)}
    decision = {
        "taskId": 7,
        "round": 3,
        "parent": digest(2),
        "checkpoint": digest(3),
        "record": digest(4),
        "loss": 1_234_567,
        "accepted": 5,
        "chainReveals": 1,
    }
    fault = {"taskId": 7, "round": 3, "miner": address(4), "record": digest(4)}
    keys = sorted((address(30 + i) for i in range(5)), key=lambda key: bytes.fromhex(key[2:]))
    structs = {
        "decision": typed(name, CONTRACT, "Decision", DECISION, decision),
        "outcome": typed(
            name,
            CONTRACT,
            "Outcome",
            OUTCOME,
            {"decision": decision, "rewardsRoot": digest(5), "rewardsTotal": 10**18 + 1},
            {"Decision": DECISION},
        ),
        "propose": typed(name, CONTRACT, "Propose", VOTE, vote),
        "prepare": typed(name, CONTRACT, "Prepare", VOTE, vote),
        "commit": typed(name, CONTRACT, "Commit", VOTE, vote),
        "viewChange": typed(
            name,
            CONTRACT,
            "ViewChange",
            [*SLOT, ("uint64", "view"), ("uint64", "preparedView"), ("bytes32", "preparedDigest")],
            slot | {"view": 4, "preparedView": 2, "preparedDigest": digest(6)},
        ),
        "verdict": typed(name, CONTRACT, "Verdict", [*SLOT, ("bytes32", "verdicts")], slot | {"verdicts": digest(7)}),
        "hello": typed(
            name,
            CONTRACT,
            "Hello",
            [("address", "peer"), ("bytes32", "nonce"), ("uint64", "epoch")],
            {"peer": address(1), "nonce": digest(8), "epoch": 2},
        ),
        "keyOwnership": typed(
            "NodeRegistry", REGISTRY, "KeyOwnership", [("address", "operator")], {"operator": address(2)}
        ),
        "rotation": typed(
            "NodeRegistry",
            REGISTRY,
            "Rotation",
            [("uint64", "epoch"), ("address[]", "voteKeys")],
            {"epoch": 3, "voteKeys": keys},
        ),
        "minerFault": typed(name, CONTRACT, "MinerFault", FAULT, fault),
        "minerFaultUpheld": typed(name, CONTRACT, "MinerFaultUpheld", FAULT, fault),
    }
    seal_args = [CHAIN_ID, CONTRACT, 7, 3, address(3), bytes.fromhex(digest(9)[2:]), bytes.fromhex(digest(10)[2:])]
    seal = keccak(abi_encode(["uint256", "address", "uint256", "uint64", "address", "bytes32", "bytes32"], seal_args))
    genesis_args = [CHAIN_ID, CONTRACT, 7, bytes.fromhex(digest(11)[2:]), bytes.fromhex(digest(12)[2:])]
    genesis = keccak(abi_encode(["uint256", "address", "uint256", "bytes32", "bytes32"], genesis_args))
    vectors = {
        "chainId": CHAIN_ID,
        "contract": CONTRACT,
        "registry": REGISTRY,
        "structs": structs,
        "seal": {
            "taskId": 7,
            "round": 3,
            "miner": address(3),
            "cidDigest": digest(9),
            "salt": digest(10),
            "seal": "0x" + seal.hex(),
        },
        "genesis": {"taskId": 7, "spec": digest(11), "checkpoint": digest(12), "head": "0x" + genesis.hex()},
        "quorum": [
            {"n": n, "maxFaulty": (n - 1) // 3, "quorum": -(-(n + (n - 1) // 3 + 1) // 2)} for n in range(4, 131)
        ],
        "merkle": [merkle(count) for count in (1, 2, 3, 5, 8, 13)],
    }
    path = Path(__file__).parent.parent / "tests" / "vectors" / "eip712.json"
    path.write_text(json.dumps(vectors, indent=1) + "\n")
    print(f"wrote {path}")


def merkle(count: int) -> dict[str, Any]:
    """A reward tree by definition: recursion from the root, unlike the code under test."""
    leaves = []
    for i in range(count):
        cumulative = 10**15 * (i + 1) + i
        leaf = keccak(keccak(abi_encode(["uint256", "address", "uint256"], [7, address(20 + i), cumulative])))
        leaves.append({"account": address(20 + i), "cumulative": str(cumulative), "leaf": leaf})
    leaves.sort(key=lambda leaf: bytes.fromhex(leaf["account"][2:]))

    def root(nodes: list[bytes]) -> bytes:
        if len(nodes) == 1:
            return nodes[0]
        half = 1
        while half * 2 < len(nodes):
            half *= 2
        left, right = root(nodes[:half]), root(nodes[half:])
        return keccak(min(left, right) + max(left, right))

    def proof(nodes: list[bytes], index: int) -> list[bytes]:
        if len(nodes) == 1:
            return []
        half = 1
        while half * 2 < len(nodes):
            half *= 2
        if index < half:
            return [*proof(nodes[:half], index), root(nodes[half:])]
        return [*proof(nodes[half:], index - half), root(nodes[:half])]

    nodes = [leaf["leaf"] for leaf in leaves]
    return {
        "taskId": 7,
        "root": "0x" + root(nodes).hex(),
        "leaves": [
            leaf | {"leaf": "0x" + leaf["leaf"].hex(), "proof": ["0x" + node.hex() for node in proof(nodes, i)]}
            for i, leaf in enumerate(leaves)
        ],
    }


if __name__ == "__main__":
    main()
