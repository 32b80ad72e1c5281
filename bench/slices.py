"""Taking turns: what is compared runs in short slices, one after the other, so that the machine's drift
cancels out.

A ratio is the median of the ratios of neighbours, not the ratio of the medians.
"""

from __future__ import annotations

import gc
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from statistics import median
from time import perf_counter, process_time

SLICE_S = 1.0
"""Long enough for some checkpoints of the WAL, short beside the drift of a shared machine."""

SLICES_MIN = 3
"""A median needs as many, however little time there is."""

Party = Callable[[int], Awaitable["Slice"]]
"""Does the work of so many batches; what is not to be timed happens before it starts its `Watch`."""


@dataclass(frozen=True, slots=True)
class Slice:
    """So many bets in so much time; `cpu_s` is what all threads of this process used of the processor."""

    bets: int
    wall_s: float
    cpu_s: float

    @property
    def per_s(self) -> float:
        return self.bets / self.wall_s

    @property
    def cores(self) -> float:
        return self.cpu_s / self.wall_s


class Watch:
    """Started when made, after the garbage of whatever came before has been collected."""

    def __init__(self) -> None:
        gc.collect()
        self._cpu_s = process_time()
        self._began_s = perf_counter()

    def stop(self, bets: int) -> Slice:
        """The slice that ends now."""
        wall_s = perf_counter() - self._began_s
        return Slice(bets, wall_s, process_time() - self._cpu_s)


async def take_turns(parties: dict[str, Party], seconds: float) -> dict[str, list[Slice]]:
    """Let each party work in turn until the first has worked for `seconds`; at least three slices of each.

    All do the same number of batches in a round: as many as the first does in a slice at the pace of its last
    one. A round of one batch each comes first, and is not counted: caches fill, statements are prepared.
    """
    pace_setter = next(iter(parties))
    batches, warm_up = 1, True
    slices: dict[str, list[Slice]] = {name: [] for name in parties}
    slice_s = min(SLICE_S, seconds / SLICES_MIN)
    while len(slices[pace_setter]) < SLICES_MIN or sum(each.wall_s for each in slices[pace_setter]) < seconds:
        turns = {name: await party(batches) for name, party in parties.items()}
        if not warm_up:
            for name, turn in turns.items():
                slices[name].append(turn)
        warm_up = False
        batches = max(1, round(batches * slice_s / turns[pace_setter].wall_s))
    return slices


def per_s(slices: list[Slice]) -> float:
    """The median rate."""
    return median(each.per_s for each in slices)


def cores(slices: list[Slice]) -> float:
    """The median of the cores in use."""
    return median(each.cores for each in slices)


def ratio(slices: list[Slice], ceiling: list[Slice]) -> float:
    """How fast `slices` are beside those of `ceiling` in the same rounds: the median of the ratios."""
    return median(each.per_s / beside.per_s for each, beside in zip(slices, ceiling, strict=True))
