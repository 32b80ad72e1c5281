"""What the wallet is asked at random: templates that `test_wallet_model.py` makes requests of, one by one,
and how a request becomes the engine's command. `wallet_batches.py` makes batches of them.

A `user` below 0 is the bonus wallet beside the wallet of that number; `NEWEST` is the wallet opened last.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from hypothesis import strategies as st

from engine.commands import (
    AddPayoutItems,
    CaptureHold,
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
from engine.money import BOOK_FLOOR_MINOR
from tests.books_open import bet_id
from tests.model_answers import MOST, Request

HOUSE, CASH, FEES, SUSPENSE, RECEIVABLE = 1, 2, 3, 5, 6
BONUS = 2_251_799_813_685_248 + HOUSE
PLAYERS, DOLLARS, NOBODY = (13, 14, 15), 16, 9_999
OPENED = (17, 18, 19, 20)
"""Nobody at first, then further wallets, bonus wallets and those of new players, as it comes."""
NEWEST: Final = 0
ITEMS_AT_ONCE: Final = 4
"""Instead of the engine's 100, so that payouts of several chunks are short."""

MAKE: Final[dict[str, Callable[[Request], Command]]] = {
    "place": lambda r: PlaceBet(
        *(r["bet_id"], r["user"], r["stake"], "nonce", r["sent_at"], r["currency"]), free_bet_id=r["free"]
    ),
    "settle": lambda r: SettleBet(r["bet_id"], Result(r["result"]), r["payout"], **_name(r)),
    "unsettle": lambda r: UnsettleBet(r["bet_id"], **_name(r)),
    "rollback": lambda r: RollBackBet(r["bet_id"], r["user"], r["stake"], r["currency"], **_name(r)),
    "cashout": lambda r: CashOutBet(r["bet_id"], r["stake"], r["payout"], **_name(r)),
    "deposit": lambda r: Deposit(r["user"], r["amount"], **_name(r)),
    "withdraw": lambda r: Withdraw(r["user"], r["amount"], r["for_approval"], **_name(r)),
    "hold": lambda r: PlaceHold(r["user"], r["amount"], r["expires_at"], **_name(r)),
    "capture": lambda r: CaptureHold(r["hold"], r["amount"], **_name(r)),
    "release": lambda r: ReleaseHold(r["hold"], **_name(r)),
    "expire": lambda r: ExpireHold(r["hold"], **_name(r)),
    "transfer": lambda r: Transfer(tuple(Leg(*leg) for leg in r["legs"]), **_name(r)),
    "payout.pay": lambda r: Pay(r["currency"], _items(r), **_name(r)),
    "payout.open": lambda r: OpenPayout(r["currency"], **_name(r)),
    "payout.add": lambda r: AddPayoutItems(r["payout"], r["first"], _items(r), **_name(r)),
    "payout.start": lambda r: StartPayout(r["payout"], r["count"], r["total"], **_name(r)),
    "payout.chunk": lambda r: PayChunk(r["payout"], r["first"], **_name(r)),
    "payout.resolve": lambda r: ResolveItem(r["payout"], r["number"], r["returns"], **_name(r)),
    "limit": lambda r: SetLimit(r["user"], r["kind"], r["period"], r["amount"], **_name(r)),
    "exclude": lambda r: Exclude(r["user"], r["until"], **_name(r)),
    "wallet": lambda r: OpenWallet(r["currency"], r["participant"], **_name(r)),
    "bonus.grant": lambda r: GrantBonus(
        r["user"], r["amount"], Spend(r["spend"]), r["expires_at"], **_name(r)
    ),
    "bonus.expire": lambda r: ExpireBonus(r["user"], **_name(r)),
    "bonus.offer": lambda r: GrantFreeBet(r["user"], r["amount"], r["expires_at"], **_name(r)),
    "bonus.revoke": lambda r: RevokeFreeBet(r["free"], **_name(r)),
    "bonus.lapse": lambda r: ExpireFreeBet(r["free"], **_name(r)),
    "status": lambda r: SetStatus(r["user"], r["status"], **_name(r)),
    "floor": lambda r: SetFloor(r["user"], r["floor"], **_name(r)),
}
"""The engine's command for each request of the model's."""


def _name(request: Request) -> dict[str, str]:
    return {"key": request["key"], "caller": request["caller"]}


def _items(request: Request) -> tuple[PayoutItem, ...]:
    return tuple(PayoutItem(*item) for item in request["items"])


