"""What must hold of books that can be trusted, as pure checks over rows. `reconcile` feeds them block by
block.

balance      a holder's balance is the sum of its entries
held         users.held is what is left of the holder's open holds, and no more than there is
owed         users.owed is what the receivable book has lent under the holder's id and not got back
last_entry   users.last_entry_id is the holder's newest entry
running      an entry's balance_after is the one before it plus its amount, and prev_id names that one
zero_sum     the entries of a transaction sum to zero in each currency
unsealed     a transaction, an entry or a bet that no block seals
block        a block's format, root, hash, range, time or link is not what its rows give
legs         a transaction's entries are those that its kind, its answer and its bet or hold call for
bet          a bet's holder, currency and stake are those of its debit, its fingerprint that of its terms;
             what became of it is one chain along `lifecycle.BETS`, and its row is where that ends
hold         likewise of a hold, along `lifecycle.HOLDS`; it is captured while it lasts, and expires after
payout       likewise of a payout; its items are those that were asked for, paid in order, and what could not
             be is in `suspended_items` as its transactions say
clearing     the account of a payout holds what of its total is not paid yet
suspense     the book holds the items that are in suspense
limit        a limit is what its newest LIMIT transaction says, and its player is marked as limited

The last seven stand in leg_checks.py, life_checks.py, hold_checks.py and payout_checks.py. Not checked: what
is used up of a limit; whether a winner's wallet was blocked when his turn came; and that a limit set before
its player's first entry is the newest of those.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from engine.blocks import FORMAT, Block, hash_of, root_of
from engine.commands import PlaceBet, fingerprint_bet
from engine.records import Bet, Entry, Head, Transaction

Finding = dict[str, Any]
"""One thing that is wrong: `check` names the rule above, the rest says where and what was found."""


class HolderRow(NamedTuple):
    """What `users` says of one holder."""

    id: int
    kind: str
    currency: str
    balance_minor: int
    held_minor: int
    floor_minor: int
    last_entry_id: int
    owed_minor: int


@dataclass(slots=True)
class Running:
    """What the entries read so far say of one holder."""

    sum_minor: int = 0
    last_entry_id: int = 0


def check_block(
    before: Head, block: Block, transactions: Sequence[Transaction], entries: Sequence[Entry]
) -> Iterator[Finding]:
    """The seal: does `block` follow `before`, and do its rows give its root and hash?"""

    def wrong(why: str) -> Finding:
        return {"check": "block", "block": block.id, "why": why}

    if block.format != FORMAT:
        yield wrong("its format is not one that this program knows")
    if (block.id, block.prev_hash) != (before.block_id + 1, before.hash):
        yield wrong("it does not follow the block before it")
    if (block.first_transaction_id, block.first_entry_id) != (
        before.last_transaction_id + 1,
        before.last_entry_id + 1,
    ):
        yield wrong("its range does not follow that of the block before it")
    if block.at_us < before.at_us:
        yield wrong("its time is before that of the block before it")
    numbers = {row.block_id for row in transactions} | {row.block_id for row in entries}
    if numbers - {block.id}:
        yield wrong("a row in its range names another block")
    if {row.transaction_id for row in entries} - {row.id for row in transactions}:
        yield wrong("an entry in its range belongs to a transaction outside of it")
    if root_of(transactions, entries) != block.root:
        yield wrong("its rows do not give its root: they were changed after it was sealed")
    if hash_of(block) != block.hash:
        yield wrong("its header does not give its hash")


def check_entries(entries: Sequence[Entry], holders: dict[int, Running]) -> Iterator[Finding]:
    """The postings of one block. `holders` carries each holder's sum from block to block, and is updated."""
    sums: dict[tuple[int, str], int] = defaultdict(int)
    for entry in entries:
        sums[entry.transaction_id, entry.currency] += entry.amount_minor
        holder = holders[entry.user_id]
        holder.sum_minor += entry.amount_minor
        if (entry.prev_id, entry.balance_after_minor) != (holder.last_entry_id, holder.sum_minor):
            yield {
                "check": "running",
                "user_id": entry.user_id,
                "entry": entry.id,
                "balance_after": entry.balance_after_minor,
                "ledger": holder.sum_minor,
                "prev_id": entry.prev_id,
                "previous_entry": holder.last_entry_id,
            }
        holder.last_entry_id = entry.id
    for (transaction_id, currency), sum_minor in sums.items():
        if sum_minor:
            yield {
                "check": "zero_sum",
                "transaction_id": transaction_id,
                "currency": currency,
                "sum": sum_minor,
            }


