"""Which log-ins have ended while access tokens that came from them are still valid. Pure.

An access token says by itself who is asking, and nobody looks it up. What was taken back must be remembered,
but only as long as the longest of them lives.
"""

from __future__ import annotations

from typing import Final

from engine.people import ACCESS_LIFE_S

REMEMBERED_S: Final = ACCESS_LIFE_S + 60
"""A minute more than a token lives, by each of two clocks. By the wall clock, because tokens go by it. By a
steady one as well, because the other may jump forward and come back: what was forgotten meanwhile would be
good again."""


class Ended:
    """The `sid`s of what has ended lately."""

    def __init__(self) -> None:
        self._ended_s: dict[str, tuple[float, float]] = {}  # in the order in which they ended

    def __len__(self) -> int:
        return len(self._ended_s)

    def __contains__(self, sid: object) -> bool:
        return sid in self._ended_s

    def add(self, sid: str, now_s: float, steady_s: float) -> None:
        """`sid` has ended now, by the wall clock (Unix time) and by one that is never set; forget those that
        nobody can show a valid token of any more."""
        self._ended_s[sid] = now_s, steady_s
        while (oldest := next(iter(self._ended_s))) != sid:
            by_wall_s, by_steady_s = self._ended_s[oldest]
            if now_s - by_wall_s < REMEMBERED_S or steady_s - by_steady_s < REMEMBERED_S:
                return
            del self._ended_s[oldest]
