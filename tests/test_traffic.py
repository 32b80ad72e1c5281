"""What comes through the doors, counted around an application that behaves in any way."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket

from engine.histograms import LONG_TIMES_US
from tests.asgi import request, shake_hands
from ws.effects import CloseCode
from ws.people.passwords import WITHIN_S
from ws.transport.traffic import KNOWN_CODES, Traffic, Watched


def test_a_log_in_of_a_storm_is_within_the_times_that_are_told() -> None:
    assert LONG_TIMES_US[-1] > WITHIN_S * 1e6


async def told(asked: Request) -> PlainTextResponse:
    return PlainTextResponse("told", headers={"X-Request-Id": "r-7"})


async def failed(asked: Request) -> PlainTextResponse:
    raise RuntimeError("a bug")


async def pieces(asked: Request) -> StreamingResponse:
    async def two() -> Any:
        yield b"one"
        yield b"two"

    return StreamingResponse(two())


async def socket(websocket: WebSocket) -> None:
    if websocket.path_params["user_id"] == "8":
        await websocket.close()
        return
    await websocket.accept()
    await websocket.send_text("hello")


APPLICATION = Starlette(
    routes=[
        Route("/told/{user_id}", told),
        Route("/failed", failed),
        Route("/pieces", pieces),
        WebSocketRoute("/socket/{user_id}", socket),
    ]
)


def watched(**more: Any) -> tuple[Traffic, ASGIApp]:
    traffic = Traffic()
    return traffic, Watched(APPLICATION, traffic, **more)


def test_requests_are_counted_by_the_template_of_their_route() -> None:
    traffic, app = watched()
    for path in ("/told/7", "/told/8?token=secret", "/failed", "/pieces", "/nothing", "/told/7/more"):
        request(app, path)
    request(app, "/told/7", "POST")
    assert traffic.requests == {
        ("/told/{user_id}", "200"): 2,
        ("/told/{user_id}", "405"): 1,
        ("/failed", "500"): 1,
        ("/pieces", "200"): 1,
        ("none", "404"): 2,
    }
    assert {route: each.cumulative()[-1] for route, each in traffic.times.items()} == {
        "/told/{user_id}": 3,
        "/failed": 1,
        "/pieces": 1,
        "none": 2,
    }


def test_handshakes_are_counted_apart_from_what_comes_after() -> None:
    traffic, app = watched()
    assert [each["type"] for each in shake_hands(app, "/socket/7")] == ["websocket.accept", "websocket.send"]
    assert [each["type"] for each in shake_hands(app, "/socket/8")] == ["websocket.close"]
    assert traffic.requests == {("/socket/{user_id}", "101"): 1, ("/socket/{user_id}", "403"): 1}
    assert not traffic.times


def test_who_has_gone_before_an_answer_is_counted_as_gone() -> None:
    async def silent(scope: Scope, receive: Receive, send: Send) -> None:
        raise asyncio.CancelledError

    async def run(traffic: Traffic) -> None:
        app = Watched(silent, traffic)
        with pytest.raises(asyncio.CancelledError):
            await app({"type": "http", "method": "GET", "path": "/"}, None, None)  # type: ignore[arg-type]

    traffic = Traffic()
    asyncio.run(run(traffic))
    assert traffic.requests == {("none", "gone"): 1}


@pytest.mark.parametrize("code", sorted(KNOWN_CODES))
def test_the_codes_of_the_protocol_are_told_apart(code: int) -> None:
    traffic = Traffic()
    traffic.socket_ended(code)
    assert traffic.ended == {str(int(code)): 1}


def test_whatever_else_a_peer_says_is_one_code() -> None:
    traffic = Traffic()
    for code in (*range(3000, 3100), 4999, 0, 65535):
        traffic.socket_ended(code)
    assert traffic.ended == {"other": 103}
    assert set(CloseCode) <= KNOWN_CODES


def test_a_request_is_logged_only_if_that_is_asked_for(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "solidgreen.http")
    _, silent = watched()
    request(silent, "/told/7")
    assert not [record for record in caplog.records if record.name == "solidgreen.http"]
    _, app = watched(access_log=True)
    request(app, "/told/7?token=secret", headers={"Authorization": "Bearer secret"})
    request(app, "/nothing/secret", "FORGE")
    (first, second) = [record for record in caplog.records if record.name == "solidgreen.http"]
    assert first.getMessage().startswith("GET /told/{user_id} 200 in ")
    assert vars(first)["request_id"] == "r-7"
    assert second.getMessage().startswith("other none 404 in ")
    assert "request_id" not in vars(second)
    assert "secret" not in first.getMessage() + second.getMessage()
