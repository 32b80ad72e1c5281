"""What became of a mass payout: each transaction of it follows from the one before, its items are those that
were asked for, and are paid in order, from and to where they must. And what a player has allowed himself is
what he last asked for. Pure.

Whether a wallet was blocked when its turn came is not looked into, nor how much of a limit is used up:
history tells neither without playing all of it again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

import msgspec

from engine.checks import Finding, HolderRow
from engine.commands import (
    CHUNK_ITEMS,
    CLEARING_ID_BASE,
    AddPayoutItems,
    Exclude,
    Keyed,
    OpenPayout,
    Pay,
    PayChunk,
    PayoutItem,
    ResolveItem,
    SetLimit,
    StartPayout,
    fingerprint,
)
from engine.leg_checks import RECEIVABLE, Books, Leg
from engine.life_checks import NOT_FOLLOWING, Told, answer_of, is_asked, told_by
from engine.limits import NONE, LimitKind
from engine.outcomes import LimitTold, PayoutTold
from engine.records import Entry, Item, Transaction

NO_PAYOUT: Final = "it names a payout that there is not"
NO_ITEM: Final = "it names an item that there is not"
NO_OWNER: Final = "it is no payout, and has items"
NO_PAIR: Final = "a payout without its transaction, or a transaction without its payout"
OTHER_TERMS: Final = "its items and terms do not give its fingerprint: they were changed after it was made"
OTHER_SUSPENSE: Final = "what it says of suspense is not what the rows of its items say"
SURPLUS: Final = "there are more items than were added"


class PayoutRow(NamedTuple):
    """A row of `payouts`, the transaction that it says changed it last, and how many of its items have a
    number beyond the last one."""

    id: int
    caller: str
    currency: str
    state: str
    items: int
    total_minor: int
    done: int
    suspended: int
    last_transaction_id: int
    kind: str | None
    answer: str | None
    surplus: int


class PayoutFound(NamedTuple):
    """The payout that a transaction names, and what its answer says came before."""

    currency: str
    prior_kind: str | None
    prior_answer: str | None


class SuspendedRow(NamedTuple):
    """A row of `suspended_items`, and the transaction that it says resolved it (0, None: none did)."""

    number: int
    reason: str
    state: str
    last_transaction_id: int
    kind: str | None
    fingerprint: bytes | None


class LimitRow(NamedTuple):
    """A row of `limits`; `is_limited`: whether its player is marked as having any."""

    user_id: int
    kind: str
    period: str
    amount: int
    pending: int
    pending_from_us: int
    is_limited: int | None


def check_payouts(transactions: Sequence[Transaction], rows: Sequence[PayoutRow]) -> Iterator[Finding]:
    """The payouts made in one block: each has its transaction, and is where its newest one has left it."""
    by_id = {row.id: row for row in rows}
    for transaction in transactions:
        told = told_by(transaction.id, transaction.kind, transaction.answer)
        is_small = isinstance(told, PayoutTold) and told.id == transaction.id
        row = by_id.pop(transaction.id, None)
        if (row is not None) != (is_small or transaction.kind == "PAYOUT_OPEN"):
            yield wrong(transaction.id, NO_PAIR)
        if row is None:
            continue
        if transaction.kind == "PAYOUT_OPEN":
            said = answer_of(transaction.answer)
            if said is None or said.payout != PayoutTold(row.id, "collecting"):
                yield wrong(row.id, NOT_FOLLOWING)
            if fingerprint(OpenPayout(row.currency, key="", caller="")) != transaction.fingerprint:
                yield wrong(row.id, OTHER_TERMS)
        if row.caller != transaction.scope.rpartition(":")[0]:
            yield wrong(row.id, "its caller is not that of its transaction")
    for payout_id in by_id:
        yield wrong(payout_id, NO_PAIR)


def wrong(transaction_id: int, why: str) -> Finding:
    """A finding about a transaction of a payout."""
    return {"check": "payout", "transaction_id": transaction_id, "why": why}


def is_payout_where_told(row: PayoutRow) -> bool:
    """Whether the row of a payout is what its newest transaction says."""
    newest: Told | None = PayoutTold(row.id, "collecting")
    if row.last_transaction_id:
        newest = told_by(row.last_transaction_id, row.kind, row.answer)
    return (
        isinstance(newest, PayoutTold)
        and newest.id == row.id
        and row[3:8] == (newest.state, newest.items, newest.total_minor, newest.done, newest.suspended)
    )


def payout_before(transaction: Transaction, told: PayoutTold, found: PayoutFound) -> PayoutTold | None:
    """The payout before this transaction; None if that names no transaction of it."""
    if not told.before:
        return PayoutTold(told.id, "collecting")
    prior = told_by(told.before, found.prior_kind, found.prior_answer)
    is_own = isinstance(prior, PayoutTold) and prior.id == told.id != transaction.id
    return prior if is_own and isinstance(prior, PayoutTold) else None


def items_of(
    transaction: Transaction, told: PayoutTold, prior: PayoutTold, entries: Sequence[Entry]
) -> tuple[int, int]:
    """From which number on, and up to which one, which is not among them, are the items that this transaction
    adds, pays or resolves. Which one it resolves is said by its first entry."""
    match transaction.kind:
        case "PAYOUT_ITEMS":
            return prior.items, told.items
        case "PAYOUT":
            return prior.done, told.done
        case "PAYOUT_ITEM":
            payout, _, number = (entries[0].ref_id if entries else "").partition(":")
            if payout == str(told.id) and number.isdecimal() and len(number) < 10:
                return int(number), int(number) + 1
    return 0, 0


def why_payout_differs(
    transaction: Transaction,
    told: PayoutTold,
    prior: PayoutTold,
    currency: str,
    items: Sequence[Item],
    suspended: Sequence[SuspendedRow],
) -> str | None:
    """What is wrong with a transaction of a payout, apart from its entries; None if nothing is. `items`:
    those that it says it is about; `suspended`: those of them that were ever in suspense."""
    if told != _payout_after(transaction, told, prior, items):
        return NOT_FOLLOWING
    if transaction.kind == "PAYOUT_ITEM":
        if not items:
            return NO_ITEM
        if [row.last_transaction_id for row in suspended] != [transaction.id]:
            return OTHER_SUSPENSE
    if transaction.kind == "PAYOUT":
        if told.suspends != tuple((row.number, row.reason) for row in suspended):
            return OTHER_SUSPENSE
        if not all(_is_item_where_told(told.id, row) for row in suspended):
            return OTHER_SUSPENSE
    command = _command(transaction, told, prior, currency, items, suspended)
    return None if is_asked(transaction, command) else OTHER_TERMS


def payout_legs(
    transaction: Transaction,
    told: PayoutTold,
    currency: str,
    items: Sequence[Item],
    suspended: Sequence[SuspendedRow],
    books: Books,
    owed: Mapping[str, int],
) -> list[Leg]:
    """The legs that a transaction of a payout calls for. `owed`: by each, whose id is written as a ref_id,
    before it."""
    name = str(told.id)
    house_id, suspense_id = (books.get((kind, currency), 0) for kind in ("house", "suspense"))
    clearing_id = CLEARING_ID_BASE + told.id
    left_owed = dict.fromkeys((str(item.user_id) for item in items), 0)
    left_owed = {user: max(0, owed.get(user, 0)) for user in left_owed}

    def credit(item: Item) -> list[Leg]:
        user = str(item.user_id)
        kept_minor = min(item.amount_minor, left_owed[user])
        left_owed[user] -= kept_minor
        both: list[Leg] = [
            (item.user_id, currency, item.amount_minor - kept_minor, "PAYOUT", name),
            (books.get(("receivable", currency), 0), currency, kept_minor, RECEIVABLE, user),
        ]
        return [leg for leg in both if leg[2]]

    total_minor = sum(item.amount_minor for item in items)
    match transaction.kind:
        case "PAYOUT_START":
            return [
                (house_id, currency, -told.total_minor, "PAYOUT", name),
                (clearing_id, currency, told.total_minor, "PAYOUT", name),
            ]
        case "PAYOUT":
            source_id = house_id if told.id == transaction.id else clearing_id
            legs: list[Leg] = [(source_id, currency, -total_minor, "PAYOUT", name)]
            aside = {number for number, _ in told.suspends}
            for item in items:
                if item.number in aside:
                    own = f"{name}:{item.number}"
                    legs.append((suspense_id, currency, item.amount_minor, "SUSPENSE", own))
                else:
                    legs += credit(item)
            return legs
        case "PAYOUT_ITEM" if items:
            own = f"{name}:{items[0].number}"
            out: Leg = (suspense_id, currency, -total_minor, "SUSPENSE", own)
            if any(row.state == "returned" for row in suspended):
                return [out, (house_id, currency, total_minor, "SUSPENSE", own)]
            return [out, *credit(items[0])]
    return []


def check_reserves(
    rows: Sequence[HolderRow], clearing: Mapping[int, int], waiting: Mapping[str, int]
) -> Iterator[Finding]:
    """What is set apart for winners is there. `clearing`: what is not paid yet of each payout that was
    started; `waiting`: what the items in suspense come to, by currency."""
    for row in rows:
        if row.id >= CLEARING_ID_BASE:
            payout_id = row.id - CLEARING_ID_BASE
            if row.balance_minor != clearing.get(payout_id, 0):
                yield _reserve("clearing", row, clearing.get(payout_id, 0))
        elif row.kind == "suspense" and row.balance_minor != waiting.get(row.currency, 0):
            yield _reserve("suspense", row, waiting.get(row.currency, 0))


def _reserve(check: str, row: HolderRow, items_minor: int) -> Finding:
    return {"check": check, "user_id": row.id, "balance": row.balance_minor, "items": items_minor}


def is_limit_as_asked(transaction: Transaction, told: LimitTold, wallet_ids: Sequence[int]) -> bool:
    """Whether a limit is what the transaction was asked for. `wallet_ids`: all those of its player, each of
    which an exclusion may have been asked for."""
    if told.kind == LimitKind.EXCLUSION:
        return any(
            is_asked(transaction, Exclude(user_id, told.amount, key="", caller="")) for user_id in wallet_ids
        )
    wanted = told.pending if told.pending_from_us else told.amount
    amount = None if wanted == NONE else wanted
    return is_asked(transaction, SetLimit(told.user_id, told.kind, told.period, amount, key="", caller=""))


def check_limits(
    rows: Sequence[LimitRow], newest: Mapping[tuple[int, str, str], LimitTold]
) -> Iterator[Finding]:
    """Each limit against the newest answer about it. What is used up of it is not checked."""
    for row in rows:
        told = newest.get(row[:3])
        if told is None or row[3:6] != (told.amount, told.pending, told.pending_from_us):
            yield _limit(row[:3], "it is not what was last asked for")
        if row.is_limited != 1:
            yield _limit(row[:3], "it is never looked at: its player is not marked as limited")
    for key in newest.keys() - {row[:3] for row in rows}:
        yield _limit(key, "its row is missing")


def _limit(key: tuple[int, str, str], why: str) -> Finding:
    user_id, kind, period = key
    return {"check": "limit", "user_id": user_id, "kind": kind, "period": period, "why": why}


def _payout_after(
    transaction: Transaction, told: PayoutTold, prior: PayoutTold, items: Sequence[Item]
) -> PayoutTold | None:
    """What a transaction of this kind makes of a payout; None if it may not happen. It says itself which
    items could not be paid."""
    count, sum_minor = len(items), sum(item.amount_minor for item in items)
    after = {"before": told.before, "suspends": ()}
    done, suspends = prior.done + count, told.suspends
    match transaction.kind, prior.state:
        case "PAYOUT_ITEMS", "collecting" if count:
            after |= {"items": prior.items + count, "total_minor": prior.total_minor + sum_minor}
        case "PAYOUT_START", "collecting" if prior.items:
            after |= {"state": "paying"}
        case "PAYOUT", "collecting" if told.id == transaction.id and 0 < count <= CHUNK_ITEMS:
            after |= {"state": "paid", "items": count, "total_minor": sum_minor, "done": count}
            after |= {"suspends": suspends, "suspended": len(suspends)}
        case "PAYOUT", "paying" if done == min(prior.done + CHUNK_ITEMS, prior.items):
            after |= {"state": "paid" if done == prior.items else "paying", "done": done}
            after |= {"suspends": suspends, "suspended": prior.suspended + len(suspends)}
        case "PAYOUT_ITEM", _ if prior.suspended:
            after |= {"suspended": prior.suspended - 1}
        case _:
            return None
    return msgspec.structs.replace(prior, **after)


def _is_item_where_told(payout_id: int, row: SuspendedRow) -> bool:
    if not row.last_transaction_id:
        return row.state == "suspended"
    command = ResolveItem(payout_id, row.number, row.state == "returned", key="", caller="")
    is_over = row.state in ("paid", "returned") and row.kind == "PAYOUT_ITEM"
    return is_over and row.fingerprint == fingerprint(command)


def _command(
    transaction: Transaction,
    told: PayoutTold,
    prior: PayoutTold,
    currency: str,
    items: Sequence[Item],
    suspended: Sequence[SuspendedRow],
) -> Keyed:
    """What must have been asked for."""
    winners = tuple(PayoutItem(item.user_id, item.amount_minor) for item in items)
    match transaction.kind:
        case "PAYOUT_ITEMS":
            return AddPayoutItems(told.id, prior.items, winners, key="", caller="")
        case "PAYOUT_START":
            return StartPayout(told.id, told.items, told.total_minor, key="", caller="")
        case "PAYOUT_ITEM":
            returns = suspended[0].state == "returned"
            return ResolveItem(told.id, items[0].number, returns, key="", caller="")
        case _ if told.id == transaction.id:
            return Pay(currency, winners, key="", caller="")
    return PayChunk(told.id, prior.done, key="", caller="")
