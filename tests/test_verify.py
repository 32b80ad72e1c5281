"""verify: clean books hold; what reconcile cannot see is found; a run goes on where another one stood."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from engine import checks, file_checks
from engine.carried import CarriedUnusable
from engine.checks import Finding
from engine.files import open_read_only
from engine.keys import as_pem, public_keys
from engine.receipts import head, receipt
from engine.reconcile import Report, reconcile
from engine.verify import Asked, Verdict, verify
from tests import bonus_forgeries, mutations
from tests.books_open import ALICE, BOB, NOW_US, SIGNING_KEY, look, place, play, seed, settle
from tests.command import overwrite_page_of, run
from tests.forgeries import FORGERIES, forge, reseal


@pytest.fixture
def books(tmp_path: Path) -> Path:
    """Those of forgeries.py."""
    path = seed(tmp_path / "books.db", 1000, 500)
    play(path, [place(1, 200, game="dice"), place(2, 100, BOB)], [place(4, 30)], now_us=NOW_US + 1)
    return path


def public_key(path: Path) -> bytes:
    with closing(open_read_only(path)) as connection:
        (key,) = public_keys(connection).values()
    return key


def kept_head(path: Path) -> str:
    with closing(open_read_only(path)) as connection:
        return json.dumps(head(connection))


def wheres(findings: list[Finding]) -> list[tuple[str, object]]:
    return [(each["check"], each.get("block")) for each in findings]


def test_clean_books_hold_and_say_who_signed_them(books: Path) -> None:
    verdict = verify(books)

    assert verdict.findings == []
    assert (verdict.blocks, verdict.entries, verdict.users) == (3, 10, 9)
    assert [each["blocks"] for each in verdict.keys] == [3]
    assert verdict.head == json.loads(kept_head(books))


@pytest.mark.parametrize("name", FORGERIES)
def test_it_finds_all_that_reconcile_does(books: Path, name: str) -> None:
    forge(books, FORGERIES[name][0])

    found = verify(books).findings
    for finding in reconcile(books).findings:
        assert any(finding.items() <= each.items() for each in found), finding


@pytest.mark.parametrize("check", [verify, reconcile])
def test_a_file_that_is_wrong_everywhere_does_not_fill_the_memory(
    books: Path, check: Callable[[Path], Verdict | Report], monkeypatch: pytest.MonkeyPatch
) -> None:
    forge(books, "UPDATE users SET balance = balance + 1, owed = owed + 1, last_entry_id = last_entry_id + 1")
    monkeypatch.setattr(checks, "FINDINGS_MAX", 5)
    *found, last = check(books).findings
    assert len(found) == 5
    assert last["why"] == "there are more than 5 findings: it was not looked any further"


def test_history_sealed_again_to_the_end_lacks_signatures(books: Path) -> None:
    forge(books, "UPDATE transactions SET answer = json_set(answer, '$.held_minor', 1) WHERE id = 3")
    reseal(books, 2, 3)

    assert reconcile(books).ok
    verdict = verify(books)
    assert wheres(verdict.findings) == [("signature", 2), ("signature", 3)]
    assert verdict.first_bad_block == 2


def test_a_key_that_is_not_trusted_is_named_with_its_blocks(books: Path) -> None:
    assert verify(books, Asked(trusted=[public_key(books)])).ok
    (finding,) = verify(books, Asked(trusted=[SIGNING_KEY.public_key])).findings
    assert (finding["check"], finding["block"], finding["last_block"]) == ("trust", 1, 3)


@pytest.mark.parametrize(
    ("sql", "checks"),
    [
        ("UPDATE signers SET public_key = zeroblob(32)", {"signer", "signature"}),
        ("UPDATE signers SET id = zeroblob(16)", {"signer", "signature"}),
        ("DELETE FROM signers", {"signature"}),
        ("UPDATE blocks SET id = 4611686018427387904 WHERE id = 3", {"block", "signature"}),
        ("UPDATE blocks SET last_transaction_id = 4611686018427387904 WHERE id = 2",
         {"block", "signature", "bet", "legs"}),
        ("UPDATE transactions SET id = -4 WHERE id = 4", {"unsealed", "block", "bet"}),
        ("UPDATE transactions SET answer = CAST(x'ff' AS TEXT) WHERE id = 3", {"type", "block", "bet"}),
    ],
)  # fmt: skip
def test_what_else_is_found(books: Path, sql: str, checks: set[str]) -> None:
    forge(books, sql)

    assert {finding["check"] for finding in verify(books).findings} >= checks


LOOSE = "replace(replace(replace(sql, 'STRICT', ''), 'INTEGER NOT NULL', 'BLOB'), 'TEXT NOT NULL', 'BLOB')"


@pytest.mark.parametrize("value", ["NULL", "'x'", "x'00ff'", "1.5", "9e999", "-9223372036854775808"])
@pytest.mark.parametrize(
    "column",
    ["transactions.kind", "transactions.answer", "transaction_ledger.amount", "transaction_ledger.ref_id",
     "bets.stake", "bets.state", "blocks.at", "blocks.last_entry_id", "users.balance", "users.held"],
)  # fmt: skip
def test_a_value_of_any_other_type_is_a_finding_and_no_fault(books: Path, column: str, value: str) -> None:
    """Written past SQLite: the rules of the table are taken away, and put back."""
    table, name = column.split(".")
    with closing(sqlite3.connect(books)) as connection, connection:
        (sql,) = connection.execute("SELECT sql FROM sqlite_schema WHERE name = ?", (table,)).fetchone()
        triggers = connection.execute("SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'").fetchall()
        for trigger, _ in triggers:
            connection.execute(f"DROP TRIGGER {trigger}")
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute(f"UPDATE sqlite_schema SET sql = {LOOSE} WHERE name = ?", (table,))
    with closing(sqlite3.connect(books)) as connection, connection:
        connection.execute("PRAGMA ignore_check_constraints = ON")
        connection.execute(f"UPDATE {table} SET {name} = {value}")
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute("UPDATE sqlite_schema SET sql = ? WHERE name = ?", (sql, table))
    with closing(sqlite3.connect(books)) as connection, connection:
        for _, trigger in triggers:
            connection.execute(trigger)

    assert verify(books).findings
    assert reconcile(books).findings
    assert run("verify", "--db", books, "--json").status == 1


@pytest.mark.parametrize("table", ["bets", "transactions", "transaction_ledger", "users", "blocks", "holds"])
def test_a_page_that_a_disk_has_lost_is_a_finding(books: Path, table: str) -> None:
    overwrite_page_of(books, table)

    done = run("verify", "--db", books)

    assert done.status == 1
    assert "integrity: " in done.out


def test_the_index_over_keys_must_be_what_the_transactions_are(
    books: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Found by walking along it, where the file is too large for SQLite to look over the whole of it."""
    monkeypatch.setattr(file_checks, "WHOLE_MAX_BYTES", 0)
    monkeypatch.setattr(file_checks.Keys, "add", lambda self, transactions: None)

    assert wheres(verify(books).findings) == [("key", None)]


