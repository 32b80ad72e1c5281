"""How late the event loop is while something is awaited: what it does for others meanwhile is not the time of
whoever is waited for.
"""

from __future__ import annotations

import asyncio
import time
from typing import Final, Self

TICK_S: Final = 0.01
"""From one look to the next; a loop that stands still is noticed from here on."""

JITTER_S: Final = 0.002
"""Not counted: uvloop's timers are of whole milliseconds, and a healthy loop is that late."""


class Lateness:
    """Use as a context manager around an await. Costs a timer that is seldom due."""

    def __init__(self, limit: asyncio.Timeout | None = None) -> None:
        """`limit` is put off by what the loop is late: it is for others, not for this process."""
        self.late_s = 0.0
        """So far; all of it when the block has been left."""
        self._limit = limit

    def __enter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._arm()
        return self

    def __exit__(self, *_: object) -> None:
        self._handle.cancel()
        self._look()

    def _arm(self) -> None:
        # Not the loop's own clock: uvloop's stands still while a turn lasts.
        self._due_s = time.monotonic() + TICK_S
        self._handle = self._loop.call_later(TICK_S, self._tick)

    def _tick(self) -> None:
        # Of two timers that are due the earlier one comes first, so this is in time to save the limit.
        late_s = self._look()
        if late_s and self._limit is not None and not self._limit.expired():
            when_s = self._limit.when()
            assert when_s is not None
            self._limit.reschedule(when_s + late_s)
        self._arm()

    def _look(self) -> float:
        late_s = time.monotonic() - self._due_s
        if late_s <= JITTER_S:
            return 0.0
        self.late_s += late_s
        return late_s
