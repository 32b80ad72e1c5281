"""Who is on the other side of an entry: where the money came from, or went. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from engine.commands import CLEARING_ID_BASE
from engine.snapshots import PostedEntry

NAMED_MAX: Final = 4
"""Counterparties that are named for one entry; a payout has a hundred."""


class Leg(NamedTuple):
    """One entry of a transaction, and what its holder is (`users.kind`)."""

    entry_id: int
    user_id: int
    kind: str
    amount_minor: int


class Counterparty(NamedTuple):
    """An account; `kind` as in `users`."""

    user_id: int
    kind: str

    @property
    def payout_id(self) -> int | None:
        """Whose clearing account it is; None if it is no payout's."""
        return self.user_id - CLEARING_ID_BASE if self.user_id >= CLEARING_ID_BASE else None

    def __str__(self) -> str:
        """`house`, `cash` …: there is one in each currency; `wallet 8`, `bonus wallet 9`, `payout 17`."""
        if self.payout_id is not None:
            return f"payout {self.payout_id}"
        name = {"player": "wallet", "player_bonus": "bonus wallet"}.get(self.kind)
        return self.kind if name is None else f"{name} {self.user_id}"


class Side(NamedTuple):
    """The accounts on the other side, in the order of their legs, at most `NAMED_MAX`; and whether there are
    more.
    """

    accounts: tuple[Counterparty, ...]
    has_more: bool

    def __str__(self) -> str:
        names = [*map(str, self.accounts), *(["others"] if self.has_more else [])]
        return "; ".join(names)


def other_side(legs: Iterable[Leg], entry: PostedEntry, user_id: int, *, is_whole: bool) -> Side:
    """The other accounts of the transaction whose amount has the other sign: a winner's counterparty is who
    pays him, and not the other winners.

    `legs`: those of the entry's currency, its own may be among them; not `is_whole`: only some of a long
    transaction, of which there are more if these do not make up the amount. Empty if an account has moved
    money to itself.
    """
    met: dict[Counterparty, None] = {}
    sum_minor = 0
    for leg in legs:
        if (leg.amount_minor < 0) != (entry.amount_minor < 0) and leg.user_id != user_id:
            met[Counterparty(leg.user_id, leg.kind)] = None
            sum_minor += abs(leg.amount_minor)
    has_more = len(met) > NAMED_MAX or (not is_whole and sum_minor < abs(entry.amount_minor))
    return Side(tuple(met)[:NAMED_MAX], has_more)
