"""Place one bet on a running server and watch it turn solid green.

    python examples/place_bet.py --db demo.db --user 7 --stake 250

Needs the package `websockets`, and the `solidgreen` command for a token unless `--token` brings one. What a
real client must do is here as well: it keeps `bet_id` and `nonce` before it sends, and repeats the *same* bet
when a connection breaks or an answer is retryable, so that no stake is ever paid twice. Exit status: 0
confirmed, 1 anything else.
"""
# ruff: noqa: T201  an example prints

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
import uuid
from pathlib import Path
from typing import Any

from websockets.exceptions import WebSocketException
from websockets.sync.client import connect
from websockets.typing import Subprotocol

SUBPROTOCOL = Subprotocol("wallet.v1")
ATTEMPTS = 5
ANSWER_WITHIN_S = 10.0


def token_from_cli(db: str, user_id: int) -> str:
    """An access token for `user_id`, from the `solidgreen` command beside this Python."""
    command = [str(Path(sys.executable).with_name("solidgreen")), "token", "--db", db, "--user", str(user_id)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()  # noqa: S603  a list, no shell


def attempt(url: str, token: str, bet: dict[str, Any]) -> dict[str, Any]:
    """Send `bet` once, print each message that comes, and return the one that ends it.

    Raises `OSError` (`TimeoutError` too) or `WebSocketException` when no answer came: the bet may or may not
    have been placed, and only asking again with the same `bet_id` tells.
    """
    bearer = {"Authorization": f"Bearer {token}"}
    with connect(url, subprotocols=[SUBPROTOCOL], additional_headers=bearer, proxy=None) as socket:
        socket.send(json.dumps(bet | {"sent_at": time.time_ns() // 1_000_000}))  # the time of *this* sending
        while True:
            frame = json.loads(socket.recv(timeout=ANSWER_WITHIN_S))
            messages: list[dict[str, Any]] = frame if isinstance(frame, list) else [frame]
            for message in messages:
                print(json.dumps(message))
                is_mine = message.get("id") == bet["id"] and message["type"] != "bet.pending"
                if is_mine or message["type"] == "error":
                    return message


def place(url: str, token: str, stake_minor: int) -> bool:
    """Place a bet of `stake_minor` minor units, repeating it until its answer is final; True: confirmed."""
    bet = {"type": "bet.place", "id": "r1", "bet_id": str(uuid.uuid4()), "nonce": uuid.uuid4().hex,
           "stake": stake_minor}  # fmt: skip
    for _ in range(ATTEMPTS):
        try:
            answer = attempt(url, token, bet)
        except (OSError, WebSocketException) as error:
            print(f"no answer ({error}); asking again", file=sys.stderr)
            answer = {}
        if answer and not answer.get("retryable"):
            return bool(answer["type"] == "bet.confirmed")
        time.sleep(answer.get("retry_after_ms", 500) / 1000)  # a server in trouble is not to be hammered
    print(f"still unknown after {ATTEMPTS} attempts: {bet['bet_id']}", file=sys.stderr)
    return False


def main() -> int:
    parser = argparse.ArgumentParser(description="Place one bet and watch it turn solid green.")
    parser.add_argument("--url", default="ws://127.0.0.1:8000/ws", help="(default: %(default)s)")
    parser.add_argument("--db", default="demo.db", help="file that the server serves (default: %(default)s)")
    parser.add_argument("--user", type=int, default=7, help="whose wallet (default: %(default)s)")
    parser.add_argument("--stake", type=int, default=250, help="minor units (default: %(default)s)")
    parser.add_argument("--token", help="an access token (default: from `solidgreen token`)")
    options = parser.parse_args()
    try:
        token = options.token or token_from_cli(options.db, options.user)
    except subprocess.CalledProcessError as error:
        print(error.stderr, end="", file=sys.stderr)
        return 1
    return 0 if place(options.url, token, options.stake) else 1


if __name__ == "__main__":
    sys.exit(main())
