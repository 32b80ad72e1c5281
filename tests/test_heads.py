"""Heads that are kept elsewhere: a real server, a real file, a real HTTP listener."""

from __future__ import annotations

import http.server
import json
import stat
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.process import Server
from harness.process import seed as seed_players
from tests.books_open import deposit, play, seed
from tests.command import run
from ws.beside.heads import Heads, append, keeper
from ws.settings import SettingInvalid

PATIENCE_S = 10.0


class Listener(http.server.ThreadingHTTPServer):
    """Keeps the bodies that were POSTed, and answers `status`."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.bodies: list[Any] = []
        self.status = 204


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Listener

    def do_POST(self) -> None:
        self.server.bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(self.server.status)
        self.end_headers()

    def log_message(self, *told: object) -> None:
        """Silent."""


@pytest.fixture
def listener() -> Iterator[Listener]:
    with Listener() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def until(holds: Any) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_server_appends_heads_that_verify_finds_in_its_file(tmp_path: Path) -> None:
    db, kept = tmp_path / "a.db", tmp_path / "heads.jsonl"
    seed_players(db, 1, 100)
    with Server(db, settings={"heads": str(kept)}) as server:
        until(lambda: kept.exists() and kept.read_bytes().endswith(b"\n"))
        with urllib.request.urlopen(f"{server.http}/health/ready", timeout=PATIENCE_S) as answer:
            assert json.load(answer)["heads"] == {"status": "ok"}
        assert server.stop() == 0

    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    (line,) = kept.read_text(encoding="utf-8").splitlines()
    assert json.loads(line)["block"]["id"] == 2  # behind the floors of the books
    assert run("verify", "--db", db, "--head", kept).status == 0


def test_heads_are_posted_again_until_they_are_taken(
    tmp_path: Path, listener: Listener, caplog: pytest.LogCaptureFixture
) -> None:
    path = seed(tmp_path / "a.db", 100)
    caplog.set_level("INFO")
    listener.status = 503
    heads = Heads(path, keeper(f"http://127.0.0.1:{listener.server_port}/heads"), look_every_s=0.01)
    heads.start()
    until(lambda: len(listener.bodies) > 3)
    assert heads.health() == {"status": "failed", "why": "heads are not kept: the answer was 503"}
    listener.status = 204
    until(lambda: heads.health() == {"status": "ok"})
    assert "heads are kept again" in caplog.messages
    play(path, [deposit("more")])
    heads.stop()

    assert [body["block"]["id"] for body in listener.bodies][-2:] == [1, 2]
    errors = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert errors == ["heads are not kept: the answer was 503; trying again each second"]


def test_whoever_asks_for_the_health_does_not_hear_of_paths(tmp_path: Path) -> None:
    def keep(line: bytes) -> None:
        raise PermissionError(13, "Permission denied", "/mnt/elsewhere/heads.jsonl")

    heads = Heads(seed(tmp_path / "a.db", 100), keep)
    heads._look()
    assert heads.health() == {"status": "failed", "why": "heads are not kept: Permission denied"}


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_keeper_that_has_died_is_not_well(tmp_path: Path) -> None:
    def keep(line: bytes) -> None:
        raise RuntimeError("a bug")

    heads = Heads(seed(tmp_path / "a.db", 100), keep, look_every_s=0.01)
    heads.start()
    heads._thread.join(PATIENCE_S)
    assert heads.health() == {"status": "failed", "why": "what keeps heads has died; the log says why"}


def test_a_line_that_a_crash_cut_off_is_ended(tmp_path: Path) -> None:
    path = tmp_path / "heads"
    path.write_bytes(b'{"for')

    append(path, b"{}\n")

    assert path.read_bytes() == b'{"for\n{}\n'


@pytest.mark.parametrize(
    "to", ["ftp://127.0.0.1/x", "http://", "http://a:99999/", "http://u:p@h/", "/proc/none/x"]
)
def test_what_cannot_keep_heads_is_refused(to: str) -> None:
    with pytest.raises(SettingInvalid, match="heads: "):
        keeper(to)
