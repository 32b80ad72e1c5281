"""Forgeries of the history of bonus money and free bets, as data; the books are those of bonus_forgeries."""

from __future__ import annotations

from engine.bonus_checks import NO_BONUS, NO_GRANT, OTHER_SOURCE, OTHER_WALLET, OVER
from engine.checks import Finding
from engine.life_checks import NOT_BEFORE, NOT_FOLLOWING, NOT_SAID
from engine.payout_checks import OTHER_TERMS
from tests.bonus_forgeries import (
    BOBS_BONUS,
    BONUS,
    BONUS_BOOK,
    CAROL,
    LATER_US,
    PAID_BY_BOBS_BONUS,
    SOON_US,
    bet,
    bonus,
    bonus_row,
    free_bet,
    free_bet_row,
    opening,
    owed,
    wrong,
)
from tests.books_open import ALICE, BOB
from tests.forgeries import EDITED, NOT_ITS_DEBIT, TERMS, block, legs
from tests.life_forgeries import told

RECEIVABLE_BOOK = 6

BALANCED = [
    "UPDATE transaction_ledger SET balance_after = made.balance, prev_id = made.prev FROM ("
    "SELECT id, sum(amount) OVER own AS balance, lag(id, 1, 0) OVER own AS prev FROM transaction_ledger "
    "WINDOW own AS (PARTITION BY user_id ORDER BY id)) AS made WHERE made.id = transaction_ledger.id",
    "UPDATE users SET (balance, last_entry_id) = (SELECT coalesce(sum(amount), 0), coalesce(max(id), 0) "
    "FROM transaction_ledger WHERE user_id = users.id)",
    "UPDATE users SET owed = (SELECT coalesce(-sum(amount), 0) FROM transaction_ledger "
    f"WHERE user_id = {RECEIVABLE_BOOK} AND ref_type = 'RECEIVABLE' AND ref_id = CAST(users.id AS TEXT))",
]
"""Whatever was edited: every balance and every debt is again the sum of its entries."""


def silent(transaction_id: int, about: str) -> str:
    return f"UPDATE transactions SET answer = json_remove(answer, '$.{about}') WHERE id = {transaction_id}"


def other_request(transaction_id: int) -> str:
    return f"UPDATE transactions SET fingerprint = zeroblob(32) WHERE id = {transaction_id}"


def entry(transaction_id: int, user_id: int, ref_type: str, /, **changes: object) -> str:
    """Another entry, of which these columns are changed."""
    columns = ", ".join(f"{name} = {value!r}" for name, value in changes.items())
    return (
        f"UPDATE transaction_ledger SET {columns} "
        f"WHERE (transaction_id, user_id, ref_type) = ({transaction_id}, {user_id}, '{ref_type}')"
    )


def moved(transaction_id: int, from_id: int, to_id: int, amount_minor: int) -> list[str]:
    """Another split of what a bet pays, or gives back."""
    by = ((from_id, -amount_minor), (to_id, amount_minor))
    return [
        f"UPDATE transaction_ledger SET amount = amount + {minor} "
        f"WHERE (transaction_id, user_id) = ({transaction_id}, {user_id})"
        for user_id, minor in by
    ] + BALANCED


