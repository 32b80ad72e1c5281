"""What people and programs show to be let in, what they are given, and why they are refused."""

from __future__ import annotations

import base64
import secrets
from typing import Final, NamedTuple

from engine.errors import SolidGreenError
from engine.outcomes import Code
from engine.people import (
    PASSWORD_WORDS,
    STAFF_ROLES,
    USERNAME_WORDS,
    hash_of,
    normal_password,
    normal_username,
)

SECRET_BYTES: Final = 32
REFRESH_PREFIX: Final = "sgr_"
KEY_PREFIX: Final = "sg_"
"""So that whoever finds one in a log or a repository knows what it is, and scanners can look for it."""
SHOWN_CHARS: Final = 8
"""How much of a key is kept to tell it from others: 30 of its 256 bits."""

WRONG: Final = "unknown username or wrong password"
NO_TOKEN: Final = "the refresh token is not valid; log in again"  # noqa: S105  # words
NO_KEY: Final = "the key is not valid"


class PeopleRefused(SolidGreenError):
    """What was asked for is not done: a code of the wire, its words, and when it may be asked again."""

    def __init__(self, code: Code, words: str, retry_after_s: float | None = None) -> None:
        super().__init__(words)
        self.code = code
        self.words = words
        self.retry_after_s = retry_after_s


class LoggedIn(NamedTuple):
    """Who acts, with what, and for how many seconds. `refresh_token`: None for a service account."""

    user_id: int
    role: str
    access_token: str
    access_life_s: int
    refresh_token: str | None = None
    refresh_life_s: int | None = None
    scope: str | None = None


def name_of(given: str) -> str:
    """The name as it is kept. Raises `PeopleRefused`, INVALID_REQUEST, as the next two do."""
    name = normal_username(given)
    if name is None:
        raise PeopleRefused(Code.INVALID_REQUEST, USERNAME_WORDS)
    return name


def password_of(given: str) -> str:
    """The password as it is hashed."""
    normal = normal_password(given)
    if normal is None:
        raise PeopleRefused(Code.INVALID_REQUEST, PASSWORD_WORDS)
    return normal


def check_role(role: str) -> None:
    """Refuse what none of the staff is."""
    if role not in STAFF_ROLES:
        raise PeopleRefused(Code.INVALID_REQUEST, f"role: expected {', '.join(STAFF_ROLES)}")


def taken() -> PeopleRefused:
    """The name is the key of a registration, and was used for another."""
    return PeopleRefused(Code.IDEMPOTENCY_CONFLICT, "username: this name is taken")


def new_key() -> tuple[str, bytes, str]:
    """A key, what is kept of it, and how it begins."""
    secret = secrets.token_bytes(SECRET_BYTES)
    key = text_of(KEY_PREFIX, secret)
    return key, hash_of(secret), key[:SHOWN_CHARS]


def text_of(prefix: str, secret: bytes) -> str:
    """How it is written."""
    return prefix + base64.urlsafe_b64encode(secret).rstrip(b"=").decode()


def bytes_of(prefix: str, text: str) -> bytes | None:
    """The secret that this text stands for; None: for none, or it is written otherwise than we write it."""
    try:
        secret = base64.urlsafe_b64decode(text.removeprefix(prefix) + "=")
    except ValueError:  # no base64, or not even ASCII
        return None
    return secret if len(secret) == SECRET_BYTES and text_of(prefix, secret) == text else None
