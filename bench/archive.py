"""Half of a ledger is archived beside bets: `python -m bench.archive --entries 1000000`. Prints JSON.

bets alone ─▶ archive of half, bets beside it until it is moved ─▶ stop ─▶ verify together, and alone
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any, Final

from bench.beside import bets, betting, look, operator
from bench.machine import work_folder
from bench.old_books import grow
from harness.process import Server, seed, solidgreen, token

PLAYERS: Final = 1_000
BETTORS: Final = 100
OPERATOR: Final = 1
FINISH_WITHIN_S: Final = 900.0


def measure(folder: Path, entries: int, seconds: float) -> dict[str, Any]:
    """Run the whole of it. `seconds`: of bets alone, and at least so many beside the archive. Raises
    `RuntimeError` if bets are refused, or what is left does not verify.
    """
    db = folder / "books.db"
    players = seed(db, PLAYERS, balance=10**9)
    tokens = [each["token"] for each in players[:: PLAYERS // BETTORS]]
    half_us = grow(db, [each["id"] for each in players], entries)
    secret = token(db, OPERATOR, "operator")
    shown: dict[str, Any] = {"entries": entries, "bytes_before": db.stat().st_size}
    with Server(db, settings={}) as server:
        shown["bets_before"] = bets(server, tokens, seconds)
        with operator(server, secret) as asks:
            began_s = time.monotonic()
            begun = asks.ask(type="archive.begin", key="half", before=half_us // 1000)
            shown["upto_entry_id"] = begun["upto_entry_id"]
            during = []
            while (state := asks.ask(type="archive.get")["state"]) != "moved":
                with betting(server, tokens, seconds) as told:
                    shown.setdefault("states", []).append(state)
                during.append(told)
                if time.monotonic() - began_s > FINISH_WITHIN_S:
                    raise RuntimeError(f"not moved within {FINISH_WITHIN_S:g} s")
            shown["bets_during"] = during
            shown["moved_within_s"] = round(time.monotonic() - began_s, 1)
            shown["bets_after"] = bets(server, tokens, seconds)
            wait_until_small(db)
    shown["bytes_after"] = db.stat().st_size
    shown["archive_bytes"] = sum(path.stat().st_size for path in folder.glob("books.db.archive-*"))
    shown["verify"] = verified(db)
    shown["verify_alone"] = verified(db, "--alone")
    return shown


def wait_until_small(db: Path) -> None:
    """The room that is left is given back behind the last step. Raises `RuntimeError` if that takes too
    long."""
    began_s = time.monotonic()
    while look(db, "PRAGMA freelist_count", {}) != [(0,)]:
        if time.monotonic() - began_s > FINISH_WITHIN_S:
            raise RuntimeError("the room that is left was not given back")
        time.sleep(0.1)  # nothing is told of it


def verified(db: Path, *options: str) -> str:
    """The last line of `solidgreen verify`. Raises `RuntimeError` for findings."""
    done = solidgreen("verify", "--db", str(db), *options, check=False)
    if done.returncode:
        raise RuntimeError(f"verify: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.stdout.splitlines()[-1].replace(f"{db.parent}/", "")


def main() -> None:
    """Run it in a folder of its own, and print the figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--entries", type=int, default=1_000_000)
    parser.add_argument("--seconds", type=float, default=10.0, help="of bets, in each part")
    options = parser.parse_args()
    with work_folder() as folder:
        print(json.dumps(measure(folder, options.entries, options.seconds), indent=1))


if __name__ == "__main__":
    main()
