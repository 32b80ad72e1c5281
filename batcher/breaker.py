"""The circuit breaker: refuses bets while the ledger is sick, and lets them back only after lasting health.

Pure: time is an argument, in microseconds of a monotonic clock. It looks at three things: commits that fail,
how long a commit takes, and how long the oldest command has waited. The latter two have two thresholds each:
above the *upper* one the breaker opens, and only at or below the *lower* one they count as healthy again, so
that a ledger which hovers around one value does not make the breaker flutter. (The nonce store has one of
its own, in nonces.py: there a commit is a claim, and nothing queues.)

    state      what happens                                          next state
    ---------  ----------------------------------------------------  -----------------------------------------
    CLOSED     commit_faults failures in a row                       OPEN
    CLOSED     anything above an upper threshold                     OPEN
    CLOSED     anything else                                         CLOSED
    OPEN       a failure, or anything above an upper threshold       OPEN, the cool-off begins again
    OPEN       cool_off_us without                                   HALF_OPEN, no health seen yet
    OPEN       anything else                                         OPEN
    HALF_OPEN  a failure, or anything above an upper threshold       OPEN
    HALF_OPEN  anything above a lower threshold                      HALF_OPEN, health seen so far is void
    HALF_OPEN  a commit at or below commit_lower_us that also began
               in HALF_OPEN: a healthy one
                 the first since the last sickness                   HALF_OPEN, health counts from here on
                 less than stable_us after that first one            HALF_OPEN
                 stable_us after it, or later                        CLOSED
    HALF_OPEN  any other commit (it tells of the time before)        HALF_OPEN

Health is what commits have shown, at the window's beginning and at its end, and not that time went by: a
breaker that nobody tries stays HALF_OPEN, and one that was tried once does too. All that time alone brings
about is HALF_OPEN, and that happens when it is due, whoever asks next and whenever.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, IntEnum
from typing import NamedTuple


class State(Enum):
    """Who is let in."""

    CLOSED = "closed"
    """Everybody: all is well."""

    OPEN = "open"
    """No bets; all else is tried."""

    HALF_OPEN = "half_open"
    """A bounded number of probes at a time."""


class Reason(Enum):
    """What opened the breaker, as a clause for people."""

    COMMIT_FAULTS = "commits failed"
    COMMIT_SLOW = "a commit took too long"
    QUEUE_OLD = "commands waited too long"
    CLAIM_FAULTS = "claims failed"
    CLAIM_SLOW = "a claim took too long"
    """Of the breaker in front of the nonce store, like the one above: see `FallbackGuard.status`."""


class Admission(IntEnum):
    """The answer to one bet at the door; false when it is refused."""

    REFUSED = 0
    ADMITTED = 1
    PROBE = 2
    """Admitted, and holding one of the probe slots: `probe_done` must follow, however the bet ends."""


class Status(NamedTuple):
    """What `/health/ready` and the metrics show."""

    state: State
    reason: Reason | None
    """Why it last opened; None while CLOSED."""
    remaining_us: int
    """Unbroken health still missing before it closes; 0 while CLOSED, or when the next healthy commit will
    close it."""


@dataclass(frozen=True, slots=True)
class BreakerLimits:
    """Thresholds of the breaker. An upper one is above its lower one, and nothing is below 1."""

    commit_faults: int = 3
    """Failed commits in a row; a single one may be the batch's own fault."""
    commit_upper_us: int = 1_000_000
    """Half of a command's deadline of 2 s: behind a slower commit the next batch would time out."""
    commit_lower_us: int = 250_000
    """A healthy commit takes about 10 ms (DESIGN, measured): this leaves room for a busy disk."""
    queue_upper_us: int = 1_500_000
    """Leaves a waiting command 0.5 s of its deadline to be decided and written."""
    queue_lower_us: int = 200_000
    """A wait in which a player notices nothing yet."""
    cool_off_us: int = 1_000_000
    """Quiet after the last sickness, before the first probe."""
    stable_us: int = 30_000_000
    """Unbroken health before the breaker closes."""
    probes_max: int = 8
    """Bets in flight at a time while HALF_OPEN."""

    def __post_init__(self) -> None:
        assert 0 < self.commit_lower_us < self.commit_upper_us
        assert 0 < self.queue_lower_us < self.queue_upper_us
        assert min(self.commit_faults, self.cool_off_us, self.stable_us, self.probes_max) > 0


# As globals: admit() runs once for each bet, and reading a member of an Enum costs as much as the rest of it.
_CLOSED, _OPEN, _HALF_OPEN = State.CLOSED, State.OPEN, State.HALF_OPEN
_REFUSED, _ADMITTED, _PROBE = Admission.REFUSED, Admission.ADMITTED, Admission.PROBE


