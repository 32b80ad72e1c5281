"""What is known without reading: accounts shared, earlier batches' keys seen, turns kept. Pure: no file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

import engine.warm
from engine.blocks import Block, seal
from engine.commands import Command, touched_by
from engine.decide import decide
from engine.merkle import leaf
from engine.money import BOOK_FLOOR_MINOR
from engine.outcomes import Accepted, Code, Outcome, Rejected
from engine.records import GENESIS, Account, Head, Refusal, Transaction
from engine.view import View
from engine.warm import Found, Turn, Warm
from tests.books_open import ALICE, BOB, CASH, HOUSE, NOW_US, SIGNER, account, bet_id, deposit, place

BOOKS = {("house", "EUR"): HOUSE, ("cash", "EUR"): CASH}
EVERYBODY = (HOUSE, CASH, ALICE, BOB)


def on_file() -> list[Account]:
    """The accounts as a first look finds them."""
    return [
        account(HOUSE, kind="house", floor_minor=BOOK_FLOOR_MINOR),
        account(CASH, kind="cash", floor_minor=BOOK_FLOOR_MINOR),
        account(ALICE, 100),
        account(BOB, 1000),
    ]


def found(
    accounts: Sequence[Account] = (),
    transactions: Sequence[Transaction] = (),
    refusals: Sequence[Refusal] = (),
    head: Head | None = None,
) -> Found:
    return Found(list(accounts), list(transactions), list(refusals), [], [], [], [], [], [], head, 0)


@dataclass
class Ahead:
    """A `Warm`, and batches decided on it as the store decides them, none of which has reached a file."""

    warm: Warm = field(default_factory=Warm)

    def view(
        self, *commands: Command, under_way: Sequence[View] | None = None, what: Found | None = None
    ) -> View:
        if what is None:
            what = found(on_file(), head=GENESIS) if self.warm.is_cold else found()
        before = self.warm.under_way() if under_way is None else under_way
        return self.warm.view(touched_by(commands), what, before, BOOKS, NOW_US)

    def decide(self, *commands: Command) -> tuple[list[Outcome], View, Turn]:
        """Decide one batch and put it on its way."""
        view, turn = self.view(*commands), self.warm.next_turn()
        outcomes = [decide(view, command, NOW_US) for command in commands]
        view.close()
        if view.changed:
            self.warm.decided(view, sealed(view))
        return outcomes, view, turn


def sealed(view: View) -> Block | None:
    if not view.new_transactions:
        return None
    return seal(view.head, view.at_us, view.new_transactions, view.new_entries, SIGNER)


# --- what has to be read --------------------------------------------------------------------------------


def test_at_first_everything_is_read_and_the_head_too() -> None:
    warm = Warm()

    assert warm.is_cold
    assert warm.missing(EVERYBODY) == list(EVERYBODY)
    assert warm.under_way() == ()


def test_an_account_is_read_once_and_what_was_decided_on_it_stays() -> None:
    ahead = Ahead()
    ahead.decide(place(1, 30))

    assert not ahead.warm.is_cold
    assert ahead.warm.missing([*EVERYBODY, 99]) == [99]
    # A reader that began before may bring the account again, as it was: what was decided since counts.
    stale = ahead.view(place(2), what=found(on_file()))
    assert (stale.accounts[ALICE].balance_minor, stale.accounts[ALICE].version) == (70, 1)


def test_views_share_their_accounts_and_the_next_one_begins_where_the_last_one_ended() -> None:
    ahead = Ahead()
    (first,), before, _ = ahead.decide(place(1, 30))
    (second,), after, _ = ahead.decide(place(2, 30))

    assert after.accounts is before.accounts
    assert isinstance(first, Accepted)
    assert isinstance(second, Accepted)
    assert [each.wallet.balance_minor for each in (first, second)] == [70, 40]
    assert after.head[:5] == (1, sealed_hash(before), NOW_US, 1, 2)
    assert after.head.peaks == (leaf(sealed_hash(before)),)
    assert after.new_entries[0].prev_id == before.new_entries[0].id
    assert [(each.id, each.block_id) for each in after.new_transactions] == [(2, 2)]


def sealed_hash(view: View) -> bytes:
    block = sealed(view)
    assert block is not None
    return block.hash


def test_each_change_names_the_version_that_the_batch_before_it_leaves() -> None:
    ahead = Ahead()
    versions = []
    for number in range(3):
        view = ahead.view(place(number, 1))
        decide(view, place(number, 1), NOW_US)
        changes = {user_id: (version, amount) for amount, *_, user_id, version in view.close().moved}
        ahead.warm.decided(view, sealed(view))
        versions.append((*changes[ALICE], changes[HOUSE][0]))

    assert versions == [(0, -1, 0), (1, -1, 1), (2, -1, 2)]


def test_a_batch_of_refusals_is_under_way_and_leaves_the_head_where_it_is() -> None:
    ahead = Ahead()
    _, refusing, _ = ahead.decide(place(1, 5000))

    assert ahead.warm.under_way() == (refusing,)
    assert ahead.view(place(2)).head == GENESIS
    assert ahead.warm.next_turn() == Turn(0, 1)


# --- keys that are not in the file yet -------------------------------------------------------------------


def test_a_bet_under_way_is_a_replay_although_the_file_does_not_have_it() -> None:
    ahead = Ahead()
    (first,), _, _ = ahead.decide(place(1, 30))
    ahead.decide(place(2, 30))
    (again, conflict), _, _ = ahead.decide(place(1, 30), place(2, 31))

    assert isinstance(first, Accepted)
    assert again == Accepted(first.transaction_id, first.block_id, first.wallet, replayed=True)
    assert conflict == Rejected(Code.IDEMPOTENCY_CONFLICT)


def test_a_refusal_under_way_stays_one_although_the_file_does_not_have_it() -> None:
    ahead = Ahead()
    ahead.decide(place(1, 5000))
    (rich, again, conflict), _, _ = ahead.decide(deposit("rich", 9000), place(1, 5000), place(1, 1))

    assert isinstance(rich, Accepted)
    assert isinstance(again, Rejected)
    assert (again.code, again.replayed) == (Code.INSUFFICIENT_FUNDS, True)
    assert conflict == Rejected(Code.IDEMPOTENCY_CONFLICT)


def test_what_was_committed_while_the_file_was_read_is_seen_all_the_same() -> None:
    """The look found nothing, then the batch was committed: what counts is what was under way before."""
    ahead = Ahead()
    _, _, turn = ahead.decide(place(1, 30), place(2, 5000))
    looked_at = ahead.warm.under_way()
    ahead.warm.written(turn)

    view = ahead.view(place(1, 30), place(2, 5000), under_way=looked_at)

    assert ahead.warm.under_way() == ()
    assert [decide(view, place(n, stake), NOW_US).replayed for n, stake in ((1, 30), (2, 5000))] == [
        True,
        True,
    ]


def test_what_the_file_has_is_seen_beside_what_is_under_way() -> None:
    ahead = Ahead()
    _, before, turn = ahead.decide(place(1, 30), place(2, 5000))
    ahead.warm.written(turn)
    ahead.decide(place(3, 30))
    what = found((), before.new_transactions, before.new_refusals)

    view = ahead.view(place(1, 30), place(2, 5000), place(3, 30), what=what)

    assert view.transactions.keys() == {("bet", bet_id(1)), ("bet", bet_id(3))}
    assert view.refusals.keys() == {bet_id(2)}


@pytest.mark.parametrize("other", ["somebody", "bet"])
def test_a_key_is_known_in_its_own_scope_only(other: str) -> None:
    ahead = Ahead()
    ahead.decide(deposit("same", 5, caller="me"))
    (mine, others), _, _ = ahead.decide(deposit("same", 5, caller="me"), deposit("same", 5, caller=other))

    assert [mine.replayed, others.replayed] == [True, False]


# --- turns -----------------------------------------------------------------------------------------------


def test_a_turn_counts_those_before_it_written_or_under_way() -> None:
    ahead = Ahead()
    decided = [ahead.decide(place(number, 1)) for number in range(3)]

    assert [turn for *_, turn in decided] == [Turn(0, 0), Turn(0, 1), Turn(0, 2)]
    for number, (_, view, turn) in enumerate(decided):
        assert ahead.warm.under_way()[0] is view
        ahead.warm.written(turn)
        assert len(ahead.warm.under_way()) == 2 - number
        assert ahead.warm.next_turn() == Turn(0, 3)


def test_a_batch_that_changes_nothing_takes_no_turn_of_its_own() -> None:
    ahead = Ahead()
    _, first, _ = ahead.decide(place(1, 30))
    *_, replay = ahead.decide(place(1, 30))
    *_, behind = ahead.decide(place(2, 30))

    assert replay == behind == Turn(0, 1)
    assert ahead.warm.under_way()[0] is first
    assert len(ahead.warm.under_way()) == 2


@pytest.mark.parametrize("lost", [0, 1, 2])
def test_when_one_is_void_all_are_and_everything_is_read_again(lost: int) -> None:
    ahead = Ahead()
    turns = [ahead.decide(place(number, 30))[2] for number in range(3)]
    for turn in turns[:lost]:
        ahead.warm.written(turn)
    ahead.warm.void(turns[lost])

    assert ahead.warm.is_cold
    assert ahead.warm.under_way() == ()
    assert ahead.warm.missing(EVERYBODY) == list(EVERYBODY)
    assert ahead.warm.next_turn() == Turn(1, 0)
    (anew,), _, _ = ahead.decide(place(lost, 30))
    assert not anew.replayed


def test_accounts_of_a_view_that_is_void_are_not_those_to_come() -> None:
    ahead = Ahead()
    _, void, turn = ahead.decide(place(1, 30))
    ahead.warm.void(turn)
    view = ahead.view(place(2))
    void.accounts[ALICE].balance_minor = -1

    assert view.accounts[ALICE].balance_minor == 100


def test_an_old_epochs_turn_does_nothing() -> None:
    ahead = Ahead()
    *_, old = ahead.decide(place(1, 30))
    ahead.warm.forget()
    _, view, new = ahead.decide(place(2, 30))
    ahead.warm.written(old)
    ahead.warm.void(old)

    assert ahead.warm.under_way() == (view,)
    assert not ahead.warm.is_cold
    assert (new, ahead.warm.next_turn()) == (Turn(1, 0), Turn(1, 1))


def test_forgetting_twice_is_two_epochs() -> None:
    """Else a batch of the first could take its turn in the second."""
    ahead = Ahead()
    *_, first = ahead.decide(place(1, 30))
    ahead.warm.forget()
    *_, second = ahead.decide(place(1, 30))
    ahead.warm.forget()

    assert [first.epoch, second.epoch, ahead.warm.next_turn().epoch] == [0, 1, 2]


# --- memory ----------------------------------------------------------------------------------------------


def test_accounts_are_forgotten_beyond_the_limit_but_never_while_a_batch_is_under_way(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ahead = Ahead()
    *_, turn = ahead.decide(place(1, 30))
    monkeypatch.setattr(engine.warm, "ACCOUNTS_MAX", len(EVERYBODY))
    ahead.warm.written(turn)
    assert ahead.warm.missing(EVERYBODY) == []  # at the limit, not beyond it

    monkeypatch.setattr(engine.warm, "ACCOUNTS_MAX", len(EVERYBODY) - 1)
    _, under_way, turn = ahead.decide(place(2, 30))
    assert ahead.warm.missing(EVERYBODY) == []
    assert under_way.accounts[ALICE].balance_minor == 40
    ahead.warm.written(turn)
    assert ahead.warm.missing(EVERYBODY) == list(EVERYBODY)
    assert not ahead.warm.is_cold  # the head is known all the same
