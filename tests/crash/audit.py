"""The check, as a bank would do it: the books in the file against what every player was told.

`read_books` uses nothing but the `sqlite3` module and the names that outsiders may rely on; `audit` is pure.
"""

from __future__ import annotations

import shutil
import sqlite3
from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from tests.crash.moves import EXPECTED, PREFIX, Move
from tests.crash.standing import Standing
from tests.crash.witness import Bet, Finding, History


@dataclass(frozen=True)
class Debit:
    """A player's entry of a placed bet. `amount` is negative; money in minor units."""

    entry_id: int
    user_id: int
    amount: int
    balance_after: int
    transaction_id: int


@dataclass(frozen=True)
class Moved:
    """What one command of an operator's did to a player. Without an entry if it moved no money of his."""

    transaction_id: int
    entry_id: int | None
    user_id: int | None
    amount: int
    balance_after: int | None


@dataclass(frozen=True)
class Books:
    """What one database file says."""

    balances: dict[int, int]
    ledger: dict[int, int]
    """Sum of the ledger's entries per user; a user without entries is absent."""
    debits: dict[str, list[Debit]]
    """By `bet_id`: entries of players with `ref_type` BET."""
    moves: dict[str, list[Moved]]
    """By `key`: of the operator's commands (`moves.PREFIX`), each with its entries of players."""
    deeds: dict[str, list[tuple[str, int | None]]]
    """By `key`, of the same: what the audit log says of each time, the outcome and the transaction."""
    refusals: dict[str, str]
    """By `bet_id`: why it was refused for good."""
    unbalanced: dict[int, int]
    """Transactions whose entries do not sum to zero, and what they sum to."""
    strayed: list[int]
    """Entries whose `balance_after` is not the running sum of their user's entries."""
    damage: list[str]
    """What SQLite's own checks of the file found."""


