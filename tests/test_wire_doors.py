"""Who is let in, over real sockets: tokens, origins, the subprotocol, and when a session must end."""

from __future__ import annotations

import asyncio
import contextlib
import json
import struct
import threading
import time
from collections.abc import Iterator

import pytest
from websockets.asyncio.client import connect as open_socket
from websockets.exceptions import InvalidStatus

from harness.wire import SUBPROTOCOL
from tests.server_fixture import CLOSE, Json, RawSocket, World, mint

PAST = 1_000_000_000
FAR = 4_000_000_000


class Doomed:
    """A socket that the server must close by itself; watched from a thread while other tests run."""

    def __init__(self, raw: RawSocket) -> None:
        self._began = time.monotonic()
        self._raw = raw
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        self.messages, self.code = self._raw.messages_and_close_code()
        self.after_s = time.monotonic() - self._began

    def end(self) -> tuple[int, float]:
        """The close code, and after how many seconds it came."""
        self._thread.join()
        return self.code, self.after_s

    def close(self) -> None:
        self._thread.join()
        self._raw.socket.close()


@pytest.fixture(scope="module", autouse=True)
def doomed(world: World) -> Iterator[dict[str, Doomed]]:
    """Opened before the other tests of this file and looked at by its last ones: nobody waits twice."""
    port = world.server.port
    user_id, _ = world.player()
    half = RawSocket(port)
    half.send(b"\x81\xff")  # the beginning of a frame is no auth
    opened = {
        "silent": Doomed(RawSocket(port)),
        "half a frame": Doomed(half),
        "other scheme": Doomed(RawSocket(port, "Authorization: Basic Og==")),
        "short-lived": Doomed(RawSocket(port, token=mint(user_id, life_s=3))),
        "short-lived operator": Doomed(RawSocket(port, token=mint(1, "operator", life_s=3))),
    }
    yield opened
    for socket in opened.values():
        socket.close()
    world.assert_sound()


REFUSED: dict[str, str] = {
    "expired": mint(1, exp=PAST),
    "never ends": mint(1, exp=None),
    "not yet": mint(1, nbf=FAR),
    "unsigned": mint(1, header={"alg": "none"}),
    "another key": mint(1, key="another-secret-that-is-long-enough-too"),
    "another algorithm": mint(1, header={"alg": "HS512"}),
    "another audience": mint(1, aud="other"),
    "another issuer": mint(1, iss="other"),
    "another type": mint(1, header={"typ": "JWT"}),
    "unknown role": mint(1, "root"),
    "role of another shape": mint(1, ["player"]),
    "ends beyond numbers": mint(1, "operator", exp=10**400),
    "no user": mint("me"),
    "no such player": mint(2**53 - 1),
    "user 0": mint(0),
    "the house itself": mint(1),
    "truncated": mint(1)[:-1],
    "no token": "x",
    "too long for a message": "a" * 4097,
}


def closes_with(world: World, token: str, *, by_message: bool) -> tuple[list[Json], int]:
    with RawSocket(world.server.port, token=None if by_message else token) as raw:
        if by_message:
            raw.send_frame(json.dumps({"type": "auth", "token": token}))
        return raw.messages_and_close_code()


@pytest.mark.parametrize("by_message", [False, True], ids=["header", "first message"])
@pytest.mark.parametrize("kind", REFUSED)
def test_a_bad_token_is_refused_with_4401(world: World, kind: str, by_message: bool) -> None:
    messages, code = closes_with(world, REFUSED[kind], by_message=by_message)
    assert code == 4401
    assert [message["type"] for message in messages] == ["error"]
    assert messages[0]["code"] in ("UNAUTHORIZED", "INVALID_REQUEST")
    assert "welcome" not in str(messages)


def test_the_house_is_no_player_whichever_of_its_books(world: World) -> None:
    for (book,) in world.query("SELECT id FROM users WHERE kind <> 'player'"):
        assert closes_with(world, mint(book), by_message=False)[1] == 4401


@pytest.mark.parametrize(
    ("token", "header"),
    [("a" * 10_000, None), ("", None), ("\xff\xe9", None), (None, "Authorization: Bearer")],
)
def test_an_odd_header_is_answered_and_not_let_in(
    world: World, token: str | None, header: str | None
) -> None:
    """Whatever it is, the client hears something: 4401, or a 4xx for a header line too long."""
    with RawSocket(world.server.port, *([header] if header else []), token=token) as raw:
        assert raw.status in (101, 400, 401, 413, 431)
        if raw.status == 101:
            assert raw.close_code() == 4401


@pytest.mark.parametrize(
    "first",
    ['{"type":"ping","id":"p"}', "[]", "x", '[{"type":"auth","token":"a"},{"type":"auth","token":"a"}]'],
)
def test_a_first_message_that_is_no_auth_is_shown_out(world: World, first: str) -> None:
    with RawSocket(world.server.port) as raw:
        raw.send_frame(first)
        raw.send_frame(json.dumps({"type": "auth", "token": world.operator}))  # too late
        messages, code = raw.messages_and_close_code()
        assert code == 4401
        assert [message["type"] for message in messages] == ["error"]


def test_auth_in_an_array_with_a_bet_places_no_bet(world: World) -> None:
    _, token = world.player()
    before = world.entries()
    bet_id = "0199a5f0-1111-7222-8333-444455556666"
    placing = {"type": "bet.place", "id": "b", "bet_id": bet_id, "stake": 1, "nonce": "12345678"}
    with RawSocket(world.server.port) as raw:
        raw.send_frame(
            json.dumps([{"type": "auth", "token": token}, placing | {"sent_at": int(time.time() * 1e3)}])
        )
        assert raw.close_code() == 4401
    assert world.entries() == before


