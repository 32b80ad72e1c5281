"""Idle connections: authenticated, welcomed, and then silent but for answers to the server's pings.

A process of its own, so that its memory is not the server's. Reads `{"url": …, "tokens": […]}` from standard
input, opens a connection for each token, prints one line when all are welcome, holds them until standard
input ends, and prints what became of them.
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys
import time

import uvloop

from bench.clients import Tally, WalletConnection, connect, leave
from bench.wire import BetFrames, fresh_tags


async def hold(url: str, tokens: list[str]) -> None:
    """Open the connections, say so, and close them when standard input ends."""
    tally, frames = Tally(), BetFrames(fresh_tags())
    started = time.perf_counter()
    connections = await connect(url, tokens, lambda: WalletConnection(tally, frames))
    opened = {"connections": len(connections), "opened_in_s": round(time.perf_counter() - started, 2)}
    print(json.dumps(opened), flush=True)

    await asyncio.to_thread(sys.stdin.read)
    print(json.dumps({"lost": leave(connections), "other": dict(tally.other)}))
    while not all(each.transport.is_disconnected for each in connections):
        await asyncio.sleep(0.01)


def main() -> None:
    """Read the job, one line, and hold its connections."""
    gc.disable()
    job = json.loads(sys.stdin.readline())
    uvloop.run(hold(job["url"], job["tokens"]))


if __name__ == "__main__":
    main()
