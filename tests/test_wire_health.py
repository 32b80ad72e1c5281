"""Health over HTTP, as a load balancer sees it."""

from __future__ import annotations

import json
from collections.abc import Iterator

import httpx
import pytest

from cli.health import own_url
from harness.process import free_port, solidgreen
from tests.server_fixture import World


@pytest.fixture(scope="module")
def http(world: World) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=world.server.http, trust_env=False) as client:
        yield client
    world.assert_sound()


def test_live_says_that_the_loop_answers(http: httpx.Client) -> None:
    answer = http.get("/health/live")
    assert (answer.status_code, answer.json()) == (200, {"status": "live"})


def test_ready_says_what_it_is_made_of(http: httpx.Client) -> None:
    answer = http.get("/health/ready")
    assert answer.status_code == 200
    report = answer.json()
    disk = report.pop("disk")
    assert 0 < disk["free_bytes"] < disk["total_bytes"]
    assert report == {
        "status": "ready",
        "why": [],
        "storage": {"status": "ok"},
        "breaker": {"status": "closed", "why": None, "stable_for_another_ms": 0},
        "nonces": {"status": "ok"},
        "rates": {"status": "ok"},
        "clock": {"status": "sure"},
        "self_check": {"status": "never"},
        "heads": {"status": "off"},
        "beside": {"status": "ok"},
        "queue": {"status": "ok", "waiting": 0, "oldest_ms": 0, "stopping": False},
    }


def test_health_needs_no_token_and_tells_nothing_of_anybody(http: httpx.Client) -> None:
    told = http.get("/health/ready", headers={"Authorization": "Bearer nonsense"}).text
    assert not {"balance", "user", "token", ".db", "redis://"} & set(told.replace('"', " ").split())


def test_a_head_request_is_answered_as_well(http: httpx.Client) -> None:
    assert http.head("/health/live").status_code == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
@pytest.mark.parametrize("path", ["/health/live", "/health/ready"])
def test_health_is_only_read(http: httpx.Client, method: str, path: str) -> None:
    assert http.request(method, path, content=b"x" * 100_000).status_code == 405


@pytest.mark.parametrize(
    "path",
    [
        "/index.html",
        "/web/",
        "/web/index.html",
        "/web/../schema.sql",
        "/health",
        "/docs/",
        "/v1/wallets/",
        "/..%2f..%2fwallet.db",
        "/wallet.db",
        "/%ff",
    ],
)
def test_nothing_else_is_there(http: httpx.Client, path: str) -> None:
    assert http.get(path).status_code == 404


def test_the_socket_asked_for_over_plain_http_is_not_there(http: httpx.Client) -> None:
    assert http.get("/ws").status_code in (400, 404, 426)


def test_the_command_line_asks_where_serve_would_listen(world: World) -> None:
    """So the image's own check follows its settings."""
    done = solidgreen("health", port=str(world.server.port))
    assert json.loads(done.stdout)["status"] == "ready"
    port = str(free_port())
    nobody = solidgreen("health", port=port, check=False)
    assert (nobody.returncode, nobody.stdout.split(": ")[0]) == (1, f"http://127.0.0.1:{port}/health/ready")


@pytest.mark.parametrize(
    ("host", "url"),
    [(None, "http://127.0.0.1:8000"), ("0.0.0.0", "http://127.0.0.1:8000"), ("::", "http://[::1]:8000")],
)
def test_where_that_is(host: str | None, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SOLIDGREEN_HOST", raising=False)
    if host is not None:
        monkeypatch.setenv("SOLIDGREEN_HOST", host)
    assert own_url() == url
