"""The copy: each row that goes is in it as it was, what is wrong is refused, and whatever kills it, the next
run makes it.
"""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
import textwrap
from collections.abc import Callable
from contextlib import closing
from hashlib import sha256
from pathlib import Path

import pytest

from engine import archive_copy
from engine.archive_copy import copy
from engine.archived_keys import hash_of_key
from engine.archives import file_of
from engine.drafts import UNFINISHED
from engine.errors import ArchiveUnusable, FileUnusable
from engine.files import read_only_uri
from engine.origin import decode, openings_digest
from engine.verify import verify
from tests import archived, moved_books
from tests.books_open import ALICE, BOB, NOW_US, deposit, look, place, play, seed, settle, unsettle
from tests.forgeries import forge, reseal

UPTO = 4
COLUMNS = {
    "transactions": "id",
    "transaction_ledger": "id",
    "bets": "state",
    "keys": "hash",
    "archive": "block_id",
}
"""The tables of an archive, each with a column."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The books of life_forgeries.py, of which an archive is begun that goes up to block `UPTO`."""
    path = moved_books.life(tmp_path_factory.mktemp("made") / "books.db")
    moved_books.begun(path, UPTO)
    return path


@pytest.fixture
def books(made: Path, tmp_path: Path) -> Path:
    for file in made.parent.iterdir():
        shutil.copyfile(file, tmp_path / file.name)
    return tmp_path / made.name


def archive_id(path: Path) -> int:
    return archived.newest(path).id


def beside(path: Path) -> set[str]:
    """The archives that stand beside the books, and what is to become one."""
    return {each.name for each in path.parent.iterdir() if each.name.startswith(f"{path.name}.archive-")}


# -- what is copied


@pytest.mark.parametrize("make", [moved_books.life, moved_books.payouts, moved_books.bonus])
@pytest.mark.parametrize("block", [1, 3, 6])
def test_it_holds_what_goes_in_every_column(tmp_path: Path, make: Callable[[Path], Path], block: int) -> None:
    """By the rules of `archived.copied`, which are written apart from those of the engine."""
    path = make(tmp_path / "books.db")
    row = moved_books.begun(path, block)
    copied = copy(path, row.id)
    copied.path.rename(tmp_path / "by-the-engine")
    archived.copied(path, row)

    for table in COLUMNS:
        rows = look(tmp_path / "by-the-engine", f"SELECT * FROM {table}")
        assert rows == look(copied.path, f"SELECT * FROM {table}"), table
    counts = look(copied.path, archive_copy._COUNTS)
    assert counts == [(copied.transactions, copied.entries, copied.bets)]
    assert copied.entries == row.upto_entry_id
    assert copied.size_bytes == (tmp_path / "by-the-engine").stat().st_size


def test_it_says_what_is_left_behind(books: Path) -> None:
    copied = copy(books, archive_id(books))

    sums = look(books, archived._OPENINGS, archived.newest(books).upto_entry_id)
    assert copied.openings == openings_digest({id_: (minor, newest) for id_, minor, newest in sums})
    assert copied.carried == sha256(copied.state).digest()
    origin = decode(copied.state)
    assert origin is not None
    keys = sorted(hash_of_key(*row) for row in look(copied.path, "SELECT scope, key FROM transactions"))
    assert (origin.archived_keys, origin.keys) == (len(keys), sha256(b"".join(keys)).digest())
    assert origin.carried.holders == {}
    assert origin.carried.owed == {str(ALICE): 20}


def test_nobody_can_change_it(books: Path) -> None:
    path = copy(books, archive_id(books)).path

    assert stat.S_IMODE(path.stat().st_mode) == 0o400
    assert look(path, "PRAGMA journal_mode") == [("delete",)]
    assert beside(books) == {path.name}
    path.chmod(0o600)
    with closing(sqlite3.connect(path)) as connection:
        for table, column in COLUMNS.items():
            for act in (
                f"DELETE FROM {table}",
                f"INSERT INTO {table} SELECT * FROM {table}",
                f"UPDATE {table} SET {column} = {column}",
            ):
                with pytest.raises(sqlite3.IntegrityError, match="an archive is never changed"):
                    connection.execute(act)


