"""Mass payouts as pure decisions, and through a file in batches of every shape."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from engine.accounts import open_books, open_wallets
from engine.commands import (
    CHUNK_ITEMS,
    CLEARING_ID_BASE,
    AddPayoutItems,
    Command,
    OpenPayout,
    Pay,
    PayChunk,
    PayoutItem,
    ResolveItem,
    SetStatus,
    StartPayout,
    Transfer,
)
from engine.commands import Leg as TransferLeg
from engine.decide import decide
from engine.decide.payouts import ITEMS_MAX
from engine.money import BOOK_FLOOR_MINOR, WIRE_MAX_MINOR
from engine.outcomes import Accepted, Code, Outcome, PayoutTold, Rejected
from engine.reconcile import reconcile
from engine.records import Account, Item
from engine.store import Store
from engine.subjects import Payout, Suspended
from engine.view import View
from engine.writer import Prepared
from tests.books_open import (
    ALICE,
    BOB,
    HOUSE,
    NOBODY,
    NOW_US,
    account,
    asked,
    look,
    place,
    play,
    seed,
    view_of,
)
from tests.books_open import settle as settled
from tests.books_open import unsettle as unsettled
from tests.pipelines import new_books, opened

SUSPENSE, RECEIVABLE = 5, 6
ID = 3
"""The payout of `collected`, and the number of the transaction that is decided next in a view is 1."""


def own(key: str) -> dict[str, Any]:
    return {"key": key, "caller": "test"}


def items(*winners: tuple[int, int]) -> tuple[PayoutItem, ...]:
    return tuple(PayoutItem(*winner) for winner in winners)


def pay(key: str, *winners: tuple[int, int], currency: str = "EUR") -> Pay:
    return Pay(currency, items(*winners), **own(key))


def add(key: str, payout_id: int, first: int, *winners: tuple[int, int]) -> AddPayoutItems:
    return AddPayoutItems(payout_id, first, items(*winners), **own(key))


def start(key: str, payout_id: int, count: int, total_minor: int) -> StartPayout:
    return StartPayout(payout_id, count, total_minor, **own(key))


def chunk(payout_id: int, first: int) -> PayChunk:
    return PayChunk(payout_id, first, key=f"{payout_id}:{first}", caller="server")


def resolve(key: str, payout_id: int, number: int, *, returns: bool = False) -> ResolveItem:
    return ResolveItem(payout_id, number, returns, **own(key))


def view(*players: Account, house_floor_minor: int = BOOK_FLOOR_MINOR) -> View:
    """A view of `players`, all the books of EUR, and nothing else."""
    made = view_of(*players)
    made.accounts[HOUSE].floor_minor = house_floor_minor
    for id_, kind in ((SUSPENSE, "suspense"), (RECEIVABLE, "receivable")):
        made.accounts[id_] = account(id_, kind=kind, floor_minor=BOOK_FLOOR_MINOR)
        made.books[kind, "EUR"] = id_
    return made


def with_payout(made: View, state: str, *winners: tuple[int, int], done: int = 0, total: int = 0) -> View:
    """`made`, which knows a payout of these items in this state."""
    payout = Payout(ID, "test", "EUR", state, len(winners), total or sum(a for _, a in winners), done, 0, 9)
    made.payouts[ID] = payout
    made.items |= {(ID, number): Item(ID, number, *winner) for number, winner in enumerate(winners)}
    if state != "collecting":
        left_minor = sum(amount for _, amount in winners[done:])
        clearing = account(CLEARING_ID_BASE + ID, left_minor, kind="clearing")
        made.accounts[clearing.id] = clearing
    return made


def run(made: View, command: Command) -> Outcome:
    return decide(made, command, NOW_US)


def why(outcome: Outcome) -> Code | None:
    return outcome.code if isinstance(outcome, Rejected) else None


def legs(outcome: Outcome) -> list[tuple[int, int, str, str]]:
    assert isinstance(outcome, Accepted), outcome
    return [(each.user_id, each.amount_minor, each.ref_type, each.ref_id) for each in outcome.entries]


def told(outcome: Outcome) -> PayoutTold:
    assert isinstance(outcome, Accepted), outcome
    assert outcome.payout is not None
    return outcome.payout


PAID_TO_ALICE = ((ALICE, 10), (ALICE, 20))


@pytest.mark.parametrize(
    ("made", "command", "code"),
    [
        (view(), pay("p"), Code.INVALID_REQUEST),
        (view(), pay("p", *[(ALICE, 1)] * (CHUNK_ITEMS + 1)), Code.INVALID_REQUEST),
        (view(), pay("p", (ALICE, 1), currency="USD"), Code.CURRENCY_MISMATCH),
        (view(), pay("p", (ALICE, WIRE_MAX_MINOR), (BOB, 1)), Code.LIMIT_EXCEEDED),
        (view(house_floor_minor=-29), pay("p", *PAID_TO_ALICE), Code.INSUFFICIENT_FUNDS),
        (view(), OpenPayout("USD", **own("o")), Code.CURRENCY_MISMATCH),
        (view(), add("a", ID, 0, (ALICE, 1)), Code.NOT_FOUND),
        (with_payout(view(), "collecting"), add("a", ID, 0), Code.INVALID_REQUEST),
        (with_payout(view(), "collecting"), add("a", ID, 1, (ALICE, 1)), Code.INVALID_REQUEST),
        (with_payout(view(), "collecting", (ALICE, 1)), add("a", ID, 0, (ALICE, 1)), Code.INVALID_REQUEST),
        (with_payout(view(), "paying", (ALICE, 1)), add("a", ID, 1, (ALICE, 1)), Code.PAYOUT_CLOSED),
        (with_payout(view(), "paid", (ALICE, 1), done=1), add("a", ID, 1, (ALICE, 1)), Code.PAYOUT_CLOSED),
        (
            with_payout(view(), "collecting", (ALICE, WIRE_MAX_MINOR)),
            add("a", ID, 1, (ALICE, 1)),
            Code.LIMIT_EXCEEDED,
        ),
        (view(), start("s", ID, 1, 1), Code.NOT_FOUND),
        (with_payout(view(), "collecting"), start("s", ID, 0, 0), Code.INVALID_REQUEST),
        (with_payout(view(), "collecting", *PAID_TO_ALICE), start("s", ID, 2, 31), Code.INVALID_REQUEST),
        (with_payout(view(), "collecting", *PAID_TO_ALICE), start("s", ID, 1, 30), Code.INVALID_REQUEST),
        (with_payout(view(), "paying", *PAID_TO_ALICE), start("s", ID, 2, 30), Code.PAYOUT_CLOSED),
        (
            with_payout(view(house_floor_minor=-29), "collecting", *PAID_TO_ALICE),
            start("s", ID, 2, 30),
            Code.INSUFFICIENT_FUNDS,
        ),
        (view(), chunk(ID, 0), Code.NOT_FOUND),
        (with_payout(view(), "collecting", *PAID_TO_ALICE), chunk(ID, 0), Code.PAYOUT_CLOSED),
        (with_payout(view(), "paying", *PAID_TO_ALICE), chunk(ID, 1), Code.PAYOUT_CLOSED),
        (with_payout(view(), "paying", *PAID_TO_ALICE, done=1), chunk(ID, 0), Code.PAYOUT_CLOSED),
        (with_payout(view(), "paid", *PAID_TO_ALICE, done=2), chunk(ID, 2), Code.PAYOUT_CLOSED),
        (view(), resolve("r", ID, 0), Code.NOT_FOUND),
        (with_payout(view(), "paid", *PAID_TO_ALICE, done=2), resolve("r", ID, 0), Code.NOT_FOUND),
    ],
)
def test_what_is_refused_changes_nothing(made: View, command: Command, code: Code) -> None:
    assert why(run(made, command)) is code
    assert not made.changed
    made_rows = (made.new_items, made.made[Payout], made.made[Account], made.made[Suspended])
    assert not any(made_rows)


def test_the_number_of_items_has_a_bound() -> None:
    made = with_payout(view(), "collecting", (ALICE, 1))
    made.payouts[ID].items = ITEMS_MAX - 1

    assert why(run(made, add("a", ID, ITEMS_MAX - 1, (ALICE, 1), (ALICE, 1)))) is Code.LIMIT_EXCEEDED
    assert told(run(made, add("b", ID, ITEMS_MAX - 1, (ALICE, 1)))).items == ITEMS_MAX


def test_the_house_may_be_left_at_its_floor() -> None:
    made = view(account(ALICE), house_floor_minor=-30)

    assert why(run(made, pay("p", *PAID_TO_ALICE))) is None
    assert made.accounts[HOUSE].available_minor == 0


def test_a_winner_twice_in_one_payout_is_paid_twice() -> None:
    outcome = run(view(account(ALICE, 5)), pay("p", *PAID_TO_ALICE))

    assert legs(outcome) == [
        (HOUSE, -30, "PAYOUT", "1"), (ALICE, 10, "PAYOUT", "1"), (ALICE, 20, "PAYOUT", "1")
    ]  # fmt: skip
    assert told(outcome) == PayoutTold(1, "paid", items=2, total_minor=30, done=2)


def test_what_a_winner_owes_is_kept_back_item_by_item() -> None:
    made = view(account(ALICE, 0, owed_minor=25))

    outcome = run(made, pay("p", (ALICE, 10), (ALICE, 20), (ALICE, 3)))

    assert legs(outcome) == [
        (HOUSE, -33, "PAYOUT", "1"),
        (RECEIVABLE, 10, "RECEIVABLE", f"{ALICE}"),
        (ALICE, 5, "PAYOUT", "1"),
        (RECEIVABLE, 15, "RECEIVABLE", f"{ALICE}"),
        (ALICE, 3, "PAYOUT", "1"),
    ]
    assert made.accounts[ALICE].owed_minor == 0


CANNOT_BE_PAID: list[tuple[int, Account | None, str]] = [
    (NOBODY, None, "ACCOUNT_NOT_FOUND"),
    (HOUSE, None, "ACCOUNT_NOT_FOUND"),
    (SUSPENSE, None, "ACCOUNT_NOT_FOUND"),
    (BOB, account(BOB, status="blocked"), "ACCOUNT_BLOCKED"),
    (BOB, account(BOB, status="closed"), "ACCOUNT_BLOCKED"),
    (BOB, account(BOB, currency="USD"), "CURRENCY_MISMATCH"),
    (BOB, account(BOB, WIRE_MAX_MINOR - 6), "LIMIT_EXCEEDED"),
]


@pytest.mark.parametrize(("winner", "known", "reason"), CANNOT_BE_PAID)
@pytest.mark.parametrize("small", [True, False])
def test_an_item_that_cannot_be_paid_waits_in_suspense(
    winner: int, known: Account | None, reason: str, small: bool
) -> None:
    fresh = [] if known is None else [account(BOB, known.balance_minor, status=known.status,
                                              currency=known.currency)]  # fmt: skip
    made, winners = view(account(ALICE), *fresh), ((ALICE, 5), (winner, 7), (ALICE, 1))

    if small:
        outcome, payout_id, source = run(made, pay("p", *winners)), 1, HOUSE
    else:
        outcome, payout_id = run(with_payout(made, "paying", *winners), chunk(ID, 0)), ID
        source = CLEARING_ID_BASE + ID

    name = f"{payout_id}"
    assert legs(outcome) == [
        (source, -13, "PAYOUT", name),
        (ALICE, 5, "PAYOUT", name),
        (SUSPENSE, 7, "SUSPENSE", f"{name}:1"),
        (ALICE, 1, "PAYOUT", name),
    ]
    before = 0 if small else 9
    assert told(outcome) == PayoutTold(payout_id, "paid", 3, 13, 3, 1, ((1, reason),), before)
    assert made.made[Suspended] == [(payout_id, 1, reason)]
    assert made.suspended[payout_id, 1].state == "suspended"


def test_a_balance_just_within_the_wire_is_paid() -> None:
    made = view(account(BOB, WIRE_MAX_MINOR - 7))

    assert told(run(made, pay("p", (BOB, 7)))).suspended == 0


def test_chunks_follow_each_other_to_the_end() -> None:
    winners = [(ALICE, 1)] * (2 * CHUNK_ITEMS + 1)
    made = with_payout(view(account(ALICE)), "paying", *winners)

    done = [told(run(made, chunk(ID, first))) for first in (0, CHUNK_ITEMS, 2 * CHUNK_ITEMS)]

    assert [(each.state, each.done, each.before) for each in done] == [
        ("paying", CHUNK_ITEMS, 9),
        ("paying", 2 * CHUNK_ITEMS, 1),
        ("paid", 2 * CHUNK_ITEMS + 1, 2),
    ]
    assert made.accounts[CLEARING_ID_BASE + ID].balance_minor == 0
    assert made.accounts[ALICE].balance_minor == len(winners)
    again = run(made, chunk(ID, 0))
    assert isinstance(again, Accepted)
    assert again.replayed, "the same chunk again is its first answer"


def test_what_is_kept_back_of_a_payout_does_not_count_against_the_limit_of_the_wire() -> None:
    made = view(account(BOB, WIRE_MAX_MINOR - 4, owed_minor=6))

    outcome = run(made, pay("p", (BOB, 10)))

    assert told(outcome).suspended == 0
    assert made.accounts[BOB].balance_minor == WIRE_MAX_MINOR
    assert made.accounts[BOB].owed_minor == 0


def suspended_view(*players: Account, state: str = "suspended") -> View:
    made = with_payout(view(*players), "paid", (ALICE, 10), (BOB, 7), done=2)
    made.payouts[ID].suspended = 1
    made.suspended[ID, 1] = Suspended(ID, 1, "ACCOUNT_BLOCKED", state, 0)
    made.accounts[SUSPENSE].balance_minor = 7
    return made


def test_an_item_in_suspense_is_paid_once_it_can_be() -> None:
    made = suspended_view(account(BOB, 0, owed_minor=3))

    outcome = run(made, resolve("r", ID, 1))

    assert legs(outcome) == [
        (SUSPENSE, -7, "SUSPENSE", f"{ID}:1"),
        (BOB, 4, "PAYOUT", f"{ID}"),
        (RECEIVABLE, 3, "RECEIVABLE", f"{BOB}"),
    ]
    assert told(outcome) == PayoutTold(ID, "paid", 2, 17, 2, 0, before=9)
    assert why(run(made, resolve("again", ID, 1))) is Code.PAYOUT_CLOSED
    assert why(run(made, resolve("and again", ID, 1, returns=True))) is Code.PAYOUT_CLOSED
    assert why(run(made, resolve("r", ID, 1, returns=True))) is Code.IDEMPOTENCY_CONFLICT


@pytest.mark.parametrize("known", [None, account(BOB, status="closed"), account(BOB)])
def test_an_item_in_suspense_is_returned_whatever_its_wallet_is(known: Account | None) -> None:
    made = suspended_view(*([] if known is None else [known]))

    outcome = run(made, resolve("r", ID, 1, returns=True))

    assert legs(outcome) == [(SUSPENSE, -7, "SUSPENSE", f"{ID}:1"), (HOUSE, 7, "SUSPENSE", f"{ID}:1")]
    assert why(run(made, resolve("again", ID, 1, returns=True))) is Code.PAYOUT_CLOSED


@pytest.mark.parametrize(
    ("known", "code"),
    [
        (None, Code.ACCOUNT_NOT_FOUND),
        (account(BOB, status="blocked"), Code.ACCOUNT_BLOCKED),
        (account(BOB, status="closed"), Code.ACCOUNT_BLOCKED),
        (account(BOB, currency="USD"), Code.CURRENCY_MISMATCH),
        (account(BOB, WIRE_MAX_MINOR - 6), Code.LIMIT_EXCEEDED),
    ],
)
def test_an_item_that_still_cannot_be_paid_stays_in_suspense(known: Account | None, code: Code) -> None:
    made = suspended_view(*([] if known is None else [known]))

    assert why(run(made, resolve("r", ID, 1))) is code
    assert not made.changed


def test_a_clearing_account_takes_no_transfer() -> None:
    made = with_payout(view(account(ALICE, 50)), "paying", (ALICE, 10))
    there = TransferLeg(CLEARING_ID_BASE + ID, 10), TransferLeg(ALICE, -10)

    assert why(run(made, Transfer(there, **own("t")))) is Code.INVALID_REQUEST


WHOLE: tuple[Command, ...] = (
    OpenPayout("EUR", **own("o")),  # transaction 3, behind the two deposits of `new_books`
    add("a0", 3, 0, (ALICE, 10), (NOBODY, 4)),
    add("a2", 3, 2, (BOB, 20), (ALICE, 1)),
    start("s", 3, 4, 35),
    chunk(3, 0),
    resolve("r", 3, 1, returns=True),
)
"""A payout from beginning to end."""


@pytest.mark.parametrize("writes_behind", [0, 1, 2])
@pytest.mark.parametrize("at_once", [1, 2, 3, 4, 5, 6])
@pytest.mark.parametrize("restarted", [True, False])
def test_a_payout_in_batches_of_any_size_also_prepared_ahead(
    tmp_path: Path, at_once: int, writes_behind: int, restarted: bool
) -> None:
    """`restarted`: no account is known, so each batch's look-up has to find its winners."""
    new_books(tmp_path)
    if not restarted:
        play(tmp_path / "books.db", [])

    async def scenario() -> None:
        async with opened(tmp_path) as books:
            if not restarted:
                await books.commit(place(1, 1), place(2, 1, BOB))
            shift = 0 if restarted else 2
            ahead: list[Prepared] = []
            for at in range(0, len(WHOLE), at_once):
                batch = [moved(command, shift) for command in WHOLE[at : at + at_once]]
                ahead.append(await books.prepare(*batch))
                assert [why(outcome) for outcome in ahead[-1].outcomes] == [None] * len(batch)
                if len(ahead) > writes_behind:
                    assert await books.store.write(ahead.pop(0))
            for prepared in ahead:
                assert await books.store.write(prepared)

    asyncio.run(scenario())

    path = tmp_path / "books.db"
    assert reconcile(path).findings == []
    bets = 0 if restarted else 1
    assert look(path, "SELECT balance FROM users WHERE id IN (?, ?)", ALICE, BOB) == [
        (111 - bets,), (1020 - bets,)
    ]  # fmt: skip
    assert look(path, "SELECT state, items, total, done, suspended FROM payouts") == [("paid", 4, 35, 4, 0)]
    assert look(path, "SELECT number, reason, state FROM suspended_items") == [
        (1, "ACCOUNT_NOT_FOUND", "returned")
    ]


