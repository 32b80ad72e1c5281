"""Single mutations of valid books, at random but from a seed: whatever is changed, `verify` must say so.

`python tests/mutations.py 1000` (`make mutations`) prints how many were found of each sort, and each that was
missed; exit status 1 if any was. The books hold bets in all states, holds, payouts, bonuses and limits; they
are edited with all rights, past triggers, keys and CHECKs (`forgeries.forge`), and the triggers put back.
"""

from __future__ import annotations

import argparse
import contextlib
import sqlite3
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from random import Random
from shutil import copyfile
from typing import NamedTuple

from engine.accounts import open_wallets
from engine.checks import Finding
from engine.commands import Command
from engine.verify import Asked, KeptHead, Verdict, verify
from tests import bonus_forgeries, life_forgeries, moved_books, payout_forgeries
from tests.books_open import NOW_US, look, place, play, seed, with_store
from tests.forgeries import forge, reseal

COVERED = ("transactions", "transaction_ledger", "bets", "blocks", "users")
"""Every column of these, and of `users` those of `MONEY`."""
MONEY = ("balance", "held", "floor")
ROWS = ("transactions", "transaction_ledger", "bets", "blocks", "holds", "payouts", "payout_items", "bonuses",
        "free_bets", "limits", "suspended_items")  # fmt: skip
"""Where rows are deleted and inserted."""
KEYS = {
    "bets": "transaction_id",
    "bonuses": "user_id",
    "carried": "archive_id",
    "archived_keys": "hash",
    "keys": "hash",
    "archive": "archive_id",
}
"""The column that names a row, where it is not `id`; those that two columns name have none."""
OF_ARCHIVES = ("archives", "carried", "archived_keys", "keys", "archive")
TWO_KEYS = ("payout_items", "suspended_items", "limits")


class Books(NamedTuple):
    """Valid books at each height: the last is whole, those before are what a cut leaves of it. `archive`: the
    file that old history was moved into."""

    heights: list[Path]
    archive: Path | None = None

    @property
    def whole(self) -> Path:
        return self.heights[-1]

    def head(self) -> KeptHead:
        """The newest block, as somebody kept it."""
        ((block_id, hash_),) = look(self.whole, "SELECT id, hash FROM blocks ORDER BY id DESC LIMIT 1")
        return KeptHead("kept", block_id, hash_)


class Mutation(NamedTuple):
    """One that was made: its sort, and what it did, in words."""

    sort: str
    words: str


def histories(folder: Path) -> list[Books]:
    """The books of life_forgeries, bonus_forgeries and payout_forgeries."""
    life = [(batch, NOW_US) for batch in (*life_forgeries.BATCHES, [place(9)])]
    life.append(([life_forgeries.EXPIRY], NOW_US + 20))
    bonus = list(zip(bonus_forgeries.BATCHES, bonus_forgeries.AT_US, strict=True))
    payouts = [(batch, NOW_US) for batch in payout_forgeries.BATCHES]
    made = []
    for name, batches in (("life", life), ("bonus", bonus), ("payouts", payouts)):
        path = seed(folder / f"{name}.db", 1000, 500)
        with_store(path, lambda store: store.set_up(lambda connection: open_wallets(connection, "EUR", 1)))
        made.append(Books(list(_played(path, batches))) if name != "bonus" else _bonus(folder, bonus))
    return [*made, _moved(folder)]


def _moved(folder: Path) -> Books:
    """Those of life_forgeries, moved up to block 4."""
    (folder / "moved").mkdir()
    path = moved_books.life(folder / "moved" / "mutated.db")
    at_height = path.with_name("begun.db")
    copyfile(path, at_height)
    return Books([at_height, path], moved_books.archive(path, 4).path)


def _bonus(folder: Path, batches: Sequence[tuple[list[Command], int]]) -> Books:
    path = seed(folder / "bonus-alone.db", 1000, 500)  # its wallets have the numbers that follow at once
    return Books(list(_played(path, batches)))


def _played(path: Path, batches: Sequence[tuple[list[Command], int]]) -> Iterator[Path]:
    for number, (batch, at_us) in enumerate(batches):
        at_height = path.with_name(f"{path.stem}-{number}.db")
        copyfile(path, at_height)
        yield at_height
        play(path, batch, now_us=at_us)
    yield path


