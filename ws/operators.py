"""What only operators may ask for: the messages, the commands that they become, the replies. Pure.

`bet.*` are PROTOCOL's; the others bring its HTTP routes (deposits, withdrawals, transfers, holds) to the
socket, and are described in docs/wire.md.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from engine import commands
from engine.commands import Keyed, Leg, Result
from engine.decide.cash import LEGS_MAX
from engine.decide.payouts import ITEMS_MAX
from engine.money import WIRE_MAX_MINOR
from engine.outcomes import Accepted, Code
from ws.fields import (
    Amount,
    BetId,
    CurrencyCode,
    Id,
    Key,
    Natural,
    Reply,
    Request,
    SignedAmount,
    Stake,
    TransactionId,
    UserId,
)


class Move(Request):
    """A request that moves money, or sets it aside, under an idempotency key of its sender's."""

    id: Id
    key: Key


class BetSettle(Move, tag="bet.settle"):
    bet_id: BetId
    result: Result
    payout: Natural | None = None


class BetUnsettle(Move, tag="bet.unsettle"):
    bet_id: BetId


class BetRollback(Move, tag="bet.rollback"):
    bet_id: BetId
    user_id: UserId | None = None
    stake: Stake | None = None
    currency: CurrencyCode | None = None


class BetCashout(Move, tag="bet.cashout"):
    bet_id: BetId
    stake: Stake
    payout: Natural


class WalletDeposit(Move, tag="wallet.deposit"):
    user_id: UserId
    amount: Amount


class WalletWithdraw(Move, tag="wallet.withdraw"):
    user_id: UserId
    amount: Amount
    for_approval: bool = False


class WalletHold(Move, tag="wallet.hold"):
    user_id: UserId
    amount: Amount
    expires_at: Natural | None = None


class HoldCapture(Move, tag="hold.capture"):
    hold_id: TransactionId
    amount: Amount | None = None


class HoldRelease(Move, tag="hold.release"):
    hold_id: TransactionId


