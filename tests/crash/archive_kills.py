"""One archive, killed hard at ten points of its way, with bets in flight; then everything is asked for again.

    python -m tests.crash.archive_kills --entries 60000

The points are states of the file, from the copy that has begun to the room that is being given back. Each
kill is followed by a restart, and the archive goes on by itself. In the end: every bet that was confirmed is
there, what was archived is answered as before (receipts, statements, `bet.get`), is refused a second time,
and cannot be settled; `verify` holds for both files together and for the file alone, and every balance is the
sum of its entries.

Exit status: 0 when there is nothing to report; 1 with a line for each finding.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import sqlite3
import sys
import tempfile
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.beside import operator
from bench.old_books import grow
from harness.process import Server, seed, solidgreen, token
from harness.wire import SocketClosed, Wire, bet, connect
from tests.crash.backup_drills import Load
from tests.crash.trial import ask_each, reconciled, report

PLAYERS = 4
IN_FLIGHT = 4
BALANCE = 1_000_000_000
OPERATOR = 1
REACHED_WITHIN_S = 120.0
LOOKS_EVERY_S = 0.005  # a point lasts longer; looks without a pause would take the server's core
POINTS = (
    "copying",
    "half copied",
    "copied and checked",
    "half of the keys noted",
    "all keys noted",
    "sealed",
    "half of the transactions moved",
    "the transactions moved",
    "half of the entries moved",
    "moved, with room to give back",
)


@dataclass(frozen=True)
class Sample:
    """How much of what is archived is asked for before and after."""

    bets: int = 200
    receipts: int = 20
    """By command line, of those bets."""
    statements: int = 8
    """By command line, of the first of the accounts."""


WHOLE = Sample()


@dataclass
class Kill:
    """Where the file stood when its server was killed, and how many bets had been confirmed since the last
    one."""

    point: str
    found: str
    confirmed: int

    def __str__(self) -> str:
        return f"killed at: {self.point} ({self.found}); {self.confirmed} bets confirmed since the last"


@dataclass
class Trial:
    """What came of it."""

    kills: list[Kill] = field(default_factory=list)
    findings: list[str] = field(default_factory=list)
    confirmed: int = 0
    bytes_before: int = 0
    bytes_after: int = 0
    sampled: int = 0


class Books:
    """The file, looked at from outside as any shell would."""

    def __init__(self, db: Path) -> None:
        self.db = db

    def state(self) -> dict[str, Any]:
        """Where the archive stands."""
        with contextlib.closing(sqlite3.connect(self.db, timeout=5.0)) as connection:
            connection.row_factory = sqlite3.Row
            row = connection.execute("SELECT * FROM archives").fetchone()
            keys = connection.execute("SELECT count(*) FROM archived_keys").fetchone()[0]
            carried = connection.execute("SELECT count(*) FROM carried").fetchone()[0]
            free = connection.execute("PRAGMA freelist_count").fetchone()[0]
        drafts = [*self.db.parent.glob(f"{self.db.name}.archive-*unfinished*/copy.db")]
        done = [path for path in self.db.parent.glob(f"{self.db.name}.archive-*") if path.is_file()]
        return {
            **(dict(row) if row is not None else {"state": "none"}),
            "keys": keys,
            "has_state": carried,
            "free": free,
            "draft_bytes": sum(path.stat().st_size for path in drafts if path.exists()),
            "drafts": len(drafts),
            "is_copied": bool(done),
        }

    def wait_for(self, point: str, keys: int, bytes_: int) -> str:
        """Return where it stands as soon as it is at least at `point`. `keys`: how many there will be;
        `bytes_`: of the archive, about. Raises `TimeoutError`.
        """
        deadline = time.monotonic() + REACHED_WITHIN_S
        while time.monotonic() < deadline:
            state = self.state()
            if _is_reached(point, state, keys, bytes_):
                return _in_words(state)
            time.sleep(LOOKS_EVERY_S)
        raise TimeoutError(f"{point}: not reached within {REACHED_WITHIN_S:g} s: {self.state()}")


def _is_reached(point: str, state: dict[str, Any], keys: int, bytes_: int) -> bool:
    is_sealed = state["state"] == "moving"
    transactions = state.get("moved_transaction_id", 0) / max(1, state.get("upto_transaction_id", 1))
    entries = state.get("moved_entry_id", 0) / max(1, state.get("upto_entry_id", 1))
    match POINTS.index(point):
        case 0:
            return bool(state["drafts"]) or state["is_copied"]
        case 1:
            return state["draft_bytes"] > bytes_ / 2 or state["is_copied"]
        case 2:
            return bool(state["is_copied"])
        case 3:
            return state["keys"] > keys / 2
        case 4:
            return bool(state["has_state"])
        case 5:
            return is_sealed
        case 6:
            return is_sealed and transactions > 0.5
        case 7:
            return is_sealed and transactions == 1
        case 8:
            return is_sealed and entries > 0.5
    return is_sealed and transactions == 1 and entries == 1


def _in_words(state: dict[str, Any]) -> str:
    shown = ("state", "drafts", "draft_bytes", "is_copied", "keys", "has_state", "moved_transaction_id")
    more = ("upto_transaction_id", "moved_entry_id", "upto_entry_id", "free")
    return ", ".join(f"{name} {state[name]}" for name in (*shown, *more) if name in state)


async def trial(folder: Path, entries: int, sample: Sample = WHOLE) -> Trial:
    """Run it in `folder`, which gets the files."""
    db = folder / "books.db"
    shown = Trial()
    players = seed(db, PLAYERS, BALANCE)
    half_us = await asyncio.to_thread(grow, db, [each["id"] for each in players], entries)
    secret = token(db, OPERATOR, "operator")
    sampled = archivable(db, half_us, sample.bets)
    before = asked_for(db, half_us, sampled, sample)
    shown.sampled = len(sampled)
    shown.bytes_before = db.stat().st_size
    keys = 2 * len(archivable(db, half_us, entries))  # a bet and its end; the few deposits do not matter
    books, load, confirmed = Books(db), Load(), {}
    server = Server(db)
    server.start()
    try:
        with operator(server, secret) as asks:
            asks.ask(type="archive.begin", key="half", before=half_us // 1000)
        for point in POINTS:
            async with playing(server, players, load):
                found = await asyncio.to_thread(books.wait_for, point, keys, shown.bytes_before // 4)
                server.kill()
            shown.kills.append(Kill(point, found, len(load.blocks)))
            print(shown.kills[-1], flush=True)
            confirmed |= load.blocks
            load.blocks = {}
            await asyncio.to_thread(server.start)
        await asyncio.to_thread(wait_until_moved, books)
        shown.confirmed = len(confirmed)
        for place, player in enumerate(players):
            async with connect(server.ws, player["token"]) as wire:
                own = [bet_id for bet_id, (seat, _) in confirmed.items() if seat == place]
                for answer in await ask_each(wire, [{"type": "bet.get", "bet_id": each} for each in own]):
                    if answer.get("state") != "confirmed":
                        shown.findings.append(f"a bet that was confirmed is gone: {answer}")
        shown.findings += await asyncio.to_thread(refusals, server, secret, sampled)
    finally:
        server.__exit__()
    after = asked_for(db, half_us, sampled, sample)
    shown.findings += [f"{name} differ" for name in before if before[name] != after[name]]
    shown.findings += audited(db)
    shown.bytes_after = db.stat().st_size
    return shown


@contextlib.asynccontextmanager
async def playing(server: Server, players: list[dict[str, Any]], load: Load) -> Any:
    """Bets in flight, until the server is gone."""
    load.on.set()
    async with AsyncExitStack() as stack:
        wires = [await stack.enter_async_context(connect(server.ws, each["token"])) for each in players]
        tasks = [
            asyncio.create_task(_until_gone(load, wire, place % PLAYERS))
            for place, wire in enumerate(wires * IN_FLIGHT)
        ]
        try:
            yield
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()


async def _until_gone(load: Load, wire: Wire, place: int) -> None:
    with contextlib.suppress(SocketClosed):
        await load.play(wire, place)


def wait_until_moved(books: Books) -> None:
    """Also until the room is given back."""
    deadline = time.monotonic() + REACHED_WITHIN_S
    while time.monotonic() < deadline:
        state = books.state()
        if _is_reached(POINTS[-1], state, 0, 0) and not state["free"]:
            return
        time.sleep(0.05)
    raise TimeoutError(f"not moved within {REACHED_WITHIN_S:g} s: {books.state()}")


def archivable(db: Path, before_us: int, most: int) -> dict[str, tuple[int, int]]:
    """Some bets that were over before that time: player and transaction of each."""
    sql = """
        SELECT key, user_id, transactions.id FROM transactions JOIN blocks ON blocks.id = block_id
        JOIN bets ON transaction_id = transactions.id
        WHERE at < ? AND state <> 'confirmed' AND bets.last_transaction_id < (
            SELECT max(last_transaction_id) FROM blocks WHERE at < ?)
        ORDER BY key LIMIT ?
    """
    with contextlib.closing(sqlite3.connect(db)) as connection:
        rows = connection.execute(sql, (before_us, before_us, most)).fetchall()
    return {bet_id: (user_id, id_) for bet_id, user_id, id_ in rows}


def asked_for(
    db: Path, before_us: int, sampled: dict[str, tuple[int, int]], sample: Sample
) -> dict[str, dict[int, str]]:
    """What `receipt` and `statement` say of the time before, of these bets and of all accounts."""
    with contextlib.closing(sqlite3.connect(db)) as connection:
        holders = [id_ for (id_,) in connection.execute("SELECT id FROM users ORDER BY id")]
    receipts = {
        id_: solidgreen("receipt", "--db", str(db), str(id_), "--user", str(user_id)).stdout
        for user_id, id_ in [*sampled.values()][: sample.receipts]
    }
    to = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(before_us // 1_000_000)) + "Z"
    statements = {
        id_: solidgreen("statement", "--db", str(db), "--user", str(id_), "--to", to, "--json").stdout
        for id_ in holders[: sample.statements]
    }
    return {"receipts": receipts, "statements": statements}


def refusals(server: Server, secret: str, sampled: dict[str, tuple[int, int]]) -> list[str]:
    """What archived bets are answered: their state, and that nothing happens to them again."""
    findings = []
    with operator(server, secret) as asks:
        for number, (bet_id, (user_id, _)) in enumerate(sampled.items()):
            state = asks.ask(type="bet.get", bet_id=bet_id)
            if state["state"] not in ("won", "lost"):
                findings.append(f"an archived bet is told as {state}")
            again = bet(100, bet_id=bet_id, user_id=user_id)
            for wanted, request in (
                ("IDEMPOTENCY_CONFLICT", again),
                (
                    "BET_CLOSED",
                    {"type": "bet.settle", "key": f"s{number}", "bet_id": bet_id, "result": "lost"},
                ),
                ("BET_CLOSED", {"type": "bet.unsettle", "key": f"u{number}", "bet_id": bet_id}),
            ):
                try:
                    findings.append(f"taken a second time: {asks.ask(**request)}")
                except RuntimeError as error:
                    if wanted not in str(error):
                        findings.append(f"{request['type']}: {error}")
    return findings


def audited(db: Path) -> list[str]:
    """`verify` in both ways, `reconcile`, and the sums by SQL alone."""
    findings = [*map(str, reconciled(db))]
    for command in (["verify"], ["verify", "--alone"]):
        done = solidgreen(*command, "--db", str(db), check=False)
        print(" ".join(command), ":", done.stdout.splitlines()[-1].replace(f"{db.parent}/", ""), flush=True)
        if done.returncode:
            findings.append(f"{command}: {done.stdout[-1000:]}{done.stderr[-1000:]}")
    with contextlib.closing(sqlite3.connect(db)) as connection:
        sql = """
            SELECT id FROM users LEFT JOIN (
                SELECT user_id, sum(amount) AS total FROM transaction_ledger GROUP BY user_id
            ) ON user_id = id
            WHERE balance <> coalesce(total, 0)
        """
        findings += [f"the balance of {id_} is not the sum" for (id_,) in connection.execute(sql)]
        sql = "SELECT transaction_id FROM transaction_ledger GROUP BY transaction_id HAVING sum(amount) <> 0"
        findings += [f"transaction {id_} does not sum to zero" for (id_,) in connection.execute(sql)]
    return findings


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="archive_kills", description="Kill an archive at ten points.")
    parser.add_argument("--entries", type=int, default=60_000)
    entries = parser.parse_args(arguments).entries
    with tempfile.TemporaryDirectory(prefix="archive-kills-") as folder:
        shown = asyncio.run(trial(Path(folder), entries))
    print(json.dumps({
        "kills": len(shown.kills), "confirmed": shown.confirmed, "sampled": shown.sampled,
        "bytes_before": shown.bytes_before, "bytes_after": shown.bytes_after,
    }))  # fmt: skip
    return report(shown.findings)


if __name__ == "__main__":
    sys.exit(main())
