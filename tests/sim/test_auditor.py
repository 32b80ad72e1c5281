"""The auditor believes an honest server, and finds each lie."""

from __future__ import annotations

import contextlib
import json
from typing import Any
from unittest import mock

import pytest

from tests.sim.auditor import Auditor
from tests.sim.evidence import Body, Finding, Surroundings
from tests.sim.network import Link
from tests.sim.rows import Entry, Transaction
from tests.sim.stage import BET_ID

WELCOME = '{"type": "welcome", "role": "operator"}'
"""Without a wallet: nothing is known of what came before."""


@pytest.fixture
def around() -> Surroundings:
    return Surroundings(now_us=lambda: 100)


@pytest.fixture
def audited(around: Surroundings) -> tuple[Auditor, Link]:
    """A bet has been sent, and has come; it is not on disk yet."""
    auditor = Auditor(around, 2_000_000)
    link: Any = mock.Mock(serial=1)
    auditor.opened(link, 7, "player", 1)
    auditor.emitted(link, WELCOME)
    body = {"type": "bet.place", "bet_id": BET_ID, "stake": 10, "nonce": "nonce-01", "sent_at": 0, "id": "r1"}
    auditor.sent(link, body)
    auditor.arrived(link, json.dumps(body))
    auditor.told("r1")
    return auditor, link


CONFIRMED = {
    **{"type": "bet.confirmed", "id": "r1", "bet_id": BET_ID, "stake": 10, "transaction_id": 1, "block": 1},
    **{"seq": 1, "balance": 90, "held": 0, "available": 90, "replayed": False},
}
REFUSED = {"type": "bet.rejected", "id": "r1", "bet_id": BET_ID, "code": "OVERLOADED", "retryable": True}


def paid(at_us: int, balance: int = 90) -> tuple[int, int, list[Transaction], list[Entry]]:
    entry = Entry(1, 7, -10, balance, "BET", BET_ID, 1, 0)
    return at_us, at_us, [Transaction(1, "BET", "bet", BET_ID, 1)], [entry]


def test_an_honest_server_is_believed(audited: tuple[Auditor, Link]) -> None:
    auditor, link = audited
    auditor.committed(*paid(90))
    auditor.emitted(link, json.dumps(CONFIRMED))


@pytest.mark.parametrize(
    ("lie", "disk"),
    [
        (CONFIRMED, None),
        (CONFIRMED, paid(101)),
        (CONFIRMED, paid(90, balance=91)),
        (CONFIRMED | {"stake": 11}, paid(90)),
        (CONFIRMED | {"transaction_id": 2}, paid(90)),
        (REFUSED, paid(90)),
        (REFUSED | {"bet_id": BET_ID[:-1] + "2"}, None),
        (REFUSED | {"type": "error", "code": "INTERNAL"}, None),
        (REFUSED | {"type": "error", "code": "NONCE_REUSED"}, None),
        (REFUSED | {"type": "error", "code": "IDEMPOTENCY_CONFLICT"}, None),
        (CONFIRMED | {"id": "r2"}, paid(90)),
        ({"type": "wallet.entry", "seq": 1}, None),
    ],
)
def test_a_lie_is_found(audited: tuple[Auditor, Link], lie: Body, disk: Any) -> None:
    auditor, link = audited
    if disk is not None:
        auditor.committed(*disk)
    with pytest.raises(Finding):
        auditor.emitted(link, json.dumps(lie))


def test_a_refusal_for_good_is_kept(audited: tuple[Auditor, Link]) -> None:
    auditor, link = audited
    auditor.emitted(link, json.dumps(REFUSED | {"code": "INSUFFICIENT_FUNDS", "retryable": False}))
    with pytest.raises(Finding, match="for good"):
        auditor.committed(*paid(2_000))


def test_a_late_commit_gives_the_lie_to_what_was_said_since(
    audited: tuple[Auditor, Link], around: Surroundings
) -> None:
    auditor, link = audited
    auditor.emitted(link, json.dumps(REFUSED))
    auditor.committed(*paid(2_000))  # of a later copy: well
    other = Auditor(around, 2_000_000)
    other.opened(link, 7, "player", 1)
    other.emitted(link, WELCOME)
    other.sent(link, auditor.evidence.copies["r1"].body)
    other.arrived(link, json.dumps(auditor.evidence.copies["r1"].body))
    other.told("r1")
    other.emitted(link, json.dumps(REFUSED))
    with pytest.raises(Finding, match="moved money at 80"):
        other.committed(*paid(80))


def test_an_answer_comes_once(audited: tuple[Auditor, Link]) -> None:
    auditor, link = audited
    auditor.emitted(link, json.dumps(REFUSED))
    with pytest.raises(Finding, match="twice"):
        auditor.emitted(link, json.dumps(REFUSED))
    with pytest.raises(Finding, match="twice"):
        auditor.told("r1")


def test_what_was_answered_is_sent_before_the_end(audited: tuple[Auditor, Link]) -> None:
    auditor, link = audited
    auditor.ended(link, 4429)
    with pytest.raises(Finding, match="never sent"):
        auditor.ended(link, 4401)
    auditor.emitted(link, json.dumps(REFUSED))
    auditor.ended(link, 4401)


