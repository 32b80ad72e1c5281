"""Several wallets of one person: opening them, the exclusion that holds for all, the limits that do not, and
that a limit counts what the wallet itself stakes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import pytest

from engine.accounts import last_user_id, open_books
from engine.commands import Command, Exclude, OpenWallet, SetLimit, Withdraw
from engine.outcomes import Accepted, Code, Outcome, Rejected, Wallet, WalletTold
from engine.store import Store
from tests.books_open import (
    ALICE,
    BOB,
    HOUSE,
    NOBODY,
    NOW_US,
    cash_out,
    deposit,
    grant,
    grant_free_bet,
    look,
    place,
    play,
    seed,
    settle,
    unsettle,
    with_store,
)
from tests.stories import DUE_US, FIRST, NEXT_WALLET, everything, go_on, moved, wallets

SECOND: Final = NEXT_WALLET
"""ALICE's second wallet, where a story opens one."""


def open_wallet(key: str = "o", currency: str = "EUR", participant_id: int | None = ALICE) -> OpenWallet:
    return OpenWallet(currency, participant_id, key=key, caller="test")


def exclude(user_id: int, until_us: int = DUE_US, key: str = "e") -> Exclude:
    return Exclude(user_id, until_us, key=key, caller="test")


def set_limit(kind: str, amount: int, user_id: int = ALICE) -> SetLimit:
    return SetLimit(user_id, kind, "day", amount, key=f"{kind}{user_id}", caller="test")


def codes(outcomes: list[Outcome]) -> list[Code | None]:
    return [outcome.code if isinstance(outcome, Rejected) else None for outcome in outcomes]


def books(tmp_path: Path) -> Path:
    return seed(tmp_path / "books.db", 100, 50)


def used(path: Path) -> dict[str, int]:
    return dict(look(path, "SELECT kind, used FROM limits"))


@pytest.mark.parametrize("apart", [False, True])
def test_a_further_wallet_and_one_of_somebody_new(tmp_path: Path, apart: bool) -> None:
    path = books(tmp_path)

    further, new, more, of_the_new, again = go_on(
        path,
        [open_wallet(), open_wallet("p", "EUR", None), deposit("d", 5, SECOND),
         open_wallet("q", "EUR", SECOND + 1), open_wallet()],
        NOW_US,
        apart=apart,
    )  # fmt: skip

    assert isinstance(further, Accepted)
    assert isinstance(again, Accepted)
    assert (further.opened, further.wallet) == (WalletTold(SECOND, ALICE, "EUR"), Wallet(0, 0, 0, 0))
    assert further.entries == ()
    assert (again.replayed, again.opened) == (True, further.opened)
    assert isinstance(new, Accepted)
    assert new.opened == WalletTold(SECOND + 1, SECOND + 1, "EUR")
    assert isinstance(of_the_new, Accepted)
    assert of_the_new.opened == WalletTold(SECOND + 2, SECOND + 1, "EUR")
    assert isinstance(more, Accepted)
    assert look(path, "SELECT id, participant_id, balance FROM users WHERE id >= ? AND id < 100", SECOND) == [
        (SECOND, ALICE, 5),
        (SECOND + 1, SECOND + 1, 0),
        (SECOND + 2, SECOND + 1, 0),
    ]
    assert look(path, "SELECT id FROM participants") == [(ALICE,), (BOB,), (SECOND + 1,)]


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (open_wallet("n", "EUR", NOBODY), Code.ACCOUNT_NOT_FOUND),
        (open_wallet("n", "EUR", HOUSE), Code.ACCOUNT_NOT_FOUND),
        (open_wallet("n", "EUR", SECOND), Code.ACCOUNT_NOT_FOUND),  # a wallet, and not a first one
        (open_wallet("n", "EUR", SECOND + 1), Code.ACCOUNT_NOT_FOUND),  # a bonus wallet
        (open_wallet("n", "JPY"), Code.CURRENCY_MISMATCH),
        (open_wallet("n", "JPY", None), Code.CURRENCY_MISMATCH),
        (open_wallet("o", "EUR", BOB), Code.IDEMPOTENCY_CONFLICT),
    ],
)
def test_a_wallet_that_cannot_be_opened(tmp_path: Path, command: Command, code: Code) -> None:
    path = books(tmp_path)
    go_on(path, [open_wallet(), grant("g", 10)], NOW_US)
    known = everything(path)

    assert go_on(path, [command], NOW_US) == [Rejected(code)]
    assert everything(path) == known