def check_bets(
    transactions: Sequence[Transaction], entries: Sequence[Entry], bets: Sequence[Bet]
) -> Iterator[Finding]:
    """The bets placed in one block: each has its money, and each BET transaction has its bet."""
    debits = {
        entry.transaction_id: entry for entry in entries if entry.ref_type == "BET" and entry.amount_minor < 0
    }
    by_id = {bet.transaction_id: bet for bet in bets}
    for transaction in transactions:
        bet = by_id.pop(transaction.id, None)
        if transaction.kind != "BET" and bet is None:
            continue

        def wrong(why: str, transaction_id: int = transaction.id) -> Finding:
            return {"check": "bet", "transaction_id": transaction_id, "why": why}

        if bet is None or transaction.kind != "BET":
            yield wrong("a bet without its transaction, or a transaction without its bet")
            continue
        debit = debits.get(transaction.id)
        if debit is None or (debit.user_id, debit.currency, -debit.amount_minor, debit.ref_id) != (
            bet.user_id,
            bet.currency,
            bet.stake_minor,
            transaction.key,
        ):
            yield wrong("its holder, currency or stake is not that of its debit")
        if _fingerprint(transaction.key, bet) != transaction.fingerprint:
            yield wrong("its terms do not give its fingerprint: they were changed after it was placed")
    for transaction_id in by_id:
        yield {"check": "bet", "transaction_id": transaction_id, "why": "a bet without its transaction"}


def check_users(
    rows: Sequence[HolderRow],
    holders: Mapping[int, Running],
    held: Mapping[int, int],
    owed: Mapping[str, int],
) -> Iterator[Finding]:
    """Every balance against the sum of its entries. `held`: what is left of the open holds of each user;
    `owed`: what is owed by each, whose id is written as a ref_id.
    """
    nothing = Running()
    for row in rows:
        holder = holders.get(row.id, nothing)
        if row.balance_minor != holder.sum_minor:
            yield {
                "check": "balance",
                "user_id": row.id,
                "balance": row.balance_minor,
                "ledger": holder.sum_minor,
            }
        if row.last_entry_id != holder.last_entry_id:
            yield {
                "check": "last_entry",
                "user_id": row.id,
                "last_entry_id": row.last_entry_id,
                "ledger": holder.last_entry_id,
            }
        held_minor = held.get(row.id, 0)
        if row.held_minor != held_minor or row.balance_minor - row.held_minor - row.floor_minor < 0:
            yield {
                "check": "held",
                "user_id": row.id,
                "balance": row.balance_minor,
                "held": row.held_minor,
                "floor": row.floor_minor,
                "holds": held_minor,
            }
        owed_minor = owed.get(str(row.id), 0)
        if row.owed_minor != owed_minor:
            yield {"check": "owed", "user_id": row.id, "owed": row.owed_minor, "ledger": owed_minor}
    for user_id in holders.keys() - {row.id for row in rows}:
        yield {"check": "balance", "user_id": user_id, "balance": None, "ledger": holders[user_id].sum_minor}


def _fingerprint(bet_id: str, bet: Bet) -> bytes:
    command = PlaceBet(
        bet_id=bet_id,
        user_id=bet.user_id,
        stake_minor=bet.stake_minor,
        nonce="",
        sent_at_us=0,
        game=bet.game,
        round=bet.round,
        selection=bet.selection,
        odds_milli=bet.odds_milli,
    )
    return fingerprint_bet(command, bet.currency)
