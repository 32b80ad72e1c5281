"""One socket that floods: always `in_flight` bets waiting for their answer, and frames beyond them.

Runs in a process of its own; reads its job as a JSON line from standard input, floods until that is closed,
and prints what it heard as one JSON line. What is beyond the limit in flight hears RATE_LIMITED.
"""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass
from typing import Any

from bench.clients import Tally, WalletConnection, connect, drain, leave
from bench.processes import do_the_job
from bench.wire import BetFrames, fresh_tags

EVERY_S = 0.01
BEYOND = 20  # bets sent every EVERY_S though there is no room for them: 2,000 a second


@dataclass(frozen=True, slots=True)
class Job:
    """Flood `url` as the bearer of `token`."""

    url: str
    token: str
    in_flight: int = 1000
    drain_s: float = 10.0


async def flood(job: Job) -> dict[str, Any]:
    """Flood until standard input ends."""
    tally = Tally(is_refilling=True)
    (connection,) = await connect(
        job.url, [job.token], lambda: WalletConnection(tally, BetFrames(fresh_tags(), 1))
    )
    connection.send(job.in_flight)
    ended = asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    beyond = 0
    while not ended.done() and connection.lost is None:
        # Each answer to one of these counts as a place set free, so one bet less is owed for it.
        connection.free -= BEYOND
        connection.send(BEYOND)
        beyond += BEYOND
        await asyncio.wait([ended], timeout=EVERY_S)
    tally.is_refilling = False
    unanswered = await drain([connection], job.drain_s)
    return {
        "answered_in_all": tally.answered,
        "beyond": beyond,
        "unanswered": unanswered,
        **tally.faults(),
        "lost": leave([connection]),
    }


def main() -> None:
    """Do the job on standard input and print what was heard."""
    do_the_job(Job, flood)


if __name__ == "__main__":
    main()
