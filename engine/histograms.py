"""Counts by size: how many values fell below which bound. Pure; microseconds or whatever else is counted.

The shape is Prometheus' (https://prometheus.io/docs/concepts/metric_types/#histogram): a value belongs to the
first bucket whose bound it does not exceed.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from itertools import accumulate
from typing import Final

TIMES_US: Final = (
    *(500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000),
    *(1_000_000, 2_500_000, 5_000_000),
)
"""Bounds for what takes time: from half a commit on a fast disk to beyond the deadline of a bet, 2 s."""

LONG_TIMES_US: Final = (1_000, 5_000, 25_000, 100_000, 500_000, 2_500_000, 10_000_000)
"""Coarser, where there are many histograms, such as one for each route; and longer: in a storm a log-in takes
nearly as much."""

SIZES: Final = (1, 2, 5, 10, 25, 50, 100, 250, 500, 1_000)
"""Bounds for batches, up to `BatchLimits.batch_max`."""


class Histogram:
    """Written by one thread; another may read it meanwhile, and then misses a value at the most."""

    __slots__ = ("_counts", "bounds", "total")

    def __init__(self, bounds: tuple[int, ...] = TIMES_US) -> None:
        """`bounds`: ascending; what exceeds the last one is counted behind it."""
        self.bounds = bounds
        self.total = 0
        """The sum of all values."""
        self._counts = [0] * (len(bounds) + 1)

    def add(self, value: int) -> None:
        """Count one value."""
        self._counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def add_all(self, values: Iterable[int]) -> None:
        """Count many: by their order, and not each by itself, which costs a bet of a batch half as much."""
        ordered = sorted(values)
        if not ordered:
            return
        start, size = 0, len(ordered)
        bucket = bisect_left(self.bounds, ordered[0])
        for bound in self.bounds[bucket:]:
            end = bisect_right(ordered, bound, start)
            self._counts[bucket] += end - start
            if end == size:
                break
            start, bucket = end, bucket + 1
        else:
            self._counts[bucket] += size - start
        self.total += sum(ordered)

    def cumulative(self) -> list[int]:
        """For each bound how many values do not exceed it, and behind those, of how many in all."""
        return [*accumulate(self._counts)]

    def counts(self) -> list[int]:
        """How many values belong to each bucket, the one behind the last bound included."""
        return [*self._counts]


def quantile(bounds: tuple[int, ...], counts: list[int], share: float, least: int = 0) -> float | None:
    """The value below which this share (0 to 1) of all is, by how many belong to each bucket (see
    `Histogram.counts`); None where there are none. Within a bucket they are taken to lie evenly, as
    Prometheus' `histogram_quantile` does; what exceeds the last bound counts as that. `least`: nothing is
    below it."""
    wanted = share * sum(counts)
    if not wanted:
        return None
    below = 0
    for at, count in enumerate(counts[:-1]):
        if below + count >= wanted:
            lower = bounds[at - 1] if at else least
            return lower + (bounds[at] - lower) * (wanted - below) / count
        below += count
    return float(bounds[-1])
