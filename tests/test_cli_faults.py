"""What the command line says when something is wrong: one line that helps, status 1 or 2, no traceback."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from engine.files import WriterLock
from harness.process import Server, environment
from tests.command import Done, harm, overwrite_page_of, run, seed, well

COMMANDS = ("serve", "seed", "token", "reconcile", "statement", "doctor")
NEEDS_USER = ("token", "statement")


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Player 7; nobody writes to this file."""
    db = tmp_path_factory.mktemp("sound") / "sound.db"
    seed(db, players=1)
    return db


@pytest.fixture
def db(sound: Path, tmp_path: Path) -> Path:
    """A copy of the sound file, to be harmed."""
    copy = tmp_path / "demo.db"
    shutil.copy2(sound, copy)
    return copy


def refused(done: Done, *words: str) -> None:
    """Status 2, nothing on standard output, and one line that helps; after it, at most where to look."""
    assert (done.status, done.out) == (2, "")
    line, *hint = done.err.splitlines()
    assert line.startswith("solidgreen")
    assert all(word in line for word in words), line
    assert [text[:6] for text in hint] in ([], ["(try: "])


# -- the call

AT = ("statement", "--user", "7", "--at")


@pytest.mark.parametrize(
    ("call", "words"),
    [
        ([], "COMMAND"),
        (["settle"], "invalid choice: 'settle'"),
        (["reconcile", "--verbose"], "unrecognized arguments: --verbose"),
        (["reconcile", "--mend"], "--mend"),
        (["token"], "--user"),
        (["token", "--user", "0"], "from 1"),
        (["token", "--user", "-7"], "--user"),
        (["token", "--user", "seven"], "expected an integer"),
        (["token", "--user", "7.0"], "expected an integer"),
        (["token", "--user", "9007199254740992"], "9007199254740991"),
        (["token", "--user=--7"], "expected an integer"),
        (["token", "--user", "7", "--role", "king"], "king"),
        (["token", "--user", "7", "--life", "0"], "from 1"),
        (["seed", "--players", "0"], "from 1"),
        (["seed", "--players", "9" * 5000], "expected an integer"),
        (["seed", "--balance", "12.50"], "expected an integer"),
        (["seed", "--balance=-1"], "from 0"),
        (["seed", "--currency", "eur"], "EUR"),
        (["seed", "--currency", "XXX"], "EUR"),
        (["seed", "--house-floor", "much"], "--house-floor"),
        (["seed", "--house-floor=1"], "--house-floor"),
        (["seed", f"--house-floor={-(2**63) - 1}"], "--house-floor"),
        (["serve", "--port", "65536"], "from 0 to 65535"),
        (["serve", "--port", "http"], "from 0 to 65535"),
        ([*AT, "yesterday"], "yesterday"),
        ([*AT, "2026-01-31"], "is a date, a time and Z or an offset"),
        ([*AT, "2026-01-31T12:00:00"], "ends with Z or an offset"),
        ([*AT, "2026-02-30T12:00:00Z"], "day"),
        ([*AT, "2026-01-31T25:00:00Z"], "hour"),
        ([*AT, "1769860800"], "1769860800"),
        (["statement", "--user", "7", "--from", "now"], "now"),
        (["statement", "--user", "7", "--to", ""], "--to"),
        (["statement", "--user", "7", "--format", "xls"], "xls"),
        (["statement", "--user", "7", "--format", "csv", "--json"], "--json"),
        ([*AT, "2026-01-31T12:00:00Z", "--to", "2026-01-31T12:00:00Z"], "--at goes without"),
        (
            [*AT[:-1], "--from", "2026-01-31T12:00:01Z", "--to", "2026-01-31T12:00:00Z"],
            "--from is after --to",
        ),
    ],
    ids=lambda part: " ".join(part)[:40] if isinstance(part, list) else "",
)
def test_a_wrong_call_is_told_what_is_wrong_with_it(call: list[str], words: str, db: Path) -> None:
    done = run(*call, db=str(db))
    refused(done, words)
    assert not any(inner in done.err for inner in ("_count", "_amount", "_time", "_port", "NoneType"))


