"""What only operators may ask for: the messages, the commands that they become, the replies. Pure.

`bet.*` are PROTOCOL's; the others bring its HTTP routes (deposits, withdrawals, transfers, holds) to the
socket, and are described in docs/wire.md.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from engine.commands import (
    AddPayoutItems,
    CaptureHold,
    CashOutBet,
    Deposit,
    Exclude,
    GrantBonus,
    GrantFreeBet,
    Keyed,
    Leg,
    OpenArchive,
    OpenPayout,
    OpenWallet,
    Pay,
    PlaceHold,
    ReleaseHold,
    Result,
    RevokeFreeBet,
    RollBackBet,
    SetFloor,
    SetStatus,
    SettleBet,
    StartPayout,
    Transfer,
    UnsettleBet,
    Withdraw,
)
from engine.decide.cash import LEGS_MAX
from engine.decide.payouts import ITEMS_MAX
from engine.money import WIRE_MAX_MINOR
from engine.outcomes import Accepted, Code
from ws.wire.fields import (
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
    in_us,
)


class Move(Request):
    """A request that moves money, or sets it aside, under an idempotency key of its sender's."""

    id: Id
    key: Key

    def to_command(self, caller: str) -> Keyed:
        """The command that this asks for. `caller`: whose keys these are."""
        raise NotImplementedError


class BetSettle(Move, tag="bet.settle"):
    bet_id: BetId
    result: Result
    payout: Natural | None = None

    def to_command(self, caller: str) -> Keyed:
        return SettleBet(self.bet_id, self.result, self.payout, key=self.key, caller=caller)


class BetUnsettle(Move, tag="bet.unsettle"):
    bet_id: BetId

    def to_command(self, caller: str) -> Keyed:
        return UnsettleBet(self.bet_id, key=self.key, caller=caller)


class BetRollback(Move, tag="bet.rollback"):
    bet_id: BetId
    user_id: UserId | None = None
    stake: Stake | None = None
    currency: CurrencyCode | None = None

    def to_command(self, caller: str) -> Keyed:
        return RollBackBet(self.bet_id, self.user_id, self.stake, self.currency, key=self.key, caller=caller)


class BetCashout(Move, tag="bet.cashout"):
    bet_id: BetId
    stake: Stake
    payout: Natural

    def to_command(self, caller: str) -> Keyed:
        return CashOutBet(self.bet_id, self.stake, self.payout, key=self.key, caller=caller)


class WalletDeposit(Move, tag="wallet.deposit"):
    user_id: UserId
    amount: Amount

    def to_command(self, caller: str) -> Keyed:
        return Deposit(self.user_id, self.amount, key=self.key, caller=caller)


class WalletWithdraw(Move, tag="wallet.withdraw"):
    user_id: UserId
    amount: Amount
    for_approval: bool = False

    def to_command(self, caller: str) -> Keyed:
        return Withdraw(self.user_id, self.amount, self.for_approval, key=self.key, caller=caller)


class WalletHold(Move, tag="wallet.hold"):
    user_id: UserId
    amount: Amount
    expires_at: Natural | None = None

    def to_command(self, caller: str) -> Keyed:
        return PlaceHold(self.user_id, self.amount, in_us(self.expires_at), key=self.key, caller=caller)


class HoldCapture(Move, tag="hold.capture"):
    hold_id: TransactionId
    amount: Amount | None = None

    def to_command(self, caller: str) -> Keyed:
        return CaptureHold(self.hold_id, self.amount, key=self.key, caller=caller)


class HoldRelease(Move, tag="hold.release"):
    hold_id: TransactionId

    def to_command(self, caller: str) -> Keyed:
        return ReleaseHold(self.hold_id, key=self.key, caller=caller)


