"""Open books for the tests of the engine: commands with sensible defaults, views, and real files with money.

The ids are those of a fresh file: the books of EUR are 1 to 6, and the bonus book; the players ALICE and BOB
follow.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from engine.accounts import open_books, open_wallets
from engine.commands import (
    BONUS_BOOK_ID_BASE,
    CashOutBet,
    Command,
    Deposit,
    GrantBonus,
    GrantFreeBet,
    PlaceBet,
    PlaceHold,
    Result,
    RollBackBet,
    SetFloor,
    SettleBet,
    Spend,
    UnsettleBet,
)
from engine.keys import SigningKey
from engine.money import BOOK_FLOOR_MINOR
from engine.outcomes import Outcome
from engine.reconcile import reconcile
from engine.records import GENESIS, Account, Head
from engine.store import Asked, Store
from engine.view import View
from tests.made_once import made_once

NOW_US = 1_760_000_000_000_000
MINUTE_US = 60_000_000
HOUSE, CASH = 1, 2
BONUS_BOOK = BONUS_BOOK_ID_BASE + HOUSE
SIGNING_KEY = SigningKey(Ed25519PrivateKey.from_private_bytes(bytes(32)))
"""Not a secret. The file of a store has another one."""

SIGNER = SIGNING_KEY.signer

ALICE, BOB = 7, 8
NOBODY = 99

Answer = TypeVar("Answer")


def bet_id(number: int) -> str:
    """A bet's id that reads as its number."""
    return f"00000000-0000-7000-8000-{number:012}"


def place(number: int, stake_minor: int = 30, user_id: int = ALICE, **terms: Any) -> PlaceBet:
    """A bet sent just now."""
    sending: dict[str, Any] = {"nonce": f"nonce-{number:04}", "sent_at_us": NOW_US}
    return PlaceBet(bet_id(number), user_id, stake_minor, **sending | terms)


def deposit(key: str, amount_minor: int = 100, user_id: int = ALICE, caller: str = "test") -> Deposit:
    """Money from the cash book of EUR."""
    return Deposit(user_id, amount_minor, key=key, caller=caller)


def settle(key: str, number: int, result: str = "won", payout_minor: int | None = None) -> SettleBet:
    """The end of bet `number`."""
    return SettleBet(bet_id(number), Result(result), payout_minor, key=key, caller="test")


def unsettle(key: str, number: int) -> UnsettleBet:
    """The end of bet `number` taken back."""
    return UnsettleBet(bet_id(number), key=key, caller="test")


def roll_back(key: str, number: int, **terms: Any) -> RollBackBet:
    """Bet `number` as if it had never been."""
    return RollBackBet(bet_id(number), **terms, key=key, caller="test")


def cash_out(key: str, number: int, stake_minor: int, payout_minor: int) -> CashOutBet:
    """A part of bet `number` ended early."""
    return CashOutBet(bet_id(number), stake_minor, payout_minor, key=key, caller="test")


def hold(key: str, amount_minor: int, user_id: int = ALICE, expires_at_us: int | None = None) -> PlaceHold:
    """Money set aside."""
    return PlaceHold(user_id, amount_minor, expires_at_us, key=key, caller="test")


def grant(
    key: str,
    amount_minor: int,
    spend: str = "first",
    expires_at_us: int | None = None,
    user_id: int = ALICE,
) -> GrantBonus:
    """Bonus money beside a wallet."""
    return GrantBonus(user_id, amount_minor, Spend(spend), expires_at_us, key=key, caller="test")


def grant_free_bet(
    key: str, amount_minor: int, expires_at_us: int | None = None, user_id: int = ALICE
) -> GrantFreeBet:
    """A bet that need not be paid."""
    return GrantFreeBet(user_id, amount_minor, expires_at_us, key=key, caller="test")


def set_floor(key: str, floor_minor: int, user_id: int = HOUSE) -> SetFloor:
    """How far a book may go from now on."""
    return SetFloor(user_id, floor_minor, key=key, caller="test")


def account(user_id: int, balance_minor: int = 0, **changes: Any) -> Account:
    """A row of `users` that was read; a player's unless `changes` say otherwise."""
    fields: dict[str, Any] = {
        "kind": "player",
        "currency": "EUR",
        "status": "open",
        "held_minor": 0,
        "floor_minor": 0,
        "version": 0,
        "last_entry_id": 0,
        "refused_minute": 0,
        "refused_count": 0,
        "owed_minor": 0,
        "opening_minor": balance_minor,
    }
    fields |= changes
    fields.setdefault("participant_id", user_id if fields["kind"] == "player" else 0)
    return Account(id=user_id, balance_minor=balance_minor, **fields)


