"""Hands a miner's reveal to the validators."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import requests

from pot_chain.protocol.addresses import Address
from pot_chain.protocol.record import Reveal

TIMEOUT_SECONDS = 5.0

log = logging.getLogger(__name__)


def post_reveal(endpoints: Mapping[Address, str], task_id: int, round_number: int, reveal: Reveal) -> set[Address]:
    """POST ``reveal`` to every validator at once; returns the vote keys that took it."""
    body: dict[str, Any] = {"task": str(task_id), "round": round_number, "reveal": reveal.to_json()}

    def post(validator: Address) -> bool:
        url = endpoints[validator].rstrip("/") + "/reveal"
        try:
            answer = requests.post(url, json=body, timeout=TIMEOUT_SECONDS)
        except requests.RequestException as error:
            log.warning("validator %s cannot be reached at %s: %s", validator, url, type(error).__name__)
            return False
        if not answer.ok:
            log.warning("validator %s refused the reveal: %d %s", validator, answer.status_code, answer.text[:200])
        return answer.ok

    with ThreadPoolExecutor(max_workers=max(1, min(16, len(endpoints)))) as pool:
        taken = pool.map(post, endpoints)
        return {validator for validator, ok in zip(endpoints, taken, strict=True) if ok}
