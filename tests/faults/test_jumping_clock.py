"""A real server whose wall clock is set under load: nothing moves by it but token expiry and `sent_at`.

Needs a C compiler for the clock (`clock.c`), so it runs with `make test-all`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sqlite3
import struct
import time
import urllib.request
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from engine.reconcile import reconcile
from harness.preload import compiled
from harness.process import Server, seed, solidgreen
from harness.wire import SocketClosed, Wire, bet, connect, now_ms
from tests.server_fixture import mint

pytestmark = pytest.mark.long

Json = dict[str, Any]

SOURCE = Path(__file__).with_name("clock.c")
HOUR_S, DAY_S, YEAR_S = 3600, 86_400, 365 * 86_400
DUE_S = 2 * HOUR_S
"""When what a test makes is over: beyond the small jumps, well within the large ones."""

BEFORE_S, AFTER_S = 1.0, 2.0
"""How long bets are placed before and after a jump: what expires is looked for every second."""

SOCKETS, BALANCE = 4, 100_000
EXCLUDED, LIMITED, GRANTED = 0, 1, 2  # of the players, those who do not take part in the load

BYPASS = """
import batcher.steady
from engine.now import Now

batcher.steady.SteadyClock.now = lambda self, wall_us, monotonic_us: Now(wall_us, wall_us)
"""
"""The time of the books without its guard: the wall clock. Read by each Python that starts beside it."""


class WallClock:
    """The wall clock of whatever is started from here on."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        library = compiled(SOURCE, folder)
        self.shift_s = 0
        self._file = folder / "clock-shift"
        self._file.write_bytes(struct.pack("q", 0))
        monkeypatch.setenv("LD_PRELOAD", str(library))
        monkeypatch.setenv("TEST_CLOCK", str(self._file))

    def jump(self, shift_s: int) -> None:
        """Stand so many seconds beside the true time, at once and for everybody."""
        with self._file.open("r+b") as file:  # in place: it is mapped
            file.write(struct.pack("q", shift_s))
        self.shift_s = shift_s

    def now_ms(self) -> int:
        """What the server's wall clock says."""
        return now_ms() + self.shift_s * 1000


