from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from web3 import Web3

from pot_chain.chain.connection import rpc
from pot_chain.chain.fees import Fee, FeePolicy

wei = st.integers(0, 10**15)
fees = st.builds(lambda tip, rest: Fee(tip + rest, tip), wei, wei)


@given(fees, fees, st.none() | wei)
def test_a_replacement_offers_an_eighth_more_and_respects_the_cap(old: Fee, current: Fee, cap: int | None) -> None:
    new = old.replacement(current, cap)
    if new is None:
        assert cap is not None
        assert cap * 8 < max(old.limit * 9, old.tip * 9, current.tip * 8) + 8
        return
    assert new.limit * 8 >= old.limit * 9
    assert new.tip * 8 >= old.tip * 9
    assert new.limit > old.limit
    assert new.tip > old.tip
    assert new.tip <= new.limit
    assert cap is None or new.limit <= cap
    assert new.tip >= current.tip


@given(fees, fees)
def test_without_a_cap_there_is_always_a_replacement(old: Fee, current: Fee) -> None:
    new = old.replacement(current, None)
    assert new is not None
    assert new.limit >= current.limit


def test_the_current_fee_covers_a_rising_base_fee(web3: Web3) -> None:
    block = rpc(web3, "eth_getBlockByNumber", ["latest", False])
    base, number = int(block["baseFeePerGas"], 16), int(block["number"], 16)
    assert FeePolicy(tip=7).current(web3) == (Fee(2 * base + 7, 7), number)
    assert FeePolicy(cap=base + 3, tip=7).current(web3)[0] == Fee(base + 3, 7)
    assert FeePolicy().current(web3)[0].tip == int(rpc(web3, "eth_maxPriorityFeePerGas"), 16)
