"""A storm of duplicates: one bet sent a thousand times at once is one debit, and a thousand times one answer.

    python -m tests.crash.duplicates --sockets 50 --copies 1000 --stake 250

Every socket is the same player's. Half of them send their copies as one array frame, half as single frames;
all carry the same `bet_id`, body and nonce, each its own `id` and time of sending. Exit status 1 with a line
for each finding.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.process import Server, seed
from harness.wire import Wire, bet, connect, now_ms
from tests.crash.audit import Books, read_books, snapshot
from tests.crash.trial import report
from tests.crash.witness import Finding

BALANCE = 1_000_000

Json = dict[str, Any]


@dataclass(frozen=True)
class Storm:
    """What came of it: every last reply, and the books after the server has stopped."""

    bet_id: str
    user_id: int
    stake: int
    copies: int
    answers: list[Json]
    books: Books
    took_s: float

    def findings(self) -> list[Finding]:
        """What is not as it must be; the empty list when one bet stayed one bet."""
        telling = Counter(
            tuple(sorted((name, value) for name, value in answer.items() if name not in ("id", "replayed")))
            for answer in self.answers
        )
        first = sum(answer.get("replayed") is False for answer in self.answers)
        debits = self.books.debits.get(self.bet_id, [])
        balance = self.books.balances[self.user_id]
        checks = {
            "answers": (len(self.answers) == self.copies, f"{len(self.answers)} of {self.copies}"),
            "answers_differ": (len(telling) == 1, f"{len(telling)} different: {telling.most_common(3)}"),
            "confirmed": ({answer["type"] for answer in self.answers} == {"bet.confirmed"}, f"{telling}"),
            "answered_anew": (first == 1, f"{first} answers with replayed:false"),
            "debits": ([debit.amount for debit in debits] == [-self.stake], f"{debits}"),
            "balance": (balance == BALANCE - self.stake == self.books.ledger[self.user_id], f"{balance}"),
        }
        return [Finding(check, self.bet_id, detail) for check, (holds, detail) in checks.items() if not holds]


def storm(folder: Path, *, sockets: int, copies: int, stake: int, redis_url: str | None = None) -> Storm:
    """Seed and serve a file in `folder`, send `copies` of one bet over `sockets` sockets, read the books."""
    db = folder / "duplicates.db"
    (player,) = seed(db, 1, BALANCE)
    request = bet(stake)
    with Server(db, redis_url=redis_url) as server:
        began = time.monotonic()
        answers = asyncio.run(_send(server.ws, player["token"], request, sockets, copies))
        took_s = time.monotonic() - began
    books = read_books(snapshot(db, folder / "copy"))
    return Storm(request["bet_id"], player["id"], stake, copies, answers, books, took_s)


async def _send(url: str, token: str, request: Json, sockets: int, copies: int) -> list[Json]:
    async with AsyncExitStack() as stack:
        wires = [await stack.enter_async_context(connect(url, token)) for _ in range(sockets)]
        shares = (copies // sockets + (number < copies % sockets) for number in range(sockets))
        sendings = [
            _send_share(wire, request, share, array=number % 2 == 0)
            for number, (wire, share) in enumerate(zip(wires, shares, strict=True))
        ]
        return [answer for answers in await asyncio.gather(*sendings) for answer in answers]


async def _send_share(wire: Wire, request: Json, share: int, *, array: bool) -> list[Json]:
    def fresh() -> Json:
        return request | {"sent_at": now_ms()}

    if array:
        return await wire.ask_all(*(fresh() for _ in range(share)))
    exchanges = [exchange for _ in range(share) for exchange in await wire.send(fresh())]
    return [await exchange.answer() for exchange in exchanges]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="duplicates", description="One bet, sent many times at once.")
    parser.add_argument("--sockets", type=int, default=50, help="all of one player (default 50)")
    parser.add_argument("--copies", type=int, default=1000, help="in all (default 1000)")
    parser.add_argument("--stake", type=int, default=250, help="minor units (default 250)")
    parser.add_argument("--redis-url", help="let the server keep its nonces there")
    options = parser.parse_args(arguments)
    if not 1 <= options.sockets <= options.copies or not 0 < options.stake <= BALANCE:
        parser.error(f"1 to --copies sockets, and a stake of 1 to {BALANCE}")

    with tempfile.TemporaryDirectory(prefix="duplicates-") as folder:
        shown = storm(
            Path(folder),
            sockets=options.sockets,
            copies=options.copies,
            stake=options.stake,
            redis_url=options.redis_url,
        )
    findings = shown.findings()
    debits = len(shown.books.debits.get(shown.bet_id, []))
    replayed = sum(answer.get("replayed") is True for answer in shown.answers)
    print(
        f"{options.copies} copies over {options.sockets} sockets in {shown.took_s:.2f} s:"
        f" debits {debits}, answers {len(shown.answers)} (replayed {replayed}), findings {len(findings)}"
    )
    return report(findings)


if __name__ == "__main__":
    sys.exit(main())
