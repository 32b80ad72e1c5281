"""The books with bonus money and free bets: a fifth block behind the history of `books`, as SQL text."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Mapping

from tests.book_rows import Row, Value, becomes, bet, block, entry, event, insert, opening, update
from tests.books import (
    ALICE,
    BALANCES_FOLLOW,
    BOB,
    BONUS_BOOK,
    HASH_2,
    HASH_3,
    HASH_4,
    HASH_5,
    HOUSE,
    Template,
    batch,
    open_books,
    wallet,
)

ALICE_TOO, ALICE_USD = 11, 12  # further wallets of hers: one more in EUR, one in USD
OF_ALICE, OF_BOB, OF_ALICE_TOO = 13, 14, 15  # the bonus wallets beside theirs; the last has expired
UNUSED, USED, REVOKED, EXPIRED, GIVEN_BACK = (
    25,
    26,
    27,
    28,
    29,
)  # free bets: the last is BOB's, the others ALICE's
OWN_BET, FREE_BET, REFUNDED_BET = "bet-30", "bet-31", "bet-34"  # ALICE's own; by USED; BOB's by GIVEN_BACK
REFUND = 36  # the transaction that gave USED back, before its bet was played again
UNTIL = 1_770_000_000_000_000
AMOUNT = 50


def bonus(user: int, wallet_id: int, made_by: int) -> Row:
    """A row of `bonuses`, as it begins."""
    return {
        "user_id": user,
        "wallet_id": wallet_id,
        "spend": "first",
        "expires_at": UNTIL,
        "state": "open",
        "last_transaction_id": made_by,
    }


def free_bet(number: int, user: int) -> Row:
    """A row of `free_bets`, as it begins."""
    return {
        "id": number,
        "user_id": user,
        "currency": "EUR",
        "amount": AMOUNT,
        "expires_at": UNTIL,
        "state": "open",
        "last_transaction_id": 0,
    }


def of_bonus(user: int, state: str | None = "open", **changes: Value) -> str:
    """The answer of a transaction that granted a bonus or let it expire, as far as the schema looks at it; a
    change to None leaves a field out."""
    told: Row = {"user_id": user, "state": state, "spend": "first", "expires_at_us": UNTIL, **changes}
    return json.dumps({"bonus": {name: value for name, value in told.items() if value is not None}})


def of_free_bet(number: int, state: str, before: int = 0, bet_id: str = "", **changes: Value) -> str:
    """The answer of a transaction that gave or changed a free bet, and, if `bet_id`, the bet that it pays."""
    told: dict[str, object] = {"id": number, "state": state, "amount_minor": AMOUNT, **changes}
    if before:
        told["before"] = before
    answer: dict[str, object] = {"free_bet": told}
    if bet_id:
        answer["bet"] = {"bet_id": bet_id, "state": "void" if state == "open" else "confirmed"}
    return json.dumps(answer)


def bonus_becomes(user: int, **row: Value) -> str:
    """What is written of a bonus that a transaction has changed."""
    return update("bonuses", f"user_id = {user}", row)


def free_bet_becomes(number: int, **row: Value) -> str:
    """What is written of a free bet that a transaction has changed."""
    return update("free_bets", f"id = {number}", row)


# Instead of the next bet of `books`: ALICE is granted a bonus, BOB a free bet.
GRANTING: Template = {
    "batch": ("open_batch", opening(3, 5, 9)),
    "event": ("transactions", event(5, 3, "BONUS", "op:BONUS", "a", of_bonus(11))),
    "event2": ("transactions", event(6, 3, "FREE_BET", "op:FREE_BET", "b", of_free_bet(6, "open"))),
    "account": (
        "users",
        {"id": 11, "kind": "player_bonus", "currency": "EUR", "participant_id": ALICE},
    ),
    "bonus": ("bonuses", bonus(11, ALICE, 5)),
    "free_bet": ("free_bets", free_bet(6, BOB)),
    "block": ("blocks", block(3, (5, 6), (9, 8), HASH_2, HASH_3)),
}

_EVENTS = [
    ("BONUS", of_bonus(OF_ALICE)),
    ("BONUS", of_bonus(OF_BOB, spend="last", expires_at_us=None)),
    ("BONUS", of_bonus(OF_ALICE_TOO)),
    ("EXPIRY", of_bonus(OF_ALICE_TOO, "expired")),
    *(("FREE_BET", of_free_bet(number, "open")) for number in (UNUSED, USED, REVOKED, EXPIRED, GIVEN_BACK)),
    ("BET", "{}"),
    ("BET", of_free_bet(USED, "used")),
    ("REVOKE", of_free_bet(REVOKED, "revoked")),
    ("EXPIRY", of_free_bet(EXPIRED, "expired")),
    ("BET", of_free_bet(GIVEN_BACK, "used")),
    ("REFUND", of_free_bet(GIVEN_BACK, "open", 34, REFUNDED_BET)),
    ("REFUND", of_free_bet(USED, "open", 31, FREE_BET)),
    ("UNSETTLE", of_free_bet(USED, "used", 36, FREE_BET)),
]
# Out of whose account, into whose, how much, why.
_MOVES = [
    (BONUS_BOOK, OF_ALICE, 100, ("BONUS", "21", 21, 5)),
    (BONUS_BOOK, OF_BOB, 40, ("BONUS", "22", 22, 5)),
    (BONUS_BOOK, OF_ALICE_TOO, 5, ("BONUS", "23", 23, 5)),
    (OF_ALICE_TOO, BONUS_BOOK, 5, ("EXPIRY", "15", 24, 5)),
    (ALICE, HOUSE, AMOUNT, ("BET", OWN_BET, 30, 5)),
    (BONUS_BOOK, HOUSE, AMOUNT, ("BET", FREE_BET, 31, 5)),
    (BONUS_BOOK, HOUSE, AMOUNT, ("BET", REFUNDED_BET, 34, 5)),
    (HOUSE, BONUS_BOOK, AMOUNT, ("REFUND", REFUNDED_BET, 35, 5)),
    (HOUSE, BONUS_BOOK, AMOUNT, ("REFUND", FREE_BET, 36, 5)),
    (BONUS_BOOK, HOUSE, AMOUNT, ("UNSETTLE", FREE_BET, 37, 5)),
]


def _bonuses() -> str:
    """The fifth batch: three bonuses, one of which expires, and a free bet for each way that one can go."""
    late = "".join(
        insert(
            "transactions",
            event(
                number,
                5,
                kind,
                "bet" if kind == "BET" else f"op:{kind}",
                f"bet-{number}" if kind == "BET" else str(number),
                answer,
            ),
        )
        for number, (kind, answer) in enumerate(_EVENTS, 21)
    )
    first = 26
    balances = Counter({ALICE: 800, BOB: 510, HOUSE: 163})  # behind the fourth block
    for at, (giver, taker, amount, why) in enumerate(_MOVES):
        for own, (user, change) in enumerate([(giver, -amount), (taker, amount)]):
            balances[user] += change
            late += insert(
                "transaction_ledger", entry(first + 2 * at + own, user, change, balances[user], why, 0)
            )
    late += "".join(
        wallet(number, whose, kind="player_bonus")
        for number, whose in [(OF_ALICE, ALICE), (OF_BOB, BOB), (OF_ALICE_TOO, ALICE)]
    )
    late += insert("bonuses", bonus(OF_ALICE, ALICE, 21))
    late += insert("bonuses", {**bonus(OF_BOB, BOB, 22), "spend": "last", "expires_at": 0})
    late += insert("bonuses", bonus(OF_ALICE_TOO, ALICE_TOO, 23))
    late += "".join(
        insert("free_bets", free_bet(number, ALICE)) for number in (UNUSED, USED, REVOKED, EXPIRED)
    )
    late += insert("free_bets", free_bet(GIVEN_BACK, BOB))
    late += insert("bets", bet(30, ALICE, AMOUNT)) + insert("bets", bet(31, ALICE, AMOUNT))
    late += insert("bets", bet(34, BOB, AMOUNT))
    late += bonus_becomes(OF_ALICE_TOO, state="expired", last_transaction_id=24)
    late += becomes(31, last_transaction_id=37) + becomes(34, state="void", last_transaction_id=35)
    late += free_bet_becomes(USED, state="used", last_transaction_id=37)
    late += free_bet_becomes(REVOKED, state="revoked", last_transaction_id=32)
    late += free_bet_becomes(EXPIRED, state="expired", last_transaction_id=33)
    late += free_bet_becomes(GIVEN_BACK, state="open", last_transaction_id=35)
    opened: Template = {
        "batch": ("open_batch", opening(5, 21, 26)),
        "block": ("blocks", block(5, (21, 37), (26, 45), HASH_4, HASH_5)),
    }
    return batch(opened, late=late)


def write_history(pragmas: Mapping[str, str], schema: str, blocks: int) -> sqlite3.Connection:
    """A new file in memory as `open_books` makes it, or one of five blocks, with bonuses and free bets."""
    db = open_books(pragmas, schema=schema, blocks=min(blocks, 4))
    if blocks >= 5:
        further = wallet(ALICE_TOO, ALICE) + wallet(ALICE_USD, ALICE, "USD")
        db.executescript(further + _bonuses() + BALANCES_FOLLOW)
    return db
