"""Bets paid by a bonus, in part or whole, and free bets: what moves, leg by leg, in one batch and in many."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.bonus import share_of
from engine.commands import (
    Command,
    ExpireBonus,
    ExpireFreeBet,
    Leg,
    RevokeFreeBet,
    SetStatus,
    Transfer,
    Withdraw,
)
from engine.money import WIRE_MAX_MINOR
from tests.books_open import (
    ALICE,
    BOB,
    cash_out,
    grant,
    grant_free_bet,
    hold,
    place,
    roll_back,
    settle,
    unsettle,
)
from tests.stories import DUE_US, FIRST, NEXT_WALLET, Story, moved, tell, wallets


def withdraw(amount_minor: int, key: str = "w") -> Withdraw:
    return Withdraw(7, amount_minor, key=key, caller="test")


def transfer(giver_id: int, taker_id: int, amount_minor: int) -> Transfer:
    legs = Leg(giver_id, -amount_minor), Leg(taker_id, amount_minor)
    return Transfer(legs, key="t", caller="test")


def status(to: str, user_id: int = ALICE) -> SetStatus:
    return SetStatus(user_id, to, key=to, caller="test")


def free(number: int, stake_minor: int = 50, free_bet_id: int = FIRST) -> Command:
    """A bet that the free bet pays."""
    return place(number, stake_minor, free_bet_id=free_bet_id)


BONUS: Final = NEXT_WALLET
EXPIRE: Final = ExpireBonus(BONUS, key="x", caller="clock")
REVOKE: Final = RevokeFreeBet(FIRST, key="r", caller="test")
EXPIRE_FREE_BET: Final = ExpireFreeBet(FIRST, key="x", caller="clock")
TEN: Final = grant("g", 10)
"""Of a stake of 30 the bonus pays a third."""
A_THIRD: Final = (TEN, place(1))
# Of a stake of 3 the bonus pays 1; each unit is cashed out for as much.
BY_UNITS: Final[tuple[Command, ...]] = (
    grant("g", 1),
    place(1, 3),
    *(cash_out(f"c{unit}", 1, 1, 1) for unit in range(3)),
)
TEN_THAT_EXPIRES: Final = (grant("g", 10, expires_at_us=DUE_US), place(1))
FREE: Final = (grant_free_bet("f", 50), free(1))
# A win of 90, of which the bonus has 30, is taken back once that is staked: 30 of bonus money are owed.
OWES_BONUS: Final = (*A_THIRD, settle("s1", 1, "won", 90), place(2), unsettle("u1", 1))

SPENT: Final = (
    Story("nothing but the wallet's", (place(1),), "alice -30 BET, house +30 BET", {"alice": 70}),
    Story("first, a part", A_THIRD, "alice -20 BET, bonus -10 BET, house +30 BET",
          {"alice": 80, "bonus": 0}),
    Story("first, whole", (grant("g", 50), place(1)), "bonus -30 BET, house +30 BET",
          {"alice": 100, "bonus": 20}),
    Story("first, and the wallet is empty", (withdraw(100), grant("g", 50), place(1)),
          "bonus -30 BET, house +30 BET", {"alice": 0, "bonus": 20}),
    Story("first, to the last", (TEN, place(1, 110)), "alice -100 BET, bonus -10 BET, house +110 BET",
          {"alice": 0, "bonus": 0}),
    Story("first, and it is not enough", (TEN, place(1, 111)), "INSUFFICIENT_FUNDS",
          {"alice": 100, "bonus": 10}),
    Story("first, and the rest is set aside", (TEN, hold("h", 81), place(1)), "INSUFFICIENT_FUNDS",
          {"alice": 100, "bonus": 10}),
    Story("last, and the wallet has enough", (grant("g", 50, "last"), place(1, 100)),
          "alice -100 BET, house +100 BET", {"alice": 0, "bonus": 50}),
    Story("last, a part", (grant("g", 50, "last"), place(1, 120)),
          "alice -100 BET, bonus -20 BET, house +120 BET", {"alice": 0, "bonus": 30}),
    Story("last, whole", (withdraw(100), grant("g", 50, "last"), place(1)), "bonus -30 BET, house +30 BET",
          {"alice": 0, "bonus": 20}),
    Story("last, and a part of the wallet is set aside", (grant("g", 50, "last"), hold("h", 80), place(1)),
          "alice -20 BET, bonus -10 BET, house +30 BET", {"alice": 80, "bonus": 40}),
    Story("last, and it is not enough", (grant("g", 50, "last"), place(1, 151)), "INSUFFICIENT_FUNDS",
          {"alice": 100, "bonus": 50}),
    Story("the newest grant says when all of it is spent", (TEN, grant("h", 5, "last"), place(1, 110)),
          "alice -100 BET, bonus -10 BET, house +110 BET", {"alice": 0, "bonus": 5}),
    Story("the newest grant says until when", (grant("g", 10, "first", DUE_US), grant("h", 5)),
          "alice -15 BET, bonus -15 BET, house +30 BET", {"alice": 85, "bonus": 0},
          (place(1, sent_at_us=DUE_US),)),
    Story("its time has come, if not its clock", (grant("g", 50, "first", DUE_US),),
          "alice -30 BET, house +30 BET", {"alice": 70, "bonus": 50}, (place(1, sent_at_us=DUE_US),)),
    Story("its time has come, and there is not enough without it", (grant("g", 50, "first", DUE_US),),
          "INSUFFICIENT_FUNDS", {"alice": 100, "bonus": 50}, (place(1, 101, sent_at_us=DUE_US),)),
    Story("that of another wallet", (TEN, place(1, 30, 8)), "bob -30 BET, house +30 BET",
          {"bob": 20, "bonus": 10}),
)  # fmt: skip

PAID: Final = (
    Story("won", (*A_THIRD, settle("s", 1, "won", 90)), "alice +60 WIN, bonus +30 WIN, house -90 WIN",
          {"alice": 140, "bonus": 30}),
    Story("won, what cannot be shared evenly", (*A_THIRD, settle("s", 1, "won", 100)),
          "alice +67 WIN, bonus +33 WIN, house -100 WIN", {"alice": 147, "bonus": 33}),
    Story("won, too little to be shared", (*A_THIRD, settle("s", 1, "won", 2)),
          "alice +2 WIN, house -2 WIN", {"alice": 82, "bonus": 0}),
    Story("won nothing", (*A_THIRD, settle("s", 1, "won", 0)), "", {"alice": 80, "bonus": 0}),
    Story("won by bonus money alone", (grant("g", 30), place(1), settle("s", 1, "won", 91)),
          "bonus +91 WIN, house -91 WIN", {"alice": 100, "bonus": 91}),
    Story("lost", (*A_THIRD, settle("s", 1, "lost")), "", {"alice": 80, "bonus": 0}),
    Story("lost, and a part is paid", (*A_THIRD, settle("s", 1, "lost", 4)),
          "alice +3 WIN, bonus +1 WIN, house -4 WIN", {"alice": 83, "bonus": 1}),
    Story("void", (*A_THIRD, settle("s", 1, "void")), "alice +20 REFUND, bonus +10 REFUND, house -30 REFUND",
          {"alice": 100, "bonus": 10}),
    Story("void, of a stake that cannot be shared evenly", (grant("g", 7), place(1), settle("s", 1, "void")),
          "alice +23 REFUND, bonus +7 REFUND, house -30 REFUND", {"alice": 100, "bonus": 7}),
    Story("rolled back", (grant("g", 7), place(1), roll_back("b", 1)),
          "alice +23 ROLLBACK, bonus +7 ROLLBACK, house -30 ROLLBACK", {"alice": 100, "bonus": 7}),
    Story("rolled back, of bonus money alone", (grant("g", 30), place(1), roll_back("b", 1)),
          "bonus +30 ROLLBACK, house -30 ROLLBACK", {"alice": 100, "bonus": 30}),
    Story("cashed out in part", (*A_THIRD, cash_out("c", 1, 10, 25)),
          "alice +17 CASHOUT, bonus +8 CASHOUT, house -25 CASHOUT", {"alice": 97, "bonus": 8}),
    Story("cashed out in part, then void", (*A_THIRD, cash_out("c", 1, 10, 25), settle("s", 1, "void")),
          "alice +13 REFUND, bonus +7 REFUND, house -20 REFUND", {"alice": 110, "bonus": 15}),
    Story("cashed out in parts, the rest",
          (*A_THIRD, cash_out("c", 1, 10, 25), cash_out("d", 1, 20, 50)),
          "alice +33 CASHOUT, bonus +17 CASHOUT, house -50 CASHOUT", {"alice": 130, "bonus": 25}),
    Story("cashed out in part, then won", (*A_THIRD, cash_out("c", 1, 10, 25), settle("s", 1, "won", 60)),
          "alice +40 WIN, bonus +20 WIN, house -60 WIN", {"alice": 137, "bonus": 28}),
    Story("cashed out unit by unit, the first", BY_UNITS[:3], "alice +1 CASHOUT, house -1 CASHOUT",
          {"alice": 99, "bonus": 0}),
    Story("cashed out unit by unit, the last", BY_UNITS, "bonus +1 CASHOUT, house -1 CASHOUT",
          {"alice": 100, "bonus": 1}),
    Story("cashed out in part, the rest won, taken back and won again",
          (*BY_UNITS[:3], settle("s", 1, "won", 5), unsettle("u", 1), settle("t", 1, "won", 2)),
          "alice +1 WIN, bonus +1 WIN, house -2 WIN", {"alice": 100, "bonus": 1}),
    Story("cashed out for nothing", (*A_THIRD, cash_out("c", 1, 30, 0)), "", {"alice": 80, "bonus": 0}),
    Story("shared as it was paid, whatever was granted since",
          (*A_THIRD, grant("h", 500, "last"), settle("s", 1, "won", 90)),
          "alice +60 WIN, bonus +30 WIN, house -90 WIN", {"alice": 140, "bonus": 530}),
    Story("more than can be shown of the bonus wallet",
          (grant("g", WIRE_MAX_MINOR), place(1), settle("s", 1, "won", 31)), "LIMIT_EXCEEDED",
          {"bonus": WIRE_MAX_MINOR - 30}),
    Story("more than can be shown of the wallet, and the bonus has room",
          (*A_THIRD, settle("s", 1, "won", WIRE_MAX_MINOR)), "alice +6004799503160661 WIN, "
          "bonus +3002399751580330 WIN, house -9007199254740991 WIN",
          {"alice": 80 + 6004799503160661, "bonus": 3002399751580330}),
)  # fmt: skip

TAKEN_BACK: Final = (
    Story("a win that is there", (*A_THIRD, settle("s", 1, "won", 100), unsettle("u", 1)),
          "alice -67 UNSETTLE, bonus -33 UNSETTLE, house +100 UNSETTLE", {"alice": 80, "bonus": 0}),
    Story("a void bet", (*A_THIRD, settle("s", 1, "void"), unsettle("u", 1)),
          "alice -20 UNSETTLE, bonus -10 UNSETTLE, house +30 UNSETTLE", {"alice": 80, "bonus": 0}),
    Story("a lost bet", (*A_THIRD, settle("s", 1, "lost"), unsettle("u", 1)), "",
          {"alice": 80, "bonus": 0}),
    Story("a win after a cash-out: only the win",
          (*A_THIRD, cash_out("c", 1, 10, 25), settle("s", 1, "won", 60), unsettle("u", 1)),
          "alice -40 UNSETTLE, bonus -20 UNSETTLE, house +60 UNSETTLE", {"alice": 97, "bonus": 8}),
    Story("a win of which the bonus is staked again", OWES_BONUS,
          "alice -60 UNSETTLE, receivable -30 RECEIVABLE, house +90 UNSETTLE",
          {"alice": 80, "bonus": 0, "bonus owes": 30}),
    Story("a win of which the wallet's part is gone",
          (*A_THIRD, settle("s", 1, "won", 90), withdraw(120), unsettle("u", 1)),
          "alice -20 UNSETTLE, receivable -40 RECEIVABLE, bonus -30 UNSETTLE, house +90 UNSETTLE",
          {"alice": 0, "alice owes": 40, "bonus": 0}),
    Story("a win of which all is gone",
          (*A_THIRD, settle("s", 1, "won", 90), place(2), withdraw(140), unsettle("u", 1)),
          "receivable -60 RECEIVABLE, receivable -30 RECEIVABLE, house +90 UNSETTLE",
          {"alice": 0, "alice owes": 60, "bonus": 0, "bonus owes": 30}),
    Story("settled again",
          (*A_THIRD, settle("s", 1, "won", 100), unsettle("u", 1), settle("t", 1, "won", 50)),
          "alice +34 WIN, bonus +16 WIN, house -50 WIN", {"alice": 114, "bonus": 16}),
    Story("the bonus owes: a win of bonus money pays it back", (*OWES_BONUS, settle("s2", 2, "won", 50)),
          "bonus +20 WIN, receivable +30 RECEIVABLE, house -50 WIN", {"alice": 80, "bonus": 20}),
    Story("the bonus owes: as much as there is", (*OWES_BONUS, settle("s2", 2, "won", 20)),
          "receivable +20 RECEIVABLE, house -20 WIN", {"alice": 80, "bonus": 0, "bonus owes": 10}),
    Story("the bonus owes: a stake that comes back does not", (*OWES_BONUS, settle("s2", 2, "void")),
          "bonus +30 REFUND, house -30 REFUND", {"alice": 80, "bonus": 30, "bonus owes": 30}),
    Story("the bonus owes: nor does a rollback", (*OWES_BONUS, roll_back("b2", 2)),
          "bonus +30 ROLLBACK, house -30 ROLLBACK", {"alice": 80, "bonus": 30, "bonus owes": 30}),
    Story("the bonus owes: nor does a grant", (*OWES_BONUS, grant("h", 40)),
          "bonus +40 BONUS, book -40 BONUS", {"alice": 80, "bonus": 40, "bonus owes": 30}),
    Story("the bonus owes: a cash-out pays it back", (*OWES_BONUS, cash_out("c2", 2, 10, 12)),
          "receivable +12 RECEIVABLE, house -12 CASHOUT", {"alice": 80, "bonus": 0, "bonus owes": 18}),
    Story("the bonus owes: the wallet does not pay for it",
          (*OWES_BONUS, place(3, 20), settle("s3", 3, "won", 50)),
          "alice +50 WIN, house -50 WIN", {"alice": 110, "bonus": 0, "bonus owes": 30}),
    Story("the wallet owes: the bonus does not pay for it",
          (*A_THIRD, settle("s", 1, "won", 90), withdraw(120), unsettle("u", 1), settle("t", 1, "won", 60)),
          "receivable +40 RECEIVABLE, bonus +20 WIN, house -60 WIN", {"alice": 0, "bonus": 20}),
)  # fmt: skip

EXPIRED: Final = (
    Story("what is in it goes to the book", (grant("g", 50, "first", DUE_US), place(1)),
          "bonus -20 EXPIRY, book +20 EXPIRY", {"alice": 100, "bonus": 0}, (EXPIRE,)),
    Story("nothing is in it", TEN_THAT_EXPIRES, "", {"alice": 80, "bonus": 0}, (EXPIRE,)),
    Story("a win after it", TEN_THAT_EXPIRES,
          "alice +60 WIN, bonus +30 WIN, house -90 WIN, bonus -30 EXPIRY, book +30 EXPIRY",
          {"alice": 140, "bonus": 0}, (EXPIRE, settle("s", 1, "won", 90))),
    Story("a win of which the bonus has no part, after it", TEN_THAT_EXPIRES,
          "alice +2 WIN, house -2 WIN", {"alice": 82, "bonus": 0}, (EXPIRE, settle("s", 1, "won", 2))),
    Story("a refund after it", TEN_THAT_EXPIRES, "alice +20 REFUND, bonus +10 REFUND, house -30 REFUND, "
          "bonus -10 EXPIRY, book +10 EXPIRY", {"alice": 100, "bonus": 0}, (EXPIRE, settle("s", 1, "void"))),
    Story("a rollback after it", TEN_THAT_EXPIRES, "alice +20 ROLLBACK, bonus +10 ROLLBACK, "
          "house -30 ROLLBACK, bonus -10 EXPIRY, book +10 EXPIRY", {"alice": 100, "bonus": 0},
          (EXPIRE, roll_back("b", 1))),
    Story("a cash-out after it", TEN_THAT_EXPIRES, "alice +8 CASHOUT, bonus +4 CASHOUT, house -12 CASHOUT, "
          "bonus -4 EXPIRY, book +4 EXPIRY", {"alice": 88, "bonus": 0}, (EXPIRE, cash_out("c", 1, 10, 12))),
    Story("a bet after it", (grant("g", 50, "first", DUE_US),), "alice -30 BET, house +30 BET",
          {"alice": 70, "bonus": 0}, (EXPIRE, place(1, sent_at_us=DUE_US))),
    Story("granted again", (grant("g", 50, "first", DUE_US),), "alice -22 BET, bonus -8 BET, house +30 BET",
          {"alice": 78, "bonus": 0}, (EXPIRE, grant("h", 8), place(1, sent_at_us=DUE_US))),
    Story("granted again, and an old bet wins", TEN_THAT_EXPIRES,
          "alice +60 WIN, bonus +30 WIN, house -90 WIN", {"alice": 140, "bonus": 38},
          (EXPIRE, grant("h", 8), settle("s", 1, "won", 90))),
    Story("a win in time, its clock not yet", TEN_THAT_EXPIRES, "bonus -30 EXPIRY, book +30 EXPIRY",
          {"alice": 140, "bonus": 0}, (settle("s", 1, "won", 90), EXPIRE)),
    Story("a win after it, taken back: the book gives what it got", TEN_THAT_EXPIRES,
          "alice -60 UNSETTLE, book -30 EXPIRY, house +90 UNSETTLE", {"alice": 80, "bonus": 0},
          (EXPIRE, settle("s", 1, "won", 90), unsettle("u", 1))),
    Story("a win in time, taken back after it", (*TEN_THAT_EXPIRES, settle("s", 1, "won", 90)),
          "alice -60 UNSETTLE, book -30 EXPIRY, house +90 UNSETTLE", {"alice": 80, "bonus": 0},
          (EXPIRE, unsettle("u", 1))),
    Story("a win in time, staked, and taken back after it",
          (*TEN_THAT_EXPIRES, settle("s", 1, "won", 90), place(2)),
          "alice -60 UNSETTLE, book -30 EXPIRY, house +90 UNSETTLE", {"alice": 80, "bonus": 0},
          (EXPIRE, unsettle("u", 1))),
    Story("a refund after it, taken back", TEN_THAT_EXPIRES,
          "alice -20 UNSETTLE, book -10 EXPIRY, house +30 UNSETTLE", {"alice": 80, "bonus": 0},
          (EXPIRE, settle("s", 1, "void"), unsettle("u", 1))),
    Story("a win taken back after it, of which the wallet's part is gone",
          (*TEN_THAT_EXPIRES, settle("s", 1, "won", 90), withdraw(120)),
          "alice -20 UNSETTLE, receivable -40 RECEIVABLE, book -30 EXPIRY, house +90 UNSETTLE",
          {"alice": 0, "alice owes": 40, "bonus": 0}, (EXPIRE, unsettle("u", 1))),
    Story("a win taken back after it, and won again: nothing was owed", TEN_THAT_EXPIRES,
          "alice +60 WIN, bonus +30 WIN, house -90 WIN, bonus -30 EXPIRY, book +30 EXPIRY",
          {"alice": 140, "bonus": 0},
          (EXPIRE, settle("s", 1, "won", 90), unsettle("u", 1), settle("t", 1, "won", 90))),
    Story("a staked win taken back when its time has come, its clock not yet",
          (*TEN_THAT_EXPIRES, settle("s", 1, "won", 90), place(2)),
          "alice -60 UNSETTLE, receivable -30 RECEIVABLE, house +90 UNSETTLE",
          {"alice": 80, "bonus": 0, "bonus owes": 30}, (unsettle("u", 1),)),
    Story("granted again, and a win from before is taken back", TEN_THAT_EXPIRES,
          "alice -60 UNSETTLE, bonus -8 UNSETTLE, receivable -22 RECEIVABLE, house +90 UNSETTLE",
          {"alice": 80, "bonus": 0, "bonus owes": 22},
          (EXPIRE, settle("s", 1, "won", 90), grant("h", 8), unsettle("u", 1))),
    Story("granted when its time has come, its clock not yet", (grant("g", 50, "first", DUE_US),),
          "bonus -50 EXPIRY, book +50 EXPIRY, bonus +8 BONUS, book -8 BONUS", {"bonus": 8},
          (grant("h", 8),)),
    Story("granted when its time has come, and nothing is in it", TEN_THAT_EXPIRES,
          "bonus +8 BONUS, book -8 BONUS", {"alice": 80, "bonus": 8}, (grant("h", 8),)),
    Story("granted when its time has come, and its clock is late", (grant("g", 50, "first", DUE_US),),
          "INVALID_REQUEST", {"bonus": 8}, (grant("h", 8), EXPIRE)),
    Story("granted when its time has come, and as much is won as was staked before", TEN_THAT_EXPIRES,
          "alice +20 REFUND, bonus +10 REFUND, house -30 REFUND", {"alice": 100, "bonus": 18},
          (grant("h", 8), settle("s", 1, "void"))),
    Story("a debt stays, and is paid out of what would go to the book",
          (grant("g", 10, "first", DUE_US), *OWES_BONUS[1:]),
          "bonus +20 WIN, receivable +30 RECEIVABLE, house -50 WIN, bonus -20 EXPIRY, book +20 EXPIRY",
          {"alice": 80, "bonus": 0}, (EXPIRE, settle("s2", 2, "won", 50))),
)  # fmt: skip

FREE_BETS: Final = (
    Story("granted", (grant_free_bet("f", 50),), "", {}),
    Story("placed", FREE, "book -50 BET, house +50 BET", {}),
    Story("placed by a player who has nothing", (grant_free_bet("f", 50), withdraw(100), free(1)),
          "book -50 BET, house +50 BET", {"alice": 0}),
    Story("placed by a player who has a bonus", (grant_free_bet("f", 50), grant("g", 60), free(1)),
          "book -50 BET, house +50 BET", {"bonus": 60}),
    Story("not asked for", (grant_free_bet("f", 50), place(1, 50)), "alice -50 BET, house +50 BET",
          {"alice": 50}),
    Story("won", (*FREE, settle("s", 1, "won", 170)), "alice +120 WIN, house -120 WIN", {"alice": 220}),
    Story("won no more than the stake", (*FREE, settle("s", 1, "won", 50)), "", {}),
    Story("won less than the stake", (*FREE, settle("s", 1, "won", 20)), "", {}),
    Story("lost", (*FREE, settle("s", 1, "lost")), "", {}),
    Story("lost, and a part is paid", (*FREE, settle("s", 1, "lost", 20)), "", {}),
    Story("won, and taken back", (*FREE, settle("s", 1, "won", 170), unsettle("u", 1)),
          "alice -120 UNSETTLE, house +120 UNSETTLE", {}),
    Story("won, and taken back when it is gone",
          (*FREE, settle("s", 1, "won", 170), withdraw(180), unsettle("u", 1)),
          "alice -40 UNSETTLE, receivable -80 RECEIVABLE, house +120 UNSETTLE",
          {"alice": 0, "alice owes": 80}),
    Story("won by a player who owes", (*A_THIRD, settle("s1", 1, "won", 90), withdraw(140), unsettle("u1", 1),
          grant_free_bet("f", 50), free(2, 50, FIRST + 5), settle("s2", 2, "won", 120)),
          "alice +10 WIN, receivable +60 RECEIVABLE, house -70 WIN", {"alice": 10, "bonus": 0}),
    Story("void", (*FREE, settle("s", 1, "void")), "book +50 REFUND, house -50 REFUND", {}),
    Story("void, and used again", (*FREE, settle("s", 1, "void"), free(2)),
          "book -50 BET, house +50 BET", {}),
    Story("void, and taken back", (*FREE, settle("s", 1, "void"), unsettle("u", 1)),
          "book -50 UNSETTLE, house +50 UNSETTLE", {}),
    Story("void, taken back, won",
          (*FREE, settle("s", 1, "void"), unsettle("u", 1), settle("t", 1, "won", 51)),
          "alice +1 WIN, house -1 WIN", {"alice": 101}),
    Story("void, and taken back after it was used again",
          (*FREE, settle("s", 1, "void"), free(2), unsettle("u", 1)), "BET_CLOSED", {}),
    Story("void, and taken back after it was revoked",
          (*FREE, settle("s", 1, "void"), REVOKE, unsettle("u", 1)), "BET_CLOSED", {}),
    Story("rolled back", (*FREE, roll_back("b", 1)), "book +50 ROLLBACK, house -50 ROLLBACK", {}),
    Story("rolled back, and used again", (*FREE, roll_back("b", 1), free(2)), "book -50 BET, house +50 BET",
          {}),
    Story("cashed out", (*FREE, cash_out("c", 1, 50, 40)), "BET_CLOSED", {}),
    Story("used twice", (*FREE, free(2)), "INSUFFICIENT_FUNDS", {}),
    Story("of another amount", (grant_free_bet("f", 50), free(1, 49)), "INSUFFICIENT_FUNDS", {}),
    Story("revoked", (grant_free_bet("f", 50), REVOKE, free(1)), "INSUFFICIENT_FUNDS", {}),
    Story("another player's", (grant_free_bet("f", 50, user_id=8), free(1)), "INSUFFICIENT_FUNDS", {}),
    Story("never granted", (free(1, 50, 77),), "INSUFFICIENT_FUNDS", {}),
    Story("its time has come, if not its clock", (grant_free_bet("f", 50, DUE_US),), "INSUFFICIENT_FUNDS", {},
          (place(1, 50, free_bet_id=FIRST, sent_at_us=DUE_US),)),
    Story("expired", (grant_free_bet("f", 50, DUE_US),), "INSUFFICIENT_FUNDS", {},
          (EXPIRE_FREE_BET, place(1, 50, free_bet_id=FIRST, sent_at_us=DUE_US))),
    Story("given back after its time", (grant_free_bet("f", 50, DUE_US), free(1)), "", {},
          (settle("s", 1, "void"), EXPIRE_FREE_BET)),
    Story("given back after its time, and the void taken back before its clock",
          (grant_free_bet("f", 50, DUE_US), free(1)), "book -50 UNSETTLE, house +50 UNSETTLE", {},
          (settle("s", 1, "void"), unsettle("u", 1))),
    Story("given back after its time, expired, and the void taken back",
          (grant_free_bet("f", 50, DUE_US), free(1)), "BET_CLOSED", {},
          (settle("s", 1, "void"), EXPIRE_FREE_BET, unsettle("u", 1))),
    Story("won after its time", (grant_free_bet("f", 50, DUE_US), free(1)), "alice +10 WIN, house -10 WIN",
          {"alice": 110}, (settle("s", 1, "won", 60),)),
)  # fmt: skip

TOGETHER: Final = (
    Story("two bonuses", (TEN, grant("h", 7)), "bonus +7 BONUS, book -7 BONUS", {"bonus": 17}),
    Story("granted, spent and settled", (*A_THIRD, settle("s", 1, "won", 30)),
          "alice +20 WIN, bonus +10 WIN, house -30 WIN", {"bonus": 10}),
    Story("granted, spent, won and spent again", (*A_THIRD, settle("s", 1, "won", 90), place(2, 40)),
          "alice -10 BET, bonus -30 BET, house +40 BET", {"alice": 130, "bonus": 0}),
    Story("two bets share what there is", (TEN, place(1, 6), place(2, 6)),
          "alice -2 BET, bonus -4 BET, house +6 BET", {"alice": 98, "bonus": 0}),
)  # fmt: skip

MOVED_BY_OPERATORS: Final = (
    Story("in", (TEN, transfer(ALICE, BONUS, 5)), "alice -5 TRANSFER, bonus +5 TRANSFER",
          {"alice": 95, "bonus": 15}),
    Story("out", (TEN, transfer(BONUS, ALICE, 10)), "bonus -10 TRANSFER, alice +10 TRANSFER",
          {"alice": 110, "bonus": 0}),
    Story("more out than there is", (TEN, transfer(BONUS, ALICE, 11)), "INSUFFICIENT_FUNDS", {"bonus": 10}),
    Story("out, beside a blocked wallet", (TEN, status("blocked"), transfer(BONUS, BOB, 5)),
          "ACCOUNT_BLOCKED", {"bonus": 10}),
    Story("in, beside a blocked wallet", (TEN, status("blocked"), transfer(BOB, BONUS, 5)),
          "ACCOUNT_BLOCKED", {"bonus": 10}),
    Story("in, beside a closed wallet",
          (TEN, place(1, 10), withdraw(100), status("closed"), transfer(BOB, BONUS, 5)), "ACCOUNT_BLOCKED",
          {"alice": 0, "bonus": 0}),
    Story("out, beside a wallet that is open again",
          (TEN, status("blocked"), status("open"), transfer(BONUS, BOB, 5)),
          "bonus -5 TRANSFER, bob +5 TRANSFER", {"bonus": 5, "bob": 55}),
    Story("out, and somebody else is blocked", (TEN, status("blocked", BOB), transfer(BONUS, ALICE, 5)),
          "bonus -5 TRANSFER, alice +5 TRANSFER", {"alice": 105, "bonus": 5}),
    Story("in, after it has expired", TEN_THAT_EXPIRES, "ACCOUNT_BLOCKED", {"alice": 80, "bonus": 0},
          (EXPIRE, transfer(ALICE, BONUS, 5))),
    Story("in, when its time has come, its clock not yet", (grant("g", 10, "first", DUE_US),),
          "ACCOUNT_BLOCKED", {"bonus": 10}, (transfer(ALICE, BONUS, 5),)),
    Story("in, when it was granted anew", TEN_THAT_EXPIRES, "alice -5 TRANSFER, bonus +5 TRANSFER",
          {"alice": 75, "bonus": 13}, (EXPIRE, grant("h", 8), transfer(ALICE, BONUS, 5))),
    Story("out, when its time has come, its clock not yet", (grant("g", 10, "first", DUE_US),),
          "bonus -10 TRANSFER, alice +10 TRANSFER", {"alice": 110, "bonus": 0},
          (transfer(BONUS, ALICE, 10),)),
)  # fmt: skip

GROUPS: Final = {
    "spent": SPENT, "paid": PAID, "taken back": TAKEN_BACK, "expired": EXPIRED, "free bet": FREE_BETS,
    "together": TOGETHER, "moved by operators": MOVED_BY_OPERATORS,
}  # fmt: skip
STORIES: Final = [
    pytest.param(story, id=f"{name}: {story.words}") for name, told in GROUPS.items() for story in told
]


@pytest.mark.parametrize("story", STORIES)
def test_what_moves_is_the_same_in_one_batch_and_in_many(story: Story, tmp_path: Path) -> None:
    told = []
    for apart in (False, True):
        path = tmp_path / f"{apart}.db"
        *_, last = outcomes = tell(path, story, apart=apart)

        assert moved(last) == story.moved
        assert wallets(path) == {"alice": 100, "bob": 50, **story.then}
        told.append([(moved(each), getattr(each, "wallet", None)) for each in outcomes])
    assert told[0] == told[1]


Minor = st.integers(0, WIRE_MAX_MINOR)


@given(stake_minor=st.integers(1, WIRE_MAX_MINOR), amount_minor=Minor, data=st.data())
def test_a_share_is_rounded_down_and_that_of_the_stake_is_exact(
    stake_minor: int, amount_minor: int, data: st.DataObject
) -> None:
    source_minor = data.draw(st.integers(1, stake_minor))
    share_minor = share_of(amount_minor, 0, source_minor, stake_minor)

    assert 0 <= amount_minor * source_minor - share_minor * stake_minor < stake_minor
    assert share_of(stake_minor, 0, source_minor, stake_minor) == source_minor
    assert share_of(amount_minor, 0, stake_minor, stake_minor) == amount_minor


@given(parts_minor=st.lists(Minor, max_size=8), stake_minor=st.integers(1, WIRE_MAX_MINOR), data=st.data())
def test_in_however_many_parts_a_bet_pays_the_shares_are_those_of_the_whole(
    parts_minor: list[int], stake_minor: int, data: st.DataObject
) -> None:
    source_minor = data.draw(st.integers(1, stake_minor))
    before_minor = had_minor = 0
    for part_minor in parts_minor:
        share_minor = share_of(part_minor, before_minor, source_minor, stake_minor)
        assert 0 <= share_minor <= part_minor
        before_minor, had_minor = before_minor + part_minor, had_minor + share_minor

    assert had_minor == share_of(before_minor, 0, source_minor, stake_minor)
