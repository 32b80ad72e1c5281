"""The command `health`: asks a running server whether bets are taken, for the checks of containers and load
balancers, where there is no other HTTP client.
"""

from __future__ import annotations

import argparse
import http.client
import json
import ssl
import urllib.error
import urllib.request
from typing import Final

from ws.settings import DEFAULT_HOST, DEFAULT_PORT, url_from_here, variable

WITHIN_S: Final = 4.0
ANSWER_BYTES_MAX: Final = 65_536


def health(options: argparse.Namespace) -> int:
    """Print what the server says of itself; 1 if it takes no bets, or does not answer."""
    url = f"{(options.url or own_url()).rstrip('/')}/health/ready"
    try:
        trusted = None if options.url else own_certificate()
        with urllib.request.urlopen(url, timeout=WITHIN_S, context=trusted) as answer:  # noqa: S310  his own address
            said = answer.read(ANSWER_BYTES_MAX)
            is_ready = True
    except urllib.error.HTTPError as error:
        said, is_ready = error.read(ANSWER_BYTES_MAX), False
    except (OSError, ValueError, http.client.HTTPException) as error:
        print(f"{url}: no answer: {getattr(error, 'reason', None) or error}")
        return 1
    try:
        report = json.loads(said)
        # A problem (RFC 9457) has a `status` as well: it is a number.
        is_report = isinstance(report["status"], str)
    except (ValueError, TypeError, LookupError):
        is_report = False
    if not is_report:
        print(f"{url}: is no health report of Solid Green")
        return 1
    print(json.dumps(report))
    return 0 if is_ready else 1


def own_url() -> str:
    """Where a `serve` with this environment is reached from here."""
    host, port = variable("host", DEFAULT_HOST), variable("port", str(DEFAULT_PORT))
    return url_from_here(str(host), str(port), is_tls=variable("tls_certificate") is not None)


def own_certificate() -> ssl.SSLContext | None:
    """Trusts the very certificate that such a `serve` shows, whatever name is in it; None: it shows none.
    Raises `OSError` where that cannot be read."""
    path = variable("tls_certificate")
    if path is None:
        return None
    context = ssl.create_default_context(cafile=path)
    context.check_hostname = False  # it is asked for by its address
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # and need not come with its root
    # From Python 3.13 on it could not be of version 1, as many a recipe for one of an own making has it.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context
