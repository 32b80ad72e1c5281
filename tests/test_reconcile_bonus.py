"""reconcile of wallets, bonus money and free bets: books that were only played with are clean, each forgery
of bonus_forgeries.py is named, and it works beside a server that grants and expires.
"""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path
from typing import Any

import pytest

from engine import audit, lives
from engine import reconcile as module
from engine.bonus_checks import OTHER_BET, FreeBetRow, WalletAudit
from engine.checks import HolderRow, check_block
from engine.commands import (
    Command,
    ExpireBonus,
    ExpireFreeBet,
    GrantBonus,
    GrantFreeBet,
    OpenWallet,
    RevokeFreeBet,
    RollBackBet,
    Spend,
    fingerprint,
)
from engine.decide.answers import as_text
from engine.leg_checks import Staked, are_own_legs, bet_legs
from engine.life_checks import BetFound
from engine.outcomes import Accepted, Answer, BetTold, FreeBetTold, Outcome, Placed, Source
from engine.reconcile import reconcile
from engine.records import Bet, Entry, Transaction
from engine.store import Store
from tests.bonus_forgeries import (
    AT_US,
    BATCHES,
    BOBS_BONUS,
    BONUS,
    BONUS_BOOK,
    FURTHER,
    LATER_US,
    ROWS,
    own,
    unsettle,
    void,
    won,
)
from tests.bonus_history import HISTORY
from tests.books_open import ALICE, BOB, CASH, HOUSE, NOW_US, asked, bet_id, look, place, play, seed
from tests.forgeries import forge, in_order, reseal

BLOCKS = 1 + len(BATCHES)


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = seed(tmp_path_factory.mktemp("played") / "books.db", 1000, 500)
    for batch, at_us in zip(BATCHES, AT_US, strict=True):
        (outcomes,) = play(path, batch, now_us=at_us)
        assert all(isinstance(outcome, Accepted) for outcome in outcomes), outcomes
    return path


@pytest.fixture
def books(played: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(played, tmp_path / "books.db"))


def test_books_with_bonus_money_and_free_bets_are_clean(books: Path) -> None:
    report = reconcile(books)

    assert report.findings == []
    assert (report.users, report.entries) == (13, 123)
    wallets = look(books, f"SELECT id, balance FROM users WHERE participant_id IN ({ALICE}, {BOB})")
    assert wallets == [(ALICE, 114), (BOB, 476), (FURTHER, 0), (BONUS, 3), (BOBS_BONUS, 9)]
    states = look(books, "SELECT id, state FROM free_bets")
    assert states == [(10, "used"), (15, "revoked"), (17, "expired"), (19, "open"), (45, "used")]


@pytest.mark.parametrize("name", ROWS)
def test_an_edited_row_is_found_and_named_exactly(books: Path, name: str) -> None:
    sql, findings = ROWS[name]

    forge(books, sql)

    assert in_order(reconcile(books).findings) == in_order(findings)


@pytest.mark.parametrize("name", HISTORY)
def test_history_that_is_sealed_again_must_still_make_sense(books: Path, name: str) -> None:
    statements, findings = HISTORY[name]

    forge(books, *statements)
    reseal(books, *range(1, BLOCKS + 1))

    assert in_order(reconcile(books).findings) == in_order(findings)


