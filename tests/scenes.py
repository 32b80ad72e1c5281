"""The stage of docs/wallet.md: a player, his friend and the house, and what can be asked there, as steps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple, cast

import msgspec

from engine.commands import (
    CLEARING_ID_BASE,
    AddPayoutItems,
    CaptureHold,
    CarryArchive,
    CashOutBet,
    Command,
    Deposit,
    Exclude,
    ExpireBonus,
    ExpireFreeBet,
    ExpireHold,
    GrantBonus,
    GrantFreeBet,
    Leg,
    OpenArchive,
    OpenPayout,
    OpenWallet,
    Pay,
    PayChunk,
    PayoutItem,
    PlaceBet,
    PlaceHold,
    ReleaseHold,
    ResolveItem,
    Result,
    RevokeFreeBet,
    RollBackBet,
    SetFloor,
    SetLimit,
    SetStatus,
    SettleBet,
    Spend,
    StartPayout,
    Transfer,
    UnsettleBet,
    Withdraw,
)
from engine.outcomes import Code
from engine.store import Asked
from tests.books_open import bet_id

WON, LOST, VOID = Result.WON, Result.LOST, Result.VOID
SECOND_US: Final = 1_000_000
NOBODY: Final = 9_999
POOR: Final = "GBP"
"""The currency whose house and receivable book start with nothing and may not go below it."""


class Scene:
    """One situation on the stage: a player and a friend of his with 100 each, and the house's books."""

    def __init__(
        self, number: int, player: int, friend: int, names: dict[int, str], currency: str, now_us: int
    ) -> None:
        self.bet_id, self.other_bet_id = bet_id(number), bet_id(10_000 + number)
        self.player, self.friend, self.now_us = player, friend, now_us
        self.names = names | {player: "player", friend: "friend"}
        self.books = {name: id_ for id_, name in names.items()}
        self.hold_id = self.payout_id = self.bonus_id = self.free_bet_id = self.second_id = 0
        self.archive_id = 0
        self.currency = currency
        self.number, self._keys = number, 0

    def named(self, key: str = "") -> dict[str, Any]:
        """A key of this scene: a new one, or `key` again."""
        self._keys += 1
        return {"key": f"{self.number}/{key or self._keys}", "caller": "operator"}


Step = Callable[[Scene], Command | Asked | None]


class Situation(NamedTuple):
    """`words` say what is so before the last of `steps`, whose answer is shown."""

    command: str
    words: str
    steps: tuple[Step, ...]
    currency: str = "EUR"


def when(command: str, words: str, *steps: Step, currency: str = "EUR") -> Situation:
    return Situation(command, words, steps, currency)


# -- steps


def place(stake: int = 30, sent_s: int = 0, user_id: int | None = None, currency: str | None = None) -> Step:
    return lambda s: PlaceBet(
        s.bet_id, user_id or s.player, stake, "nonce", s.now_us + sent_s * SECOND_US, currency
    )


def objected(code: Code, step: Step) -> Step:
    """Those in front have something against it."""

    def ask(scene: Scene) -> Asked:
        command = step(scene)
        assert command is not None
        assert not isinstance(command, Asked)
        return Asked(command, code)

    return ask


LATE_COPY: Final = objected(Code.NONCE_REUSED, place(sent_s=-200))


def by_the_friend(scene: Scene) -> Command:
    return PlaceBet(scene.bet_id, scene.friend, 30, "nonce", scene.now_us)


def settle(result: Result, payout: int | None = None, key: str = "") -> Step:
    return lambda s: SettleBet(s.bet_id, result, payout, **s.named(key))


def unsettle(scene: Scene) -> Command:
    return UnsettleBet(scene.bet_id, **scene.named())


def roll_back(key: str = "", **terms: Any) -> Step:
    return lambda s: RollBackBet(s.bet_id, **terms, **s.named(key))


def cash_out(stake: int, payout: int) -> Step:
    return lambda s: CashOutBet(s.bet_id, stake, payout, **s.named())


def deposit(amount: int = 50, key: str = "", user_id: int | None = None) -> Step:
    return lambda s: Deposit(user_id or s.player, amount, **s.named(key))


def withdraw(amount: int = 50, for_approval: bool = False) -> Step:
    return lambda s: Withdraw(s.player, amount, for_approval, **s.named())


def hold(amount: int = 40, for_s: int | None = None) -> Step:
    return lambda s: PlaceHold(
        s.player, amount, None if for_s is None else s.now_us + for_s * SECOND_US, **s.named()
    )


def capture(amount: int | None = None) -> Step:
    return lambda s: CaptureHold(s.hold_id, amount, **s.named())


def release(scene: Scene) -> Command:
    return ReleaseHold(scene.hold_id, **scene.named())


def expire(scene: Scene) -> Command:
    return ExpireHold(scene.hold_id, **scene.named())


def transfer(*legs: tuple[str, int] | tuple[str, int, str], among_players: bool = False) -> Step:
    def ask(scene: Scene) -> Command:
        ids = {"player": scene.player, "friend": scene.friend, "nobody": NOBODY, **scene.books}
        ids |= {"bonus": scene.bonus_id, "second": scene.second_id}
        named = tuple(Leg(ids[leg[0]], *leg[1:]) for leg in legs)
        return Transfer(named, among_players, **scene.named())

    return ask


