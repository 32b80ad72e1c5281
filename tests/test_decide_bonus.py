"""Bonus money and free bets as commands: what they answer, what they refuse, and that a refusal changes
nothing. What moves stands in test_decide_shares.py.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec
import pytest

from engine.bonus import bonus_part, is_usable, winnings_of
from engine.commands import (
    Command,
    Exclude,
    ExpireBonus,
    ExpireFreeBet,
    Leg,
    Pay,
    PayoutItem,
    RevokeFreeBet,
    SetLimit,
    SetStatus,
    Transfer,
    Withdraw,
)
from engine.lifecycle import (
    BONUSES,
    FREE_BETS,
    NEVER,
    BonusEvent,
    BonusState,
    FreeBetEvent,
    FreeBetState,
    is_due,
)
from engine.money import WIRE_MAX_MINOR
from engine.outcomes import Accepted, BonusTold, Code, FreeBetTold, Outcome, Rejected, Source, Wallet
from engine.subjects import Bonus
from tests.books_open import (
    ALICE,
    BOB,
    BONUS_BOOK,
    HOUSE,
    NOBODY,
    NOW_US,
    account,
    deposit,
    grant,
    grant_free_bet,
    hold,
    look,
    place,
    roll_back,
    seed,
    set_floor,
    settle,
    unsettle,
)
from tests.stories import DUE_US, FIRST, LATER_US, NEXT_WALLET, everything, go_on, moved, wallets

BONUS: Final = NEXT_WALLET
OPENING: Final = Wallet(1, 100, 0, 100)
"""ALICE's, before anything has moved."""


def expire(key: str = "x", user_id: int = BONUS) -> ExpireBonus:
    return ExpireBonus(user_id, key=key, caller="clock")


def expire_free_bet(free_bet_id: int = FIRST, key: str = "x") -> ExpireFreeBet:
    return ExpireFreeBet(free_bet_id, key=key, caller="clock")


def revoke(free_bet_id: int = FIRST, key: str = "r") -> RevokeFreeBet:
    return RevokeFreeBet(free_bet_id, key=key, caller="test")


def status(to: str, user_id: int = ALICE) -> SetStatus:
    return SetStatus(user_id, to, key=to, caller="test")


def excluded(until_us: int = DUE_US) -> Exclude:
    return Exclude(ALICE, until_us, key="e", caller="test")


def withdraw(amount_minor: int = 100, user_id: int = ALICE) -> Withdraw:
    return Withdraw(user_id, amount_minor, key="w", caller="test")


def transfer(*legs: tuple[int, int]) -> Transfer:
    return Transfer(tuple(Leg(*leg) for leg in legs), key="t", caller="test")


def accepted(outcome: Outcome) -> Accepted:
    assert isinstance(outcome, Accepted), outcome
    return outcome


# -- the rules


@pytest.mark.parametrize(
    ("expires_at_us", "at_us", "due"),
    [(NEVER, LATER_US, False), (DUE_US, DUE_US - 1, False), (DUE_US, DUE_US, True), (DUE_US, LATER_US, True)],
)
def test_when_it_is_due(expires_at_us: int, at_us: int, due: bool) -> None:
    assert is_due(expires_at_us, at_us) is due
    for state in BonusState:
        bonus = Bonus(BONUS, ALICE, "first", expires_at_us, state, FIRST)
        assert is_usable(bonus, at_us) is (state is BonusState.OPEN and not due)


@pytest.mark.parametrize(
    ("spend", "stake", "wallet", "held", "bonus", "part"),
    [
        ("first", 30, 100, 0, 10, 10),
        ("first", 30, 100, 0, 30, 30),
        ("first", 30, 100, 0, 31, 30),
        ("first", 30, 0, 0, 10, 10),
        ("last", 30, 100, 0, 10, 0),
        ("last", 30, 30, 0, 10, 0),
        ("last", 30, 29, 0, 10, 1),
        ("last", 30, 0, 0, 10, 10),
        ("last", 30, 40, 20, 30, 10),
        ("first", 30, 0, 0, 0, 0),
        ("last", 30, 0, 0, 0, 0),
    ],
)
def test_who_pays_how_much(spend: str, stake: int, wallet: int, held: int, bonus: int, part: int) -> None:
    assert bonus_part(spend, stake, account(ALICE, wallet, held_minor=held), account(BONUS, bonus)) == part


