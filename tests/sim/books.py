"""What the file says at the end, in plain SQL: no module of the engine is asked."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.sim.deeds import check_deeds
from tests.sim.evidence import Evidence, Finding
from tests.sim.rows import DEEDS, ENTRIES, TRANSACTIONS, Deed, Entry, Transaction

MUST_BE_EMPTY: Final = {
    "a balance is not the sum of its entries": """
        SELECT id, balance, total FROM users LEFT JOIN (
            SELECT user_id, SUM(amount) AS total FROM transaction_ledger GROUP BY user_id) ON user_id = id
        WHERE balance <> coalesce(total, 0)""",
    "money came from nowhere": """
        SELECT transaction_id, currency, SUM(amount) FROM transaction_ledger
        GROUP BY transaction_id, currency HAVING SUM(amount) <> 0""",
    "the total is not constant": """
        SELECT currency, SUM(balance) FROM users GROUP BY currency HAVING SUM(balance) <> 0""",
    "a player owns less than nothing": """
        SELECT id, balance, held FROM users WHERE kind = 'player' AND balance - held < 0""",
    "what is set aside is not the sum of the holds": """
        SELECT users.id, held, total FROM users LEFT JOIN (
            SELECT user_id, SUM(remaining) AS total FROM holds WHERE state = 'open' GROUP BY user_id
        ) ON user_id = users.id WHERE held <> coalesce(total, 0)""",
    "an entry does not follow the one before it": """
        SELECT entry.id, entry.prev_id, before.id FROM transaction_ledger AS entry
        LEFT JOIN transaction_ledger AS before ON before.id = (
            SELECT max(id) FROM transaction_ledger WHERE user_id = entry.user_id AND id < entry.id)
        WHERE entry.prev_id <> coalesce(before.id, 0)
           OR entry.balance_after <> entry.amount + coalesce(before.balance_after, 0)""",
    "the time of a block runs back": """
        SELECT later.id FROM blocks JOIN blocks AS later ON later.id = blocks.id + 1
        WHERE later.at < blocks.at""",
    "a bet moved money twice": """
        SELECT ref_id, COUNT(*) FROM transaction_ledger JOIN users ON users.id = user_id
        WHERE ref_type = 'BET' AND kind = 'player' GROUP BY ref_id HAVING COUNT(*) > 1""",
    "an entry has no block, or another transaction's": """
        SELECT entry.id FROM transaction_ledger AS entry
        JOIN transactions ON transactions.id = entry.transaction_id
        LEFT JOIN blocks ON blocks.id = entry.block_id
        WHERE blocks.id IS NULL OR transactions.block_id <> entry.block_id""",
    "a refused bet was paid": """
        SELECT bet_id FROM refusals JOIN transactions ON scope = 'bet' AND key = bet_id AND kind = 'BET'""",
}
"""Each query finds what its name says."""

SCOPES_OF_THE_SERVER: Final = "clock:"


def check_books(path: Path, evidence: Evidence) -> None:
    """Raise a `Finding` unless the file is what everybody was told, and adds up."""
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        for what, query in MUST_BE_EMPTY.items():
            if rows := connection.execute(query).fetchmany(3):
                raise Finding(f"{what}: {rows}")
        entries = [Entry(*row) for row in connection.execute(ENTRIES, (0,))]
        transactions = [Transaction(*row) for row in connection.execute(TRANSACTIONS, (0,))]
        deeds = [Deed(*row) for row in connection.execute(DEEDS)]
    check_deeds(deeds, evidence)
    evidence.check_file(entries, transactions)
    for finding in _not_asked_for(evidence, entries):
        raise Finding(finding)


def _not_asked_for(evidence: Evidence, entries: list[Entry]) -> Iterator[str]:
    """Money that moved though nobody asked for it, or otherwise than somebody asked."""
    moved: dict[int, dict[int, int]] = {}
    for entry in entries:
        by_user = moved.setdefault(entry.transaction_id, {})
        by_user[entry.user_id] = by_user.get(entry.user_id, 0) + entry.amount
    for name, (transaction, at_us) in evidence.transactions.items():
        if at_us == 0 or transaction.scope.startswith(SCOPES_OF_THE_SERVER):
            continue  # it was there before; or an expiry, or a chunk of a payout
        asked = evidence.by_name.get(name, [])
        if transaction.kind == "TOMBSTONE":
            continue
        by_user = moved.get(transaction.id, {})
        if not any(
            copy.arrived_us is not None
            and copy.arrived_us <= at_us
            and _is_asked(copy.body, copy.user_id, by_user)
            for copy in asked
        ):
            yield f"{transaction} moved {by_user}, and what was asked for is {[c.body for c in asked]}"


def _is_asked(body: dict[str, object], user_id: int, moved: dict[int, int]) -> bool:
    """Whether these are the amounts that this request names; True where it names none."""
    match body:
        case {"type": "bet.place", "stake": int(stake)}:
            return moved.get(user_id) == -stake
        case {"type": "wallet.deposit", "user_id": int(whose), "amount": int(amount)}:
            return moved.get(whose) == amount
        case {"type": "wallet.withdraw" | "wallet.hold", "for_approval": True} | {"type": "wallet.hold"}:
            return not moved
        case {"type": "wallet.withdraw", "user_id": int(whose), "amount": int(amount)}:
            return moved.get(whose) == -amount
        case {"type": "wallet.transfer", "legs": list(legs)}:
            return moved == {leg["user_id"]: leg["amount"] for leg in legs}
        case {"type": "wallet.status" | "payout.add" | "payout.start"}:
            return not moved or body["type"] == "payout.start"
    return True
