"""Who is at the command line, and that the audit log says so whether a server runs beside it or not."""

from __future__ import annotations

import io
import json
import os
import pwd
import socket
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import httpx
import pytest

from cli.shell import at_the_shell, own_token
from engine.actors import Actor
from engine.verify import verify
from harness.process import JWT_SECRET, Server, seed
from tests.command import run, well
from tests.demo_books import BEFORE, make_books, serving
from ws.auth import SHELL_CHARS_MAX, identify, issue

HORSE = "correct horse"
ME = f"{pwd.getpwuid(os.getuid()).pw_name}@{socket.gethostname()}"

KEYS: dict[str, tuple[str, ...]] = {
    "key.create": ("keys", "create", "partner"),
    "key.rotate": ("keys", "rotate", "partner"),
    "key.revoke": ("keys", "revoke", "partner"),
}
STAFF: dict[str, tuple[str, ...]] = {
    "staff.add": ("staff", "add", "anna", "--password-stdin"),
    "staff.remove": ("staff", "remove", "anna"),
}
"""Commands that say who may act for the house, by what the audit log calls them."""


def run_all(db: Path, commands: Mapping[str, Sequence[str]]) -> None:
    for group, action, *rest in commands.values():
        with mock.patch.object(sys, "stdin", io.StringIO(HORSE)):
            well(group, action, "--db", db, *rest)


def deeds(db: Path, *options: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in well("audit-log", "--db", db, "--json", *options).out.splitlines()]


def who(deed: dict[str, Any]) -> tuple[Any, ...]:
    return deed["actor"], deed["role"], deed["address"], deed["door"]


def test_a_user_without_a_name_is_told_by_his_number(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(number: int) -> pwd.struct_passwd:
        raise KeyError(number)

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    assert at_the_shell().address == f"{os.getuid()}@{socket.gethostname()}"


@pytest.mark.parametrize("name", ["x" * 300, "\x1b[2J\n", "\udc80"])
def test_a_machine_of_any_name_has_a_token(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: name)
    told = identify(JWT_SECRET, own_token(JWT_SECRET, "admin")).shell
    assert told == at_the_shell().address
    assert len(told) <= SHELL_CHARS_MAX
    assert told.isprintable()


@pytest.mark.long
def test_what_the_command_line_does_is_told_alike_with_a_server_and_without(tmp_path: Path) -> None:
    db = tmp_path / "wallet.db"
    seed(db, 1)
    run_all(db, KEYS)
    alone = deeds(db)
    db = tmp_path / "served.db"
    seed(db, 1)
    with Server(db):
        run_all(db, KEYS | STAFF)
    beside = deeds(db)
    assert [each["action"] for each in reversed(beside)] == ["seed", *KEYS, *STAFF]
    assert [each["action"] for each in reversed(alone)] == ["seed", *KEYS]
    assert {who(each) for each in alone + beside} == {(0, "shell", ME, "cli")}
    assert verify(db).findings == []


@pytest.mark.long
def test_nobody_else_is_at_the_command_line(tmp_path: Path) -> None:
    """Not by a key that an admin made, whatever the client sends; nor by a token of `solidgreen token`."""
    db = tmp_path / "wallet.db"
    seed(db, 1)
    with Server(db) as server, httpx.Client(base_url=server.http, trust_env=False) as http:
        key = well("keys", "create", "robot", "--db", db, "--role", "admin").out.strip()
        token = http.post("/v1/auth/token", json={"key": key}).json()
        bearer = {"Authorization": f"Bearer {token['access_token']}"}
        body = {"name": "mine", "role": "operator"}
        for more in ({"shell": ME}, {"door": "cli"}, {"actor": 0}):
            assert http.post("/v1/admin/keys", headers=bearer, json=body | more).status_code == 400
        claims = {"X-Shell": ME, "Shell": ME}
        assert http.post("/v1/admin/keys", headers=bearer | claims, json=body).status_code == 201
        signed = issue("a secret that somebody made up himself", 1, "admin", int(time.time()), 60, shell=ME)
        forged = {"Authorization": f"Bearer {signed}"}
        assert http.post("/v1/admin/keys", headers=forged, json=body).status_code == 401
        printed = well("token", "--db", db, "--user", 9, "--role", "admin").out.strip()
        own = {"Authorization": f"Bearer {printed}"}
        assert http.delete("/v1/admin/keys/mine", headers=own).status_code == 204
        revoked, created = deeds(db)[:2]
    assert who(created) == (token["user_id"], "admin", "127.0.0.1", "http")
    assert who(revoked) == (9, "admin", "127.0.0.1", "http")


@pytest.mark.long
def test_an_archive_is_begun_by_the_same_hand_with_a_server_and_without(tmp_path: Path) -> None:
    """And under the same key of the same caller, so that whoever asks again is told the first one's end."""
    db = make_books(tmp_path / "demo.db")
    with serving(db) as server:
        assert run("archive", "--db", db, "--before", BEFORE, "--url", server.ws, jwt_secret="").status == 0
    (deed,) = deeds(db, "--action", "archive.begin")
    assert who(deed) == Actor(0, "shell", ME, "cli")
    assert verify(db).findings == []
    assert json.loads(well("archive", "--db", db, "--before", BEFORE, "--json").out)["state"] == "moved"
    assert len(deeds(db, "--action", "archive.begin")) == 1
