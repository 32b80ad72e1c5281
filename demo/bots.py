"""Those who play, one socket each, and the croupier who ends their bets. Real sockets, the public client.

A bot thinks, places a bet, waits until it is told, and notes both. When the server dies in between, the
client (`ws.client`) connects again and asks again, under the same `bet_id`: a bot only waits.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Final

from demo.books import PREFIX
from demo.games import SELECTIONS, Character, Selection, payout
from demo.notes import Notes
from ws.client import BetConfirmed, ClientError, Refused, Result, Wallet, WalletEntry, new_bet_id

PATIENCE_S: Final = 60.0
"""For one answer, the server's restart and the pauses between connections included."""
ROUND_S: Final = (1.0, 4.0)
"""From a bet to its result, at random in between."""
STARTLED_S: Final = 0.12
"""From the bell to a bet, at most: people are not equally quick."""
LEFT_OPEN: Final = 0.02
"""Of the bets, left for whoever sits at the operator's page to settle or roll back."""
VISITOR_ROUND_S: Final = 15.0
"""From a bet on the player's page to its result: time to look at it."""
VISITOR_ODDS: Final = 2
"""What the croupier pays on such a bet, whatever it was on, stake included: half of them win."""


@dataclass(frozen=True)
class Seat:
    """Whose wallet a bot plays with, and how."""

    user_id: int
    token: str
    character: Character


class Bell:
    """Ends everybody's pause: rung when all shall bet at once, and for the last time when all shall end."""

    def __init__(self) -> None:
        self.is_over = False
        self._rung = asyncio.Event()

    def ring(self) -> None:
        """Whoever thinks has thought enough."""
        self._rung.set()
        self._rung = asyncio.Event()

    def close(self) -> None:
        """No more bets."""
        self.is_over = True
        self.ring()

    async def pause(self, seconds: float) -> bool:
        """Until then, or until it is rung: True."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0 if self.is_over else seconds):
                return await self._rung.wait()
        return self.is_over


class Croupier:
    """Ends bets: for each that is won, lost or void, one `bet.settle`, under a key of its own."""

    def __init__(self, url: str, token: Callable[[], Awaitable[str]], notes: Notes, rng: Random) -> None:
        self.wallet = Wallet(url, token, within_s=PATIENCE_S)
        """For whatever else the house wants done."""
        self._notes = notes
        self._rng = rng

    async def sit(self) -> None:
        """Connect. Raises `ClientError`."""
        await self.wallet.__aenter__()

    async def leave(self) -> None:
        await self.wallet.close()

    async def deposit(self, user_id: int, amount: int, why: str) -> None:
        """Money from outside; `why` names it, once."""
        await self.wallet.deposit(user_id, amount, key=f"deposit/{why}")

    async def end(self, bet_id: str, stake: int, selection: Selection) -> None:
        """Settle a bet once its round is over, if it is not left open."""
        if self._rng.random() < LEFT_OPEN:
            return
        await asyncio.sleep(self._rng.uniform(*ROUND_S))
        won = payout(stake, selection, self._rng)
        key = f"{PREFIX}{bet_id}"
        self._notes.note(settling=key, bet_id=bet_id)
        try:
            settled = await self._settle(bet_id, won, key)
        except Refused as refused:  # somebody at the operator's page was quicker
            self._notes.note(refused=key, code=refused.code)
        except ClientError as error:
            self._notes.note(trouble=repr(error), key=key)  # never told: the judge finds it
        else:
            self._notes.note(settled=key, transaction_id=settled)

    async def serve(self, visitor: Wallet) -> None:
        """End what is bet on the player's page, for ever."""
        async with asyncio.TaskGroup() as rounds:
            async for entry in visitor.entries():
                if isinstance(entry, WalletEntry) and entry.kind == "BET":
                    assert isinstance(entry.bet_id, str)
                    rounds.create_task(self._end_visitors(entry.bet_id, -entry.amount))

    async def _end_visitors(self, bet_id: str, stake: int) -> None:
        await asyncio.sleep(VISITOR_ROUND_S)
        won = stake * VISITOR_ODDS if self._rng.random() < 0.5 else 0
        with contextlib.suppress(Refused):
            await self._settle(bet_id, won, f"visitor/{bet_id}")

    async def _settle(self, bet_id: str, won: int, key: str) -> int:
        result = Result.WON if won else Result.LOST
        return (await self.wallet.settle(bet_id, result, won or None, key=key)).transaction_id


class Bot:
    """One player, from `sit` to `leave`."""

    def __init__(self, url: str, seat: Seat, folder: Path, rng: Random) -> None:
        """`folder`: where its notes are kept."""
        self._wallet = Wallet(url, seat.token, within_s=PATIENCE_S)
        self._seat = seat
        self._notes = Notes(folder / f"player-{seat.user_id}.jsonl")
        self._rng = rng
        self.confirmed = 0
        """Bets, since the start."""
        self.is_waiting = False
        """For an answer."""

    async def sit(self) -> None:
        """Connect. Raises `ClientError`."""
        await self._wallet.__aenter__()

    async def leave(self) -> None:
        await self._wallet.close()
        self._notes.close()

    async def play(self, bell: Bell, croupier: Croupier, rounds: asyncio.TaskGroup) -> None:
        """Bet until the bell is over and the last bet is answered; `rounds` waits for how its bets end."""
        await bell.pause(self._rng.uniform(0, self._seat.character.thinks_s))  # not all at once
        while not bell.is_over:
            selection = self._rng.choice(SELECTIONS)
            stake = self._seat.character.stake(self._rng)
            bet_id = await self._place(stake, selection)
            if bet_id is not None:
                rounds.create_task(croupier.end(bet_id, stake, selection))
            if await bell.pause(self._seat.character.pause_s(self._rng)) and not bell.is_over:
                await asyncio.sleep(self._rng.uniform(0, STARTLED_S))

    async def note_balance(self) -> None:
        """As it is shown now. No answer is not noted: the judge finds it."""
        with contextlib.suppress(ClientError):
            funds = await self._wallet.refresh()
            self._notes.note(user_id=self._seat.user_id, balance=funds.balance)

    async def _place(self, stake: int, selection: Selection) -> str | None:
        bet_id = new_bet_id()
        self._notes.note(user_id=self._seat.user_id, placing=bet_id, stake=stake)
        self.is_waiting = True
        try:
            answer = await self._wallet.place(
                stake,
                bet_id=bet_id,
                game=selection.game,
                selection=selection.name,
                odds_milli=selection.odds_milli,
            )
        except ClientError as error:
            self._notes.note(trouble=repr(error), bet_id=bet_id)  # never told: the judge finds it
            return None
        finally:
            self.is_waiting = False
        if not isinstance(answer, BetConfirmed):
            self._notes.note(told="bet.rejected", bet_id=bet_id, code=answer.code)
            return None
        told = {"bet_id": bet_id, "transaction_id": answer.transaction_id, "seq": answer.seq}
        self._notes.note(told="bet.confirmed", **told)
        self.confirmed += 1
        return bet_id