class TransferLeg(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """One posting of a transfer: what this account gets (above 0) or gives (below 0)."""

    user_id: UserId
    amount: SignedAmount
    name: Literal["TRANSFER", "FEE", "TAX"] = "TRANSFER"


class WalletTransfer(Move, tag="wallet.transfer"):
    # Bounded here too: `decide` would refuse more, but only after every account of them was looked up.
    legs: Annotated[list[TransferLeg], Meta(min_length=2, max_length=LEGS_MAX)]

    def to_command(self, caller: str) -> Transfer:
        legs = tuple(Leg(leg.user_id, leg.amount, leg.name) for leg in self.legs)
        return Transfer(legs, key=self.key, caller=caller)


class WalletStatus(Move, tag="wallet.status"):
    user_id: UserId
    status: Literal["open", "blocked", "closed"]

    def to_command(self, caller: str) -> Keyed:
        return SetStatus(self.user_id, self.status, key=self.key, caller=caller)


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
    SettleBet: BetSettled,
    UnsettleBet: BetUnsettled,
    RollBackBet: BetRolledBack,
    CashOutBet: BetCashedOut,
}

_WHY_REFUSED: dict[tuple[type[Keyed], Code], str] = {
    (SettleBet, Code.INVALID_REQUEST): (
        "payout: a won bet says what it pays; a void one pays the stake that is left, or leaves it out"
    ),
    (CashOutBet, Code.INVALID_REQUEST): "stake: more than is left of this bet",
    (OpenWallet, Code.ACCOUNT_NOT_FOUND): "participant_id: expected the number of a person's first wallet",
    (OpenWallet, Code.CURRENCY_MISMATCH): "currency: the house has no books in it",
    (OpenPayout, Code.CURRENCY_MISMATCH): "currency: the house has no books in it",
    (Pay, Code.CURRENCY_MISMATCH): "currency: the house has no books in it",
    (GrantBonus, Code.INVALID_REQUEST): "expires_at: expected a time that is to come",
    (GrantFreeBet, Code.INVALID_REQUEST): "expires_at: expected a time that is to come",
    (RevokeFreeBet, Code.BET_CLOSED): "this free bet was used, revoked or has expired",
    (Exclude, Code.INVALID_REQUEST): "until: expected a time that is to come",
    (PlaceHold, Code.INVALID_REQUEST): "expires_at: expected a time that is to come",
    (CaptureHold, Code.INSUFFICIENT_FUNDS): "amount: more than is left of this hold",
    (Transfer, Code.INVALID_REQUEST): (
        f"legs: expected 2 to {LEGS_MAX} of them, none of 0, a sum of 0, and none on the receivable, the "
        "clearing or the suspense book"
    ),
    # Neither which nor why: it is not the payer's business what a friend of his allows himself.
    (Transfer, Code.LIMIT_EXCEEDED): "legs: a limit of one of these wallets does not allow it",
    (AddPayoutItems, Code.INVALID_REQUEST): "first: not how many items the payout has",
    (AddPayoutItems, Code.LIMIT_EXCEEDED): (
        f"items: a payout has at most {ITEMS_MAX} of them, with a sum of at most {WIRE_MAX_MINOR}"
    ),
    (Pay, Code.LIMIT_EXCEEDED): f"items: a payout has a sum of at most {WIRE_MAX_MINOR}",
    (StartPayout, Code.INVALID_REQUEST): "items, total: not what the payout has, or it has none",
    (SetFloor, Code.ACCOUNT_NOT_FOUND): "user_id: expected the number of a book of the house's",
    (SetFloor, Code.INSUFFICIENT_FUNDS): "floor: this book is below it already",
    (OpenArchive, Code.INVALID_REQUEST): (
        "before: expected a time that is past, while no archive is under way and fewer than ten are there"
    ),
    (OpenArchive, Code.NOT_FOUND): "before: no block that is older is left to be archived",
    (Exclude, Code.LIMIT_EXCEEDED): "until: this player is excluded for longer already",
    (SetStatus, Code.LIMIT_EXCEEDED): (
        "status: a wallet in debt, or with money in it or in its bonus, is not closed"
    ),
}
