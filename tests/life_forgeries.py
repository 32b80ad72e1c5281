"""Forgeries of what became of bets and holds, as data like those of forgeries.py; and the
books that they forge.

Block 1 pays ALICE 1000 and BOB 500; BATCHES are blocks 2 to 6, EXPIRY is block 7. The transactions are
numbered beside the commands, and are the keys of most. Of the entries, 28, 30 and 32 are those on the
receivable book: ALICE could not give back 200 of 300, two payouts of 120 and 60 were kept back, and she owes
20. BOB has a hold of 5 (26) that is still open, and a bet (8) that is as it was placed.
"""

from __future__ import annotations

from typing import Any

from engine.checks import Finding
from engine.commands import (
    CaptureHold,
    CashOutBet,
    Command,
    ExpireHold,
    Leg,
    PlaceHold,
    ReleaseHold,
    Result,
    RollBackBet,
    SetStatus,
    SettleBet,
    Transfer,
    UnsettleBet,
    Withdraw,
)
from engine.life_checks import NOT_BEFORE, NOT_FOLLOWING, NOT_IN_CHAIN, NOT_SAID, NOT_WHERE_TOLD
from tests.books_open import ALICE, BOB, NOW_US, bet_id, place
from tests.forgeries import EDITED, OUTSIDE, bet, block, legs

FEES = 3
NO_BET = "it names a bet that there is not"
NO_BURIAL = "it is not the burial of its bet"
NO_ROLLBACK = "a tombstone without its rollback"
NO_HOLD = "it names a hold that there is not"
OTHER_TERMS = "its terms do not give its fingerprint: they were changed after it was made"
OTHER_AMOUNT = "its amount is not what its transaction says"
NO_PAIR = "a hold without its transaction, or a transaction without its hold"
OVER = "its hold was over, or was not yet"


def keyed(key: str) -> dict[str, Any]:
    return {"key": key, "caller": "op"}


def won(number: int, payout_minor: int, key: str) -> SettleBet:
    return SettleBet(bet_id(number), Result.WON, payout_minor, **keyed(key))


BATCHES: list[list[Command]] = [
    [place(1, 200), place(2, 100, BOB), place(3, 50), place(4, 40), place(5), place(6, 20, BOB)],  # 3 to 8
    [
        won(1, 300, "9"),
        SettleBet(bet_id(2), Result.LOST, **keyed("10")),
        SettleBet(bet_id(3), Result.VOID, **keyed("11")),
        CashOutBet(bet_id(4), 10, 15, **keyed("12")),
        RollBackBet(bet_id(5), **keyed("13")),
        RollBackBet(bet_id(9), stake_minor=70, **keyed("14")),  # and 15, its tombstone
    ],
    [
        Withdraw(ALICE, 975, **keyed("16")),
        UnsettleBet(bet_id(1), **keyed("17")),
        won(1, 120, "18"),
        CashOutBet(bet_id(4), 30, 60, **keyed("19")),
        UnsettleBet(bet_id(2), **keyed("20")),
        SettleBet(bet_id(2), Result.LOST, 10, **keyed("21")),
    ],
    [
        PlaceHold(BOB, 100, NOW_US + 10, **keyed("22")),
        PlaceHold(BOB, 60, NOW_US + 15, **keyed("23")),
        Withdraw(BOB, 25, for_approval=True, **keyed("24")),
        PlaceHold(BOB, 30, **keyed("25")),
        PlaceHold(BOB, 5, **keyed("26")),
    ],
    [
        CaptureHold(23, 20, **keyed("27")),
        CaptureHold(23, **keyed("28")),
        CaptureHold(24, **keyed("29")),
        ReleaseHold(25, **keyed("30")),
        Transfer((Leg(BOB, -12), Leg(ALICE, 10), Leg(FEES, 2, "FEE")), **keyed("31")),
        SetStatus(BOB, "blocked", **keyed("32")),
        SetStatus(BOB, "open", **keyed("33")),
    ],
]
EXPIRY = ExpireHold(22, **keyed("34"))


def hold(transaction_id: int, why: str) -> Finding:
    return {"check": "hold", "transaction_id": transaction_id, "why": why}


