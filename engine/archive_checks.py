"""What was moved out of the file: archives begin and are carried in order, as was asked for, at the end of a
block; and what is carried of each holder is written as it must be. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from engine.commands import CarryArchive, OpenArchive
from engine.life_checks import NOT_FOLLOWING, NOT_SAID, answer_of, is_asked
from engine.lifecycle import ArchiveState
from engine.outcomes import ArchiveTold
from engine.records import Entry, Transaction

OTHER_TERMS: Final = "it is not the archive that was asked for"
OTHER_BOUNDARY: Final = "it does not go up to the end of a block of that time"
OTHER_ROW: Final = "its row is not what its transactions say"
NO_ROW: Final = "its row is missing"
NO_TRANSACTION: Final = "no transaction has begun it"
OTHER_PROGRESS: Final = "so far it cannot be moved"
OTHER_CARRIED: Final = "it is not what an archive carries of its holder"
NOT_CARRIED: Final = "nothing is carried of its holder"

_DIGEST_BYTES: Final = 32

Ends = tuple[int, int, int]
"""Of a block: its time, its last transaction, its last entry."""


class ArchiveRow(NamedTuple):
    """A row of `archives`: see schema.sql."""

    id: int
    block_id: int
    upto_transaction_id: int
    upto_entry_id: int
    state: str
    openings: bytes
    carried: bytes
    last_transaction_id: int
    moved_transaction_id: int
    moved_entry_id: int

    @property
    def is_moved(self) -> bool:
        """Whether nothing of it is left to be deleted here."""
        return (self.moved_transaction_id, self.moved_entry_id) == (
            self.upto_transaction_id,
            self.upto_entry_id,
        )


class ArchiveKnown(NamedTuple):
    """What was told last of an archive, and by which transaction (0: it was only begun)."""

    block_id: int
    upto_transaction_id: int
    upto_entry_id: int
    state: str
    openings: str
    carried: str
    last_transaction_id: int


class ArchiveAudit:
    """Takes the ARCHIVE and CARRY transactions in the order of history, and keeps what was told last of
    each."""

    def __init__(self, ends_of: Callable[[int], Ends | None]) -> None:
        """`ends_of` looks a block up."""
        self._ends_of = ends_of
        self.told: dict[int, ArchiveKnown] = {}
        """What was told of each archive, in the order in which they were made."""

    def changed(self, transaction: Transaction) -> Iterator[dict[str, Any]]:
        """What is wrong with one of them, apart from its entries: it has none."""
        said = answer_of(transaction.answer)
        told = None if said is None else said.archive
        if told is None:
            yield _wrong(transaction, NOT_SAID)
        elif transaction.kind == "ARCHIVE":
            yield from self._begun(transaction, told)
        else:
            yield from self._carried(transaction, told)

    def _begun(self, transaction: Transaction, told: ArchiveTold) -> Iterator[dict[str, Any]]:
        newest = self.told[max(self.told)] if self.told else None
        upto = (told.block_id, told.upto_transaction_id, told.upto_entry_id)
        is_next = newest is None or (newest.state == ArchiveState.MOVING and newest.block_id < told.block_id)
        begun = ArchiveTold(transaction.id, ArchiveState.COPYING, *upto, told.before_us)
        if told != begun or not is_next:
            yield _wrong(transaction, NOT_FOLLOWING)
        ends = self._ends_of(told.block_id)
        is_before = told.block_id < transaction.block_id
        if ends is None or not is_before or ends[0] >= told.before_us or ends[1:] != upto[1:]:
            yield _wrong(transaction, OTHER_BOUNDARY)
        if not is_asked(transaction, OpenArchive(told.before_us, key="", caller="")):
            yield _wrong(transaction, OTHER_TERMS)
        self.told[transaction.id] = ArchiveKnown(*upto, ArchiveState.COPYING, "", "", 0)

    def _carried(self, transaction: Transaction, told: ArchiveTold) -> Iterator[dict[str, Any]]:
        prior = self.told.get(told.id)
        openings, carried = _digest(told.openings), _digest(told.carried)
        upto = (told.block_id, told.upto_transaction_id, told.upto_entry_id)
        if prior is None or prior.state != ArchiveState.COPYING or prior[:3] != upto:
            yield _wrong(transaction, NOT_FOLLOWING)
            return
        after = (ArchiveState.MOVING, *upto, 0, openings.hex(), carried.hex())
        if told != ArchiveTold(told.id, *after) or not (openings and carried):
            yield _wrong(transaction, NOT_FOLLOWING)
        if not is_asked(transaction, CarryArchive(told.id, openings, carried, key="", caller="")):
            yield _wrong(transaction, OTHER_TERMS)
        self.told[told.id] = ArchiveKnown(*upto, told.state, told.openings, told.carried, transaction.id)

    def check_rows(self, rows: Sequence[ArchiveRow]) -> Iterator[dict[str, Any]]:
        """The rows of `archives`, once history is read: they are what was told last, and all but the newest
        are moved."""
        by_id = {row.id: row for row in rows}
        moved_entry_id = 0
        for id_ in sorted(by_id.keys() | self.told.keys()):
            row, told = by_id.get(id_), self.told.get(id_)
            if row is None or told is None:
                yield about(id_, NO_ROW if row is None else NO_TRANSACTION)
                continue
            nothing = bytes(_DIGEST_BYTES).hex()
            shown = ArchiveKnown(*row[1:5], row.openings.hex(), row.carried.hex(), row.last_transaction_id)
            if shown != told._replace(openings=told.openings or nothing, carried=told.carried or nothing):
                yield about(id_, OTHER_ROW)
            is_newest = id_ == max(by_id)
            is_begun = told.state == ArchiveState.MOVING
            most = (told.upto_transaction_id, told.upto_entry_id) if is_begun else (0, moved_entry_id)
            if (
                not (
                    0 <= row.moved_transaction_id <= most[0]
                    and moved_entry_id <= row.moved_entry_id <= most[1]
                )
                or not (is_newest or row.is_moved)
                or (
                    row.moved_entry_id > moved_entry_id and row.moved_transaction_id < row.upto_transaction_id
                )
            ):
                yield about(id_, OTHER_PROGRESS)
            moved_entry_id = told.upto_entry_id


def check_carried(
    rows: Sequence[Entry], archives: Sequence[ArchiveRow], currencies: Mapping[int, str]
) -> Iterator[dict[str, Any]]:
    """The carried rows of the ledger, each of which names the archive that has its holder's last entry.
    `currencies`: by account. What each carries is held against the openings that were sealed."""
    for row in rows:
        archive = next((each for each in archives if row.prev_id <= each.upto_entry_id), None)
        wanted = None
        if (
            archive is not None
            and archive.state == ArchiveState.MOVING
            and row.prev_id <= archive.moved_entry_id
        ):
            where = (archive.last_transaction_id, archive.block_id, row.prev_id)
            balance = (currencies.get(row.user_id), row.balance_after_minor, row.balance_after_minor)
            wanted = (-row.user_id, row.user_id, *balance, "CARRIED", str(archive.id), *where)
        if row != wanted or row.prev_id <= 0:
            yield {"check": "archive", "entry": row.id, "user_id": row.user_id, "why": OTHER_CARRIED}


def about(archive_id: int, why: str) -> dict[str, Any]:
    """A finding about an archive."""
    return {"check": "archive", "archive": archive_id, "why": why}


def _wrong(transaction: Transaction, why: str) -> dict[str, Any]:
    return {"check": "archive", "transaction_id": transaction.id, "why": why}


def _digest(text: str) -> bytes:
    try:
        digest = bytes.fromhex(text)
    except ValueError:
        return b""
    return digest if len(digest) == _DIGEST_BYTES else b""