def moved(command: Command, by: int) -> Command:
    """The same command of a payout with a later number."""
    match command:
        case AddPayoutItems(payout_id=id_, first=first, items=its, key=key):
            return AddPayoutItems(id_ + by, first, its, **own(key))
        case StartPayout(payout_id=id_, items=count, total_minor=total, key=key):
            return start(key, id_ + by, count, total)
        case PayChunk(payout_id=id_, first=first):
            return chunk(id_ + by, first)
        case ResolveItem(payout_id=id_, number=number, returns=returns, key=key):
            return resolve(key, id_ + by, number, returns=returns)
    return command


def test_a_small_payout_is_resolved_in_its_own_batch(tmp_path: Path) -> None:
    path = seed(tmp_path / "books.db", 100, 100)

    (outcomes,) = play(
        path,
        [
            SetStatus(BOB, "blocked", **own("b")),
            pay("p", (ALICE, 5), (BOB, 6)),  # transaction 4
            resolve("no", 4, 1),
            SetStatus(BOB, "open", **own("o")),
            resolve("yes", 4, 1),
        ],
    )

    assert [why(outcome) for outcome in outcomes] == [None, None, Code.ACCOUNT_BLOCKED, None, None]
    assert look(path, "SELECT balance FROM users WHERE id = ?", BOB) == [(106,)]
    assert reconcile(path).findings == []