def test_a_bet_that_was_taken_up_again_before_the_archive_was_begun_stays(tmp_path: Path) -> None:
    path = seed(tmp_path / "books.db", 1000)
    batches = [[place(1), place(2)], [settle("a", 1, payout_minor=9), settle("b", 2, payout_minor=9)]]
    moved_books.played(path, batches)
    play(path, [unsettle("c", 1)], now_us=NOW_US + 9)

    copied = copy(path, moved_books.begun(path, 3).id)

    assert look(copied.path, "SELECT key FROM transactions WHERE kind = 'BET'") == [(place(2).bet_id,)]
    assert look(copied.path, "SELECT kind FROM transactions WHERE kind <> 'BET'") == [("DEPOSIT",), ("WIN",)]


def test_a_second_one_goes_on_behind_the_first(tmp_path: Path) -> None:
    """From what the first has left, without looking at it, and also with bets that were open then."""
    path = seed(tmp_path / "books.db", 1000, 500)
    moved_books.played(
        path, [[place(1), place(2, user_id=BOB)], [settle("a", 1, payout_minor=40)], [place(3), deposit("b")]]
    )
    first = moved_books.archive(path, 3)
    play(path, [settle("c", 2, "lost"), settle("d", 3, "void")], now_us=moved_books.LATE_US + 9)
    ((newest,),) = look(path, "SELECT max(id) FROM blocks")
    first.path.rename(tmp_path / "elsewhere")

    second = copy(path, moved_books.begun(path, newest).id)

    assert look(second.path, "SELECT transaction_id FROM bets") == [(4,), (6,)]
    assert look(second.path, "SELECT min(id) FROM transaction_ledger") == [(first.entries + 1,)]
    assert look(second.path, "SELECT previous_block_id FROM archive") == [(3,)]
    origin = decode(second.state)
    assert origin is not None
    assert origin.archived_keys == first.transactions + second.transactions
    assert (origin.carried.archived, origin.carried.changes) == (3, 0)
    assert [known.block_id for known in origin.carried.archives.values()] == [3]


# -- what is refused

