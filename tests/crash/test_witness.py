"""What the log of the kill cycles is taken to mean."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.crash.witness import History, Standing, Witness

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


def answered(reply: Json) -> list[Json]:
    """The bet sent once more, and `reply`."""
    return [
        {"user": 7, "sent": BET | {"type": "bet.place", "stake": 5, "id": "again"}},
        {"heard": reply | {"id": "again"}},
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
        (placed(unanswered=1) + looked_up(NOT_FOUND, FOUND, FOUND), []),
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
    ],
)
def test_answers_that_contradict_each_other(records: list[Json], checks: list[str]) -> None:
    assert [finding.check for finding in History(records).contradictions()] == checks


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
