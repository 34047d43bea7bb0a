"""Sending through lost answers, forgetful nodes, rising fees and reorgs."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from eth_account import Account
from web3 import Web3

from pot_chain.chain.anvil import AnvilProcess
from pot_chain.chain.connection import connect, rpc
from pot_chain.chain.contract import Call, transfer
from pot_chain.chain.errors import (
    RpcDown,
    RpcError,
    TransactionPending,
)
from pot_chain.chain.sender import TransactionSender
from tests.chain.faulty_rpc import FaultyRpc
from tests.chain.sending import BOB, FAST, REFUSAL, NewProbe, NewSender, Wait, in_thread, pending, sent_by

# ---- bad networks


@pytest.mark.parametrize(("arrives", "lost"), [(True, 1), (True, 4), (False, 4)])
def test_a_lost_answer_to_a_sent_transaction_does_not_send_it_twice(
    arrives: bool,
    lost: int,
    own_chain: AnvilProcess,
    new_sender: NewSender,
    new_probe: NewProbe,
    faulty_rpc: Callable[[AnvilProcess], FaultyRpc],
) -> None:
    proxy = faulty_rpc(own_chain)
    web3 = connect(proxy.url, attempts=2, backoff=0.01)
    sender = new_sender(web3)
    probe = new_probe(sender)

    def rule(method: str, forward: Callable[[], Any]) -> Any:
        nonlocal lost
        if method == "eth_sendRawTransaction" and lost:
            lost -= 1
            if arrives:
                forward()
            return None
        return forward()

    proxy.rule = rule
    assert sender.send(probe.call("count", 1)).nonce == 1
    assert probe.read("total") == 1
    assert sent_by(web3, sender.address) == 2


@pytest.mark.parametrize("failure", [None, REFUSAL])
def test_an_outage_while_waiting_is_survived(
    failure: object,
    own_chain: AnvilProcess,
    new_sender: NewSender,
    new_probe: NewProbe,
    wait_until: Wait,
    faulty_rpc: Callable[[AnvilProcess], FaultyRpc],
) -> None:
    proxy = faulty_rpc(own_chain)
    web3 = own_chain.web3()
    sender = new_sender(connect(proxy.url, attempts=1))
    probe = new_probe(sender)
    rpc(web3, "evm_setAutomine", [False])
    job = in_thread(lambda: sender.send(probe.call("count", 1)))
    wait_until(lambda: pending(web3) == 1)
    proxy.rule = lambda method, forward: failure
    seen = proxy.calls.total()
    wait_until(lambda: proxy.calls.total() > seen + 3)
    rpc(web3, "anvil_mine", ["0x1"])
    proxy.rule = lambda method, forward: forward()
    assert job.result(60).nonce == 1


def test_a_transaction_that_the_node_loses_is_offered_again(
    own_chain: AnvilProcess, new_sender: NewSender, new_probe: NewProbe, wait_until: Wait
) -> None:
    web3 = own_chain.web3()
    sender = new_sender(web3)
    probe = new_probe(sender)
    rpc(web3, "evm_setAutomine", [False])
    job = in_thread(lambda: sender.send(probe.call("count", 1)))
    wait_until(lambda: pending(web3) == 1)
    rpc(web3, "anvil_dropAllTransactions")
    wait_until(lambda: pending(web3) == 1)
    rpc(web3, "anvil_mine", ["0x1"])
    assert job.result(60).nonce == 1
    assert probe.read("total") == 1


def test_a_stuck_transaction_is_replaced_at_a_higher_fee(
    own_chain: AnvilProcess, new_sender: NewSender, new_probe: NewProbe, wait_until: Wait
) -> None:
    web3 = own_chain.web3()
    sender = new_sender(web3, policy=replace(FAST, stuck_after=0.3))
    probe = new_probe(sender)
    rpc(web3, "evm_setAutomine", [False])
    job = in_thread(lambda: sender.send(probe.call("count", 1)))
    wait_until(lambda: pending(web3) == 1)

    def offered() -> list[int]:
        pool = rpc(web3, "txpool_content")
        lots = (pool["pending"], pool["queued"])
        return [int(tx["maxFeePerGas"], 16) for lot in lots for own in lot.values() for tx in own.values()]

    first = offered()[0]
    # the base fee jumps above what the transaction offers, and blocks pass it by
    rpc(web3, "anvil_setNextBlockBaseFeePerGas", [hex(3 * first)])
    rpc(web3, "anvil_mine", ["0x1"])
    wait_until(lambda: offered() and offered()[0] > first)
    assert offered()[0] >= first * 1.125
    assert len(offered()) == 1
    rpc(web3, "anvil_mine", ["0x1"])
    mined = job.result(60)
    assert mined.nonce == 1
    assert mined.gas_price > first
    assert probe.read("total") == 1


def test_the_version_before_a_replacement_may_be_the_one_that_is_mined(
    own_chain: AnvilProcess, new_sender: NewSender, wait_until: Wait, faulty_rpc: Callable[[AnvilProcess], FaultyRpc]
) -> None:
    proxy = faulty_rpc(own_chain)
    web3 = own_chain.web3()
    sender = new_sender(connect(proxy.url), policy=replace(FAST, stuck_after=0.1))
    held: list[Callable[[], Any]] = []

    def rule(method: str, forward: Callable[[], Any]) -> Any:
        if method == "eth_sendRawTransaction":  # a node that takes transactions and passes them on when it likes
            held.append(forward)
            return {"jsonrpc": "2.0", "id": 0, "result": "0x"}
        if method == "eth_getTransactionByHash":
            return {"jsonrpc": "2.0", "id": 0, "result": {}}
        return forward()

    proxy.rule = rule
    job = in_thread(lambda: sender.send(transfer(BOB, 1)))
    wait_until(lambda: len(held) == 1)
    rpc(web3, "anvil_mine", ["0x1"])
    wait_until(lambda: len(held) == 2)
    first = held[0]()["result"]
    assert job.result(60).transaction == first


def test_a_transaction_that_is_not_mined_in_time_names_its_hashes(
    own_chain: AnvilProcess, new_sender: NewSender
) -> None:
    web3 = own_chain.web3()
    rpc(web3, "evm_setAutomine", [False])
    sender = new_sender(web3, policy=replace(FAST, timeout=0.2))
    with pytest.raises(TransactionPending, match=r"nonce 0\) is not mined after 0 s: no block has taken it") as first:
        sender.send(transfer(BOB, 1))
    with pytest.raises(TransactionPending, match="nonce 0 has to be mined first") as second:
        sender.send(transfer(BOB, 1))
    assert (first.value.nonce, second.value.nonce) == (0, 1)
    rpc(web3, "anvil_mine", ["0x1"])
    for error in (first.value, second.value):
        assert rpc(web3, "eth_getTransactionReceipt", [error.transactions[-1]])["status"] == "0x1"


def test_confirmations_are_waited_for_and_a_reorg_does_not_lose_the_transaction(
    own_chain: AnvilProcess, new_sender: NewSender, new_probe: NewProbe, wait_until: Wait
) -> None:
    web3 = own_chain.web3()
    sender = new_sender(web3, policy=replace(FAST, confirmations=2))
    probe = new_probe(new_sender(web3))
    snapshot = rpc(web3, "evm_snapshot")
    job = in_thread(lambda: sender.send(probe.call("count", 1)))
    wait_until(lambda: sent_by(web3, sender.address) == 1)
    rpc(web3, "anvil_mine", ["0x1"])
    assert not job.done()
    assert rpc(web3, "evm_revert", [snapshot])
    assert sent_by(web3, sender.address) == 0
    wait_until(lambda: sent_by(web3, sender.address) == 1)  # offered again
    rpc(web3, "anvil_mine", ["0x2"])
    assert job.result(60).nonce == 0
    assert probe.read("total") == 1


def test_no_connection_means_nothing_was_sent(
    shared_chain: AnvilProcess, new_sender: NewSender, faulty_rpc: Callable[[AnvilProcess], FaultyRpc]
) -> None:
    proxy = faulty_rpc(shared_chain)
    sender = new_sender(connect(proxy.url, attempts=1))
    proxy.rule = lambda method, forward: None
    with pytest.raises(RpcDown):
        sender.send(transfer(BOB, 1))
    assert proxy.calls["eth_sendRawTransaction"] == 0


def test_a_wrong_call_is_an_error_of_the_node(web3: Web3, new_sender: NewSender) -> None:
    with pytest.raises(RpcError, match="eth_call"):
        new_sender(web3).simulate(Call(to="0x12", function="nonsense"))


def test_senders_of_one_account_share_its_nonces(web3: Web3, own_chain: AnvilProcess) -> None:
    account = Account.create()
    first, second = (TransactionSender(web3, account, FAST) for _ in range(2))
    elsewhere = TransactionSender(own_chain.web3(), account, FAST)
    assert first._courier._nonces is second._courier._nonces
    assert first._courier._nonces is not elsewhere._courier._nonces
    assert isinstance(first._courier._nonces.lock, type(threading.Lock()))
