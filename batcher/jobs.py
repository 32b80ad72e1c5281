"""One command on its way, and who wants its outcome."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple, Protocol

from engine.commands import Command
from engine.outcomes import Accepted, Outcome
from engine.store import Asked


class Asker(Protocol):
    """Whoever wants the outcome of a command. Called on the event loop; must neither block nor raise."""

    def answer(self, request_id: str, command: Command, outcome: Outcome) -> None:
        """`outcome` is final: what it says moved is on disk."""
        ...


class Waiting:
    """Who awaits the outcome of one command. Make it in the running loop."""

    def __init__(self, traceparent: str | None = None) -> None:
        """`traceparent`: of which trace the command is a part, if any (ws/watching/traces.py)."""
        self.traceparent = traceparent
        self.outcome: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()

    def answer(self, request_id: str, command: Command, outcome: Outcome) -> None:
        """It has its outcome, unless whoever waits for it has gone."""
        if not self.outcome.done():
            self.outcome.set_result(outcome)


Ask = Callable[[Command], Awaitable[Outcome]]
"""Has a command executed, and gives its outcome."""

Posted = Callable[[Accepted, Asker], None]
"""Told of each newly accepted command after its asker: the entries are for the other sockets of their
wallets.
"""


class Job(Asked, kw_only=True):
    """One command on its way."""

    asker: Asker
    request_id: str
    arrived_us: int
    is_bet: bool
    """Whether it is new money at stake, and not what is owed for a bet that stands."""
    is_probe: bool = False


class Answered(NamedTuple):
    """A batch, or a part of one, whose commands have all been told; times as in `Job.arrived_us`."""

    jobs: Sequence[Job]
    outcomes: Sequence[Outcome]
    closed_us: int
    """When the batch took no more commands."""
    began_us: int
    """When the writer came to it; where nothing was to be written, when it was closed."""
    committed_us: int
    told_us: int
