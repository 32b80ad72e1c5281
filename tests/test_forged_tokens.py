"""Forged access tokens: refused wherever a token is shown, and never a fault of the server."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.process import JWT_SECRET
from tests.forged_tokens import forged, genuine
from tests.server_fixture import RawSocket, World, running
from ws.auth import TokenRefused, identify

ALICE, BOB = 7, 8
FORGED = forged(ALICE, BOB)
HEAD_BYTES_MAX = 65_536


def test_there_are_two_hundred_of_them_at_least_and_the_control_is_good() -> None:
    assert len(FORGED) >= 200
    assert len(set(FORGED.values())) > 0.95 * len(FORGED)
    assert identify(JWT_SECRET, genuine(ALICE)).user_id == ALICE


@pytest.mark.parametrize("token", FORGED.values(), ids=[*FORGED])
def test_a_forged_token_is_refused(token: str) -> None:
    with pytest.raises(TokenRefused):
        identify(JWT_SECRET, token)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with running(Path(tmp_path_factory.mktemp("forged")), players=2) as this:
        yield this
        this.assert_sound()


def as_header(token: str) -> bytes:
    """The token as a client may put it on the wire; what would end the header stands for itself."""
    return token.encode(errors="surrogatepass").replace(b"\n", b"\\n").replace(b"\r", b"\\r")


def posted(connection: http.client.HTTPConnection, path: str, token: bytes) -> tuple[int, bytes]:
    connection.putrequest("POST", path)
    connection.putheader("Authorization", b"Bearer " + token)
    connection.putheader("Content-Type", "application/json")
    connection.putheader("Content-Length", "2")
    connection.endheaders(b"{}")
    answer = connection.getresponse()
    return answer.status, answer.read()


def test_over_http_each_is_a_problem_and_none_a_fault(world: World) -> None:
    for name, token in FORGED.items():
        shown = as_header(token)
        if len(shown) > HEAD_BYTES_MAX or b"\x00" in shown:
            continue  # no request at all: the next test
        connection = http.client.HTTPConnection("127.0.0.1", world.server.port, timeout=10)
        for path in ("/v1/auth/logout", "/v1/admin/keys"):
            status, body = posted(connection, path, shown)
            assert status == 401, (name, path, status, body)
            assert json.loads(body)["code"] == "UNAUTHORIZED", (name, path)
        connection.close()
    connection = http.client.HTTPConnection("127.0.0.1", world.server.port, timeout=10)
    assert posted(connection, "/v1/auth/logout", genuine(ALICE).encode())[0] == 400, "it comes from no log-in"
    assert posted(connection, "/v1/admin/keys", genuine(ALICE).encode())[0] == 403, "a player is no admin"
    connection.close()


def test_what_is_too_big_or_no_text_for_a_header_is_no_request(world: World) -> None:
    for token in (FORGED["oversized"].encode(), genuine(ALICE).encode() + b"\x00"):
        with socket.create_connection(("127.0.0.1", world.server.port), timeout=10) as door:
            head = b"POST /v1/auth/logout HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nAuthorization: Bearer "
            door.sendall(head + token + b"\r\n\r\n")
            status = int(door.recv(4096).split()[1])
            assert 400 <= status < 500


def test_on_the_handshake_each_is_closed_with_4401(world: World) -> None:
    for name, token in FORGED.items():
        shown = as_header(token).decode("latin-1")
        if len(shown) > HEAD_BYTES_MAX or "\x00" in shown:
            continue
        header = f"Authorization: Bearer {shown}"
        with RawSocket(world.server.port, header) as wire:
            assert wire.status == 101, name
            messages, code = wire.messages_and_close_code()
            assert code == 4401, (name, code, messages)
            assert [message["code"] for message in messages] == ["UNAUTHORIZED"], name


def test_as_the_first_message_each_is_closed_with_4401(world: World) -> None:
    for name, token in FORGED.items():
        with RawSocket(world.server.port) as wire:
            wire.send_frame(json.dumps({"type": "auth", "token": token}))
            messages, code = wire.messages_and_close_code()
            assert code == 4401, (name, code, messages)
            assert [message["type"] for message in messages] == ["error"], name
    with RawSocket(world.server.port) as wire:
        wire.send_frame(json.dumps({"type": "auth", "token": genuine(ALICE)}))
        assert wire.read_messages()[0]["type"] == "welcome"
