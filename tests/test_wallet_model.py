"""The wallet against a model of it that shares no code: commands at random, in batches, on a real file.

Every answer is compared, and at the end every balance, hold, bet, payout, limit, refusal and entry with what
any SQLite shell reads. Batches are written one by one, or two are prepared before the first is written; some
are given up before they begin and prepared anew; the file is closed and opened; the clock moves on, by days
as well, and jumps back. The house's books have a floor near by in some runs, so that wins are refused and
their neighbours stand.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import tempfile
from collections import Counter
from collections.abc import Coroutine, Iterable
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from engine.accounts import open_books, open_wallets
from engine.limits import window_of
from engine.money import BOOK_FLOOR_MINOR
from engine.outcomes import Accepted, Code, Outcome
from engine.reconcile import reconcile
from engine.store import Asked, Store
from tests.bet_model import state_of
from tests.books_open import NOW_US, bet_id
from tests.limit_model import Row, window_number
from tests.made_once import made_once
from tests.model_answers import Answer, Request
from tests.payout_model import CLEARING, payout_row, state_of_payout
from tests.wallet_batches import AT_ONCE, BATCH, FLOORS, LATE, PAIR, SEEN, Batch, leaving
from tests.wallet_model import Wallets, hold_state_of, left_of
from tests.wallet_requests import (
    ALL,
    BONUS,
    CASH,
    DOLLARS,
    HOUSE,
    ITEMS_AT_ONCE,
    MAKE,
    NEWEST,
    NOBODY,
    PLAYERS,
    RECEIVABLE,
    SUSPENSE,
    TERMS,
)

BOOKS: Final = {"EUR": range(1, 7), "USD": range(7, 13)}
SECOND_US = 1_000_000
HOUR, DAY = 3_600, 86_400

EXAMPLES: Final = 150
"""Of the long run; `make wallet-model` has more."""

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
        "payout": outcome.payout and dict(zip(PAYOUT_NAMES, _fields(outcome.payout), strict=True)),
        "limit": outcome.limit and _fields(outcome.limit),
        "opened": _named(outcome.opened, "user", "participant", "currency"),
        "bonus": _named(outcome.bonus, "user", "state", "spend", "until", "before"),
        "free_bet": _named(outcome.free_bet, "id", "state", "amount", "before"),
        "floor": _named(outcome.floor, "user", "floor"),
        "source": outcome.source and tuple(_fields(outcome.source)),
        "transaction": outcome.transaction_id,
    }


PAYOUT_NAMES: Final = ("id", "state", "items", "total", "done", "suspended", "suspends", "before")


def _named(told: Any, *names: str) -> Answer | None:
    return told and dict(zip(names, _fields(told), strict=True))


def _fields(record: Any) -> list[Any]:
    return [getattr(record, name) for name in record.__struct_fields__]


TALLY: Counter[tuple[str, str]] = Counter()
"""How often each command was answered how, and how many examples were run."""


SECONDS: Final = st.sampled_from([0, 0, 1, 1, 30, 30, 100, 290, -50, 5 * HOUR, DAY, 9 * DAY, 40 * DAY])
"""How far the wall clock moves between two batches."""


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
        made_once(self.path, _open_the_wallets)
        self._open()
        self.now_us = NOW_US
        self.sent: list[Request] = []
        self.blocks: dict[int, int] = {}
        self.agrees = True
        self.in_the_file: set[int] = set()  # payouts

    @initialize(floors=FLOORS)
    def open_the_books(self, floors: dict[int, int]) -> None:
        rows = self.look("SELECT id, kind, currency, floor FROM users")
        self.model = Wallets(
            {
                id_: {"kind": kind, "currency": currency, "floor": floor}
                for id_, kind, currency, floor in rows
            },
            ITEMS_AT_ONCE,
        )
        limits = [{"do": "floor", "user": book, "floor": floor} for book, floor in floors.items()]
        openings = [{"do": "deposit", "user": user, "amount": 200} for user in (*PLAYERS, DOLLARS)]
        self._commit([(request, None) for request in (*limits, *openings)])

    @rule(batch=BATCH, seconds=SECONDS)
    def one_batch(self, batch: Batch, seconds: int) -> None:
        self.now_us += seconds * SECOND_US
        self._commit(batch)

    @rule(
        pair=PAIR,
        seconds=SECONDS,
        given_up=st.sampled_from([False, False, True]),
    )
    def two_ahead(self, pair: tuple[Batch, Batch], seconds: int, given_up: bool) -> None:
        """The second is prepared while nobody knows what becomes of the first."""
        both = []
        for batch in pair:
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
        self._see_payouts()

    @rule(also=BATCH, seconds=SECONDS)
    def the_server_pays(self, also: Batch, seconds: int) -> None:
        """The next chunk of whatever is under way, and what else comes in meanwhile."""
        self.now_us += seconds * SECOND_US
        chunks: list[tuple[Request, str | None]] = [
            ({"do": "payout.chunk", "of": age, "first": None}, None) for age in range(len(self.in_the_file))
        ]
        self._commit([*chunks, *also])

    @rule(also=BATCH, seconds=SECONDS, starts_anew=st.booleans())
    def the_clock_strikes(self, also: Batch, seconds: int, starts_anew: bool) -> None:
        """All that is due expires, and what was staked of it meanwhile is won, lost or given back. If the
        server `starts_anew` nothing is known but what the file says, first of free bets and then of bonuses.
        """
        self.now_us += seconds * SECOND_US
        bonuses = [{"do": "bonus.expire", "user": user} for user, *_ in self.model.bonuses.bonus_rows()]
        free_bets = [{"do": "bonus.lapse", "free": age} for age in range(len(self.model.bonuses.free_bets))]
        if starts_anew:
            for batch in filter(None, (free_bets, bonuses)):
                self.close_and_open()
                self._commit([(each, None) for each in batch])
        holds = [{"do": "expire", "hold": age} for age in range(len(self.model.holds))]
        self._commit([*((each, None) for each in (*bonuses, *free_bets, *holds)), *also])

    @rule(late=LATE, seconds=st.sampled_from([100, 100, DAY]))
    def its_time_comes(self, late: tuple[Batch, Batch], seconds: int) -> None:
        """Bonus money is staked before, and what becomes of the bet and the bonus is told after."""
        self._commit(late[0])
        self.now_us += seconds * SECOND_US
        self._commit(late[1])

    @precondition(lambda self: self.was_used)
    @rule()
    def close_and_open(self) -> None:
        self._close()
        self._open()

    def teardown(self) -> None:
        try:
            if self.agrees and hasattr(self, "model"):
                self._compare_the_file()
                TALLY.update({("seen", what): count for what, count in self.model.seen.items()})
        finally:
            self._close()
            self.loop.close()
            shutil.rmtree(self.folder)

    # -- how

    def look(self, sql: str) -> list[Any]:
        """Rows as any shell would read them."""
        return self.shell.execute(sql).fetchall()

    def _open(self) -> None:
        self.store = self.loop.run(Store.open(self.path))
        self.shell = sqlite3.connect(self.path)
        self.was_used = False

    def _close(self) -> None:
        self.shell.close()  # first: only the last to close a file writes its log back
        self.loop.run(self.store.close())

    def _commit(self, batch: Batch) -> None:
        told = self._ask_the_model(batch)
        self._compare(told, self.loop.run(self.store.commit(told.commands, self.now_us)))
        self._see_payouts()

    def _see_payouts(self) -> None:
        """All is committed: the server may find what is under way, and go on with it."""
        self.in_the_file = {id_ for (id_,) in self.look("SELECT id FROM payouts WHERE state <> 'collecting'")}

    def _ask_the_model(self, batch: Batch) -> Told:
        self.agrees, self.was_used = False, True
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
        if request.get("user") is not None:
            request["user"] = self._meant(request["user"])
        if request.get("amount") == ALL:
            user = request["user"]
            request["amount"] = max(1, self.model.available(user) if user in self.model.accounts else 1)
        if "bet" in request:
            request["bet_id"] = self._bet_id(request.pop("bet"))
        if "hold" in request:
            request["hold"] = dict(enumerate(reversed(self.model.holds))).get(request["hold"], NOBODY)
        if request.get("free") is not None:
            request["free"] = dict(enumerate(reversed(self.model.bonuses.free_bets))).get(
                request["free"], NOBODY
            )
        if "legs" in request:
            request["legs"] = [(self._meant(who), *leg) for who, *leg in request["legs"]]
        if "items" in request:
            request["items"] = [(self._meant(who), amount) for who, amount in request["items"]]
        if "of" in request:
            self._fill_in(request)
        if "until" in request:
            request["until"] = self.now_us + request["until"] * SECOND_US
        if request["do"] == "place":
            request["sent_at"] = self.now_us + request["sent_at"] * SECOND_US
            return request
        if request.get("expires_at") is not None:
            request["expires_at"] = self.now_us + request["expires_at"] * SECOND_US
        return request | {"key": f"key-{len(self.sent)}", "caller": "operator"}

    def _meant(self, who: int) -> int:
        """The wallet that a number below 1 means."""
        if who == NEWEST:
            return max(id_ for id_, account in self.model.accounts.items() if account["kind"] == "player")
        return who if who > 0 else self.model.bonuses.beside(-who) or NOBODY

    def _fill_in(self, request: Request) -> None:
        """Which payout is meant, and what is right for it where nothing else is said."""
        known, is_chunk = self.model.payouts.known, request["do"] == "payout.chunk"
        # Chunks are asked for by the server, of payouts that it finds in the file.
        seen = [id_ for id_ in known if not is_chunk or id_ in self.in_the_file]
        request["payout"] = dict(enumerate(reversed(seen))).get(request.pop("of"), NOBODY)
        payout = known.get(request["payout"], {"items": [], "fates": []})
        items, fates = payout["items"], payout["fates"]
        in_suspense = [number for number, fate in enumerate(fates) if fate["reason"]]
        right = {
            "first": len(fates) if is_chunk else len(items),
            "count": len(items),
            "total": sum(amount for _, amount in items),
            "number": in_suspense[-1] if in_suspense else 0,
        }
        request |= {name: right[name] for name in right if name in request and request[name] is None}

    def _bet_id(self, which: int) -> str:
        placed, buried = [*self.model.bets.known], [*self.model.bets.buried]
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
        model = self.model
        assert self.look(
            """
            SELECT id, kind, participant_id, balance, held, owed, status, limited, floor
            FROM users ORDER BY id
            """,
        ) == [
            (
                *(
                    id_,
                    account["kind"],
                    account["participant"],
                    model.balance[id_],
                    model.held(id_),
                    model.owed(id_),
                ),
                *(account["status"], int(model.limits.is_limited(id_)), account["floor"]),
            )
            for id_, account in sorted(model.accounts.items())
        ]
        assert _used_by(model.at, self.look("SELECT * FROM limits")) == model.limits.rows(model.at)
        self._compare_payouts()
        assert self.look("SELECT * FROM bonuses ORDER BY user_id") == model.bonuses.bonus_rows()
        assert self.look("SELECT * FROM free_bets ORDER BY id") == model.bonuses.free_bet_rows()
        assert self.look(LEDGER) == model.ledger
        assert {row[0]: list(row[1:]) for row in self.look(BETS_OF_FILE)} == {
            bet_id: [
                *(bet["user"], bet["currency"], bet["stake"], *state_of(bet).values()),
                *(bet["source"] or (None, None)),
                bet["free"],
            ]
            for bet_id, bet in model.bets.known.items()
        }
        assert {row[0]: list(row[1:]) for row in self.look(HOLDS_OF_FILE)} == {
            id_: [
                *(hold[name] for name in ("user", "purpose", "amount", "until")),
                hold_state_of(hold),
                left_of(hold),
                hold["happened"][-1][2] if hold["happened"] else 0,
            ]
            for id_, hold in model.holds.items()
        }
        assert {row[0]: row[1:] for row in self.look("SELECT bet_id, code, balance, held FROM refusals")} == {
            bet_id: (code, *shown[1:3]) for bet_id, (_, code, shown) in model.bets.refused.items()
        }
        sums = self.look("SELECT sum(amount) FROM transaction_ledger GROUP BY currency")
        assert {total for (total,) in sums} == {0}
        assert reconcile(self.path).findings == []

    def _compare_payouts(self) -> None:
        """Row by row; and what is not paid yet is in the payout's clearing account or in suspense."""
        payouts = self.model.payouts.known
        assert self.look(PAYOUTS_OF_FILE) == [
            (
                *(id_, each["caller"], each["currency"], *payout_row(each).values()),
                each["happened"][-1] if each["happened"] else 0,
            )
            for id_, each in payouts.items()
        ]
        assert self.look(ITEMS_OF_FILE) == [
            (id_, number, *item) for id_, each in payouts.items() for number, item in enumerate(each["items"])
        ]
        fates = [
            (id_, number, *each["items"][number], each["currency"], fate)
            for id_, each in payouts.items()
            for number, fate in enumerate(each["fates"])
            if fate["reason"]
        ]
        assert self.look(SUSPENDED_OF_FILE) == [
            (id_, number, fate["reason"], fate["state"], fate["last"]) for id_, number, *_, fate in fates
        ]
        for currency, books in BOOKS.items():
            assert self.model.balance[books[SUSPENSE - 1]] == sum(
                amount for *_, amount, of, fate in fates if of == currency and fate["state"] == "suspended"
            )
        for id_, each in payouts.items():
            waits = sum(amount for _, amount in each["items"][len(each["fates"]) :])
            is_paying = state_of_payout(each) == "paying"
            assert self.model.balance[CLEARING + id_] == (waits if is_paying else 0)


