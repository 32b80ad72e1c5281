"""`solidgreen` whose access tokens live for two seconds, so that a test can see one end."""

from __future__ import annotations

import sys

from engine import people

people.ACCESS_LIFE_S = 2  # type: ignore[misc]

from cli.main import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(main())