def mutate(path: Path, books: Books, random: Random) -> Mutation | None:
    """Make one mutation of `path`, a copy of the whole books, or of its archive; None if this one changes
    nothing."""
    sort = random.choices(list(SORTS), [WEIGHTS.get(sort, 1) for sort in SORTS])[0]
    if books.archive is not None and sort in IN_ARCHIVES and random.random() < 0.5:
        path = path.with_name(books.archive.name)
    before = _dump(path)
    try:
        words = SORTS[sort](path, books, random)
    except sqlite3.IntegrityError:  # a row of that name is there already
        return None
    return None if words is None or _dump(path) == before else Mutation(sort, words)


def _flip(path: Path, books: Books, random: Random) -> str | None:
    table = random.choice(_tables(path, COVERED))
    return _flip_in(path, table, random)


def _tables(path: Path, tables: Sequence[str]) -> list[str]:
    """Those of them that the file has, and what only a file has that has to do with archives."""
    there = {name for (name,) in look(path, "SELECT name FROM sqlite_schema WHERE type = 'table'")}
    return [
        table for table in (*tables, *OF_ARCHIVES) if table in there and look(path, f"SELECT 1 FROM {table}")
    ]


def _flip_in(path: Path, table: str, random: Random) -> str | None:
    columns = [name for _, name, *_ in look(path, f"PRAGMA table_info({table})")]
    column = random.choice(MONEY if table == "users" else columns)
    key = KEYS.get(table, "id")
    where, value = random.choice(look(path, f"SELECT {key}, {column} FROM {table}"))
    forge(path, f"UPDATE {table} SET {column} = {_other(value, random)} WHERE {key} = {_sql(where)}")
    return f"{table}.{column} of {where}, which was {value!r}"


def _other(value: object, random: Random) -> str:
    """As SQL: the value with one bit changed."""
    if value is None:
        return random.choice(["1000", "''"])
    if isinstance(value, int):
        flipped = value ^ (1 << random.randrange(64))
        return str(flipped - (1 << 64) if flipped >= 1 << 63 else flipped)
    data = bytearray(value.encode() if isinstance(value, str) else value)  # type: ignore[call-overload]
    if not data:
        return "'a'"
    data[random.randrange(len(data))] ^= 1 << random.randrange(8)
    return f"CAST(x'{data.hex()}' AS TEXT)" if isinstance(value, str) else f"x'{data.hex()}'"


def _delete(path: Path, books: Books, random: Random) -> str | None:
    table = random.choice(_tables(path, ROWS))
    rows = look(path, f"SELECT * FROM {table}")
    if not rows:
        return None
    columns = [name for _, name, *_ in look(path, f"PRAGMA table_info({table})")]
    row = random.choice(rows)
    names = columns[: 3 if table == "limits" else 2 if table in TWO_KEYS else 1]
    where = " AND ".join(f"{name} = {_sql(value)}" for name, value in zip(names, row, strict=False))
    forge(path, f"DELETE FROM {table} WHERE {where}")
    return f"{table}: {row} deleted"


def _insert(path: Path, books: Books, random: Random) -> str | None:
    table = random.choice(_tables(path, ROWS))
    rows = look(path, f"SELECT * FROM {table}")
    if not rows:
        return None
    row = list(random.choice(rows))
    first = row[0]
    if isinstance(first, bytes):
        row[0] = random.randbytes(len(first))
    else:
        row[0] = random.choice([max(each[0] for each in rows) + 1, 0, -first, first + 1, 2**62, -(2**63)])
    if table == "transactions":
        row[3] = f"{row[3]} "
    forge(path, f"INSERT INTO {table} VALUES ({', '.join(map(_sql, row))})")
    return f"{table}: {row} inserted"


def _swap(path: Path, books: Books, random: Random) -> str | None:
    table = random.choice(
        [table for table in _tables(path, COVERED) if table in COVERED and table != "users"]
    )
    key = KEYS.get(table, "id")
    ids = [id_ for (id_,) in look(path, f"SELECT {key} FROM {table}")]
    if len(ids) < 2:
        return None
    one, other = random.sample(ids, 2)
    forge(
        path,
        f"UPDATE {table} SET {key} = -99 WHERE {key} = {one}",
        f"UPDATE {table} SET {key} = {one} WHERE {key} = {other}",
        f"UPDATE {table} SET {key} = {other} WHERE {key} = -99",
    )
    return f"{table}: {one} and {other} swapped"


