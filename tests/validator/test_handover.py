"""One validator epoch hands over to the next: by signatures while the set lives, by time when it does not answer."""

from __future__ import annotations

import asyncio
import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pot_chain.chain import epochs as chain_epochs
from pot_chain.chain.network import ChainClient
from pot_chain.localnet.ports import free_port
from pot_chain.owner.nodes import Voting, join_epoch, register_validator
from pot_chain.protocol.eip712 import Domain, rotation_digest
from pot_chain.protocol.signing import recover
from pot_chain.validator import epochs, service
from tests.parameters import parameters
from tests.validator.conftest import ETHER, Chain, new_chain, running, until

LENGTH, LIFETIME = 1000, 10_000


@pytest.fixture
def slow_chain(tmp_path: Path) -> Iterator[Chain]:
    """Epochs that last."""
    with new_chain(tmp_path, parameters(epoch_length=LENGTH, epoch_lifetime=LIFETIME)) as made:
        yield made


def newcomer(chain: Chain) -> ChainClient:
    """A fifth validator, which the current epoch does not list."""
    client = ChainClient(chain.rpc, chain.deployment, chain.account())
    register_validator(client, f"http://127.0.0.1:{free_port(chain.ports)}", 2 * ETHER)
    return client


def ask(chain: Chain, index: int) -> tuple[int, Any]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{chain.ports[index]}/rotation", timeout=10) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


async def test_a_newcomer_votes_by_the_signatures_of_a_quorum(slow_chain: Chain) -> None:
    async with running(*(slow_chain.validator(i) for i in range(3))):
        fifth = await asyncio.to_thread(newcomer, slow_chain)
        assert (await asyncio.to_thread(ask, slow_chain, 0))[0] == 409
        early = await asyncio.to_thread(join_epoch, fifth)
        assert not early.votes
        assert "lasts until" in early.reason
        await asyncio.to_thread(slow_chain.advance, LENGTH)
        await until(lambda: ask(slow_chain, 0)[0] == 200)
        registry = fifth.registry
        domain = Domain(fifth.deployment.chain_id, registry.address, name="NodeRegistry")
        _, answer = await asyncio.to_thread(ask, slow_chain, 0)
        signature = bytes.fromhex(answer["signature"][2:])
        digest = rotation_digest(domain, 2, registry.next_validators())
        assert recover(digest, signature) == slow_chain.validators[0].address
        await until(lambda: join_epoch(fifth) == Voting(2, votes=True))
        assert len(registry.epoch_validators(2)) == 5


async def test_too_few_signatures_do_not_replace_a_set(slow_chain: Chain) -> None:
    async with running(*(slow_chain.validator(i) for i in range(2))):
        fifth = await asyncio.to_thread(newcomer, slow_chain)
        await asyncio.to_thread(slow_chain.advance, LENGTH)
        await until(lambda: all(ask(slow_chain, i)[0] == 200 for i in range(2)))
        refused = await asyncio.to_thread(join_epoch, fifth)
    assert not refused.votes
    assert "has 2 signatures, the quorum is 3" in refused.reason


def test_a_set_that_does_not_answer_is_replaced_after_a_while(slow_chain: Chain) -> None:
    fifth = newcomer(slow_chain)
    slow_chain.advance(LENGTH)
    assert not join_epoch(fifth).votes
    slow_chain.advance(LENGTH)
    assert join_epoch(fifth) == Voting(2, votes=True)


async def test_a_validator_that_drips_its_answer_keeps_nobody(
    slow_chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 400\r\n\r\n")
        while not writer.is_closing():
            writer.write(b"{")
            await asyncio.sleep(0.1)

    monkeypatch.setattr(chain_epochs, "TIMEOUT_SECONDS", 1.0)
    async with await asyncio.start_server(drip, "127.0.0.1", slow_chain.ports[0]):
        fifth = await asyncio.to_thread(newcomer, slow_chain)
        await asyncio.to_thread(slow_chain.advance, LENGTH)
        async with asyncio.timeout(10):
            refused = await asyncio.to_thread(join_epoch, fifth)
    assert "has 0 signatures" in refused.reason


@pytest.mark.parametrize("why", ["the set changed", "the epoch ends soon"])
async def test_validators_start_the_next_epoch_themselves(
    slow_chain: Chain, monkeypatch: pytest.MonkeyPatch, why: str
) -> None:
    monkeypatch.setattr(service, "RENEW_CHECK_SECONDS", 0.2)
    async with running(*(slow_chain.validator(i) for i in range(4))):
        registry = slow_chain.client.registry
        await asyncio.to_thread(slow_chain.advance, 2 * LENGTH)
        await asyncio.sleep(2)
        assert registry.current_epoch() == 1, "nothing has changed, and the epoch is young"
        if why == "the set changed":
            await asyncio.to_thread(newcomer, slow_chain)
        else:
            await asyncio.to_thread(slow_chain.advance, LIFETIME * 2 // 3 - 2 * LENGTH + 10)
        await until(lambda: registry.current_epoch() == 2, epochs.STAGGER_SECONDS + 10)
        assert len(registry.epoch_validators(2)) == (5 if why == "the set changed" else 4)
        await asyncio.sleep(2)
        assert registry.current_epoch() == 2, "one of them was enough"
