"""Attacks on whose a wallet is: persons and wallets made up, taken over, moved, or numbered wrongly."""

from __future__ import annotations

from dataclasses import replace

from tests.attacks_on_bonus import ACCOUNT, GRANT, NEW, in_a_later_batch, turn
from tests.attacks_on_holders import BEGINS_EMPTY, IDENTITY
from tests.attacks_on_life import FREEZE
from tests.book_rows import Row, insert
from tests.books import ALICE, BOB, BONUS_BOOK, CASH_USD, FLOOR, HOUSE, HOUSE_USD, Attack, attacks, wallet
from tests.books_bonus import ALICE_TOO, OF_ALICE, of_bonus

PARTICIPANTS_GROW = "participants: his number is that of his first wallet, which is to come"
BELONGS = "users: a wallet is that of a participant, whose first wallet has his number"
BY_A_GRANT = "users: a bonus wallet is made by the grant that names it"
BOOK_OF_A_HOUSE = "users: a bonus book has the number of the house of its currency, and 2\\^51"
BEYOND = 2**51
PERSON = 40  # a number that nobody has


def _participant(number: int | None, verb: str = "INSERT") -> str:
    return insert("participants", {"id": number}, verb)


def _together(*sql: str) -> str:
    return "BEGIN;\n" + "".join(sql) + "COMMIT;\n"


def _book(number: int, currency: str = "USD", verb: str = "INSERT", **changes: int | str) -> str:
    """A book of the house, which is a bonus book unless `changes` say otherwise."""
    row: Row = {"id": number, "kind": "bonus", "currency": currency, "floor": FLOOR, **changes}
    return insert("users", row, verb)


def _set(user: int, change: str) -> str:
    return f"UPDATE users SET {change} WHERE id = {user};\n"


_PERSONS = [
    *attacks(
        PARTICIPANTS_GROW,
        {
            "a participant with the number of the house": _participant(HOUSE),
            "a participant with the number of a further wallet": _participant(ALICE_TOO),
            "a participant replaced": _participant(ALICE, "INSERT OR REPLACE"),
        },
    ),
    Attack("a participant with any number", _participant(None), "NOT NULL constraint failed"),
    *attacks(
        "participant_ids_are_those_of_wallets",
        {
            "a participant with the number zero": _participant(0),
            "a participant with a number below zero": _participant(-1),
            "a participant with the number of a bonus book": _participant(BEYOND + 99),
        },
    ),
    Attack("a participant with half a number", _participant(None).replace("NULL", "40.5"), "cannot store"),
    *attacks(
        "participants do not change",
        {
            "a participant who becomes another": f"UPDATE participants SET id = {PERSON} WHERE id = {BOB}",
            "a participant put over another": (
                f"UPDATE OR REPLACE participants SET id = {ALICE} WHERE id = {BOB}"
            ),
        },
    ),
    *attacks(
        "participants are not deleted",
        {
            "a participant deleted": f"DELETE FROM participants WHERE id = {BOB}",
            "all participants deleted": "DELETE FROM participants",
        },
    ),
]

