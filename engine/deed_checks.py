"""What `verify` asks of the audit log: that none of it is missing, and that it says of what is in the ledger
what the ledger says.

deed         the numbers of deeds have no gap; one that names a transaction says who did it and what it did,
             under which key; whatever staff, a service account or the command line did has its deed

Plain `sqlite3`; reads only, in slices, so that no reader lingers. Of what was archived only the deeds are
counted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from engine.actors import CLI, NO_NUMBER
from engine.checks import Finding
from engine.commands import BET_SCOPE, KINDS, PlaceBet
from engine.deeds import ACTIONS
from engine.people import STAFF_ID_BASE
from engine.reader import Reader, Shape

SLICE: Final = 10_000
"""Deeds, or transactions, that are read in one go."""

_ENDS = (
    "SELECT count(*), coalesce(min(id), 1), coalesce(max(id), 0) FROM audit_log",
    Shape("count:i first:i last:i"),
)
_NAMED = (
    """
    SELECT deed.id, deed.actor, deed.action, done.scope, deed.key, done.key
    FROM audit_log AS deed JOIN transactions AS done ON done.id = deed.transaction_id
    WHERE deed.id > ? AND deed.id <= ? ORDER BY deed.id
    """,
    Shape("id:i actor:i action:t scope:t key:t? done_key:t", "audit_log"),
)
# By how many there are, not by their numbers: one that was made up may be as large as it likes.
_NEXT: Final = "SELECT max(id) FROM (SELECT id FROM {table} WHERE id > ? ORDER BY id LIMIT ?)"
_NEXT_SHAPE: Final = Shape("id:i?")
# A scope begins with the number of its caller, and the cast reads no further; that of a word is 0. Of all
# that the command line asks for, what `seed` pays in and the floors that it sets have one deed together.
_UNTOLD = (
    """
    SELECT done.id, done.scope FROM transactions AS done
    WHERE done.id > ? AND done.id <= ?
      AND (CAST(done.scope AS INTEGER) >= ?
           OR (done.scope GLOB 'cli:*' AND done.scope NOT IN ('cli:deposit', 'cli:floor')))
      AND NOT EXISTS (SELECT 1 FROM audit_log WHERE transaction_id = done.id)
      -- A file that is older than the log has it from its upgrade on.
      AND done.id > (
        SELECT coalesce(max(json_extract(subject, '$.logged_after')), 0) FROM audit_log
        WHERE action = 'schema.upgrade' AND door = 'cli')
    ORDER BY done.id
    """,
    Shape("id:i scope:t", "transactions"),
)
_KIND_OF: Final = {action: KINDS[kind] for kind, action in ACTIONS.items() if kind is not PlaceBet}


def check_deeds(reader: Reader) -> Iterator[Finding]:
    """What is wrong with the whole log, or is not in it."""
    count, first, last = reader.row(*_with(_ENDS)) or (0, 1, 0)
    if (first, last) != (1, count):
        yield {"check": "deed", "deeds": count, "last": last, "why": "some of them are missing"}
    for values in _slices(reader, "audit_log"):
        for id_, actor, action, scope, key, done_key in reader.rows(*_with(_NAMED, *values)):
            if key != done_key or scope != _scope_of(actor, action):
                why = "the transaction that it names is not its own"
                yield {"check": "deed", "deed": id_, "scope": scope, "key": done_key, "why": why}
    for values in _slices(reader, "transactions"):
        for id_, scope in reader.rows(*_with(_UNTOLD, *values, STAFF_ID_BASE)):
            yield {"check": "deed", "transaction": id_, "scope": scope, "why": "no deed says who did it"}


def _slices(reader: Reader, table: str) -> Iterator[tuple[int, int]]:
    """Behind which number and up to which one `SLICE` rows are, and so on."""
    after = 0
    while True:
        ((last,),) = reader.rows(_NEXT.format(table=table), (after, SLICE), _NEXT_SHAPE)
        if last is None:
            return
        yield after, last
        after = last


def _with(query: tuple[str, Shape], *values: int) -> tuple[str, tuple[int, ...], Shape]:
    return query[0], values, query[1]


def _scope_of(actor: int, action: str) -> str:
    """The scope of what this actor did by that action; that of no transaction if there is none."""
    if action == ACTIONS[PlaceBet]:
        return BET_SCOPE
    return f"{CLI if actor == NO_NUMBER else actor}:{_KIND_OF.get(action, '')}"
