"""`solidgreen` that believes what it finds in a log which a crash has left, and does not sync it first."""

from __future__ import annotations

import sys

from tests.broken.statements import run_with

if __name__ == "__main__":
    sys.exit(run_with("PRAGMA wal_checkpoint(TRUNCATE)", "SELECT 0, 0, 0"))
