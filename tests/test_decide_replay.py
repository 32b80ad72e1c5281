"""decide: the same key again, refusals that stay, their limit per minute, time, and a model of it all."""

from __future__ import annotations

from collections import Counter
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.commands import Deposit, PlaceBet
from engine.decide import decide
from engine.decide.place import REFUSALS_PER_MINUTE
from engine.outcomes import RECORDED, Accepted, Code, Rejected, Wallet
from engine.records import Head
from engine.view import MINUTE_US, View
from tests.books_open import ALICE, BOB, CASH, HOUSE, NOBODY, NOW_US, account, bet_id, deposit, place, view_of

TERMS = {"currency": "EUR", "game": "dice", "round": "r1", "selection": "six", "odds_milli": 2000}


def later(view: View, now_us: int = NOW_US) -> View:
    """What the next batch reads after `view` has been written."""
    newest = view.new_transactions[-1].id if view.new_transactions else view.head.last_transaction_id
    last_entry_id = view.new_entries[-1].id if view.new_entries else view.head.last_entry_id
    head = Head(view.block_id, bytes(32), view.at_us, newest, last_entry_id)
    return View(
        head=head if view.new_transactions else view.head,
        now_us=now_us,
        accounts={
            each.id: msgspec.structs.replace(each, opening_minor=each.balance_minor)
            for each in view.accounts.values()
        },
        books=view.books,
        transactions=dict(view.transactions),
        refusals=dict(view.refusals),
        bets={},
        holds={},
        payouts={},
        items={},
        suspended={},
        free_bets={},
        last_user_id=view.last_user_id,
    )


@pytest.mark.parametrize("same_batch", [True, False])
@pytest.mark.parametrize("command", [place(1, **TERMS), deposit("d1")], ids=["bet", "deposit"])
def test_the_same_command_again_gets_the_first_answer_replayed(
    command: PlaceBet | Deposit, same_batch: bool
) -> None:
    view = view_of(account(ALICE, 100))
    first = decide(view, command, NOW_US)
    decide(view, place(2), NOW_US)  # the balance moves on; the answer does not
    if not same_batch:
        view = later(view)
    posted = len(view.new_entries)

    again = decide(view, command, NOW_US)

    assert isinstance(first, Accepted)
    assert isinstance(again, Accepted)
    assert (again.transaction_id, again.block_id, again.wallet) == (
        first.transaction_id,
        first.block_id,
        first.wallet,
    )
    assert again.replayed
    assert not first.replayed
    assert again.entries == ()
    assert len(view.new_entries) == posted
    assert view.changed == same_batch


@pytest.mark.parametrize("refused", [False, True], ids=["confirmed", "refused"])
@pytest.mark.parametrize(
    "change",
    [
        {"user_id": BOB},
        {"user_id": NOBODY},
        {"stake_minor": 31},
        {"currency": "USD"},
        {"game": "poker"},
        {"game": None},
        {"round": "r2"},
        {"round": None},
        {"selection": "five"},
        {"selection": None},
        {"odds_milli": 2001},
        {"odds_milli": None},
        # The same letters, cut elsewhere.
        {"game": "dicer", "round": "1"},
    ],
    ids=str,
)
def test_a_known_bet_id_with_another_term_is_a_conflict(change: dict[str, Any], refused: bool) -> None:
    view = view_of(account(ALICE, 0 if refused else 100), account(BOB, 100))
    bet = place(1, **TERMS)
    assert isinstance(decide(view, bet, NOW_US), Rejected if refused else Accepted)
    before = (len(view.new_entries), len(view.new_refusals))

    answer = decide(view, msgspec.structs.replace(bet, **change), NOW_US)

    assert answer == Rejected(Code.IDEMPOTENCY_CONFLICT)
    assert (len(view.new_entries), len(view.new_refusals)) == before


@pytest.mark.parametrize("term", ["game", "round", "selection"])
@pytest.mark.parametrize(("first", "then"), [("", None), (None, "")])
def test_an_empty_text_is_not_an_absent_one(term: str, first: str | None, then: str | None) -> None:
    view = view_of(account(ALICE, 100))
    decide(view, place(1, **{term: first}), NOW_US)

    assert decide(view, place(1, **{term: then}), NOW_US) == Rejected(Code.IDEMPOTENCY_CONFLICT)