def test_a_call_without_a_file_names_the_option() -> None:
    for command in COMMANDS:
        refused(run(command, *user(command)), "--db")


def user(command: str) -> tuple[str, ...]:
    return ("--user", "7") if command in NEEDS_USER else ()


@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59-01:00"])
def test_a_moment_that_utc_cannot_write_is_no_traceback(moment: str, db: Path) -> None:
    done = run(*AT, moment, "--json", "--db", db)
    refused(done, moment)


def test_an_account_that_does_not_exist_is_named(db: Path) -> None:
    refused(run("statement", "--user", 99, "--db", db), "no account has the id 99")


# -- the environment


@pytest.mark.parametrize(
    ("command", "variable", "value"),
    [
        ("serve", "port", "http"),
        ("serve", "redis_url", "http://127.0.0.1:6379"),
        ("serve", "log_format", "xml"),
        ("serve", "access_log", "yes"),
        ("serve", "traces", "ftp://collector"),
        ("serve", "trace_ratio", "1.01"),
        ("seed", "house_floor", "much"),
        ("token", "log_level", "loud"),
        ("token", "jwt_secret", "31-bytes-are-one-too-few-for-hs"),
        ("token", "jwt_secret", "not text: \udcff, but more than 32 bytes of it"),
    ],
)
def test_a_setting_that_makes_no_sense_is_refused(command: str, variable: str, value: str, db: Path) -> None:
    refused(run(command, *user(command), db=str(db), **{variable: value}))


def test_seed_looks_at_the_secret_before_it_pays_anybody(tmp_path: Path) -> None:
    db = tmp_path / "a.db"
    refused(run("seed", "--db", db, "--tokens", jwt_secret="short"), "32 bytes")
    assert not db.exists(), "a command that was refused has done nothing"


def test_a_setting_that_is_none_is_told_at_the_start_and_its_value_is_not(
    db: Path, caplog: pytest.LogCaptureFixture
) -> None:
    refused(run("serve", "--db", db, "--port", 0, jwt_secrt="of no use", tls_key="one of two"), "give both")
    assert caplog.messages == [
        "a variable of the environment changes nothing: SOLIDGREEN_JWT_SECRT is no setting; "
        "SOLIDGREEN_JWT_SECRET is one"
    ]


def test_a_secret_file_that_is_no_text_is_refused(db: Path) -> None:
    db.with_name("demo.db.jwt-secret").write_bytes(b"\xff" * 64)
    refused(run("token", "--user", 7, "--db", db, jwt_secret=""), "demo.db.jwt-secret")


# -- the file


class Harm(NamedTuple):
    """A file that cannot be used, and a word of what is said about it."""

    name: str
    words: str


UNUSABLE = [
    Harm("missing", "solidgreen seed --db"),
    Harm("folder", "not a file"),
    Harm("garbage", "not an SQLite database"),
    Harm("empty", "not an SQLite database"),
    Harm("stranger", "not one of Solid Green's"),
    Harm("newer", "schema version 99"),
    Harm("altered", "ledger_is_never_updated is missing"),
    Harm("long name", "name too long"),
]


def unusable(kind: str, db: Path) -> Path:
    match kind:
        case "missing":
            db.unlink()
        case "folder":
            db.unlink()
            db.mkdir()
        case "garbage":
            db.write_bytes(b"PK\x03\x04" + bytes(5000))
        case "empty":
            db.write_bytes(b"")
        case "stranger":
            db.unlink()
            harm(db, "CREATE TABLE users (id, balance)")
        case "newer":
            harm(db, "PRAGMA user_version = 99")
        case "altered":
            harm(db, "DROP TRIGGER ledger_is_never_updated")
        case "long name":
            return db.with_name("x" * 300)
    return db


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("kind", UNUSABLE, ids=lambda kind: kind.name)
def test_a_file_that_cannot_be_used_is_refused_in_words(kind: Harm, command: str, db: Path) -> None:
    if (kind.name, command) == ("missing", "seed"):
        return  # that is what seed is for: test_cli.py
    place = unusable(kind.name, db)
    done = run(command, *user(command), "--db", place, jwt_secret="")
    if command == "doctor":
        assert (done.status, done.err) == (1, "")
        assert done.out.startswith("file: ")
        assert kind.words.lower() in done.out.lower()
    else:
        refused(Done(done.status, done.out, done.err.lower()), kind.words.lower())
    assert not list(db.parent.glob("*.jwt-secret")), "no secret for a file that is not ours"