def test_books_cut_off_are_told_by_a_head_or_a_receipt_kept_elsewhere(tmp_path: Path) -> None:
    cut = seed(tmp_path / "cut.db", 1000)
    whole = tmp_path / "whole.db"
    whole.write_bytes(cut.read_bytes())
    (tmp_path / "whole.db.signing-key").write_bytes((tmp_path / "cut.db.signing-key").read_bytes())
    play(whole, [place(1)])
    with closing(open_read_only(whole)) as connection:
        (tmp_path / "receipt").write_text(json.dumps(receipt(connection, 2), indent=1), encoding="utf-8")
    (tmp_path / "heads").write_text(f"{kept_head(cut)}\n{kept_head(whole)}\n", encoding="utf-8")

    for name, where in (("receipt", ""), ("heads", ":2")):
        assert run("verify", "--db", whole, "--head", tmp_path / name).status == 0
        done = run("verify", "--db", cut, "--head", tmp_path / name)
        assert done.status == 1
        assert f"head: block 2, head {tmp_path / name}{where}, it is not in the file\n" in done.out


def test_history_that_was_written_anew_and_signed_is_told_by_a_head_kept_elsewhere(tmp_path: Path) -> None:
    path, other = seed(tmp_path / "books.db", 1000), seed(tmp_path / "other.db", 1001)
    (tmp_path / "head").write_text(kept_head(path), encoding="utf-8")

    assert verify(other).ok
    done = run("verify", "--db", other, "--head", tmp_path / "head")

    assert done.status == 1
    assert "the file has another block of that number\n" in done.out


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"block": {}}', "\x00", "[" * 100_000])
def test_what_is_no_head_is_a_wrong_call(books: Path, text: str) -> None:
    (books.parent / "head").write_text(text, encoding="utf-8")
    done = run("verify", "--db", books, "--head", books.parent / "head")
    assert done.status == 2
    assert "is neither a head nor a receipt" in done.err


