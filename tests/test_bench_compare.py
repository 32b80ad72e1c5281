"""Two checkouts side by side: which ratio is told, and that this checkout can be compared with itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import cast

import pytest

from bench import compare
from bench.compare import Side, Turn

ROOT = Path(__file__).parent.parent
SAME_WITHIN = 5
"""Times the processor's time of the same work."""


def test_new_is_told_relative_to_old() -> None:
    done = [(Turn(100, 20), Turn(per_s, 30)) for per_s in (80, 90, 100, 110, 300)]
    assert compare.summary("hot", done) == {
        "case": "hot",
        "pairs": 5,
        "per_s": [0.9, 1.0, 1.1],
        "cpu_us": [1.5, 1.5, 1.5],
    }


def test_the_sides_take_turns_in_beginning() -> None:
    began: list[str] = []

    def turn(side: Side) -> Turn:
        began.append(str(side))
        return Turn(1.0 if str(side) == "old" else 2.0, 1.0)

    done = compare.pairs(cast("list[Side]", ["old", "new"]), turn, 3)
    assert began == ["new", "old", "old", "new", "new", "old"]
    assert [(old.per_s, new.per_s) for old, new in done] == [(1.0, 2.0)] * 3


@pytest.mark.long
def test_a_checkout_is_compared_with_another(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compare, "WIRE_TURN_S", 0.3)  # nobody reads the figures of this one
    monkeypatch.setattr(compare, "WIRE_WARM_UP_S", 0.1)
    monkeypatch.setattr(compare, "SHAPES", {"4x2": (4, 2)})
    few = ["--players", "400", "--rounds", "2", "--wire-rounds", "2"]
    status = compare.main([str(ROOT), str(ROOT), "--folder", str(tmp_path), *few])
    out, _ = capsys.readouterr()
    assert status == 0
    told = [json.loads(line) for line in out.splitlines()]
    cases = ["engine-1000", "hot-1000", "whole-4x2"]
    assert [(each["case"], each["pairs"]) for each in told] == [(case, 2) for case in cases]
    for each in told:  # with itself: other tests beside it make a difference, but not such a one
        assert 1 / SAME_WITHIN < each["cpu_us"][1] < SAME_WITHIN, each
    assert list(tmp_path.iterdir()) == []