def test_each_wallet_has_money_and_a_bonus_of_its_own(tmp_path: Path) -> None:
    path = books(tmp_path)
    dollars = with_store(path, _with_dollars)

    outcomes = go_on(
        path,
        [open_wallet(currency="USD"), deposit("d", 20, dollars + 1), grant("g", 7, user_id=dollars + 1),
         place(1, 25, dollars + 1), place(2, 101, ALICE), place(3, 5, ALICE, currency="USD")],
        NOW_US,
    )  # fmt: skip

    assert codes(outcomes) == [*[None] * 4, Code.INSUFFICIENT_FUNDS, Code.CURRENCY_MISMATCH]
    assert look(
        path, "SELECT kind, currency, participant_id, balance FROM users WHERE participant_id = ?", ALICE
    ) == [
        ("player", "EUR", ALICE, 100),
        ("player", "USD", ALICE, 2),
        ("player_bonus", "USD", ALICE, 0),
    ]


async def _with_dollars(store: Store) -> int:
    """Books of USD; the newest number after it."""
    await store.set_up(lambda connection: open_books(connection, "USD"))
    await store.refresh_books()
    return await store.read(last_user_id)


@pytest.mark.parametrize("asked_by", [ALICE, SECOND])
@pytest.mark.parametrize("apart", [False, True])
def test_an_exclusion_is_the_persons(tmp_path: Path, asked_by: int, apart: bool) -> None:
    """Whichever wallet he asks with, and the answer is that of his first one."""
    path = books(tmp_path)
    go_on(path, [open_wallet(), deposit("d", 40, SECOND), place(1, 10, SECOND), place(2, 10)], NOW_US)

    excluded, *stopped = go_on(
        path,
        [
            exclude(asked_by),
            *(place(number, 1, user_id) for number, user_id in ((3, ALICE), (4, SECOND))),
            *(deposit(f"d{user_id}", 1, user_id) for user_id in (ALICE, SECOND)),
            *(grant(f"g{user_id}", 1, user_id=user_id) for user_id in (ALICE, SECOND)),
            *(grant_free_bet(f"f{user_id}", 1, user_id=user_id) for user_id in (ALICE, SECOND)),
            exclude(SECOND, DUE_US - 1, "shorter"),
        ],
        NOW_US,
        apart=apart,
    )
    rest = go_on(
        path,
        [settle("s1", 1, "won", 30), settle("s2", 2, "void"), place(5, 1, BOB),
         Withdraw(SECOND, 1, key="w", caller="test"), open_wallet("another")],
        NOW_US,
    )  # fmt: skip
    late = [place(number, 1, id_, sent_at_us=DUE_US) for number, id_ in ((6, ALICE), (7, SECOND))]
    over = go_on(path, late, DUE_US)

    assert isinstance(excluded, Accepted)
    assert excluded.limit is not None
    assert (excluded.limit.user_id, excluded.wallet) == (ALICE, Wallet(excluded.wallet.seq, 90, 0, 90))  # type: ignore[union-attr]
    assert codes(stopped) == [Code.LIMIT_EXCEEDED] * 9
    assert codes(rest) == [None] * 5
    assert codes(over) == [None] * 2
    assert look(path, "SELECT user_id, amount FROM limits") == [(ALICE, DUE_US)]


def test_other_limits_are_those_of_one_wallet(tmp_path: Path) -> None:
    path = books(tmp_path)
    go_on(path, [open_wallet(), deposit("d", 40, SECOND)], NOW_US)

    outcomes = go_on(
        path,
        [set_limit("stake", 5), set_limit("deposit", 0), place(1, 6), place(2, 6, SECOND), deposit("e", 1),
         deposit("f", 1, SECOND)],
        NOW_US,
    )  # fmt: skip

    stopped = Code.LIMIT_EXCEEDED
    assert codes(outcomes) == [None, None, stopped, None, stopped, None]


@pytest.mark.parametrize("kind", ["stake", "loss"])
@pytest.mark.parametrize("apart", [False, True])
def test_a_limit_counts_the_wallets_own_part_alone(tmp_path: Path, kind: str, apart: bool) -> None:
    path = books(tmp_path)

    outcomes = go_on(
        path,
        [set_limit(kind, 20), grant("g", 15), place(1, 25), place(2, 11), place(3, 10), place(4, 1)],
        NOW_US,
        apart=apart,
    )

    stopped = Code.LIMIT_EXCEEDED
    assert codes(outcomes) == [None, None, None, stopped, None, stopped]
    assert moved(outcomes[2]) == "alice -10 BET, bonus -15 BET, house +25 BET"
    assert used(path) == {kind: 20}


