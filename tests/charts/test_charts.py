"""The charts show what the report says, name what it lacks, and do not change when it does not."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from matplotlib import style
from matplotlib.colors import to_hex
from matplotlib.image import imread

from bench import charts

# In a folder of its own, which `make test` leaves out: it needs matplotlib, and only measuring needs that.
pytestmark = pytest.mark.long

REPORT: dict[str, Any] = {
    "commit": "0123456789abcdef",
    "sweep": [
        {"offered_per_s": 40_000, "p50_ms": 400, "p99_ms": 900, "p999_ms": 990, "kept_up": False},
        {"offered_per_s": 3_000, "p50_ms": 1.1, "p99_ms": 3.4, "p999_ms": 8.0, "kept_up": True},
        {"offered_per_s": 20_000, "p50_ms": 4.3, "p99_ms": 18.4, "p999_ms": 40.0, "kept_up": True},
    ],
    "ledger": {
        "sizes": [
            {"entries": 10**6, "version": 7, "bets_per_s": 29_000, "ratio": 0.97, "startup_s": 0.5},
            {"entries": 10**5, "version": 7, "bets_per_s": 30_000, "ratio": 1.0, "startup_s": 0.4},
            {"entries": 10**5, "version": 4, "bets_per_s": 20_000, "ratio": 1.0, "startup_s": 0.6},
        ]
    },
    "budget": [{"line": "decode", "us": 1.2}, {"line": "fsync", "us": 0}],
}
NAMES = ["latency_against_load.png", "throughput_against_ledger_size.png", "budget_of_a_bet.png"]
Change = Callable[[dict[str, Any]], object]


def report(change: Change = lambda _: None) -> dict[str, Any]:
    changed = copy.deepcopy(REPORT)
    change(changed)
    return changed


def points_of(line: Any) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in line.get_xydata()]


def test_every_chart_is_drawn_small_and_as_wide_as_a_page(tmp_path: Path) -> None:
    drawn = charts.draw(report(), tmp_path / "new")
    assert drawn == [tmp_path / "new" / name for name in NAMES]
    for path in drawn:
        pixels = imread(path)
        assert pixels.shape[1] == 800
        assert pixels[:, :, :3].std() > 0.05, "a blank page"
        assert path.stat().st_size < 80_000


def test_the_same_report_gives_the_same_bytes_whatever_matplotlib_is_set_to(tmp_path: Path) -> None:
    first = [path.read_bytes() for path in charts.draw(report(), tmp_path / "first")]
    with style.context({"axes.facecolor": "black", "savefig.dpi": 30, "font.size": 30}):
        again = [path.read_bytes() for path in charts.draw(report(), tmp_path / "again")]
    assert first == again


def test_a_report_without_a_budget_has_two_charts(tmp_path: Path) -> None:
    drawn = charts.draw(report(lambda it: it.pop("budget")), tmp_path)
    assert [path.name for path in drawn] == NAMES[:2]


def test_latency_is_drawn_in_order_of_load_and_overload_is_marked() -> None:
    (axes,) = charts.latency_against_load(report()).axes
    lines = {line.get_label(): points_of(line) for line in axes.lines}
    assert lines["p99"] == [(3_000, 3.4), (20_000, 18.4), (40_000, 900)]
    assert lines["target: p99 ≤ 30 ms up to 20,000/s"] == [(0, 30), (20_000, 30)]
    assert lines["target: p99.9 ≤ 20 ms up to 3,000/s"] == [(0, 20), (3_000, 20)]
    crossed = {to_hex(line.get_color()): points_of(line) for line in axes.lines if line.get_marker() == "X"}
    assert crossed == {
        charts.BLUE: [(40_000, 400)],
        charts.GREEN: [(40_000, 900)],
        charts.RED: [(40_000, 990)],
    }
    assert axes.get_yscale() == "log"
    assert (axes.get_xlabel(), axes.get_ylabel()) == (
        "offered load (bets/s)",
        "intended sending to confirmation (ms)",
    )


def test_throughput_is_drawn_for_each_version_with_its_target() -> None:
    above, below = charts.throughput_against_ledger_size(report()).axes
    lines = {line.get_label(): points_of(line) for line in above.lines}
    assert lines["bet_id of version 7, ordered by time"] == [(1e5, 30_000), (1e6, 29_000)]
    assert lines["bet_id of version 4, random"] == [(1e5, 20_000)]
    assert [y for _, y in lines["target: 0.9 of the first"]] == [27_000, 27_000]
    assert [text.get_text() for text in above.texts] == ["1.00", "0.97", "1.00"]
    assert [points_of(line) for line in below.lines[:2]] == [[(1e5, 0.4), (1e6, 0.5)], [(1e5, 0.6)]]
    assert [y for _, y in points_of(below.lines[2])] == [2, 2]
    assert below.get_xscale() == "log"
    assert above.get_ylim()[0] == below.get_ylim()[0] == 0
    assert [axes.get_ylabel() for axes in (above, below)] == ["throughput (bets/s)", "start-up (s)"]
    assert below.get_xlabel() == "entries in the ledger"


def test_the_budget_has_a_bar_for_each_line_in_the_order_of_the_report() -> None:
    (axes,) = charts.budget_of_a_bet(report()).axes
    bars: list[Any] = [*axes.patches]  # matplotlib's types know no rectangles here
    assert [bar.get_width() for bar in bars] == [1.2, 0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["decode", "fsync"]
    assert axes.yaxis_inverted()
    assert axes.get_title(loc="left") == "Where the time of a bet goes: 1.2 µs"
    assert axes.get_xlabel() == "time for one bet (µs)"


@pytest.mark.parametrize(
    ("change", "caption"),
    [
        (lambda _: None, "commit 0123456789ab"),
        (lambda it: it.update(uncommitted=True), "commit 0123456789ab with changes"),
        (lambda it: it.update(commit=None), ""),
        (lambda it: it.pop("commit"), ""),
    ],
)
def test_the_caption_names_the_commit_if_there_is_one(change: Change, caption: str) -> None:
    assert charts.budget_of_a_bet(report(change)).get_supxlabel() == caption


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda it: it.pop("sweep"), "the report has no sweep"),
        (lambda it: it.update(sweep=[]), "sweep: expected a list with at least one row"),
        (lambda it: it["sweep"][1].pop("p999_ms"), "the report has no sweep[1].p999_ms"),
        (lambda it: it["sweep"][1].pop("kept_up"), "the report has no sweep[1].kept_up"),
        (
            lambda it: it["sweep"][0].update(p50_ms=None),
            "sweep[0].p50_ms: expected a number above 0, found None",
        ),
        (
            lambda it: it["sweep"][0].update(p50_ms=0),  # no place on a logarithmic axis
            "sweep[0].p50_ms: expected a number above 0, found 0",
        ),
        (
            lambda it: it["sweep"][0].update(p99_ms=float("nan")),
            "sweep[0].p99_ms: expected a number above 0, found nan",
        ),
        (lambda it: it.pop("ledger"), "the report has no ledger"),
        (lambda it: it["ledger"].pop("sizes"), "the report has no ledger.sizes"),
        (lambda it: it["ledger"]["sizes"][2].pop("ratio"), "the report has no ledger.sizes[2].ratio"),
        (
            lambda it: it["ledger"]["sizes"][0].update(version=1),
            "ledger.sizes[0].version: expected 7 or 4, found 1",
        ),
        (lambda it: it["budget"][1].pop("us"), "the report has no budget[1].us"),
        (
            lambda it: it["budget"][1].update(us="2"),
            "budget[1].us: expected a number from 0, found '2'",
        ),
    ],
)
def test_a_field_that_is_missing_or_no_number_is_named_and_nothing_is_drawn(
    change: Change, complaint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "report.json"
    path.write_text(json.dumps(report(change)))
    assert charts.main(["--report", str(path), "--folder", str(tmp_path / "charts")]) == 2
    assert capsys.readouterr().err == f"bench.charts: {path}: {complaint}\n"
    assert not (tmp_path / "charts").exists()


@pytest.mark.parametrize("text", [None, "", "{", "7", "[]"])
def test_a_report_that_cannot_be_read_is_refused(
    text: str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "report.json"
    if text is not None:
        path.write_text(text)
    assert charts.main(["--report", str(path), "--folder", str(tmp_path)]) == 2
    assert str(path) in capsys.readouterr().err


def test_the_command_says_what_it_has_drawn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "report.json"
    path.write_text(json.dumps(REPORT))
    assert charts.main(["--report", str(path), "--folder", str(tmp_path)]) == 0
    assert capsys.readouterr().out.splitlines() == [str(tmp_path / name) for name in NAMES]
