"""What transactions change beside balances: bets, holds, bonuses, free bets, payouts. As records, as they are
after the commands decided so far. Amounts in minor units, times in microseconds.

Each row names the newest transaction that changed it: that guards its UPDATE, and is where its life can be
followed from.
"""

from __future__ import annotations

from typing import Protocol

import msgspec

Row = tuple[int | str | bytes, ...]
"""The columns of a row as a statement of `rows.py` binds them."""


class Subject(Protocol):
    """A row that transactions change. `last_transaction_id`: the newest that did, 0 if none has;
    `opening_transaction_id`: that one as it was before the batch that is being decided."""

    last_transaction_id: int
    opening_transaction_id: int

    def as_changed(self) -> Row:
        """What the row becomes, which one it is, and the transaction that it was read with."""
        ...


class LiveBet(msgspec.Struct, array_like=True, gc=False):
    """What has become of a bet, as it is after the commands decided so far."""

    bet_id: str
    transaction_id: int
    user_id: int
    currency: str
    stake_minor: int
    source_id: int = 0
    """Who paid `source_minor` of the stake beside the wallet itself: the bonus wallet, or the bonus book for
    a free bet; 0: nobody."""
    source_minor: int = 0
    free_bet_id: int = 0
    state: str = "confirmed"
    payout_minor: int = 0
    """All that was paid for it and not taken back."""
    settled_minor: int = 0
    """Of `payout_minor`, what its settlement paid; 0 while it is not settled."""
    cashed_stake_minor: int = 0
    """Of `stake_minor`, what was cashed out."""
    last_transaction_id: int = 0
    """The newest transaction that changed it; 0: none since it was placed."""
    last_block_id: int = 0
    last_answer: str = ""
    """What that transaction was answered."""
    opening_transaction_id: int = 0

    @property
    def left_minor(self) -> int:
        """The stake that is still at play while the bet is confirmed."""
        return self.stake_minor - self.cashed_stake_minor

    def as_changed(self) -> Row:
        return (
            self.state,
            self.payout_minor,
            self.settled_minor,
            self.cashed_stake_minor,
            self.last_transaction_id,
            self.transaction_id,
            self.opening_transaction_id,
        )


class Hold(msgspec.Struct, array_like=True, gc=False):
    """Money set aside, as it is after the commands decided so far. `purpose`: `hold` or `withdrawal`;
    `expires_at_us`: 0 if never.
    """

    id: int
    user_id: int
    currency: str
    purpose: str
    amount_minor: int
    expires_at_us: int
    state: str
    left_minor: int
    last_transaction_id: int
    opening_transaction_id: int = 0

    def as_made(self) -> Row:
        return self.id, self.user_id, self.currency, self.purpose, self.amount_minor, self.expires_at_us

    def as_changed(self) -> Row:
        return self.state, self.left_minor, self.last_transaction_id, self.id, self.opening_transaction_id


class Bonus(msgspec.Struct, array_like=True, gc=False):
    """The terms of a bonus wallet, as they are after the commands decided so far. `spend`: `first` or `last`;
    `expires_at_us`: 0 if never."""

    user_id: int
    """The bonus wallet."""
    wallet_id: int
    """The wallet that it is spent from."""
    spend: str
    expires_at_us: int
    state: str
    last_transaction_id: int
    opening_transaction_id: int = 0

    def as_made(self) -> Row:
        return (
            self.user_id,
            self.wallet_id,
            self.spend,
            self.expires_at_us,
            self.state,
            self.last_transaction_id,
        )

    def as_changed(self) -> Row:
        return (
            self.spend,
            self.expires_at_us,
            self.state,
            self.last_transaction_id,
            self.user_id,
            self.opening_transaction_id,
        )


class FreeBet(msgspec.Struct, array_like=True, gc=False):
    """A bet that the bonus book will pay, as it is after the commands decided so far. `expires_at_us`: 0 if
    never."""

    id: int
    user_id: int
    currency: str
    amount_minor: int
    expires_at_us: int
    state: str
    last_transaction_id: int
    opening_transaction_id: int = 0

    def as_made(self) -> Row:
        return self.id, self.user_id, self.currency, self.amount_minor, self.expires_at_us

    def as_changed(self) -> Row:
        return self.state, self.last_transaction_id, self.id, self.opening_transaction_id


class Payout(msgspec.Struct, array_like=True, gc=False):
    """A mass payout, as it is after the commands decided so far. Items are numbered from 0; those below
    `done` were paid or put into suspense; `suspended` of them are there now."""

    id: int
    caller: str
    currency: str
    state: str
    items: int
    total_minor: int
    done: int
    suspended: int
    last_transaction_id: int
    opening_transaction_id: int = 0

    def as_made(self) -> Row:
        return self.id, self.caller, self.currency

    def as_changed(self) -> Row:
        return (
            self.state,
            self.items,
            self.total_minor,
            self.done,
            self.suspended,
            self.last_transaction_id,
            self.id,
            self.opening_transaction_id,
        )


class Archive(msgspec.Struct, array_like=True, gc=False):
    """What is moved out of the file: up to the end of `block_id`, which is the transaction and the
    entry `upto`. `state`: `copying`, or `moving` once what is left behind is sealed."""

    id: int
    block_id: int
    upto_transaction_id: int
    upto_entry_id: int
    state: str
    last_transaction_id: int
    openings: bytes = bytes(32)
    carried: bytes = bytes(32)
    opening_transaction_id: int = 0

    def as_made(self) -> Row:
        return self.id, self.block_id, self.upto_transaction_id, self.upto_entry_id

    def as_changed(self) -> Row:
        return (
            self.state,
            self.openings,
            self.carried,
            self.last_transaction_id,
            self.id,
            self.opening_transaction_id,
        )


class Suspended(msgspec.Struct, array_like=True, gc=False):
    """An item that could not be paid when its turn came, and why. `state`: `suspended`, `paid` or
    `returned`."""

    payout_id: int
    number: int
    reason: str
    state: str
    last_transaction_id: int
    opening_transaction_id: int = 0

    def as_made(self) -> Row:
        return self.payout_id, self.number, self.reason

    def as_changed(self) -> Row:
        return (
            self.state,
            self.last_transaction_id,
            self.payout_id,
            self.number,
            self.opening_transaction_id,
        )
