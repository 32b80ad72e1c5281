"""Moves old history of real books into an archive, as docs/archive.md says: the commands are decided by the
engine, and each step is one that the triggers of schema.sql allow. It can stop half-way.

What the engine does in a process of its own is done here with plain SQL, by rules of its own.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Final

from engine import archives
from engine.archived_keys import hash_of_key
from engine.archives import ArchiveRow, file_of
from engine.commands import CarryArchive, OpenArchive
from engine.files import read_only_uri
from engine.outcomes import Accepted
from engine.store import Store
from tests.books_open import NOW_US, asked, look, with_store

STATE: Final = b"what an audit has to know"
"""Stands for `carried.state`."""

# What moves: bets that were over by then and cost their player money, with all that became of them; and money
# that came, went or changed hands.
_COPY: Final = """
INSERT INTO bets
    SELECT bets.* FROM hot.bets JOIN hot.transactions AS placed ON placed.id = bets.transaction_id
    WHERE bets.state <> 'confirmed' AND placed.id <= :upto AND bets.last_transaction_id <= :upto
      AND json_extract(placed.answer, '$.free_bet') IS NULL;
INSERT INTO transactions
    SELECT * FROM hot.transactions AS each
    WHERE id <= :upto AND (
        kind IN ('DEPOSIT', 'WITHDRAWAL', 'TRANSFER')
        OR (kind = 'BET' AND id IN (SELECT transaction_id FROM bets))
        OR (kind IN ('WIN', 'LOSS', 'REFUND', 'ROLLBACK', 'UNSETTLE', 'CASHOUT') AND (
            SELECT id FROM hot.transactions
            WHERE scope = 'bet' AND key = json_extract(each.answer, '$.bet.bet_id')
        ) IN (SELECT transaction_id FROM bets)));
INSERT INTO transaction_ledger SELECT * FROM hot.transaction_ledger WHERE id > 0 AND id <= :upto_entry;
INSERT INTO keys SELECT hash_of_key(scope, key) FROM transactions ORDER BY 1;
INSERT INTO archive
    SELECT id, block_id, (SELECT hash FROM hot.blocks WHERE id = archives.block_id),
           (SELECT hash FROM hot.blocks WHERE id = 1), upto_transaction_id, upto_entry_id,
           coalesce((SELECT max(block_id) FROM hot.archives AS earlier WHERE earlier.id < archives.id), 0)
    FROM hot.archives WHERE id = :archive_id
"""
_OPENINGS: Final = """
    SELECT user_id, sum(amount), max(iif(id < 0, prev_id, id)) FROM transaction_ledger WHERE id <= ?
    GROUP BY user_id