@pytest.mark.parametrize("kind", ["stake", "loss"])
def test_at_a_limit_of_nothing_a_bonus_and_a_free_bet_can_be_staked(tmp_path: Path, kind: str) -> None:
    path = books(tmp_path)

    outcomes = go_on(
        path,
        [grant_free_bet("f", 5), set_limit(kind, 0), grant("g", 15), place(1, 15),
         place(2, 5, free_bet_id=FIRST), place(3, 1)],
        NOW_US,
    )  # fmt: skip

    assert codes(outcomes) == [*[None] * 5, Code.LIMIT_EXCEEDED]
    assert used(path) == {kind: 0}


@pytest.mark.parametrize("kind", ["stake", "loss"])
def test_a_free_bet_that_cannot_be_used_is_not_held_against_a_limit(tmp_path: Path, kind: str) -> None:
    """Otherwise a player would be told that his limit keeps him from a bet that nobody would pay."""
    path = books(tmp_path)

    outcomes = go_on(
        path,
        [grant_free_bet("f", 5), set_limit(kind, 0), place(1, 5, free_bet_id=77),
         place(2, 6, free_bet_id=FIRST), exclude(ALICE), place(3, 6, free_bet_id=FIRST)],
        NOW_US,
    )  # fmt: skip

    unpaid = Code.INSUFFICIENT_FUNDS
    assert codes(outcomes) == [None, None, unpaid, unpaid, None, Code.LIMIT_EXCEEDED]


def test_at_a_time_limit_no_free_bet_is_told_of(tmp_path: Path) -> None:
    path = books(tmp_path)

    outcomes = go_on(path, [set_limit("time", 0), place(1, 5, free_bet_id=77)], NOW_US)

    assert codes(outcomes) == [None, Code.LIMIT_EXCEEDED]


@pytest.mark.parametrize("kind", ["stake", "loss"])
def test_a_limit_that_is_overdrawn_does_not_stop_what_the_wallet_has_no_part_in(
    tmp_path: Path, kind: str
) -> None:
    path = books(tmp_path)
    stricter = SetLimit(ALICE, kind, "day", 20, key="stricter", caller="test")

    outcomes = go_on(
        path,
        [set_limit(kind, 50), place(1, 30), stricter, grant("g", 15), place(2, 16), place(3, 15)],
        NOW_US,
    )

    assert codes(outcomes) == [*[None] * 4, Code.LIMIT_EXCEEDED, None]


def test_time_is_played_with_a_bonus_as_well(tmp_path: Path) -> None:
    path = books(tmp_path)

    outcomes = go_on(
        path, [grant_free_bet("f", 5), set_limit("time", 0), grant("g", 15), place(1, 15),
               place(2, 5, free_bet_id=FIRST)], NOW_US,
    )  # fmt: skip

    assert codes(outcomes)[3:] == [Code.LIMIT_EXCEEDED] * 2
    assert wallets(path)["bonus"] == 15


def losses(*commands: Command) -> tuple[Command, ...]:
    """A third of the stake of bet 1 is bonus money."""
    return (set_limit("loss", 500), grant("g", 10), place(1), *commands)


@pytest.mark.parametrize(
    ("commands", "lost"),
    [
        (losses(), 20),
        (losses(settle("s", 1, "won", 90)), 20 - 60),
        (losses(settle("s", 1, "void")), 0),
        (losses(settle("s", 1, "won", 90), unsettle("u", 1)), 20),
        (losses(cash_out("c", 1, 10, 25)), 20 - 17),
        ((set_limit("loss", 500), grant_free_bet("f", 50), place(1, 50, free_bet_id=FIRST + 1),
          settle("s", 1, "won", 170)), -120),
        ((set_limit("loss", 500), grant_free_bet("f", 50), place(1, 50, free_bet_id=FIRST + 1),
          settle("s", 1, "void")), 0),
    ],
)  # fmt: skip
def test_a_loss_is_what_the_wallet_itself_has_lost(
    tmp_path: Path, commands: tuple[Command, ...], lost: int
) -> None:
    path = books(tmp_path)

    assert codes(go_on(path, commands, NOW_US)) == [None] * len(commands)
    assert used(path) == {"loss": lost}


def test_a_limit_that_stops_a_bet_leaves_bonus_and_free_bet_alone(tmp_path: Path) -> None:
    path = books(tmp_path)
    before: list[Any] = [grant_free_bet("f", 50), grant("g", 10), set_limit("stake", 19)]
    play(path, before)
    known = {"users": everything(path)["users"], "free_bets": everything(path)["free_bets"]}

    (outcomes,) = play(path, [place(1, 30)])

    assert codes(outcomes) == [Code.LIMIT_EXCEEDED]
    assert known == {name: everything(path)[name] for name in known}
