"""The judge of `make demo` finds what must not be, and says so in the report and in the exit status."""

from __future__ import annotations

from dataclasses import replace

import pytest

from demo.books import Books, Debit
from demo.house import Check
from demo.judge import Kept, Unknown, Verdict, judge
from demo.notes import Told
from demo.report import is_well, missing, report

KILLED_NS = 100
WELL = [Check("reconcile", True, ["all balances are sums"]), Check("verify", True, ["everything holds"])]


def told() -> Told:
    """Ada's bet and its settlement before the kill; Bert's, answered after it; Cleo's, refused after it."""
    notes = Told()
    for line in (
        {"at_ns": 10, "user_id": 7, "placing": "ada", "stake": 250},
        {"at_ns": 20, "bet_id": "ada", "told": "bet.confirmed", "transaction_id": 1, "seq": 1},
        {"at_ns": 30, "settling": "demo/ada", "bet_id": "ada"},
        {"at_ns": 40, "settled": "demo/ada", "transaction_id": 2},
        {"at_ns": 90, "user_id": 8, "placing": "bert", "stake": 100},
        {"at_ns": 90, "user_id": 9, "placing": "cleo", "stake": 100},
        {"at_ns": 110, "bet_id": "bert", "told": "bet.confirmed", "transaction_id": 3, "seq": 5},
        {"at_ns": 110, "bet_id": "cleo", "told": "bet.rejected", "code": "INSUFFICIENT_FUNDS"},
        {"at_ns": 120, "user_id": 7, "balance": 1250},
        {"at_ns": 120, "user_id": 8, "balance": 0},
        {"at_ns": 120, "user_id": 9, "balance": 50},
    ):
        notes.add(line)
    return notes


ADA = {"ada": [Debit(1, 7, -250, 1)]}
BERT = {"bert": [Debit(5, 8, -100, 3)]}
CRASHED = Books(ADA, {"demo/ada": [2]}, {7: 1250, 8: 100, 9: 50})
NOW = Books(ADA | BERT, {"demo/ada": [2]}, {7: 1250, 8: 0, 9: 50})


def found(crashed: Books = CRASHED, now: Books = NOW, notes: Told | None = None) -> set[tuple[str, str]]:
    verdict = judge(notes or told(), crashed, now, KILLED_NS)
    assert not verdict.findings or not is_well(verdict, WELL)
    return {(finding.what, finding.subject) for finding in verdict.findings}


def test_a_run_in_which_all_is_well() -> None:
    verdict = judge(told(), CRASHED, NOW, KILLED_NS)
    assert verdict == Verdict(
        before=Kept(1, 1),
        settled_before=Kept(1, 1),
        unknown=Unknown(total=2, written=0, placed_after=1, refused_after=1, open=0),
        in_all=Kept(2, 2),
        settled_in_all=Kept(1, 1),
        refused=1,
        balances=Kept(3, 3),
        findings=(),
    )
    assert is_well(verdict, WELL)
    assert "All is well" in report(verdict, WELL)


def test_a_bet_that_was_written_before_the_kill_and_told_after_it() -> None:
    verdict = judge(told(), replace(CRASHED, debits=ADA | BERT), NOW, KILLED_NS)
    assert verdict.unknown == Unknown(total=2, written=1, placed_after=0, refused_after=1, open=0)
    assert is_well(verdict, WELL)


def booked(**debits: list[Debit]) -> Books:
    """The file at the end, with other debits for these bets."""
    return replace(NOW, debits=NOW.debits | debits)


def ended(**settlements: list[int]) -> Books:
    """The file at the end, with other settlements of these bets."""
    return replace(
        NOW, settlements=NOW.settlements | {f"demo/{bet}": ids for bet, ids in settlements.items()}
    )


@pytest.mark.parametrize(
    ("crashed", "what", "subject"),
    [
        (replace(CRASHED, debits={}), "lost", "ada"),
        (replace(CRASHED, settlements={}), "lost", "demo/ada"),
    ],
)
def test_what_the_crash_has_lost_is_found(crashed: Books, what: str, subject: str) -> None:
    assert found(crashed=crashed) == {(what, subject)}


