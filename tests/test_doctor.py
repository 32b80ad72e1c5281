"""`solidgreen doctor`: each ailment of a file, a disk, a clock or a Redis is found, and named."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from engine.files import create_if_missing
from tests.command import harm, overwrite_page_of, run, seed, well
from tests.redis_server import RedisServer


@pytest.fixture
def db(tmp_path: Path) -> Path:
    """A sound file, to be harmed."""
    file = tmp_path / "demo.db"
    seed(file, players=1)
    return file


def findings(*arguments: str | Path, **settings: str) -> list[dict[str, Any]]:
    done = run("doctor", "--json", *arguments, **settings)
    assert done.err == ""
    told = done.json
    assert told.keys() == {"ok", "findings"}
    assert (told["ok"], done.status) == ((True, 0) if not told["findings"] else (False, 1))
    found: list[dict[str, Any]] = told["findings"]
    return found


def test_doctor_finds_nothing_wrong_with_a_sound_file(db: Path) -> None:
    assert findings("--db", db) == []
    assert well("doctor", "--db", db).out == f"{db}: nothing stands in the way\n"


def test_doctor_finds_a_damaged_page(db: Path) -> None:
    overwrite_page_of(db, "transaction_ledger")
    found = findings("--db", db)
    assert found
    assert {finding["check"] for finding in found} == {"integrity"}


def test_doctor_finds_a_row_that_points_nowhere(db: Path) -> None:
    next_numbers = "id + 1, last_transaction_id + 1, last_entry_id + 1, 0"
    harm(
        db, f"INSERT INTO open_batch SELECT {next_numbers} FROM blocks ORDER BY id DESC LIMIT 1"
    )  # a shell checks no foreign key
    assert findings("--db", db) == [
        {"check": "foreign_key", "table": "open_batch", "row": 3, "parent": "blocks"}
    ]


def test_doctor_finds_a_block_from_the_future(db: Path) -> None:
    with closing(sqlite3.connect(db)) as connection, connection:
        name = "blocks_are_never_updated"
        (trigger,) = connection.execute("SELECT sql FROM sqlite_schema WHERE name = ?", (name,)).fetchone()
        connection.execute(f"DROP TRIGGER {name}")
        connection.execute("UPDATE blocks SET at = ?", (time.time_ns() // 1000 + 3_600_000_000,))
        connection.execute(trigger)
    ((found),) = findings("--db", db)
    assert found["check"] == "clock"
    assert "3599 s ahead" in found["why"] or "3600 s ahead" in found["why"]


def test_doctor_finds_a_file_that_others_may_read(db: Path) -> None:
    db.chmod(0o644)
    assert findings("--db", db) == [{"check": "mode", "why": f"others may read {db}; chmod 600 it"}]


def test_doctor_finds_a_disk_that_is_nearly_full(db: Path) -> None:
    usage = mock.Mock(free=(1 << 30) - 1)
    with mock.patch("shutil.disk_usage", return_value=usage):
        assert findings("--db", db) == [{"check": "disk", "why": "1023 MiB free beside the file"}]
        assert run("doctor", "--db", db).out == f"disk: 1023 MiB free beside the file\n{db}: 1 finding\n"


def test_doctor_asks_redis(db: Path, redis_server: RedisServer) -> None:
    assert findings("--db", db, redis_url=redis_server.url) == []
    redis_server.ask("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    ((found),) = findings("--db", db, "--redis-url", redis_server.url)
    assert found["check"] == "redis"
    assert "noeviction" in found["why"]
    for nowhere, words in {"redis://127.0.0.1:1/0": "is it running", "http://127.0.0.1": "redis://"}.items():
        ((found),) = findings("--db", db, "--redis-url", nowhere)
        assert found["check"] == "redis"
        assert words in found["why"]


@pytest.mark.parametrize("made", [b"", b"thirty-one bytes are one too few"[:31], b"\xff" * 64])
@pytest.mark.parametrize(
    ("beside", "check"), [("demo.db.jwt-secret", "secret"), ("demo.db.signing-key", "signing_key")]
)
def test_doctor_finds_a_secret_with_which_no_server_would_start(
    db: Path, beside: str, check: str, made: bytes
) -> None:
    """And says of which file; `serve` says the same."""
    file = db.with_name(beside)
    file.write_bytes(made)
    file.chmod(0o600)
    ((found),) = findings("--db", db, jwt_secret="")
    assert found["check"] == check
    assert found["why"].startswith(f"{file}: ")
    refused = run("serve", "--db", db, "--port", 0, jwt_secret="")
    assert (refused.status, refused.err) == (2, f"solidgreen serve: {found['why']}\n")


def test_doctor_looks_at_the_secrets_that_are_given(db: Path, tmp_path: Path) -> None:
    assert findings("--db", db, jwt_secret="short") == [
        {"check": "secret", "why": "SOLIDGREEN_JWT_SECRET: is shorter than 32 bytes"}
    ]
    key = tmp_path / "no.pem"
    assert findings("--db", db, signing_key=str(key)) == [
        {"check": "signing_key", "why": f"{key}: No such file or directory"}
    ]


def test_doctor_makes_no_secret(tmp_path: Path) -> None:
    create_if_missing(tmp_path / "a.db")
    assert findings("--db", tmp_path / "a.db", jwt_secret="") == []
    assert not [*tmp_path.glob("a.db.*")]


def test_doctor_finds_a_key_that_others_may_read(db: Path) -> None:
    key = db.with_name("demo.db.signing-key")
    key.chmod(0o640)
    assert findings("--db", db) == [{"check": "mode", "why": f"others may read {key}; chmod 600 it"}]


def test_doctor_finds_what_was_mistyped(db: Path) -> None:
    assert findings("--db", db, redis_ulr="redis://127.0.0.1", service_host="10.0.0.1") == [
        {"check": "setting", "why": "SOLIDGREEN_REDIS_ULR is no setting; SOLIDGREEN_REDIS_URL is one"},
        {"check": "setting", "why": "SOLIDGREEN_SERVICE_HOST is no setting"},
    ]
