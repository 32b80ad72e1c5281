"""What is around every HTTP request: names, headers, problems, sizes, who asks.

Over sockets: test_wire_shell.py.
"""

from __future__ import annotations

import asyncio
import logging
import re
import uuid
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

import pytest
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp

from harness.process import JWT_SECRET
from tests.asgi import Answer, Unfinished, ask
from tests.server_fixture import mint
from ws.auth import identify
from ws.http.bearer import NOBODY, TWICE, asker_of
from ws.http.bodies import BODY_BYTES_MAX
from ws.http.headers import ALWAYS, completed
from ws.http.request_ids import request_id
from ws.http.shell import Shell, shelled
from ws.rates.rates import Counted, RateLimits, Rates, rate
from ws.rates.windows import Windows

ALICE = 1001


class OffWorld(Exception):
    """A bug of a route. Its words are the server's own business."""


async def hello(request: Request) -> Response:
    return JSONResponse({"hello": "you", "request": request_id.get()})


async def echo(request: Request) -> Response:
    return JSONResponse({"bytes": len(await request.body())})


async def who(request: Request) -> Response:
    return JSONResponse(asker_of(request.scope))


async def page(request: Request) -> Response:
    own = {
        "Content-Security-Policy": "default-src 'self'",
        "Cache-Control": "private",
        "X-Request-Id": "mine",
    }
    return PlainTextResponse("a page", headers=own)


async def broken(request: Request) -> Response:
    raise OffWorld("a secret of the inside")


async def broken_halfway(request: Request) -> Response:
    async def pieces() -> Any:
        yield b"so far"
        raise OffWorld("a secret of the inside")

    return StreamingResponse(pieces())


async def raises(request: Request) -> Response:
    raise HTTPException(int(request.path_params["status"]), headers={"X-Of-The-Route": "1"})


ROUTES = [
    Route("/v1/hello", hello),
    Route("/v1/echo", echo, methods=["POST", "GET", "DELETE"]),
    Route("/v1/who", who),
    Route("/page", page),
    Route("/v1/broken", broken),
    Route("/v1/halfway", broken_halfway),
    Route("/v1/raises/{status}", raises),
    Route("/health/live", hello),
    Route("/metrics", hello),
]
NEVER = RateLimits(None, None, None, None, None)


def application(limits: RateLimits = NEVER, origins: Iterable[str] = ()) -> ASGIApp:
    return shelled(
        ROUTES, partial(identify, JWT_SECRET), Rates(limits, Counted(Windows(lambda: 0))), frozenset(origins)
    )


def asked(path: str = "/v1/hello", method: str = "GET", limits: RateLimits = NEVER, **named: Any) -> Answer:
    return asyncio.run(ask(application(limits), path, method, **named))


def bearer(token: str) -> Mapping[str, str]:
    return {"Authorization": f"Bearer {token}"}


ONCE = RateLimits(address=rate("1/minute"), user=None, money=None, login=None, refresh=None)

EVERY_STATUS: dict[str, tuple[int, dict[str, Any]]] = {
    "answered": (200, {}),
    "not there": (404, {"path": "/v1/nothing"}),
    "not this method": (405, {"method": "PUT"}),
    "too large": (413, {"path": "/v1/echo", "method": "POST", "headers": {"Content-Length": "999999"}}),
    "a body where none belongs": (400, {"headers": {"Content-Length": "1"}, "body": [b"x"]}),
    "broken": (500, {"path": "/v1/broken"}),
    "raised by a route": (415, {"path": "/v1/raises/415"}),
}


@pytest.mark.parametrize("case", EVERY_STATUS)
def test_every_answer_has_the_headers_and_a_name(case: str) -> None:
    status, request = EVERY_STATUS[case]
    answer = asked(**request)
    assert answer.status == status
    assert_complete(answer)


def test_the_headers_are_those_that_were_written_by_hand() -> None:
    assert {name.decode(): value.decode() for name, value in completed([], "https")} == {
        "x-content-type-options": "nosniff",
        "referrer-policy": "no-referrer",
        "cache-control": "no-store",
        "content-security-policy": "default-src 'none'; connect-src 'self'; frame-ancestors 'none'",
        "cross-origin-resource-policy": "same-origin",
        "cross-origin-opener-policy": "same-origin",
        "strict-transport-security": "max-age=31536000",
    }


