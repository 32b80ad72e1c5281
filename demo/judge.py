"""What survived: the players' notes held against the file as the crash left it, and as it is at the end.

No file is read here and no clock: `judge` only compares.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from demo.books import Books, Debit
from demo.notes import Bet, Told


class Finding(NamedTuple):
    """Something that must not be. `what` is `lost`, `twice`, or in other words."""

    what: str
    subject: str
    detail: str

    def __str__(self) -> str:
        return f"{self.what}: {self.subject}: {self.detail}"


@dataclass(frozen=True)
class Kept:
    """Of so many promises, so many are in the books."""

    promised: int
    found: int


@dataclass(frozen=True)
class Unknown:
    """Bets that were sent and not answered when the server was killed, and what became of them."""

    total: int
    written: int
    """In the file already: only the answer had not arrived."""
    placed_after: int
    """Not in it: placed after the restart, under the same bet_id."""
    refused_after: int
    open: int
    """Nobody was ever told."""


@dataclass(frozen=True)
class Verdict:
    """All figures of the report."""

    before: Kept
    """Bets that were confirmed before the kill, and those of them in the file as the crash left it."""
    settled_before: Kept
    unknown: Unknown
    in_all: Kept
    """Bets that were confirmed at any time, and those of them in the file at the end, once each."""
    settled_in_all: Kept
    refused: int
    """Bets that were refused, none of which may have cost anything."""
    balances: Kept
    """Players, and those whose balance is what they were shown last."""
    findings: tuple[Finding, ...]

    def count(self, what: str) -> int:
        """How many findings say so."""
        return sum(finding.what == what for finding in self.findings)


def judge(told: Told, crashed: Books, now: Books, killed_ns: int) -> Verdict:
    """Compare. `crashed`: the file as the crash left it; `killed_ns`: when, by the clock of the notes."""
    bets = list(told.bets.values())
    confirmed = [bet for bet in bets if bet.is_confirmed]
    before = [bet for bet in confirmed if bet.told_ns < killed_ns]
    ended = [one for one in told.settlements.values() if one.transaction_id is not None]
    ended_before = [one for one in ended if one.told_ns < killed_ns]
    lost = {
        **{bet.bet_id: "crash" for bet in before if bet.bet_id not in crashed.debits},
        **{bet.bet_id: "end" for bet in confirmed if bet.bet_id not in now.debits},
        **{one.key: "crash" for one in ended_before if one.key not in crashed.settlements},
        **{one.key: "end" for one in ended if one.key not in now.settlements},
    }
    findings = [
        *(
            Finding("lost", subject, f"acknowledged, and not in the file at the {when}")
            for subject, when in lost.items()
        ),
        *(finding for bet in bets for finding in _bet(bet, now.debits.get(bet.bet_id, []))),
        *_settlements(told, now),
        *_strangers(told, now),
        *_balances(told, now),
    ]
    return Verdict(
        before=Kept(len(before), sum(bet.bet_id in crashed.debits for bet in before)),
        settled_before=Kept(len(ended_before), sum(one.key in crashed.settlements for one in ended_before)),
        unknown=_unknown(bets, crashed, killed_ns),
        in_all=Kept(len(confirmed), sum(len(now.debits.get(bet.bet_id, [])) == 1 for bet in confirmed)),
        settled_in_all=Kept(len(ended), sum(len(now.settlements.get(one.key, [])) == 1 for one in ended)),
        refused=sum(bet.told == "bet.rejected" for bet in bets),
        balances=Kept(
            len(told.balances),
            sum(now.balances.get(user_id) == balance for user_id, balance in told.balances.items()),
        ),
        findings=tuple(findings),
    )


def _unknown(bets: list[Bet], crashed: Books, killed_ns: int) -> Unknown:
    unknown = [bet for bet in bets if bet.placed_ns < killed_ns and not 0 < bet.told_ns < killed_ns]
    written = [bet for bet in unknown if bet.bet_id in crashed.debits]
    return Unknown(
        total=len(unknown),
        written=len(written),
        placed_after=sum(bet.is_confirmed for bet in unknown if bet.bet_id not in crashed.debits),
        refused_after=sum(bet.told == "bet.rejected" for bet in unknown),
        open=sum(bet.told is None for bet in unknown),
    )


def _bet(bet: Bet, debits: list[Debit]) -> Iterator[Finding]:
    if len(debits) > 1:
        yield Finding("twice", bet.bet_id, f"paid for {len(debits)} times: {debits}")
    if bet.told is None:
        yield Finding(
            "never told", bet.bet_id, f"placed by {bet.user_id}; in the file: {debits or 'nothing'}"
        )
    for debit in debits[:1]:
        if bet.told == "bet.rejected":
            yield Finding("refused but paid for", bet.bet_id, f"{debit}")
        elif (debit.user_id, debit.amount) != (bet.user_id, -bet.stake):
            yield Finding("wrong", bet.bet_id, f"{bet.stake} by {bet.user_id}, and the file has {debit}")
        elif bet.is_confirmed and (debit.transaction_id, debit.seq) != (bet.transaction_id, bet.seq):
            yield Finding("wrong", bet.bet_id, f"told {bet.transaction_id}, {bet.seq}; the file has {debit}")


def _settlements(told: Told, now: Books) -> Iterator[Finding]:
    for key, settlement in told.settlements.items():
        booked = now.settlements.get(key, [])
        if len(booked) > 1:
            yield Finding("twice", key, f"settled {len(booked)} times: {booked}")
        if settlement.transaction_id is None and settlement.refused is None:
            yield Finding("never told", key, f"asked for; in the file: {booked or 'nothing'}")
        if booked and settlement.refused is not None:
            yield Finding("refused but booked", key, f"told {settlement.refused}, the file has {booked}")
        if booked and settlement.transaction_id not in (None, booked[0]):
            yield Finding("wrong", key, f"told {settlement.transaction_id}, the file has {booked[0]}")


def _strangers(told: Told, now: Books) -> Iterator[Finding]:
    """Only of those who noted all they did: others may play beside them."""
    for bet_id in now.debits.keys() - told.bets.keys():
        if now.debits[bet_id][0].user_id in told.players:
            yield Finding("never placed", bet_id, f"{now.debits[bet_id]}")
    for key in now.settlements.keys() - told.settlements.keys():
        yield Finding("never asked for", key, f"{now.settlements[key]}")


def _balances(told: Told, now: Books) -> Iterator[Finding]:
    for user_id in told.players - told.balances.keys():
        yield Finding("never told", f"wallet {user_id}", "its player was not shown his balance at the end")
    for user_id, balance in told.balances.items():
        if now.balances.get(user_id) != balance:
            yield Finding(
                "wrong", f"wallet {user_id}", f"shown {balance}, the file has {now.balances.get(user_id)}"
            )
