"""A stranger does not fill the log, and nobody else's line is lost."""

from __future__ import annotations

import contextlib
import logging

import pytest

from tests.server_fixture import RawSocket, World, frame
from tests.test_http_door import GET
from ws.watching.noise import BY_STRANGERS, TOLD_S, Hushed

UPGRADE = GET[:-2] + b"Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n"


def record(words: str, level: int = logging.WARNING) -> logging.LogRecord:
    error = ValueError("of the client")
    return logging.LogRecord("uvicorn.error", level, __file__, 1, words, (), (ValueError, error, None))


def test_each_is_told_once_a_minute_and_without_a_traceback() -> None:
    now_s = 5.0
    hushed = Hushed(lambda: now_s)
    for _ in range(3):
        told = [each for words in BY_STRANGERS for _ in range(9) if hushed.filter(each := record(words, 40))]
        assert {each.msg for each in told} == BY_STRANGERS
        assert [(each.exc_info, each.levelname) for each in told] == [(None, "WARNING")] * len(BY_STRANGERS)
        now_s += TOLD_S


@pytest.mark.parametrize("message", ["Exception in ASGI application\n", ["not even", "a text"]])
def test_what_is_the_servers_own_is_told_each_time(message: object) -> None:
    hushed = Hushed()
    each = record("", 40)
    each.msg = message  # type: ignore[assignment]
    assert [hushed.filter(each) for _ in range(3)] == [True] * 3
    assert each.exc_info is not None


def test_a_stranger_who_breaks_http_and_utf_8_on_many_connections_adds_a_line_of_each(world: World) -> None:
    before = len(world.log())
    for _ in range(5):
        for sent in (b"\x00\r\n\r\n", UPGRADE):
            with RawSocket(world.server.port, upgrade=False) as raw:
                raw.send(sent)
                raw.read_head()
                assert raw.status in (200, 400)
        with RawSocket(world.server.port) as raw:
            raw.send(frame(b"\xff"))
            with contextlib.suppress(ConnectionError):
                assert raw.close_code() == 1007
    told = world.log()[before:].splitlines()
    assert sorted(line.partition("uvicorn.error: ")[2] for line in told) == sorted(BY_STRANGERS)


def test_a_handshake_that_is_refused_is_no_fault(world: World) -> None:
    with RawSocket(world.server.port, upgrade=False) as stranger:
        stranger.shake_hands("Origin: https://elsewhere.example")
        assert stranger.status == 403
    with RawSocket(world.server.port, upgrade=False) as other:  # behind it: what is logged of it is there
        other.socket.sendall(GET)
        assert other.socket.recv(65_536)
    assert "handshake" not in world.log()