PAYOUTS_OF_FILE: Final = """
    SELECT id, caller, currency, state, items, total, done, suspended, last_transaction_id
    FROM payouts ORDER BY id
"""
ITEMS_OF_FILE: Final = "SELECT payout_id, number, user_id, amount FROM payout_items ORDER BY 1, 2"
SUSPENDED_OF_FILE: Final = """
    SELECT payout_id, number, reason, state, last_transaction_id FROM suspended_items ORDER BY 1, 2
"""
LEDGER: Final = """
    SELECT user_id, amount, ref_type, ref_id, transaction_id FROM transaction_ledger ORDER BY id
"""
BETS_OF_FILE: Final = """
    SELECT key, user_id, currency, stake, state, payout, settled, cashed_stake, last_transaction_id,
           answer ->> '$.source.user_id', answer ->> '$.source.amount_minor', answer ->> '$.free_bet.id'
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


def _used_by(now: int, limits: Iterable[Row]) -> set[Row]:
    """Rows of limits, and in place of each window and what was used of it what is used by `now`."""
    return {
        (*row[:6], row[7] if row[7] and row[6] == window_number(row[2], now) else 0, *row[8:])
        for row in limits
    }


async def _all(writing: list[Coroutine[Any, Any, bool]]) -> list[bool]:
    return await asyncio.gather(*writing)


def _open_the_wallets(path: Path) -> None:
    def set_up(connection: sqlite3.Connection) -> None:
        for currency in BOOKS:
            open_books(connection, currency)
        open_wallets(connection, "EUR", len(PLAYERS))
        open_wallets(connection, "USD", 1)

    async def make() -> None:
        store = await Store.open(path, create=True)
        try:
            await store.set_up(set_up)
        finally:
            await store.close()

    asyncio.run(make())


@pytest.mark.parametrize("period", ["day", "week", "month"])
def test_a_window_is_that_of_the_calendar(period: str) -> None:
    """The first and the last microsecond of each day from 2024 to 2068, which no random walk reaches."""
    for day in range(20_000, 36_000):
        for at_us in (day * DAY * SECOND_US, (day + 1) * DAY * SECOND_US - 1):
            assert window_of(period, at_us) == window_number(period, at_us)


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


@pytest.fixture(autouse=True)
def _short_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Payouts of several chunks in a handful of items: what is looked up, paid and checked, together."""
    for module in ("engine.commands", "engine.decide.payouts", "engine.payout_checks"):
        monkeypatch.setattr(f"{module}.CHUNK_ITEMS", ITEMS_AT_ONCE)


