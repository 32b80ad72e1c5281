"""docs/wallet.md says what the engine does: its diagrams come from `engine/lifecycle.py`, its table of
answers from runs on a real file. `python tests/test_wallet_doc.py` writes them anew.
"""

from __future__ import annotations

import asyncio
import re
import sqlite3
import tempfile
from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum
from itertools import groupby
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

import pytest
from books_open import NOW_US, bet_id, look

from engine.accounts import open_books, open_wallets
from engine.commands import (
    CHUNK_ITEMS,
    CLEARING_ID_BASE,
    KINDS,
    AddPayoutItems,
    CaptureHold,
    CashOutBet,
    Command,
    Deposit,
    Exclude,
    ExpireHold,
    Leg,
    OpenPayout,
    Pay,
    PayChunk,
    PayoutItem,
    PlaceBet,
    PlaceHold,
    ReleaseHold,
    ResolveItem,
    Result,
    RollBackBet,
    SetLimit,
    SetStatus,
    SettleBet,
    StartPayout,
    Transfer,
    UnsettleBet,
    Withdraw,
)
from engine.lifecycle import BETS, HOLDS, ItemState, PayoutState
from engine.limits import NONE, LimitKind
from engine.outcomes import Accepted, Code, LimitTold, Outcome
from engine.store import Asked, Store

PAGE: Final = Path(__file__).resolve().parent.parent / "docs/wallet.md"
WON, LOST, VOID = Result.WON, Result.LOST, Result.VOID
SECOND_US: Final = 1_000_000
POOR: Final = "GBP"
"""The currency whose house and receivable book start with nothing and may not go below it."""


class Scene:
    """One situation on the stage: a player and a friend of his with 100 each, and the house's books."""

    def __init__(
        self, number: int, player: int, friend: int, names: dict[int, str], currency: str, now_us: int
    ) -> None:
        self.bet_id = bet_id(number)
        self.player, self.friend, self.now_us = player, friend, now_us
        self.names = names | {player: "player", friend: "friend"}
        self.books = {name: id_ for id_, name in names.items()}
        self.hold_id = self.payout_id = 0
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


def transfer(*legs: tuple[str, int] | tuple[str, int, str]) -> Step:
    def ask(scene: Scene) -> Command:
        ids = {"player": scene.player, "friend": scene.friend, "nobody": NOBODY, **scene.books}
        return Transfer(tuple(Leg(ids[leg[0]], *leg[1:]) for leg in legs), **scene.named())

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


def place_before(scene: Scene) -> Command:
    """Another bet of the player's."""
    return PlaceBet(bet_id(10_000 + scene.number), scene.player, 30, "nonce", scene.now_us)


def wait(seconds: int) -> Step:
    def pass_time(scene: Scene) -> None:
        scene.now_us += seconds * SECOND_US

    return pass_time


NOBODY: Final = 9_999
GIFT: Final = (("player", -50), ("friend", 45))
# A win of 90 was spent, then taken back.
IN_DEBT: Final = (place(), settle(WON, 90), withdraw(160), unsettle)
A_DAY: Final = 86_400
BET_LIMITED, OTHERS_LIMITED = "PlaceBet, limited", "Others, limited"
"""What the table calls commands of a player who has a limit."""

BOTH: Final = (("player", 50), ("friend", 20))
STARTED: Final = (open_payout(), add_items(*BOTH), start(2, 70))
IN_SUSPENSE: Final = (status("blocked"), pay(("player", 50)))

