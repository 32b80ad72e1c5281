"""Attacks on money set aside: holds made up, ended by a word, or of a wallet that does not hold them."""

from __future__ import annotations

import sqlite3
from dataclasses import replace

from tests.attacks_on_life import FREEZE, NOT_NULL, TWO, by_the_earlier_of_two, in_a_later_batch, turn
from tests.book_rows import Row, Value, event, hold, hold_becomes, insert, of_hold
from tests.books import ALICE, BOB, HOLDING, HOUSE, Attack, attacks, batch

HOLD_AS_SAID = "holds: it changes as a new transaction of the open batch says"
HOLD_TERMS = "holds: only what became of it changes"
HOLDS_GROW = "holds: a hold follows the newest one"
NOT_A_HOLD = "blocks: a hold in its range is not what its transaction says, or of no such wallet"
IN_A_BATCH = "users: held, owed and limited change in an open batch, and limits are for good"
REPLACE = "INSERT OR REPLACE"

NEW = HOLDING["hold"][1]
GONE: Row = {"state": "released", "remaining": 0, "last_transaction_id": 13}


def held(event: Row | None = None, late: str = "", **row: Value) -> str:
    """The batch in which BOB sets 40 aside, but for these changes."""
    return batch(HOLDING, event=event or {}, hold=row, late=late)


HELD_13 = insert("transactions", event(14, 4, "HOLD", "op:HOLD", "i", of_hold(14, "open", left_minor=40)))

NEW_HOLDS = [
    *attacks(
        HOLDS_GROW,
        {
            "a hold without a batch": insert("holds", NEW),
            "a hold replaced in its own batch": held(
                late=insert("holds", {**NEW, "user_id": ALICE}, REPLACE)
            ),
            "a hold for a frozen batch": batch(HOLDING, hold=None, late=FREEZE + insert("holds", NEW)),
            "a hold made up behind its block": batch(HOLDING, hold=None, after=insert("holds", NEW)),
            "a hold that begins as captured": held(state="captured", remaining=0),
            "a hold that begins with less": held(remaining=39),
            "a hold that begins as changed": held(last_transaction_id=5),
            "a hold that begins in no state": held(state=None),
        },
    ),
    Attack(
        "a hold before the first transaction",
        batch(early=insert("holds", hold(0, ALICE, 1))),
        HOLDS_GROW,
    ),
    *attacks(
        NOT_A_HOLD,
        {
            "a hold made up for a deposit": held({"kind": "DEPOSIT", "scope": "op:DEPOSIT"}),
            "a hold made up for a transaction to come": held(
                {"answer": of_hold(99, "open", left_minor=40)}, id=99
            ),
            "a hold of which nothing is said": held({"answer": "{}"}),
            "a hold of more than is said": held(amount=41, remaining=41),
            "a hold of which another is said": held({"answer": of_hold(4, "open", left_minor=40)}),
            "a hold that is said to be over": held({"answer": of_hold(5, "captured", left_minor=40)}),
            "a hold in a wallet that does not exist": held(user_id=99),
            "a hold in a book of the house": held(user_id=HOUSE),
            "a hold in another currency than its wallet": held(currency="USD"),
        },
    ),
    Attack(
        "a hold whose transaction was answered with no JSON",
        held({"answer": "held"}),
        "malformed JSON",
        raises=sqlite3.OperationalError,
    ),
    Attack("a hold for an unknown purpose", held(purpose="gift"), "purpose = 'hold'"),
    Attack("a hold that expired before time began", held(expires_at=-1), "expires_at >= 0"),
    *attacks(
        NOT_NULL,
        {
            "a hold in no wallet": held(user_id=None),
            "a hold in no currency": held(currency=None),
            "a hold for no purpose": held(purpose=None),
            "a hold that expires at no time, not even never": held(expires_at=None),
        },
    ),
    *attacks(
        "CHECK constraint failed",
        {
            "a hold of nothing": held({"answer": of_hold(5, "open")}, amount=0, remaining=0),
            "a hold of less than nothing": held(
                {"answer": of_hold(5, "open", left_minor=-40)}, amount=-40, remaining=-40
            ),
        },
    ),
]


def given_back(kind: str, state: str, left: Value = 0, *, number: int = 5, early: str = "") -> str:
    """A batch in which a transaction of this kind says what becomes of a hold, and the row says the same."""
    said = of_hold(number, state, **({"left_minor": left} if left else {}))
    row = hold_becomes(number, state=state, remaining=left, last_transaction_id=13)
    return turn(kind, said, row, early=early)


def released(row: Row | None = None, *, kind: str = "RELEASE", said: str = "") -> str:
    """A batch in which the first hold is released as its transaction says, but for these changes."""
    return turn(kind, said or of_hold(5, "released"), hold_becomes(5, **{**GONE, **(row or {})}))


PART: Row = {"state": "open", "remaining": 100, "last_transaction_id": 14}
PART_SAID = of_hold(5, "open", left_minor=100)
PART_TAKEN = turn("CAPTURE", of_hold(5, "captured"), "")

_OTHER_TERMS: list[tuple[str, Value]] = [
    ("id", 13),
    ("rowid", 13),
    ("_rowid_", 13),
    ("oid", 13),
    ("user_id", BOB),
    ("currency", "USD"),
    ("purpose", "withdrawal"),
    ("amount", 301),
    ("expires_at", 0),
]

