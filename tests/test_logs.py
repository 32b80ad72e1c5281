"""What a line of the log looks like, to people and to programs, whatever strangers put into it."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import re
import sys
import time
import unicodedata
from pathlib import Path
from typing import Any

import pytest

from harness.process import Server
from harness.wire import bet, connect
from tests.command import seed
from tests.server_fixture import mint
from ws.http.request_ids import request_id
from ws.watching.logs import FORMATS, LEFT_OUT, configure, formatter, printable, redacted
from ws.watching.noise import ERRORS_MAX

TOKEN = mint(7)
TURNS = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI", "R", "AL"}
"""How what follows is turned around on a terminal."""
BEGIN = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z [A-Z]+ [\w.]+: ")
HOSTILE = [
    "first\n2026-01-01T00:00:00.000Z CRITICAL solidgreen: forged",
    'first\r\n{"level":"critical"}',
    "\x1b[2J\x1b]0;title\x07 red \x9b31m",
    "next\u2028line\u2029and\x85another\x0b\x0c\x1c\x1d\x1e",
    "\ud800 alone, and \x00",
    "paid \u202e001 ton\u202c \u2066a\u2069\u200f\u061c",
]


def line_of(format_: str, message: str, *given: object, is_terminal: bool = False, **more: Any) -> str:
    """What is written of one record, as a handler would."""
    record = logging.getLogger("solidgreen.test").makeRecord(
        "solidgreen.test", logging.WARNING, __file__, 1, message, given, more.pop("exc_info", None),
        extra=more or None,
    )  # fmt: skip
    return formatter(format_, is_terminal=is_terminal).format(record)


@pytest.mark.parametrize("format_", ["text", "json"])
@pytest.mark.parametrize("hostile", HOSTILE, ids=range(len(HOSTILE)))
@pytest.mark.parametrize("where", ["words", "given", "bet_id", "exception"])
def test_nobody_forges_a_line_or_steers_a_terminal(format_: str, hostile: str, where: str) -> None:
    match where:
        case "words":
            line = line_of(format_, hostile)
        case "given":
            line = line_of(format_, "heard %s", hostile)
        case "bet_id":
            line = line_of(format_, "heard", bet_id=hostile)
        case _:
            try:
                raise ValueError(hostile)
            except ValueError:
                line = line_of(format_, "failed", exc_info=sys.exc_info())
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029]", line)
    assert not any(unicodedata.bidirectional(sign) in TURNS for sign in line)
    if format_ == "json":
        assert len(line.splitlines()) == 1
        assert json.loads(line)["level"] == "warning"
    else:
        first, *others = line.split("\n")
        assert BEGIN.match(first)
        assert all(other.startswith("    ") for other in others)
        assert bool(others) == (where == "exception")


def test_a_line_for_programs() -> None:
    line = json.loads(line_of("json", "%d of %s", 3, "them", bet_id="b-1", request_id="r-1"))
    assert (
        time.time() - time.mktime(time.strptime(line["time"][:19], "%Y-%m-%dT%H:%M:%S")) + time.timezone < 60
    )
    assert line.pop("time").endswith("Z")
    assert line == {
        "level": "warning",
        "logger": "solidgreen.test",
        "message": "3 of them",
        "request_id": "r-1",
        "bet_id": "b-1",
    }


def test_a_line_for_people() -> None:
    line = line_of("text", "%d of %s", 3, "them", bet_id="b-1")
    assert BEGIN.sub("", line) == "3 of them bet_id=b-1"
    assert " WARNING solidgreen.test: " in line


def test_an_exception_is_told_as_a_text() -> None:
    try:
        raise KeyError("gone")
    except KeyError:
        told = json.loads(line_of("json", "failed", exc_info=sys.exc_info()))["exception"]
    assert told.startswith("Traceback (most recent call last):\n")
    assert told.endswith("KeyError: 'gone'")


@pytest.mark.parametrize("format_", ["text", "json"])
def test_what_is_bound_while_a_request_is_served_is_on_its_lines(format_: str) -> None:
    before = request_id.set("r-7")
    assert "r-7" in line_of(format_, "words")
    request_id.reset(before)
    assert "r-7" not in line_of(format_, "words")


SECRETS = [
    f"token {TOKEN}",
    f"Authorization: Bearer {TOKEN}",
    "{'authorization': 'Bearer abcdefghijkl'}",
    "(b'authorization', b'Basic dXNlcjpwYXNz')",
    "authorization: dXNlcjpwYXNz",
    "the proxy was sent Basic dXNlcjpwYXNz",
    "BEARER  abcdefghijkl",
    "key sg_live_0123456789",
    "sgr_0123456789abcdef in a path",
    '{"type":"auth","token":"abcdefghijkl"}',
    "LogIn(user='me', password='abc\\'def ghi', again=1)",
    '{"refresh_token": "abcdefghijkl", "password" : "abc def ghi"}',
    "redis://me:abcdefghijkl@127.0.0.1:6379/0 and redis://:abcdefghijkl@host",
    "password=abcdefghijkl&x=1",
    "passwd: abcdefghijkl",
    "api_key=abcdefghijkl or apikey=abcdefghijkl",
    "client_secret='abcdefghijkl'",
    f"a token that was cut {TOKEN[:40]}",
]


@pytest.mark.parametrize("format_", ["text", "json"])
@pytest.mark.parametrize("secret", SECRETS, ids=range(len(SECRETS)))
def test_no_secret_is_logged(format_: str, secret: str) -> None:
    try:
        raise RuntimeError(secret)
    except RuntimeError:
        raised = line_of(format_, "failed", exc_info=sys.exc_info())
    for line in (line_of(format_, secret), line_of(format_, "heard %s", secret), raised):
        # Line 1 of the traceback quotes the source, which has no secret in it.
        assert LEFT_OUT in line
        for part in ("eyJ", "abcdefghijkl", "dXNlcjpwYXNz", "0123456789", "abc\\'def", "def ghi"):
            assert part not in line


@pytest.mark.parametrize(
    "words",
    [
        "a batch of 5 was refused by the storage: write: database or disk is full",
        "serving /data/demo.db on ws://127.0.0.1:8000/ws, nonces in Redis; stop with Ctrl-C",
        "watch over tokens that expire",
        "the nonce store is back after 3.0 s",
        "blocks are signed by the key 0123456789abcdef0123456789abcdef",
    ],
)
def test_other_words_are_left_alone(words: str) -> None:
    assert redacted(words) == printable(words) == words


@pytest.mark.parametrize(
    "piece", ["eyJ", "sg_", 'token="', "authorization ", "bearer ", "://a:", "password", " ", "a", "eyJ-."]
)
def test_hostile_texts_are_looked_through_in_proportion_to_their_length(piece: str) -> None:
    text = piece * (100_000 // len(piece))
    began = time.process_time()
    redacted(text)
    assert time.process_time() - began < 2  # a pattern that tries each pair of places takes minutes


@pytest.mark.parametrize(("is_terminal", "begins"), [(True, "2"), (False, "{")])
def test_auto_is_for_people_on_a_terminal(is_terminal: bool, begins: str) -> None:
    assert line_of("auto", "words", is_terminal=is_terminal).startswith(begins)


@pytest.mark.parametrize("format_", FORMATS)
def test_what_libraries_log_is_written_alike(format_: str, monkeypatch: pytest.MonkeyPatch) -> None:
    stream, root = io.StringIO(), logging.getLogger()
    monkeypatch.setattr(root, "handlers", [])  # pytest has some of its own there
    monkeypatch.setattr(root, "level", root.level)
    configure("info", format_, stream)
    logging.getLogger("uvicorn.error").error("heard %s", f"Bearer {TOKEN}")
    logging.getLogger("uvicorn.error").debug("not this")
    assert len(stream.getvalue().splitlines()) == 1
    assert TOKEN[:20] not in stream.getvalue()


def test_a_fault_that_meets_every_request_does_not_fill_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    stream, root = io.StringIO(), logging.getLogger()
    monkeypatch.setattr(root, "handlers", [])
    monkeypatch.setattr(root, "level", root.level)
    configure("info", "json", stream)
    for number in range(1000):
        logging.getLogger("solidgreen.http").error("request %s failed", number)
    assert len(stream.getvalue().splitlines()) == ERRORS_MAX


def test_a_server_whose_log_is_no_terminal_writes_json(tmp_path: Path) -> None:
    db = tmp_path / "wallet.db"
    seed(db, players=1)
    with Server(db, settings={"log_format": "auto", "access_log": "on"}) as server:
        log = server.log
    assert log is not None
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert lines[-1]["message"] == "stopped"
    accesses = [line["message"] for line in lines if line["logger"] == "solidgreen.http"]
    assert all(re.fullmatch(r"GET /health/live 200 in \d+\.\d ms", each) for each in accesses)
    assert accesses


def test_not_even_a_debugging_server_logs_messages(tmp_path: Path) -> None:
    db = tmp_path / "wallet.db"
    (player,) = seed(db, players=1)
    placed, refused = bet(1), bet(10**9)
    with Server(db, settings={"log_format": "json", "log_level": "debug"}) as server:

        async def play() -> None:
            async with connect(server.ws, player["token"]) as wire:
                for each in (placed, refused):
                    await wire.ask(each)

        asyncio.run(play())
        log = server.log
    assert log is not None
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    told = {line["bet_id"]: line["message"] for line in lines if "bet_id" in line}
    assert told == {
        placed["bet_id"]: "a bet was decided: confirmed",
        refused["bet_id"]: "a bet was decided: INSUFFICIENT_FUNDS",
    }
    assert placed["nonce"] not in log.read_text()
    assert player["token"] not in log.read_text()
