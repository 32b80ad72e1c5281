"""What the server does when something under it is missing, taken away, or tells it to stop."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from cli.main import main
from engine.reconcile import reconcile
from harness.process import PATIENT, Server, environment, free_port, seed
from harness.wire import SocketClosed, bet, connect, new_bet_id
from tests.redis_server import RedisServer
from tests.server_fixture import OPENING, Json, RawSocket, World


@pytest.fixture(scope="module")
def seeded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Json]]:
    """A file that this module's servers are started on, one after the other."""
    db = tmp_path_factory.mktemp("faults") / "wallet.db"
    return db, seed(db, 30, OPENING)


def ready(server: Server) -> Json:
    with urllib.request.urlopen(f"{server.http}/health/ready", timeout=5) as answer:
        report: Json = json.load(answer)
    return report


def log_of(server: Server) -> str:
    assert server.log is not None
    return server.log.read_text()


async def place(server: Server, token: str, count: int = 1, **fields: object) -> list[Json]:
    async with connect(server.ws, token) as wire:
        return await wire.ask_all(*(bet(1, **fields) for _ in range(count)))


def outcomes(answers: list[Json]) -> Counter[str]:
    return Counter(answer.get("code") or answer["type"] for answer in answers)


# -- Redis away
# --------------------------------------------------------------------------------------------------


def test_without_redis_at_the_start_bets_go_on(seeded: tuple[Path, list[Json]]) -> None:
    db, players = seeded
    token = players[0]["token"]
    with Server(db, redis_url=f"redis://127.0.0.1:{free_port()}/0") as server:
        report = ready(server)
        assert (report["status"], report["nonces"]["status"]) == ("ready", "degraded")
        assert "redis" in report["nonces"]["why"].lower()
        assert outcomes(asyncio.run(place(server, token, 20))) == {"bet.confirmed": 20}
        reuse = asyncio.run(place(server, token, 2, nonce="the-same-one"))
        assert outcomes(reuse) == {"bet.confirmed": 1, "NONCE_REUSED": 1}
        assert log_of(server).count("WARNING") == 1
    assert "Traceback" not in log_of(server)


def test_redis_that_dies_and_comes_back(seeded: tuple[Path, list[Json]], mortal_redis: RedisServer) -> None:
    db, players = seeded
    token = players[1]["token"]
    settings = {**PATIENT, "nonce_stable_ms": "500"}
    with Server(db, redis_url=mortal_redis.url, settings=settings) as server:
        assert ready(server)["nonces"] == {"status": "ok"}
        assert outcomes(asyncio.run(place(server, token, nonce="kept-in-redis"))) == {"bet.confirmed": 1}
        assert mortal_redis.ask("GET", f"sg:nonce:{players[1]['id']}:kept-in-redis")

        mortal_redis.kill()
        for _ in range(5):
            assert outcomes(asyncio.run(place(server, token, 4))) == {"bet.confirmed": 4}
        nonces = ready(server)["nonces"]
        assert nonces["status"] == "degraded"
        assert nonces["breaker"] in ("open", "half_open")
        assert nonces["stable_for_another_ms"] == 500
        assert log_of(server).count("WARNING") == 1

        mortal_redis.start()
        deadline = time.monotonic() + 10
        while ready(server)["nonces"]["status"] != "ok" and time.monotonic() < deadline:
            time.sleep(0.1)  # the server tries once a second, and there is no other sign of it
        assert ready(server)["nonces"] == {"status": "ok"}
        assert outcomes(asyncio.run(place(server, token, nonce="in-redis-again"))) == {"bet.confirmed": 1}
        assert mortal_redis.ask("GET", f"sg:nonce:{players[1]['id']}:in-redis-again")
        assert log_of(server).count("WARNING") == 1
    assert "Traceback" not in log_of(server)


# -- a file or port that cannot be served
# ------------------------------------------------------------------------


def altered(source: Path | None, path: Path, sql: str) -> Path:
    if source is not None:
        shutil.copy(source, path)
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.executescript(sql)
    return path


def read_only(source: Path, path: Path) -> Path:
    path.write_bytes(source.read_bytes())
    path.chmod(0o400)
    return path


def of_bytes(data: bytes) -> Callable[[Path, Path], Path]:
    def make(_: Path, path: Path) -> Path:
        path.write_bytes(data)
        return path

    return make


def directory(_: Path, path: Path) -> Path:
    path.mkdir()
    return path


UNUSABLE: dict[str, tuple[Callable[[Path, Path], Path], str]] = {
    "missing": (lambda _, path: path, "no such file"),
    "in a folder that is missing": (lambda _, path: path / "x" / "wallet.db", "no such file"),
    "a folder": (directory, "is not a file"),
    "empty": (of_bytes(b""), "is not an SQLite database"),
    "text": (of_bytes(b"hello " * 1000), "is not an SQLite database"),
    "only the magic of one": (
        of_bytes(b"SQLite format 3\x00" + b"\xff" * 5000),
        "cannot be read as a database",
    ),
    "somebody else's": (
        lambda _, path: altered(None, path, "CREATE TABLE t(x)"),
        "not one of",
    ),
    "of a later version": (lambda s, path: altered(s, path, "PRAGMA user_version = 99"), "version 99"),
    "without a trigger": (
        lambda s, path: altered(s, path, "DROP TRIGGER ledger_only_grows"),
        "ledger_only_grows",
    ),
    "read-only": (read_only, "is read-only"),
}


