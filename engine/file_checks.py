"""What `verify` asks of a file beside its history: whose keys stand in it, whether SQLite finds it whole, and
whether the index over keys is what the rows are.

key        a key of a command is there twice, or the index over keys is not what the transactions are
signer     a public key is not the one that its id names, or is none
integrity  SQLite finds the file damaged, or a rule of a table broken
foreign    a row names one in another table that is not there
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from engine.blocks import key_id_of
from engine.checks import Finding
from engine.reader import Reader, Shape
from engine.records import Transaction

WHOLE_MAX_BYTES: Final = 256 << 20
"""Up to this size SQLite looks over the whole file, in a second or two. It does so in one snapshot: of larger
files only over the tables that grow with the accounts, since what lingers would pin the WAL."""

_SMALL_TABLES: Final = ("participants", "users", "signers", "open_batch", "bonuses", "limits")
_COMPLAINTS_MAX: Final = 100
_WALKED: Final = 10_000
_SIGNERS = ("SELECT id, public_key FROM signers", Shape("id:b public_key:b", "signers"))
_KEYS = f"""
    SELECT scope, key, id FROM transactions
    WHERE (scope, key) > (?, ?) ORDER BY scope, key LIMIT {_WALKED}
"""  # noqa: S608  names and numbers of our own
_KEY_SHAPE: Final = Shape("scope:t key:t id:i")
_MASK: Final = (1 << 64) - 1


class Keys:
    """Compares the index over keys with the transactions, without keeping them: by their number, and by the
    sum of a hash of each, which nobody can know who has written the file (Python's, keyed anew by each
    process).
    """

    def __init__(self) -> None:
        self._count = 0
        self._sum = 0

    def add(self, transactions: list[Transaction]) -> None:
        """Note the transactions of a block."""
        self._count += len(transactions)
        self._sum += sum([hash((row[2], row[3], row[0])) for row in transactions])

    def check(self, reader: Reader, last_transaction_id: int) -> Iterator[Finding]:
        """Walk along the index up to the last transaction that was added."""
        count = total = 0
        before = ("", "")
        while rows := reader.rows(_KEYS, before, _KEY_SHAPE):
            for scope, key, id_ in rows:
                if (scope, key) <= before:
                    yield {"check": "key", "scope": scope, "key": key, "why": "it is there twice"}
                before = (scope, key)
                if id_ <= last_transaction_id:
                    count += 1
                    total += hash((scope, key, id_))
            if (rows[-1][0], rows[-1][1]) < before:
                break
        if count != self._count or total & _MASK != self._sum & _MASK:
            yield {"check": "key", "why": "the index over keys is not what the transactions are"}


def check_signers(reader: Reader) -> tuple[dict[bytes, bytes], list[Finding]]:
    """The public keys that are what their ids say, by these; and those that are not."""
    keys: dict[bytes, bytes] = {}
    findings: list[Finding] = []
    for id_, public_key in reader.rows(_SIGNERS[0], (), _SIGNERS[1]):
        if len(public_key) == 32 and id_ == key_id_of(public_key):
            keys[id_] = public_key
        else:
            findings.append(
                {"check": "signer", "key": id_.hex(), "why": "its key is not the one that it names"}
            )
    return keys, findings


def check_file(connection: sqlite3.Connection, path: Path) -> Iterator[Finding]:
    """What SQLite itself finds."""
    is_whole = is_small(path)
    for what in (_COMPLAINTS_MAX,) if is_whole else _SMALL_TABLES:
        for complaint in complaints_of(connection, "main", what):
            yield {"check": "integrity", "why": complaint}
    tables = ("users", "participants") if not is_whole else (None,)
    for table in tables:
        asked = "PRAGMA main.foreign_key_check" + (f"({table})" if table else "")
        for row in connection.execute(asked).fetchmany(_COMPLAINTS_MAX):
            yield {"check": "foreign", "table": row[0], "row": row[1], "parent": row[2]}


def is_small(path: Path) -> bool:
    """Whether SQLite may look over the whole of it."""
    return path.stat().st_size <= WHOLE_MAX_BYTES


def complaints_of(
    connection: sqlite3.Connection, schema: str, what: str | int = _COMPLAINTS_MAX
) -> Iterator[str]:
    """What SQLite says of a file, or of one of its tables."""
    for (complaint,) in connection.execute(f"PRAGMA {schema}.integrity_check({what})").fetchall():
        if complaint != "ok":
            yield str(complaint)
