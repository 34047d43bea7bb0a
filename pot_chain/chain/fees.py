"""EIP-1559 fees: what a transaction offers, and how much more a replacement must offer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from web3 import Web3

from pot_chain.chain.connection import rpc
from pot_chain.chain.errors import FeeTooHigh, RpcError

REPLACEMENT_NUMERATOR: Final = 9
REPLACEMENT_DENOMINATOR: Final = 8
"""Nodes take a replacement at 10 % more (geth) or 12.5 % more (others): offer 12.5 %, rounded up."""

_DEFAULT_TIP: Final = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Fee:
    """What one gas may cost, in wei.

    Attributes:
        limit: ``maxFeePerGas``: most that is paid, base fee and tip together.
        tip: ``maxPriorityFeePerGas``: most that the block's producer gets of it.
    """

    limit: int
    tip: int

    def replacement(self, current: Fee, cap: int | None) -> Fee | None:
        """Fee of a transaction that replaces one with this fee; None when ``cap`` forbids it.

        Args:
            current: what a new transaction would offer now.
            cap: most that a gas may cost, wei.
        """
        tip = max(current.tip, _raised(self.tip))
        limit = max(current.limit, _raised(self.limit), tip)
        if cap is not None and limit > cap:
            limit = cap
            if limit < max(_raised(self.limit), tip):
                return None
        return Fee(limit, tip)


def _raised(value: int) -> int:
    return max(value + 1, -(-value * REPLACEMENT_NUMERATOR // REPLACEMENT_DENOMINATOR))


@dataclass(frozen=True, slots=True)
class FeePolicy:
    """How fees are chosen.

    Attributes:
        cap: most that one gas may cost, wei; None for no cap.
        tip: tip in wei; None asks the node.
        base_fee_margin: the limit is so many base fees plus the tip. A base fee rises by at most 12.5 % a block
            (EIP-1559), so with 2 the transaction stays includable through five full blocks.
    """

    cap: int | None = None
    tip: int | None = None
    base_fee_margin: int = 2

    def current(self, web3: Web3) -> tuple[Fee, int]:
        """Fee for a transaction sent now, and the number of the block that it is computed from.

        Raises:
            FeeTooHigh: the base fee is above the cap.
            RpcDown, RpcError: the node did not answer.
        """
        block = rpc(web3, "eth_getBlockByNumber", ["latest", False])
        base = int(block.get("baseFeePerGas", "0x0"), 16)
        if self.cap is not None and base > self.cap:
            raise FeeTooHigh(base, self.cap)
        tip = self.tip if self.tip is not None else _suggested_tip(web3)
        limit = self.base_fee_margin * base + tip
        if self.cap is not None:
            limit = min(limit, self.cap)
        return Fee(limit, min(tip, limit)), int(block["number"], 16)


def _suggested_tip(web3: Web3) -> int:
    try:
        return int(rpc(web3, "eth_maxPriorityFeePerGas"), 16)
    except RpcError:
        return _DEFAULT_TIP  # the method is optional for nodes
