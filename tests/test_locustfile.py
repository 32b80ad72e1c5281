"""The load test's own judgement: what a player must notice, and what its runner must not let pass."""

from __future__ import annotations

import itertools
import json
import os
import random
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness import locust_run

with pytest.MonkeyPatch.context() as patch:
    # Importing locust patches sockets and threads of the whole process, unless told not to.
    patch.setenv("LOCUST_SKIP_MONKEY_PATCH", "1")
    from locust.event import Events

    import locustfile

from locustfile import Bet, Books, Entry, Player, Wrong

ROOT = Path(__file__).parent.parent


def run(*command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("SOLIDGREEN_")}
    return subprocess.run(
        [sys.executable, *command],
        cwd=ROOT,
        env=inherited | environment,
        capture_output=True,
        text=True,
        timeout=60,
    )


# --- importing ---------------------------------------------------------------------------------------------


def test_these_tests_leave_their_process_unpatched() -> None:
    assert socket.socket.__module__ == "socket"


def test_under_locust_the_sockets_and_threads_of_websockets_are_gevents() -> None:
    program = (
        "import locustfile, websockets.sync.connection as c;"
        "print(c.threading.Lock.__module__, c.socket.socket.__module__)"
    )
    assert "gevent" in (done := run("-c", program)).stdout.split()[0], done.stderr
    assert "gevent" in done.stdout.split()[1]


# --- ids ---------------------------------------------------------------------------------------------------


