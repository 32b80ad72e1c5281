"""What strangers can make the log say, by sending bytes: once a minute, not once for each of them.

uvicorn has a line, or a traceback, for every connection that breaks HTTP or UTF-8. A stranger makes thousands
of those a second, which would be 14 GB a day on the disk that the wallet is on.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Final

BY_STRANGERS: Final = frozenset(
    {
        "Invalid HTTP request received.",
        "Invalid UTF-8 sequence received from client.",
    }
)

TOLD_S: Final = 60.0
"""From one line to the next of the same words."""


class Hushed(logging.Filter):
    """Lets each line that strangers cause through once in `TOLD_S`, as a warning without a traceback, and all
    others as they are."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock`: in seconds."""
        super().__init__()
        self._clock = clock
        self._told_s: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the line is to be logged."""
        words = record.msg
        if not isinstance(words, str) or words not in BY_STRANGERS:
            return True
        now_s = self._clock()
        if now_s - self._told_s.get(words, float("-inf")) < TOLD_S:
            return False
        self._told_s[words] = now_s
        record.exc_info = record.exc_text = None
        record.levelno, record.levelname = logging.WARNING, "WARNING"
        return True
