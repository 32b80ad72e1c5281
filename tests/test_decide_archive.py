"""Archives as pure decisions: what may be begun and carried, and what is told of what is in one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import pytest

from engine.commands import KINDS, CarryArchive, Command, OpenArchive, PlaceBet, UnsettleBet, fingerprint
from engine.decide import decide
from engine.decide.archive import ARCHIVES_MAX
from engine.money import BOOK_FLOOR_MINOR
from engine.outcomes import Accepted, ArchiveTold, Code, Outcome, Rejected
from engine.records import Transaction
from engine.subjects import Archive, LiveBet
from engine.view import Boundary, View
from tests.books_open import (
    ALICE,
    NOW_US,
    account,
    bet_id,
    cash_out,
    deposit,
    place,
    roll_back,
    settle,
    unsettle,
    view_of,
)
from tests.precedence_cases import WALLET_CASES
from tests.test_precedence import CASES

RECEIVABLE: Final = 6
OPENINGS, CARRIED = bytes(range(32)), bytes(range(32, 64))
NEWEST: Final = Boundary(block_id=7, transaction_id=70, entry_id=140, moved_id=0, archives=0)
DIGESTS: Final = {"openings": OPENINGS, "carried": CARRIED}


def own(key: str) -> dict[str, Any]:
    return {"key": key, "caller": "test"}


def begin(before_us: int = NOW_US, key: str = "a") -> OpenArchive:
    return OpenArchive(before_us, **own(key))


def carry(archive_id: int = 1, key: str = "c") -> CarryArchive:
    return CarryArchive(archive_id, OPENINGS, CARRIED, **own(key))


def archive(state: str = "copying", upto: int = 70) -> Archive:
    """One that was begun before."""
    return Archive(60, 7, upto, 140, state, 61 if state == "moving" else 0)


def view(boundary: Boundary = NEWEST, newest: Archive | None = None) -> View:
    """A view in which ALICE has 100, and each time that is asked for has this boundary."""
    made = view_of(account(ALICE, 100))
    made.accounts[RECEIVABLE] = account(RECEIVABLE, kind="receivable", floor_minor=BOOK_FLOOR_MINOR)
    made.books["receivable", "EUR"] = RECEIVABLE
    made.boundaries = {NOW_US + each: boundary for each in (-1, 0, 1)}
    made.archive = newest
    return made


def run(made: View, *commands: Command) -> Outcome:
    *before, command = commands
    for each in before:
        assert isinstance(decide(made, each, NOW_US), Accepted), each
    return decide(made, command, NOW_US)


def why(outcome: Outcome) -> tuple[Code, bool]:
    assert isinstance(outcome, Rejected), outcome
    return outcome.code, outcome.is_archived


def told(outcome: Outcome) -> ArchiveTold:
    assert isinstance(outcome, Accepted), outcome
    assert outcome.entries == ()
    assert outcome.archive is not None
    return outcome.archive


def test_an_archive_is_begun_up_to_the_newest_block_before_a_time() -> None:
    made = view()

    answer = told(run(made, begin()))

    assert answer == ArchiveTold(1, "copying", 7, 70, 140, before_us=NOW_US)
    assert made.new_transactions[-1].kind == "ARCHIVE"
    assert made.made[Archive] == [(1, 7, 70, 140)]
    assert made.archive == Archive(1, 7, 70, 140, "copying", 0)


@pytest.mark.parametrize(
    ("made", "before_us", "code"),
    [
        (view(), NOW_US + 1, Code.INVALID_REQUEST),  # of what is to come, nobody knows what is over by then
        (view(newest=archive("copying")), NOW_US, Code.INVALID_REQUEST),
        (view(newest=archive("moving")), NOW_US, Code.INVALID_REQUEST),
        (view(NEWEST._replace(moved_id=59), archive("moving")), NOW_US, Code.INVALID_REQUEST),
        (view(NEWEST._replace(archives=ARCHIVES_MAX)), NOW_US, Code.INVALID_REQUEST),
        (view(Boundary(0, 0, 0, 0, 0)), NOW_US, Code.NOT_FOUND),
        (view(NEWEST._replace(moved_id=60), archive("moving")), NOW_US, Code.NOT_FOUND),
    ],
    ids=[
        *("to come", "one is being copied", "one is being moved", "only an older one is moved"),
        *("as many as can be", "before the first block", "nothing new"),
    ],
)
def test_an_archive_is_not_begun(made: View, before_us: int, code: Code) -> None:
    before = made.archive

    assert why(run(made, begin(before_us))) == (code, False)

    assert (made.archive, made.changed) == (before, False)


@pytest.mark.parametrize("before_us", [NOW_US - 1, NOW_US])
def test_the_time_may_be_that_of_the_batch_and_no_later(before_us: int) -> None:
    assert told(run(view(), begin(before_us))).before_us == before_us


def test_one_more_than_there_are_can_be_begun_until_there_are_ten() -> None:
    almost = NEWEST._replace(archives=ARCHIVES_MAX - 1, moved_id=60)
    made = view(almost._replace(block_id=8), archive("moving"))

    assert told(run(made, begin())).block_id == 8


def test_an_archive_is_carried_once() -> None:
    made = view()

    answer = told(run(made, begin(), carry()))

    assert answer == ArchiveTold(
        1, "moving", 7, 70, 140, openings=OPENINGS.hex(), carried=CARRIED.hex(), before=0
    )
    assert made.new_transactions[-1].kind == "CARRY"
    assert made.archive is not None
    assert made.archive.as_changed() == ("moving", OPENINGS, CARRIED, 2, 1, 0)
    assert why(run(made, carry(key="again"))) == (Code.NOT_FOUND, False)
    assert run(made, carry()) == Accepted(
        2, made.block_id, replayed=True, entries=(), wallet=None, archive=answer
    )


@pytest.mark.parametrize(
    "made", [view(), view(newest=archive("moving"))], ids=["there is none", "it was carried before"]
)
def test_what_is_not_being_copied_is_not_carried(made: View) -> None:
    assert why(run(made, carry(60))) == (Code.NOT_FOUND, False)
    assert not made.changed


def test_another_archive_than_that_which_is_being_copied_is_not_carried() -> None:
    assert why(run(view(newest=archive()), carry(59))) == (Code.NOT_FOUND, False)


# --- keys -------------------------------------------------------------------------------------------------


def test_the_key_of_every_kind_of_command_may_be_archived() -> None:
    assert {type(case.command) for case in CASES.values()} == {PlaceBet, *KINDS}
    assert WALLET_CASES.keys() < CASES.keys()


@pytest.mark.parametrize("objection", [None, Code.OVERLOADED])
@pytest.mark.parametrize("name", CASES)
def test_a_command_whose_key_is_archived_is_a_conflict_and_changes_nothing(
    name: str, objection: Code | None
) -> None:
    """Whether it is the same command nobody here can tell; and it is told so however late it comes."""
    situation = CASES[name].situation()
    made, command = situation.view, situation.command
    made.archived = {(command.scope, command.key)}
    before = len(made.new_transactions), dict(made.made)
    situation.objection = objection
    if isinstance(command, PlaceBet):
        situation.change(sent_at_us=0)

    assert why(situation.ask()) == (Code.IDEMPOTENCY_CONFLICT, True)

    assert (len(made.new_transactions), dict(made.made)) == before


def test_the_same_key_in_another_scope_is_another_key() -> None:
    made = view()
    made.archived = {("operator:deposit", "d"), ("bet", "d")}

    assert isinstance(run(made, deposit("d")), Accepted)


def test_a_bet_that_was_refused_and_is_archived_under_its_id_is_a_conflict() -> None:
    """It cannot be both; what moved money is told."""
    made = view()
    assert isinstance(run(made, place(1, 101)), Rejected)
    made.archived = {("bet", bet_id(1))}

    assert why(run(made, place(1, 101))) == (Code.IDEMPOTENCY_CONFLICT, True)


# --- bets -------------------------------------------------------------------------------------------------

ABOUT_A_BET: Final[dict[str, Command]] = {
    "settle": settle("k", 1, payout_minor=60),
    "unsettle": unsettle("k", 1),
    "cash out": cash_out("k", 1, 10, 15),
    "roll back": roll_back("k", 1),
}


def placing(kind: str = "BET") -> Transaction:
    command = place(1)
    return Transaction(5, kind, command.scope, command.key, bytes(32), "{}", 2)


def its_key_is_archived(made: View) -> None:
    made.archived = {("bet", bet_id(1))}


def its_row_is_gone(made: View) -> None:
    """Looked up while it was deleted: its transaction was there still, the bet was not."""
    made.transactions["bet", bet_id(1)] = placing()


@pytest.mark.parametrize("arrange", [its_key_is_archived, its_row_is_gone])
@pytest.mark.parametrize("name", ABOUT_A_BET)
def test_what_is_about_an_archived_bet_is_told_that_it_is_closed(
    name: str, arrange: Callable[[View], None]
) -> None:
    made = view()
    arrange(made)

    assert why(run(made, ABOUT_A_BET[name])) == (Code.BET_CLOSED, True)

    assert not made.changed


@pytest.mark.parametrize("name", ABOUT_A_BET)
def test_a_bet_that_nobody_knows_is_not_taken_for_an_archived_one(name: str) -> None:
    made = view(newest=archive("moving"))
    outcome = run(made, ABOUT_A_BET[name])

    if name == "roll back":
        assert isinstance(outcome, Accepted)
    else:
        assert why(outcome) == (Code.NOT_FOUND, False)


@pytest.mark.parametrize("name", ["settle", "unsettle", "cash out"])
def test_a_bet_that_was_rolled_back_before_it_came_is_not_archived(name: str) -> None:
    made = view(newest=archive("moving"))

    assert why(run(made, roll_back("r", 1), ABOUT_A_BET[name])) == (Code.BET_ROLLED_BACK, False)


def lost(last: int, free_bet_id: int = 0) -> LiveBet:
    """A bet that transaction `last` ended."""
    return LiveBet(
        *(bet_id(1), 5, ALICE, "EUR", 30),
        free_bet_id=free_bet_id,
        state="lost",
        last_transaction_id=last,
        opening_transaction_id=last,
        last_answer='{"bet":{"bet_id":"","state":"lost","stake_minor":30}}',
    )


@pytest.mark.parametrize(
    ("newest", "bet", "is_closed"),
    [
        (None, lost(70), False),
        (archive(), lost(70), True),
        (archive("moving"), lost(70), True),
        (archive(), lost(71), False),
        (archive(), lost(6), True),
        (archive(), lost(70, free_bet_id=3), False),
    ],
    ids=[
        *("nothing is archived", "by the end of it", "and it is moved", "just behind it", "long before"),
        "it used a free bet",
    ],
)
def test_a_bet_that_is_over_by_the_end_of_an_archive_is_over_for_good(
    newest: Archive | None, bet: LiveBet, is_closed: bool
) -> None:
    made = view(newest=newest)
    made.bets = {bet_id(1): bet}

    outcome = run(made, unsettle("u", 1))

    if is_closed:
        assert why(outcome) == (Code.BET_CLOSED, True)
        assert (bet.state, made.changed) == ("lost", False)
    else:
        assert isinstance(outcome, Accepted)
        assert bet.state == "confirmed"


def test_a_bet_is_over_for_good_for_the_commands_behind_the_archive_in_its_batch() -> None:
    made = view()
    made.bets = {bet_id(1): lost(70)}
    known = fingerprint(begin())

    assert why(run(made, begin(), unsettle("u", 1))) == (Code.BET_CLOSED, True)
    assert made.new_transactions[0].fingerprint == known


def test_an_unsettle_before_the_archive_in_its_batch_is_told_again_behind_it() -> None:
    made = view()
    made.bets = {bet_id(1): lost(70)}

    first = run(made, unsettle("u", 1))
    again = run(made, begin(), UnsettleBet(bet_id(1), **own("u")))

    assert isinstance(first, Accepted)
    assert isinstance(again, Accepted)
    assert (again.replayed, again.transaction_id) == (True, first.transaction_id)
