"""Forgeries of mass payouts and limits, as data like those of forgeries.py; and the books that they forge.

Block 1 pays ALICE 1000 and BOB 500; BATCHES are blocks 2 to 6, and the numbers of their transactions are the
keys of most. CAROL has a wallet and no entry. In the end ALICE owes nothing; 20 of payout 8 are in suspense,
1 of payout 19 is still to be paid, payout 17 is still collecting.
"""

from __future__ import annotations

from typing import Any

from engine.checks import Finding
from engine.commands import (
    CHUNK_ITEMS,
    CLEARING_ID_BASE,
    AddPayoutItems,
    Command,
    Exclude,
    OpenPayout,
    Pay,
    PayChunk,
    PayoutItem,
    ResolveItem,
    Result,
    SetLimit,
    SetStatus,
    SettleBet,
    StartPayout,
    UnsettleBet,
    Withdraw,
)
from engine.life_checks import NOT_FOLLOWING, NOT_IN_CHAIN, NOT_WHERE_TOLD
from engine.payout_checks import NO_OWNER, NO_PAIR, NO_PAYOUT, OTHER_SUSPENSE, OTHER_TERMS, SURPLUS
from tests.books_open import ALICE, BOB, NOBODY, NOW_US, place
from tests.forgeries import legs

SUSPENSE, CAROL = 5, 9
UNTIL_US = NOW_US + 10**12


def own(key: str) -> dict[str, Any]:
    return {"key": key, "caller": "op"}


def items(*winners: tuple[int, int]) -> tuple[PayoutItem, ...]:
    return tuple(PayoutItem(*winner) for winner in winners)


BET = place(1, 200)
BATCHES: list[list[Command]] = [
    [
        BET,  # 3
        SettleBet(BET.bet_id, Result.WON, 300, **own("4")),
        Withdraw(ALICE, 1000, **own("5")),
        UnsettleBet(BET.bet_id, **own("6")),  # she owes 200
        SetStatus(BOB, "blocked", **own("7")),
    ],
    [
        OpenPayout("EUR", **own("8")),
        AddPayoutItems(8, 0, items((ALICE, 150), (BOB, 20)), **own("9")),
        AddPayoutItems(8, 2, items((NOBODY, 7), (ALICE, 100)), **own("10")),
        StartPayout(8, 4, 277, **own("11")),
    ],
    [
        PayChunk(8, 0, **own("12")),
        ResolveItem(8, 2, returns=True, **own("13")),
        Pay("EUR", items((ALICE, 5), (BOB, 6)), **own("14")),
        SetStatus(BOB, "open", **own("15")),
        ResolveItem(14, 1, returns=False, **own("16")),
        OpenPayout("EUR", **own("17")),
        AddPayoutItems(17, 0, items((ALICE, 3)), **own("18")),
    ],
    [
        OpenPayout("EUR", **own("19")),
        AddPayoutItems(19, 0, items(*[(ALICE, 1)] * (CHUNK_ITEMS + 1)), **own("20")),
        StartPayout(19, CHUNK_ITEMS + 1, CHUNK_ITEMS + 1, **own("21")),
        PayChunk(19, 0, **own("22")),
    ],
    [
        SetLimit(ALICE, "stake", "day", 500, **own("23")),
        SetLimit(ALICE, "stake", "day", 800, **own("24")),
        Exclude(BOB, UNTIL_US, **own("25")),
        SetLimit(CAROL, "deposit", "week", 100, **own("26")),
        SetLimit(CAROL, "deposit", "week", 50, **own("27")),
        SetLimit(ALICE, "loss", "month", None, **own("28")),
    ],
]

BLOCKS = 1 + len(BATCHES)


def payout(transaction_id: int, why: str) -> Finding:
    return {"check": "payout", "transaction_id": transaction_id, "why": why}


def reserve(check: str, user_id: int, balance: int, its_items: int) -> Finding:
    return {"check": check, "user_id": user_id, "balance": balance, "items": its_items}


def limit(user_id: int, kind: str, period: str, why: str) -> Finding:
    return {"check": "limit", "user_id": user_id, "kind": kind, "period": period, "why": why}


OTHER_LIMIT = "it is not what was last asked for"
UNSEEN = "it is never looked at: its player is not marked as limited"
NO_LIMIT = "its row is missing"

