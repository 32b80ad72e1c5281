"""The auditor's judgement of time: what the books take it for, and when a token has ended."""

from __future__ import annotations

from collections.abc import Set
from typing import Final

from tests.sim.evidence import Finding, Surroundings

STEPS_US: Final = 190_000_000
"""What time of the books may be ahead of the time that has passed since the block before: steps of up to a
minute are followed, a seed has three of them at the most, and a batch waits a few seconds for its COMMIT."""

DECIDED_US: Final = 12_000_000
"""How long before its BEGIN a batch may have been decided: the COMMIT in front of it may hang."""

EXPIRED_US: Final = 1_000_000
"""A socket whose token has expired is closed within it."""

IN_FLIGHT_US: Final = 600_000
"""But what is in flight by then has this long to be answered."""


class Clocks:
    """The clock of the books, and that of tokens: the former follows no jump, the latter all of them."""

    def __init__(self, around: Surroundings) -> None:
        self._around = around
        self._block: tuple[int, int, int] | None = None  # the newest one's time; of its BEGIN and its COMMIT
        self._started_us = self._confirmed_us = -DECIDED_US  # when the books may last have followed a jump
        self._set_us = -EXPIRED_US

    def started(self) -> None:
        """A server starts: its books take the wall clock as it is."""
        self._started_us = self._around.now_us()

    def set(self) -> None:
        """The wall clock has been set, or went on while nobody could look."""
        self._set_us = self._around.now_us()

    def confirmed(self) -> None:
        """Somebody says that the wall clock is right: the books may follow it."""
        self._confirmed_us = self._around.now_us()

    def sealed(self, begun_us: int, at_us: int, block_at: int) -> None:
        """The newest block is of this time."""
        before, self._block = self._block, (block_at, begun_us, at_us)
        if before is None or self._started_us >= before[2] or self._confirmed_us > before[1] - DECIDED_US:
            return
        if block_at - before[0] > at_us - before[1] + STEPS_US:
            raise Finding(f"the time of the books has jumped, from {before[0]} to {block_at}")

    def check_read(self, text: str, expires_at_s: int) -> None:
        """This was read from a welcome socket with such a token."""
        if self._since_us(expires_at_s) > EXPIRED_US and self._could_look():
            raise Finding(f"{text} was read from a socket whose token ended at {expires_at_s}")

    def check_patience(self, in_flight: Set[str], expires_at_s: int) -> None:
        """A socket with such a token is closed because it has expired, with these bets in flight."""
        waited_us = self._since_us(expires_at_s)
        if in_flight and waited_us < IN_FLIGHT_US and self._could_look():
            raise Finding(f"its token ended {waited_us} us ago, and nobody waited for {sorted(in_flight)}")

    def _since_us(self, expires_at_s: int) -> int:
        return self._around.wall_us() - expires_at_s * 1_000_000

    def _could_look(self) -> bool:
        return self._around.now_us() > self._set_us + EXPIRED_US
