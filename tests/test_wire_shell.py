"""What is around every HTTP request, over real sockets.

Floods, forged addresses, bodies that do not end, what is no HTTP.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import logging.handlers
import queue
import threading
import time
from argparse import ArgumentTypeError
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from cli import values
from harness.process import JWT_SECRET, PATIENT, Server, seed
from tests.command import run
from tests.in_process import QuietServer
from tests.redis_server import RedisServer
from tests.server_fixture import RawSocket
from tests.test_http_shell import NEVER, ROUTES
from ws.auth import identify
from ws.http.bodies import BODY_BYTES_MAX
from ws.http.headers import ALWAYS
from ws.http.shell import shelled
from ws.rates.rates import Counted, Rates
from ws.rates.windows import Windows
from ws.server import listen, uvicorn_config
from ws.settings import Settings
from ws.transport.traffic import Traffic
from ws.wire.messages import Limits

LOGIN = "/v1/auth/login"
FEW = PATIENT | {"rate_login": "2/minute", "rate_address": "10/minute"}
PATIENCE_S = 5.0


@contextlib.contextmanager
def serving(folder: Path, redis_url: str | None = None, **settings: str) -> Iterator[Server]:
    db = folder / "wallet.db"
    seed(db, 1)
    with Server(db, redis_url=redis_url, settings=FEW | settings) as server:
        yield server
    assert server.log is not None
    assert "Traceback" not in server.log.read_text()


def statuses(
    server: Server, times: int, path: str = LOGIN, method: str = "POST", **headers: str
) -> list[int]:
    """Of one request after the other; underscores in names of headers are hyphens."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    with httpx.Client(base_url=server.http, trust_env=False) as client:
        return [client.request(method, path, headers=named).status_code for _ in range(times)]


def is_refused(told: list[int]) -> list[bool]:
    return [status == 429 for status in told]


