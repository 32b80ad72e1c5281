"""The audit log as rows: write what is no command of a batch, and read. Plain `sqlite3`.

Deeds of a batch are written with it (rows.py), and what is in the file is never changed (schema.sql).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from engine.actors import Actor
from engine.bulk import in_bulk
from engine.deeds import Deed, as_subject

READ_AT_ONCE: Final = 1000
"""Deeds that `all_deeds` reads in one statement, so that none of its reads pins the write-ahead log for
long."""

_NEWEST = "SELECT coalesce(max(id), 0) FROM audit_log"
_ADD = """
    INSERT INTO audit_log
        (id, at, actor, role, address, door, action, subject, key, outcome, transaction_id)
    {rows}
"""
_READ = """
    SELECT id, at, actor, role, address, door, action, subject, key, outcome, transaction_id
    FROM audit_log WHERE {where} ORDER BY id DESC LIMIT ?
"""


def write(connection: sqlite3.Connection, deeds: Sequence[Deed]) -> None:
    """Write new deeds behind the newest one, inside the transaction that the caller has begun. Raises
    `sqlite3.Error`."""
    (newest,) = connection.execute(_NEWEST).fetchone()
    in_bulk(connection, _ADD, [each._replace(id=id_) for id_, each in enumerate(deeds, newest + 1)])


def record(
    connection: sqlite3.Connection,
    actor: Actor,
    action: str,
    subject: Mapping[str, Any],
    outcome: str,
    at_us: int,
    *,
    key: str | None = None,
) -> None:
    """Write one deed that is no command of a batch, inside the caller's transaction: see `Deed`.

    Inside the server by `Store.tidy`, together with what it does; at the command line beside it. `subject`:
    what the request named, as values of JSON, never a secret; what is None is left out. `outcome`:
    `deeds.ACCEPTED`, or the name of a `Code`. Raises `sqlite3.Error`: then what it would tell of must not
    happen."""
    write(connection, [Deed(0, at_us, *actor, action, as_subject(subject), key, outcome, None)])


def read_deeds(
    connection: sqlite3.Connection,
    *,
    before: int | None = None,
    limit: int = 100,
    actor_id: int | None = None,
    action: str | None = None,
    from_us: int | None = None,
    to_us: int | None = None,
) -> list[Deed]:
    """Deeds, newest first, at most `limit`; the next page is `before` the id of the last one.

    `from_us`, `to_us`: times of the books, from the first on and up to before the second. By actor it takes
    as long as what it finds; for what is rare by action or time the whole log is read, so a server asks on
    `Store.read_long`."""
    conditions = {
        "id < ?": before,
        "actor = ?": actor_id,
        "action = ?": action,
        "at >= ?": from_us,
        "at < ?": to_us,
    }
    given = {condition: value for condition, value in conditions.items() if value is not None}
    rows = connection.execute(_READ.format(where=" AND ".join(given) or "true"), (*given.values(), limit))
    return [Deed(*row) for row in rows]


def all_deeds(
    connection: sqlite3.Connection,
    *,
    actor_id: int | None = None,
    action: str | None = None,
    from_us: int | None = None,
    to_us: int | None = None,
) -> Iterator[Deed]:
    """All such deeds, newest first, in bounded memory; those that are written meanwhile are not among
    them."""
    before = None
    while True:
        page = read_deeds(
            connection,
            before=before,
            limit=READ_AT_ONCE,
            actor_id=actor_id,
            action=action,
            from_us=from_us,
            to_us=to_us,
        )
        yield from page
        if len(page) < READ_AT_ONCE:
            return
        before = page[-1].id