WRONG = {
    "a balance behind an entry": "UPDATE transaction_ledger SET balance_after = 1 WHERE id = 5",
    "an answer": "UPDATE transactions SET answer = answer || ' ' WHERE id = 9",
    "an answer of one that stays": "UPDATE transactions SET answer = answer || ' ' WHERE id = 8",
    "the terms of a bet": "UPDATE bets SET stake = 201 WHERE transaction_id = 3",
    "what became of a bet": "UPDATE bets SET payout = payout + 1 WHERE transaction_id = 3",
    "an entry gone": "DELETE FROM transaction_ledger WHERE id = 5",
    "a transaction gone": "DELETE FROM transactions WHERE id = 9",
    "the bet that it takes gone": "DELETE FROM bets WHERE transaction_id = 3",
    "a key that was archived by nobody": "INSERT INTO archived_keys VALUES (zeroblob(16))",
    "a row that no block seals": "UPDATE bets SET transaction_id = 999 WHERE transaction_id = 7",
    "what came later of a bet left out": "UPDATE bets "
    "SET state = 'lost', payout = 0, settled = 0, last_transaction_id = 10 WHERE transaction_id = 4",
    "a hold that nobody made": "INSERT INTO holds SELECT 999, user_id, currency, purpose, amount, "
    "expires_at, state, remaining, last_transaction_id FROM holds WHERE id = 26",
    "its last block": f"DELETE FROM blocks WHERE id >= {UPTO}",
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_refused_and_nothing_is_left(books: Path, name: str) -> None:
    forge(books, WRONG[name])

    with pytest.raises(
        ArchiveUnusable, match=r"^books.db.*: (not made, something is wrong: |cannot be archived: )"
    ):
        copy(books, archive_id(books))
    assert beside(books) == set()


def test_a_stray_is_refused_that_all_roots_hold(books: Path) -> None:
    """A second end of a bet that does not follow its first, sealed with the key."""
    forge(books, "UPDATE transactions SET answer = json_set(answer, '$.bet.before', 3) WHERE id = 18")
    reseal(books, *range(3, 9))

    with pytest.raises(ArchiveUnusable, match="bet: transaction_id 18"):
        copy(books, archive_id(books))


def test_only_an_archive_that_is_to_be_copied_is(books: Path) -> None:
    with pytest.raises(ArchiveUnusable, match="no archive 1 is to be copied"):
        copy(books, 1)
    row = archived.newest(books)
    moved_books.sealed(books, row)
    with pytest.raises(ArchiveUnusable, match=f"no archive {row.id} is to be copied"):
        copy(books, row.id)


@pytest.mark.parametrize("content", [b"", b"not SQLite", b"other books"])
def test_what_has_its_name_already_and_is_another_is_left_alone(books: Path, content: bytes) -> None:
    target = file_of(books, UPTO)
    if content == b"other books":
        shutil.copyfile(books, target)
        content = target.read_bytes()
    else:
        target.write_bytes(content)

    with pytest.raises(ArchiveUnusable, match=f"^{target.name}: "):
        copy(books, archive_id(books))
    assert target.read_bytes() == content


def test_one_that_is_there_is_checked_again(books: Path) -> None:
    first = copy(books, archive_id(books))
    written = first.path.read_bytes()

    assert copy(books, archive_id(books)) == first
    assert first.path.read_bytes() == written
    forge(first.path, "UPDATE bets SET payout = payout + 1 WHERE transaction_id = 3")
    with pytest.raises(ArchiveUnusable, match="bet: transaction_id 3"):
        copy(books, archive_id(books))


def test_a_disk_that_is_full_leaves_nothing(books: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    connect = sqlite3.connect

    def connect_small(*arguments: object, **named: object) -> sqlite3.Connection:
        connection = connect(*arguments, **named)  # type: ignore[call-overload]
        if UNFINISHED in str(arguments[0]) and "mode=rw" in str(arguments[0]):
            connection.execute("PRAGMA max_page_count = 8")
        return connection  # type: ignore[no-any-return]

    monkeypatch.setattr(sqlite3, "connect", connect_small)
    with pytest.raises(FileUnusable, match="cannot be archived: database or disk is full"):
        copy(books, archive_id(books))
    assert beside(books) == set()


def test_it_leaves_some_of_the_disk_to_bets(books: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(books)
    left = iter([archive_copy.LEFT_FREE_BYTES, archive_copy.LEFT_FREE_BYTES - 1])
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=next(left)))
        with pytest.raises(FileUnusable, match="less than 256 MiB of its disk are free"):
            copy(books, archive_id(books))
    assert next(left, None) is None
    assert beside(books) == set()
    copy(books, archive_id(books))


def test_bets_go_on_meanwhile_and_no_reader_holds_up_the_log(
    books: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At each chunk a bet comes, and then the whole log can be emptied."""
    monkeypatch.setattr(archive_copy, "CHUNK", 5)
    seen: list[int] = []

    def tell(done: int, total: int) -> None:
        number = 100 + len(seen)
        play(books, [deposit(f"{number}"), place(number, 5)], now_us=moved_books.LATE_US)
        with closing(sqlite3.connect(books)) as connection:
            busy, left, _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        assert (busy, left) == (0, 0)
        seen.append(done)
        assert done <= total

    copied = copy(books, archive_id(books), tell)

    assert len(seen) > 10
    assert seen == sorted(seen)
    assert look(copied.path, "SELECT max(block_id) FROM transactions") == [(UPTO,)]
    assert verify(books).ok


# -- killed

KILLED = """
    import os, signal, sys
    sys.path[:0] = [sys.argv[1]]
    from pathlib import Path
    from engine import archive_copy, drafts

    at = sys.argv[4]
    def killed(*_, **__):
        os.kill(os.getpid(), signal.SIGKILL)
    def tell(done, total):
        if at == "building" and done > total // 3 or at == "built" and done == total:
            killed()
    if at == "checked":
        drafts.Draft.publish = killed
    if at == "named":
        drafts.Draft._remove = killed
    archive_copy.CHUNK = 5
    archive_copy.copy(Path(sys.argv[2]), int(sys.argv[3]), tell)
"""


@pytest.mark.parametrize("at", ["building", "built", "checked", "named"])
def test_killed_at_any_point_the_next_run_makes_it(books: Path, at: str) -> None:
    root = str(Path(__file__).resolve().parent.parent)
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(KILLED), root, str(books), str(archive_id(books)), at],
        timeout=60,
        check=False,
        env={**os.environ, "PYTHONPATH": root},
    )
    assert done.returncode == -signal.SIGKILL
    assert any(name.endswith(UNFINISHED) for name in beside(books))
    assert file_of(books, UPTO).exists() == (at == "named")

    copied = copy(books, archive_id(books))

    assert beside(books) == {copied.path.name}
    with closing(sqlite3.connect(read_only_uri(copied.path), uri=True)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    moved_books.sealed(books, archived.newest(books))
    while moved_books.move(books):
        pass
    assert verify(books).ok
