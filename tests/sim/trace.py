"""All that happens in a world, line by line."""

from __future__ import annotations

import hashlib
import logging
from collections import Counter
from typing import Final

from tests.sim.loop import Scheduler

NEVER_LOGGED: Final = (
    "has died",
    "broke its contract",
    "failed to take its answer",
    "could not be posted",
    "failed to deliver",
    "fails by itself",
)
"""What the server says of bugs of its own."""


class Trace(logging.Handler):
    """What is noted, and what the server logs; `digest` tells two worlds apart."""

    def __init__(self, scheduler: Scheduler) -> None:
        super().__init__(logging.INFO)
        self.lines: list[str] = []
        self.logged: Counter[str] = Counter()
        self._scheduler = scheduler

    def note(self, *what: object) -> None:
        self.lines.append(f"{self._scheduler.now_us:>11,} {' '.join(map(str, what))}")

    def emit(self, record: logging.LogRecord) -> None:
        message = record.getMessage()
        self.logged[f"{record.levelname} {record.msg}"] += 1
        self.note("LOG", record.levelname, message)
        if any(each in message for each in NEVER_LOGGED):
            error = record.exc_info[1] if record.exc_info else None
            self._scheduler.abort(f"the server says: {message} ({error!r})")

    def digest(self) -> str:
        return hashlib.sha256("\n".join(self.lines).encode()).hexdigest()
