"""Files that earlier versions have made, with data of every kind in them: upgraded, they say the same as
before, to everybody, and bets go on. From every earlier version, and to one that there is not yet.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from engine.files import SCHEMA_VERSION
from harness.process import Server
from harness.wire import bet, connect
from tests.command import run, well
from tests.old_books import LATER, OLD_FILES, STEPS, Old, brought_to, know, later_steps, unpacked
from tests.server_fixture import mint

ALICE = 7
STARTS = [
    (archive, version)
    for archive in OLD_FILES
    for version in range(int(archive.name[1:].split(".")[0]), SCHEMA_VERSION + 1)
]
"""Each file as it is, and as a program of each later version would have upgraded it."""


@pytest.fixture(params=STARTS, ids=lambda start: f"{start[0].name}-at-{start[1]}")
def old(request: pytest.FixtureRequest, tmp_path: Path) -> Old:
    archive, version = request.param
    made = unpacked(archive, tmp_path)
    brought_to(made.db, version)
    return made


def as_json(value: object) -> object:
    return json.loads(json.dumps(value))


def expect_it_says_the_same(old: Old) -> None:
    """Balances, verdicts, head, key, statements and receipts, all that was archived with them."""
    with closing(sqlite3.connect(old.db)) as connection:
        users = connection.execute("SELECT id, balance, held, owed FROM users ORDER BY id").fetchall()
        counts = {
            table: connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
            for table in old.said["rows"]
        }
    assert as_json(users) == old.said["users"]
    assert counts == old.said["rows"]
    for command in ("verify", "reconcile"):
        verdict = well(command, "--db", old.db, "--json").json
        assert verdict | old.said[command] == verdict, "more may be looked at, nothing less is said"
    assert well("head", "--db", old.db).json == old.said["head"]
    assert well("public-key", "--db", old.db).out == old.said["public_key"]
    for user, told in old.said["statements"].items():
        assert well("statement", "--db", old.db, "--user", user, "--json").json == told
    for transaction, told in old.said["receipts"].items():
        assert well("receipt", "--db", old.db, transaction).json == told


def expect_it_goes_on(old: Old, server: Callable[[Path], Server]) -> None:
    """Known keys get the first answers, a new bet is taken, and the books are sound behind it."""

    async def use(url: str) -> None:
        for (user, role, request), told in zip(old.said["requests"], old.said["replays"], strict=True):
            async with connect(url, mint(user, role)) as wire:
                heard = await wire.ask(request)
                assert {name: heard.get(name) for name in told} == told
        async with connect(url, mint(ALICE)) as wire:
            assert (await wire.ask(bet(250)))["type"] == "bet.confirmed"

    with server(old.db) as serving:
        asyncio.run(use(serving.ws))
        assert serving.stop() == 0


def test_what_was_true_before_an_upgrade_is_true_after_it(old: Old) -> None:
    done = well("upgrade", "--db", old.db, "--json").json
    assert done["to_version"] == SCHEMA_VERSION
    expect_it_says_the_same(old)
    expect_it_goes_on(old, Server)
    for alone in ((), ("--alone",)):
        assert well("verify", "--db", old.db, "--json", *alone).json["findings"] == []


def test_the_next_version_will_do_the_same(old: Old, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = later_steps(tmp_path / "steps", *STEPS)
    with monkeypatch.context() as patch:
        newest = know(folder, patch)
        refused = run("verify", "--db", old.db)
        assert refused.status == 2
        assert f"upgrade it: solidgreen upgrade --db {old.db}" in refused.err
        done = well("upgrade", "--db", old.db, "--json").json
        assert (done["to_version"], len(done["steps"]), done["findings"]) == (
            newest,
            newest - done["from_version"],
            [],
        )
        expect_it_says_the_same(old)
        monkeypatch.setenv(LATER, str(folder))
        expect_it_goes_on(old, lambda db: Server(db, module="tests.broken.later"))
        assert well("verify", "--db", old.db, "--json").json["findings"] == []
    refused = run("verify", "--db", old.db)
    assert (refused.status, refused.err.count("\n")) == (2, 1)
    assert (
        f"has schema version {newest}, and this program knows up to version {SCHEMA_VERSION}" in refused.err
    )