def _redate(path: Path, books: Books, random: Random) -> str:
    (number,) = random.choice(look(path, "SELECT id FROM blocks"))
    by_us = random.choice([-1, 1]) * random.choice([1, 1000, 3_600_000_000])
    forge(path, f"UPDATE blocks SET at = at + {by_us} WHERE id = {number}")
    return f"block {number} re-dated by {by_us} us"


def _relink(path: Path, books: Books, random: Random) -> str | None:
    """A mutation under which every later block is linked again, but not signed: nobody has the key."""
    table = random.choice(["transactions", "transaction_ledger", None])
    words = _redate(path, books, random) if table is None else _flip_in(path, table, random)
    with contextlib.suppress(sqlite3.OperationalError):  # a text that is not UTF-8 has no root to be computed
        reseal(path, *(number for (number,) in look(path, "SELECT id FROM blocks ORDER BY id")))
    return f"{words}, and linked again"


def _cut(path: Path, books: Books, random: Random) -> str:
    """Whole blocks cut off, with all that they did: the books as they were at that height."""
    height = random.randrange(len(books.heights) - 1)
    copyfile(books.heights[height], path)
    return f"cut off behind block {height + 1}"


SORTS: dict[str, Callable[[Path, Books, Random], str | None]] = {
    "flipped": _flip,
    "deleted": _delete,
    "inserted": _insert,
    "swapped": _swap,
    "re-dated": _redate,
    "re-linked": _relink,
    "cut off": _cut,
}
WEIGHTS = {"flipped": 6}
IN_ARCHIVES = frozenset({"flipped", "deleted", "inserted", "swapped"})


def _sql(value: object) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, bytes):
        return f"x'{value.hex()}'"
    return "'" + value.replace("'", "''") + "'" if isinstance(value, str) else str(value)


def _dump(path: Path) -> list[object]:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.text_factory = bytes
        tables = [name.decode() for (name,) in connection.execute(
            "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")]  # fmt: skip
        return [connection.execute(f"SELECT * FROM {table}").fetchall() for table in tables]


class Missed(NamedTuple):
    """A mutation that was not found, or that raised."""

    seed: int
    mutation: Mutation


def run(folder: Path, count: int, first_seed: int = 0) -> tuple[Counter[str], list[Missed]]:
    """So many mutations, each from a seed of its own: how many of each sort, and which were missed."""
    made: Counter[str] = Counter()
    missed: list[Missed] = []
    all_books = histories(folder)
    for books in all_books:
        assert verify(books.whole, Asked(heads=[books.head()])).findings == []
    number = first_seed
    while made.total() < count:
        number += 1
        random = Random(number)
        books = random.choice(all_books)
        path = folder / "mutated.db"
        copyfile(books.whole, path)
        if books.archive is not None:
            copyfile(books.archive, path.with_name(books.archive.name))
        mutation = mutate(path, books, random)
        if mutation is None:
            continue
        made[mutation.sort] += 1
        if not found(path, books):
            missed.append(Missed(number, mutation))
    return made, missed


def found(path: Path, books: Books) -> list[Finding]:
    """What `verify` says."""
    verdict: Verdict = verify(path, Asked(heads=[books.head()]))
    return verdict.findings


def main() -> int:
    """Make them, print the count of each sort, and what was missed."""
    parser = argparse.ArgumentParser(description="Random single mutations of valid books, all to be found.")
    parser.add_argument("count", type=int, nargs="?", default=1000)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        made, missed = run(Path(folder), chosen.count, chosen.seed)
    for sort, many in sorted(made.items()):
        print(f"{sort:10} {many:5}, missed {sum(each.mutation.sort == sort for each in missed)}")
    for each in missed:
        print(f"missed: seed {each.seed}: {each.mutation.sort}: {each.mutation.words}")
    print(f"{made.total()} mutations, {made.total() - len(missed)} found")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
