"""Attacks on how far the house's books may go: floors moved by a word, or not as it is said."""

from __future__ import annotations

import json
from dataclasses import replace

from tests.attacks_on_bonus import turn as turn_beside_bonuses
from tests.attacks_on_holders import BEGINS_EMPTY
from tests.attacks_on_life import FREEZE
from tests.attacks_on_payouts import in_a_later_batch, turn, two
from tests.book_rows import CLEARING, Value, insert
from tests.books import ALICE, CASH, FLOOR, HOUSE, PLAYER, Attack, attacks
from tests.books_bonus import OF_ALICE

AS_SAID = "users: a floor changes as a new transaction of the open batch says"


def of_floor(user: int, floor: int) -> str:
    """The answer of a transaction that set a floor, as far as the schema looks at it."""
    return json.dumps({"floor": {"user_id": user, "floor_minor": floor}})


def _set(user: int, floor: int) -> str:
    return f"UPDATE users SET floor = {floor} WHERE id = {user};\n"


def _begins(floor: int, **row: Value) -> str:
    return insert("users", {**PLAYER, "floor": floor, **row})


def _said_and_done(user: int, floor: int) -> str:
    """By the rule, as far as it goes."""
    return turn("FLOOR", of_floor(user, floor), _set(user, floor))


SAID = of_floor(HOUSE, -50)
DONE = _set(HOUSE, -50)

_ON_FILE = [
    *attacks(
        AS_SAID,
        {
            "a floor lowered by a word": _set(CASH, FLOOR * 2),
            "a floor raised by a word": DONE,
            "a floor in a frozen batch": turn("FLOOR", SAID, FREEZE, DONE),
            "a floor behind the seal": turn("FLOOR", SAID, after=DONE),
            "a floor by a transaction of another kind": turn("LIMIT", SAID, DONE),
            "a floor by an answer that says none": turn("FLOOR", "{}", DONE),
            "the floor of another book": turn("FLOOR", of_floor(CASH, -50), DONE),
            "a lower floor than is said": turn("FLOOR", SAID, _set(HOUSE, -51)),
            "a floor by a transaction sealed before": in_a_later_batch("FLOOR", SAID, DONE),
            "the older of two floors": two(("FLOOR", SAID), ("FLOOR", of_floor(HOUSE, -49)), DONE),
        },
    ),
    Attack("a floor above zero", _said_and_done(HOUSE, 1), "floor <= 0"),
    Attack("a floor above what is there", _said_and_done(CASH, -1499), "available_is_not_negative"),
    Attack("a player with an overdraft", _said_and_done(ALICE, -1), "player_has_no_overdraft"),
    Attack(
        "a clearing account that may be overdrawn",
        _said_and_done(CLEARING + 15, -30),
        "payout_accounts_clear",
    ),
]

FLOORS = [
    *(replace(each, blocks=4) for each in _ON_FILE),
    Attack(
        "a bonus wallet with an overdraft",
        turn_beside_bonuses("FLOOR", of_floor(OF_ALICE, -1), _set(OF_ALICE, -1)),
        "player_has_no_overdraft",
        blocks=5,
    ),
    *attacks(
        BEGINS_EMPTY,
        {
            "a player who begins with an overdraft": _begins(-1),
            "a book that begins with a floor of its own": _begins(
                -1, kind="fees", currency="USD", participant_id=None
            ),
            "a book that begins with another floor": _begins(
                0, kind="fees", currency="USD", participant_id=None
            ),
        },
    ),
    replace(
        Attack(
            "a clearing account that begins with an overdraft",
            turn(
                "STATUS",
                "{}",
                insert("users", {"id": CLEARING + 13, "kind": "clearing", "currency": "EUR", "floor": FLOOR}),
            ),
            BEGINS_EMPTY,
        ),
        blocks=4,
    ),
]
