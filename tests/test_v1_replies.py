"""From a reply to a response: status, headers, body."""

from __future__ import annotations

import json

import pytest

from engine.outcomes import Code
from tests.asking import BY_NAME
from ws.v1.replies import told
from ws.wire.messages import BetConfirmed, BetRejected, Error
from ws.wire.outcomes import error
from ws.wire.reads import WalletShown

WALLET = WalletShown("r", 7, "EUR", "open", 10, 0, 10, 3)


def test_a_reply_has_no_id_and_says_whether_it_is_new() -> None:
    for replayed, status in ((False, 201), (True, 200)):
        reply = BetConfirmed("r", "b", 5, 8, 2, 9, 95, 0, 95, replayed)
        response = told(BY_NAME["bet.place"], reply, None)
        body = json.loads(bytes(response.body))
        assert (response.status_code, body["replayed"], "id" in body) == (status, replayed, False)
        assert body["type"] == "bet.confirmed"
        assert not {"etag", "cache-control"} & {*response.headers}, "nobody keeps it: ws/http/headers.py"


@pytest.mark.parametrize(
    ("if_none_match", "is_known"),
    [
        ("{}", True),
        ("W/{}", True),
        ('"x", {}', True),
        ('"x",{} , "y"', True),
        ("*", True),
        (None, False),
        ("", False),
        ('"x"', False),
        ('W/"x"', False),
    ],
)
def test_what_is_known_is_not_sent(if_none_match: str | None, is_known: bool) -> None:
    route = BY_NAME["wallet.get"]
    tag = told(route, WALLET, None).headers["etag"]
    response = told(route, WALLET, None if if_none_match is None else if_none_match.format(tag))
    assert (response.status_code, bool(response.body)) == ((304, False) if is_known else (200, True))
    assert response.headers["etag"] == tag


@pytest.mark.parametrize(
    ("name", "lasts"),
    [
        ("wallet.get", "private, no-cache"),
        ("wallet.entries", "private, no-cache"),
        ("bet.get", "private, no-cache"),
        ("block.get", "private, max-age=31536000, immutable"),
        ("receipt.get", "private, max-age=31536000, immutable"),
    ],
)
def test_what_is_kept_is_asked_for_again_unless_it_never_changes(name: str, lasts: str) -> None:
    """By the browser of whoever asked, for his token only, and never by what is shared with others."""
    first = told(BY_NAME[name], WALLET, None)
    for response in (first, told(BY_NAME[name], WALLET, first.headers["etag"])):
        assert (response.headers["cache-control"], response.headers["vary"]) == (lasts, "Authorization")


def test_a_tag_is_of_what_is_told() -> None:
    route = BY_NAME["wallet.get"]
    held = WalletShown("other", 7, "EUR", "open", 10, 1, 9, 3)
    same = WalletShown("other", 7, "EUR", "open", 10, 0, 10, 3)
    tags = [told(route, each, None).headers["etag"] for each in (WALLET, same, held)]
    assert tags[0] == tags[1] != tags[2]


def test_a_refusal_keeps_its_code_and_its_words() -> None:
    lacking = error("r", Code.NOT_FOUND, "archive-7.db is not here")
    waiting = Error("r", "CIRCUIT_OPEN", "no", True, 1500)
    rejected = BetRejected("r", "b", "LIMIT_EXCEEDED", "no", False, True, 10, 0, 10)
    for reply, status, extra in (
        (lacking, 404, set()),
        (waiting, 503, {"retry_after_ms"}),
        (rejected, 422, {"bet_id", "replayed", "balance", "held", "available"}),
    ):
        response = told(BY_NAME["bet.place"], reply, None)
        body = json.loads(bytes(response.body))
        assert (response.status_code, body["code"], body["detail"]) == (status, reply.code, reply.message)
        assert response.headers.get("retry-after") == ("2" if "retry_after_ms" in extra else None)
        assert body.keys() - {"type", "title", "status", "detail", "code", "retryable"} == extra
        assert response.media_type == "application/problem+json"
