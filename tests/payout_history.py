"""Forgeries of the history of mass payouts and limits, as data; the books are those of payout_forgeries."""

from __future__ import annotations

from engine.checks import Finding
from engine.commands import CLEARING_ID_BASE
from engine.life_checks import NOT_BEFORE, NOT_FOLLOWING, NOT_IN_CHAIN, NOT_SAID, NOT_WHERE_TOLD
from engine.payout_checks import NO_ITEM, NO_PAIR, NO_PAYOUT, OTHER_SUSPENSE, OTHER_TERMS
from tests.books_open import ALICE, BOB
from tests.forgeries import legs
from tests.life_forgeries import told
from tests.payout_forgeries import BLOCKS, OTHER_LIMIT, limit, payout, reserve


def slipped_in(kind: str, answer: str, fingerprint_of: int = 28) -> list[str]:
    """A transaction 29 at the end of the newest block."""
    return [
        f"INSERT INTO transactions SELECT 29, '{kind}', 'op:x', 'x', fingerprint, '{answer}', {BLOCKS} "
        f"FROM transactions WHERE id = {fingerprint_of}",
        f"UPDATE blocks SET last_transaction_id = 29 WHERE id = {BLOCKS}",
    ]


_BOUNDLESS = f"UPDATE transactions SET answer = json_set(answer, '$.limit.amount', json('{2**64}'))"

