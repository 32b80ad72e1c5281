"""Headers that every answer over HTTP has, unless its route has set them itself. Pure.

What they forbid is what an answer of a wallet must never be used for: to run as a page, to be framed by one,
to be kept by a cache. A route that is a page says so by headers of its own. Source: OWASP, HTTP Headers Cheat
Sheet; RFC 6797; RFC 9111.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

Headers = list[tuple[bytes, bytes]]

ALWAYS: Final[Headers] = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
    # Whoever opens an answer in a browser may speak to this server from its console, as the README has it.
    (b"content-security-policy", b"default-src 'none'; connect-src 'self'; frame-ancestors 'none'"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
]

OVER_TLS: Final[Headers] = [*ALWAYS, (b"strict-transport-security", b"max-age=31536000")]
"""A year, as browsers' lists ask for; without TLS it would be ignored (RFC 6797, section 8.1)."""


def completed(headers: Iterable[tuple[bytes, bytes]], scheme: str) -> Headers:
    """`headers` of an answer, names in lower case, and what is missing in them. `scheme`: of the request."""
    given = list(headers)
    names = {name for name, _ in given}
    return given + [each for each in (OVER_TLS if scheme == "https" else ALWAYS) if each[0] not in names]
