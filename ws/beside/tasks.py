"""What runs beside the bets for as long as the server does: the self-check, archives, the keeper of the
write-ahead log, the end of tokens.

Bets are sound without any of it, so a task that dies stops no money; but it is missed sooner or later, and
nothing else would tell.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

log = logging.getLogger("solidgreen")


class Beside:
    """Tasks that are not meant to end. Of one that has died the log and `/health/ready` tell."""

    def __init__(self) -> None:
        self._tasks: list[asyncio.Task[None]] = []
        self._dead: list[str] = []

    def start(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        """Have it done from now on, in the running loop. `name` is what operators read."""
        task = asyncio.create_task(work, name=name)
        task.add_done_callback(self._ended)
        self._tasks.append(task)

    async def stop(self, within_s: float) -> None:
        """Cancel them all, and wait for so long until they have ended."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=within_s)

    def died(self) -> dict[str, bool]:
        """Of each task that was started, whether it has died since."""
        return {task.get_name(): task.get_name() in self._dead for task in self._tasks}

    def health(self) -> dict[str, object]:
        """What `/health/ready` shows: `ok`, or `failed` and who has died."""
        if not self._dead:
            return {"status": "ok"}
        return {"status": "failed", "why": f"died: {', '.join(self._dead)}"}

    def _ended(self, task: asyncio.Task[None]) -> None:
        if task.cancelled() or task.exception() is None:  # a self-check that is switched off just ends
            return
        self._dead.append(task.get_name())
        log.critical(
            "the %s has died; bets go on without it until a restart",
            task.get_name(),
            exc_info=task.exception(),
        )
