"""Does a long ledger slow the wallet down? Throughput and start-up at several sizes of one file.

The file is grown through the engine. At each size a copy of it and a fresh copy of the file as it was at the
first size take turns, so that what is compared was measured in the same minute; at the first size the two are
alike, and their ratio says how well this machine can be measured. Then the copy is served: started after a
clean stop, and after kill -9 with a full WAL.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from statistics import median
from typing import Any

import uvloop

from bench import slices
from bench.bets import (
    DoesNotCount,
    Traffic,
    copy,
    entries_in,
    opened,
    place,
    placing,
    seed,
    tune_like_the_server,
)
from bench.engine import existing_folder, positive
from bench.fill_wal import killed_with_full_wal
from bench.slices import Slice
from harness.process import Server

GROWING_BATCH = 5000
ENTRIES_PER_BET = 2
SAYS_HOW_FAR_EVERY_S = 5.0


@dataclass(frozen=True, slots=True)
class Plan:
    """What is measured at each size, and how long."""

    sizes: list[int]  # entries, ascending
    players: int
    batch: int
    seconds: float
    starts: int


def measure(folder: Path, version: int, plan: Plan) -> list[dict[str, Any]]:
    """The figures at each size under ids of `version`. Raises `DoesNotCount`; leaves nothing in `folder`."""
    found = []
    with tempfile.TemporaryDirectory(dir=folder, prefix="ledger-") as kept:
        grown, first = Path(kept) / "grown.db", Path(kept) / "first.db"
        traffic = Traffic(seed(grown, plan.players), version, Random())
        for size in plan.sizes:
            uvloop.run(grow(grown, traffic, size))
            if not first.exists():
                copy(grown, first)
            # What is measured grows meanwhile, so it is a copy; the last size is needed by nobody afterwards.
            with tempfile.TemporaryDirectory(dir=folder, prefix="ledger-") as measured:
                at_size, reference = Path(measured) / "at-size.db", Path(measured) / "reference.db"
                if size == plan.sizes[-1]:
                    grown.rename(at_size)
                else:
                    copy(grown, at_size)
                copy(first, reference)
                found.append({"entries": size, "version": version} | at(at_size, reference, traffic, plan))
            say(json.dumps({name: figure for name, figure in found[-1].items() if name != "turns"}))
    return found


def at(path: Path, reference: Path, traffic: Traffic, plan: Plan) -> dict[str, Any]:
    """The figures of `path` at the size that it has; it grows. Raises `DoesNotCount`."""
    sizes = {"reference_entries": entries_in(reference), "file_mib": round(path.stat().st_size / 2**20)}
    say(f"version {traffic.version}, {entries_in(path):,} entries, {sizes['file_mib']:,} MiB: measuring")
    turns = uvloop.run(_take_turns(path, reference, traffic, plan))
    starts = {
        "startup_s": after_stop_s(path, plan.starts),
        "startup_after_kill_s": after_kill_s(path, traffic.version, plan.starts),
    }
    return sizes | report(turns) | starts


async def grow(path: Path, traffic: Traffic, entries: int) -> None:
    """Place bets until the ledger has as many entries. Raises `DoesNotCount` if it has another number."""
    missing = (entries - entries_in(path)) // ENTRIES_PER_BET
    said_s = time.monotonic()
    async with opened(path) as store:
        while missing > 0:
            size = min(missing, GROWING_BATCH)
            await place(store, [traffic.batch(size)])
            missing -= size
            if time.monotonic() - said_s > SAYS_HOW_FAR_EVERY_S:
                said_s = time.monotonic()
                say(f"{path.name}: {entries - ENTRIES_PER_BET * missing:,} of {entries:,} entries")
    expect(path, entries)


async def _take_turns(at_size: Path, reference: Path, traffic: Traffic, plan: Plan) -> dict[str, list[Slice]]:
    began = {path: entries_in(path) for path in (at_size, reference)}
    made = traffic.made
    async with opened(at_size) as store, opened(reference) as small:
        parties = {
            "at_size": placing(store, traffic, plan.batch),
            "reference": placing(small, traffic, plan.batch),
        }
        turns = await slices.take_turns(parties, plan.seconds)
    for path in began:  # both placed as many
        expect(path, began[path] + (traffic.made - made) // len(began) * ENTRIES_PER_BET)
    return turns


def report(turns: dict[str, list[Slice]]) -> dict[str, Any]:
    """Medians of the slices, and the slices themselves."""
    at_size, reference = turns["at_size"], turns["reference"]
    return {
        "bets_per_s": round(slices.per_s(at_size)),
        "reference_per_s": round(slices.per_s(reference)),
        "ratio": round(slices.ratio(at_size, reference), 3),
        "slices": len(at_size),
        "turns": {name: [asdict(each) for each in own] for name, own in turns.items()},
    }


def after_stop_s(path: Path, starts: int) -> float:
    """Median seconds from process start to `/health/live`, where the last process stopped by itself."""
    return round(median(startup_s(path) for _ in range(starts)), 3)


def after_kill_s(path: Path, version: int, starts: int) -> float:
    """Likewise, where the last process was killed and its WAL was full. Raises `DoesNotCount`."""
    took_s = []
    for _ in range(starts):
        committed = killed_with_full_wal(path, version)
        took_s.append(startup_s(path))
        expect(path, committed)
    return round(median(took_s), 3)


def startup_s(path: Path) -> float:
    """Seconds until a server of `path` answers; it is stopped again. Raises `DoesNotCount`."""
    began_s = time.perf_counter()
    with Server(path, settings={}) as server:
        took_s = time.perf_counter() - began_s
        if status := server.stop():
            raise DoesNotCount(f"the server of {path.name} ended with status {status}")
    return took_s


def expect(path: Path, entries: int) -> None:
    """Raise `DoesNotCount` unless the ledger has exactly so many entries."""
    if (held := entries_in(path)) != entries:
        raise DoesNotCount(f"{path.name} holds {held:,} entries, expected {entries:,}")


def say(sentence: str) -> None:
    """How far it is, for whoever waits."""
    print(f"bench.ledger: {sentence}", file=sys.stderr, flush=True)


def options(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.ledger", description=__doc__.splitlines()[0])
    whole: Callable[[str], float] = positive(int)
    parser.add_argument("--folder", type=existing_folder, required=True, help="on a real disk")
    parser.add_argument("--sizes", type=whole, nargs="+", default=[10**5, 10**6, 10**7], metavar="ENTRIES",
                        help="ascending; beside the first (default 100000 1000000 10000000)")  # fmt: skip
    parser.add_argument("--version", type=int, choices=(4, 7), nargs="+", default=[7, 4],
                        help="of the bet ids: a file for each (default 7 4)")  # fmt: skip
    parser.add_argument("--seconds", type=positive(float), default=5.0, help="at each size (default 5)")
    parser.add_argument("--batch", type=whole, default=1000, help="bets in a batch (default 1000)")
    parser.add_argument("--players", type=whole, default=10_000, help="funded (default 10000)")
    parser.add_argument("--starts", type=whole, default=3, help="of the server, of each kind (default 3)")
    chosen = parser.parse_args(arguments)
    least = ENTRIES_PER_BET * chosen.players
    if sorted(set(chosen.sizes)) != chosen.sizes or any(size % ENTRIES_PER_BET for size in chosen.sizes):
        parser.error("--sizes: expected even numbers, each above the one before it")
    if chosen.sizes[0] < least:
        parser.error(f"--sizes: the opening deposits of {chosen.players:,} players are {least:,} entries")
    return chosen


def main(arguments: list[str] | None = None) -> int:
    """Measure and print JSON. 0: the figures count; 1: they do not, and a sentence says why."""
    chosen = options(arguments)
    plan = Plan(chosen.sizes, chosen.players, chosen.batch, chosen.seconds, chosen.starts)
    tune_like_the_server()
    try:
        found = [each for version in chosen.version for each in measure(chosen.folder, version, plan)]
    except DoesNotCount as error:
        print(f"bench.ledger: {error}", file=sys.stderr)
        return 1
    print(json.dumps({"batch": plan.batch, "players": plan.players, "sizes": found}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