@pytest.mark.parametrize(
    ("kind", "amounts", "source", "owed", "refunds", "legs"),
    [
        ("WIN", (0, 90, 0), (30, False, 5, False), {}, False, [(BOB, 63), (BONUS, 27), (HOUSE, -90)]),
        ("WIN", (0, 99, 0), (33, False, 0, False), {}, False, [(BOB, 67), (BONUS, 32), (HOUSE, -99)]),
        ("WIN", (0, 3, 3), (50, False, 0, False), {}, False, [(BOB, 1), (BONUS, 2), (HOUSE, -3)]),
        ("CASHOUT", (0, 1, 4), (50, False, 0, False), {}, False, [(BOB, 1), (HOUSE, -1)]),
        ("CASHOUT", (0, 1, 5), (50, False, 0, False), {}, False, [(BONUS, 1), (HOUSE, -1)]),
        ("WIN", (0, 90, 0), (100, False, 0, False), {}, False, [(BONUS, 90), (HOUSE, -90)]),
        ("WIN", (0, 90, 0), (30, False, 0, False), {BOB: 3, BONUS: 28, ALICE: 9}, False,
         [(BOB, 60), ("owed", 3), ("owed", 27), (HOUSE, -90)]),
        ("WIN", (0, 90, 0), (30, False, 5, True), {}, False,
         [(BOB, 63), (BONUS, 27), (HOUSE, -90), (BONUS, -32), (BONUS_BOOK, 32)]),
        ("WIN", (0, 90, 0), (30, False, 0, True), {BONUS: 27}, False,
         [(BOB, 63), ("owed", 27), (HOUSE, -90)]),
        ("LOSS", (0, 0, 0), (30, False, 5, True), {}, False, []),
        ("REFUND", (0, 100, 0), (30, False, 0, False), {BOB: 9, BONUS: 9}, True,
         [(BOB, 70), (BONUS, 30), (HOUSE, -100)]),
        ("REFUND", (0, 15, 3), (50, False, 0, False), {}, True, [(BOB, 7), (BONUS, 8), (HOUSE, -15)]),
        ("ROLLBACK", (0, 0, 0), (30, False, 1, True), {}, True,
         [(BOB, 70), (BONUS, 30), (HOUSE, -100), (BONUS, -31), (BONUS_BOOK, 31)]),
        ("UNSETTLE", (0, 90, 0), (30, False, 20, True), {}, False,
         [(BOB, -63), (BONUS, -20), (BONUS_BOOK, -7), (HOUSE, 90)]),
        ("UNSETTLE", (0, 90, 0), (30, False, 20, False), {}, False,
         [(BOB, -63), (BONUS, -20), ("owed", -7), (HOUSE, 90)]),
        ("UNSETTLE", (0, 3, 3), (50, False, 9, False), {}, False, [(BOB, -1), (BONUS, -2), (HOUSE, 3)]),
        ("UNSETTLE", (-60, 90, 0), (30, False, 50, False), {}, False,
         [(BOB, -3), ("owed", -60), (BONUS, -27), (HOUSE, 90)]),
        ("WIN", (0, 90, 0), (100, True, 0, False), {BOB: 3}, False, [(BOB, 87), ("owed", 3), (HOUSE, -90)]),
        ("REFUND", (0, 100, 0), (100, True, 0, False), {BOB: 3}, True, [(BONUS_BOOK, 100), (HOUSE, -100)]),
        ("UNSETTLE", (0, 100, 0), (100, True, 0, False), {}, True, [(BONUS_BOOK, -100), (HOUSE, 100)]),
    ],
)  # fmt: skip
def test_legs_of_a_bet_that_was_paid_by_two(
    kind: str,
    amounts: tuple[int, int, int],
    source: tuple[int, bool, int, bool],
    owed: dict[int, int],
    refunds: bool,
    legs: list[tuple[int | str, int]],
) -> None:
    """`amounts`: what was posted on the receivable book for the player's own wallet, what the bet pays, and
    has paid apart from that; `source`: what it paid of 100, whether the bet was free, what is there now,
    whether it has expired."""
    lent_minor, pays_minor, before_minor = amounts
    books = {("house", "EUR"): HOUSE, ("receivable", "EUR"): 6, ("bonus", "EUR"): BONUS_BOOK}
    posted = [Entry(0, 6, "EUR", lent_minor, 0, "RECEIVABLE", f"{BOB}", 1, 1, 0)]
    source_minor, is_free, has_minor, is_expired = source
    source_id = BONUS_BOOK if is_free else BONUS
    staked = Staked(BOB, "EUR", 100, source_id, source_minor, is_free, has_minor, is_expired)
    total_minor = before_minor + (0 if kind == "UNSETTLE" else pays_minor)
    told = BetTold(bet_id(1), "", payout_minor=pays_minor, total_minor=total_minor)

    found = bet_legs(
        kind, told, staked, posted, books, {f"{id_}": minor for id_, minor in owed.items()}, refunds=refunds
    )

    assert [("owed" if name == "RECEIVABLE" else id_, minor) for id_, _, minor, name, _ in found] == legs
    assert sum(minor for _, _, minor, _, _ in found) == 0


