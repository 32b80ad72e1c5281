"""Attacks on free bets: made up, used by another, used twice, opened again, revived."""

from __future__ import annotations

import sqlite3
from dataclasses import replace

from tests.attacks_on_bonus import OTHER, REPLACE, THIS, in_a_later_batch, turn, two
from tests.attacks_on_life import FREEZE, NOT_NULL
from tests.book_rows import Row, Value, bet, insert
from tests.books import ALICE, BOB, HOUSE, Attack, attacks
from tests.books_bonus import (
    AMOUNT,
    EXPIRED,
    FREE_BET,
    GIVEN_BACK,
    OF_ALICE,
    OWN_BET,
    REFUND,
    REFUNDED_BET,
    REVOKED,
    UNUSED,
    USED,
    free_bet,
    free_bet_becomes,
    of_free_bet,
)

FREE_BETS_GROW = "free_bets: one of a wallet, as a new transaction of the open batch says"
FREE_BET_TERMS = "free_bets: only what became of it changes"
FREE_BET_AS_SAID = "free_bets: it changes as a new transaction of the open batch says"
STEP_BY_STEP = "free_bets: it is used while it is open, and opens again when it was used"
PAYS_ITS_BET = "free_bets: it pays a bet of its player, and comes back with it"
ENDED = "free_bets: what was revoked or has expired stays so"

GIFT: Row = free_bet(THIS, ALICE)
GIVEN = "FREE_BET", of_free_bet(THIS, "open")


def given(row: Row | None = None, *, kind: str = "FREE_BET", said: str = "") -> str:
    """A batch in which ALICE is given a free bet, but for these changes."""
    return turn(kind, said or of_free_bet(THIS, "open"), insert("free_bets", {**GIFT, **(row or {})}))


_BIRTHS = [
    *attacks(
        FREE_BETS_GROW,
        {
            "a free bet without a batch": insert("free_bets", GIFT),
            "a free bet for a frozen batch": turn(*GIVEN, FREEZE, insert("free_bets", GIFT)),
            "a free bet behind the seal": turn(*GIVEN, after=insert("free_bets", GIFT)),
            "a free bet of a grant sealed before": in_a_later_batch(
                turn(*GIVEN), insert("free_bets", GIFT), "FREE_BET"
            ),
            "a free bet of a grant to come": given({"id": OTHER}, said=of_free_bet(OTHER, "open")),
            "a free bet of no number": given({"id": None}),
            "a free bet of a transaction of another kind": given(kind="BONUS"),
            "a free bet of which nothing is said": given(said="{}"),
            "a free bet of which another is said": given(said=of_free_bet(UNUSED, "open")),
            "a free bet of more than is said": given({"amount": AMOUNT + 1}),
            "a free bet that is said to be used": given(said=of_free_bet(THIS, "used")),
            "a free bet that begins as used": given({"state": "used"}),
            "a free bet that begins as changed": given({"last_transaction_id": THIS}),
            "a free bet in no state": given({"state": None}),
            "a free bet changed by nobody knows what": given({"last_transaction_id": None}),
            "a free bet replaced in its own batch": turn(
                *GIVEN,
                insert("free_bets", GIFT),
                insert("free_bets", {**GIFT, "user_id": BOB}, REPLACE),
            ),
            "an older free bet replaced": insert("free_bets", free_bet(USED, BOB), REPLACE),
            "a free bet that is there, by upsert": insert("free_bets", free_bet(GIVEN_BACK, BOB)).rstrip(
                ";\n"
            )
            + " ON CONFLICT DO UPDATE SET amount = 9000",
            "a free bet of a wallet that does not exist": given({"user_id": 99}),
            "a free bet of nobody": given({"user_id": None}),
            "a free bet of the house": given({"user_id": HOUSE}),
            "a free bet of a bonus wallet": given({"user_id": OF_ALICE}),
            "a free bet in another currency than its wallet": given({"currency": "USD"}),
            "a free bet in no currency": given({"currency": None}),
        },
    ),
    Attack(
        "a free bet answered with no JSON",
        given(said="given"),
        "malformed JSON",
        raises=sqlite3.OperationalError,
    ),
    Attack(
        "a free bet of nothing",
        given({"amount": 0}, said=of_free_bet(THIS, "open", amount_minor=0)),
        "amount > 0",
    ),
    Attack("a free bet that expired before time began", given({"expires_at": -1}), "expires_at >= 0"),
    *attacks(
        NOT_NULL,
        {
            "a free bet that expires at no time, not even never": given({"expires_at": None}),
            "a free bet of nobody knows how much": given(
                {"amount": None}, said=of_free_bet(THIS, "open", amount_minor=None)
            ),
        },
    ),
]


