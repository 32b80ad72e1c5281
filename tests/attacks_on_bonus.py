"""Attacks on bonus money: made up, pointed at another wallet, kept beyond its time, revived."""

from __future__ import annotations

import sqlite3
from dataclasses import replace

from tests.attacks_on_life import FREEZE, NOT_NULL
from tests.book_rows import Row, Value, block, event, insert, opening
from tests.books import ALICE, BOB, HASH_5, HOUSE, Attack, Template, attacks, batch, wallet
from tests.books_bonus import ALICE_USD, OF_ALICE, OF_ALICE_TOO, OF_BOB, UNTIL, bonus, bonus_becomes, of_bonus

BONUSES_GROW = "bonuses: one of a wallet, as a new transaction of the open batch says"
BONUS_STAYS = "bonuses: it stays with its wallet"
BONUS_AS_SAID = "bonuses: it changes as a new transaction of the open batch says"
REPLACE = "INSERT OR REPLACE"
HASH_6, HASH_7 = b"\x06" * 32, b"\x07" * 32
NEW, NEXT_ONE = 16, 17  # the numbers of wallets to come
THIS, OTHER = 38, 39  # those of the transactions of the sixth batch

# Behind the history of five blocks: one transaction that may change something.
SIXTH: Template = {
    "batch": ("open_batch", opening(6, THIS, 46)),
    "event": ("transactions", event(THIS, 6, "STATUS", "op:STATUS", "q")),
    "block": ("blocks", block(6, (THIS, THIS), (46, 45), HASH_5, HASH_6)),
}


def _named(number: int, kind: str, answer: str) -> Row:
    """A transaction of the sixth batch; a bet is known by its number."""
    scope, key = ("bet", f"bet-{number}") if kind == "BET" else (f"op:{kind}", f"q-{number}")
    return event(number, 6, kind, scope, key, answer)


def turn(kind: str, answer: str, *sql: str, after: str = "", early: str = "") -> str:
    """The sixth batch: one transaction of this kind that was answered so, then `sql`."""
    return batch(SIXTH, event=_named(THIS, kind, answer), early=early, late="".join(sql), after=after)


def two(first: tuple[str, str], second: tuple[str, str], *sql: str) -> str:
    """The same with two transactions, as (kind, answer) each."""
    other = insert("transactions", _named(OTHER, *second))
    ends: Row = {"last_transaction_id": OTHER}
    return batch(SIXTH, event=_named(THIS, *first), late=other + "".join(sql), block=ends)


def in_a_later_batch(first: str, sql: str, kind: str = "STATUS") -> str:
    """A transaction is sealed, and changes something only in the batch after its own."""
    later: Template = {
        "batch": ("open_batch", opening(7, OTHER, 46)),
        "event": ("transactions", event(OTHER, 7, kind, f"op:{kind}", "r")),
        "block": ("blocks", block(7, (OTHER, OTHER), (46, 45), HASH_6, HASH_7)),
    }
    return (first + batch(later, late=sql)).replace("COMMIT;\nBEGIN;\n", "")


# A first bonus for ALICE's wallet in USD: its account, and its terms.
ACCOUNT = wallet(NEW, ALICE, "USD", "player_bonus")
TERMS: Row = bonus(NEW, ALICE_USD, THIS)
GRANT = "BONUS", of_bonus(NEW)


def granted(row: Row | None = None, *, account: str = ACCOUNT, said: str = "", verb: str = "INSERT") -> str:
    """A batch in which that bonus is granted, but for these changes."""
    return turn("BONUS", said or of_bonus(NEW), account, insert("bonuses", {**TERMS, **(row or {})}, verb))


def beside(wallet_id: int, *accounts: str, user: int = NEW, verb: str = "INSERT") -> str:
    """A batch in which a bonus is granted beside a wallet, with these accounts being made."""
    said = of_bonus(user)
    return turn("BONUS", said, *accounts, insert("bonuses", bonus(user, wallet_id, THIS), verb))


_EUR = wallet(NEW, ALICE, kind="player_bonus")

