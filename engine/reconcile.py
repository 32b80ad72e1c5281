"""Sums the ledger and compares it with every balance: can these books be trusted? Reads only.

Works beside a running server: the balances and the newest block are taken in one snapshot, then the
history up to that block is read block by block, each a short snapshot of its own. A reader that lingers
would pin the WAL, and history does not change in between. What is checked, by name, stands in
`engine/checks.py`.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from engine.blocks import Block, ends_of, head_after
from engine.bonus_checks import FreeBetRow, WalletAudit, is_grant_or_end
from engine.checks import (
    BonusRow,
    Finding,
    HolderRow,
    Running,
    check_bets,
    check_block,
    check_entries,
    check_participants,
    check_users,
)
from engine.commands import CLEARING_ID_BASE
from engine.files import open_read_only
from engine.floor_checks import FloorAudit
from engine.hold_checks import check_holds, is_hold_where_told, taken_by, why_hold_differs
from engine.leg_checks import RECEIVABLE, Leg, are_own_legs, bet_legs, capture_legs, legs_of, other_legs
from engine.life_checks import (
    LIFE_KINDS,
    NOT_BEFORE,
    NOT_SAID,
    NOT_WHERE_TOLD,
    answer_of,
    check_burials,
    check_of,
    is_bet_where_told,
    is_refund,
    told_by,
    why_bet_differs,
)
from engine.lives import Lives
from engine.merkle import root_of_peaks
from engine.outcomes import BetTold, HoldTold, LimitTold, PayoutTold
from engine.payout_checks import (
    NO_OWNER,
    NO_PAYOUT,
    OTHER_TERMS,
    SURPLUS,
    LimitRow,
    check_limits,
    check_payouts,
    check_reserves,
    is_limit_as_asked,
    is_payout_where_told,
    items_of,
    payout_before,
    payout_legs,
    why_payout_differs,
    wrong,
)
from engine.records import GENESIS, Bet, Entry, Head, Transaction

_USERS = """
    SELECT id, kind, currency, balance, held, floor, last_entry_id, owed, participant_id
    FROM users ORDER BY id
"""
_HELD = "SELECT user_id, sum(remaining) FROM holds WHERE state = 'open' GROUP BY user_id"
_WAITING = """
    SELECT currency, sum(amount)
    FROM suspended_items AS item JOIN payout_items USING (payout_id, number)
    JOIN payouts ON payouts.id = item.payout_id
    WHERE item.state = 'suspended' GROUP BY currency
"""
_LIMITS = """
    SELECT user_id, limits.kind, period, amount, pending, pending_from, limited
    FROM limits LEFT JOIN users ON users.id = user_id
"""
_BONUSES = "SELECT user_id, wallet_id, spend, expires_at, state, last_transaction_id FROM bonuses"
_FREE_BETS = "SELECT id, user_id, currency, amount, expires_at, state, last_transaction_id FROM free_bets"
_BLOCK = """
    SELECT id, format, first_transaction_id, last_transaction_id, first_entry_id, last_entry_id, at,
           prev_hash, history, root, key_id, hash, peak, signature
    FROM blocks WHERE id = ?
"""
_NEWEST_BLOCK = "SELECT id, last_transaction_id FROM blocks ORDER BY id DESC LIMIT 1"
_TRANSACTIONS = """
    SELECT id, kind, scope, key, fingerprint, answer, block_id
    FROM transactions WHERE id BETWEEN ? AND ? ORDER BY id
"""
_ENTRIES = """
    SELECT id, user_id, currency, amount, balance_after, ref_type, ref_id, transaction_id, block_id, prev_id
    FROM transaction_ledger WHERE id BETWEEN ? AND ? ORDER BY id