SITUATIONS: Final = (
    when("PlaceBet", "there is enough", place()),
    when("PlaceBet", "the same again", place(), place()),
    when("PlaceBet", "the same again, sent long ago, its nonce used", place(), wait(300), LATE_COPY),
    when("PlaceBet", "the same `bet_id`, another stake", place(), place(31)),
    when("PlaceBet", "the same `bet_id`, another player", place(), by_the_friend),
    when("PlaceBet", "sent 81 s ago", place(sent_s=-81)),
    when("PlaceBet", "sent 11 s ahead", place(sent_s=11)),
    when("PlaceBet", "its nonce was used", objected(Code.NONCE_REUSED, place())),
    when("PlaceBet", "no such wallet", place(user_id=NOBODY)),
    when("PlaceBet", "a wallet of the house's", place(user_id=1)),
    when("PlaceBet", "blocked", status("blocked"), place()),
    when("PlaceBet", "in another currency", place(currency="USD")),
    when("PlaceBet", "rolled back before it came", roll_back(), place()),
    when("PlaceBet", "more than there is", place(101)),
    when("PlaceBet", "refused once, and there is enough now", place(101), deposit(), place(101)),
    when("PlaceBet", "there is enough, but some is set aside", hold(80), place()),
    when("SettleBet", "won", place(), settle(WON, 90)),
    when("SettleBet", "lost", place(), settle(LOST)),
    when("SettleBet", "lost, and a part is paid", place(), settle(LOST, 10)),
    when("SettleBet", "void", place(), settle(VOID)),
    when("SettleBet", "void, after 10 of 30 were cashed out", place(), cash_out(10, 15), settle(VOID)),
    when("SettleBet", "the same key again", place(), settle(WON, 90, "key"), settle(WON, 90, "key")),
    when("SettleBet", "the same key, another payout", place(), settle(WON, 90, "key"), settle(WON, 9, "key")),
    when("SettleBet", "settled already, another key", place(), settle(WON, 90), settle(WON, 90)),
    when("SettleBet", "after it was unsettled", place(), settle(WON, 90), unsettle, settle(LOST)),
    when("SettleBet", "won, by a player who owes 90", *IN_DEBT, settle(WON, 120)),
    when("SettleBet", "won, without saying what it pays", place(), settle(WON)),
    when("SettleBet", "void, with another payout than what is left", place(), settle(VOID, 31)),
    when("SettleBet", "no such bet", settle(WON, 90)),
    when("SettleBet", "won, by a blocked player", place(), status("blocked"), settle(WON, 90)),
    when("SettleBet", "won, by a closed wallet", place(100), status("closed"), settle(WON, 300)),
    when("SettleBet", "rolled back", place(), roll_back(), settle(WON, 90)),
    when("SettleBet", "rolled back before it came", roll_back(), settle(WON, 90)),
    when("SettleBet", "cashed out", place(), cash_out(30, 40), settle(WON, 90)),
    when("SettleBet", "more than JSON can show", place(), settle(WON, 2**53 - 1)),
    when("SettleBet", "more than the house may pay", place(), settle(WON, 900), currency=POOR),
    when("UnsettleBet", "won, and the money is there", place(), settle(WON, 90), unsettle),
    when("UnsettleBet", "won, and 40 of it are left", place(), settle(WON, 90), withdraw(120), unsettle),
    when("UnsettleBet", "won, and what is left is set aside", place(), settle(WON, 90), hold(160), unsettle),
    when("UnsettleBet", "lost", place(), settle(LOST), unsettle),
    when("UnsettleBet", "not settled", place(), unsettle),
    when("UnsettleBet", "cashed out", place(), cash_out(30, 40), unsettle),
    when("UnsettleBet", "rolled back", place(), roll_back(), unsettle),
    when("UnsettleBet", "no such bet", unsettle),
    when("UnsettleBet", "more than `receivable` may lend", place(), settle(WON, 30), withdraw(100), unsettle,
         currency=POOR),
    when("CashOutBet", "10 of 30", place(), cash_out(10, 15)),
    when("CashOutBet", "the rest", place(), cash_out(10, 15), cash_out(20, 0)),
    when("CashOutBet", "more than is left", place(), cash_out(10, 15), cash_out(21, 30)),
    when("CashOutBet", "by a player who owes 90", *IN_DEBT, cash_out(30, 100)),
    when("CashOutBet", "settled", place(), settle(LOST), cash_out(10, 15)),
    when("CashOutBet", "rolled back", place(), roll_back(), cash_out(10, 15)),
    when("CashOutBet", "no such bet", cash_out(10, 15)),
    when("CashOutBet", "more than the house may pay", place(), cash_out(10, 900), currency=POOR),
    when("RollBackBet", "confirmed", place(), roll_back()),
    when("RollBackBet", "a second time, another key", place(), roll_back(), roll_back()),
    when("RollBackBet", "never seen", roll_back()),
    when("RollBackBet", "never seen, a second time, another key", roll_back(), roll_back()),
    when("RollBackBet", "refused before", place(101), roll_back()),
    when("RollBackBet", "settled", place(), settle(LOST), roll_back()),
    when("RollBackBet", "after it was unsettled", place(), settle(WON, 90), unsettle, roll_back()),
    when("RollBackBet", "cashed out in part", place(), cash_out(10, 15), roll_back()),
    when("RollBackBet", "another player's", place(), roll_back(user_id=1)),
    when("RollBackBet", "of another stake", place(), roll_back(stake_minor=31)),
    when("RollBackBet", "in another currency", place(), roll_back(currency="USD")),
    when("RollBackBet", "by a player who owes 90", *IN_DEBT, roll_back()),
    when("RollBackBet", "of a closed wallet", place(100), status("closed"), roll_back()),
    when("Deposit", "open", deposit()),
    when("Deposit", "the same key again", deposit(key="key"), deposit(key="key")),
    when("Deposit", "the same key, another amount", deposit(key="key"), deposit(51, key="key")),
    when("Deposit", "by a player who owes 90", *IN_DEBT, deposit()),
    when("Deposit", "no such wallet", deposit(user_id=NOBODY)),
    when("Deposit", "blocked", status("blocked"), deposit()),
    when("Deposit", "more than JSON can show", deposit(2**53 - 100)),
    when("Withdraw", "there is enough", withdraw()),
    when("Withdraw", "for approval", withdraw(for_approval=True)),
    when("Withdraw", "more than there is", withdraw(101)),
    when("Withdraw", "there is enough, but some is set aside", hold(80), withdraw()),
    when("Withdraw", "blocked", status("blocked"), withdraw()),
    when("PlaceHold", "there is enough", hold()),
    when("PlaceHold", "more than there is", hold(101)),
    when("PlaceHold", "until a time that has passed", hold(for_s=0)),
    when("PlaceHold", "blocked", status("blocked"), hold()),
    when("CaptureHold", "all of it", hold(), capture()),
    when("CaptureHold", "15 of 40", hold(), capture(15)),
    when("CaptureHold", "of a withdrawal for approval: paid", withdraw(for_approval=True), capture()),
    when("CaptureHold", "blocked since", hold(), status("blocked"), capture()),
    when("CaptureHold", "more than is left", hold(), capture(15), capture(26)),
    when("CaptureHold", "its time has come", hold(for_s=60), wait(60), capture()),
    when("CaptureHold", "released", hold(), release, capture()),
    when("CaptureHold", "no such hold", capture()),
    when("ReleaseHold", "held", hold(), release),
    when("ReleaseHold", "15 of 40 captured", hold(), capture(15), release),
    when("ReleaseHold", "of a withdrawal for approval: returned", withdraw(for_approval=True), release),
    when("ReleaseHold", "captured", hold(), capture(), release),
    when("ReleaseHold", "no such hold", release),
    when("ExpireHold", "its time has come", hold(for_s=60), wait(60), expire),
    when("ExpireHold", "its time has not come", hold(for_s=60), wait(59), expire),
    when("ExpireHold", "it has no time", hold(), expire),
    when("ExpireHold", "released, and its time has come", hold(for_s=60), release, wait(60), expire),
    when("ExpireHold", "no such hold", expire),
    when("Transfer", "with a fee", transfer(*GIFT, ("fees", 5, "FEE"))),
    when("Transfer", "with a fee and a tax", transfer(*GIFT, ("fees", 3, "FEE"), ("house", 2, "TAX"))),
    when("Transfer", "the legs do not sum to zero", transfer(*GIFT)),
    when("Transfer", "to a book that is kept for something", transfer(("player", -50), ("suspense", 50))),
    when("Transfer", "out of what a later leg brings", transfer(("player", -101), ("player", 101))),
    when("Transfer", "one leg", transfer(("player", -50))),
    when("Transfer", "to nobody", transfer(("player", -50), ("nobody", 50))),
    when("Transfer", "blocked", status("blocked"), transfer(*GIFT, ("fees", 5, "FEE"))),
    when("Transfer", "to a book of another currency", transfer(("player", -50), ("house USD", 50))),
    when("Transfer", "more than there is", transfer(("player", -101), ("friend", 101))),
    when("SetStatus", "blocked", status("blocked")),
    when("SetStatus", "open again", status("blocked"), status("open")),
    when("SetStatus", "closed, and it is empty", withdraw(100), status("closed")),
    when("SetStatus", "closed, and it has money", status("closed")),
    when("SetStatus", "closed, and it owes", *IN_DEBT, status("closed")),
    when("Pay", "two winners", pay(("player", 50), ("friend", 20))),
    when("Pay", "the same key again", pay(*BOTH, key="key"), pay(*BOTH, key="key")),
    when("Pay", "the same key, other winners", pay(*BOTH, key="key"), pay(("player", 50), key="key")),
    when("Pay", "the same winner twice", pay(("player", 50), ("player", 20))),
    when("Pay", "one is blocked", status("blocked"), pay(*BOTH)),
    when("Pay", "one is closed", withdraw(100), status("closed"), pay(*BOTH)),
    when("Pay", "one is nobody", pay(("nobody", 50), ("friend", 20))),
    when("Pay", "one is a book of the house's", pay(("fees", 50), ("friend", 20))),
    when("Pay", "in a currency that is not the player's", pay(("player", 50), currency="USD")),
    when("Pay", "one would have more than JSON can show", pay(("player", 2**53 - 100), ("friend", 20))),
    when("Pay", "to a player who owes 90", *IN_DEBT, pay(("player", 120))),
    when("Pay", "in a currency that the house has no books in", pay(*BOTH, currency="JPY")),
    when("Pay", "one winner more than are paid at once", pay(*[("player", 1)] * (CHUNK_ITEMS + 1))),
    when("Pay", "in sum more than JSON can show", pay(("player", 2**53 - 1), ("friend", 1))),
    when("Pay", "more than the house may pay", pay(*BOTH), currency=POOR),
    when("OpenPayout", "in the player's currency", open_payout()),
    when("OpenPayout", "in a currency that the house has no books in", open_payout("JPY")),
    when("AddPayoutItems", "the first", open_payout(), add_items(*BOTH)),
    when("AddPayoutItems", "the next", open_payout(), add_items(*BOTH), add_items(("player", 1), first=2)),
    when("AddPayoutItems", "from another number than the next", open_payout(), add_items(*BOTH, first=1)),
    when("AddPayoutItems", "started", *STARTED, add_items(*BOTH, first=2)),
    when("AddPayoutItems", "no such payout", add_items(*BOTH)),
    when("AddPayoutItems", "in sum more than JSON can show", open_payout(), add_items(*BOTH),
         add_items(("player", 2**53 - 1), first=2)),
    when("StartPayout", "as it was collected", *STARTED),
    when("StartPayout", "another sum", open_payout(), add_items(*BOTH), start(2, 71)),
    when("StartPayout", "another number of items", open_payout(), add_items(*BOTH), start(1, 70)),
    when("StartPayout", "nothing was collected", open_payout(), start(0, 0)),
    when("StartPayout", "started", *STARTED, start(2, 70)),
    when("StartPayout", "no such payout", start(2, 70)),
    when("StartPayout", "more than the house may pay", open_payout(), add_items(*BOTH), start(2, 70),
         currency=POOR),
    when("PayChunk", "the last one", *STARTED, pay_chunk()),
    when("PayChunk", "one is blocked by now", *STARTED, status("blocked"), pay_chunk()),
    when("PayChunk", "to a player who owes 90", *IN_DEBT, *STARTED, pay_chunk()),
    when("PayChunk", "100 of 101", open_payout(), add_items(*[("player", 1)] * CHUNK_ITEMS, ("friend", 1)),
         start(101, 101), pay_chunk()),
    when("PayChunk", "not the next one", *STARTED, pay_chunk(1)),
    when("PayChunk", "paid", *STARTED, pay_chunk(), pay_chunk()),
    when("PayChunk", "not started", open_payout(), add_items(*BOTH), pay_chunk()),
    when("PayChunk", "no such payout", pay_chunk()),
    when("ResolveItem", "open again: paid", *IN_SUSPENSE, status("open"), resolve()),
    when("ResolveItem", "still blocked", *IN_SUSPENSE, resolve()),
    when("ResolveItem", "still blocked, and it is returned", *IN_SUSPENSE, resolve(returns=True)),
    when("ResolveItem", "nobody, still", pay(("nobody", 50)), resolve()),
    when("ResolveItem", "of another currency, still", pay(("player", 50), currency="USD"), resolve()),
    when("ResolveItem", "still more than JSON can show", pay(("player", 2**53 - 100)), resolve()),
    when("ResolveItem", "resolved", *IN_SUSPENSE, status("open"), resolve(), resolve()),
    when("ResolveItem", "never in suspense", pay(*BOTH), resolve()),
    when("ResolveItem", "no such payout", resolve()),
    when("SetLimit", "the first one", limit("stake", 50)),
    when("SetLimit", "stricter", limit("stake", 50), limit("stake", 40)),
    when("SetLimit", "looser", limit("stake", 50), limit("stake", 60)),
    when("SetLimit", "taken away", limit("stake", 50), limit("stake", None)),
    when("SetLimit", "looser, then the same as it is: that stays", limit("stake", 50), limit("stake", 60),
         limit("stake", 50)),
    when("SetLimit", "looser, and a day has passed", limit("stake", 50), limit("stake", 60), wait(A_DAY),
         limit("stake", 60)),
    when("SetLimit", "blocked", status("blocked"), limit("stake", 50)),
    when("Exclude", "not excluded", exclude(A_DAY)),
    when("Exclude", "for longer", exclude(A_DAY), exclude(2 * A_DAY)),
    when("Exclude", "for a shorter time", exclude(A_DAY), exclude(60)),
    when(BET_LIMITED, "stake 50 a day, 30 staked: 20 more", limit("stake", 50), place_before, place(20)),
    when(BET_LIMITED, "stake 50 a day, 30 staked: 21 more", limit("stake", 50), place_before, place(21)),
    when(BET_LIMITED, "the same, on the next day", limit("stake", 50), place_before, wait(A_DAY), place(21)),
    when(BET_LIMITED, "the same, of a week, on the next day", limit("stake", 50, "week"), place_before,
         wait(A_DAY), place(21)),
    when(BET_LIMITED, "raised an hour ago", limit("stake", 20), limit("stake", 60), wait(3_600), place()),
    when(BET_LIMITED, "raised a day ago", limit("stake", 20), limit("stake", 60), wait(A_DAY), place()),
    when(BET_LIMITED, "refused once, and a day has passed", limit("stake", 20), place(), wait(1),
         place()),
    when(BET_LIMITED, "loss 50 a day, 30 staked: 21 more", limit("loss", 50), place_before, place(21)),
    when(BET_LIMITED, "loss 50 a day, 30 staked, 10 won in a payout: 21 more", limit("loss", 50),
         place_before, pay(("player", 10)), place(21)),
    when(BET_LIMITED, "60 s a day, one bet 60 s ago", limit("time", 60), place_before, wait(60), place()),
    when(BET_LIMITED, "60 s a day, one bet 61 s ago", limit("time", 60), place_before, wait(61), place()),
    when(BET_LIMITED, "60 s a day, one bet 301 s ago", limit("time", 60), place_before, wait(301), place()),
    when(BET_LIMITED, "excluded", exclude(60), place()),
    when(BET_LIMITED, "excluded until now", exclude(60), wait(60), place()),
    when(OTHERS_LIMITED, "SettleBet won, and he is excluded", place(), exclude(60), settle(WON, 90)),
    when(OTHERS_LIMITED, "Withdraw, and he is excluded", exclude(60), withdraw()),
    when(OTHERS_LIMITED, "Deposit, and he is excluded", exclude(60), deposit()),
    when(OTHERS_LIMITED, "Deposit of 50 at 120 a day, 80 deposited", limit("deposit", 120), deposit(80),
         deposit()),
    when(OTHERS_LIMITED, "Transfer to him at a deposit limit of 0", limit("deposit", 0),
         transfer(("friend", -50), ("player", 50))),
)  # fmt: skip


