"""Pays mass payouts out of their clearing accounts, chunk by chunk: each chunk is a command like any other.

Where a payout stands is in the file, so a crash at any point resumes: `decide` refuses a chunk that is not
the next one, and its key makes it happen once.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final, NamedTuple

from batcher.expiry import CALLER, LOOK_SELDOM_S
from batcher.jobs import Ask
from engine import queries
from engine.commands import PayChunk
from engine.outcomes import Accepted, Code
from engine.store import Store

log = logging.getLogger("solidgreen.batcher")

LOOK_EVERY_S: Final = 1.0
"""How late a payout may begin, and how soon one goes on whose chunk was refused for the first time."""

PAUSE_S: Final = 0.01
"""Between two chunks. A chunk of 100 items holds a batch up by some 3 ms, so bets keep most of the writer's
time, and 100,000 winners take some 15 s."""

AT_ONCE: Final = 100
"""Payouts that are looked up in one go."""


class Wait(NamedTuple):
    """How long a payout is left alone after a chunk of it was refused; the next refusal doubles `pause_s`."""

    until_us: int
    pause_s: float


class Paying:
    """Has payouts paid through the batcher's own door, a chunk of each in turn.

    A payout is found in the file, with the number of its next item, as long as it is under way, so nothing
    has to be remembered but which of them to leave alone for a while.
    """

    def __init__(
        self,
        store: Store,
        ask: Ask,
        clock: Callable[[], int],
        room: Callable[[], int] = lambda: AT_ONCE,
    ) -> None:
        """`clock`: monotonic, in microseconds. `room`: how many commands are welcome now; with fewer than
        two, bets are being turned away, and there is no haste.
        """
        self.pause_s = LOOK_EVERY_S
        """Until the next look."""
        self._store = store
        self._ask = ask
        self._clock = clock
        self._room = room
        self._last = 0  # the payout that was looked at last; the next one's turn has come
        self._refused: dict[int, Wait] = {}  # only of payouts under way: a chunk that is accepted ends it
        self._is_unreadable = False

    async def run(self) -> None:
        """Look for payouts that are under way, and pay them; for ever."""
        while True:
            await asyncio.sleep(self.pause_s)
            await self.look()

    async def look(self) -> None:
        """Pay the next chunk of the payout whose turn it is."""
        is_paid = False
        if self._room():
            try:
                is_paid = await self.pay_next()
            except Exception:  # the file could not be read: the next look may do better
                if not self._is_unreadable:
                    log.exception("payouts under way could not be looked up")
                self._is_unreadable = True
                self.pause_s = max(LOOK_EVERY_S, min(2 * self.pause_s, LOOK_SELDOM_S))
                return
            self._is_unreadable = False
        self.pause_s = PAUSE_S if is_paid and self._room() > 1 else LOOK_EVERY_S

    async def pay_next(self) -> bool:
        """Whether a chunk was paid; none, if nothing is under way, or all of it is left alone for a while."""
        after = self._last
        found = await self._store.read(lambda c: queries.payouts_under_way(c, after, AT_ONCE))
        for payout_id, done in found:
            # Asked again: a stop may have begun while the file was read, and waits for all that is submitted.
            if not self._room():
                return False
            self._last = payout_id
            wait = self._refused.get(payout_id)
            if wait is not None and self._clock() < wait.until_us:
                continue
            if await self._pay(payout_id, done):
                return True
        return False

    async def _pay(self, payout_id: int, done: int) -> bool:
        outcome = await self._ask(PayChunk(payout_id, done, key=f"{payout_id}:{done}", caller=CALLER))
        if not isinstance(outcome, Accepted):
            self._leave_alone(payout_id, done, outcome.code)
            return False
        self._refused.pop(payout_id, None)
        told = outcome.payout
        assert told is not None
        if told.done == told.items:
            log.info("payout %d is paid: %d items, %d in suspense", payout_id, told.items, told.suspended)
        return True

    def _leave_alone(self, payout_id: int, done: int, code: Code) -> None:
        wait = self._refused.get(payout_id)
        if wait is None:
            log.warning("payout %d waits at item %d: %s", payout_id, done, code.name)
        pause_s = LOOK_EVERY_S if wait is None else min(2 * wait.pause_s, LOOK_SELDOM_S)
        self._refused[payout_id] = Wait(self._clock() + int(pause_s * 1_000_000), pause_s)
