"""Sliding windows in memory, bounded, for the library `limits`; and how long whoever is refused has to wait.

A window is counted in two numbers for each key, this window's and the one's before, of which what has not
slid out yet is taken (`limits`, "sliding window counter"). A log of times ("moving window") would be exact,
and cost memory by the request: 6,000 times for one user who may send so many. What is lost is who spread his
requests unevenly: he is let in a little earlier or later.

The library's own store in memory is for few keys: with each hit it begins a task that goes through all of
them, 0.7 s with a million, and it has no bound. Here a key is forgotten when another one comes: first those
whose windows are over, then, beyond `KEYS_MAX`, the one whose window began first. Whoever can send from so
many addresses is not held by counting them.
"""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import ClassVar, Final

from limits.aio.storage import MemoryStorage

KEYS_MAX: Final = 100_000
"""Keys that are remembered at a time: 40 MB."""

SWEPT: Final = 2
"""Keys that are looked at when one is added, whether they are over: more than one, so that what a flood has
left goes away."""

_GONE, _CURRENT, _PREVIOUS = range(3)


def _monotonic_us() -> int:
    return time.monotonic_ns() // 1000


class Windows(MemoryStorage):
    """The storage of a `SlidingWindowCounterRateLimiter`: two numbers and a time for each key."""

    STORAGE_SCHEME: ClassVar[list[str] | None] = None  # type: ignore[misc, assignment]

    def __init__(self, clock_us: Callable[[], int] = _monotonic_us, keys_max: int = KEYS_MAX) -> None:
        """`clock_us`: monotonic, in microseconds."""
        super().__init__()
        self._clock_us = clock_us
        self._keys_max = keys_max
        # Each is [when its window and the one after it are over, hits in the window, hits in the one before].
        # A key goes to the end when its window begins, so the first is the one that has been quiet for
        # longest, among windows of equal length.
        self._slots: OrderedDict[str, list[int]] = OrderedDict()

    def __len__(self) -> int:
        """How many keys are remembered."""
        return len(self._slots)

    async def acquire_sliding_window_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        """Count `amount` hits of `key` if they fit into `limit` in `expiry` seconds; whether they did."""
        now_us = self._clock_us()
        span_us = expiry * 1_000_000
        slot = self._slots.get(key)
        if slot is None or now_us >= slot[_GONE]:
            if amount > limit:
                return False
            if slot is None:
                self._make_room(now_us)
            else:
                self._slots.move_to_end(key)
            self._slots[key] = [now_us + 2 * span_us, amount, 0]
            return True
        if now_us >= slot[_GONE] - span_us:
            slot[:] = [slot[_GONE] + span_us, 0, slot[_CURRENT]]
            self._slots.move_to_end(key)
        left_us = slot[_GONE] - span_us - now_us
        if slot[_PREVIOUS] * left_us // span_us + slot[_CURRENT] + amount > limit:
            return False
        slot[_CURRENT] += amount
        return True

    async def get_sliding_window(self, key: str, expiry: int) -> tuple[int, float, int, float]:
        """Hits in the window before, and for how many seconds they still count; in this one, and the same."""
        now_us = self._clock_us()
        span_us = expiry * 1_000_000
        slot = self._slots.get(key)
        if slot is None or now_us >= slot[_GONE]:
            return 0, 0.0, 0, 0.0
        gone_us, current, previous = slot
        if now_us >= gone_us - span_us:
            gone_us, current, previous = gone_us + span_us, 0, current
        return previous, (gone_us - span_us - now_us) / 1e6, current, (gone_us - now_us) / 1e6

    async def clear_sliding_window(self, key: str, expiry: int) -> None:
        """Forget `key`."""
        self._slots.pop(key, None)

    async def reset(self) -> int | None:
        """Forget all keys; how many there were."""
        count = len(self._slots)
        self._slots.clear()
        return count

    def _make_room(self, now_us: int) -> None:
        slots = self._slots
        for _ in range(SWEPT):
            if not slots or next(iter(slots.values()))[_GONE] > now_us:
                break
            slots.popitem(last=False)
        if len(slots) >= self._keys_max:
            slots.popitem(last=False)


def wait_ms(
    limit: int, expiry: int, previous: int, previous_left_s: float, current: int, current_left_s: float
) -> int:
    """After how many milliseconds, at least 1, one more hit fits into `limit`, if nobody else comes
    meanwhile.

    The others are `limits.RateLimitItem.get_expiry` and what `get_sliding_window` tells, of any storage.
    """
    if current < limit:
        # The earlier ones slide out: previous × left ÷ expiry + current < limit.
        wait_s = previous_left_s - (limit - current) * expiry / previous if previous else 0.0
    else:
        # This window has to end first, and is then the earlier one itself.
        wait_s = current_left_s - expiry + expiry * (1 - limit / current)
    return max(1, math.floor(wait_s * 1000) + 1)