_BIRTHS = [
    *attacks(
        BONUSES_GROW,
        {
            "terms without a batch": insert("bonuses", TERMS),
            "terms of no bonus wallet": granted({"user_id": None}),
            "terms of no wallet": granted({"wallet_id": None}),
            "terms for a frozen batch": turn(*GRANT, ACCOUNT, FREEZE, insert("bonuses", TERMS)),
            "terms behind the seal": turn(*GRANT, ACCOUNT, after=insert("bonuses", TERMS)),
            "terms of a grant sealed before": in_a_later_batch(
                turn(*GRANT, ACCOUNT), insert("bonuses", TERMS), "BONUS"
            ),
            "terms of a grant to come": granted({"last_transaction_id": OTHER}),
            "terms of no grant": granted({"last_transaction_id": None}),
            "terms of a transaction of another kind": two(
                GRANT,
                ("EXPIRY", of_bonus(NEW)),
                ACCOUNT,
                insert("bonuses", {**TERMS, **{"last_transaction_id": OTHER}}),
            ),
            "terms that begin as expired": granted({"state": "expired"}, said=of_bonus(NEW, "expired")),
            "terms that are said to have expired": granted(said=of_bonus(NEW, "expired")),
            "terms that last longer than is said": granted({"expires_at": UNTIL + 1}),
            "terms that last for ever, as nobody said": granted({"expires_at": 0}),
            "terms spent in another order than is said": granted({"spend": "last"}),
            "terms of which another bonus is said": two(
                GRANT,
                ("BONUS", of_bonus(OF_ALICE)),
                ACCOUNT,
                insert("bonuses", {**TERMS, "last_transaction_id": OTHER}),
            ),
            "terms replaced in their own batch": two(
                GRANT,
                ("BONUS", of_bonus(NEW, spend="last")),
                ACCOUNT,
                insert("bonuses", TERMS),
                insert("bonuses", {**TERMS, "spend": "last", "last_transaction_id": OTHER}, REPLACE),
            ),
            "terms that are there, by upsert": turn(
                "BONUS",
                of_bonus(OF_ALICE),
                insert("bonuses", bonus(OF_ALICE, ALICE, THIS)).rstrip(";\n")
                + " ON CONFLICT DO UPDATE SET expires_at = 0;\n",
            ),
            "a bonus pointed at another wallet by REPLACE": beside(
                NEW, wallet(NEW, ALICE), user=OF_ALICE, verb=REPLACE
            ),
            "a second bonus beside one wallet": beside(ALICE, _EUR),
            "a second bonus beside one wallet, by REPLACE": beside(ALICE, _EUR, verb=REPLACE),
            "a bonus in a wallet for cash": beside(ALICE_USD, wallet(NEW, ALICE, "USD"), wallet(40, ALICE)),
            "a bonus in a wallet that does not exist": beside(NEW, wallet(NEW, ALICE), user=99),
            "a bonus beside a wallet that does not exist": beside(99, ACCOUNT),
            "a bonus beside a bonus": beside(OF_ALICE, _EUR),
            "a bonus beside the house": beside(HOUSE, _EUR),
            "a bonus beside a wallet in another currency": beside(ALICE_USD, _EUR),
            "a bonus of ALICE's beside a wallet of BOB's": beside(NEXT_ONE, _EUR, wallet(NEXT_ONE, BOB)),
        },
    ),
    Attack(
        "terms that were answered with no JSON",
        two(
            GRANT,
            ("BONUS", "granted"),
            ACCOUNT,
            insert("bonuses", {**TERMS, "last_transaction_id": OTHER}),
        ),
        "malformed JSON",
        raises=sqlite3.OperationalError,
    ),
    Attack(
        "a bonus that is spent never",
        granted({"spend": "never"}, said=of_bonus(NEW, spend="never")),
        "known_order_of_spending",
    ),
    Attack(
        "a bonus that expired before time began",
        granted({"expires_at": -1}, said=of_bonus(NEW, expires_at_us=-1)),
        "expires_at >= 0",
    ),
    *attacks(
        NOT_NULL,
        {
            "a bonus spent in no order": granted({"spend": None}, said=of_bonus(NEW, spend=None)),
            "a bonus that expires at no time, not even never": granted(
                {"expires_at": None}, said=of_bonus(NEW, expires_at_us=None)
            ),
            "a bonus in no state": granted({"state": None}, said=of_bonus(NEW, state=None)),
        },
    ),
]

GONE: Row = {"state": "expired", "last_transaction_id": THIS}


def expired(row: Row | None = None, *, kind: str = "EXPIRY", said: str = "", user: int = OF_ALICE) -> str:
    """A batch in which a bonus expires as its transaction says, but for these changes."""
    return turn(kind, said or of_bonus(user, "expired"), bonus_becomes(user, **{**GONE, **(row or {})}))


def granted_again(user: int = OF_ALICE, kind: str = "BONUS", **terms: Value) -> str:
    """A batch in which a transaction of this kind opens a bonus that is there, on terms that it says."""
    named = {"spend": "spend", "expires_at": "expires_at_us"}
    said = of_bonus(user, "open", **{named[column]: value for column, value in terms.items()})
    return turn(kind, said, bonus_becomes(user, state="open", last_transaction_id=THIS, **terms))


