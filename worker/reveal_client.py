"""Hands a miner's reveal to the validators."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

import aiohttp

from pot_chain.protocol.addresses import Address
from pot_chain.protocol.record import Reveal

TIMEOUT_SECONDS = 5.0
"""For everything together: a validator that drips its answer must not keep the miner from its next round."""
MAX_ANSWER_BYTES = 512

log = logging.getLogger(__name__)


def post_reveal(
    endpoints: Mapping[Address, str],
    task_id: int,
    round_number: int,
    reveal: Reveal,
    timeout: float = TIMEOUT_SECONDS,
) -> set[Address]:
    """POST ``reveal`` to every validator at once; returns the vote keys that took it, within ``timeout`` seconds.

    The endpoints are strangers' words: redirects are not followed and no more than the beginning of an answer is read.
    """
    body = {"task": str(task_id), "round": round_number, "reveal": reveal.to_json()}
    return asyncio.run(_post_all(endpoints, body, timeout))


async def _post_all(endpoints: Mapping[Address, str], body: dict[str, Any], timeout: float) -> set[Address]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=timeout)) as session:
        answers = await asyncio.gather(*(_post(session, validator, url, body) for validator, url in endpoints.items()))
    return {validator for validator, taken in zip(endpoints, answers, strict=True) if taken}


async def _post(session: aiohttp.ClientSession, validator: Address, url: str, body: dict[str, Any]) -> bool:
    try:
        async with session.post(url.rstrip("/") + "/reveal", json=body, allow_redirects=False) as answer:
            if answer.status == 200:
                return True
            text = (await answer.content.read(MAX_ANSWER_BYTES)).decode(errors="replace")
            log.info("validator %s did not take the reveal: %d %s", validator, answer.status, ascii(text))
    except (aiohttp.ClientError, OSError, ValueError) as error:  # TimeoutError is an OSError, InvalidURL a ValueError
        log.warning("validator %s cannot be reached at %s: %s", validator, ascii(url), type(error).__name__)
    return False
