"""Which log-ins have ended while access tokens that came from them are still valid. Pure.

An access token says by itself who is asking, and nobody looks it up. What was taken back must be remembered,
but only as long as the longest of them lives.
"""

from __future__ import annotations

from typing import Final

from engine.people import ACCESS_LIFE_S

REMEMBERED_S: Final = ACCESS_LIFE_S + 60
"""A minute more than a token lives: the wall clock may be set meanwhile."""


class Ended:
    """The `sid`s of what has ended lately."""

    def __init__(self) -> None:
        self._until_s: dict[str, float] = {}  # in the order in which they ended

    def __len__(self) -> int:
        return len(self._until_s)

    def __contains__(self, sid: object) -> bool:
        return sid in self._until_s

    def add(self, sid: str, now_s: float) -> None:
        """`sid` has ended now (Unix time); forget those that nobody can show a valid token of any more."""
        self._until_s[sid] = now_s + REMEMBERED_S
        while (oldest := next(iter(self._until_s))) != sid and self._until_s[oldest] <= now_s:
            del self._until_s[oldest]
