"""What a player allows himself: windows, counters, cooling off, and that it stops bets and deposits alone."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from engine import limits
from engine.commands import Exclude, Pay, PayoutItem, SetLimit
from engine.decide import decide
from engine.limits import (
    COOLING_OFF_US,
    DAY_US,
    NONE,
    PAUSE_US,
    LimitKind,
    Period,
    count_bet,
    count_returned,
    in_force,
    is_excluded,
    told,
    used,
    window_of,
)
from engine.outcomes import Accepted, Code, LimitTold, Outcome, Rejected
from engine.reconcile import reconcile
from engine.records import Account, Limit
from tests.books_open import (
    ALICE,
    BOB,
    NOBODY,
    NOW_US,
    account,
    bet_id,
    cash_out,
    deposit,
    look,
    place,
    play,
    roll_back,
    seed,
    settle,
    unsettle,
    view_of,
)
from tests.pipelines import new_books, opened

SECOND_US = 1_000_000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def at(text: str) -> int:
    """Microseconds of a time of UTC."""
    return (datetime.fromisoformat(text).replace(tzinfo=UTC) - EPOCH) // timedelta(microseconds=1)


# While the clock is sure, both times of `engine/limits.py` are one. When they are not: tests/test_unsure.py.


def change(limit: Limit, amount: int, at_us: int) -> None:
    limits.change(limit, amount, at_us, at_us)


def stops_bet(player: Account, stake_minor: int, at_us: int) -> bool:
    return limits.stops_bet(player, stake_minor, at_us, at_us)


def stops_deposit(player: Account, amount_minor: int, at_us: int) -> bool:
    return limits.stops_deposit(player, amount_minor, at_us, at_us)


def limited(kind: str, amount: int, period: str = "day", at_us: int = NOW_US) -> Account:
    """A player with money and one limit, set at this time."""
    limit = Limit(ALICE, kind, period, NONE, NONE, 0, 0, 0, 0)
    change(limit, amount, at_us)
    return account(ALICE, 10_000, limits=[limit], is_limited=1)


def set_limit(key: str, kind: str, amount: int | None, period: str = "day", user_id: int = ALICE) -> SetLimit:
    return SetLimit(user_id, kind, period, amount, key=key, caller="test")


def exclude(key: str, until_us: int, user_id: int = ALICE) -> Exclude:
    return Exclude(user_id, until_us, key=key, caller="test")


def codes(outcomes: list[Outcome]) -> list[Code | None]:
    """Why each was refused; None: it was not."""
    return [outcome.code if isinstance(outcome, Rejected) else None for outcome in outcomes]


def counters(path: Path) -> dict[str, int]:
    return dict(look(path, "SELECT kind, used FROM limits"))


@pytest.mark.parametrize(
    ("period", "last", "first"),
    [
        ("day", "2024-02-28T23:59:59.999999", "2024-02-29"),
        ("day", "2024-12-31T23:59:59.999999", "2025-01-01"),
        ("week", "2026-01-04T23:59:59.999999", "2026-01-05"),  # a Sunday and a Monday
        ("week", "1970-01-04T23:59:59.999999", "1970-01-05"),
        ("month", "2024-02-29T23:59:59.999999", "2024-03-01"),
        ("month", "2023-02-28T23:59:59.999999", "2023-03-01"),
        ("month", "2000-02-29T23:59:59.999999", "2000-03-01"),
        ("month", "2100-02-28T23:59:59.999999", "2100-03-01"),
        ("month", "2025-12-31T23:59:59.999999", "2026-01-01"),
    ],
)
def test_a_window_ends_at_midnight_of_utc(period: str, last: str, first: str) -> None:
    assert window_of(period, at(first)) == window_of(period, at(last)) + 1


@pytest.mark.parametrize("period", [Period.DAY, Period.WEEK, Period.MONTH])
def test_windows_are_those_of_the_calendar_for_two_centuries(period: Period) -> None:
    names: dict[int, object] = {}
    day = EPOCH
    while day.year < 2170:
        name = {"day": day.date(), "week": day.isocalendar()[:2], "month": (day.year, day.month)}[period]
        number = window_of(period, (day - EPOCH).days * DAY_US + 7)
        assert names.setdefault(number, name) == name
        day += timedelta(days=1)
    assert len(set(names.values())) == len(names), "each has a number of its own"
    assert sorted(names) == list(range(min(names), max(names) + 1)), "and they follow each other"


def test_a_week_goes_on_over_the_end_of_a_year() -> None:
    assert window_of("week", at("2025-12-29")) == window_of("week", at("2026-01-04"))


@pytest.mark.parametrize("kind", ["stake", "loss"])
def test_a_counter_begins_anew_with_each_window(kind: str) -> None:
    player = limited(kind, 100)
    (limit,) = player.limits
    count_bet(player, 100, NOW_US)
    midnight_us = (NOW_US // DAY_US + 1) * DAY_US

    assert stops_bet(player, 1, midnight_us - 1)
    assert not stops_bet(player, 100, midnight_us)
    assert stops_bet(player, 101, midnight_us)
    count_bet(player, 60, midnight_us)
    assert used(limit, midnight_us) == 60


def test_stricter_is_at_once_and_looser_after_a_day() -> None:
    player = limited("stake", 100)
    (limit,) = player.limits
    change(limit, 50, NOW_US)
    assert told(limit, NOW_US) == LimitTold(ALICE, "stake", "day", 50, NONE, 0)

    change(limit, 80, NOW_US)
    looser_us = NOW_US + COOLING_OFF_US
    assert told(limit, NOW_US) == LimitTold(ALICE, "stake", "day", 50, 80, looser_us)
    assert in_force(limit, looser_us - 1) == 50
    assert told(limit, looser_us) == LimitTold(ALICE, "stake", "day", 80, NONE, 0)
    assert [stops_bet(player, 51, time_us) for time_us in (looser_us - 1, looser_us)] == [True, False]


def test_a_limit_that_is_taken_away_holds_for_a_day() -> None:
    player = limited("stake", 100)
    change(player.limits[0], NONE, NOW_US)

    assert stops_bet(player, 101, NOW_US + COOLING_OFF_US - 1)
    assert not stops_bet(player, 10**15, NOW_US + COOLING_OFF_US)


def test_what_is_pending_is_forgotten_when_a_stricter_one_comes() -> None:
    (limit,) = limited("stake", 100).limits
    change(limit, 500, NOW_US)
    change(limit, 100, NOW_US + 1)

    assert told(limit, NOW_US + 1) == LimitTold(ALICE, "stake", "day", 100, NONE, 0)
    assert in_force(limit, NOW_US + 2 * COOLING_OFF_US) == 100


def test_each_loosening_waits_for_itself_and_rests_on_what_is_in_force_by_then() -> None:
    (limit,) = limited("stake", 100).limits
    change(limit, 200, NOW_US)
    change(limit, 300, NOW_US + COOLING_OFF_US - 1)  # before 200 was in force
    assert in_force(limit, NOW_US + COOLING_OFF_US) == 100
    later_us = NOW_US + 2 * COOLING_OFF_US - 1
    assert in_force(limit, later_us) == 300

    change(limit, 250, later_us)
    assert in_force(limit, later_us) == 250, "stricter than what is in force, if not than what was set"


def test_a_limit_of_nothing_stops_every_bet() -> None:
    assert stops_bet(limited("stake", 0), 1, NOW_US)
    assert stops_bet(limited("loss", 0), 1, NOW_US)
    assert stops_deposit(limited("deposit", 0), 1, NOW_US)
    assert stops_bet(limited("time", 0), 1, NOW_US)


def test_which_limit_stops_what() -> None:
    stopped = {
        kind: (stops_bet(limited(kind, 9), 10, NOW_US), stops_deposit(limited(kind, 9), 10, NOW_US))
        for kind in (LimitKind.STAKE, LimitKind.LOSS, LimitKind.DEPOSIT, LimitKind.TIME)
    }

    assert stopped == {
        "stake": (True, False),
        "loss": (True, False),
        "deposit": (False, True),
        "time": (False, False),
    }


def test_losses_are_counted_both_ways_and_stakes_are_not() -> None:
    lost, staked = limited("loss", 100), limited("stake", 100)
    for player in (lost, staked):
        count_bet(player, 80, NOW_US)
        count_returned(player, 50, NOW_US)
        count_returned(player, -20, NOW_US)

    assert (lost.limits[0].used, staked.limits[0].used) == (50, 80)
    count_returned(lost, 500, NOW_US)
    assert not stops_bet(lost, 550, NOW_US)
    assert stops_bet(lost, 551, NOW_US), "wins may be lost again, and the limit on top"


def play_at(player: Account, *seconds: float) -> list[bool]:
    """Bets so many seconds after NOW_US: whether each was taken."""
    taken = []
    for second in seconds:
        time_us = NOW_US + int(second * SECOND_US)
        taken.append(not stops_bet(player, 1, time_us))
        if taken[-1]:
            count_bet(player, 1, time_us)
    return taken


def test_time_is_counted_between_bets_that_are_close() -> None:
    """A sitting begins with a second: what is only begun is played too."""
    player = limited("time", 600)
    pause_s = PAUSE_US // SECOND_US

    assert play_at(player, 0, pause_s, 2 * pause_s + 1, 2 * pause_s + 11) == [True] * 4
    assert player.limits[0].used == 1 + pause_s + 1 + 10, "the pause that was longer is not played"


def test_time_that_is_used_up_stays_used_up_after_a_pause() -> None:
    assert play_at(limited("time", 100), 0, 60, 99, 100, 1000, 2000) == [True] * 3 + [False] * 3
    assert play_at(limited("time", 100), 0, 60, 101, 1000) == [True, True, False, True], "39 s were left"


def test_time_is_counted_however_fast_somebody_bets() -> None:
    """Parts of a second add up: or two bets a second would be played for ever."""
    player = limited("time", 10)

    taken = play_at(player, *(number * 0.4 for number in range(100)))

    assert taken == [True] * 25 + [False] * 75


def test_an_exclusion_stops_bets_until_it_is_over() -> None:
    limit = Limit(ALICE, "exclusion", "ever", NOW_US + 10, NONE, 0, 0, 0, 0)
    player = account(ALICE, 100, limits=[limit])

    times_us = [NOW_US + later_us for later_us in (0, 9, 10)]
    assert [stops_bet(player, 1, at_us) for at_us in times_us] == [True, True, False]
    assert [is_excluded(player, at_us) for at_us in times_us] == [True, True, False]


def test_limits_as_commands(tmp_path: Path) -> None:
    path = seed(tmp_path / "books.db", 1000, 500)

    ((first, *_, same), refused) = play(
        path,
        [
            set_limit("l1", "stake", 100),
            set_limit("l2", "stake", 300, "week"),
            set_limit("l3", "stake", 200),
            set_limit("l1", "stake", 100),
        ],
        [set_limit("l4", "stake", 1, user_id=NOBODY), set_limit("l5", "stake", 1, user_id=1),
         set_limit("l1", "stake", 101), exclude("e1", NOW_US + 5, NOBODY), exclude("e2", NOW_US + 5, 1)],
    )  # fmt: skip

    assert isinstance(first, Accepted)
    assert first.limit == LimitTold(ALICE, "stake", "day", 100, NONE, 0)
    assert isinstance(same, Accepted)
    assert same.replayed
    assert same.limit == first.limit
    nobody, conflict = Code.ACCOUNT_NOT_FOUND, Code.IDEMPOTENCY_CONFLICT
    assert codes(refused) == [nobody, nobody, conflict, nobody, nobody]
    assert look(path, "SELECT period, amount, pending, pending_from FROM limits ORDER BY period") == [
        ("day", 100, 200, NOW_US + COOLING_OFF_US),
        ("week", 300, NONE, 0),
    ]
    assert look(path, "SELECT id FROM users WHERE limited = 1") == [(ALICE,)]


def test_an_exclusion_is_not_shortened_but_may_be_made_longer_and_renewed(tmp_path: Path) -> None:
    path = seed(tmp_path / "books.db", 1000)
    hour_us = 3_600 * SECOND_US

    (early,) = play(
        path, [exclude("e1", NOW_US + hour_us), exclude("e2", NOW_US + hour_us - 1), place(1), deposit("d")]
    )
    (longer,) = play(path, [exclude("e3", NOW_US + 2 * hour_us)], now_us=NOW_US + hour_us - 1)
    (over,) = play(path, [place(2, sent_at_us=NOW_US + 2 * hour_us), exclude("e4", NOW_US + 3 * hour_us)],
                   now_us=NOW_US + 2 * hour_us)  # fmt: skip

    assert codes(early) == [None, *[Code.LIMIT_EXCEEDED] * 3]
    assert codes(longer) == [None]
    assert codes(over) == [None, None]


def test_limits_never_stop_what_brings_money_back(tmp_path: Path) -> None:
    path = seed(tmp_path / "books.db", 1000)
    bets = [place(number, 10) for number in range(1, 6)]
    strict = [set_limit(f"{kind}", kind, 0) for kind in ("stake", "loss", "deposit", "time")]

    _, _, outcomes = play(
        path,
        bets,
        [*strict, exclude("e", NOW_US + DAY_US)],
        [
            settle("s1", 1, "won", 50),
            settle("s2", 2, "void"),
            settle("s3", 3, "lost", 5),
            roll_back("r4", 4),
            cash_out("c5", 5, 10, 12),
            unsettle("u2", 2),
            Pay("EUR", (PayoutItem(ALICE, 7),), key="p", caller="test"),
            place(6, 1),
            deposit("d", 1),
        ],
    )

    assert codes(outcomes) == [*[None] * 7, Code.LIMIT_EXCEEDED, Code.LIMIT_EXCEEDED]
    back_minor = 50 + 10 + 5 + 10 + 12 - 10 + 7
    assert counters(path)["loss"] == -back_minor
    assert look(path, "SELECT balance FROM users WHERE id = ?", ALICE) == [(950 + back_minor,)]


def test_what_is_owed_is_not_lost_twice(tmp_path: Path) -> None:
    """Only what was in the wallet is taken back, so only that counts; what is kept back later does not."""
    path = seed(tmp_path / "books.db", 100)
    play(
        path,
        [set_limit("l", "loss", 1000), place(1, 100), settle("s1", 1, "won", 300), place(2, 250)],
        [unsettle("u1", 1), Pay("EUR", (PayoutItem(ALICE, 270),), key="p", caller="test")],
    )

    assert counters(path) == {"loss": 100 - 300 + 250 + 50 - 20}
    assert look(path, "SELECT balance, owed FROM users WHERE id = ?", ALICE) == [(20, 0)]


def test_counters_go_on_after_a_restart_and_in_the_next_window(tmp_path: Path) -> None:
    path = seed(tmp_path / "books.db", 1000)
    play(path, [set_limit("l", "stake", 100), set_limit("d", "deposit", 40), place(1, 90), deposit("d1", 40)])

    (refused,) = play(path, [place(2, 11), place(3, 10), deposit("d2", 1)])
    assert codes(refused) == [Code.LIMIT_EXCEEDED, None, Code.LIMIT_EXCEEDED]
    assert counters(path) == {"stake": 100, "deposit": 40}

    tomorrow_us = NOW_US + DAY_US
    (later,) = play(
        path,
        [place(2, 11), place(4, 100, sent_at_us=tomorrow_us), deposit("d3", 40)],
        now_us=tomorrow_us,
    )
    assert codes(later) == [Code.LIMIT_EXCEEDED, None, None], "the refusal of bet 2 stays"


def test_a_limit_is_not_that_of_another_player(tmp_path: Path) -> None:
    path = seed(tmp_path / "books.db", 1000, 1000)

    (outcomes,) = play(path, [set_limit("l", "stake", 5), place(1, 6), place(2, 6, BOB)])

    assert codes(outcomes) == [None, Code.LIMIT_EXCEEDED, None]
    assert reconcile(path).findings == []


def test_counters_of_batches_under_way_and_of_a_void_one(tmp_path: Path) -> None:
    """What a void batch counted is forgotten; what is decided and not written counts."""
    new_books(tmp_path)

    async def run() -> None:
        async with opened(tmp_path) as books:
            await books.commit(set_limit("l", "stake", 50))
            first, second = await books.prepare(place(1, 30)), await books.prepare(place(2, 30))
            assert codes(second.outcomes) == [Code.LIMIT_EXCEEDED]
            assert not await books.store.write(first, may_begin=lambda: False)
            assert not await books.store.write(second)
            assert codes(await books.commit(place(2, 50))) == [None]
            assert codes(await books.commit(place(3, 1))) == [Code.LIMIT_EXCEEDED]

    asyncio.run(run())

    assert counters(tmp_path / "books.db") == {"stake": 50}


def test_a_limit_set_by_a_void_batch_was_never_set(tmp_path: Path) -> None:
    new_books(tmp_path)

    async def run() -> None:
        async with opened(tmp_path) as books:
            void = await books.prepare(set_limit("l", "stake", 0))
            assert not await books.store.write(void, may_begin=lambda: False)
            assert codes(await books.commit(place(1, 30))) == [None]

    asyncio.run(run())

    assert counters(tmp_path / "books.db") == {}


def test_a_bet_costs_no_look_up_for_its_limits(tmp_path: Path) -> None:
    """The player is known: whatever he allowed himself, and however much he has played, is in memory."""
    new_books(tmp_path)

    async def run() -> list[str]:
        async with opened(tmp_path) as books:
            await books.commit(set_limit("l", "stake", 500), set_limit("m", "loss", 500, "month"))
            await books.commit(place(1, 1))
            statements: list[str] = []
            for reader in books.store._readers:
                await reader.set_trace_callback(statements.append)
            await books.commit(*(place(number, 1) for number in range(2, 20)))
            return statements

    statements = asyncio.run(run())

    assert statements, "the keys are looked up"
    assert not [each for each in statements if "limits" in each or "users" in each]


def test_a_view_without_limits_counts_nothing() -> None:
    view = view_of(account(ALICE, 100))

    assert view.accounts[ALICE].limits == ()
    assert not stops_bet(view.accounts[ALICE], 10**12, NOW_US)
    assert bet_id(1) not in view.bets


@pytest.mark.parametrize("until_us", [NOW_US - 1, NOW_US])
def test_an_exclusion_that_would_be_over_already_is_refused(until_us: int) -> None:
    view = view_of(account(ALICE, 100))

    assert decide(view, exclude("x", until_us), NOW_US) == Rejected(Code.INVALID_REQUEST)
    assert not view.changed
