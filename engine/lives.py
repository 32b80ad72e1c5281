"""Follows bets, holds and payouts through the history of a file, for `reconcile`: look-ups by key, each a
short snapshot of its own. Reads only; called beside a running server.

Each transaction in a life names the one before it, and the row names the newest. So the lives that are walked
along, and the transactions that belong to one, can be counted independently of each other: where both counts
agree, no transaction forks from a life or is left out of it. That needs no memory of each bet.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from engine.checks import Finding
from engine.commands import BET_SCOPE
from engine.hold_checks import HoldFound, HoldRow
from engine.life_checks import NOT_IN_CHAIN, BetFound, BetRow, Subject, Told, subject_of, told_by
from engine.outcomes import BetTold, HoldTold, PayoutTold
from engine.payout_checks import PayoutFound, PayoutRow, SuspendedRow
from engine.reader import ROWS_MAX, Reader, Shape
from engine.records import Bet, Item

# Look-ups of one row of another table stand as scalar subqueries, not as joins: where archives are joined, a
# table is a view, and SQLite would make a table of all of it for an outer join (engine/archives.py).
_NEWEST = """
    (SELECT kind FROM transactions AS newest WHERE newest.id = last_transaction_id),
    (SELECT answer FROM transactions AS newest WHERE newest.id = last_transaction_id)
"""
_PRIOR = """
    (SELECT kind FROM transactions AS prior WHERE prior.id = ?),
    (SELECT answer FROM transactions AS prior WHERE prior.id = ?)
"""
_BETS = f"""
    SELECT transaction_id, user_id, currency, stake, game, round, selection, odds_milli,
           state, payout, settled, cashed_stake, last_transaction_id, {_NEWEST}
    FROM bets WHERE transaction_id BETWEEN ? AND ? ORDER BY transaction_id LIMIT {ROWS_MAX}
"""  # noqa: S608  names and numbers of our own
_HOLDS = f"""
    SELECT id, user_id, currency, purpose, amount, expires_at,
           state, remaining, last_transaction_id, {_NEWEST}
    FROM holds WHERE id BETWEEN ? AND ? ORDER BY id LIMIT {ROWS_MAX}
"""  # noqa: S608  names and numbers of our own
_BET_OF = f"""
    SELECT id, kind,
           (SELECT user_id FROM bets WHERE transaction_id = placing.id),
           (SELECT currency FROM bets WHERE transaction_id = placing.id),
           (SELECT stake FROM bets WHERE transaction_id = placing.id), answer, {_PRIOR}
    FROM transactions AS placing WHERE scope = ? AND key = ?
"""  # noqa: S608  names of our own
_HOLD_OF = f"""
    SELECT user_id, currency, purpose, amount, expires_at, {_PRIOR} FROM holds WHERE id = ?
"""  # noqa: S608  names of our own
_PAYOUTS = f"""
    SELECT id, caller, currency, state, items, total, done, suspended, last_transaction_id, {_NEWEST},
           (SELECT count(*) FROM payout_items WHERE payout_id = payouts.id AND number >= items)
           + (SELECT count(*) FROM suspended_items WHERE payout_id = payouts.id AND number >= done)
    FROM payouts WHERE id BETWEEN ? AND ? ORDER BY id LIMIT {ROWS_MAX}
"""  # noqa: S608  names and numbers of our own
_PAYOUT_OF = f"SELECT currency, {_PRIOR} FROM payouts WHERE id = ?"  # noqa: S608  names of our own
_ITEMS = f"""
    SELECT payout_id, number, user_id, amount FROM payout_items
    WHERE payout_id = ? AND number >= ? AND number < ? ORDER BY number LIMIT {ROWS_MAX}
"""  # noqa: S608  names and numbers of our own
_SUSPENDED = f"""
    SELECT number, reason, state, last_transaction_id,
           (SELECT kind FROM transactions AS newest WHERE newest.id = last_transaction_id),
           (SELECT fingerprint FROM transactions AS newest WHERE newest.id = last_transaction_id)
    FROM suspended_items
    WHERE payout_id = ? AND number >= ? AND number < ? ORDER BY number LIMIT {ROWS_MAX}
