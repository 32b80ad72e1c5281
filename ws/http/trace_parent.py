"""Which trace a request says that it is a part of. Pure. Source: W3C Trace Context, section 3.2.

It is a stranger's text, and kept for as long as his socket lives: so nothing but what has the form is kept,
and anything else is as if it were not there. Whether a command is traced at all: `ws/watching/traces.py`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

HEADER: Final = "traceparent"

CHARS: Final = 55
"""Of version 00. Later versions begin likewise, and what more they say comes behind another hyphen."""

_fits = re.compile(
    r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(-.*)?", re.DOTALL
).fullmatch


def trace_parent(given: Sequence[str]) -> str | None:
    """The parent, in version 00's form. `given`: all headers of that name; of none, two, or one that is not
    sound there is none.
    """
    if len(given) != 1 or not _fits(given[0]) or (given[0].startswith("00") and len(given[0]) > CHARS):
        return None
    return given[0][:CHARS]
