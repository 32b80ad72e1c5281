"""One command, one table: every case beside what it is to be compared with, all in the same run.

Absolute figures drift on shared machines, so a case and its ceiling take turns, round after round, and what
counts is their ratio. Every wallet run starts from a copy of one seeded file, and counts only if each bet was
confirmed, if the ledger holds exactly the confirmed bets, and if `solidgreen reconcile` agrees.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from bench import checks, machine, table
from bench.cases import QUICK, WHOLE, Case, all_cases, players_needed
from bench.commands import Budget, Ledger
from bench.latency import OpenLoop
from bench.processes import NO_REDIS, redis_executable, redis_version
from bench.stand import Figures, Stand
from harness.process import seed

CHARTS = machine.ROOT / "docs" / "performance"
BALANCE_MINOR = 10_000_000_000  # at 250 a bet, 40 million bets: no run is that long
DOES_NOT_COUNT = 1
WRONG_CALL = 2


class Log:
    """What happened in the rounds: figures by case, what was wrong, and what to doubt."""

    def __init__(self, cases: Sequence[Case]) -> None:
        self.results: dict[str, list[Figures]] = {case.name: [] for case in cases}
        self.wrong: list[str] = []
        self.doubts: list[str] = []

    def round(self, case: Case, stand: Stand, label: str) -> None:
        """Measure one round of `case`. One that fails is written down, and the others go on."""
        started = time.monotonic()
        try:
            figures = case.measure(stand)
        except (RuntimeError, subprocess.SubprocessError) as error:
            notes = "\n".join([str(error), *getattr(error, "__notes__", [])])
            self.wrong.append(f"{label}: {notes}")
            print(f"{label}: FAILED: {notes}", file=sys.stderr)
            return
        self.results[case.name].append(figures)
        self.wrong += [f"{label}: {fault}" for fault in case.faults(figures)]
        self.doubts += [f"{label}: {doubt}" for doubt in checks.doubts(figures)]
        rows = "; ".join(
            f"{row.case}: {row.measured} {row.figure}" for row in case.rows([figures], self.results)
        )
        print(f"{label} ({time.monotonic() - started:.0f} s): {rows}", file=sys.stderr)


def measure(cases: Sequence[Case], stand: Stand, rounds: int) -> Log:
    """All rounds of all cases."""
    log = Log(cases)
    for number in range(1, rounds + 1):
        for case in cases:
            if case.rounds_max is None or number <= case.rounds_max:
                log.round(case, stand, f"round {number} of {rounds}, {case.name}")
    return log


def rows_of(cases: Sequence[Case], log: Log, rounds: int) -> list[table.Row]:
    """The table's lines. A case without any figures has one that says so, and one of fewer rounds says it."""
    rows: list[table.Row] = []
    for case in cases:
        measured = log.results[case.name]
        if not measured:
            rows.append(table.Row(case=case.name, figure="FAILED", met=False))
            continue
        fewer = f"{len(measured)} of {rounds} rounds" if len(measured) < rounds else ""
        for row in case.rows(measured, log.results):
            rows.append(replace(row, detail="; ".join(filter(None, (row.detail, fewer)))))
    return rows


def figures_of(cases: Sequence[Case], log: Log, rounds: int) -> dict[str, Any]:
    """Everything measured, and the points of the charts."""
    budgets = [
        measured[0]["budget"]["budget"]
        for case in cases
        if isinstance(case, Budget) and (measured := log.results[case.name])
    ]
    return {
        "cases": {case.name: {"rounds": log.results[case.name]} for case in cases},
        "table": [asdict(row) for row in rows_of(cases, log, rounds)],
        "sweep": [
            point
            for case in cases
            if isinstance(case, OpenLoop) and (measured := log.results[case.name])
            # A rate of which no bet was confirmed has no latency to draw; it has its line in the table.
            if (point := case.point(measured))["p99_ms"] is not None
        ],
        "ledger": {
            "sizes": [
                point
                for case in cases
                if isinstance(case, Ledger)
                for point in case.medians(log.results[case.name])
            ]
        },
        **({"budget": budgets[0]} if budgets else {}),
        "wrong": log.wrong,
        "doubts": log.doubts,
    }


