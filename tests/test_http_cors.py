"""Which pages may read what is answered: the configured ones, and no other."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

import pytest

from tests.asgi import Answer, ask
from tests.test_http_shell import application
from ws.rates.rates import RateLimits, rate

OURS = "https://wallet.example"
OTHERS = [
    *("https://evil.example", "http://wallet.example", "https://wallet.example.evil", "https://wallet.example:444"),
    *("https://WALLET.example", "https://wallet.example/", "null", "*", "", f"{OURS}, {OURS}", "https://wallet.exampl"),
]  # fmt: skip
ANY = RateLimits(None, None, None, None, None)


def asked(
    origin: str | None,
    path: str = "/v1/hello",
    method: str = "GET",
    *,
    origins: Iterable[str] = (OURS,),
    **named: Any,
) -> Answer:
    headers = dict(named.pop("headers", {})) | ({} if origin is None else {"Origin": origin})
    return asyncio.run(ask(application(origins=origins), path, method, headers=headers, **named))


def preflight(origin: str, wants: str = "POST", headers: str | None = None, **named: Any) -> Answer:
    sent = {"Access-Control-Request-Method": wants}
    sent |= {} if headers is None else {"Access-Control-Request-Headers": headers}
    return asked(origin, "/v1/echo", "OPTIONS", headers=sent, **named)


def words(answer: Answer, name: str) -> set[str]:
    return {each.strip() for each in answer.headers.get(name, "").split(",")} - {""}


def said_of_cors(answer: Answer) -> set[str]:
    return {name for name in answer.headers if name.startswith("access-control-")}


@pytest.mark.parametrize("path", ["/v1/hello", "/v1/nothing", "/v1/broken", "/page"])
def test_a_page_of_ours_may_read_every_answer(path: str) -> None:
    answer = asked(OURS, path)
    assert answer.headers["access-control-allow-origin"] == OURS
    assert "access-control-allow-credentials" not in answer.headers
    assert words(answer, "access-control-expose-headers") == {
        "ETag",
        "Retry-After",
        "Location",
        "X-Request-Id",
    }
    assert "Origin" in words(answer, "vary")


def test_also_that_it_has_asked_too_often() -> None:
    """Else it could not know when to come back."""
    app = application(RateLimits(rate("1/minute"), None, None, None, None), [OURS])

    async def twice() -> Answer:
        await ask(app, "/v1/hello")
        return await ask(app, "/v1/hello", headers={"Origin": OURS})

    answer = asyncio.run(twice())
    assert (answer.status, answer.headers["access-control-allow-origin"]) == (429, OURS)


def test_a_preflight_counts_like_any_other_request() -> None:
    """Else a page of ours, in many browsers or forged, could ask without end."""
    app = application(RateLimits(rate("2/minute"), None, None, None, None), [OURS])
    headers = {"Origin": OURS, "Access-Control-Request-Method": "POST"}

    async def thrice() -> list[Answer]:
        return [await ask(app, "/v1/echo", "OPTIONS", headers=headers) for _ in range(3)]

    answers = asyncio.run(thrice())
    assert [answer.status for answer in answers] == [200, 200, 429]
    refused = answers[-1]
    assert (refused.code, refused.headers["retry-after"]) == ("RATE_LIMITED", "61")
    assert refused.headers["access-control-allow-origin"] == OURS
    assert "Retry-After" in words(refused, "access-control-expose-headers")


def test_a_preflight_has_no_body() -> None:
    """A proxy may not see it, and take it for the next request."""
    headers = {"Origin": OURS, "Access-Control-Request-Method": "POST", "Content-Length": "1"}
    answer = asked(None, "/v1/echo", "OPTIONS", headers=headers, body=[b"x"])
    assert (answer.status, answer.code, answer.read) == (400, "INVALID_REQUEST", 0)


def test_of_two_origins_none_is_ours() -> None:
    headers = [("Origin", OURS), ("Origin", "https://evil.example")]
    answer = asyncio.run(ask(application(origins=[OURS]), "/v1/hello", headers=headers))
    assert said_of_cors(answer) == set()


@pytest.mark.parametrize("origin", [*OTHERS, None])
def test_a_page_of_others_hears_nothing_of_it(origin: str | None) -> None:
    answer = asked(origin)
    assert answer.status == 200  # the browser keeps it from the page
    assert said_of_cors(answer) == set()
    assert words(answer, "vary") == {"Origin"}


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"])
def test_a_preflight_of_ours(method: str) -> None:
    answer = preflight(OURS, method, "authorization, content-type, idempotency-key, if-none-match")
    assert answer.status == 200
    assert answer.headers["access-control-allow-origin"] == OURS
    assert method in words(answer, "access-control-allow-methods")
    assert words(answer, "access-control-allow-headers") >= {
        "Authorization",
        "Idempotency-Key",
        "If-None-Match",
    }
    assert answer.headers["access-control-max-age"] == "600"
    assert "Origin" in words(answer, "vary")


@pytest.mark.parametrize(
    ("method", "headers"), [("TRACE", None), ("POST", "x-anything"), ("POST", "authorization,")]
)
def test_a_preflight_for_what_no_page_needs(method: str, headers: str | None) -> None:
    answer = preflight(OURS, method, headers)
    assert (answer.status, answer.code) == (400, "INVALID_REQUEST")
    assert answer.headers["content-length"] == str(len(answer.body))


@pytest.mark.parametrize("origin", OTHERS)
def test_a_preflight_of_others_is_a_request_like_any_other(origin: str) -> None:
    answer = preflight(origin)
    assert answer.status == 405
    assert said_of_cors(answer) == set()


def test_null_is_an_origin_where_it_is_configured() -> None:
    """Files and sandboxed frames have it, of whoever made them."""
    assert asked("null", origins=["null"]).headers["access-control-allow-origin"] == "null"
    assert preflight("null", origins=["null"]).status == 200


@pytest.mark.parametrize("origin", [OURS, *OTHERS])
def test_without_origins_there_is_no_cors_at_all(origin: str) -> None:
    answer = asked(origin, origins=())
    assert said_of_cors(answer) == set()
    assert "vary" not in answer.headers
    assert preflight(origin, origins=()).status == 405
