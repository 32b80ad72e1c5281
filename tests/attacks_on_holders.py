"""Attacks on what may change: holders of a balance, the states of bets, and values outside their range."""

from __future__ import annotations

import sqlite3

from tests.book_rows import Value, bet, insert
from tests.books import (
    ALICE,
    BOB,
    CASH,
    FIRST,
    FLOOR,
    HOUSE,
    HOUSE_USD,
    NEXT,
    PLAYER,
    REFUSAL,
    Attack,
    attacks,
    batch,
)

BEGINS_EMPTY = "users: an account is new and begins empty"
IDENTITY = "users: id, kind, currency and participant_id do not change"
BETS_GROW = "bets: a bet follows the newest one"
NOT_A_BETS = "blocks: a bet in its range belongs to no transaction of a bet"
NOT_NEXT = "blocks: does not follow the block before it"
BIG = 2**53
REPLACE = "INSERT OR REPLACE"


def _set(user: int, change: str) -> str:
    return f"UPDATE users SET {change} WHERE id = {user}"


def _moved(table: str, change: str) -> str:
    return f"UPDATE OR REPLACE {table} SET {change}"


def _new_user(**changes: Value) -> str:
    return insert("users", {**PLAYER, **changes})


# SET rowid changes an INTEGER PRIMARY KEY, and a trigger on UPDATE OF id does not see it; OR REPLACE deletes
# the row in its way. A table WITHOUT ROWID has no such name: an OperationalError, not a constraint.
ROWIDS = [
    Attack(
        f"a user moved {where} by {alias}",
        _moved("users", f"{alias} = {target} WHERE id = {BOB}"),
        f"{IDENTITY}|no such column: {alias}",
        raises=sqlite3.Error,
    )
    for alias in ("rowid", "_rowid_", "oid")
    for where, target in (("over another", ALICE), ("away", 99))
]

HOLDERS = [
    *ROWIDS,
    *attacks(
        "available_is_not_negative",
        {
            "an overdraft": _set(ALICE, "balance = -1"),
            "a house beyond its floor": _set(HOUSE, f"balance = {FLOOR - 1}"),
        },
    ),
    Attack(
        "a balance that JSON would round", _set(ALICE, f"balance = {BIG}"), "player_balance_fits_the_wire"
    ),
    *attacks(
        BEGINS_EMPTY,
        {
            "an account that begins with money": _new_user(balance=5),
            "an account that begins with a hold": _new_user(
                kind="fees", currency="USD", participant_id=None, floor=FLOOR, held=5
            ),
            "an account that begins with a debt": _new_user(owed=5),
            "an account that begins with entries": _new_user(last_entry_id=8),
            "an account in the place of another": insert("users", {**PLAYER, "id": ALICE}, REPLACE),
            "an account that exists, by upsert": insert("users", {**PLAYER, "id": ALICE}).rstrip(";\n")
            + " ON CONFLICT DO UPDATE SET balance = 9",
            "a second house": _new_user(kind="house", participant_id=None, floor=FLOOR),
            "a second house, by REPLACE": insert(
                "users", {**PLAYER, "kind": "house", "participant_id": None, "floor": FLOOR}, REPLACE
            ),
        },
    ),
    *attacks(
        "user_ids_begin_at_one",
        {
            "a user with the id zero": _new_user(id=0),
            "a user with an id below zero": _new_user(id=-1),
        },
    ),
    *attacks(
        IDENTITY,
        {
            "another currency": _set(BOB, "currency = 'USD'"),
            "another kind": _set(HOUSE_USD, "kind = 'fees'"),
            "another id": _set(BOB, "id = 11"),
            "the house of another currency": _moved("users", f"currency = 'USD' WHERE id = {HOUSE}"),
        },
    ),
    *attacks(
        "users are not deleted",
        {
            "a user deleted": f"DELETE FROM users WHERE id = {BOB}",
            "all users deleted": "DELETE FROM users",
        },
    ),
    Attack(
        "an unknown kind of holder",
        _new_user(kind="bank", participant_id=None, floor=FLOOR),
        "known_kind_of_holder",
    ),
    Attack("a currency of four letters", _new_user(currency="EURO"), "length\\(currency\\) = 3"),
    Attack("an unknown status", _set(BOB, "status = 'frozen'"), "known_status"),
    Attack("a version below zero", _set(BOB, "version = -1"), "version >= 0"),
]

