"""Commands other than bets, as the tests of the batcher send them: each is known by its key."""

from __future__ import annotations

from collections.abc import Callable

from engine.commands import CashOutBet, Command, Deposit, Keyed, Result, RollBackBet, SettleBet, UnsettleBet
from engine.decide import decide
from engine.outcomes import Code, Outcome
from engine.view import View
from tests.batches import BOB, World, bet_id


def deposit(key: str, amount_minor: int = 5, caller: str = "op") -> Deposit:
    return Deposit(BOB, amount_minor, key=key, caller=caller)


def settle(number: int, payout_minor: int | None = 20, result: Result = Result.WON, key: str = "s") -> Keyed:
    return SettleBet(bet_id(number), result, payout_minor, key=f"{key}-{number}", caller="op")


def unsettle(number: int, key: str = "u") -> Keyed:
    return UnsettleBet(bet_id(number), key=f"{key}-{number}", caller="op")


def cash_out(number: int, stake_minor: int = 4, payout_minor: int = 3, key: str = "c") -> Keyed:
    return CashOutBet(bet_id(number), stake_minor, payout_minor, key=f"{key}-{number}", caller="op")


def roll_back(number: int, key: str = "r") -> Keyed:
    return RollBackBet(bet_id(number), key=f"{key}-{number}", caller="op")


def kinds(this: World) -> list[str]:
    """Of the transactions behind the opening deposits: from the file alone."""
    return [kind for (kind,) in this.rows("SELECT kind FROM transactions WHERE id > 2 ORDER BY id")]


def failing(*keys: str) -> Callable[[View, Command, int, Code | None], Outcome]:
    """`decide`, but the commands of these keys fail after they were decided."""

    def decide_and_fail(view: View, command: Command, now_us: int, objection: Code | None) -> Outcome:
        outcome = decide(view, command, now_us, objection)
        if command.key in keys and objection is None:
            raise ZeroDivisionError
        return outcome

    return decide_and_fail
