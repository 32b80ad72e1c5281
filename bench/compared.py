"""One side of `bench.compare`: a checkout's engine and server, which work when they are told to.

Run by path in a process of its own, with that checkout first on the path of modules: `bench` and `engine`
are its own, also where they are older than this file. Standard input has one JSON object a line, the party
and its number of batches; so has standard output: first where the server is, then a slice for each line read.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from random import Random

import uvloop

from bench.bets import Traffic, copy, opened, placing, seed, tune_like_the_server
from bench.processes import own_redis
from harness.process import Server
from harness.process import seed as seed_with_tokens

BALANCE_MINOR = 1_000_000_000


async def work(folder: Path, batch: int, players: int) -> None:
    """Do what standard input says until it ends."""
    user_ids = seed(folder / "engine.db", players)
    copy(folder / "engine.db", folder / "hot.db")
    random = Random()
    async with opened(folder / "engine.db") as store, opened(folder / "hot.db") as hot_store:
        parties = {
            "engine": placing(store, Traffic(user_ids, 7, random), batch),
            "hot": placing(hot_store, Traffic([random.choice(user_ids)], 7, random), batch),
        }
        while line := await asyncio.to_thread(sys.stdin.readline):
            asked = json.loads(line)
            print(json.dumps(asdict(await parties[asked["party"]](asked["batches"]))), flush=True)


def main() -> None:
    """Serve and work in a folder that goes again. The only arguments: where, the bets in a batch, and
    how many players each of the two files has."""
    where, batch, players = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    tune_like_the_server()
    with contextlib.ExitStack() as running:
        folder = Path(running.enter_context(tempfile.TemporaryDirectory(dir=where)))
        seated = seed_with_tokens(folder / "served.db", players, balance=BALANCE_MINOR)
        redis_url, _ = running.enter_context(own_redis())
        server = running.enter_context(Server(folder / "served.db", redis_url=redis_url))
        assert server.process is not None
        tokens = [player["token"] for player in seated]
        print(json.dumps({"ws": server.ws, "pid": server.process.pid, "tokens": tokens}), flush=True)
        uvloop.run(work(folder, batch, players))


if __name__ == "__main__":
    main()
