"""Goes through the history of a file in order, block by block, and holds every row against it: what
`reconcile` and `verify` have in common.

Works beside a running server: each block is a short snapshot of its own. A reader that lingers would pin the
WAL, and history does not change in between. What is checked, by name, stands in `engine/checks.py`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from engine.archive_checks import ArchiveAudit, Ends
from engine.blocks import COLUMNS, Block, ends_of, head_after
from engine.bonus_checks import WalletAudit, is_grant_or_end
from engine.checks import Finding, Running, check_block, check_entries, check_participants, check_users
from engine.commands import CLEARING_ID_BASE
from engine.floor_checks import FloorAudit
from engine.leg_checks import are_own_legs, other_legs
from engine.life_audit import LifeAudit
from engine.life_checks import LIFE_KINDS, NOT_SAID, PAYOUT_KINDS, answer_of, check_burials, check_of, told_by
from engine.lives import Lives
from engine.merkle import root_of_peaks
from engine.origin import Carried, Openings, Origin
from engine.outcomes import LimitTold
from engine.payout_checks import OTHER_TERMS, check_limits, check_reserves, is_limit_as_asked
from engine.reader import ROWS_MAX, Reader, Shape
from engine.records import GENESIS, Entry, Head, Transaction
from engine.standing import Standing

Progress = Callable[[int, int], None]
"""Hears how many transactions were read, and how many there are."""

_AGAIN: Final = PAYOUT_KINDS | {"BONUS", "FREE_BET", "WALLET"}
"""The kinds of transactions that say what rows are like which no seal covers, apart from bets and holds. Of
archives, as of floors, what was told last is kept."""

_BY_ENTRIES: Final = frozenset({"BONUS", "PAYOUT_ITEM"})
"""Of these, those that say it with their entries. Where they are archived, `Origin.beside` says with which
wallet a bonus is spent, and each item in suspense names the one that resolved it, whose fingerprint is
its own."""

_OTHER_BOUNDARY: Final = "the block up to which it goes is another"
_OTHER_WALLET: Final = "it is not beside the wallet beside which it was granted"

_NEXT_BLOCK = f"SELECT {COLUMNS} FROM blocks WHERE id >= ? ORDER BY id LIMIT 1"  # noqa: S608  names and numbers of our own
_TRANSACTIONS = f"""
    SELECT id, kind, scope, key, fingerprint, answer, block_id
    FROM transactions WHERE id BETWEEN ? AND ? ORDER BY id LIMIT {ROWS_MAX}
"""  # noqa: S608  names and numbers of our own
_ENTRIES = f"""
    SELECT id, user_id, currency, amount, balance_after, ref_type, ref_id, transaction_id, block_id, prev_id
    FROM transaction_ledger WHERE id BETWEEN ? AND ? ORDER BY id LIMIT {ROWS_MAX}
