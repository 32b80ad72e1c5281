"""The engine's ceiling writes the engine's rows, the bets are what players send, and nothing else counts."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import sqlite3
import uuid
from pathlib import Path
from random import Random
from typing import Any

import pytest

from bench import bare, bets, engine, slices
from bench.bets import DoesNotCount, Traffic
from bench.slices import Slice
from bench.wire import STAKE_MINOR
from engine.commands import PlaceBet
from engine.files import open_read_only, schema_sql
from engine.writer import CHECKPOINT_PAGES

PLAYERS, BATCH = 7, 40  # few players: most have several bets in a batch


@pytest.fixture(scope="module")
def seeded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with funded players. To be copied, not changed."""
    path = tmp_path_factory.mktemp("seeded") / "seeded.db"
    assert len(bets.seed(path, PLAYERS)) == PLAYERS
    return path


@pytest.fixture
def db(seeded: Path, tmp_path: Path) -> Path:
    """A file of this test's own with funded players."""
    bets.copy(seeded, tmp_path / "engine.db")
    return tmp_path / "engine.db"


def many(path: Path, version: int = 7) -> Traffic:
    return Traffic(bets.player_ids(path), version, Random(3))


async def place(path: Path, traffic: Traffic, batches: int) -> None:
    async with bets.opened(path) as store:
        await bets.placing(store, traffic, BATCH)(batches)


def schema_of(connection: sqlite3.Connection) -> dict[str, Any]:
    """All that SQLite says of tables, columns and indexes, by name."""

    def ask(pragma: str, of: str) -> list[Any]:
        return connection.execute(f"SELECT * FROM pragma_{pragma}(?)", (of,)).fetchall()

    kinds = connection.execute("SELECT name, type, ncol, wr, strict FROM pragma_table_list").fetchall()
    tables = {name: kind for name, *kind in kinds if not name.startswith("sqlite_")}
    indexes = {name: ask("index_list", name) for name in tables}
    return {
        "tables": tables,
        "columns": {name: ask("table_xinfo", name) for name in tables},
        "indexes": indexes,
        "indexed": {index[1]: ask("index_xinfo", index[1]) for own in indexes.values() for index in own},
    }


def text_of(connection: sqlite3.Connection, kinds: str) -> dict[str, str]:
    query = f"SELECT name, sql FROM sqlite_schema WHERE type IN ({kinds}) AND sql IS NOT NULL"
    return dict(connection.execute(query).fetchall())


@pytest.fixture
def real_and_bare() -> Any:
    with (
        contextlib.closing(sqlite3.connect(":memory:")) as real,
        contextlib.closing(sqlite3.connect(":memory:")) as ceiling,
    ):
        real.executescript(schema_sql())
        for statement in bare.bare_schema():
            ceiling.execute(statement)
        yield real, ceiling


def test_the_ceiling_has_every_table_column_and_index(real_and_bare: Any) -> None:
    real, ceiling = map(schema_of, real_and_bare)
    assert real == ceiling
    assert {"users", "transactions", "transaction_ledger", "bets", "blocks"} <= real["tables"].keys()
    assert "one_book_of_a_kind" in real["indexed"]


def test_the_ceiling_has_every_check_and_no_trigger_and_no_foreign_key(real_and_bare: Any) -> None:
    real, ceiling = real_and_bare
    expected, found = (text_of(each, "'table', 'index'") for each in (real, ceiling))
    for name, sql in expected.items():
        # Nothing but the foreign key is gone, in tables that have one.
        assert found[name] == re.sub(r" REFERENCES \w+ \(\w+\)( DEFERRABLE INITIALLY DEFERRED)?", "", sql)
    keys = [
        [each.execute("SELECT * FROM pragma_foreign_key_list(?)", (name,)).fetchall() for name in found]
        for each in (real, ceiling)
    ]
    assert any(keys[0])  # else this test would show nothing
    assert not any(keys[1])
    assert text_of(real, "'trigger'")
    assert not text_of(ceiling, "'trigger'")


@pytest.mark.parametrize(
    "clause",
    [
        "REFERENCES t (a)",
        "references t",
        "REFERENCES t(a) ON DELETE SET NULL ON UPDATE NO ACTION",
        "REFERENCES t (a) NOT DEFERRABLE",
        "REFERENCES t (a) ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED",
    ],
)
def test_a_foreign_key_is_stripped_however_it_is_spelt(clause: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bare, "schema_sql", lambda: f"CREATE TABLE t (a TEXT {clause} NOT NULL, b TEXT);")
    assert bare.bare_schema() == ["CREATE TABLE t (a TEXT NOT NULL, b TEXT)"]


def content(path: Path) -> dict[str, list[Any]]:
    """Every row of every table."""
    with contextlib.closing(open_read_only(path)) as connection:
        names = text_of(connection, "'table'")
        return {name: connection.execute(f"SELECT * FROM {name} ORDER BY 1").fetchall() for name in names}