@pytest.mark.parametrize("kind", UNUSABLE)
def test_a_file_that_cannot_be_served_is_refused(
    seeded: tuple[Path, list[Json]], tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    make, says = UNUSABLE[kind]
    db = make(seeded[0], tmp_path / "wallet.db")
    assert main(["serve", "--db", str(db), "--port", "0"]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith("solidgreen serve: ")
    assert says in line
    assert not [*tmp_path.glob("*.jwt-secret"), *tmp_path.glob("*.lock")]  # nor is a secret left beside it


def assert_one_clear_line(process: subprocess.Popen[str], says: str) -> None:
    out, err = process.communicate(timeout=30)
    assert process.returncode == 2, err
    (line,) = err.strip().splitlines()
    assert line.startswith("solidgreen serve: ")
    assert says in line
    assert out == ""


def serve(db: Path, port: int, *more: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "cli.main", "serve", "--db", str(db), "--port", str(port), *more]
    return subprocess.Popen(
        command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def test_what_is_taken_is_refused_and_its_owner_goes_on(
    seeded: tuple[Path, list[Json]], tmp_path: Path
) -> None:
    db, players = seeded
    other, locked = (Path(shutil.copy(db, tmp_path / name)) for name in ("other.db", "locked.db"))
    with (
        Server(db) as server,
        contextlib.closing(sqlite3.connect(locked, isolation_level=None)) as stranger,
        socket.create_server(("127.0.0.1", 0)) as taken,
    ):
        stranger.execute("BEGIN IMMEDIATE")
        port = taken.getsockname()[1]
        second, on_port = serve(db, free_port()), serve(other, port)
        on_lock, no_address = serve(locked, free_port()), serve(other, free_port(), "--host", "192.0.2.1")
        odd_redis = serve(other, free_port(), "--redis-url", "http://127.0.0.1")
        assert_one_clear_line(second, "is being served by another process")
        assert_one_clear_line(on_port, f"cannot listen on 127.0.0.1:{port}")
        assert_one_clear_line(no_address, "cannot listen on 192.0.2.1")
        assert_one_clear_line(odd_redis, "redis_url")
        assert_one_clear_line(on_lock, "locked")
        assert outcomes(asyncio.run(place(server, players[2]["token"]))) == {"bet.confirmed": 1}
    assert "Traceback" not in log_of(server)


# -- told to stop
# --------------------------------------------------------------------------------------------------


async def bet_until_closed(server: Server, token: str, answered: list[Json]) -> int | None:
    """Bet in windows of ten, each answered before the next is sent; the code that the server closes with."""
    async with connect(server.ws, token) as wire:
        try:
            while True:
                for exchange in await wire.send(*(bet(1, bet_id=new_bet_id()) for _ in range(10))):
                    answered.append(await exchange.answer())
        except SocketClosed as closed:
            return closed.code


async def stop_under_load(
    server: Server, tokens: list[str], *signals: signal.Signals
) -> tuple[list[Json], set[int | None]]:
    """Signal the server while every player bets; the answers, and the close codes."""
    answered: list[Json] = []
    async with asyncio.TaskGroup() as bettors:
        tasks = [bettors.create_task(bet_until_closed(server, token, answered)) for token in tokens]
        while len(answered) < 500:
            await asyncio.sleep(0.01)
        assert server.process is not None
        for number in signals:
            server.process.send_signal(number)
            await asyncio.sleep(0.02)
    return answered, {task.result() for task in tasks}


def confirmed_in(db: Path) -> set[str]:
    with contextlib.closing(sqlite3.connect(f"{db.as_uri()}?mode=ro", uri=True)) as connection:
        return {key for (key,) in connection.execute("SELECT key FROM transactions WHERE kind = 'BET'")}


@pytest.mark.parametrize(
    "signals",
    [(signal.SIGTERM,), (signal.SIGINT,), (signal.SIGTERM, signal.SIGTERM)],
    ids=["SIGTERM", "SIGINT", "SIGTERM twice"],
)
def test_told_to_stop_it_finishes_what_it_has_begun(
    seeded: tuple[Path, list[Json]], signals: tuple[signal.Signals, ...]
) -> None:
    db, players = seeded
    before = len(confirmed_in(db))
    tokens = [player["token"] for player in players[5:25]]
    with Server(db) as server:
        answered, closed_with = asyncio.run(stop_under_load(server, tokens, *signals))
        began = time.monotonic()
        assert server.process is not None
        assert server.process.wait(timeout=15) == 0
        assert time.monotonic() - began < 3

    told = {answer["bet_id"] for answer in answered if answer["type"] == "bet.confirmed"}
    on_disk = confirmed_in(db)
    assert told <= on_disk
    if len(signals) == 1:
        assert len(on_disk) - before == len(told)  # nothing was committed that nobody heard of
        assert set(outcomes(answered)) <= {"bet.confirmed", "OVERLOADED", "OUTCOME_UNKNOWN"}
    assert closed_with == {1001}
    assert reconcile(db).findings == []
    assert "Traceback" not in log_of(server)


def test_connections_that_ask_for_nothing_do_not_delay_the_stop(world: World) -> None:
    _, token = world.player()
    with (
        RawSocket(world.server.port, upgrade=False) as mute,
        RawSocket(world.server.port, upgrade=False) as half,
        RawSocket(world.server.port) as stranger,
        RawSocket(world.server.port, token=token) as idle,
    ):
        half.send(b"GET /ws HTTP/1.1\r\nUpgrade: webs")
        idle.read_messages()
        began = time.monotonic()
        assert world.server.stop() == 0
        assert time.monotonic() - began < 3
        assert (stranger.close_code(), idle.close_code()) == (1001, 1001)
        assert mute.socket.recv(1) == b""
    assert "Traceback" not in world.log()
