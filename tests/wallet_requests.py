"""What the wallet is asked at random: templates that `test_wallet_model.py` makes requests of, and how a
request becomes the engine's command.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from books_open import bet_id
from hypothesis import strategies as st
from model_answers import MOST, Request

from engine.commands import (
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
from engine.money import BOOK_FLOOR_MINOR

HOUSE, CASH, FEES, SUSPENSE, RECEIVABLE = 1, 2, 3, 5, 6
PLAYERS, DOLLARS, NOBODY = (13, 14, 15), 16, 99
ITEMS_AT_ONCE: Final = 4
"""Instead of the engine's 100, so that payouts of several chunks are short."""

MAKE: Final[dict[str, Callable[[Request], Command]]] = {
    "place": lambda r: PlaceBet(r["bet_id"], r["user"], r["stake"], "nonce", r["sent_at"], r["currency"]),
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
    "status": lambda r: SetStatus(r["user"], r["status"], **_name(r)),
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
USERS = st.sampled_from([*PLAYERS * 3, DOLLARS, DOLLARS, DOLLARS, NOBODY, HOUSE])
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
        ),
        lambda term: (term or 0) + 1,
    ),
    "bet_id": lambda term: bet_id(9_999),
    "currency": lambda term: "EUR" if term == "USD" else "USD",
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
# The same as so many requests ago, or but for one of its terms.
AGAIN = _request("again", which=st.integers(0, 12), but=st.none() | st.sampled_from([*TERMS]))
# fmt: off
REQUESTS = st.sampled_from(
    [*[PLACE] * 5, *[SETTLE] * 3, UNSETTLE, CASH_OUT, ROLL_BACK, HOLD, HOLD, CAPTURE, CAPTURE, RELEASE,
     EXPIRE, DEPOSIT, WITHDRAW, WITHDRAW, TRANSFER, TRANSFER, STATUS, AGAIN, AGAIN,
     PAY, PAY, OPEN, ADD, START, CHUNK, RESOLVE, RESOLVE, LIMIT, LIMIT, EXCLUDE]
).flatmap(lambda requests: requests)
# fmt: on


DEBT: Final[list[Request]] = [
    {"do": "settle", "bet": 0, "result": "won", "payout": 90},
    {"do": "withdraw", "amount": ALL, "for_approval": False},
    {"do": "unsettle", "bet": 0},
]
"""A win that was spent, then taken back."""


@st.composite
def lives(draw: st.DrawFn) -> list[Request]:
    """One bet and what becomes of it, and what its player does meanwhile with his money."""
    user = draw(st.sampled_from([*PLAYERS, DOLLARS]))
    events = st.sampled_from(
        [
            *[SETTLE] * 4,
            *[UNSETTLE] * 4,
            CASH_OUT,
            CASH_OUT,
            ROLL_BACK,
            WITHDRAW,
            WITHDRAW,
            HOLD,
            STATUS,
            AGAIN,
        ]
    ).flatmap(lambda requests: requests)
    placed = draw(PLACE) | {"bet": 9, "user": user, "currency": None, "sent_at": 0}
    life = draw(st.sampled_from([[], [], DEBT])) + draw(st.lists(events, min_size=2, max_size=8))
    return [placed] + [
        request
        | ({"bet": 0} if "bet" in request else {})
        | ({"user": user} if request["do"] in ("withdraw", "hold", "status") else {})
        for request in life
    ]


@st.composite
def mass_payouts(draw: st.DrawFn) -> list[Request]:
    """A payout that is collected and started, or paid at once, and an item of it that may be in suspense."""
    if draw(st.booleans()):
        return [draw(PAY) | {"currency": "EUR"}, *draw(st.lists(RESOLVE | STATUS, max_size=3))]
    added = draw(st.lists(ADD.map(lambda each: each | {"of": 0, "first": None}), min_size=1, max_size=3))
    return [draw(OPEN) | {"currency": "EUR"}, *added, draw(START) | {"of": 0}]


@st.composite
def sittings(draw: st.DrawFn) -> list[Request]:
    """A player with a limit, and what he tries to do."""
    user = draw(st.sampled_from([*PLAYERS, DOLLARS]))
    events = st.lists(st.one_of(PLACE, PLACE, SETTLE, DEPOSIT, LIMIT), min_size=2, max_size=6)
    return [
        request
        | ({"user": user} if "user" in request else {})
        | ({"bet": 9, "currency": None, "sent_at": 0} if request["do"] == "place" else {})
        for request in [draw(LIMIT), *draw(events)]
    ]


PIECES = st.lists(
    st.sampled_from(
        [*[REQUESTS.map(lambda request: [request])] * 6, *[lives()] * 3, mass_payouts(), sittings()]
    ).flatmap(lambda pieces: pieces),
    min_size=1,
    max_size=6,
)


@st.composite
def batches(draw: st.DrawFn) -> list[tuple[Request, str | None]]:
    """Some of them, and what those in front have against each."""
    return [(each, draw(OBJECTIONS)) for piece in draw(PIECES) for each in piece]


BATCH = batches()
Batch = Sequence[tuple[Request, str | None]]
FLOORS = st.fixed_dictionaries(
    {
        HOUSE: st.sampled_from([BOOK_FLOOR_MINOR, -400, -60]),
        CASH: st.sampled_from([BOOK_FLOOR_MINOR, -2500]),
        RECEIVABLE: st.sampled_from([BOOK_FLOOR_MINOR, -60, 0]),
    }
)