def view_of(
    *players: Account,
    head: Head = GENESIS,
    now_us: int = NOW_US,
    cash_floor_minor: int = BOOK_FLOOR_MINOR,
    unsure_since_us: int | None = None,
) -> View:
    """A view of `players` beside the house and the cash book, with no key known."""
    house = account(HOUSE, kind="house", floor_minor=BOOK_FLOOR_MINOR)
    cash = account(CASH, kind="cash", floor_minor=cash_floor_minor)
    return View(
        head=head,
        now_us=now_us,
        accounts={each.id: each for each in (house, cash, *players)},
        books={("house", "EUR"): HOUSE, ("cash", "EUR"): CASH},
        transactions={},
        refusals={},
        bets={},
        holds={},
        payouts={},
        items={},
        suspended={},
        free_bets={},
        last_user_id=max((HOUSE, CASH, *(each.id for each in players))),
        unsure_since_us=unsure_since_us,
    )


def asked(*commands: Command) -> list[Asked]:
    """Commands that nobody in front objects to."""
    return [Asked(command) for command in commands]


def seed(path: Path, *balances_minor: int) -> Path:
    """Make a file with a wallet of each balance, ALICE's first; the deposits are block 1."""
    return made_once(path, seed_anew, *balances_minor)


def seed_anew(path: Path, *balances_minor: int) -> Path:
    """As `seed`, which takes a sixtieth of the time; with a signing key of its own."""

    async def run() -> None:
        store = await Store.open(path, create=True)
        try:
            await store.set_up(lambda connection: open_books(connection, "EUR"))
            ids = await store.set_up(lambda connection: open_wallets(connection, "EUR", len(balances_minor)))
            await store.refresh_books()
            openings = [
                deposit(f"opening-{id_}", balance, id_)
                for id_, balance in zip(ids, balances_minor, strict=True)
            ]
            await store.commit(asked(*openings), NOW_US)
        finally:
            await store.close()

    asyncio.run(run())
    return path


def seed_a_story(path: Path) -> Path:
    """ALICE: 1000 (entry 1), −30 (5), −40 (9), +500 (11), a minute each. BOB: 50 (3), −10 (7), and a refused
    bet."""
    return made_once(path, _tell_a_story)


def _tell_a_story(path: Path) -> None:
    seed(path, 1000, 50)
    play(path, [place(1, 30), place(2, 10, BOB), place(3, 60, BOB)], now_us=NOW_US + 1)
    play(path, [place(4, 40)], now_us=NOW_US + MINUTE_US)
    play(path, [deposit("more", 500)], now_us=NOW_US + 2 * MINUTE_US)


def play(path: Path, *batches: Iterable[Command], now_us: int = NOW_US) -> list[list[Outcome]]:
    """Open the file, commit each batch, close it; the outcomes."""

    async def run() -> list[list[Outcome]]:
        store = await Store.open(path)
        try:
            return [await store.commit(asked(*batch), now_us) for batch in batches]
        finally:
            await store.close()

    return asyncio.run(run())


def play_at(path: Path, batches: Iterable[tuple[Iterable[Command], int]]) -> Path:
    """Open the file, commit each batch at its time, close it."""

    async def commit_all(store: Store) -> None:
        for batch, now_us in batches:
            await store.commit(asked(*batch), now_us)

    with_store(path, commit_all)
    return path


def with_store(path: Path, use: Callable[[Store], Awaitable[Answer]], **options: Any) -> Answer:
    """Open the store, use it, close it."""

    async def run() -> Answer:
        store = await Store.open(path, **options)
        try:
            return await use(store)
        finally:
            await store.close()

    return asyncio.run(run())


def look(path: Path, sql: str, *values: Any) -> list[Any]:
    """Rows as any shell would read them."""
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        return connection.execute(sql, values).fetchall()
    finally:
        connection.close()


def balances(path: Path) -> dict[int, int]:
    """The balance of each holder that has entries; asserts that the books reconcile."""
    assert reconcile(path).findings == []
    return dict(look(path, "SELECT id, balance FROM users WHERE last_entry_id > 0"))
