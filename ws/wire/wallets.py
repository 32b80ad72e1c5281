"""Wallets of a person, bonus money and free bets over the socket: the messages, the commands that they
become, the replies. Pure.

wallet.open                    a further wallet, or the first one of somebody new
wallet.list                    all wallets of a person, and the free bets of one
bonus.grant                    money that is spent before or after what is in the wallet
free_bet.grant, free_bet.revoke
"""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType

from engine.commands import GrantBonus, GrantFreeBet, Keyed, OpenWallet, RevokeFreeBet, Spend
from engine.lifecycle import BonusState
from engine.outcomes import Accepted, BonusTold, FreeBetTold, WalletTold
from engine.snapshots import FreeBetState, WalletOf
from ws.wire.fields import Amount, CurrencyCode, Id, Natural, Reply, Request, TransactionId, UserId, in_us
from ws.wire.operators import Move


class WalletOpen(Move, tag="wallet.open"):
    """`participant_id`: whose wallet it shall be; left out for somebody new."""

    currency: CurrencyCode
    participant_id: UserId | None = None

    def to_command(self, caller: str) -> Keyed:
        return OpenWallet(self.currency, self.participant_id, key=self.key, caller=caller)


class BonusGrant(Move, tag="bonus.grant"):
    """`user_id`: the wallet that the bonus is spent from. `expires_at`: left out if never."""

    user_id: UserId
    amount: Amount
    spend: Literal["first", "last"]
    expires_at: Natural | None = None

    def to_command(self, caller: str) -> Keyed:
        until_us, spend = in_us(self.expires_at), Spend(self.spend)
        return GrantBonus(self.user_id, self.amount, spend, until_us, key=self.key, caller=caller)


class FreeBetGrant(Move, tag="free_bet.grant"):
    """`expires_at`: left out if never."""

    user_id: UserId
    amount: Amount
    expires_at: Natural | None = None

    def to_command(self, caller: str) -> Keyed:
        return GrantFreeBet(self.user_id, self.amount, in_us(self.expires_at), key=self.key, caller=caller)


class FreeBetRevoke(Move, tag="free_bet.revoke"):
    free_bet_id: TransactionId

    def to_command(self, caller: str) -> Keyed:
        return RevokeFreeBet(self.free_bet_id, key=self.key, caller=caller)


class WalletList(Request, tag="wallet.list"):
    """`user_id`: for operators and auditors, who must say it."""

    id: Id
    user_id: UserId | None = None


class WalletOpened(Reply, tag="wallet.opened"):
    id: str
    user_id: int
    participant_id: int
    currency: str
    transaction_id: int
    block: int
    replayed: bool


class BonusGranted(Reply, tag="bonus.granted"):
    """The bonus wallet `user_id` afterwards, and the terms of all that is in it. `expires_at`: null if
    never."""

    id: str
    user_id: int
    spend: str
    expires_at: int | None
    transaction_id: int
    block: int
    replayed: bool
    seq: int | UnsetType = UNSET
    balance: int | UnsetType = UNSET
    held: int | UnsetType = UNSET
    available: int | UnsetType = UNSET


class FreeBetChanged(Reply, tag="free_bet.changed"):
    id: str
    free_bet_id: int
    state: str
    amount: int
    transaction_id: int
    block: int
    replayed: bool


class WalletShown(msgspec.Struct, gc=False):
    """One wallet. `kind`: `cash`, or `bonus` for the bonus wallet beside `wallet_id`; `expired`: what was in
    it has been taken back."""

    user_id: int
    kind: str
    currency: str
    status: str
    balance: int
    held: int
    available: int
    seq: int
    wallet_id: int | UnsetType = UNSET
    spend: str | UnsetType = UNSET
    expires_at: int | UnsetType | None = UNSET
    expired: bool | UnsetType = UNSET


class FreeBetShown(msgspec.Struct, gc=False):
    """A bet that may be placed without paying for it. `expires_at`: null if never."""

    free_bet_id: int
    amount: int
    expires_at: int | None


class Wallets(Reply, tag="wallets"):
    """All wallets of a person; the free bets are those of the wallet that was asked for."""

    id: str
    participant_id: int
    wallets: list[WalletShown]
    free_bets: list[FreeBetShown]


def wallet_opened(request_id: str, accepted: Accepted, told: WalletTold) -> WalletOpened:
    """The wallet that a command has opened."""
    return WalletOpened(
        request_id,
        told.user_id,
        told.participant_id,
        told.currency,
        accepted.transaction_id,
        accepted.block_id,
        accepted.replayed,
    )


def bonus_granted(request_id: str, accepted: Accepted, told: BonusTold) -> BonusGranted:
    """What a command has made of a bonus."""
    wallet = accepted.wallet
    return BonusGranted(
        request_id,
        told.user_id,
        told.spend,
        _in_ms(told.expires_at_us),
        accepted.transaction_id,
        accepted.block_id,
        accepted.replayed,
        UNSET if wallet is None else wallet.seq,
        UNSET if wallet is None else wallet.balance_minor,
        UNSET if wallet is None else wallet.held_minor,
        UNSET if wallet is None else wallet.available_minor,
    )


def free_bet_changed(request_id: str, accepted: Accepted, told: FreeBetTold) -> FreeBetChanged:
    """What a command has made of a free bet."""
    return FreeBetChanged(
        request_id,
        told.id,
        told.state,
        told.amount_minor,
        accepted.transaction_id,
        accepted.block_id,
        accepted.replayed,
    )


def wallets_shown(request_id: str, wallets: list[WalletOf], free_bets: list[FreeBetState]) -> Wallets:
    """Wallets, at least one, and free bets as they were read."""
    return Wallets(
        request_id,
        wallets[0].participant_id,
        [_shown(each) for each in wallets],
        [FreeBetShown(each.id, each.amount_minor, _in_ms(each.expires_at_us)) for each in free_bets],
    )


def _shown(wallet: WalletOf) -> WalletShown:
    is_bonus = wallet.kind == "player_bonus"
    shown = WalletShown(
        wallet.user_id,
        "bonus" if is_bonus else "cash",
        wallet.currency,
        wallet.status,
        wallet.balance_minor,
        wallet.held_minor,
        wallet.available_minor,
        wallet.seq,
    )
    if wallet.wallet_id is not None and wallet.spend is not None:
        shown.wallet_id, shown.spend = wallet.wallet_id, wallet.spend
        shown.expires_at = _in_ms(wallet.expires_at_us or 0)
        shown.expired = wallet.state == BonusState.EXPIRED
    return shown


def _in_ms(expires_at_us: int) -> int | None:
    return expires_at_us // 1000 if expires_at_us else None
