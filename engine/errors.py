"""The tree of faults. A rejected bet is no fault: that is an outcome, a value (`engine/outcomes.py`).

SolidGreenError
├── FileUnusable          the file is missing, foreign, of another version, read-only or served already
├── HistoryBroken         entries do not continue each other, or are not what was sealed: they were touched
└── StoreFault            while writing; each says what is known about the money
    ├── BatchAborted      rolled back before COMMIT, because of something in the batch: bisect it
    ├── BatchRefused      rolled back, because of the storage (full, locked): nobody's bet has run
    └── CommitUnknown     COMMIT itself failed: only the file, read after a restart, knows
"""

from __future__ import annotations


class SolidGreenError(Exception):
    """Whatever this engine raises on purpose."""


class FileUnusable(SolidGreenError):
    """The database file cannot be opened as asked. The message is one line that says what to do."""


class HistoryBroken(SolidGreenError):
    """The entries of an account do not add up or are not all there, or rows are not what a block sealed.
    `verify` says what else is wrong.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(f"{reason}; find out more with: solidgreen verify")


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
