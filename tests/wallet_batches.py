"""What the wallet is asked at random, in batches: requests of all kinds, and pieces of a story that single
ones seldom make: a bet's life, a bonus, a free bet, a mass payout, limits, a person with several wallets.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from hypothesis import strategies as st

from engine.money import BOOK_FLOOR_MINOR
from tests.model_answers import MOST, Request
from tests.wallet_requests import (
    ADD,
    AGAIN,
    ALL,
    BONUS,
    CAPTURE,
    CASH,
    CASH_OUT,
    CHUNK,
    DEPOSIT,
    DOLLARS,
    EXCLUDE,
    EXPIRE,
    EXPIRE_BONUS,
    FLOOR,
    GRANT,
    HOLD,
    HOUSE,
    LAPSE,
    LIMIT,
    MOVE_BONUS,
    NEWEST,
    OBJECTIONS,
    OFFER,
    OPEN,
    OPEN_WALLET,
    OPENED,
    PAY,
    PLACE,
    PLAYERS,
    RECEIVABLE,
    RELEASE,
    RESOLVE,
    REVOKE,
    ROLL_BACK,
    SETTLE,
    STAKES,
    START,
    STATUS,
    TRANSFER,
    UNSETTLE,
    WITHDRAW,
)

# fmt: off
REQUESTS = st.sampled_from(
    [*[PLACE] * 5, *[SETTLE] * 3, FLOOR, UNSETTLE, CASH_OUT, ROLL_BACK, HOLD, HOLD, CAPTURE, CAPTURE, RELEASE,
     EXPIRE, DEPOSIT, WITHDRAW, WITHDRAW, TRANSFER, TRANSFER, STATUS, AGAIN, AGAIN,
     PAY, PAY, OPEN, ADD, START, CHUNK, RESOLVE, RESOLVE, LIMIT, LIMIT, EXCLUDE,
     OPEN_WALLET, OPEN_WALLET, GRANT, GRANT, EXPIRE_BONUS, OFFER, OFFER, REVOKE, LAPSE, MOVE_BONUS]
).flatmap(lambda requests: requests)
# fmt: on


Batch = Sequence[tuple[Request, str | None]]
"""Requests, and what those in front have against each."""

AT_ONCE: Final[Request] = {"bet": 9, "currency": None, "sent_at": 0, "free": None}
"""A new bet that nothing is wrong with."""

NEW = st.sampled_from([0, 0, 0, 1])
"""The newest bet, or the one before."""

USED_AGAIN: Final[list[Request]] = [
    {"do": "settle", "bet": 0, "result": "void", "payout": None},
    {"do": "place"},
    {"do": "unsettle"},
]
"""A free bet that is given back and used again, before the first bet is unsettled."""

DEBT: Final[list[Request]] = [
    {"do": "settle", "bet": 0, "result": "won", "payout": 90},
    {"do": "withdraw", "amount": ALL, "for_approval": False},
    {"do": "unsettle", "bet": 0},
]
"""A win that was spent, then taken back."""

RICHES: Final[list[Request]] = [
    *DEBT,
    {"do": "deposit", "amount": 20},
    {"do": "settle", "bet": 0, "result": "won", "payout": MOST},
]
"""What is owed is kept back of a win, and but for that it would be more than can be shown."""


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
    placed = draw(PLACE) | AT_ONCE | {"user": user}
    known = draw(st.sampled_from([[], [], [], [], DEBT, DEBT, RICHES]))
    life = known + draw(st.lists(events, min_size=2, max_size=8))
    return [placed] + [
        request
        | ({"bet": 0} if "bet" in request else {})
        | ({"user": user} if request["do"] in ("withdraw", "deposit", "hold", "status") else {})
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
    """A player with a limit, and what he tries to do; also with a free bet that is of another amount."""
    unusable = st.sampled_from([None, None, 0])
    user = draw(st.sampled_from([*PLAYERS, DOLLARS]))
    events = st.lists(st.one_of(PLACE, PLACE, SETTLE, DEPOSIT, LIMIT), min_size=2, max_size=6)
    return [
        request
        | ({"user": user} if "user" in request else {})
        | (AT_ONCE | {"free": draw(unusable)} if request["do"] == "place" else {})
        for request in [draw(LIMIT), *draw(events)]
    ]


@st.composite
def bonus_lives(draw: st.DrawFn) -> list[Request]:
    """Bets that bonus money pays in part, and what becomes of them and of the bonus."""
    user = draw(st.sampled_from([*PLAYERS, DOLLARS]))
    grant = draw(GRANT) | {"user": user, "amount": draw(st.sampled_from([7, 20, 33, 50]))}
    away = draw(st.sampled_from(["withdraw", "hold"]))
    poor = draw({"withdraw": WITHDRAW, "hold": HOLD}[away]) | {"user": user, "amount": ALL}
    little = {"do": "deposit", "user": user, "amount": draw(st.sampled_from([7, 20, 45]))}
    placed = draw(PLACE) | AT_ONCE | {"user": user, "stake": draw(st.sampled_from([20, 30, 60]))}
    events = st.sampled_from(
        [*[SETTLE] * 4, *[UNSETTLE] * 3, PLACE, PLACE, CASH_OUT, CASH_OUT, ROLL_BACK, GRANT, EXPIRE_BONUS,
         MOVE_BONUS, WITHDRAW]
    ).flatmap(lambda requests: requests)  # fmt: skip
    return [
        grant,
        *([poor, little] if draw(st.booleans()) else []),
        placed,
        *(
            each
            | (AT_ONCE if each["do"] == "place" else {"bet": draw(NEW)} if "bet" in each else {})
            | ({"user": -user if each["do"] == "bonus.expire" else user} if "user" in each else {})
            for each in draw(st.lists(events, min_size=2, max_size=8))
        ),
        *draw(st.sampled_from([[], [], leaving(user, placed), owing(user, placed), blocked(user)])),
    ]


def leaving(user: int, placed: Request) -> list[Request]:
    """His bonus owes a win that it has staked again; he withdraws what is his, and goes."""
    return [
        {"do": "bonus.grant", "user": user, "amount": 20, "spend": "first", "expires_at": None},
        {"do": "deposit", "user": user, "amount": 90},
        placed | {"stake": 20},
        {"do": "settle", "bet": 0, "result": "won", "payout": 20},
        *[placed | {"stake": 60}] * 3,
        {"do": "unsettle", "bet": 3},
        {"do": "withdraw", "user": user, "amount": ALL, "for_approval": False},
        {"do": "status", "user": user, "status": "closed"},
    ]


def owing(user: int, placed: Request) -> list[Request]:
    """A win of two wallets, which both have spent when it is taken back."""
    return [
        {"do": "bonus.grant", "user": user, "amount": 20, "spend": "first", "expires_at": None},
        {"do": "deposit", "user": user, "amount": 90},
        placed | {"stake": 60},
        {"do": "settle", "bet": 0, "result": "won", "payout": 90},
        placed | {"stake": 60},
        {"do": "withdraw", "user": user, "amount": ALL, "for_approval": False},
        {"do": "unsettle", "bet": 1},
    ]


def blocked(user: int) -> list[Request]:
    """What is beside a wallet that is not open stays where it is."""
    return [
        {"do": "bonus.grant", "user": user, "amount": 20, "spend": "last", "expires_at": None},
        {"do": "status", "user": user, "status": "blocked"},
        {"do": "transfer", "legs": [(-user, -1, "TRANSFER"), (user, 1, "TRANSFER")]},
        {"do": "transfer", "legs": [(HOUSE, -1, "TRANSFER"), (-user, 1, "TRANSFER")]},
        {"do": "status", "user": user, "status": "open"},
    ]


@st.composite
def bonuses_run_out(draw: st.DrawFn) -> tuple[Batch, Batch]:
    """What comes before the time of a bonus and of a free bet, and what after: a bet that is won and taken
    back, and whatever else may touch them before the clock does.
    """
    user = draw(st.sampled_from([*PLAYERS, DOLLARS]))
    first = {"user": user, "spend": "first", "expires_at": 100, "amount": draw(st.sampled_from([33, 50]))}
    placed = draw(PLACE) | AT_ONCE | {"user": user, "stake": draw(st.sampled_from([20, 30, 60]))}
    expire: Request = {"do": "bonus.expire", "user": -user}
    won: Request = {"do": "settle", "bet": 0, "result": "won", "payout": 45}
    unsettle: Request = {"do": "unsettle", "bet": 0}
    spent: Request = {"do": "transfer", "legs": [(-user, -33, "TRANSFER"), (user, 33, "TRANSFER")]}
    opening = draw(st.sampled_from([[], [], [], [], [won], [won, spent, unsettle], [won, spent]]))
    cash_out: Request = {"do": "cashout", "bet": 0, "stake": 20, "payout": 45}
    most = draw(GRANT) | {"user": user, "amount": MOST}
    offer = draw(OFFER) | {"user": user, "amount": 5, "expires_at": 100}
    used = placed | {"stake": 5, "free": 0}
    stories: list[list[Request]] = [
        [],
        [expire],
        *[[expire, won, unsettle]] * 3,
        [expire, unsettle],
        [expire, cash_out],
        [won, expire],
        [most],
        [used],
    ]
    story = draw(st.sampled_from(stories))
    events = st.one_of(SETTLE, UNSETTLE, CASH_OUT, ROLL_BACK, GRANT, MOVE_BONUS, PLACE, STATUS)
    also = [
        each
        | (AT_ONCE if each["do"] == "place" else {"bet": 0} if "bet" in each else {})
        | ({"user": user} if "user" in each else {})
        for each in draw(st.lists(events, max_size=4))
    ]
    before = [draw(GRANT) | first, placed, *opening, offer]
    return [(each, None) for each in before], [(each, None) for each in (*story, *also)]


@st.composite
def free_bet_lives(draw: st.DrawFn) -> list[Request]:
    """A free bet that is used, and what becomes of it."""
    user, stake = draw(st.sampled_from([*PLAYERS, DOLLARS])), draw(STAKES)
    offer = draw(OFFER) | {"user": user, "amount": stake}
    used = draw(PLACE) | AT_ONCE | {"user": user, "stake": stake, "free": 0}
    events = st.sampled_from(
        [*[SETTLE] * 4, *[UNSETTLE] * 3, *[PLACE] * 2, CASH_OUT, ROLL_BACK, REVOKE, LAPSE]
    ).flatmap(lambda requests: requests)
    life = draw(st.lists(events, min_size=2, max_size=8))
    again = draw(st.sampled_from([[], USED_AGAIN]))
    return [
        offer,
        used,
        *(
            each
            | (used if each["do"] == "place" else {})
            | ({"bet": draw(NEW)} if each["do"] in ("settle", "unsettle", "cashout", "rollback") else {})
            | ({"free": 0} if each["do"].startswith("bonus") else {})
            for each in [*again, *life]
        ),
    ]


@st.composite
def families(draw: st.DrawFn) -> list[Request]:
    """A person with several wallets, who keeps himself out, and what he tries to do."""
    user = draw(st.sampled_from([*PLAYERS, DOLLARS]))
    opened = draw(OPEN_WALLET) | {"participant": user}
    events = st.lists(st.one_of(PLACE, DEPOSIT, EXCLUDE, GRANT, OFFER, LIMIT), min_size=1, max_size=4)
    wallets = st.sampled_from([user, NEWEST, NEWEST, *OPENED])
    out = draw(EXCLUDE) | {"user": draw(wallets), "until": 90_000}
    deposit: Request = {"do": "deposit", "user": NEWEST, "amount": 20}
    placed = draw(PLACE) | AT_ONCE | {"user": NEWEST}
    return [
        opened,
        *draw(st.sampled_from([[out, deposit, placed], []])),
        *(
            request | (AT_ONCE if request["do"] == "place" else {}) | {"user": draw(wallets)}
            for request in draw(events)
        ),
    ]


PIECES = st.lists(
    st.sampled_from(
        [
            *[REQUESTS.map(lambda request: [request])] * 6,
            *[lives()] * 3,
            mass_payouts(),
            sittings(),
            *[bonus_lives()] * 3,
            *[free_bet_lives()] * 2,
            families(),
        ]
    ).flatmap(lambda pieces: pieces),
    min_size=1,
    max_size=6,
)


@st.composite
def batches(draw: st.DrawFn) -> list[tuple[Request, str | None]]:
    """Some of them, and what those in front have against each."""
    return [(each, draw(OBJECTIONS)) for piece in draw(PIECES) for each in piece]


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Batch, Batch]:
    """Two of them; or one that is cut in two, so that the second goes on where the first has stopped; or both
    want the same free bet, which is in the file by then."""
    if draw(st.integers(0, 4)) == 0:
        revoke = [(draw(REVOKE), None)]
        return revoke, revoke
    whole = draw(batches())
    if len(whole) < 2 or draw(st.booleans()):
        return whole, draw(batches())
    cut = draw(st.integers(1, len(whole) - 1))
    return whole[:cut], whole[cut:]


BATCH = batches()
PAIR = pairs()
LATE = bonuses_run_out()
FLOORS = st.fixed_dictionaries(
    {
        HOUSE: st.sampled_from([BOOK_FLOOR_MINOR, -400, -60]),
        CASH: st.sampled_from([BOOK_FLOOR_MINOR, -2500]),
        BONUS: st.sampled_from([BOOK_FLOOR_MINOR, BOOK_FLOOR_MINOR, -60]),
        RECEIVABLE: st.sampled_from([BOOK_FLOOR_MINOR, -60, 0]),
    }
)

ENDS: Final = ("won", "lost", "void", "cashed_out", "rolled_back")
SEEN: Final = {
    "a bet of a further wallet: excluded",
    "a bonus pays back what it owes",
    "a grant before the clock has come",
    "a grant beyond the floor of the bonus book",
    "a grant to a bonus that had expired",
    "a limited player stakes nothing of his own",
    "a share that earlier ones have rounded",
    "a transfer beside a wallet that is not open",
    "a transfer into a bonus whose time has come",
    "a void free bet unsettled: used again",
    "a void free bet unsettled: used elsewhere",
    "a wallet opened, and a bet of it refused, in one batch",
    *(f"of an expired bonus: {what}" for what in (*ENDS, "unsettled") if what != "lost"),
    "of two wallets, unsettled: the bonus was spent",
    *(f"{payer}: {what}" for payer in ("two wallets", "a bonus") for what in ENDS),
    *(f"a free bet: {what}" for what in ENDS if what != "cashed_out"),
}
"""What has to come about in a long run (`Wallets.seen`), or it says little of bonus money."""
