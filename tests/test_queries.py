"""What can be read beside the writer: wallets, bets, entries page by page."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from engine import queries
from engine.commands import (
    AddPayoutItems,
    CaptureHold,
    CashOutBet,
    Command,
    Exclude,
    ExpireBonus,
    GrantBonus,
    GrantFreeBet,
    OpenPayout,
    OpenWallet,
    PayChunk,
    PayoutItem,
    PlaceHold,
    ReleaseHold,
    ResolveItem,
    Result,
    RevokeFreeBet,
    RollBackBet,
    SetLimit,
    SetStatus,
    SettleBet,
    Spend,
    StartPayout,
)
from engine.files import open_read_only
from engine.limits import COOLING_OFF_US, NONE
from engine.outcomes import Accepted, LimitTold
from engine.snapshots import (
    BetState,
    FreeBetState,
    ItemState,
    LimitState,
    ListedPayout,
    PayoutState,
    PostedEntry,
    WalletOf,
    WalletState,
)
from engine.statement import FOREVER_US
from tests.books_open import (
    ALICE,
    BOB,
    CASH,
    HOUSE,
    MINUTE_US,
    NOBODY,
    NOW_US,
    bet_id,
    deposit,
    look,
    place,
    play,
    seed,
    seed_a_story,
)

CALLER: dict[str, Any] = {"key": "k", "caller": "1"}


@pytest.fixture
def books(tmp_path: Path) -> Path:
    """ALICE and BOB have what `seed_a_story` says."""
    return seed_a_story(tmp_path / "books.db")


@pytest.fixture
def reader(books: Path) -> Iterator[sqlite3.Connection]:
    with contextlib.closing(open_read_only(books)) as connection:
        yield connection


def test_a_wallet(books: Path, reader: sqlite3.Connection) -> None:
    assert queries.wallet(reader, ALICE) == WalletState(ALICE, "EUR", "open", 1430, 0, 1430, 11)

    play(books, [PlaceHold(BOB, 15, **CALLER), SetStatus(BOB, "blocked", **CALLER)])

    assert queries.wallet(reader, BOB) == WalletState(BOB, "EUR", "blocked", 40, 15, 25, 7)


@pytest.mark.parametrize("user_id", [NOBODY, HOUSE, CASH, 0, -1])
def test_only_players_have_a_wallet(reader: sqlite3.Connection, user_id: int) -> None:
    assert queries.wallet(reader, user_id) is None


def test_a_wallet_without_entries_has_seq_0(tmp_path: Path) -> None:
    path = seed(tmp_path / "new.db", 5)
    look(path, "INSERT INTO participants (id) VALUES (?)", BOB)
    columns = "id, kind, currency, participant_id"
    look(path, f"INSERT INTO users ({columns}) VALUES (?, 'player', 'EUR', ?)", BOB, BOB)

    with contextlib.closing(open_read_only(path)) as connection:
        assert queries.wallet(connection, BOB) == WalletState(BOB, "EUR", "open", 0, 0, 0, 0)
        assert queries.entries_after(connection, BOB, 0, 10) == ([], False, False)


def test_a_confirmed_bet_and_a_refused_one(reader: sqlite3.Connection) -> None:
    assert queries.bet(reader, bet_id(1)) == BetState(ALICE, "confirmed", 30, 0, 3, 5, None)
    assert queries.bet(reader, bet_id(3)) == BetState(
        BOB, "rejected", 60, 0, None, None, "INSUFFICIENT_FUNDS"
    )


@pytest.mark.parametrize(
    ("change", "state", "payout_minor"),
    [
        (SettleBet(bet_id(1), Result.WON, 75, **CALLER), "won", 75),
        (SettleBet(bet_id(1), Result.LOST, **CALLER), "lost", 0),
        (SettleBet(bet_id(1), Result.VOID, **CALLER), "void", 30),
        (CashOutBet(bet_id(1), 10, 20, **CALLER), "confirmed", 20),
        (CashOutBet(bet_id(1), 30, 20, **CALLER), "cashed_out", 20),
        (RollBackBet(bet_id(1), **CALLER), "rolled_back", 0),
    ],
)
def test_what_has_become_of_a_bet(
    books: Path, reader: sqlite3.Connection, change: Command, state: str, payout_minor: int
) -> None:
    play(books, [change])

    # The transaction and the entry are still those that staked it.
    assert queries.bet(reader, bet_id(1)) == BetState(ALICE, state, 30, payout_minor, 3, 5, None)


def test_a_bet_rolled_back_before_it_came_is_nobodys_until_it_comes(
    books: Path, reader: sqlite3.Connection
) -> None:
    play(
        books,
        [RollBackBet(bet_id(8), **CALLER), RollBackBet(bet_id(9), stake_minor=12, **CALLER | {"key": "2"})],
    )

    assert queries.bet(reader, bet_id(8)) == BetState(0, "rolled_back", 0, 0, None, None, None)
    assert queries.bet(reader, bet_id(9)) == BetState(0, "rolled_back", 12, 0, None, None, None)

    play(books, [place(9, 12, BOB)])

    assert queries.bet(reader, bet_id(9)) == BetState(BOB, "rejected", 12, 0, None, None, "BET_ROLLED_BACK")


def test_holds_are_due_when_their_time_has_come_the_oldest_first(
    books: Path, reader: sqlite3.Connection
) -> None:
    later_us = NOW_US + 3 * MINUTE_US  # than the books' last block
    times = (later_us + 300, later_us + 100, None, later_us + 200, later_us + 100)
    placed = [PlaceHold(ALICE, 1, at_us, key=str(number), caller="1") for number, at_us in enumerate(times)]
    ids = [
        outcome.hold.id
        for outcome in play(books, placed)[0]
        if isinstance(outcome, Accepted) and outcome.hold
    ]
    assert len(ids) == len(times)

    def due(at_us: int, most: int = 10) -> list[int]:
        found = queries.expiries_due(reader, at_us, most)
        assert {what for what, _, _ in found} <= {"hold"}
        return [id_ for _, id_, _ in found]

    assert due(later_us + 99) == []
    assert sorted(due(later_us + 100)) == [ids[1], ids[4]]
    assert due(later_us + 200)[2:] == [ids[3]]
    assert due(FOREVER_US)[2:] == [ids[3], ids[0]]
    assert set(due(FOREVER_US, 2)) == {ids[1], ids[4]}

    play(books, [ReleaseHold(ids[1], key="r", caller="1"), CaptureHold(ids[4], key="c", caller="1")])

    assert due(FOREVER_US) == [ids[3], ids[0]]


@pytest.mark.parametrize("unknown", [bet_id(99), "more", "", "opening-7"])
def test_what_is_no_bet_is_not_found(reader: sqlite3.Connection, unknown: str) -> None:
    assert queries.bet(reader, unknown) is None


ALICES = [
    PostedEntry(1, 0, 1, "DEPOSIT", 1000, 1000, "1", NOW_US),
    PostedEntry(5, 1, 3, "BET", -30, 970, bet_id(1), NOW_US + 1),
    PostedEntry(9, 5, 5, "BET", -40, 930, bet_id(4), NOW_US + MINUTE_US),
    PostedEntry(11, 9, 6, "DEPOSIT", 500, 1430, "6", NOW_US + 2 * MINUTE_US),
]


@pytest.mark.parametrize(
    ("from_seq", "most", "found", "more"),
    [
        (0, 10, ALICES, False),
        (0, 4, ALICES, False),
        (0, 3, ALICES[:3], True),
        (0, 1, ALICES[:1], True),
        (0, 0, [], True),
        (1, 2, ALICES[1:3], True),
        (1, 3, ALICES[1:], False),
        (4, 10, ALICES[1:], False),
        (5, 10, ALICES[2:], False),
        (10, 10, ALICES[3:], False),
        (11, 10, [], False),
        (11, 0, [], False),
        (2**62, 10, [], False),
    ],
)
def test_entries_after_one_page_by_page(
    reader: sqlite3.Connection, from_seq: int, most: int, found: list[PostedEntry], more: bool
) -> None:
    assert queries.entries_after(reader, ALICE, from_seq, most) == (found, more, False)


def test_pages_put_together_are_the_whole(reader: sqlite3.Connection) -> None:
    pages, seq, more = [], 0, True
    while more:
        page, more, _ = queries.entries_after(reader, ALICE, seq, 1)
        pages += page
        seq = page[-1].id

    assert pages == ALICES


def test_entries_of_nobody(reader: sqlite3.Connection) -> None:
    assert queries.entries_after(reader, NOBODY, 0, 10) == ([], False, False)


def test_nothing_is_found_by_a_look_at_a_whole_table(reader: sqlite3.Connection) -> None:
    asked: list[str] = []
    reader.set_trace_callback(asked.append)
    queries.entries_after(reader, ALICE, 0, 10)
    queries.bet(reader, bet_id(1))
    queries.expiries_due(reader, FOREVER_US, 10)
    queries.wallets(reader, ALICE)
    queries.free_bets(reader, ALICE, 10)
    queries.limits(reader, ALICE, NOW_US, NOW_US)
    queries.wallet(reader, ALICE)
    reader.set_trace_callback(None)
    plans = [row[3] for sql in asked for row in reader.execute(f"EXPLAIN QUERY PLAN {sql}")]

    tables = (
        "transaction_ledger", "entry", "blocks", "transactions", "bets", "refusals", "users", "holds",
        "bonuses", "free_bets", "limits",
    )  # fmt: skip
    assert len([plan for plan in plans if plan.startswith("SEARCH")]) >= 8
    assert [plan for plan in plans if plan.startswith("SCAN") and plan.split()[1] in tables] == []


# --- payouts and limits -------------------------------------------------------------------------------------


def opened(path: Path, name: str, *items: PayoutItem) -> int:
    """The id of a payout that is being paid."""
    own: dict[str, Any] = {"caller": "1"}
    ((first,),) = play(path, [OpenPayout("EUR", key=name, **own)])
    assert isinstance(first, Accepted)
    id_ = first.transaction_id
    play(path, [AddPayoutItems(id_, 0, items, key=f"{name}-add", **own)])
    total = sum(item.amount_minor for item in items)
    play(path, [StartPayout(id_, len(items), total, key=f"{name}-go", **own)])
    return id_


def test_payouts_under_way_come_in_turn(books: Path, reader: sqlite3.Connection) -> None:
    ids = [opened(books, f"p{n}", PayoutItem(ALICE, 1)) for n in range(4)]
    play(books, [OpenPayout("EUR", key="collecting", caller="1")])
    play(books, [PayChunk(ids[1], 0, key="chunk", caller="clock")])
    left = [ids[0], ids[2], ids[3]]

    def under_way(after: int, most: int) -> list[int]:
        found = queries.payouts_under_way(reader, after, most)
        assert {done for _, done in found} == {0}
        return [id_ for id_, _ in found]

    assert under_way(0, 9) == under_way(ids[3], 9) == under_way(2**60, 9) == left
    assert under_way(ids[0], 9) == under_way(ids[1], 9) == [ids[2], ids[3], ids[0]]
    assert under_way(ids[2], 2) == [ids[3], ids[0]]
    assert under_way(ids[0], 1) == [ids[2]]


def test_a_payout_shows_its_items_in_suspense_page_by_page(books: Path, reader: sqlite3.Connection) -> None:
    items = [PayoutItem((ALICE, NOBODY, HOUSE)[n % 3], n + 1) for n in range(7)]
    other = opened(books, "other", PayoutItem(NOBODY, 9))
    id_ = opened(books, "p", *items)
    for payout in (other, id_):
        play(books, [PayChunk(payout, 0, key=f"chunk-{payout}", caller="clock")])
    play(books, [ResolveItem(id_, 1, True, key="back", caller="1")])
    reason = "ACCOUNT_NOT_FOUND"
    suspended = [
        ItemState(1, NOBODY, 2, reason, "returned"),
        *(
            ItemState(n, user, n + 1, reason, "suspended")
            for n, user in ((2, HOUSE), (4, NOBODY), (5, HOUSE))
        ),
    ]
    state = (id_, "paid", 7, 28, 7, 3)
    assert queries.payout(reader, id_, 0, 9) == PayoutState(*state, suspended)
    assert queries.payout(reader, id_, 0, 2) == PayoutState(*state, suspended[:2])
    assert queries.payout(reader, id_, 2, 9) == PayoutState(*state, suspended[1:])
    assert queries.payout(reader, id_, 6, 9) == PayoutState(*state, [])
    assert queries.payout(reader, id_ + 1, 0, 9) is None


def test_limits_are_shown_as_they_are_at_a_time(books: Path, reader: sqlite3.Connection) -> None:
    assert queries.limits(reader, ALICE, NOW_US, NOW_US) == []
    own: dict[str, Any] = {"caller": "1"}
    at_us = NOW_US + 2 * MINUTE_US
    play(books, [SetLimit(ALICE, "deposit", "day", 100, key="a", **own)], now_us=at_us)
    play(
        books, [deposit("counted", 30), SetLimit(ALICE, "deposit", "day", None, key="b", **own)], now_us=at_us
    )
    play(books, [SetLimit(BOB, "loss", "week", 5, key="c", **own)], now_us=at_us)
    looser_us = at_us + COOLING_OFF_US
    pending = LimitTold(ALICE, "deposit", "day", 100, NONE, looser_us)
    assert queries.limits(reader, ALICE, looser_us - 1, looser_us - 1)[0].told == pending
    assert queries.limits(reader, ALICE, at_us, at_us) == [LimitState(pending, 30)]
    gone = LimitTold(ALICE, "deposit", "day", NONE, NONE, 0)
    assert queries.limits(reader, ALICE, looser_us, looser_us) == [LimitState(gone, 0)]
    assert [each.told.kind for each in queries.limits(reader, BOB, at_us, at_us)] == ["loss"]


# --- several wallets, bonuses and free bets -----------------------------------------------------------------


def given(path: Path, *commands: Command) -> list[Accepted]:
    """What these have done, after the newest block of `books`."""
    outcomes, *_ = play(path, list(commands), now_us=NOW_US + 2 * MINUTE_US)
    assert all(isinstance(each, Accepted) for each in outcomes), outcomes
    return [each for each in outcomes if isinstance(each, Accepted)]


def test_the_wallets_of_a_person_are_found_from_any_of_them(books: Path, reader: sqlite3.Connection) -> None:
    later_us = NOW_US + 3 * MINUTE_US
    opened, granted = given(
        books, OpenWallet("EUR", ALICE, **CALLER), GrantBonus(ALICE, 40, Spend.LAST, later_us, **CALLER)
    )
    assert opened.opened is not None
    assert granted.bonus is not None
    further, beside = opened.opened.user_id, granted.bonus.user_id
    own = WalletOf(ALICE, ALICE, "player", "EUR", "open", 1430, 0, 1430, 11, None, None, None, None)
    empty = own._replace(user_id=further, balance_minor=0, available_minor=0, seq=0)
    bonus = (beside, ALICE, "player_bonus", "EUR", "open", 40, 0, 40, granted.entries[0].id)
    theirs = [own, empty, WalletOf(*bonus, ALICE, "last", later_us, "open")]
    for user_id in (ALICE, further, beside):
        assert queries.wallets(reader, user_id) == theirs
    assert [each.user_id for each in queries.wallets(reader, BOB)] == [BOB]
    for nobody in (NOBODY, HOUSE, 0, -1):
        assert queries.wallets(reader, nobody) == []
    # A bonus wallet is one to look at; a book is not.
    assert queries.wallet(reader, beside) == WalletState(beside, "EUR", "open", 40, 0, 40, bonus[-1])

    play(books, [ExpireBonus(beside, **CALLER)], now_us=later_us)

    assert queries.wallets(reader, ALICE)[2][5:] == (
        0,
        0,
        0,
        bonus[-1] + 2,
        ALICE,
        "last",
        later_us,
        "expired",
    )


def test_the_free_bets_of_a_wallet_are_those_that_may_be_placed(
    books: Path, reader: sqlite3.Connection
) -> None:
    later_us = NOW_US + 3 * MINUTE_US
    times = (None, later_us + 2, later_us + 1, None, later_us + 1)
    grants = [GrantFreeBet(ALICE, n + 1, at, key=str(n), caller="1") for n, at in enumerate(times)]
    never, later, sooner, revoked, used = [each.transaction_id for each in given(books, *grants)]
    given(books, GrantFreeBet(BOB, 9, key="bob", caller="1"), RevokeFreeBet(revoked, **CALLER))
    play(books, [msgspec.structs.replace(place(20, 5), free_bet_id=used)])
    left = [
        FreeBetState(sooner, 3, later_us + 1), FreeBetState(later, 2, later_us + 2),
        FreeBetState(never, 1, 0),
    ]  # fmt: skip
    assert queries.free_bets(reader, ALICE, 9) == left
    assert queries.free_bets(reader, ALICE, 2) == left[:2]
    assert queries.free_bets(reader, NOBODY, 9) == []


def test_holds_bonuses_and_free_bets_are_due_in_one_order(books: Path, reader: sqlite3.Connection) -> None:
    later_us = NOW_US + 3 * MINUTE_US
    free_bet, granted, held, *_ = given(
        books,
        GrantFreeBet(ALICE, 5, later_us + 1, **CALLER),
        GrantBonus(ALICE, 5, Spend.FIRST, later_us + 2, **CALLER),
        PlaceHold(ALICE, 5, later_us + 3, **CALLER),
        GrantFreeBet(BOB, 5, **CALLER | {"key": "never"}),
        GrantBonus(BOB, 5, Spend.FIRST, **CALLER | {"key": "never"}),
    )
    assert granted.bonus is not None
    due = [
        ("free bet", free_bet.transaction_id, later_us + 1), ("bonus", granted.bonus.user_id, later_us + 2),
        ("hold", held.transaction_id, later_us + 3),
    ]  # fmt: skip
    for number in range(4):
        assert queries.expiries_due(reader, later_us + number, 10) == due[:number]
        assert queries.expiries_due(reader, FOREVER_US, number) == due[:number]

    play(
        books,
        [ExpireBonus(granted.bonus.user_id, **CALLER), RevokeFreeBet(free_bet.transaction_id, **CALLER)],
        now_us=later_us + 2,
    )

    assert queries.expiries_due(reader, FOREVER_US, 10) == due[2:]


def test_an_exclusion_is_shown_at_each_wallet_and_other_limits_at_their_own(
    books: Path, reader: sqlite3.Connection
) -> None:
    (opened,) = given(books, OpenWallet("EUR", ALICE, **CALLER))
    assert opened.opened is not None
    further = opened.opened.user_id
    given(
        books,
        Exclude(further, FOREVER_US, **CALLER),
        SetLimit(ALICE, "stake", "day", 5, **CALLER),
        SetLimit(further, "loss", "week", 5, **CALLER | {"key": "l"}),
    )
    kinds = {
        user_id: [each.told.kind for each in queries.limits(reader, user_id, NOW_US, NOW_US)]
        for user_id in (ALICE, further, BOB)
    }
    assert kinds == {ALICE: ["exclusion", "stake"], further: ["exclusion", "loss"], BOB: []}


def test_payouts_are_listed_newest_first(books: Path, reader: sqlite3.Connection) -> None:
    ids = [opened(books, f"l{n}", PayoutItem(ALICE, n + 1)) for n in range(3)]
    play(books, [PayChunk(ids[0], 0, key="chunk", caller="clock")])
    found = queries.payouts_before(reader, None, 9)
    assert [each.id for each in found] == ids[::-1]
    sql = "SELECT at FROM transactions JOIN blocks ON blocks.id = block_id WHERE transactions.id = ?"
    ((opened_us,),) = look(books, sql, ids[0])
    assert found[-1] == ListedPayout(ids[0], "paid", 1, 1, 1, 0, "EUR", opened_us)
    assert queries.payouts_before(reader, ids[2], 1) == [found[1]]
    assert queries.payouts_before(reader, ids[0], 9) == []
