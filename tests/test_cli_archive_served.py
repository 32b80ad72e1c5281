"""The command `archive` through the server that has the file: beside bets, refused, sent elsewhere."""

from __future__ import annotations

import asyncio
import re
import shutil
from pathlib import Path

import pytest

from engine import archive_move
from engine.archives import file_of
from harness.process import Server, free_port
from harness.wire import bet, connect
from tests.books_open import ALICE, balances, look, place, play, seed
from tests.command import run, well
from tests.demo_books import BEFORE, LATER_US, expect_moved, make_books, own_copy, refused, secrets, serving


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_books(tmp_path_factory.mktemp("made") / "demo.db")


@pytest.fixture
def books(made: Path, tmp_path: Path) -> Path:
    """Files of its own."""
    return own_copy(made, tmp_path)


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