HISTORY: dict[str, tuple[list[str], list[Finding]]] = {
    "an answer that says nothing of a payout": (
        ["UPDATE transactions SET answer = '{}' WHERE id = 12"],
        [
            payout(12, NOT_SAID),
            payout(13, NOT_BEFORE),
            payout(9, NOT_IN_CHAIN),
            payout(10, NOT_IN_CHAIN),
            payout(11, NOT_IN_CHAIN),
            reserve("clearing", CLEARING_ID_BASE + 8, 0, 277),
        ],
    ),
    "an answer that says nothing of a limit": (
        ["UPDATE transactions SET answer = '{}' WHERE id = 25"],
        [
            {"check": "limit", "transaction_id": 25, "why": NOT_SAID},
            limit(BOB, "exclusion", "ever", OTHER_LIMIT),
        ],
    ),
    "an opening that says more": (
        [told(8, payout__items=1)],
        [payout(8, NOT_FOLLOWING)],
    ),
    "a payout of a number that is still to come": (
        [told(9, payout__id=10)],
        [payout(9, NOT_SAID), payout(10, NOT_BEFORE)],
    ),
    "a payout of an impossible number of items": (
        [told(9, payout__items=1152921504606846976)],
        [payout(9, NOT_SAID), payout(10, NOT_BEFORE)],
    ),
    "items added twice": (
        [told(10, payout__items=6)],
        [payout(10, NOT_FOLLOWING), payout(11, NOT_FOLLOWING)],
    ),
    "a start of another sum": (
        [told(11, payout__total_minor=278)],
        [
            payout(11, NOT_FOLLOWING),
            legs(11, "PAYOUT_START"),
            payout(12, NOT_FOLLOWING),
            reserve("clearing", CLEARING_ID_BASE + 8, 0, 1),
        ],
    ),
    "a start before its items": (
        [told(11, payout__before=9)],
        [payout(11, NOT_FOLLOWING), payout(10, NOT_IN_CHAIN)],
    ),
    "a start that names the opening": (
        [told(11, payout__before=8)],
        [payout(11, NOT_BEFORE), payout(9, NOT_IN_CHAIN), payout(10, NOT_IN_CHAIN)],
    ),
    "a chunk that pays less": (
        [told(22, payout__done=99), "UPDATE payouts SET done = 99 WHERE id = 19"],
        [payout(22, NOT_FOLLOWING), legs(22, "PAYOUT"), reserve("clearing", CLEARING_ID_BASE + 19, 1, 2)],
    ),
    "a chunk that is the end": (
        [told(22, payout__state="paid"), "UPDATE payouts SET state = 'paid' WHERE id = 19"],
        [payout(22, NOT_FOLLOWING)],
    ),
    "a chunk of another payout": (
        [told(22, payout__id=8)],
        [
            payout(19, NOT_WHERE_TOLD),
            payout(22, NOT_BEFORE),
            payout(20, NOT_IN_CHAIN),
            payout(21, NOT_IN_CHAIN),
            payout(22, NOT_IN_CHAIN),
            reserve("clearing", CLEARING_ID_BASE + 19, 1, 101),
        ],
    ),
    "a chunk that suspends nobody": (
        ["UPDATE transactions SET answer = json_remove(answer, '$.payout.suspends') WHERE id = 12"],
        [payout(12, NOT_FOLLOWING), legs(12, "PAYOUT")],
    ),
    "a resolution that resolves two": (
        [told(13, payout__suspended=0), "UPDATE payouts SET suspended = 0 WHERE id = 8"],
        [payout(13, NOT_FOLLOWING)],
    ),
    "a resolution of no item": (
        ["UPDATE transaction_ledger SET ref_id = '8:9' WHERE transaction_id = 13"],
        [payout(13, NO_ITEM), legs(13, "PAYOUT_ITEM")],
    ),
    "a resolution of another item": (
        ["UPDATE transaction_ledger SET ref_id = '8:1' WHERE transaction_id = 13"],
        [payout(13, OTHER_SUSPENSE), legs(13, "PAYOUT_ITEM")],
    ),
    "a resolution of what is no number": (
        ["UPDATE transaction_ledger SET ref_id = '8' WHERE transaction_id = 13"],
        [payout(13, NO_ITEM), legs(13, "PAYOUT_ITEM")],
    ),
    "the fingerprint of a chunk": (
        ["UPDATE transactions SET fingerprint = zeroblob(32) WHERE id = 12"],
        [payout(12, OTHER_TERMS)],
    ),
    "the fingerprint of an opening": (
        ["UPDATE transactions SET fingerprint = zeroblob(32) WHERE id = 17"],
        [payout(17, OTHER_TERMS)],
    ),
    "the fingerprint of a start": (
        ["UPDATE transactions SET fingerprint = zeroblob(32) WHERE id = 11"],
        [payout(11, OTHER_TERMS)],
    ),
    "the fingerprint of a small payout": (
        ["UPDATE transactions SET fingerprint = zeroblob(32) WHERE id = 14"],
        [payout(14, OTHER_TERMS)],
    ),
    "a winner paid under another name": (
        [f"UPDATE transaction_ledger SET ref_type = 'WIN' WHERE transaction_id = 14 AND user_id = {ALICE}"],
        [legs(14, "PAYOUT")],
    ),
    "a winner paid in place of another": (
        [f"UPDATE transaction_ledger SET ref_id = '19' WHERE transaction_id = 14 AND user_id = {ALICE}"],
        [legs(14, "PAYOUT")],
    ),
    "whose debt was kept back": (
        [
            f"UPDATE transaction_ledger SET ref_id = '{BOB}'"
            f" WHERE transaction_id = 12 AND ref_type = 'RECEIVABLE' AND amount = 50"
        ],
        [
            legs(12, "PAYOUT"),
            legs(14, "PAYOUT"),
            legs(22, "PAYOUT"),
            {"check": "owed", "user_id": 7, "owed": 0, "ledger": 50},
            {"check": "owed", "user_id": 8, "owed": 0, "ledger": -50},
        ],
    ),
    "which item is in suspense": (
        ["UPDATE transaction_ledger SET ref_id = '8:3' WHERE transaction_id = 12 AND ref_id = '8:1'"],
        [legs(12, "PAYOUT")],
    ),
    "the sum under the name of another payout": (
        ["UPDATE transaction_ledger SET ref_id = '19' WHERE transaction_id = 11"],
        [legs(11, "PAYOUT_START")],
    ),
    "a chunk twice over": (
        slipped_in(
            "PAYOUT",
            '{"payout":{"id":8,"state":"paid","items":4,"total_minor":277,"done":4,"suspended":1,"before":13}}',
            12,
        ),
        [payout(29, NOT_FOLLOWING), legs(29, "PAYOUT"), payout(29, NOT_IN_CHAIN)],
    ),
    "a start twice over": (
        slipped_in(
            "PAYOUT_START", '{"payout":{"id":17,"state":"paying","items":1,"total_minor":3,"before":18}}', 11
        ),
        [payout(29, OTHER_TERMS), legs(29, "PAYOUT_START"), payout(29, NOT_IN_CHAIN)],
    ),
    "a resolution of a payout that there is not": (
        slipped_in("PAYOUT_ITEM", '{"payout":{"id":15,"state":"paid","before":13}}', 13),
        [payout(29, NO_PAYOUT)],
    ),
    "a small payout without a row": (
        slipped_in("PAYOUT", '{"payout":{"id":29,"state":"paid"}}', 14),
        [payout(29, NO_PAIR), payout(29, NO_PAYOUT)],
    ),
    "an opening without a row": (
        slipped_in("PAYOUT_OPEN", '{"payout":{"id":29,"state":"collecting"}}', 17),
        [payout(29, NO_PAIR)],
    ),
    "an answer of a looser limit": (
        [told(23, limit__amount=600)],
        [{"check": "limit", "transaction_id": 23, "why": OTHER_TERMS}],
    ),
    "an answer of a limit that nobody can have asked for": (
        [
            told(24, limit__pending_from_us=0),
            f"{_BOUNDLESS} WHERE id = 24",
        ],
        [
            {"check": "limit", "transaction_id": 24, "why": OTHER_TERMS},
            limit(ALICE, "stake", "day", OTHER_LIMIT),
        ],
    ),
    "an answer of an exclusion that nobody can have asked for": (
        [f"{_BOUNDLESS} WHERE id = 25"],
        [
            {"check": "limit", "transaction_id": 25, "why": OTHER_TERMS},
            limit(BOB, "exclusion", "ever", OTHER_LIMIT),
        ],
    ),
    "an answer of a limit that does not wait": (
        [told(24, limit__amount=800, limit__pending=-1, limit__pending_from_us=0)],
        [limit(ALICE, "stake", "day", OTHER_LIMIT)],
    ),
    "a limit asked for once more": (
        slipped_in(
            "LIMIT",
            '{"wallet":{"seq":1,"balance_minor":0,"held_minor":0,"available_minor":0},"limit":{"user_id":7,"kind":"stake","period":"day","amount":500,"pending":-1,"pending_from_us":0}}',
            23,
        ),
        [limit(ALICE, "stake", "day", OTHER_LIMIT)],
    ),
}