def test_the_ceiling_writes_the_rows_of_the_engine(db: Path) -> None:
    async def scene() -> None:
        traffic = many(db)
        async with bets.opened(db) as store:
            settings = await store.set_up(bare.settings_of)
            with contextlib.closing(bare.open_bare(db.with_name("bare.db"), settings, db)) as ceiling:
                party = bets.placing(store, traffic, BATCH)
                for batches in (2, 3):  # the second time it goes on where it stopped
                    await party(batches)
                    assert engine.replayed(ceiling, db, BATCH).bets == batches * BATCH
        assert traffic.made == 5 * BATCH

    asyncio.run(scene())
    expected, found = content(db), content(db.with_name("bare.db"))
    assert len(expected["bets"]) == 5 * BATCH
    for table, rows in expected.items():
        assert found.pop(table) == rows, table
    assert not found


def test_the_ceiling_writes_each_batch_in_a_transaction_of_its_own(db: Path) -> None:
    said: list[str] = []

    async def scene() -> None:
        async with bets.opened(db) as store:
            settings = await store.set_up(bare.settings_of)
            with contextlib.closing(bare.open_bare(db.with_name("bare.db"), settings, db)) as ceiling:
                await bets.placing(store, many(db), BATCH)(3)
                ready = bare.batches_since(ceiling, db)
                ceiling.set_trace_callback(said.append)
                bare.insert(ceiling, ready)

    asyncio.run(scene())
    # What the engine leaves to a default, the ceiling need not bind either.
    assert not [line for line in said if "payout" in line]
    assert [line for line in said if not line.lstrip().startswith(("INSERT", "UPDATE"))] == [
        "BEGIN IMMEDIATE",
        "COMMIT",
    ] * 3


def test_the_ceiling_has_the_pragmas_of_the_engine(db: Path) -> None:
    async def scene() -> None:
        async with bets.opened(db) as store:
            settings = await store.set_up(bare.settings_of)
            with contextlib.closing(bare.open_bare(db.with_name("bare.db"), settings, db)) as ceiling:
                checkpoints = {"wal_autocheckpoint": CHECKPOINT_PAGES}  # the engine asks for them
                assert bare.settings_of(ceiling) == settings | checkpoints
        assert settings | {"journal_mode": "wal", "synchronous": 2, "auto_vacuum": 2} == settings
        assert settings.keys() >= {"wal_autocheckpoint", "cache_size", "temp_store", "page_size"}
        with pytest.raises(ValueError, match="wal_autocheckpoint is not 0"):
            bare.open_bare(db.with_name("other.db"), settings | {"wal_autocheckpoint": 9}, db)

    asyncio.run(scene())


def commands(traffic: Traffic, size: int) -> list[PlaceBet]:
    return [asked.command for asked in traffic.batch(size) if isinstance(asked.command, PlaceBet)]


@pytest.mark.parametrize("version", [4, 7])
def test_ids_are_uuids_as_players_make_them(version: int) -> None:
    traffic = Traffic(range(10, 20), version, Random(1))
    made = commands(traffic, 300) + commands(traffic, 700)
    ids = [uuid.UUID(bet.bet_id) for bet in made]
    assert [str(each) for each in ids] == [bet.bet_id for bet in made]
    assert {(each.version, each.variant) for each in ids} == {(version, uuid.RFC_4122)}
    assert len(set(ids)) == len({bet.nonce for bet in made}) == traffic.made == 1000
    assert {each.bytes[8] >> 4 for each in ids} == {8, 9, 10, 11}
    assert {bet.user_id for bet in made} == set(range(10, 20))
    milliseconds = [each.int >> 80 for each in ids]
    if version == 7:
        assert milliseconds == sorted(milliseconds)
        assert len(set(milliseconds)) == 1000 // bets.BETS_PER_MS
        assert ids != sorted(ids)  # players do not agree on an order within a millisecond
    else:
        assert len(set(milliseconds)) == 1000


def test_no_two_runs_make_the_same_id() -> None:
    first, second = ({bet.bet_id for bet in commands(Traffic([1], 7, Random()), 100)} for _ in range(2))
    assert not first & second


@pytest.mark.parametrize("version", [4, 7])
def test_the_engine_accepts_every_bet(db: Path, version: int) -> None:
    traffic = many(db, version)
    asyncio.run(place(db, traffic, 2))
    assert engine.bets_in(db) == traffic.made == 2 * BATCH
    engine.audit(db, traffic.made)


def test_a_file_with_another_number_of_bets_does_not_count(db: Path) -> None:
    with pytest.raises(DoesNotCount, match=r"engine\.db holds 0 bets, and 1,000 were placed"):
        engine.audit(db, 1000)


