"""A row of each table, and what is written of it later, as the SQL text that one would type into a shell.

Text alone: no room of the project is imported.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

Value = int | float | str | bytes | None
Row = Mapping[str, Value]

CLEARING = 2**52  # and the number of its payout: the account that pays it
KEY_ID = b"\xfd" * 16
PRINT = b"\xfe" * 32  # a fingerprint; the schema looks at its length alone


def literal(value: Value) -> str:
    """A value as SQL text, so that an attack reads as what one would type into a shell."""
    if value is None:
        return "NULL"
    if isinstance(value, bytes):
        return f"x'{value.hex()}'"
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    return repr(value)


def insert(table: str, row: Row, verb: str = "INSERT") -> str:
    """One INSERT statement; `verb` may be 'INSERT OR REPLACE'."""
    return f"{verb} INTO {table} ({', '.join(row)}) VALUES ({', '.join(map(literal, row.values()))});\n"


def update(table: str, where: str, row: Row, verb: str = "UPDATE") -> str:
    """One UPDATE statement; `verb` may be 'UPDATE OR REPLACE'."""
    changes = ", ".join(f"{column} = {literal(value)}" for column, value in row.items())
    return f"{verb} {table} SET {changes} WHERE {where};\n"


def opening(number: int, first_transaction: int, first_entry: int) -> Row:
    """The row of `open_batch`: the block to come, and where it begins."""
    return {"id": number, "first_transaction_id": first_transaction, "first_entry_id": first_entry}


def event(number: int, block: int, kind: str, scope: str, key: str, answer: str = "{}") -> Row:
    """A row of `transactions`."""
    return {
        "id": number,
        "kind": kind,
        "scope": scope,
        "key": key,
        "fingerprint": PRINT,
        "answer": answer,
        "block_id": block,
    }


def entry(number: int, user: int, amount: int, after: int, why: tuple[str, str, int, int], prev: int) -> Row:
    """One posting; `why` is its ref_type, ref_id, transaction and block."""
    ref_type, ref_id, transaction, block = why
    return {
        "id": number,
        "user_id": user,
        "currency": "EUR",
        "amount": amount,
        "balance_after": after,
        "ref_type": ref_type,
        "ref_id": ref_id,
        "transaction_id": transaction,
        "block_id": block,
        "prev_id": prev,
    }


def bet(transaction: int, user: int, stake: int) -> Row:
    """A row of `bets`, with every term set."""
    return {
        "transaction_id": transaction,
        "user_id": user,
        "currency": "EUR",
        "stake": stake,
        "game": "dice",
        "round": "r1",
        "selection": "six",
        "odds_milli": 6000,
        "state": "confirmed",
        "payout": 0,
        "settled": 0,
        "cashed_stake": 0,
        "last_transaction_id": 0,
    }


def hold(transaction: int, user: int, amount: int) -> Row:
    """A row of `holds`, with every term set."""
    return {
        "id": transaction,
        "user_id": user,
        "currency": "EUR",
        "purpose": "hold",
        "amount": amount,
        "expires_at": 1_770_000_000_000_000,
        "state": "open",
        "remaining": amount,
        "last_transaction_id": 0,
    }


def payout(transaction: int) -> Row:
    """A row of `payouts`, as it begins."""
    return {
        "id": transaction,
        "caller": "op",
        "currency": "EUR",
        "state": "collecting",
        "items": 0,
        "total": 0,
        "done": 0,
        "suspended": 0,
        "last_transaction_id": 0,
    }


def item(payout_id: int, number: int, user: int, amount: int) -> Row:
    """A row of `payout_items`."""
    return {"payout_id": payout_id, "number": number, "user_id": user, "amount": amount}


def suspended(payout_id: int, number: int) -> Row:
    """A row of `suspended_items`, as it begins."""
    return {
        "payout_id": payout_id,
        "number": number,
        "reason": "ACCOUNT_BLOCKED",
        "state": "suspended",
        "last_transaction_id": 0,
    }


def limit(user: int, amount: int) -> Row:
    """A row of `limits`, as it begins: what may be staked in a day."""
    return {
        "user_id": user,
        "kind": "stake",
        "period": "day",
        "amount": amount,
        "pending": -1,
        "pending_from": 0,
        "window": 0,
        "used": 0,
        "last_bet": 0,
    }


def clearing(payout_id: int) -> Row:
    """The row of `users` that a payout is paid out of."""
    return {"id": CLEARING + payout_id, "kind": "clearing", "currency": "EUR"}


def of_bet(bet_id: str, state: str, **after: Value) -> str:
    """The answer of a transaction that changed a bet, as far as the schema looks at it."""
    return json.dumps({"bet": {"bet_id": bet_id, "state": state, **after}})


def of_hold(number: int, state: str, **after: Value) -> str:
    """The answer of a transaction that made or changed a hold, as far as the schema looks at it."""
    return json.dumps({"hold": {"id": number, "state": state, **after}})


def of_payout(
    number: int, state: str, suspended_now: Sequence[tuple[int, str]] = (), /, **after: Value
) -> str:
    """The answer of a transaction that made or changed a payout, as far as the schema looks at it."""
    told = {"id": number, "state": state, **after}
    return json.dumps({"payout": {**told, "suspends": suspended_now} if suspended_now else told})


def block(
    number: int, transactions: tuple[int, int], entries: tuple[int, int], prev: bytes, own: bytes
) -> Row:
    """A row of `blocks`; `transactions` and `entries` are the first and last of its range."""
    return {
        "id": number,
        "format": 1,
        "first_transaction_id": transactions[0],
        "last_transaction_id": transactions[1],
        "first_entry_id": entries[0],
        "last_entry_id": entries[1],
        "at": 1_760_000_000_000_000 + number,
        "prev_hash": prev,
        "history": PRINT,
        "root": PRINT,
        "key_id": KEY_ID,
        "hash": own,
        "peak": PRINT,
        "signature": bytes(64),
    }


def becomes(number: int, **row: Value) -> str:
    """What is written of a bet that a transaction has changed."""
    return update("bets", f"transaction_id = {number}", row)


def hold_becomes(number: int, **row: Value) -> str:
    """What is written of a hold that a transaction has changed."""
    return update("holds", f"id = {number}", row)


def payout_becomes(number: int, **row: Value) -> str:
    """What is written of a payout that a transaction has changed."""
    return update("payouts", f"id = {number}", row)


def item_becomes(payout_id: int, number: int, /, **row: Value) -> str:
    """What is written of an item in suspense that a transaction has changed."""
    return update("suspended_items", f"payout_id = {payout_id} AND number = {number}", row)


# Who may log in: one of the staff, logged in; and a program with a key.
MEMBER: Row = {
    "user_id": 2**50,
    "username": "anna",
    "role": "operator",
    "password_hash": "$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$aGFzaA",
    "created_at": 1,
    "changed_at": 1,
    "removed_at": None,
}
LOGIN: Row = {"id": 1, "user_id": 2**50, "began_at": 1, "expires_at": 9, "ended_at": None, "why": None}
TOKEN: Row = {"hash": b"\x01" * 32, "login_id": 1, "issued_at": 1, "used_at": None, "successor": None}
PROGRAM: Row = {
    "id": 2**50 + 2**49,
    "name": "partner",
    "role": "operator",
    "scopes": "bets",
    "created_at": 1,
    "revoked_at": None,
}
KEY: Row = {
    "id": 1,
    "account_id": 2**50 + 2**49,
    "hash": b"\x03" * 32,
    "prefix": "sg_AAAAA",
    "created_at": 1,
    "expires_at": None,
    "revoked_at": None,
}


def people() -> str:
    """All of these."""
    rows = {
        "credentials": MEMBER,
        "logins": LOGIN,
        "refresh_tokens": TOKEN,
        "service_accounts": PROGRAM,
        "service_keys": KEY,
    }
    return "".join(insert(table, row) for table, row in rows.items())
