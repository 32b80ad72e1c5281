"""An evening that a house could have had, for the pictures: players, what they bet and won, a payout."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from demo.bots import Seat
from demo.company import Company
from demo.house import House, Person
from ws.client import BetConfirmed, Result, Wallet
from ws.wire.operators import TransferLeg, WalletMoved, WalletStatus, WalletTransfer
from ws.wire.payouts import Payout, PayoutMake, PayoutWinner

PLAYERS: Final = ("maria.lind", "marius.k", "tom.okafor", "yuki.sato", "ana.duarte", "marlene_b")
"""The first one is who the player's page shows."""
OPERATOR: Final = "olga.petrova"
OPENING: Final = 25_000  # 250.00 EUR
BETS: Final = (  # stake, game, on what, odds in thousandths, what was paid
    (1_000, "Roulette", "Red", 2_000, 2_000),
    (1_000, "Roulette", "Red", 2_000, 0),
    (500, "Derby", "Sea Biscuit", 6_500, 0),
    (2_000, "Football", "Ajax and Celtic draw", 3_400, 6_800),
    (250, "Roulette", "Number 17", 36_000, 0),
    (1_500, "Football", "Lyon beat Porto", 2_450, 0),
    (1_250, "Roulette", "Black", 2_000, 2_500),
)
GIFT: Final = 2_000
"""From one player to another."""
PRIZE: Final = 500
WINNERS: Final = 40
"""Of the week's payout, and one more whose wallet is blocked: his prize is in suspense."""
STALLS_S: Final = 6.0
"""Each commit gives up after a second: three that fail in a row open the circuit (batcher/breaker.py)."""


@dataclass
class Evening:
    """The house, and the two people whose pages are shown."""

    house: House
    player: Person
    operator: Person

    @staticmethod
    async def begun(house: House, company: Company, seats: Sequence[Seat]) -> Evening:
        """All that has happened before anybody looks."""
        people = [await asyncio.to_thread(house.register, name) for name in PLAYERS]
        operator = await asyncio.to_thread(house.hire, OPERATOR)
        for number, person in enumerate(people):
            await company.croupier.deposit(
                person.user_id, OPENING + 1_750 * number, f"welcome/{person.username}"
            )
        await _has_played(house, company, people[0], people[2])
        await _has_paid(company, [seat.user_id for seat in seats[:WINNERS]], people[-1].user_id)
        return Evening(house, people[0], operator)

    async def stall(self) -> None:
        """For a while nothing can be committed, as if the disk hung: somebody has the write lock."""
        with contextlib.closing(sqlite3.connect(self.house.db, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            await asyncio.sleep(STALLS_S)
            other.execute("ROLLBACK")


async def _has_played(house: House, company: Company, player: Person, friend: Person) -> None:
    croupier = company.croupier.wallet
    async with Wallet(
        house.server.ws, await asyncio.to_thread(house.players_token, player.user_id)
    ) as wallet:
        for number, (stake, game, selection, odds, paid) in enumerate(BETS):
            answer = await wallet.place(stake, game=game, selection=selection, odds_milli=odds)
            assert isinstance(answer, BetConfirmed), answer
            result = Result.WON if paid else Result.LOST
            await croupier.settle(answer.bet_id, result, paid or None, key=f"round/{number}")
        legs = [TransferLeg(player.user_id, -GIFT), TransferLeg(friend.user_id, GIFT)]
        await wallet.ask(WalletTransfer("", "thanks for the tickets", legs), WalletMoved)


async def _has_paid(company: Company, winners: Sequence[int], blocked: int) -> None:
    croupier = company.croupier.wallet
    await croupier.ask(WalletStatus("", "evening/blocked", blocked, "blocked"), WalletMoved)
    items = [PayoutWinner(user_id, PRIZE) for user_id in (*winners, blocked)]
    await croupier.ask(PayoutMake("", "leaderboard", "EUR", items), Payout)
