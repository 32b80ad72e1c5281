"""The wallet against a model of it that shares no code: commands at random, in batches, on a real file.

Every answer is compared, and at the end every balance, hold, bet, refusal and entry with what any SQLite
shell reads. Batches are written one by one, or two are prepared before the first is written; some are given
up before they begin and prepared anew; the file is closed and opened; the clock moves on and jumps back. The
house's books have a floor near by in some runs, so that wins are refused and their neighbours stand.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import sqlite3
import tempfile
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest
from books_open import NOW_US, bet_id
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test
from wallet_model import MOST, Answer, Request, Wallets, hold_state_of, left_of, state_of

from engine.accounts import open_books, open_wallets
from engine.commands import (
    CaptureHold,
    CashOutBet,
    Command,
    Deposit,
    ExpireHold,
    Leg,
    PlaceBet,
    PlaceHold,
    ReleaseHold,
    Result,
    RollBackBet,
    SetStatus,
    SettleBet,
    Transfer,
    UnsettleBet,
    Withdraw,
)
from engine.money import BOOK_FLOOR_MINOR
from engine.outcomes import Accepted, Code, Outcome
from engine.reconcile import reconcile
from engine.store import Asked, Store

BOOKS: Final = {"EUR": range(1, 7), "USD": range(7, 13)}
HOUSE, CASH, FEES, SUSPENSE, RECEIVABLE = 1, 2, 3, 5, 6
PLAYERS, DOLLARS, NOBODY = (13, 14, 15), 16, 99
SECOND_US = 1_000_000

MAKE: Final[dict[str, Callable[[Request], Command]]] = {
    "place": lambda r: PlaceBet(r["bet_id"], r["user"], r["stake"], "nonce", r["sent_at"], r["currency"]),
    "settle": lambda r: SettleBet(r["bet_id"], Result(r["result"]), r["payout"], **_name(r)),
    "unsettle": lambda r: UnsettleBet(r["bet_id"], **_name(r)),
    "rollback": lambda r: RollBackBet(r["bet_id"], r["user"], r["stake"], r["currency"], **_name(r)),
    "cashout": lambda r: CashOutBet(r["bet_id"], r["stake"], r["payout"], **_name(r)),
    "deposit": lambda r: Deposit(r["user"], r["amount"], **_name(r)),
    "withdraw": lambda r: Withdraw(r["user"], r["amount"], r["for_approval"], **_name(r)),
    "hold": lambda r: PlaceHold(r["user"], r["amount"], r["expires_at"], **_name(r)),
    "capture": lambda r: CaptureHold(r["hold"], r["amount"], **_name(r)),
    "release": lambda r: ReleaseHold(r["hold"], **_name(r)),
    "expire": lambda r: ExpireHold(r["hold"], **_name(r)),
    "transfer": lambda r: Transfer(tuple(Leg(*leg) for leg in r["legs"]), **_name(r)),
    "status": lambda r: SetStatus(r["user"], r["status"], **_name(r)),
}
"""The engine's command for each request of the model's."""


def _name(request: Request) -> dict[str, str]:
    return {"key": request["key"], "caller": request["caller"]}


# -- what is asked

ALL = "all"  # that is available
AMOUNTS = st.sampled_from([1, 7, 20, 20, 50, 90, 120, 300, ALL, ALL, MOST - 100, MOST])
STAKES = st.sampled_from([1, 5, 20, 20, 30, 60])
PAYOUTS = st.sampled_from([0, 1, 20, 45, 90, 90, 250, 250, 600, MOST])
USERS = st.sampled_from([*PLAYERS * 3, DOLLARS, DOLLARS, DOLLARS, NOBODY, HOUSE])
BETS = st.integers(0, 9)  # 0 to 7: of those placed, from the newest on; then one buried, one never seen
HOLDS = st.sampled_from([0, 0, 0, 1, 1, 2, 5, 99])  # of those made, from the newest on; 99: none
MAYBE_CURRENCY = st.sampled_from([None] * 6 + ["EUR", "EUR", "USD"])
OBJECTIONS = st.sampled_from([None] * 30 + ["NONCE_REUSED", "OUTCOME_UNKNOWN", "OVERLOADED"])


@st.composite
def transfers(draw: st.DrawFn) -> list[tuple[int, int, str]]:
    """Legs that sum to zero, most of them, with a fee and a tax, most of them in one currency."""
    payer, payee, amount = draw(USERS), draw(USERS), draw(STAKES) * draw(st.sampled_from([1, 1, 3, 9]))
    fee, tax = draw(st.integers(0, 5)), draw(st.integers(-3, 5))
    legs = [(payer, -amount, "TRANSFER"), (payee, amount - fee - tax, "TRANSFER")]
    legs += [(book, part, name) for book, part, name in ((FEES, fee, "FEE"), (HOUSE, tax, "TAX")) if part]
    spoilt = draw(
        st.sampled_from([""] * 5 + ["unbalanced", "a leg of nothing", "a book kept", "one leg", "swapped"])
    )
    if spoilt == "swapped":
        return [(user, -part, name) for user, part, name in reversed(legs)]
    if spoilt == "one leg":
        return legs[:1]
    if spoilt == "a book kept":
        legs += [(SUSPENSE, 1, "TRANSFER"), (payer, -1, "TRANSFER")]
    return legs + {"unbalanced": [(HOUSE, 1, "FEE")], "a leg of nothing": [(HOUSE, 0, "FEE")]}.get(spoilt, [])


def _request(do: str, **fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Request]:
    return st.fixed_dictionaries({"do": st.just(do), **fields})


TERMS: Final[dict[str, Callable[[Any], Any]]] = {
    **dict.fromkeys(
        ("user", "stake", "payout", "amount", "expires_at", "hold"), lambda term: (term or 0) + 1
    ),
    "bet_id": lambda term: bet_id(9_999),
    "currency": lambda term: "EUR" if term == "USD" else "USD",
    "result": lambda term: "lost" if term == "won" else "won",
    "for_approval": lambda term: not term,
    "status": lambda term: "blocked" if term == "open" else "open",
    "legs": lambda term: [*term, (FEES, 1, "FEE"), (HOUSE, -1, "TAX")],
}
"""Another term in place of this one."""

SENT = st.sampled_from([0] * 12 + [-80, 10, -81, 11])
PLACE = _request(
    "place",
    bet=st.sampled_from([9] * 8 + [0, 1, 8]),
    user=USERS,
    stake=STAKES,
    currency=MAYBE_CURRENCY,
    sent_at=SENT,
)
SETTLE = _request(
    "settle",
    bet=BETS,
    result=st.sampled_from(["won", "won", "lost", "void"]),
    payout=st.sampled_from([None, None, 20, 45, 90, 250, 600, MOST]),
)
UNSETTLE = _request("unsettle", bet=BETS)
CASH_OUT = _request("cashout", bet=BETS, stake=STAKES, payout=PAYOUTS)
ROLL_BACK = _request(
    "rollback",
    bet=st.sampled_from([0, 1, 2, 3, 8, 8, 9, 9]),
    user=st.sampled_from([None] * 4 + [*PLAYERS]),
    stake=st.sampled_from([None] * 5 + [20]),
    currency=MAYBE_CURRENCY,
)
HOLD = _request("hold", user=USERS, amount=AMOUNTS, expires_at=st.sampled_from([None, 0, 1, 20, 20, 90]))
CAPTURE = _request("capture", hold=HOLDS, amount=st.none() | STAKES)
RELEASE, EXPIRE = _request("release", hold=HOLDS), _request("expire", hold=HOLDS)
DEPOSIT = _request("deposit", user=USERS, amount=AMOUNTS)
WITHDRAW = _request("withdraw", user=USERS, amount=AMOUNTS, for_approval=st.booleans())
TRANSFER = _request("transfer", legs=transfers())
STATUS = _request("status", user=USERS, status=st.sampled_from(["open"] * 8 + ["blocked", "closed"]))
# The same as so many requests ago, or but for one of its terms.
AGAIN = _request("again", which=st.integers(0, 12), but=st.none() | st.sampled_from([*TERMS]))
# fmt: off
REQUESTS = st.sampled_from(
    [*[PLACE] * 5, *[SETTLE] * 3, UNSETTLE, CASH_OUT, ROLL_BACK, HOLD, HOLD, CAPTURE, CAPTURE, RELEASE,
     EXPIRE, DEPOSIT, WITHDRAW, WITHDRAW, TRANSFER, TRANSFER, STATUS, AGAIN, AGAIN]
).flatmap(lambda requests: requests)
# fmt: on


DEBT: Final[list[Request]] = [
    {"do": "settle", "bet": 0, "result": "won", "payout": 90},
    {"do": "withdraw", "amount": ALL, "for_approval": False},
    {"do": "unsettle", "bet": 0},
]
"""A win that was spent, then taken back."""


@st.composite
def lives(draw: st.DrawFn) -> list[Request]:
    """One bet and what becomes of it, and what its player does meanwhile with his money."""
    user = draw(st.sampled_from([*PLAYERS, DOLLARS]))
    events = st.sampled_from(
        [
            *[SETTLE] * 4,
            *[UNSETTLE] * 4,
            CASH_OUT,
            CASH_OUT,
            ROLL_BACK,
            WITHDRAW,
            WITHDRAW,
            HOLD,
            STATUS,
            AGAIN,
        ]
    ).flatmap(lambda requests: requests)
    placed = draw(PLACE) | {"bet": 9, "user": user, "currency": None, "sent_at": 0}
    life = draw(st.sampled_from([[], [], DEBT])) + draw(st.lists(events, min_size=2, max_size=8))
    return [placed] + [
        request
        | ({"bet": 0} if "bet" in request else {})
        | ({"user": user} if request["do"] in ("withdraw", "hold", "status") else {})
        for request in life
    ]


PIECES = st.lists(REQUESTS.map(lambda request: [request]) | lives(), min_size=1, max_size=6)
BATCH = PIECES.flatmap(
    lambda pieces: st.tuples(*(st.tuples(st.just(each), OBJECTIONS) for piece in pieces for each in piece))
)
Batch = Sequence[tuple[Request, str | None]]
FLOORS = st.fixed_dictionaries(
    {
        HOUSE: st.sampled_from([BOOK_FLOOR_MINOR, -400, -60]),
        CASH: st.sampled_from([BOOK_FLOOR_MINOR, -2500]),
        RECEIVABLE: st.sampled_from([BOOK_FLOOR_MINOR, -60, 0]),
    }
)


# -- how it is told


def _shown(outcome: Outcome) -> Answer:
    """An outcome in the model's words."""
    wallet = outcome.wallet and [*_fields(outcome.wallet)]
    if not isinstance(outcome, Accepted):
        return {"code": outcome.code.name, "replayed": outcome.replayed, "wallet": wallet}
    names = ("bet_id", "state", "stake", "payout", "total", "settled", "cashed", "before")
    return {
        "code": None,
        "replayed": outcome.replayed,
        "wallet": wallet,
        "moved": [(each.user_id, each.amount_minor, each.ref_type, each.ref_id) for each in outcome.entries],
        "bet": outcome.bet and dict(zip(names, _fields(outcome.bet), strict=True)),
        "hold": outcome.hold
        and dict(zip(("id", "state", "left", "before"), _fields(outcome.hold), strict=True)),
        "transaction": outcome.transaction_id,
    }


