"""What can be asked of the wallet: small immutable records, and the fingerprint that tells one request from
another.

Types and ranges are checked where text becomes a command (`ws/codec.py`, `cli/`); here they are taken as
true.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from hashlib import sha256
from typing import NamedTuple

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


class Keyed(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A command that its caller knows by `key`, 1 to 64 characters; keys of different callers, and of
    different kinds of command, never meet.
    """

    key: str
    caller: str

    @property
    def scope(self) -> str:
        return f"{self.caller}:{KINDS[type(self)]}"


class Deposit(Keyed, frozen=True, gc=False):
    """Move `amount_minor` (1 … 2^53 − 1) from the currency's cash book to a player's wallet."""

    user_id: int
    amount_minor: int


class Withdraw(Keyed, frozen=True, gc=False):
    """Move `amount_minor` from a player's wallet to the currency's cash book; `for_approval`: set it aside
    until the hold that this makes is captured (paid) or released (returned).
    """

    user_id: int
    amount_minor: int
    for_approval: bool = False


class Result(StrEnum):
    """How a bet ends."""

    WON = "won"
    LOST = "lost"
    VOID = "void"


class SettleBet(Keyed, frozen=True, gc=False):
    """End a bet and pay `payout_minor`, gross. None: nothing for `lost`, the stake for `void`."""

    bet_id: str
    result: Result
    payout_minor: int | None = None


class UnsettleBet(Keyed, frozen=True, gc=False):
    """Take back what a settlement paid; the bet is confirmed again."""

    bet_id: str


class RollBackBet(Keyed, frozen=True, gc=False):
    """Give the stake back as if the bet had never been, also before it arrives. What is given beside the
    `bet_id` must match.
    """

    bet_id: str
    user_id: int | None = None
    stake_minor: int | None = None
    currency: str | None = None


class CashOutBet(Keyed, frozen=True, gc=False):
    """Pay `payout_minor` for `stake_minor` of a bet's stake; the rest of it, if any, stays a live bet."""

    bet_id: str
    stake_minor: int
    payout_minor: int


class PlaceHold(Keyed, frozen=True, gc=False):
    """Set `amount_minor` aside, until `expires_at_us` (wall clock; None: for ever)."""

    user_id: int
    amount_minor: int
    expires_at_us: int | None = None


class CaptureHold(Keyed, frozen=True, gc=False):
    """Take `amount_minor` of what is held (None: all of it); the rest stays held."""

    hold_id: int
    amount_minor: int | None = None


class ReleaseHold(Keyed, frozen=True, gc=False):
    """Give back what is held."""

    hold_id: int


class ExpireHold(Keyed, frozen=True, gc=False):
    """Give back what is held, if the hold's time has come. The server itself asks for it."""

    hold_id: int


class Leg(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One posting of a transfer. `name`: TRANSFER, FEE or TAX."""

    user_id: int
    amount_minor: int
    name: str = "TRANSFER"


class Transfer(Keyed, frozen=True, gc=False):
    """Move money among accounts of one currency, players' and the house's; the legs sum to zero."""

    legs: tuple[Leg, ...]


class SetStatus(Keyed, frozen=True, gc=False):
    """Open, block or close a wallet. `status`: `open`, `blocked` or `closed`."""

    user_id: int
    status: str


Command = PlaceBet | Keyed

KINDS: dict[type[Keyed], str] = {
    Deposit: "deposit",
    Withdraw: "withdraw",
    SettleBet: "settle",
    UnsettleBet: "unsettle",
    RollBackBet: "rollback",
    CashOutBet: "cashout",
    PlaceHold: "hold",
    CaptureHold: "capture",
    ReleaseHold: "release",
    ExpireHold: "expire",
    Transfer: "transfer",
    SetStatus: "status",
}
"""Each kind of command, as its scope and its fingerprint name it."""


class Touched(NamedTuple):
    """What a batch of commands names: (scope, key) of each, and accounts, bets and holds."""

    keys: list[tuple[str, str]]
    user_ids: set[int]
    bet_ids: list[str]
    hold_ids: list[int]


def touched_by(commands: Iterable[Command]) -> Touched:
    """What has to be looked up before `commands` are decided."""
    touched = Touched([], set(), [], [])
    keys, user_ids = touched.keys, touched.user_ids
    for command in commands:
        if isinstance(command, PlaceBet):
            keys.append((BET_SCOPE, command.bet_id))
            user_ids.add(command.user_id)
            continue
        keys.append((command.scope, command.key))
        match command:
            case SettleBet() | UnsettleBet() | RollBackBet() | CashOutBet():
                keys.append((BET_SCOPE, command.bet_id))
                touched.bet_ids.append(command.bet_id)
            case CaptureHold() | ReleaseHold() | ExpireHold():
                touched.hold_ids.append(command.hold_id)
            case Transfer():
                user_ids.update(leg.user_id for leg in command.legs)
            case Deposit() | Withdraw() | PlaceHold() | SetStatus():
                user_ids.add(command.user_id)
    return touched


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


def fingerprint(command: Keyed) -> bytes:
    """SHA-256 over the kind and all the fields of any other command but `key` and `caller`, likewise."""
    terms = [getattr(command, name) for name in command.__struct_fields__ if name not in ("key", "caller")]
    return sha256(_encode((KINDS[type(command)].upper(), *terms))).digest()


_encode = msgspec.msgpack.Encoder().encode
