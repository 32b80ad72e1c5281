"""`solidgreen` of a later version: its steps are in the folder that a variable names (tests/old_books.py)."""

from __future__ import annotations

import sys

from cli.main import main
from tests.old_books import know_as_told

if __name__ == "__main__":
    know_as_told()
    sys.exit(main())
