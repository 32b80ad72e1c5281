"""`solidgreen` that carries its write-ahead log over every 100 pages. It is sound, but slow: a short
recording shows as many checkpoints as a long one does with the engine's own setting.
"""

from __future__ import annotations

import sys

from cli.main import main
from engine import writer

if __name__ == "__main__":
    writer.CHECKPOINT_PAGES = 100  # type: ignore[misc]
    sys.exit(main())
