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

CHUNK_ITEMS = 100
"""Items of a payout that one transaction pays (PRODUCT: up to 100 transfers from one source)."""

BONUS_BOOK_ID_BASE = 2**51
"""The bonus book of a currency has this number plus the house's: above all players."""

CLEARING_ID_BASE = 2**52
"""The clearing account of a payout has this number plus the payout's: above all players, and exact on the
wire."""

BET_SCOPE = "bet"
"""The idempotency scope that all players share: a `bet_id` moves money once, whoever sends it."""


class PlaceBet(msgspec.Struct, frozen=True, gc=False):
    """Stake money on an outcome. Source: PROTOCOL, `bet.place`.

    `bet_id`: a lower-case UUID, the idempotency key. `stake_minor`: 1 … 2^53 − 1. `sent_at_us`: wall
    clock of the client when this very frame was sent. `currency`: None means the wallet's own.
    `odds_milli`: at least 1000. `free_bet_id`: the free bet that pays the stake. `nonce` and `sent_at_us`
    belong to one sending and are no part of the fingerprint.
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
    free_bet_id: int | None = None

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
    """Move money among accounts of one currency, players' and the house's; the legs sum to zero.

    `among_players`: a player asks for it, who reaches players' wallets and no other account.
    """

    legs: tuple[Leg, ...]
    among_players: bool = False


class PayoutItem(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What one winner gets."""

    user_id: int
    amount_minor: int


class Pay(Keyed, frozen=True, gc=False):
    """Pay up to `payouts.AT_ONCE` winners in one transaction, out of the house's book of `currency`."""

    currency: str
    items: tuple[PayoutItem, ...]


class OpenPayout(Keyed, frozen=True, gc=False):
    """Begin to collect the items of a payout of any size."""

    currency: str


class AddPayoutItems(Keyed, frozen=True, gc=False):
    """Add items to a payout that is collecting. `first`: how many it has already."""

    payout_id: int
    first: int
    items: tuple[PayoutItem, ...]


class StartPayout(Keyed, frozen=True, gc=False):
    """Move the total of a payout into a clearing account of its own, out of which it is then paid. `items`
    and `total_minor` must be what has been collected."""

    payout_id: int
    items: int
    total_minor: int


class PayChunk(Keyed, frozen=True, gc=False):
    """Pay the next items of a payout, from number `first`. The server itself asks for it."""

    payout_id: int
    first: int


class ResolveItem(Keyed, frozen=True, gc=False):
    """Pay an item that is in suspense after all, or give its money back to the house (`returns`)."""

    payout_id: int
    number: int
    returns: bool


class OpenWallet(Keyed, frozen=True, gc=False):
    """Open an empty wallet in `currency` for a participant; None: for somebody new, whose number is then that
    of this wallet."""

    currency: str
    participant_id: int | None = None


class Spend(StrEnum):
    """When bonus money is spent: before what is in the wallet itself, or after it."""

    FIRST = "first"
    LAST = "last"


class GrantBonus(Keyed, frozen=True, gc=False):
    """Give a player `amount_minor` of bonus money, to be staked from his wallet `user_id`. All of his bonus
    money is then spent as `spend` says, and expires at `expires_at_us` (wall clock; None: never)."""

    user_id: int
    amount_minor: int
    spend: Spend
    expires_at_us: int | None = None


class ExpireBonus(Keyed, frozen=True, gc=False):
    """Take back what is in the bonus wallet `user_id`, if its time has come. The server itself asks for
    it."""

    user_id: int


class GrantFreeBet(Keyed, frozen=True, gc=False):
    """Let a player place one bet of `amount_minor` without paying for it, until `expires_at_us` (wall clock;
    None: for ever)."""

    user_id: int
    amount_minor: int
    expires_at_us: int | None = None


class RevokeFreeBet(Keyed, frozen=True, gc=False):
    """Take back a free bet that was not used."""

    free_bet_id: int


class ExpireFreeBet(Keyed, frozen=True, gc=False):
    """Take back a free bet that was not used, if its time has come. The server itself asks for it."""

    free_bet_id: int


class SetLimit(Keyed, frozen=True, gc=False):
    """Let a player stake, lose, deposit (minor units) or play (seconds) no more than `amount` in a period;
    None: no limit. `kind` and `period` are those of `engine.limits`."""

    user_id: int
    kind: str
    period: str
    amount: int | None


class Exclude(Keyed, frozen=True, gc=False):
    """Keep a player from betting and depositing until `until_us`, wall clock. It cannot be made shorter."""

    user_id: int
    until_us: int


class SetStatus(Keyed, frozen=True, gc=False):
    """Open, block or close a wallet. `status`: `open`, `blocked` or `closed`."""

    user_id: int
    status: str


class SetFloor(Keyed, frozen=True, gc=False):
    """Let a book of the house's go down to `floor_minor` (`money.BOOK_FLOOR_MINOR` … 0) and no further."""

    user_id: int
    floor_minor: int


class OpenArchive(Keyed, frozen=True, gc=False):
    """Begin to move what is older than `before_us` (wall clock, in the past) out of the file: all that
    stands in the blocks before it."""

    before_us: int


