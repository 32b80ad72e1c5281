"""verify of books out of which history was moved, with their archives and without: clean at each step of the
move, and what was changed in the file is found also alone, what was changed in an archive together.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from engine import audit, checks
from engine.archives import file_of
from engine.backup import back_up
from engine.files import open_read_only
from engine.lives import Lives
from engine.origin import decode, encode
from engine.reconcile import reconcile
from engine.repair import repair
from engine.verify import Asked, Verdict, verify
from tests import archived, moved_books
from tests.bonus_forgeries import BONUS, FURTHER
from tests.books_open import ALICE, BOB, NOW_US, deposit, look, place, play, seed, settle
from tests.command import run
from tests.forgeries import forge

UPTO = 4
"""The block up to which `moved` is archived: the holds of block 5 are behind it, and bet 6 (transaction 8)
stays, with what it rests on."""

ALONE, TOGETHER = Asked(alone=True), Asked()


@pytest.fixture
def counts_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    """In clean books the lives that are walked along are as many as those that were told; else each
    transaction would be looked up."""

    def strays(lives: Lives) -> None:
        raise AssertionError("the counts differ")

    monkeypatch.setattr(Lives, "strays", strays)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The books of life_forgeries.py, moved up to block `UPTO`."""
    path = moved_books.life(tmp_path_factory.mktemp("made") / "books.db")
    moved_books.archive(path, UPTO)
    return path


@pytest.fixture(scope="module")
def half_made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Likewise, but in the midst of it: some transactions are moved, and no entries."""
    path = moved_books.life(tmp_path_factory.mktemp("half") / "books.db")
    moved_books.archive(path, UPTO, steps=2)
    return path


@pytest.fixture(scope="module")
def paid_out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The books of payout_forgeries.py, moved up to block 6."""
    path = moved_books.payouts(tmp_path_factory.mktemp("paid") / "books.db")
    moved_books.archive(path, 6)
    return path


def copy_of(path: Path, folder: Path) -> Path:
    for file in path.parent.iterdir():
        shutil.copyfile(file, folder / file.name)
    return folder / path.name


@pytest.fixture
def moved(made: Path, tmp_path: Path) -> Path:
    return copy_of(made, tmp_path)


@pytest.fixture
def half(half_made: Path, tmp_path: Path) -> Path:
    return copy_of(half_made, tmp_path)


def forge_archive(path: Path, *statements: str) -> None:
    forge(file_of(path, UPTO), *statements)


def assert_clean(path: Path) -> None:
    assert verify(path, TOGETHER).findings == []
    assert verify(path, ALONE).findings == []
    assert reconcile(path).findings == []


# -- clean books


@pytest.mark.usefixtures("counts_agree")
@pytest.mark.parametrize(
    ("make", "block"),
    [(moved_books.life, 2), (moved_books.life, 4), (moved_books.life, 7), (moved_books.payouts, 4),
     (moved_books.payouts, 6), (moved_books.bonus, 3), (moved_books.bonus, 6), (moved_books.bonus, 11)],
)  # fmt: skip
def test_books_are_clean_at_each_step(tmp_path: Path, make: Callable[[Path], Path], block: int) -> None:
    path = make(tmp_path / "books.db")
    row = moved_books.begun(path, block)
    assert_clean(path)
    moved_books.sealed(path, row)
    assert_clean(path)
    while moved_books.move(path, rows=9):
        assert_clean(path)
    assert look(
        path, "SELECT count(*) FROM transaction_ledger WHERE id BETWEEN 1 AND ?", row.upto_entry_id
    ) == [(0,)]