_LIVES = [
    *attacks(
        HOLDS_GROW,
        {
            "the newest hold replaced": insert("holds", hold(11, ALICE, 1), REPLACE),
            "an older hold replaced": insert("holds", hold(5, ALICE, 1), REPLACE),
            "other terms of a hold by upsert": insert("holds", hold(11, ALICE, 1)).rstrip(";\n")
            + " ON CONFLICT DO UPDATE SET amount = 1",
            "a hold for a transaction sealed before, in a batch of its own": turn(
                "STATUS", "{}", early=insert("holds", hold(12, ALICE, 1))
            ),
        },
    ),
    *attacks(
        HOLD_AS_SAID,
        {
            "a hold released by a word": hold_becomes(5, state="released", remaining=0),
            "a hold released by a word of a transaction to come": hold_becomes(5, **GONE),
            "a hold released by a transaction sealed before": released({"last_transaction_id": 12}),
            "a hold released by a transaction that is not there": released({"last_transaction_id": 14}),
            "a hold released by no transaction": released({"last_transaction_id": None}),
            "a hold released in a later batch": in_a_later_batch(
                turn("RELEASE", of_hold(5, "released")), hold_becomes(5, **GONE)
            ),
            "a hold released in a frozen batch": turn(
                "RELEASE", of_hold(5, "released"), FREEZE, hold_becomes(5, **GONE)
            ),
            "a hold released behind its seal": turn(
                "RELEASE", of_hold(5, "released"), after=hold_becomes(5, **GONE)
            ),
            "a hold taken whole by the earlier of two transactions": by_the_earlier_of_two(
                PART_TAKEN,
                hold_becomes(5, **PART)
                + hold_becomes(5, state="captured", remaining=0, last_transaction_id=13),
                "CAPTURE",
                PART_SAID,
            ),
            "a hold released before it was made": turn(
                "RELEASE",
                of_hold(14, "released"),
                HELD_13,
                insert("holds", hold(14, BOB, 40)),
                hold_becomes(14, **GONE),
                block=TWO,
            ),
            "a hold released by the transaction of another": released(said=of_hold(6, "released")),
            "a hold of whose end nothing is said": released(said="{}"),
            "a hold released of which another end is said": released(said=of_hold(5, "expired")),
            "a hold that keeps more than is said": released(
                {"state": "open", "remaining": 200}, kind="CAPTURE", said=PART_SAID
            ),
            **{
                f"a hold released by a transaction of the kind {kind}": released(kind=kind)
                for kind in ("CAPTURE", "EXPIRY", "HOLD", "DEPOSIT", "STATUS")
            },
            "a hold captured by a release": given_back("RELEASE", "captured"),
            "a hold of no end": released({"state": None}),
            "an unknown end of a hold": given_back("RELEASE", "lost"),
            "a hold changed by nothing taken": given_back("CAPTURE", "open", 300),
            "a hold that grows": given_back("CAPTURE", "open", 301),
            "a hold that is over, released": given_back("RELEASE", "released", number=11),
            "a hold that is over, opened again": given_back("CAPTURE", "open", 10, number=11),
        },
    ),
    Attack(
        "a hold whose end was answered with no JSON",
        released(said="released"),
        "malformed JSON",
        raises=sqlite3.OperationalError,
    ),
    Attack("less than nothing left of a hold", given_back("CAPTURE", "captured", -1), "remaining >= 0"),
    Attack("something left of what is released", given_back("RELEASE", "released", 5), "open_while"),
    Attack("a hold for ever that expires", given_back("EXPIRY", "expired", number=6), "only_what_has_a_time"),
    Attack("nobody knows what is left of a hold", given_back("CAPTURE", "captured", None), NOT_NULL),
    *attacks(
        HOLD_TERMS,
        {
            **{
                f"other terms of a hold: {column} = {value!r}": released({column: value})
                for column, value in _OTHER_TERMS
            },
            "a hold moved over another": released({"rowid": 6}).replace(
                "UPDATE holds", "UPDATE OR REPLACE holds"
            ),
        },
    ),
    *attacks(
        "holds are not deleted",
        {
            "a hold deleted": "DELETE FROM holds WHERE id = 5",
            "all holds deleted": "DELETE FROM holds",
        },
    ),
]


def _set(user: int, change: str) -> str:
    return f"UPDATE users SET {change} WHERE id = {user};\n"


_SET_ASIDE = [
    *attacks(
        IN_A_BATCH,
        {
            "money set aside by a word": _set(ALICE, "held = 301"),
            "money no longer set aside": _set(ALICE, "held = 0"),
            "a debt forgotten": _set(ALICE, "owed = 0"),
            "a debt made up": _set(BOB, "owed = 50"),
            "a debt made money set aside": _set(ALICE, "held = 320, owed = 0"),
            "a debt forgotten in a frozen batch": turn("STATUS", "{}", FREEZE, _set(ALICE, "owed = 0")),
            "a debt forgotten behind the seal": turn("STATUS", "{}", after=_set(ALICE, "owed = 0")),
        },
    ),
    *attacks(
        "only_players_owe_and_hold",
        {
            "money of the house set aside": turn("STATUS", "{}", _set(HOUSE, "held = 1")),
            "a debt of the house": turn("STATUS", "{}", _set(HOUSE, "owed = 1")),
        },
    ),
    Attack(
        "more held than there is",
        turn("STATUS", "{}", _set(ALICE, "held = balance + 1")),
        "available_is_not_negative",
    ),
    Attack("less than nothing held", turn("STATUS", "{}", _set(ALICE, "held = -1")), "held >= 0"),
    Attack("a debt below zero", turn("STATUS", "{}", _set(ALICE, "owed = -1")), "owed >= 0"),
]


HOLDS = [*NEW_HOLDS, *(replace(each, blocks=3) for each in (*_LIVES, *_SET_ASIDE))]
