"""The fields of `wallet.v1`, and what all its messages are made of.

Names and bounds are PROTOCOL's. Amounts are minor units, times (`…_at`, `server_time`) milliseconds since
the epoch. A field that is `UNSET` is left out of the frame.
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from engine.money import BOOK_FLOOR_MINOR, WIRE_MAX_MINOR

SUBPROTOCOL: Final = "wallet.v1"
"""What a WebSocket is asked for by name, so that both sides know what they speak."""

# What the two patterns say is checked by ws/codec.py, which knows cheaper ways than one search for each
# field.
NO_CONTROLS = {"pattern": r"^[^\x00-\x1f\x7f-\x9f]*$"}
UUID = {"pattern": r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"}

Id = Annotated[str, Meta(min_length=1, max_length=64, extra_json_schema=NO_CONTROLS)]
Text = Annotated[str, Meta(max_length=64, extra_json_schema=NO_CONTROLS)]
Key = Id
Nonce = Annotated[str, Meta(min_length=8, max_length=64, extra_json_schema=NO_CONTROLS)]
BetId = Annotated[str, Meta(max_length=36, extra_json_schema=UUID)]
Stake = Annotated[int, Meta(ge=1, le=WIRE_MAX_MINOR)]
Natural = Annotated[int, Meta(ge=0, le=WIRE_MAX_MINOR)]
UserId = Annotated[int, Meta(ge=1, le=WIRE_MAX_MINOR)]
Amount = Stake
SignedAmount = Annotated[int, Meta(ge=-WIRE_MAX_MINOR, le=WIRE_MAX_MINOR)]
Floor = Annotated[int, Meta(ge=BOOK_FLOOR_MINOR, le=0)]
TransactionId = UserId
OddsMilli = Annotated[int, Meta(ge=1000, le=WIRE_MAX_MINOR)]
CurrencyCode = Annotated[str, Meta(pattern=r"^[A-Z]{3}(?![\s\S])")]
PAGE: Final = 100
"""Items of a page, unless told."""
PAGE_MAX: Final = 1_000
PageSize = Annotated[int, Meta(ge=1, le=PAGE_MAX)]
Token = Annotated[str, Meta(min_length=1, max_length=4096)]


def in_us(at_ms: int | None) -> int | None:
    """A time of the wire as the engine has it; None stays None."""
    return None if at_ms is None else at_ms * 1000


class Request(msgspec.Struct, forbid_unknown_fields=True, gc=False, tag_field="type"):
    """What a client may send."""


class Reply(msgspec.Struct, gc=False, tag_field="type"):
    """What the server sends."""


EXPECTED: dict[str, str] = {
    "id": "a string of 1 to 64 characters, no control characters",
    "token": "an access token",
    "bet_id": "a UUID of 36 characters: lower case, hyphenated",
    "stake": f"an integer from 1 to {WIRE_MAX_MINOR}",
    "nonce": "a string of 8 to 64 characters, no control characters",
    "sent_at": "an integer: milliseconds since the Unix epoch",
    "currency": "three capital letters, such as EUR",
    "game": "a string of at most 64 characters, no control characters",
    "round": "a string of at most 64 characters, no control characters",
    "selection": "a string of at most 64 characters, no control characters",
    "odds_milli": f"an integer from 1000 to {WIRE_MAX_MINOR}",
    "user_id": f"an integer from 1 to {WIRE_MAX_MINOR}",
    "from_seq": f"an integer from 0 to {WIRE_MAX_MINOR}",
    "key": "a string of 1 to 64 characters, no control characters",
    "result": "won, lost or void",
    "payout": f"an integer from 0 to {WIRE_MAX_MINOR}",
    "amount": f"an integer from 1 to {WIRE_MAX_MINOR}",
    "for_approval": "true or false",
    "hold_id": f"an integer from 1 to {WIRE_MAX_MINOR}",
    "expires_at": "an integer: milliseconds since the Unix epoch",
    "legs": "a list of 2 to 100 legs",
    "legs[]": "an object with user_id, amount and, if wanted, name",
    "legs[].user_id": f"an integer from 1 to {WIRE_MAX_MINOR}",
    "legs[].amount": f"an integer other than 0, from -{WIRE_MAX_MINOR} to {WIRE_MAX_MINOR}",
    "legs[].name": "TRANSFER, FEE or TAX",
    "items": "a list of 1 to 1000 items",
    "items[]": "an object with user_id and amount",
    "items[].user_id": f"an integer from 1 to {WIRE_MAX_MINOR}",
    "items[].amount": f"an integer from 1 to {WIRE_MAX_MINOR}",
    "first": f"an integer from 0 to {WIRE_MAX_MINOR}: how many items the payout has",
    "payout_id": f"an integer from 1 to {WIRE_MAX_MINOR}",
    "total": f"an integer from 1 to {WIRE_MAX_MINOR}",
    "number": f"an integer from 0 to {WIRE_MAX_MINOR}",
    "returns": "true or false",
    "suspended_from": f"an integer from 0 to {WIRE_MAX_MINOR}",
    "kind": "stake, loss, deposit or time",
    "period": "day, week or month",
    "until": "an integer: milliseconds since the Unix epoch",
    "status": "open, blocked or closed",
    "participant_id": f"an integer from 1 to {WIRE_MAX_MINOR}",
    "spend": "first or last",
    "floor": f"an integer from {BOOK_FLOOR_MINOR} to 0",
    "transaction_id": f"an integer from 1 to {WIRE_MAX_MINOR}",
    "since": f"an integer from 1 to {WIRE_MAX_MINOR}: the number of a block",
    "before": "an integer: milliseconds since the Unix epoch",
    "archive_id": f"an integer from 1 to {WIRE_MAX_MINOR}",
    "actor": f"an integer from 0 to {WIRE_MAX_MINOR}",
    "action": "a string of at most 64 characters, no control characters",
    "free_bet_id": f"an integer from 1 to {WIRE_MAX_MINOR}",
    "after": f"an integer from 0 to {WIRE_MAX_MINOR}: what `next` of another page says",
    "limit": "an integer from 1 to 1000",
    "check": "reconcile or verify",
    "text": "a string of 1 to 64 characters, no control characters",
    "state": "confirmed, won, lost, void, cashed_out or rolled_back",
    "block": f"an integer from 1 to {WIRE_MAX_MINOR}",
}
"""What each field of a request must be, in the words of an `INVALID_REQUEST`; `[]` stands for any position.
`type` is missing: its words are those of `messages.TYPES`.
"""

EXPECTED_OF: dict[tuple[str, str], str] = {
    ("payout.make", "items"): "a list of 1 to 100 items",
    ("payout.start", "items"): f"an integer from 1 to {WIRE_MAX_MINOR}: how many there are",
    ("limit.set", "amount"): f"null, or an integer from 0 to {WIRE_MAX_MINOR}",
    ("audit_log.get", "before"): f"an integer from 0 to {WIRE_MAX_MINOR}: what `next` of another page says",
    ("wallet.entries", "before"): f"an integer from 0 to {WIRE_MAX_MINOR}: what `next` of another page says",
    ("payout.list", "before"): f"an integer from 0 to {WIRE_MAX_MINOR}: what `next` of another page says",
    ("wallet.bets", "before"): f"an integer from 0 to {WIRE_MAX_MINOR}: what `next` of another page says",
}
"""The same where it depends on the type of the request."""