_WALLETS = [
    *attacks(
        BELONGS,
        {
            "a first wallet of nobody": wallet(PERSON, PERSON),
            "a further wallet of nobody": wallet(PERSON, 99),
            "a wallet of the house's": wallet(PERSON, HOUSE),
            "a wallet of a wallet that is not the first": wallet(PERSON, ALICE_TOO),
            "a wallet in the place of another's first": _together(
                _participant(PERSON), wallet(PERSON, ALICE)
            ),
            "a book in the place of a first wallet": _together(
                _participant(PERSON), _book(PERSON, kind="fees")
            ),
            "a further wallet before the first": _together(
                _participant(PERSON), wallet(41, PERSON), wallet(PERSON, PERSON)
            ),
            "a bonus wallet as the first": turn(
                "BONUS", of_bonus(PERSON), _participant(PERSON), wallet(PERSON, PERSON, kind="player_bonus")
            ),
        },
    ),
    *attacks(
        "wallets_are_somebodys",
        {
            "a wallet of nobody": insert("users", {"id": PERSON, "kind": "player", "currency": "EUR"}),
            "a book of a player's": _book(PERSON, kind="fees", participant_id=ALICE),
            "a bonus book of a player's": _book(BEYOND + HOUSE_USD, participant_id=ALICE),
        },
    ),
    *attacks(
        IDENTITY,
        {
            "a wallet moved to another person": _set(ALICE_TOO, f"participant_id = {BOB}"),
            "a first wallet moved to another person": _set(ALICE, f"participant_id = {BOB}"),
            "a bonus wallet moved to another person": _set(OF_ALICE, f"participant_id = {BOB}"),
            "a wallet that becomes a bonus wallet": _set(ALICE_TOO, "kind = 'player_bonus'"),
            "a bonus made cash": _set(OF_ALICE, "kind = 'player'"),
            "a wallet taken away from everybody": _set(ALICE, "participant_id = NULL"),
        },
    ),
    Attack(
        "a wallet moved to another person by REPLACE",
        wallet(ALICE_TOO, BOB).replace("INSERT", "INSERT OR REPLACE"),
        BEGINS_EMPTY,
    ),
    *attacks(
        BY_A_GRANT,
        {
            "a bonus wallet without a grant": ACCOUNT,
            "a bonus wallet beside a transaction of another kind": turn("TRANSFER", of_bonus(NEW), ACCOUNT),
            "a bonus wallet beside the grant of another": turn("BONUS", of_bonus(OF_ALICE), ACCOUNT),
            "a bonus wallet in a frozen batch": turn(*GRANT, FREEZE, ACCOUNT),
            "a bonus wallet behind the seal": turn(*GRANT, after=ACCOUNT),
            "a bonus wallet of a grant sealed before": in_a_later_batch(turn(*GRANT), ACCOUNT),
        },
    ),
    *attacks(
        "only_players_owe_and_hold",
        {
            "bonus money set aside": turn("HOLD", "{}", _set(OF_ALICE, "held = 1")),
            "bonus money of the house set aside": turn("HOLD", "{}", _set(BONUS_BOOK, "held = 1")),
            "a debt of the bonus book": turn("HOLD", "{}", _set(BONUS_BOOK, "owed = 1")),
        },
    ),
    Attack("a bonus that is overdrawn", _set(OF_ALICE, "balance = -1"), "available_is_not_negative"),
    Attack(
        "a bonus that JSON would round", _set(OF_ALICE, f"balance = {2**53}"), "player_balance_fits_the_wire"
    ),
]

_BOOKS = [
    *attacks(
        BOOK_OF_A_HOUSE,
        {
            "a bonus book of no house": _book(BEYOND + 99),
            "a second bonus book": _book(BEYOND + 99, "EUR"),
            "a bonus book of the cash book": _book(BEYOND + CASH_USD),
            "a bonus book of a house in another currency": _book(BEYOND + HOUSE_USD, "GBP"),
            "a bonus book with the number of a wallet": _book(PERSON),
        },
    ),
    Attack(
        "a bonus book in the place of another", _book(BONUS_BOOK, "EUR", "INSERT OR REPLACE"), BEGINS_EMPTY
    ),
    *attacks(
        "bonus_books_stand_apart",
        {
            "a wallet among the bonus books": wallet(BEYOND + 99, ALICE),
            "the last wallet among the bonus books": wallet(2 * BEYOND - 1, ALICE),
            "a book of another kind among the bonus books": _book(BEYOND + HOUSE_USD, kind="fees"),
        },
    ),
]

PARTICIPANTS = [replace(each, blocks=5) for each in (*_PERSONS, *_WALLETS, *_BOOKS)]

# SQLite looks for the first wallet at COMMIT, if at all.
WITHOUT_WALLET = Attack("a participant without a wallet", _participant(PERSON), "FOREIGN KEY")
