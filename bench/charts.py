"""Draws the report of a measurement as PNG: `python -m bench.charts --report FILE.json --folder FOLDER`.

Three charts, each about one question: how latency grows with the load that is offered, whether a longer
ledger costs throughput or start-up, and where the microseconds of a bet go (only if the report has a
`budget`). The same report gives the same bytes. Axes carry units, targets are dashed lines, and titles say
nothing that is true of one machine only.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from pathlib import Path
from typing import Any, Final

from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, NullFormatter

WIDTH_IN: Final = 8.0  # at 100 dots an inch: 800 pixels
COMMIT_CHARS: Final = 12

BLUE, GREEN, RED, GREY = "#0072b2", "#00805c", "#d55e00", "#555555"  # apart for colour-blind readers, too
LATENCIES: Final[tuple[tuple[str, str, str, tuple[tuple[int, float], ...]], ...]] = (
    # field of the report, label, colour, targets: up to this load (bets/s) at most so many ms
    ("p50_ms", "p50", BLUE, ()),
    ("p99_ms", "p99", GREEN, ((3_000, 8.0), (20_000, 30.0))),
    ("p999_ms", "p99.9", RED, ((3_000, 20.0),)),
)
VERSIONS: Final = {
    7: ("bet_id of version 7, ordered by time", BLUE, "o", 9),
    4: ("bet_id of version 4, random", RED, "s", -17),
}
"""By UUID version: label, colour, marker, and how many points above the marker its ratio stands."""

THROUGHPUT_TARGET: Final = 0.9
"""Of the figure at the shortest ledger."""

STARTUP_TARGET_S: Final = 2.0
TARGET: Final[dict[str, Any]] = {"linestyle": (0, (4, 2)), "linewidth": 1.4}
STYLE: Final = {
    "figure.dpi": 100,
    "savefig.dpi": 100,
    "font.family": "DejaVu Sans",  # comes with matplotlib, so that every machine draws the same
    "font.size": 11,
    "axes.titlesize": 13,
    "axes.titleweight": "bold",
    "axes.titlepad": 12,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e4e4e4",
    "lines.linewidth": 2,
    "lines.markersize": 6,
    "legend.frameon": False,
    "legend.fontsize": 10,
}


class ReportUnusable(ValueError):
    """The report lacks what a chart needs; the message names the field."""


def field(container: Any, name: str, where: str = "") -> Any:
    """`container[name]`. Raises `ReportUnusable`, naming the place, if there is none."""
    if not isinstance(container, dict) or name not in container:
        raise ReportUnusable(f"the report has no {where}{name}")
    return container[name]


def number(container: Any, name: str, where: str, *, zero: bool = False) -> float:
    """A finite number above 0 (some axes are logarithmic), or from 0 if `zero`. Raises `ReportUnusable`."""
    value = field(container, name, where)
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if not is_number or value < 0 or (value == 0 and not zero):
        expected = "a number from 0" if zero else "a number above 0"
        raise ReportUnusable(f"{where}{name}: expected {expected}, found {value!r}")
    return float(value)


def rows(container: Any, name: str, where: str = "") -> list[tuple[Any, str]]:
    """The rows of a list that is not empty, each with its place. Raises `ReportUnusable`."""
    found = field(container, name, where)
    if not isinstance(found, list) or not found:
        raise ReportUnusable(f"{where}{name}: expected a list with at least one row")
    return [(row, f"{where}{name}[{index}].") for index, row in enumerate(found)]


def latency_against_load(report: dict[str, Any]) -> Figure:
    """Percentiles over the offered load, on a logarithmic scale; a cross where the wallet did not keep up."""
    names = ("offered_per_s", *(name for name, *_ in LATENCIES))
    points = [
        ({name: number(row, name, where) for name in names}, bool(field(row, "kept_up", where)))
        for row, where in rows(report, "sweep")
    ]
    points.sort(key=lambda point: point[0]["offered_per_s"])
    loads = [point["offered_per_s"] for point, _ in points]
    figure = canvas(report, height_in=5.0)
    axes = figure.add_subplot()
    for name, label, colour, targets in LATENCIES:
        axes.plot(loads, [point[name] for point, _ in points], color=colour, label=label)
        for kept_up, marker, size in ((True, "o", 6), (False, "X", 10)):
            marked = [(point["offered_per_s"], point[name]) for point, kept in points if kept is kept_up]
            if marked:
                axes.plot(*zip(*marked, strict=True), color=colour, ls="none", marker=marker, ms=size)
        for load, target_ms in targets:
            (line,) = axes.plot([0, load], [target_ms, target_ms], color=colour, zorder=1.5, **TARGET)
            axes.plot([load], [target_ms], color=colour, marker="|", markersize=12, markeredgewidth=2)
            line.set_label(f"target: {label} ≤ {target_ms:g} ms up to {load:,}/s")
    axes.set_title("Latency against offered load, open loop", loc="left")
    axes.set(xlabel="offered load (bets/s)", ylabel="intended sending to confirmation (ms)")
    axes.set(xlim=(0, max(loads) * 1.06), yscale="log")
    plain_ticks(axes)
    lines, _ = axes.get_legend_handles_labels()
    lines.sort(
        key=lambda line: str(line.get_label()).startswith("target")
    )  # percentiles in a column of theirs
    lines.append(Line2D([], [], color=GREY, marker="X", ms=10, ls="none", label="did not keep up"))
    axes.legend(handles=lines, loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=3)
    return figure


def throughput_against_ledger_size(report: dict[str, Any]) -> Figure:
    """Bets a second (above) and seconds of start-up (below) over the length of the ledger."""
    names = ("entries", "version", "bets_per_s", "ratio", "startup_s")
    sizes = [
        ({name: number(row, name, where) for name in names}, where)
        for row, where in rows(field(report, "ledger"), "sizes", "ledger.")
    ]
    for size, where in sizes:
        if size["version"] not in VERSIONS:
            raise ReportUnusable(f"{where}version: expected 7 or 4, found {size['version']:g}")
    figure = canvas(report, height_in=5.6)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    for version, (label, colour, marker, offset) in VERSIONS.items():
        own = sorted(
            (size for size, _ in sizes if size["version"] == version), key=lambda size: size["entries"]
        )
        if not own:
            continue
        entries, rates = [size["entries"] for size in own], [size["bets_per_s"] for size in own]
        above.plot(entries, rates, color=colour, marker=marker, label=label)
        below.plot(entries, [size["startup_s"] for size in own], color=colour, marker=marker)
        for size in own:
            place = (size["entries"], size["bets_per_s"])
            beside(above, f"{size['ratio']:.2f}", place, (0, offset), color=colour, ha="center")
        if version == 7:
            target = THROUGHPUT_TARGET * rates[0]
            above.axhline(target, color=colour, label=f"target: {THROUGHPUT_TARGET:g} of the first", **TARGET)
    below.axhline(STARTUP_TARGET_S, color=GREY, **TARGET)
    shortest = min(size["entries"] for size, _ in sizes)
    beside(below, f"target: under {STARTUP_TARGET_S:g} s", (shortest, STARTUP_TARGET_S), (0, -14), color=GREY)
    above.set_title("Throughput and start-up against the length of the ledger", loc="left")
    above.set(ylabel="throughput (bets/s)", ylim=(0, max(size["bets_per_s"] for size, _ in sizes) * 1.15))
    slowest_s = max(STARTUP_TARGET_S, *(size["startup_s"] for size, _ in sizes))
    below.set(xscale="log", xlabel="entries in the ledger", ylabel="start-up (s)", ylim=(0, slowest_s * 1.2))
    for axes in (above, below):
        plain_ticks(axes)
    above.legend(loc="lower left", title="beside each point: its ratio to the first", alignment="left")
    return figure


def budget_of_a_bet(report: dict[str, Any]) -> Figure:
    """Microseconds of one bet, a bar for each line of the budget, in the order in which they are spent."""
    lines = [
        (str(field(row, "line", where)), number(row, "us", where, zero=True))
        for row, where in rows(report, "budget")
    ]
    figure = canvas(report, height_in=1.5 + 0.34 * len(lines))
    axes = figure.add_subplot()
    bars = axes.barh(range(len(lines)), [us for _, us in lines], color=BLUE, height=0.7)
    axes.bar_label(bars, [f"{us:.1f}" for _, us in lines], padding=4, fontsize=10)
    axes.set_yticks(range(len(lines)), [line for line, _ in lines])
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    axes.set_title(f"Where the time of a bet goes: {sum(us for _, us in lines):.1f} µs", loc="left")
    axes.set(xlabel="time for one bet (µs)", ylabel="step")
    axes.margins(x=0.08)
    return figure


def canvas(report: dict[str, Any], height_in: float) -> Figure:
    """An empty picture, with the commit in small print if the report has one."""
    figure = Figure(figsize=(WIDTH_IN, height_in), layout="constrained")
    commit = report.get("commit")
    if commit:
        changed = " with changes" if report.get("uncommitted") else ""
        figure.supxlabel(f"commit {str(commit)[:COMMIT_CHARS]}{changed}", x=0.995, ha="right",
                         fontsize=8, color="#777777")  # fmt: skip
    return figure


def beside(
    axes: Axes, text: str, place: tuple[float, float], offset: tuple[float, float], **look: Any
) -> None:
    """Write `text` so many points right of and above `place`, on white so that no line crosses it."""
    box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1}
    axes.annotate(text, place, offset, textcoords="offset points", fontsize=9, bbox=box, **look)


def plain_ticks(axes: Axes) -> None:
    """Numbers as people write them, 20,000 and 0.5, on axes of either scale."""
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
        axis.set_minor_formatter(NullFormatter())


CHARTS: Final = {
    "latency_against_load": latency_against_load,
    "throughput_against_ledger_size": throughput_against_ledger_size,
    "budget_of_a_bet": budget_of_a_bet,
}


def draw(report: dict[str, Any], folder: Path) -> list[Path]:
    """Write the charts of `report` into `folder`, and return their paths.

    Raises `ReportUnusable` before anything is written if a field is missing or is no number.
    """
    if not isinstance(report, dict):
        raise ReportUnusable("expected an object")
    wanted = {
        name: chart for name, chart in CHARTS.items() if name != "budget_of_a_bet" or "budget" in report
    }
    with style.context(["default", STYLE]):  # whatever this user's matplotlib is set to
        figures = {folder / f"{name}.png": chart(report) for name, chart in wanted.items()}
        folder.mkdir(parents=True, exist_ok=True)
        for path, figure in figures.items():
            figure.savefig(path, format="png", metadata={"Software": None}, pil_kwargs={"optimize": True})
    return list(figures)


def main(arguments: list[str] | None = None) -> int:
    """Draw and say where. 0: drawn; 2: the report cannot be read, or lacks a field."""
    parser = argparse.ArgumentParser(prog="python -m bench.charts", description=__doc__.splitlines()[0])
    parser.add_argument("--report", type=Path, required=True, help="JSON of a measurement")
    parser.add_argument("--folder", type=Path, required=True, help="where the pictures go")
    chosen = parser.parse_args(arguments)
    try:
        drawn = draw(json.loads(chosen.report.read_text(encoding="utf-8")), chosen.folder)
    except (OSError, ValueError) as error:
        print(f"bench.charts: {chosen.report}: {error}", file=sys.stderr)
        return 2
    for path in drawn:
        print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