def test_what_is_won_with_a_free_bet_is_what_is_beyond_its_stake() -> None:
    assert [winnings_of(payout, 50) for payout in (0, 49, 50, 51, 170)] == [0, 0, 0, 1, 120]


def test_a_free_bet_that_is_over_stays_over() -> None:
    over = (FreeBetState.REVOKED, FreeBetState.EXPIRED)
    assert not [(state, event) for state, event in FREE_BETS if state in over]
    assert {state for state, event in FREE_BETS if event is not FreeBetEvent.GIVE_BACK} == {FreeBetState.OPEN}
    assert BONUSES[BonusState.EXPIRED, BonusEvent.GRANT] is BonusState.OPEN


# -- the answers


@pytest.mark.parametrize("apart", [False, True])
def test_what_a_grant_answers(tmp_path: Path, apart: bool) -> None:
    path = seed(tmp_path / "books.db", 100, 50)

    first, more, again = go_on(
        path,
        [grant("g", 10, "first", DUE_US), grant("h", 5, "last"), grant("g", 10, "first", DUE_US)],
        NOW_US,
        apart=apart,
    )
    expired, regranted = go_on(path, [expire(), grant("i", 1)], LATER_US, apart=apart)

    told = accepted(first)
    assert told.bonus == BonusTold(BONUS, "open", "first", DUE_US, 0)
    assert told.wallet == Wallet(told.entries[0].id, 10, 0, 10), "that of the bonus wallet"
    assert [(e.ref_type, e.ref_id) for e in told.entries] == [("BONUS", str(FIRST))] * 2
    assert accepted(more).bonus == BonusTold(BONUS, "open", "last", NEVER, FIRST)
    assert accepted(more).wallet == Wallet(accepted(more).entries[0].id, 15, 0, 15)
    assert again == msgspec.structs.replace(told, replayed=True, entries=(), at_us=0)
    assert expired == Rejected(Code.INVALID_REQUEST), "it does not expire any more"
    assert accepted(regranted).bonus == BonusTold(BONUS, "open", "first", NEVER, FIRST + 1)
    assert look(path, "SELECT user_id, wallet_id, spend, expires_at, state FROM bonuses") == [
        (BONUS, ALICE, "first", 0, "open")
    ]
    assert look(path, "SELECT kind, currency, participant_id FROM users WHERE id = ?", BONUS) == [
        ("player_bonus", "EUR", ALICE)
    ]


@pytest.mark.parametrize("apart", [False, True])
def test_what_an_expiry_answers(tmp_path: Path, apart: bool) -> None:
    path = seed(tmp_path / "books.db", 100, 50)
    go_on(path, [grant("g", 10, "last", DUE_US)], NOW_US)

    early = go_on(path, [expire()], DUE_US - 1)
    over, again, twice, regranted = go_on(
        path, [expire(), expire(), expire("y"), grant("h", 3, "first", LATER_US)], DUE_US, apart=apart
    )
    (second,) = go_on(path, [expire("z")], LATER_US)

    assert early == [Rejected(Code.INVALID_REQUEST)]
    assert accepted(over).bonus == BonusTold(BONUS, "expired", "last", DUE_US, FIRST)
    assert accepted(over).wallet == Wallet(accepted(over).entries[0].id, 0, 0, 0)
    assert [(e.ref_type, e.ref_id) for e in accepted(over).entries] == [("EXPIRY", str(BONUS))] * 2
    assert again == msgspec.structs.replace(accepted(over), replayed=True, entries=(), at_us=0)
    assert twice == Rejected(Code.INVALID_REQUEST)
    assert accepted(regranted).bonus == BonusTold(BONUS, "open", "first", LATER_US, FIRST + 1)
    assert accepted(second).bonus == BonusTold(BONUS, "expired", "first", LATER_US, FIRST + 2)


