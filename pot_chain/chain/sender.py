"""Transactions that are mined exactly once, or raise an error that says what happened.

A transaction is simulated first, so a refusal by the contract costs nothing and comes back decoded; ``delivery`` does
the rest.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import Any, Final

from eth_account.signers.local import LocalAccount
from eth_utils import to_checksum_address
from web3 import Web3

from pot_chain.chain.connection import endpoint, rpc
from pot_chain.chain.contract import Call
from pot_chain.chain.delivery import MAX_NONCE_CLASHES, Courier, Flight, SenderPolicy
from pot_chain.chain.errors import ChainError, ContractReverted, GasTooHigh, RpcDown, RpcError, TransactionRefused
from pot_chain.chain.logs import RawLog
from pot_chain.protocol.addresses import Address

TRANSACTION_GAS_LIMIT: Final = 2**24
"""Most gas that any transaction may use (EIP-7825)."""
_GAS_SALT: Final = 1 << 12


@dataclass(frozen=True, slots=True)
class Mined:
    """A transaction that took effect.

    Attributes:
        transaction: its hash, 0x-hex.
        nonce: its nonce.
        block_number: block that holds it.
        block_hash: hash of that block, 0x-hex.
        gas_used: gas.
        gas_price: wei a gas, base fee and tip.
        contract: address of the contract that it created.
        logs: what it emitted, in order.
    """

    transaction: str
    nonce: int
    block_number: int
    block_hash: str
    gas_used: int
    gas_price: int
    contract: Address | None
    logs: tuple[RawLog, ...]

    @property
    def fee(self) -> int:
        """Wei that the sender paid for gas."""
        return self.gas_used * self.gas_price


class TransactionSender:
    """Sends transactions of one account; threads may share it, and several senders may share the account.

    Args:
        web3: connection from ``connect``.
        account: the unlocked account; its key stays inside it.
        policy: fees and patience.

    Raises:
        RpcDown: no answer.
    """

    def __init__(self, web3: Web3, account: LocalAccount, policy: SenderPolicy | None = None) -> None:
        self.web3 = web3
        self.policy = policy or SenderPolicy()
        self.address: Address = str(account.address)
        self._courier = Courier(web3, account, self.policy)

    def __repr__(self) -> str:
        return f"TransactionSender({self.address} on {endpoint(self.web3)})"

    def simulate(self, call: Call) -> bytes:
        """Execute ``call`` on the latest state without sending it; returns the ABI-encoded result.

        Raises:
            ContractReverted: it would be refused.
            RpcDown, RpcError: the node did not answer.
        """
        try:
            return bytes.fromhex(rpc(self.web3, "eth_call", [self._message(call), "latest"])[2:])
        except RpcError as error:
            if not error.is_revert:
                raise
            raise self._reverted(call, error.revert_data()) from error

    def send(self, call: Call, *, gas: int | None = None) -> Mined:
        """Send ``call`` and wait until it is mined.

        Args:
            call: what to do.
            gas: gas limit; None simulates the call and estimates it.

        Raises:
            ContractReverted: refused in the simulation (nothing was sent) or on chain (``error.transaction`` is set).
            InsufficientFunds, FeeTooHigh, GasTooHigh, TransactionRefused: nothing was sent.
            TransactionPending: handed over, not mined in time; look at its hashes before repeating it.
            RpcDown: no answer before anything was sent.
        """
        return self.send_many([call], gas=gas)[0]

    def send_many(self, calls: Sequence[Call], *, gas: int | None = None) -> list[Mined]:
        """Send several calls that do not depend on each other, then wait for all; results in the order of ``calls``.

        Raises:
            ChainError: as for ``send``, of the first call that failed. The calls before it were sent; all were if it
                failed on chain.
        """
        flights: list[Flight] = []
        mined: list[Mined] = []
        failure: ChainError | None = None
        try:
            try:
                for call in calls:
                    flights.append(self._courier.hand_over(call, self._gas(call, gas)))
            except ChainError as error:
                failure = error  # raised when what was sent before it is settled
            for flight in flights:
                try:
                    mined.append(self._settle(flight, gas))
                except ChainError as error:
                    failure = failure or error
        finally:
            for flight in flights:
                self._courier.release(flight)
        if failure is not None:
            raise failure
        return mined

    def _message(self, call: Call, gas: int | None = None) -> dict[str, str]:
        message = {"from": self.address, "data": "0x" + call.data.hex(), "value": hex(call.value)}
        if call.to is not None:
            message["to"] = call.to
        if gas is not None:
            message["gas"] = hex(gas)
        return message

    def _gas(self, call: Call, given: int | None) -> int:
        limit = self._estimate(call) if given is None else given
        if limit > TRANSACTION_GAS_LIMIT:
            raise GasTooHigh(limit, TRANSACTION_GAS_LIMIT)
        if given is not None:
            return given
        limit = min(int(limit * self.policy.gas_margin), TRANSACTION_GAS_LIMIT)
        # two processes with one key that send the same call with the same nonce must not make the same transaction:
        # each would take the other's for its own
        return limit + secrets.randbelow(1 + min(_GAS_SALT, TRANSACTION_GAS_LIMIT - limit))

    def _estimate(self, call: Call) -> int:
        """Gas that ``call`` needs; the estimation executes it, so it is the simulation too."""
        try:
            return int(rpc(self.web3, "eth_estimateGas", [self._message(call)]), 16)
        except RpcError as error:
            data = error.revert_data()
            if data:
                raise self._reverted(call, data) from error
            # some nodes drop the revert data here, and each reports a lack of funds in its own words
            self._courier.check_funds(call.value)
            with suppress(RpcError):  # the same refusal in other words
                self.simulate(call)
            raise TransactionRefused(
                f"{call.function}: the node cannot estimate its gas: {error.text}",
                f"it may need more gas than a transaction can have ({TRANSACTION_GAS_LIMIT})",
            ) from error

    def _reverted(self, call: Call, data: bytes | None, transaction: str | None = None) -> ContractReverted:
        context = {**call.arguments, "sender": self.address, "function": call.function, "value": call.value}
        return call.errors.reverted(data, context, transaction)

    def _settle(self, flight: Flight, gas: int | None) -> Mined:
        deadline = time.monotonic() + self.policy.timeout
        with ExitStack() as retries:
            for clashes in range(MAX_NONCE_CLASHES):
                if clashes:
                    # a foreign transaction has the nonce: simulate anew, since it may have done what we wanted to do
                    flight = self._courier.hand_over(flight.call, self._gas(flight.call, gas))
                    retries.callback(self._courier.release, flight)
                receipt = self._courier.wait(flight, deadline)
                if receipt is not None:
                    return self._result(flight, receipt)
        raise TransactionRefused(
            f"{MAX_NONCE_CLASHES} nonces of {self.address} in a row were used by others",
            "does another program send with the same key?",
        )

    def _result(self, flight: Flight, receipt: dict[str, Any]) -> Mined:
        transaction = str(receipt["transactionHash"])
        number = int(receipt["blockNumber"], 16)
        if int(receipt["status"], 16) == 0:
            raise self._reverted(flight.call, self._revert_data(flight, transaction, number), transaction)
        created = receipt.get("contractAddress")
        return Mined(
            transaction=transaction,
            nonce=flight.nonce,
            block_number=number,
            block_hash=str(receipt["blockHash"]),
            gas_used=int(receipt["gasUsed"], 16),
            gas_price=int(receipt["effectiveGasPrice"], 16),
            contract=str(to_checksum_address(created)) if created else None,
            logs=tuple(RawLog.from_rpc(log) for log in receipt["logs"]),
        )

    def _revert_data(self, flight: Flight, transaction: str, number: int) -> bytes | None:
        """Why a mined transaction reverted: from its trace where the node gives one, else by calling it again."""
        try:
            trace = rpc(self.web3, "debug_traceTransaction", [transaction, {"tracer": "callTracer"}])
            output = trace.get("output")
            if isinstance(output, str):
                return bytes.fromhex(output[2:])
        except RpcDown:
            return None
        except RpcError:
            pass  # most public nodes refuse traces
        # after its block first: the simulation passed before it, so what changed lies in the block
        for block in (number, number - 1):
            try:
                rpc(self.web3, "eth_call", [self._message(flight.call, flight.gas), hex(block)])
            except RpcError as error:
                if error.is_revert:
                    return error.revert_data()
            except RpcDown:
                return None  # that it reverted is known, and has to be told
        return None


__all__ = ["TRANSACTION_GAS_LIMIT", "Mined", "SenderPolicy", "TransactionSender"]
