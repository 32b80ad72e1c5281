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
        for deed in deeds:
            print(json.dumps(as_json(deed)) if options.json else _as_text(deed))
    return 0


def as_json(deed: Deed) -> dict[str, Any]:
    """A deed as JSON shows it; `subject` is an object of its own."""
    return {
        "id": deed.id,
        "at": rfc3339(deed.at_us),
        "actor": deed.actor_id,
        "role": deed.role,
        "address": deed.address,
        "door": deed.door,
        "action": deed.action,
        "subject": json.loads(deed.subject),
        "key": deed.key,
        "outcome": deed.outcome,
        "transaction_id": deed.transaction_id,
    }


def _as_text(deed: Deed) -> str:
    fields = [
        str(deed.id),
        rfc3339(deed.at_us),
        f"{deed.role} {deed.actor_id}",
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
