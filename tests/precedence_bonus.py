"""Further wallets, bonus money and free bets: each command, and how each of its codes comes about."""

from __future__ import annotations

from typing import Final

from engine.commands import (
    Exclude,
    ExpireBonus,
    ExpireFreeBet,
    GrantBonus,
    GrantFreeBet,
    Leg,
    OpenWallet,
    PlaceBet,
    Result,
    RevokeFreeBet,
    RollBackBet,
    SettleBet,
    Spend,
    Transfer,
    UnsettleBet,
)
from engine.decide.place import SENT_AT_PAST_US
from engine.money import WIRE_MAX_MINOR
from engine.outcomes import Code
from tests.books_open import ALICE, BOB, NOBODY, NOW_US, bet_id, grant, place
from tests.precedence import (
    BLOCKED,
    DOLLAR_DAVE,
    EARLIER,
    HOUSE_AT_ITS_FLOOR,
    KEY,
    NEXT_WALLET,
    NO_ACCOUNT,
    NO_SUCH_BET,
    NO_SUCH_CURRENCY,
    PAYOUT_MINOR,
    PLACED,
    STAKE_MINOR,
    UNSETTLED,
    Case,
    Situation,
    a_moment_later,
    alice_may_only,
    happened,
    nothing_left_in,
    refused_too_often,
    said,
    with_legs,
)

FREE_BET_ID: Final = 1
_GRANTED: Final = grant("earlier", 20)
_TEN_THAT_EXPIRE: Final = grant("earlier", 10, expires_at_us=NOW_US + 1)
_FREE: Final = GrantFreeBet(ALICE, STAKE_MINOR, **EARLIER)
_REVOKED: Final = RevokeFreeBet(FREE_BET_ID, **EARLIER)
_EXCLUDED: Final = {Code.LIMIT_EXCEEDED: happened(Exclude(ALICE, NOW_US + 1, **EARLIER))}
_PLACED_FREE: Final = PlaceBet(bet_id(1), ALICE, STAKE_MINOR, "nonce", NOW_US, free_bet_id=FREE_BET_ID)
_NO_SUCH_FREE_BET: Final = {Code.NOT_FOUND: said(free_bet_id=NOBODY)}
_OVER_ALREADY: Final = {Code.INVALID_REQUEST: said(expires_at_us=NOW_US)}
_BOOK_AT_ITS_FLOOR: Final = {Code.INSUFFICIENT_FUNDS: nothing_left_in("bonus")}
_STALE: Final = {Code.STALE_REQUEST: said(sent_at_us=NOW_US - SENT_AT_PAST_US - 1)}


def its_time_has_not_come(situation: Situation) -> None:
    situation.view.at_us = NOW_US


def it_has_expired(situation: Situation) -> None:
    situation.view.at_us = NOW_US + 1
    situation.happens(ExpireBonus(NEXT_WALLET, **EARLIER))


def the_bonus_wallet_is_full(situation: Situation) -> None:
    situation.view.accounts[NEXT_WALLET].balance_minor = WIRE_MAX_MINOR


def the_bonus_wallet_is_empty_and_nobody_lends(situation: Situation) -> None:
    situation.view.accounts[NEXT_WALLET].balance_minor = 0
    nothing_left_in("receivable")(situation)


