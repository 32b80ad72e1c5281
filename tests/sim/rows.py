"""What of the file the auditor sees: rows of history, as each COMMIT left them."""

from __future__ import annotations

from typing import Final, NamedTuple, Protocol


class Entry(NamedTuple):
    """A row of `transaction_ledger`."""

    id: int
    user_id: int
    amount: int
    balance_after: int
    ref_type: str
    ref_id: str
    transaction_id: int
    prev_id: int


class Transaction(NamedTuple):
    """A row of `transactions`."""

    id: int
    kind: str
    scope: str
    key: str
    block_id: int


class Deed(NamedTuple):
    """A row of `audit_log`."""

    id: int
    actor: int
    address: str
    action: str
    key: str | None
    outcome: str
    transaction_id: int | None


ENTRIES: Final = f"SELECT {', '.join(Entry._fields)} FROM transaction_ledger WHERE id > ? ORDER BY id"
TRANSACTIONS: Final = f"SELECT {', '.join(Transaction._fields)} FROM transactions WHERE id > ? ORDER BY id"

DEEDS: Final = f"SELECT {', '.join(Deed._fields)} FROM audit_log ORDER BY id"


class Witness(Protocol):
    """Who is told what is on disk, when it is."""

    def committed(
        self, begun_us: int, at_us: int, transactions: list[Transaction], entries: list[Entry]
    ) -> None: ...

    def sealed(self, begun_us: int, at_us: int, block_at: int) -> None:
        """Likewise, of the newest block: its time."""
