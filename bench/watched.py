"""Operators who watch, beside all the bets that the server can take: `python -m bench.watched`. Prints JSON;
1 if they cost more than they may.

    bets alone ─▶ the same bets, and operators who follow the figures ─▶ …

Both take turns on one server: a ratio is that of neighbours in time, and what is reported is their median.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from websockets.exceptions import ConnectionClosed

from bench.beside import operator
from bench.machine import work_folder
from bench.processes import ask
from bench.stand import GRACE_S, verdict
from bench.table import mid, mid_ratio
from harness.process import Server, seed, token

CONNECTIONS: Final = 100
IN_FLIGHT: Final = 20
OPERATORS: Final = 3
KEPT_MIN: Final = 0.98
"""Of the bets a second, beside operators who watch."""
WARM_UP_S: Final = 1.0
WATCHER: Final = 1
PARTS: Final = ("alone", "watched")

Round = dict[str, dict[str, Any]]


def measure(folder: Path, rounds: int, seconds: float, operators: int) -> dict[str, Any]:
    """Bets alone and watched, `rounds` times. Raises `RuntimeError` if the books are not as they must be, or
    nobody was told any figures."""
    db = folder / "watched.db"
    tokens = [each["token"] for each in seed(db, CONNECTIONS, balance=10**10)]
    secret = token(db, WATCHER, "operator")
    figures: list[Round] = []
    with Server(db, settings={}) as server:
        _bets(server, tokens, seconds)  # warms up; told by nobody
        for number in range(rounds):
            pair: Round = {}
            for part in PARTS if number % 2 == 0 else reversed(PARTS):
                if part == "alone":
                    pair[part] = _bets(server, tokens, seconds)
                    continue
                with watching(server, secret, operators) as told:
                    pair[part] = _bets(server, tokens, seconds)
                if not all(told):
                    raise RuntimeError(f"figures were told {told} times")
                pair[part]["told"] = sum(told)
            figures.append(pair)
    said = verdict(db)
    if not said.get("ok"):
        raise RuntimeError(f"reconcile {str(said)[:500]}")
    return summary(figures, operators) | {"rounds": figures, "reconcile": "ok"}


def summary(figures: Sequence[Round], operators: int) -> dict[str, Any]:
    """Medians over the rounds, and of the rounds' ratios."""
    kept = mid_ratio(figures, lambda pair: pair["watched"]["per_s"], lambda pair: pair["alone"]["per_s"])
    per_s = {part: mid(figures, part, "per_s") for part in PARTS}
    return {"operators": operators, "per_s": per_s, "kept": round(kept, 3), "target": KEPT_MIN}


@contextlib.contextmanager
def watching(server: Server, secret: str, operators: int) -> Iterator[list[int]]:
    """So many operators follow the figures meanwhile; how often each was told them so far."""
    told = [0] * operators
    with contextlib.ExitStack() as sockets:
        for number in range(operators):
            asks = sockets.enter_context(operator(server, secret))
            asks.ask(type="figures.follow")

            def listen(number: int = number, asks: Any = asks) -> None:
                with contextlib.suppress(ConnectionClosed):
                    for _ in asks.socket:
                        told[number] += 1

            listener = threading.Thread(target=listen)
            listener.start()
            sockets.callback(listener.join)
            sockets.callback(asks.socket.close)  # first: that ends the thread
        yield told


def _bets(server: Server, tokens: list[str], seconds: float) -> dict[str, Any]:
    assert server.process is not None
    job = {
        "url": server.ws, "connections": CONNECTIONS, "in_flight": IN_FLIGHT, "tokens": tokens,
        "warm_up_s": WARM_UP_S, "seconds": seconds, "watch": {"server": server.process.pid},
    }  # fmt: skip
    told = ask("bench.driver", [], WARM_UP_S + seconds + GRACE_S, json.dumps(job))
    if told["refused"] or told["unanswered"]:
        raise RuntimeError(f"bets were refused or not answered: {told['refused']}, {told['unanswered']}")
    return {"per_s": told["per_s"], "cores": told["cores"]}


def main() -> int:
    """Run it in a folder of its own, and print the figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15, help="of both (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=3.0, help="of bets, in each (default: %(default)s)")
    parser.add_argument("--operators", type=int, default=OPERATORS, help="who watch (default: %(default)s)")
    options = parser.parse_args()
    with work_folder() as folder:
        report = measure(folder, options.rounds, options.seconds, options.operators)
    print(json.dumps(report, indent=1))
    return 0 if report["kept"] >= KEPT_MIN else 1


if __name__ == "__main__":
    sys.exit(main())
