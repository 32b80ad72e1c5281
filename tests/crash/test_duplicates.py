"""One bet sent a thousand times at once is one debit, and a thousand times one answer."""

from __future__ import annotations

import dataclasses

import pytest

from tests.crash.duplicates import Storm, storm


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Storm:
    return storm(tmp_path_factory.mktemp("duplicates"), sockets=50, copies=1000, stake=250)


def test_a_thousand_copies_of_a_bet_are_one_debit_and_one_answer(shown: Storm) -> None:
    assert shown.findings() == []
    assert len(shown.answers) == 1000


def test_the_check_sees_a_second_debit(shown: Storm) -> None:
    (debit,) = shown.books.debits[shown.bet_id]
    books = dataclasses.replace(shown.books, debits={shown.bet_id: [debit, debit]})
    assert [finding.check for finding in dataclasses.replace(shown, books=books).findings()] == ["debits"]


@pytest.mark.parametrize(
    ("changed", "check"),
    [
        ({"replayed": False}, "answered_anew"),
        ({"transaction_id": -1}, "answers_differ"),
        ({"type": "bet.rejected"}, "confirmed"),
    ],
)
def test_the_check_sees_one_answer_of_another_kind(
    shown: Storm, changed: dict[str, object], check: str
) -> None:
    at = next(at for at, answer in enumerate(shown.answers) if answer["replayed"])
    answers = [answer | changed if n == at else answer for n, answer in enumerate(shown.answers)]
    assert check in [finding.check for finding in dataclasses.replace(shown, answers=answers).findings()]
