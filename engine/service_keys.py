"""Service accounts and their keys as rows: see `engine/logins.py`. Times: microseconds since the Unix
epoch."""

from __future__ import annotations

import sqlite3
from typing import NamedTuple

from engine.logins import NameTaken, NoSuchName
from engine.people import SERVICE_ID_BASE, sid_of_key


class ServiceAccount(NamedTuple):
    """A program that acts for the house."""

    id: int
    name: str
    role: str
    scopes: str | None
    """Names with a space between two; None: all that the role may do."""
    created_us: int
    revoked_us: int | None


class ServiceKey(NamedTuple):
    """One of its keys, of which only how it begins can be told."""

    id: int
    prefix: str
    created_us: int
    expires_us: int | None
    revoked_us: int | None


class Shown(NamedTuple):
    """A key that is good, and whose it is."""

    key_id: int
    account_id: int
    role: str
    scopes: str | None
    expires_us: int | None


def create_account(
    connection: sqlite3.Connection, name: str, role: str, scopes: str | None, now_us: int
) -> int:
    """A service account without a key; its number. Raises `NameTaken`."""
    if connection.execute("SELECT 1 FROM service_accounts WHERE name = ?", (name,)).fetchone():
        raise NameTaken(name)
    (account_id,) = connection.execute(
        "SELECT coalesce(max(id), ?) + 1 FROM service_accounts", (SERVICE_ID_BASE - 1,)
    ).fetchone()
    connection.execute(
        "INSERT INTO service_accounts (id, name, role, scopes, created_at) VALUES (?, ?, ?, ?, ?)",
        (account_id, name, role, scopes, now_us),
    )
    return int(account_id)


def add_key(
    connection: sqlite3.Connection, account_id: int, key_hash: bytes, prefix: str, now_us: int
) -> int:
    """One more key of the account; its number."""
    added = connection.execute(
        "INSERT INTO service_keys (account_id, hash, prefix, created_at) VALUES (?, ?, ?, ?)",
        (account_id, key_hash, prefix, now_us),
    )
    assert added.lastrowid is not None
    return added.lastrowid


def rotate_key(
    connection: sqlite3.Connection, name: str, key_hash: bytes, prefix: str, grace_us: int, now_us: int
) -> list[str]:
    """A new key; those before it are good for `grace_us` more, or not at all; the `sid`s that end at once.
    Raises `NoSuchName`."""
    account_id = _live(connection, name)
    ended: list[str] = []
    if grace_us:
        connection.execute(
            "UPDATE service_keys SET expires_at = min(coalesce(expires_at, :end), :end) "
            "WHERE account_id = :account AND revoked_at IS NULL",
            {"end": now_us + grace_us, "account": account_id},
        )
    else:
        ended = _revoke_keys(connection, account_id, now_us)
    add_key(connection, account_id, key_hash, prefix, now_us)
    return ended


def revoke_account(connection: sqlite3.Connection, name: str, now_us: int) -> list[str]:
    """The account and all its keys are good no more; the `sid`s that end. Raises `NoSuchName`."""
    account_id = _live(connection, name)
    ended = _revoke_keys(connection, account_id, now_us)
    connection.execute("UPDATE service_accounts SET revoked_at = ? WHERE id = ?", (now_us, account_id))
    return ended


def shown_key(connection: sqlite3.Connection, key_hash: bytes, now_us: int) -> Shown | None:
    """Whose key this is; None: it is unknown, revoked or expired."""
    row = connection.execute(
        """
        SELECT key.id, account.id, account.role, account.scopes, key.expires_at
        FROM service_keys AS key JOIN service_accounts AS account ON account.id = key.account_id
        WHERE key.hash = ? AND key.revoked_at IS NULL AND account.revoked_at IS NULL
          AND (key.expires_at IS NULL OR key.expires_at > ?)
        """,
        (key_hash, now_us),
    ).fetchone()
    return None if row is None else Shown(*row)


def list_accounts(connection: sqlite3.Connection) -> list[tuple[ServiceAccount, list[ServiceKey]]]:
    """All of them with all their keys, also what was revoked."""
    accounts = connection.execute(
        "SELECT id, name, role, scopes, created_at, revoked_at FROM service_accounts ORDER BY id"
    ).fetchall()
    keys = """
        SELECT id, prefix, created_at, expires_at, revoked_at FROM service_keys
        WHERE account_id = ? ORDER BY id
    """
    return [
        (ServiceAccount(*row), [ServiceKey(*key) for key in connection.execute(keys, row[:1])])
        for row in accounts
    ]


def revoked_since(connection: sqlite3.Connection, since_us: int) -> list[tuple[str, int]]:
    """The `sid` of each key that was revoked since then, and when."""
    rows = connection.execute("SELECT id, revoked_at FROM service_keys WHERE revoked_at >= ?", (since_us,))
    return [(sid_of_key(id_), at_us) for id_, at_us in rows]


def _live(connection: sqlite3.Connection, name: str) -> int:
    row = connection.execute(
        "SELECT id FROM service_accounts WHERE name = ? AND revoked_at IS NULL", (name,)
    ).fetchone()
    if row is None:
        raise NoSuchName(name)
    return int(row[0])


def _revoke_keys(connection: sqlite3.Connection, account_id: int, now_us: int) -> list[str]:
    live = connection.execute(
        "SELECT id FROM service_keys WHERE account_id = ? AND revoked_at IS NULL", (account_id,)
    ).fetchall()
    connection.execute(
        "UPDATE service_keys SET revoked_at = ? WHERE account_id = ? AND revoked_at IS NULL",
        (now_us, account_id),
    )
    return [sid_of_key(id_) for (id_,) in live]