@pytest.mark.parametrize(
    ("at_us", "moves", "holds"),
    [
        (DUE_US - 1, "bonus +3 BONUS, book -3 BONUS", 13),
        (DUE_US, "bonus -10 EXPIRY, book +10 EXPIRY, bonus +3 BONUS, book -3 BONUS", 3),
    ],
)
def test_a_grant_does_not_bring_back_what_was_over(
    tmp_path: Path, at_us: int, moves: str, holds: int
) -> None:
    path = seed(tmp_path / "books.db", 100, 50)
    go_on(path, [grant("g", 10, "last", DUE_US)], NOW_US)

    (outcome,) = go_on(path, [grant("h", 3, "first", LATER_US)], at_us)

    told = accepted(outcome)
    assert moved(told) == moves
    assert told.bonus == BonusTold(BONUS, "open", "first", LATER_US, FIRST)
    assert told.wallet == Wallet(told.entries[-2].id, holds, 0, holds)
    names = {"EXPIRY": str(BONUS), "BONUS": str(FIRST + 1)}
    assert all(entry.ref_id == names[entry.ref_type] for entry in told.entries)
    assert wallets(path)["bonus"] == holds


def test_what_was_over_leaves_room_for_a_grant(tmp_path: Path) -> None:
    path = seed(tmp_path / "books.db", 100, 50)
    go_on(path, [grant("g", WIRE_MAX_MINOR, "first", DUE_US)], NOW_US)

    early, granted = [go_on(path, [grant("h", 3)], at_us)[0] for at_us in (DUE_US - 1, DUE_US)]

    assert early == Rejected(Code.LIMIT_EXCEEDED)
    assert wallets(path)["bonus"] == 3
    assert accepted(granted).entries[0].amount_minor == -WIRE_MAX_MINOR


@pytest.mark.parametrize("apart", [False, True])
def test_the_life_of_a_free_bet_is_told_step_by_step(tmp_path: Path, apart: bool) -> None:
    path = seed(tmp_path / "books.db", 100, 50)
    free = place(1, 50, free_bet_id=FIRST)

    granted, _, void, used, _, back, gone = go_on(
        path,
        [
            grant_free_bet("f", 50, DUE_US),
            free,
            settle("s", 1, "void"),
            unsettle("u", 1),
            settle("t", 1, "lost"),
            roll_back("b", 1),
            revoke(),
        ],
        NOW_US,
        apart=apart,
    )

    assert accepted(granted).free_bet == FreeBetTold(FIRST, "open", 50, 0)
    assert accepted(granted).wallet == OPENING, "nothing has moved"
    assert accepted(void).free_bet == FreeBetTold(FIRST, "open", 50, FIRST + 1)
    assert accepted(used).free_bet == FreeBetTold(FIRST, "used", 50, FIRST + 2)
    assert back == Rejected(Code.BET_CLOSED, OPENING), "it is settled"
    assert gone == Rejected(Code.BET_CLOSED, OPENING), "it is used"
    assert look(path, "SELECT id, user_id, amount, expires_at, state FROM free_bets") == [
        (FIRST, ALICE, 50, DUE_US, "used")
    ]


def test_a_settlement_of_a_free_bet_tells_what_was_paid(tmp_path: Path) -> None:
    path = seed(tmp_path / "books.db", 100, 50)
    *_, won = go_on(
        path,
        [grant_free_bet("f", 50), place(1, 50, free_bet_id=FIRST), settle("s", 1, "won", 170)],
        NOW_US,
    )

    told = accepted(won).bet
    assert told is not None
    assert (told.payout_minor, told.total_minor, told.settled_minor) == (120, 120, 120)
    assert accepted(won).free_bet is None, "a free bet that wins is spent"


