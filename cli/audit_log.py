"""`solidgreen audit-log`: what was done on behalf of the house, newest first.

Each deed is written as it is read, so a log of any length takes the same memory.
"""

from __future__ import annotations

import argparse
import contextlib
import json
from typing import Any

from cli.times import rfc3339
from engine.audit_log import all_deeds
from engine.deeds import Deed
from engine.files import check_is_ours, open_read_only
from engine.logins import name_of


def show(options: argparse.Namespace) -> int:
    """Print the deeds that were asked for."""
    check_is_ours(options.db, writing=False)
    with contextlib.closing(open_read_only(options.db)) as connection:
        deeds = all_deeds(
            connection,
            actor_id=options.actor,
            action=options.action,
            from_us=options.from_us,
            to_us=options.to_us,
        )
        names: dict[int, str | None] = {}  # as many as have ever acted for the house
        for deed in deeds:
            if deed.actor_id not in names:
                names[deed.actor_id] = name_of(connection, deed.actor_id)
            name = names[deed.actor_id]
            print(json.dumps(as_json(deed, name)) if options.json else _as_text(deed, name))
    return 0


def as_json(deed: Deed, name: str | None) -> dict[str, Any]:
    """A deed as JSON shows it; `subject` is an object of its own. `name`: what the actor is called."""
    return {
        "id": deed.id,
        "at": rfc3339(deed.at_us),
        "actor": deed.actor_id,
        "name": name,
        "role": deed.role,
        "address": deed.address,
        "door": deed.door,
        "action": deed.action,
        "subject": json.loads(deed.subject),
        "key": deed.key,
        "outcome": deed.outcome,
        "transaction_id": deed.transaction_id,
    }


def _as_text(deed: Deed, name: str | None) -> str:
    fields = [
        str(deed.id),
        rfc3339(deed.at_us),
        f"{deed.role} {deed.actor_id}" + ("" if name is None else f" {name}"),
        f"{deed.door} {deed.address}".rstrip(),
        deed.action,
        deed.outcome if deed.transaction_id is None else f"{deed.outcome} {deed.transaction_id}",
        deed.subject,
        *([] if deed.key is None else [f"key {deed.key}"]),
    ]
    return "  ".join(map(_plain, fields))


def _plain(text: str) -> str:
    """`text` without what a terminal would obey, or break the line at: keys and addresses come from
    outside."""
    return "".join(each if each.isprintable() else "?" for each in text)