@pytest.mark.parametrize(
    ("now", "what", "subject"),
    [
        pytest.param(replace(NOW, debits=ADA), "lost", "bert", id="a bet lost later"),
        pytest.param(replace(NOW, settlements={}), "lost", "demo/ada", id="a settlement lost later"),
        pytest.param(booked(ada=ADA["ada"] * 2), "twice", "ada", id="paid for twice"),
        pytest.param(ended(ada=[2, 9]), "twice", "demo/ada", id="settled twice"),
        pytest.param(ended(ada=[9]), "wrong", "demo/ada", id="settled by another transaction"),
        pytest.param(booked(cleo=[Debit(9, 9, -100, 9)]), "refused but paid for", "cleo", id="refused"),
        pytest.param(booked(bert=[Debit(5, 8, -101, 3)]), "wrong", "bert", id="another stake"),
        pytest.param(booked(bert=[Debit(5, 9, -100, 3)]), "wrong", "bert", id="another wallet"),
        pytest.param(booked(bert=[Debit(5, 8, -100, 4)]), "wrong", "bert", id="another transaction"),
        pytest.param(booked(dora=[Debit(9, 7, -100, 9)]), "never placed", "dora", id="nobody's bet"),
        pytest.param(ended(dora=[9]), "never asked for", "demo/dora", id="nobody's settlement"),
        pytest.param(
            replace(NOW, balances=NOW.balances | {7: 1249}), "wrong", "wallet 7", id="another balance"
        ),
    ],
)
def test_what_must_not_be_is_found(now: Books, what: str, subject: str) -> None:
    assert found(now=now) == {(what, subject)}


def test_a_bet_without_an_answer_is_found_whether_it_was_written_or_not() -> None:
    notes = told()
    notes.bets["bert"].told = None
    assert found(notes=notes) == {("never told", "bert")}
    assert found(now=replace(NOW, debits=ADA), notes=notes) == {("never told", "bert")}


@pytest.mark.parametrize("now", [NOW, replace(NOW, settlements={})], ids=["written", "not written"])
def test_a_settlement_without_an_answer_is_found_whether_it_was_written_or_not(now: Books) -> None:
    notes = told()
    notes.settlements["demo/ada"].transaction_id = None
    assert found(now=now, notes=notes) == {("never told", "demo/ada")}


def test_a_refused_settlement_has_its_answer_and_must_not_be_in_the_file() -> None:
    notes = told()
    notes.settlements["demo/ada"].transaction_id = None
    notes.settlements["demo/ada"].refused = "BET_CLOSED"
    assert found(now=replace(NOW, settlements={}), notes=notes) == set()
    assert found(notes=notes) == {("refused but booked", "demo/ada")}


def test_a_balance_that_was_not_shown_is_found() -> None:
    notes = told()
    del notes.balances[8]
    assert found(notes=notes) == {("never told", "wallet 8")}


def test_what_visitors_bet_is_not_the_judges() -> None:
    assert found(now=replace(NOW, debits=NOW.debits | {"visitor": [Debit(9, 77, -100, 9)]})) == set()


def test_the_report_names_what_was_lost_and_who_found_it() -> None:
    verdict = judge(told(), replace(CRASHED, debits={}), NOW, KILLED_NS)
    text = report(verdict, [WELL[0], Check("verify", False, ["entry 7 is not sealed"])])
    assert "FOUND lost: ada: " in text
    assert "0 of 1" in text
    assert "FOUND by verify" in text
    assert "All is well" not in text


def test_a_check_that_finds_something_is_not_well() -> None:
    verdict = judge(told(), CRASHED, NOW, KILLED_NS)
    assert not is_well(verdict, [Check("reconcile", False, ["1 finding"])])


BEFORE, ON_THEIR_WAY, AFTER = (
    "no bet was confirmed before the kill",
    "no bet was on its way when the server was killed",
    "no bet was confirmed after the kill",
)


@pytest.mark.parametrize(
    ("killed_ns", "lacks"),
    [
        pytest.param(15, [BEFORE], id="nothing to lose"),
        pytest.param(50, [ON_THEIR_WAY], id="between two bets"),
        pytest.param(1_000, [ON_THEIR_WAY, AFTER], id="after all of them"),
    ],
)
def test_a_kill_that_met_nothing_proves_nothing(killed_ns: int, lacks: list[str]) -> None:
    verdict = judge(told(), CRASHED, NOW, killed_ns)
    assert missing(verdict) == lacks
    assert not is_well(verdict, WELL)
    assert "PROVES NOTHING" in report(verdict, WELL)
