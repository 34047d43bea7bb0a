"""Getting a signed transaction into a block: exactly once, through lost connections, forgetful nodes and rising fees.

From the moment a transaction is handed over, everything that happens to it is met by offering the same nonce again, so
it cannot take effect twice. Another nonce is taken only with proof that a foreign transaction has used up ours.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field
from typing import Any, Final

from eth_account.signers.local import LocalAccount
from eth_utils import to_checksum_address
from web3 import Web3

from pot_chain.chain.connection import chain_id_of, rpc
from pot_chain.chain.contract import Call
from pot_chain.chain.errors import (
    FeeTooHigh,
    InsufficientFunds,
    RpcDown,
    RpcError,
    TransactionPending,
    TransactionRefused,
)
from pot_chain.chain.fees import Fee, FeePolicy
from pot_chain.chain.nonces import nonces_of
from pot_chain.protocol.addresses import Address

logger = logging.getLogger(__name__)

MAX_NONCE_CLASHES: Final = 16
LOST_AFTER_S: Final = 1.0
"""Age from which it is checked whether the node still has a transaction."""


@dataclass(frozen=True, slots=True)
class SenderPolicy:
    """How patient a sender is. Times in seconds.

    Attributes:
        fees: how fees are chosen.
        confirmations: blocks on top of the one that holds the transaction before it counts as mined.
        timeout: until ``TransactionPending``.
        stuck_after: age from which a transaction that blocks pass by is replaced with a higher fee.
        poll: first interval between looks for the receipt; it grows to ``max_poll``.
        max_poll: longest interval.
        gas_margin: gas limit as a multiple of the estimate: state may change between the two.
    """

    fees: FeePolicy = field(default_factory=FeePolicy)
    confirmations: int = 0
    timeout: float = 180.0
    stuck_after: float = 30.0
    poll: float = 0.05
    max_poll: float = 1.0
    gas_margin: float = 1.25


@dataclass(slots=True)
class Flight:
    """A transaction that was handed over.

    Attributes:
        call: what it does.
        nonce: its nonce, which no version of it changes.
        gas: gas limit.
        fee: of the version that counts.
        raw: that version, signed.
        transaction: hash of that version, 0x-hex.
        hashes: of all versions (same nonce, rising fees), oldest first.
        since_block: a block that is older than all of them.
        priced_at: when its fee was set (seconds of the monotonic clock).
        priced_block: head at that time.
        checked_at: when it was last asked whether the node has it (seconds of the monotonic clock).
    """

    call: Call
    nonce: int
    gas: int
    fee: Fee
    raw: bytes
    transaction: str
    hashes: list[str]
    since_block: int
    priced_at: float
    priced_block: int
    checked_at: float


class Courier:
    """Delivers transactions of one account.

    Args:
        web3: connection.
        account: the unlocked account; its key stays inside it.
        policy: fees and patience.
    """

    def __init__(self, web3: Web3, account: LocalAccount, policy: SenderPolicy) -> None:
        self.web3 = web3
        self.address: Address = str(account.address)
        self._account = account
        self._policy = policy
        self._chain_id = chain_id_of(web3)
        self._nonces = nonces_of(web3, self.address)

    def hand_over(self, call: Call, gas: int) -> Flight:
        """Sign ``call`` with the next nonce and give it to the node. ``release`` the flight when nobody waits for it.

        Raises:
            InsufficientFunds, FeeTooHigh, TransactionRefused: nothing was sent.
            RpcDown: no answer before anything was sent.
        """
        fee, since = self._policy.fees.current(self.web3)
        at_least = 0
        with self._nonces.lock:
            for _ in range(MAX_NONCE_CLASHES):
                nonce = self._nonces.next(self.web3, at_least)
                raw, transaction = self._sign(call, nonce, gas, fee)
                try:
                    self._offer(raw, transaction)
                except RpcDown:
                    # it may have arrived: from here on it counts as sent, and waiting for it offers it again
                    logger.warning("connection lost while sending %s (nonce %d)", transaction, nonce)
                except RpcError as refusal:
                    if self._is_taken(nonce, refusal):
                        logger.warning("nonce %d of %s is taken by another process", nonce, self.address)
                        at_least = nonce + 1
                        continue
                    self.check_funds(call.value + gas * fee.limit)
                    raise TransactionRefused(f"{call.function}: the node refused it: {refusal.text}") from refusal
                self._nonces.claim(nonce)
                logger.debug("sent %s as %s (nonce %d)", call.function, transaction, nonce)
                now = time.monotonic()
                return Flight(call, nonce, gas, fee, raw, transaction, [transaction], since, now, since, now)
        raise TransactionRefused(
            f"{MAX_NONCE_CLASHES} nonces of {self.address} in a row are taken by others",
            "does another program send with the same key?",
        )

    def wait(self, flight: Flight, deadline: float) -> dict[str, Any] | None:
        """Receipt of any version of ``flight``; None when a foreign transaction has used its nonce.

        Args:
            flight: from ``hand_over``.
            deadline: seconds of the monotonic clock.

        Raises:
            TransactionPending: neither before ``deadline``.
        """
        interval = self._policy.poll
        why = "no block has taken it"
        while True:
            try:
                receipt = self._receipt(flight)
                if receipt is not None:
                    wanted = int(receipt["blockNumber"], 16) + self._policy.confirmations
                    if self._policy.confirmations == 0 or self._head() >= wanted:
                        return receipt
                    why = "its block lacks confirmations"
                else:
                    mined_count = int(rpc(self.web3, "eth_getTransactionCount", [self.address, "latest"]), 16)
                    if mined_count > flight.nonce and self._spent_by_other(flight):
                        logger.warning("nonce %d of %s was used by another process", flight.nonce, self.address)
                        return None
                    refusal = self._keep_alive(flight, next_in_line=mined_count == flight.nonce)
                    if mined_count < flight.nonce:
                        why = f"the account's transaction with nonce {mined_count} has to be mined first"
                    else:
                        why = refusal or "no block has taken it"
            except (RpcDown, RpcError) as error:
                why = str(error)  # whatever the node says, the transaction is on its way: only its receipt counts
            if time.monotonic() >= deadline:
                raise TransactionPending(tuple(flight.hashes), flight.nonce, self._policy.timeout, why)
            time.sleep(min(interval, max(0.0, deadline - time.monotonic())))
            interval = min(interval * 1.3, self._policy.max_poll)

    def release(self, flight: Flight) -> None:
        """Note that nobody waits for ``flight`` any more; may be called twice."""
        self._nonces.release(flight.nonce)

    def check_funds(self, needed: int) -> None:
        """Raise InsufficientFunds when the account holds less than ``needed`` wei."""
        balance = int(rpc(self.web3, "eth_getBalance", [self.address, "latest"]), 16)
        if balance < needed:
            raise InsufficientFunds(self.address, balance, needed)

    # ---- one step

    def _head(self) -> int:
        return int(rpc(self.web3, "eth_blockNumber"), 16)

    def _sign(self, call: Call, nonce: int, gas: int, fee: Fee) -> tuple[bytes, str]:
        transaction: dict[str, Any] = {
            "type": 2,
            "chainId": self._chain_id,
            "nonce": nonce,
            "gas": gas,
            "maxFeePerGas": fee.limit,
            "maxPriorityFeePerGas": fee.tip,
            "value": call.value,
            "data": call.data,
        }
        if call.to is not None:
            transaction["to"] = to_checksum_address(call.to)
        signed = self._account.sign_transaction(transaction)
        return bytes(signed.raw_transaction), "0x" + signed.hash.hex()

    def _offer(self, raw: bytes, transaction: str) -> None:
        """Give a signed transaction to the node; that the node has it already ("already known") is fine."""
        try:
            rpc(self.web3, "eth_sendRawTransaction", ["0x" + raw.hex()])
        except RpcError:
            if not self._knows(transaction):
                raise

    def _knows(self, transaction: str) -> bool:
        """Whether the node has the transaction, pending or mined."""
        return rpc(self.web3, "eth_getTransactionByHash", [transaction]) is not None

    def _is_taken(self, nonce: int, refusal: RpcError) -> bool:
        """Whether a refusal means that another transaction has the nonce, mined or pending."""
        pending = int(rpc(self.web3, "eth_getTransactionCount", [self.address, "pending"]), 16)
        text = refusal.text.lower()
        # the words, for nodes behind one address that do not agree on the count yet
        return pending > nonce or "nonce too low" in text or "replacement" in text

    def _receipt(self, flight: Flight) -> dict[str, Any] | None:
        for transaction in reversed(flight.hashes):
            receipt: dict[str, Any] | None = rpc(self.web3, "eth_getTransactionReceipt", [transaction])
            if receipt is not None and receipt.get("blockNumber") is not None:
                return receipt
        return None

    def _spent_by_other(self, flight: Flight) -> bool:
        """Proof that the nonce was used by a transaction that is not ours.

        The account's count alone is no proof: behind one address there may be several nodes, and the one that was asked
        for the receipt may be a block behind. Sending again without proof could do the thing twice.
        """
        for number in range(flight.since_block, self._head() + 1):
            block = rpc(self.web3, "eth_getBlockByNumber", [hex(number), True])
            for transaction in block["transactions"] if block else ():
                sender = to_checksum_address(transaction["from"])
                if sender == self.address and int(transaction["nonce"], 16) == flight.nonce:
                    return transaction["hash"] not in flight.hashes
        return False

    def _keep_alive(self, flight: Flight, next_in_line: bool) -> str | None:
        """Replace a transaction that blocks pass by, offer one again that the node has lost; returns a refusal."""
        now = time.monotonic()
        if now - flight.checked_at < min(LOST_AFTER_S, self._policy.stuck_after):
            return None
        flight.checked_at = now
        try:
            stuck = next_in_line and now - flight.priced_at >= self._policy.stuck_after
            if stuck and self._head() > flight.priced_block:
                self._replace(flight)
            elif not self._knows(flight.transaction):
                self._offer(flight.raw, flight.transaction)
                logger.warning("the node had lost %s (nonce %d): offered again", flight.transaction, flight.nonce)
        except (RpcError, FeeTooHigh) as refusal:
            return refusal.message  # it may be mined meanwhile, or the version before it kept: the next look decides
        return None

    def _replace(self, flight: Flight) -> None:
        cap = self._policy.fees.cap
        flight.priced_at = time.monotonic()
        current, flight.priced_block = self._policy.fees.current(self.web3)
        fee = flight.fee.replacement(current, cap)
        if fee is None:
            logger.warning("%s (nonce %d) is stuck at the fee cap of %s wei", flight.transaction, flight.nonce, cap)
            return
        raw, transaction = self._sign(flight.call, flight.nonce, flight.gas, fee)
        # noted before it is offered, and for good: should the answer be lost, a receipt for it is ours
        flight.hashes.append(transaction)
        self._offer(raw, transaction)
        flight.fee, flight.raw, flight.transaction = fee, raw, transaction
        logger.info("replaced nonce %d by %s at %d wei a gas", flight.nonce, transaction, fee.limit)
