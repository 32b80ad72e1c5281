"""decide(view, command) -> outcome: what a command does, as a pure step over a prefetched view.

Checks come first, in the order of `Code`; then one line, after which the command must succeed; then only
writes. Commands of a batch are decided one after another on the same view, in arrival order.

    place.py       a bet
    bets.py        what becomes of it: settle, unsettle, roll back, cash out
    shares.py      who has which share in what it pays
    cash.py        deposits and withdrawals, transfers, wallets and their status
    bonus.py       bonus money and free bets
    books.py       how far the house's own books may go
    holds.py       money set aside
    limits.py      what a player allows himself
    payouts.py     many winners at a time
    archive.py     what is moved out of the file
    answers.py     what the first answer was, and is again
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from engine.commands import (
    AddPayoutItems,
    CaptureHold,
    CarryArchive,
    CashOutBet,
    Command,
    Deposit,
    Exclude,
    ExpireBonus,
    ExpireFreeBet,
    ExpireHold,
    GrantBonus,
    GrantFreeBet,
    Keyed,
    OpenArchive,
    OpenPayout,
    OpenWallet,
    Pay,
    PayChunk,
    PlaceBet,
    PlaceHold,
    ReleaseHold,
    ResolveItem,
    RevokeFreeBet,
    RollBackBet,
    SetFloor,
    SetLimit,
    SetStatus,
    SettleBet,
    StartPayout,
    Transfer,
    UnsettleBet,
    Withdraw,
    fingerprint,
)
from engine.decide.answers import ARCHIVED, replay_or_conflict
from engine.decide.archive import carry_archive, open_archive
from engine.decide.bets import cash_out, roll_back, settle, unsettle
from engine.decide.bonus import expire_bonus, expire_free_bet, grant_bonus, grant_free_bet, revoke_free_bet
from engine.decide.books import set_floor
from engine.decide.cash import deposit, open_wallet, set_status, transfer, withdraw
from engine.decide.holds import capture, expire, place_hold, release
from engine.decide.limits import exclude, set_limit
from engine.decide.payouts import add_items, open_payout, pay, pay_chunk, resolve, start
from engine.decide.place import place
from engine.outcomes import Code, Outcome, Rejected
from engine.view import View

_BY_TYPE: Final[dict[type[Keyed], Callable[[View, Any, bytes], Outcome]]] = {
    Deposit: deposit,
    Withdraw: withdraw,
    Transfer: transfer,
    SetStatus: set_status,
    OpenWallet: open_wallet,
    SetFloor: set_floor,
    OpenArchive: open_archive,
    CarryArchive: carry_archive,
    GrantBonus: grant_bonus,
    ExpireBonus: expire_bonus,
    GrantFreeBet: grant_free_bet,
    RevokeFreeBet: revoke_free_bet,
    ExpireFreeBet: expire_free_bet,
    SetLimit: set_limit,
    Exclude: exclude,
    SettleBet: settle,
    UnsettleBet: unsettle,
    RollBackBet: roll_back,
    CashOutBet: cash_out,
    PlaceHold: place_hold,
    CaptureHold: capture,
    ReleaseHold: release,
    ExpireHold: expire,
    Pay: pay,
    OpenPayout: open_payout,
    AddPayoutItems: add_items,
    StartPayout: start,
    PayChunk: pay_chunk,
    ResolveItem: resolve,
}


def decide(view: View, command: Command, now_us: int, objection: Code | None = None) -> Outcome:
    """Decide one command and apply it to `view`.

    `now_us` is the wall clock, for the `sent_at` of a bet; everything else goes by `view.at_us`, and what
    expires or becomes looser by `view.matured_us`. `objection` is what those in front hold against the
    command (a reused nonce, a passed deadline, an open circuit): it counts only if the key is unknown, so a
    bet that was paid is never told otherwise. Raises `KeyError` if the view lacks the currency's books.
    """
    if isinstance(command, PlaceBet):
        return place(view, command, now_us, objection)
    mark = fingerprint(command)
    known = view.transactions.get((command.scope, command.key))
    if known is not None:
        return replay_or_conflict(known, mark)
    if (command.scope, command.key) in view.archived:
        return ARCHIVED
    if objection is not None:
        return Rejected(objection)
    return _BY_TYPE[type(command)](view, command, mark)