def status(to: str) -> Step:
    return lambda s: SetStatus(s.player, to, **s.named())


def _items(scene: Scene, winners: tuple[tuple[str, int], ...]) -> tuple[PayoutItem, ...]:
    ids = {"player": scene.player, "friend": scene.friend, "nobody": NOBODY, **scene.books}
    return tuple(PayoutItem(ids[name], amount) for name, amount in winners)


def pay(*winners: tuple[str, int], currency: str = "", key: str = "") -> Step:
    def ask(scene: Scene) -> Command:
        return Pay(currency or scene.currency, _items(scene, winners), **scene.named(key))

    return ask


def open_payout(currency: str = "") -> Step:
    return lambda s: OpenPayout(currency or s.currency, **s.named())


def add_items(*winners: tuple[str, int], first: int = 0) -> Step:
    return lambda s: AddPayoutItems(s.payout_id, first, _items(s, winners), **s.named())


def start(items: int, total: int) -> Step:
    return lambda s: StartPayout(s.payout_id, items, total, **s.named())


def pay_chunk(first: int = 0) -> Step:
    return lambda s: PayChunk(s.payout_id, first, **s.named())


def resolve(number: int = 0, returns: bool = False) -> Step:
    return lambda s: ResolveItem(s.payout_id, number, returns, **s.named())


def limit(kind: str, amount: int | None, period: str = "day") -> Step:
    return lambda s: SetLimit(s.player, kind, period, amount, **s.named())


def exclude(for_s: int) -> Step:
    return lambda s: Exclude(s.player, s.now_us + for_s * SECOND_US, **s.named())


def place_other(stake: int = 30) -> Step:
    """Another bet of the player's."""
    return lambda s: PlaceBet(s.other_bet_id, s.player, stake, "nonce", s.now_us)


def settle_other(result: Result, payout: int | None = None) -> Step:
    return lambda s: SettleBet(s.other_bet_id, result, payout, **s.named())


def open_wallet(currency: str = "", whose: str = "player", key: str = "") -> Step:
    """A further wallet of the player's, or of `whose`; somebody new's, if that is nobody's name."""

    def ask(scene: Scene) -> Command:
        ids = {"player": scene.player, "nobody": NOBODY, "second": scene.second_id}
        return OpenWallet(currency or scene.currency, ids.get(whose), **scene.named(key))

    return ask


def on(which: str, step: Step) -> Step:
    """The same, but on the player's `second` wallet, or on his `bonus` wallet."""

    def ask(scene: Scene) -> Command:
        command = step(scene)
        assert isinstance(command, msgspec.Struct)
        user_id = scene.second_id if which == "second" else scene.bonus_id
        return cast("Command", msgspec.structs.replace(command, user_id=user_id))

    return ask


def grant(amount: int = 10, spend: Spend = Spend.FIRST, for_s: int | None = None, key: str = "") -> Step:
    def ask(scene: Scene) -> Command:
        expires_at_us = None if for_s is None else scene.now_us + for_s * SECOND_US
        return GrantBonus(scene.player, amount, spend, expires_at_us, **scene.named(key))

    return ask


def expire_bonus(scene: Scene) -> Command:
    return ExpireBonus(scene.bonus_id or scene.player, **scene.named())


def grant_free_bet(amount: int = 30, for_s: int | None = None, key: str = "") -> Step:
    def ask(scene: Scene) -> Command:
        expires_at_us = None if for_s is None else scene.now_us + for_s * SECOND_US
        return GrantFreeBet(scene.player, amount, expires_at_us, **scene.named(key))

    return ask


def revoke(scene: Scene) -> Command:
    return RevokeFreeBet(scene.free_bet_id or NOBODY, **scene.named())


def expire_free_bet(scene: Scene) -> Command:
    return ExpireFreeBet(scene.free_bet_id or NOBODY, **scene.named())


def place_free(stake: int = 30, by_friend: bool = False) -> Step:
    """The bet of the scene, paid by the free bet."""
    return lambda s: PlaceBet(
        s.bet_id, s.friend if by_friend else s.player, stake, "nonce", s.now_us, free_bet_id=s.free_bet_id
    )


def place_free_other(scene: Scene) -> Command:
    return PlaceBet(
        scene.other_bet_id, scene.player, 30, "nonce", scene.now_us, free_bet_id=scene.free_bet_id
    )


def set_floor(book: str, floor: int, key: str = "") -> Step:
    """`book`: by name, or the player's own wallet, or a payout's clearing account."""

    def ask(scene: Scene) -> Command:
        ids = {"player": scene.player, "clearing account": CLEARING_ID_BASE + scene.payout_id, **scene.books}
        return SetFloor(ids.get(book, NOBODY), floor, **scene.named(key))

    return ask


def open_archive(ago_s: int, key: str = "") -> Step:
    """Of what is older than so many seconds."""
    return lambda s: OpenArchive(s.now_us - ago_s * SECOND_US, **s.named(key))


def carry_archive(archive_id: int | None = None) -> Step:
    """What is left behind by the archive that is there, or by this one."""
    return lambda s: CarryArchive(archive_id or s.archive_id, bytes(32), bytes(32), **s.named())


def wait(seconds: int) -> Step:
    def pass_time(scene: Scene) -> None:
        scene.now_us += seconds * SECOND_US

    return pass_time
