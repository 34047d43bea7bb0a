from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from eth_account import Account
from web3 import Web3

from pot_chain.chain.anvil import AnvilProcess, fund
from pot_chain.chain.connection import connect, rpc
from pot_chain.chain.contract import Contract, transfer
from pot_chain.chain.errors import (
    ContractReverted,
    FeeTooHigh,
    GasTooHigh,
    InsufficientFunds,
    TransactionPending,
    TransactionRefused,
)
from pot_chain.chain.fees import FeePolicy
from pot_chain.chain.sender import TRANSACTION_GAS_LIMIT, TransactionSender
from pot_chain.protocol.units import format_amount
from tests.chain.faulty_rpc import FaultyRpc
from tests.chain.sending import BOB, ETHER, FAST, GWEI, NewProbe, NewSender, Wait, in_thread, pending, sent_by

# ---- what a transaction tells


def test_a_mined_transaction_tells_what_it_did_and_cost(web3: Web3, probe: Contract, new_sender: NewSender) -> None:
    sender = new_sender(web3, ETHER)
    mined = sender.send(probe.call("count", 5, value=100))
    assert mined.nonce == 0
    assert [log.address for log in mined.logs] == [probe.address]
    assert mined.logs[0].block_number == mined.block_number
    assert int(rpc(web3, "eth_getBalance", [sender.address, "latest"]), 16) == ETHER - 100 - mined.fee
    assert mined.gas_used < 100_000


