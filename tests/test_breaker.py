"""The circuit breaker as tables of events, and what holds for every sequence of them."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from batcher.breaker import Admission, Breaker, BreakerLimits, Reason, State, Status

MS = 1_000
S = 1_000_000
LIMITS = BreakerLimits()

# An event is (seconds, name, argument in milliseconds); names without an argument carry 0.
Event = tuple[float, str, int]
TRIPPED: list[Event] = [(0, "commit", 1001)]  # OPEN at 0, HALF_OPEN at 1
HEALING: list[Event] = [*TRIPPED, (2, "commit", 10)]  # health counts from 2: a commit from 32 on closes it


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
        # Nor does a single commit and then time: health is confirmed by a commit at its end.
        (HEALING, 32, State.HALF_OPEN, 0),
        ([*HEALING, (31.999999, "commit", 10)], 1000, State.HALF_OPEN, 0),
        ([*HEALING, (32, "queue", 0), (33, "running", 10)], 1000, State.HALF_OPEN, 0),
        ([*HEALING, (32, "commit", 10)], 32, State.CLOSED, 0),
        ([*HEALING, (20, "commit", 10), (40, "commit", 10)], 40, State.CLOSED, 0),
        # At a lower threshold: healthy. Above it: the count begins again with the next healthy commit.
        (
            [*HEALING, (20, "commit", 250), (21, "queue", 200), (22, "running", 250), (32, "commit", 1)],
            32,
            State.CLOSED,
            0,
        ),
        ([*HEALING, (20, "commit", 251), (32, "commit", 1)], 32, State.HALF_OPEN, 30),
        ([*HEALING, (20, "queue", 201), (32, "commit", 1)], 32, State.HALF_OPEN, 30),
        ([*HEALING, (20, "running", 251), (32, "commit", 1)], 32, State.HALF_OPEN, 30),
        ([*HEALING, (32, "commit", 251)], 32, State.HALF_OPEN, 30),
        ([*HEALING, (20, "queue", 201), (21, "commit", 10)], 50, State.HALF_OPEN, 1),
        ([*HEALING, (20, "queue", 201), (21, "commit", 10), (51, "commit", 10)], 51, State.CLOSED, 0),
        # Above an upper threshold, or one fault: open again, and everything begins again.
        ([*HEALING, (31, "fault", 0)], 31.9, State.OPEN, 30),
        ([*HEALING, (31, "commit", 1001)], 31.9, State.OPEN, 30),
        ([*HEALING, (31, "running", 1001)], 31.9, State.OPEN, 30),
        ([*HEALING, (31, "queue", 1501)], 61, State.HALF_OPEN, 30),
        # A commit from before HALF_OPEN is no evidence, however quick.
        ([*TRIPPED, (0.5, "commit", 10)], 40, State.HALF_OPEN, 30),
        ([*TRIPPED, (1.1, "commit", 200)], 40, State.HALF_OPEN, 30),
        ([*TRIPPED, (1.2, "commit", 200)], 31.2, State.HALF_OPEN, 0),
        ([*TRIPPED, (1.2, "commit", 200), (31.2, "commit", 1)], 31.2, State.CLOSED, 0),
        # Closed again means as new: two faults from before and one after are not three in a row.
        ([*HEALING, (32, "commit", 1), (33, "fault", 0), (33, "fault", 0)], 33, State.CLOSED, 0),
        # A window that nothing has confirmed yet is undone by the sickness that comes first.
        ([*HEALING, (32, "queue", 201), (32, "commit", 1)], 32, State.HALF_OPEN, 30),
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
    breaker.commit_succeeded(31 * S, 0)
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
WAITS = st.sampled_from([0, 1, 50 * MS, 300 * MS, S, 10 * S, 29 * S, 31 * S])
NAMES = st.sampled_from(["commit", "commit", "commit", "fault", "running", "queue"])
ARGUMENTS = st.sampled_from([0, 10 * MS, 200 * MS, 201 * MS, 250 * MS, 251 * MS, S, S + 1, 1501 * MS])
STEPS = st.lists(st.tuples(WAITS, NAMES, ARGUMENTS), max_size=60)
LOWER_US = {"commit": 250 * MS, "running": 250 * MS, "queue": 200 * MS}
UPPER_US = {"commit": S, "running": S, "queue": 1500 * MS}
COOL_OFF_US, STABLE_US, FAULTS, PROBES = S, 30 * S, 3, 8  # by the issue and PRODUCT, not from the code


class Model:
    """The breaker from its definition: it keeps everything that ever happened and looks at it anew each time.

    No transitions and no state but the log and when the circuit last opened, so it shares no mistake with
    a machine that has them.
    """

    def __init__(self) -> None:
        self.log: list[tuple[int, str, int]] = []
        self.opened: int | None = None
        """Index of the event that opened it; None while CLOSED."""

    def happen(self, now_us: int, name: str, argument_us: int) -> None:
        self.log.append((now_us, name, argument_us))
        if self.opened is None:
            names = [event[1] for event in self.log]
            last_commit = max((n for n, each in enumerate(names) if each == "commit"), default=-1)
            in_a_row = names[last_commit + 1 :].count("fault")
            if in_a_row >= FAULTS or self._is_above(UPPER_US, len(self.log) - 1):
                self.opened = len(self.log) - 1
        elif self._missing_us(now_us) == 0 and self._evidence()[-1:] == [len(self.log) - 1]:
            self.opened = None

    def state(self, now_us: int) -> State:
        if self.opened is None:
            return State.CLOSED
        return State.OPEN if now_us < self._half_open_at_us(len(self.log)) else State.HALF_OPEN

    def remaining_us(self, now_us: int) -> int:
        return 0 if self.opened is None else self._missing_us(now_us)

    def _missing_us(self, now_us: int) -> int:
        evidence = self._evidence()
        return max(0, STABLE_US - (now_us - self.log[evidence[0]][0])) if evidence else STABLE_US

    def _is_above(self, limits_us: dict[str, int], index: int) -> bool:
        _, name, argument_us = self.log[index]
        return name in limits_us and argument_us > limits_us[name]

    def _half_open_at_us(self, end: int) -> int:
        """When HALF_OPEN begins, or began, by the events before `end`."""
        assert self.opened is not None
        trips = [
            self.log[index][0]
            for index in range(self.opened, end)
            if index == self.opened or self.log[index][1] == "fault" or self._is_above(UPPER_US, index)
        ]
        return trips[-1] + COOL_OFF_US

    def _evidence(self) -> list[int]:
        """The healthy commits since the last sickness that began when probes were let in already."""
        assert self.opened is not None
        sick = [
            index
            for index in range(self.opened, len(self.log))
            if index == self.opened or self.log[index][1] == "fault" or self._is_above(LOWER_US, index)
        ]
        return [
            index
            for index in range(sick[-1] + 1, len(self.log))
            if self.log[index][1] == "commit"
            and self.log[index][0] - self.log[index][2] >= self._half_open_at_us(index)
        ]


class AgainstTheModel(RuleBasedStateMachine):
    """Any order of events, bets at the door and waiting: breaker and model say the same."""

    def __init__(self) -> None:
        super().__init__()
        self.breaker, self.model = Breaker(), Model()
        self.now_us = 0
        self.probes = 0

    @rule(by_us=WAITS)
    def wait(self, by_us: int) -> None:
        self.now_us += by_us

    @rule(name=NAMES, argument_us=ARGUMENTS)
    def happen(self, name: str, argument_us: int) -> None:
        happen(self.breaker, self.now_us, name, argument_us)
        self.model.happen(self.now_us, name, argument_us)

    @rule()
    def heal(self) -> None:
        """A window of health, which chance alone seldom makes."""
        for _ in range(4):
            self.wait(10 * S)
            self.happen("commit", 10 * MS)

    @rule()
    def sicken(self) -> None:
        self.happen("queue", 1501 * MS)

    @rule()
    def knock(self) -> None:
        expected = {
            State.CLOSED: Admission.ADMITTED,
            State.OPEN: Admission.REFUSED,
            State.HALF_OPEN: Admission.PROBE if self.probes < PROBES else Admission.REFUSED,
        }[self.model.state(self.now_us)]
        assert self.breaker.admit(self.now_us) is expected
        self.probes += expected is Admission.PROBE

    @precondition(lambda self: self.probes)
    @rule()
    def leave(self) -> None:
        """A probe ends, in whichever way and state."""
        self.breaker.probe_done()
        self.probes -= 1

    @invariant()
    def they_agree(self) -> None:
        state = self.model.state(self.now_us)
        status = self.breaker.status(self.now_us)
        assert (status.state, status.remaining_us) == (state, self.model.remaining_us(self.now_us))
        assert (status.reason is None) is (state is State.CLOSED)
        retry_after_us = self.breaker.retry_after_us(self.now_us)
        assert (retry_after_us == 0) is (state is State.CLOSED)
        assert retry_after_us <= COOL_OFF_US


TestAgainstTheModel = AgainstTheModel.TestCase
TestAgainstTheModel.settings = settings(max_examples=150, stateful_step_count=40)


@given(STEPS, st.lists(st.booleans(), min_size=60, max_size=60))
def test_looking_changes_nothing(steps: list[tuple[int, str, int]], looks: list[bool]) -> None:
    watched, alone = Breaker(), Breaker()
    now_us = 0
    for (step_us, name, argument_us), look in zip(steps, looks, strict=False):
        if look:
            watched.status(now_us + step_us // 2)
            watched.retry_after_us(now_us + step_us // 2)
        now_us += step_us
        happen(watched, now_us, name, argument_us)
        happen(alone, now_us, name, argument_us)
    assert watched.status(now_us) == alone.status(now_us)


def test_a_new_breaker_is_closed_and_owes_nothing() -> None:
    assert Breaker().status(0) == Status(State.CLOSED, None, 0)
    assert Breaker().retry_after_us(0) == 0
