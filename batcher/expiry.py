"""Gives back what is set aside when its time has come: each expiry is a command like any other."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from engine import queries
from engine.commands import Command, ExpireHold
from engine.outcomes import RETRYABLE, Code, Outcome, Rejected
from engine.store import Store

log = logging.getLogger("solidgreen.batcher")

LOOK_EVERY_S: Final = 1.0
"""How late a hold may expire. Its capture is refused in between all the same: `decide` knows its time."""

LOOK_SELDOM_S: Final = 60.0
"""The pause doubles up to here while expiries are turned away, or fail: then nothing is gained by haste."""

AT_ONCE: Final = 200
"""Holds that expire in one go, so that the bets of a batch do not wait for thousands of them."""

CALLER: Final = "clock"
"""Whose keys these are: no token can name this caller, since theirs are numbers."""


class Expiry:
    """Has holds expire, through the batcher's own door. It is the asker of its commands.

    A hold is found in the file as long as it is open and overdue, so nothing has to be remembered: what was
    turned away is found again by a later look, also by that of the next process.
    """

    def __init__(
        self,
        store: Store,
        submit: Callable[[Command, Expiry, str, Code | None], None],
        wall_clock: Callable[[], int],
        room: Callable[[], int] = lambda: AT_ONCE,
    ) -> None:
        """`submit` answers each command exactly once, later. `wall_clock` in microseconds. `room`: how many
        commands are welcome now.
        """
        self.pause_s = LOOK_EVERY_S
        """Until the next look."""
        self._store = store
        self._submit = submit
        self._wall_clock = wall_clock
        self._room = room
        self._under_way: set[int] = set()
        self._is_in_vain = False  # something of the last look was turned away, or could not be read
        self._is_unreadable = False

    def answer(self, request_id: str, command: Command, outcome: Outcome) -> None:
        """A hold has expired, was closed by somebody else, or will be tried again."""
        assert isinstance(command, ExpireHold)
        self._under_way.discard(command.hold_id)
        if isinstance(outcome, Rejected) and outcome.code in RETRYABLE:
            self._is_in_vain = True

    async def run(self) -> None:
        """Look for holds whose time has come; for ever."""
        while True:
            await asyncio.sleep(self.pause_s)
            await self.look()

    async def look(self) -> None:
        """Have the holds expire whose time has come, unless those of the last look are still under way."""
        if self._under_way:
            return
        self.pause_s = min(2 * self.pause_s, LOOK_SELDOM_S) if self._is_in_vain else LOOK_EVERY_S
        self._is_in_vain = False
        try:
            await self.expire_due()
        except Exception:  # the file could not be read: the next look may do better
            self._is_in_vain = True
            if not self._is_unreadable:
                log.exception("holds whose time has come could not be looked up")
            self._is_unreadable = True
        else:
            self._is_unreadable = False

    async def expire_due(self) -> None:
        """Submit the expiry of each hold whose time has come, those that came first, while there is room."""
        room = self._room()
        if not room:
            return
        now_us = self._wall_clock()
        due = await self._store.read(lambda connection: queries.holds_due(connection, now_us, room))
        # Asked again: a stop may have begun while the file was read, and waits for all that is submitted.
        for hold_id in due[: self._room()]:
            self._under_way.add(hold_id)
            self._submit(ExpireHold(hold_id, key=str(hold_id), caller=CALLER), self, "", None)
