"""Virtual time: a heap of things to do."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import Any


class Clock:
    """Runs callbacks in the order of their times; equal times run in the order in which they were set."""

    def __init__(self) -> None:
        self.now = 0.0
        self.events = 0
        self._heap: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []

    def at(self, time: float, callback: Callable[..., None], *arguments: Any) -> None:
        """Run ``callback(*arguments)`` at ``time`` (now, if that has passed)."""
        self.events += 1
        heapq.heappush(self._heap, (max(time, self.now), self.events, callback, arguments))

    def after(self, delay: float, callback: Callable[..., None], *arguments: Any) -> None:
        """Run ``callback(*arguments)`` in ``delay`` seconds."""
        self.at(self.now + delay, callback, *arguments)

    def advance(self) -> bool:
        """Run the next callback; False if there is none."""
        if not self._heap:
            return False
        self.now, _, callback, arguments = heapq.heappop(self._heap)
        callback(*arguments)
        return True
