"""What is moved out of the file, and that what is left behind is sealed. Money does not move."""

from __future__ import annotations

from typing import Final

from engine.commands import CarryArchive, OpenArchive
from engine.decide.answers import accept
from engine.lifecycle import ArchiveState
from engine.outcomes import ArchiveTold, Code, Outcome, Rejected
from engine.subjects import Archive
from engine.view import View

ARCHIVES_MAX: Final = 10
"""They are read together with the file, and SQLite attaches no more than this to a connection
(SQLITE_MAX_ATTACHED, sqlite.org/limits.html)."""


def open_archive(view: View, command: OpenArchive, mark: bytes) -> Outcome:
    """From now on, whatever is over by the end of the blocks before that time is over for good.

    Rejections: INVALID_REQUEST (the time is to come, an archive is under way, or there are as
    many as can be), NOT_FOUND (no block
    before it is not archived yet).
    """
    boundary = view.boundaries[command.before_us]
    newest = view.archive
    is_under_way = newest is not None and newest.id != boundary.moved_id
    if command.before_us > view.at_us or is_under_way or boundary.archives >= ARCHIVES_MAX:
        return Rejected(Code.INVALID_REQUEST)
    if boundary.block_id <= (newest.block_id if newest else 0):
        return Rejected(Code.NOT_FOUND)

    # After this point it must succeed.
    upto = (boundary.block_id, boundary.transaction_id, boundary.entry_id)
    archive = view.open_archive(Archive(view.next_transaction_id, *upto, ArchiveState.COPYING, 0))
    told = _told(archive, before_us=command.before_us)
    return accept(view, "ARCHIVE", command, mark, None, archive=told)


def carry_archive(view: View, command: CarryArchive, mark: bytes) -> Outcome:
    """From now on, what was copied may be deleted here. Rejections: NOT_FOUND (no such archive is being
    copied)."""
    archive = view.archive
    if archive is None or (archive.id, archive.state) != (command.archive_id, ArchiveState.COPYING):
        return Rejected(Code.NOT_FOUND)

    # After this point it must succeed.
    before = archive.last_transaction_id
    view.change(archive)
    archive.state = ArchiveState.MOVING
    archive.openings, archive.carried = command.openings, command.carried
    return accept(view, "CARRY", command, mark, None, archive=_told(archive, before=before))


def _told(archive: Archive, *, before_us: int = 0, before: int = 0) -> ArchiveTold:
    is_carried = archive.state == ArchiveState.MOVING
    return ArchiveTold(
        archive.id,
        archive.state,
        archive.block_id,
        archive.upto_transaction_id,
        archive.upto_entry_id,
        before_us,
        archive.openings.hex() if is_carried else "",
        archive.carried.hex() if is_carried else "",
        before,
    )
