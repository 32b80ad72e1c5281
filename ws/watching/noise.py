"""What would fill the log: what strangers can make it say, and a fault that meets every request.

uvicorn has a line, or a traceback, for every connection that breaks HTTP or UTF-8. A stranger makes thousands
of those a second, which would be 14 GB a day on the disk that the wallet is on. And a disk that cannot be
read or has no room costs a line, or a traceback, for each request or batch that comes: on a full disk they
would take the room that is left for the wallet's own log.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
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

ERRORS_MAX: Final = 10
"""Errors of the same words that are logged in `TOLD_S`: enough to see whom they meet, and 40 MB of tracebacks
a day."""

OURS: Final = "solidgreen"
TRACES: Final = "opentelemetry"
"""How the names of the loggers begin whose words are few, with what differs given beside: the house's own,
and that which sends traces, which warns of each batch that a collector does not take."""


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


class Spared(logging.Filter):
    """Lets the first `ERRORS_MAX` errors of the same words through in `TOLD_S`; the first one after that says
    how many were kept back. Critical lines, and ours that are less than an error, it lets through: those who
    say them see to it themselves that they are few.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock`: in seconds."""
        super().__init__()
        self._clock = clock
        self._since_s: dict[tuple[str, str], float] = {}
        self._met: Counter[tuple[str, str]] = Counter()

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the line is to be logged."""
        is_ours = record.name.startswith(OURS) and record.levelno == logging.ERROR
        is_of_traces = record.name.startswith(TRACES) and record.levelno <= logging.ERROR
        if not is_ours and not is_of_traces:
            return True
        words, now_s = (record.name, str(record.msg)), self._clock()
        if now_s - self._since_s.get(words, float("-inf")) >= TOLD_S:
            kept_back = self._met[words] - ERRORS_MAX
            self._since_s[words], self._met[words] = now_s, 0
            if kept_back > 0:
                record.msg = f"{record.getMessage()} (and {kept_back} more like it, which were not logged)"
                record.args = ()
        self._met[words] += 1
        return self._met[words] <= ERRORS_MAX
