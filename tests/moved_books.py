"""Real books out of which old history was moved as the engine does it: copied by `engine.archive_copy`,
sealed with what that says, deleted in steps; but in smaller ones.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from functools import partial
from hashlib import sha256
from pathlib import Path

from engine.accounts import open_wallets
from engine.archive_checks import ArchiveRow
from engine.archive_copy import Copied, copy
from engine.archive_move import add_keys, delete_transactions, keep_state, move_entries
from engine.archives import file_of
from engine.commands import CarryArchive, Command
from engine.files import open_read_only
from engine.outcomes import Accepted
from engine.store import Store
from tests import archived, bonus_forgeries, life_forgeries, payout_forgeries
from tests.books_open import NOW_US, asked, look, place, play, play_at, seed, with_store

LATE_US = NOW_US + 5_000
"""When archives are made: behind all that the books hold."""


def life(path: Path) -> Path:
    """The books of life_forgeries.py. Block n is of `NOW_US` + n."""
    seed(path, 1000, 500)
    played(path, [*life_forgeries.BATCHES, [place(9)]])
    play(path, [life_forgeries.EXPIRY], now_us=NOW_US + 20)
    return path


def payouts(path: Path) -> Path:
    """Those of payout_forgeries.py, likewise."""
    seed(path, 1000, 500)
    with_store(path, lambda store: store.set_up(lambda connection: open_wallets(connection, "EUR", 1)))
    return played(path, payout_forgeries.BATCHES)


def bonus(path: Path) -> Path:
    """Those of bonus_forgeries.py, likewise, but that it begins anew with what comes later there."""
    seed(path, 1000, 500)
    batches = zip(bonus_forgeries.BATCHES, bonus_forgeries.AT_US, strict=True)
    return play_at(path, [(batch, at_us + number) for number, (batch, at_us) in enumerate(batches, 1)])


def played(path: Path, batches: Iterable[list[Command]]) -> Path:
    return play_at(path, [(batch, NOW_US + number) for number, batch in enumerate(batches, 2)])


def archive(path: Path, block_id: int, *, steps: int | None = None) -> Copied:
    """Archive up to this block, and do so many steps of the move, None for all of them."""
    copied = sealed(path, begun(path, block_id))
    rows = 3 if steps is not None else 10_000  # where it stops matters, or not
    while steps != 0 and move(path, rows):
        steps = None if steps is None else steps - 1
    return copied


def begun(path: Path, block_id: int) -> ArchiveRow:
    """An archive that goes up to this block."""
    ((at_us,),) = look(path, "SELECT at FROM blocks WHERE id = ?", block_id)
    row = archived.opened(path, at_us + 1, now_us=max(LATE_US, at_us + 1))
    assert row.block_id == block_id
    return row


def sealed(path: Path, row: ArchiveRow, lie: Callable[[bytes], bytes] = lambda state: state) -> Copied:
    """Copy it, keep what stays of it, and seal that; or a lie."""
    copied = copy(path, row.id)
    copied.state = lie(copied.state)
    copied.carried = sha256(copied.state).digest()
    hashes = [hash_ for (hash_,) in look(copied.path, "SELECT hash FROM keys ORDER BY hash")]

    async def seal(store: Store) -> None:
        await store.tidy(lambda connection: add_keys(connection, hashes))
        await store.tidy(lambda connection: keep_state(connection, row.id, copied.state))
        command = CarryArchive(row.id, copied.openings, copied.carried, key=f"carry-{row.id}", caller="test")
        (outcome,) = await store.commit(asked(command), LATE_US)
        assert isinstance(outcome, Accepted), outcome

    with_store(path, seal)
    return copied


def move(path: Path, rows: int = 3) -> bool:
    """One step; whether there was anything left to move."""
    archive = archived.newest(path)
    if archive.is_moved:
        return False
    with contextlib.closing(open_read_only(file_of(path, archive.block_id))) as file:
        found = file.execute(
            "SELECT id FROM transactions WHERE id > ? ORDER BY id LIMIT ?",
            (archive.moved_transaction_id, rows),
        )
        ids = [id_ for (id_,) in found]
    if archive.moved_transaction_id < archive.upto_transaction_id:
        upto = ids[-1] if ids else archive.upto_transaction_id
        step = partial(delete_transactions, archive_id=archive.id, ids=ids, upto=upto)
    else:
        upto = min(archive.moved_entry_id + rows, archive.upto_entry_id)
        step = partial(move_entries, archive_id=archive.id, upto=upto)
    with_store(path, lambda store: store.tidy(step))
    return True
