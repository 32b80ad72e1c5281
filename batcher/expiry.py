"""Ends holds, bonus money and free bets when their time has come: each expiry is a command like any other."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from engine import queries
from engine.commands import Command, ExpireBonus, ExpireFreeBet, ExpireHold, Keyed
from engine.now import Now
from engine.outcomes import RETRYABLE, Code, Outcome, Rejected
from engine.store import Store

log = logging.getLogger("solidgreen.batcher")

LOOK_EVERY_S: Final = 1.0
"""How late something may expire. It is not captured or spent in between all the same: `decide` knows its
time."""

LOOK_SELDOM_S: Final = 60.0
"""The pause doubles up to here while expiries are turned away, or fail: then nothing is gained by haste."""

AT_ONCE: Final = 200
"""Expiries in one go, so that the bets of a batch do not wait for thousands of them."""

CALLER: Final = "clock"
"""Whose keys these are: no token can name this caller, since theirs are numbers."""


class Expiry:
    """Has things expire, through the batcher's own door. It is the asker of its commands.

    They are found in the file as long as they are open and overdue, so nothing has to be remembered: what was
    turned away is found again by a later look, also by that of the next process.
    """

    def __init__(
        self,
        store: Store,
        submit: Callable[[Command, Expiry, str, Code | None], None],
        now: Callable[[], Now],
        room: Callable[[], int] = lambda: AT_ONCE,
    ) -> None:
        """`submit` answers each command exactly once, later. `now`: the time of the books. `room`: how many
        commands are welcome now.
        """
        self.pause_s = LOOK_EVERY_S
        """Until the next look."""
        self._store = store
        self._submit = submit
        self._now = now
        self._room = room
        self._under_way: set[Command] = set()
        self._is_in_vain = False  # something of the last look was turned away, or could not be read
        self._is_unreadable = False

    def answer(self, request_id: str, command: Command, outcome: Outcome) -> None:
        """Something has expired, was ended by somebody else, or will be tried again."""
        self._under_way.discard(command)
        if isinstance(outcome, Rejected) and outcome.code in RETRYABLE:
            self._is_in_vain = True

    async def run(self) -> None:
        """Look for what has to expire; for ever."""
        while True:
            await asyncio.sleep(self.pause_s)
            await self.look()

    async def look(self) -> None:
        """Have everything expire whose time has come, unless something of the last look is still under
        way."""
        if self._under_way:
            return
        self.pause_s = min(2 * self.pause_s, LOOK_SELDOM_S) if self._is_in_vain else LOOK_EVERY_S
        self._is_in_vain = False
        try:
            await self.expire_due()
        except Exception:  # the file could not be read: the next look may do better
            self._is_in_vain = True
            if not self._is_unreadable:
                log.exception("what has to expire could not be looked up")
            self._is_unreadable = True
        else:
            self._is_unreadable = False

    async def expire_due(self) -> None:
        """Submit the expiry of each thing whose time has come, those that came first, while there is room:
        none while the clock is unsure."""
        room = self._room()
        now = self._now()
        if not room or now.unsure_since_us is not None:
            return
        due = await self._store.read(lambda connection: queries.expiries_due(connection, now.at_us, room))
        # Asked again: a stop may have begun while the file was read, and waits for all that is submitted.
        for what, id_, expires_at_us in due[: self._room()]:
            command = _COMMANDS[what](id_, expires_at_us)
            self._under_way.add(command)
            self._submit(command, self, "", None)


# A bonus wallet can expire again, once it has been granted more; the others cannot.
_COMMANDS: Final[dict[str, Callable[[int, int], Keyed]]] = {
    "hold": lambda id_, _: ExpireHold(id_, key=str(id_), caller=CALLER),
    "bonus": lambda id_, at_us: ExpireBonus(id_, key=f"{id_}:{at_us}", caller=CALLER),
    "free bet": lambda id_, _: ExpireFreeBet(id_, key=str(id_), caller=CALLER),
}
