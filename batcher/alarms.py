"""What the log says unasked, so that whoever is called at night need not guess: that a book of the house
cannot pay, and that the circuit has opened.
"""

from __future__ import annotations

import logging
from typing import Final

from batcher.breaker import State, Status
from engine.commands import KINDS, CashOutBet, Command, RollBackBet, SettleBet, UnsettleBet

log = logging.getLogger("solidgreen.batcher")

QUIET_US: Final = 60_000_000
"""Between two lines of one book, or of one state of the circuit. Behind an empty house every win is refused,
and each operator hears so; and on a full disk the circuit goes to and fro each second."""

_PAID_BY: Final = {SettleBet: "house", CashOutBet: "house", RollBackBet: "house", UnsettleBet: "receivable"}
"""Whose funds are insufficient when such a command is refused for want of them."""


class FloorAlarm:
    """One line for the first command that a book at its floor could not pay, then one a minute at most."""

    def __init__(self) -> None:
        self._quiet_until_us: dict[str, int] = {}
        self._unsaid: dict[str, int] = {}

    def short_of_funds(self, command: Command, now_us: int) -> None:
        """`command` was refused with INSUFFICIENT_FUNDS. `now_us`: monotonic clock."""
        if not isinstance(command, SettleBet | CashOutBet | RollBackBet | UnsettleBet):
            return  # the player's own funds
        book = _PAID_BY[type(command)]
        if now_us < self._quiet_until_us.get(book, now_us):
            self._unsaid[book] = self._unsaid.get(book, 0) + 1
            return
        log.error(
            "the %s of bet %s was refused, like %d others that were not logged: the %s book is at its floor; "
            "top it up, then send the command again with the same key",
            KINDS[type(command)],
            command.bet_id,
            self._unsaid.pop(book, 0),
            book,
        )
        self._quiet_until_us[book] = now_us + QUIET_US


class CircuitNews:
    """One line for each change of the circuit breaker; while it goes to and fro between open and half open,
    one a minute of each at most."""

    def __init__(self) -> None:
        self._said = State.CLOSED
        self._quiet_until_us: dict[State, int] = {}

    def look(self, status: Status, now_us: int) -> None:
        """Say what has changed since it was last said. `now_us`: monotonic clock."""
        if status.state is self._said:
            return
        is_to_and_fro = State.CLOSED not in (status.state, self._said)
        if is_to_and_fro and now_us < self._quiet_until_us.get(status.state, now_us):
            return  # until then; by the next look it may have changed again
        self._said = status.state
        self._quiet_until_us[status.state] = now_us + QUIET_US
        if status.state is State.CLOSED:
            log.warning("the circuit is closed again: bets are taken")
        elif status.state is State.HALF_OPEN:
            log.warning(
                "the circuit is half open: some bets are tried, for another %d s of health",
                status.remaining_us // 1_000_000,
            )
        else:
            assert status.reason is not None
            log.error("the circuit is open, bets are refused: %s", status.reason.value)
