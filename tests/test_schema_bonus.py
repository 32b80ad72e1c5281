"""What the schema lets through of persons, bonus money and free bets, and what it cannot stop."""

from __future__ import annotations

import pytest

from tests.attacks_on_bonus import NEW, OTHER, THIS, expired, granted, granted_again, turn, two
from tests.attacks_on_free_bets import becomes, given, played, told_between
from tests.book_rows import Row, Value, bet, insert
from tests.books import ALICE, BOB, ENGINE_PRAGMAS, FLOOR, HOUSE_USD, SQLITE_DEFAULTS, attempt, person, wallet
from tests.books_archive import open_history
from tests.books_bonus import (
    ALICE_USD,
    AMOUNT,
    FREE_BET,
    GIVEN_BACK,
    OF_ALICE,
    OF_ALICE_TOO,
    REFUNDED_BET,
    UNTIL,
    UNUSED,
    USED,
    bonus,
    bonus_becomes,
    free_bet,
    free_bet_becomes,
    of_bonus,
    of_free_bet,
)

PRAGMAS = [pytest.param(ENGINE_PRAGMAS, id="engine"), pytest.param(SQLITE_DEFAULTS, id="defaults")]
IN_A_BONUS = "SELECT spend, expires_at, state, last_transaction_id FROM bonuses WHERE user_id = "
BONUS_BOOK_USD: Row = {"id": 2**51 + HOUSE_USD, "kind": "bonus", "currency": "USD", "floor": FLOOR}
ROLLED_BACK = f"bet-{THIS}"


def _free_bet(number: int) -> str:
    return f"SELECT state, last_transaction_id FROM free_bets WHERE id = {number}"


def _used_again() -> str:
    """A free bet is given back and used by another bet, in one batch."""
    return two(
        ("REFUND", of_free_bet(USED, "open", 37, FREE_BET)),
        ("BET", of_free_bet(USED, "used", THIS)),
        insert("bets", bet(OTHER, ALICE, AMOUNT)),
        free_bet_becomes(USED, state="used", last_transaction_id=OTHER),
    )


def _used_and_rolled_back() -> str:
    """A free bet is used by a bet that is rolled back, in one batch: it is open as before."""
    return two(
        ("BET", of_free_bet(UNUSED, "used")),
        ("ROLLBACK", of_free_bet(UNUSED, "open", THIS, ROLLED_BACK)),
        insert("bets", bet(THIS, ALICE, AMOUNT)),
        free_bet_becomes(UNUSED, state="open", last_transaction_id=OTHER),
    )


def _given_and_used() -> str:
    """A free bet is used in the batch that gives it."""
    return two(
        ("FREE_BET", of_free_bet(THIS, "open")),
        ("BET", of_free_bet(THIS, "used")),
        insert("bets", bet(OTHER, ALICE, AMOUNT)),
        insert("free_bets", free_bet(THIS, ALICE)),
        free_bet_becomes(THIS, state="used", last_transaction_id=OTHER),
    )


def _granted_twice() -> str:
    """A bonus is granted again, on other terms, in the batch that makes it."""
    return two(
        ("BONUS", of_bonus(NEW)),
        ("BONUS", of_bonus(NEW, spend="last")),
        wallet(NEW, ALICE, "USD", "player_bonus"),
        insert("bonuses", bonus(NEW, ALICE_USD, THIS)),
        bonus_becomes(NEW, spend="last", last_transaction_id=OTHER),
    )


