"""`solidgreen` of a later version: its steps are in the folder that a variable names (tests/old_books.py)."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from old_books import know_as_told

from cli.main import main

if __name__ == "__main__":
    know_as_told()
    sys.exit(main())
