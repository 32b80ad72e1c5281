"""All who play at one house, together: the bots, the croupier, and whoever plays on the player's page."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from random import Random
from typing import Final

from demo.bots import Bell, Bot, Croupier, Seat
from demo.house import House, Person
from demo.notes import Notes
from ws.client import Wallet

ANSWERED: Final = (0.2, 0.7)
"""Of the bets of a rush, at random in between: when so many are confirmed, some are written and not answered,
and some are not written."""
RUSH_WITHIN_S: Final = 2.0


class Company:
    """Bots and a croupier, from `seated` on."""

    def __init__(self, house: House, seats: Sequence[Seat]) -> None:
        """Their notes are in the house's folder `notes`."""
        self.notes = house.folder / "notes"
        self._house = house
        self._rng = Random()
        self.notes.mkdir()
        self._bots = [Bot(house.server.ws, seat, self.notes, Random(self._rng.random())) for seat in seats]
        self._croupiers_notes = Notes(self.notes / "croupier.jsonl")
        self.croupier = Croupier(
            house.server.ws, self._token, self._croupiers_notes, Random(self._rng.random())
        )

    @contextlib.asynccontextmanager
    async def seated(self) -> AsyncIterator[None]:
        """Everybody connected. Raises `ClientError` if somebody cannot be."""
        everybody: list[Croupier | Bot] = [self.croupier, *self._bots]
        try:
            await asyncio.gather(*(one.sit() for one in everybody))
            yield
        finally:
            await asyncio.gather(*(one.leave() for one in everybody))
            self._croupiers_notes.close()

    @contextlib.asynccontextmanager
    async def beside(self, player: Person) -> AsyncIterator[None]:
        """What that person bets, on a page, is ended as well."""

        async def token() -> str:
            return await asyncio.to_thread(self._house.players_token, player.user_id)

        async with Wallet(self._house.server.ws, token) as visitor:
            serving = asyncio.create_task(self.croupier.serve(visitor))
            try:
                yield
            finally:
                serving.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await serving

    async def play(self, bell: Bell) -> None:
        """All bots, until the bell is over, and until what they have begun has ended."""
        async with asyncio.TaskGroup() as rounds:
            for bot in self._bots:
                rounds.create_task(bot.play(bell, self.croupier, rounds))

    async def rush(self, bell: Bell) -> None:
        """Have everybody bet at once; return in the middle of it, with bets on their way. If the server is so
        slow that there are none for `RUSH_WITHIN_S`, return all the same: the report says so.
        """
        enough = self.confirmed + self._rng.uniform(*ANSWERED) * len(self._bots)
        bell.ring()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(RUSH_WITHIN_S):
                while self.confirmed < enough or not self.waiting:
                    if self.confirmed >= enough:
                        bell.ring()  # few bots: all are answered already, so once more
                    await asyncio.sleep(0.001)

    async def note_balances(self) -> None:
        """Each notes what he is shown."""
        await asyncio.gather(*(bot.note_balance() for bot in self._bots))

    @property
    def confirmed(self) -> int:
        """Bets, since the start."""
        return sum(bot.confirmed for bot in self._bots)

    @property
    def waiting(self) -> int:
        """Bots that wait for an answer."""
        return sum(bot.is_waiting for bot in self._bots)

    async def _token(self) -> str:
        return await asyncio.to_thread(self._house.croupiers_token)
