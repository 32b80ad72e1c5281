"""What can be asked of the wallet: small immutable records, and the fingerprint that tells one request from
another.

Types and ranges are checked where text becomes a command (`ws/codec.py`, `cli/`); here they are taken as
true.
"""

from __future__ import annotations

from hashlib import sha256

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


def fingerprint_bet(command: PlaceBet, currency: str) -> bytes:
    """SHA-256 over what makes this bet this bet: user, stake, resolved currency, game, round, selection,
    odds.

    Same key and same fingerprint is a retry; same key and another fingerprint is a conflict. The bytes are a
    MessagePack array (docs/evidence.md), in which a text that is absent differs from an empty one.
    """
    terms = (
        "BET",
        command.user_id,
        command.stake_minor,
        currency,
        command.game,
        command.round,
        command.selection,
        command.odds_milli,
    )
    return sha256(_encode(terms)).digest()


def fingerprint_deposit(command: Deposit, currency: str) -> bytes:
    """SHA-256 over user, amount and currency of a deposit."""
    return sha256(_encode(("DEPOSIT", command.user_id, command.amount_minor, currency))).digest()


_encode = msgspec.msgpack.Encoder().encode
