"""HTTP `/v1` in this very process: who is named to the batcher, how many may wait, and what a fault says."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, cast

import httpx
import pytest

from batcher.batcher import Batcher
from batcher.jobs import Answered, Asker
from batcher.memory_nonces import MemoryGuard
from engine.actors import Actor
from engine.commands import Command, Deposit
from engine.errors import ArchiveMissing, LookTooLong
from engine.outcomes import Code
from engine.store import Store
from harness.process import JWT_SECRET
from harness.wire import new_bet_id
from tests.asking import bearing, new_key
from tests.books_open import ALICE, BOB, seed
from tests.server_fixture import mint
from ws.beside.checks import Checks
from ws.http.shell import shelled
from ws.rates.rates import Counted, RateLimits, Rates
from ws.rates.windows import Windows
from ws.sockets.hub import RESUMES_PER_USER, Hub
from ws.sockets.session import Door
from ws.v1.endpoints import v1_routes
from ws.wire.messages import Limits


class Watched(Batcher):
    """A batcher that remembers what it was asked, and begins only when it is told to."""

    asked: list[tuple[Command, Code | None, Actor | None]]

    def submit(
        self,
        command: Command,
        asker: Asker,
        request_id: str,
        objection: Code | None = None,
        actor: Actor | None = None,
    ) -> None:
        self.asked.append((command, objection, actor))
        super().submit(command, asker, request_id, objection, actor)


NEVER = RateLimits(None, None, None, None, None)


@contextlib.asynccontextmanager
async def door_of(
    path: Path, limits: Limits | None = None, traced: Callable[[Answered], None] | None = None
) -> AsyncIterator[tuple[Watched, httpx.AsyncClient]]:
    store = await Store.open(path)
    batcher = Watched(store, MemoryGuard(), traced=traced)
    batcher.asked = []
    checks, no_figures = Checks.of(path), cast(Any, None)
    door = Door(store, batcher, Hub(), JWT_SECRET, limits or Limits(), checks, no_figures)
    app = shelled(v1_routes(door), door.identify, Rates(NEVER, Counted(Windows())), frozenset())
    transport = httpx.ASGITransport(app, client=("192.0.2.7", 4711), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
        try:
            yield batcher, client
        finally:
            await batcher.drain()
            await store.close()


@pytest.fixture
def books(tmp_path: Path) -> Path:
    return seed(tmp_path / "books.db", 1000, 1000)


async def deposit(client: httpx.AsyncClient, user_id: int = ALICE, role: str = "operator") -> httpx.Response:
    headers = bearing(mint(2**50, role)) | {"Idempotency-Key": new_key()}
    return await client.post("/v1/deposits", headers=headers, json={"user_id": user_id, "amount": 5})


async def bet(client: httpx.AsyncClient, token: str) -> httpx.Response:
    return await client.post("/v1/bets", headers=bearing(token), json={"stake": 1, "bet_id": new_bet_id()})


def test_who_asks_on_behalf_of_the_house_is_named(books: Path) -> None:
    async def run() -> None:
        async with door_of(books) as (batcher, client):
            batcher.start()
            for role in ("operator", "admin"):
                assert (await deposit(client, role=role)).status_code == 201
                command, objection, actor = batcher.asked.pop()
                assert isinstance(command, Deposit)
                assert (objection, actor) == (None, Actor(2**50, role, "192.0.2.7", "http"))
            assert (await bet(client, mint(ALICE))).status_code == 201
            assert batcher.asked.pop()[2] is None, "a player acts for himself"

    asyncio.run(run())


def test_more_than_may_wait_are_only_looked_up(books: Path) -> None:
    async def run() -> None:
        async with door_of(books, Limits(in_flight=2)) as (batcher, client):
            waiting = [asyncio.create_task(bet(client, mint(ALICE))) for _ in range(3)]
            waiting.append(asyncio.create_task(bet(client, mint(BOB))))
            while len(batcher.asked) < 4:
                await asyncio.sleep(0)
            batcher.start()
            assert [objection for _, objection, _ in batcher.asked].count(Code.RATE_LIMITED) == 1
            assert batcher.asked[-1][1] is None, "BOB has room of his own"
            answers = [await each for each in waiting]
            assert sorted(each.status_code for each in answers) == [201, 201, 201, 429]
            (refused,) = [each.json() for each in answers if each.status_code == 429]
            assert (refused["code"], refused["retryable"]) == ("RATE_LIMITED", True)
            # Each answer has made room.
            assert (await bet(client, mint(ALICE))).status_code == 201

    asyncio.run(run())


def test_who_goes_away_leaves_his_command_and_makes_room(books: Path) -> None:
    async def run() -> None:
        async with door_of(books, Limits(in_flight=1)) as (batcher, client):
            gone = asyncio.create_task(deposit(client))
            while not batcher.asked:
                await asyncio.sleep(0)
            gone.cancel()
            await asyncio.wait([gone])
            batcher.start()
            assert (await deposit(client)).json()["balance"] == 1010
            assert [objection for _, objection, _ in batcher.asked] == [None, None]

    asyncio.run(run())


@pytest.mark.parametrize(
    ("fault", "status", "code", "retryable"),
    [
        (LookTooLong(1.0), 503, "TIMED_OUT", True),
        (ArchiveMissing("archive-7.db is not here"), 404, "NOT_FOUND", False),
        (OSError("the disk"), 500, "INTERNAL", True),
    ],
)
def test_a_look_that_fails_is_a_problem(
    books: Path, monkeypatch: pytest.MonkeyPatch, fault: Exception, status: int, code: str, retryable: bool
) -> None:
    async def fail(*_: Any) -> Any:
        raise fault

    monkeypatch.setattr(Store, "read", fail)

    async def run() -> None:
        async with door_of(books) as (_, client):
            answer = await client.get("/v1/wallet", headers=bearing(mint(ALICE)))
            told = answer.json()
            assert (answer.status_code, told["code"], told["retryable"]) == (status, code, retryable)
            assert "the disk" not in answer.text

    asyncio.run(run())


def test_pages_of_one_user_take_turns(books: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page walks a wallet: who asks for many at once does not have all the reader's time."""
    now, most = 0, 0

    def counted(read: Any) -> Any:
        async def counts(store: Store, look: Any) -> Any:
            nonlocal now, most
            now += 1
            most = max(most, now)
            try:
                return await read(store, look)
            finally:
                now -= 1

        return counts

    for read in ("read_long", "read_past"):
        monkeypatch.setattr(Store, read, counted(getattr(Store, read)))

    async def run() -> None:
        nonlocal most
        async with door_of(books) as (batcher, client):
            batcher.start()
            bet_id = (await bet(client, mint(ALICE))).json()["bet_id"]
            of_a_player = ["/v1/wallet/entries", "/v1/wallet/bets", f"/v1/bets/{bet_id}/trail"]
            for token, paths in (
                (mint(ALICE), of_a_player * 4),
                (mint(2**50, "operator"), ["/v1/payouts"] * 5),
                (mint(2**50, "operator"), [f"/v1/bets/{bet_id}/trail"] * 5),
            ):
                most = 0
                asked = [client.get(each, headers=bearing(token)) for each in paths]
                assert {each.status_code for each in await asyncio.gather(*asked)} == {200}
                assert most == RESUMES_PER_USER, paths

    asyncio.run(run())


def test_a_bug_is_a_problem_and_a_line_in_the_log(
    books: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: Any) -> Any:
        raise ZeroDivisionError("a secret")

    monkeypatch.setattr("ws.v1.endpoints.authorised", fail)

    async def run() -> None:
        async with door_of(books) as (_, client):
            answer = await client.get("/v1/wallet", headers=bearing(mint(ALICE)))
            assert (answer.status_code, answer.json()["code"]) == (500, "INTERNAL")
            assert "secret" not in answer.text

    asyncio.run(run())
    (line,) = (record.message for record in caplog.records)
    assert re.fullmatch(r"request [\w-]+ failed: GET '/v1/wallet'", line)


def test_when_the_circuit_is_open_the_answer_says_when_to_come_back(books: Path) -> None:
    async def run() -> None:
        async with door_of(books) as (batcher, client):
            batcher.start()
            batcher._breaker.queue_waited(batcher._clock(), 60_000_000)
            answer = await bet(client, mint(ALICE))
            told = answer.json()
            assert (answer.status_code, told["code"]) == (503, "CIRCUIT_OPEN")
            assert int(answer.headers["retry-after"]) * 1000 >= told["retry_after_ms"] > 0

    asyncio.run(run())