"""
_UNSEALED = """
    SELECT 'transaction', id FROM transactions
    WHERE id > (SELECT coalesce(max(last_transaction_id), 0) FROM blocks)
    UNION ALL
    SELECT 'entry', id FROM transaction_ledger WHERE id > (SELECT coalesce(max(last_entry_id), 0) FROM blocks)
    UNION ALL
    SELECT 'bet', transaction_id FROM bets
    WHERE transaction_id NOT BETWEEN 1 AND (SELECT coalesce(max(last_transaction_id), 0) FROM blocks)
    UNION ALL
    SELECT 'hold', id FROM holds
    WHERE id NOT BETWEEN 1 AND (SELECT coalesce(max(last_transaction_id), 0) FROM blocks)
    UNION ALL
    SELECT 'payout', id FROM payouts
    WHERE id NOT BETWEEN 1 AND (SELECT coalesce(max(last_transaction_id), 0) FROM blocks)
    LIMIT 1000
"""


@dataclass
class Report:
    """The verdict. `users` and `entries` say how many were looked at."""

    users: int = 0
    entries: int = 0
    findings: list[Finding] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return not self.findings


def reconcile(path: Path) -> Report:
    """Check the whole file. Raises `sqlite3.Error` where it cannot be read."""
    report = Report()
    with contextlib.closing(open_read_only(path)) as connection:
        connection.execute("BEGIN")
        users = [HolderRow(*row) for row in connection.execute(_USERS)]
        held = dict(connection.execute(_HELD).fetchall())
        waiting = dict(connection.execute(_WAITING).fetchall())
        limits = [LimitRow(*row) for row in connection.execute(_LIMITS)]
        participants = {id_ for (id_,) in connection.execute("SELECT id FROM participants")}
        bonuses = [BonusRow(*row) for row in connection.execute(_BONUSES)]
        free_bets = [FreeBetRow(*row) for row in connection.execute(_FREE_BETS)]
        newest, last_transaction_id = connection.execute(_NEWEST_BLOCK).fetchone() or (0, 0)
        for what, id_ in connection.execute(_UNSEALED).fetchall():
            report.findings.append({"check": "unsealed", what: id_})
        connection.execute("COMMIT")
        audit = _Audit(connection, users, bonuses, free_bets, last_transaction_id)
        report.findings += audit.history(newest)
        report.findings += audit.strays()
    report.users, report.entries = len(users), audit.entries
    report.findings += check_users(users, audit.holders, held, audit.owed)
    report.findings += check_reserves(users, audit.clearing, waiting)
    report.findings += check_limits(limits, audit.limits)
    report.findings += check_participants(users, participants, bonuses)
    report.findings += audit.wallets.check_rows()
    report.findings += audit.floors.check_rows((row.id, row.floor_minor) for row in users)
    return report


class _Audit:
    """Goes through history in order, and keeps of it a sum for each holder and each debtor, what is left of
    each payout under way, and what each limit, each floor, each bonus and each free bet was last said to be.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        users: Sequence[HolderRow],
        bonuses: Sequence[BonusRow],
        free_bets: Sequence[FreeBetRow],
        last_transaction_id: int,
    ) -> None:
        self.entries = 0
        self.holders: dict[int, Running] = defaultdict(Running)
        self.owed: dict[str, int] = defaultdict(int)
        self._connection = connection
        self._lives = Lives(connection, last_transaction_id)
        self.clearing: dict[int, int] = defaultdict(int)
        self.limits: dict[tuple[int, str, str], LimitTold] = {}
        self._books = {
            (row.kind, row.currency): row.id
            for row in users
            if row.participant_id is None and row.id < CLEARING_ID_BASE
        }
        self.floors = FloorAudit(frozenset(self._books.values()))
        self.wallets = WalletAudit(users, bonuses, free_bets, self._books)
        self._currencies = {row.id: row.currency for row in users}
        self._wallets_of: dict[int, list[int]] = defaultdict(list)
        for row in users:
            if row.kind == "player" and row.participant_id is not None:
                self._wallets_of[row.participant_id].append(row.id)
        self._placed: dict[int, Bet] = {}  # those of the block that is being read
        # Of the transactions that bets, holds and payouts were changed by: how many there are, and how many
        # the rows lead to.
        self._changes = 0
        self._led_to = 0

    def history(self, newest: int) -> Iterator[Finding]:
        """Blocks 1 to `newest`."""
        before, is_whole = GENESIS, True
        for number in range(1, newest + 1):
            row = self._connection.execute(_BLOCK, (number,)).fetchone()
            if row is None:
                yield {"check": "block", "block": number, "why": "it is missing"}
                is_whole = False
                continue
            block = Block(*row)
            placed = (block.first_transaction_id, block.last_transaction_id)
            transactions = [Transaction(*row) for row in self._connection.execute(_TRANSACTIONS, placed)]
            posted = (block.first_entry_id, block.last_entry_id)
            entries = [Entry(*row) for row in self._connection.execute(_ENTRIES, posted)]
            self.entries += len(entries)
            yield from check_block(before, block, transactions, entries, is_whole=is_whole)
            yield from check_entries(entries, self.holders)
            yield from self._begun(transactions, entries, *placed)
            yield from check_burials(transactions)
            of_transaction: dict[int, list[Entry]] = defaultdict(list)
            for entry in entries:
                of_transaction[entry.transaction_id].append(entry)
            for transaction in transactions:
                yield from self._done(transaction, of_transaction[transaction.id], block.at_us)
                self.wallets.count(of_transaction[transaction.id])
            is_whole = is_whole and root_of_peaks(before.peaks) == block.history
            before = head_after(before, block) if is_whole else Head(*ends_of(block))

    def strays(self) -> Iterator[Finding]:
        """The transactions that are no part of the life which they say they are of, once history is read."""
        for payout_id in self._lives.with_items():
            if not self._lives.is_payout(payout_id):
                yield wrong(payout_id, NO_OWNER)
        if self._changes != self._led_to:
            yield from self._lives.strays()

    def _begun(
        self, transactions: Sequence[Transaction], entries: Sequence[Entry], first_id: int, last_id: int
    ) -> Iterator[Finding]:
        """The bets, holds and payouts of one block, as they were made and as they are now."""
        bets = self._lives.bets(first_id, last_id)
        self._placed = {bet.transaction_id: bet for bet, _ in bets}
        yield from check_bets(transactions, entries, [bet for bet, _ in bets])
        bet_ids = {each.id: each.key for each in transactions if each.kind == "BET"}
        for bet, row in bets:
            bet_id = bet_ids.get(bet.transaction_id)
            if bet_id is None:
                continue
            if not is_bet_where_told(bet_id, row):
                yield {"check": "bet", "transaction_id": bet.transaction_id, "why": NOT_WHERE_TOLD}
            self._led_to += self._lives.length(bet_id, row.last_transaction_id)
        holds = self._lives.holds(first_id, last_id)
        yield from check_holds(transactions, holds, self._currencies)
        for hold in holds:
            if not is_hold_where_told(hold):
                yield {"check": "hold", "transaction_id": hold.id, "why": NOT_WHERE_TOLD}
            self._led_to += self._lives.length(hold.id, hold.last_transaction_id)
        payouts = self._lives.payouts(first_id, last_id)
        yield from check_payouts(transactions, payouts)
        for payout in payouts:
            if not is_payout_where_told(payout):
                yield wrong(payout.id, NOT_WHERE_TOLD)
            if payout.surplus:
                yield wrong(payout.id, SURPLUS)
            self._led_to += self._lives.length(("payout", payout.id), payout.last_transaction_id)

    def _done(self, transaction: Transaction, entries: Sequence[Entry], at_us: int) -> Iterator[Finding]:
        """One transaction: what it did to whom, and with whose money."""
        told = told_by(transaction.id, transaction.kind, transaction.answer)
        if isinstance(told, BetTold):
            yield from self._bet_changed(transaction, told, entries)
        elif isinstance(told, HoldTold):
            yield from self._hold_changed(transaction, told, entries, at_us)
        elif isinstance(told, PayoutTold):
            yield from self._payout_changed(transaction, told, entries)
        elif is_grant_or_end(transaction):
            yield from self.wallets.granted(transaction, entries, at_us)
        elif transaction.kind in LIFE_KINDS:
            yield {"check": check_of(transaction.kind), "transaction_id": transaction.id, "why": NOT_SAID}
        elif not are_own_legs(transaction, entries, self._books, self.wallets.in_bonus):
            yield other_legs(transaction)
        match transaction.kind:
            case "BET":
                yield from self.wallets.placed(transaction, self._placed.get(transaction.id), at_us)
            case "WALLET":
                yield from self.wallets.opened(transaction)
            case "LIMIT":
                yield from self._limited(transaction)
            case "FLOOR":
                yield from self.floors.changed(transaction)
        for entry in entries:
            if (entry.ref_type, entry.user_id) == (
                RECEIVABLE,
                self._books.get(("receivable", entry.currency)),
            ):
                self.owed[entry.ref_id] -= entry.amount_minor

    def _bet_changed(
        self, transaction: Transaction, told: BetTold, entries: Sequence[Entry]
    ) -> Iterator[Finding]:
        found = self._lives.bet_of(told)
        why = why_bet_differs(transaction, told, found)
        if why is not None:
            yield {"check": "bet", "transaction_id": transaction.id, "why": why}
        legs: list[Leg] = []  # a burial moves nothing
        if found is not None and found.user_id is not None:
            self._changes += 1
            yield from self.wallets.became(transaction, told.bet_id, found)
            staked = self.wallets.staked((found.user_id, found.currency, found.stake_minor), found)
            refunds = is_refund(transaction.kind, found)
            about = (transaction.kind, told, staked, entries, self._books, self.owed)
            legs = bet_legs(*about, refunds=refunds)
        elif why is not None:
            return
        if legs_of(entries) != legs:
            yield other_legs(transaction)

    def _hold_changed(
        self, transaction: Transaction, told: HoldTold, entries: Sequence[Entry], at_us: int
    ) -> Iterator[Finding]:
        found = self._lives.hold_of(told)
        why = why_hold_differs(transaction, told, found, at_us)
        if why is not None:
            yield {"check": "hold", "transaction_id": transaction.id, "why": why}
        if found is None:
            return
        self._changes += 1
        legs: list[Leg] = []
        if transaction.kind == "CAPTURE":
            hold = (told.id, found.user_id, found.currency, found.purpose)
            legs = capture_legs(hold, taken_by(told, found), self._books)
        if legs_of(entries) != legs:
            yield other_legs(transaction)

    def _payout_changed(
        self, transaction: Transaction, told: PayoutTold, entries: Sequence[Entry]
    ) -> Iterator[Finding]:
        found = self._lives.payout_of(told)
        if found is None:
            yield wrong(transaction.id, NO_PAYOUT)
            return
        self._changes += 1
        prior = payout_before(transaction, told, found)
        if prior is None:
            yield wrong(transaction.id, NOT_BEFORE)
            return
        items, suspended = self._lives.items(told.id, *items_of(transaction, told, prior, entries))
        why = why_payout_differs(transaction, told, prior, found.currency, items, suspended)
        if why is not None:
            yield wrong(transaction.id, why)
        about = (transaction, told, found.currency, items)
        if legs_of(entries) != payout_legs(*about, suspended, self._books, self.owed):
            yield other_legs(transaction)
        if transaction.kind == "PAYOUT_START":
            self.clearing[told.id] += told.total_minor
        elif transaction.kind == "PAYOUT" and told.id in self.clearing:
            self.clearing[told.id] -= sum(item.amount_minor for item in items)
            if not self.clearing[told.id]:
                del self.clearing[told.id]

    def _limited(self, transaction: Transaction) -> Iterator[Finding]:
        said = answer_of(transaction.answer)
        if said is None or said.limit is None:
            yield {"check": "limit", "transaction_id": transaction.id, "why": NOT_SAID}
            return
        told = said.limit
        if not is_limit_as_asked(transaction, told, self._wallets_of[told.user_id]):
            yield {"check": "limit", "transaction_id": transaction.id, "why": OTHER_TERMS}
        self.limits[told.user_id, told.kind, told.period] = told
