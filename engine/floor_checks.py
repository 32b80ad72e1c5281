"""How far each account may go below zero: as its newest FLOOR transaction says, else as it began. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import Any, Final

from engine.commands import SetFloor
from engine.life_checks import NOT_SAID, answer_of, is_asked
from engine.money import BOOK_FLOOR_MINOR
from engine.records import Transaction

OTHER_TERMS: Final = "it is not the floor that was asked for"
NO_BOOK: Final = "it is that of no book of the house's"
NO_FLOOR: Final = "no book may have it"


class FloorAudit:
    """Takes the FLOOR transactions in the order of history, and keeps what the newest of each says."""

    def __init__(self, book_ids: Collection[int]) -> None:
        """`book_ids`: the house's own books, without the clearing accounts of payouts."""
        self._book_ids = book_ids
        self.told: dict[int, int] = {}
        """What the newest FLOOR of each says, by account."""

    def changed(self, transaction: Transaction) -> Iterator[dict[str, Any]]:
        """What is wrong with one FLOOR transaction, apart from its entries: it has none."""
        said = answer_of(transaction.answer)
        told = None if said is None else said.floor
        if told is None:
            yield _wrong(transaction, NOT_SAID)
            return
        if told.user_id not in self._book_ids:
            yield _wrong(transaction, NO_BOOK)
        if not BOOK_FLOOR_MINOR <= told.floor_minor <= 0:
            yield _wrong(transaction, NO_FLOOR)
        if not is_asked(transaction, SetFloor(told.user_id, told.floor_minor, key="", caller="")):
            yield _wrong(transaction, OTHER_TERMS)
        self.told[told.user_id] = told.floor_minor

    def check_rows(self, floors: Iterable[tuple[int, int]]) -> Iterator[dict[str, Any]]:
        """Every row of `users`, as its id and floor, once history is read."""
        for user_id, floor_minor in floors:
            began_with = BOOK_FLOOR_MINOR if user_id in self._book_ids else 0
            told_minor = self.told.get(user_id, began_with)
            if floor_minor != told_minor:
                yield {"check": "floor", "user_id": user_id, "floor": floor_minor, "told": told_minor}


def _wrong(transaction: Transaction, why: str) -> dict[str, Any]:
    return {"check": "floor", "transaction_id": transaction.id, "why": why}