# -- the run


class Row(NamedTuple):
    """One line of the table."""

    command: str
    words: str
    answer: str
    moved: str
    wallet: str


def run_all(path: Path) -> list[Row]:
    """Play each situation with two fresh wallets, one batch a step."""
    return asyncio.run(_run_all(path))


async def _run_all(path: Path) -> list[Row]:
    store = await Store.open(path, create=True)
    try:
        await store.set_up(_set_up)
        await store.refresh_books()
        rows, now_us = [], NOW_US
        for number, situation in enumerate(SITUATIONS, start=1):
            player, friend = await store.set_up(
                lambda c, currency=situation.currency: open_wallets(c, currency, 2)  # type: ignore[misc]
            )
            names = _names_of_books(path, situation.currency)
            scene = Scene(number, player, friend, names, situation.currency, now_us)
            for user_id in (player, friend):
                await store.commit([Asked(Deposit(user_id, 100, **scene.named()))], scene.now_us)
            outcomes: list[Outcome] = []
            for step in situation.steps:
                asked = step(scene)
                if asked is None:
                    continue
                asked = asked if isinstance(asked, Asked) else Asked(asked)
                outcomes += await store.commit([asked], scene.now_us)
                if isinstance(outcomes[-1], Accepted):
                    _remember(scene, outcomes[-1])
            rows.append(_row(situation, scene, outcomes[-1], path))
            now_us = scene.now_us
        return rows
    finally:
        await store.close()