def _fields(record: Any) -> list[Any]:
    return [getattr(record, name) for name in record.__struct_fields__]


TALLY: Counter[tuple[str, str]] = Counter()
"""How often each command was answered how, and how many examples were run."""


class Told(NamedTuple):
    """A batch as the model was asked it, what it answered, and the same as the engine's commands."""

    requests: list[Request]
    answers: list[Answer]
    commands: list[Asked]
    at_us: int


class WalletMachine(RuleBasedStateMachine):
    """A file, the model of it, and what has been sent so far."""

    def __init__(self) -> None:
        super().__init__()
        TALLY["examples", ""] += 1
        self.folder = Path(tempfile.mkdtemp(prefix="wallet-model-"))
        self.path = self.folder / "books.db"
        self.loop = asyncio.Runner()
        self.store = self.loop.run(Store.open(self.path, create=True))
        self.now_us = NOW_US
        self.sent: list[Request] = []
        self.blocks: dict[int, int] = {}
        self.agrees = True

    @initialize(floors=FLOORS)
    def open_the_books(self, floors: dict[int, int]) -> None:
        def set_up(connection: sqlite3.Connection) -> None:
            for currency in BOOKS:
                open_books(connection, currency)
            open_wallets(connection, "EUR", len(PLAYERS))
            open_wallets(connection, "USD", 1)
            connection.executemany(
                "UPDATE users SET floor = ? WHERE id = ?", [(f, b) for b, f in floors.items()]
            )

        self.loop.run(self.store.set_up(set_up))
        self.loop.run(self.store.refresh_books())
        rows = look(self.path, "SELECT id, kind, currency, floor FROM users")
        self.model = Wallets(
            {id_: {"kind": kind, "currency": currency, "floor": floor} for id_, kind, currency, floor in rows}
        )
        openings = [{"do": "deposit", "user": user, "amount": 200} for user in (*PLAYERS, DOLLARS)]
        self._commit([(request, None) for request in openings])

    @rule(batch=BATCH, seconds=st.sampled_from([0, 1, 30, 100, -50]))
    def one_batch(self, batch: Batch, seconds: int) -> None:
        self.now_us += seconds * SECOND_US
        self._commit(batch)

    @rule(
        first=BATCH,
        second=BATCH,
        seconds=st.sampled_from([0, 1, 30, -50]),
        given_up=st.sampled_from([False, False, True]),
    )
    def two_ahead(self, first: Batch, second: Batch, seconds: int, given_up: bool) -> None:
        """The second is prepared while nobody knows what becomes of the first."""
        both = []
        for batch in (first, second):
            told = self._ask_the_model(batch)
            prepared = self.loop.run(self.store.prepare(told.commands, self.now_us))
            self._compare(told, prepared.outcomes)
            both.append((told, prepared, self.now_us))
            self.now_us += seconds * SECOND_US
        if given_up and both[0][1].view.changed:
            may_begin = (lambda: False, lambda: True)
            written = [self.store.write(each[1], may) for each, may in zip(both, may_begin, strict=True)]
            assert self.loop.run(_all(written)) == [False, False]
            for told, _, now_us in both:
                self._compare(told, self.loop.run(self.store.commit(told.commands, now_us)))
        else:
            assert self.loop.run(_all([self.store.write(each[1]) for each in both])) == [True, True]

    @rule()
    def close_and_open(self) -> None:
        self.loop.run(self.store.close())
        self.store = self.loop.run(Store.open(self.path))

    def teardown(self) -> None:
        try:
            if self.agrees and hasattr(self, "model"):
                self._compare_the_file()
        finally:
            self.loop.run(self.store.close())
            self.loop.close()
            shutil.rmtree(self.folder)

    # -- how

    def _commit(self, batch: Batch) -> None:
        told = self._ask_the_model(batch)
        self._compare(told, self.loop.run(self.store.commit(told.commands, self.now_us)))

    def _ask_the_model(self, batch: Batch) -> Told:
        self.agrees = False
        self.model.begin_batch(self.now_us)
        told = Told([], [], [], self.model.at)
        for template, objection in batch:
            request = self._resolve(template)
            self.sent.append(request)
            told.requests.append(request)
            told.answers.append(self.model.ask(request, objection))
            command = MAKE[request["do"]](request)
            told.commands.append(Asked(command, Code[objection] if objection else None))
        return told

    def _resolve(self, template: Request) -> Request:
        """The request that a template means here and now."""
        if template["do"] == "again":
            back: int = template["which"] % len(self.sent)
            request = self.sent[-1 - back].copy()
            if (but := template["but"]) in request:
                request[but] = TERMS[but](request[but])
            return request
        request = template.copy()
        if request.get("amount") == ALL:
            user = request["user"]
            request["amount"] = max(1, self.model.available(user) if user in self.model.accounts else 1)
        if "bet" in request:
            request["bet_id"] = self._bet_id(request.pop("bet"))
        if "hold" in request:
            request["hold"] = dict(enumerate(reversed(self.model.holds))).get(request["hold"], NOBODY)
        if request["do"] == "place":
            request["sent_at"] = self.now_us + request["sent_at"] * SECOND_US
            return request
        if request.get("expires_at") is not None:
            request["expires_at"] = self.now_us + request["expires_at"] * SECOND_US
        return request | {"key": f"key-{len(self.sent)}", "caller": "operator"}

    def _bet_id(self, which: int) -> str:
        placed, buried = [*self.model.bets], [*self.model.buried]
        if placed and which < 8:
            return placed[-1 - which % len(placed)]
        return buried[-1] if buried and which == 8 else bet_id(len(self.sent))

    def _compare(self, told: Told, outcomes: list[Outcome]) -> None:
        self.agrees = False
        for request, answer, outcome in zip(told.requests, told.answers, outcomes, strict=True):
            shown = _shown(outcome)
            if shown["code"] and request["do"] != "place":
                # An `error` shows no wallet, so none need be told; one that is told must be right.
                shown["wallet"] = shown["wallet"] or answer["wallet"]
            assert shown == answer, request
            if isinstance(outcome, Accepted):
                assert outcome.block_id == self.blocks.setdefault(outcome.transaction_id, outcome.block_id)
                assert outcome.at_us == (0 if outcome.replayed else told.at_us)
            TALLY[request["do"], "replayed" if shown["replayed"] else shown["code"] or "accepted"] += 1
        self.agrees = True

    def _compare_the_file(self) -> None:
        model, path = self.model, self.path
        assert look(path, "SELECT id, balance, held, owed, status FROM users ORDER BY id") == [
            (id_, model.balance[id_], model.held(id_), model.owed(id_), account["status"])
            for id_, account in model.accounts.items()
        ]
        assert look(path, LEDGER) == model.ledger
        assert {row[0]: list(row[1:]) for row in look(path, BETS_OF_FILE)} == {
            bet_id: [bet["user"], bet["currency"], bet["stake"], *state_of(bet).values()]
            for bet_id, bet in model.bets.items()
        }
        assert {row[0]: list(row[1:]) for row in look(path, HOLDS_OF_FILE)} == {
            id_: [
                *(hold[name] for name in ("user", "purpose", "amount", "until")),
                hold_state_of(hold),
                left_of(hold),
                hold["happened"][-1][2] if hold["happened"] else 0,
            ]
            for id_, hold in model.holds.items()
        }
        assert {
            row[0]: row[1:] for row in look(path, "SELECT bet_id, code, balance, held FROM refusals")
        } == {bet_id: (code, *shown[1:3]) for bet_id, (_, code, shown) in model.refused.items()}
        sums = look(path, "SELECT sum(amount) FROM transaction_ledger GROUP BY currency")
        assert {total for (total,) in sums} == {0}
        assert reconcile(path).findings == []


