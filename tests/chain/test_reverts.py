from __future__ import annotations

import string

import pytest
from eth_abi import encode
from eth_utils import keccak
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pot_chain.chain.abi import selector_of
from pot_chain.chain.bindings import revert_decoder
from pot_chain.chain.compiler import Artifacts, compile_contracts
from pot_chain.chain.errors import RpcError
from pot_chain.chain.revert_messages import MESSAGES
from pot_chain.chain.reverts import RevertDecoder

MINER = "0x2c7536E3605D9C16a7a3D7b1898e529396a65c23"


@pytest.fixture(scope="module")
def artifacts() -> Artifacts:
    return compile_contracts()


@pytest.fixture(scope="module")
def decoder(artifacts: Artifacts) -> RevertDecoder:
    return revert_decoder(artifacts)


def data_of(artifacts: Artifacts, name: str, *arguments: object) -> bytes:
    entry = next(
        entry for item in artifacts.values() for entry in item.abi if entry["type"] == "error" and entry["name"] == name
    )
    return selector_of(entry) + encode([item["type"] for item in entry["inputs"]], arguments)


def test_every_error_of_the_contracts_has_a_sentence(artifacts: Artifacts, decoder: RevertDecoder) -> None:
    assert set(MESSAGES) == decoder.names


def test_the_sentences_use_only_what_the_errors_tell(artifacts: Artifacts, decoder: RevertDecoder) -> None:
    arguments = {
        entry["name"]: {item["name"] for item in entry["inputs"]}
        for artifact in artifacts.values()
        for entry in artifact.abi
        if entry["type"] == "error"
    }
    for name, texts in MESSAGES.items():
        used = {field for text in texts for _, field, _, _ in string.Formatter().parse(text) if field}
        if name in arguments:
            assert used <= arguments[name], name


def test_joining_twice(artifacts: Artifacts, decoder: RevertDecoder) -> None:
    error = decoder.reverted(data_of(artifacts, "AlreadyMember", 7, MINER), {"function": "join", "taskId": 7})
    assert str(error) == f"miner {MINER} is already a member of task 7"
    assert error.name == "AlreadyMember"
    assert error.arguments == {"taskId": 7, "miner": MINER}


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("CommitsClosed", (1_700_000_000,), "the commit deadline was 2023-11-14 22:13:20 UTC"),
        ("StakeTooLow", (5 * 10**17, 10**18), "a stake of 0.5 ETH is below the minimum of 1 ETH"),
        ("AlreadyRegistered", (MINER, 2), f"{MINER} is already registered as a validator"),
        ("WrongTaskState", (3, 4), "task 3 is cancelled, which does not allow this"),
        ("WrongTaskState", (3, 99), "task 3 is 99, which does not allow this"),
        ("StakeLocked", (MINER, 0), f"the stake of {MINER} is locked; the day of its release: not set"),
        ("CommitsClosed", (2**64 - 1,), "the commit deadline was 18446744073709551615"),
        ("SealMismatch", (b"\x01" * 24, b"\x02" * 24), f"digest and salt do not open the seal 0x{'01' * 24}"),
    ],
)
def test_values_are_shown_as_people_read_them(
    name: str, arguments: tuple[object, ...], message: str, artifacts: Artifacts, decoder: RevertDecoder
) -> None:
    assert str(decoder.reverted(data_of(artifacts, name, *arguments), {})) == message


def test_solidity_s_own_errors(decoder: RevertDecoder) -> None:
    def message(signature: str, kind: str, value: object) -> str:
        data = keccak(text=signature)[:4] + encode([kind], [value])
        return str(decoder.reverted(data, {"function": "claim"}))

    assert message("Error(string)", "string", "paused") == "claim was refused: paused"
    assert message("Panic(uint256)", "uint256", 0x11) == "claim failed: an arithmetic operation overflowed"
    assert message("Panic(uint256)", "uint256", 0x99) == "claim failed: panic 0x99"
    assert message("Foreign(uint256)", "uint256", 1).startswith("claim was refused with unknown data 0x")
    assert str(decoder.reverted(None, {})) == "the contract was refused; the node does not say why"


SIGNATURES = ["", "Error(string)", "Panic(uint256)", "AlreadyMember(uint256,address)"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300)
@given(
    st.binary(max_size=200), st.sampled_from(["", "Error(string)", "Panic(uint256)", "AlreadyMember(uint256,address)"])
)
def test_any_data_becomes_a_sentence(decoder: RevertDecoder, tail: bytes, signature: str) -> None:
    data = (keccak(text=signature)[:4] if signature else b"") + tail
    error = decoder.reverted(data, {"function": "join"})
    assert error.message
    assert error.name in ("", "Error", "Panic", "Unknown", "AlreadyMember")


def test_an_error_without_context_still_has_its_name() -> None:
    abi = [{"type": "error", "name": "Strange", "inputs": [{"name": "", "type": "uint256"}]}]
    decoder = RevertDecoder([abi])
    data = selector_of(abi[0]) + encode(["uint256"], [5])
    assert str(decoder.reverted(data, {"function": "join"})) == "join was refused: Strange (argument0 5)"


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ("0x1234", b"\x12\x34"),
        ("Reverted 0x1234", b"\x12\x34"),
        ({"data": "0x1234"}, b"\x12\x34"),
        ({"result": "0x1234"}, b"\x12\x34"),
        ("0x123", None),
        ("nonsense", None),
        (None, None),
        (5, None),
        ({}, None),
    ],
)
def test_revert_data_as_nodes_wrap_it(data: object, expected: bytes | None) -> None:
    assert RpcError("eth_call", -32000, "x", data).revert_data() == expected