def _remember(scene: Scene, accepted: Accepted) -> None:
    if accepted.hold is not None:
        scene.hold_id = accepted.hold.id
    if accepted.payout is not None:
        scene.payout_id = accepted.payout.id
        scene.names[CLEARING_ID_BASE + scene.payout_id] = "its clearing account"


def _set_up(connection: sqlite3.Connection) -> None:
    for currency in ("EUR", "USD", POOR):
        open_books(connection, currency)
    connection.execute(
        "UPDATE users SET floor = 0 WHERE currency = ? AND kind IN ('house', 'receivable')", (POOR,)
    )


def _names_of_books(path: Path, currency: str) -> dict[int, str]:
    return {
        id_: kind if of == currency else f"{kind} {of}"
        for id_, kind, of in look(path, "SELECT id, kind, currency FROM users WHERE kind <> 'player'")
    }


def _row(situation: Situation, scene: Scene, outcome: Outcome, path: Path) -> Row:
    moved = ""
    if isinstance(outcome, Accepted):
        answer = "replayed" if outcome.replayed else "accepted"
        states = [told.state for told in (outcome.bet, outcome.hold, outcome.payout) if told is not None]
        answer = ": ".join([answer, *states])
        if outcome.payout is not None:
            answer += "".join(f"; item {number}: `{reason}`" for number, reason in outcome.payout.suspends)
        if outcome.limit is not None:
            answer += f": {_limit_in_words(outcome.limit, scene)}"
        legs = [f"{scene.names[e.user_id]} {_signed(e.amount_minor)}" for e in outcome.entries]
        runs = [(leg, len([*run])) for leg, run in groupby(legs)]
        moved = ", ".join(leg if count == 1 else f"{count} × {leg}" for leg, count in runs)
    else:
        answer = f"`{outcome.code.name}`" + (", replayed" if outcome.replayed else "")
    ((balance, held, owed),) = look(path, "SELECT balance, held, owed FROM users WHERE id = ?", scene.player)
    wallet = f"{balance}" + (f", {held} held" if held else "") + (f", owes {owed}" if owed else "")
    return Row(situation.command, situation.words, answer, moved or "–", wallet)