@pytest.mark.parametrize(
    "change",
    [{"nonce": "another-nonce"}, {"sent_at_us": NOW_US + 1}, {"sent_at_us": 0}, {"currency": None}],
    ids=str,
)
def test_what_belongs_to_one_sending_is_no_part_of_the_bet(change: dict[str, Any]) -> None:
    view = view_of(account(ALICE, 100))
    bet = place(1, **TERMS)
    first = decide(view, bet, NOW_US)

    again = decide(view, msgspec.structs.replace(bet, **change), NOW_US)

    assert isinstance(first, Accepted)
    assert again == Accepted(1, 1, first.wallet, replayed=True)


@pytest.mark.parametrize(
    "other",
    [deposit("d1", 101), deposit("d1", user_id=BOB), deposit("d1", user_id=NOBODY)],
    ids=["amount", "user", "nobody"],
)
def test_a_known_deposit_key_with_another_term_is_a_conflict(other: Deposit) -> None:
    view = view_of(account(ALICE), account(BOB))
    decide(view, deposit("d1"), NOW_US)

    assert decide(view, other, NOW_US) == Rejected(Code.IDEMPOTENCY_CONFLICT)


def test_keys_of_different_callers_and_kinds_never_meet() -> None:
    view = view_of(account(ALICE, 100))
    same = bet_id(1)

    commands = [place(1), deposit(same, caller="a"), deposit(same, caller="b"), deposit(same, caller="bet")]
    answers = [decide(view, command, NOW_US) for command in commands]

    assert [isinstance(answer, Accepted) and not answer.replayed for answer in answers] == [True] * 4


@pytest.mark.parametrize("objection", [None, Code.NONCE_REUSED, Code.TIMED_OUT, Code.CIRCUIT_OPEN])
@pytest.mark.parametrize("balance_minor", [100, 0], ids=["confirmed", "refused"])
def test_a_known_key_is_answered_before_anything_else_is_looked_at(
    balance_minor: int, objection: Code | None
) -> None:
    view = view_of(account(ALICE, balance_minor))
    first = decide(view, place(1), NOW_US)
    alice = view.accounts[ALICE]
    alice.balance_minor, alice.status, alice.held_minor = 7, "blocked", 7
    alice.refused_minute, alice.refused_count = NOW_US // MINUTE_US, REFUSALS_PER_MINUTE

    again = decide(view, place(1, sent_at_us=0), NOW_US, objection)

    assert again.replayed
    assert type(again) is type(first)
    if isinstance(first, Rejected) and isinstance(again, Rejected):
        assert again.code is first.code is Code.INSUFFICIENT_FUNDS


def test_a_refused_bet_stays_refused_when_the_money_has_come() -> None:
    view = view_of(account(ALICE, 29, held_minor=4))
    first = decide(view, place(1), NOW_US)
    decide(view, deposit("d1", 1000), NOW_US)

    for view_now in (view, later(view)):
        again = decide(view_now, place(1), NOW_US)
        assert again == Rejected(Code.INSUFFICIENT_FUNDS, Wallet(0, 29, 4, 25), replayed=True)
    assert first == Rejected(Code.INSUFFICIENT_FUNDS, Wallet(0, 29, 4, 25))
    assert [refusal.bet_id for refusal in view.new_refusals] == [bet_id(1)]


def test_a_bet_told_to_come_again_may_come_again() -> None:
    view = view_of(account(ALICE, 100))

    for code in (Code.TIMED_OUT, Code.OVERLOADED, Code.CIRCUIT_OPEN, Code.NONCE_REUSED):
        assert decide(view, place(1), NOW_US, code) == Rejected(code)

    assert isinstance(decide(view, place(1), NOW_US), Accepted)


def test_refusals_of_a_user_are_counted_per_minute_and_then_cost_no_row() -> None:
    minute_begins_us = NOW_US - NOW_US % MINUTE_US
    now_us = minute_begins_us + 59_000_000
    view = view_of(account(ALICE, 5), account(BOB, 5), now_us=now_us)
    greedy = [place(number, sent_at_us=now_us) for number in range(REFUSALS_PER_MINUTE + 1)]
    *written, last = [decide(view, bet, now_us) for bet in greedy]

    assert {answer.code for answer in written if isinstance(answer, Rejected)} == {Code.INSUFFICIENT_FUNDS}
    assert len(view.new_refusals) == REFUSALS_PER_MINUTE
    assert last == Rejected(Code.RATE_LIMITED, Wallet(0, 5, 0, 5), retry_after_us=1_000_000)
    # What fits still runs, a known refusal is still told, and another user is not concerned.
    assert isinstance(decide(view, place(2000, 1, sent_at_us=now_us), now_us), Accepted)
    assert decide(view, greedy[0], now_us).replayed
    bobs = decide(view, place(3000, user_id=BOB, sent_at_us=now_us), now_us)
    assert isinstance(bobs, Rejected)
    assert bobs.code is Code.INSUFFICIENT_FUNDS

    next_minute = later(view, now_us + 1_000_000)
    again = decide(next_minute, greedy[-1], now_us + 1_000_000)

    assert again == Rejected(Code.INSUFFICIENT_FUNDS, Wallet(1, 4, 0, 4))
    assert next_minute.accounts[ALICE].refused_count == 1


