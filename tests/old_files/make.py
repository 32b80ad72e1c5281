"""Makes `v1.tar.xz`: books with data of every kind, as a program of schema version 1 leaves them, and what
that program says of them. Tests upgrade it (tests/test_old_files.py), so it is made once, and never again:

    .venv/bin/python -m tests.old_files.make        # in a checkout whose SCHEMA_VERSION is the one to keep

Its key and its secret are no secrets.
"""

from __future__ import annotations

import asyncio
import io
import json
import sqlite3
import tarfile
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from cli.times import rfc3339
from engine.commands import (
    AddPayoutItems,
    CaptureHold,
    Exclude,
    ExpireBonus,
    ExpireFreeBet,
    ExpireHold,
    Leg,
    OpenPayout,
    OpenWallet,
    Pay,
    PayoutItem,
    ReleaseHold,
    ResolveItem,
    RevokeFreeBet,
    SetLimit,
    SetStatus,
    StartPayout,
    Transfer,
    Withdraw,
)
from engine.files import SCHEMA_VERSION
from engine.outcomes import Accepted, Outcome
from harness.process import JWT_SECRET, Server
from harness.wire import bet, connect
from tests.books_open import (
    ALICE,
    BOB,
    NOW_US,
    SIGNING_KEY,
    cash_out,
    deposit,
    grant,
    grant_free_bet,
    hold,
    place,
    play,
    roll_back,
    seed,
    set_floor,
    settle,
    unsettle,
)
from tests.command import harm, run, well
from tests.server_fixture import mint

HERE = Path(__file__).resolve().parent

Json = dict[str, Any]
CAROL, DAVE, NOBODY = 9, 10, 9_999
HOUSE, FEES = 1, 3
S = 1_000_000
LATER_US = NOW_US + 60 * S
MUCH_LATER_US = NOW_US + 400 * 86_400 * S


def own(key: str) -> Json:
    return {"key": key, "caller": "op"}


def id_of(outcome: Outcome, what: str) -> int:
    assert isinstance(outcome, Accepted), outcome
    return int(getattr(outcome, what).id)