def test_auth_again_is_refused_and_the_session_lives(world: World) -> None:
    _, token = world.player()
    with RawSocket(world.server.port, token=token) as raw:
        raw.read_messages()
        for other in (token, world.operator, "x"):
            raw.send_frame(json.dumps({"type": "auth", "id": "a", "token": other}))
            (refused,) = raw.read_messages()
            assert (refused["type"], refused["code"], refused["id"]) == ("error", "INVALID_REQUEST", "a")
        raw.send_frame('{"type":"balance.get","id":"b"}')
        assert raw.read_messages()[0]["type"] == "balance"


async def status_of(world: World, **handshake: object) -> int:
    try:
        async with open_socket(world.server.ws, subprotocols=[SUBPROTOCOL], proxy=None, **handshake):  # type: ignore[arg-type]
            return 101
    except InvalidStatus as refused:
        return refused.response.status_code


def test_no_origin_and_the_servers_own_pass(world: World) -> None:
    port = world.server.port
    assert asyncio.run(status_of(world)) == 101
    assert asyncio.run(status_of(world, origin=f"http://127.0.0.1:{port}")) == 101
    assert asyncio.run(status_of(world, origin=f"https://127.0.0.1:{port}")) == 101


@pytest.mark.parametrize(
    "origin",
    [
        "http://evil.example", "http://127.0.0.1", "http://127.0.0.1:{port}.evil.example", "null", "x", "",
        "http://evil.example:{port}", "http://127.0.0.1:{port}@evil.example",
        "http://evil.example/127.0.0.1:{port}", "http://[", "http://]", "http://[::1", "http://[v1.x]:{port}",
        "http://127.0.0.1:{port}\xff", "//", "\xe9",
    ],
)  # fmt: skip
def test_a_foreign_origin_is_forbidden(world: World, origin: str) -> None:
    with RawSocket(world.server.port, f"Origin: {origin.format(port=world.server.port)}") as raw:
        assert raw.status == 403


@pytest.mark.parametrize("subprotocol", [None, "wallet.v2", "WALLET.V1", "wallet.v1x"])
def test_who_does_not_ask_for_the_subprotocol_is_closed_with_4400(
    world: World, subprotocol: str | None
) -> None:
    with RawSocket(world.server.port, subprotocol=subprotocol, token=world.operator) as raw:
        assert raw.status == 101
        assert raw.messages_and_close_code() == ([], 4400)


def test_the_subprotocol_is_picked_out_of_several_and_nothing_is_compressed(world: World) -> None:
    offer = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits"
    with RawSocket(world.server.port, offer, subprotocol="other, wallet.v1", token=world.operator) as raw:
        head = raw.head.lower()
        assert raw.status == 101
        assert b"sec-websocket-protocol: wallet.v1" in head
        assert b"sec-websocket-extensions" not in head
        assert raw.read_messages()[0]["type"] == "welcome"


@pytest.mark.parametrize("path", ["/", "/ws/", "/wsx", "/WS", "/health/live", "/%2e%2e/ws"])
def test_only_ws_is_a_websocket(world: World, path: str) -> None:
    """And a developer who has the path wrong looks for nothing that is wrong with his token or his origin."""
    with RawSocket(world.server.port, path=path, token=world.operator) as raw:
        assert raw.status == 404
        assert b"content-type: application/problem+json" in raw.head.lower()


def test_a_token_in_the_url_counts_for_nothing(world: World) -> None:
    with RawSocket(
        world.server.port, path=f"/ws?token={world.operator}&access_token={world.operator}"
    ) as raw:
        raw.send_frame('{"type":"ping","id":"p"}')
        assert raw.close_code() == 4401


@pytest.mark.parametrize("who", ["short-lived", "short-lived operator"])
def test_a_session_ends_with_its_token(doomed: dict[str, Doomed], who: str) -> None:
    code, after_s = doomed[who].end()
    assert code == 4401
    assert doomed[who].messages[0]["type"] == "welcome"
    assert 1.9 <= after_s <= 5.0  # whole seconds of Unix time: up to one less than it was minted for


@pytest.mark.parametrize("who", ["silent", "half a frame", "other scheme"])
def test_who_does_not_authenticate_in_time_is_closed_with_4408(doomed: dict[str, Doomed], who: str) -> None:
    code, after_s = doomed[who].end()
    assert code == 4408
    assert doomed[who].messages == []
    assert 4.9 <= after_s <= 7.5


def test_a_user_has_no_more_sockets_than_a_user_needs(world: World) -> None:
    """256, whatever the role: the newest is refused, and there is room again when one goes."""
    user_id, token = world.player()
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(RawSocket(world.server.port, token=token)) for _ in range(256)]
        for raw in sockets:
            assert raw.read_messages()[0]["type"] == "welcome"
        for refused in (token, mint(user_id, "operator")):
            with RawSocket(world.server.port, token=refused) as raw:
                messages, code = raw.messages_and_close_code()
                assert (code, [message["code"] for message in messages]) == (4429, ["RATE_LIMITED"])
        with RawSocket(world.server.port, token=world.player()[1]) as other:
            assert other.read_messages()[0]["type"] == "welcome"
        sockets[0].send_frame(struct.pack(">H", 1000), CLOSE)
        assert sockets[0].close_code() == 1000
        with RawSocket(world.server.port, token=token) as raw:
            assert raw.read_messages()[0]["type"] == "welcome"