@pytest.mark.usefixtures("counts_agree")
def test_together_says_the_same_as_before_anything_was_moved(tmp_path: Path) -> None:
    path = moved_books.life(tmp_path / "books.db")
    row = moved_books.begun(path, UPTO)
    before = verify(path)
    moved_books.sealed(path, row)
    while moved_books.move(path):
        pass

    together, alone = verify(path, TOGETHER), verify(path, ALONE)
    assert (together.archives, together.alone, together.missing, together.since) == (1, False, [], 0)
    assert (alone.archives, alone.alone, alone.missing, alone.since) == (0, True, [], UPTO)
    for verdict in (together, alone):
        assert verdict.blocks == before.blocks + 1  # that of CARRY
        assert (verdict.entries, verdict.users) == (before.entries, before.users)


@pytest.mark.usefixtures("counts_agree")
def test_a_second_archive_takes_bets_that_were_open_at_the_first(tmp_path: Path) -> None:
    path = seed(tmp_path / "books.db", 1000, 500)
    moved_books.played(
        path, [[place(1), place(2, user_id=BOB)], [settle("a", 1, payout_minor=40)], [place(3)]]
    )
    moved_books.archive(path, 3)
    play(path, [settle("b", 2, "lost"), settle("c", 3, "void")], now_us=moved_books.LATE_US)
    newest = look(path, "SELECT max(id) FROM blocks")[0][0]
    second = moved_books.begun(path, newest)
    assert_clean(path)
    moved_books.sealed(path, second)
    assert_clean(path)
    while moved_books.move(path):
        assert_clean(path)

    placed = look(file_of(path, newest), "SELECT transaction_id FROM bets ORDER BY transaction_id")
    assert placed == [(4,), (6,)]  # 4 is from below the end of the first archive
    assert verify(path).archives == 2
    file_of(path, 3).unlink()
    verdict = verify(path)
    assert (verdict.ok, verdict.alone, verdict.missing, verdict.since) == (
        True,
        True,
        ["books.db.archive-3"],
        newest,
    )


def test_a_file_that_is_not_at_hand_is_named_in_the_last_line(moved: Path) -> None:
    done = run("verify", "--db", moved)
    assert re.search(r"accounts, 1 archive: everything holds\n$", done.out)
    done = run("verify", "--db", moved, "--alone")
    assert re.search(rf"\(behind block {UPTO}, without its archives\): everything holds\n$", done.out)
    file_of(moved, UPTO).unlink()

    done = run("verify", "--db", moved)

    assert done.status == 0
    words = f"behind block {UPTO}; 1 archive file is not at hand: books.db.archive-{UPTO}"
    assert f"({words}): everything holds\n" in done.out
    told = json.loads(run("verify", "--db", moved, "--json").out)
    assert (told["ok"], told["alone"], told["archives"], told["since"]) == (True, True, 0, UPTO)
    assert told["missing"] == [f"books.db.archive-{UPTO}"]


# -- what was changed


def of_alice(what: str) -> str:
    """What is carried of ALICE, changed."""
    return f"UPDATE transaction_ledger SET {what} WHERE id = -{ALICE}"


