"""What counting costs: that the other side does not count, and that both can be measured."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench import compare, unwatched

ROOT = Path(__file__).parent.parent


def test_only_counting_is_gone_from_the_copy(tmp_path: Path) -> None:
    copy = unwatched.unwatched(tmp_path)
    changed = {
        str(path.relative_to(copy)): len(
            set((ROOT / path.relative_to(copy)).read_text().splitlines()) - set(path.read_text().splitlines())
        )
        for path in copy.rglob("*.py")
        if path.read_bytes() != (ROOT / path.relative_to(copy)).read_bytes()
    }
    assert changed == {name: len(lines) for name, lines in unwatched.COUNTS.items()}


def test_a_line_that_is_no_longer_there_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unwatched, "COUNTS", {"engine/writer.py": ("self.nothing.add(",)})
    with pytest.raises(RuntimeError, match="stands there 0 times"):
        unwatched.unwatched(tmp_path)


@pytest.mark.long
def test_both_are_measured_and_one_is_scraped(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compare, "WIRE_TURN_S", 0.3)  # nobody reads the figures of this one
    monkeypatch.setattr(compare, "WIRE_WARM_UP_S", 0.1)
    monkeypatch.setattr(compare, "SHAPES", {"4x2": (4, 2)})
    scraped, scrape = list[str](), unwatched._scrape

    def noted(http: str) -> str:
        scraped.append(http)
        return scrape(http)

    monkeypatch.setattr(unwatched, "_scrape", noted)
    assert unwatched.main(["--players", "400", "--rounds", "2", "--wire-rounds", "2"]) == 0
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(each["case"], each["pairs"]) for each in told] == [
        (case, 2) for case in ("engine-1000", "hot-1000", "whole-4x2")
    ]
    assert len(scraped) == 2 + 2
    assert len(set(scraped[:2])) == 1, "only the one that counts; in the end both, to see that it does"
