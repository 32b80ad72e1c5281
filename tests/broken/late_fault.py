"""`solidgreen` whose last COMMIT, which nobody waits for any more, fails while the file is being closed."""

from __future__ import annotations

import sys

from cli.main import main
from engine.store import Store

_close = Store.close


async def close(self: Store) -> None:
    self._on_writer.failure = "COMMIT failed: made up by a test"
    await _close(self)


if __name__ == "__main__":
    Store.close = close  # type: ignore[method-assign]
    sys.exit(main())
