"""What was answered while the storage failed, held against the books that a restart finds."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from engine.outcomes import Code
from engine.reconcile import reconcile
from engine.verify import verify
from ws.wire.outcomes import AS_BET_REJECTED

OPENING_MINOR = 10_000

CONFIRMED = "confirmed"
"""Said of a command that was done; anything else that is said is the name of the code it was refused with."""

BINDING = {code.name for code in AS_BET_REJECTED}
"""Codes that say that nothing has moved; the others leave it open, and a restart has to tell."""


class Told(NamedTuple):
    """One answer, in the order in which they were given."""

    scope: str
    key: str
    said: str
    transaction_id: int = 0


def lies(path: Path, told: Sequence[Told]) -> Iterator[str]:
    """What was told and is not true of the books in this file, and what is wrong with the books."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        rows = connection.execute("SELECT scope, key, id FROM transactions").fetchall()
        balances = dict(connection.execute("SELECT id, balance FROM users WHERE kind = 'player'"))
        (total,) = connection.execute("SELECT sum(balance) FROM users").fetchone()
        moved = dict(
            connection.execute("SELECT user_id, sum(amount) FROM transaction_ledger GROUP BY user_id")
        )
        stakes = dict(connection.execute("SELECT user_id, sum(stake) FROM bets GROUP BY user_id"))
        payouts = dict(connection.execute("SELECT user_id, sum(payout) FROM bets GROUP BY user_id"))
    found = {(scope, key): id_ for scope, key, id_ in rows}
    if len(found) != len(rows):
        yield f"{len(rows) - len(found)} commands are in the books twice"
    by_command: dict[tuple[str, str], list[Told]] = {}
    for each in told:
        by_command.setdefault((each.scope, each.key), []).append(each)
    for command, answers in by_command.items():
        yield from _lies_of(answers, found.get(command))
    if total:
        yield f"the balances come to {total}"
    for user_id, balance in balances.items():
        expected = OPENING_MINOR - stakes.get(user_id, 0) + payouts.get(user_id, 0)
        if not balance == moved.get(user_id, 0) == expected:
            yield f"{user_id} has {balance}, his entries say {moved.get(user_id, 0)}, his bets {expected}"
        if balance < 0:
            yield f"{user_id} has {balance}"
    yield from (f"reconcile: {finding}" for finding in reconcile(path).findings)
    yield from (f"verify: {finding}" for finding in verify(path).findings)


def _lies_of(answers: Sequence[Told], found: int | None) -> Iterator[str]:
    is_done = False
    for answer in answers:
        if answer.said == CONFIRMED:
            is_done = True
            if answer.transaction_id != found:
                yield f"{answer.key} was confirmed as {answer.transaction_id}, the books have {found}"
        elif answer.said in BINDING and is_done:
            yield f"{answer.key} was confirmed, and then {answer.said}"
    if not is_done and answers[-1].said in BINDING and found is not None:
        yield f"{answers[-1].key} was told {answers[-1].said} at last, and is in the books as {found}"


def unresolved(told: Sequence[Told]) -> Mapping[tuple[str, str], str]:
    """Commands that were never confirmed, by scope and key, and what they heard at last."""
    last = {(each.scope, each.key): each.said for each in told}
    confirmed = {(each.scope, each.key) for each in told if each.said == CONFIRMED}
    return {command: said for command, said in last.items() if command not in confirmed}


UNKNOWN = Code.OUTCOME_UNKNOWN.name
