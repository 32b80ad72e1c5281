"""Copies of one command in one batch: what may be said of each, given what the others do. Pure.

"Rejected" says that no money has moved (PROTOCOL), so a copy that is refused must not deny what another one
does in the very commit. Copies that wait, or come later, are known to `undecided.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final, Protocol, TypeVar

from batcher.undecided import Name, name_of
from engine.actors import Actor
from engine.commands import Command, PlaceBet
from engine.deeds import is_new
from engine.outcomes import RECORDED, Accepted, Code, Outcome


class Copy(Protocol):
    """A command of a batch, when it came, and what is held against it: with an objection it is only looked
    up.
    """

    @property
    def command(self) -> Command: ...

    @property
    def arrived_us(self) -> int: ...

    @property
    def objection(self) -> Code | None: ...

    @property
    def actor(self) -> Actor | None: ...


AnyCopy = TypeVar("AnyCopy", bound=Copy)


def late(batch: Sequence[AnyCopy], is_late: Callable[[int], bool]) -> Sequence[AnyCopy]:
    """Those of `batch`, which is in order of arrival, that would be executed and are too late for it. One
    whose retry came in time is not among them: that moves the money in this very commit, so nobody may say
    that it was not. `is_late`: of a time of arrival.
    """
    if not is_late(batch[0].arrived_us):
        return ()  # the oldest is in time, so all are
    executed = [copy for copy in batch if copy.objection is None]
    in_time = {name_of(copy.command) for copy in executed if not is_late(copy.arrived_us)}
    return [copy for copy in executed if is_late(copy.arrived_us) and name_of(copy.command) not in in_time]


def overtaken(batch: Iterable[Copy], shed: Iterable[AnyCopy]) -> list[AnyCopy]:
    """Those of `shed`, to which `batch` objects, that have a copy in it which will be executed."""
    going = {name_of(copy.command) for copy in batch if copy.objection is None}
    return [copy for copy in shed if name_of(copy.command) in going]


def accepted(batch: Iterable[Copy], outcomes: Iterable[Outcome]) -> set[Name]:
    """The commands of `batch` that did what they were asked."""
    return {
        name_of(copy.command)
        for copy, outcome in zip(batch, outcomes, strict=True)
        if isinstance(outcome, Accepted)
    }


def stays(command: Command, code: Code) -> bool:
    """Whether this refusal is true whatever the copies of `command` do: it claims nothing, or was written
    down, so that they are refused as well.
    """
    return code in _CLAIM_NOTHING or (isinstance(command, PlaceBet) and code in RECORDED)


def was_written(copy: Copy, outcome: Outcome) -> bool:
    """Whether this outcome has just been written. Of refusals, only those of bets are, and what the audit log
    keeps; INTERNAL is what nothing could be written of."""
    if isinstance(outcome, Accepted):
        return not outcome.replayed
    if copy.actor is not None and outcome.code is not Code.INTERNAL:
        return is_new(copy.objection, outcome)
    return isinstance(copy.command, PlaceBet) and outcome.code in RECORDED and not outcome.replayed


_CLAIM_NOTHING: Final = frozenset(
    {
        Code.IDEMPOTENCY_CONFLICT,
        Code.STALE_REQUEST,
        Code.NONCE_REUSED,
        Code.OUTCOME_UNKNOWN,
        Code.INTERNAL,
    }
)
