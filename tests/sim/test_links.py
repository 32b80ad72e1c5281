"""That a link of the simulator behaves as the socket of the server: bounds, timers, and what has a name."""

from __future__ import annotations

import inspect
import random
import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.sim.loop import Loop, Scheduler
from tests.sim.network import DEAD_PEER_US, STALL_US, Link
from tests.sim.weather import Weather
from ws.effects import CloseCode
from ws.sockets import outbox, session
from ws.transport.websocket_door import LEAVE_S, STALL_S, WebSocketDoor

FRAME = b"x" * 1000
SCALE = 40


class Ends:
    """Both ends of one link, and who listens at the door."""

    def __init__(self) -> None:
        self.scheduler = Scheduler()
        self.loop = Loop(self.scheduler, lambda context: self.scheduler.abort(str(context)))
        self.weather = Weather(random.Random(1), lambda: self.scheduler.now_us)
        self.came: list[str] = []
        self.read: list[str] = []
        self.closed: list[int] = []
        self.link = Link(1, self, self, self.scheduler, self.weather, random.Random(2), self.loop, SCALE)

    def stall(self, us: int) -> None:
        """The client reads nothing for so long."""
        self.link.linger(us)

    def fill(self) -> None:
        """The server writes until its reader is stalled."""
        while not self.link.is_stalled:
            self.link.write(FRAME)

    def run(self, us: int) -> None:
        self.scheduler.run_until(self.scheduler.now_us + us)

    def arrived(self, link: Link, text: str) -> None:
        self.came.append(text)

    def told(self, request_id: str) -> None: ...

    def emitted(self, link: Link, text: str) -> None: ...

    def ended(self, link: Link, code: int) -> None: ...

    def heard(self, link: Link, text: str) -> None:
        self.read.append(text)

    def lost(self, link: Link, code: int) -> None:
        self.closed.append(code)


@pytest.fixture
def ends() -> Iterator[Ends]:
    ends = Ends()
    with ends.scheduler.as_the_time():
        yield ends
        ends.loop.kill()


def test_it_has_all_that_a_session_uses_of_a_socket(ends: Ends) -> None:
    source = inspect.getsource(session) + inspect.getsource(outbox)
    used = set(re.findall(r"_wire\.(\w+)", source))
    assert {"write", "unsent", "room", "end", "is_stalled", "is_over", "allowance", "take"} <= used
    door = {*dir(WebSocketDoor), "allowance"}  # made with the connection
    assert used <= door
    assert used <= {*dir(ends.link)}


def test_a_reader_that_stalls_is_closed_in_time_and_given_up_later(ends: Ends) -> None:
    ends.stall(60_000_000)
    ends.fill()
    assert ends.link.unsent() > 0
    ends.run(round(STALL_S * 1_000_000) - 1_000)
    assert not ends.link.is_over
    ends.run(2_000)
    assert ends.link.is_over
    assert not ends.link.has_gone
    ends.run(round(LEAVE_S * 1_000_000) + 50_000)
    assert ends.link.has_gone
    assert ends.closed == [1006]  # the close frame was behind what nobody read
    assert ends.read == []


def test_a_reader_that_comes_back_in_time_stays(ends: Ends) -> None:
    ends.stall(4_000_000)
    ends.fill()
    ends.run(10_000_000)
    assert not ends.link.is_stalled
    assert not ends.link.is_over
    assert ends.link.unsent() == 0
    assert ends.read


def test_while_a_reader_is_stalled_nothing_is_read_from_him(ends: Ends) -> None:
    ends.link.take = lambda text: True
    ends.stall(3_000_000)
    ends.fill()
    ends.link.send("a")
    ends.run(1_000_000)
    assert ends.came == []
    ends.run(3_000_000)
    assert ends.came == ["a"]


def test_what_must_wait_is_not_overtaken(ends: Ends) -> None:
    ends.link.take = lambda text: text == "fast"
    for text in ("slow", "fast", "slow"):
        ends.link.send(text)
    ends.run(1_000_000)
    assert ends.came == ["slow"]
    read = ends.loop.create_task(_read(ends.link, 2))
    ends.run(1_000_000)
    assert read.result() == ["slow", "slow"]
    assert ends.came == ["slow", "fast", "slow"]


async def _read(link: Link, count: int) -> list[Any]:
    return [(await link.receive_message())["text"] for _ in range(count)]


def test_who_waits_for_room_goes_on_when_there_is_some_and_when_it_is_over(ends: Ends) -> None:
    ends.stall(2_000_000)
    ends.fill()
    waiting = ends.loop.create_task(ends.link.room())
    ends.run(1_000_000)
    assert not waiting.done()
    ends.run(2_000_000)
    assert waiting.result() is True
    ends.stall(60_000_000)
    ends.fill()
    waiting = ends.loop.create_task(ends.link.room())
    ends.link.end(CloseCode.STOPPING, "")
    ends.run(1_000)
    assert waiting.result() is False


def test_an_end_comes_behind_what_was_sent(ends: Ends) -> None:
    for number in range(20):
        ends.link.write(b"%d" % number)
    ends.link.end(CloseCode.NOT_AUTHENTICATED, "")
    ends.link.write(b"never")
    ends.run(1_000_000)
    assert ends.read == [str(number) for number in range(20)]
    assert ends.closed == [4401]
    assert ends.link.has_gone


def test_a_peer_that_vanished_is_found_out_and_what_it_is_sent_counts_until_then(ends: Ends) -> None:
    ends.link.cut(DEAD_PEER_US)
    while not (sent := ends.link.unsent()):
        ends.link.write(FRAME)
    assert not ends.link.is_stalled
    ends.run(DEAD_PEER_US - 10_000)
    assert ends.link.unsent() == sent
    ends.run(20_000)
    assert ends.link.has_gone
    assert ends.link.is_over


def test_some_readers_stall_for_longer_than_they_may() -> None:
    assert STALL_US[0] < STALL_S * 1_000_000 < STALL_US[1]
