"""Money in, out and across, and who may spend it: deposits, withdrawals, transfers, wallets."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from engine.bonus import is_usable
from engine.commands import Deposit, OpenWallet, SetStatus, Transfer, Withdraw
from engine.decide.answers import accept, wallet_of
from engine.decide.holds import set_aside
from engine.limits import count_deposit, is_excluded, stops_deposit
from engine.money import BOOK_CEILING_MINOR, WIRE_MAX_MINOR
from engine.outcomes import Code, Outcome, Rejected, WalletTold
from engine.records import Account
from engine.view import View

KEPT_FOR = frozenset({"receivable", "clearing", "suspense"})
"""Books whose balance says what players owe, or what is still to be paid: no transfer may blur that."""

LEGS_MAX = 100
"""Postings of one transfer (PRODUCT: up to 100 transfers from one source in one transaction)."""


def deposit(view: View, command: Deposit, mark: bytes) -> Outcome:
    """Pay in. Rejections: ACCOUNT_NOT_FOUND, ACCOUNT_BLOCKED, LIMIT_EXCEEDED (beyond what the wire can show,
    or what the player allows himself), INSUFFICIENT_FUNDS (the cash book is at its floor).
    """
    account = view.accounts.get(command.user_id)
    code = why_closed(account)
    if code is not None or account is None:
        return Rejected(code or Code.ACCOUNT_NOT_FOUND)
    cash = view.book("cash", account.currency)
    is_too_much = account.balance_minor + command.amount_minor > WIRE_MAX_MINOR
    if is_too_much or _stops(view, account, command.amount_minor):
        return Rejected(Code.LIMIT_EXCEEDED, wallet_of(account))
    if cash.available_minor < command.amount_minor:
        return Rejected(Code.INSUFFICIENT_FUNDS, wallet_of(account))

    # After this point the deposit must succeed.
    ref_id = str(view.next_transaction_id)
    paid_in = view.post(account, command.amount_minor, "DEPOSIT", ref_id)
    counter = view.post(cash, -command.amount_minor, "DEPOSIT", ref_id)
    count_deposit(account, command.amount_minor, view.at_us)
    return accept(view, "DEPOSIT", command, mark, account, (paid_in, counter))


def withdraw(view: View, command: Withdraw, mark: bytes) -> Outcome:
    """Pay out, or set aside for approval. Rejections: ACCOUNT_NOT_FOUND, ACCOUNT_BLOCKED,
    INSUFFICIENT_FUNDS.
    """
    account = view.accounts.get(command.user_id)
    code = why_closed(account)
    if code is not None or account is None:
        return Rejected(code or Code.ACCOUNT_NOT_FOUND)
    if account.available_minor < command.amount_minor:
        return Rejected(Code.INSUFFICIENT_FUNDS, wallet_of(account))
    if command.for_approval:
        return set_aside(view, command, mark, account, "withdrawal")
    cash = view.book("cash", account.currency)

    # After this point the withdrawal must succeed.
    ref_id = str(view.next_transaction_id)
    paid_out = view.post(account, -command.amount_minor, "WITHDRAWAL", ref_id)
    counter = view.post(cash, command.amount_minor, "WITHDRAWAL", ref_id)
    return accept(view, "WITHDRAWAL", command, mark, account, (paid_out, counter))


def transfer(view: View, command: Transfer, mark: bytes) -> Outcome:
    """Move money among accounts. The answer shows a player's wallet only where no other wallet is concerned:
    it is a part of the receipt, which each of them may have.

    Rejections: INVALID_REQUEST (fewer than two legs, too many, one of nothing or on a book that is
    `KEPT_FOR` something, or they do not sum to zero), ACCOUNT_NOT_FOUND (also a book or a bonus wallet where
    a player asks), ACCOUNT_BLOCKED (also a bonus wallet beside a blocked one, and what would go into one that
    has expired), CURRENCY_MISMATCH, LIMIT_EXCEEDED (beyond what can be shown, or what others give is more
    than the player allows himself: docs/adr/0028), INSUFFICIENT_FUNDS.
    """
    legs = command.legs
    amounts = [leg.amount_minor for leg in legs]
    if not 2 <= len(legs) <= LEGS_MAX or 0 in amounts or sum(amounts) != 0:
        return Rejected(Code.INVALID_REQUEST)
    accounts = [view.accounts.get(leg.user_id) for leg in legs]
    holders = [
        account
        for account in accounts
        if account is not None and (account.kind == "player" or not command.among_players)
    ]
    if any(account.kind in KEPT_FOR for account in holders):
        return Rejected(Code.INVALID_REQUEST)
    if len(holders) < len(legs):
        return Rejected(Code.ACCOUNT_NOT_FOUND)
    getting = {leg.user_id for leg in legs if leg.amount_minor > 0}
    if any(_is_shut(view, account, gets=account.id in getting) for account in holders):
        return Rejected(Code.ACCOUNT_BLOCKED)
    if len({account.currency for account in holders}) > 1:
        return Rejected(Code.CURRENCY_MISMATCH)
    net: dict[int, int] = defaultdict(int)
    for account, amount_minor in zip(holders, amounts, strict=True):
        net[account.id] += amount_minor
        # After each leg: its entry is written, and pushed to the player, with the balance that it leaves.
        most_minor = WIRE_MAX_MINOR if account.is_wallet else BOOK_CEILING_MINOR
        if amount_minor > 0 and account.balance_minor + net[account.id] > most_minor:
            return Rejected(Code.LIMIT_EXCEEDED)
    gifts = _given_by_others(holders, net)
    if any(_stops(view, account, amount_minor) for account, amount_minor in gifts):
        return Rejected(Code.LIMIT_EXCEEDED)
    # In the order of the legs: one may spend what an earlier one has brought; no entry shows an overdraft.
    net.clear()
    for account, amount_minor in zip(holders, amounts, strict=True):
        net[account.id] += amount_minor
        if amount_minor < 0 and account.available_minor + net[account.id] < 0:
            return Rejected(Code.INSUFFICIENT_FUNDS)

    # After this point the transfer must succeed.
    ref_id = str(view.next_transaction_id)
    entries = tuple(
        view.post(account, leg.amount_minor, leg.name, ref_id)
        for leg, account in zip(legs, holders, strict=True)
    )
    for account, amount_minor in gifts:
        count_deposit(account, amount_minor, view.at_us)
    wallets = {account.id: account for account in holders if account.is_wallet}
    alone = next(iter(wallets.values())) if len(wallets) == 1 else None
    shown = alone if alone is not None and alone.kind == "player" else None
    return accept(view, "TRANSFER", command, mark, shown, entries)


def _is_shut(view: View, account: Account, *, gets: bool) -> bool:
    """Whether a transfer may not touch it. A bonus wallet is shut with the wallet beside it; one whose time
    has come gets nothing, since nobody could spend it."""
    bonus = account.bonus
    if bonus is None or bonus.user_id != account.id:
        return account.status != "open"
    return view.accounts[bonus.wallet_id].status != "open" or (gets and not is_usable(bonus, view.at_us))


def _given_by_others(holders: Sequence[Account], net: Mapping[int, int]) -> list[tuple[Account, int]]:
    """The wallets that get something where another person's wallet gives, and how much each gets, whoever
    else gives as well. `net`: by the number of the account. What the house gives, or a person to himself, is
    no new money to play with."""
    wallets = {account.id: account for account in holders if account.is_wallet}
    givers = {account.participant_id for account in wallets.values() if net[account.id] < 0}
    return [
        (account, net[account.id])
        for account in wallets.values()
        if net[account.id] > 0 and givers - {account.participant_id}
    ]


def _stops(view: View, account: Account, amount_minor: int) -> bool:
    """Whether a player keeps himself from being given this much to play with."""
    return stops_deposit(account, amount_minor, view.at_us, view.matured_us) or is_excluded(
        view.accounts[account.participant_id], view.matured_us
    )


def set_status(view: View, command: SetStatus, mark: bytes) -> Outcome:
    """Open, block or close a wallet, whatever it was before. Rejections: ACCOUNT_NOT_FOUND; LIMIT_EXCEEDED:
    a wallet with money in it or in the bonus wallet beside it, or in debt, is not closed. What only a bonus
    owes, out of later bonus money, is no debt of that kind.
    """
    account = view.accounts.get(command.user_id)
    if account is None or account.kind != "player":
        return Rejected(Code.ACCOUNT_NOT_FOUND)
    both = [account] if account.bonus is None else [account, view.accounts[account.bonus.user_id]]
    is_empty = not any(each.balance_minor for each in both) and not account.owed_minor
    if command.status == "closed" and not is_empty:
        return Rejected(Code.LIMIT_EXCEEDED, wallet_of(account))

    # After this point it must succeed.
    view.change_account(account).status = command.status
    return accept(view, "STATUS", command, mark, account)


def open_wallet(view: View, command: OpenWallet, mark: bytes) -> Outcome:
    """Open a wallet. Rejections: ACCOUNT_NOT_FOUND (there is no such participant), CURRENCY_MISMATCH (the
    house has no books in it).
    """
    first = None if command.participant_id is None else view.accounts.get(command.participant_id)
    if command.participant_id is not None and (first is None or first.participant_id != first.id):
        return Rejected(Code.ACCOUNT_NOT_FOUND)
    if ("house", command.currency) not in view.books:
        return Rejected(Code.CURRENCY_MISMATCH)

    # After this point it must succeed.
    wallet = view.open_wallet("player", command.currency, command.participant_id)
    told = WalletTold(wallet.id, wallet.participant_id, wallet.currency)
    return accept(view, "WALLET", command, mark, wallet, opened=told)


def why_closed(account: Account | None) -> Code | None:
    """Why no money of this wallet moves at its player's wish; None if it may."""
    if account is None or account.kind != "player":
        return Code.ACCOUNT_NOT_FOUND
    return None if account.status == "open" else Code.ACCOUNT_BLOCKED
