"""The name of the HTTP request that is being answered: in its answer, and in whatever is logged on its
behalf.

A client may bring a name of its own, to find its request in the log. It is a stranger's text, and goes into
headers and lines of a log: so only what cannot be mistaken for anything else is taken, and anything else is
replaced without a word.
"""

from __future__ import annotations

import re
import uuid
from contextvars import ContextVar
from typing import Final

HEADER: Final = b"x-request-id"

SOUND: Final = re.compile(rb"[A-Za-z0-9._-]{1,64}")

request_id: Final[ContextVar[str | None]] = ContextVar("request_id", default=None)
"""Of the request that this task answers; None elsewhere."""


def named(brought: list[bytes]) -> str:
    """The name that the client has brought, in the one header of it, if it can be taken; else a new one, a
    UUID of version 4.
    """
    if len(brought) == 1 and SOUND.fullmatch(brought[0]):
        return brought[0].decode("ascii")
    return str(uuid.uuid4())
