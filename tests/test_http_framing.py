"""Where a request begins and ends, and which answer is whose, on the HTTP of the real server: as any other
reader of the same bytes has it, such as a proxy in front of it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest

from tests.server_fixture import RawSocket
from tests.test_wire_shell import POST, Door, told
from ws.transport.http_framing import FIELDS_MAX, PIECES_MAX

HELLO = b"GET /v1/hello HTTP/1.1\r\nHost: x\r\n\r\n"
HELLO_YOU = {"hello": "you"}
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"
UPGRADES = {
    "HTTP/2, as programs in Java ask for it": (
        b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n"
    ),
    "a socket, if all lines of Connection count": (
        b"Connection: Upgrade\r\nUpgrade: websocket\r\nConnection: keep-alive\r\n"
    ),
}


@pytest.fixture(scope="module")
def door() -> Iterator[Door]:
    with Door() as one:
        yield one


@contextlib.contextmanager
def connected(door: Door) -> Iterator[RawSocket]:
    with RawSocket(door.port, upgrade=False) as raw:
        yield raw


def answers(raw: RawSocket) -> list[tuple[int, dict[str, Any]]]:
    """Status and content of each, until the server ends the connection."""
    found = []
    with contextlib.suppress(EOFError):
        while True:
            status, _, content = told(raw)
            content.pop("request", None)
            found.append((status, content))
    return found


@pytest.mark.parametrize("in_chunks", [False, True], ids=["by its length", "in chunks"])
@pytest.mark.parametrize("with_leave", [False, True], ids=["at once", "with leave"])
@pytest.mark.parametrize("upgrade", UPGRADES.values(), ids=UPGRADES)
def test_a_body_beside_an_upgrade_is_no_request(
    door: Door, upgrade: bytes, with_leave: bool, in_chunks: bool
) -> None:
    """It was the next one: whoever got it past a proxy had its answer given to whom the proxy served next.
    And a request of an honest client in Java had no body."""
    head = POST + upgrade + (b"Expect: 100-continue\r\n" if with_leave else b"")
    if in_chunks:
        head, body = head + CHUNKED, b"%x\r\n%s\r\n0\r\n\r\n" % (len(HELLO), HELLO)
    else:
        head, body = head + b"Content-Length: %d\r\n\r\n" % len(HELLO), HELLO
    last = HELLO.replace(b"Host: x", b"Host: x\r\nConnection: close")
    with connected(door) as raw:
        if with_leave:
            raw.send(head)
            raw.read_head()
            assert raw.status == 100
            raw.send(body + last)
        else:
            raw.send(head + body + last)
        assert answers(raw) == [(200, {"bytes": len(HELLO)}), (200, HELLO_YOU)]


def test_no_upgrade_makes_a_proxy_of_the_server(door: Door) -> None:
    with connected(door) as raw:
        raw.send(b"CONNECT x:443 HTTP/1.1\r\nHost: x\r\n\r\n")
        ((status, problem),) = answers(raw)
    assert (status, problem["code"]) == (400, "INVALID_REQUEST")


def test_a_trailer_is_no_header(door: Door) -> None:
    """A proxy that hands trailers on replaces `X-Forwarded-For` and its like among the headers only."""
    with connected(door) as raw:
        raw.send(POST + CHUNKED + b"1\r\nx\r\n0\r\nX-Request-Id: of-the-trailer\r\nHost: y\r\n\r\n" + HELLO)
        status, headers, content = told(raw)
        assert (status, content) == (200, {"bytes": 1})
        assert headers["x-request-id"] != "of-the-trailer"
        assert told(raw)[0] == 200


BROKEN = {
    "no HTTP": b"nonsense\r\n\r\n",
    "a body that breaks off": POST + CHUNKED + b"zz\r\n",
    "a handshake": HELLO.replace(b"\r\n\r\n", b"\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"),
    "too many requests": HELLO * 40,
}


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN)
def test_what_is_no_http_is_refused_behind_the_answers_before_it(door: Door, broken: bytes) -> None:
    """The refusal came first: to whoever had placed a bet in front of it, that of the bet."""
    with connected(door) as raw:
        raw.send(POST + b"Content-Length: 2\r\n\r\n{}" + HELLO + broken)
        first, second, *others = answers(raw)
    assert (first, second) == ((200, {"bytes": 2}), (200, HELLO_YOU))
    status, problem = others.pop()
    assert (status, problem["code"]) == (400, "INVALID_REQUEST")
    assert all(each == (200, HELLO_YOU) for each in others)


def test_a_body_that_breaks_off_behind_its_answer_has_no_other(door: Door) -> None:
    """It would be that of the next request."""
    with connected(door) as raw:
        raw.send(POST.replace(b"echo", b"nothing") + CHUNKED)
        assert told(raw)[0] == 404
        raw.send(b"zz\r\n")
        assert answers(raw) == []


@pytest.mark.parametrize("more", [0, 1])
def test_so_many_headers_and_no_more(door: Door, more: int) -> None:
    """A turn of the loop parsed 13,000 of them."""
    with connected(door) as raw:
        raw.send(HELLO.replace(b"\r\n\r\n", b"\r\n" + b"a:\r\n" * (FIELDS_MAX - 1 + more) + b"\r\n"))
        status, _, content = told(raw)
    assert (status, content.get("code")) == [(200, None), (431, "INVALID_REQUEST")][more]


@pytest.mark.parametrize("more", [0, 1])
def test_a_body_has_so_many_chunks_and_no_more(door: Door, more: int) -> None:
    """A turn of the loop parsed 43,000 of them."""
    with connected(door) as raw:
        raw.send(POST + CHUNKED + b"1\r\nx\r\n" * (PIECES_MAX + more) + b"0\r\n\r\n")
        status, _, content = told(raw)
    assert (status, content.get("bytes"), content.get("code")) == [
        (200, PIECES_MAX, None),
        (400, None, "INVALID_REQUEST"),
    ][more]
