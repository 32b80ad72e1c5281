"""How an outcome is told: by which reply, with which code, in which words. Pure."""

from __future__ import annotations

from msgspec import UNSET, UnsetType

from engine.commands import Command, PlaceBet
from engine.outcomes import RETRYABLE, Accepted, Code, Outcome
from engine.records import Entry
from engine.snapshots import KINDS_OF_BETS, PostedEntry
from ws.wire.archives import archive_begun
from ws.wire.books import book_changed
from ws.wire.fields import Reply
from ws.wire.limits import limit_changed
from ws.wire.messages import BetConfirmed, BetRejected, Error, WalletEntry
from ws.wire.operators import moved, why_refused
from ws.wire.payouts import payout_moved
from ws.wire.wallets import bonus_granted, free_bet_changed, wallet_opened

AS_BET_REJECTED = frozenset(
    {
        Code.RATE_LIMITED,
        Code.CIRCUIT_OPEN,
        Code.OVERLOADED,
        Code.TIMED_OUT,
        Code.ACCOUNT_NOT_FOUND,
        Code.ACCOUNT_BLOCKED,
        Code.CURRENCY_MISMATCH,
        Code.BET_ROLLED_BACK,
        Code.BET_CLOSED,
        Code.LIMIT_EXCEEDED,
        Code.INSUFFICIENT_FUNDS,
    }
)
"""Codes that say of a bet that it moved no money; the others are an `error`, which says nothing about it."""

WORDS: dict[Code, str] = {
    Code.INVALID_REQUEST: "the request is not one of this protocol",
    Code.UNAUTHORIZED: "authenticate first",
    Code.FORBIDDEN: "this role may not do that",
    Code.NOT_FOUND: "no such thing is known here",
    Code.IDEMPOTENCY_CONFLICT: "this bet_id or key was used before for another request",
    Code.STALE_REQUEST: "sent_at is more than 80 s behind or 10 s ahead of the server's time; send it anew",
    Code.NONCE_REUSED: "this nonce was used for another bet",
    Code.OUTCOME_UNKNOWN: "whether this took place is not known now; ask with bet.get, or send it again",
    Code.INTERNAL: "something went wrong here; send the same again",
    Code.RATE_LIMITED: "too many at a time; send the same again later",
    Code.CIRCUIT_OPEN: "no money is moved at the moment; send the same again later",
    Code.OVERLOADED: "too much is going on; send the same again later",
    Code.TIMED_OUT: "it waited past its deadline and was not executed; send the same again",
    Code.ACCOUNT_NOT_FOUND: "there is no such wallet",
    Code.ACCOUNT_BLOCKED: "this wallet is blocked or closed",
    Code.CURRENCY_MISMATCH: "this wallet is kept in another currency",
    Code.BET_ROLLED_BACK: "this bet was rolled back",
    Code.BET_CLOSED: "the state of this bet does not allow it",
    Code.PAYOUT_CLOSED: "this payout, or this item of it, does not wait for that",
    Code.HOLD_CLOSED: "this hold was captured, released or has expired",
    Code.LIMIT_EXCEEDED: "a limit of this wallet does not allow it",
    Code.INSUFFICIENT_FUNDS: "the available balance does not cover it",
}
"""What each code means, for people. The code is the contract; the words may change."""

ARCHIVED_WORDS: dict[Code, str] = {
    Code.IDEMPOTENCY_CONFLICT: (
        "this bet_id or key was used by a command that is archived, and nothing happens twice; of a bet, ask "
        "with bet.get"
    ),
    Code.BET_CLOSED: "this bet is archived: it is over, and stays as it is",
}
"""The same where it is because of an archive."""

NO_FREE_BET = "this free bet does not pay this bet: not this wallet's, not open, or of another amount"
"""What `INSUFFICIENT_FUNDS` means for a bet that a free bet was to pay."""


def bet_answer(request_id: str, command: PlaceBet, outcome: Outcome) -> Reply:
    """The message that tells a bet's outcome."""
    if isinstance(outcome, Accepted):
        wallet = outcome.wallet
        assert wallet is not None
        return BetConfirmed(
            request_id,
            command.bet_id,
            command.stake_minor,
            outcome.transaction_id,
            outcome.block_id,
            wallet.seq,
            wallet.balance_minor,
            wallet.held_minor,
            wallet.available_minor,
            outcome.replayed,
            UNSET if outcome.source is None else outcome.source.amount_minor,
        )
    code = outcome.code
    if code not in AS_BET_REJECTED:
        return error(request_id, code, ARCHIVED_WORDS[code] if outcome.is_archived else None)
    shown = outcome.wallet
    is_unpaid = code is Code.INSUFFICIENT_FUNDS and command.free_bet_id is not None
    return BetRejected(
        request_id,
        command.bet_id,
        code.name,
        NO_FREE_BET if is_unpaid else WORDS[code],
        code in RETRYABLE,
        outcome.replayed,
        balance=UNSET if shown is None else shown.balance_minor,
        held=UNSET if shown is None else shown.held_minor,
        available=UNSET if shown is None else shown.available_minor,
        retry_after_ms=_or_unset(outcome.retry_after_us),
    )


def answer(request_id: str, command: Command, outcome: Outcome) -> Reply:
    """The message that tells the outcome of any command."""
    if isinstance(command, PlaceBet):
        return bet_answer(request_id, command, outcome)
    if isinstance(outcome, Accepted):
        if outcome.payout is not None:
            return payout_moved(request_id, outcome, outcome.payout)
        if outcome.limit is not None:
            return limit_changed(request_id, outcome, outcome.limit)
        if outcome.opened is not None:
            return wallet_opened(request_id, outcome, outcome.opened)
        if outcome.bonus is not None:
            return bonus_granted(request_id, outcome, outcome.bonus)
        if outcome.archive is not None:
            return archive_begun(request_id, outcome, outcome.archive)
        if outcome.floor is not None:
            return book_changed(request_id, outcome, outcome.floor)
        if outcome.free_bet is not None and outcome.bet is None:
            return free_bet_changed(request_id, outcome, outcome.free_bet)
        return moved(request_id, command, outcome)
    words = ARCHIVED_WORDS.get(outcome.code) if outcome.is_archived else None
    refused = error(request_id, outcome.code, words or why_refused(command, outcome.code))
    refused.retry_after_ms = _or_unset(outcome.retry_after_us)
    return refused


def in_ms(wait_us: int | None) -> int | None:
    """A wait as the wire shows it, rounded up: who comes back a little early would be turned away again."""
    return None if wait_us is None else -(-wait_us // 1000)


def _or_unset(wait_us: int | None) -> int | UnsetType:
    wait_ms = in_ms(wait_us)
    return UNSET if wait_ms is None else wait_ms


def error(request_id: str | None, code: Code, message: str | None = None) -> Error:
    """An `error`, in `message`'s words or in the code's own."""
    return Error(request_id, code.name, message or WORDS[code], code in RETRYABLE)


def wallet_entry(entry: Entry | PostedEntry, at_us: int) -> WalletEntry:
    """An entry of a block of time `at_us`, as a push to the wallet's sockets or a reply to `resume`."""
    return WalletEntry(
        seq=entry.id,
        prev_seq=entry.prev_id,
        transaction_id=entry.transaction_id,
        kind=entry.ref_type,
        amount=entry.amount_minor,
        balance=entry.balance_after_minor,
        at=at_us // 1000,
        bet_id=entry.ref_id if entry.ref_type in KINDS_OF_BETS else UNSET,
    )