GO_ON: list[tuple[str, str, str, tuple[Value, ...]]] = [
    ("a new person", "BEGIN;" + person(40) + "COMMIT", "SELECT max(id) FROM participants", (40,)),
    ("a further wallet", wallet(40, BOB), "SELECT participant_id FROM users WHERE id = 40", (BOB,)),
    (
        "a bonus book",
        insert("users", BONUS_BOOK_USD),
        "SELECT count(*) FROM users WHERE kind = 'bonus'",
        (2,),
    ),
    ("a bonus granted", granted(), f"{IN_A_BONUS}{NEW}", ("first", UNTIL, "open", THIS)),
    ("a bonus granted twice", _granted_twice(), f"{IN_A_BONUS}{NEW}", ("last", UNTIL, "open", OTHER)),
    (
        "a bonus granted again on other terms",
        granted_again(spend="last", expires_at=UNTIL + 1),
        f"{IN_A_BONUS}{OF_ALICE}",
        ("last", UNTIL + 1, "open", THIS),
    ),
    (
        "a bonus granted after it has expired",
        granted_again(OF_ALICE_TOO),
        f"{IN_A_BONUS}{OF_ALICE_TOO}",
        ("first", UNTIL, "open", THIS),
    ),
    ("a bonus expired", expired(), f"{IN_A_BONUS}{OF_ALICE}", ("first", UNTIL, "expired", THIS)),
    (
        "a bonus that owes",
        turn("UNSETTLE", "{}", f"UPDATE users SET owed = 5 WHERE id = {OF_ALICE};\n"),
        f"SELECT owed FROM users WHERE id = {OF_ALICE}",
        (5,),
    ),
    ("a free bet given", given(), _free_bet(THIS), ("open", 0)),
    ("a free bet given and used", _given_and_used(), _free_bet(THIS), ("used", OTHER)),
    ("a free bet used", played(), _free_bet(UNUSED), ("used", THIS)),
    ("a free bet used once more", played(GIVEN_BACK, BOB, 35), _free_bet(GIVEN_BACK), ("used", THIS)),
    (
        "a free bet given back",
        becomes(USED, "REFUND", "open", 37, FREE_BET),
        _free_bet(USED),
        ("open", THIS),
    ),
    (
        "a free bet rolled back",
        becomes(USED, "ROLLBACK", "open", 37, FREE_BET),
        _free_bet(USED),
        ("open", THIS),
    ),
    (
        "a free bet used by its bet again",
        becomes(GIVEN_BACK, "UNSETTLE", "used", 35, REFUNDED_BET),
        _free_bet(GIVEN_BACK),
        ("used", THIS),
    ),
    ("a free bet given back and used by another", _used_again(), _free_bet(USED), ("used", OTHER)),
    ("a free bet used and rolled back", _used_and_rolled_back(), _free_bet(UNUSED), ("open", OTHER)),
    ("a free bet revoked", becomes(UNUSED, "REVOKE", "revoked"), _free_bet(UNUSED), ("revoked", THIS)),
    ("a free bet expired", becomes(UNUSED, "EXPIRY", "expired"), _free_bet(UNUSED), ("expired", THIS)),
]


@pytest.mark.parametrize("pragmas", PRAGMAS)
@pytest.mark.parametrize(
    ("sql", "look", "found"), [each[1:] for each in GO_ON], ids=[each[0] for each in GO_ON]
)
def test_what_becomes_of_persons_bonuses_and_free_bets_passes(
    sql: str, look: str, found: tuple[Value, ...], pragmas: dict[str, str]
) -> None:
    db = open_history(pragmas, blocks=5)

    assert attempt(db, sql) is None

    assert db.execute(look).fetchone() == found
    assert db.execute("PRAGMA foreign_key_check").fetchall() == []


def test_a_person_without_a_wallet_bars_the_next_one_until_his_wallet_is_made() -> None:
    """A limit of the schema with foreign_keys=OFF: `foreign_key_check` finds him, and a shell can mend it."""
    db = open_history(SQLITE_DEFAULTS, blocks=5)
    assert attempt(db, f"INSERT INTO participants (id) VALUES ({NEW})") is None
    assert len(db.execute("PRAGMA foreign_key_check").fetchall()) == 1

    assert "UNIQUE constraint failed" in str(attempt(db, "BEGIN;" + person(NEW) + "COMMIT"))

    assert attempt(db, wallet(NEW, NEW)) is None
    assert db.execute("PRAGMA foreign_key_check").fetchall() == []


def test_a_bonus_wallet_without_terms_is_a_limit_of_the_schema() -> None:
    """In a batch of one's own, that has the grant: `reconcile` misses the row that the answer tells of."""
    db = open_history(ENGINE_PRAGMAS, blocks=5)

    assert attempt(db, turn("BONUS", of_bonus(NEW), wallet(NEW, ALICE, kind="player_bonus"))) is None


def test_a_refund_made_up_in_the_same_batch_opens_a_free_bet_unseen() -> None:
    """A limit of the schema: the row is written once; what was told in between is for `reconcile`."""
    db = open_history(ENGINE_PRAGMAS, blocks=5)

    assert attempt(db, told_between(USED, "open", "REFUND")) is None

    assert db.execute(_free_bet(USED)).fetchone() == ("used", OTHER)