def becomes(
    number: int, kind: str, state: str, before: int = 0, bet_id: str = "", *sql: str, row: Row | None = None
) -> str:
    """A batch in which a transaction of this kind says what becomes of a free bet, and the row says the same,
    but for `row`."""
    changed: Row = {"state": state, "last_transaction_id": THIS, **(row or {})}
    return turn(kind, of_free_bet(number, state, before, bet_id), *sql, free_bet_becomes(number, **changed))


def played(
    number: int = UNUSED, user: int = ALICE, before: int = 0, stake: int = AMOUNT, *, row: Row | None = None
) -> str:
    """A batch in which a bet is placed by a free bet."""
    return becomes(number, "BET", "used", before, "", insert("bets", bet(THIS, user, stake)), row=row)


def told_between(number: int, state: str, kind: str, *, of: int = 0) -> str:
    """A free bet is used; a transaction of the same batch has said another state of it, or of `of`."""
    return two(
        (kind, of_free_bet(of or number, state)),
        ("BET", of_free_bet(number, "used", THIS)),
        insert("bets", bet(OTHER, ALICE, AMOUNT)),
        free_bet_becomes(number, state="used", last_transaction_id=OTHER),
    )


USE = "BET", of_free_bet(UNUSED, "used")
STAKE = insert("bets", bet(THIS, ALICE, AMOUNT))
IS_USED = free_bet_becomes(UNUSED, state="used", last_transaction_id=THIS)

_OTHER_TERMS: list[tuple[str, Value]] = [
    ("id", THIS),
    ("rowid", THIS),
    ("_rowid_", THIS),
    ("oid", THIS),
    ("user_id", BOB),
    ("currency", "USD"),
    ("amount", AMOUNT + 1),
    ("expires_at", 0),
]

