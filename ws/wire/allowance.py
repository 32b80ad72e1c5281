"""How many messages one socket may send: a bucket of tokens that fills with time. Pure.

Generous on purpose: one socket may send as much as the whole engine can confirm (docs/performance.md), so
that a partner who places all his players' bets through one is not cut off. A flood of what is refused without
being executed, which costs its sender next to nothing, ends after a moment.
"""

from __future__ import annotations

from typing import Final

MESSAGES_PER_S: Final = 50_000
"""Tokens that come back in a second."""

CAPACITY: Final = 5 * MESSAGES_PER_S
"""Tokens of a socket that has been quiet: five seconds' worth, so that a client that comes back with
a backlog is not cut off."""

REFUSED_COST: Final = 10
"""Of a message that is refused without being executed, a control frame or a continuation: who means well
sends few of these."""

CHARS_A_TOKEN: Final = 32
"""Of a frame that cannot be decoded: the largest, 256 KiB, costs 8,192, so that six a second are the most."""


class Allowance:
    """What one socket may still send.

    Whoever takes a message in subtracts from `tokens`, which may become less than nothing; once for each read
    `holds` says whether that was too much. The clock is looked at only when all seems spent, so a socket that
    was quiet before may send `CAPACITY` twice at the most.
    """

    __slots__ = ("_filled_s", "tokens")

    def __init__(self, now_s: float) -> None:
        self.tokens = float(CAPACITY)
        self._filled_s = now_s

    def holds(self, now_s: float) -> bool:
        """Fill what time has brought back since it was last filled; False: more was spent than that.
        `now_s`: monotonic."""
        self.tokens = min(CAPACITY, self.tokens + (now_s - self._filled_s) * MESSAGES_PER_S)
        self._filled_s = now_s
        return self.tokens >= 0
