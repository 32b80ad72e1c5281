"""The command `archive` as its users meet it: by itself and through a server, in words and as JSON, killed
and called again; and what the other commands say of books that have archives.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import shutil
import stat
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from books_open import (
    ALICE,
    BOB,
    NOW_US,
    balances,
    bet_id,
    deposit,
    look,
    place,
    play,
    seed,
    settle,
)
from command import run, well
from forgeries import forge

from cli.times import rfc3339
from engine import archive_move
from engine.archives import file_of
from engine.commands import CarryArchive
from engine.errors import BatchRefused
from engine.outcomes import Outcome
from engine.store import Asked, Store
from harness.process import PATIENT, Server, environment, free_port
from harness.wire import bet, connect

LATER_US = NOW_US + 60_000_000
BEFORE = rfc3339(LATER_US)
ROUNDS = 40
PATIENCE_S = 60.0


def make_books(path: Path) -> Path:
    """Bets of a minute ago, settled or not, and of now; its secrets beside it."""
    seed(path, 100_000, 100_000)
    placed = [place(number, 20, (ALICE, BOB)[number % 2]) for number in range(ROUNDS)]
    play(path, placed)
    play(path, [settle(f"s{number}", number, "lost") for number in range(0, ROUNDS, 2)])
    play(path, [settle(f"s{number}", number, "won", 50) for number in range(1, ROUNDS - 1, 2)])
    play(path, [place(1000, 50), deposit("late")], now_us=LATER_US)
    path.with_name(f"{path.name}.jwt-secret").write_text("a-secret-of-this-file-alone-and-of-no-other")
    path.with_name(f"{path.name}.jwt-secret").chmod(0o600)
    with Server(path, settings={"jwt_secret": ""}):
        pass  # makes the signing key
    return path


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_books(tmp_path_factory.mktemp("made") / "demo.db")


@pytest.fixture
def books(made: Path, tmp_path: Path) -> Path:
    """Files of its own."""
    for file in made.parent.glob("demo.db*"):
        if not file.name.endswith(".log"):
            shutil.copy2(file, tmp_path)
    return tmp_path / "demo.db"


@pytest.fixture(scope="module")
def moved_once(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("moved")
    for file in made.parent.glob("demo.db*"):
        shutil.copy2(file, folder)
    well("archive", "--db", folder / "demo.db", "--before", BEFORE)
    return folder / "demo.db"


@pytest.fixture
def moved(moved_once: Path, tmp_path: Path) -> Path:
    """Books that are archived; files of its own."""
    for file in moved_once.parent.glob("demo.db*"):
        shutil.copy2(file, tmp_path)
    return tmp_path / "demo.db"


@contextlib.contextmanager
def serving(db: Path, **settings: str) -> Iterator[Server]:
    with Server(db, settings=PATIENT | {"jwt_secret": ""} | settings) as server:
        yield server


def secrets(db: Path) -> dict[str, tuple[bytes, int, int]]:
    """Content, mode and time of what only the owner may read."""
    files = [db.with_name(f"{db.name}{suffix}") for suffix in (".jwt-secret", ".signing-key")]
    return {
        file.name: (file.read_bytes(), stat.S_IMODE(file.stat().st_mode), file.stat().st_mtime_ns)
        for file in files
    }


def archive_files(db: Path) -> list[str]:
    return sorted(file.name for file in db.parent.iterdir() if ".archive" in file.name)


def expect_moved(db: Path, before: dict[int, int], *, archives: int = 1) -> None:
    """Nothing is under way, everybody has what he had, and all of it is proven, together and alone."""
    assert len(archive_files(db)) == archives
    are_moved = "moved_transaction_id = upto_transaction_id, moved_entry_id = upto_entry_id"
    ends = look(db, f"SELECT state, {are_moved} FROM archives")
    assert ends == [("moving", 1, 1)] * archives
    assert dict(look(db, "SELECT id, balance FROM users WHERE last_entry_id > 0")) == before
    assert well("verify", "--db", db, "--json").json["findings"] == []
    assert well("verify", "--db", db, "--alone", "--json").json["findings"] == []


def refused(db: Path, *arguments: str, **settings: str) -> str:
    """What the one line says, after the name of the command; and nothing has changed."""
    before = look(db, "SELECT (SELECT count(*) FROM transactions), (SELECT max(id) FROM blocks)")
    files = archive_files(db)
    done = run("archive", "--db", db, *arguments, **settings)
    assert (done.status, done.out) == (2, ""), done
    assert done.err.count("\n") == 1, done.err
    assert archive_files(db) == files
    assert look(db, "SELECT (SELECT count(*) FROM transactions), (SELECT max(id) FROM blocks)") == before
    return done.err.removeprefix("solidgreen archive: ").rstrip("\n")


# -- a file that nobody serves


def test_it_moves_the_past_and_says_where_it_is(books: Path) -> None:
    before, kept = balances(books), secrets(books)
    bytes_before = books.stat().st_size
    told = well("archive", "--db", books, "--before", BEFORE).out

    ((block_id, entry_id),) = look(books, "SELECT block_id, upto_entry_id FROM archives")
    file = file_of(books, block_id)
    assert told.splitlines() == [
        f"{file}: {file.stat().st_size >> 10} KiB, up to block {block_id}, entry {entry_id}",
        f"{books}: {bytes_before >> 10} KiB before, {books.stat().st_size >> 10} KiB now",
    ]
    assert stat.S_IMODE(file.stat().st_mode) == 0o400
    # Those of now stay: a bet, a deposit and its other side.
    assert look(file, "SELECT count(*), max(id) FROM transaction_ledger") == [(entry_id, entry_id)]
    assert look(books, "SELECT count(*) FROM transaction_ledger WHERE id > 0") == [(4,)]
    assert look(file, "SELECT count(*) FROM bets") == [(ROUNDS - 1,)]
    expect_moved(books, before)
    assert secrets(books) == kept
    assert stat.S_IMODE(books.stat().st_mode) == 0o600


def test_as_json(books: Path) -> None:
    bytes_before = books.stat().st_size
    told = well("archive", "--db", books, "--before", BEFORE, "--json").json
    columns = "id, block_id, upto_transaction_id, upto_entry_id"
    ((id_, block_id, transaction_id, entry_id),) = look(books, f"SELECT {columns} FROM archives")
    assert told == {
        "archive_id": id_,
        "state": "moved",
        "upto_block": block_id,
        "upto_transaction_id": transaction_id,
        "upto_entry_id": entry_id,
        "moved_transaction_id": transaction_id,
        "moved_entry_id": entry_id,
        "file": str(file_of(books, block_id)),
        "bytes_before": bytes_before,
        "bytes": books.stat().st_size,
    }


def test_the_same_time_again_answers_the_same_also_behind_a_later_one(books: Path) -> None:
    first = well("archive", "--db", books, "--before", BEFORE, "--json").json
    again = well("archive", "--db", books, "--before", BEFORE, "--json").json
    assert again == first | {"bytes_before": first["bytes"], "bytes": again["bytes"]}
    later = well("archive", "--db", books, "--before", rfc3339(LATER_US + 1), "--json").json
    assert later["upto_block"] > first["upto_block"]
    again = well("archive", "--db", books, "--before", BEFORE, "--json").json
    assert (again["archive_id"], again["file"]) == (first["archive_id"], first["file"])
    before = dict(look(books, "SELECT id, balance FROM users WHERE last_entry_id > 0"))
    expect_moved(books, before, archives=2)


def test_an_archive_that_was_put_elsewhere_is_said_to_be_not_there(moved: Path) -> None:
    (name,) = archive_files(moved)
    (moved.parent / name).rename(moved.parent / "elsewhere")
    told = well("archive", "--db", moved, "--before", BEFORE).out
    assert told.startswith(f"{moved.parent / name}: not there now, up to block ")


def test_an_archive_under_way_goes_on_first_also_after_a_kill(books: Path) -> None:
    """Killed in each state of the file, and called again, at last with a time at which there is nothing."""
    before = balances(books)
    command = [sys.executable, "-c", SLOWLY, "archive", "--db", str(books), "--before", BEFORE]
    states = []
    for at in ("copying", "moving", "moving"):
        stood = _stands(books)
        process = subprocess.Popen(command, env=environment(jwt_secret=""), stderr=subprocess.PIPE)
        deadline = time.monotonic() + PATIENCE_S
        while (stands := _stands(books)) == stood or stands[0] != at:
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline, stands
            time.sleep(0.005)  # the file gives no other sign
        process.kill()
        assert process.wait() == -9
        process.communicate()
        states.append(_stands(books)[0])
        command[-1] = "2020-01-01T00:00:00Z"
    assert states == ["copying", "moving", "moving"]
    ((upto,),) = look(books, "SELECT block_id FROM archives")
    told = well("archive", "--db", books, "--before", "2020-01-01T00:00:00Z", "--json").json
    assert (told["state"], told["upto_block"]) == ("moved", upto)
    expect_moved(books, before)


SLOWLY = """
import asyncio, sys
from engine import archive_move
from engine.store import Store
archive_move.KEYS_AT_ONCE = archive_move.TRANSACTIONS_AT_ONCE = archive_move.ENTRIES_AT_ONCE = 1
tidy = Store.tidy
async def slowly(*arguments):
    await asyncio.sleep(0.01)
    return await tidy(*arguments)