@pytest.fixture
def wall(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> WallClock:
    return WallClock(tmp_path, monkeypatch)


def token(user_id: int, role: str = "player") -> str:
    """Good whatever the wall clock says: this is not about tokens."""
    return mint(user_id, role, life_s=3 * YEAR_S, iat=None)


@dataclass
class Load:
    """Bets on some sockets, one after another on each; what each was answered, and how long that took."""

    wall: WallClock
    confirmed: int = 0
    slowest_s: float = 0.0
    others: list[Json] = field(default_factory=list)
    blocks: dict[int, int] = field(default_factory=dict)
    """Of each block that was heard of, the true time (ms) at which that was."""

    async def play(self, wire: Wire, for_s: float) -> None:
        until_s, seq = time.monotonic() + for_s, 0
        while (began_s := time.monotonic()) < until_s:
            shift_s = self.wall.shift_s
            answer = await wire.ask(bet(1, sent_at=self.wall.now_ms()))
            self.slowest_s = max(self.slowest_s, time.monotonic() - began_s)
            if answer["type"] == "bet.confirmed":
                assert answer["seq"] > seq, "the order of a wallet's entries is the ledger's"
                seq = answer["seq"]
                self.confirmed += 1
                self.blocks.setdefault(answer["block"], now_ms())
            elif shift_s == self.wall.shift_s:
                self.others.append(answer)
            else:  # it was under way when the clock was set
                assert answer["code"] == "STALE_REQUEST", answer


@dataclass
class Table:
    """A server, a socket of each who takes part, and what runs out in two hours."""

    server: Server
    wall: WallClock
    operator: Wire
    auditor: Wire
    players: list[Wire]
    bonus: Wire
    hold_id: int

    async def bet(self, who: int, stake: int = 1) -> Json:
        return await self.players[who].ask(bet(stake, sent_at=self.wall.now_ms()))

    async def load(self, for_s: float, load: Load | None = None) -> Load:
        load = load or Load(self.wall)
        async with asyncio.TaskGroup() as group:
            for wire in self.players[-SOCKETS:]:
                group.create_task(load.play(wire, for_s))
        return load

    async def clock(self) -> Json:
        answer = await self.auditor.ask({"type": "clock.get"})
        assert answer["type"] == "clock", answer
        return answer

    async def confirm(self) -> Json:
        return await self.operator.ask({"type": "clock.confirm"})

    async def assert_nothing_has_run_out(self) -> None:
        """The player who excluded himself stays out, a limit as it was, a bonus and a hold where they are."""
        excluded, limited, (shown,) = (
            await self.bet(EXCLUDED),
            await self.bet(LIMITED, 101),
            (await self.players[LIMITED].ask({"type": "limit.get"}))["limits"],
        )
        assert (excluded["type"], excluded.get("code")) == ("bet.rejected", "LIMIT_EXCEEDED")
        assert (limited["type"], limited.get("code")) == ("bet.rejected", "LIMIT_EXCEEDED")
        assert (shown["amount"], shown["pending"], shown["used"]) == (100, 5000, 1)
        assert self.bonus.pushes == [], "the bonus has expired"
        assert rows(self.server.db, "SELECT state FROM holds") == [("open",)]
        captured = await move(self.operator, "hold.capture", hold_id=self.hold_id, amount=1)
        assert (captured["type"], captured["hold_state"]) == ("wallet.moved", "open")

    async def assert_the_window_of_sent_at_is_the_wall_clock_s(self) -> None:
        here_ms = self.wall.now_ms()
        for sent_at in (here_ms - 85_000, here_ms + 15_000, here_ms - self.wall.shift_s * 1000):
            answer = await self.players[-1].ask(bet(1, sent_at=sent_at))
            is_now = sent_at - here_ms == 0
            assert answer.get("code") == (None if is_now else "STALE_REQUEST"), (sent_at - here_ms, answer)
        assert (await self.players[-1].ask(bet(1, sent_at=here_ms - 60_000)))["type"] == "bet.confirmed"


async def move(wire: Wire, type_: str, **fields: object) -> Json:
    return await wire.ask({"type": type_, "key": f"{type_} {time.monotonic_ns()}"} | fields)


def rows(db: Path, sql: str) -> list[tuple[Any, ...]]:
    with contextlib.closing(sqlite3.connect(f"{db.as_uri()}?mode=ro", uri=True)) as connection:
        return connection.execute(sql).fetchall()


def health(server: Server) -> Json:
    with urllib.request.urlopen(f"{server.http}/health/ready") as answer:  # raises unless it is ready
        report: Json = json.load(answer)
    return report


def log(server: Server) -> str:
    assert server.log is not None
    return server.log.read_text()


@contextlib.asynccontextmanager
async def table(server: Server, wall: WallClock, ids: list[int]) -> AsyncIterator[Table]:
    """Everybody is seated, and what runs out in two hours is made: a hold, a bonus, an exclusion; and what
    becomes looser in a day: a limit."""
    async with contextlib.AsyncExitStack() as stack:

        async def seated(user_id: int, role: str = "player") -> Wire:
            return await stack.enter_async_context(connect(server.ws, token(user_id, role)))

        operator, auditor = await seated(1, "operator"), await seated(1, "auditor")
        players = [await seated(user_id) for user_id in ids]
        due = wall.now_ms() + DUE_S * 1000
        held = await move(operator, "wallet.hold", user_id=ids[GRANTED], amount=100, expires_at=due)
        granted = await move(
            operator, "bonus.grant", user_id=ids[GRANTED], amount=70, spend="last", expires_at=due
        )
        assert (await move(players[EXCLUDED], "limit.exclude", until=due))["type"] == "limit.changed"
        for amount in (100, 5000):
            loosened = await move(players[LIMITED], "limit.set", kind="stake", period="day", amount=amount)
            assert loosened["type"] == "limit.changed", loosened
        bonus = await seated(granted["user_id"])
        this = Table(server, wall, operator, auditor, players, bonus, held["hold_id"])
        assert (await this.bet(LIMITED))["type"] == "bet.confirmed"
        yield this


async def jump_under_load(this: Table, shift_s: int) -> Load:
    """Bets go on, by the time of the books, while the wall clock is set."""
    load = await this.load(BEFORE_S)
    before = load.confirmed
    assert before > 0
    this.wall.jump(shift_s)
    await this.load(AFTER_S, load)
    assert load.others == [], "a bet was refused"
    assert load.confirmed > before
    assert load.slowest_s < 2.0, "no deadline has moved"

    at_ms = {id_: at // 1000 for id_, at in rows(this.server.db, "SELECT id, at FROM blocks ORDER BY id")}
    assert list(at_ms.values()) == sorted(at_ms.values())
    heard = {id_: heard_ms - at_ms[id_] for id_, heard_ms in load.blocks.items()}
    assert all(-1 <= late_ms < 2000 for late_ms in heard.values()), f"block time has jumped: {heard}"
    return load


async def assert_unsure(this: Table, shift_s: int) -> None:
    clock, report = await this.clock(), health(this.server)
    assert clock["state"] == "unsure"
    assert abs(clock["jumped_ms"] - shift_s * 1000) < 1000
    assert abs(clock["at"] - now_ms()) < 1000, "the time of the books is the true one"
    assert 0 < clock["at"] - clock["since_at"] < 60_000
    assert report["clock"]["status"] == "unsure"
    assert report["clock"]["since_at"] == clock["since_at"]
    assert report["breaker"]["status"] == "closed"
    assert log(this.server).count("off the time of the books") == 1


def assert_sound(server: Server, wall: WallClock) -> None:
    """It stops in good order, and the books are right. On a machine whose clock is right again."""
    assert server.stop() == 0
    assert "Traceback" not in log(server), log(server)[-3000:]
    wall.jump(0)
    assert reconcile(server.db).findings == []
    solidgreen("verify", "--db", str(server.db))


def play(tmp_path: Path, wall: WallClock, scenario: Any) -> None:
    db = tmp_path / "books.db"
    ids = [each["id"] for each in seed(db, 3 + SOCKETS, BALANCE)]

    async def run(server: Server) -> None:
        async with table(server, wall, ids) as this:
            await scenario(this)

    with Server(db) as server:
        asyncio.run(run(server))
        assert_sound(server, wall)


@pytest.mark.parametrize("shift_s", [HOUR_S, -HOUR_S], ids=["an hour on", "an hour back"])
def test_an_hour_moves_nothing_and_is_over_when_the_clock_comes_back(
    tmp_path: Path, wall: WallClock, shift_s: int
) -> None:
    async def scenario(this: Table) -> None:
        await jump_under_load(this, shift_s)
        await assert_unsure(this, shift_s)
        await this.assert_nothing_has_run_out()
        await this.assert_the_window_of_sent_at_is_the_wall_clock_s()

        this.wall.jump(0)
        assert (await this.clock())["state"] == "sure"
        assert health(this.server)["clock"] == {"status": "sure"}
        assert (await this.load(0.5)).others == []
        await this.assert_nothing_has_run_out()
        assert log(this.server).count("the wall clock has come back") == 1

    play(tmp_path, wall, scenario)


def test_a_year_on_moves_nothing_until_it_is_confirmed(tmp_path: Path, wall: WallClock) -> None:
    async def scenario(this: Table) -> None:
        await jump_under_load(this, YEAR_S)
        await assert_unsure(this, YEAR_S)
        await this.assert_nothing_has_run_out()
        await this.assert_the_window_of_sent_at_is_the_wall_clock_s()
        for wire in (this.auditor, this.players[-1]):
            assert (await wire.ask({"type": "clock.confirm"}))["code"] == "FORBIDDEN"
        assert (await this.clock())["state"] == "unsure"

        confirmed = await this.confirm()
        assert (confirmed["state"], confirmed["jumped_ms"], confirmed["since_at"]) == ("sure", 0, None)
        assert abs(confirmed["at"] - this.wall.now_ms()) < 1000
        assert "was confirmed by operator 1, and is followed" in log(this.server)
        # Now all of it takes place. The hold is due as well, and was looked up before the bonus.
        entry = await this.bonus.push("wallet.entry")
        assert (entry["kind"], entry["amount"]) == ("EXPIRY", -70)
        assert rows(this.server.db, "SELECT state FROM holds") == [("expired",)]
        assert (await this.bet(EXCLUDED))["type"] == "bet.confirmed"
        assert (await this.bet(LIMITED, 101))["type"] == "bet.confirmed"
        ((newest_us,),) = rows(this.server.db, "SELECT max(at) FROM blocks")
        assert abs(newest_us // 1000 - this.wall.now_ms()) < 5000

    play(tmp_path, wall, scenario)


def test_a_year_back_moves_nothing_confirmed_or_not_and_is_seen_by_a_restart(
    tmp_path: Path, wall: WallClock
) -> None:
    async def scenario(this: Table) -> None:
        await jump_under_load(this, -YEAR_S)
        await assert_unsure(this, -YEAR_S)
        await this.assert_nothing_has_run_out()
        await this.assert_the_window_of_sent_at_is_the_wall_clock_s()

        before = await this.clock()
        confirmed = await this.confirm()
        assert confirmed["state"] == "sure"
        assert confirmed["at"] >= before["at"], "block time never runs back"
        load = await this.load(1.5)
        assert (load.others, load.confirmed > 0) == ([], True)
        await this.assert_nothing_has_run_out()
        times = rows(this.server.db, "SELECT at FROM blocks ORDER BY id")
        assert times == sorted(times)

        # A new process has only the books to hold the wall clock against.
        assert this.server.stop() == 0
        this.server.start()
        report = health(this.server)["clock"]
        assert (report["status"], round(report["jumped_ms"] / DAY_S / 1000)) == ("unsure", -365)
        async with connect(this.server.ws, token(7 + LIMITED)) as wire:
            answer = await wire.ask(bet(1, sent_at=this.wall.now_ms()))
            assert answer["type"] == "bet.confirmed"
        ((newest_us,),) = rows(this.server.db, "SELECT max(at) FROM blocks")
        assert newest_us // 1000 >= confirmed["at"]

    play(tmp_path, wall, scenario)


def test_a_token_expires_by_the_wall_clock(tmp_path: Path, wall: WallClock) -> None:
    """Whoever signs tokens has no other. What becomes of sockets that are open: tests of the doors."""
    db = tmp_path / "books.db"
    (player,) = seed(db, 1)

    async def enter(server: Server) -> None:
        async with connect(server.ws, mint(player["id"], life_s=HOUR_S // 2)) as wire:
            assert (await wire.ask(bet(1, sent_at=wall.now_ms())))["type"] == "bet.confirmed"

    with Server(db) as server:
        asyncio.run(enter(server))
        wall.jump(HOUR_S)
        with pytest.raises(SocketClosed, match="4401"):
            asyncio.run(enter(server))
        wall.jump(0)
        asyncio.run(enter(server))
        assert_sound(server, wall)


@pytest.mark.parametrize("shift_s", [HOUR_S, YEAR_S], ids=["an hour", "a year"])
def test_control_books_that_go_by_the_wall_clock_are_found_out(
    tmp_path: Path, wall: WallClock, shift_s: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "bypass"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(BYPASS)
    monkeypatch.setenv("PYTHONPATH", str(folder))

    async def scenario(this: Table) -> None:
        with pytest.raises(AssertionError, match="block time has jumped"):
            await jump_under_load(this, shift_s)
        if shift_s == YEAR_S:
            await this.bonus.push("wallet.entry")
            with pytest.raises(AssertionError):
                await this.assert_nothing_has_run_out()

    play(tmp_path, wall, scenario)
