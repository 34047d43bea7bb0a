"""Brings a decision to the chain, once for all validators if nothing goes wrong, and in spite of what does."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from ipfs.errors import IpfsError
from pot_chain.pbft.certificate import Certificate
from pot_chain.protocol.errors import PotError
from pot_chain.protocol.round import Proposal

RELAY_SECONDS = 2.0
"""How long each further validator waits before it relays a certificate that nobody has brought to the chain."""

log = logging.getLogger(__name__)


async def relay(
    proposal: Proposal,
    certificate: Certificate,
    *,
    turn: int,
    size: int,
    keep: Callable[[Proposal], Awaitable[None]],
    finalize: Callable[[Proposal, Certificate], Awaitable[None]],
    count: Callable[[str, str], None],
) -> None:
    """Keep the record, then see to it that the round becomes and stays final; runs until it is cancelled.

    Args:
        turn: 0 for the primary of the deciding view, which goes first, up to ``size - 1``.
        size: validators in the epoch.
        keep: makes the round record last.
        finalize: sends the certificate unless the round is final.
    """

    async def insist(deed: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                return await deed()
            except (PotError, IpfsError) as error:
                log.warning("%s: not final yet: %s (%s)", certificate.vote.slot, error, error.hint)
                count("trouble", type(error).__name__)
                await asyncio.sleep(RELAY_SECONDS)

    # Every validator keeps the record: if its proposer alone had it, everybody's rewards would hang on that one.
    await insist(lambda: keep(proposal))
    await asyncio.sleep(turn * RELAY_SECONDS)
    while True:  # a reorg may undo it
        await insist(lambda: finalize(proposal, certificate))
        await asyncio.sleep(size * RELAY_SECONDS)
