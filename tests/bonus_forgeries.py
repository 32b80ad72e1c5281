"""Forgeries of wallets, bonus money and free bets, as data like those of forgeries.py; and the books that
they forge.

Block 1 pays ALICE 1000 and BOB 500; BATCHES are blocks 2 to 11, and the numbers of their transactions are the
keys of most. ALICE opens a FURTHER wallet and CAROL comes; BONUS is beside ALICE's wallet, BOBS_BONUS beside
BOB's. BONUS expires twice: in block 6 by the clock, in block 11 because it is granted anew before the clock
has come. Bets 1, 4 and 12 are paid from two wallets, 5, 6, 7, 9, 10 and 11 from a bonus wallet alone; 2, 3
and 8 are free.
"""

from __future__ import annotations

from typing import Any

from engine.bonus_checks import (
    NO_FREE_BET,
    NO_GRANT,
    NO_ROW,
    OTHER_SOURCE,
    OTHER_WALLET,
)
from engine.checks import Finding
from engine.commands import (
    BONUS_BOOK_ID_BASE,
    CashOutBet,
    Command,
    ExpireBonus,
    ExpireFreeBet,
    ExpireHold,
    GrantBonus,
    GrantFreeBet,
    Leg,
    OpenWallet,
    PlaceHold,
    Result,
    RevokeFreeBet,
    RollBackBet,
    SettleBet,
    Spend,
    Transfer,
    UnsettleBet,
    Withdraw,
)
from engine.life_checks import NOT_FOLLOWING, NOT_WHERE_TOLD
from engine.money import BOOK_FLOOR_MINOR
from engine.payout_checks import OTHER_TERMS
from tests.books_open import ALICE, BOB, HOUSE, NOW_US, bet_id, place
from tests.forgeries import floor, legs

FURTHER, CAROL, BONUS, BOBS_BONUS = 9, 10, 11, 12
BONUS_BOOK = BONUS_BOOK_ID_BASE + HOUSE
SOON_US, LATER_US = NOW_US + 10, NOW_US + 100
AT_US = (*[NOW_US] * 4, *[LATER_US] * 5, LATER_US + 1)


def own(key: str) -> dict[str, Any]:
    return {"key": key, "caller": "op"}


def won(number: int, payout_minor: int, key: str) -> SettleBet:
    return SettleBet(bet_id(number), Result.WON, payout_minor, **own(key))


def lost(number: int, payout_minor: int, key: str) -> SettleBet:
    return SettleBet(bet_id(number), Result.LOST, payout_minor, **own(key))


def void(number: int, key: str) -> SettleBet:
    return SettleBet(bet_id(number), Result.VOID, **own(key))


def unsettle(number: int, key: str) -> UnsettleBet:
    return UnsettleBet(bet_id(number), **own(key))


BATCHES: list[list[Command]] = [
    [
        OpenWallet("EUR", ALICE, **own("3")),
        OpenWallet("EUR", None, **own("4")),
        GrantBonus(ALICE, 100, Spend.FIRST, LATER_US, **own("5")),
        place(1, 300),  # 6: 200 and 100
        won(1, 901, "7"),  # 601 and 300
        unsettle(1, "8"),
        RollBackBet(bet_id(1), **own("9")),
    ],
    [
        GrantFreeBet(ALICE, 50, LATER_US, **own("10")),
        place(2, 50, free_bet_id=10),  # 11
        void(2, "12"),
        unsettle(2, "13"),
        won(2, 170, "14"),  # 120
        GrantFreeBet(BOB, 5, **own("15")),
        RevokeFreeBet(15, **own("16")),
        GrantFreeBet(BOB, 6, SOON_US, **own("17")),
        PlaceHold(BOB, 7, SOON_US, **own("18")),
    ],
    [
        GrantFreeBet(ALICE, 40, **own("19")),
        place(3, 40, free_bet_id=19),  # 20
        RollBackBet(bet_id(3), **own("21")),
        GrantBonus(ALICE, 10, Spend.LAST, LATER_US, **own("22")),
        Withdraw(ALICE, 1000, **own("23")),
        place(4, 200),  # 24: 120 and 80
        CashOutBet(bet_id(4), 50, 40, **own("25")),  # 24 and 16
    ],
    [
        GrantBonus(BOB, 9, Spend.FIRST, None, **own("26")),
        Transfer((Leg(BOB, -3), Leg(BOBS_BONUS, 3)), **own("27")),
        place(5, 12, BOB),  # 28: all of it bonus money
    ],
    [
        ExpireBonus(BONUS, **own("29")),  # takes 46
        ExpireFreeBet(17, **own("30")),
        ExpireHold(18, **own("31")),
        won(4, 400, "32"),  # 240 and 160, which is forfeit
        unsettle(4, "33"),  # the bonus book gives the 160 back
        won(4, 100, "34"),  # 60 and 40
        Transfer((Leg(BOB, -7), Leg(BOBS_BONUS, 7)), **own("35")),
        unsettle(4, "36"),  # and the 40
        Transfer((Leg(BOB, -8), Leg(BOBS_BONUS, 8)), **own("37")),
        void(4, "38"),  # 90 and 60, which is forfeit
    ],
    [
        GrantBonus(ALICE, 5, Spend.FIRST, None, **own("39")),
        place(6, 4),  # 40
        won(6, 600, "41"),
        won(5, 11, "42"),
        place(7, 441),  # 43: bonus money alone, and 160 are left
        lost(7, 0, "44"),
    ],
    [
        GrantFreeBet(BOB, 2, None, **own("45")),
        place(8, 2, BOB, free_bet_id=45),  # 46
        place(9, 1, BOB),  # 47
    ],
    [
        place(10, 5, BOB),  # 48: bonus money alone, as 11
        won(10, 50, "49"),
        place(11, 65, BOB),  # 50: 5 are left
        unsettle(10, "51"),  # BOB's bonus wallet owes 45
        won(10, 60, "52"),  # and has 15
    ],
    [
        place(12, 30, BOB),  # 53: 15 and 15
        CashOutBet(bet_id(12), 5, 1, **own("54")),  # 1 and 0
        CashOutBet(bet_id(12), 5, 1, **own("55")),  # 0 and 1
        CashOutBet(bet_id(12), 5, 1, **own("56")),  # 1 and 0
        won(12, 3, "57"),  # 1 and 2
        unsettle(12, "58"),
        void(12, "59"),  # 7 and 8
        GrantBonus(ALICE, 7, Spend.LAST, LATER_US + 1, **own("60")),
    ],
    [
        GrantBonus(ALICE, 3, Spend.FIRST, None, **own("61")),  # what is there, 167, goes first
    ],
]