def options(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line. `cases` and `plan` of the result are what it comes to."""
    names = [case.name for case in all_cases(WHOLE)]
    parser = argparse.ArgumentParser(
        prog="python -m bench.run", description=__doc__.splitlines()[0], epilog=f"Cases: {', '.join(names)}"
    )
    add = parser.add_argument
    add("--quick", action="store_true", help="one round of a few seconds: to see that everything works")
    add(
        "--only", nargs="+", metavar="NAME", help="these cases; a pattern such as 'open-loop-*' names several"
    )
    add("--seconds", type=float, help=f"measured in each run (default {WHOLE.seconds:g})")
    add("--warm-up", type=float, help=f"seconds before that, not measured (default {WHOLE.warm_up_s:g})")
    add("--rounds", type=int, help=f"how often each case is measured (default {WHOLE.rounds})")
    add("--players", type=int, help=f"seeded wallets (default {WHOLE.players})")
    add("--nonces", choices=("redis", "memory"), default="redis", help="where the wallet keeps them")
    add("--redis-url", help="a Redis that runs already (default: one of our own for each run)")
    add("--out", type=Path, default=machine.OUT, help="folder of the JSON (default bench/out)")
    add("--charts", type=Path, help="draw the charts into this folder (default after a run of everything: "
                                    "docs/performance)")  # fmt: skip
    chosen = parser.parse_args(arguments)
    plan = QUICK if chosen.quick else WHOLE
    for name in ("seconds", "warm_up", "rounds", "players"):
        if getattr(chosen, name) is None:
            setattr(chosen, name, getattr(plan, f"{name}_s" if name == "warm_up" else name))
    if chosen.rounds < 1:
        parser.error("--rounds: expected 1 or more")
    if chosen.seconds <= 0 or chosen.warm_up < 0:
        parser.error("--seconds, --warm-up: expected a time")
    if chosen.only is None and not chosen.quick and chosen.charts is None:
        chosen.charts = CHARTS
    chosen.cases = chosen_cases(parser, all_cases(plan), chosen.only)
    needed = players_needed(chosen.cases)
    if chosen.players < needed:
        parser.error(f"--players: one socket is one wallet, so {needed} connections need as many players")
    chosen.out = chosen.out.resolve()
    return chosen


def chosen_cases(parser: argparse.ArgumentParser, cases: list[Case], only: list[str] | None) -> list[Case]:
    """Those of `cases` that `only` names; a name without a case is a wrong call."""
    for pattern in only or []:
        if not any(fnmatchcase(case.name, pattern) for case in cases):
            parser.error(f"--only: no case {pattern!r} among {', '.join(case.name for case in cases)}")
    return [case for case in cases if only is None or any(fnmatchcase(case.name, each) for each in only)]


def draw(report: Path, folder: Path) -> None:
    """Charts of `report` into `folder`. Raises `RuntimeError` if that fails."""
    command = [sys.executable, "-m", "bench.charts", "--report", str(report), "--folder", str(folder)]
    done = subprocess.run(command, cwd=machine.ROOT, stdout=sys.stderr)
    if done.returncode != 0:
        raise RuntimeError(f"bench.charts: ended with status {done.returncode} (its words are above)")


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print the table, write the JSON, draw the charts.

    0: every round counts, whether targets were met or not. 1: some do not, and it says why. 2: wrong call.
    """
    chosen = options(arguments)
    if chosen.nonces == "redis" and not chosen.redis_url and redis_executable() is None:
        print(f"bench.run: {NO_REDIS}", file=sys.stderr)
        return WRONG_CALL
    machine.raise_file_limit()
    with machine.work_folder(chosen.out) as folder:
        taken_at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        facts = machine.describe(folder)
        if chosen.nonces == "redis" and not chosen.redis_url:
            facts["versions"]["redis-server"] = redis_version()
        seeded = folder / "seeded.db"
        tokens = [each["token"] for each in seed(seeded, chosen.players, BALANCE_MINOR)]
        stand = Stand(seeded, tokens, chosen.warm_up, chosen.seconds, chosen.nonces, chosen.redis_url)
        log = measure(chosen.cases, stand, chosen.rounds)
    report = {
        "taken_at": taken_at,
        **facts,
        "players": chosen.players,
        "warm_up_s": chosen.warm_up,
        "seconds": chosen.seconds,
        "rounds": chosen.rounds,
        "nonces": chosen.nonces,
        **figures_of(chosen.cases, log, chosen.rounds),
    }
    path = chosen.out / f"{taken_at.replace(':', '')}.json"
    path.write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n")
    if chosen.charts is not None:
        try:
            draw(path, chosen.charts)
        except RuntimeError as error:
            log.wrong.append(str(error))
    print(table.render(rows_of(chosen.cases, log, chosen.rounds), chosen.rounds, log.doubts))
    print(f"{chosen.players:,} players seeded, nonces in {chosen.nonces}; all figures in {path}")
    for each in log.wrong:
        print(f"DOES NOT COUNT: {each}")
    return DOES_NOT_COUNT if log.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
