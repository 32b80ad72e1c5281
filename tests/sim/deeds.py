"""The audit log, held against what operators asked for and what they were told.

What was done is there exactly once. Of what was refused each answer is there: as often as somebody heard it,
and never more deeds of a command than copies of it have arrived (a connection that is lost may have taken an
answer with it)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final

from tests.sim.evidence import KINDS, Copy, Evidence, Finding
from tests.sim.rows import Deed

ACCEPTED: Final = "accepted"

SAID_BY_THE_BOOKS: Final = frozenset(
    {
        *("NOT_FOUND", "ACCOUNT_NOT_FOUND", "ACCOUNT_BLOCKED", "CURRENCY_MISMATCH", "BET_ROLLED_BACK"),
        *("BET_CLOSED", "HOLD_CLOSED", "PAYOUT_CLOSED", "LIMIT_EXCEEDED", "INSUFFICIENT_FUNDS"),
    }
)
"""Codes that an operator's command gets only by being decided; any other may also be that of one turned
away."""

What = tuple[int, str, str | None]
"""Who, what, and under which key."""


def check_deeds(deeds: Sequence[Deed], evidence: Evidence) -> None:
    """Raise a `Finding` unless the log is what operators did."""
    if [deed.id for deed in deeds] != list(range(1, len(deeds) + 1)):
        raise Finding(f"a deed is missing: {len(deeds)} of them, up to {deeds[-1].id}")
    asked = [
        copy
        for copy in evidence.copies.values()
        if copy.role == "operator" and copy.arrived_us is not None and _is_deed(copy)
    ]
    _check_done(deeds, asked, evidence)
    _check_refused(deeds, asked)


def _is_deed(copy: Copy) -> bool:
    return copy.body["type"] in KINDS or copy.body["type"] == "clock.confirm"


def _what(copy: Copy) -> What:
    return copy.user_id, copy.body["type"], copy.body.get("key")


def _check_done(deeds: Iterable[Deed], asked: Iterable[Copy], evidence: Evidence) -> None:
    named = {deed.transaction_id: deed for deed in deeds if deed.transaction_id is not None}
    names = {name: copy for copy in asked if (name := copy.name) is not None}
    done = {name: evidence.transactions[name][0] for name in names if name in evidence.transactions}
    for name, transaction in done.items():
        deed = named.pop(transaction.id, None)
        if deed is None:
            raise Finding(f"{transaction} is in the books, and no deed says who did it")
        if (deed.actor, deed.action, deed.key) != _what(names[name]) or not deed.address:
            raise Finding(f"{names[name].body} was done, and the audit log says {deed}")
    if named:
        raise Finding(f"a deed that nobody asked for: {next(iter(named.values()))}")


def _check_refused(deeds: Sequence[Deed], asked: Sequence[Copy]) -> None:
    arrived = Counter(_what(copy) for copy in asked)
    told = Counter((deed.actor, deed.action, deed.key) for deed in deeds)
    for what, count in told.items():
        if count > arrived[what]:
            raise Finding(f"{count} deeds of {what}, which was asked for {arrived[what]} times")
    written = Counter((deed.actor, deed.action, deed.key, deed.outcome) for deed in deeds)
    heard = Counter((*_what(copy), outcome) for copy in asked if (outcome := _heard(copy)) is not None)
    for answer, count in heard.items():
        if written[answer] < count:
            *asked_for, outcome = answer
            raise Finding(
                f"{asked_for} was told {outcome} {count} times, and the audit log has it less often"
            )


def _heard(copy: Copy) -> str | None:
    """The outcome that the log must have of it; None if it need not have one: it was not told, or turned
    away, or told of before."""
    if copy.answer is None:
        return None
    if copy.answer["type"] == "clock":
        return ACCEPTED
    code = copy.answer.get("code")
    return code if code in SAID_BY_THE_BOOKS else None