def snapshot(db: Path, folder: Path) -> Path:
    """Copy `db` and its write-ahead log as they are; call it only while no process has the file open.

    Without the `-shm` file, which is an index of the log in shared memory and is rebuilt by the first reader:
    after a crash it is not evidence.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for suffix in ("", "-wal"):
        source = db.with_name(db.name + suffix)
        if source.exists():
            shutil.copyfile(source, folder / source.name)
    return folder / db.name


def read_books(db: Path) -> Books:
    """Sum up the books in `db`, a file that no server has open (see `snapshot`)."""
    with closing(sqlite3.connect(db)) as file:
        file.execute("PRAGMA query_only = ON")
        debits: dict[str, list[Debit]] = defaultdict(list)
        for bet_id, *entry in file.execute(
            "SELECT ref_id, e.id, user_id, amount, balance_after, transaction_id"
            " FROM transaction_ledger AS e JOIN users ON users.id = e.user_id"
            " WHERE ref_type = 'BET' AND kind = 'player'"
        ):
            debits[bet_id].append(Debit(*entry))
        moves: dict[str, list[Moved]] = defaultdict(list)
        for key, *moved in file.execute(
            "SELECT key, moving.id, entry.id, user_id, coalesce(amount, 0), balance_after"
            " FROM transactions AS moving LEFT JOIN ("
            "  SELECT e.* FROM transaction_ledger AS e JOIN users ON users.id = e.user_id"
            "  WHERE kind = 'player' AND ref_type <> 'BET'"
            " ) AS entry ON entry.transaction_id = moving.id"
            " WHERE key GLOB ?",
            [f"{PREFIX}*"],
        ):
            moves[key].append(Moved(*moved))
        deeds: dict[str, list[tuple[str, int | None]]] = defaultdict(list)
        for key, outcome, transaction_id in file.execute(
            "SELECT key, outcome, transaction_id FROM audit_log WHERE key GLOB ?", [f"{PREFIX}*"]
        ):
            deeds[key].append((outcome, transaction_id))
        return Books(
            balances=dict(file.execute("SELECT id, balance FROM users")),
            ledger=dict(file.execute("SELECT user_id, SUM(amount) FROM transaction_ledger GROUP BY user_id")),
            debits=dict(debits),
            moves=dict(moves),
            deeds=dict(deeds),
            refusals=dict(file.execute("SELECT bet_id, code FROM refusals")),
            unbalanced=dict(
                file.execute(
                    "SELECT transaction_id, SUM(amount) AS total FROM transaction_ledger"
                    " GROUP BY transaction_id HAVING total <> 0"
                )
            ),
            strayed=[
                entry_id
                for (entry_id,) in file.execute(
                    "SELECT id FROM (SELECT id, balance_after, SUM(amount)"
                    " OVER (PARTITION BY user_id ORDER BY id) AS running FROM transaction_ledger)"
                    " WHERE running <> balance_after"
                )
            ],
            damage=[
                *(line for (line,) in file.execute("PRAGMA integrity_check") if line != "ok"),
                *(f"foreign key: {row}" for row in file.execute("PRAGMA foreign_key_check")),
            ],
        )


def audit(books: Books, history: History, *, may_be_open: bool) -> list[Finding]:
    """Everything in `books` that contradicts `history` or itself; the empty list when all is well.

    `may_be_open`: the file is as a crash left it, so that a bet without an answer may be in it or not;
    otherwise each such bet is a finding too.
    """
    findings = [*_sums(books), *_strangers(books, history), *_players(books, history)]
    for bet in history.bets.values():
        findings += _bet(bet, books.debits.get(bet.bet_id, []), may_be_open)
        findings += _refusal(bet, books.refusals.get(bet.bet_id))
    for move in history.moves.values():
        findings += _move(move, books.moves.get(move.key, []), may_be_open)
        findings += _deeds(move, books.moves.get(move.key, []), books.deeds.get(move.key, []))
    return [*findings, *_ended_twice(books, history)]


def _sums(books: Books) -> Iterator[Finding]:
    for line in books.damage:
        yield Finding("damaged_file", "database", line)
    for user_id in books.balances.keys() | books.ledger.keys():
        balance, ledger = books.balances.get(user_id), books.ledger.get(user_id, 0)
        if balance != ledger:
            yield Finding("balance", f"user {user_id}", f"balance {balance}, ledger {ledger}")
    for transaction_id, total in books.unbalanced.items():
        yield Finding("unbalanced", f"transaction {transaction_id}", f"its entries sum to {total}")
    if total := sum(books.ledger.values()):
        yield Finding("unbalanced", "ledger", f"all entries sum to {total}")
    for entry_id in books.strayed:
        yield Finding("balance_after", f"entry {entry_id}", "is not the running sum of its user's entries")


def _strangers(books: Books, history: History) -> Iterator[Finding]:
    for bet_id in books.debits.keys() - history.bets.keys():
        yield Finding("never_sent", bet_id, f"{books.debits[bet_id]}")
    for key in books.moves.keys() - history.moves.keys():
        yield Finding("never_sent", key, f"{books.moves[key]}")


def _players(books: Books, history: History) -> Iterator[Finding]:
    staked: dict[int, int] = defaultdict(int)
    for bet in history.bets.values():
        taken = bet.standing is Standing.OPEN and bet.bet_id in books.debits
        if taken or bet.standing is Standing.CONFIRMED:
            staked[bet.user_id] += bet.stake
    moved: dict[int, int] = defaultdict(int)
    for move in history.moves.values():
        happened = move.standing is Standing.OPEN and move.key in books.moves
        if happened or move.standing is Standing.CONFIRMED:
            moved[move.user_id] += move.effect
    for user_id, seeded in history.seeded.items():
        balance, due = books.balances.get(user_id), seeded - staked[user_id] + moved[user_id]
        if balance is None or balance < 0:
            yield Finding("negative", f"player {user_id}", f"balance {balance}")
        if balance != due:
            yield Finding("player_balance", f"player {user_id}", f"balance {balance}, told {due}")


def _bet(bet: Bet, debits: list[Debit], may_be_open: bool) -> Iterator[Finding]:
    told = bet.acknowledgement
    if len(debits) > 1:
        yield Finding("duplicated", bet.bet_id, f"{debits}")
    if any(debit.amount != -bet.stake or debit.user_id != bet.user_id for debit in debits):
        yield Finding("wrong_debit", bet.bet_id, f"stake {bet.stake} of user {bet.user_id}: {debits}")
    if bet.standing is Standing.CONFIRMED and told is not None:
        if not debits:
            yield Finding("lost", bet.bet_id, f"no entry, but {told}")
        for debit in debits[:1]:
            booked = {"transaction_id": debit.transaction_id, "seq": debit.entry_id, "stake": -debit.amount}
            if told["type"] == "bet.confirmed":
                booked["balance"] = debit.balance_after
            if any(told[name] != value for name, value in booked.items()):
                yield Finding("told_otherwise", bet.bet_id, f"{debit}, but {told}")
    elif bet.standing in (Standing.REFUSED, Standing.DEFERRED) and debits:
        yield Finding("refused_but_taken", bet.bet_id, f"{debits}, but {told}")
    elif bet.standing is Standing.OPEN and not may_be_open:
        yield Finding("unresolved", bet.bet_id, f"sent for user {bet.user_id}, never answered")


def _refusal(bet: Bet, code: str | None) -> Iterator[Finding]:
    """A refusal for good is a promise too: the books must know of it, or a retry could be paid."""
    told = bet.acknowledgement
    if bet.standing is Standing.REFUSED and told is not None and code != told["code"]:
        yield Finding("refusal_lost", bet.bet_id, f"told {told}, and the books have {code}")
    elif bet.standing is Standing.CONFIRMED and code is not None:
        yield Finding("taken_but_refused", bet.bet_id, f"{told}, and the books have {code}")


def _move(move: Move, moved: list[Moved], may_be_open: bool) -> Iterator[Finding]:
    told = move.told
    if len(moved) > 1:
        yield Finding("duplicated", move.key, f"{moved}")
    for one in moved[:1]:
        if one.amount != move.effect or one.user_id not in (None, move.user_id):
            yield Finding("wrong_move", move.key, f"{move.effect} for user {move.user_id}: {one}")
        if move.standing in (Standing.REFUSED, Standing.DEFERRED):
            yield Finding("refused_but_moved", move.key, f"{one}, but {move.answers}")
        if told is not None:
            booked = {"transaction_id": one.transaction_id}
            if one.entry_id is not None:
                booked |= {"seq": one.entry_id, "balance": one.balance_after or 0}
            if any(told[name] != value for name, value in booked.items()):
                yield Finding("told_otherwise", move.key, f"{one}, but {told}")
    if not moved and told is not None:
        yield Finding("lost", move.key, f"no transaction, but {told}")
    if move.standing is Standing.OPEN and not may_be_open:
        yield Finding("unresolved", move.key, f"{move.request}, never answered")


def _deeds(move: Move, moved: list[Moved], deeds: list[tuple[str, int | None]]) -> Iterator[Finding]:
    """What was done is in the audit log once, and each refusal that was heard as often as it was heard."""
    done = [transaction_id for outcome, transaction_id in deeds if outcome == "accepted"]
    if done != [one.transaction_id for one in moved[:1]]:
        yield Finding("deed", move.key, f"{moved}, and the audit log has {deeds}")
    refused = [outcome for outcome, _ in deeds if outcome != "accepted"]
    heard = [str(answer["code"]) for answer in move.answers if answer.get("code") in EXPECTED]
    if any(heard.count(code) > refused.count(code) for code in heard) or len(deeds) > move.sendings:
        yield Finding("deed", move.key, f"sent {move.sendings} times, {heard}, and the audit log has {deeds}")


def _ended_twice(books: Books, history: History) -> Iterator[Finding]:
    ended: dict[str, list[str]] = defaultdict(list)
    for move in history.moves.values():
        if move.bet_id is not None and move.key in books.moves:
            ended[move.bet_id].append(move.key)
    for bet_id, keys in ended.items():
        if len(keys) > 1:
            yield Finding("duplicated", bet_id, f"it ended more than once: {keys}")