def test_floods_end_where_they_are_told_and_forged_addresses_do_not_help(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        with httpx.Client(base_url=server.http, trust_env=False) as client:
            answers = [client.post(LOGIN, headers={"X-Forwarded-For": f"192.0.2.{n}"}) for n in range(4)]
            assert is_refused([answer.status_code for answer in answers]) == [False, False, True, True]
            refused = answers[-1]
            assert refused.json()["code"] == "RATE_LIMITED"
            assert refused.headers["content-type"] == "application/problem+json"
            wait_ms = refused.json()["retry_after_ms"]
            assert 50_000 < wait_ms <= 60_001
            assert int(refused.headers["retry-after"]) == -(-wait_ms // 1000)
            for name, value in ALWAYS:
                assert refused.headers[name.decode()] == value.decode()
        others = {"Forwarded": "for=192.0.2.9", "X_Real_IP": "192.0.2.9", "X_Forwarded_For": "192.0.2.9"}
        assert is_refused(statuses(server, 2, **others)) == [True, True]
        # Two of the ten went to the log-ins that were let in.
        assert is_refused(statuses(server, 10, "/v1/nothing", "GET")) == [False] * 8 + [True] * 2
        assert statuses(server, 20, "/health/live", "GET") == [200] * 20
        assert statuses(server, 20, "/metrics", "GET") == [200] * 20
        handshakes = [handshake(server) for _ in range(12)]
        assert [status for status, _ in handshakes] == [101] * 10 + [429] * 2
        head = handshakes[-1][1].lower()
        assert b"retry-after: " in head
        assert_is_a_problem(head)


def assert_is_a_problem(head: bytes) -> None:
    """This answer to a handshake has what every answer over HTTP has."""
    assert b"content-type: application/problem+json" in head
    for name, value in ALWAYS:
        assert name + b": " + value.lower() in head


def test_a_page_of_a_foreign_origin_is_told_so(tmp_path: Path) -> None:
    with serving(tmp_path, origins="https://wallet.example") as server:
        assert handshake(server, "Origin: https://wallet.example")[0] == 101
        status, head = handshake(server, "Origin: https://evil.example")
        assert status == 403
        assert_is_a_problem(head.lower())
        for origin, allowed in (("https://wallet.example", True), ("https://evil.example", False)):
            with httpx.Client(base_url=server.http, trust_env=False, headers={"Origin": origin}) as client:
                told = client.get("/health/live").headers
                assert told.get("access-control-allow-origin") == (origin if allowed else None)
        told_of_preflights = [preflight(server, "https://wallet.example") for _ in range(11)]
        assert [answer.status_code for answer in told_of_preflights] == [200] * 10 + [429]
        refused = told_of_preflights[-1]
        assert refused.headers["access-control-allow-origin"] == "https://wallet.example"
        assert int(refused.headers["retry-after"]) == -(-refused.json()["retry_after_ms"] // 1000) > 0
        # Those refused are counted as well.
        assert {handshake(server, "Origin: https://evil.example")[0] for _ in range(8)} == {403}
        assert handshake(server, "Origin: https://evil.example")[0] == 429


def preflight(server: Server, origin: str) -> httpx.Response:
    """As a browser asks before it sends a bet of a page of this origin."""
    headers = {"Origin": origin, "Access-Control-Request-Method": "POST"}
    return httpx.options(f"{server.http}/v1/bets", headers=headers, trust_env=False)


def handshake(server: Server, *headers: str) -> tuple[int, bytes]:
    """Status and head of the answer to a handshake."""
    with RawSocket(server.port, *headers) as raw:
        return raw.status, raw.head


def test_behind_a_proxy_that_is_trusted_each_client_is_counted(tmp_path: Path) -> None:
    with serving(tmp_path, trusted_proxies="127.0.0.1, 10.0.0.0/8") as server:
        assert is_refused(statuses(server, 3, X_Forwarded_For="192.0.2.1")) == [False, False, True]
        assert is_refused(statuses(server, 3, X_Forwarded_For="192.0.2.2, 10.1.2.3")) == [False, False, True]
        # What the client has written itself stands to the left of what the proxies have seen.
        assert is_refused(statuses(server, 1, X_Forwarded_For="192.0.2.77, 192.0.2.1")) == [True]
        assert is_refused(statuses(server, 1, X_Forwarded_For="127.0.0.1, 192.0.2.2, 10.0.0.1")) == [True]
        assert is_refused(statuses(server, 3, X_Forwarded_For="2001:db8:1:2::1")) == [False, False, True]
        assert is_refused(statuses(server, 1, X_Forwarded_For="2001:db8:1:2::2")) == [True]
        # Nor does a trailer count, which no proxy overwrites.
        with RawSocket(server.port, upgrade=False) as raw:
            raw.send(
                b"POST %s HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 192.0.2.1\r\n"
                b"Transfer-Encoding: chunked\r\n\r\n"
                b"0\r\nX-Forwarded-For: 192.0.2.99\r\n\r\n" % LOGIN.encode()
            )
            raw.read_head()
            assert raw.status == 429
        # What makes no sense is one client.
        assert is_refused(statuses(server, 2, X_Forwarded_For="x" * 9_000)) == [False, False]
        assert is_refused(statuses(server, 1, X_Forwarded_For="_hidden")) == [True]
        with httpx.Client(base_url=server.http, trust_env=False) as client:
            assert "strict-transport-security" not in client.get("/health/live").headers
            told = client.get("/health/live", headers={"X-Forwarded-Proto": "https"})
            assert told.headers["strict-transport-security"] == "max-age=31536000"
        for _ in range(10):
            assert handshake(server, "X-Forwarded-For: 192.0.2.3")[0] == 101
        assert handshake(server, "X-Forwarded-For: 192.0.2.3")[0] == 429
        assert handshake(server, "X-Forwarded-For: 192.0.2.4")[0] == 101


def test_counted_in_redis_and_in_memory_while_it_hangs_or_is_gone(
    tmp_path: Path, mortal_redis: RedisServer
) -> None:
    with serving(tmp_path, mortal_redis.url, rate_limits_in="redis") as server:
        assert is_refused(statuses(server, 3)) == [False, False, True]
        assert mortal_redis.ask("KEYS", "sg:rate:*login*")
        mortal_redis.freeze()
        began_s = time.monotonic()
        assert is_refused(statuses(server, 3)) == [False, False, True], "in memory, from the beginning"
        assert time.monotonic() - began_s < 1.0
        mortal_redis.kill()
        assert is_refused(statuses(server, 1)) == [True]
        assert statuses(server, 1, "/health/live", "GET") == [200]
        assert server.log is not None
        assert server.log.read_text().count("requests are counted in memory from now on") == 1


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"rate_login": "often"}, "expected a rate such as 10/second"),
        ({"rate_user": "10/day"}, "in at most an hour"),
        ({"rate_limits_in": "disk"}, "expected memory or redis"),
        ({"rate_limits_in": "redis"}, "rate_limits_in: redis needs a redis_url"),
        ({"trusted_proxies": "*"}, "expected IP addresses and networks"),
        ({"trusted_proxies": "10.0.0.1/8"}, "has host bits set"),
        ({"trusted_proxies": "proxy.example"}, "expected IP addresses and networks"),
        ({"origins": "https://casino.example, *"}, "http://127.0.0.1:8001, not '*'"),
    ],
)
def test_a_setting_that_makes_no_sense_is_said_at_the_start(
    settings: dict[str, str], says: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    db = tmp_path_factory.getbasetemp() / "settings.db"
    if not db.exists():
        seed(db, 1)
    done = run("serve", "--db", db, "--port", 0, **settings)
    assert done.status == 2
    assert says in done.err
    assert len(done.err.strip().splitlines()) <= 2


@pytest.mark.parametrize(
    "origin",
    ["null", "http://127.0.0.1:8001", "https://casino.example", "http://[::1]:8001", "capacitor://localhost",
     "https://casino.example:80", "http://localhost:443"],
)  # fmt: skip
def test_origins_as_browsers_send_them_are_taken(origin: str) -> None:
    assert values.origins(f" {origin} ,") == {origin}


@pytest.mark.parametrize(
    "origin",
    ["casino.example", "https://casino.example/", "https://Casino.example", "https://casino.example:443",
     "http://casino.example:80", "http://a/path", "https://a b", "https://"],
)  # fmt: skip
def test_what_no_browser_would_send_is_no_origin(origin: str) -> None:
    with pytest.raises(ArgumentTypeError, match="expected origins such as"):
        values.origins(f"https://casino.example,{origin}")


class Door:
    """The HTTP of the real server around routes of the tests, in a thread of its own."""

    def __enter__(self) -> Door:
        self.port = 0
        self._started = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), name="door")
        self._thread.start()
        assert self._started.wait(PATIENCE_S)
        return self

    async def _serve(self) -> None:
        listener = listen(Settings(Path(), JWT_SECRET, port=0))
        self.port = listener.getsockname()[1]
        app = shelled(ROUTES, partial(identify, JWT_SECRET), Rates(NEVER, Counted(Windows())), frozenset())
        self._server = QuietServer(uvicorn_config(app, Limits(), Traffic()))
        self._started.set()  # connections wait in the listener's queue
        await self._server.serve(sockets=[listener])

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive()