ALL = "all"  # that is available
AMOUNTS = st.sampled_from([1, 7, 20, 20, 50, 90, 120, 300, ALL, ALL, MOST - 100, MOST])
STAKES = st.sampled_from([1, 5, 20, 20, 30, 60])
PAYOUTS = st.sampled_from([0, 1, 20, 45, 90, 90, 250, 250, 600, MOST])
ALL_WALLETS = [*PLAYERS * 3, DOLLARS, DOLLARS, DOLLARS, *OPENED]
USERS = st.sampled_from([*ALL_WALLETS, NOBODY, HOUSE, -PLAYERS[0], -PLAYERS[1], BONUS])
BETS = st.integers(0, 9)  # 0 to 7: of those placed, from the newest on; then one buried, one never seen
HOLDS = st.sampled_from([0, 0, 0, 1, 1, 2, 5, 99])  # of those made, from the newest on; 99: none
MAYBE_CURRENCY = st.sampled_from([None] * 6 + ["EUR", "EUR", "USD"])
OBJECTIONS = st.sampled_from([None] * 30 + ["NONCE_REUSED", "OUTCOME_UNKNOWN", "OVERLOADED"])


@st.composite
def transfers(draw: st.DrawFn) -> list[tuple[int, int, str]]:
    """Legs that sum to zero, most of them, with a fee and a tax, most of them in one currency."""
    payer, payee, amount = draw(USERS), draw(USERS), draw(STAKES) * draw(st.sampled_from([1, 1, 3, 9]))
    fee, tax = draw(st.integers(0, 5)), draw(st.integers(-3, 5))
    legs = [(payer, -amount, "TRANSFER"), (payee, amount - fee - tax, "TRANSFER")]
    legs += [(book, part, name) for book, part, name in ((FEES, fee, "FEE"), (HOUSE, tax, "TAX")) if part]
    spoilt = draw(
        st.sampled_from([""] * 5 + ["unbalanced", "a leg of nothing", "a book kept", "one leg", "swapped"])
    )
    if spoilt == "swapped":
        return [(user, -part, name) for user, part, name in reversed(legs)]
    if spoilt == "one leg":
        return legs[:1]
    if spoilt == "a book kept":
        legs += [(SUSPENSE, 1, "TRANSFER"), (payer, -1, "TRANSFER")]
    return legs + {"unbalanced": [(HOUSE, 1, "FEE")], "a leg of nothing": [(HOUSE, 0, "FEE")]}.get(spoilt, [])


def _request(do: str, **fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Request]:
    return st.fixed_dictionaries({"do": st.just(do), **fields})


TERMS: Final[dict[str, Callable[[Any], Any]]] = {
    **dict.fromkeys(
        (
            "user",
            "stake",
            "payout",
            "amount",
            "expires_at",
            "hold",
            "first",
            "count",
            "total",
            "number",
            "until",
            "participant",
            "free",
        ),
        lambda term: (term or 0) + 1,
    ),
    "bet_id": lambda term: bet_id(9_999),
    "currency": lambda term: "EUR" if term == "USD" else "USD",
    "spend": lambda term: "last" if term == "first" else "first",
    "result": lambda term: "lost" if term == "won" else "won",
    **dict.fromkeys(("for_approval", "returns"), lambda term: not term),
    "items": lambda term: [*term, (PLAYERS[0], 1)],
    "kind": lambda term: "loss" if term == "stake" else "stake",
    "period": lambda term: "week" if term == "day" else "day",
    "status": lambda term: "blocked" if term == "open" else "open",
    "legs": lambda term: [*term, (FEES, 1, "FEE"), (HOUSE, -1, "TAX")],
}
"""Another term in place of this one."""