OPEN_BET = 8
IN_THE_FILE = {
    "a carried balance": of_alice("amount = amount + 1, balance_after = balance_after + 1"),
    "half of a carried balance": of_alice("amount = amount + 1"),
    "whose a carried balance is": of_alice("user_id = 3"),
    "a carried currency": of_alice("currency = 'USD'"),
    "a carried entry": of_alice("prev_id = prev_id - 1"),
    "the archive of a carried row": of_alice("ref_id = '1'"),
    "the transaction of a carried row": of_alice("transaction_id = 1"),
    "the block of a carried row": of_alice("block_id = 1"),
    "the number of a carried row": of_alice("id = -99"),
    "a carried row gone": f"DELETE FROM transaction_ledger WHERE id = -{BOB}",
    "a carried row of somebody without entries": "INSERT INTO transaction_ledger "
    "SELECT -4, 4, currency, 0, 0, ref_type, ref_id, transaction_id, block_id, prev_id "
    "FROM transaction_ledger WHERE id = -7",
    "a row that carries nothing": "INSERT INTO transaction_ledger VALUES "
    "(-99, 7, 'EUR', 5, 5, 'DEPOSIT', 'x', 1, 1, 0)",
    "an entry that was deleted": "INSERT INTO transaction_ledger VALUES "
    "(2, 7, 'EUR', 1000, 1000, 'DEPOSIT', '1', 1, 1, 0)",
    "an archived key": "UPDATE archived_keys SET hash = zeroblob(16) "
    "WHERE hash = (SELECT max(hash) FROM archived_keys)",
    "an archived key gone": "DELETE FROM archived_keys WHERE hash = (SELECT min(hash) FROM archived_keys)",
    "a key that was not archived": "INSERT INTO archived_keys VALUES (x'000102030405060708090a0b0c0d0e0f')",
    "the state": "UPDATE carried SET state = CAST(json_set(state, '$.carried.changes', 7) AS BLOB)",
    "the state cut": "UPDATE carried SET state = substr(state, 2)",
    "the state gone": "DELETE FROM carried",
    "the block of the state": "UPDATE carried "
    "SET state = CAST(json_set(state, '$.carried.block_id', 9) AS BLOB)",
    "a transaction that stays": f"UPDATE transactions SET fingerprint = zeroblob(32) WHERE id = {OPEN_BET}",
    "the answer of one": f"UPDATE transactions SET answer = answer || ' ' WHERE id = {OPEN_BET}",
    "one that stays gone": f"DELETE FROM transactions WHERE id = {OPEN_BET}",
    "the bet that stays": f"UPDATE bets SET stake = 21 WHERE transaction_id = {OPEN_BET}",
    "what became of it": f"UPDATE bets SET state = 'lost' WHERE transaction_id = {OPEN_BET}",
    "the bet that stays gone": f"DELETE FROM bets WHERE transaction_id = {OPEN_BET}",
    "a tombstone": "DELETE FROM transactions WHERE id = 15",
    "a bet that was moved": "INSERT INTO bets VALUES "
    "(3, 7, 'EUR', 200, NULL, NULL, NULL, NULL, 'won', 120, 120, 0, 18)",
    "the openings": "UPDATE archives SET openings = zeroblob(32)",
    "the digest of the state": "UPDATE archives SET carried = zeroblob(32)",
    "the block of an archive": "UPDATE archives SET block_id = 3",
    "its last transaction": "UPDATE archives SET upto_transaction_id = upto_transaction_id - 1",
    "its last entry": "UPDATE archives SET upto_entry_id = upto_entry_id + 2",
    "its state": "UPDATE archives SET state = 'copying'",
    "its CARRY": "UPDATE archives SET last_transaction_id = 1",
    "how far it is": "UPDATE archives SET moved_entry_id = moved_entry_id - 1",
    "how far its transactions are": "UPDATE archives SET moved_transaction_id = 0",
    "that it was begun": "UPDATE archives SET id = id - 1",
    "an archive gone": "DELETE FROM archives",
    "an archive more": "INSERT INTO archives "
    "SELECT 99, 5, 26, 44, 'copying', zeroblob(32), zeroblob(32), 0, 0, upto_entry_id FROM archives",
    "the hash of an archived block": "UPDATE blocks SET hash = zeroblob(32) WHERE id = 2",
    "the root of an archived block": "UPDATE blocks SET root = zeroblob(32) WHERE id = 2",
    "the time of an archived block": "UPDATE blocks SET at = at + 1 WHERE id = 3",
    "an archived block gone": "DELETE FROM blocks WHERE id = 3",
    "the signature of an archived block": "UPDATE blocks SET signature = zeroblob(64) WHERE id = 1",
    "a balance": f"UPDATE users SET balance = balance + 1 WHERE id = {BOB}",
}  # fmt: skip


