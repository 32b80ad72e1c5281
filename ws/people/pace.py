"""When the next password may be checked, so that bets hardly feel it. Pure; seconds of a clock that never
goes back.

While bets are under way one is checked at a time, and then the processors rest from it for nine times as
long as it took: log-ins have a tenth of one core. With nobody betting they have all of `IN_HAND_MAX`. Where
so many wait that they would not be done in time at this pace, the rests are shorter: a flood of log-ins is
not to lock everybody out.
"""

from __future__ import annotations

from typing import Final

IN_HAND_MAX: Final = 4
"""Two that are checked, on two cores, and two behind them, so that the process never waits for the next."""

REST: Final = 9.0
"""Of the time that a check took. Figures: `python -m bench.logins`; docs/adr/0029."""

REST_MAX_S: Final = 0.5
"""A check that took longer than this allows for has waited for a processor itself: others had it then."""

DONE_WITHIN_S: Final = 7.0
"""All that wait are to be done by then: with 20 ms for each, from 35 on the rests are shorter."""


class Pace:
    """One server's. `bets`, everywhere: how many bets it has answered so far."""

    def __init__(self) -> None:
        self._in_hand = 0
        self._rested_at_s = 0.0
        self._bets = 0
        self._longest = 0  # queue, since it was empty: its end has to be done in time as well
        self._is_calm = False  # until one was checked, and no bet came meanwhile

    def wait_s(self, now_s: float, bets: int) -> float | None:
        """How long until the next may begin; None: not before one has ended."""
        is_calm = self._is_calm and bets == self._bets
        if self._in_hand >= (IN_HAND_MAX if is_calm else 1):
            return None
        return max(0.0, self._rested_at_s - now_s)

    def began(self, bets: int) -> None:
        """One is being checked."""
        self._in_hand += 1
        self._is_calm = self._is_calm and bets == self._bets
        self._bets = bets

    def ended(self, now_s: float, took_s: float, waiting: int, bets: int) -> None:
        """One was checked, or given up, `took_s` after it began; so many more are `waiting`."""
        self._in_hand -= 1
        self._is_calm = bets == self._bets
        self._bets = bets
        self._longest = max(self._longest, waiting) if waiting else 0
        if not self._is_calm:
            in_time_s = DONE_WITHIN_S / max(1, self._longest) - took_s
            self._rested_at_s = now_s + max(0.0, min(REST * took_s, REST_MAX_S, in_time_s))