@pytest.mark.parametrize(("kind", "amount_minor"), [("DEPOSIT", 9), ("WITHDRAWAL", -9)])
def test_nobody_pays_into_a_bonus_wallet_or_out_of_it(kind: str, amount_minor: int) -> None:
    transaction = Transaction(1, kind, "s", "k", bytes(32), "{}", 1)
    postings = ((BONUS, amount_minor), (CASH, -amount_minor))
    entries = [Entry(0, user_id, "EUR", amount, 0, kind, "1", 1, 1, 0) for user_id, amount in postings]

    assert are_own_legs(transaction, entries, {("cash", "EUR"): CASH}, {BOBS_BONUS})
    assert not are_own_legs(transaction, entries, {("cash", "EUR"): CASH}, {BONUS})


def test_a_free_bet_is_given_back_by_the_bet_that_used_it() -> None:
    row = FreeBetRow(1, BOB, "EUR", 5, 0, "open", 4)
    users = [
        HolderRow(BOB, "player", "EUR", 0, 0, 0, 0, 0, BOB),
        HolderRow(BONUS_BOOK, "bonus", "EUR", 0, 0, 0, 0, 0, None),
    ]
    audit = WalletAudit(users, [], [row], {("bonus", "EUR"): BONUS_BOOK})

    def answer(state: str, before: int) -> str:
        return as_text(Answer(free_bet=FreeBetTold(1, state, 5, before)))

    def transaction(id_: int, kind: str, key: str, text: str) -> Transaction:
        mark = fingerprint(GrantFreeBet(BOB, 5, None, key="", caller=""))
        return Transaction(id_, kind, "", key, mark, text, 1)

    def bet(id_: int, number: int, before: int) -> Transaction:
        told = FreeBetTold(1, "used", 5, before)
        text = as_text(Placed(0, 0, 0, 0, Source(BONUS_BOOK, 5), told))
        return transaction(id_, "BET", bet_id(number), text)

    first, second = bet(2, 1, 0), bet(4, 2, 3)
    found = BetFound(2, "BET", BOB, "EUR", 5, first.answer, None, None)
    placed = Bet(2, BOB, "EUR", 5, None, None, None, None)
    back = transaction(3, "REFUND", "", answer("open", 2))
    again = transaction(5, "ROLLBACK", "", answer("open", 4))

    assert list(audit.granted(transaction(1, "FREE_BET", "", answer("open", 0)), [], NOW_US)) == []
    assert list(audit.placed(first, placed, NOW_US)) == []
    assert list(audit.became(back, bet_id(1), found)) == []
    assert list(audit.placed(second, placed._replace(transaction_id=4), NOW_US)) == []
    (finding,) = audit.became(again, bet_id(1), found)
    assert finding == {"check": "free_bet", "transaction_id": 5, "why": OTHER_BET}


def test_it_works_while_bonuses_and_free_bets_are_granted_used_and_taken_back(
    books: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows that were there when it began change before they are read: what is newer is left out."""

    async def run() -> module.Report:
        loop = asyncio.get_running_loop()
        store = await Store.open(books)
        rounds = iter(range(100, 200))

        def commit(*commands: Command, at_us: int) -> list[Outcome]:
            committed = asyncio.run_coroutine_threadsafe(store.commit(asked(*commands), at_us), loop)
            outcomes = committed.result(10)
            assert all(isinstance(outcome, Accepted) for outcome in outcomes), outcomes
            return outcomes

        def meanwhile(*read: Any, **known: Any) -> Any:
            number = next(rounds)
            at_us = LATER_US + 10 * number
            key = f"round {number}"
            granted = commit(
                OpenWallet("EUR", BOB, **own(key)),
                GrantBonus(ALICE, 50, Spend.LAST, at_us + 1, **own(key)),
                GrantFreeBet(ALICE, 3, at_us + 1, **own(key)),
                GrantFreeBet(BOB, 4, None, **own(f"{key}, another")),
                place(number, 150),
                won(number, 300, key),
                unsettle(number, key),
                void(number, f"{key}, void"),
                at_us=at_us,
            )
            ids = [each.free_bet.id for each in granted if isinstance(each, Accepted) and each.free_bet]
            commit(
                place(1000 + number, 3, free_bet_id=ids[0]),
                RollBackBet(bet_id(1000 + number), **own(key)),
                RevokeFreeBet(ids[1], **own(key)),
                at_us=at_us,
            )
            commit(ExpireBonus(BONUS, **own(key)), ExpireFreeBet(ids[0], **own(key)), at_us=at_us + 1)
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
    assert report.entries == 123, "what was there when it began"
    assert reconcile(books).findings == []
