"""Place one bet on a running server and watch it turn solid green.

    python examples/place_bet.py --db demo.db --user 7 --stake 250

Uses the client `ws.client`, which asks again when a connection breaks or an answer is retryable, always for
the same bet, so that no stake is ever paid twice; docs/protocol.md shows the bare messages. With `--journal
FILE` a bet is kept there until it is answered, and a run that was interrupted is taken up by the next one.
Exit status: 0 confirmed, 1 anything else.
"""
# ruff: noqa: T201  an example prints

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
from pathlib import Path

import msgspec

from ws.client import BetConfirmed, ClientError, FileJournal, Wallet


def token_from_cli(db: str, user_id: int) -> str:
    """An access token for `user_id`, from the `solidgreen` command beside this Python."""
    command = [str(Path(sys.executable).with_name("solidgreen")), "token", "--db", db, "--user", str(user_id)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()  # noqa: S603  a list, no shell


async def place(url: str, token: str, stake_minor: int, journal: str | None) -> bool:
    """Place a bet of `stake_minor` minor units, and print what becomes of it; True: confirmed."""
    async with Wallet(url, token, journal=FileJournal(journal) if journal else None) as wallet:
        print(f"balance {wallet.balance.balance}")
        for bet_id in wallet.unresolved():  # of a run that did not live to see it
            print(f"left from before: {await wallet.resolve(bet_id, within_s=100)}")
        answer = await wallet.place(stake_minor)
        print(json.dumps(msgspec.to_builtins(answer)))
        print(f"balance {wallet.balance.balance}")
        return isinstance(answer, BetConfirmed)


def main() -> int:
    parser = argparse.ArgumentParser(description="Place one bet and watch it turn solid green.")
    parser.add_argument("--url", default="ws://127.0.0.1:8000/ws", help="(default: %(default)s)")
    parser.add_argument("--db", default="demo.db", help="file that the server serves (default: %(default)s)")
    parser.add_argument("--user", type=int, default=7, help="whose wallet (default: %(default)s)")
    parser.add_argument("--stake", type=int, default=250, help="minor units (default: %(default)s)")
    parser.add_argument("--token", help="an access token (default: from `solidgreen token`)")
    parser.add_argument("--journal", help="a file that keeps bets until they are answered")
    options = parser.parse_args()
    try:
        token = options.token or token_from_cli(options.db, options.user)
        return 0 if asyncio.run(place(options.url, token, options.stake, options.journal)) else 1
    except subprocess.CalledProcessError as error:
        print(error.stderr, end="", file=sys.stderr)
    except (ClientError, OSError, ValueError) as error:  # of the journal: it is in use, full, or no journal
        print(error, file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