HISTORY: dict[str, tuple[list[str], list[Finding]]] = {
    **{
        f"another request, {id_}": ([other_request(id_)], [wrong(check, id_, OTHER_TERMS)])
        for check, ids in (("participant", (3, 4)), ("bonus", (26, 29)), ("free_bet", (10, 16, 30)))
        for id_ in ids
    },
    "a grant that says it is spent first": (
        [told(22, bonus__spend="first")],
        [bonus(22, OTHER_TERMS), bonus(29, NOT_FOLLOWING)],
    ),
    "a grant that says it is spent never": (
        [told(22, bonus__spend="never"), told(29, bonus__spend="never")],
        [bonus(22, NOT_FOLLOWING), bonus(22, OTHER_TERMS), bonus(29, NOT_FOLLOWING)],
    ),
    "a grant that says it expires later": (
        [told(22, bonus__expires_at_us=LATER_US + 1)],
        [bonus(22, OTHER_TERMS), bonus(29, NOT_FOLLOWING)],
    ),
    "a grant that expires at a time that there is not": (
        [f"UPDATE transactions SET answer = replace(answer, '{LATER_US}', '{2**70}') WHERE id IN (22, 29)"],
        [bonus(22, NOT_FOLLOWING), bonus(22, OTHER_TERMS), bonus(29, NOT_FOLLOWING)],
    ),
    "a grant that skips the one before it": ([told(22, bonus__before=0)], [bonus(22, NOT_BEFORE)]),
    "a first grant after another": ([told(26, bonus__before=5)], [bonus(26, NOT_BEFORE)]),
    "a grant that says it is over": (
        [told(39, bonus__state="expired")],
        [
            bonus(39, NOT_FOLLOWING),
            bet(40, OTHER_SOURCE),
            legs(41, "WIN"),
            bet(43, OTHER_SOURCE),
        ],
    ),
    "a first grant that says it is over": (
        [told(26, bonus__state="expired")],
        [
            bonus(26, NOT_FOLLOWING),
            *(bet(id_, OTHER_SOURCE) for id_ in PAID_BY_BOBS_BONUS),
            *(legs(id_, "WIN") for id_ in (42, 49, 52, 57)),
            legs(51, "UNSETTLE"),
            legs(55, "CASHOUT"),
            legs(59, "REFUND"),
            bonus_row(BOBS_BONUS),
        ],
    ),
    "an expiry that leaves it open": (
        [told(29, bonus__state="open")],
        [
            bonus(29, NOT_FOLLOWING),
            legs(32, "WIN"),
            legs(33, "UNSETTLE"),
            legs(34, "WIN"),
            legs(36, "UNSETTLE"),
            legs(38, "REFUND"),
        ],
    ),
    "a grant to a wallet that is none for bonus money": (
        [told(22, bonus__user_id=CAROL)],
        [bonus(22, NO_BONUS), bonus(29, NOT_BEFORE)],
    ),
    "a grant to another bonus wallet": (
        [told(22, bonus__user_id=BOBS_BONUS)],
        [
            bonus(22, NOT_BEFORE),
            bonus(22, OTHER_TERMS),
            legs(22, "BONUS"),
            bonus(26, NOT_BEFORE),
            bonus(29, NOT_BEFORE),
        ],
    ),
    "a grant that says nothing": (
        [silent(26, "bonus")],
        [
            bonus(26, NO_BONUS),
            *(bet(id_, OTHER_SOURCE) for id_ in PAID_BY_BOBS_BONUS),
            bonus_row(BOBS_BONUS, NO_GRANT),
        ],
    ),
    "the name of what is granted": (
        ["UPDATE transaction_ledger SET ref_type = 'TRANSFER' WHERE id = 41"],
        [legs(26, "BONUS")],
    ),
    "one expires that was never granted": (
        [
            "UPDATE transactions SET kind = 'EXPIRY' WHERE id = 26",
            "UPDATE transaction_ledger SET ref_type = 'EXPIRY' WHERE transaction_id = 26",
        ],
        [bonus(26, NOT_FOLLOWING), bonus(26, OTHER_TERMS), legs(26, "EXPIRY")],
    ),
    "an expiry that leaves 1": (
        [
            entry(29, BONUS, "EXPIRY", amount=-45),
            entry(29, BONUS_BOOK, "EXPIRY", amount=45),
            *BALANCED,
        ],
        [
            legs(29, "EXPIRY"),
            legs(32, "WIN"),
            legs(33, "UNSETTLE"),
            legs(34, "WIN"),
            legs(36, "UNSETTLE"),
            legs(38, "REFUND"),
            legs(39, "BONUS"),
            legs(61, "BONUS"),
        ],
    ),
    "what is forfeit goes by another name": (
        ["UPDATE transaction_ledger SET ref_type = 'TRANSFER' WHERE id = 52"],
        [legs(32, "WIN")],
    ),
    "a bonus that has expired owes what it cannot give back": (
        [
            entry(36, BONUS_BOOK, "EXPIRY", user_id=RECEIVABLE_BOOK, ref_type="RECEIVABLE"),
            *BALANCED,
        ],
        [legs(36, "UNSETTLE"), legs(41, "WIN")],
    ),
    "a bonus that has expired owes it to the bonus book": (
        [entry(36, BONUS_BOOK, "EXPIRY", ref_type="RECEIVABLE")],
        [legs(36, "UNSETTLE")],
    ),
    "the bonus book gives back what the player has to": (
        [entry(36, BONUS_BOOK, "EXPIRY", ref_id=f"{ALICE}")],
        [legs(36, "UNSETTLE")],
    ),
    "a bonus that has not expired owes nothing": (
        [
            entry(51, RECEIVABLE_BOOK, "RECEIVABLE", user_id=BONUS_BOOK, ref_type="EXPIRY"),
            *BALANCED,
        ],
        [legs(51, "UNSETTLE"), legs(52, "WIN")],
    ),
    "a bonus that has not expired owes more than it has to": (
        [
            entry(51, BOBS_BONUS, "UNSETTLE", amount=-4),
            entry(51, RECEIVABLE_BOOK, "RECEIVABLE", amount=-46),
            *BALANCED,
        ],
        [legs(51, "UNSETTLE"), legs(52, "WIN"), legs(55, "CASHOUT"), legs(57, "WIN")],
    ),
    "a cash-out whose share is rounded by itself": (
        [entry(55, BOBS_BONUS, "CASHOUT", user_id=BOB), *BALANCED],
        [legs(55, "CASHOUT")],
    ),
    "a win whose share is rounded by itself": (
        moved(57, BOBS_BONUS, BOB, 1),
        [legs(57, "WIN")],
    ),
    "a clawback whose share is rounded by itself": (
        moved(58, BOB, BOBS_BONUS, 1),
        [legs(58, "UNSETTLE")],
    ),
    "a refund whose share is rounded by itself": (
        moved(59, BOBS_BONUS, BOB, 1),
        [legs(59, "REFUND")],
    ),
    "a cash-out whose share is rounded up": (
        [entry(54, BOB, "CASHOUT", user_id=BOBS_BONUS), *BALANCED],
        [legs(54, "CASHOUT")],
    ),
    "a grant that leaves what was over": (
        [
            "DELETE FROM transaction_ledger WHERE (transaction_id, ref_type) = (61, 'EXPIRY')",
            "UPDATE transaction_ledger SET id = id - 2 WHERE transaction_id = 61",
            "UPDATE blocks SET last_entry_id = last_entry_id - 2 WHERE id = 11",
            *BALANCED,
        ],
        [legs(61, "BONUS")],
    ),
    "a grant that takes some of what was over": (
        [
            entry(61, BONUS, "EXPIRY", amount=-166),
            entry(61, BONUS_BOOK, "EXPIRY", amount=166),
            *BALANCED,
        ],
        [legs(61, "BONUS")],
    ),
    "a grant that takes what was not over": (
        [f"UPDATE blocks SET at = {LATER_US} WHERE id = 11"],
        [legs(61, "BONUS")],
    ),
    "a grant that gives away what was over": (
        [entry(61, BONUS_BOOK, "EXPIRY", user_id=RECEIVABLE_BOOK), *BALANCED],
        [legs(61, "BONUS")],
    ),
    "whose debt it is": (
        [entry(51, RECEIVABLE_BOOK, "RECEIVABLE", ref_id=f"{ALICE}")],
        [legs(51, "UNSETTLE"), legs(52, "WIN"), owed(ALICE, 0, 45), owed(BOBS_BONUS, 0, -45)],
    ),
    "an expiry before its time": (
        [f"UPDATE blocks SET at = {SOON_US - 1} WHERE id = 6"],
        [bonus(29, OVER), free_bet(30, OVER), wrong("hold", 31, "its hold was over, or was not yet")],
    ),
    "grants and bets after their time": (
        [f"UPDATE blocks SET at = {LATER_US} WHERE id BETWEEN 3 AND 5"],
        [
            free_bet(10, OVER),
            bet(11, OTHER_SOURCE),
            free_bet(17, OVER),
            bonus(22, OVER),
            legs(22, "BONUS"),
            bet(24, OTHER_SOURCE),
        ],
    ),
    "another one who pays": (
        [told(47, source__user_id=BONUS)],
        [bet(47, NOT_ITS_DEBIT), bet(47, OTHER_SOURCE)],
    ),
    "another part that he pays": (
        [told(24, source__amount_minor=81)],
        [bet(24, NOT_ITS_DEBIT), legs(32, "WIN"), legs(33, "UNSETTLE")],
    ),
    "more than the stake": ([told(47, source__amount_minor=2)], [bet(47, NOT_ITS_DEBIT)]),
    "one who pays nothing": ([told(47, source__amount_minor=0)], [bet(47, NOT_SAID)]),
    "nobody who pays": ([silent(47, "source")], [bet(47, NOT_ITS_DEBIT)]),
    "an answer without a wallet": (
        ["UPDATE transactions SET answer = '{}' WHERE id = 47"],
        [bet(47, NOT_SAID)],
    ),
    "a stake under another name": (
        ["UPDATE transaction_ledger SET ref_type = 'TRANSFER' WHERE id = 87"],
        [legs(47, "BET")],
    ),
    "a free bet that nobody pays": (
        [silent(46, "source")],
        [bet(46, NOT_ITS_DEBIT), bet(46, OTHER_SOURCE)],
    ),
    "a bet out of the bonus book that is not free": (
        [silent(46, "free_bet")],
        [bet(46, TERMS), bet(46, OTHER_SOURCE), free_bet_row(45)],
    ),
    "a free bet of another player's": (
        [told(46, free_bet__id=19)],
        [
            bet(46, TERMS),
            bet(46, OTHER_SOURCE),
            free_bet(46, NOT_BEFORE),
            free_bet_row(19),
            free_bet_row(45),
        ],
    ),
    "a free bet of another amount": ([told(46, free_bet__amount_minor=3)], [free_bet(46, NOT_FOLLOWING)]),
    "a free bet that stays open": (
        [told(46, free_bet__state="open")],
        [free_bet(46, NOT_FOLLOWING), free_bet_row(45)],
    ),
    "a free bet that is granted for more": (
        [told(15, free_bet__amount_minor=6)],
        [free_bet(15, NOT_FOLLOWING)],
    ),
    "a free bet that is granted twice": (
        [told(17, free_bet__id=15)],
        [free_bet(17, NOT_FOLLOWING)],
    ),
    "a void bet that keeps its free bet": (
        [silent(12, "free_bet")],
        [free_bet(12, NOT_SAID), free_bet(13, NOT_BEFORE)],
    ),
    "a bet that gives another free bet back": (
        [told(21, free_bet__id=10)],
        [free_bet(21, NOT_SAID), free_bet_row(19)],
    ),
    "a won bet that gives its free bet back": (
        [
            "UPDATE transactions SET answer = json_set(answer, '$.free_bet', "
            "json_object('id', 10, 'state', 'open', 'amount_minor', 50, 'before', 13)) WHERE id = 14"
        ],
        [free_bet(14, NOT_SAID)],
    ),
    "a win that is a cash-out of a free bet": (
        [
            "UPDATE transactions SET kind = 'CASHOUT' WHERE id = 14",
            told(14, bet__state="cashed_out", bet__settled_minor=0, bet__cashed_stake_minor=50),
            "UPDATE bets SET state = 'cashed_out', settled = 0, cashed_stake = 50 WHERE transaction_id = 11",
            "UPDATE transaction_ledger SET ref_type = 'CASHOUT' WHERE transaction_id = 14",
        ],
        [bet(14, NOT_FOLLOWING)],
    ),
    "a free bet used again that skips its return": (
        [told(13, free_bet__before=11)],
        [free_bet(13, NOT_BEFORE)],
    ),
    "a free bet revoked that says it has expired": (
        [told(16, free_bet__state="expired")],
        [free_bet(16, NOT_FOLLOWING), free_bet_row(15)],
    ),
    "a free bet revoked in silence": (
        [silent(16, "free_bet")],
        [free_bet(16, NOT_SAID), free_bet_row(15)],
    ),
    "an expiry of nothing": (
        [silent(30, "free_bet")],
        [wrong("hold", 30, NOT_SAID), free_bet_row(17)],
    ),
    **{
        f"a transfer that is a {kind}": (
            [f"UPDATE transactions SET kind = '{kind}' WHERE id = 27"],
            [legs(27, kind), wrong(check, 27, NOT_SAID)],
        )
        for kind, check in (("REVOKE", "free_bet"), ("FREE_BET", "free_bet"), ("WALLET", "participant"))
    },
    "a grant with entries of a transfer": (
        ["UPDATE transaction_ledger SET transaction_id = 26 WHERE id IN (43, 44)"],
        [bonus(26, OTHER_TERMS), legs(26, "BONUS"), legs(27, "TRANSFER")],
    ),
    **{
        f"a transaction {id_} that moves money": (
            [f"UPDATE transaction_ledger SET transaction_id = {id_} WHERE id IN ({ids})"],
            # Entries in another order than their transactions have no root.
            [legs(id_, kind), legs(robbed, other), *([block(2, EDITED)] if id_ == 4 else [])],
        )
        for id_, kind, ids, robbed, other in (
            (4, "WALLET", "10, 11, 12", 7, "WIN"),
            (15, "FREE_BET", "25, 26", 14, "WIN"),
            (16, "REVOKE", "25, 26", 14, "WIN"),
            (30, "EXPIRY", "47, 48", 29, "EXPIRY"),
            (31, "EXPIRY", "47, 48", 29, "EXPIRY"),
        )
    },
    "a deposit into a bonus wallet": (
        [
            "UPDATE transactions SET kind = 'DEPOSIT' WHERE id = 26",
            "UPDATE transaction_ledger SET ref_type = 'DEPOSIT' WHERE transaction_id = 26",
        ],
        [
            legs(26, "DEPOSIT"),
            *(bet(id_, OTHER_SOURCE) for id_ in PAID_BY_BOBS_BONUS),
            bonus_row(BOBS_BONUS, NO_GRANT),
        ],
    ),
    "another wallet that was opened": ([told(3, opened__user_id=CAROL)], [opening(3, OTHER_WALLET)]),
    "a wallet opened twice": (
        [told(3, opened__user_id=CAROL, opened__participant_id=CAROL)],
        [opening(3, OTHER_TERMS), opening(4, OTHER_WALLET)],
    ),
    "a bonus wallet opened": (
        [told(3, opened__user_id=BONUS)],
        [opening(3, OTHER_WALLET)],
    ),
}
"""Edits of history, sealed again to the end: only what the rows mean tells."""
