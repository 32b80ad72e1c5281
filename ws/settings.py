"""What can be configured. Each setting is also an environment variable: `SOLIDGREEN_` and its name."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from batcher.breaker import BreakerLimits
from batcher.nonces import NONCE_LIMITS
from engine.errors import SolidGreenError
from engine.files import make_secret
from ws.rates.rates import RateLimits

SECRET_BYTES_MIN = 32
"""HS256 wants a key at least as long as its hash (RFC 7518, section 3.2)."""

SOCKETS_PER_USER = 256
"""Sockets of one user id at a time: a person has a few, a partner's server with an id of its own a pool."""


DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 8000

VARIABLES: Final = frozenset(
    {
        *("db", "host", "port", "redis_url", "origins", "trusted_proxies", "rate_address", "rate_user"),
        *("rate_money", "rate_login", "rate_refresh", "rate_limits_in", "tls_certificate", "tls_key"),
        *("signing_key", "sockets_per_user", "registration", "self_check_s", "heads", "breaker_commit_ms"),
        *("breaker_queue_ms", "breaker_stable_ms", "nonce_stable_ms", "url", "log_level", "log_format"),
        *("access_log", "traces", "trace_ratio", "house_floor", "jwt_secret"),
    }
)
"""The names of all that may be set in the environment, in small letters and without `SOLIDGREEN_`."""

_PREFIX: Final = "SOLIDGREEN_"


class SettingInvalid(SolidGreenError):
    """A setting has a value that makes no sense. The message names it."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that `serve` can be told."""

    db: Path
    """The database file."""
    jwt_secret: str = field(repr=False)
    """Signs and checks access tokens (HS256); at least 32 bytes."""
    host: str = DEFAULT_HOST
    port: int = DEFAULT_PORT
    """0 takes any free port."""
    redis_url: str | None = None
    """Where nonces are kept; without it, in this process's memory."""
    origins: frozenset[str] = frozenset()
    """Origins of pages that may connect, besides the server's own."""
    signing_key: Path | None = None
    """Signs blocks (Ed25519, PEM); without it, the key beside the database."""
    self_check_s: int = 86_400
    """From one look at the books to the next; 0: never."""
    heads: str | None = None
    """The file, or the http(s) URL, that gets the newest block's head when it changes."""
    tls_certificate: Path | None = None
    """PEM, with those between it and a root: serve TLS. With `tls_key`, or neither."""
    tls_key: Path | None = None
    """Its private key, PEM, without a password."""
    sockets_per_user: int = SOCKETS_PER_USER
    """Sockets that one user may have at a time; the next one is refused."""
    registration: bool = True
    """Whether strangers may register as players."""
    breaker: BreakerLimits = field(default_factory=BreakerLimits)
    """When the circuit opens, and when it closes again."""
    nonce_breaker: BreakerLimits = NONCE_LIMITS
    """The same of the breaker in front of Redis."""
    rates: RateLimits = field(default_factory=RateLimits)
    """How often one may ask over HTTP."""
    rates_in_redis: bool = False
    """Whether that is counted in the Redis of `redis_url`, not in memory."""
    trusted_proxies: frozenset[str] = frozenset()
    """Addresses and networks of proxies whose word on the client's address is taken."""
    access_log: bool = False
    """Whether each HTTP request has a line in the log."""
    traces: str | None = None
    """Where spans are sent, by OTLP over HTTP; None: nothing is traced."""
    trace_ratio: float = 0.01
    """Of the commands, how many are traced; 0 to 1."""


def url_from_here(host: str, port: int | str, *, is_tls: bool) -> str:
    """How a server that listens on `host` is reached from its own machine."""
    here = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104  whoever reads it is here
    return f"{'https' if is_tls else 'http'}://{f'[{here}]' if ':' in here else here}:{port}"


def variable(
    name: str, default: str | None = None, environment: Mapping[str, str] = os.environ
) -> str | None:
    """The value of `SOLIDGREEN_{NAME}`; an empty one counts as absent."""
    assert name in VARIABLES, name
    return environment.get(f"{_PREFIX}{name.upper()}") or default


def mistyped(environment: Mapping[str, str] = os.environ) -> list[str]:
    """A sentence for each variable that begins like a setting and is none: whoever has set it believes that
    it does something."""
    from difflib import get_close_matches  # only for those who have mistyped something

    known = sorted(f"{_PREFIX}{name.upper()}" for name in VARIABLES)
    told = []
    for name in sorted(environment):
        if name.startswith(_PREFIX) and name not in known:
            meant = get_close_matches(name, known, n=1, cutoff=0.8)
            told.append(f"{name} is no setting{f'; {meant[0]} is one' if meant else ''}")
    return told


def secret_file(db: Path) -> Path:
    """Where the secret is kept that was made for `db`."""
    return db.with_name(f"{db.name}.jwt-secret")


def jwt_secret(db: Path, *, create: bool, given: str | None = None) -> str:
    """The secret that signs tokens: `given`, or the file beside `db`, made once with mode 0600 if `create`.

    Raises `SettingInvalid` if it is too short, or absent and not to be made.
    """
    named = f"{_PREFIX}JWT_SECRET"
    if given is None:
        beside = secret_file(db)
        named = str(beside)
        try:
            if create and not beside.exists():
                make_secret(beside, secrets.token_urlsafe(48).encode())
            given = beside.read_text(encoding="ascii").strip()
        except OSError as error:
            raise SettingInvalid(f"{beside}: {error.strerror}; or set SOLIDGREEN_JWT_SECRET") from error
        except UnicodeDecodeError as error:
            raise SettingInvalid(f"{beside}: is not the secret that was made there; delete it") from error
    try:
        size_bytes = len(given.encode())
    except UnicodeEncodeError as error:
        raise SettingInvalid(f"{named}: is not UTF-8") from error
    if size_bytes < SECRET_BYTES_MIN:
        raise SettingInvalid(f"{named}: is shorter than {SECRET_BYTES_MIN} bytes")
    return given
