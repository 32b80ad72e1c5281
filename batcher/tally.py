"""What was answered, and how long it took, counted since the start: for whoever watches, never for money.

Written on the event loop, where a count costs some tens of nanoseconds; read when `/metrics` is asked for.
Nothing is kept by user, wallet or socket.
"""

from __future__ import annotations

from collections import Counter
from typing import Final

from batcher.jobs import Job
from engine.commands import KINDS, PlaceBet
from engine.histograms import SIZES, Histogram
from engine.outcomes import Code, Outcome, Rejected

DONE: Final = "done"
REPLAYED: Final = "replayed"
"""How a command other than a bet ended that was not refused: now, or before."""


class Tally:
    """One server's counts."""

    def __init__(self) -> None:
        self.confirmed = 0
        """Bets that were told that they stand and had not been told before: rows of `bets` in the file, but
        for those of which a COMMIT ended unknown."""
        self.replayed = 0
        """Bets that were told so again."""
        self.refused: Counter[Code] = Counter()
        """Bets that were refused, whoever said why."""
        self.others: Counter[tuple[str, str]] = Counter()
        """Commands that are no bets, by kind (`engine.commands.KINDS`), and `DONE`, `REPLAYED` or a code."""
        self.waits = Histogram()
        """Of bets that a batch has answered: microseconds from their arrival until all of it were told."""
        self.batches = Histogram(SIZES)
        """Commands of each batch that came to its end."""
        self.claims = Histogram()
        """Microseconds that a batch with bets waited for the nonce guard: of Redis, its round trip."""
        self.nonces_reused = 0
        self.nonces_shed = 0
        """Claims that were turned away: held by another bet, or no room to remember them."""
        self.looks_failed = 0
        """Requests of sockets that only read and could not be answered, since the file could not be read."""
        self.lateness = Histogram()
        """By how many microseconds the event loop was late for a timer, looked at ten times a second."""

    @property
    def bets(self) -> int:
        """Bets that were answered."""
        return self.confirmed + self.replayed + self.refused.total()

    def told(self, job: Job, outcome: Outcome) -> None:
        """One command has its answer."""
        if not job.is_bet:
            self._other_told(job, outcome)
        elif isinstance(outcome, Rejected):
            self.refused[outcome.code] += 1
        elif outcome.replayed:
            self.replayed += 1
        else:
            self.confirmed += 1

    def _other_told(self, job: Job, outcome: Outcome) -> None:
        assert not isinstance(job.command, PlaceBet)
        kind = KINDS[type(job.command)]
        if isinstance(outcome, Rejected):
            self.others[kind, outcome.code.name] += 1
        else:
            self.others[kind, REPLAYED if outcome.replayed else DONE] += 1
