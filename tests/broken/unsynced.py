"""`solidgreen` with `synchronous = NORMAL`: a commit returns before it is on disk, and so does its answer."""

from __future__ import annotations

import sys

from tests.broken.statements import run_with

if __name__ == "__main__":
    sys.exit(run_with("PRAGMA synchronous =", "PRAGMA synchronous = NORMAL"))
