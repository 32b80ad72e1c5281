"""What the log of the kill cycles is taken to mean."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.crash.moves import Move
from tests.crash.standing import Standing
from tests.crash.witness import History, Witness

Json = dict[str, Any]

BET: Json = {"bet_id": "b"}
CONFIRMED = BET | {"type": "bet.confirmed", "stake": 5, "transaction_id": 9, "seq": 18, "replayed": False}
REFUSED = BET | {"type": "bet.rejected", "code": "INSUFFICIENT_FUNDS", "retryable": False, "replayed": False}
DEFERRED = BET | {"type": "bet.rejected", "code": "OVERLOADED", "retryable": True, "replayed": False}
UNKNOWN: Json = {"type": "error", "code": "OUTCOME_UNKNOWN", "retryable": True}
STALE: Json = {"type": "error", "code": "STALE_REQUEST", "retryable": False}
FOUND = BET | {"type": "bet.state", "state": "confirmed", "stake": 5, "transaction_id": 9, "seq": 18}
PENDING = BET | {"type": "bet.state", "state": "pending"}
NOT_FOUND: Json = {"type": "error", "code": "NOT_FOUND", "retryable": False}
REPLAYED: Json = {"replayed": True}


def placed(*replies: Json, unanswered: int = 0) -> list[Json]:
    """The bet sent once for each of `replies`, which follow, and `unanswered` times more."""
    count = len(replies) + unanswered
    request = BET | {"type": "bet.place", "stake": 5}
    sent: list[Json] = [{"user": 7, "sent": request | {"id": f"p{n}"}} for n in range(count)]
    return sent + [{"heard": reply | {"id": f"p{n}"}} for n, reply in enumerate(replies)]


def answered(reply: Json, bet_id: str = "b") -> list[Json]:
    """The bet, or another one, sent once more, and `reply`."""
    return [
        {"user": 7, "sent": {"bet_id": bet_id, "type": "bet.place", "stake": 5, "id": f"again {bet_id}"}},
        {"heard": reply | {"bet_id": bet_id, "id": f"again {bet_id}"}},
    ]


def looked_up(*replies: Json) -> list[Json]:
    """A `bet.get` for each of `replies`, which follows it."""
    return [
        record
        for n, reply in enumerate(replies)
        for record in (
            {"user": 7, "sent": BET | {"type": "bet.get", "id": f"g{n}"}},
            {"heard": reply | {"id": f"g{n}"}},
        )
    ]


@pytest.mark.parametrize(
    ("records", "standing"),
    [
        (placed(unanswered=1), Standing.OPEN),
        (placed(UNKNOWN), Standing.OPEN),
        (placed(STALE), Standing.OPEN),
        (placed(CONFIRMED), Standing.CONFIRMED),
        (placed(CONFIRMED, unanswered=1), Standing.CONFIRMED),
        (placed(REFUSED), Standing.REFUSED),
        (placed(DEFERRED), Standing.DEFERRED),
        (placed(DEFERRED, unanswered=1), Standing.OPEN),
        (placed(DEFERRED, CONFIRMED), Standing.CONFIRMED),
        (placed(unanswered=1) + looked_up(PENDING), Standing.OPEN),
        (placed(unanswered=1) + looked_up(NOT_FOUND), Standing.OPEN),
        (placed(DEFERRED, unanswered=1) + looked_up(NOT_FOUND), Standing.DEFERRED),
        (placed(unanswered=1) + looked_up(FOUND), Standing.CONFIRMED),
        (
            placed(unanswered=1) + looked_up(BET | {"type": "bet.state", "state": "rejected"}),
            Standing.REFUSED,
        ),
    ],
)
def test_how_a_bet_stands(records: list[Json], standing: Standing) -> None:
    assert History(records).bets["b"].standing is standing


@pytest.mark.parametrize(
    ("records", "checks"),
    [
        (placed(CONFIRMED, CONFIRMED | REPLAYED), []),
        (placed(REFUSED, REFUSED | REPLAYED), []),
        (placed(DEFERRED, CONFIRMED), []),
        (placed(unanswered=1) + looked_up(NOT_FOUND) + answered(CONFIRMED) + looked_up(FOUND, FOUND), []),
        (placed(unanswered=1) + looked_up(NOT_FOUND) + answered(REFUSED) + looked_up(NOT_FOUND), []),
        (placed(unanswered=1) + looked_up(NOT_FOUND) + 2 * answered(CONFIRMED | REPLAYED), []),
        (placed(REFUSED) + looked_up(NOT_FOUND, NOT_FOUND), []),
        (placed(UNKNOWN) + looked_up(FOUND), []),
        (placed(STALE), ["unexpected_error"]),
        (placed(CONFIRMED, CONFIRMED), ["answered_anew"]),
        (placed(CONFIRMED, CONFIRMED | {"transaction_id": 10} | REPLAYED), ["answers_differ"]),
        (placed(REFUSED, CONFIRMED | REPLAYED), ["answers_differ"]),
        (placed(CONFIRMED) + looked_up(FOUND, FOUND), []),
        (placed(CONFIRMED) + looked_up(FOUND | {"transaction_id": 10}), ["lookup_denies_answer"]),
        (
            placed(unanswered=1) + looked_up(FOUND, FOUND | {"seq": 0}),
            ["lookups_differ", "lookup_denies_answer"],
        ),
        (placed(unanswered=1) + looked_up(FOUND) + answered(CONFIRMED | REPLAYED), []),
        (placed(unanswered=1) + looked_up(FOUND) + answered(CONFIRMED), ["answered_anew"]),
        (placed(CONFIRMED) + looked_up(NOT_FOUND), ["lookup_denies_answer"]),
        (placed(REFUSED) + looked_up(FOUND), ["lookup_denies_answer"]),
        (placed(unanswered=1) + looked_up(FOUND, NOT_FOUND), ["lookups_differ", "lookup_denies_answer"]),
        # Nobody knows it, and yet it had been executed before it was sent again.
        (placed(unanswered=1) + looked_up(NOT_FOUND, FOUND), ["denied_but_known"]),
        (placed(unanswered=1) + looked_up(NOT_FOUND) + answered(CONFIRMED | REPLAYED), ["denied_but_known"]),
        (placed(unanswered=1) + looked_up(NOT_FOUND) + answered(REFUSED | REPLAYED), ["denied_but_known"]),
        # What was heard of before a bet was sent came before it.
        (placed(CONFIRMED) + answered(CONFIRMED | {"transaction_id": 10}, "c"), []),
        (placed(CONFIRMED) + answered(CONFIRMED | {"transaction_id": 8}, "c"), ["out_of_order"]),
        (placed(unanswered=1) + answered(CONFIRMED, "c") + answered(CONFIRMED | {"transaction_id": 8}), []),
    ],
)
def test_answers_that_contradict_each_other(records: list[Json], checks: list[str]) -> None:
    assert [finding.check for finding in History(records).contradictions()] == checks


SETTLE: Json = {"type": "bet.settle", "key": "move-1", "bet_id": "b", "result": "won", "payout": 12}
SETTLED: Json = {"type": "bet.settled", "transaction_id": 11, "seq": 20, "balance": 7, "replayed": False}
CLOSED: Json = {"type": "error", "code": "BET_CLOSED", "retryable": False}
BUSY: Json = {"type": "error", "code": "OVERLOADED", "retryable": True}
RESTARTED: Json = {"run": 2}


def moved(*replies: Json | None) -> list[Json]:
    """A confirmed bet, settled once for each of `replies`, which follow one by one; None: no answer."""
    records = placed(CONFIRMED)
    for n, reply in enumerate(replies):
        records.append({"user": 7, "sent": SETTLE | {"id": f"m{n}"}})
        if reply is not None:
            records.append({"heard": reply | {"id": f"m{n}"}})
    return records


@pytest.mark.parametrize(
    ("records", "standing"),
    [
        (moved(None), Standing.OPEN),
        (moved(UNKNOWN), Standing.OPEN),
        (moved(SETTLED), Standing.CONFIRMED),
        (moved(None, SETTLED | REPLAYED), Standing.CONFIRMED),
        (moved(CLOSED), Standing.REFUSED),
        (moved(None, CLOSED), Standing.OPEN),
        (moved(BUSY), Standing.DEFERRED),
        (moved(BUSY, None), Standing.OPEN),
        # What was sent to a server that has ended is settled by what the next one says.
        ([*moved(None), RESTARTED, *moved(CLOSED)[-2:]], Standing.REFUSED),
        ([*moved(None), RESTARTED, *moved(BUSY)[-2:]], Standing.OPEN),
    ],
)
def test_how_a_move_stands(records: list[Json], standing: Standing) -> None:
    assert History(records).moves["move-1"].standing is standing


@pytest.mark.parametrize(
    ("records", "checks"),
    [
        (moved(SETTLED, SETTLED | REPLAYED), []),
        (moved(CLOSED, CLOSED), []),
        (moved(SETTLED, SETTLED), ["answered_anew"]),
        (moved(SETTLED, SETTLED | {"balance": 8} | REPLAYED), ["answers_differ"]),
        (moved(NOT_FOUND), ["unexpected_error"]),
        (moved(SETTLED | {"transaction_id": 8}), ["out_of_order"]),
        (moved(SETTLED) + looked_up(FOUND | {"state": "won"}), []),
    ],
)
def test_answers_about_moves_that_contradict_each_other(records: list[Json], checks: list[str]) -> None:
    assert [finding.check for finding in History(records).contradictions()] == checks


@pytest.mark.parametrize(
    ("body", "effect"),
    [
        ({"type": "bet.settle", "result": "won", "payout": 12}, 12),
        ({"type": "bet.settle", "result": "lost"}, 0),
        ({"type": "bet.settle", "result": "void"}, 5),
        ({"type": "bet.rollback"}, 5),
        ({"type": "bet.cashout", "stake": 5, "payout": 3}, 3),
        ({"type": "wallet.deposit", "amount": 9}, 9),
        ({"type": "wallet.withdraw", "amount": 9}, -9),
    ],
)
def test_what_a_move_does_to_the_wallet(body: Json, effect: int) -> None:
    assert Move("move-1", user_id=7, stake=5, request=body).effect == effect


def test_a_request_is_in_the_log_before_it_leaves_and_an_answer_as_it_arrives(tmp_path: Path) -> None:
    history = History()
    with Witness(tmp_path / "log") as witness:
        witness.record(player=7, seeded=100)
        request = witness.sending(7, BET | {"type": "bet.place", "stake": 5})
        history.catch_up(tmp_path / "log")
        assert history.seeded == {7: 100}
        assert [bet.bet_id for bet in history.standing(Standing.OPEN)] == ["b"]

        witness.heard({"type": "welcome"})
        witness.heard({"type": "bet.pending", "id": request["id"]})
        witness.heard(DEFERRED | {"id": request["id"]})
        assert witness.acknowledged == 0
        witness.heard(CONFIRMED | {"id": request["id"]})
        assert witness.acknowledged == 1
        history.catch_up(tmp_path / "log")
        assert [bet.bet_id for bet in history.standing(Standing.CONFIRMED)] == ["b"]
