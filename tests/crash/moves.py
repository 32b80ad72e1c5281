"""Money that an operator moves under load: what is asked, what is answered, what it does to a wallet."""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from random import Random
from typing import Any

from tests.crash.standing import Standing

Json = dict[str, Any]

PREFIX = "move-"
"""Of every key, so that outsiders find these commands in the books."""

REPLIES = {"bet.settled", "bet.rolled_back", "bet.cashed_out", "wallet.moved"}
REQUESTS = {"bet.settle", "bet.rollback", "bet.cashout", "wallet.deposit", "wallet.withdraw"}
KINDS = (
    ("bet.settle", "won"),
    ("bet.settle", "lost"),
    ("bet.settle", "void"),
    ("bet.rollback", None),
    ("bet.cashout", None),
    ("wallet.deposit", None),
    ("wallet.withdraw", None),
)
EXPECTED = {"BET_CLOSED", "BET_ROLLED_BACK", "INSUFFICIENT_FUNDS"}
"""Refusals of a sound server: the load ends some bets twice, and asks the poor for money."""

_keys = itertools.count(1)


@dataclass
class Move:
    """One key of an operator's: how it was sent, and everything heard about it."""

    key: str
    user_id: int
    """Whose wallet it moves."""
    stake: int
    """Of the bet that it ends; 0 if it is about a wallet."""
    request: Json
    answers: list[Json] = field(default_factory=list)
    """Binding ones."""
    sendings: int = 0
    unanswered: int = 0
    """Of the sendings: those that may still have an effect."""
    orphaned: int = 0
    """Of these: those whose server has ended. They happened or never will."""
    deferrals: int = 0
    after: int = 0
    """The newest transaction that had been heard of when it was first asked for."""

    @property
    def bet_id(self) -> str | None:
        """The bet that it ends."""
        return self.request.get("bet_id")

    @property
    def told(self) -> Json | None:
        """What the operator was told first of money that has moved."""
        return next((answer for answer in self.answers if answer["type"] in REPLIES), None)

    @property
    def standing(self) -> Standing:
        if self.told is not None:
            return Standing.CONFIRMED
        if (
            self.unanswered
        ):  # also beside a refusal: that leaves the key free, and a copy may find money there
            return Standing.OPEN
        return Standing.REFUSED if self.answers else Standing.DEFERRED

    @property
    def effect(self) -> int:
        """What the wallet gets, in minor units, if it happens."""
        match self.request:
            case {"type": "bet.settle", "result": "void"} | {"type": "bet.rollback"}:
                return self.stake
            case {"type": "bet.settle", "result": "lost"}:
                return 0
            case {"type": "bet.settle" | "bet.cashout", "payout": payout}:
                return int(payout)
            case {"type": "wallet.deposit", "amount": amount}:
                return int(amount)
            case {"type": "wallet.withdraw", "amount": amount}:
                return -int(amount)
        raise AssertionError(f"what does {self.request} do?")


def ending(bet_id: str, stake: int, rng: Random) -> Json:
    """A request that ends a confirmed bet in one of the ways in which a bet can end."""
    payout = rng.randint(1, 3 * stake)
    body: Json = rng.choice(
        (
            {"type": "bet.settle", "result": "won", "payout": payout},
            {"type": "bet.settle", "result": "lost"},
            {"type": "bet.settle", "result": "void"},
            {"type": "bet.rollback"},
            {"type": "bet.cashout", "stake": stake, "payout": payout},
        )
    )
    return body | {"key": _fresh_key(), "bet_id": bet_id}


def transfer(user_id: int, most: int, rng: Random) -> Json:
    """A request that pays up to `most` into a wallet or out of it."""
    type_ = rng.choice(("wallet.deposit", "wallet.withdraw"))
    return {"type": type_, "key": _fresh_key(), "user_id": user_id, "amount": rng.randint(1, most)}


def under_another_key(request: Json) -> Json:
    """The same once more: a second command, which a bet that has ended refuses.

    A second rollback would be told the first one's answer (docs/wire.md), so there it is a settlement.
    """
    key = {"key": _fresh_key()}
    if request["type"] == "bet.rollback":
        return {"type": "bet.settle", "result": "void", "bet_id": request["bet_id"]} | key
    return request | key


def _fresh_key() -> str:
    return f"{PREFIX}{next(_keys)}-{secrets.token_hex(8)}"


def kinds(moves: Iterable[Move]) -> set[tuple[str, str | None]]:
    """Which of `KINDS` there are among those that have moved money."""
    return {(move.request["type"], move.request.get("result")) for move in moves if move.told}
