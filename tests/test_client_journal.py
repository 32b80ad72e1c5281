"""The journal of a client: what is kept is there after a crash, wherever that tore the file."""

from __future__ import annotations

import contextlib
import os
import resource
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from ws.client import journal as client_journal
from ws.client.journal import FileJournal, KeptBet
from ws.wire.messages import BetPlace


def bet(number: int, user_id: int = 42) -> KeptBet:
    bet_id = f"0199a5f0-1111-7222-8333-{number:012x}"
    return KeptBet(user_id, BetPlace("kept", bet_id, 250, "4f1c09aa27", 0, game="roulette"))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "bets.journal"


def kept_in(path: Path) -> list[KeptBet]:
    journal = FileJournal(path)
    journal.close()
    return journal.kept()


def test_what_is_kept_is_found_again_and_what_is_forgotten_is_not(path: Path) -> None:
    journal = FileJournal(path)
    for number in range(3):
        journal.keep(bet(number))
    journal.forget(bet(1).bet.bet_id)
    journal.forget("never kept")
    assert journal.kept() == [bet(0), bet(2)]
    journal.close()

    assert kept_in(path) == [bet(0), bet(2)]
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_file_that_is_torn_anywhere_keeps_all_that_was_whole(path: Path) -> None:
    journal = FileJournal(path)
    journal.keep(bet(0))
    whole = path.stat().st_size
    journal.keep(bet(1))
    journal.close()
    content = path.read_bytes()

    for size in (*range(whole, len(content), 16), len(content) - 1):
        path.write_bytes(content[:size])
        has_all = size == len(content) - 1  # but the end of the line
        journal = FileJournal(path)
        assert journal.kept() == ([bet(0), bet(1)] if has_all else [bet(0)])
        journal.keep(bet(2))  # not glued to what is left of a torn line
        journal.close()
        assert bet(2) in kept_in(path)


def test_a_bet_is_on_the_disk_before_keep_returns(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = FileJournal(path)
    synced: list[bytes] = []
    fsync = os.fsync

    def watched(descriptor: int) -> None:
        synced.append(path.read_bytes())
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", watched)
    journal.keep(bet(7))
    assert bet(7).bet.bet_id.encode() in synced[-1]
    journal.close()


def test_many_at_a_time_share_their_syncs(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = FileJournal(path)
    first, others = threading.Event(), threading.Event()
    syncs: list[int] = []
    fsync = os.fsync

    def slow(descriptor: int) -> None:
        syncs.append(descriptor)
        first.set()
        assert others.wait(10)
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", slow)
    threads = [threading.Thread(target=journal.keep, args=[bet(number)]) for number in range(20)]
    threads[0].start()
    assert first.wait(10)
    for thread in threads[1:]:
        thread.start()
    while len(journal.kept()) < 20:
        pass
    others.set()
    for thread in threads:
        thread.join()
    journal.close()
    assert len(syncs) == 2, "the first, and one for all who came meanwhile"
    assert len(kept_in(path)) == 20


def test_a_file_is_written_anew_when_it_has_grown(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_journal, "COMPACT_LINES", 20)
    journal = FileJournal(path)
    journal.keep(bet(1))
    for number in range(2, 100):
        journal.keep(bet(number))
        journal.forget(bet(number).bet.bet_id)
    assert len(path.read_bytes().splitlines()) < 30
    journal.keep(bet(100))
    journal.close()
    assert kept_in(path) == [bet(1), bet(100)]


def test_a_file_full_of_what_is_kept_is_not_written_at_each_bet(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_journal, "COMPACT_LINES", 20)
    journal = FileJournal(path)
    for number in range(40):
        journal.keep(bet(number))
    syncs: list[int] = []
    monkeypatch.setattr(os, "fsync", syncs.append)
    for number in range(30):
        journal.forget(bet(number).bet.bet_id)
    assert len(syncs) == 3 * 2, "of the file and of its folder, as often as half of it has ended"
    journal.close()
    monkeypatch.undo()
    assert kept_in(path) == [bet(number) for number in range(30, 40)]


@pytest.mark.parametrize(
    "content",
    [
        b"SQLite format 3\0\x10\0\x01\x01\0\n\0\0\0",
        b"hello",
        b"name,stake\n",
        b'"name","stake"',
        b"[1]\n",
        b'{"user_id":42}\n',
        b'{"user_id":42,"bet":{"type":"bet.place"}}\n',
        b'{"user_id":42,"be\n',
    ],
)
def test_a_file_that_is_no_journal_is_left_as_it_is(content: bytes, path: Path) -> None:
    path.write_bytes(content)
    path.chmod(0o644)
    for _ in range(2):  # and nobody has it then
        with pytest.raises(ValueError, match="line 1: no bet"):
            FileJournal(path)
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (content, 0o644)
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_zeros_where_the_power_went_are_no_bet(path: Path) -> None:
    journal = FileJournal(path)
    journal.keep(bet(1))
    journal.close()
    content = path.read_bytes()
    for torn in (b"\0" * 100, b'{"user_id":42,"be' + b"\0" * 50):
        path.write_bytes(content + torn)
        assert kept_in(path) == [bet(1)]


def test_a_bet_that_no_server_takes_is_found_again_like_any_other(path: Path) -> None:
    wrong = bet(1)
    wrong.bet.stake = 0
    journal = FileJournal(path)
    journal.keep(wrong)
    journal.close()
    assert kept_in(path) == [wrong]


@contextlib.contextmanager
def room_for(path: Path, more: int) -> Iterator[None]:
    """No file can become longer than this one and so many bytes: what is written beyond is cut off there."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + more, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_disk_that_is_full_costs_no_bet_and_no_answer(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = FileJournal(path)
    for number in (1, 2):
        journal.keep(bet(number))
    with room_for(path, 20):
        with pytest.raises(OSError, match="No space left"):
            journal.keep(bet(3))
        journal.forget(bet(1).bet.bet_id)
        assert journal.kept() == [bet(2)]
    journal.keep(bet(4))  # not glued to a piece of what found no room
    assert journal.kept() == [bet(2), bet(4)]

    monkeypatch.setattr(client_journal, "COMPACT_LINES", 0)
    with room_for(path, -path.stat().st_size + 20):
        journal.forget(bet(4).bet.bet_id)
    monkeypatch.undo()
    journal.keep(bet(5))
    journal.close()
    # Those whose end was not written are there again, and no other is missing.
    assert kept_in(path) == [bet(1), bet(2), bet(4), bet(5)]


OPENS = "import sys; from ws.client.journal import FileJournal; FileJournal(sys.argv[1])"


def test_a_file_belongs_to_one_process(path: Path) -> None:
    journal = FileJournal(path)
    journal.keep(bet(1))
    other = subprocess.run([sys.executable, "-c", OPENS, path], capture_output=True, text=True)
    assert f"BlockingIOError: [Errno 11] {client_journal._IN_USE}: '{path}'" in other.stderr
    journal.close()
    assert subprocess.run([sys.executable, "-c", OPENS, path]).returncode == 0
    assert kept_in(path) == [bet(1)]
