"""From rounds to one table: medians beside ceilings, targets, and whether they were met.

Pure: figures in, text out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

Figures = dict[str, Any]
Results = Mapping[str, Sequence[Figures]]
"""Rounds by the name of their case, without those that failed."""

NOTHING = "–"


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table. What a case does not have is left empty."""

    case: str
    measured: str = ""
    beside: str = ""  # the ceiling, or what else it is compared with
    figure: str = ""  # what the target is about: a ratio, a latency, a size
    target: str = ""
    met: bool | None = None  # None: there is no target
    goal_met: bool | None = None  # of the further goal that `target` may name
    detail: str = ""

    def cells(self) -> list[str]:
        """As text; the detail is last, as it may be long."""
        met = NOTHING if self.met is None else "yes" if self.met else "NO"
        if self.goal_met is not None:
            met += f", goal {'yes' if self.goal_met else 'no'}"
        texts = (self.case, self.measured, self.beside, self.figure, self.target, met, self.detail)
        return [text or NOTHING for text in texts]


HEAD = ["case", "measured", "beside it", "figure", "target", "met?", "detail"]
RIGHT = {"measured", "beside it"}
LEGEND = "Medians of {rounds}; ratios are medians of the rounds' ratios. Cores: in use on average."


def render(rows: Sequence[Row], rounds: int, remarks: Sequence[str] = ()) -> str:
    """The table, and under it what a reader must know before believing it."""
    lines = [HEAD, *(row.cells() for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    text = [
        "  ".join(
            cell.rjust(width) if name in RIGHT else cell.ljust(width)
            for name, cell, width in zip(HEAD, cells, widths, strict=True)
        ).rstrip()
        for cells in lines
    ]
    text.insert(1, "-" * max(map(len, text)))
    legend = LEGEND.format(rounds="1 round" if rounds == 1 else f"{rounds} rounds")
    return "\n".join([*text, legend, *remarks])


def mid(rounds: Sequence[Figures], *path: str) -> float:
    """Median over `rounds` of the figure at `path`, such as `"wallet", "latency_us", "p99"`."""

    def follow(figures: Any) -> float:
        for name in path:
            figures = figures[name]
        return float(figures)

    return median(map(follow, rounds))


def mid_ratio(
    rounds: Sequence[Figures], of: Callable[[Figures], float], to: Callable[[Figures], float]
) -> float:
    """Median of the rounds' ratios: of neighbours in time, so that a slow drift of the machine cancels out.

    A round without anything to compare with counts as 0.
    """
    return median(of(each) / to(each) if to(each) else 0.0 for each in rounds)


def per_s(value: float, unit: str = "bets") -> str:
    """A rate, such as `50,123 bets/s`."""
    return f"{value:,.0f} {unit}/s"


def latency(rounds: Sequence[Figures], part: str) -> str:
    """Median quantiles of the driver's figures `part`, in milliseconds."""
    known = [each for each in rounds if each[part]["latency_us"]]
    if not known:
        return "nothing confirmed"
    ms = [mid(known, part, "latency_us", name) / 1_000 for name in ("p50", "p99")]
    return "p50 {:.1f}, p99 {:.1f} ms".format(*ms)


def cores(rounds: Sequence[Figures], part: str) -> str:
    """Median use of the processor during the runs of `part`."""
    known = [name for name in ("server", "driver", "redis", "others") if name in rounds[0][part]["cores"]]
    return "cores " + ", ".join(f"{name} {mid(rounds, part, 'cores', name):.2f}" for name in known)
