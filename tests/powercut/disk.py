"""What may be on a disk after a power cut: what was synced is, of the rest any part may be. Pure.

What is assumed, of the disk and of the file system:

- A sync covers what had returned before it was called, of that file alone; it counts once it has returned.
- What is not covered is lost, kept or torn, each write by itself and in any order: of two writes the later
  one may be kept without the earlier. A sector of 512 bytes is written whole or not at all, and a write harms
  nothing beside it (what SQLite calls powersafe overwrite, sqlite.org/psow.html).
- A file may have grown although what it grew by is lost; there, it holds zeros or anything.
- Names (creation, link, renaming, removal) live in the folder and are kept by a sync of the folder, not of
  the file. Of those not covered a beginning is kept, in their order, as journaling file systems do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random

from tests.powercut.recording import Kind, Op

SECTOR = 512
TORN_SHARE = 0.25  # of the writes that are not covered, where some of them are kept
GARBAGE_SHARE = 0.5  # of the times that a file has grown by what is lost: it holds anything, else zeros


@dataclass(eq=False)
class File:
    """One file, whatever its names."""

    durable: bytearray = field(default_factory=bytearray)
    pending: list[Op] = field(default_factory=list)

    def synced(self, called_ns: int) -> None:
        """A sync that was called then has returned."""
        open_still = []
        for op in self.pending:
            if _had_returned(op, called_ns):
                _apply(self.durable, op)
            else:
                open_still.append(op)
        self.pending = open_still

    def live(self) -> bytes:
        """As processes see it while the power is on."""
        content = bytearray(self.durable)
        for op in self.pending:
            _apply(content, op)
        return bytes(content)

    def after_a_cut(self, rng: Random) -> bytes:
        """As one power cut may leave it."""
        content = bytearray(self.durable)
        # All lost, all kept, or any mixture: a disk that is nearly idle, or nearly done, is as likely as any.
        kept_share = rng.choice((0.0, 1.0, rng.random()))
        torn_share = 0.0 if kept_share in (0.0, 1.0) else TORN_SHARE
        for op in self.pending:
            if op.kind == Kind.WRITE and rng.random() < torn_share:
                _tear(content, op, rng)
            elif rng.random() < kept_share:
                _apply(content, op, rng)
        return bytes(content)


@dataclass(frozen=True, eq=False)
class _Renaming:
    """A change of the folder: `name` is now `file`, or nobody's."""

    op: Op
    names: dict[str, File | None]


class Disk:
    """The files of one folder, followed through a recording."""

    def __init__(self, ops: Sequence[Op], folder: str) -> None:
        """`ops` in the order in which they began."""
        self._folder = folder
        self._live: dict[str, File] = {}
        self._durable: dict[str, File] = {}
        self._renamed: list[_Renaming] = []
        begun = [(op.begun_ns, 0, op) for op in ops]
        ended = [(op.ended_ns, 1, op) for op in ops if op.kind == Kind.SYNC and op.ended_ns is not None]
        self._events = sorted(begun + ended, key=lambda event: event[:2])
        self._next = 0
        self._syncing: dict[int, File] = {}

    def advance(self, to_ns: int) -> None:
        """Take in what began, and the syncs that returned, before `to_ns`."""
        while self._next < len(self._events) and self._events[self._next][0] < to_ns:
            _, is_end, op = self._events[self._next]
            self._next += 1
            if op.kind == Kind.SYNC:
                self._sync(op, has_returned=bool(is_end))
            else:
                self._begin(op)

    @property
    def unsynced(self) -> int:
        """How many calls no sync has covered, of the files that have a name."""
        return len(self._renamed) + sum(len(file.pending) for file in self._live.values())

    def live(self) -> dict[str, bytes]:
        """Every file by its path, as processes see it."""
        return {path: file.live() for path, file in self._live.items()}

    def after_a_cut(self, rng: Random) -> dict[str, bytes]:
        """Every file by its path, as one power cut now may leave it."""
        names: dict[str, File | None] = dict(self._durable)
        for renaming in self._renamed[: rng.randint(0, len(self._renamed))]:
            names |= renaming.names
        return {path: file.after_a_cut(rng) for path, file in names.items() if file is not None}

    def _sync(self, op: Op, *, has_returned: bool) -> None:
        if op.path == self._folder:
            if has_returned:
                for renaming in self._renamed:
                    if _had_returned(renaming.op, op.begun_ns):
                        _rename(self._durable, renaming.names)
                self._renamed = [one for one in self._renamed if not _had_returned(one.op, op.begun_ns)]
        elif not has_returned:
            self._syncing[id(op)] = self._live[op.path]
        else:
            self._syncing.pop(id(op)).synced(op.begun_ns)

    def _begin(self, op: Op) -> None:
        match op.kind:
            case Kind.WRITE | Kind.TRUNCATE:
                self._live[op.path].pending.append(op)
            case Kind.CREATE:
                # Several connections that open a log at once may each take themselves for its maker.
                if op.path not in self._live:
                    self._change_names(op, {op.path: File()})
            case Kind.UNLINK:
                self._change_names(op, {op.path: None})
            case Kind.LINK:
                self._change_names(op, {op.other: self._live[op.path]})
            case Kind.RENAME:
                self._change_names(op, {op.path: None, op.other: self._live[op.path]})

    def _change_names(self, op: Op, names: dict[str, File | None]) -> None:
        self._renamed.append(_Renaming(op, names))
        _rename(self._live, names)


def _rename(folder: dict[str, File], names: dict[str, File | None]) -> None:
    for path, file in names.items():
        if file is None:
            folder.pop(path, None)
        else:
            folder[path] = file


def _had_returned(op: Op, by_ns: int) -> bool:
    return op.ended_ns is not None and op.ended_ns <= by_ns


def _apply(content: bytearray, op: Op, rng: Random | None = None) -> None:
    """Do to `content` what `op` did; with `rng`, a hole that it leaves may hold anything."""
    if op.kind == Kind.TRUNCATE:
        del content[op.offset :]
        _grow(content, op.offset, None)
    else:
        _grow(content, op.offset, rng)
        content[op.offset : op.offset + len(op.data)] = op.data


def _tear(content: bytearray, op: Op, rng: Random) -> None:
    """Do a part of the write `op`: any of its sectors."""
    end = op.offset + len(op.data)
    if rng.random() < 0.5:
        _grow(content, end, rng)
    start = op.offset
    while start < end:
        stop = min(end, (start // SECTOR + 1) * SECTOR)
        if rng.random() < 0.5:
            _grow(content, start, rng)
            content[start:stop] = op.data[start - op.offset : stop - op.offset]
        start = stop


def _grow(content: bytearray, size: int, rng: Random | None) -> None:
    more = size - len(content)
    if more > 0:
        content += rng.randbytes(more) if rng and rng.random() < GARBAGE_SHARE else bytes(more)
