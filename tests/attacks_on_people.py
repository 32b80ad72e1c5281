"""Attacks on who may log in: numbers given twice, secrets in the clear, what was taken back given out again.

None of them writes by REPLACE: nothing here is history, and whoever has a shell on the file can make himself
an admin by INSERT (docs/schema.md).
"""

from __future__ import annotations

from tests.book_rows import KEY, LOGIN, MEMBER, PROGRAM, TOKEN, Row, Value, insert, update
from tests.books import Attack, attacks

STAFF = 2**50
PROGRAMS = 2**50 + 2**49

ANOTHER_MEMBER: Row = {**MEMBER, "user_id": STAFF + 1, "username": "bert"}
ANOTHER_LOGIN: Row = {**LOGIN, "id": 2}
ANOTHER_TOKEN: Row = {**TOKEN, "hash": b"\x02" * 32, "used_at": 5, "successor": b"\x01" * 32}
ANOTHER_PROGRAM: Row = {**PROGRAM, "id": PROGRAMS + 1, "name": "billing"}
ANOTHER_KEY: Row = {**KEY, "id": 2, "hash": b"\x04" * 32}

_BENT: list[tuple[str, Row, dict[str, Value], str]] = [
    ("credentials", ANOTHER_MEMBER, {"username": "ab"}, "length.username."),
    ("credentials", ANOTHER_MEMBER, {"username": "anna"}, "UNIQUE constraint failed: credentials.username"),
    ("credentials", ANOTHER_MEMBER, {"role": "god"}, "known_role_of_a_person"),
    ("credentials", ANOTHER_MEMBER, {"role": "player"}, "staff_are_numbered_above_all_wallets"),
    ("credentials", ANOTHER_MEMBER, {"user_id": 9}, "staff_are_numbered_above_all_wallets"),
    ("credentials", ANOTHER_MEMBER, {"user_id": PROGRAMS}, "people_are_numbered_below_service_accounts"),
    ("credentials", ANOTHER_MEMBER, {"role": "player", "user_id": 0}, "people_are_numbered_below"),
    ("credentials", ANOTHER_MEMBER, {"password_hash": "correct horse"}, "passwords_are_kept_as_argon2id"),
    ("logins", ANOTHER_LOGIN, {"expires_at": 1}, "expires_at > began_at"),
    ("logins", ANOTHER_LOGIN, {"ended_at": 5, "why": "bored"}, "known_end_of_a_login"),
    ("logins", ANOTHER_LOGIN, {"ended_at": 5}, "an_end_has_a_reason"),
    ("refresh_tokens", ANOTHER_TOKEN, {"hash": b"x"}, r"length.hash. = 32"),
    ("refresh_tokens", ANOTHER_TOKEN, {"successor": b"x"}, r"length.successor. = 32"),
    ("refresh_tokens", ANOTHER_TOKEN, {"successor": None}, "what_is_used_has_a_successor"),
    (
        "refresh_tokens",
        ANOTHER_TOKEN,
        {"used_at": None, "successor": None},
        "UNIQUE constraint failed: refresh_tokens.login_id",
    ),
    ("service_accounts", ANOTHER_PROGRAM, {"id": PROGRAMS - 1}, "service_accounts_stand_apart"),
    ("service_accounts", ANOTHER_PROGRAM, {"id": 2**51}, "service_accounts_stand_apart"),
    ("service_accounts", ANOTHER_PROGRAM, {"name": "ab"}, "length.name."),
    (
        "service_accounts",
        ANOTHER_PROGRAM,
        {"name": "partner"},
        "UNIQUE constraint failed: service_accounts.name",
    ),
    ("service_accounts", ANOTHER_PROGRAM, {"role": "player"}, "known_role_of_a_program"),
    ("service_keys", ANOTHER_KEY, {"hash": b"x"}, "length.hash. = 32"),
    ("service_keys", ANOTHER_KEY, {"hash": KEY["hash"]}, "UNIQUE constraint failed: service_keys.hash"),
]

_IS_REMOVED = update("credentials", f"user_id = {STAFF}", {"removed_at": 7})
_IS_ENDED = update("logins", "id = 1", {"ended_at": 7, "why": "logout"})
_IS_USED = update("refresh_tokens", "login_id = 1", {"used_at": 7, "successor": b"\x09" * 32})


def _behind(*sql: str) -> str:
    return "BEGIN;\n" + "".join(sql) + "COMMIT;\n"


PEOPLE = [
    *(
        Attack(f"{table} with {bent}", insert(table, {**row, **bent}), words)
        for table, row, bent, words in _BENT
    ),
    *attacks(
        "credentials: number and role do not change",
        {
            "one of the staff who becomes an admin": "UPDATE credentials SET role = 'admin'",
            "a player who becomes another": "UPDATE credentials SET user_id = user_id + 1",
        },
    ),
    *attacks("credentials are not deleted", {"one of the staff forgotten": "DELETE FROM credentials"}),
    *attacks(
        "credentials: who was removed stays so",
        {
            "one of the staff who comes back": _behind(
                _IS_REMOVED,
                update("credentials", f"user_id = {STAFF}", {"removed_at": None, "changed_at": 8}),
            )
        },
    ),
    *attacks(
        "logins: whose it is, and how long, does not change",
        {
            "a log-in for ever": "UPDATE logins SET expires_at = expires_at + 1",
            "a log-in that is younger": "UPDATE logins SET began_at = began_at + 1",
            "another's log-in": "UPDATE logins SET user_id = 9",
        },
    ),
    *attacks(
        "logins: what has ended stays so",
        {"a log-in that ends later": _behind(_IS_ENDED, "UPDATE logins SET ended_at = 8;\n")},
    ),
    *attacks(
        "refresh_tokens: used once",
        {
            "a token that is good again": _behind(
                _IS_USED, "UPDATE refresh_tokens SET used_at = NULL, successor = NULL;\n"
            ),
            "a token with another successor": _behind(
                _IS_USED, "UPDATE refresh_tokens SET successor = zeroblob(32);\n"
            ),
        },
    ),
    *attacks(
        "service_accounts: number, role and scopes do not change",
        {
            "a program that may do everything": "UPDATE service_accounts SET scopes = NULL",
            "a program that becomes an admin": "UPDATE service_accounts SET role = 'admin'",
            "a program that becomes another": "UPDATE service_accounts SET id = id + 1",
        },
    ),
    *attacks("service_accounts are not deleted", {"a program forgotten": "DELETE FROM service_accounts"}),
    *attacks(
        "service_accounts: what was revoked stays so",
        {
            "a program that comes back": _behind(
                "UPDATE service_accounts SET revoked_at = 7;\n",
                "UPDATE service_accounts SET revoked_at = NULL, created_at = 8;\n",
            )
        },
    ),
    *attacks(
        "service_keys: what was revoked stays so",
        {
            "a key that is good again": _behind(
                "UPDATE service_keys SET revoked_at = 7;\n",
                "UPDATE service_keys SET revoked_at = NULL, created_at = 8;\n",
            )
        },
    ),
]

NOBODYS = [
    Attack("a log-in of nobody", insert("logins", {**ANOTHER_LOGIN, "user_id": 99}), "FOREIGN KEY"),
    Attack(
        "a token of no log-in", insert("refresh_tokens", {**ANOTHER_TOKEN, "login_id": 99}), "FOREIGN KEY"
    ),
    Attack("a key of no program", insert("service_keys", {**ANOTHER_KEY, "account_id": 99}), "FOREIGN KEY"),
    Attack("a log-in taken from under its tokens", "DELETE FROM logins", "FOREIGN KEY"),
]
