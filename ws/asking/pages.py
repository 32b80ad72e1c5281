"""What is looked up page by page, entries, bets, payouts, the audit log; and what else only HTTP looks up, a
wallet and a block. Reads beside the writer.
"""

from __future__ import annotations

import sqlite3
from typing import Final

import msgspec
from msgspec import UNSET

from engine import audit_log, logins, pages, queries, receipts
from engine.deeds import Deed
from engine.outcomes import Code
from engine.store import Store
from ws.wire.fields import Reply
from ws.wire.outcomes import error, wallet_entry
from ws.wire.payouts import PayoutList, PayoutListed, Payouts
from ws.wire.reads import (
    AuditLog,
    AuditLogGet,
    Bets,
    BetsGet,
    BetShown,
    BlockGet,
    DeedShown,
    Entries,
    EntriesGet,
    WalletGet,
    WalletShown,
)
from ws.wire.receipts import HeadShown

Paged = WalletGet | EntriesGet | BetsGet | BlockGet | AuditLogGet | PayoutList


BEFORE_WORDS: Final = (
    "before: expected what `next` of another page says, or more than the newest seq of this wallet"
)


async def page(store: Store, request: Paged) -> Reply:
    """The reply to `request`, whose `user_id` is filled in."""
    match request:
        case WalletGet():
            return await _wallet(store, request)
        case EntriesGet():
            return await _entries(store, request)
        case BetsGet():
            return await _bets(store, request)
        case BlockGet():
            return await _block(store, request)
        case AuditLogGet():
            return await _audit_log(store, request)
        case PayoutList():
            return await _payouts(store, request)


async def _wallet(store: Store, request: WalletGet) -> Reply:
    user_id = request.user_id
    assert user_id is not None
    wallet = await store.read(lambda connection: queries.wallet(connection, user_id))
    if wallet is None:
        return error(request.id, Code.ACCOUNT_NOT_FOUND)
    return WalletShown(
        request.id,
        wallet.user_id,
        wallet.currency,
        wallet.status,
        wallet.balance_minor,
        wallet.held_minor,
        wallet.available_minor,
        wallet.seq,
    )


async def _entries(store: Store, request: EntriesGet) -> Reply:
    user_id = request.user_id
    assert user_id is not None
    if await store.read(lambda connection: queries.wallet(connection, user_id)) is None:
        return error(request.id, Code.ACCOUNT_NOT_FOUND)
    before, after = request.before, request.after or 0
    if before is None:
        entries, more, gap = await store.read_long(
            lambda connection: queries.entries_after(connection, user_id, after, request.limit)
        )
    elif request.after is not None:
        return error(request.id, Code.INVALID_REQUEST, "before, after: expected one of them")
    else:
        found = await store.read_long(
            lambda connection: pages.entries_before(connection, user_id, before, request.limit)
        )
        if found is None:
            return error(request.id, Code.INVALID_REQUEST, BEFORE_WORDS)
        entries, more, gap = found
    return Entries(
        request.id,
        [wallet_entry(entry, entry.at_us) for entry in entries],
        str(entries[-1].id) if more else None,
        gap,
    )


async def _payouts(store: Store, request: PayoutList) -> Reply:
    # One more than is shown tells whether there is another page.
    found = await store.read_long(
        lambda connection: queries.payouts_before(connection, request.before, request.limit + 1)
    )
    shown = found[: request.limit]
    return Payouts(
        request.id,
        [PayoutListed(*each[:-1], opened_at=each.opened_us // 1000) for each in shown],
        str(shown[-1].id) if len(found) > len(shown) else None,
    )


async def _bets(store: Store, request: BetsGet) -> Reply:
    user_id = request.user_id
    assert user_id is not None
    if await store.read(lambda connection: queries.wallet(connection, user_id)) is None:
        return error(request.id, Code.ACCOUNT_NOT_FOUND)
    found = await store.read_long(
        lambda connection: pages.bets_before(
            connection, user_id, request.before, request.state, request.limit
        )
    )
    if found is None:
        return error(request.id, Code.INVALID_REQUEST, "before: expected what `next` of another page says")
    return Bets(request.id, [_shown(each) for each in found.bets], _or_none(found.next), found.gap)


def _shown(bet: pages.StakedBet) -> BetShown:
    return BetShown(
        bet.bet_id,
        bet.state,
        bet.stake_minor,
        bet.payout_minor,
        bet.transaction_id,
        bet.seq,
        bet.at_us // 1000,
        UNSET if bet.game is None else bet.game,
        UNSET if bet.round is None else bet.round,
        UNSET if bet.selection is None else bet.selection,
        UNSET if bet.odds_milli is None else bet.odds_milli,
    )


def _or_none(cursor: int | None) -> str | None:
    return None if cursor is None else str(cursor)


async def _block(store: Store, request: BlockGet) -> Reply:
    block = await store.read(lambda connection: receipts.read_block(connection, request.block))
    if block is None:
        return error(request.id, Code.NOT_FOUND)
    return HeadShown(request.id, receipts.as_head(block))


async def _audit_log(store: Store, request: AuditLogGet) -> Reply:
    def look(connection: sqlite3.Connection) -> tuple[list[Deed], dict[int, str | None]]:
        deeds = audit_log.read_deeds(
            connection,
            before=request.before,
            limit=request.limit + 1,  # one more than is shown tells whether there is another page
            actor_id=request.actor,
            action=request.action,
        )
        return deeds, {id_: logins.name_of(connection, id_) for id_ in {deed.actor_id for deed in deeds}}

    deeds, names = await store.read_long(look)
    shown = deeds[: request.limit]
    next_ = shown[-1].id if len(deeds) > len(shown) else None
    return AuditLog(request.id, [_deed(each, names[each.actor_id]) for each in shown], _or_none(next_))


def _deed(deed: Deed, name: str | None) -> DeedShown:
    return DeedShown(
        deed.id,
        deed.at_us // 1000,
        deed.actor_id,
        deed.role,
        deed.address,
        deed.door,
        deed.action,
        msgspec.json.decode(deed.subject),
        deed.key,
        deed.outcome,
        deed.transaction_id,
        name,
    )