def test_the_command_prints_what_protocol_says(books: Path) -> None:
    pem = books.parent / "key.pem"
    pem.write_text(as_pem(public_key(books)), encoding="ascii")
    told = run("verify", "--db", books, "--public-key", pem, "--json").json
    assert {"ok", "blocks", "entries", "users", "head", "keys", "findings"} <= told.keys()
    assert told["ok"] is True


# -- going on


def test_a_later_run_goes_on_and_says_the_same(books: Path) -> None:
    state = books.parent / "state"
    assert verify(books, Asked(state=state)).since == 0
    play(books, [settle("won", 1, "won", 50)], now_us=NOW_US + 2)

    verdict = verify(books, Asked(state=state))

    assert (verdict.findings, verdict.since, verdict.blocks) == ([], 3, 4)
    assert (verdict.entries, verdict.keys) == (verify(books).entries, verify(books).keys)
    assert verify(books, Asked(state=state)).since == 4


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE bets SET stake = 300 WHERE transaction_id = 3",
        "UPDATE bets SET state = 'confirmed', payout = 0, settled = 0, last_transaction_id = 0 "
        "WHERE transaction_id = 3",
        "UPDATE bets SET state = 'won', payout = 9, settled = 9 WHERE transaction_id = 4",
        "DELETE FROM bets WHERE transaction_id = 5",
        f"UPDATE users SET balance = balance + 1 WHERE id = {ALICE}",
        "UPDATE transactions SET key = key || ' ' WHERE id = 1",
    ],
)
def test_rows_that_no_seal_covers_are_checked_again(books: Path, sql: str) -> None:
    state = books.parent / "state"
    assert verify(books, Asked(state=state)).ok
    play(books, [settle("won", 1, "won", 50)], now_us=NOW_US + 2)
    forge(books, sql)

    expected = {each["check"] for each in verify(books).findings} - {"block"}
    verdict = verify(books, Asked(state=state))

    assert verdict.since == 3
    assert {each["check"] for each in verdict.findings} == expected or "transactions" in sql


@pytest.mark.parametrize("behind", [3, 6, 9])
def test_bonuses_and_payouts_go_on_as_well(tmp_path: Path, behind: int) -> None:
    path, state = seed(tmp_path / "books.db", 1000, 500), tmp_path / "state"
    for number, (batch, at_us) in enumerate(zip(bonus_forgeries.BATCHES, bonus_forgeries.AT_US, strict=True)):
        play(path, batch, now_us=at_us)
        if number == behind:
            assert verify(path, Asked(state=state)).ok
    for name, (sql, _) in bonus_forgeries.ROWS.items():
        edited = tmp_path / "edited.db"
        edited.write_bytes(path.read_bytes())
        forge(edited, sql)
        (tmp_path / "state-too").write_bytes(state.read_bytes())
        verdict = verify(edited, Asked(state=tmp_path / "state-too"))
        assert verdict.since == behind + 2
        assert verdict.findings, name


def test_a_block_that_is_no_longer_what_was_verified_is_a_finding(books: Path) -> None:
    state = books.parent / "state"
    verify(books, Asked(state=state))
    forge(books, "UPDATE blocks SET at = at + 1 WHERE id = 3")
    reseal(books, 3)

    assert ("state", 3) in wheres(verify(books, Asked(state=state)).findings)


@pytest.mark.parametrize("harm", [b"", b"{}", b"{}\n00\n", b"\xff" * 99])
def test_a_damaged_state_is_refused_with_words(books: Path, harm: bytes) -> None:
    state = books.parent / "state"
    state.write_bytes(harm)
    done = run("verify", "--db", books, "--state", state)
    assert done.status == 2
    assert "delete it to begin anew" in done.err


def test_the_state_of_other_books_is_refused(books: Path, tmp_path: Path) -> None:
    verify(seed(tmp_path / "others.db", 7), Asked(state=tmp_path / "state"))
    with pytest.raises(CarriedUnusable, match="is the state of other books"):
        verify(books, Asked(state=tmp_path / "state"))


def test_a_state_is_not_kept_of_books_with_findings(books: Path) -> None:
    forge(books, f"UPDATE users SET balance = 1 WHERE id = {ALICE}")
    assert not verify(books, Asked(state=books.parent / "state")).ok
    assert not (books.parent / "state").exists()


# -- the measurement


@pytest.mark.long
def test_every_random_mutation_is_found(tmp_path: Path) -> None:
    made, missed = mutations.run(tmp_path, 50, first_seed=5000)

    assert missed == []
    assert look(tmp_path / "life.db", "SELECT count(*) FROM blocks") == [(7,)]
    assert set(made) == set(mutations.SORTS)
