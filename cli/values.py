"""What the values of options mean: each reads one from the command line or the environment."""

from __future__ import annotations

import argparse
import re
from ipaddress import ip_network
from pathlib import Path

from limits import RateLimitItem

from cli.times import parse_time_us
from engine.money import BOOK_FLOOR_MINOR, CURRENCY_DECIMALS, WIRE_MAX_MINOR, is_currency
from ws.people.messages import GRACE_S_MAX
from ws.rates import rates
from ws.watching.logs import FORMATS

LOG_LEVELS = ("debug", "info", "warning", "error")

STATEMENT_FORMATS = ("text", "csv", "json")
"""What `cli.statements` can print."""

ORIGIN = re.compile(
    r"(?!http://.*:80$|https://.*:443$)[a-z][a-z0-9+.-]*://(?:[a-z0-9._-]+|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?"
)
"""As a browser writes it (RFC 6454, section 6.2): in small letters, no path, no default port."""


def integer(text: str, low: int, high: int) -> int:
    """An integer of that range. Raises `ArgumentTypeError`, as all of these do, in words for people."""
    digits = text.removeprefix("-")
    # The length first: int() raises for thousands of digits.
    if not (digits.isascii() and digits.isdigit() and len(digits) < 20 and low <= int(text) <= high):
        raise argparse.ArgumentTypeError(f"expected an integer from {low} to {high}, not {text[:40]!r}")
    return int(text)


def database(text: str) -> Path:
    """The file; of a symbolic link the one that it leads to, as SQLite has it. Its lock, and whatever else
    stands beside it, has that name: by two names, two processes would write to one file."""
    path = Path(text)
    try:
        return path.resolve(strict=True) if path.is_symlink() else path
    except (OSError, RuntimeError):  # it leads nowhere, or in a circle: whoever opens it says so
        return path


def port(text: str) -> int:
    """A TCP port; 0 stands for any."""
    return integer(text, 0, 65_535)


def count(text: str) -> int:
    """How many, or which: from 1."""
    return integer(text, 1, WIRE_MAX_MINOR)


def amount(text: str) -> int:
    """Minor units, from 0."""
    return integer(text, 0, WIRE_MAX_MINOR)


def actor(text: str) -> int:
    """Who is named in the audit log: a user, or 0 for the command line."""
    return integer(text, 0, WIRE_MAX_MINOR)


def seconds(text: str) -> int:
    """A time span; 0 is one as well."""
    return integer(text, 0, 10**9)


def breaker_ms(text: str) -> int:
    """A threshold of the circuit breaker."""
    return integer(text, 500, 3_600_000)  # the circuit closes again below 250 ms: room between the two


def stable_ms(text: str) -> int:
    """A window of unbroken health."""
    return integer(text, 100, 3_600_000)


def sockets(text: str) -> int:
    """How many sockets, at least one."""
    return integer(text, 1, 1_000_000)


def grace(text: str) -> int:
    """Seconds that earlier keys stay good."""
    return integer(text, 0, GRACE_S_MAX)


def switch(text: str) -> bool:
    """On or off."""
    if text not in ("on", "off"):
        raise argparse.ArgumentTypeError(f"expected on or off, not {text[:40]!r}")
    return text == "on"


def floor(text: str) -> int:
    """How far below zero a book may go, in minor units."""
    return integer(text, BOOK_FLOOR_MINOR, 0)


def rate(text: str) -> RateLimitItem | None:
    """How often, such as `600/minute`; None for `off`."""
    try:
        return rates.rate(text)
    except rates.RateInvalid as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def rates_in(text: str) -> str:
    """Where requests are counted."""
    if text not in ("memory", "redis"):
        raise argparse.ArgumentTypeError(f"expected memory or redis, not {text[:40]!r}")
    return text


def origins(text: str) -> frozenset[str]:
    """Origins of web pages, separated by commas, each by its name."""
    named = frozenset(filter(None, (origin.strip() for origin in text.split(","))))
    for origin in named - {"null"}:
        # Browsers send it so, to the letter: with more, less or in capitals it would be nobody's.
        if not ORIGIN.fullmatch(origin):
            raise argparse.ArgumentTypeError(
                "expected origins such as https://casino.example or http://127.0.0.1:8001, "
                f"not {origin[:80]!r}"
            )
    return named


def proxies(text: str) -> frozenset[str]:
    """IP addresses and networks, separated by commas; a name, or `*`, would be anybody's."""
    named = frozenset(filter(None, (proxy.strip() for proxy in text.split(","))))
    for proxy in named:
        try:
            ip_network(proxy)
        except ValueError as error:
            raise argparse.ArgumentTypeError(f"expected IP addresses and networks: {error}") from error
    return named


def log_level(text: str) -> str:  # argparse does not hold a default, so the environment, against `choices`
    """One of `LOG_LEVELS`."""
    if text not in LOG_LEVELS:
        raise argparse.ArgumentTypeError(f"expected one of {', '.join(LOG_LEVELS)}, not {text!r}")
    return text


def log_format(text: str) -> str:
    """One of `ws.watching.logs.FORMATS`."""
    if text not in FORMATS:
        raise argparse.ArgumentTypeError(f"expected one of {', '.join(FORMATS)}, not {text[:40]!r}")
    return text


def ratio(text: str) -> float:
    """A share, 0 to 1, as a decimal fraction."""
    if re.fullmatch(r"[01]|0?\.[0-9]{1,9}|1\.0{1,9}", text) is None:
        raise argparse.ArgumentTypeError(f"expected a number from 0 to 1, such as 0.01, not {text[:40]!r}")
    return float(text)


def currency(text: str) -> str:
    """A code of ISO 4217 that the engine knows."""
    if not is_currency(text):
        raise argparse.ArgumentTypeError(
            f"expected one of {', '.join(sorted(CURRENCY_DECIMALS))}, not {text!r}"
        )
    return text


def time(text: str) -> int:
    """Microseconds since the Unix epoch, of an RFC 3339 time."""
    try:
        return parse_time_us(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r}: {error}") from error
