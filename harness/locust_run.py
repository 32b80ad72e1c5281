"""`make locust`: the real server under the players of `locustfile.py`, and then its books.

    python -m harness.locust_run --users 100 --seconds 30 --floor 3000

Seeds a fresh file, serves it, runs Locust headless, stops the server with SIGTERM, reconciles. Exit status 0
means: every check of every player held, the rate reached the floor, the server stopped cleanly, the books
balance, the ledger holds at least every bet that a player saw confirmed, and as many as `/metrics` counted.
Otherwise 1, and stdout says why.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import re
import sqlite3
import subprocess
import sys
import tempfile
import urllib.request
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness import process

LOCUSTFILE = Path(__file__).parent.parent / "locustfile.py"
BALANCE_MINOR = 1_000_000_000  # at 10 minor units a bet, no player runs dry within a day
RAMP_S = 2  # the first second connects the players, the second fills their flights
SECONDS_MIN = RAMP_S + 3
CLOSING_S = 90  # beyond the run: importing Locust, and the players closing their books
LOG_LINES = 20
BETS_COUNTED = re.compile(r'^solidgreen_bets_total\{outcome="(\w+)"\} (\S+)$', re.MULTILINE)


@dataclass(frozen=True)
class Clients:
    """What the players saw, out of Locust's statistics."""

    confirmed: int  # distinct bets seen confirmed, the recovered ones among them
    recovered: int  # those that had to be sent again
    failures: Mapping[str, int]  # by line of Locust's table
    rate_per_s: float  # confirmed bets in a second, ramp-up and last second left out
    p50_ms: int  # of the confirmation of bets that were sent once
    p99_ms: int


@dataclass(frozen=True)
class Run:
    """One load run and everything that it is judged by."""

    clients: Clients
    locust_status: int
    server_status: int
    reconcile_status: int
    reconcile: Mapping[str, Any]
    ledger_bets: int
    counted_bets: Mapping[str, int]  # by /metrics, by outcome, before the server was stopped

    @property
    def refused(self) -> int:
        """Refusals that `/metrics` has counted, whatever the code."""
        return sum(self.counted_bets.values()) - sum(
            self.counted_bets.get(outcome, 0) for outcome in ("confirmed", "replayed")
        )

    def problems(self, floor_per_s: float) -> list[str]:
        """Why this run failed, each reason in words; empty if it did not."""
        clients = self.clients
        counted = self.counted_bets.get("confirmed")
        found = {
            f"failures of locust: {dict(clients.failures)}": bool(clients.failures),
            f"locust exited with {self.locust_status}": self.locust_status != 0,
            "no bet was confirmed": clients.confirmed == 0,
            f"{clients.rate_per_s:,.0f} confirmed bets/s are below the floor of {floor_per_s:,.0f}": (
                clients.rate_per_s < floor_per_s
            ),
            f"the server exited with {self.server_status}": self.server_status != 0,
            f"reconcile found: {self.reconcile.get('findings')}": (
                self.reconcile_status != 0 or self.reconcile.get("ok") is not True
            ),
            f"players saw {clients.confirmed} bets confirmed, the ledger has {self.ledger_bets}": (
                clients.confirmed > self.ledger_bets
            ),
            f"/metrics counted {counted} bets, the ledger {self.ledger_bets}": counted != self.ledger_bets,
        }
        return [problem for problem, holds in found.items() if holds]


def percentile_ms(histogram: Mapping[int, int], share: float) -> int:
    """The response time that `share` (0 to 1) of the requests did not exceed; 0 for none."""
    rank, seen = share * sum(histogram.values()), 0
    for time_ms in sorted(histogram):
        seen += histogram[time_ms]
        if seen >= rank:
            return time_ms
    return 0


def steady_rate(per_second: Mapping[int, int]) -> float:
    """Mean per second over the seconds between ramp-up and the last one, which is not a whole one.

    A second without an entry counts as 0: a stall lowers the rate.
    """
    if not per_second:
        return 0.0
    steady = range(min(per_second) + RAMP_S, max(per_second))
    return sum(per_second.get(second, 0) for second in steady) / max(1, len(steady))


def read_stats(stats: Iterable[Mapping[str, Any]]) -> Clients:
    """Sum up what `locust --json-file` wrote."""
    lines = {(line["method"], line["name"]): line for line in stats}
    counted = [lines[key] for key in (("bet", "confirmed"), ("bet", "recovered")) if key in lines]
    per_second: Counter[int] = Counter()
    for line in counted:
        per_second.update({int(second): count for second, count in line["num_reqs_per_sec"].items()})
        per_second.subtract({int(second): count for second, count in line["num_fail_per_sec"].items()})
    times = lines.get(("bet", "confirmed"), {}).get("response_times", {})
    histogram = {int(float(time_ms)): count for time_ms, count in times.items()}
    return Clients(
        confirmed=sum(line["num_requests"] for line in counted),
        recovered=lines.get(("bet", "recovered"), {}).get("num_requests", 0),
        failures={" ".join(key): line["num_failures"] for key, line in lines.items() if line["num_failures"]},
        rate_per_s=steady_rate(per_second),
        p50_ms=percentile_ms(histogram, 0.50),
        p99_ms=percentile_ms(histogram, 0.99),
    )


