"""What time it is, three times over: outside, in the books, and for what makes things looser. Pure."""

from __future__ import annotations

from typing import NamedTuple


class Now(NamedTuple):
    """The time at which a batch is decided, in microseconds. Source: DESIGN, Time.

    `wall_us`: the wall clock, for the `sent_at` window and nothing else. `at_us`: the time of the books, by
    which everything else goes. `unsure_since_us`: the time of the books when the wall clock left it; None
    while they agree. Until they do again, nothing expires and no limit becomes looser.
    """

    wall_us: int
    at_us: int
    unsure_since_us: int | None = None

    @property
    def matured_us(self) -> int:
        """The time up to which things have expired and limits have become looser."""
        return self.at_us if self.unsure_since_us is None else self.unsure_since_us


def sure(now: Now | int) -> Now:
    """`now`; a plain number is a wall clock that nobody doubts, so that the books go by it."""
    return now if isinstance(now, Now) else Now(now, now)
