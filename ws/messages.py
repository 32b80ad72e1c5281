"""The messages of `wallet.v1`, as types: they decode requests, encode replies and will generate the
contracts.

Names and bounds are PROTOCOL's. Amounts are minor units, times (`…_at`, `server_time`) milliseconds since
the epoch. A field that is `UNSET` is left out of the frame.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from engine.money import WIRE_MAX_MINOR

# What the two patterns say is checked by ws/codec.py, which knows cheaper ways than one search for each
# field.
NO_CONTROLS = {"pattern": r"^[^\x00-\x1f\x7f-\x9f]*$"}
UUID = {"pattern": r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"}

Id = Annotated[str, Meta(min_length=1, max_length=64, extra_json_schema=NO_CONTROLS)]
Text = Annotated[str, Meta(max_length=64, extra_json_schema=NO_CONTROLS)]
Nonce = Annotated[str, Meta(min_length=8, max_length=64, extra_json_schema=NO_CONTROLS)]
BetId = Annotated[str, Meta(max_length=36, extra_json_schema=UUID)]
Stake = Annotated[int, Meta(ge=1, le=WIRE_MAX_MINOR)]
Natural = Annotated[int, Meta(ge=0, le=WIRE_MAX_MINOR)]
UserId = Annotated[int, Meta(ge=1, le=WIRE_MAX_MINOR)]
OddsMilli = Annotated[int, Meta(ge=1000, le=WIRE_MAX_MINOR)]
CurrencyCode = Annotated[str, Meta(pattern=r"^[A-Z]{3}(?![\s\S])")]
Token = Annotated[str, Meta(min_length=1, max_length=4096)]


class Request(msgspec.Struct, forbid_unknown_fields=True, gc=False, tag_field="type"):
    """What a client may send."""


class Auth(Request, tag="auth"):
    """The first message of a client that cannot set headers: a browser."""

    token: Token
    id: Id | None = None


class BetPlace(Request, tag="bet.place"):
    id: Id
    bet_id: BetId
    stake: Stake
    nonce: Nonce
    sent_at: Natural
    currency: CurrencyCode | None = None
    game: Text | None = None
    round: Text | None = None
    selection: Text | None = None
    odds_milli: OddsMilli | None = None
    user_id: UserId | None = None


class BetGet(Request, tag="bet.get"):
    id: Id
    bet_id: BetId


class BalanceGet(Request, tag="balance.get"):
    id: Id


class Resume(Request, tag="resume"):
    id: Id
    from_seq: Natural


class Ping(Request, tag="ping"):
    id: Id


AnyRequest = Auth | BetPlace | BetGet | BalanceGet | Resume | Ping

EXPECTED: dict[str, str] = {
    "type": "one of auth, bet.place, bet.get, balance.get, resume, ping",
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
}
"""What each field of a request must be, in the words of an `INVALID_REQUEST`."""


class Reply(msgspec.Struct, gc=False, tag_field="type"):
    """What the server sends."""


class Limits(msgspec.Struct, frozen=True):
    """The bounds that a client should know. Source: PROTOCOL, `welcome`."""

    frame_bytes: int = 262_144
    frame_messages: int = 1000
    in_flight: int = 1000
    nonce_window_ms: int = 90_000
    deadline_ms: int = 2000


class Welcome(Reply, tag="welcome"):
    user_id: int
    role: str
    server_time: int
    limits: Limits
    currency: str | UnsetType = UNSET
    balance: int | UnsetType = UNSET
    held: int | UnsetType = UNSET
    available: int | UnsetType = UNSET
    seq: int | UnsetType = UNSET


class BetPending(Reply, tag="bet.pending"):
    id: str
    bet_id: str


class BetConfirmed(Reply, tag="bet.confirmed"):
    id: str
    bet_id: str
    stake: int
    transaction_id: int
    block: int
    seq: int
    balance: int
    held: int
    available: int
    replayed: bool


class BetRejected(Reply, tag="bet.rejected"):
    id: str
    bet_id: str
    code: str
    message: str
    retryable: bool
    replayed: bool
    balance: int | UnsetType = UNSET
    held: int | UnsetType = UNSET
    available: int | UnsetType = UNSET
    retry_after_ms: int | UnsetType = UNSET


class Error(Reply, tag="error"):
    id: str | None
    code: str
    message: str
    retryable: bool
    retry_after_ms: int | UnsetType = UNSET


class BetState(Reply, tag="bet.state"):
    id: str
    bet_id: str
    state: str
    stake: int
    payout: int
    transaction_id: int | UnsetType = UNSET
    seq: int | UnsetType = UNSET
    code: str | UnsetType = UNSET


class Balance(Reply, tag="balance"):
    id: str
    currency: str
    balance: int
    held: int
    available: int
    seq: int


class WalletEntry(Reply, tag="wallet.entry"):
    seq: int
    prev_seq: int
    transaction_id: int
    kind: str
    amount: int
    balance: int
    at: int
    bet_id: str | UnsetType = UNSET


class Resumed(Reply, tag="resumed"):
    id: str
    seq: int
    more: bool
    gap: bool


class Pong(Reply, tag="pong"):
    id: str
    server_time: int