"""  # noqa: S608  names and numbers of our own
_NEXT_WITH_ITEMS = "SELECT min(payout_id) FROM payout_items WHERE payout_id > ?"
_NEXT_WITH_SUSPENDED = "SELECT min(payout_id) FROM suspended_items WHERE payout_id > ?"
_NEWEST_OF_PAYOUT = "SELECT last_transaction_id FROM payouts WHERE id = ?"
_NEWEST_OF_BET = """
    SELECT last_transaction_id
    FROM transactions AS placing JOIN bets ON bets.transaction_id = placing.id
    WHERE placing.scope = ? AND placing.key = ?
"""
_NEWEST_OF_HOLD = "SELECT last_transaction_id FROM holds WHERE id = ?"
_TRANSACTION = "SELECT kind, answer FROM transactions WHERE id = ?"
_SOME_TRANSACTIONS = """
    SELECT id, kind, answer FROM transactions WHERE id > ? AND id <= ? ORDER BY id LIMIT 1000
"""

_AND_NEWEST = "kind:t? answer:t?"
_BET_SHAPE: Final = Shape(
    "transaction_id:i user_id:i currency:t stake:i game:t? round:t? selection:t? odds_milli:i? "
    f"state:t payout:i settled:i cashed_stake:i last_transaction_id:i {_AND_NEWEST}",
    "bets",
)
_HOLD_SHAPE: Final = Shape(
    "id:i user_id:i currency:t purpose:t amount:i expires_at:i "
    f"state:t remaining:i last_transaction_id:i {_AND_NEWEST}",
    "holds",
)
_BET_FOUND: Final = Shape("id:i kind:t user_id:i? currency:t stake:i answer:t kind:t? answer:t?")
_BURIED: Final = Shape("id:i kind:t user_id:i? currency:t? stake:i? answer:t kind:t? answer:t?")
_HOLD_FOUND: Final = Shape("user_id:i currency:t purpose:t amount:i expires_at:i kind:t? answer:t?")
_PAYOUT_SHAPE: Final = Shape(
    "id:i caller:t currency:t state:t items:i total:i done:i suspended:i last_transaction_id:i "
    f"{_AND_NEWEST} surplus:i",
    "payouts",
)
_PAYOUT_FOUND: Final = Shape("currency:t kind:t? answer:t?")
_ITEM_SHAPE: Final = Shape("payout_id:i number:i user_id:i amount:i", "payout_items")
_SUSPENDED_SHAPE: Final = Shape(
    "number:i reason:t state:t last_transaction_id:i kind:t? fingerprint:b?", "suspended_items"
)
_ONE_ID: Final = Shape("id:i?")
_TRANSACTION_SHAPE: Final = Shape("kind:t answer:t")
_SOME_SHAPE: Final = Shape("id:i kind:t answer:t")

_BET_TERMS: Final = len(Bet._fields)
_CHECKS: Final = {BetTold: "bet", HoldTold: "hold", PayoutTold: "payout"}


class Lives:
    """The lives of a file as they are up to `last_transaction_id`; what is newer is left out."""

    def __init__(self, reader: Reader, last_transaction_id: int) -> None:
        self._reader = reader
        self._last_transaction_id = last_transaction_id

    def bets(self, first_id: int, last_id: int) -> list[tuple[Bet, BetRow]]:
        """The bets placed by this range of transactions, and what has become of them by now."""
        rows = self._reader.rows(_BETS, (first_id, last_id), _BET_SHAPE)
        return [(Bet(*row[:_BET_TERMS]), BetRow(*row[_BET_TERMS:])) for row in rows]

    def holds(self, first_id: int, last_id: int) -> list[HoldRow]:
        """Likewise the holds."""
        return [HoldRow(*row) for row in self._reader.rows(_HOLDS, (first_id, last_id), _HOLD_SHAPE)]

    def bet_of(self, told: BetTold) -> BetFound | None:
        """The bet that `told` is about, and the transaction before; None if no such bet was ever heard of."""
        row = self._reader.row(_BET_OF, (told.before, told.before, BET_SCOPE, told.bet_id), _BURIED)
        if row is None:
            return None
        return BetFound(*(row if row[2] is None else _BET_FOUND.sound(row, [])))

    def hold_of(self, told: HoldTold) -> HoldFound | None:
        """Likewise the hold."""
        row = self._reader.row(_HOLD_OF, (told.before, told.before, told.id), _HOLD_FOUND)
        return None if row is None else HoldFound(*row)

    def payouts(self, first_id: int, last_id: int) -> list[PayoutRow]:
        """Likewise the payouts."""
        return [PayoutRow(*row) for row in self._reader.rows(_PAYOUTS, (first_id, last_id), _PAYOUT_SHAPE)]

    def payout_of(self, told: PayoutTold) -> PayoutFound | None:
        """As `bet_of`, the payout."""
        row = self._reader.row(_PAYOUT_OF, (told.before, told.before, told.id), _PAYOUT_FOUND)
        return None if row is None else PayoutFound(*row)

    def items(self, payout_id: int, first: int, last: int) -> tuple[list[Item], list[SuspendedRow]]:
        """The items of a payout from number `first` to before `last`; and those that were put into
        suspense."""
        numbers = (payout_id, first, last)
        items = [Item(*row) for row in self._reader.rows(_ITEMS, numbers, _ITEM_SHAPE)]
        return items, [SuspendedRow(*row) for row in self._reader.rows(_SUSPENDED, numbers, _SUSPENDED_SHAPE)]

    def with_items(self) -> Iterator[int]:
        """The ids of all payouts that have items, or items in suspense: one look-up for each."""
        for sql in (_NEXT_WITH_ITEMS, _NEXT_WITH_SUSPENDED):
            after = -(2**63)
            while row := self._reader.row(sql, (after,), _ONE_ID):
                found = row[0]
                if found is None or not after < found <= self._last_transaction_id:
                    break
                yield found
                after = found

    def is_payout(self, payout_id: int) -> bool:
        """Whether there is this payout."""
        return self._reader.row(_NEWEST_OF_PAYOUT, (payout_id,), _ONE_ID) is not None

    def length(self, subject: Subject, newest_id: int) -> int:
        """How many transactions are in a life, from the one that its row names back to its beginning."""
        return sum(id_ <= self._last_transaction_id for id_ in self._walk(subject, newest_id))

    def strays(self) -> Iterator[Finding]:
        """Every transaction that the row of its bet, hold or payout does not lead to. Slow where they are
        long."""
        after = 0
        while rows := self._reader.rows(_SOME_TRANSACTIONS, (after, self._last_transaction_id), _SOME_SHAPE):
            for id_, kind, answer in rows:
                told = told_by(id_, kind, answer)
                if told is not None and self._is_stray(id_, told):
                    yield {"check": _CHECKS[type(told)], "transaction_id": id_, "why": NOT_IN_CHAIN}
            after = rows[-1][0]

    def _is_stray(self, transaction_id: int, told: Told) -> bool:
        if isinstance(told, BetTold):
            row = self._reader.row(_NEWEST_OF_BET, (BET_SCOPE, told.bet_id), _ONE_ID)
        elif isinstance(told, PayoutTold):
            row = self._reader.row(_NEWEST_OF_PAYOUT, (told.id,), _ONE_ID)
        else:
            row = self._reader.row(_NEWEST_OF_HOLD, (told.id,), _ONE_ID)
        if row is None:  # buried, or a finding of its own
            return False
        subject = subject_of(told)
        assert subject is not None
        return not any(id_ == transaction_id for id_ in self._walk(subject, row[0] or 0))

    def _walk(self, subject: Subject, newest_id: int) -> Iterator[int]:
        """Newest first; ends where the chain does, or breaks. It cannot run in a circle: see `told_by`."""
        id_ = newest_id
        while id_:
            row = self._reader.row(_TRANSACTION, (id_,), _TRANSACTION_SHAPE)
            told = None if row is None else told_by(id_, *row)
            if told is None or subject_of(told) != subject:
                return
            yield id_
            id_ = told.before
