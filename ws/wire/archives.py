"""Archives over the socket, for operators: the messages, the command, the reply. Pure."""

from __future__ import annotations

from msgspec import UNSET, UnsetType

from engine.commands import Keyed, OpenArchive
from engine.outcomes import Accepted, ArchiveTold
from engine.snapshots import ArchiveState
from ws.wire.fields import Id, Natural, Reply, Request, TransactionId
from ws.wire.operators import Move


class ArchiveBegin(Move, tag="archive.begin"):
    """`before`: what is older is moved out of the file, up to the end of a block."""

    before: Natural

    def to_command(self, caller: str) -> Keyed:
        return OpenArchive(self.before * 1000, key=self.key, caller=caller)


class ArchiveGet(Request, tag="archive.get"):
    """`archive_id`: absent for the newest one."""

    id: Id
    archive_id: TransactionId | None = None


class Archive(Reply, tag="archive"):
    """Where an archive stands. `state`: `copying`, `moving` or `moved`; `upto_block`: the last one that is in
    it; of the ids up to there, how far they are moved."""

    id: str
    archive_id: int
    state: str
    upto_block: int
    upto_transaction_id: int
    upto_entry_id: int
    transaction_id: int | UnsetType = UNSET
    block: int | UnsetType = UNSET
    replayed: bool | UnsetType = UNSET
    moved_transaction_id: int | UnsetType = UNSET
    moved_entry_id: int | UnsetType = UNSET


def archive_begun(request_id: str, accepted: Accepted, told: ArchiveTold) -> Archive:
    """What a command has made of an archive."""
    return Archive(
        request_id,
        told.id,
        told.state,
        told.block_id,
        told.upto_transaction_id,
        told.upto_entry_id,
        accepted.transaction_id,
        accepted.block_id,
        accepted.replayed,
    )


def archive_shown(request_id: str, archive: ArchiveState) -> Archive:
    """An archive as it was read."""
    return Archive(
        request_id,
        archive.id,
        archive.state,
        archive.block_id,
        archive.upto_transaction_id,
        archive.upto_entry_id,
        moved_transaction_id=archive.moved_transaction_id,
        moved_entry_id=archive.moved_entry_id,
    )