def _limit_in_words(told: LimitTold, scene: Scene) -> str:
    if told.kind == LimitKind.EXCLUSION:
        return f"out for {(told.amount - scene.now_us) // SECOND_US} s"
    now, then = ("no limit" if amount == NONE else str(amount) for amount in (told.amount, told.pending))
    hours = (told.pending_from_us - scene.now_us) // (3_600 * SECOND_US)
    return f"{now}; in {hours} h {then}" if told.pending_from_us else now


def _signed(amount_minor: int) -> str:
    return f"{amount_minor:+}".replace("-", "−")


# -- the page


def table_of(rows: Iterable[Row]) -> str:
    lines = [
        "| command | situation | answer | what moves | the wallet then |",
        "| --- | --- | --- | --- | --- |",
    ]
    before = ""
    for row in rows:
        name = "" if row.command == before else f"**{row.command}**"
        lines.append("| " + " | ".join((name, *row[1:])) + " |")
        before = row.command
    return "\n".join(lines)


State = TypeVar("State", bound=StrEnum)
Event = TypeVar("Event", bound=StrEnum)


def diagram_of(moves: Mapping[tuple[State, Event], State], first: str) -> str:
    """A state diagram as GitHub draws it, one arrow for each entry of a table of `lifecycle`."""
    arrows = [
        f"    {before.value} --> {after.value}: {event.value}" for (before, event), after in moves.items()
    ]
    left = {before for before, _ in moves}
    ends = [f"    {after.value} --> [*]" for after in dict.fromkeys(moves.values()) if after not in left]
    return "\n".join(["```mermaid", "stateDiagram-v2", f"    [*] --> {first}", *arrows, *ends, "```"])