@pytest.fixture(scope="module")
def door() -> Iterator[Door]:
    with Door() as one:
        yield one


def exchange(door: Door, *pieces: bytes) -> tuple[int, dict[str, str], dict[str, Any]]:
    """Status, headers and problem of the first answer to these bytes."""
    with RawSocket(door.port, upgrade=False) as raw:
        for piece in pieces:
            raw.send(piece)
        return told(raw)


def told(raw: RawSocket) -> tuple[int, dict[str, str], dict[str, Any]]:
    raw.read_head()
    lines = raw.head.decode("latin-1").split("\r\n")[1:]
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return raw.status, headers, json.loads(raw._exactly(int(headers["content-length"])))


POST = b"POST /v1/echo HTTP/1.1\r\nHost: x\r\n"


def test_a_body_in_chunks_without_end_is_refused_when_it_is_too_large(door: Door) -> None:
    chunk = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
    with RawSocket(door.port, upgrade=False) as raw:
        raw.send(POST + b"Transfer-Encoding: chunked\r\n\r\n")
        sender = threading.Thread(target=flood, args=(raw, chunk))
        sender.start()
        status, headers, problem = told(raw)
        sender.join(PATIENCE_S + 10)
    assert (status, problem["code"]) == (413, "INVALID_REQUEST")
    assert headers["content-type"] == "application/problem+json"


