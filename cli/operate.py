"""The commands that write: serve, seed, token."""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import sys
import time
from pathlib import Path
from typing import Any

import uvloop

from batcher.breaker import BreakerLimits
from engine.accounts import open_books, open_wallets
from engine.commands import Deposit
from engine.errors import SolidGreenError
from engine.files import check_is_ours, open_read_only
from engine.outcomes import Accepted
from engine.queries import wallet
from engine.store import Asked, Store
from ws import app
from ws.auth import issue
from ws.settings import Settings, jwt_secret, variable

SEED_BATCH = 5000
"""Deposits in one commit."""

SEEDED_TOKEN_LIFE_S = 86_400


class SeedRefused(SolidGreenError):
    """An opening deposit was not accepted."""


def serve(options: argparse.Namespace) -> int:
    """Serve until a signal."""
    _quiet_libraries()
    check_is_ours(options.db, writing=True)  # before a secret is made beside a file that does not exist
    settings = Settings(
        db=options.db,
        jwt_secret=jwt_secret(options.db, create=True, given=variable("jwt_secret")),
        host=options.host,
        port=options.port,
        redis_url=options.redis_url,
        origins=frozenset(filter(None, (origin.strip() for origin in options.origins.split(",")))),
        breaker=BreakerLimits(
            commit_upper_us=options.breaker_commit_ms * 1000, queue_upper_us=options.breaker_queue_ms * 1000
        ),
    )
    return uvloop.run(app.serve(settings))


def seed(options: argparse.Namespace) -> int:
    """Make books and wallets, and pay the opening balances in as deposits through ordinary blocks."""
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
    """Print an access token. A player's wallet must exist."""
    check_is_ours(options.db, writing=False)
    if options.role == "player":
        connection = open_read_only(options.db)
        try:
            if wallet(connection, options.user) is None:
                print(f"solidgreen token: {options.db}: no player has the id {options.user}", file=sys.stderr)
                return 2
        finally:
            connection.close()
    secret = jwt_secret(options.db, create=True, given=variable("jwt_secret"))
    print(issue(secret, options.user, options.role, int(time.time()), options.life))
    return 0


async def _seed(options: argparse.Namespace) -> range:
    store = await Store.open(Path(options.db), create=True)
    try:
        await store.set_up(lambda c: open_books(c, options.currency, options.house_floor))
        await store.refresh_books()
        ids = await store.set_up(lambda c: open_wallets(c, options.currency, options.players))
        deposits = [Asked(Deposit(id_, options.balance, key=f"opening:{id_}", caller="cli")) for id_ in ids]
        for start in range(0, len(deposits) if options.balance else 0, SEED_BATCH):
            outcomes = await store.commit(deposits[start : start + SEED_BATCH], time.time_ns() // 1000)
            refused = [outcome for outcome in outcomes if not isinstance(outcome, Accepted)]
            if refused:
                raise SeedRefused(f"{len(refused)} deposits were refused: {refused[0].code.name}")
        return ids
    finally:
        await store.close()


def _quiet_libraries() -> None:
    """uvicorn logs each socket at level info, and a client's broken UTF-8 with a traceback."""
    logger = logging.getLogger("uvicorn.error")
    logger.setLevel(logging.WARNING)
    logger.addFilter(_without_client_tracebacks)


def _without_client_tracebacks(record: logging.LogRecord) -> bool:
    if record.msg == "Invalid UTF-8 sequence received from client.":
        record.exc_info = record.exc_text = None
        record.levelno, record.levelname = logging.WARNING, "WARNING"
    return True