@pytest.mark.parametrize("command", ["serve", "seed"])
def test_a_file_that_is_marked_read_only_is_not_written(command: str, db: Path) -> None:
    db.chmod(0o400)
    refused(run(command, "--db", db), "read-only")
    assert well("reconcile", "--db", db, "--json").json["ok"]


def test_serve_says_that_its_port_is_taken(db: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refused(run("serve", "--db", db, "--port", port), f"127.0.0.1:{port}", "in use")


def test_reconcile_of_a_damaged_file_is_no_verdict(db: Path) -> None:
    """Status 1 would say that the sums were taken and differ."""
    overwrite_page_of(db, "transaction_ledger")
    refused(run("reconcile", "--db", db, "--json"), str(db), "malformed")


def test_by_another_name_it_is_the_same_file(db: Path, tmp_path: Path) -> None:
    """Of a symbolic link the lock, the log and the secrets are those of the file that it leads to: two
    writers of one log would destroy it."""
    (tmp_path / "here").mkdir()
    link = tmp_path / "here/wallet.db"
    link.symlink_to(db)
    lock = WriterLock(db)
    try:
        for command in (("seed",), ("reconcile", "--repair"), ("serve", "--port", "0")):
            refused(run(*command, "--db", link), f"{db}: is being served by another process")
            refused(run(*command, db=str(link)), f"{db}: is being served by another process")
    finally:
        lock.release()
    well("token", "--user", 7, "--db", link, jwt_secret="")
    assert db.with_name("demo.db.jwt-secret").exists()
    assert [*link.parent.iterdir()] == [link]


@pytest.mark.parametrize("leads_to", ["nowhere.db", "loop.db"])
def test_a_link_that_leads_to_no_file_is_refused(leads_to: str, tmp_path: Path) -> None:
    (tmp_path / "loop.db").symlink_to(leads_to)
    refused(run("serve", "--db", tmp_path / "loop.db"), f"{tmp_path / 'loop.db'}: ")


# -- the process


PRINTING = pytest.mark.parametrize("arguments", [["statement", "--user", "4"], ["--help"]], ids=" ".join)


def into(output: int, arguments: list[str], db: Path) -> tuple[int, str]:
    """Run the command with this descriptor as standard output; its status and what it said elsewhere."""
    variables = environment(db=str(db))
    variables.pop("PYTHONUNBUFFERED", None)  # it would hide what is written only at exit
    command = [sys.executable, "-m", "cli.main", *arguments]
    done = subprocess.run(
        command, env=variables, stdout=output, stderr=subprocess.PIPE, text=True, timeout=30
    )
    os.close(output)
    return done.returncode, done.stderr


@PRINTING
def test_a_reader_that_has_seen_enough_is_no_error(arguments: list[str], sound: Path) -> None:
    """`solidgreen statement … | head -1`: not a word, and the status that a broken pipe has elsewhere."""
    reading, writing = os.pipe()
    os.close(reading)
    assert into(writing, arguments, sound) == (128 + signal.SIGPIPE, "")


@PRINTING
def test_an_answer_that_cannot_be_written_is_no_verdict(arguments: list[str], sound: Path) -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    assert into(full, arguments, sound) == (2, "solidgreen: [Errno 28] No space left on device\n")


def test_ctrl_c_stops_the_server_in_good_order(db: Path) -> None:
    with Server(db) as server:
        assert server.process is not None
        assert server.log is not None
        server.process.send_signal(signal.SIGINT)
        assert server.process.wait(timeout=20) == 0
        first, *_, last = server.log.read_text().splitlines()
    assert f"serving {db} on ws://127.0.0.1:{server.port}/ws, nonces in memory; stop with Ctrl-C" in first
    assert last.endswith("stopped")
    assert not db.with_name("demo.db-wal").exists(), "a stop leaves one file to copy"
