"""What a batch is worth: the same wallet with one SQLite transaction a bet, `python -m bench.one_by_one`.

Two figures, each on a fresh file with the project's own schema, triggers, keys and pragmas. `per_s` is the
program that one would write without an engine: the standard library's `sqlite3`, one BEGIN IMMEDIATE …
COMMIT with a sync for each bet, no queue, no thread, everything that only one writer need know kept in
memory. It writes row for row what the engine writes for a batch of one (a test compares the files).
`engine_batch_of_one_per_s` is `Store.commit` with one command a batch, so it also pays for the hop to the
writer's thread. Both count only if `solidgreen reconcile` agrees and every bet is in the file.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import random
import shutil
import sqlite3
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import uvloop

from engine.blocks import head_after, seal
from engine.commands import BET_SCOPE, PlaceBet, fingerprint_bet
from engine.keys import introduce, signing_key
from engine.outcomes import Accepted
from engine.prefetch import read_head
from engine.records import Entry, Head, Transaction
from engine.store import Asked, Store
from harness.process import seed, solidgreen
from harness.wire import new_bet_id

PLAYERS: Final = 10_000
BALANCE_MINOR: Final = 10_000_000_000  # at 250 a bet, 40 million bets each: nobody runs dry
STAKE_MINOR: Final = 250

PRAGMAS: Final = (
    "journal_mode = WAL",
    "synchronous = FULL",
    "foreign_keys = ON",
    "recursive_triggers = ON",
    "wal_autocheckpoint = 4096",
    "cache_size = -65536",
    "temp_store = MEMORY",
)
"""As the engine's writer has them: the comparison is of batches, not of settings."""