def table_of_runs() -> str:
    with tempfile.TemporaryDirectory() as folder:
        return table_of(run_all(Path(folder) / "books.db"))


def diagram_of_payouts() -> str:
    """`lifecycle` lists the states of a payout in their order."""
    collecting, paying, paid = PayoutState
    return _diagram(
        f"[*] --> {collecting}: open",
        f"{collecting} --> {collecting}: add items",
        f"{collecting} --> {paying}: start",
        f"{paying} --> {paying}: pay a chunk",
        f"{paying} --> {paid}: pay the last chunk",
        f"[*] --> {paid}: pay at once",
        f"{paid} --> [*]",
    )


def diagram_of_items() -> str:
    """An item that could not be paid, and how that ends."""
    suspended, paid, returned = ItemState
    return _diagram(
        f"[*] --> {suspended}: its turn comes",
        f"{suspended} --> {paid}: resolve",
        f"{suspended} --> {returned}: resolve, it returns",
        f"{paid} --> [*]",
        f"{returned} --> [*]",
    )


def _diagram(*arrows: str) -> str:
    return "\n".join(["```mermaid", "stateDiagram-v2", *(f"    {arrow}" for arrow in arrows), "```"])


PARTS: Final[dict[str, Callable[[], str]]] = {
    "bets": lambda: diagram_of(BETS, "confirmed: place"),
    "holds": lambda: diagram_of(HOLDS, "open: hold"),
    "payouts": diagram_of_payouts,
    "items": diagram_of_items,
    "answers": table_of_runs,
}
"""What is generated, by the name in its markers."""


