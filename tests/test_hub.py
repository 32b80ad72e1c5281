"""The registry of live sockets: how many a user has, whose token ends when, and what of them stays."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from engine.commands import Command
from engine.outcomes import Outcome
from ws.beside.checks import Check
from ws.sockets.hub import Hub, Pushed


class Socket:
    """A live socket that only notes what becomes of it."""

    def __init__(self) -> None:
        self.expired = asyncio.Event()
        self.stopped = 0
        self.logged_out = 0
        self.heard: list[Pushed] = []

    def answer(self, request_id: str, command: Command, outcome: Outcome) -> None: ...

    def push(self, message: Pushed) -> None:
        self.heard.append(message)

    def deliver(self) -> None: ...

    def end_because_stopping(self) -> None:
        self.stopped += 1

    def end_because_expired(self) -> None:
        self.expired.set()

    def end_because_logged_out(self) -> None:
        self.logged_out += 1


def test_a_user_has_so_many_sockets_and_room_again_when_one_leaves() -> None:
    hub = Hub(sockets_per_user=3)
    sockets = [Socket() for _ in range(3)]
    assert [hub.admit(7) for _ in sockets] == [True] * 3
    assert not hub.admit(7)
    assert hub.admit(8), "another user's sockets are counted apart"
    hub.leave(sockets[0], 7, None)
    assert hub.admit(7)
    assert not hub.admit(7)


def test_who_was_never_admitted_counts_out_nobody() -> None:
    hub = Hub(sockets_per_user=1)
    stranger = Socket()
    hub.enter(stranger)
    assert hub.admit(7)
    hub.leave(stranger, None, None)
    assert not hub.admit(7)


def test_of_sockets_that_have_left_nothing_stays() -> None:
    hub = Hub()
    for number in range(100):
        socket = Socket()
        hub.enter(socket)
        assert hub.admit(number % 7)
        hub.follow(number % 7, socket)
        hub.expiries.enter(socket, number % 11)
        hub.belongs(f"l{number % 3}", socket)
        hub.leave(socket, number % 7, number % 11, f"l{number % 3}")
    assert (len(hub), hub._sockets_of, hub._by_user, len(hub.expiries)) == (0, {}, {}, 0)
    assert hub._by_login == {}


def test_a_log_in_that_ends_takes_its_sockets_along_and_no_others() -> None:
    hub = Hub()
    one, two, other, gone = Socket(), Socket(), Socket(), Socket()
    for socket, sid in ((one, "l1"), (two, "l1"), (other, "l2"), (gone, "l1")):
        hub.enter(socket)
        hub.belongs(sid, socket)
    hub.leave(gone, None, None, "l1")
    hub.end_login("l1")
    hub.end_login("l3")
    assert [socket.logged_out for socket in (one, two, other, gone)] == [1, 1, 0, 0]


def test_who_comes_after_a_stop_began_is_told_at_once() -> None:
    """His connection was taken before; he was welcomed, and then cut off without a word."""
    hub, before, after = Hub(), Socket(), Socket()
    hub.enter(before)
    assert before.stopped == 0
    hub.end_because_stopping()
    hub.enter(after)
    assert (before.stopped, after.stopped) == (1, 1)


@pytest.mark.parametrize("jump_s", [3_600, 365 * 86_400])
def test_a_clock_that_is_set_forth_expires_tokens_and_back_does_not(
    monkeypatch: pytest.MonkeyPatch, jump_s: int
) -> None:
    offset_s = 0.0
    monkeypatch.setattr(time, "time", lambda: 1_000_000_000.0 + offset_s)

    async def scenario() -> None:
        nonlocal offset_s
        hub, socket, longer = Hub(), Socket(), Socket()
        hub.expiries.enter(socket, 1_000_000_000 + 600)
        hub.expiries.enter(longer, 1_000_000_000 + jump_s + 600)
        looking = asyncio.create_task(hub.end_the_expired())
        offset_s = -jump_s
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(socket.expired.wait(), 0.4)
        offset_s = jump_s
        set_at = time.monotonic()
        await asyncio.wait_for(socket.expired.wait(), 5)
        assert time.monotonic() - set_at < 1
        assert not longer.expired.is_set()
        looking.cancel()

    asyncio.run(scenario())


def test_two_of_a_users_sockets_resume_at_a_time_and_nothing_stays() -> None:
    async def scenario() -> None:
        hub = Hub()
        inside: list[int] = []
        most: list[int] = []
        may_end = asyncio.Event()

        async def resume(number: int, user_id: int) -> None:
            async with hub.turn_to_resume(user_id):
                inside.append(number)
                most.append(len(inside))
                await may_end.wait()
                inside.remove(number)

        resuming = [asyncio.create_task(resume(number, 7)) for number in range(6)]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert inside == [0, 1]
        other = asyncio.create_task(resume(9, 8))
        await asyncio.sleep(0)
        assert inside == [0, 1, 9], "another user does not wait for them"
        may_end.set()
        await asyncio.gather(*resuming, other)
        assert (inside, len(most)) == ([], 7)
        assert len(hub._resuming) == 0

    asyncio.run(scenario())


def test_a_check_is_told_to_those_who_follow_it_until_its_end() -> None:
    hub = Hub()
    first, second, gone, stranger = (Socket() for _ in range(4))
    for each in (first, second, gone):
        hub.enter(each)
    verify, reconcile = Check("verify", Path("none.db")), Check("reconcile", Path("none.db"))
    verify.begin("a test")
    for each in (first, gone, stranger):  # the last one has not entered, or has left while it was looked up
        hub.follow_check("verify", each)
    hub.follow_check("reconcile", second)
    hub.leave(gone, None, None)
    running, ended = verify.shown(), reconcile.shown()
    hub.check_changed(running)
    hub.check_changed(running)
    assert first.heard == [running, running]
    hub.check_changed(ended)
    hub.check_changed(ended)
    assert second.heard == [ended], "its end is told once"
    hub.leave(first, None, None)
    assert hub._by_check == {}, "nobody is kept"
    hub.check_changed(running)
    assert first.heard == [running, running]
    assert gone.heard == stranger.heard == []


def test_figures_are_wanted_while_somebody_follows_them() -> None:
    async def follow() -> None:
        hub = Hub()
        first, second = Socket(), Socket()
        wanted = asyncio.create_task(hub.figures_wanted())
        await asyncio.sleep(0)
        hub.follow_figures(first)
        await asyncio.sleep(0)
        assert not wanted.done(), "it has left, or never entered"
        for each in (first, second):
            hub.enter(each)
            hub.follow_figures(each)
        await wanted
        hub.leave(first, None, None)
        assert hub.is_followed
        hub.leave(second, None, None)
        assert not hub.is_followed
        again = asyncio.create_task(hub.figures_wanted())
        await asyncio.sleep(0)
        assert not again.done()
        again.cancel()

    asyncio.run(follow())
