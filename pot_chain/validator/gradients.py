"""Fetches the gradients of one round, side by side, so that a slow one does not hold up the others."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable

from ipfs.errors import IpfsError
from pot_chain.protocol.addresses import Address
from pot_chain.protocol.record import Reveal
from pot_chain.validator.background import Background
from pot_chain.validator.judge import UNAVAILABLE, Finding, Flawed, Judge

PATIENCE_SECONDS = 12.0
"""How long a verdict waits for a gradient that is being fetched; a little more than one attempt may take."""
RETRY_SECONDS = 1.0
"""Pause while our own storage is down."""

log = logging.getLogger(__name__)


class GradientFetcher:
    """Brings what was revealed before the judge; lives in the event loop.

    Args:
        judge: notes what is found.
        examine: ``judge.examine`` in a thread.
        background: where the fetches run.
        arrived: called after each.
    """

    def __init__(
        self,
        judge: Judge,
        examine: Callable[[Reveal], Awaitable[Finding]],
        background: Background,
        arrived: Callable[[], None],
    ) -> None:
        self._judge, self._examine, self._background, self._arrived = judge, examine, background, arrived
        self._tasks: dict[Address, asyncio.Task[None]] = {}
        self._attempted: dict[Address, float] = {}

    def fetch(self, reveals: Iterable[Reveal], *, again: bool = False) -> list[asyncio.Task[None]]:
        """Fetch what nobody has looked at, and with ``again`` also what could not be had before; returns the tasks."""
        tasks = []
        for reveal in list(reveals):
            task, found = self._tasks.get(reveal.miner), self._judge.finding(reveal)
            if task is None and (found is None or (again and is_unavailable(found))):
                self._attempted[reveal.miner] = asyncio.get_running_loop().time()
                task = self._tasks[reveal.miner] = self._background.spawn(self._fetch(reveal))
            if task is not None:
                tasks.append(task)
        return tasks

    def patience(self) -> float:
        """Seconds that a verdict should still wait for what is under way; endless while our own storage is down."""
        now = asyncio.get_running_loop().time()
        return max((self._attempted[miner] + PATIENCE_SECONDS - now for miner in self._tasks), default=0.0)

    async def _fetch(self, reveal: Reveal) -> None:
        loop = asyncio.get_running_loop()
        try:
            while True:
                self._attempted[reveal.miner] = loop.time()
                try:
                    found = await self._examine(reveal)
                    break
                except IpfsError as error:
                    log.warning("cannot fetch the gradient of %s: %s (%s)", reveal.miner, error, error.hint)
                await asyncio.sleep(RETRY_SECONDS)
            self._judge.note(reveal, found)
        except Exception as error:
            # Bytes of a stranger that break our reader: whatever they are, they are no gradient.
            log.exception("cannot read the gradient of %s", reveal.miner)
            self._judge.note(reveal, Flawed("malformed", type(error).__name__))
        finally:
            del self._tasks[reveal.miner]
            self._arrived()


def is_unavailable(found: Finding) -> bool:
    """Whether the gradient could not be fetched, which another attempt may change."""
    return isinstance(found, Flawed) and found.reason == UNAVAILABLE
