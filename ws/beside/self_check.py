"""The daily look at the books while bets go on: when `verify` is begun without anybody asking. What it found
is in the log and in `/health/ready` (ws/beside/checks.py).
"""

from __future__ import annotations

import asyncio
from typing import Final

from ws.beside.checks import Check

FIRST_AFTER_S: Final = 600.0
"""After a start, unless checks are closer together: a server that is started every day is checked as well."""

BY: Final = "self-check"
"""Who wanted it, as operators are told."""


async def look_daily(check: Check, every_s: float) -> None:
    """Begin `check` now and then, for ever. `every_s`: from the end of one to the next; 0: never."""
    if not every_s:
        return
    await asyncio.sleep(min(every_s, FIRST_AFTER_S))
    while True:
        check.begin(BY)
        await check.over()
        await asyncio.sleep(every_s)
