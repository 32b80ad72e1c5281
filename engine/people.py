"""Who may log in, and what a refresh token means when it is shown. Pure: the time is an argument.

Refresh tokens rotate (RFC 9700, section 4.14.2): each is good once, and its use brings the one that takes its
place. One that is used again is in two hands, so its whole family ends; but for a short while after its use,
as long as nobody has used its successor, it may be its owner who has not got the reply: he gets the very same
successor again (docs/adr/0023).
"""

from __future__ import annotations

import hashlib
import hmac
import unicodedata
from enum import Enum
from typing import Final, NamedTuple

STAFF_ID_BASE: Final = 2**50
"""From here on numbers are those of staff: above all wallets."""

SERVICE_ID_BASE: Final = 2**50 + 2**49
"""From here on those of service accounts, up to the bonus books (2^51)."""

PLAYER: Final = "player"
STAFF_ROLES: Final = ("operator", "auditor", "admin")
"""What one of the staff, or a service account, may be."""

SCOPES: Final = ("bets", "money", "payouts", "bonus", "wallets", "upkeep", "read")
"""What a service account may be for, of all that its role may do."""

ACCESS_LIFE_S: Final = 900
"""An access token: what it says cannot be taken back everywhere, so it is short."""

LOGIN_LIFE_S: Final = 30 * 86_400
"""A log-in, however often it is refreshed."""

GRACE_US: Final = 10_000_000
"""How long after its use a token may be shown again: a lost reply is noticed, and asked for again, sooner."""

USED_KEPT_US: Final = 7 * 86_400_000_000
"""How long a used token is remembered, so that showing it again ends its family. Behind that it is unknown:
refused all the same, and whoever of the two holds the good one has been refreshing it for a week."""

USERNAME_CHARS: Final = range(3, 65)
PASSWORD_CHARS: Final = range(8, 257)
"""NIST SP 800-63B: at least 8, and at least 64 allowed; a bound, because all of it is hashed."""

USERNAME_WORDS: Final = "username: expected 3 to 64 characters, no spaces, slashes or control characters"
PASSWORD_WORDS: Final = "password: expected 8 to 256 characters, no control or format characters"  # noqa: S105  # words
SCOPES_WORDS: Final = f"scopes: expected names out of {', '.join(SCOPES)}"

_UNSEEN: Final = frozenset(
    {
        *(0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x3164, 0xFFA0),
        *(*range(0x180B, 0x1810), *range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0)),
        *(0x2800, 0x16FE4, 0x1D159),
    }
)
"""Letters and marks that nobody sees, so that two names would look like one: Default_Ignorable_Code_Point
(Unicode, DerivedCoreProperties.txt) without category C, which RFC 8264 (PRECIS), section 9.13, forbids too;
and three that have no ink without being of these: BRAILLE PATTERN BLANK, KHITAN SMALL SCRIPT FILLER, MUSICAL
SYMBOL NULL NOTEHEAD."""

_DERIVED: Final = b"solidgreen refresh token successor\x00"
_KEPT: Final = b"solidgreen refresh token kept\x00"


class Presented(Enum):
    """What a refresh token means that is shown."""

    UNKNOWN = "unknown"
    """It was never issued, or so long ago that it is forgotten."""
    OVER = "over"
    """Its log-in has ended or expired."""
    GOOD = "good"
    """It is used now, and its successor takes its place."""
    AGAIN = "again"
    """It was used a moment ago, and its successor not yet: the reply was lost, or another asks beside it."""
    REUSED = "reused"
    """It is in two hands."""


class Family(NamedTuple):
    """A refresh token, and the log-in that it belongs to. Times: microseconds since the Unix epoch."""

    login_id: int
    user_id: int
    role: str
    expires_us: int
    """When the log-in does, at the latest."""
    has_ended: bool
    used_us: int | None
    """When this token was; None: it is good."""
    is_successor_good: bool
    """Whether the token that took its place has not been used."""


def presented(family: Family | None, now_us: int) -> Presented:
    """What a token of this family means now."""
    if family is None:
        return Presented.UNKNOWN
    if family.has_ended or now_us >= family.expires_us:
        return Presented.OVER
    if family.used_us is None:
        return Presented.GOOD
    # Either way: a wall clock that was set back must not lengthen the grace.
    if family.is_successor_good and abs(now_us - family.used_us) <= GRACE_US:
        return Presented.AGAIN
    return Presented.REUSED


def successor_of(secret: str, token: bytes) -> bytes:
    """The 32 bytes of the token that takes the place of `token`: the same whenever they are asked for, so
    they need be kept nowhere, and unknown to whoever has not got the secret (HMAC-SHA-256, RFC 2104)."""
    return hmac.digest(secret.encode(), _DERIVED + token, "sha256")


def kept_of(secret: str, token: bytes) -> bytes:
    """What is kept of a refresh token: under the server's secret (HMAC-SHA-256), so that another secret makes
    all of them unknown. Else whoever has had the old one, and any token of a log-in, has all its later
    ones."""
    return hmac.digest(secret.encode(), _KEPT + token, "sha256")


def hash_of(key: bytes) -> bytes:
    """What is kept of a service key."""
    return hashlib.sha256(key).digest()


def sid_of_login(login_id: int) -> str:
    """The `sid` of the access tokens of a log-in."""
    return f"l{login_id}"


def sid_of_key(key_id: int) -> str:
    """The `sid` of the access tokens that a service key was exchanged for."""
    return f"k{key_id}"


def login_of_sid(sid: str | None) -> int | None:
    """The log-in that an access token comes from; None: from none."""
    return _number_in(sid, "l")


def key_of_sid(sid: str | None) -> int | None:
    """The service key that an access token was exchanged for; None: from none."""
    return _number_in(sid, "k")


def _number_in(sid: str | None, kind: str) -> int | None:
    return int(sid[1:]) if sid is not None and sid[:1] == kind and sid[1:].isdecimal() else None


def normal_username(given: str) -> str | None:
    """The name as it is kept: NFKC and case-folded, so that nobody can register a name that looks like
    another's by its width or case; None: it is no name."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", given).casefold())
    is_name = len(folded) in USERNAME_CHARS and not any(map(_is_no_letter, folded))
    return folded if is_name else None


def normal_password(given: str) -> str | None:
    """The password as it is hashed: NFKC, since keyboards differ in how they compose the same letters (NIST
    SP 800-63B, section 3.1.1.2); None: it is none."""
    normal = unicodedata.normalize("NFKC", given)
    if len(normal) not in PASSWORD_CHARS or any(unicodedata.category(each)[0] == "C" for each in normal):
        return None
    return normal


def normal_scopes(given: list[str] | None) -> str | None:
    """Scopes as they are kept, sorted, with a space between two; None: all that the role may do. Raises
    `ValueError`."""
    if given is None:
        return None
    if not given or not set(given) <= set(SCOPES):
        raise ValueError(SCOPES_WORDS)
    return " ".join(sorted(set(given)))


def _is_no_letter(character: str) -> bool:
    # C: control, format, surrogates, what this version of Unicode does not know. Z: spaces of all kinds. A
    # slash would end a name that stands in a path.
    return unicodedata.category(character)[0] in "CZ" or character == "/" or ord(character) in _UNSEEN
