"""Bets of which nobody may say "rejected": those on their way, and those whose COMMIT ended unknown.

PROTOCOL: `bet.rejected` means that this `bet_id` has moved no money. While a copy of the bet is under way
that is not known, so a further copy that is turned away hears OUTCOME_UNKNOWN instead (docs/adr/0005).
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from engine.commands import Command, PlaceBet


class _UnderWay(msgspec.Struct, eq=False, gc=False):
    command: PlaceBet
    copies: int = 0


class Undecided:
    """Keeps count of the copies of each bet between their admission and their outcome."""

    def __init__(self) -> None:
        self._under_way: dict[str, _UnderWay] = {}
        self._doubtful: dict[str, int] = {}
        self._watched: set[str] | None = None

    def __contains__(self, command: Command) -> bool:
        return isinstance(command, PlaceBet) and (
            command.bet_id in self._under_way or command.bet_id in self._doubtful
        )

    def enter(self, command: Command) -> None:
        """A copy has been admitted."""
        if not isinstance(command, PlaceBet):
            return
        bet_id = command.bet_id
        bet = self._under_way.get(bet_id)
        if bet is None:
            bet = self._under_way[bet_id] = _UnderWay(command)
        bet.copies += 1
        if self._watched is not None:
            self._watched.add(bet_id)

    def leave(self, commands: Iterable[Command]) -> None:
        """A copy of each has its outcome."""
        for command in commands:
            if isinstance(command, PlaceBet):
                bet = self._under_way[command.bet_id]
                bet.copies -= 1
                if not bet.copies:
                    del self._under_way[command.bet_id]

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
        bet = self._under_way.get(bet_id)
        return None if bet is None else bet.command

    def watch(self, commands: Iterable[Command]) -> None:
        """Begin to note which keys are, or become, undecided while `commands` are looked up."""
        self._watched = {command.key for command in commands if command in self}

    def overtaken(self) -> set[str]:
        """End what `watch` began: for these keys, what was found out may no longer be true."""
        watched, self._watched = self._watched, None
        return watched or set()
