"""`make demo`: people's pages, a few hundred bots, a server that is killed half-way, and what survived.

    python -m demo.run --bots 300 --seconds 30

Opens nothing by itself: it prints two addresses and two log-ins. Half-way through the seconds the server is
killed with SIGKILL and started again on the same port; the bots connect again and ask again. Then their notes
are held against the file, and `solidgreen reconcile` and `verify` read it. After the report the server and
the bots go on, for people to look at, until Ctrl-C, unless `--no-stay`. Exit status: 0 if all is well, 1 if
anything was lost, twice or wrong, or if the kill met no bet on its way; 2 for a wrong call, 130 if Ctrl-C
came before the report.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from bench.processes import own_redis, redis_executable
from demo.books import copy_of, read_books
from demo.bots import Bell
from demo.company import Company
from demo.house import House, Person
from demo.judge import judge
from demo.notes import read_notes
from demo.report import is_well, report

VISITORS_MONEY: Final = 25_000  # 250.00 EUR
NOBODY_TOLD: Final = 130  # as shells say of a program that SIGINT has ended


class Demo:
    """One run. `is_well` is None until the report is there."""

    def __init__(self, house: House, bots: int, seconds: float, say: Callable[[str], None]) -> None:
        self.is_well: bool | None = None
        self._house = house
        self._bots = bots
        self._half_s = seconds / 2
        self._say = say

    async def run(self, *, stay: bool) -> None:
        """Build, play, kill, play on, report; and then, with `stay`, play until it is cancelled."""
        house = self._house
        company = Company(house, await asyncio.to_thread(house.build, self._bots))
        try:
            await asyncio.to_thread(house.start)
            player, operator = await asyncio.to_thread(lambda: (house.register("alice"), house.hire("olga")))
            self._introduce(player, operator)
            async with company.seated(), company.beside(player):
                await company.croupier.deposit(player.user_id, VISITORS_MONEY, "welcome")
                killed_ns = await self._play_and_kill(company)
                await self._report(company, killed_ns)
                if stay:
                    self._say("\nServer and bots go on, for you to look at the pages; Ctrl-C ends it.")
                    await company.play(Bell())
        finally:
            await asyncio.to_thread(house.end)

    def _introduce(self, *people: Person) -> None:
        nonces = "Redis" if self._house.server.redis_url else "memory"
        self._say(
            f"Solid Green with {self._bots} bots, nonces in {nonces}, all files in {self._house.folder}\n"
        )
        for who, person in zip(("player", "operator"), people, strict=True):
            self._say(f"  {who:9} {person.page:34} name {person.username}, password {person.password}")
        self._say("")

    async def _play_and_kill(self, company: Company) -> int:
        """Both halves; when the server was killed, by the clock of the notes."""
        began_s, bell = time.monotonic(), Bell()

        def at(what: str) -> None:
            self._say(f"  {time.monotonic() - began_s:5.1f} s  {what}")

        at(f"{self._bots} bots play, one socket each")
        async with asyncio.TaskGroup() as play:
            play.create_task(company.play(bell))
            await asyncio.sleep(self._half_s)
            await company.rush(bell)
            killed_ns = time.monotonic_ns()
            self._house.kill()  # here and now: in a thread it would come later
            at(f"{company.confirmed:,} bets acknowledged, {company.waiting} on their way; kill -9")
            # Before any process opens it: what is in it now was there when the server died.
            await asyncio.to_thread(copy_of, self._house.db, self._house.folder / "crashed")
            await asyncio.to_thread(self._house.start)
            at("it runs again, on the same port; the bots connect again, and ask again")
            await asyncio.sleep(self._half_s)
            bell.close()
        at(f"{company.confirmed:,} bets acknowledged, every round is over")
        return killed_ns

    async def _report(self, company: Company, killed_ns: int) -> None:
        await company.note_balances()

        def look() -> tuple[str, bool]:
            house = self._house
            crashed = read_books(house.folder / "crashed" / house.db.name)
            verdict = judge(read_notes(company.notes), crashed, read_books(house.db), killed_ns)
            checks = [house.check("reconcile"), house.check("verify")]
            return report(verdict, checks), is_well(verdict, checks)

        told, self.is_well = await asyncio.to_thread(look)
        self._say(f"\n{told}")


@contextlib.contextmanager
def redis(url: str | None) -> Iterator[str | None]:
    """The one that is named, else one of our own, else none."""
    if url or redis_executable() is None:
        yield url
        return
    with own_redis() as (own_url, _):
        yield own_url


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="make demo", description="A server with players that is killed half-way, and what survived."
    )
    parser.add_argument(
        "--bots", type=int, default=300, help="players, one socket each (default %(default)s)"
    )
    parser.add_argument(
        "--seconds", type=float, default=30,
        help="that they play; half-way the server is killed (default %(default)s)",
    )  # fmt: skip
    parser.add_argument("--port", type=int, help="of the pages (default: a free one)")
    parser.add_argument(
        "--redis-url", help="keep nonces there (default: a Redis of its own, where there is one)"
    )
    parser.add_argument("--folder", type=Path, help="a new folder, which is kept (default: a temporary one)")
    parser.add_argument(
        "--stay",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="go on after the report, until Ctrl-C",
    )
    options = parser.parse_args(arguments)
    if options.bots < 1 or options.seconds <= 0:
        parser.error("at least one bot, and some seconds")
    if options.folder is not None and options.folder.exists():
        parser.error(f"{options.folder} exists: the demo wants a new folder")
    return options


def main(arguments: list[str] | None = None) -> int:
    options = parse(arguments)
    folder: Path = options.folder or Path(tempfile.mkdtemp(prefix="solidgreen-demo-"))
    folder.mkdir(parents=True, exist_ok=True)
    with redis(options.redis_url) as redis_url:
        demo = Demo(House(folder, options.port, redis_url), options.bots, options.seconds, say)
        # Where a shell has started it in the background, it begins with SIGINT ignored.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
        try:
            asyncio.run(demo.run(stay=options.stay))
        except KeyboardInterrupt:
            pass
        except RuntimeError as error:  # the server does not start: its log is in the words
            print(f"{error}\nAll files are in {folder}")
            return 1
    if demo.is_well is None:
        print("\nEnded before the report.")
        return NOBODY_TOLD
    if demo.is_well and options.folder is None:
        shutil.rmtree(folder)
    else:
        print(f"All files are in {folder}")
    return 0 if demo.is_well else 1


def say(line: str) -> None:
    """At once, also where the output is no terminal."""
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
