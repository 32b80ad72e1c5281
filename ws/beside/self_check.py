"""The daily look at the books while bets go on: `verify`, with what it found in the log and in
`/health/ready`.

In a process of its own (ws/beside/apart.py), and ended with the server.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
from pathlib import Path
from typing import Any, Final, NamedTuple

from engine.sizes import rows_of_tables
from engine.verify import verify
from ws.beside.apart import EndedEarly, apart

log = logging.getLogger("solidgreen.self_check")

FIRST_AFTER_S: Final = 600.0
"""After a start, unless checks are closer together: a server that is started every day is checked as well."""

LOGGED_MAX: Final = 20
"""Findings that are logged, a line each; `solidgreen verify` prints all."""


class Verdict(NamedTuple):
    """What a check has found; `findings` are the first ones, at most `LOGGED_MAX`."""

    entries: int
    found: int
    findings: list[dict[str, Any]]
    why_none: str | None = None
    """Why there is no verdict: the file could not be read."""
    rows: tuple[tuple[str, int], ...] = ()
    """How many each table has, where there is a verdict."""


class SelfCheck:
    """Checks the file now and then. `run` it as a task; cancelling that ends a check that is under way."""

    def __init__(self, path: Path, every_s: float) -> None:
        """`every_s`: from one check to the next; 0: never."""
        self._path = path
        self._every_s = every_s
        self._newest: Verdict | None = None
        self._at_ms = 0

    async def run(self) -> None:
        """Check; for ever."""
        if not self._every_s:
            return
        await asyncio.sleep(min(self._every_s, FIRST_AFTER_S))
        while True:
            await self.check()
            await asyncio.sleep(self._every_s)

    @property
    def newest(self) -> Verdict | None:
        """Of the newest check; None if there was none yet."""
        return self._newest

    @property
    def at_ms(self) -> int:
        """When that was, in milliseconds since the Unix epoch; 0 if there was none."""
        return self._at_ms

    async def check(self) -> Verdict:
        """One check, from its start to its lines in the log."""
        began_s = time.monotonic()
        try:
            verdict = await apart("self-check", _look, self._path)
        except EndedEarly:
            verdict = Verdict(0, 0, [], "it ended before its time")
        self._newest, self._at_ms = verdict, time.time_ns() // 1_000_000
        _tell(verdict, time.monotonic() - began_s)
        return verdict

    def health(self) -> dict[str, object]:
        """What `/health/ready` shows: `never`, or `ok`, `findings` or `failed`, and when."""
        newest = self._newest
        if newest is None:
            return {"status": "never"}
        if newest.why_none is not None:
            return {"status": "failed", "why": newest.why_none, "at": self._at_ms}
        status = "findings" if newest.found else "ok"
        return {"status": status, "findings": newest.found, "at": self._at_ms}


def _look(path: Path) -> Verdict:
    """In the other process."""
    try:
        report = verify(path)
        rows = rows_of_tables(path)
    except sqlite3.Error as error:
        return Verdict(0, 0, [], f"the file could not be read: {error}")
    return Verdict(report.entries, len(report.findings), report.findings[:LOGGED_MAX], rows=(*rows.items(),))


def _tell(verdict: Verdict, took_s: float) -> None:
    if verdict.why_none is not None:
        log.error("self-check: no verdict: %s", verdict.why_none)
    elif not verdict.found:
        log.info("self-check: %d entries in %.0f s, nothing is wrong", verdict.entries, took_s)
    else:
        log.critical(
            "self-check: %d findings, the first ones follow; solidgreen verify prints all", verdict.found
        )
        for finding in verdict.findings:
            log.critical("self-check: %s", finding)