_LIVES = [
    *attacks(
        FREE_BET_TERMS,
        {
            **{
                f"other terms of a free bet: {column} = {value!r}": played(row={column: value})
                for column, value in _OTHER_TERMS
            },
            "a free bet moved over another": played(row={"rowid": USED}).replace(
                "UPDATE free_bets", "UPDATE OR REPLACE free_bets"
            ),
        },
    ),
    *attacks(
        f"{FREE_BET_AS_SAID}|{STEP_BY_STEP}|{PAYS_ITS_BET}",  # SQLite asks them in no order that it promises
        {
            "a free bet opened again by a word": free_bet_becomes(USED, state="open"),
            "a free bet used by a word of a transaction to come": IS_USED,
            "a free bet used by a transaction sealed before": played(row={"last_transaction_id": 31}),
            "a free bet used by a transaction that is not there": played(row={"last_transaction_id": OTHER}),
            "a free bet used by no transaction": played(row={"last_transaction_id": None}),
            "a free bet used in a later batch": in_a_later_batch(turn(*USE, STAKE), IS_USED),
            "a free bet used in a frozen batch": turn(*USE, STAKE, FREEZE, IS_USED),
            "a free bet used behind the seal": turn(*USE, STAKE, after=IS_USED),
            "a free bet used by the earlier of two transactions": two(
                USE,
                ("ROLLBACK", of_free_bet(UNUSED, "open", THIS, f"bet-{THIS}")),
                STAKE,
                free_bet_becomes(UNUSED, state="open", last_transaction_id=OTHER),
                IS_USED,
            ),
            "a free bet used before it was given": two(
                ("BET", of_free_bet(OTHER, "used")),
                ("FREE_BET", of_free_bet(OTHER, "open")),
                STAKE,
                insert("free_bets", free_bet(OTHER, ALICE)),
                free_bet_becomes(OTHER, state="used", last_transaction_id=THIS),
            ),
            "a free bet revoked by the transaction beside the one that says so": two(
                ("REVOKE", of_free_bet(UNUSED, "revoked")),
                ("STATUS", "{}"),
                free_bet_becomes(UNUSED, state="revoked", last_transaction_id=OTHER),
            ),
            "a free bet revoked by the transaction of another": turn(
                "REVOKE",
                of_free_bet(GIVEN_BACK, "revoked"),
                free_bet_becomes(UNUSED, state="revoked", last_transaction_id=THIS),
            ),
            "a free bet of whose end nothing is said": turn(
                "REVOKE", "{}", free_bet_becomes(UNUSED, state="revoked", last_transaction_id=THIS)
            ),
            "a free bet revoked of which another amount is said": turn(
                "REVOKE",
                of_free_bet(UNUSED, "revoked", amount_minor=AMOUNT + 1),
                free_bet_becomes(UNUSED, state="revoked", last_transaction_id=THIS),
            ),
            "a free bet revoked that is said to be open": turn(
                "REVOKE",
                of_free_bet(UNUSED, "open"),
                free_bet_becomes(UNUSED, state="revoked", last_transaction_id=THIS),
            ),
            **{
                f"a free bet revoked by a transaction of the kind {kind}": becomes(UNUSED, kind, "revoked")
                for kind in ("BET", "UNSETTLE", "REFUND", "ROLLBACK", "EXPIRY", "WIN", "STATUS")
            },
            "a free bet expired by a revocation": becomes(UNUSED, "REVOKE", "expired"),
            "a free bet opened again by a revocation": becomes(USED, "REVOKE", "open", 37, FREE_BET),
            "a free bet opened again by an expiry": becomes(USED, "EXPIRY", "open", 37, FREE_BET),
            "a free bet opened again by a win": becomes(USED, "WIN", "open", 37, FREE_BET),
            "a free bet in no state any more": becomes(UNUSED, "REVOKE", "revoked", row={"state": None}),
            "an unknown end of a free bet": becomes(UNUSED, "REVOKE", "lost"),
        },
    ),
    *attacks(
        STEP_BY_STEP,
        {
            "a free bet used twice": played(USED, before=37),
            "a free bet used twice, as if nothing had been": played(USED),
            "a free bet used once more, as if nothing had been": played(GIVEN_BACK, BOB),
            "a free bet used twice, by an older refund": played(USED, before=REFUND),
            "a free bet used twice, by the refund of another": told_between(
                USED, "open", "REFUND", of=UNUSED
            ),
            "a free bet used twice, by a bet before": told_between(USED, "used", "BET"),
            "a free bet revoked that is used": becomes(USED, "REVOKE", "revoked", 37),
            "a free bet expired that is used": becomes(USED, "EXPIRY", "expired", 37),
            "a free bet given back that is open": becomes(GIVEN_BACK, "REFUND", "open", 35, REFUNDED_BET),
        },
    ),
    *attacks(
        PAYS_ITS_BET,
        {
            "a free bet of another player": played(GIVEN_BACK, before=35),
            "a free bet for a bet of more": played(GIVEN_BACK, BOB, 35, AMOUNT + 1),
            "a free bet used by a bet that is not there": becomes(UNUSED, "BET", "used"),
            "a free bet given back with another bet": becomes(USED, "REFUND", "open", 37, OWN_BET),
            "a free bet given back with no bet": becomes(USED, "REFUND", "open", 37),
            "a free bet given back with a bet of the same name elsewhere": becomes(
                USED, "ROLLBACK", "open", 37, f"q-{THIS}"
            ),
        },
    ),
    *attacks(
        ENDED,
        {
            "a revoked free bet used": told_between(REVOKED, "open", "ROLLBACK"),
            "an expired free bet used": told_between(EXPIRED, "open", "ROLLBACK"),
        },
    ),
    *attacks(
        f"{ENDED}|{STEP_BY_STEP}",
        {
            "a revoked free bet opened again": becomes(REVOKED, "ROLLBACK", "open", 32, FREE_BET),
            "an expired free bet that expires again": becomes(EXPIRED, "EXPIRY", "expired", 33),
        },
    ),
    Attack(
        "a free bet whose end was answered with no JSON",
        turn("REVOKE", "revoked", free_bet_becomes(UNUSED, state="revoked", last_transaction_id=THIS)),
        "malformed JSON",
        raises=sqlite3.OperationalError,
    ),
    *attacks(
        "free_bets are not deleted",
        {
            "a free bet deleted": f"DELETE FROM free_bets WHERE id = {USED}",
            "all free bets deleted": "DELETE FROM free_bets",
        },
    ),
]


_FOR_EVER = Attack(
    "a free bet for ever that expires",
    two(
        GIVEN,
        ("EXPIRY", of_free_bet(THIS, "expired")),
        insert("free_bets", {**GIFT, "expires_at": 0}),
        free_bet_becomes(THIS, state="expired", last_transaction_id=OTHER),
    ),
    "only_a_free_bet_that_has_a_time_expires",
)


FREE_BETS = [replace(each, blocks=5) for each in (*_BIRTHS, *_LIVES, _FOR_EVER)]
