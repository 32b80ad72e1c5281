"""Credentials, log-ins and refresh tokens as rows. Plain `sqlite3` on a connection that is handed in; what
writes is to be run in a transaction (`batcher/asides.py`). Times: microseconds since the Unix epoch.
"""

from __future__ import annotations

import sqlite3
from typing import Final, NamedTuple

from engine.errors import SolidGreenError
from engine.people import (
    LOGIN_LIFE_S,
    PLAYER,
    STAFF_ID_BASE,
    USED_KEPT_US,
    Family,
    Presented,
    key_of_sid,
    login_of_sid,
    presented,
    sid_of_login,
)

OVER_A_LOGIN: Final = 2
"""How many log-ins that are over go with each new one: more than come, so that they do not pile up."""

OVER_A_REFRESH: Final = 8
"""How many old tokens of its log-in go with each refresh, and a hundred times as many of a log-in that is
over with a new one. Bounded, because bets wait behind it: who refreshes as often as he may has 600,000."""


class NameTaken(SolidGreenError):
    """Somebody has this name, or had it."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name}: this name is taken")


class NoSuchName(SolidGreenError):
    """Nobody of that kind has this name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name}: there is nobody of that name")


class Credential(NamedTuple):
    """Who may log in by a name."""

    user_id: int
    username: str
    role: str
    password_hash: str
    is_removed: bool


class StaffMember(NamedTuple):
    """One of the staff, as he is listed."""

    user_id: int
    username: str
    role: str
    created_us: int
    changed_us: int
    removed_us: int | None


class Rotated(NamedTuple):
    """What became of a refresh token that was shown."""

    meaning: Presented
    family: Family | None


def credential(connection: sqlite3.Connection, username: str) -> Credential | None:
    """Who has this name, in its normal form."""
    row = connection.execute(
        "SELECT user_id, username, role, password_hash, removed_at IS NOT NULL FROM credentials "
        "WHERE username = ?",
        (username,),
    ).fetchone()
    return None if row is None else Credential(*row)


def name_of(connection: sqlite3.Connection, number: int) -> str | None:
    """What one of the staff, or a service account, is called; None: nobody of them has this number. Not a
    player: whoever acts for the house under the number of a wallet, by a token that was made for it, is not
    the one whose wallet it is."""
    row = connection.execute(
        "SELECT username FROM credentials WHERE user_id = :id AND role <> 'player' "
        "UNION ALL SELECT name FROM service_accounts WHERE id = :id",
        {"id": number},
    ).fetchone()
    return None if row is None else str(row[0])


def first_currency(connection: sqlite3.Connection) -> str | None:
    """That of the oldest books; None: there are none."""
    row = connection.execute("SELECT currency FROM users WHERE kind = 'house' ORDER BY id LIMIT 1").fetchone()
    return None if row is None else str(row[0])


def add_player(
    connection: sqlite3.Connection, user_id: int, username: str, password_hash: str, now_us: int
) -> None:
    """The player whose wallet has this number logs in by this name. Raises `NameTaken`."""
    _add(connection, user_id, username, PLAYER, password_hash, now_us)


def add_staff(
    connection: sqlite3.Connection, username: str, role: str, password_hash: str, now_us: int
) -> int:
    """One more of the staff; his number. Raises `NameTaken`."""
    (user_id,) = connection.execute(
        "SELECT coalesce(max(user_id), ?) + 1 FROM credentials WHERE user_id >= ?",
        (STAFF_ID_BASE - 1, STAFF_ID_BASE),
    ).fetchone()
    _add(connection, user_id, username, role, password_hash, now_us)
    return int(user_id)


def _add(
    connection: sqlite3.Connection, user_id: int, username: str, role: str, password_hash: str, now_us: int
) -> None:
    if credential(connection, username) is not None:
        raise NameTaken(username)
    connection.execute(
        "INSERT INTO credentials (user_id, username, role, password_hash, created_at, changed_at) "
        "VALUES (?, ?, ?, ?, ?, ?)",
        (user_id, username, role, password_hash, now_us, now_us),
    )


def hash_anew(connection: sqlite3.Connection, known: Credential, password_hash: str) -> None:
    """The same password under other parameters."""
    connection.execute(
        "UPDATE credentials SET password_hash = ? WHERE user_id = ?", (password_hash, known.user_id)
    )


def list_staff(connection: sqlite3.Connection) -> list[StaffMember]:
    """All of the staff, also who was removed."""
    rows = connection.execute(
        "SELECT user_id, username, role, created_at, changed_at, removed_at FROM credentials "
        "WHERE user_id >= ? ORDER BY user_id",
        (STAFF_ID_BASE,),
    )
    return [StaffMember(*row) for row in rows]


def remove_staff(connection: sqlite3.Connection, username: str, now_us: int) -> list[str]:
    """He logs in no more; the `sid`s that end. Raises `NoSuchName`."""
    member = _staff(connection, username)
    ended = _end_logins_of(connection, member.user_id, "removed", now_us)
    connection.execute("UPDATE credentials SET removed_at = ? WHERE user_id = ?", (now_us, member.user_id))
    return ended


def set_staff_password(
    connection: sqlite3.Connection, username: str, password_hash: str, now_us: int
) -> list[str]:
    """He has another password; the `sid`s that end with the old one. Raises `NoSuchName`."""
    member = _staff(connection, username)
    ended = _end_logins_of(connection, member.user_id, "password", now_us)
    connection.execute(
        "UPDATE credentials SET password_hash = ?, changed_at = ? WHERE user_id = ?",
        (password_hash, now_us, member.user_id),
    )
    return ended


