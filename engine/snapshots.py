"""What can be read beside the writer, as records: a wallet, a bet, an entry as its holder sees it."""

from __future__ import annotations

from typing import NamedTuple


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
