"""What must hold of books that can be trusted, as pure checks over rows. `reconcile` feeds them block by
block.

balance      a holder's balance is the sum of its entries
held         users.held is what is left of the holder's open holds, and no more than there is
owed         users.owed is what the receivable book has lent under the holder's id and not got back
last_entry   users.last_entry_id is the holder's newest entry
running      an entry's balance_after is the one before it plus its amount, and prev_id names that one
zero_sum     the entries of a transaction sum to zero in each currency
type         a row holds what is no integer, text or bytes where one must be (reader.py)
unsealed     a transaction, an entry, a bet, a hold or a payout that no block seals, or a batch left open
block        a block's format, root, history, hash, peak, range, time or link is not what its rows give
legs         a transaction's entries are those that its kind, its answer and its bet or hold call for; what
             a bet pays goes in shares to those who paid its stake, less what each owes, and out of a bonus
             wallet that has expired on to the bonus book
bet          a bet's holder, currency and stake are those of its debits, its fingerprint that of its terms;
             who paid beside its wallet is the bonus wallet of that one, while it lasts, or the bonus book
             for a free bet of that player and amount; what became of it is one chain along
             `lifecycle.BETS`, and its row is where that ends
hold         likewise of a hold, along `lifecycle.HOLDS`; it is captured while it lasts, and expires after
payout       likewise of a payout; its items are those that were asked for, paid in order, and what could not
             be is in `suspended_items` as its transactions say
clearing     the account of a payout holds what of its total is not paid yet
suspense     the book holds the items that are in suspense
limit        a limit is what its newest LIMIT transaction says, and its player is marked as limited
floor        users.floor is what the holder's newest FLOOR transaction says, else what it began with:
             -2^62 of a book of the house's, 0 of any other; only a book's changes, as was asked for
participant  a wallet is that of a participant, whose first wallet has his number; a bonus wallet has its row
             in `bonuses`, beside a wallet of the same person and currency; a WALLET transaction has opened
             the wallet that it says
bonus        the terms of a bonus wallet change along `lifecycle.BONUSES`, by what was asked for; it expires
             when it is due, and its row is what was told last
free_bet     likewise a free bet, along `lifecycle.FREE_BETS`; the bet that used it is the one that gives it
             back
archive      an archive goes up to the end of a block, as was asked for, one after another, and its row is
             what was told last; what is left of it here is what its CARRY has sealed, and its file holds
             what was moved, and nothing else

From `legs` on they stand in leg_checks.py, life_checks.py, hold_checks.py, payout_checks.py, floor_checks.py,
bonus_checks.py and archive_checks.py; `participant` here. Not checked: what is used up of a limit, whether a
wallet was blocked when a winner's turn or a grant came, and whether a stake was split in the order in which
it should be spent.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from engine.blocks import FORMAT, Block, hash_of, peaks_after, root_of
from engine.commands import PlaceBet, fingerprint_bet
from engine.life_checks import NOT_SAID, placed_of
from engine.merkle import root_of_peaks
from engine.outcomes import Placed
from engine.records import Bet, Entry, Head, Transaction

Finding = dict[str, Any]
"""One thing that is wrong: `check` names the rule above, the rest says where and what was found."""

FINDINGS_MAX: Final = 10_000
"""After so many it is not looked any further: a file that is wrong everywhere must not fill the memory."""


class Enough(Exception):
    """There are more than `FINDINGS_MAX` findings; the last one says so. Whoever looks ends with these."""


def add(findings: list[Finding], found: Iterable[Finding]) -> None:
    """Keep what was found. Raises `Enough`."""
    for finding in found:
        if len(findings) == FINDINGS_MAX:
            why = f"there are more than {FINDINGS_MAX} findings: it was not looked any further"
            findings.append({"check": "integrity", "why": why})
        if len(findings) > FINDINGS_MAX:
            raise Enough
        findings.append(finding)


def line_of(finding: Finding) -> str:
    """A finding on one line, for people."""
    details = ", ".join(
        str(value) if name == "why" else f"{name} {value}"
        for name, value in finding.items()
        if name != "check"
    )
    return f"{finding['check']}: {details}"


WALLET_KINDS: Final = frozenset({"player", "player_bonus"})


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
    participant_id: int | None


class BonusRow(NamedTuple):
    """A row of `bonuses`: the terms of the bonus wallet `user_id`, which stands beside `wallet_id`."""

    user_id: int
    wallet_id: int
    spend: str
    expires_at_us: int
    state: str
    last_transaction_id: int


@dataclass(slots=True)
class Running:
    """What the entries read so far say of one holder."""

    sum_minor: int = 0
    last_entry_id: int = 0


def check_block(
    before: Head,
    block: Block,
    transactions: Sequence[Transaction] | None,
    entries: Sequence[Entry],
    *,
    is_whole: bool = True,
) -> Iterator[Finding]:
    """The seal: does `block` follow `before`, and do its rows give its root and hash? None: they are in an
    archive that is not looked at.

    Not `is_whole`: one of the blocks before it is not what it was, so nobody knows the tree over them.
    """

    def wrong(why: str) -> Finding:
        return {"check": "block", "block": block.id, "why": why}

    if block.format != FORMAT:
        yield wrong("its format is not one that this program knows")
    if (block.id, block.prev_hash) != (before.block_id + 1, before.hash):
        yield wrong("it does not follow the block before it")
    elif is_whole and root_of_peaks(before.peaks) != block.history:
        yield wrong("its history is not that of the blocks before it")
    if (block.first_transaction_id, block.first_entry_id) != (
        before.last_transaction_id + 1,
        before.last_entry_id + 1,
    ):
        yield wrong("its range does not follow that of the block before it")
    if block.at_us < before.at_us:
        yield wrong("its time is before that of the block before it")
    if transactions is not None:
        yield from map(wrong, _why_rows_differ(block, transactions, entries))
    if hash_of(block) != block.hash:
        yield wrong("its header does not give its hash")
    elif is_whole and peaks_after(before, block.hash)[-1] != block.peak:
        yield wrong("its peak is not that of the blocks up to it")


def _why_rows_differ(
    block: Block, transactions: Sequence[Transaction], entries: Sequence[Entry]
) -> Iterator[str]:
    numbers = {row.block_id for row in transactions} | {row.block_id for row in entries}
    if numbers - {block.id}:
        yield "a row in its range names another block"
    if {row.transaction_id for row in entries} - {row.id for row in transactions}:
        yield "an entry in its range belongs to a transaction outside of it"
    if root_of(block.first_entry_id, transactions, entries) != block.root:
        yield "its rows do not give its root: they were changed after it was sealed"


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
    transactions: Sequence[Transaction], entries: Sequence[Entry] | None, bets: Sequence[Bet]
) -> Iterator[Finding]:
    """The bets placed in one block: each has its money, and each BET transaction has its bet. Without
    `entries` the money is not looked at."""
    debits = defaultdict(list)
    for entry in entries or ():
        if entry.ref_type == "BET" and entry.amount_minor < 0:
            debit = (entry.user_id, entry.currency, -entry.amount_minor, entry.ref_id)
            debits[entry.transaction_id].append(debit)
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
        placed = placed_of(transaction.answer)
        if placed is None:
            yield wrong(NOT_SAID)
            continue
        if entries is not None and debits[transaction.id] != _debits(transaction.key, bet, placed):
            yield wrong("its holder, currency or stake is not that of its debit")
        if _fingerprint(transaction.key, bet, placed) != transaction.fingerprint:
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


def check_participants(
    users: Sequence[HolderRow], participants: Collection[int], bonuses: Sequence[BonusRow]
) -> Iterator[Finding]:
    """Whose wallet each is, and beside which one each bonus wallet stands."""
    by_id = {row.id: row for row in users}
    terms = {row.user_id: row for row in bonuses}

    def wrong(user_id: int, why: str) -> Finding:
        return {"check": "participant", "user_id": user_id, "why": why}

    for row in users:
        number = row.participant_id
        if (number is not None) != (row.kind in WALLET_KINDS):
            yield wrong(row.id, "it is a wallet of nobody, or a book of somebody")
            continue
        if number is None:
            continue
        first = by_id.get(number)
        if number not in participants:
            yield wrong(row.id, "its participant is not there")
        if first is None or first.kind != "player" or first.participant_id != number:
            yield wrong(row.id, "its participant has no first wallet")
        if row.kind == "player_bonus":
            own = terms.get(row.id)
            wallet = None if own is None else by_id.get(own.wallet_id)
            if wallet is None or wallet[1:3] != ("player", row.currency) or wallet.participant_id != number:
                yield wrong(row.id, "it is not beside a wallet of the same person and currency")
    for user_id in terms:
        if user_id not in by_id or by_id[user_id].kind != "player_bonus":
            yield wrong(user_id, "it has the terms of a bonus wallet, and is none")
    for number in participants:
        if number not in by_id:
            yield wrong(number, "a participant without a wallet")


def _debits(bet_id: str, bet: Bet, placed: Placed) -> list[tuple[int, str, int, str]]:
    """Who pays how much of a stake: the wallet first, then who pays beside it."""
    source = placed.source
    source_minor = 0 if source is None else source.amount_minor
    debits = [(bet.user_id, bet.currency, bet.stake_minor - source_minor, bet_id)]
    if source is not None:
        debits.append((source.user_id, bet.currency, source_minor, bet_id))
    return [debit for debit in debits if debit[2]]


def _fingerprint(bet_id: str, bet: Bet, placed: Placed) -> bytes:
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
        free_bet_id=None if placed.free_bet is None else placed.free_bet.id,
    )
    return fingerprint_bet(command, bet.currency)
