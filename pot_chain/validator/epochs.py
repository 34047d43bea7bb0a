"""A validator's part in epochs: it signs handovers, and starts the next epoch before the current one expires."""

from __future__ import annotations

import logging
import threading
import time
from typing import Final

from eth_account.signers.local import LocalAccount

from pot_chain.chain.epochs import next_handover, start_epoch
from pot_chain.chain.errors import ContractReverted
from pot_chain.chain.network import ChainClient
from pot_chain.chain.structs import EpochInfo
from pot_chain.protocol.signing import sign_digest

ANSWER_SECONDS: Final = 1.0
"""How long an answer is given again, so that strangers who ask do not make the validator ask the chain."""
STAGGER_SECONDS: Final = 5.0
"""How much later each further validator starts an epoch that is due, so that usually one pays for it."""

log = logging.getLogger(__name__)


class EpochKeeper:
    """Keeps the epochs of one network going. Blocking; safe to use from several threads.

    Args:
        chain: sends as ``account``.
        account: vote key.
    """

    def __init__(self, chain: ChainClient, account: LocalAccount) -> None:
        self._chain, self._account = chain, account
        self._lock = threading.Lock()
        self._answer: tuple[float, bytes | None] = (-ANSWER_SECONDS, None)
        self._due_since: float | None = None

    def signature(self) -> bytes | None:
        """Our signature over the handover to the next epoch; None where we have no say, or it cannot start yet.

        Whom the next epoch lists is the registry's choice alone, so nobody gains anything by asking.

        Raises:
            RpcDown, RpcError: the chain does not answer.
        """
        with self._lock:
            asked, answer = self._answer
            if time.monotonic() < asked + ANSWER_SECONDS:
                return answer
            answer = self._sign()
            self._answer = time.monotonic(), answer
            return answer

    def renew_if_due(self) -> bool:
        """Start the next epoch if it is due and our turn has come; returns whether we did.

        It is due when it needs no certificate any more, and the set has changed or two thirds of the lifetime are over.

        Raises:
            ChainError: the chain does not answer, or the account cannot pay.
        """
        registry = self._chain.registry
        current = registry.current_epoch()
        if current == 0 or not self._due(current, registry.epoch_info(current)):
            self._due_since = None
            return False
        voters, now = registry.epoch_validators(current), time.monotonic()
        self._due_since = now if self._due_since is None else self._due_since
        turn = voters.index(self._account.address) if self._account.address in voters else len(voters)
        if now < self._due_since + turn * STAGGER_SECONDS:
            return False
        self._due_since = None
        try:
            start_epoch(self._chain)
        except ContractReverted as refusal:
            log.info("epoch %d is not started: %s", current + 1, refusal)  # by somebody else, or too few are left
            return False
        log.info("epoch %d started", current + 1)
        return True

    def _sign(self) -> bytes | None:
        registry = self._chain.registry
        current = registry.current_epoch()
        if current == 0 or self._account.address not in registry.epoch_validators(current):
            return None
        if self._chain.now < registry.epoch_info(current).replaceable_at:
            return None
        return sign_digest(bytes(self._account.key), next_handover(self._chain).digest)

    def _due(self, current: int, info: EpochInfo) -> bool:
        registry, now = self._chain.registry, self._chain.now
        if now < 2 * info.replaceable_at - info.started_at:
            return False
        if info.expires_at - now < (info.expires_at - info.started_at) // 3:
            return True
        return registry.next_validators() != registry.epoch_validators(current)
