"""`solidgreen` that knows no bet again: what makes one idempotent is gone, in program and schema.

Serves only files that it has seeded.
"""

from __future__ import annotations

import sys
from functools import partial
from typing import Any

from cli.main import main
from engine import files
from engine.commands import Command, PlaceBet
from engine.decide import decide
from engine.outcomes import Outcome
from engine.store import Store
from engine.view import View

GUARDS = (
    "    UNIQUE (scope, key),\n",
    "\n  OR EXISTS (SELECT 1 FROM transactions WHERE scope = NEW.scope AND key = NEW.key)",
)
"""The rules that take no second transaction under a key. With the first goes the index by key."""

_schema_sql = files.schema_sql


def schema_sql() -> str:
    """The schema without its guards."""
    text = _schema_sql()
    for guard in GUARDS:
        assert text.count(guard) == 1, f"what is broken here has changed: {guard}"
        text = text.replace(guard, "")
    return text + "CREATE INDEX keys_of_transactions ON transactions (scope, key);\n"


def decide_anew(view: View, command: Command, *arguments: Any) -> Outcome:
    """Decide as if the key of a bet had never been seen."""
    if isinstance(command, PlaceBet):
        view.transactions.pop((command.scope, command.key), None)
    return decide(view, command, *arguments)


if __name__ == "__main__":
    files.schema_sql = schema_sql
    Store.open = partial(Store.open, decide=decide_anew)  # type: ignore[method-assign]
    sys.exit(main())
