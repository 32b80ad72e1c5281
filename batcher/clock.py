"""The clocks that are read, and what the log says of them. How they make one time: `batcher/steady.py`."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from batcher.steady import ClockStatus, SteadyClock
from engine.now import Now

log = logging.getLogger("solidgreen.clock")


def monotonic_us() -> int:
    """The monotonic clock: deadlines, ages, durations."""
    return time.monotonic_ns() // 1000


def wall_us() -> int:
    """The wall clock: the `sent_at` window, and what the time of the books follows."""
    return time.time_ns() // 1000


class Clock:
    """The time of the books, now. Says once that the wall clock has jumped, and once that it is followed
    again."""

    def __init__(self, wall: Callable[[], int], monotonic: Callable[[], int], newest_us: int) -> None:
        """`wall`, `monotonic`: in microseconds. `newest_us`: the time of the newest block."""
        self._wall = wall
        self._monotonic = monotonic
        self._steady = SteadyClock(wall(), monotonic(), newest_us)
        self._is_sure = True  # as far as the log has said

    def now(self) -> Now:
        """What time it is."""
        now = self._steady.now(self._wall(), self._monotonic())
        is_sure = now.unsure_since_us is None
        if is_sure is not self._is_sure:
            self._is_sure = is_sure
            if is_sure:
                log.info("the wall clock has come back, and is followed again")
            else:
                log.critical(
                    "the wall clock is %+d s off the time of the books: bets go on, and nothing expires, no "
                    "limit becomes looser until it comes back or an operator confirms it (clock.confirm)",
                    self._steady.status.jumped_us // 1_000_000,
                )
        return now

    def status(self) -> ClockStatus:
        """Whether the wall clock is followed, now."""
        self.now()
        return self._steady.status

    def confirm(self, role: str, user_id: int) -> None:
        """Follow the wall clock wherever it stands, because this user says that it is right."""
        jumped_us, since_us = self.status()
        if since_us is None:
            return
        self._steady.confirm(self._wall(), self._monotonic())
        self._is_sure = True
        log.warning(
            "the wall clock, %+d s off, was confirmed by %s %d, and is followed again",
            jumped_us // 1_000_000,
            role,
            user_id,
        )
