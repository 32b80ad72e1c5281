"""The circuit breaker as tables of events, and what holds for every sequence of them."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batcher.breaker import Admission, Breaker, BreakerLimits, Reason, State, Status

MS = 1_000
S = 1_000_000
LIMITS = BreakerLimits()

# An event is (seconds, name, argument in milliseconds); names without an argument carry 0.
Event = tuple[float, str, int]
TRIPPED: list[Event] = [(0, "commit", 1001)]  # OPEN at 0, HALF_OPEN at 1
HEALING: list[Event] = [*TRIPPED, (2, "commit", 10)]  # health counts from 2, so CLOSED at 32


def play(events: list[Event], limits: BreakerLimits = LIMITS) -> Breaker:
    breaker = Breaker(limits)
    for at_s, name, argument_ms in events:
        happen(breaker, round(at_s * S), name, argument_ms * MS)
    return breaker


def happen(breaker: Breaker, now_us: int, name: str, argument_us: int) -> None:
    match name:
        case "commit":
            breaker.commit_succeeded(now_us, argument_us)
        case "fault":
            breaker.commit_failed(now_us)
        case "running":
            breaker.commit_running(now_us, argument_us)
        case "queue":
            breaker.queue_waited(now_us, argument_us)
        case _:
            raise AssertionError(name)


@pytest.mark.parametrize(
    ("events", "reason"),
    [
        ([], None),
        ([(0, "commit", 1000), (1, "queue", 1500), (2, "running", 1000)], None),
        ([(0, "commit", 1001)], Reason.COMMIT_SLOW),
        ([(0, "running", 1001)], Reason.COMMIT_SLOW),
        ([(0, "queue", 1501)], Reason.QUEUE_OLD),
        ([(0, "fault", 0), (0, "fault", 0)], None),
        ([(0, "fault", 0), (9, "fault", 0), (99, "fault", 0)], Reason.COMMIT_FAULTS),
        ([(0, "fault", 0), (0, "fault", 0), (0, "commit", 1), (0, "fault", 0), (0, "fault", 0)], None),
    ],
)
def test_it_opens_at_an_upper_threshold_or_at_faults_in_a_row(
    events: list[Event], reason: Reason | None
) -> None:
    breaker = play(events)
    now_us = round(events[-1][0] * S) if events else 0
    status = breaker.status(now_us)
    assert (status.state, status.reason) == (State.OPEN if reason else State.CLOSED, reason)
    assert bool(breaker.admit(now_us)) is (reason is None)
    assert (breaker.retry_after_us(now_us) > 0) is (reason is not None)


@pytest.mark.parametrize(
    ("events", "at_s", "state", "remaining_s"),
    [
        # The cool-off, from the last sickness.
        (TRIPPED, 0.999, State.OPEN, 30),
        (TRIPPED, 1, State.HALF_OPEN, 30),
        ([*TRIPPED, (0.5, "fault", 0)], 1.499, State.OPEN, 30),
        ([*TRIPPED, (0.5, "queue", 1501)], 1.5, State.HALF_OPEN, 30),
        # Health counts from the first healthy commit, and time alone does not heal.
        (TRIPPED, 1000, State.HALF_OPEN, 30),
        ([*TRIPPED, (5, "queue", 0)], 1000, State.HALF_OPEN, 30),
        (HEALING, 10, State.HALF_OPEN, 22),
        (HEALING, 31.999999, State.HALF_OPEN, 0.000001),
        (HEALING, 32, State.CLOSED, 0),
        ([*HEALING, (20, "commit", 10)], 32, State.CLOSED, 0),
        # At a lower threshold: healthy. Above it: the count begins again with the next healthy commit.
        ([*HEALING, (20, "commit", 250), (21, "queue", 200), (22, "running", 250)], 32, State.CLOSED, 0),
        ([*HEALING, (20, "commit", 251)], 32, State.HALF_OPEN, 30),
        ([*HEALING, (20, "queue", 201)], 32, State.HALF_OPEN, 30),
        ([*HEALING, (20, "running", 251)], 32, State.HALF_OPEN, 30),
        ([*HEALING, (20, "queue", 201), (21, "commit", 10)], 50, State.HALF_OPEN, 1),
        ([*HEALING, (20, "queue", 201), (21, "commit", 10)], 51, State.CLOSED, 0),
        # Above an upper threshold, or one fault: open again, and everything begins again.
        ([*HEALING, (31, "fault", 0)], 31.9, State.OPEN, 30),
        ([*HEALING, (31, "commit", 1001)], 31.9, State.OPEN, 30),
        ([*HEALING, (31, "running", 1001)], 31.9, State.OPEN, 30),
        ([*HEALING, (31, "queue", 1501)], 61, State.HALF_OPEN, 30),
        # A commit from before HALF_OPEN is no evidence, however quick.
        ([*TRIPPED, (0.5, "commit", 10)], 40, State.HALF_OPEN, 30),
        ([*TRIPPED, (1.1, "commit", 200)], 40, State.HALF_OPEN, 30),
        ([*TRIPPED, (1.2, "commit", 200)], 31.2, State.CLOSED, 0),
        # Closed again means as new: two faults from before and one after are not three in a row.
        ([*HEALING, (33, "fault", 0), (33, "fault", 0)], 33, State.CLOSED, 0),
        ([(0, "fault", 0)] * 3 + [(2, "commit", 1), (40, "fault", 0), (40, "fault", 0)], 40, State.CLOSED, 0),
        # Health that was complete is not undone by what comes after it, whoever looks first.
        ([*HEALING, (32, "queue", 201)], 32, State.CLOSED, 0),
    ],
)
def test_the_way_back(events: list[Event], at_s: float, state: State, remaining_s: float) -> None:
    status = play(events).status(round(at_s * S))
    assert (status.state, status.remaining_us) == (state, round(remaining_s * S))
    assert (status.reason is None) is (state is State.CLOSED)


def test_a_half_open_breaker_lets_a_bounded_number_of_probes_in() -> None:
    breaker = play(TRIPPED)
    assert [breaker.admit(S) for _ in range(9)] == [Admission.PROBE] * 8 + [Admission.REFUSED]
    assert breaker.retry_after_us(S) == LIMITS.cool_off_us
    breaker.probe_done()
    assert [breaker.admit(S) for _ in range(2)] == [Admission.PROBE, Admission.REFUSED]


def test_probes_of_an_earlier_half_open_time_still_count() -> None:
    breaker = play(TRIPPED)
    assert [breaker.admit(S) for _ in range(8)] == [Admission.PROBE] * 8
    breaker.commit_failed(2 * S)
    assert breaker.admit(3 * S) is Admission.REFUSED
    breaker.probe_done()
    assert breaker.admit(3 * S) is Admission.PROBE


def test_a_probe_that_ends_when_the_breaker_is_closed_again_is_no_error() -> None:
    breaker = play(TRIPPED)
    assert breaker.admit(S) is Admission.PROBE
    breaker.commit_succeeded(S, 0)
    assert breaker.admit(31 * S) is Admission.ADMITTED
    breaker.probe_done()
    with pytest.raises(AssertionError, match="more probes ended"):
        breaker.probe_done()


def test_a_refused_client_is_told_when_the_first_probe_may_enter() -> None:
    breaker = play(TRIPPED)
    assert breaker.admit(S // 4) is Admission.REFUSED
    assert breaker.retry_after_us(S // 4) == 3 * S // 4


@pytest.mark.parametrize(
    "limits",
    [
        {"commit_faults": 0},
        {"commit_lower_us": 1_000_000},
        {"queue_lower_us": 0},
        {"queue_upper_us": 200_000},
        {"cool_off_us": 0},
        {"stable_us": 0},
        {"probes_max": 0},
    ],
)
def test_limits_that_cannot_be_meant_are_refused(limits: dict[str, int]) -> None:
    with pytest.raises(AssertionError):
        replace(LIMITS, **limits)


# Steps of any length up to more than stable_us, and arguments on both sides of each threshold.
STEPS = st.lists(
    st.tuples(
        st.sampled_from([0, 1, 50 * MS, 300 * MS, S, 10 * S, 29 * S, 31 * S]),
        st.sampled_from(["commit", "commit", "fault", "running", "queue", "admit", "admit", "done"]),
        st.sampled_from([0, 10 * MS, 200 * MS, 201 * MS, 250 * MS, 251 * MS, S, S + 1, 1501 * MS]),
    ),
    max_size=60,
)
UPPER_US = {
    "commit": LIMITS.commit_upper_us,
    "running": LIMITS.commit_upper_us,
    "queue": LIMITS.queue_upper_us,
}
LOWER_US = {
    "commit": LIMITS.commit_lower_us,
    "running": LIMITS.commit_lower_us,
    "queue": LIMITS.queue_lower_us,
}


@settings(max_examples=300)
@given(STEPS)
def test_it_never_closes_within_the_window_of_the_last_sickness(steps: list[tuple[int, str, int]]) -> None:
    """Nor without a healthy commit since then; nor are there ever more probes in flight than allowed."""
    breaker = Breaker()
    now_us = 0
    sick_at_us: int | None = None  # the last sickness since it opened; None while CLOSED
    evidence = False  # a healthy commit wholly after the cool-off that followed the last trip
    half_open_at_us = 0
    probes = 0
    for step_us, name, argument_us in steps:
        now_us += step_us
        if breaker.status(now_us).state is State.CLOSED:
            if sick_at_us is not None:
                assert now_us - sick_at_us >= LIMITS.stable_us
                assert evidence
            sick_at_us = None
        was_closed = sick_at_us is None
        if name == "admit":
            admission = breaker.admit(now_us)
            probes += admission is Admission.PROBE
            assert probes <= LIMITS.probes_max
            assert (admission is Admission.ADMITTED) is was_closed
            assert admission is Admission.REFUSED or was_closed or now_us >= half_open_at_us
        elif name == "done":
            if probes:
                breaker.probe_done()
                probes -= 1
        else:
            happen(breaker, now_us, name, argument_us)
            tripped = name == "fault" or argument_us > UPPER_US[name]
            if was_closed:
                sick = breaker.status(now_us).state is not State.CLOSED
                assert sick or name == "fault" or not tripped
            else:
                sick = tripped or argument_us > LOWER_US[name]
            if sick:
                sick_at_us, evidence = now_us, False
                if tripped:
                    half_open_at_us = now_us + LIMITS.cool_off_us
            elif name == "commit" and now_us - argument_us >= half_open_at_us:
                evidence = True


@given(STEPS, st.lists(st.booleans(), min_size=60, max_size=60))
def test_looking_changes_nothing(steps: list[tuple[int, str, int]], looks: list[bool]) -> None:
    watched, alone = Breaker(), Breaker()
    now_us = 0
    for (step_us, name, argument_us), look in zip(steps, looks, strict=False):
        if look:
            watched.status(now_us + step_us // 2)
            watched.retry_after_us(now_us + step_us // 2)
        now_us += step_us
        if name not in ("admit", "done"):
            happen(watched, now_us, name, argument_us)
            happen(alone, now_us, name, argument_us)
    assert watched.status(now_us) == alone.status(now_us)


def test_a_new_breaker_is_closed_and_owes_nothing() -> None:
    assert Breaker().status(0) == Status(State.CLOSED, None, 0)
    assert Breaker().retry_after_us(0) == 0