def held(user_id: int, balance: int, held: int, holds: int) -> Finding:
    return {
        "check": "held",
        "user_id": user_id,
        "balance": balance,
        "held": held,
        "floor": 0,
        "holds": holds,
    }


def owed(user_id: int, row: int, ledger: int) -> Finding:
    return {"check": "owed", "user_id": user_id, "owed": row, "ledger": ledger}


def told(transaction_id: int, **changes: Any) -> str:
    """Another answer, of which these fields are changed: `bet__stake_minor=1`."""
    paths = "".join(f", '$.{name.replace('__', '.')}', {value!r}" for name, value in changes.items())
    return f"UPDATE transactions SET answer = json_set(answer{paths}) WHERE id = {transaction_id}"


def slipped_in(kind: str, answer: str) -> list[str]:
    """A transaction 35 at the end of the newest block."""
    return [
        f"INSERT INTO transactions SELECT 35, '{kind}', 'op:x', 'x', fingerprint, '{answer}', 7 "
        "FROM transactions WHERE id = 34",
        "UPDATE blocks SET last_transaction_id = 35 WHERE id = 7",
    ]


ROWS: dict[str, tuple[str, list[Finding]]] = {
    "a loss that is won": (
        "UPDATE bets SET state = 'won' WHERE transaction_id = 4",
        [bet(4, NOT_WHERE_TOLD)],
    ),
    "another payout": ("UPDATE bets SET payout = 121 WHERE transaction_id = 3", [bet(3, NOT_WHERE_TOLD)]),
    "another settlement": ("UPDATE bets SET settled = 9 WHERE transaction_id = 4", [bet(4, NOT_WHERE_TOLD)]),
    "less cashed out": (
        "UPDATE bets SET cashed_stake = 10 WHERE transaction_id = 6",
        [bet(6, NOT_WHERE_TOLD)],
    ),
    "a rollback forgotten": (
        "UPDATE bets SET state = 'confirmed', last_transaction_id = 0 WHERE transaction_id = 7",
        [bet(13, NOT_IN_CHAIN)],
    ),
    "a bet as it once was": (
        "UPDATE bets SET payout = 300, settled = 300, last_transaction_id = 9 WHERE transaction_id = 3",
        [bet(17, NOT_IN_CHAIN), bet(18, NOT_IN_CHAIN)],
    ),
    "the newest transaction of another bet": (
        "UPDATE bets SET state = 'lost', payout = 10, settled = 10, last_transaction_id = 21 "
        "WHERE transaction_id = 3",
        [bet(3, NOT_WHERE_TOLD), *(bet(id_, NOT_IN_CHAIN) for id_ in (9, 17, 18))],
    ),
    "a newest transaction that there is not": (
        "UPDATE bets SET last_transaction_id = 99 WHERE transaction_id = 7",
        [bet(7, NOT_WHERE_TOLD), bet(13, NOT_IN_CHAIN)],
    ),
    "a bet taken away that was settled": (
        "DELETE FROM bets WHERE transaction_id = 5",
        [bet(5, "a bet without its transaction, or a transaction without its bet"), bet(11, NO_BET)],
    ),
    "less left of a hold": (
        "UPDATE holds SET remaining = 4 WHERE id = 26",
        [hold(26, NOT_WHERE_TOLD), held(BOB, 293, 5, 4)],
    ),
    "a hold that is over": (
        "UPDATE holds SET state = 'released', remaining = 0 WHERE id = 26",
        [hold(26, NOT_WHERE_TOLD), held(BOB, 293, 5, 0)],
    ),
    "a hold that is open again": (
        "UPDATE holds SET state = 'open', remaining = amount, last_transaction_id = 0 WHERE id = 25",
        [hold(30, NOT_IN_CHAIN), held(BOB, 293, 5, 35)],
    ),
    "a release by the release of another hold": (
        "UPDATE holds SET state = 'released', remaining = 0, last_transaction_id = 30 WHERE id = 26",
        [hold(26, NOT_WHERE_TOLD), held(BOB, 293, 5, 0)],
    ),
    "the holder of a hold": (
        f"UPDATE holds SET user_id = {ALICE} WHERE id = 26",
        [hold(26, OTHER_TERMS), held(ALICE, 10, 0, 5), held(BOB, 293, 5, 0)],
    ),
    "the currency of a hold": (
        "UPDATE holds SET currency = 'USD' WHERE id = 26",
        [hold(26, OTHER_TERMS)],
    ),
    "the purpose of a hold": (
        "UPDATE holds SET purpose = 'withdrawal' WHERE id = 26",
        [hold(26, OTHER_TERMS)],
    ),
    "a purpose of a captured hold that nobody knows": (
        "UPDATE holds SET purpose = '' WHERE id = 24",
        [hold(24, OTHER_TERMS), legs(29, "CAPTURE")],
    ),
    "when a hold is over": ("UPDATE holds SET expires_at = 7 WHERE id = 26", [hold(26, OTHER_TERMS)]),
    "when a withdrawal is over": ("UPDATE holds SET expires_at = 7 WHERE id = 24",
        [hold(24, OTHER_TERMS), hold(29, OVER)]),
    "the amount of a hold": (
        "UPDATE holds SET amount = 6 WHERE id = 26",
        [hold(26, OTHER_TERMS), hold(26, OTHER_AMOUNT), hold(26, NOT_WHERE_TOLD)],
    ),
    "a hold taken away": (
        "DELETE FROM holds WHERE id = 25",
        [hold(25, NO_PAIR), hold(30, NO_HOLD)],
    ),
    "a hold on a deposit": (
        f"INSERT INTO holds VALUES (1, {ALICE}, 'EUR', 'hold', 3, 0, 'open', 3, 0)",
        [hold(1, NO_PAIR), held(ALICE, 10, 0, 3)],
    ),
    "a hold beyond the newest block": (
        f"INSERT INTO holds VALUES (99, {ALICE}, 'EUR', 'hold', 3, 0, 'open', 3, 0)",
        [{"check": "unsealed", "hold": 99}, held(ALICE, 10, 0, 3)],
    ),
    "less held": (f"UPDATE users SET held = 4 WHERE id = {BOB}", [held(BOB, 293, 4, 5)]),
    "a debt forgiven": (f"UPDATE users SET owed = 0 WHERE id = {ALICE}", [owed(ALICE, 0, 20)]),
    "a debt made up": (f"UPDATE users SET owed = 1 WHERE id = {BOB}", [owed(BOB, 1, 0)]),
}  # fmt: skip
"""Edits of rows that are only derived: no seal covers them."""

