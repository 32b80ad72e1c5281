"""Times as people write them: RFC 3339, in and out."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final

RFC3339: Final = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)?")
"""The form of RFC 3339, section 5.6; without an offset it is refused with words of its own."""

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def parse_time_us(text: str) -> int:
    """Microseconds since the Unix epoch of an RFC 3339 time. Raises `ValueError` without an offset, and where
    UTC has no such year.
    """
    if not RFC3339.fullmatch(text):
        raise ValueError("an RFC 3339 time is a date, a time and Z or an offset: 2026-01-31T12:00:00Z")
    moment = datetime.fromisoformat(text.upper())
    if moment.tzinfo is None:
        raise ValueError("an RFC 3339 time ends with Z or an offset, such as 2026-01-31T12:00:00Z")
    try:
        since = moment.astimezone(UTC) - EPOCH
    except OverflowError as error:
        raise ValueError("in UTC it is before the year 1 or after 9999") from error
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def rfc3339(at_us: int) -> str:
    """`at_us` in UTC, to the microsecond: 2026-01-31T12:00:00.000000Z."""
    moment = EPOCH + timedelta(microseconds=at_us)
    return moment.isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"
