"""reconcile of mass payouts and limits: books that were only played with are clean, each forgery is named.

Block 1 pays ALICE 1000 and BOB 500; BATCHES are blocks 2 to 6, and the numbers of their transactions are the
keys of most. CAROL has a wallet and no entry. In the end ALICE owes nothing; 20 of payout 8 are in suspense,
1 of payout 19 is still to be paid, payout 17 is still collecting.
"""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import bonus_forgeries
import bonus_history
import pytest
from books_open import ALICE, BOB, NOBODY, NOW_US, asked, place, play, seed, with_store
from forgeries import FORGERIES, forge, in_order, legs, reseal
from life_forgeries import HISTORY, ROWS, told

from engine import audit, checks, lives
from engine import reconcile as module
from engine.accounts import open_wallets
from engine.checks import Finding, check_block
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
from engine.life_checks import NOT_BEFORE, NOT_FOLLOWING, NOT_IN_CHAIN, NOT_SAID, NOT_WHERE_TOLD
from engine.outcomes import Accepted
from engine.payout_checks import NO_ITEM, NO_OWNER, NO_PAIR, NO_PAYOUT, OTHER_SUSPENSE, OTHER_TERMS, SURPLUS
from engine.reconcile import reconcile
from engine.store import Store

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


@pytest.fixture
def books(tmp_path: Path) -> Path:
    path = seed(tmp_path / "books.db", 1000, 500)
    with_store(path, lambda store: store.set_up(lambda connection: open_wallets(connection, "EUR", 1)))
    for outcomes in play(path, *BATCHES):
        assert all(isinstance(outcome, Accepted) for outcome in outcomes), outcomes
    return path


def payout(transaction_id: int, why: str) -> Finding:
    return {"check": "payout", "transaction_id": transaction_id, "why": why}


def reserve(check: str, user_id: int, balance: int, its_items: int) -> Finding:
    return {"check": check, "user_id": user_id, "balance": balance, "items": its_items}


def limit(user_id: int, kind: str, period: str, why: str) -> Finding:
    return {"check": "limit", "user_id": user_id, "kind": kind, "period": period, "why": why}


def slipped_in(kind: str, answer: str, fingerprint_of: int = 28) -> list[str]:
    """A transaction 29 at the end of the newest block."""
    return [
        f"INSERT INTO transactions SELECT 29, '{kind}', 'op:x', 'x', fingerprint, '{answer}', {BLOCKS} "
        f"FROM transactions WHERE id = {fingerprint_of}",
        f"UPDATE blocks SET last_transaction_id = 29 WHERE id = {BLOCKS}",
    ]


OTHER_LIMIT = "it is not what was last asked for"
UNSEEN = "it is never looked at: its player is not marked as limited"
NO_LIMIT = "its row is missing"

_BOUNDLESS = f"UPDATE transactions SET answer = json_set(answer, '$.limit.amount', json('{2**64}'))"