def wrong(check: str, transaction_id: int, why: str) -> Finding:
    return {"check": check, "transaction_id": transaction_id, "why": why}


def bet(transaction_id: int, why: str) -> Finding:
    return wrong("bet", transaction_id, why)


def bonus(transaction_id: int, why: str) -> Finding:
    return wrong("bonus", transaction_id, why)


def free_bet(transaction_id: int, why: str) -> Finding:
    return wrong("free_bet", transaction_id, why)


def opening(transaction_id: int, why: str) -> Finding:
    return wrong("participant", transaction_id, why)


def bonus_row(user_id: int, why: str = NOT_WHERE_TOLD) -> Finding:
    return {"check": "bonus", "user_id": user_id, "why": why}


def free_bet_row(id_: int, why: str = NOT_WHERE_TOLD) -> Finding:
    return {"check": "free_bet", "free_bet": id_, "why": why}


def whose(user_id: int, why: str) -> Finding:
    return {"check": "participant", "user_id": user_id, "why": why}


def owed(user_id: int, row: int, ledger: int) -> Finding:
    return {"check": "owed", "user_id": user_id, "owed": row, "ledger": ledger}


PAID_BY_BOBS_BONUS = (28, 47, 48, 50, 53)
"""The bets that BOBS_BONUS has paid, alone or in part."""

NOBODYS = "it is a wallet of nobody, or a book of somebody"
NO_PARTICIPANT = "its participant is not there"
NO_FIRST = "its participant has no first wallet"
NOT_BESIDE = "it is not beside a wallet of the same person and currency"
NO_BONUS_WALLET = "it has the terms of a bonus wallet, and is none"
NO_WALLET = "a participant without a wallet"

