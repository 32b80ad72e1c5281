"""What a client raises, and what it returns beside the server's own messages. Pure.

    ClientError
    ├── Refused           the server's answer is no, and asking the same again would be answered the same
    ├── Unresolved        no final answer in the time that the caller gave it
    └── GivenUp           the client has ended, and will not connect again
        └── NotAuthenticated    no token is taken

A rejected bet is none of these: it is a normal answer, and returned.
"""

from __future__ import annotations

from typing import NamedTuple

from ws.wire.fields import Reply
from ws.wire.messages import Error


class ClientError(Exception):
    """Whatever a client raises on its own account."""


class Refused(ClientError):
    """The server's `error`, which is final. Of a bet it says that *this* asking was refused, and no more."""

    def __init__(self, error: Error) -> None:
        super().__init__(f"{error.code}: {error.message}")
        self.error = error
        self.code = error.code


class Unresolved(ClientError):
    """No final answer came in time. `bet_id`: of the bet, to be given to `resolve`; None: it was no bet, and
    can be asked again, a move with the same `key`. `was_sent`: False if it surely never left, so that nothing
    can come of it. `last`: the newest answer that was not final, if there was one."""

    def __init__(self, what: str, bet_id: str | None, *, was_sent: bool, last: Reply | None) -> None:
        super().__init__(f"no final answer in time: {what}")
        self.bet_id = bet_id
        self.was_sent = was_sent
        self.last = last


class GivenUp(ClientError):
    """The client has ended: its socket could not be opened, or must not be opened again."""


class NotAuthenticated(GivenUp):
    """The server takes no token that it was shown."""


class NotPlaced(NamedTuple):
    """What became of a bet: nothing, and nothing will. No wallet has paid for it."""

    bet_id: str


class Gap(NamedTuple):
    """In a stream of entries: between these two, some were archived and are not told. The balance is right
    all the same. `after_seq`: the entry before them; `upto_seq`: the newest that may be missing."""

    after_seq: int
    upto_seq: int
