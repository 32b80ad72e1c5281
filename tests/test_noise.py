"""A stranger does not fill the log, and nobody else's line is lost."""

from __future__ import annotations

import contextlib
import logging

import pytest

from tests.server_fixture import RawSocket, World, frame
from tests.test_http_door import GET
from ws.watching.noise import BY_STRANGERS, ERRORS_MAX, TOLD_S, Hushed, Spared

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


def error(
    words: str, *given: object, level: int = logging.ERROR, name: str = "solidgreen.batcher"
) -> logging.LogRecord:
    return logging.LogRecord(name, level, __file__, 1, words, given, None)


def test_a_fault_that_meets_every_batch_is_told_some_times_a_minute_and_how_often_it_came() -> None:
    now_s = 5.0
    spared = Spared(lambda: now_s)

    def met(times: int, words: str, level: int = logging.ERROR) -> list[str]:
        told = [each for number in range(times) if spared.filter(each := error(words, number, level=level))]
        return [each.getMessage() for each in told]

    assert met(100, "a batch of %d was refused") == [f"a batch of {n} was refused" for n in range(ERRORS_MAX)]
    assert len(met(3, "looking up %d failed")) == 3  # others are not kept back for it
    assert len(met(100, "check: %d", logging.CRITICAL)) == 100
    now_s += TOLD_S
    told = met(2, "a batch of %d was refused")
    assert told == [
        "a batch of 0 was refused (and 90 more like it, which were not logged)",
        "a batch of 1 was refused",
    ]
    now_s += TOLD_S
    assert met(1, "a batch of %d was refused") == ["a batch of 0 was refused"]


@pytest.mark.parametrize(
    ("name", "level", "told"),
    [
        ("solidgreen.people", logging.WARNING, 50),  # a token that was used twice: of each person
        ("opentelemetry.sdk", logging.WARNING, ERRORS_MAX),
        ("opentelemetry.sdk", logging.ERROR, ERRORS_MAX),
        ("asyncio", logging.ERROR, 50),  # what differs is in its words
    ],
)
def test_whose_lines_are_kept_back(name: str, level: int, told: int) -> None:
    spared = Spared()
    assert sum(spared.filter(error("user %d", each, level=level, name=name)) for each in range(50)) == told


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
