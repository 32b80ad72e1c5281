"""What trials have in common finds what it must, and tells it in the exit status."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.books_open import ALICE, place, play, seed
from tests.crash.trial import FRAME_REQUESTS, PRINTED_FINDINGS, ask_each, reconciled, report
from tests.forgeries import forge


class Echo:
    """A wire that answers each request with its number."""

    def __init__(self) -> None:
        self.frames: list[int] = []

    async def ask_all(self, *requests: dict[str, Any]) -> list[dict[str, Any]]:
        self.frames.append(len(requests))
        return [{"heard": request["number"]} for request in requests]


@pytest.mark.parametrize("count", [0, 1, FRAME_REQUESTS, 2 * FRAME_REQUESTS + 1])
def test_each_question_has_its_answer_and_no_frame_is_too_long(count: int) -> None:
    wire: Any = Echo()
    answers = asyncio.run(ask_each(wire, [{"number": number} for number in range(count)]))
    assert [answer["heard"] for answer in answers] == [*range(count)]
    assert max(wire.frames, default=0) <= FRAME_REQUESTS
    assert min(wire.frames, default=1) > 0


def test_sound_books_have_no_findings_unless_accounts_are_missing(tmp_path: Path) -> None:
    db = seed(tmp_path / "books.db", 100, 100)
    play(db, [place(1, 30)])
    assert reconciled(db) == []
    (finding,) = reconciled(db, accounts=1_000)
    assert (finding.check, finding.subject) == ("reconcile", "verdict")


def test_what_reconcile_finds_is_a_finding_and_so_is_a_file_that_it_cannot_read(tmp_path: Path) -> None:
    db = seed(tmp_path / "books.db", 100, 100)
    forge(db, f"UPDATE users SET balance = 7 WHERE id = {ALICE}")
    assert {(finding.check, finding.subject) for finding in reconciled(db)} == {("reconcile", "finding")}
    (finding,) = reconciled(tmp_path / "none.db")
    assert finding.subject == "status 2"


@pytest.mark.parametrize("count", [0, 1, PRINTED_FINDINGS, PRINTED_FINDINGS + 2])
def test_findings_are_told_in_the_exit_status_and_the_first_ones_in_words(
    count: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert report([f"finding {number}" for number in range(count)]) == (1 if count else 0)
    lines = capsys.readouterr().out.splitlines()
    assert lines[:PRINTED_FINDINGS] == [f"finding {n}" for n in range(min(count, PRINTED_FINDINGS))]
    assert lines[PRINTED_FINDINGS:] == (["… and 2 more"] if count > PRINTED_FINDINGS else [])