class CarryArchive(Keyed, frozen=True, gc=False):
    """Seal what is left behind by an archive that was copied and checked, so that it can be deleted here.

    `openings` and `carried`: SHA-256, see `engine.origin`.
    """

    archive_id: int
    openings: bytes
    carried: bytes


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
    Pay: "pay",
    OpenPayout: "payout-open",
    AddPayoutItems: "payout-add",
    StartPayout: "payout-start",
    PayChunk: "payout-chunk",
    ResolveItem: "payout-resolve",
    SetStatus: "status",
    SetLimit: "limit",
    Exclude: "exclude",
    OpenWallet: "wallet",
    GrantBonus: "bonus",
    ExpireBonus: "bonus-expire",
    GrantFreeBet: "free-bet",
    RevokeFreeBet: "free-bet-revoke",
    ExpireFreeBet: "free-bet-expire",
    SetFloor: "floor",
    OpenArchive: "archive",
    CarryArchive: "archive-carry",
}
"""Each kind of command, as its scope and its fingerprint name it."""


class Touched(NamedTuple):
    """What a batch of commands names: (scope, key) of each, and accounts, bets, holds, free bets, payouts,
    and of payouts the items from one number up to another, which is not among them."""

    keys: list[tuple[str, str]]
    user_ids: set[int]
    bet_ids: list[str]
    hold_ids: list[int]
    free_bet_ids: list[int]
    payout_ids: list[int]
    item_ranges: list[tuple[int, int, int]]
    boundaries: list[int]
    """Times up to which something is to be archived."""


def touched_by(commands: Iterable[Command]) -> Touched:
    """What has to be looked up before `commands` are decided."""
    touched = Touched([], set(), [], [], [], [], [], [])
    keys, user_ids = touched.keys, touched.user_ids
    for command in commands:
        if isinstance(command, PlaceBet):
            keys.append((BET_SCOPE, command.bet_id))
            user_ids.add(command.user_id)
            if command.free_bet_id is not None:
                touched.free_bet_ids.append(command.free_bet_id)
            continue
        keys.append((command.scope, command.key))
        match command:
            case SettleBet() | UnsettleBet() | RollBackBet() | CashOutBet():
                keys.append((BET_SCOPE, command.bet_id))
                touched.bet_ids.append(command.bet_id)
            case CaptureHold() | ReleaseHold() | ExpireHold():
                touched.hold_ids.append(command.hold_id)
            case RevokeFreeBet() | ExpireFreeBet():
                touched.free_bet_ids.append(command.free_bet_id)
            case OpenWallet():
                if command.participant_id is not None:
                    user_ids.add(command.participant_id)
            case Transfer():
                user_ids.update(leg.user_id for leg in command.legs)
            case Pay():
                user_ids.update(item.user_id for item in command.items)
            case AddPayoutItems():
                touched.payout_ids.append(command.payout_id)
                # A chunk may pay them before they are in the file, where its look-up finds their wallets.
                user_ids.update(item.user_id for item in command.items)
            case StartPayout():
                touched.payout_ids.append(command.payout_id)
            case PayChunk():
                _touch_items(touched, command.payout_id, command.first, CHUNK_ITEMS)
            case ResolveItem():
                _touch_items(touched, command.payout_id, command.number, 1)
            case Deposit() | Withdraw() | PlaceHold() | SetStatus() | SetLimit() | Exclude():
                user_ids.add(command.user_id)
            case GrantBonus() | ExpireBonus() | GrantFreeBet():
                user_ids.add(command.user_id)
            case OpenArchive():
                touched.boundaries.append(command.before_us)
    return touched


def _touch_items(touched: Touched, payout_id: int, first: int, count: int) -> None:
    touched.payout_ids.append(payout_id)
    touched.item_ranges.append((payout_id, first, first + count))
    touched.user_ids.add(CLEARING_ID_BASE + payout_id)


def fingerprint_bet(command: PlaceBet, currency: str) -> bytes:
    """SHA-256 over what makes this bet this bet: user, stake, resolved currency, game, round, selection,
    odds, and the free bet if one pays for it.

    Same key and same fingerprint is a retry; same key and another fingerprint is a conflict. The bytes are a
    MessagePack array (docs/evidence.md), in which a text that is absent differs from an empty one.
    """
    terms: tuple[str | int | None, ...] = (
        "BET",
        command.user_id,
        command.stake_minor,
        currency,
        command.game,
        command.round,
        command.selection,
        command.odds_milli,
    )
    if command.free_bet_id is not None:
        terms = (*terms, command.free_bet_id)
    return sha256(_encode(terms)).digest()


def fingerprint(command: Keyed) -> bytes:
    """SHA-256 over the kind and all the fields of any other command but who asks for it, likewise."""
    terms = [getattr(command, name) for name in command.__struct_fields__ if name not in _WHO_ASKS]
    return sha256(_encode((KINDS[type(command)].upper(), *terms))).digest()


_WHO_ASKS = frozenset({"key", "caller", "among_players"})
_encode = msgspec.msgpack.Encoder().encode
