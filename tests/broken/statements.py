"""`solidgreen` whose writing connection executes something else in the place of some statements."""

from __future__ import annotations

import sqlite3
from functools import partial
from typing import Any

from cli.main import main
from engine.store import Store


def run_with(asked: str, instead: str) -> int:
    """Run the command line so, and return its exit status. `asked`: how the statements begin."""

    class Altered(sqlite3.Connection):
        def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
            return super().execute(instead if sql.startswith(asked) else sql, *parameters)

    Store.open = partial(Store.open, connection_factory=Altered)  # type: ignore[method-assign]
    return main()
