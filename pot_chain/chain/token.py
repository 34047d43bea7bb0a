"""The part of ERC-20 that a task paid in tokens needs."""

from __future__ import annotations

from typing import Any, Final, cast

from web3 import Web3

from pot_chain.chain.contract import Block, Call, Contract
from pot_chain.chain.reverts import RevertDecoder
from pot_chain.protocol.addresses import Address


def _function(name: str, inputs: list[tuple[str, str]], output: str, view: bool) -> dict[str, Any]:
    return {
        "type": "function",
        "name": name,
        "inputs": [{"name": item, "type": kind} for item, kind in inputs],
        "outputs": [{"name": "", "type": output}],
        "stateMutability": "view" if view else "nonpayable",
    }


def _error(name: str, inputs: list[tuple[str, str]]) -> dict[str, Any]:
    return {"type": "error", "name": name, "inputs": [{"name": item, "type": kind} for item, kind in inputs]}


_ABI: Final = [
    _function("symbol", [], "string", view=True),
    _function("decimals", [], "uint8", view=True),
    _function("balanceOf", [("account", "address")], "uint256", view=True),
    _function("allowance", [("owner", "address"), ("spender", "address")], "uint256", view=True),
    _function("approve", [("spender", "address"), ("amount", "uint256")], "bool", view=False),
]
# ERC-6093: what current tokens revert with, also inside createTask
ERC20_ERRORS: Final = [
    _error("ERC20InsufficientBalance", [("holder", "address"), ("balance", "uint256"), ("needed", "uint256")]),
    _error("ERC20InsufficientAllowance", [("spender", "address"), ("allowance", "uint256"), ("needed", "uint256")]),
]


class Token:
    """An ERC-20 token; amounts are in its smallest unit.

    Args:
        web3: connection.
        address: where it lies.
    """

    def __init__(self, web3: Web3, address: Address) -> None:
        self.contract = Contract(web3, address, _ABI, RevertDecoder([ERC20_ERRORS]))
        self.address = address

    def symbol(self) -> str:
        """Its short name."""
        return cast(str, self.contract.read("symbol"))

    def decimals(self) -> int:
        """Digits after the point when amounts are shown."""
        return cast(int, self.contract.read("decimals"))

    def balance_of(self, account: Address, block: Block = "latest") -> int:
        """What the account holds."""
        return cast(int, self.contract.read("balanceOf", account, block=block))

    def allowance(self, owner: Address, spender: Address, block: Block = "latest") -> int:
        """What ``spender`` may take from ``owner``."""
        return cast(int, self.contract.read("allowance", owner, spender, block=block))

    def approve(self, spender: Address, amount: int) -> Call:
        """Allow ``spender`` to take ``amount``."""
        return self.contract.call("approve", spender, amount)