def test_uuid7_has_the_form_and_the_time_of_rfc_9562(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time_ns", lambda: 1_760_000_000_123_500_000)
    text = locustfile.uuid7()
    made = uuid.UUID(text)
    assert str(made) == text
    assert (made.version, made.variant) == (7, uuid.RFC_4122)
    assert made.int >> 80 == 1_760_000_000_123
    assert made.int >> 64 & 0xFFF == 0x800  # half of the millisecond
    assert locustfile.uuid7() != text


def test_uuid7_sorts_by_time(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = itertools.count(1_760_000_000_999_990_000, 250)
    monkeypatch.setattr(time, "time_ns", lambda: next(clock))
    made = [locustfile.uuid7() for _ in range(200)]  # across the end of a millisecond and of a second
    assert made == sorted(made)


# --- books -------------------------------------------------------------------------------------------------


def opened(seq: int = 100, balance: int = 1000) -> Books:
    books = Books()
    books.told(seq, balance)
    return books


def test_books_follow_confirmations_and_pushes() -> None:
    books = opened()
    books.post(103, Entry(970, -30))
    books.post(110, Entry(1070, 100, prev_seq=103))
    books.told(110, 1070)
    assert (books.seq, books.balance, books.gap) == (110, 1070, False)


def test_a_message_that_overtook_another_is_no_gap_for_long() -> None:
    books = opened()
    books.told(105, 940)  # a balance asked for, ahead of the confirmations that it includes
    books.post(105, Entry(940, -20))
    assert books.gap
    books.post(103, Entry(960, -40, prev_seq=100))
    assert (books.seq, books.balance, books.gap, books.early) == (105, 940, False, {})


def test_a_gap_is_closed_by_a_resume_and_old_entries_are_told_again_in_vain() -> None:
    books = opened()
    books.post(103, Entry(990, -10))
    books.post(109, Entry(950, -20))
    assert books.gap
    assert books.resume_from() == 100
    for seq, amount, balance, prev_seq in ((103, -10, 990, 100), (106, -20, 970, 103), (109, -20, 950, 106)):
        books.post(seq, Entry(balance, amount, prev_seq))
    books.resumed(109)
    assert (books.seq, books.balance, books.gap) == (109, 950, False)


def test_after_a_wrong_balance_the_books_go_on_from_the_servers_word() -> None:
    books = opened()
    with pytest.raises(Wrong, match="not the one before plus the amount"):
        books.post(103, Entry(999, -30, prev_seq=100))
    books.post(104, Entry(998, -1, prev_seq=103))
    assert books.balance == 998


def wrong_stake(books: Books) -> None:
    books.post(103, Entry(940, -30))  # confirmed with a stake of 30, and twice that is gone
    assert books.gap
    books.resume_from()
    books.post(103, Entry(940, -60, prev_seq=100))


def wrong_balance(books: Books) -> None:
    books.post(103, Entry(971, -30))
    assert books.gap
    books.resume_from()
    books.post(103, Entry(970, -30, prev_seq=100))


def another_balance_for_a_known_entry(books: Books) -> None:
    books.post(103, Entry(970, -30))
    books.told(103, 969)


def another_balance_for_a_coming_entry(books: Books) -> None:
    books.told(103, 969)
    books.post(103, Entry(970, -30))


def two_tellings_of_a_coming_entry(books: Books) -> None:
    books.told(105, 940)
    books.post(105, Entry(930, -20))


def two_entries_that_cancel_out(books: Books) -> None:
    books.post(110, Entry(970, -30))  # fits; but 105 and 107 lie before it
    books.resume_from()
    books.post(105, Entry(1500, 500, prev_seq=100))


def a_known_entry_after_another(books: Books) -> None:
    books.post(103, Entry(970, -30))
    books.resume_from()
    books.post(103, Entry(970, -30, prev_seq=101))


def a_resume_that_leaves_out_a_known_entry(books: Books) -> None:
    books.post(103, Entry(970, -30))
    books.post(105, Entry(960, -10))
    books.resume_from()
    books.post(105, Entry(960, -10, prev_seq=103))
    books.resumed(105)


def a_resume_that_leaves_out_the_newest_entry(books: Books) -> None:
    books.resume_from()
    books.resumed(104)


def a_resume_that_knows_less(books: Books) -> None:
    books.post(103, Entry(970, -30))
    books.resume_from()
    books.resumed(100)


def a_confirmed_entry_that_is_not_in_the_wallet(books: Books) -> None:
    books.post(103, Entry(980, -30))
    books.resume_from()
    books.post(104, Entry(990, -10, prev_seq=100))
    books.resumed(104)


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        (wrong_stake, "contradict"),
        (wrong_balance, "contradict"),
        (another_balance_for_a_known_entry, "contradict"),
        (another_balance_for_a_coming_entry, "contradict"),
        (two_tellings_of_a_coming_entry, "contradict"),
        (two_entries_that_cancel_out, "turned up between"),
        (a_known_entry_after_another, "contradict"),
        (a_resume_that_leaves_out_a_known_entry, "left out"),
        (a_resume_that_leaves_out_the_newest_entry, "left out"),
        (a_resume_that_knows_less, "ends before"),
        (a_confirmed_entry_that_is_not_in_the_wallet, "not in the wallet"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_books_notice(fault: Callable[[Books], None], says: str) -> None:
    with pytest.raises(Wrong, match=says):
        fault(opened())


def history(rng: random.Random, length: int) -> Iterator[tuple[int, Entry]]:
    """Entries that only take: two missed ones that cancel out are a fault of their own, tested above."""
    seq, balance = 100, 1000
    for _ in range(length):
        before, amount = seq, -rng.randint(1, 30)
        seq, balance = seq + rng.randint(1, 5), balance + amount
        yield seq, Entry(balance, amount, before)


@pytest.mark.parametrize("seed", range(50))
def test_lost_doubled_and_overtaking_messages_are_no_fault_after_a_resume(seed: int) -> None:
    rng = random.Random(seed)
    entries = list(history(rng, 40))
    heard = [
        (seq, Entry(e.balance, e.amount, e.prev_seq if rng.random() < 0.3 else None)) for seq, e in entries
    ]
    heard = [message for message in heard if rng.random() < 0.9] + rng.choices(heard, k=5)
    heard.sort(key=lambda message: message[0] + rng.uniform(0, 12))
    books = opened()
    for seq, entry in heard:
        books.post(seq, entry)
    begin = books.resume_from()
    for seq, entry in entries:
        if seq > begin:
            books.post(seq, entry)
    books.resumed(entries[-1][0])
    assert (books.seq, books.balance, books.early) == (entries[-1][0], entries[-1][1].balance, {}), f"{seed=}"


def test_an_invented_entry_is_forgotten_and_the_books_do_not_go_back() -> None:
    books = opened()
    books.post(103, Entry(980, -30))
    books.resume_from()
    books.post(104, Entry(990, -10, prev_seq=100))
    with pytest.raises(Wrong, match="not in the wallet"):
        books.resumed(104)
    assert (books.seq, books.balance, books.gap) == (104, 990, False)


def test_books_stay_small() -> None:
    books = opened()
    for number in range(1, 1001):
        books.post(100 + number, Entry(1000 - number, -1))
    assert len(books.known) == locustfile.REMEMBERED
    assert books.resume_from() == 1100 - locustfile.OVERLAP


# --- a player ----------------------------------------------------------------------------------------------


class Line:
    """The far end of a player's socket: keeps what was sent."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []

    def send(self, frame: str) -> None:
        requests = json.loads(frame)
        self.sent += requests if isinstance(requests, list) else [requests]


class Table:
    """A player on a line, and what it reported."""

    def __init__(self) -> None:
        self.reported: list[tuple[str, str | None]] = []
        events = Events()
        events.request.add_listener(self._report)
        self.player = Player(SimpleNamespace(events=events, parsed_options=SimpleNamespace(in_flight=10)))
        self.line = Line()
        self.player.socket = self.line  # type: ignore[assignment]
        self.hear({"type": "welcome", "seq": 100, "balance": 1000})

    def _report(self, request_type: str, name: str, exception: Wrong | None, **_: Any) -> None:
        self.reported.append((f"{request_type} {name}", str(exception) if exception else None))

    def hear(self, *messages: dict[str, Any]) -> None:
        for message in messages:
            self.player.hear(message)

    def bet(self, *why: str) -> Bet:
        bet = self.player.new_bet()
        bet.stake = 30
        self.player.place([(reason, bet) for reason in why])
        return bet

    def confirmed(self, bet: Bet, sending: int = -1, **changes: Any) -> dict[str, Any]:
        answer = {
            "type": "bet.confirmed",
            "id": self.line.sent[sending]["id"],
            "bet_id": bet.bet_id,
            "stake": 30,
        }
        facts = {"transaction_id": 5, "seq": 103, "balance": 970, "replayed": False}
        return answer | facts | changes

    def pending(self, sending: int = -1) -> dict[str, Any]:
        request = self.line.sent[sending]
        return {"type": "bet.pending", "id": request["id"], "bet_id": request["bet_id"]}


@pytest.fixture
def table() -> Table:
    return Table()


def test_a_bet_is_green_only_when_confirmed(table: Table) -> None:
    bet = table.bet("place")
    table.hear(table.pending())
    assert bet.bet_id in table.player.open_bets
    table.hear(table.confirmed(bet))
    assert not table.player.open_bets
    assert table.reported == [("bet pending", None), ("bet confirmed", None)]


def test_a_repeated_bet_is_the_same_bet_sent_again(table: Table) -> None:
    bet = table.bet("place", "repeat")
    first, again = table.line.sent
    assert {**first, "id": ""} == {**again, "id": ""}
    assert first["id"] != again["id"]
    table.hear(
        table.pending(0), table.confirmed(bet, 0), table.pending(1), table.confirmed(bet, 1, replayed=True)
    )
    assert table.reported == [("bet pending", None), ("bet confirmed", None), ("bet replay", None)]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({}, "a duplicate was not answered as a replay"),
        ({"replayed": True, "transaction_id": 6}, "a replay is not the first answer"),
        ({"replayed": True, "balance": 940}, "a replay is not the first answer"),
        ({"replayed": True, "seq": 104}, "a replay is not the first answer"),
    ],
)
def test_any_other_answer_to_a_duplicate_is_a_failure(
    table: Table, changes: dict[str, Any], says: str
) -> None:
    bet = table.bet("place", "repeat")
    table.hear(table.pending(0), table.confirmed(bet, 0), table.confirmed(bet, 1, **changes))
    assert says in [wrong for _, wrong in table.reported]


@pytest.mark.parametrize(
    ("pending", "changes", "says"),
    [
        (False, {}, "a bet was confirmed that was not pending"),
        (True, {"replayed": True}, "a bet that was sent once was answered as a replay"),
        (True, {"stake": 31, "balance": 969}, "an answer about another bet"),
        (True, {"bet_id": "another"}, "an answer about another bet"),
    ],
)
def test_a_wrong_confirmation_is_a_failure(
    table: Table, pending: bool, changes: dict[str, Any], says: str
) -> None:
    bet = table.bet("place")
    if pending:
        table.hear(table.pending())
    table.hear(table.confirmed(bet, **changes))
    assert table.reported[-1] == ("bet confirmed", says)


def test_a_balance_that_does_not_add_up_makes_the_player_resume(table: Table) -> None:
    bet = table.bet("place")
    table.hear(table.pending(), table.confirmed(bet, balance=940))
    assert table.player.books.gap
    table.player.ask("resume", from_seq=table.player.books.resume_from())
    entry = {"type": "wallet.entry", "seq": 103, "prev_seq": 100, "amount": -60, "balance": 940}
    table.hear(entry, {"type": "resumed", "id": table.line.sent[-1]["id"], "seq": 103, "more": False})
    assert table.reported[-2:] == [
        ("wallet entry", "two messages contradict each other about an entry"),
        ("wallet resume", None),
    ]


def test_a_bet_sent_again_for_want_of_an_answer_counts_once_and_apart(table: Table) -> None:
    bet = table.bet("place")
    table.player.place([("retry", bet)])
    table.hear(table.confirmed(bet, replayed=True))
    assert table.reported == [("bet recovered", None)]


@pytest.mark.parametrize(("available", "fails"), [(29, False), (30, True)])
def test_a_rejection_for_want_of_funds_is_an_answer_only_when_they_are_wanting(
    table: Table, available: int, fails: bool
) -> None:
    bet = table.bet("place")
    rejected = {
        "type": "bet.rejected",
        "bet_id": bet.bet_id,
        "code": "INSUFFICIENT_FUNDS",
        "retryable": False,
    }
    table.hear(rejected | {"id": table.line.sent[-1]["id"], "available": available, "replayed": False})
    assert [bool(wrong) for _, wrong in table.reported] == [fails]
    assert not table.player.open_bets


def test_a_bet_refused_for_now_fails_and_stays_open(table: Table) -> None:
    bet = table.bet("place")
    rejected = {"type": "bet.rejected", "bet_id": bet.bet_id, "code": "OVERLOADED", "retryable": True}
    table.hear(rejected | {"id": table.line.sent[-1]["id"], "available": 1000, "replayed": False})
    assert table.reported == [("bet rejected", "rejected for now: OVERLOADED")]
    assert bet.bet_id in table.player.open_bets


@pytest.mark.parametrize("message", [{}, {"type": "bet.confirmed", "id": "99"}, {"type": "wallet.entry"}])
def test_what_is_not_the_protocol_is_a_failure_and_not_a_crash(table: Table, message: dict[str, Any]) -> None:
    table.hear(message)
    assert table.reported == [("wallet entry", "not a message of wallet.v1")]


def test_messages_of_types_yet_to_come_are_ignored(table: Table) -> None:
    table.hear({"type": "weather", "id": "1"})
    assert table.reported == []


# --- who plays ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "cannot read the players"),
        ("{", "expected {"),
        ("[]", "expected {"),
        ('{"players":[{"id":7}]}', "expected {.*token"),
        ('{"players":[]}', "no player in it"),
    ],
)
def test_a_file_without_players_is_refused_in_words(tmp_path: Path, content: str | None, says: str) -> None:
    path = tmp_path / "players.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ValueError, match=says):
        locustfile.load_players(str(path))


def test_locust_without_players_ends_with_one_line() -> None:
    done = run("-m", "locust", "-f", "locustfile.py", "--headless", "-u", "1", "-t", "1s")
    assert done.returncode != 0
    assert "SOLIDGREEN_PLAYERS" in done.stderr
    assert "Traceback" not in done.stderr


# --- the runner --------------------------------------------------------------------------------------------


def line(name: str, per_second: dict[str, int], failed: dict[str, int] | None = None) -> dict[str, Any]:
    """One entry of `locust --json-file`, as far as the runner reads it."""
    return {
        "method": "bet",
        "name": name,
        "num_requests": sum(per_second.values()),
        "num_failures": sum((failed or {}).values()),
        "num_reqs_per_sec": per_second,
        "num_fail_per_sec": failed or {},
        "response_times": {"2": 98, "7": 1, "40": 1},
    }


def test_statistics_count_each_confirmed_bet_once_and_leave_out_ramp_and_tail() -> None:
    stats = [
        line("pending", {"10": 900}),
        line("confirmed", {"10": 1, "11": 50, "12": 100, "13": 100, "15": 100, "16": 3}, failed={"15": 10}),
        line("recovered", {"13": 20}),
        line("replay", {"12": 5}, failed={"12": 2}),
    ]
    clients = locust_run.read_stats(stats)
    assert (clients.confirmed, clients.recovered) == (374, 20)
    assert clients.failures == {"bet confirmed": 10, "bet replay": 2}
    assert clients.rate_per_s == (100 + 120 + 0 + 90) / 4  # second 14 was a stall, and counts
    assert (clients.p50_ms, clients.p99_ms) == (2, 7)


GOOD = locust_run.Run(
    locust_run.Clients(1000, 10, {}, 3000.0, 2, 7),
    0,
    0,
    0,
    {"ok": True, "findings": []},
    1000,
    {"confirmed": 1000, "replayed": 3},
)


def test_a_good_run_has_no_problem() -> None:
    assert GOOD.problems(3000) == []
    assert locust_run.read_stats([]).confirmed == 0


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"locust_status": 1}, "locust exited with 1"),
        ({"server_status": -15}, "server exited with -15"),
        ({"reconcile_status": 1}, "reconcile found"),
        ({"reconcile": {"ok": False}}, "reconcile found"),
        ({"reconcile": {}}, "reconcile found"),
        ({"ledger_bets": 999, "counted_bets": {"confirmed": 999}}, "the ledger has 999"),
        ({"counted_bets": {"confirmed": 999, "replayed": 1}}, "counted 999 bets, the ledger 1000"),
        ({"counted_bets": {"confirmed": 1001}}, "counted 1001 bets, the ledger 1000"),
        ({"counted_bets": {}}, "counted None bets, the ledger 1000"),
        ({"clients": locust_run.Clients(1000, 10, {"bet replay": 1}, 3000.0, 2, 7)}, "bet replay"),
        ({"clients": locust_run.Clients(1000, 10, {}, 2999.9, 2, 7)}, "below the floor"),
        ({"clients": locust_run.Clients(0, 0, {}, 3000.0, 2, 7)}, "no bet was confirmed"),
    ],
)
def test_each_reason_fails_a_run(change: dict[str, Any], says: str) -> None:
    fields = {name: getattr(GOOD, name) for name in GOOD.__dataclass_fields__}
    (problem,) = locust_run.Run(**(fields | change)).problems(3000)
    assert says in problem