def test_the_key_is_shown_nowhere(web3: Web3, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    account = Account.create()
    fund(web3, account.address, ETHER)
    sender = TransactionSender(web3, account, FAST)
    sender.send(transfer(BOB, 1))
    with pytest.raises(InsufficientFunds) as caught:
        sender.send(transfer(BOB, ETHER))
    shown = f"{sender!r} {sender} {vars(sender)} {caught.value!r} {caught.value.hint} {caplog.text}"
    assert account.key.hex() not in shown
    assert str(int.from_bytes(account.key, "big")) not in shown


# ---- concurrency


def test_fifty_threads_with_one_account_are_all_mined_exactly_once(
    web3: Web3, probe: Contract, new_sender: NewSender
) -> None:
    sender = new_sender(web3)
    # a second sender of the account, as another part of the program would make one
    twin = TransactionSender(web3, sender._courier._account, FAST)
    with ThreadPoolExecutor(10) as pool:
        mined = list(pool.map(lambda i: (sender, twin)[i % 2].send(probe.call("count", 1)), range(50)))
    assert sorted(item.nonce for item in mined) == list(range(50))
    assert len({item.transaction for item in mined}) == 50
    assert probe.read("calls", sender.address) == probe.read("total") == 50


def test_many_calls_share_blocks(
    own_chain: AnvilProcess, new_sender: NewSender, new_probe: NewProbe, wait_until: Wait
) -> None:
    web3 = own_chain.web3()
    sender = new_sender(web3)
    probe = new_probe(sender)
    rpc(web3, "evm_setAutomine", [False])
    waiting = in_thread(lambda: sender.send_many([probe.call("count", 1) for _ in range(20)])[-1])
    wait_until(lambda: pending(web3) == 20)
    rpc(web3, "anvil_mine", ["0x1"])
    last = waiting.result(60)
    assert probe.read("total") == 20
    assert last.nonce == 20


def test_after_a_failure_in_between_the_others_are_settled(web3: Web3, probe: Contract, new_sender: NewSender) -> None:
    sender = new_sender(web3)
    with pytest.raises(ContractReverted, match="not today"):
        sender.send_many([probe.call("count", 1), probe.call("refuseWithReason"), probe.call("count", 1)])
    assert probe.read("calls", sender.address) == 1
    assert sender.send(probe.call("count", 1)).nonce == 1


def test_a_second_process_with_the_same_key_is_noticed_before_and_after_sending(
    own_chain: AnvilProcess, new_sender: NewSender, new_probe: NewProbe, wait_until: Wait
) -> None:
    web3 = own_chain.web3()
    sender = new_sender(web3)
    probe = new_probe(sender)
    account = sender._courier._account

    def foreign(nonce: int, gas_price: int) -> None:
        raw = account.sign_transaction(
            {"to": BOB, "value": 1, "gas": 21000, "gasPrice": gas_price, "nonce": nonce, "chainId": 31337}
        ).raw_transaction
        rpc(web3, "eth_sendRawTransaction", ["0x" + raw.hex()])

    # before: the pending count tells
    rpc(web3, "evm_setAutomine", [False])
    foreign(1, 10 * GWEI)
    job = in_thread(lambda: sender.send(probe.call("count", 1)))
    wait_until(lambda: pending(web3) == 2)
    rpc(web3, "anvil_mine", ["0x1"])
    assert job.result(60).nonce == 2
    # after: it outbids ours, and what we wanted is sent again with the next nonce
    job = in_thread(lambda: sender.send(probe.call("count", 1)))
    wait_until(lambda: pending(web3) == 1)
    foreign(3, 500 * GWEI)
    rpc(web3, "anvil_mine", ["0x1"])
    rpc(web3, "evm_setAutomine", [True])
    assert job.result(60).nonce == 4
    assert probe.read("total") == 2


def test_a_nonce_that_a_foreign_transaction_holds_is_passed_over(
    shared_chain: AnvilProcess,
    new_sender: NewSender,
    probe: Contract,
    faulty_rpc: Callable[[AnvilProcess], FaultyRpc],
) -> None:
    # a node that does not count pending transactions, and refuses a nonce that another one holds
    proxy = faulty_rpc(shared_chain)
    sender = new_sender(connect(proxy.url))
    refusals = 3

    def rule(method: str, forward: Callable[[], Any]) -> Any:
        nonlocal refusals
        if method == "eth_sendRawTransaction" and refusals:
            refusals -= 1
            return {"jsonrpc": "2.0", "id": 0, "error": {"code": -32000, "message": "nonce too low"}}
        return forward()

    proxy.rule = rule
    with pytest.raises(TransactionPending) as caught:  # nonces 0 to 2 are not really used, so 3 cannot be mined
        TransactionSender(sender.web3, sender._courier._account, replace(FAST, timeout=0.2)).send(transfer(BOB, 1))
    assert caught.value.nonce == 3
    assert "nonce 0 has to be mined first" in str(caught.value)
    refusals = 10**6
    with pytest.raises(TransactionRefused, match="16 nonces") as refused:
        sender.send(transfer(BOB, 1))
    assert "another program" in refused.value.hint


def test_a_node_that_does_not_count_pending_transactions(
    own_chain: AnvilProcess,
    new_sender: NewSender,
    new_probe: NewProbe,
    wait_until: Wait,
    faulty_rpc: Callable[[AnvilProcess], FaultyRpc],
) -> None:
    proxy = faulty_rpc(own_chain)
    web3 = own_chain.web3()
    sender = new_sender(connect(proxy.url))
    probe = new_probe(sender)

    def rule(method: str, forward: Callable[[], Any]) -> Any:
        if method == "eth_getTransactionCount":
            return {"jsonrpc": "2.0", "id": 0, "result": hex(sent_by(web3, sender.address))}
        return forward()

    proxy.rule = rule
    rpc(web3, "evm_setAutomine", [False])
    offers = proxy.calls["eth_sendRawTransaction"]
    job = in_thread(lambda: sender.send_many([probe.call("count", 1) for _ in range(5)])[-1])
    wait_until(lambda: pending(web3) == 5)
    rpc(web3, "anvil_mine", ["0x1"])
    assert job.result(60).nonce == 5
    assert proxy.calls["eth_sendRawTransaction"] == offers + 5
    assert probe.read("total") == 5


# ---- refusals


def test_a_refusal_is_decoded_and_costs_nothing(web3: Web3, probe: Contract, new_sender: NewSender) -> None:
    sender = new_sender(web3)
    with pytest.raises(ContractReverted) as caught:
        sender.send(probe.call("refuse", 7))
    assert (caught.value.name, caught.value.arguments) == ("Refused", {"who": sender.address, "limit": 7})
    assert caught.value.transaction is None
    assert sent_by(web3, sender.address) == 0
    with pytest.raises(ContractReverted, match="refuseWithReason was refused: not today"):
        sender.simulate(probe.call("refuseWithReason"))


def test_a_refusal_by_a_node_that_tells_no_reason(
    shared_chain: AnvilProcess, probe: Contract, new_sender: NewSender, faulty_rpc: Callable[[AnvilProcess], FaultyRpc]
) -> None:
    proxy = faulty_rpc(shared_chain)
    sender = new_sender(connect(proxy.url))
    bare = {"jsonrpc": "2.0", "id": 0, "error": {"code": 3, "message": "execution reverted"}}
    proxy.rule = lambda method, forward: bare if method == "eth_estimateGas" else forward()
    with pytest.raises(ContractReverted) as caught:  # the call tells what the estimate does not
        sender.send(probe.call("refuse", 7))
    assert caught.value.name == "Refused"
    proxy.rule = lambda method, forward: bare if method in ("eth_estimateGas", "eth_call") else forward()
    with pytest.raises(ContractReverted, match="does not say why"):
        sender.send(probe.call("refuse", 7))


@pytest.mark.parametrize("traces", [True, False])
def test_a_refusal_on_chain_is_decoded(
    traces: bool,
    own_chain: AnvilProcess,
    new_sender: NewSender,
    new_probe: NewProbe,
    wait_until: Wait,
    faulty_rpc: Callable[[AnvilProcess], FaultyRpc],
) -> None:
    proxy = faulty_rpc(own_chain)
    web3 = own_chain.web3()
    sender, rival = new_sender(connect(proxy.url)), new_sender(web3)
    probe = new_probe(rival)
    no_trace = {"jsonrpc": "2.0", "id": 0, "error": {"code": -32601, "message": "method not found"}}
    proxy.rule = lambda method, forward: no_trace if method.startswith("debug_") and not traces else forward()
    rpc(web3, "evm_setAutomine", [False])
    # both pass the simulation; the rival's closes the counter first (anvil takes the higher fee first)
    job = in_thread(lambda: sender.send(probe.call("count", 1)))
    wait_until(lambda: pending(web3) == 1)
    keen = TransactionSender(web3, rival._courier._account, replace(FAST, fees=FeePolicy(tip=100 * GWEI)))
    other = in_thread(lambda: keen.send(probe.call("setClosed", True)))
    wait_until(lambda: pending(web3) == 2)
    rpc(web3, "anvil_mine", ["0x1"])
    other.result(60)
    with pytest.raises(ContractReverted) as caught:
        job.result(60)
    assert caught.value.name == "Refused"
    assert caught.value.transaction is not None
    assert rpc(web3, "eth_getTransactionReceipt", [caught.value.transaction])["status"] == "0x0"


def test_too_little_money(web3: Web3, probe: Contract, new_sender: NewSender) -> None:
    for wei, value in ((1000, 1001), (1000, 1000), (0, 0)):
        sender = new_sender(web3, wei)
        with pytest.raises(InsufficientFunds, match=f"holds {format_amount(wei)} and needs up to") as caught:
            sender.send(probe.call("count", 1, value=value))
        assert caught.value.needed > wei
        assert f"at least {format_amount(caught.value.needed - wei)} more" in caught.value.hint
        assert sent_by(web3, sender.address) == 0


def test_too_much_gas(web3: Web3, probe: Contract, new_sender: NewSender) -> None:
    sender = new_sender(web3)
    assert TRANSACTION_GAS_LIMIT == 16_777_216
    with pytest.raises(GasTooHigh, match="EIP-7825"):
        sender.send(probe.call("count", 1), gas=TRANSACTION_GAS_LIMIT + 1)
    with pytest.raises((GasTooHigh, TransactionRefused)):
        sender.send(probe.call("burn", 1000))
    assert sent_by(web3, sender.address) == 0


def test_a_fee_above_the_cap(own_chain: AnvilProcess, new_sender: NewSender) -> None:
    web3 = own_chain.web3()
    sender = new_sender(web3, policy=replace(FAST, fees=FeePolicy(cap=5 * GWEI)))
    assert sender.send(transfer(BOB, 1)).gas_price <= 5 * GWEI
    rpc(web3, "anvil_setNextBlockBaseFeePerGas", [hex(6 * GWEI)])
    rpc(web3, "anvil_mine", ["0x1"])
    with pytest.raises(FeeTooHigh, match="above the cap of 5000000000"):
        sender.send(transfer(BOB, 1))


def test_a_refusal_in_the_nodes_own_words(
    shared_chain: AnvilProcess, new_sender: NewSender, faulty_rpc: Callable[[AnvilProcess], FaultyRpc]
) -> None:
    proxy = faulty_rpc(shared_chain)
    sender = new_sender(connect(proxy.url))
    refusal = {"jsonrpc": "2.0", "id": 0, "error": {"code": -32000, "message": "we are closed"}}
    proxy.rule = lambda method, forward: refusal if method == "eth_sendRawTransaction" else forward()
    with pytest.raises(TransactionRefused, match="transfer: the node refused it: we are closed"):
        sender.send(transfer(BOB, 1))
    proxy.rule = lambda method, forward: forward()
    assert sender.send(transfer(BOB, 1)).nonce == 0