def test_so_has_who_is_refused_for_asking_too_often() -> None:
    app = application(ONCE)

    async def twice() -> list[Answer]:
        return [await ask(app, "/v1/hello"), await ask(app, "/v1/hello")]

    first, second = asyncio.run(twice())
    assert [first.status, second.status] == [200, 429]
    assert second.code == "RATE_LIMITED"
    assert second.json["retryable"] is True
    assert second.json["retry_after_ms"] == 60_001
    assert second.headers["retry-after"] == "61", "whole seconds, rounded up"
    assert_complete(second)


def assert_complete(answer: Answer) -> None:
    for name, value in ALWAYS:
        assert answer.headers[name.decode()] == value.decode()
    assert "strict-transport-security" not in answer.headers
    uuid.UUID(answer.headers["x-request-id"])


def test_what_a_route_has_set_itself_stands_and_the_name_is_the_shells() -> None:
    answer = asked("/page")
    assert answer.headers["content-security-policy"] == "default-src 'self'"
    assert answer.headers["cache-control"] == "private"
    assert answer.headers["x-content-type-options"] == "nosniff"
    uuid.UUID(answer.headers["x-request-id"])  # one, and not the route's


def test_browsers_are_told_to_stay_with_tls_where_there_is_tls() -> None:
    assert asked(scheme="https").headers["strict-transport-security"] == "max-age=31536000"


@pytest.mark.parametrize("name", ["a", "A-b_c.9", "x" * 64, str(uuid.UUID(int=7))])
def test_a_name_that_the_client_brings_is_kept(name: str) -> None:
    answer = asked(headers={"X-Request-Id": name})
    assert answer.headers["x-request-id"] == answer.json["request"] == name


@pytest.mark.parametrize(
    "name",
    ["", "x" * 65, "a b", "a\r\nSet-Cookie: b", "a\n", "ä", "a;b", '{"a":1}', "a/b", "\x00", "%0d%0a", "a,b"],
)
def test_a_name_that_could_be_anything_else_is_replaced(name: str) -> None:
    answer = asked(headers={"X-Request-Id": name})
    assert answer.headers["x-request-id"] == answer.json["request"] != name
    uuid.UUID(answer.headers["x-request-id"])


def test_of_two_names_none_is_taken() -> None:
    answer = asked(headers=[("X-Request-Id", "a"), ("X-Request-Id", "b")])
    uuid.UUID(answer.headers["x-request-id"])


def test_requests_at_the_same_time_do_not_mix_up_their_names() -> None:
    app = application()

    async def many() -> list[Answer]:
        names = [f"request-{number}" for number in range(50)]
        return await asyncio.gather(
            *(ask(app, "/v1/hello", headers={"X-Request-Id": name}) for name in names)
        )

    answers = asyncio.run(many())
    assert [answer.json["request"] for answer in answers] == [f"request-{number}" for number in range(50)]
    assert request_id.get() is None


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/v1",
        "/v1/hello/",
        "//v1/hello",
        "/v1/hello/../hello",
        "/\x00",
        "/é",
        "/v1/hello\n",
        "/metrics\n",
    ],
)
def test_what_is_nowhere_is_a_problem_and_no_redirect(path: str) -> None:
    answer = asked(path, headers={"Host": "evil.example"})
    assert (answer.status, answer.code) == (404, "NOT_FOUND")
    assert "location" not in answer.headers


@pytest.mark.parametrize("method", ["PUT", "PATCH", "TRACE", "BREW", "OPTIONS"])
def test_another_method_is_a_problem_that_names_those_there_are(method: str) -> None:
    answer = asked("/v1/hello", method)
    assert (answer.status, answer.code) == (405, "INVALID_REQUEST")
    assert {each.strip() for each in answer.headers["allow"].split(",")} == {"GET", "HEAD"}


@pytest.mark.parametrize(
    ("status", "code"),
    [
        *((401, "UNAUTHORIZED"), (403, "FORBIDDEN"), (404, "NOT_FOUND"), (415, "INVALID_REQUEST")),
        *((429, "RATE_LIMITED"), (501, "INTERNAL"), (503, "OVERLOADED")),
    ],
)
def test_what_a_route_raises_keeps_its_headers(status: int, code: str) -> None:
    answer = asked(f"/v1/raises/{status}")
    assert (answer.status, answer.code, answer.headers["x-of-the-route"]) == (status, code, "1")