def run_locust(server: process.Server, folder: Path, options: argparse.Namespace) -> int:
    """Run the players to their end. Leaves `stats.json` and `locust.log` in `folder`."""
    command = [
        sys.executable, "-m", "locust", "--locustfile", str(LOCUSTFILE), "--headless",
        "--host", server.ws.removesuffix("/ws"), "--in-flight", str(options.in_flight),
        "--users", str(options.users), "--spawn-rate", str(options.users),
        "--run-time", f"{options.seconds}s", "--json-file", str(folder / "stats"), "--only-summary",
    ]  # fmt: skip
    with (folder / "locust.log").open("wb") as log:
        done = subprocess.run(
            command,
            env=process.environment(players=str(folder / "players.json")),
            stdout=log,
            stderr=log,
            stdin=subprocess.DEVNULL,
            timeout=options.seconds + CLOSING_S,
            check=False,
        )
    return done.returncode


def count_ledger_bets(db: Path) -> int:
    """Debits for bets in the ledger, counted with nothing but `sqlite3`."""
    with contextlib.closing(sqlite3.connect(f"file:{db}?mode=ro", uri=True)) as reader:
        query = "SELECT COUNT(*) FROM transaction_ledger WHERE ref_type = 'BET' AND amount < 0"
        return int(reader.execute(query).fetchone()[0])


def scrape_bets(server: process.Server) -> dict[str, int]:
    """How many bets `/metrics` has counted, by outcome. A retry is `replayed`, and no bet of its own."""
    with urllib.request.urlopen(f"{server.http}/metrics", timeout=10) as answer:
        told = answer.read().decode()
    return {outcome: round(float(count)) for outcome, count in BETS_COUNTED.findall(told)}


def load(folder: Path, options: argparse.Namespace) -> Run:
    """Seed, serve, play, stop, reconcile. Raises `RuntimeError`, with the log, if a part does not start."""
    db = folder / "wallet.db"
    players = process.seed(db, options.users, BALANCE_MINOR)
    (folder / "players.json").write_text(json.dumps({"players": players}))
    with process.Server(db, redis_url=options.redis_url, log=folder / "server.log") as server:
        locust_status = run_locust(server, folder, options)
        counted_bets = scrape_bets(server)
        server_status = server.stop()
    stats = folder / "stats.json"
    if not stats.exists():
        raise RuntimeError(f"locust wrote no statistics:\n{last_lines(folder / 'locust.log')}")
    reconciled = process.solidgreen("reconcile", "--db", str(db), "--json", check=False)
    try:
        verdict = json.loads(reconciled.stdout)
    except ValueError:
        verdict = {"ok": False, "findings": reconciled.stdout + reconciled.stderr}
    return Run(
        clients=read_stats(json.loads(stats.read_text())),
        locust_status=locust_status,
        server_status=server_status,
        reconcile_status=reconciled.returncode,
        reconcile=verdict,
        ledger_bets=count_ledger_bets(db),
        counted_bets=counted_bets,
    )


def describe(run: Run, options: argparse.Namespace) -> str:
    """The run's figures, for people."""
    clients = run.clients
    books = "ok" if run.reconcile.get("ok") is True else "NOT OK"
    return "\n".join(
        (
            f"{options.users} players x {options.in_flight} in flight, {options.seconds} s,"
            f" nonces in {'Redis' if options.redis_url else 'memory'}",
            f"confirmed      {clients.rate_per_s:,.0f} bets/s, steady (floor {options.floor:,.0f})",
            f"confirmation   p50 {clients.p50_ms} ms, p99 {clients.p99_ms} ms",
            f"bets           {clients.confirmed:,} confirmed, {clients.recovered:,} of them after a reconnect"
            f" or retry; {run.ledger_bets:,} in the ledger",
            f"metrics        {run.counted_bets.get('confirmed', 0):,} bets confirmed,"
            f" {run.counted_bets.get('replayed', 0):,} replayed, {run.refused:,} refused",
            f"failures       {sum(clients.failures.values()):,}",
            f"reconcile      {books}, {run.reconcile.get('entries')} entries",
        )
    )


def last_lines(path: Path) -> str:
    """The end of a log, for whoever has to find out."""
    if not path.exists():
        return f"(no {path.name})"
    return "\n".join(path.read_text(errors="replace").splitlines()[-LOG_LINES:])


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m harness.locust_run", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--users", type=int, default=100, help="players, each with a wallet and a socket")
    parser.add_argument("--seconds", type=int, default=30, help=f"length of the run, from {SECONDS_MIN}")
    parser.add_argument(
        "--floor", type=float, default=3000, help="confirmed bets a second that it must reach"
    )
    parser.add_argument("--in-flight", type=int, default=10, help="bets of one player that wait at a time")
    parser.add_argument("--redis-url", help="keep the nonces there, instead of in the server's memory")
    options = parser.parse_args(arguments)
    if options.users < 1 or options.seconds < SECONDS_MIN:
        parser.error(f"expected at least 1 user and {SECONDS_MIN} seconds")
    return options


def main(arguments: list[str] | None = None) -> int:
    options = parse(arguments)
    with tempfile.TemporaryDirectory(prefix="solidgreen-locust-") as name:
        folder = Path(name)
        try:
            run = load(folder, options)
        except (RuntimeError, subprocess.TimeoutExpired) as error:
            problems = [str(error)]
        else:
            print(describe(run, options))
            problems = run.problems(options.floor)
        for problem in problems:
            print(f"FAILED: {problem}")
        for log in ("locust.log", "server.log") if problems else ():
            print(f"--- the end of {log}\n{last_lines(folder / log)}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
