"""When a batch closes and what is shed. Pure: time is an argument, in microseconds of a monotonic clock.

Natural group commit: there is no tick. A batch closes as soon as the writer is free, or when the batch before
it is halfway, with all that waits by then, so an idle server commits a single bet at once and a busy one
commits hundreds together. It is bounded by count (`batch_max`) and by age: a command that has waited past
its deadline is never executed.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """Bounds of the queue and of a batch. All at least 1."""

    batch_max: int = 1000
    """Beyond it a commit gets slower without getting cheaper a bet (DESIGN, measured)."""
    ahead_min: int = 50
    """Commands for which a second batch is worth closing while the first is being written: with fewer, the
    fixed costs of a commit, about 1 ms, weigh more than the time that is gained."""
    queue_max: int = 20_000
    """Commands waiting: what the writer commits in about half a deadline at the product's goal."""
    deadline_us: int = 2_000_000
    """From arrival to the start of the commit. PROTOCOL: `deadline_ms` in `welcome`."""

    def __post_init__(self) -> None:
        assert min(self.batch_max, self.ahead_min, self.queue_max, self.deadline_us) > 0

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
    """What waits in the queue knows when it came."""

    @property
    def arrived_us(self) -> int: ...


Waiting = TypeVar("Waiting", bound=Arrival)


class Queue(Generic[Waiting]):
    """Commands in arrival order, bounded by count."""

    def __init__(self, limits: BatchLimits) -> None:
        self._limits = limits
        self._waiting: deque[Waiting] = deque()

    def __len__(self) -> int:
        return len(self._waiting)

    def offer(self, command: Waiting) -> bool:
        """Take `command` in, or return False because the queue is full."""
        if len(self._waiting) >= self._limits.queue_max:
            return False
        self._waiting.append(command)
        return True

    def close_batch(self) -> list[Waiting]:
        """The next batch: the oldest commands, at most `batch_max`; empty if none waits."""
        waiting = self._waiting
        if len(waiting) <= self._limits.batch_max:
            batch = list(waiting)
            waiting.clear()
            return batch
        return [waiting.popleft() for _ in range(self._limits.batch_max)]

    def oldest_age_us(self, now_us: int) -> int:
        """How long the oldest command has waited; 0 if none waits."""
        return now_us - self._waiting[0].arrived_us if self._waiting else 0