def test_a_file_that_does_not_reconcile_does_not_count(db: Path) -> None:
    with contextlib.closing(sqlite3.connect(db)) as connection, connection:
        connection.execute("UPDATE users SET balance = balance + 1 WHERE kind = 'player'")
    with pytest.raises(DoesNotCount, match=rf"does not reconcile: .*'balance'.*, {PLAYERS} in all"):
        engine.audit(db, 0)


class Parties:
    """Two that take turns, with made-up times: no clock."""

    def __init__(self, batch_s: float) -> None:
        self.calls: list[tuple[str, int]] = []
        self._batch_s = batch_s

    def of(self, name: str, pace: float) -> slices.Party:
        async def party(batches: int) -> Slice:
            self.calls.append((name, batches))
            slow = 10 if len(self.calls) <= 2 else 1  # the first round is cold
            return Slice(batches * 10, batches * self._batch_s * slow / pace, 0.0)

        return party

    def take_turns(self, seconds: float) -> dict[str, list[Slice]]:
        parties = {"a": self.of("a", 1.0), "b": self.of("b", 2.0)}
        return asyncio.run(slices.take_turns(parties, seconds))


def test_parties_take_turns_with_the_same_work_after_a_round_that_does_not_count() -> None:
    parties = Parties(batch_s=0.1)
    turns = parties.take_turns(4.0)
    assert parties.calls[:4] == [("a", 1), ("b", 1), ("a", 1), ("b", 1)]
    assert parties.calls[4:] == [("a", 10), ("b", 10)] * ((len(parties.calls) - 4) // 2)
    for own in turns.values():
        assert [each.bets for each in own] == [10, 100, 100, 100, 100]
    assert all(each.per_s == pytest.approx(100) for each in turns["a"])  # the cold round is left out


@pytest.mark.parametrize(("seconds", "batch_s"), [(0.001, 0.1), (1.0, 5.0), (0.3, 0.01)])
def test_however_short_there_are_three_slices(seconds: float, batch_s: float) -> None:
    turns = Parties(batch_s).take_turns(seconds)
    assert len(turns["a"]) == len(turns["b"]) >= 3
    assert sum(each.wall_s for each in turns["a"]) >= seconds
    assert sum(each.wall_s for each in turns["a"][:-1]) < seconds or len(turns["a"]) == 3


def test_the_ratio_is_that_of_neighbours_not_of_medians() -> None:
    # The machine slows down by half from round to round; the engine is at half of the ceiling all the time.
    ceiling = [Slice(100, seconds, 0.0) for seconds in (1.0, 2.0, 4.0)]
    half = [Slice(100, 2 * each.wall_s, each.wall_s) for each in ceiling]
    assert slices.ratio(half, ceiling) == 0.5
    uneven = [Slice(bets, 1.0, 0.0) for bets in (50, 600, 7)]
    beside = [Slice(bets, 1.0, 0.0) for bets in (100, 1_000, 10)]
    assert slices.ratio(uneven, beside) == 0.6
    assert (slices.per_s(ceiling), slices.cores(half)) == (50.0, 0.5)


def run(folder: Path, *arguments: str) -> int:
    return engine.main(["--folder", str(folder), "--players", str(PLAYERS), *arguments])


def test_a_short_run_counts_and_leaves_nothing_behind(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "tune_like_the_server", lambda: None)  # for good, in this process
    assert run(tmp_path, "--seconds", "0.1", "--batch", "20") == 0
    figures = json.loads(capsys.readouterr().out)
    assert (figures["batch"], figures["players"]) == (20, PLAYERS)
    assert figures["slices"] == len(figures["turns"]["engine"]) >= 3
    for name in ("bets_per_s", "bare_per_s", "hot_player_per_s", "ratio", "hot_ratio"):
        assert figures[name] > 0, name
    for engine_turn, bare_turn in zip(figures["turns"]["engine"], figures["turns"]["bare"], strict=True):
        assert engine_turn["bets"] == bare_turn["bets"] > 0
    assert set(figures["cores"]) == {"engine", "bare", "hot"}
    assert not list(tmp_path.iterdir())


def test_a_run_whose_bets_are_refused_does_not_count(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "tune_like_the_server", lambda: None)
    monkeypatch.setattr(bets, "BALANCE_MINOR", STAKE_MINOR - 1)
    assert run(tmp_path, "--seconds", "0.01", "--batch", "5") == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("bench.engine: engine.db holds 0 bets, and ")


@pytest.mark.parametrize(
    ("arguments", "words"), [(("--batch", "0"), "0: expected a number above 0"), ((), "nowhere: is not a")]
)
def test_a_call_that_makes_no_sense_is_refused(
    arguments: tuple[str, ...], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as refused:
        run(tmp_path if arguments else tmp_path / "nowhere", *arguments)
    assert refused.value.code == 2
    assert words in capsys.readouterr().err
