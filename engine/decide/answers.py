"""What a command is answered first, how that is kept, and how it is told again."""

from __future__ import annotations

from typing import Final

import msgspec

from engine.commands import Keyed
from engine.outcomes import (
    Accepted,
    Answer,
    ArchiveTold,
    BetTold,
    BonusTold,
    Code,
    FloorTold,
    FreeBetTold,
    HoldTold,
    LimitTold,
    Outcome,
    PayoutTold,
    Placed,
    Rejected,
    Wallet,
    WalletTold,
)
from engine.records import Account, Entry, Transaction
from engine.view import View


def wallet_of(account: Account) -> Wallet:
    """The wallet as an answer shows it."""
    balance_minor, held_minor = account.balance_minor, account.held_minor
    available_minor = balance_minor - held_minor - account.floor_minor
    return Wallet(account.last_entry_id, balance_minor, held_minor, available_minor)


def as_text(answer: Wallet | Answer) -> str:
    """An answer as `transactions.answer` keeps it: that of a bet is its wallet, any other an `Answer`."""
    return _encode(answer).decode()


def accept(
    view: View,
    kind: str,
    command: Keyed,
    mark: bytes,
    account: Account | None,
    entries: tuple[Entry, ...] = (),
    bet: BetTold | None = None,
    hold: HoldTold | None = None,
    payout: PayoutTold | None = None,
    limit: LimitTold | None = None,
    opened: WalletTold | None = None,
    bonus: BonusTold | None = None,
    free_bet: FreeBetTold | None = None,
    floor: FloorTold | None = None,
    archive: ArchiveTold | None = None,
) -> Accepted:
    """Record the transaction that has just been applied to `view`, with its answer."""
    wallet = None if account is None else wallet_of(account)
    answer = Answer(wallet, bet, hold, payout, limit, opened, bonus, free_bet, floor, archive)
    transaction_id = view.next_transaction_id
    view.record(
        Transaction(transaction_id, kind, command.scope, command.key, mark, as_text(answer), view.block_id)
    )
    return _accepted(transaction_id, view.block_id, answer, entries=entries, at_us=view.at_us)


ARCHIVED: Final = Rejected(Code.IDEMPOTENCY_CONFLICT, is_archived=True)
"""What a command is told whose key is that of one that was archived: nobody here knows whether it is
the same."""


def replay_or_conflict(known: Transaction, mark: bytes) -> Outcome:
    """The first answer of the command that `known` is, if it was the same command."""
    if known.fingerprint != mark:
        return Rejected(Code.IDEMPOTENCY_CONFLICT)
    if known.kind == "BET":
        placed = _PLACED.decode(known.answer)
        wallet = Wallet(placed.seq, placed.balance_minor, placed.held_minor, placed.available_minor)
        return Accepted(known.id, known.block_id, wallet, replayed=True, source=placed.source)
    return replay(known.id, known.block_id, known.answer)


def replay(transaction_id: int, block_id: int, text: str) -> Accepted:
    """The answer `text` of a transaction, told again."""
    return _accepted(transaction_id, block_id, _ANSWER.decode(text), replayed=True)


def _accepted(
    transaction_id: int,
    block_id: int,
    answer: Answer,
    *,
    replayed: bool = False,
    entries: tuple[Entry, ...] = (),
    at_us: int = 0,
) -> Accepted:
    return Accepted(
        transaction_id,
        block_id,
        answer.wallet,
        replayed,
        entries,
        at_us,
        None,
        answer.bet,
        answer.hold,
        answer.payout,
        answer.limit,
        answer.opened,
        answer.bonus,
        answer.free_bet,
        answer.floor,
        answer.archive,
    )


_encode = msgspec.json.Encoder().encode
_PLACED = msgspec.json.Decoder(Placed)
_ANSWER = msgspec.json.Decoder(Answer)
