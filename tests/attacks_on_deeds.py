"""Attacks on the audit log: who did what on behalf of the house."""

from __future__ import annotations

import sqlite3

from tests.book_rows import Value, insert
from tests.books import DEED, NEXT, Attack, attacks, batch

FROZEN = "audit_log is append-only"
NUMBERED = "audit_log: a deed has the number after the newest one"
DONE = "audit_log: the transaction of a deed is one of the open batch, under its key, once"
REPLACE = "INSERT OR REPLACE"


def told(verb: str = "INSERT", /, **row: Value) -> str:
    """The next deed, but for what is told of it."""
    return insert("audit_log", {**DEED, "id": 2, **row}, verb)


def done(verb: str = "INSERT", /, **row: Value) -> str:
    """The deed of the next batch, which places a bet, likewise."""
    return told(verb, **{"key": "bet-5", "transaction_id": 5, **row})


DEEDS = [
    *attacks(
        FROZEN,
        {
            "a deed edited": "UPDATE audit_log SET actor = 8",
            "a deed renumbered": "UPDATE OR REPLACE audit_log SET id = 7",
            "a deed taken away": "DELETE FROM audit_log WHERE id = 1",
            "all deeds taken away": "DELETE FROM audit_log",
        },
    ),
    *attacks(
        NUMBERED,
        {
            "a deed again": insert("audit_log", DEED),
            "a deed replaced": told(REPLACE, id=1, actor=8),
            "a deed by an upsert": told(id=1).rstrip(";\n") + " ON CONFLICT DO UPDATE SET actor = 8",
            "a deed before all others": told(id=-1),
            "a deed without a number": told(id=None),
            "a deed left out": told(id=3),
        },
    ),
    *attacks(
        DONE,
        {
            "a deed without a batch": done(),
            "a deed of a transaction sealed before": done(key="bet-4", transaction_id=4),
            "a deed in a batch, of a transaction sealed before": batch(
                late=done(key="alice", transaction_id=1)
            ),
            "a deed of a transaction that is not there": batch(late=done(transaction_id=99)),
            "a deed of a transaction under another key": batch(late=done(key="bet-6")),
            "a deed of a transaction without a key": batch(late=done(key=None)),
            "a deed told twice": batch(late=done() + done(id=3)),
            "a deed told once more in the place of another": batch(late=done() + done(REPLACE, id=3)),
        },
    ),
    Attack("a deed of nobody", told(actor=-1), "actor >= 0"),
    Attack("a deed in no role", told(role=""), "role >= ' '"),
    Attack("a deed through no door", told(door="window"), "known_door"),
    Attack("a deed that is nothing", told(action=""), "action >= ' '"),
    Attack("a deed about a list", told(subject="[]"), "subject_is_an_object"),
    Attack("a deed about no JSON", told(subject="{"), "malformed JSON", raises=sqlite3.OperationalError),
    Attack("a deed under no key", told(key=""), "key >= ' '"),
    Attack("a deed of no outcome", told(outcome="done"), "known_form_of_outcome"),
    Attack(
        "a refusal that did something",
        batch(late=done(outcome="NOT_FOUND")),
        "a_refusal_did_nothing",
    ),
]

assert NEXT["event"][1]["key"] == "bet-5"