def flood(raw: RawSocket, chunk: bytes) -> None:
    with contextlib.suppress(OSError):
        for _ in range(64):
            raw.send(chunk)


@pytest.mark.parametrize(
    "length", [b"%d" % (BODY_BYTES_MAX + 1), b"9" * 18], ids=["one more", "a great many"]
)
@pytest.mark.parametrize("expects", [b"", b"Expect: 100-continue\r\n"], ids=["at once", "with leave"])
def test_a_length_that_is_too_large_is_refused_before_the_body_comes(
    door: Door, length: bytes, expects: bytes
) -> None:
    status, _, problem = exchange(door, POST + b"Content-Length: " + length + b"\r\n" + expects + b"\r\n")
    assert (status, problem["code"]) == (413, "INVALID_REQUEST")


def test_a_connection_goes_on_behind_a_body_that_was_refused(door: Door) -> None:
    body = b"x" * (BODY_BYTES_MAX + 1)
    with httpx.Client(base_url=f"http://127.0.0.1:{door.port}", trust_env=False) as client:
        assert client.post("/v1/echo", content=body).status_code == 413
        assert client.post("/v1/echo", content=body[1:]).json() == {"bytes": BODY_BYTES_MAX}


@pytest.mark.parametrize(
    "request_",
    [
        b"nonsense\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        POST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n",
        POST + b"Content-Length: -1\r\n\r\n",
        POST + b"Content-Length: 99999999999999999999999\r\n\r\n",
        POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET /v1/hello HTTP/1.1\r\nX-Request-Id: a\rb: c\r\n\r\n",
        b"GET /v1/hello HTTP/1.1\r\nX-Request-Id: a\x00b\r\n\r\n",
    ],
    ids=repr,
)
def test_what_is_no_http_is_a_problem_as_well(door: Door, request_: bytes) -> None:
    status, headers, problem = exchange(door, request_)
    assert (status, problem["code"]) == (400, "INVALID_REQUEST")
    for name, value in ALWAYS:
        assert headers[name.decode()] == value.decode()


def test_so_are_headers_without_end(door: Door) -> None:
    with RawSocket(door.port, upgrade=False) as raw:
        with contextlib.suppress(OSError):
            raw.send(b"GET / HTTP/1.1\r\nX: " + b"x" * 66_000)
        status, _, problem = told(raw)
    assert (status, problem["status"], problem["code"]) == (431, 431, "INVALID_REQUEST")


@pytest.mark.parametrize(
    "brought",
    [b"a\r\n Set-Cookie: b=c", b"a\r\n\tb", b"x" * 65, b"\xc3\xa4", b"a%0d%0aSet-Cookie: b"],
    ids=repr,
)
def test_a_name_that_smuggles_a_header_comes_to_nothing(door: Door, brought: bytes) -> None:
    status, headers, _ = exchange(
        door, b"GET /v1/hello HTTP/1.1\r\nHost: x\r\nX-Request-Id: " + brought + b"\r\n\r\n"
    )
    assert status in (200, 400)
    assert "set-cookie" not in headers
    assert headers.get("x-request-id", "").encode() != brought


def test_a_fault_is_told_in_the_log_once(door: Door) -> None:
    heard: queue.SimpleQueue[logging.LogRecord] = queue.SimpleQueue()
    handler = logging.handlers.QueueHandler(heard)  # type: ignore[arg-type]  # put_nowait is all it asks for
    logging.getLogger().addHandler(handler)
    try:
        for name in (b"find-me", b"and-me"):
            request = b"GET /v1/broken HTTP/1.1\r\nHost: x\r\nX-Request-Id: " + name + b"\r\n\r\n"
            status, headers, problem = exchange(door, request)
            assert (status, problem["code"], headers["x-request-id"].encode()) == (500, "INTERNAL", name)
        # The log comes after the answer: the second line shows that there was no other before it.
        lines = [heard.get(timeout=PATIENCE_S).getMessage().splitlines()[0] for _ in range(2)]
    finally:
        logging.getLogger().removeHandler(handler)
    assert lines == [f"request {name} failed: GET '/v1/broken'" for name in ("find-me", "and-me")]
