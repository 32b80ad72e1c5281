"""Bets of which nobody may say "rejected": those on their way, and those whose COMMIT ended unknown.

PROTOCOL: `bet.rejected` means that this `bet_id` has moved no money. While a copy of the bet is under way
that is not known, so a further copy that is turned away hears OUTCOME_UNKNOWN instead (docs/adr/0005).
"""

from __future__ import annotations

from collections.abc import Iterable

from engine.commands import Command, PlaceBet


class Undecided:
    """Keeps count of the copies of each bet between their admission and their outcome."""

    def __init__(self) -> None:
        self._first: dict[str, PlaceBet] = {}
        self._further: dict[str, int] = {}  # copies beside the first one: there are hardly ever any
        self._doubtful: dict[str, int] = {}
        self._watched: set[str] | None = None

    def __contains__(self, command: Command) -> bool:
        return isinstance(command, PlaceBet) and (
            command.bet_id in self._first or command.bet_id in self._doubtful
        )

    def enter(self, command: Command) -> None:
        """A copy has been admitted."""
        if not isinstance(command, PlaceBet):
            return
        bet_id = command.bet_id
        if bet_id in self._first:
            self._further[bet_id] = self._further.get(bet_id, 0) + 1
        else:
            self._first[bet_id] = command
        if self._watched is not None:
            self._watched.add(bet_id)

    def leave(self, commands: Iterable[Command]) -> None:
        """A copy of each has its outcome."""
        for command in commands:
            if not isinstance(command, PlaceBet):
                continue
            bet_id = command.bet_id
            further = self._further.pop(bet_id, 0)
            if not further:
                del self._first[bet_id]
            elif further > 1:
                self._further[bet_id] = further - 1

    def doubt(self, commands: Iterable[Command]) -> None:
        """The COMMIT of these has ended unknown: only a restart can tell."""
        self._doubtful |= {
            command.bet_id: command.user_id for command in commands if isinstance(command, PlaceBet)
        }

    def doubtful(self, bet_id: str) -> int | None:
        """Whose bet this is, if its COMMIT has ended unknown."""
        return self._doubtful.get(bet_id)

    def under_way(self, bet_id: str) -> PlaceBet | None:
        """The copy that came first of those on their way, if any."""
        return self._first.get(bet_id)

    def watch(self, commands: Iterable[Command]) -> None:
        """Begin to note which keys are, or become, undecided while `commands` are looked up."""
        self._watched = {command.key for command in commands if command in self}

    def overtaken(self) -> set[str]:
        """End what `watch` began: for these keys, what was found out may no longer be true."""
        watched, self._watched = self._watched, None
        return watched or set()
