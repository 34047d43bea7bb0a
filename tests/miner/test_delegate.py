"""A hot key mines for an account whose own key is not there."""

from __future__ import annotations

import pytest

from pot_chain.chain.network import ChainClient
from pot_chain.chain.wallet import balances
from pot_chain.owner.delegates import authorize, draw, revoke
from pot_chain.owner.errors import NothingToPay, RegistrationError
from tests.miner.test_miner import new_task, wait
from tests.validator.conftest import ETHER, Chain
from worker.miner_config import NoRight


def test_a_delegate_joins_commits_and_reveals_for_the_miner(chain: Chain) -> None:
    task_id, cold, hot = new_task(chain), chain.account(), chain.account()
    client = ChainClient(chain.rpc, chain.deployment, cold)
    done = authorize(client, hot.address, 1000)
    assert (done.registered, done.allowance) == (True, 0)
    before = balances(client.web3, [cold.address])
    miner = chain.miner(task_id, hot, delegate_of=cold.address).start()
    wait(lambda: miner.told("committed") == 1)
    wait(lambda: miner.told("revealed_on_chain") == 1)  # no validator runs that could take it
    miner.stop()
    seen = chain.history(task_id)
    assert seen.membership.members(0) == (cold.address,)
    assert set(seen.rounds[0].commits) == set(seen.rounds[0].reveals) == {cold.address}
    assert all(event["miner"] == cold.address for event in miner.events)
    assert balances(client.web3, [cold.address]) == before, "the hot key pays the fees"
    assert client.registry.node(hot.address).stake == 0


def test_who_has_no_right_does_not_mine(chain: Chain) -> None:
    task_id, cold, hot = new_task(chain), chain.account(), chain.account()
    client = ChainClient(chain.rpc, chain.deployment, cold)
    authorize(client, hot.address, 1000)
    revoke(client, hot.address)
    with pytest.raises(NoRight, match=f"{hot.address} may not mine for {cold.address}") as caught:
        chain.miner(task_id, hot, delegate_of=cold.address).start().finish()
    assert "pot miner delegate authorize" in caught.value.hint


def test_an_allowance_is_granted_drawn_and_returned(chain: Chain) -> None:
    cold, hot = chain.account(), chain.account()
    client, hot_client = (ChainClient(chain.rpc, chain.deployment, account) for account in (cold, hot))
    assert authorize(client, hot.address, 1000, ETHER).registered
    again = authorize(client, hot.address, 2000, ETHER)
    assert (again.registered, again.allowance) == (False, 2 * ETHER)
    assert draw(hot_client, cold.address, ETHER // 2).amount == ETHER // 2
    assert draw(hot_client, cold.address).amount == ETHER * 3 // 2
    with pytest.raises(NothingToPay, match="has nothing to draw"):
        draw(hot_client, cold.address)
    assert balances(client.web3, [hot.address])[hot.address] > 11 * ETHER
    authorize(client, hot.address, 1000, 7)
    assert revoke(client, hot.address).amount == 7
    with pytest.raises(RegistrationError, match="is no delegate"):
        revoke(client, hot.address)
    with pytest.raises(RegistrationError, match="needs no right to act for itself"):
        authorize(client, cold.address, 1000)
