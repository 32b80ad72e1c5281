"""A file has the size that its figures say, and what is killed was full."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sqlite3
from pathlib import Path
from random import Random

import pytest

from bench import bets, ledger
from bench.bets import DoesNotCount, Traffic
from bench.fill_wal import full_wal_bytes, killed_with_full_wal
from bench.slices import Slice
from bench.wire import STAKE_MINOR

PLAYERS = 6
OPENING = 2 * PLAYERS  # entries of the deposits


@pytest.fixture
def db(tmp_path: Path) -> Path:
    """A file with funded players."""
    bets.seed(tmp_path / "ledger.db", PLAYERS)
    return tmp_path / "ledger.db"


def test_a_ledger_grows_to_the_very_entry(db: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "GROWING_BATCH", 30)
    traffic = Traffic(bets.player_ids(db), 7, Random(1))
    assert bets.entries_in(db) == OPENING
    for entries in (100, 100, 312):  # it stands at 100 already the second time
        asyncio.run(ledger.grow(db, traffic, entries))
        assert bets.entries_in(db) == OPENING + 2 * traffic.made == entries


def test_a_ledger_that_does_not_grow_does_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bets, "BALANCE_MINOR", STAKE_MINOR)  # one bet for each player
    traffic = Traffic(bets.seed(tmp_path / "poor.db", PLAYERS), 7, Random(1))
    with pytest.raises(DoesNotCount, match=r"poor\.db holds 24 entries, expected 100"):
        asyncio.run(ledger.grow(tmp_path / "poor.db", traffic, 100))


def test_what_is_killed_had_a_full_wal_of_which_nothing_is_lost(db: Path) -> None:
    committed = killed_with_full_wal(db, 7)
    wal = db.with_name(f"{db.name}-wal")

    async def full() -> int:
        async with bets.opened(db) as store:
            return await store.set_up(full_wal_bytes)

    # Whoever looks past the WAL sees the file as it was before: no page had been copied yet.
    with contextlib.closing(sqlite3.connect(f"{db.as_uri()}?immutable=1", uri=True)) as connection:
        (copied,) = connection.execute("SELECT max(id) FROM transaction_ledger").fetchone()
    assert copied == OPENING
    size = wal.stat().st_size
    assert ledger.startup_s(db) > 0
    assert bets.entries_in(db) == committed > OPENING
    assert size >= asyncio.run(full()) > 2**20


def test_a_process_that_ends_before_its_wal_is_full_does_not_count(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(DoesNotCount, match=r"none\.db ended before it was full"):
        killed_with_full_wal(tmp_path / "none.db", 7)
    assert "Error" in capfd.readouterr().err


def test_the_ratio_is_to_the_reference_of_the_same_round() -> None:
    at_size = [Slice(900, seconds, 0.0) for seconds in (1.0, 2.0, 4.0)]
    reference = [Slice(1_000, each.wall_s, 0.0) for each in at_size]
    report = ledger.report({"at_size": at_size, "reference": reference})
    assert [each["wall_s"] for each in report.pop("turns")["reference"]] == [1.0, 2.0, 4.0]
    assert report == {"bets_per_s": 450, "reference_per_s": 500, "ratio": 0.9, "slices": 3}


def test_a_short_run_counts_and_leaves_nothing_behind(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger, "tune_like_the_server", lambda: None)  # for good, in this process
    after_kill_s, killed = ledger.after_kill_s, []

    def after_one_kill_s(path: Path, *rest: int) -> float:
        """Of the first size. It takes a process that fills a log, and is measured in a test of its own."""
        killed.append(path)
        return after_kill_s(path, *rest) if len(killed) == 1 else 0.1

    monkeypatch.setattr(ledger, "after_kill_s", after_one_kill_s)
    small = ["--players", str(PLAYERS), "--batch", "20", "--seconds", "0.1", "--starts", "1"]
    assert ledger.main(["--folder", str(tmp_path), *small, "--sizes", "100", "400", "--version", "4"]) == 0
    said = capsys.readouterr()
    found = json.loads(said.out)["sizes"]
    assert [(each["entries"], each["version"]) for each in found] == [(100, 4), (400, 4)]
    assert [each["reference_entries"] for each in found] == [100, 100]
    for each in found:
        for name in ("bets_per_s", "reference_per_s", "ratio", "startup_s", "startup_after_kill_s"):
            assert each[name] > 0, name
        assert each["file_mib"] < 2  # as it was before anything was measured
    assert "version 4, 400 entries" in said.err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("sizes", "words"),
    [
        (["400", "100"], "each above the one before it"),
        (["100", "100"], "each above the one before it"),
        (["101"], "even numbers"),
        (["10", "100"], "the opening deposits of 6 players are 12 entries"),
        (["0"], "expected a number above 0"),
    ],
)
def test_sizes_that_no_ledger_can_have_are_refused(
    sizes: list[str], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as refused:
        ledger.options(["--folder", str(tmp_path), "--players", str(PLAYERS), "--sizes", *sizes])
    assert refused.value.code == 2
    assert words in capsys.readouterr().err
