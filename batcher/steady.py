"""The time of the books: a wall clock that may be set, and a steady one that may not. Pure.

    state    what is seen                                   the time of the books             next state
    -------  ---------------------------------------------  --------------------------------  ----------
    sure     the wall clock within 60 s of the steady time  follows the wall clock            sure
    sure     further away: it has jumped                    goes on with the monotonic clock  unsure
    unsure   still further away                             goes on with the monotonic clock  unsure
    unsure   within 60 s: it has come back                  follows the wall clock            sure
    unsure   `confirm`: an operator says that it is right   follows the wall clock            sure

Whatever the wall clock does, the time of the books never runs back: after a step back that is followed it
stands until the wall clock has caught up. Source: DESIGN, Time; docs/adr/0019.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from engine.now import Now

JUMP_US: Final = 60_000_000
"""The wall clock may be set by so much at a time and is still followed (DESIGN, Time): NTP slews, and its
steps are well below that; nobody's hold or limit depends on a minute."""


class ClockStatus(NamedTuple):
    """How far the wall clock is from the time of the books, in microseconds: 0 while it is followed.
    `since_us`: the time of the books when it left that; None while it is followed."""

    jumped_us: int
    since_us: int | None


class SteadyClock:
    """Tells the time of the books by two clocks, both in microseconds, which its caller reads each time."""

    __slots__ = ("_at_us", "_offset_us", "_status")

    def __init__(self, wall_us: int, monotonic_us: int, newest_us: int) -> None:
        """`newest_us`: the time of the newest block. A wall clock that is more than `JUMP_US` before it
        cannot be right, so the books go on from there, unsure; any other is taken as it is."""
        behind_us = newest_us - wall_us
        start_us = newest_us if behind_us > JUMP_US else wall_us
        self._offset_us = start_us - monotonic_us  # from the monotonic clock to the steady time
        self._at_us = max(start_us, newest_us)
        self._status = ClockStatus(0, None)
        self.now(wall_us, monotonic_us)

    @property
    def status(self) -> ClockStatus:
        """As `now` has found it."""
        return self._status

    def now(self, wall_us: int, monotonic_us: int) -> Now:
        """The time of the books; not before what was told already."""
        steady_us = monotonic_us + self._offset_us
        jumped_us = wall_us - steady_us
        if -JUMP_US <= jumped_us <= JUMP_US:
            self._follow(wall_us, monotonic_us)
            return Now(wall_us, self._at_us)
        since_us = self._status.since_us
        if since_us is None:
            since_us = self._at_us  # what was told last, when both clocks agreed
        self._status = ClockStatus(jumped_us, since_us)
        self._at_us = max(self._at_us, steady_us)
        return Now(wall_us, self._at_us, since_us)

    def confirm(self, wall_us: int, monotonic_us: int) -> Now:
        """The wall clock is right, wherever it stands."""
        self._follow(wall_us, monotonic_us)
        return Now(wall_us, self._at_us)

    def _follow(self, wall_us: int, monotonic_us: int) -> None:
        self._offset_us = wall_us - monotonic_us
        self._status = ClockStatus(0, None)
        self._at_us = max(self._at_us, wall_us)