@pytest.mark.parametrize("name", IN_THE_FILE)
def test_what_was_changed_in_the_file_is_found_with_its_archive_and_alone(moved: Path, name: str) -> None:
    forge(moved, IN_THE_FILE[name])

    assert verify(moved, ALONE).findings
    assert verify(moved, TOGETHER).findings
    assert reconcile(moved).findings or "signature" in name


NOT_MOVED_YET = frozenset({
    "a carried balance", "half of a carried balance", "whose a carried balance is", "a carried currency",
    "a carried entry", "the archive of a carried row", "the transaction of a carried row",
    "the block of a carried row", "the number of a carried row", "a carried row gone",
    "a carried row of somebody without entries", "an entry that was deleted", "how far its transactions are",
})  # fmt: skip
"""There is no such row yet, or it may be as far as that."""


@pytest.mark.parametrize("name", sorted(IN_THE_FILE.keys() - NOT_MOVED_YET))
def test_likewise_in_the_midst_of_the_move(half: Path, name: str) -> None:
    forge(half, IN_THE_FILE[name])

    assert verify(half, ALONE).findings
    assert verify(half, TOGETHER).findings


IN_THE_ARCHIVE = {
    "a transaction": ("UPDATE transactions SET answer = answer || ' ' WHERE id = 9", "block"),
    "a transaction gone": ("DELETE FROM transactions WHERE id = 9", "block"),
    "a transaction more": (
        "INSERT INTO transactions SELECT id + 90, kind, scope, 'other', fingerprint, answer, block_id "
        "FROM transactions WHERE id = 1", "archive"),
    "an entry": ("UPDATE transaction_ledger SET amount = amount + 1 WHERE id = 3", "running"),
    "an entry gone": ("DELETE FROM transaction_ledger WHERE id = 3", "block"),
    "an entry more": (
        "INSERT INTO transaction_ledger SELECT 999, user_id, currency, amount, balance_after, ref_type, "
        "ref_id, transaction_id, block_id, prev_id FROM transaction_ledger WHERE id = 1", "archive"),
    "an entry below": ("UPDATE transaction_ledger SET id = -7 WHERE id = 1", "archive"),
    "a bet": ("UPDATE bets SET stake = 201 WHERE transaction_id = 3", "bet"),
    "what became of it": ("UPDATE bets SET payout = 121 WHERE transaction_id = 3", "bet"),
    "a bet gone": ("DELETE FROM bets WHERE transaction_id = 3", "bet"),
    "a bet more": ("UPDATE bets SET transaction_id = 999 WHERE transaction_id = 3", "archive"),
    "a key": ("UPDATE keys SET hash = zeroblob(16) WHERE hash = (SELECT min(hash) FROM keys)", "archive"),
    "a key gone": ("DELETE FROM keys WHERE hash = (SELECT min(hash) FROM keys)", "archive"),
    "a key more": ("INSERT INTO keys VALUES (zeroblob(16))", "archive"),
    "its block": ("UPDATE archive SET block_id = 3", "archive"),
    "whose it is": ("UPDATE archive SET first_hash = zeroblob(32)", "archive"),
    "which one is before it": ("UPDATE archive SET previous_block_id = 1", "archive"),
    "what it says of itself": ("DELETE FROM archive", "archive"),
}  # fmt: skip


@pytest.mark.parametrize("name", IN_THE_ARCHIVE)
def test_what_was_changed_in_an_archive_is_found_with_it(moved: Path, name: str) -> None:
    sql, check = IN_THE_ARCHIVE[name]
    forge_archive(moved, sql)

    assert check in {each["check"] for each in verify(moved, TOGETHER).findings}
    assert verify(moved, ALONE).ok


@pytest.mark.parametrize("name", IN_THE_ARCHIVE)
def test_likewise_while_the_same_row_is_in_the_file_too(half: Path, name: str) -> None:
    forge_archive(half, IN_THE_ARCHIVE[name][0])

    assert verify(half, TOGETHER).findings


