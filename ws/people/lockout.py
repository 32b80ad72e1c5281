"""How often somebody may be wrong about a password. Pure: the time is an argument, on a clock that only goes
forward.

Not by the library `limits`, which counts requests elsewhere: failures are known only afterwards, so those
that are being checked have to be counted in, and a list of a stranger's making must be bounded.
"""

from __future__ import annotations

from collections import Counter
from typing import Final

FAILURES_HERE: Final = 5
HERE_S: Final = 900.0
"""So many failures of one name from one address in so long: more than a person needs to remember his
password, and 480 guesses a day."""

FAILURES_ANYWHERE: Final = 50
ANYWHERE_S: Final = 3600.0
"""And of one name from wherever it is: against many addresses at work on one name. Ten times as many, or
anybody could lock anybody out at no cost. It counts for strangers only: see `Lockout.knew`."""

NAMES_MAX: Final = 200_000
"""Names and addresses that are remembered, some 60 MB. Passwords are checked at about a hundred a second, so
this is half an hour of nothing but new names; then the oldest failures are forgotten."""

KNOWN_MAX: Final = 100_000
"""Names and addresses that have fitted together, some 20 MB."""

BUSY_S: Final = 1.0
"""When to come back where nothing has failed yet, but as many are being checked as may fail."""

Place = tuple[str, str]
"""A name, and the address that it is tried from; an empty one: from anywhere."""


class Lockout:
    """Failures of the last hour, and where somebody was right.

    Whoever has ten addresses can have a name refused everywhere for ever, at no cost. So whoever was right
    about it somewhere is refused there only for what has failed there.
    """

    def __init__(self, names_max: int = NAMES_MAX, known_max: int = KNOWN_MAX) -> None:
        self._names_max = names_max
        self._known_max = known_max
        self._known: dict[Place, None] = {}  # the one that was right last comes last
        self._failures: dict[Place, tuple[float, ...]] = {}  # the one that failed last comes last
        self._in_flight: Counter[Place] = Counter()

    def __len__(self) -> int:
        return len(self._failures)

    def begin(self, name: str, address: str, now_s: float) -> float | None:
        """Somebody tries a password; None: he may, and `end` is to be called. Else the seconds after which he
        may, and right passwords are refused like wrong ones until then, or guessing would go on."""
        here, anywhere = _places(name, address)
        wait_s = self._wait_s(here, now_s)
        if here not in self._known:
            wait_s = max(wait_s, self._wait_s(anywhere, now_s))
        if wait_s > 0:
            return wait_s
        for place in _places(name, address):
            self._in_flight[place] += 1
        return None

    def end(self, name: str, address: str, now_s: float, *, failed: bool) -> None:
        """What was begun has been checked, or given up."""
        for place in _places(name, address):
            self._in_flight[place] -= 1
            if not self._in_flight[place]:
                del self._in_flight[place]
            if failed:
                # A deque of one has ten times the size of a tuple of one, which most are.
                times = *self._failures.pop(place, ()), now_s
                self._failures[place] = times[-_bounds(place)[0] :]
        self._forget(now_s)

    def knew(self, name: str, address: str) -> None:
        """Whoever has this name was let in from there; forgets the place that was right longest ago."""
        here, _ = _places(name, address)
        self._known.pop(here, None)
        self._known[here] = None
        if len(self._known) > self._known_max:
            del self._known[next(iter(self._known))]

    def _wait_s(self, place: Place, now_s: float) -> float:
        most, window_s = _bounds(place)
        times = self._failures.get(place, ())
        recent = [at_s for at_s in times if at_s > now_s - window_s]
        if len(recent) >= most:
            return recent[0] + window_s - now_s
        return BUSY_S if len(recent) + self._in_flight[place] >= most else 0.0

    def _forget(self, now_s: float) -> None:
        while self._failures:
            oldest = next(iter(self._failures))
            if len(self._failures) <= self._names_max and self._failures[oldest][-1] > now_s - ANYWHERE_S:
                return
            del self._failures[oldest]


def _places(name: str, address: str) -> tuple[Place, Place]:
    return (name, address), (name, "")


def _bounds(place: Place) -> tuple[int, float]:
    return (FAILURES_HERE, HERE_S) if place[1] else (FAILURES_ANYWHERE, ANYWHERE_S)
