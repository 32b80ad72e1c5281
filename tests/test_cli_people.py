"""The commands `keys` and `staff`, on a file that nobody serves and on one that is served."""

from __future__ import annotations

import asyncio
import io
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from cli import people
from engine.files import served_at
from engine.people import SERVICE_ID_BASE, STAFF_ID_BASE
from harness.process import Server, environment, seed, solidgreen
from harness.wire import connect
from tests import command

HORSE = "correct horse"
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("keys")
    seed(made / "wallet.db", 1)
    return Path(made)


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Server]:
    with Server(folder / "wallet.db") as served:
        yield served


def run(db: Path, *words: str, stdin: str = "", status: int = 0) -> str:
    """What it printed; on standard error where it is to fail."""
    group, action, *rest = words
    done = subprocess.run(
        [sys.executable, "-m", "cli.main", group, action, "--db", str(db), *rest],
        env=environment(), input=stdin, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == status, done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout if status == 0 else done.stderr


def is_good(server: Server, key: str) -> bool:
    answer = httpx.post(f"{server.http}/v1/auth/token", json={"key": key}, trust_env=False)
    assert answer.status_code in (200, 401)
    return answer.status_code == 200


@pytest.mark.long
def test_what_was_made_without_a_server_is_good_with_one(tmp_path: Path) -> None:
    db = tmp_path / "wallet.db"
    seed(db, 1)
    key = run(db, "keys", "create", "partner", "--scopes", "money,bets").strip()
    run(db, "keys", "create", "partner", status=2)
    assert run(db, "staff", "add", "Anna", "--role", "admin", "--password-stdin", stdin=f"{HORSE}\n") == (
        f"{STAFF_ID_BASE}\n"
    )
    listed = json.loads(run(db, "keys", "list", "--json"))
    assert listed["accounts"][0]["user_id"] == SERVICE_ID_BASE
    assert listed["accounts"][0]["scopes"] == ["bets", "money"]
    assert f"{STAFF_ID_BASE} anna: admin" in run(db, "staff", "list")
    with Server(db) as server:
        assert is_good(server, key)
        who = httpx.post(
            f"{server.http}/v1/auth/login", json={"username": "anna", "password": HORSE}, trust_env=False
        )
        assert (who.status_code, who.json()["role"]) == (200, "admin")


@pytest.mark.long
def test_a_served_file_is_changed_by_its_server(server: Server) -> None:
    assert served_at(server.db) == server.http
    key = run(server.db, "keys", "create", "billing", "--role", "auditor").strip()
    assert is_good(server, key)
    new = run(server.db, "keys", "rotate", "billing", "--grace", "60").strip()
    assert is_good(server, key)
    newest = run(server.db, "keys", "rotate", "billing").strip()
    assert [is_good(server, each) for each in (key, new, newest)] == [False, False, True]
    shown = run(server.db, "keys", "list")
    assert "billing: auditor, everything" in shown
    assert shown.count("revoked") == 2
    assert newest not in shown
    token = httpx.post(f"{server.http}/v1/auth/token", json={"key": newest}, trust_env=False).json()

    async def scenario() -> None:
        async with connect(server.ws, token["access_token"]) as socket:
            revoking = asyncio.create_task(asyncio.to_thread(run, server.db, "keys", "revoke", "billing"))
            assert await socket.close_code() == 4401
            await revoking

    asyncio.run(scenario())
    assert not is_good(server, newest)
    assert "there is nobody of that name" in run(server.db, "keys", "revoke", "billing", status=2)


@pytest.mark.long
def test_staff_of_a_served_file(server: Server) -> None:
    def logs_in(password: str) -> bool:
        body = {"username": "bert", "password": password}
        return httpx.post(f"{server.http}/v1/auth/login", json=body, trust_env=False).status_code == 200

    run(server.db, "staff", "add", "bert", "--password-stdin", stdin=HORSE)
    assert logs_in(HORSE)
    run(server.db, "staff", "password", "bert", "--password-stdin", stdin="another horse")
    assert (logs_in(HORSE), logs_in("another horse")) == (False, True)
    run(server.db, "staff", "remove", "bert")
    assert not logs_in("another horse")
    assert "bert: operator, removed" in run(server.db, "staff", "list")
    short = run(server.db, "staff", "add", "carl", "--password-stdin", stdin="short\n", status=2)
    assert "password: expected 8 to 256 characters" in short


@pytest.mark.long
def test_where_the_server_is_can_be_said(server: Server) -> None:
    for url in (server.http, f"{server.http}/", server.ws):
        run(server.db, "keys", "list", "--url", url)
    assert "cannot be asked" in run(server.db, "keys", "list", "--url", "http://127.0.0.1:1", status=2)
    assert "expected http" in run(server.db, "keys", "list", "--url", "ftp://x", status=2)


@pytest.mark.long
def test_whoever_has_not_the_secret_is_refused(server: Server) -> None:
    done = solidgreen(
        "keys", "list", "--db", str(server.db), check=False, jwt_secret="another secret that is long enough"
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert "the token is not valid" in done.stderr


def test_a_password_is_asked_for_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    class Options:
        password_stdin = False
        name = "anna"

    answers = iter([HORSE, HORSE, HORSE, "correct house"])
    monkeypatch.setattr("getpass.getpass", lambda prompt: next(answers))
    assert people._password(Options()) == HORSE  # type: ignore[arg-type]
    with pytest.raises(people.NotDone, match="differ"):
        people._password(Options())  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "action", [("keys", "create"), ("keys", "rotate"), ("keys", "revoke"), ("staff", "remove")]
)
def test_a_name_that_is_no_text_is_nobodys(tmp_path: Path, action: tuple[str, str]) -> None:
    told = command.run(*action, "--db", tmp_path / "none.db", "ab\udcff")
    assert told.status == 2
    assert "username: expected 3 to 64 characters" in told.err


def test_a_password_that_is_no_text_is_refused_before_anybody_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO("pässwörter".encode("latin-1")), "utf-8"))
    told = command.run("staff", "add", "--db", tmp_path / "none.db", "anna", "--password-stdin")
    assert told.status == 2
    assert "the password is no text of this locale (utf-8)" in told.err


@pytest.mark.long
def test_a_lock_says_nothing_where_nobody_answers(tmp_path: Path) -> None:
    db = tmp_path / "wallet.db"
    assert served_at(db) is None
    seed(db, 1)
    assert served_at(db) is None
    with Server(db) as server:
        assert served_at(db) == server.http
    run(db, "keys", "list")
    assert served_at(db) is None, "who writes now answers nobody"


def test_moments_are_told_in_utc() -> None:
    now_ms = int(time.time() * 1000)
    assert people._time(0) == "1970-01-01T00:00:00Z"
    assert people._state({"revoked_at": None, "expires_at": None, "good": True}) == "good"
    assert people._state({"revoked_at": None, "expires_at": now_ms, "good": False}).startswith("expired")