def marked(part: str) -> re.Pattern[str]:
    return re.compile(rf"(<!-- generated: {part} -->\n)(.*?)(\n<!-- end: {part} -->)", re.DOTALL)


@pytest.mark.parametrize("part", PARTS)
def test_the_page_says_what_the_engine_does(part: str) -> None:
    found = marked(part).search(PAGE.read_text(encoding="utf-8"))

    assert found is not None
    assert found[2] == PARTS[part](), "write it anew: python tests/test_wallet_doc.py"


def test_every_command_and_every_code_of_the_engine_s_own_is_in_the_table() -> None:
    found = marked("answers").search(PAGE.read_text(encoding="utf-8"))
    assert found is not None
    text = found[2]
    told = {code for code in Code if f"`{code.name}`" in text}

    assert {situation.command for situation in SITUATIONS} - {BET_LIMITED, OTHERS_LIMITED} == {
        "PlaceBet",
        *(kind.__name__ for kind in KINDS),
    }
    assert {*Code} - told == {
        *(Code.UNAUTHORIZED, Code.FORBIDDEN),  # told at the door
        *(Code.OUTCOME_UNKNOWN, Code.INTERNAL, Code.CIRCUIT_OPEN, Code.OVERLOADED, Code.TIMED_OUT),
        Code.RATE_LIMITED,  # takes a thousand refusals
    }


def rewrite() -> None:
    """Put what the engine does now between the markers."""
    text = PAGE.read_text(encoding="utf-8")
    for part, make in PARTS.items():
        made = make()
        text, count = marked(part).subn(lambda found, made=made: found[1] + made + found[3], text)  # type: ignore[misc]
        assert count == 1, part
    PAGE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    rewrite()
