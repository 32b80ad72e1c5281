"""What can be read beside the writer, as records: a wallet, a bet, an entry as its holder sees it."""

from __future__ import annotations

from typing import NamedTuple

from engine.outcomes import LimitTold


class WalletState(NamedTuple):
    """A player's wallet now; `seq` is the id of its newest entry, 0 if it has none. Amounts in minor
    units.
    """

    user_id: int
    currency: str
    status: str
    balance_minor: int
    held_minor: int
    available_minor: int
    seq: int


class ArchiveState(NamedTuple):
    """An archive now. `state`: `copying`, `moving` or `moved`; where it ends, and up to where rows are
    moved."""

    id: int
    state: str
    block_id: int
    upto_transaction_id: int
    upto_entry_id: int
    moved_transaction_id: int
    moved_entry_id: int


class WalletOf(NamedTuple):
    """A wallet of a person's, now. From `wallet_id` on: the terms of a bonus wallet, None of any other."""

    user_id: int
    participant_id: int
    kind: str
    currency: str
    status: str
    balance_minor: int
    held_minor: int
    available_minor: int
    seq: int
    wallet_id: int | None
    spend: str | None
    expires_at_us: int | None
    state: str | None


class FreeBetState(NamedTuple):
    """A bet that may be placed without paying for it. `expires_at_us`: 0 if never."""

    id: int
    amount_minor: int
    expires_at_us: int


class BetState(NamedTuple):
    """A bet that is decided. `state` is `rejected` (then with its code) or one of `bets.state`.

    A rejected bet has no transaction and no `seq`.
    """

    user_id: int
    state: str
    stake_minor: int
    payout_minor: int
    transaction_id: int | None
    seq: int | None
    code: str | None


class ItemState(NamedTuple):
    """An item of a payout that could not be paid when its turn came."""

    number: int
    user_id: int
    amount_minor: int
    reason: str
    state: str


class PayoutState(NamedTuple):
    """A mass payout now, and those of its items that are, or were, in suspense."""

    id: int
    state: str
    items: int
    total_minor: int
    done: int
    suspended: int
    in_suspense: list[ItemState]


class ListedPayout(NamedTuple):
    """A mass payout now, in a list of them. `opened_us`: the time of the block that began it."""

    id: int
    state: str
    items: int
    total_minor: int
    done: int
    suspended: int
    currency: str
    opened_us: int


class LimitState(NamedTuple):
    """A limit now, and what is used of its running window."""

    told: LimitTold
    used: int


KINDS_OF_BETS = frozenset({"BET", "WIN", "REFUND", "ROLLBACK", "UNSETTLE", "CASHOUT"})
"""Entries whose `ref_id` is a `bet_id`."""


class PostedEntry(NamedTuple):
    """One ledger entry as its holder sees it. `at_us` is its block's time."""

    id: int
    prev_id: int
    transaction_id: int
    ref_type: str
    amount_minor: int
    balance_after_minor: int
    ref_id: str
    at_us: int
