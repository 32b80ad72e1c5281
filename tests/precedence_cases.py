"""Each command of the engine, what has to happen before it, and how each of its codes comes about."""

from typing import Final

from engine.commands import (
    CHUNK_ITEMS,
    AddPayoutItems,
    CaptureHold,
    CarryArchive,
    CashOutBet,
    Deposit,
    Exclude,
    ExpireHold,
    Leg,
    OpenArchive,
    OpenPayout,
    Pay,
    PayChunk,
    PayoutItem,
    PlaceHold,
    ReleaseHold,
    ResolveItem,
    Result,
    RollBackBet,
    SetFloor,
    SetLimit,
    SetStatus,
    SettleBet,
    StartPayout,
    Transfer,
    UnsettleBet,
    Withdraw,
)
from engine.decide.place import SENT_AT_PAST_US
from engine.money import WIRE_MAX_MINOR
from engine.outcomes import Code
from tests.books_open import ALICE, BOB, CASH, NOBODY, NOW_US, bet_id, place
from tests.precedence import (
    ADDED,
    ARCHIVE_ID,
    BLOCKED,
    CLOSED,
    DOLLAR_DAVE,
    EARLIER,
    FULL,
    HELD,
    HOLD_ID,
    HOUSE_AT_ITS_FLOOR,
    KEY,
    LONG_AGO_US,
    NO_ACCOUNT,
    NO_SUCH_BET,
    NO_SUCH_CURRENCY,
    NO_SUCH_HOLD,
    NO_SUCH_PAYOUT,
    OF_COLLECTING_PAYOUTS,
    OF_LIVE_BETS,
    OPENED,
    PAYOUT_ID,
    PAYOUT_MINOR,
    PLACED,
    RETURNED,
    ROLLED_BACK,
    ROLLED_BACK_OR_CLOSED,
    SETTLED,
    STAKE_MINOR,
    STARTED,
    TO_ALICE,
    TO_NOBODY,
    UNSETTLED,
    Case,
    a_moment_later,
    alice_has,
    alice_may_only,
    an_archive_is_begun,
    blocks_are_sealed,
    happened,
    nothing_left_in,
    refused_too_often,
    said,
    the_clawback_is_lent_by_nobody,
    the_winner_is,
    with_legs,
)

