"""The command line as its users meet it: words, exit status, JSON shapes (PROTOCOL, "Command line").

What goes wrong with the call, the environment or the file is in `test_cli_faults.py`.
"""

from __future__ import annotations

import asyncio
import base64
import csv
import io
import json
import re
import sqlite3
import stat
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from cli.main import main
from harness.process import Server, token
from harness.wire import bet, connect
from tests.command import run, seed, well
from tests.forgeries import forge
from ws.settings import Settings

COMMANDS = (
    *("serve", "seed", "token", "reconcile", "verify", "statement", "backup", "restore", "doctor"),
    *("receipt", "head", "public-key", "archive"),
)
OFFLINE = ("check-receipt", "check-head")


@pytest.fixture(scope="module")
def books(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Players 7 and 8 with 100000 minor units; nobody writes to this file."""
    db = tmp_path_factory.mktemp("books") / "demo.db"
    seed(db, players=2)
    return db


# -- help


def test_help_names_every_command_and_where_to_start() -> None:
    told = well("--help").out
    assert all(f"\n    {command}" in told for command in COMMANDS + OFFLINE)
    assert "solidgreen seed --db demo.db --players 100" in " ".join(told.split())


@pytest.mark.parametrize("command", COMMANDS + OFFLINE)
def test_help_of_a_command_explains_each_option(command: str) -> None:
    told = well(command, "--help").out
    usage, _, options = told.partition("options:")
    assert usage.startswith(f"usage: solidgreen {command}")
    sentence = usage.partition("positional arguments:")[0]
    assert sentence.rstrip().endswith("."), "a sentence says what the command does"
    assert ("--db FILE" in options) is (command in COMMANDS)
    assert "None" not in told, "a default that is not there is not shown"
    for entry in re.findall(r"^  (-.*(?:\n   .*)*)", options, re.MULTILINE):
        _, *words = re.split(r"\n\s+| {2,}", entry, maxsplit=1)
        said = re.sub(r"\(default: .*?\)", "", "".join(words))
        assert said.strip(), f"no word of what it is: {entry}"


# -- seed


def test_seed_prints_what_protocol_says(tmp_path: Path) -> None:
    made = well("seed", "--db", tmp_path / "a.db", "--players", "2", "--balance", "123", "--json").json
    assert made == {
        "players": [
            {"id": 7, "balance": 123, "currency": "EUR"},
            {"id": 8, "balance": 123, "currency": "EUR"},
        ]
    }


def test_seed_twice_adds_players_and_never_pays_twice(tmp_path: Path) -> None:
    db = tmp_path / "a.db"
    assert [player["id"] for player in seed(db, players=2, balance=500)] == [7, 8]
    assert [player["id"] for player in seed(db, players=1, balance=70)] == [9]
    with closing(sqlite3.connect(db)) as connection:
        players = connection.execute("SELECT balance FROM users WHERE kind = 'player'").fetchall()
    assert players == [(500,), (500,), (70,)]
    assert well("reconcile", "--db", db, "--json").json["ok"]


def test_seed_without_a_balance_moves_no_money(tmp_path: Path) -> None:
    db = tmp_path / "a.db"
    seed(db, players=2, balance=0)
    verdict = well("reconcile", "--db", db, "--json").json
    assert verdict == {"ok": True, "users": 9, "entries": 0, "findings": []}


@pytest.mark.parametrize(("currency", "shown"), [("EUR", "12.50"), ("JPY", "1250"), ("KWD", "1.250")])
def test_each_currency_has_books_of_its_own_and_its_decimals(
    currency: str, shown: str, tmp_path: Path
) -> None:
    db = tmp_path / "a.db"
    seed(db, players=1, currency="USD")
    ((player),) = seed(db, players=1, balance=1250, currency=currency)
    told = well("statement", "--db", db, "--user", str(player["id"])).out
    assert f"(player), {currency}; opening 0" in told
    assert told.endswith(f"closing {shown}\n")
    with closing(sqlite3.connect(db)) as connection:
        sums = connection.execute("SELECT currency, sum(balance) FROM users GROUP BY currency").fetchall()
    assert sorted(sums) == sorted([("USD", 0), (currency, 0)])


def test_seed_opens_no_file_that_a_server_writes(tmp_path: Path) -> None:
    db = tmp_path / "a.db"
    seed(db, players=1)
    with Server(db):
        done = run("seed", "--db", db, "--players", "1")
        assert done.status == 2
        assert done.err == (
            f"solidgreen seed: {db}: is being served by another process; stop that one first\n"
        )


# -- token


def claims(printed: str) -> dict[str, Any]:
    body = printed.strip().split(".")[1]
    read: dict[str, Any] = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    return read


@pytest.mark.parametrize("role", ["player", "operator", "auditor", "admin"])
def test_token_carries_the_role_and_an_end(role: str, books: Path) -> None:
    arguments = ("token", "--db", books, "--user", "7", "--role", role, "--life", "60")
    read = claims(well(*arguments).out)
    assert (read["sub"], read["role"], read["iss"], read["aud"]) == ("7", role, "solidgreen", "solidgreen")
    assert read["exp"] - read["iat"] == 60


@pytest.mark.parametrize("nobody", ["99", "1"], ids=["nobody", "the house"])
def test_token_of_a_player_who_does_not_exist_is_refused(nobody: str, books: Path) -> None:
    done = run("token", "--db", books, "--user", nobody)
    assert (done.status, done.out) == (2, "")
    assert done.err == f"solidgreen token: {books}: no player has the id {nobody}\n"


def test_token_opens_a_bonus_wallet_as_well(tmp_path: Path) -> None:
    """Which may look at itself, and be followed."""
    db = tmp_path / "a.db"
    seed(db, players=1)
    grant = {"type": "bonus.grant", "key": "b", "user_id": 7, "amount": 50, "spend": "first"}

    async def granted(server: Server, bearer: str) -> int:
        async with connect(server.ws, bearer) as operator:
            return int((await operator.ask(grant))["user_id"])

    with Server(db) as server:
        beside = asyncio.run(granted(server, token(db, 1, "operator")))
        bearer = well("token", "--db", db, "--user", beside).out.strip()
        assert claims(bearer)["sub"] == str(beside)
        asyncio.run(_welcome(server, bearer, beside))


def test_a_secret_is_made_once_and_for_its_owner_only(tmp_path: Path) -> None:
    db, secret = tmp_path / "a.db", tmp_path / "a.db.jwt-secret"
    seed(db, players=1)
    assert not secret.exists(), "the environment gave one"
    ours = well("token", "--db", db, "--user", "7", jwt_secret="").out.strip()
    first = secret.read_bytes()
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    assert len(first) >= 32
    well("token", "--db", db, "--user", "7", jwt_secret="")
    assert secret.read_bytes() == first
    # The server takes a token of its own file's secret, and no other.
    with Server(db, settings={"jwt_secret": ""}) as server:
        modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in tmp_path.glob("a.db*")}
        assert modes == dict.fromkeys(
            ("a.db", "a.db-wal", "a.db-shm", "a.db.lock", "a.db.jwt-secret", "a.db.signing-key"), 0o600
        )
        asyncio.run(_welcome(server, ours))
        with pytest.raises(ConnectionError):
            asyncio.run(_welcome(server, token(db, 7)))
    assert list(tmp_path.glob("*.new-*")) == [], "no draft is left behind"


async def _welcome(server: Server, bearer: str, user_id: int = 7) -> None:
    async with connect(server.ws, bearer) as wire:
        assert wire.welcome["user_id"] == user_id


# -- reconcile


def test_reconcile_works_beside_a_server_and_sees_its_bets(tmp_path: Path) -> None:
    db = tmp_path / "a.db"
    ((player),) = seed(db, players=1)

    async def place(server: Server) -> None:
        async with connect(server.ws, player["token"]) as wire:
            assert (await wire.ask(bet(250)))["type"] == "bet.confirmed"

    with Server(db) as server:
        asyncio.run(place(server))
        verdict = well("reconcile", "--db", db, "--json").json
        assert verdict == {"ok": True, "users": 8, "entries": 4, "findings": []}
        told = well("reconcile", "--db", db).out
        assert told == f"{db}: 8 accounts, 4 entries: every balance is the sum of its entries\n"


def test_reconcile_names_a_balance_that_is_not_its_sum(tmp_path: Path) -> None:
    db = tmp_path / "a.db"
    seed(db, players=2, balance=500)
    with closing(sqlite3.connect(db)) as connection, connection:
        connection.execute("UPDATE users SET balance = 501 WHERE id = 8")
    done = run("reconcile", "--db", db, "--json")
    assert done.status == 1
    assert done.json == {
        "ok": False,
        "users": 9,
        "entries": 4,
        "findings": [{"check": "balance", "user_id": 8, "balance": 501, "ledger": 500}],
    }
    done = run("reconcile", "--db", db)
    assert done.status == 1
    assert done.out.splitlines()[0] == "balance: user_id 8, balance 501, ledger 500"
    assert len(done.out.splitlines()) == 2, "each finding on a line, then the verdict"


# -- statement


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict[str, Any]]]:
    """Player 7: a deposit of 1000.00 EUR, then bets of 2.50 and 1.00; the entries as the statement tells."""
    db = tmp_path_factory.mktemp("story") / "demo.db"
    ((player),) = seed(db, players=1)

    async def play(server: Server) -> None:
        async with connect(server.ws, player["token"]) as wire:
            for stake in (250, 100):
                assert (await wire.ask(bet(stake)))["type"] == "bet.confirmed"

    with Server(db) as server:
        asyncio.run(play(server))
    return db, well("statement", "--db", db, "--user", "7", "--json").json["entries"]


def test_statement_tells_each_entry_and_where_it_led(story: tuple[Path, list[dict[str, Any]]]) -> None:
    db, entries = story
    assert [(entry["kind"], entry["amount"], entry["balance"]) for entry in entries] == [
        ("DEPOSIT", 100_000, 100_000), ("BET", -250, 99_750), ("BET", -100, 99_650),
    ]  # fmt: skip
    assert [entry["prev_seq"] for entry in entries] == [0, *(entry["seq"] for entry in entries[:-1])]
    whole = well("statement", "--db", db, "--user", "7", "--json").json
    assert {name: whole[name] for name in ("user_id", "kind", "currency", "opening", "closing")} == {
        "user_id": 7, "kind": "player", "currency": "EUR", "opening": 0, "closing": 99_650,
    }  # fmt: skip
    first, *rows, last = well("statement", "--db", db, "--user", "7").out.splitlines()
    assert first == "account 7 (player), EUR; opening 0.00"
    assert [row.split()[1:4] for row in rows] == [
        ["DEPOSIT", "1000.00", "1000.00"], ["BET", "-2.50", "997.50"], ["BET", "-1.00", "996.50"],
    ]  # fmt: skip
    assert last == "closing 996.50"


def test_from_includes_and_to_excludes_the_time_itself(story: tuple[Path, list[dict[str, Any]]]) -> None:
    db, entries = story
    window = ("--from", entries[1]["at"], "--to", entries[2]["at"])
    part = well("statement", "--db", db, "--user", "7", *window, "--json").json
    assert part["entries"] == [entries[1]]
    assert (part["opening"], part["closing"]) == (100_000, 99_750)


def test_at_counts_what_was_posted_at_that_very_microsecond(
    story: tuple[Path, list[dict[str, Any]]],
) -> None:
    db, entries = story
    posted = datetime.fromisoformat(entries[1]["at"])
    moments = {posted - timedelta(microseconds=1): 100_000, posted: 99_750, datetime.now(UTC): 99_650}
    for moment, balance in moments.items():
        arguments = ("statement", "--db", db, "--user", "7", "--at", moment.isoformat())
        told = well(*arguments, "--json").json
        assert datetime.fromisoformat(told.pop("at")) == moment
        assert told == {"user_id": 7, "currency": "EUR", "balance": balance}
        assert well(*arguments).out == f"{balance // 100}.{balance % 100:02} EUR\n"


def test_a_time_zone_is_a_way_to_write_the_same_moment(story: tuple[Path, list[dict[str, Any]]]) -> None:
    db, entries = story
    posted = datetime.fromisoformat(entries[1]["at"])
    elsewhere = posted.astimezone(tz=datetime.fromisoformat("2026-01-01T00:00:00+05:30").tzinfo).isoformat()
    assert elsewhere.endswith("+05:30")
    told = well("statement", "--db", db, "--user", "7", "--at", elsewhere).out
    assert told == "997.50 EUR\n"


def test_the_house_has_a_statement_as_well(story: tuple[Path, list[dict[str, Any]]]) -> None:
    db, _ = story
    told = well("statement", "--db", db, "--user", "1", "--json").json
    assert (told["kind"], told["closing"]) == ("house", 350)


def test_an_entry_names_its_bet_and_who_is_on_the_other_side(
    story: tuple[Path, list[dict[str, Any]]],
) -> None:
    db, (paid_in, *bets) = story
    assert paid_in["counterparties"] == [{"user_id": 2, "kind": "cash"}]
    assert "bet_id" not in paid_in
    for entry in bets:
        assert (entry["bet_id"], entry["transaction_kind"]) == (entry["ref_id"], "BET")
        assert (entry["counterparties"], entry["more_counterparties"]) == (
            [{"user_id": 1, "kind": "house"}],
            False,
        )
    rows = well("statement", "--db", db, "--user", "7").out.splitlines()[1:-1]
    assert [row.split()[4:] for row in rows] == [
        ["cash", "8"], *(["house", entry["bet_id"]] for entry in bets),
    ]  # fmt: skip


def test_a_statement_as_csv_adds_up(story: tuple[Path, list[dict[str, Any]]]) -> None:
    db, entries = story
    printed = well("statement", "--db", db, "--user", "7", "--from", entries[1]["at"], "--format", "csv").out
    assert printed.count("\r\n") == printed.count("\n") == 5, "RFC 4180"
    opening, *rows, closing = csv.DictReader(io.StringIO(printed))
    assert (opening["row"], opening["at"], closing["row"]) == ("opening", entries[1]["at"], "closing")
    assert (opening["balance_minor"], closing["balance"]) == ("100000", "996.50")
    assert [int(row["seq"]) for row in rows] == [entry["seq"] for entry in entries[1:]]
    assert [(row["row"], row["amount_minor"], row["amount"], row["counterparties"]) for row in rows] == [
        ("entry", "-250", "-2.50", "house"), ("entry", "-100", "-1.00", "house"),
    ]  # fmt: skip
    assert [row["bet_id"] for row in rows] == [entry["bet_id"] for entry in entries[1:]]
    told = well("statement", "--db", db, "--user", "7", "--at", entries[1]["at"], "--format", "csv").out
    assert told == f"user_id,currency,at,balance_minor,balance\r\n7,EUR,{entries[1]['at']},99750,997.50\r\n"


@pytest.mark.parametrize("begin", ["=", "+", "-", "@"])
def test_no_text_in_a_csv_is_a_formula(begin: str, tmp_path: Path) -> None:
    """No door lets such a text in; a file may say anything."""
    db = tmp_path / "a.db"
    seed(db, players=1)
    forge(db, f"UPDATE transaction_ledger SET ref_id = '{begin}1+1' WHERE user_id = 7")
    printed = well("statement", "--db", db, "--user", "7", "--format", "csv").out
    assert [row["ref_id"] for row in csv.DictReader(io.StringIO(printed))] == ["", f"'{begin}1+1", ""]


# -- settings


def test_every_setting_is_an_environment_variable_as_well(books: Path) -> None:
    assert well("reconcile", "--json", db=str(books)).json["ok"]
    assert "debug" in well("token", "--help", db=str(books), log_level="debug").out
    told = " ".join(well("serve", "--help", db=str(books), host="::1", port="9").out.split())
    assert "address (default: ::1)" in told
    assert "(default: 9)" in told
    told = " ".join(
        well("serve", "--help", db=str(books), breaker_commit_ms="900", breaker_queue_ms="700").out.split()
    )
    assert "opens the circuit (default: 900)" in told
    assert "opens the circuit (default: 700)" in told
    told = " ".join(
        well("serve", "--help", db=str(books), breaker_stable_ms="500", nonce_stable_ms="600").out.split()
    )
    assert "circuit closes again (default: 500)" in told
    assert "is asked again (default: 600)" in told
    done = run("doctor", "--json", db=str(books), redis_url="redis://127.0.0.1:1/0")
    assert [finding["check"] for finding in done.json["findings"]] == ["redis"]


def test_the_windows_of_health_reach_their_breakers(books: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[Settings] = []

    async def serve(settings: Settings) -> int:
        heard.append(settings)
        return 0

    monkeypatch.setattr("ws.app.serve", serve)
    assert main(["serve", "--db", str(books)]) == 0
    assert main(["serve", "--db", str(books), "--breaker-stable-ms", "700", "--nonce-stable-ms", "800"]) == 0
    assert [(told.breaker.stable_us, told.nonce_breaker.stable_us) for told in heard] == [
        (30_000_000, 30_000_000),
        (700_000, 800_000),
    ]


def test_the_log_tells_the_time_in_utc_wherever_the_machine_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seed(tmp_path / "demo.db", players=1)
    monkeypatch.setenv("TZ", "XYZ-14")  # as POSIX writes it: 14 hours ahead
    begun = datetime.now(UTC) - timedelta(milliseconds=1)
    with Server(tmp_path / "demo.db") as server:
        assert server.log is not None
        first = server.log.read_text().split(maxsplit=1)[0]
    assert first.endswith("Z")
    assert begun <= datetime.fromisoformat(first) <= datetime.now(UTC)


def test_an_option_wins_over_its_variable(books: Path, tmp_path: Path) -> None:
    assert well("reconcile", "--db", books, db=str(tmp_path / "elsewhere.db")).out.startswith(f"{books}: ")


def test_the_house_floor_bounds_what_can_be_paid_out(tmp_path: Path) -> None:
    arguments = ("seed", "--db", tmp_path / "a.db", "--players", "1", "--balance", "11")
    done = run(*arguments, house_floor="-10")
    assert (done.status, done.out) == (2, "")
    assert "INSUFFICIENT_FUNDS" in done.err
    well("seed", "--db", tmp_path / "b.db", *arguments[3:], house_floor="-11")


FLOORS = "SELECT DISTINCT floor FROM users WHERE participant_id IS NULL AND currency = ?"


def test_the_floors_are_sealed_and_those_of_a_currency_that_is_there_stay(tmp_path: Path) -> None:
    db = tmp_path / "a.db"
    for floor, currency in (("-99", "EUR"), ("-77", "EUR"), ("-99", "EUR"), ("-55", "USD")):
        arguments = ("--players", "1", "--balance", "0", "--currency", currency)
        well("seed", "--db", db, *arguments, house_floor=floor)

    with closing(sqlite3.connect(db)) as connection:
        floors = [connection.execute(FLOORS, (currency,)).fetchall() for currency in ("EUR", "USD")]
        sealed = connection.execute(
            "SELECT block_id, count(*) FROM transactions WHERE kind = 'FLOOR' GROUP BY block_id"
        ).fetchall()
    assert floors == [[(-99,)], [(-55,)]]
    assert sealed == [(1, 7), (2, 7)]
    assert well("reconcile", "--db", db, "--json").json["ok"]