EDITS: dict[str, tuple[list[str], list[Finding]]] = {
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

RETOLD: dict[str, tuple[list[str], list[Finding]]] = {
    "an answer that says nothing of a payout": (
        ["UPDATE transactions SET answer = '{}' WHERE id = 12"],
        [
            payout(12, NOT_SAID),
            payout(13, NOT_BEFORE),
            payout(9, NOT_IN_CHAIN),
            payout(10, NOT_IN_CHAIN),
            payout(11, NOT_IN_CHAIN),
            reserve("clearing", CLEARING_ID_BASE + 8, 0, 277),
        ],
    ),
    "an answer that says nothing of a limit": (
        ["UPDATE transactions SET answer = '{}' WHERE id = 25"],
        [
            {"check": "limit", "transaction_id": 25, "why": NOT_SAID},
            limit(BOB, "exclusion", "ever", OTHER_LIMIT),
        ],
    ),
    "an opening that says more": (
        [told(8, payout__items=1)],
        [payout(8, NOT_FOLLOWING)],
    ),
    "a payout of a number that is still to come": (
        [told(9, payout__id=10)],
        [payout(9, NOT_SAID), payout(10, NOT_BEFORE)],
    ),
    "a payout of an impossible number of items": (
        [told(9, payout__items=1152921504606846976)],
        [payout(9, NOT_SAID), payout(10, NOT_BEFORE)],
    ),
    "items added twice": (
        [told(10, payout__items=6)],
        [payout(10, NOT_FOLLOWING), payout(11, NOT_FOLLOWING)],
    ),
    "a start of another sum": (
        [told(11, payout__total_minor=278)],
        [
            payout(11, NOT_FOLLOWING),
            legs(11, "PAYOUT_START"),
            payout(12, NOT_FOLLOWING),
            reserve("clearing", CLEARING_ID_BASE + 8, 0, 1),
        ],
    ),
    "a start before its items": (
        [told(11, payout__before=9)],
        [payout(11, NOT_FOLLOWING), payout(10, NOT_IN_CHAIN)],
    ),
    "a start that names the opening": (
        [told(11, payout__before=8)],
        [payout(11, NOT_BEFORE), payout(9, NOT_IN_CHAIN), payout(10, NOT_IN_CHAIN)],
    ),
    "a chunk that pays less": (
        [told(22, payout__done=99), "UPDATE payouts SET done = 99 WHERE id = 19"],
        [payout(22, NOT_FOLLOWING), legs(22, "PAYOUT"), reserve("clearing", CLEARING_ID_BASE + 19, 1, 2)],
    ),
    "a chunk that is the end": (
        [told(22, payout__state="paid"), "UPDATE payouts SET state = 'paid' WHERE id = 19"],
        [payout(22, NOT_FOLLOWING)],
    ),
    "a chunk of another payout": (
        [told(22, payout__id=8)],
        [
            payout(19, NOT_WHERE_TOLD),
            payout(22, NOT_BEFORE),
            payout(20, NOT_IN_CHAIN),
            payout(21, NOT_IN_CHAIN),
            payout(22, NOT_IN_CHAIN),
            reserve("clearing", CLEARING_ID_BASE + 19, 1, 101),
        ],
    ),
    "a chunk that suspends nobody": (
        ["UPDATE transactions SET answer = json_remove(answer, '$.payout.suspends') WHERE id = 12"],
        [payout(12, NOT_FOLLOWING), legs(12, "PAYOUT")],
    ),
    "a resolution that resolves two": (
        [told(13, payout__suspended=0), "UPDATE payouts SET suspended = 0 WHERE id = 8"],
        [payout(13, NOT_FOLLOWING)],
    ),
    "a resolution of no item": (
        ["UPDATE transaction_ledger SET ref_id = '8:9' WHERE transaction_id = 13"],
        [payout(13, NO_ITEM), legs(13, "PAYOUT_ITEM")],
    ),
    "a resolution of another item": (
        ["UPDATE transaction_ledger SET ref_id = '8:1' WHERE transaction_id = 13"],
        [payout(13, OTHER_SUSPENSE), legs(13, "PAYOUT_ITEM")],
    ),
    "a resolution of what is no number": (
        ["UPDATE transaction_ledger SET ref_id = '8' WHERE transaction_id = 13"],
        [payout(13, NO_ITEM), legs(13, "PAYOUT_ITEM")],
    ),
    "the fingerprint of a chunk": (
        ["UPDATE transactions SET fingerprint = zeroblob(32) WHERE id = 12"],
        [payout(12, OTHER_TERMS)],
    ),
    "the fingerprint of an opening": (
        ["UPDATE transactions SET fingerprint = zeroblob(32) WHERE id = 17"],
        [payout(17, OTHER_TERMS)],
    ),
    "the fingerprint of a start": (
        ["UPDATE transactions SET fingerprint = zeroblob(32) WHERE id = 11"],
        [payout(11, OTHER_TERMS)],
    ),
    "the fingerprint of a small payout": (
        ["UPDATE transactions SET fingerprint = zeroblob(32) WHERE id = 14"],
        [payout(14, OTHER_TERMS)],
    ),
    "a winner paid under another name": (
        [f"UPDATE transaction_ledger SET ref_type = 'WIN' WHERE transaction_id = 14 AND user_id = {ALICE}"],
        [legs(14, "PAYOUT")],
    ),
    "a winner paid in place of another": (
        [f"UPDATE transaction_ledger SET ref_id = '19' WHERE transaction_id = 14 AND user_id = {ALICE}"],
        [legs(14, "PAYOUT")],
    ),
    "whose debt was kept back": (
        [
            f"UPDATE transaction_ledger SET ref_id = '{BOB}'"
            f" WHERE transaction_id = 12 AND ref_type = 'RECEIVABLE' AND amount = 50"
        ],
        [
            legs(12, "PAYOUT"),
            legs(14, "PAYOUT"),
            legs(22, "PAYOUT"),
            {"check": "owed", "user_id": 7, "owed": 0, "ledger": 50},
            {"check": "owed", "user_id": 8, "owed": 0, "ledger": -50},
        ],
    ),
    "which item is in suspense": (
        ["UPDATE transaction_ledger SET ref_id = '8:3' WHERE transaction_id = 12 AND ref_id = '8:1'"],
        [legs(12, "PAYOUT")],
    ),
    "the sum under the name of another payout": (
        ["UPDATE transaction_ledger SET ref_id = '19' WHERE transaction_id = 11"],
        [legs(11, "PAYOUT_START")],
    ),
    "a chunk twice over": (
        slipped_in(
            "PAYOUT",
            '{"payout":{"id":8,"state":"paid","items":4,"total_minor":277,"done":4,"suspended":1,"before":13}}',
            12,
        ),
        [payout(29, NOT_FOLLOWING), legs(29, "PAYOUT"), payout(29, NOT_IN_CHAIN)],
    ),
    "a start twice over": (
        slipped_in(
            "PAYOUT_START", '{"payout":{"id":17,"state":"paying","items":1,"total_minor":3,"before":18}}', 11
        ),
        [payout(29, OTHER_TERMS), legs(29, "PAYOUT_START"), payout(29, NOT_IN_CHAIN)],
    ),
    "a resolution of a payout that there is not": (
        slipped_in("PAYOUT_ITEM", '{"payout":{"id":15,"state":"paid","before":13}}', 13),
        [payout(29, NO_PAYOUT)],
    ),
    "a small payout without a row": (
        slipped_in("PAYOUT", '{"payout":{"id":29,"state":"paid"}}', 14),
        [payout(29, NO_PAIR), payout(29, NO_PAYOUT)],
    ),
    "an opening without a row": (
        slipped_in("PAYOUT_OPEN", '{"payout":{"id":29,"state":"collecting"}}', 17),
        [payout(29, NO_PAIR)],
    ),
    "an answer of a looser limit": (
        [told(23, limit__amount=600)],
        [{"check": "limit", "transaction_id": 23, "why": OTHER_TERMS}],
    ),
    "an answer of a limit that nobody can have asked for": (
        [
            told(24, limit__pending_from_us=0),
            f"{_BOUNDLESS} WHERE id = 24",
        ],
        [
            {"check": "limit", "transaction_id": 24, "why": OTHER_TERMS},
            limit(ALICE, "stake", "day", OTHER_LIMIT),
        ],
    ),
    "an answer of an exclusion that nobody can have asked for": (
        [f"{_BOUNDLESS} WHERE id = 25"],
        [
            {"check": "limit", "transaction_id": 25, "why": OTHER_TERMS},
            limit(BOB, "exclusion", "ever", OTHER_LIMIT),
        ],
    ),
    "an answer of a limit that does not wait": (
        [told(24, limit__amount=800, limit__pending=-1, limit__pending_from_us=0)],
        [limit(ALICE, "stake", "day", OTHER_LIMIT)],
    ),
    "a limit asked for once more": (
        slipped_in(
            "LIMIT",
            '{"wallet":{"seq":1,"balance_minor":0,"held_minor":0,"available_minor":0},"limit":{"user_id":7,"kind":"stake","period":"day","amount":500,"pending":-1,"pending_from_us":0}}',
            23,
        ),
        [limit(ALICE, "stake", "day", OTHER_LIMIT)],
    ),
}


@pytest.mark.parametrize("name", EDITS)
def test_an_edited_row_is_found_and_named_exactly(books: Path, name: str) -> None:
    statements, findings = EDITS[name]

    forge(books, *statements)

    assert in_order(reconcile(books).findings) == in_order(findings)


@pytest.mark.parametrize("name", RETOLD)
def test_history_that_is_sealed_again_must_still_make_sense(books: Path, name: str) -> None:
    statements, findings = RETOLD[name]

    forge(books, *statements)
    for number in range(1, BLOCKS + 1):
        reseal(books, number)

    assert in_order(reconcile(books).findings) == in_order(findings)


def test_books_with_payouts_and_limits_are_clean(books: Path) -> None:
    report = reconcile(books)

    assert report.findings == []
    assert report.users == 12, "two of them clearing accounts"


def test_every_check_is_produced_by_a_forgery() -> None:
    """The names are those in the docstring of engine/checks.py."""
    listed = set(re.findall(r"^(\w+) {2,}", checks.__doc__ or "", re.MULTILINE))
    single = [
        findings for _, findings in (*FORGERIES.values(), *ROWS.values(), *bonus_forgeries.ROWS.values())
    ]
    lives_told = (*HISTORY.values(), *bonus_history.HISTORY.values())
    several = [findings for _, findings in (*lives_told, *EDITS.values(), *RETOLD.values())]

    # The types of values are those of a file written past SQLite (test_verify.py); for archives there is
    # test_verify_archives.py.
    told = {finding["check"] for findings in single + several for finding in findings}
    assert told | {"type", "archive"} == listed


def test_it_works_while_a_payout_is_opened_paid_and_resolved(
    books: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows that were there when it began change before they are read: what is newer is left out."""

    async def run() -> module.Report:
        loop = asyncio.get_running_loop()
        store = await Store.open(books)
        rounds = iter(range(1000))

        def meanwhile(*read: Any, **known: Any) -> Any:
            key = f"round {next(rounds)}"
            first: list[Command] = [
                PayChunk(19, CHUNK_ITEMS, **own("the last chunk")),
                ResolveItem(8, 1, returns=False, **own("the last item")),
                AddPayoutItems(17, 1, items((BOB, 2)), **own("one more")),
                OpenPayout("EUR", **own(key)),
                Pay("EUR", items((BOB, 1), (NOBODY, 1)), **own(key)),
                SetLimit(BOB, "loss", "day", 10_000, **own(key)),
            ]
            outcomes = asyncio.run_coroutine_threadsafe(store.commit(asked(*first), NOW_US), loop).result(10)
            assert all(isinstance(outcome, Accepted) for outcome in outcomes), outcomes
            opened = outcomes[3]
            assert isinstance(opened, Accepted)
            id_ = opened.transaction_id
            for command in (
                AddPayoutItems(id_, 0, items((BOB, 3), (NOBODY, 4)), **own(key)),
                StartPayout(id_, 2, 7, **own(key)),
                PayChunk(id_, 0, **own(f"{key} chunk")),
                ResolveItem(id_, 1, returns=True, **own(key)),
            ):
                (outcome,) = asyncio.run_coroutine_threadsafe(
                    store.commit(asked(command), NOW_US), loop
                ).result(10)
                assert isinstance(outcome, Accepted), outcome
            return check_block(*read, **known)

        monkeypatch.setattr(audit, "check_block", meanwhile)
        # A second look for strays finds none: it must not even be taken, since it is slow.
        monkeypatch.setattr(lives.Lives, "strays", lambda self: [{"check": "a second look"}])
        try:
            return await asyncio.to_thread(reconcile, books)
        finally:
            monkeypatch.undo()
            await store.close()

    report = asyncio.run(run())

    assert report.findings == []
    assert report.entries == 131, "what was there when it began"
    assert reconcile(books).findings == []
