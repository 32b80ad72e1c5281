"""What was told of archives, followed through history: each way in which it can be wrong is named."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from engine.archive_checks import (
    NO_ROW,
    NO_TRANSACTION,
    OTHER_BOUNDARY,
    OTHER_PROGRESS,
    OTHER_ROW,
    OTHER_TERMS,
    ArchiveAudit,
    ArchiveRow,
)
from engine.commands import CarryArchive, Keyed, OpenArchive, fingerprint
from engine.life_checks import NOT_FOLLOWING, NOT_SAID
from engine.outcomes import Answer, ArchiveTold
from engine.records import Transaction

ENDS = {4: (100, 40, 80), 6: (200, 60, 120)}
OPENINGS, CARRIED = bytes(range(32)), bytes(range(1, 33))
BEGUN = ArchiveTold(50, "copying", 4, 40, 80, before_us=101)
MOVING = ArchiveTold(50, "moving", 4, 40, 80, openings=OPENINGS.hex(), carried=CARRIED.hex())
ROW = ArchiveRow(50, 4, 40, 80, "moving", OPENINGS, CARRIED, 51, 40, 80)


def transaction(
    id_: int, kind: str, told: ArchiveTold | None, asked: Keyed, block_id: int = 5
) -> Transaction:
    answer = msgspec.json.encode(Answer(archive=told)).decode()
    return Transaction(id_, kind, "op:x", f"{id_}", fingerprint(asked), answer, block_id)


def begin(
    told: ArchiveTold | None = BEGUN, before_us: int = 101, id_: int = 50, block_id: int = 5
) -> Transaction:
    return transaction(id_, "ARCHIVE", told, OpenArchive(before_us, key="", caller=""), block_id)


def carry(told: ArchiveTold | None = MOVING, archive_id: int = 50, openings: bytes = OPENINGS) -> Transaction:
    return transaction(51, "CARRY", told, CarryArchive(archive_id, openings, CARRIED, key="", caller=""))


def whys(*transactions: Transaction, rows: list[ArchiveRow] | None = None) -> list[str]:
    audit = ArchiveAudit(ENDS.get)
    findings = [finding for each in transactions for finding in audit.changed(each)]
    findings += [] if rows is None else audit.check_rows(rows)
    assert all(finding["check"] == "archive" for finding in findings)
    return [finding["why"] for finding in findings]


def changed(told: ArchiveTold, **changes: Any) -> ArchiveTold:
    return msgspec.structs.replace(told, **changes)


NEXT = ArchiveTold(70, "copying", 6, 60, 120, before_us=201)
NEXT_ROW = ArchiveRow(70, 6, 60, 120, "copying", bytes(32), bytes(32), 0, 0, 80)


def test_one_after_another_is_right() -> None:
    second = begin(NEXT, 201, 70, 7)
    begun = ArchiveRow(50, 4, 40, 80, "copying", bytes(32), bytes(32), 0, 0, 0)
    assert whys(begin(), rows=[begun]) == []
    assert whys(begin(), carry(), rows=[ROW]) == []
    assert whys(begin(), carry(), rows=[ROW._replace(moved_transaction_id=7, moved_entry_id=0)]) == []
    assert whys(begin(), carry(), rows=[ROW._replace(moved_entry_id=7)]) == []
    assert whys(begin(), carry(), second, rows=[ROW, NEXT_ROW]) == []


@pytest.mark.parametrize(
    ("transactions", "why"),
    [
        ([begin(None)], NOT_SAID),
        ([begin(changed(BEGUN, id=49))], NOT_FOLLOWING),
        ([begin(changed(BEGUN, state="moving"))], NOT_FOLLOWING),
        ([begin(changed(BEGUN, openings="00"))], NOT_FOLLOWING),
        ([begin(changed(BEGUN, before=7))], NOT_FOLLOWING),
        ([begin(changed(BEGUN, upto_transaction_id=39))], OTHER_BOUNDARY),
        ([begin(changed(BEGUN, upto_entry_id=81))], OTHER_BOUNDARY),
        ([begin(changed(BEGUN, block_id=3))], OTHER_BOUNDARY),
        ([begin(changed(BEGUN, before_us=100), 100)], OTHER_BOUNDARY),
        ([begin(block_id=4)], OTHER_BOUNDARY),
        ([begin(before_us=102)], OTHER_TERMS),
        ([begin(), begin(NEXT, 201, 70, 7)], NOT_FOLLOWING),  # the first is under way
        ([begin(), carry(), begin(changed(BEGUN, id=70), 101, 70, 7)], NOT_FOLLOWING),  # no further
        ([carry()], NOT_FOLLOWING),
        ([begin(), carry(), carry()], NOT_FOLLOWING),
        ([begin(), carry(None)], NOT_SAID),
        ([begin(), carry(changed(MOVING, upto_entry_id=81))], NOT_FOLLOWING),
        ([begin(), carry(changed(MOVING, before=50))], NOT_FOLLOWING),
        ([begin(), carry(changed(MOVING, openings=OPENINGS.hex().upper()))], NOT_FOLLOWING),
        ([begin(), carry(changed(MOVING, openings="00"), openings=b"")], NOT_FOLLOWING),
        ([begin(), carry(openings=CARRIED)], OTHER_TERMS),
        ([begin(), carry(archive_id=49)], OTHER_TERMS),
    ],
)  # fmt: skip
def test_a_transaction_that_is_wrong_is_named(transactions: list[Transaction], why: str) -> None:
    assert whys(*transactions) == [why]


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"block_id": 3}, OTHER_ROW),
        ({"openings": CARRIED}, OTHER_ROW),
        ({"carried": bytes(32)}, OTHER_ROW),
        ({"last_transaction_id": 0}, OTHER_ROW),
        ({"state": "copying"}, OTHER_ROW),
        ({"moved_transaction_id": 41}, OTHER_PROGRESS),
        ({"moved_transaction_id": -1, "moved_entry_id": 0}, OTHER_PROGRESS),
        ({"moved_entry_id": 81}, OTHER_PROGRESS),
        ({"moved_entry_id": -1}, OTHER_PROGRESS),
        ({"moved_transaction_id": 39, "moved_entry_id": 1}, OTHER_PROGRESS),
    ],
)
def test_a_row_that_is_wrong_is_named(changes: dict[str, Any], why: str) -> None:
    assert whys(begin(), carry(), rows=[ROW._replace(**changes)]) == [why]


def test_rows_and_transactions_are_as_many() -> None:
    assert whys(begin(), carry(), rows=[]) == [NO_ROW]
    assert whys(rows=[ROW]) == [NO_TRANSACTION]


def test_all_but_the_newest_are_moved_and_it_moves_once_it_is_carried() -> None:
    both = (begin(), carry(), begin(NEXT, 201, 70, 7))
    assert whys(*both, rows=[ROW._replace(moved_entry_id=79), NEXT_ROW]) == [OTHER_PROGRESS]
    assert whys(*both, rows=[ROW, NEXT_ROW._replace(moved_entry_id=79)]) == [OTHER_PROGRESS]
    assert whys(*both, rows=[ROW, NEXT_ROW._replace(moved_entry_id=81)]) == [OTHER_PROGRESS]
    assert whys(*both, rows=[ROW, NEXT_ROW._replace(moved_transaction_id=1)]) == [OTHER_PROGRESS]
