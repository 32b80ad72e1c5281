"""When the next password may be checked."""

from __future__ import annotations

import pytest

from ws.people.pace import DONE_WITHIN_S, IN_HAND_MAX, REST, REST_MAX_S, Pace

TOOK_S = 0.02


def begin(pace: Pace, now_s: float, bets: int) -> None:
    assert pace.wait_s(now_s, bets) == 0
    pace.began(bets)


def calm(bets: int = 0) -> Pace:
    """One that has seen a check beside which no bet came, at 1.0."""
    pace = Pace()
    begin(pace, 1.0 - TOOK_S, bets)
    pace.ended(1.0, TOOK_S, 0, bets)
    return pace


def test_until_one_was_checked_it_is_not_known_whether_bets_are_under_way() -> None:
    pace = Pace()
    begin(pace, 0.0, 0)
    assert pace.wait_s(0.0, 0) is None


def test_with_nobody_betting_as_many_as_there_is_room_for_and_no_rest() -> None:
    pace = calm(bets=7)
    for _ in range(IN_HAND_MAX):
        begin(pace, 1.0, 7)
    assert pace.wait_s(1.0, 7) is None
    pace.ended(1.1, 0.1, 50, 7)
    begin(pace, 1.1, 7)


def test_a_bet_since_the_last_one_means_one_at_a_time() -> None:
    pace = calm()
    begin(pace, 5.0, 1)
    assert pace.wait_s(5.0, 1) is None


def test_beside_bets_it_rests_nine_times_as_long_as_it_took() -> None:
    pace = calm()
    begin(pace, 2.0, 10)
    pace.ended(2.02, TOOK_S, 1, 11)
    assert pace.wait_s(2.02, 11) == pytest.approx(REST * TOOK_S)
    assert pace.wait_s(2.05, 12) == pytest.approx(REST * TOOK_S - 0.03)
    begin(pace, 2.21, 13)


def test_a_rest_is_no_debt() -> None:
    pace = calm()
    begin(pace, 2.0, 10)
    pace.ended(2.02, TOOK_S, 0, 11)
    begin(pace, 60.0, 500)


@pytest.mark.parametrize(("waiting", "rest_s"), [(35, REST * TOOK_S), (100, 0.05), (200, 0.015), (400, 0.0)])
def test_where_many_wait_the_rests_are_shorter(waiting: int, rest_s: float) -> None:
    pace = calm()
    begin(pace, 2.0, 10)
    pace.ended(2.02, TOOK_S, waiting, 11)
    assert pace.wait_s(2.02, 11) == pytest.approx(rest_s)


@pytest.mark.parametrize(
    ("people", "took_s"), [(2, TOOK_S), (50, TOOK_S), (200, TOOK_S), (6, 0.6), (50, 0.08)]
)
def test_whoever_comes_last_is_done_in_time_too(people: int, took_s: float) -> None:
    """All at once, and nobody after them: the queue grows shorter, and with it does not slow down."""
    pace, now_s = calm(), 2.0
    for waiting in reversed(range(people)):
        rest_s = pace.wait_s(now_s, waiting)
        assert rest_s is not None
        now_s += rest_s
        pace.began(-waiting)
        now_s += took_s
        pace.ended(now_s, took_s, waiting, 1 - waiting)
    assert now_s - 2.0 <= DONE_WITHIN_S + took_s + 1e-9


def test_what_was_kept_waiting_is_not_rested_from_for_long() -> None:
    pace = calm()
    begin(pace, 2.0, 10)
    pace.ended(3.0, 1.0, 1, 11)
    assert pace.wait_s(3.0, 11) == REST_MAX_S


def test_a_check_that_is_kept_waiting_by_bets_does_not_keep_the_next_one_waiting_for_ever() -> None:
    """On a machine that is busy with bets, 20 ms of a processor may take a second."""
    pace = calm()
    begin(pace, 2.0, 10)
    pace.ended(4.0, 2.0, 1, 50_000)
    rest_s = pace.wait_s(4.0, 50_000)
    assert rest_s is not None
    assert 2.0 + rest_s <= DONE_WITHIN_S


def test_it_is_calm_again_once_a_check_met_no_bet() -> None:
    pace = Pace()
    begin(pace, 0.0, 0)
    pace.ended(0.02, TOOK_S, 0, 9)
    begin(pace, 1.0, 9)
    pace.ended(1.02, TOOK_S, 0, 9)
    begin(pace, 1.02, 9)
    begin(pace, 1.02, 9)
