"""`solidgreen` whose keeper of the write-ahead log has a bug that nobody foresaw."""

from __future__ import annotations

import sys

from batcher import log_keeper
from cli.main import main


def log_bytes(_: object) -> int:
    raise ZeroDivisionError("made up by a test")


if __name__ == "__main__":
    log_keeper.LOOK_EVERY_S = 0.001  # type: ignore[misc]
    log_keeper.log_bytes = log_bytes  # type: ignore[assignment]
    sys.exit(main())