Store.tidy = slowly
from cli.main import main
sys.exit(main(sys.argv[1:]))
"""
"""The same program, as if there were a thousand times as much to do: so that it can be met half-way."""


def _stands(db: Path) -> tuple[object, ...]:
    """State, and what is moved."""
    columns = "state, moved_transaction_id, moved_entry_id"
    return (*look(db, f"SELECT {columns} FROM archives"), ("none",))[0]


def test_a_disk_that_takes_no_seal_is_one_line_and_nothing_is_deleted(
    books: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, commit = balances(books), Store.commit

    async def fail(store: Store, batch: Sequence[Asked], now_us: int) -> list[Outcome]:
        if any(isinstance(asked.command, CarryArchive) for asked in batch):
            raise BatchRefused("commit", "database or disk is full")
        return await commit(store, batch, now_us)

    entries = look(books, "SELECT count(*) FROM transaction_ledger")
    with monkeypatch.context() as patch:
        patch.setattr(Store, "commit", fail)
        done = run("archive", "--db", books, "--before", BEFORE)
    assert (done.status, done.out) == (2, "")
    assert done.err == "solidgreen archive: commit: database or disk is full\n"
    assert look(books, "SELECT count(*) FROM transaction_ledger") == entries
    well("archive", "--db", books, "--before", BEFORE)
    expect_moved(books, before)


# -- what it refuses


def test_a_time_to_come_is_refused(books: Path) -> None:
    words = "--before: expected a time that is past; and a file has at most ten archives"
    assert refused(books, "--before", "2200-01-01T00:00:00Z") == words


@pytest.mark.parametrize("before", ["2020-01-01T00:00:00Z", rfc3339(NOW_US)])
def test_where_nothing_is_older_nothing_is_archived(books: Path, before: str) -> None:
    assert refused(books, "--before", before) == "--before: no block that is older is left to be archived"


def test_what_an_earlier_archive_has_is_not_archived_again(moved: Path) -> None:
    words = "--before: no block that is older is left to be archived"
    assert refused(moved, "--before", rfc3339(LATER_US - 1)) == words


@pytest.mark.parametrize("before", ["yesterday", "2026-01-31T12:00:00", "2026-01-31", ""])
def test_what_is_no_time_is_refused_with_the_form_of_one(books: Path, before: str) -> None:
    done = run("archive", "--db", books, "--before", before)
    assert (done.status, done.out) == (2, "")
    first, second = done.err.splitlines()
    assert first.startswith("solidgreen archive: argument --before: ")
    assert "2026-01-31T12:00:00Z" in first
    assert second == "(try: solidgreen archive --help)"
    assert archive_files(books) == []


def test_without_a_time_the_call_is_wrong(books: Path) -> None:
    done = run("archive", "--db", books)
    assert done.status == 2
    first, _ = done.err.splitlines()
    assert first == "solidgreen archive: the following arguments are required: --before"


def test_a_file_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    done = run("archive", "--db", tmp_path / "no.db", "--before", BEFORE)
    assert (done.status, done.out) == (2, "")
    assert done.err.startswith(f"solidgreen archive: {tmp_path / 'no.db'}: ")
    assert done.err.count("\n") == 1
    assert [*tmp_path.iterdir()] == []


@pytest.mark.parametrize("content", [b"no database at all, but long enough to be one" * 100, b""])
def test_what_is_no_database_is_left_alone(tmp_path: Path, content: bytes) -> None:
    db = tmp_path / "a.db"
    db.write_bytes(content)
    done = run("archive", "--db", db, "--before", BEFORE)
    assert (done.status, done.out, done.err.count("\n")) == (2, "", 1)
    assert done.err.startswith(f"solidgreen archive: {db}: ")
    assert db.read_bytes() == content
    assert [file.name for file in tmp_path.iterdir()] == ["a.db"]


def test_an_archive_is_not_archived(moved: Path) -> None:
    (name,) = archive_files(moved)
    done = run("archive", "--db", moved.parent / name, "--before", BEFORE)
    assert (done.status, done.out, done.err.count("\n")) == (2, "", 1)
    assert archive_files(moved) == [name]


def test_the_eleventh_is_refused(tmp_path: Path) -> None:
    db = seed(tmp_path / "a.db", 1000)
    for number in range(1, 12):
        play(db, [place(number)], now_us=NOW_US + number)
    for number in range(1, 11):
        well("archive", "--db", db, "--before", rfc3339(NOW_US + number))
    assert refused(db, "--before", rfc3339(NOW_US + 11)) == (
        "--before: expected a time that is past; and a file has at most ten archives"
    )
    assert len(archive_files(db)) == 10
    assert well("verify", "--db", db, "--json").json["findings"] == []


# -- through the server


def test_the_server_that_has_the_file_does_it_while_bets_go_on(
    books: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = secrets(books)
    bearer = well("token", "--db", books, "--user", ALICE, jwt_secret="").out.strip()

    async def played(server: Server) -> int:
        arguments = ("archive", "--db", str(books), "--before", BEFORE, "--url", server.ws)
        waiting = asyncio.create_task(asyncio.to_thread(run, *arguments, jwt_secret=""))
        placed = 0
        async with connect(server.ws, bearer) as wire:
            while not waiting.done():
                assert (await wire.ask(bet(1)))["type"] == "bet.confirmed"
                placed += 1
        done = await waiting
        ((block_id, entry_id),) = look(books, "SELECT block_id, upto_entry_id FROM archives")
        file = file_of(books, block_id)
        assert (done.status, done.err) == (
            0, f"the server at {server.ws} does it; this only waits for its end\n",
        )  # fmt: skip
        first, second = done.out.splitlines()
        assert first == f"{file}: {file.stat().st_size >> 10} KiB, up to block {block_id}, entry {entry_id}"
        assert re.fullmatch(rf"{re.escape(str(books))}: \d+ KiB before, \d+ KiB now", second)
        assert look(books, "PRAGMA freelist_count") == [(0,)], "the room is given back by then"
        return placed

    with serving(books) as server:
        placed = asyncio.run(played(server))
        room = iter([True, False])
        with monkeypatch.context() as patch:
            patch.setattr(archive_move, "has_room_to_give_back", lambda connection: next(room))
            arguments = ("archive", "--db", books, "--before", BEFORE, "--url", server.ws, "--json")
            again = run(*arguments, jwt_secret="")
        assert again.status == 0
        assert next(room, None) is None, "it waits until the room is given back"
        assert again.json["state"] == "moved"
        assert "replayed" not in again.json
        assert [*again.json] == [
            *("archive_id", "state", "upto_block", "upto_transaction_id", "upto_entry_id"),
            *("moved_transaction_id", "moved_entry_id", "file", "bytes_before", "bytes"),
        ]
        assert server.log is not None
        assert "Traceback" not in server.log.read_text()
    assert placed > 0
    expect_moved(books, balances(books))
    assert secrets(books) == kept
    assert look(books, "SELECT count(*) FROM bets WHERE stake = 1") == [(placed,)]


def test_what_the_server_refuses_is_one_line(books: Path) -> None:
    with serving(books) as server:
        url = ("--url", server.ws)
        told = [
            refused(books, "--before", before, *url, jwt_secret="")
            for before in ("2200-01-01T00:00:00Z", "2020-01-01T00:00:00Z")
        ]
    assert told == [
        "before: expected a time that is past, while no archive is under way and fewer than ten are there",
        "before: no block that is older is left to be archived",
    ]


def test_a_server_that_is_elsewhere_is_said_to_be(books: Path, tmp_path: Path) -> None:
    """Nobody listens there; it is no server of ours; it knows another secret; it serves other books."""
    (tmp_path / "other").mkdir()
    copy, stranger = tmp_path / "other" / "copy.db", tmp_path / "other" / "stranger.db"
    shutil.copy2(books, copy)
    seed(stranger, 1000)
    secret = books.with_name("demo.db.jwt-secret").read_text()
    with serving(books) as right:
        play(copy, [place(2000)], now_us=LATER_US + 1)
        bearer = well("token", "--db", books, "--user", ALICE, jwt_secret="").out.strip()
        asyncio.run(_bet(right, bearer))
        nobody = f"ws://127.0.0.1:{free_port()}/ws"
        cannot = "the server that has the file cannot be asked: "
        arguments = ("--before", BEFORE, "--url")
        assert refused(books, *arguments, nobody, jwt_secret="").startswith(f"{nobody}: {cannot}")
        assert refused(books, *arguments, "nonsense", jwt_secret="").startswith(f"nonsense: {cannot}")
        elsewhere = right.ws.replace("/ws", "/no")
        assert refused(books, *arguments, elsewhere, jwt_secret="").startswith(f"{elsewhere}: {cannot}")
        words = refused(books, *arguments, right.ws, jwt_secret="another-secret-than-that-of-the-server-s")
        assert words.startswith(f"{right.ws}: {cannot}")
        assert "401" in words
        for other in (copy, stranger):
            with serving(other, jwt_secret=secret) as wrong:
                assert refused(books, *arguments, wrong.ws, jwt_secret="") == (
                    f"{wrong.ws}: this server serves other books than {books}; see --url"
                )
            assert look(other, "SELECT count(*) FROM archives") == [(0,)]
        assert run("archive", "--db", books, *arguments, right.ws, jwt_secret="").status == 0


async def _bet(server: Server, bearer: str) -> None:
    async with connect(server.ws, bearer) as wire:
        assert (await wire.ask(bet(1)))["type"] == "bet.confirmed"


def test_without_the_secret_of_a_served_file_none_is_made(books: Path) -> None:
    with serving(books) as server:
        secret = books.with_name("demo.db.jwt-secret")
        away = secret.rename(secret.with_name("away"))
        words = refused(books, "--before", BEFORE, "--url", server.ws, jwt_secret="")
        assert words == f"{secret}: No such file or directory; or set SOLIDGREEN_JWT_SECRET"
        assert not secret.exists()
        away.rename(secret)


# -- what others say of archived books


def test_a_backup_names_the_archives_that_are_not_in_it(moved: Path, tmp_path: Path) -> None:
    well("archive", "--db", moved, "--before", rfc3339(LATER_US + 1))
    files = [file_of(moved, block_id) for (block_id,) in look(moved, "SELECT block_id FROM archives")]
    (tmp_path / "demo.db.archive-9.unfinished-x").mkdir()
    hidden = [tmp_path / "demo.db.jwt-secret", tmp_path / "demo.db.signing-key"]
    (tmp_path / "kept").mkdir()
    told = well("backup", "--db", moved, tmp_path / "kept" / "a.backup").out.splitlines()
    assert told[1:] == [
        *(f"not in it, keep it apart from the backup: {file}" for file in hidden),
        *(f"not in it, keep it with the backup: {file}" for file in files),
    ]
    shown = well("backup", "--db", moved, tmp_path / "kept" / "b.backup", "--json").json
    assert shown["not_copied"] == [*map(str, hidden), *map(str, files)]


def test_books_restored_under_another_name_look_for_their_archives_under_that(
    moved: Path, tmp_path: Path
) -> None:
    (tmp_path / "kept").mkdir()
    backup, restored = tmp_path / "kept" / "a.backup", tmp_path / "kept" / "restored.db"
    well("backup", "--db", moved, backup)
    well("restore", backup, "--db", restored)
    (name,) = archive_files(moved)
    block = name.rpartition("-")[2]
    arguments = ("statement", "--db", restored, "--user", ALICE)
    done = run(*arguments)
    assert (done.status, done.out) == (2, "")
    assert done.err.startswith(f"solidgreen statement: restored.db.archive-{block}: not there")
    shutil.copy2(moved.parent / name, restored.with_name(f"restored.db.archive-{block}"))
    assert well(*arguments).out == well("statement", "--db", moved, "--user", ALICE).out
    assert bet_id(0) in well(*arguments).out
    expect_moved(restored, balances(moved))


def test_doctor_finds_nothing_in_archived_books(moved: Path) -> None:
    assert well("doctor", "--db", moved, "--json").json["findings"] == []


@pytest.mark.parametrize("is_beside", [True, False])
def test_a_balance_of_archived_books_is_put_right(moved: Path, is_beside: bool) -> None:
    before = balances(moved)
    if not is_beside:
        (moved.parent / archive_files(moved)[0]).rename(moved.parent / "elsewhere")
    forge(moved, f"UPDATE users SET balance = 7 WHERE id = {BOB}")
    assert run("reconcile", "--db", moved).status == 1
    told = well("reconcile", "--repair", "--db", moved).out.splitlines()
    assert told[0] == f"repaired: user_id {BOB}, balance 7, is {before[BOB]}"
    assert balances(moved) == before
    assert well("verify", "--db", moved, "--alone", "--json").json["findings"] == []


def test_help_says_that_an_archive_under_way_goes_on_first() -> None:
    told = " ".join(well("archive", "--help").out.split())
    assert "An archive that is under way goes on first, whatever TIME says." in told
    assert "(default: ws://127.0.0.1:8000/ws)" in told