@pytest.mark.parametrize("apart", [False, True])
@pytest.mark.parametrize(
    ("given", "stake_minor", "terms", "source"),
    [
        (grant("g", 10), 30, {}, Source(BONUS, 10)),
        (grant("g", 30), 30, {}, Source(BONUS, 30)),
        (grant_free_bet("f", 50), 50, {"free_bet_id": FIRST}, Source(BONUS_BOOK, 50)),
    ],
)
def test_a_bet_that_has_a_source_is_replayed_as_any_other(
    tmp_path: Path, given: Command, stake_minor: int, terms: dict[str, int], source: Source, apart: bool
) -> None:
    path = seed(tmp_path / "books.db", 100, 50)
    bet = place(1, stake_minor, **terms)

    _, first, again = go_on(path, [given, bet, bet], NOW_US, apart=apart)
    (later,) = go_on(path, [bet], LATER_US)
    (other,) = go_on(path, [place(1, stake_minor, free_bet_id=77)], NOW_US)

    told = accepted(first)
    assert told.source == source
    own = [entry for entry in told.entries if entry.user_id == ALICE]
    assert told.wallet is not None
    assert told.wallet.seq == (own[0].id if own else OPENING.seq)
    assert told.wallet.balance_minor == 100 + sum(entry.amount_minor for entry in own)
    replayed = msgspec.structs.replace(told, replayed=True, entries=(), at_us=0)
    assert (again, later, other) == (replayed, replayed, Rejected(Code.IDEMPOTENCY_CONFLICT))
    ((text,),) = look(path, "SELECT answer ->> 'source' FROM transactions WHERE id = ?", FIRST + 1)
    assert msgspec.json.decode(text, type=Source) == source


def test_a_bet_without_a_source_keeps_none(tmp_path: Path) -> None:
    path = seed(tmp_path / "books.db", 100, 50)
    *_, told = go_on(path, [grant("g", 10, "last"), place(1)], NOW_US)

    assert accepted(told).source is None
    ((text,),) = look(path, "SELECT answer FROM transactions WHERE kind = 'BET'")
    assert "source" not in text


# -- the refusals

IN_USE: Final = (
    grant("g", 10, "first", DUE_US),  # FIRST
    grant_free_bet("f", 50, DUE_US),
    place(1, 30),
    place(2, 50, free_bet_id=FIRST + 1),
    grant_free_bet("f2", 50),
)
"""ALICE has 80, a bonus of which nothing is left, a free bet that is used and another."""