def a_past(path: Path) -> None:
    """A minute of everything, then a minute later more of it; what came before is then archived."""
    seed(path, 100_000, 50_000, 10_000, 500)
    play(path, [place(n, 20 + n, (ALICE, BOB)[n % 2], game="roulette", round=f"r{n}") for n in range(40)])
    play(
        path,
        [settle(f"s{n}", n, ("lost", "won", "void")[n % 3], 90 if n % 3 == 1 else None) for n in range(24)],
    )
    play(path, [unsettle("u1", 1), settle("again", 1, "lost"), roll_back("rb4", 4), roll_back("early", 777)])
    play(path, [cash_out("part", 25, 10, 8), cash_out("all", 26, 46, 40)])
    play(path, [place(777, 5), place(778, 600, DAVE), place(779, 5, currency="USD")])  # each is refused

    ((held, held_too, ends),) = play(
        path, [hold("h1", 300), hold("h2", 200, BOB), hold("h3", 100, CAROL, NOW_US + S)]
    )
    play(
        path,
        [
            CaptureHold(id_of(held, "hold"), 120, **own("c1")),
            ReleaseHold(id_of(held_too, "hold"), **own("r2")),
        ],
    )
    play(path, [ExpireHold(id_of(ends, "hold"), **own("e3"))], now_us=LATER_US)

    play(path, [OpenWallet("EUR", ALICE, **own("second")), OpenWallet("EUR", None, **own("new player"))])
    play(path, [grant("g1", 400), grant("g2", 250, "last", NOW_US + 100 * S, BOB)])
    play(path, [place(100, 150), place(101, 49_900, BOB), settle("s100", 100, "won", 500)])
    play(
        path,
        [ExpireBonus(user, **own(f"eb{user}")) for user in bonus_wallets(path)[1:]],
        now_us=LATER_US + 100 * S,
    )
    ((free, used, revoked, expired),) = play(
        path,
        [
            grant_free_bet("f1", 50, MUCH_LATER_US),
            grant_free_bet("f2", 60, MUCH_LATER_US),
            grant_free_bet("f3", 70),
            grant_free_bet("f4", 80, LATER_US + 200 * S),
        ],
        now_us=LATER_US + 100 * S,
    )
    assert id_of(free, "free_bet")
    now_us = LATER_US + 300 * S
    play(
        path,
        [
            place(110, 60, free_bet_id=id_of(used, "free_bet"), sent_at_us=now_us),
            RevokeFreeBet(id_of(revoked, "free_bet"), **own("rv")),
            ExpireFreeBet(id_of(expired, "free_bet"), **own("ef")),
            settle("s110", 110, "won", 200),
        ],
        now_us=now_us,
    )
    play(
        path,
        [Withdraw(BOB, 70, **own("w")), Withdraw(BOB, 90, for_approval=True, **own("w2"))],
        now_us=now_us,
    )
    legs = (Leg(ALICE, -500, "TRANSFER"), Leg(CAROL, 490, "TRANSFER"), Leg(FEES, 10, "FEE"))
    play(path, [Transfer(legs, **own("t")), set_floor("floor", -(10**12))], now_us=now_us)

    items = (PayoutItem(ALICE, 150), PayoutItem(DAVE, 20), PayoutItem(NOBODY, 7), PayoutItem(BOB, 100))
    ((_, small, opened),) = play(
        path,
        [
            SetStatus(DAVE, "blocked", **own("b")),
            Pay("EUR", items, **own("pay")),
            OpenPayout("EUR", **own("op")),
        ],
        now_us=now_us,
    )
    play(path, [ResolveItem(id_of(small, "payout"), 2, returns=True, **own("back"))], now_us=now_us)
    payout = id_of(opened, "payout")
    many = tuple(PayoutItem((ALICE, BOB, CAROL)[n % 3], 1 + n) for n in range(60))
    play(
        path,
        [
            AddPayoutItems(payout, 0, many, **own("add")),
            StartPayout(payout, 60, sum(i.amount_minor for i in many), **own("go")),
        ],
        now_us=now_us,
    )
    play(path, [OpenPayout("EUR", **own("waits"))], now_us=now_us)
    play(
        path,
        [
            SetLimit(ALICE, "stake", "day", 5_000, **own("l1")),
            SetLimit(ALICE, "stake", "day", 9_000, **own("l2")),
            SetLimit(CAROL, "loss", "week", 100, **own("l3")),
            SetLimit(CAROL, "deposit", "month", 100, **own("l4")),
            Exclude(CAROL, MUCH_LATER_US, **own("x")),
            place(120, 6_000, sent_at_us=now_us),
            deposit("over", 200, CAROL),
        ],
        now_us=now_us,
    )
    harm(path, f"UPDATE users SET balance = balance + 3, version = version + 1 WHERE id = {BOB}")
    assert run("reconcile", "--db", path, "--repair").status == 0


def bonus_wallets(path: Path) -> list[int]:
    with closing(sqlite3.connect(path)) as connection:
        return [
            id_
            for (id_,) in connection.execute("SELECT id FROM users WHERE kind = 'player_bonus' ORDER BY id")
        ]


def what_is_asked(round_: str) -> list[tuple[int, str, Json]]:
    """Requests over the wire, each with a key: who asks, as what, and what. In JSON, to be asked again."""

    def placed(number: int, stake: int) -> Json:
        return bet(
            stake,
            bet_id=f"0190a000-0000-7000-8000-{round_}{number:011}",
            nonce=f"{round_}-{number:022}",
        )

    def told(key: str, type_: str, **fields: object) -> tuple[int, str, Json]:
        return HOUSE, "operator", {"type": type_, "key": f"{round_}{key}", **fields}

    bets = [placed(number, 25 + number) for number in range(4)]
    first, second, third, _ = [each["bet_id"] for each in bets]
    return [
        *[(ALICE, "player", each) for each in bets],
        (BOB, "player", placed(99, 10_000_000)),
        told("w", "bet.settle", bet_id=first, result="won", payout=70),
        told("l", "bet.settle", bet_id=second, result="lost"),
        told("r", "bet.rollback", bet_id=third),
        told("s", "bet.settle", bet_id=second, result="won", payout=1),
        told("d", "wallet.deposit", user_id=ALICE, amount=11),
        told("x", "wallet.withdraw", user_id=BOB, amount=10**9),
        told("h", "wallet.hold", user_id=BOB, amount=12),
    ]


