"""Looks for players: by the number of a wallet, or by the beginning of a name. Plain `sqlite3`, read only."""

from __future__ import annotations

import json
import sqlite3
import unicodedata
from typing import Final, NamedTuple

from engine.money import WIRE_MAX_MINOR
from engine.people import STAFF_ID_BASE

_BEHIND_ALL: Final = "\U0010ffff"
"""No name has it: Unicode assigns it to nothing, for ever."""

_NAMED = """
    SELECT user_id FROM credentials
    WHERE username >= :first AND username < :behind AND user_id < :staff
    ORDER BY username LIMIT :most
"""
_WALLETS = """
    SELECT users.id, (SELECT username FROM credentials WHERE credentials.user_id = users.participant_id),
           currency, status, balance, held, balance - held - floor
    FROM json_each(?) AS wanted JOIN users ON users.id = wanted.value
    WHERE kind = 'player' OR kind = 'player_bonus'
    ORDER BY wanted.key
"""


class FoundPlayer(NamedTuple):
    """A wallet, and the name that its player logs in with. Amounts in minor units."""

    user_id: int
    username: str | None
    currency: str
    status: str
    balance_minor: int
    held_minor: int
    available_minor: int


def find_players(connection: sqlite3.Connection, text: str, most: int) -> list[FoundPlayer]:
    """At most `most`: the wallet of this number, then the first wallets of those whose names begin so, by
    name. Names are compared as they are kept: see `people.normal_username`.

    By the keys of both tables: it costs what it finds, however many players there are.
    """
    wanted = [int(text)] if _is_number(text) else []
    begins = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    range_ = {"first": begins, "behind": begins + _BEHIND_ALL, "staff": STAFF_ID_BASE, "most": most}
    if begins:
        wanted += [user_id for (user_id,) in connection.execute(_NAMED, range_)]
    numbers = json.dumps([*dict.fromkeys(wanted)])
    found = connection.execute(_WALLETS, (numbers,)).fetchall()  # the number may be that of no player
    return [FoundPlayer(*row) for row in found[:most]]


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) < 20 and int(text) <= WIRE_MAX_MINOR
