"""What counting and being scraped cost a bet: `python -m bench.unwatched`. Prints JSON.

    this checkout, scraped once a turn      ─┐
                                             ├─▶ pairs of short turns, as in `bench.compare`
    a copy of it in which nothing is counted ─┘

In the copy the lines that count are gone, with the reading of clocks that only they need: one count a bet,
and some a batch. What is left there of logs is what both have: nothing is logged of a bet unless somebody
asks for it (`--log-level DEBUG`).
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import sys
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from bench import compare
from bench.compare import PLAYERS, Side, Turn, in_process, over_the_wire, side
from bench.engine import positive
from bench.machine import ROOT, work_folder

COPIED: Final = (
    "engine",
    "batcher",
    "ws",
    "cli",
    "bench",
    "harness",
    "verifier",
    "web",
    "upgrades",
    "schema.sql",
)
COUNTS: Final = {
    "batcher/batcher.py": ("self.tally.told(",),
    "batcher/pipeline.py": (
        "self._tally.claims.add(",
        "self._tally.batches.add(",
        "self._tally.waits.add_all(",
    ),
    "engine/writer.py": ("self.transaction_times.add(", "self.commit_times.add("),
}
"""Where something is counted on the way of a bet: how lines begin, each of which stands there once."""

BATCH: Final = 1000


def unwatched(into: Path) -> Path:
    """A copy of this checkout without the lines of `COUNTS`. Raises `RuntimeError` where one is not as it is
    named there."""
    for name in COPIED:
        whole = ROOT / name
        if whole.is_file():
            shutil.copy(whole, into / name)
        else:
            shutil.copytree(whole, into / name, ignore=shutil.ignore_patterns("__pycache__", "out"))
    for name, beginnings in COUNTS.items():
        text = (into / name).read_text()
        for beginning in beginnings:
            text, found = re.subn(rf"^( *){re.escape(beginning)}.*\)$", r"\1pass", text, flags=re.MULTILINE)
            if found != 1:
                raise RuntimeError(f"{name}: {beginning} stands there {found} times")
        (into / name).write_text(text)
    return into


def measure(folder: Path, players: int, rounds: int, wire_rounds: int) -> Iterator[dict[str, Any]]:
    """Each case as soon as it is there: quartiles of watched to unwatched, as `bench.compare.summary` has
    them. Raises `RuntimeError` if the wrong side has counted."""
    copy = folder / "unwatched"
    copy.mkdir()
    with (
        side(unwatched(copy), folder, BATCH, players) as without,
        side(ROOT, folder, BATCH, players) as with_,
    ):
        sides = (without, with_)
        yield from in_process(sides, BATCH, rounds)

        def scraped(each: Side, connections: int, in_flight: int) -> Turn:
            if each is without:
                return each.over_the_wire(connections, in_flight)
            scrape = threading.Timer(compare.WIRE_TURN_S / 2, _scrape, (each.http,))
            scrape.start()
            try:
                return each.over_the_wire(connections, in_flight)
            finally:
                scrape.join()

        yield from over_the_wire(sides, wire_rounds, scraped)
        if wire_rounds and (_batches_counted(without) or not _batches_counted(with_)):
            raise RuntimeError("the copy has counted, or this checkout has not")


def _scrape(http: str) -> str:
    with urllib.request.urlopen(f"{http}/metrics", timeout=30) as answer:
        text: str = answer.read().decode()
    return text


def _batches_counted(served: Side) -> int:
    told = re.search(r"^solidgreen_batch_commands_count (\d+)", _scrape(served.http), flags=re.MULTILINE)
    if told is None:
        raise RuntimeError("batches are not among the metrics any more")
    return int(told.group(1))


def main(arguments: list[str] | None = None) -> int:
    """Compare, and print a JSON object for each case."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.unwatched", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument(
        "--players", type=positive(int), default=PLAYERS, help="of each file (default %(default)s)"
    )
    parser.add_argument(
        "--rounds", type=positive(int), default=60, help="pairs in process (default %(default)s)"
    )
    parser.add_argument(
        "--wire-rounds", type=int, default=20, help="over the wire; 0: none (default %(default)s)"
    )
    chosen = parser.parse_args(arguments)
    with work_folder() as folder:
        for told in measure(folder, chosen.players, chosen.rounds, chosen.wire_rounds):
            print(json.dumps(told), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