async def ask(url: str, requests: list[tuple[int, str, Json]]) -> list[Json]:
    """What each hears, one after the other."""
    heard = []
    for user, role, request in requests:
        async with connect(url, mint(user, role)) as wire:
            heard.append({name: value for name, value in (await wire.ask(request)).items() if name != "id"})
    return heard


def said_of(db: Path, requests: list[tuple[int, str, Json]], heard: list[Json]) -> Json:
    """What this program says of the books: to be said by every later one as well."""
    with closing(sqlite3.connect(db)) as connection:
        users = connection.execute("SELECT id, balance, held, owed FROM users ORDER BY id").fetchall()
        transactions = [id_ for (id_,) in connection.execute("SELECT id FROM transactions ORDER BY id")]
        counts = {
            table: connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
            for (table,) in connection.execute(
                "SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name"
            )
            if not table.startswith("sqlite_")
        }
    sampled = sorted({*range(1, 30), *transactions[::3]})
    return {
        "schema_version": SCHEMA_VERSION,
        "users": users,
        "rows": counts,
        "verify": well("verify", "--db", db, "--json").json,
        "reconcile": well("reconcile", "--db", db, "--json").json,
        "head": well("head", "--db", db).json,
        "public_key": well("public-key", "--db", db).out,
        "statements": {id_: well("statement", "--db", db, "--user", id_, "--json").json for id_, *_ in users},
        "receipts": {
            id_: done.json for id_ in sampled if (done := run("receipt", "--db", db, id_)).status == 0
        },
        "requests": requests,
        "replays": heard,
    }


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        db = Path(folder, f"v{SCHEMA_VERSION}.db")
        key = Ed25519PrivateKey.from_private_bytes(bytes(32))
        assert key.public_key().public_bytes_raw() == SIGNING_KEY.public_key
        db.with_name(f"{db.name}.signing-key").write_bytes(
            key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        )
        db.with_name(f"{db.name}.signing-key").chmod(0o600)
        a_past(db)
        requests = what_is_asked("1")
        with Server(db) as server:
            asyncio.run(ask(server.ws, requests))
        well("archive", "--db", db, "--before", rfc3339(LATER_US))
        later = what_is_asked("2")
        with Server(db) as server:
            asyncio.run(ask(server.ws, later))
            heard = asyncio.run(ask(server.ws, [*requests, *later]))  # again: replays
        db.with_name(f"{db.name}.jwt-secret").write_text(JWT_SECRET)
        db.with_name(f"{db.name}.jwt-secret").chmod(0o600)
        with closing(sqlite3.connect(db)) as connection:  # so that there is one file to keep
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        said = said_of(db, [*requests, *later], heard)
        target = HERE / f"v{SCHEMA_VERSION}.tar.xz"
        with tarfile.open(target, "w:xz") as archive:
            for file in sorted(Path(folder).iterdir()):
                if not file.name.endswith((".log", ".lock", "-wal", "-shm")):
                    archive.add(file, file.name)
            text = json.dumps(said, separators=(",", ":")).encode()
            entry = tarfile.TarInfo("said.json")
            entry.size = len(text)
            archive.addfile(entry, io.BytesIO(text))
        print(f"{target}: {target.stat().st_size} bytes; rows: {said['rows']}")


if __name__ == "__main__":
    main()