def test_not_modified_has_no_body() -> None:
    answer = asked("/v1/raises/304")
    assert (answer.status, answer.body) == (304, b"")


def test_a_bug_is_told_once_in_the_log_by_name_and_to_the_client_not_at_all(
    caplog: pytest.LogCaptureFixture,
) -> None:
    answer = asked("/v1/broken", headers={"X-Request-Id": "find-me"})
    assert (answer.status, answer.code) == (500, "INTERNAL")
    assert b"secret" not in answer.body
    assert b"OffWorld" not in answer.body
    (record,) = caplog.records
    assert (record.levelno, record.getMessage()) == (
        logging.ERROR,
        "request find-me failed: GET '/v1/broken'",
    )
    assert record.exc_info is not None
    assert record.exc_info[0] is OffWorld


def test_a_bug_around_the_routes_is_told_likewise(caplog: pytest.LogCaptureFixture) -> None:
    async def app(*_: object) -> None:
        raise OffWorld("a secret of the inside")

    answer = asyncio.run(ask(Shell(app), "/v1/a\nb"))
    assert (answer.status, answer.code) == (500, "INTERNAL")
    assert_complete(answer)
    assert re.fullmatch(r"request \S+ failed: GET '/v1/a\\nb'", caplog.records[0].getMessage())


def test_an_answer_that_breaks_off_is_not_answered_twice(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(Unfinished):  # uvicorn ends the connection then
        asked("/v1/halfway")
    assert len(caplog.records) == 1


def test_who_leaves_in_the_middle_of_his_body_is_no_bug(caplog: pytest.LogCaptureFixture) -> None:
    async def run() -> None:
        async def body() -> Any:
            return next(told)

        told = iter([{"type": "http.request", "body": b"x", "more_body": True}, {"type": "http.disconnect"}])
        sent: list[Any] = []

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {
            "type": "http", "method": "POST", "path": "/v1/echo", "headers": [], "query_string": b"",
            "scheme": "http", "client": None, "root_path": "",
        }  # fmt: skip
        await application()(scope, body, send)

    asyncio.run(run())
    assert caplog.records == []


PIECE = b"x" * 65_536
FOUR = [PIECE] * 4
assert len(PIECE) * 4 == BODY_BYTES_MAX


def test_the_largest_body_is_taken() -> None:
    length = {"Content-Length": str(BODY_BYTES_MAX)}
    assert asked("/v1/echo", "POST", headers=length, body=FOUR).json == {"bytes": BODY_BYTES_MAX}
    assert asked("/v1/echo", "POST", headers={"Transfer-Encoding": "chunked"}, body=FOUR).status == 200


@pytest.mark.parametrize(
    "length", [str(BODY_BYTES_MAX + 1), "9" * 12, "9" * 30, "9" * 5_000, "-1", "1e9", "0x10"]
)
def test_a_body_that_is_said_to_be_larger_is_refused_before_a_byte_of_it_is_read(length: str) -> None:
    answer = asked("/v1/echo", "POST", headers={"Content-Length": length}, body=[PIECE] * 9)
    assert (answer.status, answer.code, answer.read) == (413, "INVALID_REQUEST", 0)


@pytest.mark.parametrize("headers", [{}, {"Transfer-Encoding": "chunked"}, {"Content-Length": "5"}])
def test_a_body_without_end_is_read_as_far_as_it_may_be(headers: dict[str, str]) -> None:
    answer = asked("/v1/echo", "POST", headers=headers, body=[*FOUR, b"x", PIECE, PIECE])
    assert (answer.status, answer.code, answer.read) == (413, "INVALID_REQUEST", 5)
    assert_complete(answer)


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "TRACE"])
@pytest.mark.parametrize("headers", [{"Content-Length": "3"}, {"Transfer-Encoding": "chunked"}])
def test_a_body_where_a_proxy_may_not_see_one_is_refused(method: str, headers: dict[str, str]) -> None:
    answer = asked("/v1/echo", method, headers=headers, body=[b"{}\n"])
    assert (answer.status, answer.code, answer.read) == (400, "INVALID_REQUEST", 0)


def test_a_body_of_nothing_is_none() -> None:
    assert asked(headers={"Content-Length": "0"}).status == 200


def test_a_token_says_who_asks() -> None:
    answer = asked("/v1/who", headers=bearer(mint(ALICE, "operator")))
    assert answer.json[:2] == [ALICE, "operator"]  # type: ignore[index]  # an `Identity` is a tuple


