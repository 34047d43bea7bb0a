"""Tasks that belong to somebody: none fails unseen, and all end with their owner."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

log = logging.getLogger(__name__)


class Background:
    """A group of asyncio tasks.

    Args:
        name: whose tasks they are, for the log.
        count: metrics: (what, detail); a failure is counted as a ``bug``.
    """

    def __init__(self, name: str, count: Callable[[str, str], None]) -> None:
        self._name, self._count = name, count
        self._tasks: set[asyncio.Task[None]] = set()

    def spawn(self, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Start a task."""
        task = asyncio.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def cancel(self) -> None:
        """Cancel all."""
        for task in self._tasks:
            task.cancel()

    async def ended(self) -> None:
        """Wait until all have ended."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("%s: a task failed", self._name, exc_info=error)
            self._count("bug", type(error).__name__)
