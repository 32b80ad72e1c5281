"""How much of what clients send is read in one turn of the event loop: sockets take their turns at it.

A batch of bets needs some five turns of the loop on its way. If each turn read whatever a hundred sockets
have sent, a turn would take 50 ms under a flood, and batches would stand still while more is read than can be
done. So a turn reads so much at the most; who finds no room waits, in order, for the turns that follow. What
is not read stays in the sockets, and TCP tells its senders to wait (docs/adr/0016).
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final, Protocol

TURN_BYTES: Final = 32768
"""What is parsed in one turn by all sockets together: some 180 bets in frames of their own, 4 ms of work."""

SMALL_BYTES: Final = 1024
"""Whoever sends no more at a time, some four bets, is not who floods."""

SMALL_ROOM: Final = 3 * TURN_BYTES
"""What such readers may take beyond `TURN_BYTES`: to make one wait costs two calls of the kernel, 7 % of all
that a server does for 400 sockets with one bet each."""

UNCOUNTED: Final = TURN_BYTES * 3 // 4
"""What is left when the end of a turn begins to matter: before that nobody is asked to say when it comes."""


class Reader(Protocol):
    """A socket that has something to parse."""

    def take_turn(self) -> int:
        """Parse a slice of what is held, and ask for another turn if more is held; what it cost, in bytes."""
        ...


class Turns:
    """The room for reading in each turn of the event loop."""

    def __init__(self) -> None:
        self._left = TURN_BYTES
        self._waiting: deque[Reader] = deque()
        self._is_due = False

    def may_take(self, size: int) -> bool:
        """Whether `size` bytes may be parsed at once, in this turn; then they count."""
        if size > SMALL_BYTES:
            if self._waiting or self._left <= 0:
                return False
        elif self._left <= -SMALL_ROOM:
            return False
        self._left -= size
        if self._left < UNCOUNTED and not self._is_due:
            self._see_to_the_next()
        return True

    def charge(self, size: int) -> None:
        """Count what was parsed in this turn for `size` bytes more: it took longer than it is long."""
        self._left -= size
        if self._left < UNCOUNTED and not self._is_due:
            self._see_to_the_next()

    def ask(self, reader: Reader) -> None:
        """Have `reader` take a turn, once for each time that it asks, after those who have asked before."""
        self._waiting.append(reader)
        if not self._is_due:
            self._see_to_the_next()

    def _see_to_the_next(self) -> None:
        self._is_due = True
        asyncio.get_running_loop().call_soon(self._turn)

    def _turn(self) -> None:
        self._is_due = False
        self._left = TURN_BYTES
        waiting = self._waiting
        try:
            for _ in range(len(waiting)):  # not those who ask meanwhile: one slice each
                if self._left <= 0:
                    break
                self._left -= waiting.popleft().take_turn()
        finally:  # one that fails must not cost the others their turns
            if waiting and not self._is_due:
                self._see_to_the_next()
