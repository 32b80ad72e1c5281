"""Commands of which nobody may say "rejected": those on their way, and those whose COMMIT ended unknown.

PROTOCOL: `bet.rejected` means that this `bet_id` has moved no money. While a copy of the bet is under way
that is not known, so a further copy that is turned away hears OUTCOME_UNKNOWN instead (docs/adr/0005). So it
is with every other command, which its scope and key tell apart.
"""

from __future__ import annotations

from collections.abc import Iterable

from engine.commands import CashOutBet, Command, PlaceBet, RollBackBet, SettleBet, UnsettleBet

NOT_SAID = 0
"""The owner of a bet that was not named with it."""

Name = str | tuple[str, str]
"""What copies of one command share: a `bet_id`, or the scope and key of any other command."""


def name_of(command: Command) -> Name:
    """What this command shares with its copies, and with no other command."""
    return command.bet_id if isinstance(command, PlaceBet) else (command.scope, command.key)


class Undecided:
    """Keeps count of the copies of each command between their admission and their outcome."""

    def __init__(self) -> None:
        self._first: dict[Name, Command] = {}
        self._further: dict[Name, int] = {}  # copies beside the first one: there are hardly ever any
        self._doubtful: set[Name] = set()
        self._doubtful_bets: dict[str, int] = {}
        self._watched: set[Name] | None = None

    def __contains__(self, command: Command) -> bool:
        name = name_of(command)
        return name in self._first or name in self._doubtful

    def enter(self, command: Command) -> None:
        """A copy has been admitted."""
        name = command.bet_id if isinstance(command, PlaceBet) else name_of(command)
        if name in self._first:
            self._further[name] = self._further.get(name, 0) + 1
        else:
            self._first[name] = command
        if self._watched is not None:
            self._watched.add(name)

    def leave(self, commands: Iterable[Command]) -> None:
        """A copy of each has its outcome."""
        first, all_further = self._first, self._further
        for command in commands:
            name = command.bet_id if isinstance(command, PlaceBet) else name_of(command)
            further = all_further.pop(name, 0)
            if not further:
                del first[name]
            elif further > 1:
                all_further[name] = further - 1

    def doubt(self, commands: Iterable[Command]) -> None:
        """The COMMIT of these has ended unknown: only a restart can tell."""
        for command in commands:
            self._doubtful.add(name_of(command))
            if isinstance(command, PlaceBet):
                self._doubtful_bets[command.bet_id] = command.user_id
            elif isinstance(command, SettleBet | UnsettleBet | RollBackBet | CashOutBet):
                self._doubtful_bets.setdefault(command.bet_id, NOT_SAID)

    def doubtful(self, bet_id: str) -> int | None:
        """Whose bet this is, if a COMMIT that placed it, or made something of it, has ended unknown;
        `NOT_SAID` if nobody said.
        """
        return self._doubtful_bets.get(bet_id)

    def under_way(self, bet_id: str) -> PlaceBet | None:
        """The copy of this bet that came first of those on their way, if any."""
        command = self._first.get(bet_id)
        return command if isinstance(command, PlaceBet) else None

    def watch(self, commands: Iterable[Command]) -> None:
        """Begin to note which commands are, or become, undecided while `commands` are looked up."""
        self._watched = {name_of(command) for command in commands if command in self}

    def overtaken(self) -> set[Name]:
        """End what `watch` began: for these, what was found out may no longer be true."""
        watched, self._watched = self._watched, None
        return watched or set()
