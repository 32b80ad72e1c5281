"""Takes an archive that was begun to its end: copied and checked, its keys noted, what is left behind sealed,
and then moved out of the file in short steps, with bets in between.

How far it has come is in the file, so a crash at any point resumes. What is copied is checked before anything
is deleted, and what is deleted is looked up in the archive: nothing goes that is not there (docs/archive.md).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sqlite3
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Final, Protocol, TypeVar

from batcher.expiry import CALLER, LOOK_SELDOM_S
from batcher.jobs import Ask
from engine import archive_move
from engine.archives import NOT_OURS, ArchiveRow, archives, file_of
from engine.commands import CarryArchive
from engine.errors import ArchiveMissing, ArchiveUnusable, SolidGreenError
from engine.files import open_read_only
from engine.lifecycle import ArchiveState
from engine.outcomes import Accepted
from engine.store import Store

log = logging.getLogger("solidgreen.archiving")

Answer = TypeVar("Answer")

LOOK_EVERY_S: Final = 1.0
"""How late an archive may go on after it was begun, or after a restart."""

REST: Final = 4
"""After a step the writer is left to bets for so many times as long as that took."""

AT_ONCE: Final = 100


class Copied(Protocol):
    """What a copy says of itself (engine/archive_copy.py)."""

    openings: bytes
    state: bytes
    carried: bytes


Copy = Callable[[Path, int], Awaitable[Copied]]
"""Makes the file of an archive, by the path of the books and the archive's id, and checks it."""


class CarryRefused(SolidGreenError):
    """What is left behind could not be sealed; the code says why."""


class Archiving:
    """Sees to the newest archive of a file."""

    def __init__(
        self,
        store: Store,
        ask: Ask,
        copy: Copy,
        room: Callable[[], int] = lambda: AT_ONCE,
        rest: int = REST,
    ) -> None:
        """`room`: how many commands are welcome now; with fewer than two, bets are being turned away, and
        there is no haste.
        """
        self.pause_s = LOOK_EVERY_S
        """Until the next look."""
        self._store = store
        self._ask = ask
        self._copy = copy
        self._room = room
        self._rest = rest
        self._why_in_vain: str | None = None

    async def run(self) -> None:
        """Look for an archive that is not at its end, and go on with it; for ever."""
        while True:
            await asyncio.sleep(self.pause_s)
            await self.look()

    async def look(self) -> None:
        """Go on with the newest archive; where that fails, say why, once, and try again later."""
        try:
            await self.go_on()
        except Exception as error:  # the disk is full, the file is gone: the next look may do better
            if str(error) != self._why_in_vain:
                log.warning("the archive waits, nothing is lost: %s", error, exc_info=_unless_expected(error))
            self._why_in_vain = str(error)
            self.pause_s = min(2 * self.pause_s, LOOK_SELDOM_S)
            return
        self._why_in_vain = None
        self.pause_s = LOOK_EVERY_S

    async def go_on(self) -> None:
        """Take the newest archive to its end, and give back the room that it has left in the file."""
        archive = await self._newest()
        if archive is None:
            return
        if archive.state == ArchiveState.COPYING:
            await self._seal(archive)
            archive = await self._newest()
            assert archive is not None
        if not archive.is_moved:
            await self._move(archive)
            log.info("archive %d, up to block %d: moved", archive.id, archive.block_id)
        while await self._store.read(archive_move.has_room_to_give_back):
            await self._step(archive_move.give_back)

    async def _seal(self, archive: ArchiveRow) -> None:
        log.info("archive %d, up to block %d: copying", archive.id, archive.block_id)
        copied = await self._copy(self._store.path, archive.id)
        after = b""
        while hashes := await self._look_into(archive, partial(archive_move.next_keys, after=after)):
            unknown = await self._store.read(partial(archive_move.unknown_keys, hashes=hashes))
            if unknown:
                await self._step(partial(archive_move.add_keys, hashes=unknown))
            after = hashes[-1]
        await self._step(partial(archive_move.keep_state, archive_id=archive.id, state=copied.state))
        await self._wait_for_room()
        outcome = await self._ask(
            CarryArchive(archive.id, copied.openings, copied.carried, key=f"{archive.id}", caller=CALLER)
        )
        if not isinstance(outcome, Accepted):
            raise CarryRefused(
                f"archive {archive.id} is copied, and could not be sealed: {outcome.code.name}"
            )
        log.info("archive %d, up to block %d: copied and checked, moving", archive.id, archive.block_id)

    async def _move(self, archive: ArchiveRow) -> None:
        moved_id = archive.moved_transaction_id
        while moved_id < archive.upto_transaction_id:
            ids = await self._look_into(archive, partial(archive_move.next_transactions, after=moved_id))
            moved_id = ids[-1] if ids else archive.upto_transaction_id
            await self._step(
                partial(archive_move.delete_transactions, archive_id=archive.id, ids=ids, upto=moved_id)
            )
        moved_id = archive.moved_entry_id
        while moved_id < archive.upto_entry_id:
            # Of entries, too: where the archive is gone, those that are left here are the only ones.
            moved_id = await self._look_into(archive, partial(archive_move.next_entries, after=moved_id))
            await self._step(partial(archive_move.move_entries, archive_id=archive.id, upto=moved_id))

    async def _step(self, change: Callable[[sqlite3.Connection], Answer]) -> Answer:
        await self._wait_for_room()
        began_s = time.monotonic()
        changed = await self._store.tidy(change)
        await asyncio.sleep(self._rest * (time.monotonic() - began_s))
        return changed

    async def _wait_for_room(self) -> None:
        while self._room() < 2:  # noqa: ASYNC110  the breaker tells nobody when it closes
            await asyncio.sleep(LOOK_EVERY_S)

    async def _newest(self) -> ArchiveRow | None:
        found = await self._store.read(archives)
        return found[-1] if found else None

    async def _look_into(self, archive: ArchiveRow, look: Callable[[sqlite3.Connection], Answer]) -> Answer:
        path = file_of(self._store.path, archive.block_id)

        def read() -> Answer:
            if not path.exists():
                raise ArchiveMissing(path.name)
            try:
                with contextlib.closing(open_read_only(path)) as connection:
                    if not archive_move.is_archive(connection, archive):
                        raise ArchiveUnusable(f"{path.name}: {NOT_OURS}")
                    return look(connection)
            except sqlite3.Error as error:
                raise ArchiveUnusable(f"{path.name}: cannot be read as an archive: {error}") from error

        return await asyncio.to_thread(read)


def _unless_expected(error: Exception) -> Exception | None:
    """The traceback says something only where nobody has foreseen this."""
    return None if isinstance(error, SolidGreenError | sqlite3.Error) else error