REFUSED: Final[dict[str, tuple[tuple[Command, ...], Command, Code]]] = {
    "a grant that would be over": ((), grant("n", 5, "first", NOW_US), Code.INVALID_REQUEST),
    "a grant to nobody": ((), grant("n", 5, user_id=NOBODY), Code.ACCOUNT_NOT_FOUND),
    "a grant to a book": ((), grant("n", 5, user_id=HOUSE), Code.ACCOUNT_NOT_FOUND),
    "a grant to a bonus wallet": ((), grant("n", 5, user_id=BONUS), Code.ACCOUNT_NOT_FOUND),
    "a grant to somebody blocked": ((status("blocked"),), grant("n", 5), Code.ACCOUNT_BLOCKED),
    "a grant to somebody excluded": ((excluded(),), grant("n", 5), Code.LIMIT_EXCEEDED),
    "a grant beyond the wire": (
        (grant("m", 1),),
        grant("n", WIRE_MAX_MINOR),
        Code.LIMIT_EXCEEDED,
    ),
    "the same grant of another amount": ((), grant("g", 11, "first", DUE_US), Code.IDEMPOTENCY_CONFLICT),
    "the same grant of other terms": ((), grant("g", 10, "last", DUE_US), Code.IDEMPOTENCY_CONFLICT),
    "a free bet that would be over": ((), grant_free_bet("n", 5, NOW_US), Code.INVALID_REQUEST),
    "a free bet for nobody": ((), grant_free_bet("n", 5, user_id=NOBODY), Code.ACCOUNT_NOT_FOUND),
    "a free bet for a bonus wallet": ((), grant_free_bet("n", 5, user_id=BONUS), Code.ACCOUNT_NOT_FOUND),
    "a free bet for somebody blocked": ((status("blocked"),), grant_free_bet("n", 5), Code.ACCOUNT_BLOCKED),
    "a free bet for somebody excluded": ((excluded(),), grant_free_bet("n", 5), Code.LIMIT_EXCEEDED),
    "the expiry of a wallet": ((), expire("n", ALICE), Code.NOT_FOUND),
    "the expiry of a book": ((), expire("n", BONUS_BOOK), Code.NOT_FOUND),
    "the expiry of nobody": ((), expire("n", NOBODY), Code.NOT_FOUND),
    "an expiry that is early": ((), expire("n"), Code.INVALID_REQUEST),
    "an expiry of what never expires": ((grant("m", 1),), expire("n"), Code.INVALID_REQUEST),
    "the revocation of a free bet that is used": ((), revoke(FIRST + 1, "n"), Code.BET_CLOSED),
    "the revocation of one that is revoked": ((revoke(FIRST + 4),), revoke(FIRST + 4, "n"), Code.BET_CLOSED),
    "the revocation of none": ((), revoke(FIRST, "n"), Code.NOT_FOUND),
    "the expiry of a free bet that is early": ((), expire_free_bet(FIRST + 1, "n"), Code.INVALID_REQUEST),
    "the expiry of one that has no time": ((), expire_free_bet(FIRST + 4, "n"), Code.INVALID_REQUEST),
    "the expiry of no free bet": ((), expire_free_bet(FIRST, "n"), Code.NOT_FOUND),
    "a bet on a bonus wallet": ((), place(9, 1, BONUS), Code.ACCOUNT_NOT_FOUND),
    "a deposit to a bonus wallet": ((), deposit("n", 1, BONUS), Code.ACCOUNT_NOT_FOUND),
    "a withdrawal from a bonus wallet": ((), withdraw(1, BONUS), Code.ACCOUNT_NOT_FOUND),
    "a hold on a bonus wallet": ((), hold("n", 1, BONUS), Code.ACCOUNT_NOT_FOUND),
    "a bonus wallet closed": ((), status("closed", BONUS), Code.ACCOUNT_NOT_FOUND),
    "a limit of a bonus wallet": (
        (),
        SetLimit(BONUS, "stake", "day", 5, key="n", caller="test"),
        Code.ACCOUNT_NOT_FOUND,
    ),
    "an exclusion of a bonus wallet": (
        (),
        Exclude(BONUS, DUE_US, key="n", caller="test"),
        Code.ACCOUNT_NOT_FOUND,
    ),
    "more out of a bonus wallet than there is": (
        (),
        transfer((BONUS, -1), (ALICE, 1)),
        Code.INSUFFICIENT_FUNDS,
    ),
    "a wallet closed beside which there is a bonus": (
        (settle("s", 1, "won", 90), withdraw(140)),
        status("closed"),
        Code.LIMIT_EXCEEDED,
    ),
}


@pytest.mark.parametrize("words", REFUSED)
def test_what_is_refused_changes_nothing(tmp_path: Path, words: str) -> None:
    path = seed(tmp_path / "books.db", 100, 50)
    before, command, code = REFUSED[words]
    assert all(isinstance(each, Accepted) for each in go_on(path, (*IN_USE, *before), NOW_US))
    known = everything(path)

    (outcome,) = go_on(path, [command], NOW_US)

    assert isinstance(outcome, Rejected)
    assert (outcome.code, outcome.replayed) == (code, False)
    assert everything(path) == known


@pytest.mark.parametrize("words", REFUSED)
def test_what_is_refused_in_the_batch_that_leads_to_it(tmp_path: Path, words: str) -> None:
    path = seed(tmp_path / "books.db", 100, 50)
    before, command, code = REFUSED[words]

    *_, outcome = go_on(path, (*IN_USE, *before, command), NOW_US)

    assert isinstance(outcome, Rejected)
    assert outcome.code is code


def test_a_refused_bet_stays_refused_though_a_bonus_would_pay_it_now(tmp_path: Path) -> None:
    path = seed(tmp_path / "books.db", 100, 50)

    (refused,) = go_on(path, [place(1, 101)], NOW_US)
    _, again, another = go_on(path, [grant("g", 50), place(1, 101), place(2, 101)], NOW_US)

    assert isinstance(again, Rejected)
    assert isinstance(refused, Rejected)
    assert (again.code, again.replayed, refused.code) == (refused.code, True, Code.INSUFFICIENT_FUNDS)
    assert moved(another) == "alice -51 BET, bonus -50 BET, house +101 BET"


