"""`solidgreen audit-log`, and what the command line itself leaves in the log."""

from __future__ import annotations

import json
import os
import pwd
import socket
from pathlib import Path
from typing import Any

import pytest

from cli.times import rfc3339
from engine import audit_log, logins
from engine.actors import Actor
from engine.deeds import ACCEPTED
from engine.people import STAFF_ID_BASE
from engine.store import Asked, Store
from tests.books_open import ALICE, BOB, NOW_US, deposit, seed, settle, with_store
from tests.command import run, well
from tests.demo_books import archive, make_books

S = 1_000_000
HOST = Actor(42, "operator", "192.0.2.1", "ws")
CASHIER = Actor(STAFF_ID_BASE, "admin", "2001:db8::1", "http")


@pytest.fixture(scope="module")
def books(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three deeds, a second apart, of two actors, and one that is no command."""
    path = seed(tmp_path_factory.mktemp("deeds") / "books.db", 100, 1000)

    async def use(store: Store) -> None:
        anna = await store.tidy(lambda c: logins.add_staff(c, "anna", "admin", "$argon2id$", NOW_US))
        assert anna == CASHIER.id
        await store.commit([Asked(deposit("d", 5, BOB), actor=CASHIER)], NOW_US)
        await store.commit([Asked(settle("s", 9, "lost"), actor=HOST)], NOW_US + S)
        await store.commit([Asked(deposit("e\u202e", 6, ALICE), actor=CASHIER)], NOW_US + 2 * S)
        await store.tidy(
            lambda c: audit_log.record(c, HOST, "clock.confirm", {"jumped_us": 7}, ACCEPTED, NOW_US + 3 * S)
        )

    with_store(path, use)
    return path


def shown(path: Path, *options: str | int) -> list[dict[str, Any]]:
    return [json.loads(line) for line in well("audit-log", "--db", path, "--json", *options).out.splitlines()]


def test_the_log_as_text_newest_first_and_nothing_that_a_terminal_obeys(books: Path) -> None:
    lines = well("audit-log", "--db", books).out.splitlines()
    anna = f"admin {STAFF_ID_BASE} anna"
    assert [line.split("  ")[:6] for line in lines] == [
        ["4", rfc3339(NOW_US + 3 * S), "operator 42", "ws 192.0.2.1", "clock.confirm", "accepted"],
        ["3", rfc3339(NOW_US + 2 * S), anna, "http 2001:db8::1", "wallet.deposit", "accepted 4"],
        ["2", rfc3339(NOW_US + S), "operator 42", "ws 192.0.2.1", "bet.settle", "NOT_FOUND"],
        ["1", rfc3339(NOW_US), anna, "http 2001:db8::1", "wallet.deposit", "accepted 3"],
    ]
    assert [line.split("  ")[6:] for line in lines] == [
        ['{"jumped_us":7}'],
        [f'{{"user_id":{ALICE},"amount_minor":6}}', "key e?"],
        ['{"bet_id":"00000000-0000-7000-8000-000000000009","result":"lost"}', "key s"],
        [f'{{"user_id":{BOB},"amount_minor":5}}', "key d"],
    ]


def test_the_log_as_json(books: Path) -> None:
    assert [each["name"] for each in shown(books)] == [None, "anna", None, "anna"]
    assert shown(books)[1] == {
        "id": 3, "at": rfc3339(NOW_US + 2 * S), "actor": STAFF_ID_BASE, "name": "anna", "role": "admin",
        "address": "2001:db8::1", "door": "http", "action": "wallet.deposit",
        "subject": {"user_id": ALICE, "amount_minor": 6}, "key": "e\u202e",
        "outcome": "accepted", "transaction_id": 4,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("options", "ids"),
    [
        (["--actor", 42], [4, 2]),
        (["--actor", 0], []),
        (["--action", "wallet.deposit"], [3, 1]),
        (["--from", rfc3339(NOW_US + S)], [4, 3, 2]),
        (["--to", rfc3339(NOW_US + S)], [1]),
        (["--from", rfc3339(NOW_US + S), "--to", rfc3339(NOW_US + 3 * S), "--actor", STAFF_ID_BASE], [3]),
    ],
)
def test_only_what_is_asked_for(books: Path, options: list[str | int], ids: list[int]) -> None:
    assert [each["id"] for each in shown(books, *options)] == ids


def test_nobody_is_given_a_token_in_the_name_of_another(books: Path) -> None:
    """It would outlive him, too: what `token` prints ends with its time, and not with whoever is removed."""
    refused = run("token", "--db", books, "--user", STAFF_ID_BASE, "--role", "admin")
    assert (refused.status, refused.out) == (2, "")
    assert f"{STAFF_ID_BASE} is anna" in refused.err
    well("token", "--db", books, "--user", STAFF_ID_BASE + 1, "--role", "admin")


@pytest.mark.parametrize("options", [["--actor", "-1"], ["--actor", "x"], ["--from", "yesterday"]])
def test_a_wrong_call(books: Path, options: list[str]) -> None:
    done = run("audit-log", "--db", books, *options)
    assert (done.status, done.out) == (2, "")


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    assert run("audit-log", "--db", tmp_path / "none.db").status == 2


def test_whoever_seeds_a_file_is_in_its_log(tmp_path: Path) -> None:
    db = tmp_path / "demo.db"
    well("seed", "--db", db, "--players", 3, "--balance", 7)
    well("seed", "--db", db, "--players", 1, "--balance", 8, "--currency", "USD")
    second, first = shown(db)
    name = pwd.getpwuid(os.getuid()).pw_name
    assert (first["actor"], first["role"], first["door"]) == (0, "shell", "cli")
    assert first["address"] == f"{name}@{socket.gethostname()}"
    assert (first["action"], first["outcome"]) == ("seed", "accepted")
    assert first["subject"] == {
        "first_user_id": 7, "last_user_id": 9, "currency": "EUR", "amount_minor": 7,
        "house_floor_minor": -(2**62),
    }  # fmt: skip
    assert second["subject"]["currency"] == "USD"


def test_whoever_archives_a_file_by_himself_is_in_its_log(tmp_path: Path) -> None:
    db = archive(make_books(tmp_path / "demo.db"))
    (deed,) = shown(db)
    assert (deed["actor"], deed["role"], deed["action"], deed["outcome"]) == (
        *(0, "shell", "archive.begin", "accepted"),
    )
