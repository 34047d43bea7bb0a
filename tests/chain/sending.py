"""Helpers of the tests that send transactions."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from web3 import Web3

from pot_chain.chain.connection import rpc
from pot_chain.chain.contract import Contract
from pot_chain.chain.sender import Mined, SenderPolicy, TransactionSender

NewSender = Callable[..., TransactionSender]
NewProbe = Callable[[TransactionSender], Contract]
Wait = Callable[[Callable[[], object]], None]

ETHER = 10**18
GWEI = 10**9
FAST = SenderPolicy(timeout=60.0, poll=0.01, max_poll=0.05)
REFUSAL = {"jsonrpc": "2.0", "id": 0, "error": {"code": -32005, "message": "rate limit"}}
BOB = Web3.to_checksum_address("0x" + "b0" * 20)


def sent_by(web3: Web3, address: str) -> int:
    return int(rpc(web3, "eth_getTransactionCount", [address, "latest"]), 16)


def pending(web3: Web3) -> int:
    return int(rpc(web3, "txpool_status")["pending"], 16)


def in_thread(job: Callable[[], Mined]) -> Future[Mined]:
    pool = ThreadPoolExecutor(1)
    future = pool.submit(job)
    pool.shutdown(wait=False)
    return future
