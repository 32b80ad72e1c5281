"""Checks of the books while bets go on: `reconcile` and `verify`, each in a process of its own
(ws/beside/apart.py), one of each at a time, begun by a person or by the daily self-check.

What the newest of each has found stays known here until the server ends, and stands in the log: it is a
verdict on the file, so whoever looks in may see whoever asked.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NamedTuple

from msgspec import UNSET, UnsetType

from engine.checks import line_of
from engine.reconcile import reconcile
from engine.sizes import rows_of_tables
from engine.verify import verify
from ws.beside.apart import EndedEarly, Tell, apart_telling
from ws.wire.checks import CheckedHead, CheckName, CheckShown

log = logging.getLogger("solidgreen.checks")

KEPT_MAX: Final = 20
"""Findings that are kept, logged a line each, and shown; the command line prints all."""

PAUSE_S: Final = 1.0
"""From the end of one to the start of the next at least: each is a process, and a row of the audit log.
Whoever asks for them in a loop gets one a second."""

TOLD_EVERY_S: Final = 0.5
"""From one word on how far it is to the next: often enough for a bar that moves."""


class Verdict(NamedTuple):
    """What a check has found; `findings` are the first ones, at most `KEPT_MAX`."""

    entries: int
    found: int
    findings: list[dict[str, Any]]
    why_none: str | None = None
    """Why there is no verdict: the file could not be read."""
    rows: tuple[tuple[str, int], ...] = ()
    """How many each table has, where `verify` has looked."""
    head: tuple[int, bytes] | None = None
    """The newest block that was looked at and its hash; None: there was none."""


class Check:
    """One of the two. `run` it as a task; cancelling that ends the check that is under way."""

    def __init__(
        self, name: CheckName, path: Path, changed: Callable[[CheckShown], None] = lambda shown: None
    ) -> None:
        """`changed` hears how far a check is, and of its end. It must neither wait nor raise."""
        self.name: Final = name
        self.newest: Verdict | None = None
        """Of the newest check; None if there was none yet."""
        self.at_ms = 0
        """When that ended, in milliseconds since the Unix epoch; 0 if there was none."""
        self.beginning = asyncio.Lock()
        """Held by who writes down that he begins one: all others find it running then."""
        self._path = path
        self._changed = changed
        self._by: str | None = None
        self._began_ms: int | None = None
        self._done = self._total = 0
        self._begun = asyncio.Event()
        self._over = asyncio.Event()
        self._over.set()
        self._ended_s = float("-inf")

    @property
    def is_running(self) -> bool:
        """Whether one is under way, or about to be."""
        return self._begun.is_set()

    def begin(self, by: str) -> None:
        """Have one made, unless one is under way. `by`: who wants it, as others are told."""
        if self.is_running:
            return
        self._by, self._began_ms = by, _now_ms()
        self._done = self._total = 0
        self._over.clear()
        self._begun.set()

    async def over(self) -> None:
        """Wait until none is under way."""
        await self._over.wait()

    async def run(self) -> None:
        """Make what is begun; for ever."""
        while True:
            await self._begun.wait()
            await asyncio.sleep(self._ended_s + PAUSE_S - time.monotonic())
            began_s = time.monotonic()
            try:
                look = _verify if self.name == "verify" else _reconcile
                verdict = await apart_telling(self.name, self._heard, look, self._path)
            except EndedEarly:
                verdict = Verdict(0, 0, [], "it ended before its time")
            except Exception as error:  # whoever waits for a verdict hears that there is none
                log.exception("check of the books (%s): it failed", self.name)
                verdict = Verdict(0, 0, [], f"it failed: {error}")
            self.newest, self.at_ms = verdict, _now_ms()
            self._begun.clear()
            self._ended_s = time.monotonic()
            _log(self.name, verdict, self._ended_s - began_s)
            self._over.set()
            self._changed(self.shown())

    def shown(self, request_id: str | UnsetType = UNSET) -> CheckShown:
        """Where it stands: how far it is, or what the newest one has found."""
        newest = Verdict(0, 0, []) if self.newest is None or self.is_running else self.newest
        return CheckShown(
            id=request_id,
            check=self.name,
            state=self.state(),
            done=self._done,
            total=self._total,
            began_at=self._began_ms,
            at=None if self.newest is None or self.is_running else self.at_ms,
            entries=newest.entries,
            found=newest.found,
            findings=[line_of(finding) for finding in newest.findings],
            why=newest.why_none,
            head=None if newest.head is None else CheckedHead(newest.head[0], newest.head[1].hex()),
            by=self._by,
        )

    def state(self) -> str:
        """`never`, `running`, `ok`, `findings` or `failed`."""
        return "running" if self.is_running else _state_of(self.newest)

    def health(self) -> dict[str, object]:
        """What `/health/ready` shows of the newest verdict: `never`, or `ok`, `findings` or `failed`, and
        when."""
        newest = self.newest
        status = _state_of(newest)
        if newest is None:
            return {"status": status}
        if newest.why_none is not None:
            return {"status": status, "why": newest.why_none, "at": self.at_ms}
        return {"status": status, "findings": newest.found, "at": self.at_ms}

    def _heard(self, progress: Any) -> None:
        self._done, self._total = progress
        self._changed(self.shown())


class Checks(NamedTuple):
    """Both, of one file."""

    reconcile: Check
    verify: Check

    @classmethod
    def of(cls, path: Path, changed: Callable[[CheckShown], None] = lambda shown: None) -> Checks:
        """Make them in the running loop, or before it runs."""
        return cls(Check("reconcile", path, changed), Check("verify", path, changed))

    def named(self, name: CheckName) -> Check:
        """The one of that name."""
        return self.verify if name == "verify" else self.reconcile


def _state_of(verdict: Verdict | None) -> str:
    if verdict is None:
        return "never"
    if verdict.why_none is not None:
        return "failed"
    return "findings" if verdict.found else "ok"


# -- in the other process


def _verify(tell: Tell, path: Path) -> Verdict:
    try:
        report = verify(path, progress=_now_and_then(tell))
        rows = rows_of_tables(path)
    except sqlite3.Error as error:
        return _unread(error)
    head = None if report.head is None else (int(report.head["block"]["id"]), report.head_hash)
    kept = report.findings[:KEPT_MAX]
    return Verdict(report.entries, len(report.findings), kept, None, (*rows.items(),), head)


def _reconcile(tell: Tell, path: Path) -> Verdict:
    try:
        report = reconcile(path, _now_and_then(tell))
    except sqlite3.Error as error:
        return _unread(error)
    head = (report.head, report.head_hash) if report.head else None
    return Verdict(report.entries, len(report.findings), report.findings[:KEPT_MAX], head=head)


def _unread(error: sqlite3.Error) -> Verdict:
    return Verdict(0, 0, [], f"the file could not be read: {error}")


def _now_and_then(tell: Tell) -> Callable[[int, int], None]:
    """Hands on how far it is every `TOLD_EVERY_S`, and that it is all done."""
    told_s = float("-inf")

    def progress(done: int, total: int) -> None:
        nonlocal told_s
        now_s = time.monotonic()
        if now_s - told_s >= TOLD_EVERY_S or done >= total:
            told_s = now_s
            tell((done, total))

    return progress


# -- in this one


def _log(name: CheckName, verdict: Verdict, took_s: float) -> None:
    if verdict.why_none is not None:
        log.error("check of the books (%s): no verdict: %s", name, verdict.why_none)
    elif not verdict.found:
        log.info(
            "check of the books (%s): %d entries in %.0f s, nothing is wrong", name, verdict.entries, took_s
        )
    else:
        log.critical(
            "check of the books (%s): %d findings, the first ones follow; the command line prints all",
            name,
            verdict.found,
        )
        for finding in verdict.findings:
            log.critical("check of the books (%s): %s", name, line_of(finding))


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