class Breaker:
    """One breaker, CLOSED at first. The transitions are in the module's docstring."""

    __slots__ = (
        "_faults",
        "_half_open_at_us",
        "_healthy_since_us",
        "_limits",
        "_probes",
        "_reason",
        "_state",
    )

    def __init__(self, limits: BreakerLimits | None = None) -> None:
        self._limits = limits or BreakerLimits()
        self._state = _CLOSED
        self._reason: Reason | None = None  # of the last trip
        self._faults = 0  # failed commits in a row
        self._half_open_at_us = 0  # when the present or coming HALF_OPEN begins, unless CLOSED
        self._healthy_since_us: int | None = None  # while HALF_OPEN: the first commit of unbroken health
        self._probes = 0  # in flight, from whichever HALF_OPEN they were admitted in

    def admit(self, now_us: int) -> Admission:
        """Whether one bet may enter. Answer a PROBE with exactly one `probe_done`, however the bet ends."""
        if self._state is _CLOSED:
            return _ADMITTED
        self._advance(now_us)
        if self._state is _OPEN or self._probes >= self._limits.probes_max:
            return _REFUSED
        self._probes += 1
        return _PROBE

    def probe_done(self) -> None:
        """A bet admitted as PROBE was answered, shed, cancelled or timed out: its slot is free."""
        assert self._probes > 0, "more probes ended than were admitted"
        self._probes -= 1

    def commit_succeeded(self, now_us: int, duration_us: int) -> None:
        """A batch was committed, `duration_us` after its commit began."""
        self._advance(now_us)
        self._faults = 0
        if not self._is_healthy(
            now_us,
            duration_us,
            self._limits.commit_lower_us,
            self._limits.commit_upper_us,
            Reason.COMMIT_SLOW,
        ):
            return
        if self._state is not _HALF_OPEN or now_us - duration_us < self._half_open_at_us:
            return
        if self._healthy_since_us is None:
            self._healthy_since_us = now_us
        elif now_us - self._healthy_since_us >= self._limits.stable_us:
            self._state = _CLOSED
            self._healthy_since_us = None

    def commit_failed(self, now_us: int) -> None:
        """A batch was not committed, for a reason that is not in the batch."""
        self._advance(now_us)
        self._faults += 1
        if self._state is not _CLOSED or self._faults >= self._limits.commit_faults:
            self._trip(now_us, Reason.COMMIT_FAULTS)

    def commit_running(self, now_us: int, age_us: int) -> None:
        """A commit began `age_us` ago and has not ended: one that hangs would never be heard of otherwise."""
        self._advance(now_us)
        limits = self._limits
        self._is_healthy(now_us, age_us, limits.commit_lower_us, limits.commit_upper_us, Reason.COMMIT_SLOW)

    def queue_waited(self, now_us: int, age_us: int) -> None:
        """The oldest waiting command has waited `age_us`; 0 when none waits."""
        self._advance(now_us)
        limits = self._limits
        self._is_healthy(now_us, age_us, limits.queue_lower_us, limits.queue_upper_us, Reason.QUEUE_OLD)

    def status(self, now_us: int) -> Status:
        """State, reason and the health still missing, now."""
        self._advance(now_us)
        if self._state is _CLOSED:
            return Status(_CLOSED, None, 0)
        seen_us = 0 if self._healthy_since_us is None else now_us - self._healthy_since_us
        return Status(self._state, self._reason, max(self._limits.stable_us - seen_us, 0))

    def retry_after_us(self, now_us: int) -> int:
        """How long a refused client should wait; 0 while CLOSED. Add jitter where many are told the same.

        While OPEN until the first probe may enter; while HALF_OPEN, with every probe taken, one cool-off.
        """
        self._advance(now_us)
        if self._state is _CLOSED:
            return 0
        return max(self._half_open_at_us - now_us, 0) if self._state is _OPEN else self._limits.cool_off_us

    def _is_healthy(self, now_us: int, seen_us: int, lower_us: int, upper_us: int, reason: Reason) -> bool:
        """Whether `seen_us` is at or below the lower threshold; what follows if it is not, follows."""
        if seen_us <= lower_us:
            return True
        self._healthy_since_us = None
        if seen_us > upper_us:
            self._trip(now_us, reason)
        return False

    def _trip(self, now_us: int, reason: Reason) -> None:
        self._state = _OPEN
        self._reason = reason
        # A wait is told when its commit is done, with the time at which it ended: behind newer sickness.
        self._half_open_at_us = max(self._half_open_at_us, now_us + self._limits.cool_off_us)
        self._healthy_since_us = None

    def _advance(self, now_us: int) -> None:
        """Enter the state that time alone has brought about."""
        if self._state is _OPEN and now_us >= self._half_open_at_us:
            self._state = _HALF_OPEN
