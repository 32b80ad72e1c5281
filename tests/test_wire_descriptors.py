"""Sockets up to the last file descriptors that clients may have: who has one is served, health is told, and
there is room again when sockets go."""

from __future__ import annotations

import contextlib
import json
import resource
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.process import Server, seed
from harness.wire import bet
from tests.server_fixture import RawSocket, World, of_type, running
from ws.transport import descriptors
from ws.transport.descriptors import FOR_FILES, FOR_HEALTH
from ws.transport.http_door import ANSWERED_CROWDED_S
from ws.transport.shares import SHARE

LIMIT = 128


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A server that may open no more than `LIMIT` files and sockets, from its start on."""
    with running(tmp_path_factory.mktemp("descriptors"), players=LIMIT) as live:
        assert live.server.process is not None
        resource.prlimit(live.server.process.pid, resource.RLIMIT_NOFILE, (LIMIT, LIMIT))
        with RawSocket(live.server.port, token=live.player()[1]) as raw:
            raw.read_messages()
            for _ in range(2):  # each connection to the file opens its log when it is first used
                place(raw)
            warm = opened(live)
        wait_for(live, warm - 1)
        yield live
        live.assert_sound()


def opened(world: World) -> int:
    assert world.server.process is not None
    return len([*Path(f"/proc/{world.server.process.pid}/fd").iterdir()])


def health(world: World) -> str:
    with urllib.request.urlopen(f"{world.server.http}/health/ready", timeout=5) as answer:
        return str(json.load(answer)["status"])


def place(raw: RawSocket) -> None:
    """A bet, confirmed; whatever else the socket hears of its wallet."""
    raw.send_frame(json.dumps(bet(1, id="b")))
    while not of_type(raw.read_messages(), "bet.confirmed"):
        pass


def fill(world: World, token: str) -> tuple[list[RawSocket], RawSocket]:
    """Welcomed sockets until one is refused, and that one."""
    served: list[RawSocket] = []
    while True:
        raw = RawSocket(world.server.port, token=token)
        if raw.status != 101:
            return served, raw
        assert raw.read_messages()[0]["type"] == "welcome"
        served.append(raw)


def wait_for(world: World, count: int, within_s: float = 10) -> None:
    deadline = time.monotonic() + within_s
    while opened(world) > count:
        assert time.monotonic() < deadline, f"{opened(world)} descriptors, not {count}"
        time.sleep(0.02)  # a connection that the server drops gives no other sign


def test_who_has_a_socket_is_served_and_the_next_one_is_refused_until_one_goes(world: World) -> None:
    _, token = world.player()
    before = opened(world)
    served, refused = fill(world, token)
    with contextlib.ExitStack() as stack:
        for raw in (*served, refused):
            stack.enter_context(raw)
        assert refused.status == 503
        assert b"retry-after: 1" in refused.head
        # By its number a socket is told, and what the server closes now and then leaves a gap below.
        room = LIMIT - FOR_FILES - FOR_HEALTH - before
        assert 0 <= len(served) - room * SHARE // (SHARE + 1) <= 4
        assert health(world) == "ready"
        for raw in served:
            place(raw)
        assert "are refused: " in world.log()

        served.pop().socket.close()
        wait_for(world, before + len(served))
        with RawSocket(world.server.port, token=token) as late:
            assert (late.status, late.read_messages()[0]["type"]) == (101, "welcome")
    wait_for(world, before)


def test_a_storm_of_connections_that_say_nothing_stops_nobody(world: World) -> None:
    """Three times as many as there are descriptors, all at once."""
    _, token = world.player()
    before = opened(world)
    with RawSocket(world.server.port, token=token) as raw, contextlib.ExitStack() as stack:
        raw.read_messages()
        for _ in range(3 * LIMIT):
            with contextlib.suppress(ConnectionError):
                stack.enter_context(RawSocket(world.server.port, upgrade=False))
        wait_for(world, LIMIT - FOR_FILES, within_s=ANSWERED_CROWDED_S / 2)  # a burst is taken, and dropped
        place(raw)
        deadline = time.monotonic() + 5
        while True:  # those that keep silent where health is told go after a second
            with contextlib.suppress(OSError):
                assert health(world) == "ready"
                break
            assert time.monotonic() < deadline
            time.sleep(0.05)
    wait_for(world, before)
    assert world.log().count("are refused: ") == 1, "said once a minute"
    assert "Traceback" not in world.log()


def test_one_address_cannot_keep_all_others_out(world: World) -> None:
    """A request each few seconds keeps a connection, and needs no token: one address had them all."""
    _, token = world.player()
    before = opened(world)
    with contextlib.ExitStack() as stack:
        held = 0
        for _ in range(LIMIT):
            with contextlib.suppress(OSError, EOFError):
                raw = stack.enter_context(RawSocket(world.server.port, upgrade=False, host="127.0.0.2"))
                raw.send(b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n")
                held += raw.socket.recv(65536).startswith(b"HTTP/1.1 200")
        assert held > (LIMIT - FOR_FILES - FOR_HEALTH - before) // 2
        with RawSocket(world.server.port, token=token) as other:
            assert (other.status, other.read_messages()[0]["type"]) == (101, "welcome")
            place(other)
    wait_for(world, before)
    served, refused = fill(world, token)
    for raw in (*served, refused):
        raw.socket.close()
    room = LIMIT - FOR_FILES - FOR_HEALTH - before
    assert len(served) >= room * SHARE // (SHARE + 1), "whatever has ended is not counted any more"
    wait_for(world, before)


@pytest.mark.long
def test_the_server_takes_as_many_as_the_system_allows(tmp_path: Path) -> None:
    """The soft limit is for programs that use `select`; the hard one is the administrator's."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    seed(tmp_path / "books.db", 1)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, before[1]))
    try:
        with Server(tmp_path / "books.db") as server:
            assert server.process is not None
            assert resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE) == (before[1], before[1])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_what_is_left_is_told_by_the_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (100, 200))
    assert [descriptors.left(number) for number in (0, 98, 99)] == [99, 1, 0]
    monkeypatch.setattr(resource, "getrlimit", lambda _: (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert descriptors.left(10**6) >= FOR_FILES + FOR_HEALTH