LEDGER: Final = """
    SELECT user_id, amount, ref_type, ref_id, transaction_id FROM transaction_ledger ORDER BY id
"""
BETS_OF_FILE: Final = """
    SELECT key, user_id, currency, stake, state, payout, settled, cashed_stake, last_transaction_id
    FROM bets JOIN transactions ON transactions.id = bets.transaction_id
"""
HOLDS_OF_FILE: Final = """
    SELECT id, user_id, purpose, amount, expires_at, state, remaining, last_transaction_id FROM holds
"""


REACHED: Final = {code.name for code in Code} - {
    *("UNAUTHORIZED", "FORBIDDEN"),  # told at the door
    *("INTERNAL", "CIRCUIT_OPEN", "TIMED_OUT"),  # as OVERLOADED
    "RATE_LIMITED",  # takes a thousand refusals
}


async def _all(writing: list[Coroutine[Any, Any, bool]]) -> list[bool]:
    return await asyncio.gather(*writing)


def look(path: Path, sql: str) -> list[Any]:
    """Rows as any shell would read them."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return connection.execute(sql).fetchall()


def _run(examples: int, steps: int) -> None:
    TALLY.clear()
    run_state_machine_as_test(
        WalletMachine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.mark.timeout(600)  # some 8 s; a divergence is shrunk for up to five minutes
def test_every_answer_and_every_balance_is_the_model_s() -> None:
    _run(examples=25, steps=18)


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_the_same_for_longer(capsys: pytest.CaptureFixture[str]) -> None:
    _run(examples=400, steps=40)
    examples = TALLY.pop(("examples", ""))
    with capsys.disabled():
        print(f"\nwallet model: {examples} examples, {TALLY.total()} commands, none diverging")
        for (do, told), count in sorted(TALLY.items()):
            print(f"  {do:9} {told:22} {count:7}")
    assert {do for do, told in TALLY if told == "accepted"} == MAKE.keys()
    assert {told for _, told in TALLY} >= REACHED