def _staff(connection: sqlite3.Connection, username: str) -> Credential:
    known = credential(connection, username)
    if known is None or known.role == PLAYER or known.is_removed:
        raise NoSuchName(username)
    return known


def begin_login(connection: sqlite3.Connection, user_id: int, token_hash: bytes, now_us: int) -> int:
    """A log-in with its first refresh token; its number."""
    _forget_some(connection, now_us)
    began = connection.execute(
        "INSERT INTO logins (user_id, began_at, expires_at) VALUES (?, ?, ?)",
        (user_id, now_us, now_us + LOGIN_LIFE_S * 1_000_000),
    )
    assert began.lastrowid is not None
    _issue(connection, began.lastrowid, token_hash, now_us)
    return began.lastrowid


def _issue(connection: sqlite3.Connection, login_id: int, token_hash: bytes, now_us: int) -> None:
    connection.execute(
        "INSERT INTO refresh_tokens (hash, login_id, issued_at) VALUES (?, ?, ?)",
        (token_hash, login_id, now_us),
    )


def _forget_some(connection: sqlite3.Connection, now_us: int) -> None:
    over = connection.execute(
        "SELECT id FROM logins WHERE expires_at <= ? ORDER BY expires_at LIMIT ?", (now_us, OVER_A_LOGIN)
    ).fetchall()
    connection.executemany(
        "DELETE FROM refresh_tokens WHERE hash IN "
        "(SELECT hash FROM refresh_tokens WHERE login_id = ? LIMIT ?)",
        [(id_, 100 * OVER_A_REFRESH) for (id_,) in over],
    )
    connection.executemany(
        "DELETE FROM logins WHERE id = ? AND NOT EXISTS "
        "(SELECT 1 FROM refresh_tokens WHERE login_id = logins.id)",
        over,
    )


def is_over(connection: sqlite3.Connection, user_id: int, sid: str | None) -> bool:
    """Whether whoever acted under this number, one of the staff or a service account, does so no more, or not
    by what his token came from. `sid`: of that; None: it ends with its time only."""
    ((is_over,),) = connection.execute(
        """
        SELECT EXISTS (SELECT 1 FROM credentials WHERE user_id = :id AND removed_at IS NOT NULL)
            OR EXISTS (SELECT 1 FROM service_accounts WHERE id = :id AND revoked_at IS NOT NULL)
            OR EXISTS (SELECT 1 FROM logins WHERE id = :login AND ended_at IS NOT NULL)
            OR EXISTS (SELECT 1 FROM service_keys WHERE id = :key AND revoked_at IS NOT NULL)
        """,
        {"id": user_id, "login": login_of_sid(sid), "key": key_of_sid(sid)},
    ).fetchall()
    return bool(is_over)


def family(connection: sqlite3.Connection, token_hash: bytes, successor_hash: bytes) -> Family | None:
    """The family of the token with this hash; None: it was never issued, or is forgotten. `successor_hash`:
    that of the token which would take its place."""
    row = connection.execute(
        """
        SELECT login.id, login.user_id, person.role, login.expires_at, login.ended_at IS NOT NULL,
               token.used_at,
               EXISTS (SELECT 1 FROM refresh_tokens AS next
                       WHERE next.hash = token.successor AND next.hash = ? AND next.used_at IS NULL)
        FROM refresh_tokens AS token
        JOIN logins AS login ON login.id = token.login_id
        JOIN credentials AS person ON person.user_id = login.user_id
        WHERE token.hash = ?
        """,
        (successor_hash, token_hash),
    ).fetchone()
    return None if row is None else Family(*row)


def rotate(connection: sqlite3.Connection, token_hash: bytes, successor_hash: bytes, now_us: int) -> Rotated:
    """A refresh token is shown: put its successor in its place, or end its family, or neither."""
    found = family(connection, token_hash, successor_hash)
    meaning = presented(found, now_us)
    if found is not None and meaning is Presented.GOOD:
        connection.execute(
            "DELETE FROM refresh_tokens WHERE hash IN (SELECT hash FROM refresh_tokens "
            "WHERE login_id = ? AND used_at < ? ORDER BY used_at LIMIT ?)",
            (found.login_id, now_us - USED_KEPT_US, OVER_A_REFRESH),
        )
        connection.execute(
            "UPDATE refresh_tokens SET used_at = ?, successor = ? WHERE hash = ?",
            (now_us, successor_hash, token_hash),
        )
        _issue(connection, found.login_id, successor_hash, now_us)
    elif found is not None and meaning is Presented.REUSED:
        end_login(connection, found.login_id, "reused", now_us)
    return Rotated(meaning, found)


def end_login(connection: sqlite3.Connection, login_id: int, why: str, now_us: int) -> bool:
    """The log-in ends; False: it had."""
    ended = connection.execute(
        "UPDATE logins SET ended_at = ?, why = ? WHERE id = ? AND ended_at IS NULL", (now_us, why, login_id)
    )
    return ended.rowcount == 1


def _end_logins_of(connection: sqlite3.Connection, user_id: int, why: str, now_us: int) -> list[str]:
    live = connection.execute("SELECT id FROM logins WHERE user_id = ? AND ended_at IS NULL", (user_id,))
    return [sid_of_login(id_) for (id_,) in live.fetchall() if end_login(connection, id_, why, now_us)]


def ended_since(connection: sqlite3.Connection, since_us: int) -> list[tuple[str, int]]:
    """The `sid` of each log-in that was ended since then, and when."""
    logins = connection.execute("SELECT id, ended_at FROM logins WHERE ended_at >= ?", (since_us,)).fetchall()
    return [(sid_of_login(id_), at_us) for id_, at_us in logins]
