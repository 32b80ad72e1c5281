"""The report in plain words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from demo.house import Check
from demo.judge import Kept, Verdict

WIDTH: Final = 64
FINDINGS_SHOWN: Final = 20


def report(verdict: Verdict, checks: Sequence[Check]) -> str:
    """What survived, what the books say, and whether all is well."""
    return "\n".join([*_survived(verdict), *_books(checks), *_end(verdict, checks)])


def is_well(verdict: Verdict, checks: Sequence[Check]) -> bool:
    """Whether nothing was found, and there was something to lose."""
    return not verdict.findings and not missing(verdict) and all(check.is_well for check in checks)


def missing(verdict: Verdict) -> list[str]:
    """What the run did not try, so that it proves nothing."""
    tried = {
        "no bet was confirmed before the kill": verdict.before.promised,
        "no bet was on its way when the server was killed": verdict.unknown.total,
        "no bet was confirmed after the kill": verdict.in_all.promised - verdict.before.promised,
    }
    return [what for what, count in tried.items() if not count]


def _survived(verdict: Verdict) -> Iterator[str]:
    unknown = verdict.unknown
    yield "What survived"
    yield _line("bets acknowledged before the kill", verdict.before.promised)
    yield _line("  of these in the file as the crash left it", _found(verdict.before))
    yield _line("settlements acknowledged before the kill", verdict.settled_before.promised)
    yield _line("  of these in that file", _found(verdict.settled_before))
    yield _line("bets on their way when the server was killed", unknown.total)
    if unknown.total:
        yield _line("  written already: the same answer after the restart", unknown.written)
        yield _line("  not written: placed after it, under the same bet_id", unknown.placed_after)
        if unknown.refused_after:
            yield _line("  not written, and refused after it", unknown.refused_after)
        yield _line("  never answered", unknown.open)
    yield _line("bets acknowledged in all, before and after", verdict.in_all.promised)
    yield _line("  of these in the file now, once each", _found(verdict.in_all))
    yield _line("settlements acknowledged in all", verdict.settled_in_all.promised)
    yield _line("  of these in the file now, once each", _found(verdict.settled_in_all))
    yield _line("bets refused, which cost nothing", verdict.refused)
    yield _line("players who see the balance that is in the file", f"{_found(verdict.balances)}")
    yield _line("lost", verdict.count("lost"))
    yield _line("twice", verdict.count("twice"))


def _books(checks: Sequence[Check]) -> Iterator[str]:
    yield ""
    yield "What the books say"
    for check in checks:
        for line in check.lines:
            yield f"  {check.command:10} {line}"


def _end(verdict: Verdict, checks: Sequence[Check]) -> Iterator[str]:
    yield ""
    for finding in verdict.findings[:FINDINGS_SHOWN]:
        yield f"FOUND {finding}"
    if len(verdict.findings) > FINDINGS_SHOWN:
        yield f"… and {len(verdict.findings) - FINDINGS_SHOWN} more"
    for what in missing(verdict):
        yield f"PROVES NOTHING: {what}"
    for check in checks:
        if not check.is_well:
            yield f"FOUND by {check.command}, above"
    if is_well(verdict, checks):
        yield "All is well: what was acknowledged is in the books, once."


def _line(what: str, figure: object) -> str:
    shown = f"{figure:,}" if isinstance(figure, int) else str(figure)
    return f"  {what:<{WIDTH - 12}}{shown:>12}"


def _found(kept: Kept) -> str:
    return f"{kept.found:,} {'all' if kept.found == kept.promised else f'of {kept.promised:,}'}"