"""  # noqa: S608  names and numbers of our own
_ENDS = "SELECT at, last_transaction_id, last_entry_id FROM blocks WHERE id = ?"
_ENDS_SHAPE: Final = Shape("at:i last_transaction_id:i last_entry_id:i")
BLOCK_FIELDS: Final = (
    "id:i format:i first_transaction_id:i last_transaction_id:i first_entry_id:i last_entry_id:i at:i "
    "prev_hash:b history:b root:b key_id:b hash:b peak:b signature:b"
)
_BLOCK_SHAPE: Final = Shape(BLOCK_FIELDS, "blocks")
TRANSACTION_SHAPE: Final = Shape(
    "id:i kind:t scope:t key:t fingerprint:b answer:t block_id:i", "transactions"
)
ENTRY_SHAPE: Final = Shape(
    "id:i user_id:i currency:t amount:i balance_after:i ref_type:t ref_id:t transaction_id:i block_id:i "
    "prev_id:i",
    "transaction_ledger",
)


class Audit:
    """Goes through history in order, and keeps of it a sum for each holder and each debtor, what is left of
    each payout under way, and what each limit, each floor, each bonus and each free bet was last said to be.
    """

    def __init__(self, reader: Reader, rows: Standing) -> None:
        self.head = GENESIS
        """Where the chain stood after the block that was read last."""
        self.is_whole = True
        """Whether the tree over all blocks so far is known."""
        self.entries = 0
        self.transactions: list[Transaction] = []
        """Those of the block that was read last."""
        self.holders: dict[int, Running] = defaultdict(Running)
        self.limits: dict[tuple[int, str, str], LimitTold] = {}
        self._reader = reader
        self.rows = rows
        self._books = {
            (row.kind, row.currency): row.id
            for row in rows.users
            if row.participant_id is None and row.id < CLEARING_ID_BASE
        }
        self.floors = FloorAudit(frozenset(self._books.values()))
        self.archives = ArchiveAudit(self._ends_of)
        self.origin: Origin | None = None
        """What it began with, if what was archived before that is not looked at."""
        self.wallets = WalletAudit(rows.users, rows.bonuses, rows.free_bets, self._books)
        currencies = {row.id: row.currency for row in rows.users}
        self.lives = LifeAudit(Lives(reader, rows.last_transaction_id), self._books, currencies, self.wallets)
        self._wallets_of: dict[int, list[int]] = defaultdict(list)
        for row in rows.users:
            if row.kind == "player" and row.participant_id is not None:
                self._wallets_of[row.participant_id].append(row.id)

    def carried(self) -> Carried:
        """What another run needs, to go on behind `head`."""
        return Carried(
            *self.head,
            entries=self.entries,
            holders={id_: (of.sum_minor, of.last_entry_id) for id_, of in self.holders.items()},
            limits=list(self.limits.values()),
            floors=self.floors.told,
            owed=dict(self.lives.owed),
            clearing=dict(self.lives.clearing),
            changes=self.lives.changes,
            wallets=self.wallets.told(),
            archives=dict(self.archives.told),
            archived=self._archived,
        )

    def resume(self, carried: Carried) -> Iterator[tuple[Block, list[Finding]]]:
        """Take up what an earlier run has left, and look at the rows again that no seal covers: the findings,
        block by block. What those blocks seal is not looked at again."""
        number = 1
        while number <= carried.block_id:
            row = self._reader.row(_NEXT_BLOCK, (number,), _BLOCK_SHAPE)
            if row is None or row[0] > carried.block_id:
                break
            block = Block(*row)
            findings = list(self._again(block))
            yield block, self._unsound() + findings
            number = block.id + 1
        self.head = carried.head
        self.holders.update({id_: Running(*of) for id_, of in carried.holders.items()})
        self._recall(carried)

    def behind(self, openings: Openings) -> Iterator[tuple[Block | None, list[Finding]]]:
        """Go on behind what is archived, which is what `origin` says: the findings about the blocks up to
        there, of which their own headers are checked, and what is left of what they sealed. `openings`: what
        each holder had there."""
        assert self.origin is not None
        carried = self.origin.carried
        yield from self._blocks(carried.block_id, self._archived_block)
        if self.head != carried.head:
            wrong = {"check": "archive", "block": carried.block_id, "why": _OTHER_BOUNDARY}
            yield None, [wrong]
        self.holders.update({id_: Running(*of) for id_, of in openings.items()})
        self._recall(carried)

    def _recall(self, carried: Carried) -> None:
        self.entries = carried.entries
        self.limits = {(told.user_id, told.kind, told.period): told for told in carried.limits}
        self.floors.told.update(carried.floors)
        self.lives.owed.update(carried.owed)
        self.lives.clearing.update(carried.clearing)
        # An archive may have taken some of them away since, or be at hand again.
        self.lives.changes = carried.changes + carried.archived - self._archived
        self.wallets.recall(carried.wallets)
        self.archives.told.update(carried.archives)

    @property
    def _archived(self) -> int:
        return 0 if self.origin is None else self.origin.carried.archived

    def _again(self, block: Block) -> Iterator[Finding]:
        placed = (block.first_transaction_id, block.last_transaction_id)
        self.transactions = self._read_transactions(placed)
        yield from self.lives.begun(self.transactions, None, *placed)
        kinds = _AGAIN
        if self.origin is not None and block.id <= self.origin.carried.block_id:
            kinds = _AGAIN - _BY_ENTRIES
        rare = [each for each in self.transactions if each.kind in kinds]
        entries = self._read_entries(block) if rare else []
        for transaction in rare:
            own = [entry for entry in entries if entry.transaction_id == transaction.id]
            yield from self.lives.again(transaction, own)
            yield from self.wallets.again(transaction, own)

    def history(self) -> Iterator[tuple[Block | None, list[Finding]]]:
        """Each block behind `head` up to the newest, and what is wrong with it; None in place of those that
        are missing."""
        yield from self._blocks(self.rows.newest, self._block)

    def _blocks(
        self, upto: int, look: Callable[[Block], Iterator[Finding]]
    ) -> Iterator[tuple[Block | None, list[Finding]]]:
        number = self.head.block_id + 1 if self.head.block_id else -(2**63)
        while number <= upto:
            row = self._reader.row(_NEXT_BLOCK, (number,), _BLOCK_SHAPE)
            if row is None or row[0] > upto:
                return
            block = Block(*row)
            expected = self.head.block_id + 1
            if block.id > expected:
                self.is_whole = False
                missing: Finding = {"check": "block", "block": expected, "why": "it is missing"}
                if block.id - expected > 1:
                    missing["why"] = f"it is missing, and so are those up to {block.id - 1}"
                yield None, [missing]
            findings = list(look(block))
            yield block, self._unsound() + findings
            number = block.id + 1

    def verdict(self) -> Iterator[Finding]:
        """What is wrong with the rows that history leads to, once it is read."""
        yield from self.lives.strays()
        rows = self.rows
        yield from self._unsound()
        yield from check_users(rows.users, self.holders, rows.held, self.lives.owed)
        yield from check_reserves(rows.users, self.lives.clearing, rows.waiting)
        yield from check_limits(rows.limits, self.limits)
        yield from check_participants(rows.users, rows.participants, rows.bonuses)
        yield from self.wallets.check_rows()
        yield from self.floors.check_rows((row.id, row.floor_minor) for row in rows.users)
        yield from self.archives.check_rows(rows.archives)
        yield from self._unlike_beside()

    def _unlike_beside(self) -> Iterator[Finding]:
        beside = {} if self.origin is None else self.origin.beside
        for row in self.rows.bonuses:
            if beside.get(row.user_id, row.wallet_id) != row.wallet_id:
                yield {"check": "bonus", "user_id": row.user_id, "why": _OTHER_WALLET}

    def _unsound(self) -> list[Finding]:
        findings, self._reader.findings = self._reader.findings, []
        return findings

    def _block(self, block: Block) -> Iterator[Finding]:
        placed = (block.first_transaction_id, block.last_transaction_id)
        transactions = self.transactions = self._read_transactions(placed)
        entries = self._read_entries(block)
        self.entries += len(entries)
        yield from check_block(self.head, block, transactions, entries, is_whole=self.is_whole)
        yield from check_entries(entries, self.holders)
        yield from self.lives.begun(transactions, entries, *placed)
        yield from check_burials(transactions)
        of_transaction: dict[int, list[Entry]] = defaultdict(list)
        for entry in entries:
            of_transaction[entry.transaction_id].append(entry)
        for transaction in transactions:
            yield from self._done(transaction, of_transaction[transaction.id], block.at_us)
        self._pass(block)

    def _archived_block(self, block: Block) -> Iterator[Finding]:
        yield from check_block(self.head, block, None, (), is_whole=self.is_whole)
        yield from self._again(block)
        self._pass(block)

    def _pass(self, block: Block) -> None:
        before = self.head
        self.is_whole = self.is_whole and root_of_peaks(before.peaks) == block.history
        self.head = head_after(before, block) if self.is_whole else Head(*ends_of(block))

    def _done(self, transaction: Transaction, entries: Sequence[Entry], at_us: int) -> Iterator[Finding]:
        """One transaction: what it did to whom, and with whose money."""
        told = told_by(transaction.id, transaction.kind, transaction.answer)
        if told is not None:
            yield from self.lives.done(transaction, told, entries, at_us)
        elif is_grant_or_end(transaction):
            yield from self.wallets.granted(transaction, entries, at_us)
        elif transaction.kind in LIFE_KINDS:
            yield {"check": check_of(transaction.kind), "transaction_id": transaction.id, "why": NOT_SAID}
        elif not are_own_legs(transaction, entries, self._books, self.wallets.in_bonus):
            yield other_legs(transaction)
        match transaction.kind:
            case "BET":
                yield from self.wallets.placed(transaction, self.lives.placed.get(transaction.id), at_us)
            case "WALLET":
                yield from self.wallets.opened(transaction)
            case "LIMIT":
                yield from self._limited(transaction)
            case "FLOOR":
                yield from self.floors.changed(transaction)
            case "ARCHIVE" | "CARRY":
                yield from self.archives.changed(transaction)
        self.lives.post(entries)
        self.wallets.count(entries)

    def _limited(self, transaction: Transaction) -> Iterator[Finding]:
        said = answer_of(transaction.answer)
        if said is None or said.limit is None:
            yield {"check": "limit", "transaction_id": transaction.id, "why": NOT_SAID}
            return
        told = said.limit
        if not is_limit_as_asked(transaction, told, self._wallets_of[told.user_id]):
            yield {"check": "limit", "transaction_id": transaction.id, "why": OTHER_TERMS}
        self.limits[told.user_id, told.kind, told.period] = told

    def _ends_of(self, block_id: int) -> Ends | None:
        row = self._reader.row(_ENDS, (block_id,), _ENDS_SHAPE)
        return None if row is None else (row[0], row[1], row[2])

    def _read_transactions(self, placed: tuple[int, int]) -> list[Transaction]:
        rows = self._reader.rows(_TRANSACTIONS, placed, TRANSACTION_SHAPE)
        return list(map(_TRANSACTION, rows))

    def _read_entries(self, block: Block) -> list[Entry]:
        posted = (block.first_entry_id, block.last_entry_id)
        return list(map(_ENTRY, self._reader.rows(_ENTRIES, posted, ENTRY_SHAPE)))


# NamedTuple's own: the class itself would call a function of Python's for each row.
_TRANSACTION = Transaction._make
_ENTRY = Entry._make
