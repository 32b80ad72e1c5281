"""The command `health`: asks a running server whether bets are taken, for the checks of containers and load
balancers, where there is no other HTTP client.
"""

from __future__ import annotations

import argparse
import http.client
import json
import urllib.error
import urllib.request
from typing import Final

WITHIN_S: Final = 4.0
ANSWER_BYTES_MAX: Final = 65_536


def health(options: argparse.Namespace) -> int:
    """Print what the server says of itself; 1 if it takes no bets, or does not answer."""
    url = f"{options.url.rstrip('/')}/health/ready"
    try:
        with urllib.request.urlopen(url, timeout=WITHIN_S) as answer:  # noqa: S310  the operator's own address
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
