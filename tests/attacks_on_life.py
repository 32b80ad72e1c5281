"""Attacks on what becomes of a bet: said by nobody, said otherwise, said too late, taken back."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import replace

from tests.attacks_on_history import EVENTS_GROW
from tests.book_rows import Row, Value, becomes, bet, block, event, insert, of_bet, opening
from tests.books import BOB, HASH_3, HASH_4, HASH_5, NEXT, Attack, Template, attacks, batch

AS_SAID = "bets: it changes as a new transaction of the open batch says"
STAYS = "bets: what is over for good stays so"
TERMS = "bets: only what became of it changes"
BETS_BEGIN = "bets: a bet follows the newest one, in the open batch, and begins as placed"
NOT_NULL = "NOT NULL constraint failed"
FREEZE = "UPDATE open_batch SET frozen = 1;\n"

# Behind the history of three blocks: one transaction that may change something. No rule of the schema knows
# how much money it should move, so it moves none.
FOURTH: Template = {
    "batch": ("open_batch", opening(4, 13, 19)),
    "event": ("transactions", event(13, 4, "WIN", "op:WIN", "h")),
    "block": ("blocks", block(4, (13, 13), (19, 18), HASH_3, HASH_4)),
}
TWO: Row = {"last_transaction_id": 14}  # as its block ends when a second transaction follows

WON: Row = {"state": "won", "payout": 240, "settled": 180, "last_transaction_id": 13}
SAID: Row = {
    "bet_id": "bet-3",
    "state": "won",
    "total_minor": 240,
    "settled_minor": 180,
    "cashed_stake_minor": 50,
}


def turn(
    kind: str,
    answer: str,
    *sql: str,
    after: str = "",
    early: str = "",
    block: Row | None = None,
) -> str:
    """The fourth batch: one transaction of this kind that was answered so, then `sql`."""
    said = {"kind": kind, "scope": f"op:{kind}", "answer": answer}
    return batch(FOURTH, event=said, late="".join(sql), after=after, early=early, block=block or {})


def said_of(changes: Row | None = None) -> str:
    """The answer to a bet that was won, but for these changes."""
    return json.dumps({"bet": {**SAID, **(changes or {})}})


def won(row: Row | None = None, *, kind: str = "WIN", said: Row | None = None) -> str:
    """A batch in which the first bet is won as its transaction says, but for these changes."""
    return turn(kind, said_of(said), becomes(3, **{**WON, **(row or {})}))


def ended(
    kind: str,
    state: str,
    payout: Value = 60,
    settled: Value = 0,
    cashed_stake: Value = 50,
    *,
    number: int = 3,
    late: str = "",
) -> str:
    """A batch in which a transaction of this kind says what becomes of a bet, and the row says the same."""
    numbers = {"total_minor": payout, "settled_minor": settled, "cashed_stake_minor": cashed_stake}
    said = of_bet(f"bet-{number}", state, **{name: value for name, value in numbers.items() if value})
    row = {"payout": payout, "settled": settled, "cashed_stake": cashed_stake, "last_transaction_id": 13}
    return turn(kind, said, becomes(number, state=state, **row), late)


def in_a_later_batch(said: str, sql: str) -> str:
    """A transaction is sealed, and changes something only in the batch after its own."""
    later: Template = {
        "batch": ("open_batch", opening(5, 14, 19)),
        "event": ("transactions", event(14, 5, "DEPOSIT", "op:DEPOSIT", "i")),
        "block": ("blocks", block(5, (14, 14), (19, 18), HASH_4, HASH_5)),
    }
    return (said + batch(later, late=sql)).replace("COMMIT;\nBEGIN;\n", "")


def by_the_earlier_of_two(first: str, later: str, kind: str, said: str) -> str:
    """Two transactions of one batch change something; the last word is with the earlier one."""
    second = insert("transactions", event(14, 4, kind, f"op:{kind}", "i", said))
    return first.replace(insert("blocks", FOURTH["block"][1]), "").replace(
        "COMMIT;\n", second + later + insert("blocks", {**FOURTH["block"][1], **TWO}) + "COMMIT;\n"
    )


UNSETTLED = of_bet("bet-3", "confirmed", total_minor=60, cashed_stake_minor=50)
TAKEN_BACK = becomes(3, state="confirmed", payout=60, settled=0, last_transaction_id=14)
SECOND_BET = insert("transactions", event(14, 4, "BET", "bet", "bet-14")) + insert("bets", bet(14, BOB, 10))

_OTHER_TERMS: list[tuple[str, Value]] = [
    ("transaction_id", 13),
    ("rowid", 13),
    ("_rowid_", 13),
    ("oid", 13),
    ("user_id", BOB),
    ("currency", "USD"),
    ("stake", 199),
    ("game", "roulette"),
    ("round", "r2"),
    ("selection", "one"),
    ("odds_milli", 9000),
    ("game", None),
]

_LIVES = [
    *attacks(
        AS_SAID,
        {
            "a bet won by a word": becomes(3, state="won"),
            "a bet won by a word of a transaction to come": becomes(3, **WON),
            "a bet won by the transaction that changed it before": won({"last_transaction_id": 7}),
            "a bet won by a transaction sealed before": won({"last_transaction_id": 12}),
            "a bet won by a transaction that is not there": won({"last_transaction_id": 14}),
            "a bet won by no transaction": won({"last_transaction_id": None}),
            "a bet won in a later batch": in_a_later_batch(turn("WIN", said_of()), becomes(3, **WON)),
            "a bet won in a frozen batch": turn("WIN", said_of(), FREEZE, becomes(3, **WON)),
            "a bet won behind its seal": turn("WIN", said_of(), after=becomes(3, **WON)),
            "a bet won again by the earlier of two transactions": by_the_earlier_of_two(
                won(), TAKEN_BACK + becomes(3, **WON), "UNSETTLE", UNSETTLED
            ),
            "a bet won before it was placed": turn(
                "WIN",
                of_bet("bet-14", "won"),
                SECOND_BET,
                becomes(14, state="won", last_transaction_id=13),
                block=TWO,
            ),
            "a bet won by the transaction of another": won(said={"bet_id": "bet-4"}),
            "a bet of which nothing is said": turn("WIN", "{}", becomes(3, **WON)),
            "a bet that pays more than is said": won({"payout": 241}),
            "a bet that settles for less than is said": won({"settled": 179}),
            "a bet of which more is cashed out than is said": won({"cashed_stake": 51}),
            "a bet won of which another end is said": won(said={"state": "lost"}),
            **{
                f"a bet won by a transaction of the kind {kind}": won(kind=kind)
                for kind in ("LOSS", "REFUND", "UNSETTLE", "ROLLBACK", "CASHOUT", "DEPOSIT", "STATUS")
            },
            "a bet lost by a win": ended("WIN", "lost"),
            "an unknown state": ended("WIN", "maybe"),
            "a state of nothing": won({"state": None}),
        },
    ),
    Attack(
        "a bet whose transaction was answered with no JSON",
        turn("WIN", "won", becomes(3, **WON)),
        "malformed JSON",
        raises=sqlite3.OperationalError,
    ),
    *attacks(
        STAYS,
        {
            "a bet won that was rolled back": ended("WIN", "won", 0, 0, 0, number=4),
            "a bet that was cashed out, paid again": ended("CASHOUT", "cashed_out", 90, 0, 40, number=9),
            "a bet of which less is cashed out than before": ended("CASHOUT", "confirmed", 60, 0, 20),
        },
    ),
    *attacks(
        "settled >= 0 AND settled <= payout",
        {
            "a settlement of more than was paid": ended("WIN", "won", 240, 300),
            "a settlement below zero": ended("WIN", "won", 240, -1),
            "a payout below zero": ended("WIN", "won", -1),
        },
    ),
    Attack(
        "more cashed out than was staked",
        ended("CASHOUT", "confirmed", cashed_stake=201),
        "cashed_stake >= 0 AND cashed_stake <= stake",
    ),
    Attack("a settlement by cash-out", ended("CASHOUT", "confirmed", 60, 10), "only_a_settlement_settles"),
    Attack("a bet won whose stake is gone", ended("WIN", "won", 60, 0, 200), "cashed_out_is_all_of_it"),
    *attacks(
        "rolled_back_as_it_was_placed",
        {
            "a bet rolled back that has paid": ended("ROLLBACK", "rolled_back"),
            "a bet rolled back of which a part is gone": ended("ROLLBACK", "rolled_back", 0),
        },
    ),
    *attacks(
        NOT_NULL,
        {
            "a payout of nothing": ended("UNSETTLE", "confirmed", None),
            "a settlement of nothing": ended("WIN", "won", 60, None),
            "nothing known of what was cashed out": ended("UNSETTLE", "confirmed", cashed_stake=None),
        },
    ),
    *attacks(
        TERMS,
        {
            **{
                f"other terms of a bet: {column} = {value!r}": won({column: value})
                for column, value in _OTHER_TERMS
            },
            "a bet moved over another": won({"rowid": 4}).replace("UPDATE bets", "UPDATE OR REPLACE bets"),
        },
    ),
]


LIFE = [replace(each, blocks=3) for each in _LIVES]


BIRTHS = [
    *attacks(
        BETS_BEGIN,
        {
            "a bet that begins as won": batch(bet={"state": "won"}),
            "a bet that begins with a payout": batch(bet={"payout": 900}),
            "a bet that begins as settled": batch(bet={"state": "won", "payout": 9, "settled": 9}),
            "a bet that begins with a part cashed out": batch(bet={"cashed_stake": 10}),
            "a bet that begins as changed": batch(bet={"last_transaction_id": 5}),
        },
    ),
    *attacks(
        "a_bet_is_known_by_its_bet_id",
        {
            "a bet_id taken by a deposit": batch(event={"kind": "DEPOSIT"}, bet=None),
            "a tombstone in a scope of its own": batch(
                event={"kind": "TOMBSTONE", "scope": "op:TOMBSTONE"}, bet=None
            ),
        },
    ),
    Attack(
        "a bet paid behind its tombstone",
        batch(early=insert("transactions", {**NEXT["event"][1], "id": 6, "kind": "TOMBSTONE"})),
        EVENTS_GROW,
    ),
]
