"""The engine in process beside its ceiling: the store against the same rows by bare `executemany`.

Engine, ceiling and one hot player take turns in slices of about a second, each on a file of its own that
began with the same content. What is timed of the engine is the public way, awaits and thread hops included:
one batch is prepared while the one before it is written, as in the server. Bets are made before, but neither
checked nor decided. The run counts only if the engine's files hold exactly the bets that were placed and
`reconcile` agrees.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sqlite3
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from random import Random
from typing import Any

import uvloop

from bench import bare, slices
from bench.bets import DoesNotCount, Traffic, copy, opened, placing, seed, tune_like_the_server
from bench.slices import Slice, Watch
from engine.files import open_read_only
from engine.reconcile import reconcile


def measure(folder: Path, batch: int, players: int, seconds: float) -> dict[str, Any]:
    """The figures of one run; its files are made in `folder` and stay there. Raises `DoesNotCount`."""
    files = {name: folder / f"{name}.db" for name in ("engine", "hot", "bare")}
    user_ids = seed(files["engine"], players)
    copy(files["engine"], files["hot"])
    random = Random()
    many, one = Traffic(user_ids, 7, random), Traffic([random.choice(user_ids)], 7, random)
    turns = uvloop.run(_take_turns(files, many, one, batch, seconds))
    for name, traffic in (("engine", many), ("hot", one)):
        audit(files[name], traffic.made)
    if (written := bets_in(files["bare"])) != many.made:
        raise DoesNotCount(f"the ceiling wrote {written:,} bets, and the engine {many.made:,}")
    return report(turns) | {"batch": batch, "players": players}


async def _take_turns(
    files: dict[str, Path], many: Traffic, one: Traffic, batch: int, seconds: float
) -> dict[str, list[Slice]]:
    async with opened(files["engine"]) as store, opened(files["hot"]) as hot_store:
        settings = await store.set_up(bare.settings_of)
        with contextlib.closing(bare.open_bare(files["bare"], settings, files["engine"])) as ceiling:

            async def replay(_: int) -> Slice:
                return replayed(ceiling, files["engine"], batch)

            # The ceiling comes behind the engine: it writes what the engine wrote in this round.
            parties = {"engine": placing(store, many, batch), "bare": replay}
            parties |= {"hot": placing(hot_store, one, batch)}
            return await slices.take_turns(parties, seconds)


def replayed(ceiling: sqlite3.Connection, engine: Path, batch: int) -> Slice:
    """Bring the bare file up to the engine's; only the writing is timed."""
    ready = bare.batches_since(ceiling, engine)
    watch = Watch()
    bare.insert(ceiling, ready)
    return watch.stop(batch * len(ready))


def report(turns: dict[str, list[Slice]]) -> dict[str, Any]:
    """Medians of the slices, and the slices themselves."""
    engine, hot, ceiling = turns["engine"], turns["hot"], turns["bare"]
    return {
        "bets_per_s": round(slices.per_s(engine)),
        "bare_per_s": round(slices.per_s(ceiling)),
        "hot_player_per_s": round(slices.per_s(hot)),
        "ratio": round(slices.ratio(engine, ceiling), 3),
        "hot_ratio": round(slices.ratio(hot, engine), 3),
        "slices": len(engine),
        "cores": {name: round(slices.cores(each), 2) for name, each in turns.items()},
        "turns": {name: [asdict(each) for each in own] for name, own in turns.items()},
    }


def audit(path: Path, placed: int) -> None:
    """Raise `DoesNotCount` unless the file holds exactly `placed` bets and reconciles."""
    if (held := bets_in(path)) != placed:
        raise DoesNotCount(f"{path.name} holds {held:,} bets, and {placed:,} were placed")
    if findings := reconcile(path).findings:
        raise DoesNotCount(f"{path.name} does not reconcile: {findings[0]}, {len(findings)} in all")


def bets_in(path: Path) -> int:
    """How many bets the file holds."""
    with contextlib.closing(open_read_only(path)) as connection:
        (bets,) = connection.execute("SELECT count(*) FROM bets").fetchone()
    return int(bets)


def main(arguments: list[str] | None = None) -> int:
    """Measure and print JSON. 0: the figures count; 1: they do not, and a sentence says why."""
    parser = argparse.ArgumentParser(prog="python -m bench.engine", description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=existing_folder, required=True, help="on a real disk")
    parser.add_argument("--batch", type=positive(int), default=1000, help="bets in a batch (default 1000)")
    parser.add_argument("--players", type=positive(int), default=10_000, help="funded (default 10000)")
    parser.add_argument("--seconds", type=positive(float), default=8.0, help="of the engine (default 8)")
    chosen = parser.parse_args(arguments)
    tune_like_the_server()
    with tempfile.TemporaryDirectory(dir=chosen.folder, prefix="engine-") as folder:
        try:
            figures = measure(Path(folder), chosen.batch, chosen.players, chosen.seconds)
        except DoesNotCount as error:
            print(f"bench.engine: {error}", file=sys.stderr)
            return 1
    print(json.dumps(figures))
    return 0


def existing_folder(text: str) -> Path:
    """Reads the name of a folder from the command line."""
    folder = Path(text).resolve()
    if not folder.is_dir():
        raise argparse.ArgumentTypeError(f"{text}: is not a folder")
    return folder


def positive(kind: type[int] | type[float]) -> Callable[[str], float]:
    """Reads a number above 0 from the command line."""

    def read(text: str) -> float:
        value = kind(text)
        if value <= 0:
            raise argparse.ArgumentTypeError(f"{text}: expected a number above 0")
        return value

    return read


if __name__ == "__main__":
    sys.exit(main())
