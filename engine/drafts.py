"""A file that is built out of sight and appears under its name whole, or not at all.

It is built in a folder of its own beside the target, so that whatever SQLite keeps beside a database while it
is written stays in there too, and a crash leaves one thing whose name says what it is. The folder's lock,
dropped by the kernel with the process, tells a run under way from what a killed one left; the next run in the
same place removes the latter. The lock is a file of its own: on NFS it would be in the way of SQLite's locks.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from pathlib import Path
from types import TracebackType

from engine.errors import FileUnusable

UNFINISHED = ".solidgreen-unfinished"
"""Ends the folder's name: what is in such a folder is no backup and no database."""

_COPY, _LOCK = "copy.db", "lock"
_CONTENT = (_COPY, f"{_COPY}-journal", f"{_COPY}-wal", f"{_COPY}-shm", _LOCK)
_REPLAYED = ("-wal", "-journal")
_NO_HARD_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK)


class Draft:
    """The place where `target` is built. A context manager: leaving it removes whatever was not published.

    Entering raises `FileUnusable` if `target` or something that belongs to such a name exists, or if nothing
    can be made there; until then nothing has changed.
    """

    def __init__(self, target: Path) -> None:
        self.target = target
        self._folder = target.with_name(f"{target.name}{UNFINISHED}")
        self.path = self._folder / _COPY
        """The file to write; it exists, empty and readable by its owner only."""
        self._lock = -1

    def __enter__(self) -> Draft:
        refuse_to_overwrite(self.target)
        try:
            sweep(self.target.parent)
            self._folder.mkdir(mode=0o700)
            self._lock = _locked(self._folder)
            os.close(os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        except (FileExistsError, BlockingIOError) as error:
            raise FileUnusable(
                f"{self._folder}: exists already: another run is under way there, or it is not ours to remove"
            ) from error
        except OSError as error:
            self._remove()
            raise FileUnusable(f"{self.target}: cannot be made: {error.strerror}") from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._remove()

    def publish(self) -> None:
        """Give the finished file its name, for ever: synced before and after. Raises `FileUnusable` if the
        name was taken meanwhile.
        """
        try:
            sync(self.path)
            _move_unless_taken(self.path, self.target)
            try:
                sync(self.target.parent)
            except OSError:
                self.target.unlink()  # nobody is told of a name that a power cut may take back
                raise
        except FileExistsError as error:
            raise FileUnusable(f"{self.target}: exists already; it was left as it is") from error
        except OSError as error:
            raise FileUnusable(f"{self.target}: cannot be written: {error.strerror}") from error

    def publish_instead(self, other: Path) -> None:
        """Give the file the name `other`, in the target's folder, and replace what has it."""
        try:
            sync(self.path)
            self.path.replace(other)
            sync(other.parent)
        except OSError as error:
            raise FileUnusable(f"{other}: cannot be written: {error.strerror}") from error

    def _remove(self) -> None:
        if self._lock >= 0:
            _remove(self._folder)
            os.close(self._lock)
            self._lock = -1


def refuse_to_overwrite(target: Path) -> None:
    """Raise `FileUnusable` if `target` exists, or could not stand alone under its name."""
    if target.name.endswith((*_REPLAYED, "-shm")):
        raise FileUnusable(f"{target}: SQLite would take it for a part of another file; choose another name")
    try:
        if os.path.lexists(target):
            raise FileUnusable(f"{target}: exists already; it was left as it is")
        for side in _REPLAYED:
            # SQLite replays it into whatever database it finds beside it. An empty one, which a reader of a
            # stopped server's file leaves, says nothing.
            beside = target.with_name(f"{target.name}{side}")
            if os.path.lexists(beside) and beside.stat().st_size > 0:
                raise FileUnusable(f"{beside}: is left of another file; move it away, or choose another name")
    except OSError as error:
        raise FileUnusable(f"{target}: cannot be made: {error.strerror}") from error
    if not target.parent.is_dir():
        raise FileUnusable(f"{target.parent}: no such folder")


def sync(path: Path) -> None:
    """Wait until the file's content, or the folder's list of names, is on disk. Raises `OSError`."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _move_unless_taken(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError as error:
        if error.errno not in _NO_HARD_LINKS:
            raise
        # A memory stick, say. Two runs cannot meet here, the folder is locked; a stranger could.
        if os.path.lexists(target):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target)) from error
        source.rename(target)


def sweep(folder: Path) -> None:
    """Remove what killed runs left here, whatever their target was: each is as large as the file."""
    for left in folder.glob(f"*{UNFINISHED}"):
        with contextlib.suppress(OSError):  # under way, of another user, or not made by this program
            lock = _locked(left)
            try:
                _remove(left)
            finally:
                os.close(lock)


def _locked(folder: Path) -> int:
    """A descriptor that holds the folder's lock. Raises `OSError` where another process has it."""
    descriptor = os.open(folder / _LOCK, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _remove(folder: Path) -> None:
    for name in _CONTENT:
        (folder / name).unlink(missing_ok=True)
    folder.rmdir()
