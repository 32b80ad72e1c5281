"""What only HTTP looks up: a wallet, its entries and its bets page by page, a block. Reads beside the
writer.
"""

from __future__ import annotations

from msgspec import UNSET

from engine import pages, queries, receipts
from engine.outcomes import Code
from engine.store import Store
from ws.codec import error, wallet_entry
from ws.fields import Reply
from ws.reads import Bets, BetsGet, BetShown, BlockGet, Entries, EntriesGet, WalletGet, WalletShown
from ws.receipts import HeadShown


async def page(store: Store, request: WalletGet | EntriesGet | BetsGet | BlockGet) -> Reply:
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
    entries, more, gap = await store.read_long(
        lambda connection: queries.entries_after(connection, user_id, request.after, request.limit)
    )
    return Entries(
        request.id,
        [wallet_entry(entry, entry.at_us) for entry in entries],
        str(entries[-1].id) if more else None,
        gap,
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
