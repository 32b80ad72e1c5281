"""When a batch closes and what is shed. Pure: time is an argument, in microseconds of a monotonic clock.

Natural group commit: there is no tick. A batch closes as soon as the writer is free, or when the batch before
it is halfway, with all that waits by then, so an idle server commits a single bet at once and a busy one
commits hundreds together. It is bounded by count (`batch_max`).

The queue is bounded by count and by age (docs/adr/0016). By age as in CoDel (RFC 8289): a queue that is long
for a moment does no harm, one that *stands* makes everybody wait and nobody faster. Looked at whenever a
batch closes, and left behind by the batch:

    what is seen                                            the queue      what this batch sheds
    ------------------------------------------------------  -------------  ----------------------------------
    all that waits fits into the batch                      does not       nothing
    the oldest has waited target_us or less                 does not       nothing
    longer, for less than interval_us without an exception  may, soon      nothing
    longer, for interval_us or more                         stands         bets that have waited longer than
                                                                           target_us, oldest first, unless
                                                                           few others of their asker wait

Only bets are shed: a settlement that is late is still owed. Whatever has waited past its deadline is never
executed, and need not wait to hear so until a batch closes.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass
from typing import Generic, NamedTuple, Protocol, TypeVar


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """Bounds of the queue and of a batch. All at least 1."""

    batch_max: int = 1000
    """Beyond it a commit gets slower without getting cheaper a bet (DESIGN, measured)."""
    ahead_min: int = 50
    """Commands for which a second batch is worth closing while the first is being written: with fewer, the
    fixed costs of a commit, about 1 ms, weigh more than the time that is gained."""
    queue_max: int = 20_000
    """Commands waiting, bets among them: what the writer commits in about half a deadline at the product's
    goal."""
    reserve: int = 5_000
    """Commands other than bets that may wait beyond `queue_max`: what five operators may have in flight."""
    target_us: int = 300_000
    """A wait that may last: that of 6,000 bets in flight at 20,000 a second."""
    interval_us: int = 250_000
    """How long each batch must have found its oldest above `target_us` before anything is shed. With more, a
    rush of three times what a slow disk takes (300 ms a commit) ages the queue by what opens the circuit,
    1.5 s, before anything is shed; docs/adr/0016 has what it costs after a stall."""
    deadline_us: int = 2_000_000
    """From arrival to the start of the commit. PROTOCOL: `deadline_ms` in `welcome`."""

    def __post_init__(self) -> None:
        assert min(self.batch_max, self.ahead_min, self.queue_max, self.reserve) > 0
        assert min(self.target_us, self.interval_us, self.deadline_us) > 0

    def may_close(self, waiting: int, under_way: int, is_halfway: bool) -> bool:
        """Whether the next batch, of all `waiting` commands, should take no more of them.

        Two are `under_way` at most: one is being written while the other is prepared, or waits. The
        second one closes when the first is halfway, so that whatever arrives until then can still come
        along; or when it is half full, since with so much to do its preparation takes as long as the
        writing.
        """
        if not waiting or under_way > 1:
            return False
        if not under_way:
            return True
        return waiting >= (self.ahead_min if is_halfway else self.batch_max // 2)

    def expired(self, arrived_us: int, now_us: int) -> bool:
        """Whether a command that arrived then may no longer be executed now."""
        return now_us - arrived_us > self.deadline_us


class Arrival(Protocol):
    """What waits in the queue knows when it came, from whom, and whether it may be shed."""

    @property
    def arrived_us(self) -> int: ...

    @property
    def asker(self) -> object: ...

    @property
    def is_bet(self) -> bool: ...


Waiting = TypeVar("Waiting", bound=Arrival)


class Closing(NamedTuple, Generic[Waiting]):
    """What leaves the queue when a batch closes, each part oldest first."""

    batch: list[Waiting]
    shed: list[Waiting]


class Queue(Generic[Waiting]):
    """Commands in arrival order, bounded by count and by age."""

    def __init__(self, limits: BatchLimits) -> None:
        self._limits = limits
        self._waiting: deque[Waiting] = deque()
        self._above_since_us: int | None = None  # the first look of those that all saw a wait above target_us

    def __len__(self) -> int:
        return len(self._waiting)

    def offer(self, command: Waiting) -> bool:
        """Take `command` in, or return False because the queue is full."""
        waiting, limits = len(self._waiting), self._limits
        if waiting >= limits.queue_max and (command.is_bet or waiting >= limits.queue_max + limits.reserve):
            return False
        self._waiting.append(command)
        return True

    def close_batch(self, now_us: int) -> Closing[Waiting]:
        """The next batch: the oldest commands that are not shed, at most `batch_max`; empty if none waits."""
        waiting = self._waiting
        if len(waiting) <= self._limits.batch_max:
            self._above_since_us = None
            batch = list(waiting)
            waiting.clear()
            return Closing(batch, [])
        shed = self._shed(now_us) if self._is_standing(now_us) else []
        return Closing([waiting.popleft() for _ in range(self._limits.batch_max)], shed)

    def take_late(self, now_us: int) -> list[Waiting]:
        """Take out whatever has waited past its deadline, oldest first: it will never be executed."""
        waiting, late = self._waiting, []
        while waiting and self._limits.expired(waiting[0].arrived_us, now_us):
            late.append(waiting.popleft())
        return late

    def _is_standing(self, now_us: int) -> bool:
        """Look at the oldest command: has it waited too long for too long?"""
        if self.oldest_age_us(now_us) <= self._limits.target_us:
            self._above_since_us = None
            return False
        if self._above_since_us is None:
            self._above_since_us = now_us
        return now_us - self._above_since_us >= self._limits.interval_us

    def oldest_age_us(self, now_us: int) -> int:
        """How long the oldest command has waited; 0 if none waits."""
        return now_us - self._waiting[0].arrived_us if self._waiting else 0

    def _shed(self, now_us: int) -> list[Waiting]:
        """Take out bets that have waited longer than `target_us`, as long as a whole batch stays behind.

        Spared are those of askers of whom at most half as many bets wait as of the mean one: who has one bet
        in flight is not shed for those who flood. Half, because askers who are all alike differ by chance,
        and if all below the mean were spared, most of a queue of such could not be shed.
        """
        waiting = self._waiting
        bets_of = Counter([command.asker for command in waiting if command.is_bet])
        spared_max = bets_of.total() / (2 * len(bets_of)) if bets_of else 0
        surplus = len(waiting) - self._limits.batch_max
        shed: list[Waiting] = []
        kept: list[Waiting] = []
        while waiting and len(shed) < surplus and now_us - waiting[0].arrived_us > self._limits.target_us:
            command = waiting.popleft()
            is_shed = command.is_bet and bets_of[command.asker] > spared_max
            (shed if is_shed else kept).append(command)
        waiting.extendleft(reversed(kept))
        return shed
