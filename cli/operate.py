"""The commands by which one begins: `seed` makes books and wallets, `token` lets somebody in."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import sqlite3
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cli.shell import at_the_shell
from engine import audit_log
from engine.accounts import first_floors, open_books, open_wallets
from engine.actors import CLI
from engine.commands import Command, Deposit
from engine.deeds import ACCEPTED
from engine.errors import SolidGreenError
from engine.files import check_is_ours, open_read_only
from engine.keys import signing_key
from engine.logins import name_of
from engine.outcomes import Code, Rejected
from engine.queries import wallet
from engine.store import Asked, Store
from ws.auth import issue
from ws.settings import jwt_secret, variable

SEED_BATCH = 5000
"""Deposits in one commit."""

SEEDED_TOKEN_LIFE_S = 86_400


class SeedRefused(SolidGreenError):
    """A floor or an opening deposit was not accepted."""


def seed(options: argparse.Namespace) -> int:
    """Make books and wallets; set the floors of new books and pay the opening balances in as deposits,
    through ordinary blocks.
    """
    given = variable("jwt_secret")
    if options.tokens and given is not None:
        # A secret that cannot be used is told before anybody is paid.
        jwt_secret(options.db, create=False, given=given)
    ids = asyncio.run(_seed(options))
    players: list[dict[str, Any]] = [
        {"id": id_, "balance": options.balance, "currency": options.currency} for id_ in ids
    ]
    if options.tokens:
        secret = jwt_secret(options.db, create=True, given=given)
        now_s = int(time.time())
        for player in players:
            player["token"] = issue(secret, player["id"], "player", now_s, SEEDED_TOKEN_LIFE_S)
    if options.json:
        print(json.dumps({"players": players}))
    else:
        print(
            f"{options.db}: {len(ids)} players, ids {ids[0]} to {ids[-1]}, {options.balance} minor units each"
        )
    return 0


def token(options: argparse.Namespace) -> int:
    """Print an access token. A player's wallet must exist; and nobody is given one under the number of a
    member of staff or a service account: what it does would be theirs in the audit log, and where they are
    removed it would go on."""
    check_is_ours(options.db, writing=False)
    with contextlib.closing(open_read_only(options.db)) as connection:
        if options.role == "player" and wallet(connection, options.user) is None:
            print(f"solidgreen token: {options.db}: no player has the id {options.user}", file=sys.stderr)
            return 2
        if (name := name_of(connection, options.user)) is not None:
            why = f"{options.user} is {name}, who logs in or has a key of his own"
            print(f"solidgreen token: {options.db}: {why}", file=sys.stderr)
            return 2
    secret = jwt_secret(options.db, create=True, given=variable("jwt_secret"))
    print(issue(secret, options.user, options.role, int(time.time()), options.life))
    return 0


async def _seed(options: argparse.Namespace) -> range:
    key = None if options.signing_key is None else signing_key(options.db, options.signing_key)
    store = await Store.open(Path(options.db), create=True, key=key)
    try:
        book_ids = await store.set_up(lambda c: open_books(c, options.currency))
        await store.refresh_books()
        # A conflict: these books are not new, and had another floor first.
        floors = first_floors(book_ids, options.house_floor)
        await _commit(store, floors, "floors", but_for=Code.IDEMPOTENCY_CONFLICT)
        ids = await store.set_up(lambda c: _open_wallets(c, options))
        deposits = [Deposit(id_, options.balance, key=f"opening:{id_}", caller=CLI) for id_ in ids]
        for start in range(0, len(deposits) if options.balance else 0, SEED_BATCH):
            await _commit(store, deposits[start : start + SEED_BATCH], "deposits")
        return ids
    finally:
        await store.close()


def _open_wallets(connection: sqlite3.Connection, options: argparse.Namespace) -> range:
    """Make the wallets, and tell the audit log by whom and with how much: before any of it is paid in."""
    ids = open_wallets(connection, options.currency, options.players)
    subject = {
        "first_user_id": ids[0],
        "last_user_id": ids[-1],
        "currency": options.currency,
        "amount_minor": options.balance,
        "house_floor_minor": options.house_floor,
    }
    audit_log.record(connection, at_the_shell(), "seed", subject, ACCEPTED, time.time_ns() // 1000)
    return ids


async def _commit(
    store: Store, commands: Sequence[Command], what: str, *, but_for: Code | None = None
) -> None:
    """Commit one batch. Raises `SeedRefused` if any of it is refused, unless with the code `but_for`."""
    outcomes = await store.commit([Asked(command) for command in commands], time.time_ns() // 1000)
    refused = [each for each in outcomes if isinstance(each, Rejected) and each.code is not but_for]
    if refused:
        raise SeedRefused(f"{len(refused)} {what} were refused: {refused[0].code.name}")
