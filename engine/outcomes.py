"""What can be answered: outcomes are values. A rejected bet is a normal answer."""

from __future__ import annotations

from enum import Enum

import msgspec

from engine.records import Entry


class Code(Enum):
    """Why a command was refused, in order of precedence: the first that applies is the answer.

    A command that is shed is not evaluated, so whether its refusal would be RATE_LIMITED does not apply.
    Source: PROTOCOL.
    """

    INVALID_REQUEST = "INVALID_REQUEST"
    UNAUTHORIZED = "UNAUTHORIZED"
    FORBIDDEN = "FORBIDDEN"
    NOT_FOUND = "NOT_FOUND"
    IDEMPOTENCY_CONFLICT = "IDEMPOTENCY_CONFLICT"
    STALE_REQUEST = "STALE_REQUEST"
    NONCE_REUSED = "NONCE_REUSED"
    OUTCOME_UNKNOWN = "OUTCOME_UNKNOWN"
    INTERNAL = "INTERNAL"
    RATE_LIMITED = "RATE_LIMITED"
    CIRCUIT_OPEN = "CIRCUIT_OPEN"
    OVERLOADED = "OVERLOADED"
    TIMED_OUT = "TIMED_OUT"
    ACCOUNT_NOT_FOUND = "ACCOUNT_NOT_FOUND"
    ACCOUNT_BLOCKED = "ACCOUNT_BLOCKED"
    CURRENCY_MISMATCH = "CURRENCY_MISMATCH"
    BET_ROLLED_BACK = "BET_ROLLED_BACK"
    BET_CLOSED = "BET_CLOSED"
    HOLD_CLOSED = "HOLD_CLOSED"
    PAYOUT_CLOSED = "PAYOUT_CLOSED"
    LIMIT_EXCEEDED = "LIMIT_EXCEEDED"
    INSUFFICIENT_FUNDS = "INSUFFICIENT_FUNDS"


RETRYABLE = frozenset(
    {
        Code.OUTCOME_UNKNOWN,
        Code.INTERNAL,
        Code.RATE_LIMITED,
        Code.CIRCUIT_OPEN,
        Code.OVERLOADED,
        Code.TIMED_OUT,
    }
)
"""Codes after which the same `bet_id` may be sent again."""

RECORDED = frozenset(
    {
        Code.ACCOUNT_BLOCKED,
        Code.CURRENCY_MISMATCH,
        Code.BET_ROLLED_BACK,
        Code.LIMIT_EXCEEDED,
        Code.INSUFFICIENT_FUNDS,
    }
)
"""Refusals of a bet that are written down, so that a retry of the same bet stays refused."""


class Wallet(msgspec.Struct, frozen=True, gc=False):
    """A wallet as an answer shows it, in minor units. `seq` is the id of its newest ledger entry, 0 if it
    has none.
    """

    seq: int
    balance_minor: int
    held_minor: int
    available_minor: int


class BetTold(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """What a command made of a bet. `stake_minor`: the stake that it ended; `payout_minor`: what it paid, or
    took back. The three after it: the bet afterwards (see `records.LiveBet`). `before`: the transaction
    that changed the bet before this one, 0 if none did.
    """

    bet_id: str
    state: str
    stake_minor: int = 0
    payout_minor: int = 0
    total_minor: int = 0
    settled_minor: int = 0
    cashed_stake_minor: int = 0
    before: int = 0


class HoldTold(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """What a command made of a hold: `left_minor` is what is still set aside; `before` as in `BetTold`."""

    id: int
    state: str
    left_minor: int = 0
    before: int = 0


class PayoutTold(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """What a command made of a payout (see `records.Payout`). `suspends`: the numbers of the items that this
    very transaction put into suspense, and why; `before` as in `BetTold`.
    """

    id: int
    state: str
    items: int = 0
    total_minor: int = 0
    done: int = 0
    suspended: int = 0
    suspends: tuple[tuple[int, str], ...] = ()
    before: int = 0


class LimitTold(msgspec.Struct, frozen=True, gc=False):
    """What a limit of the wallet `user_id` is now (`engine.limits.NONE`: none), and from when on it will be
    `pending` (0: it stays)."""

    user_id: int
    kind: str
    period: str
    amount: int
    pending: int
    pending_from_us: int


class WalletTold(msgspec.Struct, frozen=True, gc=False):
    """The wallet that a command has opened, and whose it is."""

    user_id: int
    participant_id: int
    currency: str


class BonusTold(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """What a command made of the terms of a bonus wallet; `before` as in `BetTold`."""

    user_id: int
    state: str
    spend: str
    expires_at_us: int = 0
    before: int = 0


class FreeBetTold(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """What a command made of a free bet; `before` as in `BetTold`."""

    id: int
    state: str
    amount_minor: int
    before: int = 0


class FloorTold(msgspec.Struct, frozen=True, gc=False):
    """How far the book `user_id` may go from now on, 0 or below."""

    user_id: int
    floor_minor: int


class ArchiveTold(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """What a command made of an archive. `before_us`: what was asked for; up to which block that is,
    and to which transaction and entry. `openings` and `carried`: SHA-256 in hexadecimal; `before` as in
    `BetTold`.
    """

    id: int
    state: str
    block_id: int
    upto_transaction_id: int
    upto_entry_id: int
    before_us: int = 0
    openings: str = ""
    carried: str = ""
    before: int = 0


class Source(msgspec.Struct, frozen=True, gc=False):
    """Who paid a part of a stake, or all of it, beside the wallet that placed the bet."""

    user_id: int
    amount_minor: int


class Placed(Wallet, frozen=True, gc=False, omit_defaults=True):
    """What a bet was answered first of which the wallet itself did not pay all, as `transactions.answer`
    keeps it."""

    source: Source | None = None
    free_bet: FreeBetTold | None = None


class Answer(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """What a command other than a bet was answered first, as `transactions.answer` keeps it."""

    wallet: Wallet | None = None
    bet: BetTold | None = None
    hold: HoldTold | None = None
    payout: PayoutTold | None = None
    limit: LimitTold | None = None
    opened: WalletTold | None = None
    bonus: BonusTold | None = None
    free_bet: FreeBetTold | None = None
    floor: FloorTold | None = None
    archive: ArchiveTold | None = None


class Accepted(msgspec.Struct, frozen=True, gc=False):
    """The command's transaction is in the books, sealed by `block_id`.

    `wallet` is the state that the first answer showed, also in a replay, None where no wallet was moved;
    `entries` is empty in a replay, since nothing was posted. `at_us` is the block's time, 0 in a replay.
    `source` is who else paid for a bet, if anybody did.
    """

    transaction_id: int
    block_id: int
    wallet: Wallet | None
    replayed: bool = False
    entries: tuple[Entry, ...] = ()
    at_us: int = 0
    source: Source | None = None
    bet: BetTold | None = None
    hold: HoldTold | None = None
    payout: PayoutTold | None = None
    limit: LimitTold | None = None
    opened: WalletTold | None = None
    bonus: BonusTold | None = None
    free_bet: FreeBetTold | None = None
    floor: FloorTold | None = None
    archive: ArchiveTold | None = None


class Rejected(msgspec.Struct, frozen=True, gc=False):
    """The command did nothing. `wallet` is None where no wallet was looked at; `retry_after_us` where it
    is known.
    """

    code: Code
    wallet: Wallet | None = None
    replayed: bool = False
    retry_after_us: int | None = None
    is_archived: bool = False
    """Whether it was refused because what its key did, or the bet that it is about, is in an archive."""


Outcome = Accepted | Rejected
