"""Problems as answers: what follows from a problem, whoever gives it."""

from __future__ import annotations

import json

import pytest

from engine.outcomes import Code
from ws.http.answers import answer, not_now, of_status, raw
from ws.http.headers import ALWAYS
from ws.http.problems import MEDIA_TYPE, problem
from ws.rates.rates import Refusal

UNASKED = ("retry-after", "www-authenticate")


@pytest.mark.parametrize("code", Code)
def test_every_problem_has_its_status_and_its_media_type(code: Code) -> None:
    told = answer(problem(code))
    body = json.loads(bytes(told.body))
    assert (told.status_code, told.headers["content-type"]) == (body["status"], MEDIA_TYPE)
    assert body["code"] == code.name
    assert {name for name in UNASKED if name in told.headers} == (
        {"www-authenticate"} if code is Code.UNAUTHORIZED else set()
    )


@pytest.mark.parametrize(("wait_ms", "seconds"), [(0, "0"), (1, "1"), (1000, "1"), (1001, "2")])
def test_retry_after_is_in_seconds_and_rounded_up(wait_ms: int, seconds: str) -> None:
    for told in (answer(problem(Code.OVERLOADED, retry_after_ms=wait_ms)), not_now(Refusal("user", wait_ms))):
        assert told.headers["retry-after"] == seconds
        body = json.loads(bytes(told.body))
        assert (body["retry_after_ms"], body["retryable"]) == (wait_ms, True)


def test_a_401_says_how_to_be_let_in() -> None:
    for told in (answer(problem(Code.UNAUTHORIZED)), answer(of_status(401))):
        assert told.headers["www-authenticate"] == "Bearer"
    better = answer(problem(Code.UNAUTHORIZED), challenge='Bearer error="invalid_token"')
    assert better.headers["www-authenticate"] == 'Bearer error="invalid_token"'
    assert "www-authenticate" not in answer(problem(Code.FORBIDDEN), challenge="Bearer").headers


def test_a_problem_may_tell_more() -> None:
    told = answer(problem(Code.BET_CLOSED), extra={"bet_id": "b"}, headers={"X-More": "1"})
    assert json.loads(bytes(told.body)) == json.loads(bytes(answer(problem(Code.BET_CLOSED)).body)) | {
        "bet_id": "b"
    }
    assert told.headers["x-more"] == "1"


def test_as_bytes_it_is_the_same_and_ends_the_connection() -> None:
    busy = problem(Code.OVERLOADED, "all sockets are in use", 1500)
    head, _, body = raw(busy).partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    assert first == "HTTP/1.1 503 Service Unavailable"
    assert body == bytes(answer(busy).body)
    assert (headers["content-length"], headers["connection"]) == (str(len(body)), "close")
    assert (headers["content-type"], headers["retry-after"]) == (MEDIA_TYPE, "2")
    assert {name.decode() for name, _ in ALWAYS} <= headers.keys()