HISTORY: dict[str, tuple[list[str], list[Finding]]] = {
    "an answer that says nothing": (
        ["UPDATE transactions SET answer = '{}' WHERE id = 9"],
        [bet(9, NOT_SAID), bet(17, NOT_BEFORE)],
    ),
    "an answer that is no JSON": (
        ["UPDATE transactions SET answer = 'won' WHERE id = 30"],
        [hold(25, NOT_WHERE_TOLD), hold(30, NOT_SAID)],
    ),
    "a transaction that names one to come": (
        [told(18, bet__before=19)],
        [bet(3, NOT_WHERE_TOLD), bet(18, NOT_SAID), bet(9, NOT_IN_CHAIN), bet(17, NOT_IN_CHAIN)],
    ),
    "a settlement that skips the unsettling before it": (
        [told(18, bet__before=9)],
        [bet(18, NOT_FOLLOWING), bet(17, NOT_IN_CHAIN)],
    ),
    "an unsettling of nothing": (
        [told(17, bet__before=0)],
        [bet(17, NOT_FOLLOWING), bet(9, NOT_IN_CHAIN)],
    ),
    "a settlement that names the placing as the one before": (
        [told(9, bet__before=3)],
        [bet(9, NOT_BEFORE)],
    ),
    "a settlement of another bet": (
        [told(18, bet__bet_id=bet_id(6))],
        [
            bet(3, NOT_WHERE_TOLD),
            bet(18, NOT_BEFORE),
            legs(18, "WIN"),
            *(bet(id_, NOT_IN_CHAIN) for id_ in (9, 17, 18)),
        ],
    ),
    "a settlement of a bet that was never placed": (
        [told(10, bet__bet_id=bet_id(77))],
        [bet(10, NO_BET), bet(20, NOT_BEFORE)],
    ),
    "a settlement before its bet was placed": (
        ["UPDATE transactions SET kind = 'LOSS', scope = 'op:x', answer = "
        f"""'{{"bet":{{"bet_id":"{bet_id(6)}","state":"lost","stake_minor":20}}}}' WHERE id = 2"""],
        [bet(2, NO_BET), legs(2, "LOSS"), bet(2, NOT_IN_CHAIN)],
    ),
    "a total that does not add up": (
        [told(21, bet__total_minor=11), "UPDATE bets SET payout = 11 WHERE transaction_id = 4"],
        [bet(21, NOT_FOLLOWING)],
    ),
    "a settlement of more than was paid": (
        [told(21, bet__payout_minor=11, bet__total_minor=11, bet__settled_minor=11),
         "UPDATE bets SET payout = 11, settled = 11 WHERE transaction_id = 4"],
        [legs(21, "LOSS")],
    ),
    "a settlement that takes": (
        [told(10, bet__payout_minor=-1, bet__total_minor=-1, bet__settled_minor=-1)],
        [bet(10, NOT_FOLLOWING), legs(10, "LOSS"), bet(20, NOT_FOLLOWING)],
    ),
    "a void bet that pays less than its stake": (
        [told(11, bet__payout_minor=49, bet__total_minor=49, bet__settled_minor=49),
         "UPDATE bets SET payout = 49, settled = 49 WHERE transaction_id = 5"],
        [bet(11, NOT_FOLLOWING), legs(11, "REFUND")],
    ),
    "a clawback of less than was paid": (
        [told(17, bet__payout_minor=299)],
        [bet(17, NOT_FOLLOWING), legs(17, "UNSETTLE")],
    ),
    "a stake that is cashed out twice": (
        [told(19, bet__cashed_stake_minor=30), "UPDATE bets SET cashed_stake = 30 WHERE transaction_id = 6"],
        [bet(19, NOT_FOLLOWING)],
    ),
    "a cash-out of more than the stake": (
        [told(19, bet__stake_minor=31, bet__cashed_stake_minor=41, bet__state="confirmed"),
         "UPDATE bets SET cashed_stake = 41, state = 'confirmed' WHERE transaction_id = 6"],
        [bet(19, NOT_FOLLOWING)],
    ),
    "a rollback of a bet that was cashed out in part": (
        ["UPDATE transactions SET kind = 'ROLLBACK' WHERE id = 19",
         told(19, bet__stake_minor=40, bet__payout_minor=0, bet__total_minor=15, bet__cashed_stake_minor=0,
              bet__state="rolled_back"),
         "UPDATE bets SET state = 'rolled_back', payout = 15, cashed_stake = 0 WHERE transaction_id = 6"],
        [bet(19, NOT_FOLLOWING), legs(19, "ROLLBACK")],
    ),
    "a settlement without a row to show for it": (
        slipped_in("LOSS", f'{{"bet":{{"bet_id":"{bet_id(6)}","state":"lost","stake_minor":20}}}}'),
        [bet(35, NOT_IN_CHAIN)],
    ),
    "a release twice over": (
        slipped_in("RELEASE", '{"hold":{"id":25,"state":"released"}}'),
        [hold(35, NOT_IN_CHAIN)],
    ),
    "a release of a hold that there is not": (
        slipped_in("RELEASE", '{"hold":{"id":31,"state":"released"}}'),
        [hold(35, NO_HOLD)],
    ),
    "a release of a hold with a number that no row can have": (
        [f"UPDATE transactions SET answer = replace(answer, '25', '{2**64}') WHERE id = 30"],
        [hold(25, NOT_WHERE_TOLD), hold(30, NOT_SAID)],
    ),
    "more set aside than there is": (
        [f"UPDATE users SET held = 294 WHERE id = {BOB}", "UPDATE holds SET remaining = 294 WHERE id = 26"],
        [hold(26, NOT_WHERE_TOLD), held(BOB, 293, 294, 294)],
    ),
    "a second burial": (
        slipped_in("ROLLBACK", f'{{"bet":{{"bet_id":"{bet_id(9)}","state":"rolled_back"}}}}'),
        [bet(35, NO_BURIAL)],
    ),
    "a burial that pays": (
        [told(14, bet__payout_minor=1), told(15, bet__payout_minor=1)],
        [bet(14, NO_BURIAL)],
    ),
    "a tombstone of another bet": (
        [f"UPDATE transactions SET key = '{bet_id(10)}' WHERE id = 15"],
        [bet(14, NO_BET), bet(15, NO_ROLLBACK)],
    ),
    "a tombstone with another answer": ([told(15, bet__stake_minor=71)], [bet(15, NO_ROLLBACK)]),
    "a tombstone with another fingerprint": (
        ["UPDATE transactions SET fingerprint = zeroblob(32) WHERE id = 15"],
        [bet(15, NO_ROLLBACK)],
    ),
    "more left of a hold than was not taken": (
        [told(27, hold__left_minor=41)],
        [legs(27, "CAPTURE"), legs(28, "CAPTURE")],
    ),
    "more left of a hold than there was": (
        [told(27, hold__left_minor=61)],
        [hold(27, NOT_FOLLOWING), legs(27, "CAPTURE"), legs(28, "CAPTURE")],
    ),
    "a release that leaves something": (
        [told(30, hold__left_minor=1), "UPDATE holds SET remaining = 1 WHERE id = 25"],
        [hold(30, NOT_FOLLOWING)],
    ),
    "a capture that says it was a release": (
        [told(28, hold__state="released"), "UPDATE holds SET state = 'released' WHERE id = 23"],
        [hold(28, NOT_FOLLOWING)],
    ),
    "a release after the capture of another hold": (
        [told(30, hold__before=27)],
        [hold(30, NOT_BEFORE)],
    ),
    "a capture that skips the one before it": (
        [told(28, hold__before=0)],
        [legs(28, "CAPTURE"), hold(27, NOT_IN_CHAIN)],
    ),
    "a capture after the one of another hold": (
        [told(28, hold__before=25)],
        [hold(28, NOT_BEFORE), legs(28, "CAPTURE"), hold(27, NOT_IN_CHAIN)],
    ),
    "a hold made of another amount": ([told(26, hold__left_minor=6)], [hold(26, OTHER_AMOUNT)]),
    "an expiry before its time": (
        [f"UPDATE blocks SET at = {NOW_US + 9} WHERE id = 7"],
        [hold(34, OVER)],
    ),
    "a capture after its time": (
        [f"UPDATE blocks SET at = {NOW_US + 15} WHERE id = 6"],
        [hold(27, OVER), hold(28, OVER)],
    ),
    "the name of a player's leg": (
        ["UPDATE transaction_ledger SET ref_type = 'REFUND' WHERE id = 17"],
        [legs(9, "WIN")],
    ),
    "the bet that a leg is for": (
        [f"UPDATE transaction_ledger SET ref_id = '{bet_id(2)}' WHERE id = 18"],
        [legs(9, "WIN")],
    ),
    "whose debt it is": (
        [f"UPDATE transaction_ledger SET ref_id = '{BOB}' WHERE id = 32"],
        [legs(19, "CASHOUT"), owed(ALICE, 20, 80), owed(BOB, 0, -60)],
    ),
    "a debt under another name": (
        ["UPDATE transaction_ledger SET ref_type = 'WIN' WHERE id = 32"],
        [legs(19, "CASHOUT"), owed(ALICE, 20, 80)],
    ),
    "the hold that a capture is of": (
        ["UPDATE transaction_ledger SET ref_id = '22' WHERE id = 40"],
        [legs(29, "CAPTURE")],
    ),
    "a transfer that goes by the name of a win": (
        ["UPDATE transaction_ledger SET ref_type = 'WIN' WHERE id = 43"],
        [legs(31, "TRANSFER")],
    ),
    "a status with entries": (
        ["UPDATE transactions SET kind = 'STATUS' WHERE id = 31"],
        [legs(31, "STATUS")],
    ),
    "an entry that joins a transaction of another block": (
        ["UPDATE transaction_ledger SET transaction_id = 9 WHERE id = 42"],
        [block(6, OUTSIDE), block(6, EDITED),
         {"check": "zero_sum", "transaction_id": 9, "currency": "EUR", "sum": -12},
         {"check": "zero_sum", "transaction_id": 31, "currency": "EUR", "sum": 12}],
    ),
}  # fmt: skip
"""Edits of history, sealed again to the end: only what the rows mean tells."""
