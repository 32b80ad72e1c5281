"""Two checkouts side by side: is the new one slower? The core cases, in pairs of short turns.

    git worktree add ../before SOME_COMMIT
    python -m bench.compare ../before .

Both run all the time, on this interpreter, and one of them works at a time: for a third of a second in
process, for two seconds over the wire. Neighbours in time meet the same weather of a shared machine, so a
ratio of two neighbours means something even where rates half an hour apart do not. Who begins alternates.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from statistics import quantiles
from typing import Any, NamedTuple

from bench.engine import existing_folder, positive
from bench.processes import ask

COMPARED = Path(__file__).with_name("compared.py")
PLAYERS = 10_000
TURN_S = 0.35
WARM_UP_BATCHES = 3
WIRE_TURN_S, WIRE_WARM_UP_S = 2.0, 0.5
WIRE_WITHIN_S = 120.0
SHAPES = {"100x20": (100, 20), "400x1": (400, 1)}
"""Cases over the wire: connections, and bets in flight on each."""

IN_PROCESS = ("engine", "hot")


class Turn(NamedTuple):
    """What one side did while the other one waited."""

    per_s: float
    cpu_us: float
    """Of the processor, for each bet: of the engine's process, or of the server's."""


class Side:
    """A checkout, running."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._wallet = self._hear()

    @property
    def http(self) -> str:
        """Where its server answers HTTP."""
        url: str = self._wallet["ws"]
        return url.replace("ws://", "http://").removesuffix("/ws")

    def in_process(self, party: str, batches: int) -> Turn:
        """`party` places so many batches."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"party": party, "batches": batches}) + "\n")
        self._process.stdin.flush()
        told = self._hear()
        return Turn(told["bets"] / told["wall_s"], told["cpu_s"] / told["bets"] * 1e6)

    def over_the_wire(self, connections: int, in_flight: int) -> Turn:
        """As much as this side's server can do for so many clients."""
        tokens = self._wallet["tokens"]
        job = {
            "url": self._wallet["ws"], "connections": connections, "in_flight": in_flight,
            "tokens": tokens[:: len(tokens) // connections], "watch": {"server": self._wallet["pid"]},
            "warm_up_s": WIRE_WARM_UP_S, "seconds": WIRE_TURN_S,
        }  # fmt: skip
        told = ask("bench.driver", [], WIRE_WITHIN_S, json.dumps(job))
        return Turn(told["per_s"], told["cores"]["server"] / told["per_s"] * 1e6)

    def _hear(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"a side ended with status {self._process.wait()} (its words are above)")
        told: dict[str, Any] = json.loads(line)
        return told


@contextlib.contextmanager
def side(checkout: Path, folder: Path, batch: int, players: int) -> Iterator[Side]:
    """`checkout`, running until the block ends."""
    with subprocess.Popen(
        [sys.executable, "-P", str(COMPARED), str(folder), str(batch), str(players)],
        cwd=checkout, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env=os.environ | {"PYTHONPATH": str(checkout)},
    ) as process:  # fmt: skip
        yield Side(process)


def pairs(sides: Sequence[Side], turn: Callable[[Side], Turn], rounds: int) -> list[tuple[Turn, Turn]]:
    """Old and new, `rounds` times, each beginning every other time."""
    done = []
    for number in range(rounds):
        order = (0, 1) if number % 2 else (1, 0)
        turns = {which: turn(sides[which]) for which in order}
        done.append((turns[0], turns[1]))
    return done


def summary(case: str, done: Sequence[tuple[Turn, Turn]]) -> dict[str, Any]:
    """Quartiles of new to old: above 1 is faster for `per_s`, and dearer for `cpu_us`."""
    return {
        "case": case,
        "pairs": len(done),
        "per_s": _quartiles([new.per_s / old.per_s for old, new in done]),
        "cpu_us": _quartiles([new.cpu_us / old.cpu_us for old, new in done]),
    }


def _quartiles(ratios: Sequence[float]) -> list[float]:
    return [round(each, 3) for each in quantiles(ratios, n=4, method="inclusive")]


def compare(
    old: Path, new: Path, folder: Path, batch: int, players: int, rounds: int, wire_rounds: int
) -> Iterator[dict[str, Any]]:
    """The summary of each case, as soon as it is there."""
    with side(old, folder, batch, players) as before, side(new, folder, batch, players) as after:
        sides = (before, after)
        yield from in_process(sides, batch, rounds)
        yield from over_the_wire(sides, wire_rounds)


def in_process(sides: Sequence[Side], batch: int, rounds: int) -> Iterator[dict[str, Any]]:
    """The cases of the engine alone, in batches of so many."""
    for party in IN_PROCESS:
        pace, _ = (each.in_process(party, WARM_UP_BATCHES).per_s for each in sides)
        batches = max(1, round(pace * TURN_S / batch))
        turn = partial(Side.in_process, party=party, batches=batches)
        yield summary(f"{party}-{batch}", pairs(sides, turn, rounds))


def over_the_wire(
    sides: Sequence[Side], rounds: int, turn: Callable[[Side, int, int], Turn] = Side.over_the_wire
) -> Iterator[dict[str, Any]]:
    """The cases of the whole path; none, if there are no rounds. `turn`: of a side, with so many connections
    and bets in flight on each."""
    for name, (connections, in_flight) in SHAPES.items() if rounds else ():

        def one(each: Side, connections: int = connections, in_flight: int = in_flight) -> Turn:
            return turn(each, connections, in_flight)

        yield summary(f"whole-{name}", pairs(sides, one, rounds))


def main(arguments: list[str] | None = None) -> int:
    """Compare, and print a JSON object for each case."""
    parser = argparse.ArgumentParser(prog="python -m bench.compare", description=__doc__.splitlines()[0])
    parser.add_argument("old", type=existing_folder, help="a checkout")
    parser.add_argument("new", type=existing_folder, help="another one")
    parser.add_argument(
        "--folder", type=existing_folder, default=Path.cwd(), help="for files, on a real disk"
    )
    parser.add_argument("--batch", type=positive(int), default=1000, help="bets in a batch (default 1000)")
    parser.add_argument(
        "--players", type=positive(int), default=PLAYERS, help=f"of each file (default {PLAYERS})"
    )
    parser.add_argument("--rounds", type=positive(int), default=100, help="pairs in process (default 100)")
    parser.add_argument("--wire-rounds", type=int, default=20, help="over the wire; 0: none (default 20)")
    chosen = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(dir=chosen.folder, prefix="compare-") as folder:
        for told in compare(
            chosen.old, chosen.new, Path(folder), chosen.batch, chosen.players, chosen.rounds,
            chosen.wire_rounds,
        ):  # fmt: skip
            print(json.dumps(told), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
