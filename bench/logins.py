"""Log-ins beside bets: `python -m bench.logins`. Prints JSON.

    bets alone ─▶ the same bets, and 50 people log in ─▶ the same, and a process that only hashes ─▶ …

Bets come in an open loop, 2,000 a second. A storm is 50 people who log in at once and, so that it lasts as
long as the bets are measured, each again as soon as he is in. Calm, storm and hashes take turns: what is
compared are neighbours in time, and what is reported is the median of their ratios.

The hashes are a control: a stranger's process makes them at the pace of the storm, and gives way to all
others. What bets lose beside that, they lose because processes on one machine share its caches and its
memory, and no way of logging people in can give it back.

p99 is also what the disk makes of it, which on a shared machine goes from 4 to 30 ms within minutes. With
`--sync-us` the file is in memory, and each sync takes that long.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from bench.beside import bets, betting
from bench.disks import MEMORY, slow_disk
from bench.machine import OUT, work_folder
from bench.stand import verdict
from bench.table import mid, mid_ratio
from harness.process import Server, seed

PEOPLE: Final = 50
PASSWORD: Final = "correct horse battery"
BETTORS: Final = 100
WARM_UP_S: Final = 1.0
"""Of the bets (`bench/beside.py`): the storm begins and ends with what is measured."""

PARTS: Final = ("calm", "storm", "hashes")
HASHES: Final = """
import os, time
from argon2 import PasswordHasher, Type
os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
hasher = PasswordHasher(2, 19456, 1, type=Type.ID)  # as the server does
while True:
    began_s = time.monotonic()
    hasher.hash("correct horse battery")
    time.sleep(max(0, 0.14 - (time.monotonic() - began_s)))  # 50 within 7 s
"""

Round = dict[str, dict[str, Any]]


def measure(folder: Path, rounds: int, seconds: float, people: int) -> dict[str, Any]:
    """Calm, storm and hashes, `rounds` times. Raises `RuntimeError` if a bet or a log-in fails, or the books
    are not as they must be."""
    db = folder / "logins.db"
    tokens = [each["token"] for each in seed(db, BETTORS, balance=10**9)]
    with Server(db, settings={"rate_login": "off", "rate_refresh": "off"}) as server:
        asyncio.run(_register(server.port, people))
        bets(server, tokens, seconds)  # warms up; told by nobody
        figures: list[Round] = []
        for number in range(rounds):
            pair: Round = {}
            for part in PARTS if number % 2 == 0 else reversed(PARTS):
                if part == "storm":
                    pair[part] = _storm(server, tokens, seconds, people)
                elif part == "hashes":
                    pair[part] = _beside_hashes(server, tokens, seconds)
                else:
                    pair[part] = bets(server, tokens, seconds)
            figures.append(pair)
    said = verdict(db)
    if not said.get("ok"):
        raise RuntimeError(f"reconcile {str(said)[:500]}")
    return summary(figures, people) | {"rounds": figures, "reconcile": "ok"}


def summary(figures: Sequence[Round], people: int) -> dict[str, Any]:
    """Medians over the rounds, and of the rounds' ratios."""
    shown: dict[str, Any] = {"people": people}
    for name in ("p50_ms", "p99_ms"):

        def of(part: str, name: str = name) -> Callable[[Round], float]:
            return lambda pair: float(pair[part][name])

        shown[name] = {part: mid(figures, part, name) for part in PARTS}
        shown[name]["ratio"] = round(mid_ratio(figures, of("storm"), of("calm")), 3)
        shown[name]["ratio_of_hashes"] = round(mid_ratio(figures, of("hashes"), of("calm")), 3)
    shown["logins_per_s"] = mid(figures, "storm", "logins_per_s")
    shown["login_p50_ms"] = mid(figures, "storm", "login_p50_ms")
    return shown


def _storm(server: Server, tokens: list[str], seconds: float, people: int) -> dict[str, Any]:
    with betting(server, tokens, seconds) as told:
        took_s, over_s = asyncio.run(_log_in_again_and_again(server.port, people, seconds))
    if not took_s:
        raise RuntimeError("nobody got in")
    return told | {
        "logins": len(took_s),
        "logins_per_s": round(len(took_s) / over_s, 1),
        "login_p50_ms": round(statistics.median(took_s) * 1000, 1),
    }


def _beside_hashes(server: Server, tokens: list[str], seconds: float) -> dict[str, Any]:
    process = subprocess.Popen([sys.executable, "-c", HASHES])
    try:
        return bets(server, tokens, seconds)
    finally:
        process.kill()
        process.wait()


async def _log_in_again_and_again(port: int, people: int, seconds: float) -> tuple[list[float], float]:
    """How long each log-in took, and all of it, in seconds."""
    began_s = time.perf_counter()
    until_s = began_s + WARM_UP_S + seconds

    async def one(number: int) -> list[float]:
        took_s = []
        while time.perf_counter() < until_s:
            asked_s = time.perf_counter()
            await post(port, "/v1/auth/login", _person(number), 200)
            took_s.append(time.perf_counter() - asked_s)
        return took_s

    told = await asyncio.gather(*map(one, range(people)))
    return [each for took_s in told for each in took_s], time.perf_counter() - began_s


async def _register(port: int, people: int) -> None:
    await asyncio.gather(*(post(port, "/v1/auth/register", _person(number), 201) for number in range(people)))


def _person(number: int) -> dict[str, str]:
    return {"username": f"person-{number}", "password": PASSWORD}


async def post(port: int, path: str, body: dict[str, str], expected: int) -> None:
    """One request on a connection of its own, as a person's is. Raises `RuntimeError` for another status."""
    content = json.dumps(body).encode()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(
            f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(content)}\r\nConnection: close\r\n\r\n".encode()
            + content
        )
        answer = await reader.read()
    finally:
        writer.close()
    status = int(answer.split(b" ", 2)[1])
    if status != expected:
        raise RuntimeError(f"{path}: status {status}: {answer[-300:]!r}")


def main() -> None:
    """Run it in a folder of its own, and print the figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--rounds", type=int, default=7, help="rounds of calm, storm and hashes (default: %(default)s)"
    )
    parser.add_argument("--seconds", type=float, default=5.0, help="of bets, in each (default: %(default)s)")
    parser.add_argument("--people", type=int, default=PEOPLE, help="at a time (default: %(default)s)")
    parser.add_argument("--sync-us", type=int, default=0, help="of a disk in memory (default: the machine's)")
    options = parser.parse_args()
    if options.sync_us and not MEMORY.is_dir():
        parser.error(f"--sync-us: there is no {MEMORY} here")
    with work_folder(MEMORY if options.sync_us else OUT) as folder, slow_disk(folder, options.sync_us):
        print(json.dumps(measure(folder, options.rounds, options.seconds, options.people), indent=1))


if __name__ == "__main__":
    main()
