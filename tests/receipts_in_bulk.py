"""Receipts out of a real file: all of them verify offline, and none once one value in it is changed.

`python tests/receipts_in_bulk.py --count 10000`, or `make receipts`. Once with the verifier in Python, once
with the one in JavaScript. Exit status 1 if one of them takes what is false or refuses what is true.
"""

from __future__ import annotations

import argparse
import copy
import json
import sqlite3
import sys
import tempfile
import time
from pathlib import Path
from random import Random
from typing import Any, Final

from engine.receipts import receipt
from tests.books_open import BOB, look, place, play, seed, settle
from tests.both_verifiers import in_node, in_python
from tests.sealed import Json, text_of

PLAYERS: Final = 100
BATCH: Final = 250
RECEIPT_BYTES_MAX: Final = 4096
HEXADECIMAL: Final = "0123456789abcdef"


def make_file(path: Path, transactions: int) -> None:
    """Deposits, then bets and their ends, in batches such as a busy server makes."""
    seed(path, *[1_000_000] * PLAYERS)
    wanted = -(-(transactions - PLAYERS) // 3) * 3
    commands: list[Any] = []
    for number in range(1, wanted // 3 * 2 + 1):
        commands.append(place(number, 1 + number % 997, BOB - 1 + number % PLAYERS))
        if number % 2 == 0:
            result = "won" if number % 4 else "lost"
            commands.append(settle(f"settle-{number}", number, result, 3 * number if number % 4 else None))
    play(path, *(commands[index : index + BATCH] for index in range(0, len(commands), BATCH)))


def receipts_of(path: Path, count: int) -> list[Json]:
    """The receipts of the first transactions, from a connection that only reads."""
    connection = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)
    try:
        made = [receipt(connection, number) for number in range(1, count + 1)]
    finally:
        connection.close()
    assert None not in made
    return [each for each in made if each is not None]


def tampered(whole: Json, random: Random) -> Json:
    """A copy with another value in one place."""
    made = copy.deepcopy(whole)
    places = [*_places(made)]
    holder, name = random.choice(places)
    holder[name] = another(holder[name], random)
    return made


def another(value: str | int, random: Random) -> str | int:
    """Another value of the same type, and where it is hexadecimal as long and as well formed."""
    if isinstance(value, int):
        return value + random.choice([-1, 1]) * random.choice([1, 2, 256, value or 1])
    if not value:
        return "x"
    index = random.randrange(len(value))
    signs = HEXADECIMAL if len(value) in (32, 64, 128) and not set(value) - set(HEXADECIMAL) else "0aZé"
    return (
        value[:index] + random.choice([sign for sign in signs if sign != value[index]]) + value[index + 1 :]
    )


def _places(inside: Any) -> list[tuple[Any, Any]]:
    """Where a text or a number stands, as what holds it and its name or index there."""
    steps = inside.items() if isinstance(inside, dict) else enumerate(inside)
    found = []
    for name, value in [*steps]:
        found += _places(value) if isinstance(value, (dict, list)) else [(inside, name)]
    return found


def measure(count: int, number: int, folder: Path) -> list[str]:
    """What is wrong; prints the counts and the rates on the way."""
    random = Random(number)
    path = folder / "books.db"
    make_file(path, count)
    (public_key,) = look(path, "SELECT lower(hex(public_key)) FROM signers")[0]
    begun = time.perf_counter()
    true = receipts_of(path, count)
    print(f"{count} receipts made, {count / (time.perf_counter() - begun):,.0f} a second")
    largest = max(len(json.dumps(each).encode()) for each in true)
    print(f"the largest has {largest} bytes")
    wrong = [] if largest < RECEIPT_BYTES_MAX else [f"a receipt of {largest} bytes"]
    for name, receipts in (("true", true), ("tampered", [tampered(each, random) for each in true])):
        vectors = [{"check": "receipt", "text": text_of(each)} for each in receipts]
        begun = time.perf_counter()
        verdicts = in_python(vectors, public_key)
        python_s = time.perf_counter() - begun
        others, node_s = in_node(vectors, public_key, folder)
        for language, found, seconds in (("Python", verdicts, python_s), ("JavaScript", others, node_s)):
            refused = sum("refused" in each for each in found)
            told = f"{count - refused} verified, {refused} refused, {count / seconds:,.0f} a second"
            print(f"{name}, {language}: {told}")
            if refused != (0 if name == "true" else count):
                wrong.append(f"{name}, {language}: {refused} of {count} refused")
        if verdicts != others:
            wrong.append(f"{name}: the verifiers do not say the same")
    return wrong


def main() -> int:
    parser = argparse.ArgumentParser(description="Receipts out of a real file, true and tampered.")
    parser.add_argument("--count", type=int, default=10_000, help="receipts, 100 or more")
    parser.add_argument("--seed", type=int, default=1, help="of where they are tampered with")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        wrong = measure(asked.count, asked.seed, Path(folder))
    for each in wrong:
        print(f"WRONG: {each}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