def test_what_is_in_flight_when_a_token_ends_is_waited_for(
    audited: tuple[Auditor, Link], around: Surroundings
) -> None:
    auditor, link = audited
    auditor.emitted(link, json.dumps({"type": "bet.pending", "id": "r1", "bet_id": BET_ID}))
    auditor._hearings[1]._owed.clear()
    around.wall_us = lambda: 1_599_999
    with pytest.raises(Finding, match="nobody waited"):
        auditor.ended(link, 4401)
    around.wall_us = lambda: 1_600_000
    auditor.ended(link, 4401)
    auditor.emitted(link, json.dumps(REFUSED))
    around.wall_us = lambda: 1_000_000
    auditor.ended(link, 4401)


def test_a_socket_outlives_its_token_by_a_second_at_most(
    audited: tuple[Auditor, Link], around: Surroundings
) -> None:
    auditor, link = audited
    welcome = {"type": "welcome", "role": "player", "seq": 1, "balance": 90, "held": 0, "available": 90}
    auditor.committed(*paid(90))
    auditor.emitted(link, json.dumps(welcome))
    around.wall_us = lambda: 2_000_000
    auditor.arrived(link, "{}")
    around.wall_us = lambda: 2_000_001
    with pytest.raises(Finding, match="token"):
        auditor.arrived(link, "{}")
    auditor.clocks.set()
    auditor.arrived(link, "{}")


@pytest.mark.parametrize(("then", "is_found"), [(None, True), ("confirm", False), ("start", False)])
def test_the_books_follow_no_jump_that_nobody_confirmed(then: str | None, is_found: bool) -> None:
    now_us = [100_000_000]
    auditor = Auditor(Surroundings(now_us=lambda: now_us[0]), 2_000_000)
    auditor.clocks.sealed(now_us[0], now_us[0], 5_000_000)
    now_us[0] += 20_000_000
    auditor.clocks.sealed(
        now_us[0], now_us[0], 5_000_000 + 20_000_000 + 190_000_000
    )  # three steps of a minute
    now_us[0] += 20_000_000
    if then == "start":
        auditor.clocks.started()
    if then == "confirm":
        link: Any = mock.Mock(serial=1)
        auditor.opened(link, 1, "operator", 1)
        auditor.sent(link, {"type": "clock.confirm", "id": "c"})
        auditor.arrived(link, '{"id": "c"}')
    with pytest.raises(Finding, match="jumped") if is_found else contextlib.nullcontext():
        auditor.clocks.sealed(now_us[0], now_us[0], 4_000_000_000)


def test_nothing_is_heard_before_the_welcome_but_why_there_is_none(around: Surroundings) -> None:
    auditor, link = Auditor(around, 2_000_000), mock.Mock(serial=1)
    auditor.opened(link, 7, "player", 1)
    auditor.committed(*paid(90))
    auditor.emitted(link, json.dumps({"type": "error", "id": None, "code": "UNAUTHORIZED"}))
    push = {"type": "wallet.entry", "seq": 1, "prev_seq": 0, "transaction_id": 1, "kind": "BET"}
    with pytest.raises(Finding, match="before its welcome"):
        auditor.emitted(link, json.dumps(push | {"amount": -10, "balance": 90}))


def test_an_open_circuit_is_for_bets(audited: tuple[Auditor, Link], around: Surroundings) -> None:
    auditor, link = audited
    answer = {"type": "error", "code": "CIRCUIT_OPEN", "retryable": True}
    for number, has_failed in ((2, True), (3, False)):
        body = {"type": "bet.settle", "bet_id": BET_ID, "result": "lost", "key": "k", "id": f"r{number}"}
        around.has_failed = lambda: has_failed  # noqa: B023
        auditor.sent(link, body)
        auditor.arrived(link, json.dumps(body))
        auditor.told(body["id"])
        with contextlib.nullcontext() if has_failed else pytest.raises(Finding, match="for bets"):
            auditor.emitted(link, json.dumps(answer | {"id": body["id"]}))


def test_a_socket_hears_of_every_entry(audited: tuple[Auditor, Link]) -> None:
    auditor, link = audited
    auditor.committed(
        0, 0, [Transaction(1, "DEPOSIT", "cli:deposit", "k", 1)], [Entry(1, 7, 5, 5, "DEPOSIT", "k", 1, 0)]
    )
    auditor.emitted(
        link,
        json.dumps({"type": "welcome", "role": "player", "seq": 1, "balance": 5, "held": 0, "available": 5}),
    )
    two = [Entry(2, 7, 5, 10, "DEPOSIT", "k2", 2, 1), Entry(3, 7, 5, 15, "DEPOSIT", "k3", 3, 2)]
    auditor.committed(90, 90, [Transaction(n, "DEPOSIT", "cli:deposit", f"k{n}", 2) for n in (2, 3)], two)
    push = {
        "type": "wallet.entry",
        "seq": 3,
        "prev_seq": 2,
        "transaction_id": 3,
        "kind": "DEPOSIT",
        "amount": 5,
    }
    with pytest.raises(Finding, match="not of the one before"):
        auditor.emitted(link, json.dumps(push | {"balance": 15}))