@pytest.mark.parametrize(
    "authorization",
    [
        *(
            "",
            "Bearer",
            "Bearer ",
            "Bearer nonsense",
            "Basic YTpi",
            "Bearer \xff\xfe",
            f"Basic {mint(ALICE)}",
        ),
        f"Bearer {mint(ALICE, life_s=-1)}",
        f"Bearer {mint(ALICE, key='another-secret-that-is-long-enough-for-hs256')}",
        "Bearer " + "x" * 60_000,
    ],
)
def test_any_other_is_nobody_s_and_is_left_to_the_route(authorization: str) -> None:
    answer = asked("/v1/who", headers={"Authorization": authorization})
    why, challenge = answer.json  # an `Unknown` is a tuple
    assert answer.status == 200
    assert why
    assert challenge.startswith("Bearer")


def test_nobody_is_anybody_without_one() -> None:
    assert tuple(asked("/v1/who").json) == NOBODY


def test_nor_with_two() -> None:
    twice = [("Authorization", f"Bearer {mint(ALICE)}")] * 2
    assert tuple(asked("/v1/who", headers=twice).json) == TWICE


def statuses(app: ASGIApp, requests: Iterable[dict[str, Any]]) -> list[int]:
    async def run() -> list[int]:
        return [(await ask(app, **request)).status for request in requests]

    return asyncio.run(run())


def test_a_user_is_counted_by_his_token_and_a_forger_by_his_address() -> None:
    limits = RateLimits(address=rate("3/minute"), user=rate("2/minute"), money=None, login=None, refresh=None)
    alice, bob = bearer(mint(ALICE)), bearer(mint(ALICE + 1))
    forged = bearer(mint(ALICE, key="another-secret-that-is-long-enough-for-hs256"))
    addresses = [(f"192.0.2.{number}", 1) for number in range(9)]
    paths = {"path": "/v1/hello"}
    assert statuses(
        application(limits), ({**paths, "headers": alice, "client": each} for each in addresses[:3])
    ) == [200, 200, 429]
    assert statuses(
        application(limits), ({**paths, "headers": each, "client": addresses[0]} for each in (alice, bob) * 2)
    ) == [200, 200, 200, 429]
    assert statuses(
        application(limits), ({**paths, "headers": forged, "client": addresses[0]} for _ in range(4))
    ) == [200, 200, 200, 429]
    # And the forger has taken nothing from her.
    app = application(limits)
    assert statuses(app, [{**paths, "headers": forged, "client": addresses[1]}] * 3) == [200] * 3
    assert statuses(app, [{**paths, "headers": alice, "client": addresses[2]}] * 2) == [200] * 2


def test_a_network_of_ipv6_is_one_address() -> None:
    own = [(f"2001:db8:1:2::{number:x}", 1) for number in range(3)]
    assert statuses(application(ONCE), ({"path": "/v1/hello", "client": each} for each in own)) == [
        200,
        429,
        429,
    ]
    others = [(f"2001:db8:1:{number:x}::1", 1) for number in range(3)]
    assert (
        statuses(application(ONCE), ({"path": "/v1/hello", "client": each} for each in others)) == [200] * 3
    )


def test_those_without_an_address_are_one() -> None:
    assert statuses(application(ONCE), [{"path": "/v1/hello", "client": None}] * 2) == [200, 429]


@pytest.mark.parametrize("path", ["/health/live", "/metrics"])
def test_whoever_watches_is_never_refused(path: str) -> None:
    assert statuses(application(ONCE), [{"path": path}] * 5) == [200] * 5


def test_health_is_where_it_is_and_nowhere_else() -> None:
    """A path that only looks like it is counted like any other."""
    for path in ("/healthy", "/health", "/metrics/", "/metricsx", "/v1/health/"):
        assert statuses(application(ONCE), [{"path": path}] * 2) == [404, 429]


def test_a_socket_passes_untouched() -> None:
    passed: list[tuple[Any, ...]] = []

    async def app(*given: Any) -> None:
        passed.append(given)

    given = ({"type": "websocket", "headers": []}, object(), object())
    asyncio.run(Shell(app)(*given))  # type: ignore[arg-type]
    assert len(passed[0]) == 3
    assert all(one is other for one, other in zip(passed[0], given, strict=True))
    assert given[0] == {"type": "websocket", "headers": []}
