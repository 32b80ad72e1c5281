"""Books with a past: bets that were placed and settled, made by the engine itself."""

from __future__ import annotations

import asyncio
import random
import time
import uuid
from pathlib import Path
from typing import Final

from engine.commands import Command, PlaceBet, Result, SettleBet
from engine.outcomes import Accepted
from engine.store import Asked, Store

BATCH: Final = 1_000
STAKE_MINOR: Final = 100
OPEN_SHARE: Final = 0.02
"""Of the bets, those that are never settled."""

SEED: Final = 5


def grow(db: Path, user_ids: list[int], entries: int) -> int:
    """Add bets until there are some `entries` entries more: a bet has two, and half of the bets are won,
    which is two more. Each is settled by the next block. The time (us) at which half of them were there.
    """
    return asyncio.run(_grow(db, user_ids, max(2, entries // (3 * BATCH))))


async def _grow(db: Path, user_ids: list[int], rounds: int) -> int:
    chance = random.Random(SEED)
    store = await Store.open(db)
    half_us = 0
    try:
        settlements: list[Command] = []
        for number in range(rounds):
            now_us = time.time_ns() // 1000
            if number == rounds // 2:
                half_us = now_us
            placed = [_bet(chance, user_ids, now_us) for _ in range(BATCH)]
            await _commit(store, [*settlements, *placed], now_us)
            settlements = [_settled(chance, bet) for bet in placed if chance.random() >= OPEN_SHARE]
        await _commit(store, settlements, time.time_ns() // 1000)
    finally:
        await store.close()
    return half_us


def _bet(chance: random.Random, user_ids: list[int], at_us: int) -> PlaceBet:
    bet_id = str(uuid.UUID(int=chance.getrandbits(128), version=4))
    return PlaceBet(bet_id, chance.choice(user_ids), STAKE_MINOR, bet_id, at_us)


def _settled(chance: random.Random, bet: PlaceBet) -> SettleBet:
    is_won = chance.random() < 0.5
    result, payout_minor = (Result.WON, 2 * STAKE_MINOR) if is_won else (Result.LOST, None)
    return SettleBet(bet.bet_id, result, payout_minor, key=bet.bet_id, caller="results")


async def _commit(store: Store, commands: list[Command], at_us: int) -> None:
    outcomes = await store.commit([Asked(command) for command in commands], at_us)
    refused = [outcome for outcome in outcomes if not isinstance(outcome, Accepted)]
    if refused:
        raise RuntimeError(f"{len(refused)} commands were refused: {refused[0]}")