def test_a_wallet_is_closed_whose_bonus_owes() -> None:
    """Which a random walk reaches once in some hundred."""
    user = PLAYERS[0]
    placed = {"do": "place", "user": user, "sent_at": 0} | AT_ONCE
    machine = WalletMachine()
    try:
        machine.open_the_books(dict.fromkeys((HOUSE, CASH, BONUS, RECEIVABLE), BOOK_FLOOR_MINOR))
        machine._commit([(request, None) for request in leaving(user, placed)])
    finally:
        machine.teardown()  # compares the file
    assert machine.model.seen["a wallet closed whose bonus owes"] == 1


@pytest.mark.timeout(600)  # some 6 s; a divergence is shrunk for up to five minutes
def test_every_answer_and_every_balance_is_the_model_s() -> None:
    _run(examples=12, steps=18)


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_the_same_for_longer(capsys: pytest.CaptureFixture[str]) -> None:
    _run(examples=int(os.environ.get("EXAMPLES", EXAMPLES)), steps=40)
    examples = TALLY.pop(("examples", ""))
    commands = sum(count for (do, _), count in TALLY.items() if do != "seen")
    with capsys.disabled():
        print(f"\nwallet model: {examples} examples, {commands} commands, none diverging")
        for (do, told), count in sorted(TALLY.items()):
            print(f"  {do:14} {told:22} {count:7}")
    assert {do for do, told in TALLY if told == "accepted"} == MAKE.keys()
    assert {told for _, told in TALLY} >= REACHED
    assert {what for (do, what), count in TALLY.items() if do == "seen" and count} >= SEEN