SENT = st.sampled_from([0] * 12 + [-80, 10, -81, 11])
PLACE = _request(
    "place",
    bet=st.sampled_from([9] * 8 + [0, 1, 8]),
    user=USERS,
    stake=STAKES,
    currency=MAYBE_CURRENCY,
    sent_at=SENT,
    free=st.sampled_from([None] * 12 + [0, 0, 1]),
)
SETTLE = _request(
    "settle",
    bet=BETS,
    result=st.sampled_from(["won", "won", "lost", "void"]),
    payout=st.sampled_from([None, None, 20, 45, 90, 250, 600, MOST]),
)
UNSETTLE = _request("unsettle", bet=BETS)
CASH_OUT = _request("cashout", bet=BETS, stake=STAKES, payout=PAYOUTS)
ROLL_BACK = _request(
    "rollback",
    bet=st.sampled_from([0, 1, 2, 3, 8, 8, 9, 9]),
    user=st.sampled_from([None] * 4 + [*PLAYERS]),
    stake=st.sampled_from([None] * 5 + [20]),
    currency=MAYBE_CURRENCY,
)
HOLD = _request("hold", user=USERS, amount=AMOUNTS, expires_at=st.sampled_from([None, 0, 1, 20, 20, 90]))
CAPTURE = _request("capture", hold=HOLDS, amount=st.none() | STAKES)
RELEASE, EXPIRE = _request("release", hold=HOLDS), _request("expire", hold=HOLDS)
DEPOSIT = _request("deposit", user=USERS, amount=AMOUNTS)
WITHDRAW = _request("withdraw", user=USERS, amount=AMOUNTS, for_approval=st.booleans())
TRANSFER = _request("transfer", legs=transfers())
STATUS = _request("status", user=USERS, status=st.sampled_from(["open"] * 8 + ["blocked", "closed"]))
# Of payouts, from the newest on; None: what is right then.
PAYOUT = st.sampled_from([0] * 6 + [1, 1, 2, 99])
WINNERS = st.lists(
    st.tuples(USERS, st.sampled_from([1, 5, 20, 20, 45, 90] * 4 + [MOST])),
    min_size=1,
    max_size=ITEMS_AT_ONCE + 1,
)
CURRENCY = st.sampled_from(["EUR"] * 6 + ["USD", "GBP"])
RIGHT = st.sampled_from([None] * 12 + [0, 3])
PAY = _request("payout.pay", currency=CURRENCY, items=WINNERS)
OPEN = _request("payout.open", currency=CURRENCY)
ADD = _request("payout.add", of=PAYOUT, first=RIGHT, items=WINNERS)
START = _request("payout.start", of=PAYOUT, count=RIGHT, total=RIGHT)
CHUNK = _request("payout.chunk", of=PAYOUT, first=RIGHT)
RESOLVE = _request("payout.resolve", of=PAYOUT, number=RIGHT, returns=st.booleans())
PERIOD = st.sampled_from(["day", "day", "week", "month"])
LIMIT = _request(
    "limit",
    user=USERS,
    kind=st.sampled_from(["stake", "loss", "deposit"]),
    period=PERIOD,
    amount=st.sampled_from([None, 0, 20, 60, 100, 300]),
) | _request(
    "limit",
    user=USERS,
    kind=st.just("time"),
    period=PERIOD,
    amount=st.sampled_from([None, 0, 20, 60, 300]),
)
EXCLUDE = _request("exclude", user=USERS, until=st.sampled_from([-90_000, 0, 1, 100, 3600, 90_000]))
FLOOR = _request(
    "floor",
    user=st.sampled_from([HOUSE, HOUSE, CASH, FEES, RECEIVABLE, BONUS, BONUS, PLAYERS[0], NOBODY]),
    floor=st.sampled_from([BOOK_FLOOR_MINOR, BOOK_FLOOR_MINOR, -2500, -400, -60, 0]),
)
# The same as so many requests ago, or but for one of its terms.
AGAIN = _request("again", which=st.integers(0, 12), but=st.none() | st.sampled_from([*TERMS]))

# -- several wallets, bonus money, free bets

UNTIL = st.sampled_from([None, None, None, 0, 20, 20, 100, 3600])
FREE_BETS = st.sampled_from([0, 0, 0, 0, 1, 1, 2, 99])  # of those granted, from the newest on; 99: none
BESIDE = st.sampled_from([*(-each for each in PLAYERS * 2), -DOLLARS, *OPENED, PLAYERS[0], NOBODY])
OPEN_WALLET = _request(
    "wallet",
    currency=st.sampled_from(["EUR", "EUR", "USD", "USD", "GBP"]),
    participant=st.sampled_from([None, None, *PLAYERS * 2, DOLLARS, *OPENED, HOUSE, NOBODY]),
)
GRANT = _request(
    "bonus.grant",
    user=USERS,
    amount=st.sampled_from([1, 7, 20, 20, 33, 50, MOST]),
    spend=st.sampled_from(["first", "last"]),
    expires_at=UNTIL,
)
EXPIRE_BONUS = _request("bonus.expire", user=BESIDE)
OFFER = _request("bonus.offer", user=USERS, amount=STAKES, expires_at=UNTIL)
REVOKE = _request("bonus.revoke", free=FREE_BETS)
LAPSE = _request("bonus.lapse", free=FREE_BETS)
MOVE_BONUS = st.builds(
    lambda user, amount, key: {"do": "transfer", "legs": [(-user, -amount, key), (user, amount, key)]},
    st.sampled_from(PLAYERS),
    st.sampled_from([1, 5, 20, -5, -20]),
    st.just("TRANSFER"),
)
"""Out of a bonus wallet, or into it."""
