"""Errors over HTTP."""

from __future__ import annotations

from http import HTTPStatus

import msgspec
import pytest

from engine.outcomes import RETRYABLE, Code
from ws.http.problems import STATUS, TITLES, problem


@pytest.mark.parametrize("code", Code)
def test_every_code_is_a_problem_of_its_own(code: Code) -> None:
    shown = msgspec.json.decode(msgspec.json.encode(problem(code)))
    assert shown["code"] == code.name
    assert shown["status"] == STATUS[code].value
    assert shown["title"] == TITLES.get(STATUS[code], STATUS[code].phrase)
    assert shown["retryable"] is (code in RETRYABLE)
    assert shown["type"] == f"urn:solidgreen:problem:{code.name.lower().replace('_', '-')}"
    assert shown["detail"]
    assert "retry_after_ms" not in shown


def test_a_title_is_the_same_on_every_python() -> None:
    """3.13 has other phrases for these than 3.11."""
    told = {status.value: problem(Code.INVALID_REQUEST, status=status).title for status in TITLES}
    assert told == {413: "Content Too Large", 414: "URI Too Long", 422: "Unprocessable Content"}
    differing = {413, 414, 416, 422}
    assert not {status.value for status in STATUS.values() if status not in TITLES} & differing


def test_what_may_be_tried_again_is_never_the_askers_fault() -> None:
    """But for RATE_LIMITED, which has a status of its own; a proxy retries 5xx."""
    assert {code for code in Code if STATUS[code] >= 500 or STATUS[code] == 429} == RETRYABLE


def test_a_problem_may_have_its_own_words_and_a_finer_status() -> None:
    shown = problem(Code.INVALID_REQUEST, "use GET", status=HTTPStatus.METHOD_NOT_ALLOWED)
    assert (shown.detail, shown.status, shown.code) == ("use GET", 405, "INVALID_REQUEST")
    assert problem(Code.RATE_LIMITED, retry_after_ms=1500).retry_after_ms == 1500
