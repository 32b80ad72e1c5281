"""How a session begins and ends at a made-up socket: what comes in between is neither lost nor kept."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from engine.outcomes import Accepted, Code, Rejected
from engine.records import Entry
from engine.snapshots import WalletState
from harness.process import JWT_SECRET
from harness.wire import bet
from tests.books_open import place
from tests.made_up_wire import MadeUpWire, entry, made, opened
from tests.server_fixture import mint
from ws.auth import identify
from ws.effects import Authenticate
from ws.sockets import session as session_module
from ws.sockets.hub import Hub
from ws.sockets.outbox import LONG_REPLIES_MAX
from ws.sockets.session import Session
from ws.transport.websocket_door import BUFFER_BYTES
from ws.wire.messages import Pong, Resumed

PLAYER = 7
WALLET = WalletState(PLAYER, "EUR", "open", 100, 0, 100, 600)
WITHIN_S = 10.0


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(WITHIN_S):
        while not condition():
            await asyncio.sleep(0)


def posted(seq: int) -> Accepted:
    """One entry of the player's, by somebody else."""
    row = Entry(seq, PLAYER, "EUR", -1, 99, "BET", "b", seq, 1, seq - 1)
    return Accepted(seq, 1, None, entries=(row,))


class Books:
    """A store whose wallet is read while something else happens, and handed over when a test says so."""

    def __init__(self) -> None:
        self.meanwhile: Callable[[], object] = lambda: None
        self.may_answer = asyncio.Event()

    async def read(self, look: object) -> WalletState:
        self.meanwhile()  # the reader has its snapshot, and the loop does not know of it yet
        await self.may_answer.wait()
        return WALLET


def test_what_is_posted_while_the_wallet_is_read_is_told_behind_the_welcome() -> None:
    async def run() -> None:
        wire, books = MadeUpWire(), Books()
        session = made(wire, books)
        hub: Hub = session._door.hub
        books.meanwhile = lambda: hub.posted(posted(601), object())  # type: ignore[arg-type]
        books.may_answer.set()
        await session._authenticate(Authenticate(mint(PLAYER)))
        await until(lambda: len(wire.messages) == 2)
        welcome, told = wire.messages
        assert (welcome["type"], welcome["seq"]) == ("welcome", 600)
        assert (told["type"], told["seq"], told["prev_seq"]) == ("wallet.entry", 601, 600)

    asyncio.run(run())


def test_who_is_closed_while_his_wallet_is_read_is_not_welcomed_and_hears_nothing_of_it() -> None:
    async def run() -> None:
        wire, books = MadeUpWire(), Books()
        session = made(wire, books)
        entering = asyncio.create_task(session._authenticate(Authenticate(mint(PLAYER))))
        await until(lambda: bool(session._door.hub._by_user))
        session.push(entry(601))
        session.end_because_stopping()
        await until(lambda: wire.code is not None)
        books.may_answer.set()
        await entering
        assert (wire.code, wire.messages) == (1001, [])
        assert len(session._door.hub.expiries) == 0

    asyncio.run(run())