def test_a_bonus_that_is_spent_with_another_wallet_of_the_same_person_is_found(tmp_path: Path) -> None:
    """What granted it says so with its entries, which are archived."""
    path = moved_books.bonus(tmp_path / "books.db")
    moved_books.archive(path, 11)
    assert verify(path, ALONE).ok
    assert verify(path, TOGETHER).ok
    forge(path, f"UPDATE bonuses SET wallet_id = {FURTHER} WHERE user_id = {BONUS}")

    assert "bonus" in {each["check"] for each in verify(path, ALONE).findings}
    assert "bonus" in {each["check"] for each in verify(path, TOGETHER).findings}


@pytest.mark.parametrize(
    "sql",
    ["UPDATE suspended_items SET last_transaction_id = 13 WHERE payout_id = 14",
     "UPDATE suspended_items SET state = 'returned' WHERE payout_id = 14",
     "DELETE FROM suspended_items WHERE payout_id = 14",
     "UPDATE payout_items SET amount = 21 WHERE amount = 20",
     "DELETE FROM payout_items WHERE payout_id = 14 AND number = 1"],
)  # fmt: skip
def test_items_are_held_against_what_stays_of_a_payout(paid_out: Path, tmp_path: Path, sql: str) -> None:
    path = copy_of(paid_out, tmp_path)
    forge(path, sql)

    assert "payout" in {each["check"] for each in verify(path, ALONE).findings}
    assert "payout" in {each["check"] for each in verify(path, TOGETHER).findings}


def test_a_row_of_an_archive_of_another_type_is_named_with_its_table(moved: Path) -> None:
    with closing(open_read_only(file_of(moved, UPTO))) as connection:
        (sql,) = connection.execute("SELECT sql FROM sqlite_schema WHERE name = 'bets'").fetchone()
    forge_archive(
        moved,
        "ALTER TABLE bets RENAME TO strict_bets",
        sql.replace(" STRICT", ""),
        "INSERT INTO bets SELECT * FROM strict_bets",
        "UPDATE bets SET stake = 'many' WHERE transaction_id = 3",
    )

    (named,) = [each for each in verify(moved).findings if each["check"] == "type"]
    assert (named["table"], named["row"], named["column"]) == ("bets", 3, "stake")


def test_the_archive_of_other_books_is_told(moved: Path, tmp_path: Path) -> None:
    (tmp_path / "others").mkdir()
    others = moved_books.payouts(tmp_path / "others" / "books.db")
    moved_books.archive(others, UPTO)
    shutil.copyfile(file_of(others, UPTO), file_of(moved, UPTO))

    verdict = verify(moved)
    (finding,) = verdict.findings
    assert finding["check"] == "archive"
    assert finding["why"] == f"books.db.archive-{UPTO}: is not the archive that these books were moved into"
    assert verdict.alone


def test_a_state_that_was_sealed_and_is_not_that_of_its_history_is_found_together(tmp_path: Path) -> None:
    """Who has the key can seal anything: alone, nobody can tell."""
    path = moved_books.life(tmp_path / "books.db")
    row = moved_books.begun(path, UPTO)

    def lie(state: bytes) -> bytes:
        origin = decode(state)
        assert origin is not None
        origin.carried.owed["8"] = 5
        return encode(origin)

    moved_books.sealed(path, row, lie)
    forge(path, "UPDATE users SET owed = 5 WHERE id = 8")

    assert "owed" not in {each["check"] for each in verify(path, ALONE).findings}
    why = {each["why"] for each in verify(path).findings if each["check"] == "archive"}
    assert why == {"what is carried of it is not what its history comes to"}


# -- going on