ROWS: dict[str, tuple[str, list[Finding]]] = {
    "when a bonus is spent": (
        f"UPDATE bonuses SET spend = 'last' WHERE user_id = {BOBS_BONUS}",
        [bonus_row(BOBS_BONUS)],
    ),
    "when a bonus expires": (
        f"UPDATE bonuses SET expires_at = 7 WHERE user_id = {BOBS_BONUS}",
        [bonus_row(BOBS_BONUS)],
    ),
    "a bonus that is over": (
        f"UPDATE bonuses SET state = 'expired' WHERE user_id = {BOBS_BONUS}",
        [bonus_row(BOBS_BONUS)],
    ),
    "an older grant": (
        f"UPDATE bonuses SET last_transaction_id = 22 WHERE user_id = {BONUS}",
        [bonus_row(BONUS)],
    ),
    "a bonus taken away": (
        f"DELETE FROM bonuses WHERE user_id = {BOBS_BONUS}",
        [
            bonus_row(BOBS_BONUS, NO_ROW),
            whose(BOBS_BONUS, NOT_BESIDE),
            *(bet(id_, OTHER_SOURCE) for id_ in PAID_BY_BOBS_BONUS),
        ],
    ),
    "a bonus beside another wallet": (
        f"UPDATE bonuses SET wallet_id = {CAROL} WHERE user_id = {BOBS_BONUS}",
        [
            whose(BOBS_BONUS, NOT_BESIDE),
            bonus(26, OTHER_TERMS),
            *(bet(id_, OTHER_SOURCE) for id_ in PAID_BY_BOBS_BONUS),
        ],
    ),
    "a bonus beside a bonus": (
        f"UPDATE bonuses SET wallet_id = {BOBS_BONUS} WHERE user_id = {BOBS_BONUS}",
        [
            whose(BOBS_BONUS, NOT_BESIDE),
            bonus(26, OTHER_TERMS),
            *(bet(id_, OTHER_SOURCE) for id_ in PAID_BY_BOBS_BONUS),
        ],
    ),
    "a bonus made up": (
        f"INSERT INTO bonuses VALUES ({CAROL}, {FURTHER}, 'first', 0, 'open', 39)",
        [bonus_row(CAROL, NO_GRANT), whose(CAROL, NO_BONUS_WALLET)],
    ),
    "the amount of a free bet": (
        "UPDATE free_bets SET amount = 4 WHERE id = 15",
        [free_bet(15, NOT_FOLLOWING), free_bet(15, OTHER_TERMS), free_bet(16, NOT_FOLLOWING)],
    ),
    "whose free bet it is": (
        f"UPDATE free_bets SET user_id = {ALICE} WHERE id = 45",
        [free_bet(45, OTHER_TERMS), bet(46, OTHER_SOURCE)],
    ),
    "the currency of a free bet": (
        "UPDATE free_bets SET currency = 'USD' WHERE id = 15",
        [free_bet(15, OTHER_TERMS)],
    ),
    "when a free bet expires": (
        "UPDATE free_bets SET expires_at = 7 WHERE id = 15",
        [free_bet(15, OTHER_TERMS)],
    ),
    "a free bet that is used": ("UPDATE free_bets SET state = 'used' WHERE id = 19", [free_bet_row(19)]),
    "a free bet as it once was": (
        "UPDATE free_bets SET last_transaction_id = 0 WHERE id = 19",
        [free_bet_row(19)],
    ),
    "a free bet taken away": (
        "DELETE FROM free_bets WHERE id = 15",
        [free_bet(15, NO_ROW), free_bet(16, NO_FREE_BET)],
    ),
    "a free bet taken away that was used": (
        "DELETE FROM free_bets WHERE id = 45",
        [free_bet(45, NO_ROW), bet(46, OTHER_SOURCE), free_bet(46, NO_FREE_BET)],
    ),
    "a free bet made up": (
        f"INSERT INTO free_bets VALUES (39, {BOB}, 'EUR', 5, 0, 'open', 0)",
        [free_bet_row(39, NO_GRANT)],
    ),
    "a participant taken away": (
        f"DELETE FROM participants WHERE id = {CAROL}",
        [whose(CAROL, NO_PARTICIPANT)],
    ),
    "a participant made up": ("INSERT INTO participants VALUES (99)", [whose(99, NO_WALLET)]),
    "a wallet of somebody else's": (
        f"UPDATE users SET participant_id = {BOB} WHERE id = {FURTHER}",
        [opening(3, OTHER_WALLET)],
    ),
    "a wallet of somebody without a first one": (
        f"UPDATE users SET participant_id = {FURTHER} WHERE id IN ({FURTHER}, {CAROL})",
        [
            opening(3, OTHER_WALLET),
            opening(4, OTHER_WALLET),
            whose(FURTHER, NO_PARTICIPANT),
            whose(CAROL, NO_PARTICIPANT),
        ],
    ),
    "a first wallet that is somebody else's": (
        f"UPDATE users SET participant_id = {BOB} WHERE id = {ALICE}",
        [whose(FURTHER, NO_FIRST), whose(BONUS, NO_FIRST), whose(BONUS, NOT_BESIDE)],
    ),
    "a wallet of nobody": (
        f"UPDATE users SET participant_id = NULL WHERE id = {CAROL}",
        [whose(CAROL, NOBODYS), opening(4, OTHER_WALLET), floor(CAROL, 0, BOOK_FLOOR_MINOR)],
    ),
    "a book of somebody": (
        f"UPDATE users SET participant_id = {ALICE} WHERE id = 3",
        [whose(3, NOBODYS), floor(3, BOOK_FLOOR_MINOR, 0)],
    ),
    "a first wallet for bonus money": (
        f"UPDATE users SET kind = 'player_bonus' WHERE id = {CAROL}",
        [whose(CAROL, NO_FIRST), whose(CAROL, NOT_BESIDE), opening(4, OTHER_WALLET)],
    ),
    "a bonus wallet of somebody else's": (
        f"UPDATE users SET participant_id = {ALICE} WHERE id = {BOBS_BONUS}",
        [whose(BOBS_BONUS, NOT_BESIDE)],
    ),
    "a bonus wallet of another currency": (
        f"UPDATE users SET currency = 'USD' WHERE id = {BOBS_BONUS}",
        [whose(BOBS_BONUS, NOT_BESIDE), legs(26, "BONUS")],
    ),
    "a wallet of another currency": (
        f"UPDATE users SET currency = 'USD' WHERE id = {FURTHER}",
        [opening(3, OTHER_WALLET)],
    ),
}
"""Edits of rows that are only derived: no seal covers them."""