BONUS_CASES: Final = {
    "place, and a bonus pays a part": Case(
        place(1, STAKE_MINOR),
        (_GRANTED,),
        {
            **_STALE,
            **NO_ACCOUNT,
            **BLOCKED,
            Code.RATE_LIMITED: refused_too_often,
            Code.CURRENCY_MISMATCH: said(currency="USD"),
            Code.LIMIT_EXCEEDED: alice_may_only("stake", STAKE_MINOR - 20 - 1),
            Code.INSUFFICIENT_FUNDS: said(stake_minor=121),
        },
        ({Code.RATE_LIMITED, Code.ACCOUNT_NOT_FOUND},),  # refusals are counted in a wallet's row
    ),
    "place a free bet": Case(
        _PLACED_FREE,
        (_FREE,),
        {
            **_STALE,
            **NO_ACCOUNT,
            **BLOCKED,
            **_EXCLUDED,
            Code.RATE_LIMITED: refused_too_often,
            Code.CURRENCY_MISMATCH: said(currency="USD"),
            Code.INSUFFICIENT_FUNDS: said(free_bet_id=NOBODY),
        },
        ({Code.RATE_LIMITED, Code.ACCOUNT_NOT_FOUND},),
    ),
    "place a free bet, and the house cannot pay it": Case(_PLACED_FREE, (_FREE,), _BOOK_AT_ITS_FLOOR),
    "settle, shared": Case(
        SettleBet(bet_id(1), Result.WON, PAYOUT_MINOR, **KEY),
        (_GRANTED, PLACED),
        {**NO_SUCH_BET, **HOUSE_AT_ITS_FLOOR, Code.LIMIT_EXCEEDED: the_bonus_wallet_is_full},
    ),
    "unsettle, shared": Case(
        UnsettleBet(bet_id(1), **KEY),
        (_GRANTED, PLACED, SettleBet(bet_id(1), Result.WON, PAYOUT_MINOR, **EARLIER)),
        {**NO_SUCH_BET, Code.INSUFFICIENT_FUNDS: the_bonus_wallet_is_empty_and_nobody_lends},
    ),
    "unsettle, of a bonus that has expired": Case(
        UnsettleBet(bet_id(1), **KEY),
        (_TEN_THAT_EXPIRE, PLACED, SettleBet(bet_id(1), Result.WON, PAYOUT_MINOR, **EARLIER)),
        {**NO_SUCH_BET, **_BOOK_AT_ITS_FLOOR, Code.BET_CLOSED: happened(UNSETTLED)},
        arrange=it_has_expired,
    ),
    "unsettle, of a free bet that was void": Case(
        UnsettleBet(bet_id(1), **KEY),
        (_FREE, _PLACED_FREE, SettleBet(bet_id(1), Result.VOID, **EARLIER)),
        {**NO_SUCH_BET, **_BOOK_AT_ITS_FLOOR, Code.BET_CLOSED: happened(_REVOKED)},
    ),
    "roll back, of a free bet": Case(
        RollBackBet(bet_id(1), **KEY),
        (_FREE, _PLACED_FREE),
        {
            **HOUSE_AT_ITS_FLOOR,
            Code.NOT_FOUND: said(user_id=NOBODY),
            Code.IDEMPOTENCY_CONFLICT: said(stake_minor=STAKE_MINOR + 1),
            Code.ACCOUNT_BLOCKED: lambda situation: setattr(situation.alice, "status", "closed"),
            Code.CURRENCY_MISMATCH: said(currency="USD"),
        },
    ),
    "open a wallet": Case(
        OpenWallet("USD", ALICE, **KEY),
        (),
        {**NO_SUCH_CURRENCY, Code.ACCOUNT_NOT_FOUND: said(participant_id=NOBODY)},
    ),
    "open a wallet of somebody new": Case(OpenWallet("USD", **KEY), (), {**NO_SUCH_CURRENCY}),
    "grant a bonus": Case(
        GrantBonus(ALICE, 10, Spend.FIRST, NOW_US + 1, **KEY),
        (),
        {**_OVER_ALREADY, **NO_ACCOUNT, **BLOCKED, **_EXCLUDED, **_BOOK_AT_ITS_FLOOR},
    ),
    "grant more of a bonus": Case(
        GrantBonus(ALICE, 10, Spend.LAST, NOW_US + 1, **KEY),
        (_GRANTED,),
        {
            **_OVER_ALREADY,
            **NO_ACCOUNT,
            **BLOCKED,
            **_BOOK_AT_ITS_FLOOR,
            Code.LIMIT_EXCEEDED: the_bonus_wallet_is_full,
        },
    ),
    "grant more, when it is over": Case(
        GrantBonus(ALICE, 10, Spend.LAST, NOW_US + 2, **KEY),
        (_TEN_THAT_EXPIRE,),
        {
            **NO_ACCOUNT,
            **BLOCKED,
            **_BOOK_AT_ITS_FLOOR,
            Code.INVALID_REQUEST: said(expires_at_us=NOW_US + 1),
            Code.LIMIT_EXCEEDED: happened(Exclude(ALICE, NOW_US + 2, **EARLIER)),
        },
        arrange=a_moment_later,
    ),
    "transfer into a bonus wallet": Case(
        Transfer((Leg(BOB, -10), Leg(NEXT_WALLET, 10)), **KEY),
        (_TEN_THAT_EXPIRE,),
        {
            Code.INVALID_REQUEST: with_legs((BOB, -1)),
            Code.ACCOUNT_NOT_FOUND: with_legs((NOBODY, 1), (BOB, -1)),
            Code.ACCOUNT_BLOCKED: a_moment_later,
            Code.CURRENCY_MISMATCH: with_legs((DOLLAR_DAVE, 1), (BOB, -1)),
            Code.LIMIT_EXCEEDED: the_bonus_wallet_is_full,
            Code.INSUFFICIENT_FUNDS: with_legs((BOB, -91), (BOB, 91)),
        },
    ),
    "transfer out of a bonus wallet": Case(
        Transfer((Leg(NEXT_WALLET, -10), Leg(BOB, 10)), **KEY),
        (_GRANTED,),
        {**BLOCKED, Code.INSUFFICIENT_FUNDS: with_legs((NEXT_WALLET, -11), (BOB, 11))},
    ),
    "expire a bonus": Case(
        ExpireBonus(NEXT_WALLET, **KEY),
        (grant("earlier", 20, expires_at_us=NOW_US + 1),),
        {Code.NOT_FOUND: said(user_id=ALICE), Code.INVALID_REQUEST: its_time_has_not_come},
        ({Code.INVALID_REQUEST, Code.NOT_FOUND},),  # whether its time has come depends on the bonus
        arrange=a_moment_later,
    ),
    "grant a free bet": Case(
        GrantFreeBet(ALICE, 10, NOW_US + 1, **KEY),
        (),
        {**_OVER_ALREADY, **NO_ACCOUNT, **BLOCKED, **_EXCLUDED},
    ),
    "revoke a free bet": Case(
        RevokeFreeBet(FREE_BET_ID, **KEY),
        (_FREE,),
        {**_NO_SUCH_FREE_BET, Code.BET_CLOSED: happened(_PLACED_FREE)},
    ),
    "expire a free bet": Case(
        ExpireFreeBet(FREE_BET_ID, **KEY),
        (GrantFreeBet(ALICE, STAKE_MINOR, NOW_US + 1, **EARLIER),),
        {
            **_NO_SUCH_FREE_BET,
            Code.INVALID_REQUEST: its_time_has_not_come,
            Code.BET_CLOSED: happened(_REVOKED),
        },
        ({Code.INVALID_REQUEST, Code.NOT_FOUND},),
        arrange=a_moment_later,
    ),
}
