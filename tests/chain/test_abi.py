from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum

import pytest
from eth_account import Account
from eth_utils import to_checksum_address
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pot_chain.chain.abi import AbiError, decode, encode, snake_case
from pot_chain.chain.contract import Contract
from pot_chain.chain.errors import DeploymentError
from pot_chain.chain.logs import Event, EventDecoder, RawLog, events_of
from pot_chain.chain.sender import TransactionSender


class Mood(IntEnum):
    CALM = 0
    BUSY = 1


@dataclass(frozen=True)
class Entry:
    author: str
    number: int
    mood: Mood
    tag: bytes


@dataclass(frozen=True, slots=True)
class Counted(Event):
    who: str
    number: int
    total: int


@dataclass(frozen=True, slots=True)
class Entered(Event):
    tag: bytes
    entry: Entry
    friends: tuple[str, ...]


addresses = st.binary(min_size=20, max_size=20).map(to_checksum_address)
entries = st.builds(
    Entry,
    author=addresses,
    number=st.integers(0, 2**64 - 1),
    mood=st.sampled_from(Mood),
    tag=st.binary(min_size=32, max_size=32),
)


def components(probe: Contract, function: str) -> list[dict[str, object]]:
    return next(entry["inputs"] for entry in probe.abi if entry.get("name") == function)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(entries, st.lists(addresses, max_size=4))
def test_encoding_comes_back(probe: Contract, entry: Entry, friends: list[str]) -> None:
    items = components(probe, "enter")
    data = encode(items, [entry, friends])
    assert decode(items, data, [Entry, tuple[str, ...]]) == [entry, tuple(friends)]


def test_the_contract_reads_what_was_encoded(probe: Contract) -> None:
    entry = Entry(Account.create().address, 2**64 - 1, Mood.BUSY, b"\x01" * 32)
    answer = probe.read("echo", entry, hints=(Entry,))
    assert answer == entry
    assert isinstance(answer.mood, Mood)
    assert probe.read("echo", entry) == {
        "author": entry.author,
        "number": entry.number,
        "mood": 1,
        "tag": entry.tag,
    }


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        (1, 2),
        (-1,),
        (2**256,),
        ("5",),
        (True,),
    ],
)
def test_values_that_do_not_fit_are_refused(probe: Contract, arguments: tuple[object, ...]) -> None:
    with pytest.raises(AbiError):
        probe.call("count", *arguments)


@pytest.mark.parametrize("tag", [b"", b"\x01" * 31, b"\x01" * 33])
def test_bytes_are_never_padded_or_cut(probe: Contract, tag: bytes) -> None:
    with pytest.raises(AbiError, match="does not fit"):
        probe.call("enter", Entry(Account.create().address, 1, Mood.CALM, tag), [])


def test_unknown_functions_and_missing_contracts(probe: Contract) -> None:
    with pytest.raises(AbiError, match="no function nothing"):
        probe.read("nothing")
    nowhere = Contract(probe.web3, Account.create().address, probe.abi, probe.errors)
    with pytest.raises(DeploymentError, match=f"no contract at {nowhere.address} on http://127"):
        nowhere.read("total")


def test_events_are_typed(probe: Contract, new_sender: Callable[..., TransactionSender]) -> None:
    sender = new_sender(probe.web3)
    decoder = EventDecoder(probe.abi, [Counted, Entered])
    friends = (Account.create().address, Account.create().address)
    entry = Entry(friends[0], 9, Mood.BUSY, b"\x07" * 32)
    mined = sender.send_many([probe.call("count", 5), probe.call("enter", entry, list(friends))])
    counted = decoder.decode(mined[0].logs[0])
    entered = decoder.decode(mined[1].logs[0])
    assert counted == Counted(mined[0].logs[0], sender.address, 1, 5)
    assert entered == Entered(mined[1].logs[0], entry.tag, entry, friends)
    assert counted is not None
    assert (counted.block_number, counted.transaction) == (mined[0].block_number, mined[0].transaction)
    assert events_of(Counted, [counted]) == [counted]
    assert EventDecoder(probe.abi, [Counted]).decode(mined[1].logs[0]) is None


def test_an_event_class_that_does_not_match_is_noticed(probe: Contract) -> None:
    @dataclass(frozen=True, slots=True)
    class Entered(Event):
        tag: bytes
        friends: tuple[str, ...]

    with pytest.raises(AbiError, match="Entered does not match"):
        EventDecoder(probe.abi, [Entered])


words = st.binary(min_size=32, max_size=32)
logs = st.builds(
    RawLog,
    address=addresses,
    topics=st.lists(words, max_size=4).map(tuple),
    data=st.binary(max_size=100),
    block_number=st.integers(0, 2**63),
    block_hash=words.map(lambda word: "0x" + word.hex()),
    transaction=words.map(lambda word: "0x" + word.hex()),
    log_index=st.integers(0, 2**20),
)


@given(logs)
def test_logs_survive_json(log: RawLog) -> None:
    assert RawLog.from_rpc(log.to_json()) == log


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(logs, st.booleans())
def test_any_log_is_an_event_or_none_or_an_abi_error(probe: Contract, log: RawLog, known_topic: bool) -> None:
    decoder = EventDecoder(probe.abi, [Counted, Entered])
    if known_topic:
        topic = next(iter(decoder._kinds))
        log = RawLog.from_rpc({**log.to_json(), "topics": ["0x" + topic.hex(), *log.to_json()["topics"][1:]]})
    try:
        event = decoder.decode(log)
    except AbiError:
        assert known_topic
        return
    assert event is None or (known_topic and isinstance(event, Event))


@pytest.mark.parametrize(
    ("solidity", "python"),
    [
        ("rewardsRoot", "rewards_root"),
        ("taskId", "task_id"),
        ("registry_", "registry"),
        ("epoch", "epoch"),
        ("cidDigest", "cid_digest"),
    ],
)
def test_names(solidity: str, python: str) -> None:
    assert snake_case(solidity) == python
