"""The time of the books as tables of two clocks, and what holds for every way to set one of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batcher.steady import JUMP_US, ClockStatus, SteadyClock
from engine.now import Now, sure

S = 1_000_000
HOUR, YEAR = 3600, 365 * 86_400
START_US = 1_760_000_000 * S
BOOT_US = 4_000 * S
"""What the monotonic clock shows at the start: it counts from nowhere in particular."""


def clock(newest_s: int = -10, wall_s: int = 0) -> SteadyClock:
    """Started at `START_US`, `newest_s` after which the newest block was sealed."""
    return SteadyClock(START_US + wall_s * S, BOOT_US, START_US + newest_s * S)


def seen(steady: SteadyClock, passed_s: float, wall_s: float) -> tuple[float, float | None, float]:
    """At so much monotonic time and so much of the wall clock after the start, in seconds: the time of the
    books, since when it is unsure, and by how much."""
    wall_us = START_US + round(wall_s * S)
    now = steady.now(wall_us, BOOT_US + round(passed_s * S))
    assert now.wall_us == wall_us
    since_us = now.unsure_since_us
    assert steady.status.since_us == since_us
    since_s = None if since_us is None else (since_us - START_US) / S
    return (now.at_us - START_US) / S, since_s, steady.status.jumped_us / S


# Monotonic seconds, seconds of the wall clock; the time of the books, since when it is unsure, by how much.
Seen = tuple[float, float, float, float | None, float]


@pytest.mark.parametrize(
    "table",
    [
        pytest.param([(1, 1, 1, None, 0), (2, 2.5, 2.5, None, 0), (9, 9.1, 9.1, None, 0)], id="slewed"),
        pytest.param([(1, 61, 61, None, 0), (2, 122, 122, None, 0)], id="stepped by 60 s, twice"),
        pytest.param([(100, 40, 40, None, 0), (101, 41, 41, None, 0)], id="stepped back behind nothing"),
        pytest.param([(1, 1, 1, None, 0), (2, -57, 1, None, 0), (59, 0, 1, None, 0), (61, 2, 2, None, 0)],
                     id="stepped back: it stands until the wall clock is there again"),
        pytest.param([(1, 1, 1, None, 0), (2, 62.5, 2, 1, 60.5)], id="60 s and a half: a jump"),
        pytest.param([(1, 1, 1, None, 0), (2, -58.5, 2, 1, -60.5)], id="the same back"),
        pytest.param([(1, 1, 1, None, 0), (2, 2 + HOUR, 2, 1, HOUR), (500, 500 + HOUR, 500, 1, HOUR)],
                     id="an hour on: the books go on as before"),
        pytest.param([(1, 1, 1, None, 0), (2, 2 - YEAR, 2, 1, -YEAR), (3, 3 + YEAR, 3, 1, YEAR)],
                     id="one jump after another: unsure since the first"),
        pytest.param([(1, 1 + HOUR, 1, 0, HOUR), (2, 2, 2, None, 0), (3, 3 - HOUR, 3, 2, -HOUR)],
                     id="it comes back, and jumps again: unsure since then"),
        pytest.param([(1, 1 + HOUR, 1, 0, HOUR), (2, 60, 60, None, 0), (3, 61, 61, None, 0)],
                     id="it comes back to within 60 s: followed"),
        pytest.param([(99, 99 + HOUR, 99, 0, HOUR), (100, 45, 99, None, 0), (155, 100, 100, None, 0)],
                     id="it comes back from behind: the books stand until it is there"),
        pytest.param([(HOUR, 1, HOUR, 0, 1 - HOUR)], id="nobody looked for an hour in which it stood"),
    ],
)  # fmt: skip
def test_the_books_follow_the_wall_clock_unless_it_jumps(table: list[Seen]) -> None:
    steady = clock()
    assert seen(steady, 0, 0) == (0, None, 0)
    for passed_s, wall_s, *expected in table:
        assert seen(steady, passed_s, wall_s) == pytest.approx(tuple(expected)), (passed_s, wall_s)


@pytest.mark.parametrize(
    ("newest_s", "expected"),
    [
        pytest.param(-START_US // S, (0, None, 0), id="no block yet"),
        pytest.param(
            -YEAR, (0, None, 0), id="it stood still for a year, or the clock is wrong: nobody knows"
        ),
        pytest.param(60, (60, None, 0), id="a minute behind: followed, and the books wait for it"),
        pytest.param(61, (61, 61, -61), id="more: it cannot be right"),
        pytest.param(YEAR, (YEAR, YEAR, -YEAR), id="a year behind"),
    ],
)
def test_a_start_takes_the_wall_clock_unless_the_books_are_ahead_of_it(
    newest_s: int, expected: tuple[float, float | None, float]
) -> None:
    assert seen(clock(newest_s), 0, 0) == expected


def test_a_start_behind_the_books_goes_on_from_the_newest_block() -> None:
    steady = clock(newest_s=HOUR)
    assert seen(steady, 5, 5) == (HOUR + 5, HOUR, -HOUR)
    assert seen(steady, 10, HOUR + 10) == (HOUR + 10, None, 0), "somebody has set it right"


@pytest.mark.parametrize("jump_s", [HOUR, YEAR])
def test_a_jump_on_that_is_confirmed_is_followed(jump_s: int) -> None:
    steady = clock()
    assert seen(steady, 1, 1 + jump_s) == (1, 0, jump_s)
    confirmed = steady.confirm(START_US + (2 + jump_s) * S, BOOT_US + 2 * S)
    assert confirmed == sure(START_US + (2 + jump_s) * S)
    assert steady.status == ClockStatus(0, None)
    assert seen(steady, 3, 3 + jump_s) == (3 + jump_s, None, 0)
    assert seen(steady, 4, 4) == (4 + jump_s, 3 + jump_s, -jump_s), "to go back is a jump as well"


def test_a_jump_back_that_is_confirmed_stops_the_books_until_the_wall_clock_is_there_again() -> None:
    steady = clock()
    assert seen(steady, 1, 1 - HOUR) == (1, 0, -HOUR)
    wall_us = START_US + (2 - HOUR) * S
    assert steady.confirm(wall_us, BOOT_US + 2 * S) == Now(wall_us, START_US + S)
    assert seen(steady, HOUR, 0) == (1, None, 0)
    assert seen(steady, HOUR + 5, 5) == (5, None, 0)


def test_a_plain_number_is_a_clock_that_nobody_doubts() -> None:
    assert sure(7) == Now(7, 7, None)
    assert sure(Now(7, 5, 3)) == Now(7, 5, 3)
    assert (sure(7).matured_us, Now(7, 5, 3).matured_us) == (7, 3)


SHIFTS = st.sampled_from([0, 1, -1, 59, -60, 61, -61, HOUR, -HOUR, YEAR, -YEAR])


@given(st.lists(st.tuples(st.integers(0, 300 * S), SHIFTS, st.booleans()), max_size=40), SHIFTS)
def test_the_time_of_the_books_never_runs_back_and_never_jumps_by_itself(
    steps: list[tuple[int, int, bool]], newest_s: int
) -> None:
    """Whatever the wall clock does. Each step: what passes, by how much the wall clock is set, and whether
    somebody confirms it then."""
    passed_us, shift_us = 0, 0
    steady = SteadyClock(START_US, BOOT_US, START_US + newest_s * S)
    before = steady.now(START_US, BOOT_US)
    for more_us, more_s, confirms in steps:
        passed_us += more_us
        shift_us += more_s * S
        clocks = (START_US + passed_us + shift_us, BOOT_US + passed_us)
        now = steady.now(*clocks)
        assert before.at_us <= now.at_us <= before.at_us + more_us + JUMP_US
        assert before.matured_us <= now.matured_us <= now.at_us, "what was loosened stays so"
        is_unsure = now.unsure_since_us is not None
        assert (abs(steady.status.jumped_us) > JUMP_US) is is_unsure
        if is_unsure and before.unsure_since_us is not None:
            assert now.unsure_since_us == before.unsure_since_us
            assert now.at_us <= before.at_us + more_us, "by the monotonic clock, or it waits for it"
        elif not is_unsure:
            assert now.at_us == max(before.at_us, now.wall_us)
        if confirms:
            assert steady.confirm(*clocks).at_us == max(now.at_us, clocks[0])
        before = steady.now(*clocks)
        assert (before == now) or confirms