"""


def archived(
    path: Path, before_us: int, *, steps: int | None = None, rows: int = 3, now_us: int = NOW_US
) -> ArchiveRow:
    """Archive the blocks before this time; the row as it is then. Nobody else may have the store open.

    `steps`: how many steps of the move to do, each of `rows` rows: 0 when it is sealed and nothing is deleted
    yet, None for all of them. `move` goes on.
    """
    archive = opened(path, before_us, now_us=now_us)
    copied(path, archive)
    carried(path, archive, now_us=now_us)
    return move(path, steps=steps, rows=rows)


def opened(path: Path, before_us: int, *, now_us: int = NOW_US) -> ArchiveRow:
    """Begin an archive: state `copying`, nothing copied."""

    async def begin(store: Store) -> None:
        command = OpenArchive(before_us, key=f"archive-{before_us}", caller="test")
        (outcome,) = await store.commit(asked(command), now_us)
        assert isinstance(outcome, Accepted), outcome

    with_store(path, begin)
    return newest(path)


def copied(path: Path, archive: ArchiveRow) -> Path:
    """Make its file, whole and closed."""
    file = file_of(path, archive.block_id)
    values = {
        "upto": archive.upto_transaction_id,
        "upto_entry": archive.upto_entry_id,
        "archive_id": archive.id,
    }
    with contextlib.closing(sqlite3.connect(f"file:{file}", uri=True, isolation_level=None)) as connection:
        connection.create_function("hash_of_key", 2, hash_of_key)
        connection.executescript(archives.TABLES)
        connection.execute("ATTACH ? AS hot", (read_only_uri(path),))
        for statement in _COPY.split(";"):
            connection.execute(statement, values)
        connection.execute("DETACH hot")
        connection.executescript(archives.RULES)
    file.chmod(0o400)
    return file


def carried(path: Path, archive: ArchiveRow, *, now_us: int = NOW_US) -> None:
    """Keep what stays of what moves, and seal what is left behind: state `moving`, nothing deleted."""
    file = file_of(path, archive.block_id)
    hashes = look(file, "SELECT hash FROM keys ORDER BY hash")
    openings = repr(look(path, _OPENINGS, archive.upto_entry_id)).encode()

    def keep(connection: sqlite3.Connection) -> None:
        connection.executemany("INSERT INTO archived_keys VALUES (?)", hashes)
        connection.execute("INSERT INTO carried VALUES (?, ?)", (archive.id, STATE))

    async def seal(store: Store) -> None:
        await store.tidy(keep)
        digests = (sha256(openings).digest(), sha256(STATE).digest())
        command = CarryArchive(archive.id, *digests, key=f"carry-{archive.id}", caller="test")
        (outcome,) = await store.commit(asked(command), now_us)
        assert isinstance(outcome, Accepted), outcome

    with_store(path, seal)


def move(path: Path, *, steps: int | None = None, rows: int = 3) -> ArchiveRow:
    """Delete what was copied, in at most so many steps; the row as it is then."""

    async def go_on(store: Store) -> None:
        done = 0
        while not newest(path).is_moved and (steps is None or done < steps):
            for_this = newest(path)
            ids = _next_transactions(path, for_this, rows)
            await store.tidy(
                lambda connection, row=for_this, ids=ids: _step(connection, row, ids, rows)  # type: ignore[misc]
            )
            done += 1

    with_store(path, go_on)
    return newest(path)


def states(path: Path, before_us: int, *, rows: int = 3, now_us: int = NOW_US) -> Iterator[ArchiveRow]:
    """Archive, and stop at each state on the way: begun, copied, sealed, after each step of the move."""
    archive = opened(path, before_us, now_us=now_us)
    yield archive
    copied(path, archive)
    yield archive
    carried(path, archive, now_us=now_us)
    yield newest(path)
    while not newest(path).is_moved:
        yield move(path, steps=1, rows=rows)


def newest(path: Path) -> ArchiveRow:
    """The archive that was begun last, as it is now."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return archives.archives(connection)[-1]


def _next_transactions(path: Path, archive: ArchiveRow, rows: int) -> list[int]:
    file = file_of(path, archive.block_id)
    sql = "SELECT id FROM transactions WHERE id > ? ORDER BY id LIMIT ?"
    return [id_ for (id_,) in look(file, sql, archive.moved_transaction_id, rows)]


def _step(connection: sqlite3.Connection, archive: ArchiveRow, ids: list[int], rows: int) -> None:
    """First transactions with their bets, then entries."""
    if archive.moved_transaction_id < archive.upto_transaction_id:
        wanted = [(id_,) for id_ in ids]
        connection.executemany("DELETE FROM bets WHERE transaction_id = ?", wanted)
        connection.executemany("DELETE FROM transactions WHERE id = ?", wanted)
        upto = ids[-1] if ids else archive.upto_transaction_id
        connection.execute("UPDATE archives SET moved_transaction_id = ? WHERE id = ?", (upto, archive.id))
        return
    # The schema carries them, and deletes them.
    upto = min(archive.moved_entry_id + rows, archive.upto_entry_id)
    connection.execute("UPDATE archives SET moved_entry_id = ? WHERE id = ?", (upto, archive.id))