def test_who_is_welcomed_too_late_for_his_token_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Found by the simulator, seed 6482: a reader that stalls, or a wall clock that is set meanwhile."""

    async def run() -> None:
        wire, books = MadeUpWire(), Books()
        session = made(wire, books)
        token = mint(PLAYER)
        expires_at_ms = identify(JWT_SECRET, token).expires_at_s * 1000
        entering = asyncio.create_task(session._authenticate(Authenticate(token, "a")))
        await until(lambda: bool(session._door.hub._by_user))
        monkeypatch.setattr(session_module, "_now_ms", lambda: expires_at_ms)
        books.may_answer.set()
        await entering
        await until(lambda: wire.code is not None)
        (told,) = wire.messages
        assert (told["type"], told["id"], told["code"]) == ("error", "a", "UNAUTHORIZED")
        assert wire.code == 4401

    asyncio.run(run())


def in_flight(wire: MadeUpWire) -> Session:
    """A session with one bet that is not answered."""
    session = opened(wire)
    assert session.take(json.dumps(bet(1, id="b", user_id=PLAYER)))
    return session


def test_a_session_whose_token_has_expired_ends_with_its_last_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_module, "IN_FLIGHT_S", 3600.0)

    async def run() -> None:
        wire = MadeUpWire()
        session = in_flight(wire)
        session.end_because_expired()
        await until(lambda: wire.messages != [])
        assert wire.code is None, "it waits for the answer"
        session.answer("b", place(1), Rejected(Code.TIMED_OUT))
        await until(lambda: wire.code is not None)
        assert wire.code == 4401
        assert [message["type"] for message in wire.messages] == ["bet.pending", "bet.rejected"]

    asyncio.run(run())


def test_and_without_it_when_it_takes_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_module, "IN_FLIGHT_S", 0.0)

    async def run() -> None:
        wire = MadeUpWire()
        in_flight(wire).end_because_expired()
        await until(lambda: wire.code is not None)
        assert wire.code == 4401
        assert [message["type"] for message in wire.messages] == ["bet.pending"]

    asyncio.run(run())


def hold(session: Session, share: float) -> None:
    """Owe so much of the buffer while a long answer is told."""
    size = 1000
    for number in range(int(share * BUFFER_BYTES / size)):
        session._enqueue(Pong(f"{number}".rjust(size, "x"), 0))
    session.deliver()


async def told_all(wire: MadeUpWire, telling: asyncio.Task[Any]) -> None:
    while not telling.done():
        wire.reads.set()
        await asyncio.sleep(0)


def long_answer(session: Session) -> asyncio.Task[bool]:
    entries = [entry(seq) for seq in range(1, 2 * LONG_REPLIES_MAX)]
    return asyncio.create_task(session._outbox.tell([*entries, Resumed("r", len(entries), False, False)]))


def test_what_is_held_behind_a_long_answer_is_bounded() -> None:
    async def run() -> None:
        wire = MadeUpWire()
        session = opened(wire)
        telling = long_answer(session)
        wire.reads.set()
        await until(lambda: wire.messages != [])
        hold(session, 0.8)
        assert wire.code is None
        hold(session, 0.4)
        await until(lambda: wire.code is not None)
        assert wire.code == 4429
        await told_all(wire, telling)
        assert not session._outbox._held
        assert not any(message["type"] == "pong" for message in wire.messages)

    asyncio.run(run())


def test_and_there_is_room_again_once_it_is_told() -> None:
    async def run() -> None:
        wire = MadeUpWire()
        session = opened(wire)
        for _ in range(3):
            telling = long_answer(session)
            wire.reads.set()
            await asyncio.sleep(0)
            hold(session, 0.8)
            await told_all(wire, telling)
        assert wire.code is None

    asyncio.run(run())


def test_a_session_whose_log_in_ends_waits_for_its_last_answer_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_module, "IN_FLIGHT_S", 3600.0)

    async def run() -> None:
        wire = MadeUpWire()
        session = in_flight(wire)
        session.end_because_logged_out()
        session._conversation.receive_text(json.dumps({"type": "ping", "id": "p"}), 0)
        await until(lambda: wire.messages != [])
        assert wire.code is None, "it waits for the answer"
        session.answer("b", place(1), Rejected(Code.TIMED_OUT))
        await until(lambda: wire.code is not None)
        assert wire.code == 4401
        assert [message["type"] for message in wire.messages] == ["bet.pending", "bet.rejected"]

    asyncio.run(run())


def test_and_says_why_it_takes_nothing_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_module, "IN_FLIGHT_S", 3600.0)

    async def run() -> None:
        session = in_flight(MadeUpWire())
        session.end_because_logged_out()
        (told,) = session._conversation.receive_text(json.dumps({"type": "ping", "id": "p"}), 0)
        assert told.code == "UNAUTHORIZED"  # type: ignore[union-attr]
        assert told.message == "the log-in has ended"  # type: ignore[union-attr]

    asyncio.run(run())


def test_who_is_logged_out_while_his_wallet_is_read_is_refused() -> None:
    async def run() -> None:
        wire, books = MadeUpWire(), Books()
        session = made(wire, books)
        entering = asyncio.create_task(session._authenticate(Authenticate(mint(PLAYER, sid="l5"), "a")))
        await until(lambda: bool(session._door.hub._by_user))
        session._door.ended.add("l5", 0, 0)
        session._door.hub.end_login("l5")
        books.may_answer.set()
        await entering
        await until(lambda: wire.code is not None)
        (told,) = wire.messages
        assert (told["type"], told["id"], told["code"]) == ("error", "a", "UNAUTHORIZED")
        assert wire.code == 4401
        assert session._door.hub._by_login == {}

    asyncio.run(run())


def test_of_a_session_that_has_left_its_log_in_knows_nothing() -> None:
    async def run() -> None:
        wire, books = MadeUpWire(), Books()
        books.may_answer.set()
        session = made(wire, books)
        running = asyncio.create_task(session.run(mint(PLAYER, sid="l5")))
        await until(lambda: wire.messages != [])
        assert list(session._door.hub._by_login) == ["l5"]
        running.cancel()
        await running
        assert session._door.hub._by_login == {}

    asyncio.run(run())
