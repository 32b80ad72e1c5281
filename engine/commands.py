"""What can be asked of the wallet: small immutable records, and the fingerprint that tells one request from
another.

Types and ranges are checked where text becomes a command (`ws/codec.py`, `cli/`); here they are taken as
true.
"""

from __future__ import annotations

from hashlib import sha256
from struct import Struct as Packed

import msgspec

BET_SCOPE = "bet"
"""The idempotency scope that all players share: a `bet_id` moves money once, whoever sends it."""


class PlaceBet(msgspec.Struct, frozen=True, gc=False):
    """Stake money on an outcome. Source: PROTOCOL, `bet.place`.

    `bet_id`: a lower-case UUID, the idempotency key. `stake_minor`: 1 … 2^53 − 1. `sent_at_us`: wall
    clock of the client when this very frame was sent. `currency`: None means the wallet's own.
    `odds_milli`: at least 1000. `nonce` and `sent_at_us` belong to one sending and are no part of the
    fingerprint.
    """

    bet_id: str
    user_id: int
    stake_minor: int
    nonce: str
    sent_at_us: int
    currency: str | None = None
    game: str | None = None
    round: str | None = None
    selection: str | None = None
    odds_milli: int | None = None

    @property
    def scope(self) -> str:
        return BET_SCOPE

    @property
    def key(self) -> str:
        return self.bet_id


class Deposit(msgspec.Struct, frozen=True, gc=False):
    """Move `amount_minor` (1 … 2^53 − 1) from the currency's cash book to a player's wallet.

    `caller` is who asks; keys of different callers never meet.
    """

    key: str
    user_id: int
    amount_minor: int
    caller: str

    @property
    def scope(self) -> str:
        return f"{self.caller}:deposit"


Command = PlaceBet | Deposit

_BET = Packed(">cqqqIIII")
_DEPOSIT = Packed(">cqqI")


def fingerprint_bet(command: PlaceBet, currency: str) -> bytes:
    """SHA-256 over what makes this bet this bet: user, stake, resolved currency, game, round, selection,
    odds.

    Same key and same fingerprint is a retry; same key and another fingerprint is a conflict. A text that
    is absent has the length 2^32 − 1, so that it differs from an empty one. Byte by byte in
    docs/evidence.md.
    """
    texts = [_utf8(currency), _utf8(command.game), _utf8(command.round), _utf8(command.selection)]
    head = _BET.pack(
        b"B",
        command.user_id,
        command.stake_minor,
        0 if command.odds_milli is None else command.odds_milli,
        *[_ABSENT if text is None else len(text) for text in texts],
    )
    return sha256(head + b"".join([text for text in texts if text is not None])).digest()


def fingerprint_deposit(command: Deposit, currency: str) -> bytes:
    """SHA-256 over user, amount and currency of a deposit."""
    text = currency.encode()
    head = _DEPOSIT.pack(b"D", command.user_id, command.amount_minor, len(text))
    return sha256(head + text).digest()


_ABSENT = 2**32 - 1


def _utf8(text: str | None) -> bytes | None:
    return None if text is None else text.encode()
