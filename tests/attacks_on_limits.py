"""Attacks on the limits that a player sets himself: loosened, forgotten, counted anew, set for him."""

from __future__ import annotations

from dataclasses import replace

from tests.attacks_on_life import FREEZE
from tests.attacks_on_payouts import turn
from tests.book_rows import Row, Value, insert, limit
from tests.books import ALICE, BOB, HOUSE, PAYING, PLAYER, Attack, attacks, batch

PUT = "limits: one of a player, put by a transaction of the open batch"
CHANGED = "limits: it counts in an open batch, and changes by a transaction of it"
FOR_GOOD = "users: held, owed and limited change in an open batch, and limits are for good"
REPLACE = "INSERT OR REPLACE"

OWN = limit(ALICE, 500)


def _put(row: Row, verb: str = "INSERT") -> str:
    return insert("limits", row, verb)


def _set(change: str) -> str:
    return f"UPDATE limits SET {change} WHERE user_id = {ALICE};\n"


def _limited(user: int, value: int) -> str:
    return f"UPDATE users SET limited = {value} WHERE id = {user};\n"


def by_nothing(*sql: str) -> str:
    """A batch in which no limit is set."""
    return turn("STATUS", "{}", *sql)


def by_a_limit(*sql: str) -> str:
    """A batch in which a limit is set."""
    return turn("LIMIT", "{}", *sql)


OTHER_TERMS: dict[str, Value] = {"amount": 501, "pending": 9000, "pending_from": 1}
OTHER_KEYS: dict[str, Value] = {"user_id": BOB, "kind": "loss", "period": "week"}

_ON_FILE = [
    *attacks(
        PUT,
        {
            "a limit without a batch": _put(limit(BOB, 5)),
            "a limit in a frozen batch": by_a_limit(FREEZE, _put(limit(BOB, 5))),
            "a limit behind the seal": turn("LIMIT", "{}", after=_put(limit(BOB, 5))),
            "a limit of nobody": by_a_limit(_put(limit(99, 5))),
            "a limit of the house": by_a_limit(_put(limit(HOUSE, 5))),
            **{
                f"a limit beside another by nothing: {column}": by_nothing(_put({**OWN, column: value}))
                for column, value in OTHER_KEYS.items()
            },
            **{
                f"a limit loosened by REPLACE: {column}": by_nothing(_put({**OWN, column: value}, REPLACE))
                for column, value in OTHER_TERMS.items()
            },
            "a limit counted anew by REPLACE": _put({**OWN, "used": -(10**9)}, REPLACE),
            "a limit loosened by upsert": by_nothing(
                _put({**OWN, "amount": 501}).rstrip(";\n")
                + " ON CONFLICT DO UPDATE SET amount = excluded.amount;\n"
            ),
        },
    ),
    *attacks(
        CHANGED,
        {
            "a limit counted anew": _set("used = 0, window = 1"),
            "a limit counted anew in a frozen batch": by_a_limit(FREEZE, _set("used = 1")),
            "a limit loosened by a word": _set("amount = -1"),
            **{
                f"a limit loosened by nothing: {column}": by_nothing(_set(f"{column} = {value!r}"))
                for column, value in OTHER_TERMS.items()
            },
            "a limit loosened by an upsert of other counters": by_nothing(
                _put(OWN).rstrip(";\n") + " ON CONFLICT DO UPDATE SET amount = 9000;\n"
            ),
            "a limit of another player": by_a_limit(_set(f"user_id = {BOB}")),
            "a limit of another kind": by_a_limit(_set("kind = 'time'")),
            "a limit for another time": by_a_limit(_set("period = 'month'")),
        },
    ),
    *attacks(
        "limits are not deleted",
        {"a limit deleted": f"DELETE FROM limits WHERE user_id = {ALICE}", "no limits": "DELETE FROM limits"},
    ),
    *attacks(
        FOR_GOOD,
        {
            "limits ignored": by_a_limit(_limited(ALICE, 0)),
            "limits ignored by a word": _limited(ALICE, 0),
            "limits noted without a batch": _limited(BOB, 1),
            "limits noted in a frozen batch": by_a_limit(FREEZE, _limited(BOB, 1)),
        },
    ),
    Attack("a player limited twice", by_a_limit(_limited(BOB, 2)), "limited = 0 OR limited = 1"),
]

_OUT_OF_RANGE: list[tuple[str, Value, str]] = [
    ("kind", "luck", "known_kind_of_limit"),
    ("period", "year", "known_period"),
    ("amount", -2, "amount >= -1"),
    ("pending", -2, "pending >= -1"),
    ("pending_from", -1, "pending_from >= 0"),
    ("last_bet", -1, "last_bet >= 0"),
    ("period", "ever", "an_exclusion_has_no_period"),
    ("kind", "exclusion", "an_exclusion_has_no_period"),
]

LIMITS = [
    *(replace(each, blocks=4) for each in _ON_FILE),
    Attack(
        "an account that begins with limits",
        insert("users", {**PLAYER, "limited": 1}),
        "users: an account is new and begins empty",
    ),
    *(
        Attack(f"a limit with {column} = {value!r}", batch(PAYING, limit={column: value}), words)
        for column, value, words in _OUT_OF_RANGE
    ),
]
