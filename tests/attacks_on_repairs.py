"""Attacks on the record of what was put right."""

from __future__ import annotations

from tests.book_rows import insert
from tests.books import REPAIR, Attack, attacks

REPAIRS = [
    *attacks(
        "repairs is append-only",
        {
            "a repair edited": "UPDATE repairs SET became = 7",
            "a repair taken away": "DELETE FROM repairs",
        },
    ),
    *attacks(
        "repairs: a repair follows the newest one",
        {
            "a repair with the number zero": insert("repairs", {**REPAIR, "id": 0}),
            "a repair of nobody": insert("repairs", {**REPAIR, "id": 2, "user_id": 99}),
            "a repair again": insert("repairs", REPAIR),
            "a repair replaced": insert("repairs", {**REPAIR, "became": 7}, "INSERT OR REPLACE"),
        },
    ),
    Attack("a repair of nothing", insert("repairs", {**REPAIR, "id": 2, "became": 5}), "became <> found"),
    Attack("a repair of a floor", insert("repairs", {**REPAIR, "id": 2, "what": "floor"}), "known_column"),
]
