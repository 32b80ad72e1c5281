"""Makes a check of the books, from its start to its lines in the log."""

from __future__ import annotations

import asyncio

from ws.beside.checks import Check, Verdict


async def made(check: Check, by: str = "a test") -> Verdict:
    """What it has found."""
    running = asyncio.create_task(check.run())
    check.begin(by)
    await check.over()
    running.cancel()
    await asyncio.wait([running])
    assert check.newest is not None
    return check.newest