@pytest.mark.usefixtures("counts_agree")
@pytest.mark.parametrize("asked", [ALONE, TOGETHER])
@pytest.mark.parametrize("then", [ALONE, TOGETHER])
def test_a_state_leads_from_each_way_of_looking_to_the_other(
    moved: Path, tmp_path: Path, asked: Asked, then: Asked
) -> None:
    state = tmp_path / "state"
    assert verify(moved, asked._replace(state=state)).ok
    newest = look(moved, "SELECT max(id) FROM blocks")[0][0]
    play(moved, [deposit("x"), place(20), settle("y", 20, payout_minor=50)], now_us=moved_books.LATE_US)

    verdict = verify(moved, then._replace(state=state))
    assert (verdict.findings, verdict.since, verdict.blocks) == ([], newest, newest + 1)
    forge(moved, f"UPDATE bets SET stake = 21 WHERE transaction_id = {OPEN_BET}")
    assert verify(moved, then._replace(state=state)).findings


@pytest.mark.usefixtures("counts_agree")
@pytest.mark.parametrize("height", [2, 6])
@pytest.mark.parametrize("then", [ALONE, TOGETHER])
def test_a_state_from_before_the_archive_is_gone_on_from(tmp_path: Path, height: int, then: Asked) -> None:
    """Behind what is archived, where that state does not reach so far and the archives are not looked at."""
    path, state = seed(tmp_path / "books.db", 1000, 500), tmp_path / "state"
    batches = [[place(n), place(n + 100)] for n in range(6)]
    batches[3].append(settle("a", 1, payout_minor=40))
    moved_books.played(path, batches[: height - 1])
    verify(path, Asked(state=state))
    for number, batch in enumerate(batches[height - 1 :], height + 1):
        play(path, batch, now_us=NOW_US + number)
    moved_books.archive(path, 5)

    verdict = verify(path, then._replace(state=state))
    assert verdict.findings == []
    assert verdict.since == (max(height, 5) if then.alone else height)


# -- who else looks


def test_rows_that_begin_to_move_while_it_looks_are_not_missed(tmp_path: Path) -> None:
    path = moved_books.life(tmp_path / "books.db")
    row = moved_books.begun(path, UPTO)
    seen: list[int] = []

    def progress(done: int, total: int) -> None:
        if not seen:
            seen.append(done)
            moved_books.sealed(path, row)
            while moved_books.move(path):
                pass

    verdict: Verdict = verify(path, TOGETHER, progress)
    assert seen
    assert (verdict.findings, verdict.archives) == ([], 1)


def test_nor_by_reconcile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = moved_books.life(tmp_path / "books.db")
    row = moved_books.begun(path, UPTO)
    check_block, seen = checks.check_block, []

    def meanwhile(*read: Any, **known: Any) -> Any:
        if not seen:
            seen.append(True)
            moved_books.sealed(path, row)
            while moved_books.move(path):
                pass
        return check_block(*read, **known)

    monkeypatch.setattr(audit, "check_block", meanwhile)
    assert reconcile(path).findings == []
    assert archived.newest(path).is_moved


def test_how_far_reconcile_is_begins_with_the_first_block_and_ends_with_the_last(moved: Path) -> None:
    heard: list[tuple[int, int]] = []
    report = reconcile(moved, lambda done, total: heard.append((done, total)))
    assert len(heard) == report.head
    assert heard == sorted(heard)
    assert heard[0][0] < archived.newest(moved).upto_transaction_id
    assert heard[-1][0] == heard[-1][1]


def test_balances_are_put_right_of_what_is_carried(moved: Path) -> None:
    right = look(moved, "SELECT id, balance, last_entry_id FROM users")
    forge(moved, f"UPDATE users SET balance = balance + 5, last_entry_id = 1 WHERE id = {ALICE}")

    done = repair(moved, NOW_US)

    assert (done.report.ok, len(done.repairs)) == (True, 2)
    assert look(moved, "SELECT id, balance, last_entry_id FROM users") == right


def test_a_backup_is_checked_without_archives(moved: Path, tmp_path: Path) -> None:
    copied = back_up(moved, tmp_path / "copy")
    assert copied.report.ok
    assert copied.report.alone