_HOUSE = "SELECT id FROM users WHERE kind = 'house' AND currency = ?"
_ACCOUNT = """
    SELECT currency, balance, held, balance - held - floor, last_entry_id
    FROM users WHERE id = ? AND status = 'open'
"""
_CHANGE = """
    UPDATE users SET balance = balance + ?, version = version + 1, last_entry_id = ?
    WHERE id = ? AND balance + ? - held - floor >= 0
"""
_OPEN_BATCH = "INSERT INTO open_batch (id, first_transaction_id, first_entry_id) VALUES (?, ?, ?)"
_TRANSACTION = "INSERT INTO transactions VALUES (?, ?, ?, ?, ?, ?, ?)"
_ENTRIES = (
    "INSERT INTO transaction_ledger VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?), (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_BET = "INSERT INTO bets (transaction_id, user_id, currency, stake) VALUES (?, ?, ?, ?)"
_BLOCK = "INSERT INTO blocks VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"


class PlainWallet:
    """The wallet without an engine. `connection` to the file `db` is its own: it begins and commits."""

    def __init__(self, db: Path, connection: sqlite3.Connection) -> None:
        self._connection = connection
        for pragma in PRAGMAS:
            connection.execute(f"PRAGMA {pragma}")
        key = signing_key(db)
        introduce(connection, key)
        self._signer = key.signer
        self._head = read_head(connection)
        self._houses: dict[str, int] = {}

    def place(self, bet: PlaceBet, now_us: int) -> int:
        """Take the stake, and return the id of the bet's transaction once it is on disk.

        Raises `ValueError` for a player who is unknown, blocked or short of money, and
        `sqlite3.IntegrityError` for a `bet_id` that the file knows; in both cases nothing has happened.
        """
        execute = self._connection.execute
        execute("BEGIN IMMEDIATE")
        try:
            head = self._write(bet, now_us)
        except BaseException:  # whatever ends it, the connection must not stay inside a transaction
            execute("ROLLBACK")
            raise
        execute("COMMIT")
        self._head = head
        return head.last_transaction_id

    def _write(self, bet: PlaceBet, now_us: int) -> Head:
        execute, head, stake_minor = self._connection.execute, self._head, bet.stake_minor
        player = execute(_ACCOUNT, (bet.user_id,)).fetchone()
        if player is None or player[3] < stake_minor:
            raise ValueError(f"player {bet.user_id} is unknown, blocked or short of money")
        currency, balance_minor, held_minor, available_minor, player_prev_id = player
        if currency not in self._houses:
            self._houses[currency] = execute(_HOUSE, (currency,)).fetchone()[0]
        house_id = self._houses[currency]
        _, house_minor, _, _, house_prev_id = execute(_ACCOUNT, (house_id,)).fetchone()

        block_id, transaction_id = head.block_id + 1, head.last_transaction_id + 1
        entry_ids = head.last_entry_id + 1, head.last_entry_id + 2
        reference = ("BET", bet.bet_id, transaction_id, block_id)
        stake = Entry(
            entry_ids[0], bet.user_id, currency, -stake_minor, balance_minor - stake_minor, *reference,
            player_prev_id,
        )  # fmt: skip
        counter = Entry(
            entry_ids[1],
            house_id,
            currency,
            stake_minor,
            house_minor + stake_minor,
            *reference,
            house_prev_id,
        )
        answer = (
            f'{{"seq":{stake.id},"balance_minor":{stake.balance_after_minor},'
            f'"held_minor":{held_minor},"available_minor":{available_minor - stake_minor}}}'
        )
        fingerprint = fingerprint_bet(bet, currency)
        transaction = Transaction(transaction_id, "BET", BET_SCOPE, bet.bet_id, fingerprint, answer, block_id)
        block = seal(head, max(head.at_us, now_us), [transaction], [stake, counter], self._signer)

        execute(_OPEN_BATCH, (block_id, transaction_id, stake.id))
        execute(_TRANSACTION, transaction)
        execute(_ENTRIES, (*stake, *counter))
        execute(_BET, (transaction_id, bet.user_id, currency, stake_minor))
        for entry in (stake, counter):
            change = (entry.amount_minor, entry.id, entry.user_id, entry.amount_minor)
            if execute(_CHANGE, change).rowcount != 1:
                raise ValueError(f"account {entry.user_id} would be overdrawn")
        execute(_BLOCK, block)
        return head_after(head, block)


def fresh_bets(player_ids: list[int]) -> Iterator[PlaceBet]:
    """Bets without end, each by a player drawn anew, each with a `bet_id` (UUID version 7) of its own."""
    draw = random.Random(1)  # the same players in each run
    while True:
        sent_at_us = time.time_ns() // 1_000
        yield PlaceBet(new_bet_id(), draw.choice(player_ids), STAKE_MINOR, "nonce-unused", sent_at_us)


def plain(db: Path, player_ids: list[int], seconds: float) -> tuple[int, float]:
    """Bets confirmed by `PlainWallet` within `seconds`, and the seconds that they took."""
    with contextlib.closing(sqlite3.connect(db, isolation_level=None)) as connection:
        wallet = PlainWallet(db, connection)
        bets, confirmed, started = fresh_bets(player_ids), 0, time.perf_counter()
        while (elapsed_s := time.perf_counter() - started) < seconds:
            bet = next(bets)
            wallet.place(bet, bet.sent_at_us)
            confirmed += 1
        return confirmed, elapsed_s


async def engine(db: Path, player_ids: list[int], seconds: float) -> tuple[int, float]:
    """Bets confirmed by `Store.commit`, one a batch, within `seconds`, and the seconds that they took."""
    store = await Store.open(db)
    try:
        bets, confirmed, started = fresh_bets(player_ids), 0, time.perf_counter()
        while (elapsed_s := time.perf_counter() - started) < seconds:
            bet = next(bets)
            (outcome,) = await store.commit([Asked(bet)], bet.sent_at_us)
            if not isinstance(outcome, Accepted):
                raise RuntimeError(f"the engine refused a bet: {outcome}")
            confirmed += 1
        return confirmed, elapsed_s
    finally:
        await store.close()


def faults(db: Path, confirmed: int) -> list[str]:
    """Why the bets in `db` do not count; empty when they do."""
    audit = solidgreen("reconcile", "--db", str(db), check=False)
    found = [] if audit.returncode == 0 else [f"reconcile: {audit.stdout}{audit.stderr}"]
    with contextlib.closing(sqlite3.connect(f"{db.absolute().as_uri()}?mode=ro", uri=True)) as connection:
        (written,) = connection.execute("SELECT count(*) FROM bets").fetchone()
    if written != confirmed:
        found.append(f"{confirmed} bets confirmed, {written} in the file")
    return found


def measure(folder: Path, seconds: float, players: int = PLAYERS) -> dict[str, Any]:
    """Both figures, each from its own copy of one seeded file; they count if `wrong` is empty."""
    seeded = folder / "seeded.db"
    player_ids = [player["id"] for player in seed(seeded, players, BALANCE_MINOR)]
    by_plain, by_engine = (Path(shutil.copy(seeded, folder / name)) for name in ("plain.db", "engine.db"))
    plain_bets, plain_s = plain(by_plain, player_ids, seconds)
    engine_bets, engine_s = uvloop.run(engine(by_engine, player_ids, seconds))
    return {
        "per_s": round(plain_bets / plain_s, 1),
        "engine_batch_of_one_per_s": round(engine_bets / engine_s, 1),
        "bets": plain_bets,
        "engine_bets": engine_bets,
        "players": players,
        "wrong": faults(by_plain, plain_bets) + faults(by_engine, engine_bets),
    }


def main(arguments: list[str] | None = None) -> int:
    """Print the figures as JSON. 0: they count; 1: the ledger says otherwise, and `wrong` how."""
    parser = argparse.ArgumentParser(prog="python -m bench.one_by_one", description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, required=True, help="where the files lie: on a real disk")
    parser.add_argument("--seconds", type=float, default=5.0, help="measured for each figure (default 5)")
    parser.add_argument("--players", type=int, default=PLAYERS, help=f"seeded wallets (default {PLAYERS})")
    chosen = parser.parse_args(arguments)
    chosen.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=chosen.folder, prefix="one-by-one-") as folder:
        figures = measure(Path(folder), chosen.seconds, chosen.players)
    print(json.dumps(figures))
    return 1 if figures["wrong"] else 0


if __name__ == "__main__":
    sys.exit(main())