class TransferLeg(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """One posting of a transfer: what this account gets (above 0) or gives (below 0)."""

    user_id: UserId
    amount: SignedAmount
    name: Literal["TRANSFER", "FEE", "TAX"] = "TRANSFER"


class WalletTransfer(Move, tag="wallet.transfer"):
    # Bounded here too: `decide` would refuse more, but only after every account of them was looked up.
    legs: Annotated[list[TransferLeg], Meta(min_length=2, max_length=LEGS_MAX)]


class WalletStatus(Move, tag="wallet.status"):
    user_id: UserId
    status: Literal["open", "blocked", "closed"]


class BetMoved(Reply):
    """What became of a bet. `payout`: what was paid, or taken back; `stake`: the part of the stake that this
    ended. From `seq` on it is the player's wallet, absent where the bet was never seen.
    """

    id: str
    bet_id: str
    state: str
    stake: int
    payout: int
    transaction_id: int
    block: int
    replayed: bool
    seq: int | UnsetType = UNSET
    balance: int | UnsetType = UNSET
    held: int | UnsetType = UNSET
    available: int | UnsetType = UNSET


class BetSettled(BetMoved, tag="bet.settled"):
    pass


class BetUnsettled(BetMoved, tag="bet.unsettled"):
    pass


class BetRolledBack(BetMoved, tag="bet.rolled_back"):
    pass


class BetCashedOut(BetMoved, tag="bet.cashed_out"):
    pass


class WalletMoved(Reply, tag="wallet.moved"):
    """Money has moved, or was set aside: the wallet afterwards, and the hold if there is one."""

    id: str
    transaction_id: int
    block: int
    replayed: bool
    seq: int | UnsetType = UNSET
    balance: int | UnsetType = UNSET
    held: int | UnsetType = UNSET
    available: int | UnsetType = UNSET
    hold_id: int | UnsetType = UNSET
    hold_state: str | UnsetType = UNSET
    hold_left: int | UnsetType = UNSET


def to_keyed(request: Move, caller: str) -> Keyed:
    """The command that `request` asks for. `caller`: whose keys these are."""
    own = {"key": request.key, "caller": caller}
    match request:
        case BetSettle():
            return commands.SettleBet(request.bet_id, request.result, request.payout, **own)
        case BetUnsettle():
            return commands.UnsettleBet(request.bet_id, **own)
        case BetRollback():
            return commands.RollBackBet(
                request.bet_id, request.user_id, request.stake, request.currency, **own
            )
        case BetCashout():
            return commands.CashOutBet(request.bet_id, request.stake, request.payout, **own)
        case WalletDeposit():
            return commands.Deposit(request.user_id, request.amount, **own)
        case WalletWithdraw():
            return commands.Withdraw(request.user_id, request.amount, request.for_approval, **own)
        case WalletHold():
            expires_at_us = None if request.expires_at is None else request.expires_at * 1000
            return commands.PlaceHold(request.user_id, request.amount, expires_at_us, **own)
        case HoldCapture():
            return commands.CaptureHold(request.hold_id, request.amount, **own)
        case HoldRelease():
            return commands.ReleaseHold(request.hold_id, **own)
        case WalletTransfer():
            legs = tuple(Leg(leg.user_id, leg.amount, leg.name) for leg in request.legs)
            return commands.Transfer(legs, **own)
        case WalletStatus():
            return commands.SetStatus(request.user_id, request.status, **own)
    raise AssertionError(f"{type(request).__name__} asks for no command")


def moved(request_id: str, command: Keyed, accepted: Accepted) -> Reply:
    """The message that tells what a command has done."""
    reply: BetMoved | WalletMoved
    if accepted.bet is not None:
        bet = accepted.bet
        reply = _BET_MOVED[type(command)](
            request_id,
            bet.bet_id,
            bet.state,
            bet.stake_minor,
            bet.payout_minor,
            accepted.transaction_id,
            accepted.block_id,
            accepted.replayed,
        )
    else:
        reply = WalletMoved(request_id, accepted.transaction_id, accepted.block_id, accepted.replayed)
        if accepted.hold is not None:
            reply.hold_id = accepted.hold.id
            reply.hold_state = accepted.hold.state
            reply.hold_left = accepted.hold.left_minor
    if accepted.wallet is not None:
        reply.seq = accepted.wallet.seq
        reply.balance = accepted.wallet.balance_minor
        reply.held = accepted.wallet.held_minor
        reply.available = accepted.wallet.available_minor
    return reply


def why_refused(command: Keyed, code: Code) -> str | None:
    """What is wrong with a request that only the books could tell; None if the code says it all."""
    return _WHY_REFUSED.get((type(command), code))


_BET_MOVED: dict[type[Keyed], type[BetMoved]] = {
    commands.SettleBet: BetSettled,
    commands.UnsettleBet: BetUnsettled,
    commands.RollBackBet: BetRolledBack,
    commands.CashOutBet: BetCashedOut,
}

_WHY_REFUSED: dict[tuple[type[Keyed], Code], str] = {
    (commands.SettleBet, Code.INVALID_REQUEST): (
        "payout: a won bet says what it pays; a void one pays the stake that is left, or leaves it out"
    ),
    (commands.CashOutBet, Code.INVALID_REQUEST): "stake: more than is left of this bet",
    (commands.Exclude, Code.INVALID_REQUEST): "until: expected a time that is to come",
    (commands.PlaceHold, Code.INVALID_REQUEST): "expires_at: expected a time that is to come",
    (commands.CaptureHold, Code.INSUFFICIENT_FUNDS): "amount: more than is left of this hold",
    (commands.Transfer, Code.INVALID_REQUEST): (
        f"legs: expected 2 to {LEGS_MAX} of them, none of 0, a sum of 0, and none on the receivable, the "
        "clearing or the suspense book"
    ),
    (commands.AddPayoutItems, Code.INVALID_REQUEST): "first: not how many items the payout has",
    (commands.AddPayoutItems, Code.LIMIT_EXCEEDED): (
        f"items: a payout has at most {ITEMS_MAX} of them, with a sum of at most {WIRE_MAX_MINOR}"
    ),
    (commands.Pay, Code.LIMIT_EXCEEDED): f"items: a payout has a sum of at most {WIRE_MAX_MINOR}",
    (commands.StartPayout, Code.INVALID_REQUEST): "items, total: not what the payout has, or it has none",
    (commands.Exclude, Code.LIMIT_EXCEEDED): "until: this player is excluded for longer already",
    (commands.SetStatus, Code.LIMIT_EXCEEDED): "status: a wallet with money in it, or in debt, is not closed",
}
