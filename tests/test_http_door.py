"""Strangers over HTTP: what they may have waiting, and for how long, on the connections of a real server."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import struct
import time
import urllib.request
from collections.abc import Callable
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState

from tests.peer import Peer
from tests.server_fixture import RawSocket, World
from tests.sim.loop import Loop, Scheduler
from ws.transport.http_door import ANSWERED_WITHIN_S, PROXY_IDLE_S, REQUEST_BYTES, HttpDoor
from ws.transport.http_framing import PIECES_MAX, PIPELINED_MAX, SLICE_BYTES
from ws.transport.shares import Shares
from ws.transport.turns import TURN_BYTES, Turns

GET = b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n"
METRICS = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST /health/live HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n"
UPGRADE = (
    b"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
GROWTH_KB = 16 * 1024
FLOOD_S = 1.5


@pytest.fixture(autouse=True)
def sound(world: World) -> None:
    world.assert_sound()


def test_requests_without_end_are_not_queued(world: World) -> None:
    """A stranger who sends requests as fast as he can, and waits for no answer: 250 MB a second once."""
    before = world.resident_kb()
    until = time.monotonic() + FLOOD_S
    while time.monotonic() < until:
        with RawSocket(world.server.port, upgrade=False) as raw:
            raw.socket.settimeout(0.2)
            with contextlib.suppress(OSError):  # a reset: all that is sent on is thrown away
                while time.monotonic() < until:
                    raw.send(GET * 5_000)
    assert world.resident_kb() - before < GROWTH_KB
    with urllib.request.urlopen(f"{world.server.http}/health/live", timeout=5) as answer:
        assert json.load(answer) == {"status": "live"}


def test_who_leaves_while_a_request_waits_behind_another_is_not_logged(world: World) -> None:
    """The first one was answered to a connection that had gone, with a traceback for each."""
    login = json.dumps({"username": "nobody", "password": "12345678"}).encode()
    before = logins(world)
    with RawSocket(world.server.port, upgrade=False) as raw:
        raw.send(
            b"POST /v1/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            b"Content-Length: %d\r\n\r\n%s%s" % (len(login), login, GET)
        )
        raw.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # a reset
    deadline = time.monotonic() + 10
    while logins(world) == before:
        assert time.monotonic() < deadline
        time.sleep(0.02)  # nobody is told when nobody is answered
    assert "Traceback" not in world.log()
    assert "without completing" not in world.log()


def logins(world: World) -> list[bytes]:
    """How many log-ins are over, by status."""
    with urllib.request.urlopen(f"{world.server.http}/metrics", timeout=5) as answer:
        begins = b'solidgreen_http_requests_total{route="/v1/auth/login"'
        return [line for line in answer.read().splitlines() if line.startswith(begins)]


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"GET /health/live HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", 400),
        (b"GET /health/live HTTP/1.1\r\nHost: x\r\nhost: x\r\n\r\n", 400),
        (b"GET /health/live HTTP/1.1\r\n\r\n", 400),
        (b"GET /health/live HTTP/1.1\r\nHost:\r\n\r\n", 200),
        (b"GET /health/live HTTP/1.0\r\n\r\n", 200),
        (UPGRADE.replace(b"Host: x", b"Host: x\r\nOrigin: http://x\r\nHost: y"), 400),
    ],
)
def test_a_request_names_one_host(world: World, head: bytes, status: int) -> None:
    with RawSocket(world.server.port, upgrade=False) as raw:
        raw.send(head)
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += raw.socket.recv(65536)
        assert answer.startswith(b"HTTP/1.1 %d " % status)


def test_a_few_requests_at_a_time_are_answered_in_order(world: World) -> None:
    with RawSocket(world.server.port, upgrade=False) as raw:
        raw.send(GET * (1 + PIPELINED_MAX))
        answers = b""
        while answers.count(b'{"status":"live"}') < 1 + PIPELINED_MAX:
            answers += raw.socket.recv(65536)
        assert answers.count(b"HTTP/1.1 200 OK") == 1 + PIPELINED_MAX


def test_a_handshake_behind_a_request_that_is_not_answered_is_refused(world: World) -> None:
    """Else its answer would be written into the WebSocket."""
    with RawSocket(world.server.port, upgrade=False) as raw:
        raw.send(GET + UPGRADE)
        raw.read_head()
        assert raw.status == 200
        assert raw._exactly(17) == b'{"status":"live"}'
        raw.read_head()
        assert raw.status == 400


HOLDS = {
    "half a first request": [b"GET"],
    "half a second request": [GET, b"G"],
    "a body that does not come": [
        b"POST /health/live HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n",
        b"1",
    ],
    "a body that drips": [POST % 9999],
    "an answer that nobody reads": [METRICS * 15] * 100,
}


@pytest.mark.long
def test_no_stranger_holds_a_connection_for_ever(world: World) -> None:
    """All at once, for as long as the longest: one read tells whether the connection is still there."""
    with contextlib.ExitStack() as stack:
        held = {
            act: stack.enter_context(RawSocket(world.server.port, upgrade=False, receive_buffer=4096))
            for act in HOLDS
        }
        for act, parts in HOLDS.items():
            held[act].socket.settimeout(0.1)
            for part in parts:
                with contextlib.suppress(OSError):
                    held[act].send(part)
                    if len(parts) == 2 and part is not parts[-1]:
                        held[act].read_head()
        until = time.monotonic() + ANSWERED_WITHIN_S + 3
        while time.monotonic() < until:
            with contextlib.suppress(OSError):
                held["a body that drips"].send(b"x")
            time.sleep(0.5)  # what a drip is
        assert {act for act, raw in held.items() if not is_dropped(raw)} == set()


def is_dropped(raw: RawSocket) -> bool:
    """Whether the server has ended it, once all that it sent is read."""
    try:
        while raw.socket.recv(65536):
            pass
    except TimeoutError:
        return False
    except ConnectionError:
        pass
    return True


def sharing_turns(app: Any, connections: int) -> list[HttpDoor]:
    """As many as there are connections, of one server."""
    config = uvicorn.Config(app, ws="none", lifespan="off", log_config=None)
    config.load()
    turns = Turns()
    return [HttpDoor(config, ServerState(), {}, turns=turns, shares=Shares()) for _ in range(connections)]


def test_so_many_requests_are_begun_in_one_turn_however_many_connections_ask() -> None:
    """All of them in one turn made a batch of bets, which needs five turns, wait for five times as many: with
    forty connections that asked for `/metrics` 106 ms (p50; 4 ms without them)."""
    connections, gone = 400, 7
    begun = 0

    async def app(scope: Any, receive: Callable[[], Any], send: Callable[[Any], Any]) -> None:
        nonlocal begun
        begun += 1
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body"})

    async def run() -> None:
        doors = sharing_turns(app, connections)
        peers = [Peer() for _ in doors]
        for door, peer in zip(doors, peers, strict=True):
            door.connection_made(peer)
            door.data_received(GET * 2)
        for peer in peers[:gone]:
            peer.close()
        longest = before = 0
        while before < 2 * (connections - gone):
            await asyncio.sleep(0)
            longest, before = max(longest, begun - before), begun
        assert longest <= TURN_BYTES // REQUEST_BYTES
        for door in doors:
            door.connection_lost(None)

    asyncio.run(asyncio.wait_for(run(), 30))


def test_so_many_bytes_are_parsed_in_one_turn_however_many_connections_send() -> None:
    """Forty reads of 256 KB that are chunks of a byte took a second, and all bets waited."""
    connections, chunk = 40, b"1\r\nx\r\n"
    flood = b"POST /health/live HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk * 40_000

    async def app(scope: Any, receive: Callable[[], Any], send: Callable[[Any], Any]) -> None:
        while (await receive())["type"] == "http.request":
            pass

    async def run() -> None:
        doors = sharing_turns(app, connections)
        peers = [Peer() for _ in doors]
        for door, peer in zip(doors, peers, strict=True):
            door.connection_made(peer)
            door.data_received(flood)
            assert not peer.is_read
        parsed, longest = 0, 0
        while not all(peer.is_gone for peer in peers):
            await asyncio.sleep(0)
            now = sum(door._pieces for door in doors)
            parsed, longest = now, max(longest, now - parsed)
        assert parsed == connections * (PIECES_MAX + 1), "then each is refused"
        assert longest <= (TURN_BYTES + SLICE_BYTES) / len(chunk)
        for door in doors:
            door.connection_lost(None)
        await asyncio.sleep(0)

    asyncio.run(asyncio.wait_for(run(), 30))


class OfAProxy(Peer):
    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return ("10.0.0.5", 4711) if name == "peername" else super().get_extra_info(name, default)


@pytest.mark.parametrize(("proxies", "idle_s"), [([], 5), (["10.0.0.0/24"], PROXY_IDLE_S)])
def test_a_proxy_that_is_named_is_who_closes_its_connections(proxies: list[str], idle_s: int) -> None:
    """It keeps them for its next requests; where one met the close of the server, its client had a 502."""
    scheduler = Scheduler()
    failures: list[dict[str, Any]] = []
    loop = Loop(scheduler, failures.append)
    peer = OfAProxy()

    async def app(scope: Any, receive: Callable[[], Any], send: Callable[[Any], Any]) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body"})

    async def run() -> None:
        config = uvicorn.Config(app, ws="none", lifespan="off", log_config=None)
        config.load()
        door = HttpDoor(config, ServerState(), {}, turns=Turns(), shares=Shares(proxies))
        door.connection_made(peer)
        for _ in range(2):
            door.data_received(GET)
            await asyncio.sleep(idle_s - 0.1)
            assert not peer.is_gone
        await asyncio.sleep(0.2)
        assert peer.is_gone
        door.connection_lost(None)

    running = loop.create_task(run())
    scheduler.run_until(400_000_000)
    running.result()
    assert failures == []


def test_a_request_has_all_of_its_time_however_long_its_connection_was_idle() -> None:
    """A log-in may wait for 8 s, and 5 were left: nothing was heard of it."""
    takes_s, idle_s = ANSWERED_WITHIN_S - 1, 4
    scheduler = Scheduler()
    failures: list[dict[str, Any]] = []
    loop = Loop(scheduler, failures.append)
    peer = Peer()

    async def app(scope: Any, receive: Callable[[], Any], send: Callable[[Any], Any]) -> None:
        await asyncio.sleep(takes_s if scope["query_string"] != b"quick" else 0)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body"})

    async def run() -> None:
        config = uvicorn.Config(app, ws="none", lifespan="off", log_config=None)
        config.load()
        door = HttpDoor(config, ServerState(), {}, turns=Turns(), shares=Shares())
        door.connection_made(peer)
        for answered in (1, 2):
            door.data_received(GET)
            await asyncio.sleep(takes_s + idle_s)
            assert door.server_state.total_requests == answered
        # One whose head is still being parsed, in slices, when the one before it is answered.
        quick, long = (
            GET.replace(b" HTTP", b"?quick HTTP"),
            GET.replace(b": x", b": x\r\nA: " + b"a" * 60_000),
        )
        door.data_received(quick + long)
        await asyncio.sleep(takes_s + idle_s)
        assert door.server_state.total_requests == 4
        assert not peer.is_gone
        door.data_received(GET[:9])
        await asyncio.sleep(ANSWERED_WITHIN_S)
        assert peer.is_gone, "half a request does not count"
        door.connection_lost(None)

    running = loop.create_task(run())
    scheduler.run_until(60_000_000)
    running.result()
    assert failures == []