def test_a_payout_of_a_void_batch_never_was(tmp_path: Path) -> None:
    new_books(tmp_path)

    async def scenario() -> None:
        async with opened(tmp_path) as books:
            await books.commit(*WHOLE[:3])
            first, second = await books.prepare(WHOLE[3]), await books.prepare(WHOLE[4])
            assert why(second.outcomes[0]) is None
            assert not await books.store.write(first, may_begin=lambda: False)
            assert not await books.store.write(second)
            assert why((await books.commit(WHOLE[4]))[0]) is Code.PAYOUT_CLOSED, "it was never started"
            assert [why(each) for each in await books.commit(WHOLE[3], WHOLE[4])] == [None, None]

    asyncio.run(scenario())

    assert reconcile(tmp_path / "books.db").findings == []


def test_a_payout_goes_on_in_a_fresh_process(tmp_path: Path) -> None:
    path = seed(tmp_path / "books.db", 1, 1)
    winners = [(ALICE if number % 2 else BOB, number + 1) for number in range(CHUNK_ITEMS + 5)]
    total_minor = sum(amount for _, amount in winners)
    ((opening,),) = play(path, [OpenPayout("EUR", **own("o"))])
    id_ = told(opening).id
    for batch in (
        [add("a", id_, 0, *winners)],
        [start("s", id_, len(winners), total_minor)],
        [chunk(id_, 0)],
        [chunk(id_, CHUNK_ITEMS)],
        [chunk(id_, CHUNK_ITEMS)],
    ):
        ((outcome,),) = play(path, batch)
        assert why(outcome) is None

    assert look(path, "SELECT sum(balance) FROM users WHERE id IN (?, ?)", ALICE, BOB) == [(2 + total_minor,)]
    assert look(path, "SELECT balance FROM users WHERE id > ?", CLEARING_ID_BASE) == [(0,)]
    assert reconcile(path).findings == []


def test_a_winner_of_another_currency_and_one_in_debt(tmp_path: Path) -> None:
    path = seed(tmp_path / "books.db", 100)

    async def dollars() -> int:
        store = await Store.open(path)
        try:
            await store.set_up(lambda connection: open_books(connection, "USD"))
            ids = await store.set_up(lambda connection: open_wallets(connection, "USD", 1))
            await store.refresh_books()
            await store.commit(asked(pay("warm-up", (ids[0], 1), currency="USD")), NOW_US)
            return ids[0]
        finally:
            await store.close()

    dollar_id = asyncio.run(dollars())
    (_, (paid,)) = play(
        path,
        [place(1, 100), settled("s", 1, "won", 90), place(2, 90), unsettled("u", 1)],
        [pay("p", (ALICE, 100), (dollar_id, 8))],
    )

    assert told(paid).suspends == ((1, "CURRENCY_MISMATCH"),)
    assert look(path, "SELECT balance, owed FROM users WHERE id = ?", ALICE) == [(10, 0)]
    assert reconcile(path).findings == []
