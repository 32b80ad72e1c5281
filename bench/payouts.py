"""A mass payout beside bets, killed in the middle: `python -m bench.payouts --winners 100000`. Prints JSON.

    bets alone ─▶ payout, bets beside it ─▶ kill -9 ─▶ restart, bets beside the rest of it ─▶ audit by SQL

The audit reads nothing but the file: every winner has the entry of his item exactly once, the payout's
clearing account is at zero, and `solidgreen reconcile` agrees.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any, Final

from bench.beside import Operator, bets, look, operator
from bench.machine import work_folder
from bench.stand import verdict
from harness.process import Server, seed, token

BETTORS: Final = 100
CHUNK: Final = 1_000  # items of one payout.add
AMOUNT_MINOR: Final = 250
OPERATOR: Final = 1
FINISH_WITHIN_S: Final = 300.0
BESIDE_PER_S: Final = 30_000
"""Bets are measured beside a payout for winners / this many seconds, and need 2 s to begin: from some 50,000
winners on, twice that is less than the payout takes."""


def measure(folder: Path, winners: int, seconds: float) -> dict[str, Any]:
    """Run the whole of it. `seconds`: of bets, in each part; 0: none, for a payout that is over too soon to
    be measured beside. Raises `RuntimeError` if the file is not as it must be.
    """
    db = folder / "payout.db"
    players = seed(db, winners, balance=10**9)
    tokens = [each["token"] for each in players[:: max(1, winners // BETTORS)][:BETTORS]]
    secret = token(db, OPERATOR, "operator")
    shown: dict[str, Any] = {"winners": winners}
    with Server(db, settings={}) as server:
        if seconds:
            shown["bets_alone"] = bets(server, tokens, seconds)
        with operator(server, secret) as asks:
            started = time.perf_counter()
            payout_id = collect(asks, [each["id"] for each in players])
            shown["collected_s"] = round(time.perf_counter() - started, 2)
            asks.ask(
                type="payout.start", key="start", payout_id=payout_id, items=winners,
                total=winners * AMOUNT_MINOR,
            )  # fmt: skip
        if seconds:
            shown["bets_beside"] = bets(server, tokens, min(seconds, winners / BESIDE_PER_S))
        wait_for(db, payout_id, winners // 4)
        server.kill()
        done_at_kill = progress(db, payout_id)
        if done_at_kill == winners:
            raise RuntimeError(f"killed when all {winners} items were paid: not in the middle")
        shown["items_at_kill"] = done_at_kill
        server.start()
        if seconds:
            shown["bets_beside_after_restart"] = bets(server, tokens, min(seconds, winners / BESIDE_PER_S))
        wait_for(db, payout_id, winners)
    paid_s = running_s(db, payout_id, done_at_kill)
    rates = {"paid_s": round(paid_s, 2), "items_per_s": round(winners / paid_s)}
    return shown | rates | audit(db, payout_id, winners)


def wait_for(db: Path, payout_id: int, items: int) -> None:
    """Return when so many are paid. Raises `RuntimeError` if that takes too long."""
    began = time.perf_counter()
    while progress(db, payout_id) < items:
        if time.perf_counter() - began > FINISH_WITHIN_S:
            raise RuntimeError(f"{items} items were not paid within {FINISH_WITHIN_S:g} s")
        time.sleep(0.01)  # only the file tells, whether a server runs or not


def running_s(db: Path, payout_id: int, done_at_kill: int) -> float:
    """How long the payout ran, by the times of its blocks, from its start to its last chunk; without the
    time from the last block before the kill to the first one after it.
    """
    found = look(
        db,
        """
        SELECT blocks.at, CAST(substr(key, instr(key, ':') + 1) AS INTEGER) >= :killed AS is_after
        FROM transactions JOIN blocks ON blocks.id = block_id
        WHERE scope = 'clock:payout-chunk' AND key GLOB :keys
        UNION ALL
        SELECT blocks.at, 0 FROM transactions JOIN blocks ON blocks.id = block_id
        WHERE kind = 'PAYOUT_START' AND json_extract(answer, '$.payout.id') = :payout_id
        """,
        {"killed": done_at_kill, "keys": f"{payout_id}:*", "payout_id": payout_id},
    )
    parts: list[list[int]] = [[at_us for at_us, is_after in found if is_after == part] for part in (0, 1)]
    return sum(max(part) - min(part) for part in parts) / 1_000_000


def collect(asks: Operator, winners: list[int]) -> int:
    """Hand all items over, `CHUNK` at a time; the payout's id."""
    payout_id: int = asks.ask(type="payout.open", key="open", currency="EUR")["payout_id"]
    for first in range(0, len(winners), CHUNK):
        items = [{"user_id": user_id, "amount": AMOUNT_MINOR} for user_id in winners[first : first + CHUNK]]
        asks.ask(type="payout.add", key=f"add-{first}", payout_id=payout_id, first=first, items=items)
    return payout_id


def progress(db: Path, payout_id: int) -> int:
    """How many items were paid, or put into suspense, says the file."""
    (row,) = look(db, "SELECT done FROM payouts WHERE id = :id", {"id": payout_id})
    return int(row[0])


def audit(db: Path, payout_id: int, winners: int) -> dict[str, Any]:
    """Nothing but SQL, then `reconcile`. Raises `RuntimeError` if something is wrong."""
    paid = look(
        db,
        """
        SELECT count(*), count(DISTINCT user_id), min(amount), max(amount) FROM transaction_ledger
        WHERE ref_type = 'PAYOUT' AND ref_id = :id AND amount > 0 AND user_id < (1 << 52)
        """,
        {"id": str(payout_id)},
    )[0]
    clearing = look(db, "SELECT balance FROM users WHERE id = (1 << 52) + :id", {"id": payout_id})
    said = verdict(db)
    if paid != (winners, winners, AMOUNT_MINOR, AMOUNT_MINOR) or clearing != [(0,)] or not said.get("ok"):
        raise RuntimeError(f"paid {paid} of {winners}, clearing {clearing}, reconcile {str(said)[:500]}")
    return {"paid_once": winners, "clearing_minor": 0, "reconcile": "ok"}


def main() -> None:
    """Run it in a folder of its own, and print the figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--winners", type=int, default=100_000)
    parser.add_argument("--seconds", type=float, default=10.0, help="of bets, in each part; 0: none")
    options = parser.parse_args()
    with work_folder() as folder:
        print(json.dumps(measure(folder, options.winners, options.seconds), indent=1))


if __name__ == "__main__":
    main()