def test_a_prize_for_a_bonus_wallet_waits_in_suspense(tmp_path: Path) -> None:
    path = seed(tmp_path / "books.db", 100, 50)

    *_, paid = go_on(
        path,
        [grant("g", 10), Pay("EUR", (PayoutItem(BONUS, 5),), key="p", caller="test")],
        NOW_US,
    )

    told = accepted(paid).payout
    assert told is not None
    assert told.suspends == ((0, "ACCOUNT_NOT_FOUND"),)
    assert wallets(path)["bonus"] == 10


def test_the_books_floor_stops_a_grant_and_a_free_bet(tmp_path: Path) -> None:
    path = seed(tmp_path / "books.db", 100, 50)
    go_on(path, [grant_free_bet("f", 50), set_floor("l", -60, BONUS_BOOK)], NOW_US)

    outcomes = go_on(
        path,
        [
            grant("g", 61),
            grant("h", 60),
            grant("i", 1),
            place(1, 50, free_bet_id=FIRST),
        ],
        NOW_US,
    )

    assert [getattr(each, "code", None) for each in outcomes] == [
        *(Code.INSUFFICIENT_FUNDS, None),
        *(Code.INSUFFICIENT_FUNDS, Code.INSUFFICIENT_FUNDS),
    ]
    assert wallets(path) == {"alice": 100, "bob": 50, "bonus": 60}
    assert look(path, "SELECT state FROM free_bets") == [("open",)]


def test_a_void_free_bet_is_not_taken_back_beyond_the_books_floor(tmp_path: Path) -> None:
    path = seed(tmp_path / "books.db", 100, 50)
    bet = place(1, 50, free_bet_id=FIRST)
    limited = set_floor("l", -50, BONUS_BOOK)
    go_on(path, [grant_free_bet("f", 50), limited, bet, settle("s", 1, "void"), grant("g", 1)], NOW_US)
    known = everything(path)

    (outcome,) = go_on(path, [unsettle("u", 1)], NOW_US)

    assert outcome == Rejected(Code.INSUFFICIENT_FUNDS, OPENING)
    assert everything(path) == known


def test_what_an_expired_bonus_got_is_not_given_back_beyond_the_books_floor(tmp_path: Path) -> None:
    path = seed(tmp_path / "books.db", 100, 50)
    go_on(path, [grant("g", 10, "first", DUE_US), place(1)], NOW_US)
    go_on(path, [expire(), settle("s", 1, "won", 90)], LATER_US)
    go_on(
        path, [set_floor("l", -10, BONUS_BOOK), grant("h", 1, user_id=BOB)], LATER_US
    )  # 29 are left, of the 30 that it got
    known = everything(path)

    (outcome,) = go_on(path, [unsettle("u", 1)], LATER_US)

    assert isinstance(outcome, Rejected)
    assert outcome.code is Code.INSUFFICIENT_FUNDS
    assert everything(path) == known


def test_a_wallet_closes_once_the_bonus_beside_it_is_gone(tmp_path: Path) -> None:
    """What only the bonus owes keeps nobody: it is paid out of bonus money, or never."""
    path = seed(tmp_path / "books.db", 100, 50)
    debt = (grant("g", 10), place(1), settle("s1", 1, "won", 90), place(2), unsettle("u1", 1))

    *_, early, _, closed = go_on(
        path,
        [*debt, withdraw(80), grant("h", 3), status("closed"), transfer((BONUS, -3), (BOB, 3)),
         SetStatus(ALICE, "closed", key="again", caller="test")],
        NOW_US,
    )  # fmt: skip
    late = go_on(path, [settle("s2", 2, "won", 40), grant("i", 5)], NOW_US)

    assert early == Rejected(Code.LIMIT_EXCEEDED, accepted(closed).wallet)
    assert wallets(path) == {"alice": 0, "bob": 53, "bonus": 0, "bonus owes": 30}
    assert [each.code for each in late if isinstance(each, Rejected)] == [Code.ACCOUNT_BLOCKED] * 2
