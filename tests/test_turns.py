"""Sockets take their turns at being read: so much in a turn of the loop, one slice each, in order."""

from __future__ import annotations

import asyncio

import pytest

from ws.transport.turns import SMALL_BYTES, SMALL_ROOM, TURN_BYTES, Turns

SLICE = TURN_BYTES // 4


class Socket:
    """Holds some bytes, and notes in which turn of the loop each slice of them is parsed."""

    def __init__(self, name: str, turns: Turns, parsed: list[tuple[int, str]], held: int) -> None:
        self.name, self.held = name, held
        self._turns, self._parsed = turns, parsed
        turns.ask(self)

    def take_turn(self) -> int:
        self._parsed.append((Ticks.now, self.name))
        size = min(self.held, SLICE)
        self.held -= size
        if self.held:
            self._turns.ask(self)
        return size


class Ticks:
    """Counts the turns of the loop."""

    now = 0

    @classmethod
    async def pass_by(cls, count: int) -> None:
        for turn in range(1, count + 1):
            cls.now = turn
            await asyncio.sleep(0)


def test_a_turn_reads_so_much_and_each_socket_a_slice_of_it() -> None:
    async def run() -> None:
        turns, parsed = Turns(), list[tuple[int, str]]()
        flood = Socket("flood", turns, parsed, 6 * SLICE)
        for name in "abcde":
            Socket(name, turns, parsed, SLICE)
        await Ticks.pass_by(6)
        assert flood.held == 0
        # Four slices a turn: whoever has more asks again, behind those who have waited.
        names = [[name for tick, name in parsed if tick == turn] for turn in range(1, 6)]
        assert names == [["flood", "a", "b", "c"], ["d", "e", "flood"], ["flood"], ["flood"], ["flood"]]

    asyncio.run(run())


def test_what_is_read_at_once_counts_and_a_new_turn_has_room_again() -> None:
    async def run() -> None:
        turns = Turns()
        for _ in range(3):
            assert [turns.may_take(SLICE) for _ in range(6)] == [True] * 4 + [False] * 2
            await asyncio.sleep(0)

    asyncio.run(run())


def test_nobody_is_read_before_those_who_wait() -> None:
    async def run() -> None:
        turns, parsed = Turns(), list[tuple[int, str]]()
        Socket("waits", turns, parsed, SLICE)
        assert not turns.may_take(SMALL_BYTES + 1)
        await asyncio.sleep(0)
        assert parsed
        assert turns.may_take(SMALL_BYTES + 1)

    asyncio.run(run())


def test_who_sends_little_is_read_before_those_who_wait_up_to_a_bound() -> None:
    async def run() -> None:
        turns, parsed = Turns(), list[tuple[int, str]]()
        Socket("waits", turns, parsed, SLICE)
        taken = 0
        while turns.may_take(SMALL_BYTES):
            taken += SMALL_BYTES
        assert taken == TURN_BYTES + SMALL_ROOM
        await asyncio.sleep(0)
        assert turns.may_take(1)
        assert parsed, "who waits has a turn all the same"

    asyncio.run(run())


def test_what_is_charged_is_missing_in_this_turn_and_no_longer() -> None:
    async def run() -> None:
        turns = Turns()
        for _ in range(3):
            assert turns.may_take(180)
            turns.charge(TURN_BYTES)
            assert not turns.may_take(SMALL_BYTES + 1)
            await asyncio.sleep(0)

    asyncio.run(run())


def test_few_bytes_cost_no_callback(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        turns = Turns()
        due: list[object] = []
        with monkeypatch.context() as patch:
            patch.setattr(asyncio.get_running_loop(), "call_soon", due.append)
            assert turns.may_take(180)
            assert due == []
            assert turns.may_take(TURN_BYTES)
        assert len(due) == 1

    asyncio.run(run())


class Broken(Socket):
    """Fails when it is read."""

    def take_turn(self) -> int:
        raise LookupError(self.name)


def test_one_that_fails_costs_nobody_his_turn() -> None:
    async def run() -> None:
        failed: list[object] = []
        asyncio.get_running_loop().set_exception_handler(
            lambda _, context: failed.append(context["exception"].args)
        )
        turns, parsed = Turns(), list[tuple[int, str]]()
        for name in "ab":
            Broken(name, turns, parsed, SLICE)
            Socket("sound", turns, parsed, SLICE)
        await Ticks.pass_by(4)
        assert [name for _, name in parsed] == ["sound", "sound"]
        assert failed == [("a",), ("b",)]

    asyncio.run(run())