_LIVES = [
    *attacks(
        BONUS_STAYS,
        {
            **{
                f"a bonus moved: {column} = {value}": expired({column: value})
                for column, value in [
                    ("wallet_id", ALICE_USD),
                    ("wallet_id", BOB),
                    ("user_id", NEW),
                    ("rowid", NEW),
                    ("_rowid_", NEW),
                    ("oid", NEW),
                ]
            },
            "a bonus moved over another": expired({"rowid": OF_BOB}).replace("UPDATE", "UPDATE OR REPLACE"),
            "a bonus pointed at another's wallet": expired({"wallet_id": BOB}).replace(
                "UPDATE", "UPDATE OR REPLACE"
            ),
        },
    ),
    *attacks(
        BONUS_AS_SAID,
        {
            "a bonus for ever, by a word": bonus_becomes(OF_ALICE, expires_at=0),
            "a bonus spent otherwise, by a word": bonus_becomes(OF_ALICE, spend="last"),
            "a bonus revived by a word": bonus_becomes(OF_ALICE_TOO, state="open"),
            "a bonus expired by a word of a transaction to come": bonus_becomes(OF_ALICE, **GONE),
            "a bonus expired by a transaction sealed before": expired({"last_transaction_id": 24}),
            "a bonus expired by a transaction that is not there": expired({"last_transaction_id": OTHER}),
            "a bonus expired by no transaction": expired({"last_transaction_id": None}),
            "a bonus expired in a later batch": in_a_later_batch(
                turn("EXPIRY", of_bonus(OF_ALICE, "expired")), bonus_becomes(OF_ALICE, **GONE)
            ),
            "a bonus expired in a frozen batch": turn(
                "EXPIRY", of_bonus(OF_ALICE, "expired"), FREEZE, bonus_becomes(OF_ALICE, **GONE)
            ),
            "a bonus expired behind its seal": turn(
                "EXPIRY", of_bonus(OF_ALICE, "expired"), after=bonus_becomes(OF_ALICE, **GONE)
            ),
            "terms by the earlier of two grants": two(
                ("BONUS", of_bonus(OF_ALICE, spend="last")),
                ("BONUS", of_bonus(OF_ALICE)),
                bonus_becomes(OF_ALICE, last_transaction_id=OTHER),
                bonus_becomes(OF_ALICE, spend="last", last_transaction_id=THIS),
            ),
            "a bonus expired by the transaction of another": expired(said=of_bonus(OF_BOB, "expired")),
            "a bonus of whose end nothing is said": expired(said="{}"),
            "a bonus expired that is said to be open": expired(said=of_bonus(OF_ALICE)),
            **{
                f"a bonus expired by a transaction of the kind {kind}": expired(kind=kind)
                for kind in ("BONUS", "REVOKE", "TRANSFER", "STATUS")
            },
            "a bonus in no state any more": expired({"state": None}),
            "an unknown end of a bonus": expired({"state": "spent"}, said=of_bonus(OF_ALICE, "spent")),
            "a bonus revived by an expiry": granted_again(OF_ALICE_TOO, "EXPIRY"),
            "a bonus that lasts longer, by a transfer": granted_again(kind="TRANSFER", expires_at=UNTIL + 1),
            "a bonus granted for longer than is said": turn(
                "BONUS",
                of_bonus(OF_ALICE),
                bonus_becomes(OF_ALICE, expires_at=UNTIL + 1, last_transaction_id=THIS),
            ),
            "a bonus granted to be spent otherwise than is said": turn(
                "BONUS", of_bonus(OF_ALICE), bonus_becomes(OF_ALICE, spend="last", last_transaction_id=THIS)
            ),
            "a bonus that expires twice": expired(user=OF_ALICE_TOO),
            "a bonus that expires on other terms": expired(
                {"expires_at": 1}, said=of_bonus(OF_ALICE, "expired", expires_at_us=1)
            ),
            "a bonus that expires to be spent otherwise": expired(
                {"spend": "last"}, said=of_bonus(OF_ALICE, "expired", spend="last")
            ),
        },
    ),
    Attack(
        "a bonus for ever that expires",
        expired(user=OF_BOB, said=of_bonus(OF_BOB, "expired", spend="last", expires_at_us=None)),
        "only_a_bonus_that_has_a_time_expires",
    ),
    *attacks(
        "bonuses are not deleted",
        {
            "a bonus deleted": f"DELETE FROM bonuses WHERE user_id = {OF_ALICE}",
            "all bonuses deleted": "DELETE FROM bonuses",
        },
    ),
]


BONUS = [replace(each, blocks=5) for each in (*_BIRTHS, *_LIVES)]
