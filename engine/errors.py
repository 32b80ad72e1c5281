"""The tree of faults. A rejected bet is no fault: that is an outcome, a value (`engine/outcomes.py`).

SolidGreenError
├── FileUnusable          the file is missing, foreign, of another version, read-only or served already
│   ├── FileOutdated      of an earlier version: it can be upgraded
│   └── FileServed        by another process
├── StepsUnusable         the schema steps beside the program are not those that were released
├── ArchiveUnusable       the file of an archive is not what these books were moved into
│   └── ArchiveMissing    it is not there, and what is asked for is in it
├── HistoryBroken         entries do not continue each other, or are not what was sealed: they were touched
├── LookTooLong           a look into the file was ended at its deadline: nothing is known, ask again
└── StoreFault            while writing; each says what is known about the money
    ├── BatchAborted      rolled back before COMMIT, because of something in the batch: bisect it
    ├── BatchRefused      rolled back, because of the storage (full, locked, broken): nobody's bet has run
    └── CommitUnknown     COMMIT itself failed: only the file, read after a restart, knows
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class SolidGreenError(Exception):
    """Whatever this engine raises on purpose."""

    def __reduce__(self) -> tuple[Callable[..., SolidGreenError], tuple[Any, ...]]:
        """Pickled with the words that it has: some make theirs of what they are given."""
        return _again, (type(self), self.args, self.__dict__)


class FileUnusable(SolidGreenError):
    """The database file cannot be opened as asked. The message is one line that says what to do."""


class FileServed(FileUnusable):
    """Another process has the database file, and is the only one that may write."""


class FileOutdated(FileUnusable):
    """The file is of an earlier schema version, `version`."""

    def __init__(self, message: str, version: int) -> None:
        super().__init__(message)
        self.version = version


class StepsUnusable(SolidGreenError):
    """The schema steps beside the program are not those that were released: this installation is damaged."""


class ArchiveUnusable(SolidGreenError):
    """The file of an archive is there and is not what the books say that they were moved into. The message
    is one line that names the file, without its folder: it stands beside the books.
    """


class ArchiveMissing(ArchiveUnusable):
    """What is asked for was moved into `names`, and there is no such file."""

    def __init__(self, names: str) -> None:
        super().__init__(
            f"{names}: not there, and what is asked for may be in it; an archive stands beside its books"
        )


class HistoryBroken(SolidGreenError):
    """The entries of an account do not add up or are not all there, or rows are not what a block sealed.
    `verify` says what else is wrong.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(f"{reason}; find out more with: solidgreen verify")


class LookTooLong(SolidGreenError):
    """A look into the file took longer than it may, and was ended: a reader that lingers pins the WAL."""

    def __init__(self, within_s: float) -> None:
        super().__init__(f"it could not be looked up within {within_s:g} s")


class StoreFault(SolidGreenError):
    """A batch did not commit. `operation` is what was being done; the driver's error is the `__cause__`."""

    def __init__(self, operation: str, reason: str) -> None:
        super().__init__(f"{operation}: {reason}")
        self.operation = operation


class BatchAborted(StoreFault):
    """The batch was rolled back before COMMIT and something in it is the cause. Nothing in it has
    happened.
    """


class BatchRefused(StoreFault):
    """The storage would not take the batch and it was rolled back. Nothing in it has happened."""


class CommitUnknown(StoreFault):
    """COMMIT failed in a way that leaves open whether the batch is on disk. The store takes no money any
    more.
    """

    @property
    def has_begun(self) -> bool:
        """False for a batch that came after that one: nothing of it has happened."""
        return self.operation != "begin"


def _again(
    kind: type[SolidGreenError], arguments: tuple[Any, ...], fields: dict[str, Any]
) -> SolidGreenError:
    error = kind.__new__(kind)
    error.args = arguments
    error.__dict__.update(fields)
    return error