ROWS: dict[str, tuple[list[str], list[Finding]]] = {
    "a payout that is paid": (
        ["UPDATE payouts SET state = 'paid' WHERE id = 17"],
        [payout(17, NOT_WHERE_TOLD)],
    ),
    "fewer items": (
        ["UPDATE payouts SET items = 3 WHERE id = 8"],
        [payout(8, NOT_WHERE_TOLD), payout(8, SURPLUS)],
    ),
    "another total": (
        ["UPDATE payouts SET total = 278 WHERE id = 8"],
        [payout(8, NOT_WHERE_TOLD)],
    ),
    "a chunk forgotten": (
        ["UPDATE payouts SET done = 0, last_transaction_id = 21 WHERE id = 19"],
        [payout(22, NOT_IN_CHAIN)],
    ),
    "an item out of suspense that is still there": (
        ["UPDATE payouts SET suspended = 0 WHERE id = 8"],
        [payout(8, NOT_WHERE_TOLD)],
    ),
    "a payout as it once was": (
        ["UPDATE payouts SET suspended = 2, last_transaction_id = 12 WHERE id = 8"],
        [payout(13, NOT_IN_CHAIN)],
    ),
    "the currency of a payout": (
        ["UPDATE payouts SET currency = 'USD' WHERE id = 17"],
        [payout(17, OTHER_TERMS)],
    ),
    "the caller of a payout": (
        ["UPDATE payouts SET caller = 'other' WHERE id = 17"],
        [payout(17, "its caller is not that of its transaction")],
    ),
    "a payout taken away": (
        ["DELETE FROM payouts WHERE id = 17"],
        [payout(17, NO_PAIR), payout(18, NO_PAYOUT), payout(17, NO_OWNER)],
    ),
    "a small payout taken away": (
        ["DELETE FROM payouts WHERE id = 14"],
        [
            payout(14, NO_PAIR),
            payout(14, NO_PAYOUT),
            payout(16, NO_PAYOUT),
            payout(14, NO_OWNER),
            payout(14, NO_OWNER),
        ],
    ),
    "a payout on a deposit": (
        ["INSERT INTO payouts (id, caller, currency) VALUES (1, 'test', 'EUR')"],
        [payout(1, NO_PAIR)],
    ),
    "a payout beyond the newest block": (
        ["INSERT INTO payouts (id, caller, currency) VALUES (99, 'op', 'EUR')"],
        [{"check": "unsealed", "payout": 99}],
    ),
    "a winner": (
        [f"UPDATE payout_items SET user_id = {BOB} WHERE payout_id = 17"],
        [payout(18, OTHER_TERMS)],
    ),
    "what a winner gets": (
        ["UPDATE payout_items SET amount = 151 WHERE payout_id = 8 AND number = 0"],
        [payout(9, NOT_FOLLOWING), legs(12, "PAYOUT"), reserve("clearing", CLEARING_ID_BASE + 8, 0, -1)],
    ),
    "what two winners get": (
        ["UPDATE payout_items SET amount = amount + iif(number, -1, 1) WHERE payout_id = 8 AND number < 2"],
        [payout(9, OTHER_TERMS), legs(12, "PAYOUT"), reserve("suspense", SUSPENSE, 20, 19)],
    ),
    "what is yet to be paid": (
        ["UPDATE payout_items SET amount = 2 WHERE payout_id = 19 AND number = 100"],
        [payout(20, NOT_FOLLOWING)],
    ),
    "an item taken away": (
        ["DELETE FROM payout_items WHERE payout_id = 17"],
        [payout(18, NOT_FOLLOWING)],
    ),
    "an item too many": (
        [f"INSERT INTO payout_items VALUES (17, 1, {BOB}, 9)"],
        [payout(17, SURPLUS)],
    ),
    "an item of no payout": (
        [f"INSERT INTO payout_items VALUES (15, 0, {BOB}, 9)"],
        [payout(15, NO_OWNER)],
    ),
    "suspense forgotten": (
        ["DELETE FROM suspended_items WHERE payout_id = 8 AND number = 1"],
        [payout(12, OTHER_SUSPENSE), reserve("suspense", SUSPENSE, 20, 0)],
    ),
    "a reason": (
        ["UPDATE suspended_items SET reason = 'ACCOUNT_NOT_FOUND' WHERE payout_id = 8 AND number = 1"],
        [payout(12, OTHER_SUSPENSE)],
    ),
    "an item that was paid after all": (
        ["UPDATE suspended_items SET state = 'paid' WHERE payout_id = 8 AND number = 1"],
        [payout(12, OTHER_SUSPENSE), reserve("suspense", SUSPENSE, 20, 0)],
    ),
    "an item paid by the resolution of another": (
        [
            "UPDATE suspended_items SET state = 'paid', last_transaction_id = 16"
            " WHERE payout_id = 8 AND number = 1"
        ],
        [payout(12, OTHER_SUSPENSE), reserve("suspense", SUSPENSE, 20, 0)],
    ),
    "an item that was returned in place of paid": (
        ["UPDATE suspended_items SET state = 'returned' WHERE payout_id = 14"],
        [payout(14, OTHER_SUSPENSE), payout(16, OTHER_TERMS), legs(16, "PAYOUT_ITEM")],
    ),
    "an item back in suspense": (
        ["UPDATE suspended_items SET state = 'suspended', last_transaction_id = 0 WHERE payout_id = 14"],
        [payout(16, OTHER_SUSPENSE), reserve("suspense", SUSPENSE, 20, 26)],
    ),
    "an item put into suspense beside its payment": (
        ["INSERT INTO suspended_items (payout_id, number, reason) VALUES (8, 0, 'ACCOUNT_BLOCKED')"],
        [payout(12, OTHER_SUSPENSE), reserve("suspense", SUSPENSE, 20, 170)],
    ),
    "an item in suspense before its turn": (
        ["INSERT INTO suspended_items (payout_id, number, reason) VALUES (19, 100, 'ACCOUNT_BLOCKED')"],
        [payout(19, SURPLUS), reserve("suspense", SUSPENSE, 20, 21)],
    ),
    "suspense of no payout": (
        ["INSERT INTO suspended_items (payout_id, number, reason) VALUES (15, 0, 'ACCOUNT_BLOCKED')"],
        [payout(15, NO_OWNER)],
    ),
    "a balance of clearing": (
        [f"UPDATE users SET balance = 2 WHERE id = {CLEARING_ID_BASE} + 19"],
        [
            {"check": "balance", "user_id": 4503599627370515, "balance": 2, "ledger": 1},
            reserve("clearing", CLEARING_ID_BASE + 19, 2, 1),
        ],
    ),
    "a balance of suspense": (
        [f"UPDATE users SET balance = 0 WHERE id = {SUSPENSE}"],
        [
            {"check": "balance", "user_id": 5, "balance": 0, "ledger": 20},
            reserve("suspense", SUSPENSE, 0, 20),
        ],
    ),
    "a limit": (
        [f"UPDATE limits SET amount = 900 WHERE user_id = {ALICE} AND kind = 'stake'"],
        [limit(ALICE, "stake", "day", OTHER_LIMIT)],
    ),
    "a limit that waits": (
        [f"UPDATE limits SET pending = 900 WHERE user_id = {ALICE} AND kind = 'stake'"],
        [limit(ALICE, "stake", "day", OTHER_LIMIT)],
    ),
    "a limit that does not wait": (
        [f"UPDATE limits SET pending_from = {NOW_US} WHERE user_id = {ALICE} AND kind = 'stake'"],
        [limit(ALICE, "stake", "day", OTHER_LIMIT)],
    ),
    "a limit as it once was": (
        [f"UPDATE limits SET pending = -1, pending_from = 0 WHERE user_id = {ALICE} AND kind = 'stake'"],
        [limit(ALICE, "stake", "day", OTHER_LIMIT)],
    ),
    "a limit of one without entries": (
        [f"UPDATE limits SET amount = 500 WHERE user_id = {CAROL}"],
        [limit(CAROL, "deposit", "week", OTHER_LIMIT)],
    ),
    "an exclusion that ends": (
        [f"UPDATE limits SET amount = {NOW_US} WHERE user_id = {BOB}"],
        [limit(BOB, "exclusion", "ever", OTHER_LIMIT)],
    ),
    "a limit taken away": (
        [f"DELETE FROM limits WHERE user_id = {ALICE} AND kind = 'stake'"],
        [limit(ALICE, "stake", "day", NO_LIMIT)],
    ),
    "a limit made up": (
        [f"INSERT INTO limits VALUES ({BOB}, 'stake', 'day', 5, -1, 0, 0, 0, 0)"],
        [limit(BOB, "stake", "day", OTHER_LIMIT)],
    ),
    "the period of a limit": (
        [f"UPDATE limits SET period = 'day' WHERE user_id = {ALICE} AND kind = 'loss'"],
        [limit(ALICE, "loss", "day", OTHER_LIMIT), limit(ALICE, "loss", "month", NO_LIMIT)],
    ),
    "a player who has no limits any more": (
        [f"UPDATE users SET limited = 0 WHERE id = {BOB}"],
        [limit(BOB, "exclusion", "ever", UNSEEN)],
    ),
}