BETS = [
    *attacks(
        "bets are not deleted",
        {
            "a bet deleted": "DELETE FROM bets WHERE transaction_id = 4",
            "all bets deleted": "DELETE FROM bets",
        },
    ),
    *attacks(
        BETS_GROW,
        {
            "the newest bet replaced": insert("bets", bet(4, BOB, 1), REPLACE),
            "an older bet replaced": insert("bets", bet(3, ALICE, 1), REPLACE),
            "other terms by upsert": insert("bets", bet(4, BOB, 1)).rstrip(";\n")
            + " ON CONFLICT DO UPDATE SET stake = 1",
            "a bet for a transaction long sealed": insert("bets", bet(2, BOB, 1)),
            "a bet for a transaction that does not exist": insert("bets", bet(99, BOB, 1)),
            "a bet replaced in its own batch": batch(late=insert("bets", bet(5, ALICE, 1), REPLACE)),
            "a bet for a transaction sealed before, in a batch of its own": batch(
                early=insert("bets", bet(2, BOB, 1))
            ),
            "a bet made up behind its block": batch(bet=None, after=insert("bets", bet(5, ALICE, 9999))),
        },
    ),
    Attack(
        "a bet before the first transaction",
        batch(FIRST, early=insert("bets", bet(0, ALICE, 1))),
        BETS_GROW,
        blocks=0,
    ),
    *attacks(
        NOT_A_BETS,
        {
            "a bet made up for a deposit": batch(event={"kind": "DEPOSIT", "scope": "op:DEPOSIT"}),
            "a bet made up for a transaction to come": batch(bet={"transaction_id": 99}),
        },
    ),
    Attack("a stake of zero", batch(bet={"stake": 0}), "CHECK constraint failed: (stake > 0|cashed_out_is)"),
    Attack("a stake below zero", batch(bet={"stake": -1}), "CHECK constraint failed"),
    Attack("odds below one", batch(bet={"odds_milli": 999}), "odds_milli >= 1000"),
]


def _amount(amount: int) -> str:
    """A batch that balances: this amount against two halves, which are in range when it is just outside."""
    half = amount // 2
    return batch(
        debit={"user_id": CASH, "amount": -half},
        credit={"amount": amount},
        late=insert("transaction_ledger", {**NEXT["debit"][1], "id": 11, "user_id": CASH, "amount": -half}),
        bet=None,
        block={"last_entry_id": 11},
    )


VALUES = [
    *attacks(
        "CHECK constraint failed: an_amount",
        {
            "an amount of zero": batch(debit={"amount": 0}, credit={"amount": 0}),
            "an amount of 2^53": _amount(BIG),
            "an amount of -2^53": _amount(-BIG),
        },
    ),
    Attack(
        "an unknown kind of transaction",
        batch(event={"kind": "GIFT", "scope": "op:GIFT"}, bet=None),
        "known_kind_of_transaction",
    ),
    Attack("an empty scope", batch(event={"kind": "WIN", "scope": ""}, bet=None), "scope >= ' '"),
    Attack("an empty key", batch(event={"key": ""}), "key >= ' '"),
    Attack(
        "a key that a shell shows as nothing",
        batch(event={"key": "NUL"}).replace("'NUL'", "char(0, 65)"),
        "key >= ' '",
    ),
    *attacks(
        r"length\(fingerprint\) = 32",
        {
            "a short fingerprint": batch(event={"fingerprint": b"x"}),
            "a refusal with a short fingerprint": insert(
                "refusals", {**REFUSAL, "bet_id": "b", "fingerprint": b"x"}
            ),
        },
    ),
    Attack("an unknown ref_type", batch(debit={"ref_type": "GIFT"}), "known_ref_type"),
    Attack("an empty ref_id", batch(debit={"ref_id": ""}), "ref_id >= ' '"),
    *attacks(
        "prev_id >= 0 AND",
        {
            "an entry before itself": batch(debit={"prev_id": 9}),
            "an entry before the first": batch(debit={"prev_id": -1}),
        },
    ),
    Attack("a format of zero", batch(block={"format": 0}), "format >= 1"),
    Attack("a short root", batch(block={"root": b"x"}), r"length\(root\) = 32"),
    Attack("a short hash", batch(block={"hash": b"x"}), r"length\(hash\) = 32"),
    Attack("a short previous hash", batch(block={"prev_hash": b"x"}), NOT_NEXT),
    Attack(
        "a refusal that is not for good",
        insert("refusals", {**REFUSAL, "bet_id": "b", "code": "STALE_REQUEST"}),
        "known_code",
    ),
    Attack(
        "a refused stake of zero", insert("refusals", {**REFUSAL, "bet_id": "b", "stake": 0}), "stake > 0"
    ),
]