WALLET_CASES: Final = {
    "place": Case(
        place(1, STAKE_MINOR),
        (),
        {
            **NO_ACCOUNT,
            **BLOCKED,
            Code.STALE_REQUEST: said(sent_at_us=NOW_US - SENT_AT_PAST_US - 1),
            Code.RATE_LIMITED: refused_too_often,
            Code.CURRENCY_MISMATCH: said(currency="USD"),
            Code.LIMIT_EXCEEDED: alice_may_only("stake", STAKE_MINOR - 1),
            Code.INSUFFICIENT_FUNDS: said(stake_minor=1000),
        },
        ({Code.RATE_LIMITED, Code.ACCOUNT_NOT_FOUND},),  # refusals are counted in a wallet's row
    ),
    "settle": Case(
        SettleBet(bet_id(1), Result.WON, PAYOUT_MINOR, **KEY),
        (PLACED,),
        {**OF_LIVE_BETS, Code.INVALID_REQUEST: said(payout_minor=None)},
        (ROLLED_BACK_OR_CLOSED,),
    ),
    "settle void": Case(
        SettleBet(bet_id(1), Result.VOID, **KEY),
        (PLACED,),
        {**OF_LIVE_BETS, Code.INVALID_REQUEST: said(payout_minor=STAKE_MINOR + 1)},
        (
            ROLLED_BACK_OR_CLOSED,
            # What is left of a stake can only be said of a live bet.
            *({Code.INVALID_REQUEST, code} for code in (Code.NOT_FOUND, *ROLLED_BACK_OR_CLOSED)),
        ),
    ),
    "unsettle": Case(
        UnsettleBet(bet_id(1), **KEY),
        (PLACED, SETTLED),
        {
            **NO_SUCH_BET,
            Code.BET_ROLLED_BACK: happened(UNSETTLED, ROLLED_BACK),
            Code.BET_CLOSED: happened(UNSETTLED),
            Code.INSUFFICIENT_FUNDS: the_clawback_is_lent_by_nobody,
        },
        (ROLLED_BACK_OR_CLOSED,),
    ),
    "cash out": Case(
        CashOutBet(bet_id(1), 10, 20, **KEY),
        (PLACED,),
        {**OF_LIVE_BETS, Code.INVALID_REQUEST: said(stake_minor=STAKE_MINOR + 1)},
        (
            ROLLED_BACK_OR_CLOSED,
            *({Code.INVALID_REQUEST, code} for code in (Code.NOT_FOUND, *ROLLED_BACK_OR_CLOSED)),
        ),
    ),
    "roll back": Case(
        RollBackBet(bet_id(1), **KEY),
        (PLACED,),
        {
            **CLOSED,
            **FULL,
            **HOUSE_AT_ITS_FLOOR,
            Code.NOT_FOUND: said(user_id=BOB),
            Code.IDEMPOTENCY_CONFLICT: said(stake_minor=STAKE_MINOR + 1),
            Code.CURRENCY_MISMATCH: said(currency="USD"),
            Code.BET_CLOSED: happened(SETTLED),
        },
    ),
    "deposit": Case(
        Deposit(ALICE, 10, **KEY),
        (),
        {**NO_ACCOUNT, **BLOCKED, **FULL, Code.INSUFFICIENT_FUNDS: nothing_left_in("cash")},
    ),
    "withdraw": Case(
        Withdraw(ALICE, 10, **KEY),
        (),
        {**NO_ACCOUNT, **BLOCKED, Code.INSUFFICIENT_FUNDS: alice_has(9)},
    ),
    "withdraw for approval": Case(
        Withdraw(ALICE, 10, for_approval=True, **KEY),
        (),
        {**NO_ACCOUNT, **BLOCKED, Code.INSUFFICIENT_FUNDS: alice_has(9)},
    ),
    "transfer": Case(
        Transfer((Leg(ALICE, 10), Leg(BOB, -10)), **KEY),
        (),
        {
            Code.INVALID_REQUEST: with_legs((ALICE, 1)),
            Code.ACCOUNT_NOT_FOUND: with_legs((NOBODY, 1), (ALICE, -1)),
            Code.CURRENCY_MISMATCH: with_legs((DOLLAR_DAVE, 1), (ALICE, -1)),
            **BLOCKED,
            **FULL,
            Code.INSUFFICIENT_FUNDS: with_legs((ALICE, 91), (BOB, -91)),
        },
    ),
    "close": Case(
        SetStatus(ALICE, "closed", **KEY),
        (Withdraw(ALICE, 100, **EARLIER),),
        {**NO_ACCOUNT, Code.LIMIT_EXCEEDED: alice_has(1)},
    ),
    "hold": Case(
        PlaceHold(ALICE, 10, NOW_US + 1, **KEY),
        (),
        {
            **NO_ACCOUNT,
            **BLOCKED,
            Code.INVALID_REQUEST: said(expires_at_us=NOW_US),
            Code.INSUFFICIENT_FUNDS: alice_has(9),
        },
    ),
    "capture": Case(
        CaptureHold(HOLD_ID, **KEY),
        (HELD,),
        {
            **NO_SUCH_HOLD,
            Code.HOLD_CLOSED: happened(ReleaseHold(HOLD_ID, **EARLIER)),
            Code.INSUFFICIENT_FUNDS: said(amount_minor=41),
        },
    ),
    "release": Case(
        ReleaseHold(HOLD_ID, **KEY),
        (HELD,),
        {**NO_SUCH_HOLD, Code.HOLD_CLOSED: happened(CaptureHold(HOLD_ID, **EARLIER))},
    ),
    "expire": Case(
        ExpireHold(HOLD_ID, **KEY),
        (PlaceHold(ALICE, 40, NOW_US + 1, **EARLIER),),
        {
            **NO_SUCH_HOLD,
            Code.INVALID_REQUEST: lambda situation: setattr(situation.view, "at_us", NOW_US),
            Code.HOLD_CLOSED: happened(ReleaseHold(HOLD_ID, **EARLIER)),
        },
        ({Code.INVALID_REQUEST, Code.NOT_FOUND},),  # whether its time has come depends on the hold
        arrange=a_moment_later,
    ),
    "place, and may lose no more": Case(
        place(1, STAKE_MINOR),
        (),
        {**BLOCKED, Code.LIMIT_EXCEEDED: alice_may_only("loss", STAKE_MINOR - 1)},
    ),
    "place, and is excluded": Case(
        place(1, STAKE_MINOR),
        (),
        {
            **BLOCKED,
            Code.CURRENCY_MISMATCH: said(currency="USD"),
            Code.LIMIT_EXCEEDED: happened(Exclude(ALICE, NOW_US + 1, **EARLIER)),
            Code.INSUFFICIENT_FUNDS: said(stake_minor=1000),
        },
    ),
    "deposit, and may no more": Case(
        Deposit(ALICE, 10, **KEY),
        (),
        {
            **NO_ACCOUNT,
            **BLOCKED,
            Code.LIMIT_EXCEEDED: alice_may_only("deposit", 9),
            Code.INSUFFICIENT_FUNDS: nothing_left_in("cash"),
        },
    ),
    "limit": Case(SetLimit(ALICE, "stake", "day", 10, **KEY), (), {**NO_ACCOUNT}),
    "floor": Case(
        SetFloor(CASH, -100, **KEY),
        (Deposit(ALICE, 100, **EARLIER),),
        {Code.ACCOUNT_NOT_FOUND: said(user_id=ALICE), Code.INSUFFICIENT_FUNDS: said(floor_minor=-99)},
        ({Code.ACCOUNT_NOT_FOUND, Code.INSUFFICIENT_FUNDS},),  # which floor is too high depends on the book
    ),
    "exclude": Case(
        Exclude(ALICE, NOW_US + 10, **KEY),
        (),
        {**NO_ACCOUNT, Code.LIMIT_EXCEEDED: happened(Exclude(ALICE, NOW_US + 11, **EARLIER))},
    ),
    "pay": Case(
        Pay("EUR", TO_ALICE, **KEY),
        (),
        {
            **NO_SUCH_CURRENCY,
            **HOUSE_AT_ITS_FLOOR,
            Code.INVALID_REQUEST: said(items=TO_ALICE * CHUNK_ITEMS),
            Code.LIMIT_EXCEEDED: said(items=(PayoutItem(ALICE, WIRE_MAX_MINOR), PayoutItem(BOB, 1))),
        },
        ({Code.INVALID_REQUEST, Code.LIMIT_EXCEEDED},),  # of either list there is one
    ),
    "open a payout": Case(OpenPayout("EUR", **KEY), (), {**NO_SUCH_CURRENCY}),
    "add to a payout": Case(
        AddPayoutItems(PAYOUT_ID, 2, TO_ALICE, **KEY),
        (OPENED, ADDED),
        {
            **NO_SUCH_PAYOUT,
            Code.INVALID_REQUEST: said(first=1),
            Code.PAYOUT_CLOSED: happened(STARTED),
            Code.LIMIT_EXCEEDED: said(items=(PayoutItem(ALICE, WIRE_MAX_MINOR),)),
        },
        OF_COLLECTING_PAYOUTS,
    ),
    "start a payout": Case(
        StartPayout(PAYOUT_ID, 2, 30, **KEY),
        (OPENED, ADDED),
        {
            **NO_SUCH_PAYOUT,
            **HOUSE_AT_ITS_FLOOR,
            Code.INVALID_REQUEST: said(total_minor=31),
            Code.PAYOUT_CLOSED: happened(STARTED),
        },
        OF_COLLECTING_PAYOUTS,
    ),
    "pay a chunk": Case(
        PayChunk(PAYOUT_ID, 0, **KEY),
        (OPENED, ADDED, STARTED),
        {**NO_SUCH_PAYOUT, Code.PAYOUT_CLOSED: happened(PayChunk(PAYOUT_ID, 0, **EARLIER))},
    ),
    "pay out of suspense": Case(
        ResolveItem(PAYOUT_ID, 0, False, **KEY),
        (Pay("EUR", TO_NOBODY, **EARLIER),),
        {
            Code.NOT_FOUND: said(number=1),
            Code.ACCOUNT_NOT_FOUND: the_winner_is(NOBODY, kind="fees"),
            Code.ACCOUNT_BLOCKED: the_winner_is(NOBODY, status="blocked"),
            Code.CURRENCY_MISMATCH: the_winner_is(NOBODY, currency="USD"),
            Code.PAYOUT_CLOSED: happened(RETURNED),
            Code.LIMIT_EXCEEDED: the_winner_is(NOBODY, balance_minor=WIRE_MAX_MINOR - 9),
        },
        arrange=the_winner_is(NOBODY),  # who was not there when it was his turn
    ),
    "return out of suspense": Case(
        ResolveItem(PAYOUT_ID, 0, True, **KEY),
        (Pay("EUR", TO_NOBODY, **EARLIER),),
        {Code.NOT_FOUND: said(payout_id=NOBODY), Code.PAYOUT_CLOSED: happened(RETURNED)},
    ),
    "archive": Case(
        OpenArchive(NOW_US, **KEY),
        (),
        {Code.INVALID_REQUEST: said(before_us=NOW_US + 1), Code.NOT_FOUND: said(before_us=LONG_AGO_US)},
        ({Code.INVALID_REQUEST, Code.NOT_FOUND},),  # before the first block is not to come
        blocks_are_sealed,
    ),
    "carry an archive": Case(
        CarryArchive(ARCHIVE_ID, bytes(32), bytes(32), **KEY),
        (),
        {Code.NOT_FOUND: said(archive_id=NOBODY)},
        (),
        an_archive_is_begun,
    ),
}