def test_block_time_never_runs_back() -> None:
    head = Head(1, bytes(32), NOW_US + 5, 0, 0)

    assert view_of(account(ALICE), head=head, now_us=NOW_US).at_us == NOW_US + 5
    assert view_of(account(ALICE), head=head, now_us=NOW_US + 6).at_us == NOW_US + 6
    # The clock stepped back into the minute before: refusals count in the minute of the block.
    outcome = decide(view_of(account(ALICE, 100), head=head), place(1), NOW_US)
    assert isinstance(outcome, Accepted)
    assert outcome.at_us == NOW_US + 5


# A model with plain dicts: what a customer would expect of the wallet, in no way how decide is written.
PLAYERS = {ALICE: "EUR", BOB: "EUR"}
bets = st.builds(
    place,
    st.integers(0, 6),
    st.sampled_from([1, 30, 31, 100, 2000]),
    st.sampled_from([ALICE, BOB, HOUSE, NOBODY]),
    currency=st.sampled_from([None, "EUR", "USD"]),
    selection=st.sampled_from([None, "", "x"]),
)
deposits = st.builds(
    deposit, st.sampled_from(["a", "b", "c"]), st.sampled_from([1, 50]), st.sampled_from([ALICE, BOB, NOBODY])
)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.lists(bets | deposits, max_size=8), max_size=6))
def test_random_batches_agree_with_a_model_of_plain_dicts(batches: list[list[PlaceBet | Deposit]]) -> None:
    money = {ALICE: 100, BOB: 40, HOUSE: 0, CASH: 0}
    known: dict[str, tuple[Any, str, int]] = {}  # key -> what was asked, the verdict, the balance told
    debits: Counter[str] = Counter()
    view = view_of(account(ALICE, 100), account(BOB, 40))

    for batch in batches:
        view = later(view)
        for command in batch:
            match command:
                case PlaceBet():
                    key, book, change = command.bet_id, HOUSE, -command.stake_minor
                    currency = command.currency or PLAYERS.get(command.user_id, "")
                    terms: Any = (command.user_id, change, currency, command.selection)
                case Deposit():
                    key, book, change = "deposit " + command.key, CASH, command.amount_minor
                    currency, terms = "EUR", (command.user_id, change)
            replay = key in known
            if replay:
                first, verdict, told = known[key]
                verdict = verdict if first == terms else "IDEMPOTENCY_CONFLICT"
            elif command.user_id not in PLAYERS:
                verdict, told = "ACCOUNT_NOT_FOUND", 0
            elif currency != "EUR":
                verdict, told = "CURRENCY_MISMATCH", money[command.user_id]
            elif money[command.user_id] + change < 0:
                verdict, told = "INSUFFICIENT_FUNDS", money[command.user_id]
            else:
                verdict, told = "ok", money[command.user_id] + change
                money[command.user_id] += change
                money[book] -= change
            if verdict in ("ok", *(code.name for code in RECORDED)):
                known.setdefault(key, (terms, verdict, told))

            outcome = decide(view, command, NOW_US)

            assert (outcome.code.name if isinstance(outcome, Rejected) else "ok") == verdict
            assert outcome.replayed == (replay and verdict != "IDEMPOTENCY_CONFLICT")
            if outcome.wallet is not None:
                assert outcome.wallet.balance_minor == told
        debits.update(entry.ref_id for entry in view.new_entries if entry.user_id != HOUSE)
        assert {each.id: each.balance_minor for each in view.accounts.values()} == money
        assert sum(entry.amount_minor for entry in view.new_entries) == 0
        assert min(money[ALICE], money[BOB]) >= 0
    assert all(count == 1 for ref_id, count in debits.items() if len(ref_id) == 36)
