"""The books, read with nothing but `sqlite3` and the names that outsiders may rely on."""

from __future__ import annotations

import shutil
import sqlite3
from collections import defaultdict
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

PREFIX: Final = "demo/"
"""Of the keys of all settlements of the demo's, so that they can be told from those of its visitors."""


@dataclass(frozen=True)
class Debit:
    """A player's entry for a bet that was placed. `amount` is negative, in minor units."""

    seq: int
    user_id: int
    amount: int
    transaction_id: int


@dataclass(frozen=True)
class Books:
    """What one file says of bets, of how they ended, and of balances."""

    debits: dict[str, list[Debit]]
    """By `bet_id`: one each, if all is well."""
    settlements: dict[str, list[int]]
    """By key: the transactions that ended a bet; one each, if all is well."""
    balances: dict[int, int]


def copy_of(db: Path, folder: Path) -> Path:
    """Copy the file and its write-ahead log as they are, while no process has them open.

    Not the `-shm` file: it is an index of the log in shared memory, which the first reader makes anew.
    """
    folder.mkdir()
    for suffix in ("", "-wal"):
        source = db.with_name(db.name + suffix)
        if source.exists():
            shutil.copyfile(source, folder / source.name)
    return folder / db.name


def read_books(db: Path) -> Books:
    """As they are at one moment, whether a server has the file open or not."""
    debits: dict[str, list[Debit]] = defaultdict(list)
    settlements: dict[str, list[int]] = defaultdict(list)
    with closing(sqlite3.connect(db)) as file:
        file.execute("PRAGMA query_only = ON")
        file.execute("BEGIN")
        for bet_id, *debit in file.execute(
            "SELECT ref_id, entry.id, user_id, amount, transaction_id FROM transaction_ledger AS entry"
            " JOIN users ON users.id = user_id WHERE ref_type = 'BET' AND kind = 'player'"
        ):
            debits[bet_id].append(Debit(*debit))
        for key, transaction_id in file.execute(
            "SELECT key, id FROM transactions WHERE key GLOB ?", [f"{PREFIX}*"]
        ):
            settlements[key].append(transaction_id)
        balances = dict(file.execute("SELECT id, balance FROM users WHERE kind = 'player'"))
    return Books(dict(debits), dict(settlements), balances)
