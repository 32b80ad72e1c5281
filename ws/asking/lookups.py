"""What can be asked without moving money: bets, balances, entries, wallets, limits, payouts, receipts.
Reads beside the writer.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from msgspec import UNSET

from batcher.batcher import Batcher
from engine import audit_log, queries, receipts, snapshots
from engine.actors import Actor
from engine.deeds import ACCEPTED
from engine.errors import ArchiveUnusable, LookTooLong, StoreFault
from engine.outcomes import Code
from engine.store import Store
from ws.asking.checking import begin_check, not_written
from ws.asking.finding import find_players
from ws.asking.pages import page
from ws.asking.roles import Reach, reach_of
from ws.asking.signers import Signers, keys
from ws.asking.trails import trail
from ws.beside.checks import Checks
from ws.effects import Identity, Looked
from ws.wire.archives import ArchiveGet, archive_shown
from ws.wire.checks import CheckBegin, CheckGet
from ws.wire.circuit import CircuitGet, CircuitShown
from ws.wire.clock import ClockConfirm, ClockGet, clock_shown
from ws.wire.fields import Reply
from ws.wire.figures import FiguresFollow
from ws.wire.limits import LimitGet, limits_shown
from ws.wire.messages import Balance, BalanceGet, BetGet, BetState, Resume, Resumed
from ws.wire.outcomes import error, in_ms, wallet_entry
from ws.wire.payouts import PayoutFollow, PayoutGet, PayoutList, payout_shown
from ws.wire.players import PlayerFind
from ws.wire.reads import AuditLogGet, BetsGet, BlockGet, EntriesGet, WalletGet
from ws.wire.receipts import HeadGet, HeadShown, ReceiptGet, ReceiptShown
from ws.wire.signers import KeysGet
from ws.wire.trails import TrailGet
from ws.wire.wallets import WalletList, wallets_shown

log = logging.getLogger("solidgreen.ws")

RESUME_ENTRIES_MAX: Final = 10_000
"""Entries that one `resume` answers (PROTOCOL)."""

SUSPENDED_MAX: Final = 1_000
"""Items in suspense that one `payout.get` shows; the next ones by `suspended_from`."""

FREE_BETS_MAX: Final = 100
"""Open free bets that one `wallet.list` shows, those first that expire first."""


class Sources(Protocol):
    """Where answers come from: the parts of a door."""

    @property
    def store(self) -> Store: ...
    @property
    def batcher(self) -> Batcher: ...
    @property
    def checks(self) -> Checks: ...
    @property
    def signers(self) -> Signers: ...


async def look_up(
    sources: Sources, request: Looked, identity: Identity, actor: Actor | None = None
) -> Sequence[Reply]:
    """The replies to `request`, in order. `balance.get` and `resume` are asked by players only,
    `clock.confirm` and `check.begin` by an `actor`; `figures.follow` is not looked up. Raises
    `ArchiveUnusable` where what is asked for may be in an archive that is missing, or not the right one."""
    store, batcher = sources.store, sources.batcher
    match request:
        case BetGet():
            return [await _bet_state(store, batcher, request, identity)]
        case BalanceGet():
            return [await _balance(store, request, identity.user_id)]
        case Resume():
            return await _resume(store, request, identity.user_id)
        case LimitGet():
            return [await _limits(store, batcher, request)]
        case WalletList():
            return [await _wallets(store, request)]
        case PayoutGet():
            return [await _payout(store, request.id, request.payout_id, request.suspended_from)]
        case PayoutFollow():
            return [await _payout(store, request.id, request.payout_id, 0)]
        case ReceiptGet():
            return [await _receipt(store, request)]
        case HeadGet():
            return [await _head(store, request)]
        case ArchiveGet():
            return [await _archive(store, request)]
        case ClockGet():
            return [_clock(batcher, request)]
        case ClockConfirm():
            assert actor is not None
            return [await _confirm_clock(store, batcher, request, actor)]
        case CircuitGet():
            return [_circuit(batcher, request)]
        case CheckGet():
            return [sources.checks.named(request.check).shown(request.id)]
        case CheckBegin():
            assert actor is not None
            return [await begin_check(store, batcher, sources.checks, request, actor)]
        case PlayerFind():
            return [await find_players(store, request)]
        case TrailGet():
            return [await trail(store, request, identity)]
        case KeysGet():
            return [await keys(store, sources.signers, request)]
        case WalletGet() | EntriesGet() | BetsGet() | BlockGet() | AuditLogGet() | PayoutList():
            return [await page(store, request)]
        case FiguresFollow():
            raise AssertionError("a socket answers that by itself")


async def told(
    sources: Sources,
    request: Looked,
    identity: Identity,
    miss: Callable[[str], None],
    actor: Actor | None = None,
) -> Sequence[Reply]:
    """As `look_up`, but what goes wrong is told as well. `miss` hears of an archive asked for in vain."""
    try:
        return await look_up(sources, request, identity, actor)
    except ArchiveUnusable as why:
        miss(str(why))
        return [error(request.id, Code.NOT_FOUND, str(why))]
    except LookTooLong:
        return [error(request.id, Code.TIMED_OUT, "looking this up took too long; ask again")]
    except Exception:  # the file could not be read: that must not cost the asker's other answers
        log.exception("a request could not be looked up")
        sources.batcher.tally.looks_failed += 1
        return [error(request.id, Code.INTERNAL)]


async def _limits(store: Store, batcher: Batcher, request: LimitGet) -> Reply:
    user_id = request.user_id
    assert user_id is not None
    if await store.read(lambda connection: queries.wallet(connection, user_id)) is None:
        return error(request.id, Code.ACCOUNT_NOT_FOUND)
    now = batcher.books_clock.now()
    found = await store.read(
        lambda connection: queries.limits(connection, user_id, now.at_us, now.matured_us)
    )
    return limits_shown(request.id, user_id, found)


async def _wallets(store: Store, request: WalletList) -> Reply:
    user_id = request.user_id
    assert user_id is not None
    wallets, free_bets = await store.read(
        lambda connection: (
            queries.wallets(connection, user_id),
            queries.free_bets(connection, user_id, FREE_BETS_MAX),
        )
    )
    if not wallets:
        return error(request.id, Code.ACCOUNT_NOT_FOUND)
    return wallets_shown(request.id, wallets, free_bets)


async def _payout(store: Store, request_id: str, payout_id: int, suspended_from: int) -> Reply:
    found = await store.read(
        lambda connection: queries.payout(connection, payout_id, suspended_from, SUSPENDED_MAX)
    )
    return error(request_id, Code.NOT_FOUND) if found is None else payout_shown(request_id, found)


async def _receipt(store: Store, request: ReceiptGet) -> Reply:
    # Its block is read as a whole, which may have thousands of rows: no other reader waits behind it.
    found = await store.read_past(
        lambda connection: receipts.receipt(connection, request.transaction_id, request.user_id)
    )
    if found is None:
        return error(request.id, Code.NOT_FOUND)
    return ReceiptShown(request.id, request.transaction_id, found)


async def _archive(store: Store, request: ArchiveGet) -> Reply:
    found = await store.read(lambda connection: queries.archive(connection, request.archive_id))
    return error(request.id, Code.NOT_FOUND) if found is None else archive_shown(request.id, found)


def _clock(batcher: Batcher, request: ClockGet | ClockConfirm) -> Reply:
    status = batcher.books_clock.status()
    return clock_shown(request.id, batcher.books_clock.now().at_us, status)


async def _confirm_clock(store: Store, batcher: Batcher, request: ClockConfirm, actor: Actor) -> Reply:
    """Follow the wall clock, once it is on disk who said so."""
    clock = batcher.books_clock
    at_us = clock.now().at_us
    subject = {"jumped_us": clock.status().jumped_us}
    try:
        await store.tidy(
            lambda connection: audit_log.record(connection, actor, "clock.confirm", subject, ACCEPTED, at_us)
        )
    except (StoreFault, sqlite3.Error) as fault:
        log.error("the wall clock is not followed, since nobody could write down who confirmed it: %s", fault)
        return not_written(request.id, batcher, fault)
    clock.confirm(actor.role, actor.id)
    return _clock(batcher, request)


def _circuit(batcher: Batcher, request: CircuitGet) -> Reply:
    shown = batcher.circuit()
    return CircuitShown(
        request.id,
        shown.state.value,
        shown.reason,
        in_ms(shown.remaining_us),
        in_ms(shown.retry_after_us),
    )


async def _head(store: Store, request: HeadGet) -> Reply:
    found = await store.read(lambda connection: receipts.head(connection, request.since))
    return error(request.id, Code.NOT_FOUND) if found is None else HeadShown(request.id, found)


async def _balance(store: Store, request: BalanceGet, user_id: int) -> Reply:
    wallet = await store.read(lambda connection: queries.wallet(connection, user_id))
    assert wallet is not None, "players do not go"
    return Balance(
        request.id,
        wallet.currency,
        wallet.balance_minor,
        wallet.held_minor,
        wallet.available_minor,
        wallet.seq,
    )


async def _resume(store: Store, request: Resume, user_id: int) -> Sequence[Reply]:
    # The wallet first: an entry posted in between is among the entries, and then its seq counts.
    wallet = await store.read(lambda connection: queries.wallet(connection, user_id))
    assert wallet is not None, "players do not go"
    entries, more, gap = await store.read_long(
        lambda connection: queries.entries_after(connection, user_id, request.from_seq, RESUME_ENTRIES_MAX)
    )
    # Without entries the wallet's own seq: a client that asks from the future learns that it errs.
    seq = entries[-1].id if entries else wallet.seq
    return [
        *[wallet_entry(entry, entry.at_us) for entry in entries],
        Resumed(request.id, seq, more, gap),
    ]


async def _bet_state(store: Store, batcher: Batcher, request: BetGet, identity: Identity) -> Reply:
    def is_shown(user_id: int) -> bool:
        return user_id == identity.user_id or reach_of(identity, "bet.get") is Reach.ANY

    def in_doubt(bet: snapshots.BetState | None) -> bool:
        owner = batcher.doubtful(request.bet_id)
        return owner is not None and (bet is not None or is_shown(owner))

    def look(connection: sqlite3.Connection) -> tuple[snapshots.BetState | None, bool]:
        bet = queries.bet(connection, request.bet_id)
        return bet, bet is None and queries.is_archived(connection, request.bet_id)

    async def decided() -> snapshots.BetState | None:
        """None also where the bet is none of the asker's business; a player's own may still be on its way,
        behind a rollback that came before it."""
        bet, is_archived = await store.read(look)
        if is_archived:
            bet = await store.read_past(lambda connection: queries.archived_bet(connection, request.bet_id))
        return bet if bet is None or is_shown(bet.user_id) else None

    if in_doubt(None):
        return error(request.id, Code.OUTCOME_UNKNOWN)
    # The queue before the file, so that a bet which is decided in between is not missed in both. The file has
    # the last word, since what waits in the queue may be a copy of a bet that is decided.
    waiting = batcher.pending(request.bet_id)
    bet = await decided()
    if bet is None and waiting is not None and batcher.pending(request.bet_id) is None:
        # Decided while the file was read: it is in the file by now, or was refused without a record.
        waiting = None
        bet = await decided()
    if in_doubt(bet):  # what became of it is, or its COMMIT failed while the file was read
        return error(request.id, Code.OUTCOME_UNKNOWN)
    if bet is None and waiting is not None and is_shown(waiting.user_id):
        return BetState(request.id, request.bet_id, "pending", waiting.stake_minor, 0)
    if bet is None:
        return error(request.id, Code.NOT_FOUND)
    return BetState(
        request.id,
        request.bet_id,
        bet.state,
        bet.stake_minor,
        bet.payout_minor,
        UNSET if bet.transaction_id is None else bet.transaction_id,
        UNSET if bet.seq is None else bet.seq,
        UNSET if bet.code is None else bet.code,
    )
