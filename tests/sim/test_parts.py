"""The parts of the simulator, and what it found, reduced to a few steps each.

Seeds change their meaning whenever the plan of a world changes, so what they found is kept here as a story.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from batcher.policy import BatchLimits
from tests.sim.auditor import Auditor, Body, Finding
from tests.sim.disk import Disk, Entry, Transaction, Writing, failing, seams
from tests.sim.loop import START_US, Abort, Loop, Scheduler, Stuck
from tests.sim.network import Link, scaled
from tests.sim.server import NonceStore, Server, StoreGuard, identify, token
from tests.sim.template import template
from tests.sim.weather import CHANCES, Weather

BET_ID = "0197a000-0000-7000-8000-000000000001"


class Stage:
    """A server on a disk, one client, and no chance: faults strike when a test says so."""

    def __init__(self, path: Path, stack: contextlib.ExitStack) -> None:
        path.write_bytes(template().image)
        self.scheduler = Scheduler()
        self.weather = Weather(random.Random(1), lambda: self.scheduler.now_us)
        self.commits: list[list[int]] = []
        self.closed: list[int] = []
        self.heard_by_client: list[Body] = []
        self.failures: list[dict[str, Any]] = []
        self.disk = Disk(path, self.scheduler, self.weather, random.Random(2), self)
        self.loop = Loop(self.scheduler, self.failures.append)
        self.disk.spawn(self.loop)
        stack.enter_context(self.scheduler.as_the_time())
        stack.enter_context(seams(self.disk))
        stack.enter_context(scaled(40))
        stack.enter_context(mock.patch("ws.session.identify", identify))
        guard = StoreGuard(NonceStore(), self.scheduler, self.weather, random.Random(3))
        chance = random.Random(5)
        self.server = Server(path, self.scheduler, self.loop, guard, BatchLimits(), 1000, chance)
        self.server.start()
        self.until(lambda: self.server.is_up)
        self._serial = 0

    def until(self, is_so: Callable[[], bool], within_us: int = 5_000_000) -> None:
        end_us = self.scheduler.now_us + within_us
        while not is_so():
            assert self.scheduler.now_us < end_us, "it never came"
            self.scheduler.turn()

    def connect(self, life_s: int = 3600) -> Link:
        self._serial += 1
        link = Link(self._serial, self, self, self.scheduler, self.weather, random.Random(4), self.loop)
        now_s = (self.scheduler.now_us + START_US) // 1_000_000
        self.server.connect(link, token(template().players[0], "player", now_s + life_s))
        self.until(lambda: any(each["type"] == "welcome" for each in self.heard_by_client))
        return link

    def bet(self, link: Link, bet_id: str) -> None:
        sent_at = (self.scheduler.now_us + START_US) // 1000
        nonce = f"nonce-{bet_id[-4:]}"
        body = {"type": "bet.place", "bet_id": bet_id, "stake": 10, "nonce": nonce, "sent_at": sent_at}
        link.send(json.dumps(body | {"id": f"r{self.scheduler.now_us}"}))

    def last(self, *types: str) -> Body | None:
        return next((each for each in reversed(self.heard_by_client) if each["type"] in types), None)

    @contextlib.contextmanager
    def struck_by(self, *faults: str) -> Iterator[None]:
        """Meanwhile these strike, each time."""
        with mock.patch.dict(CHANCES, dict.fromkeys(faults, 1.0)):
            for fault in faults:
                self.weather.begin(fault)
            yield
            for fault in faults:
                self.weather.end(fault)

    # -- what links, and the disk, tell

    def committed(
        self, begun_us: int, at_us: int, transactions: list[Transaction], entries: list[Entry]
    ) -> None:
        self.commits.append([each.id for each in transactions])

    def sealed(self, begun_us: int, at_us: int, block_at: int) -> None: ...

    def heard(self, link: Link, text: str) -> None:
        messages = json.loads(text)
        for message in messages if isinstance(messages, list) else [messages]:
            self.heard_by_client.append(message | {"is_writing": self.disk.is_writing})

    def lost(self, link: Link, code: int) -> None:
        self.closed.append(code)

    def arrived(self, link: Link, text: str) -> None: ...

    def told(self, request_id: str) -> None: ...

    def emitted(self, link: Link, text: str) -> None: ...

    def ended(self, link: Link, code: int) -> None: ...


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with contextlib.ExitStack() as stack:
        stage = Stage(tmp_path / "a.db", stack)
        yield stage
        stage.server.kill()
        stage.disk.power_off()
    assert stage.failures == []


# -- time


def test_time_jumps_to_the_next_timer_and_keeps_the_order_of_one_moment() -> None:
    scheduler, seen = Scheduler(), []
    for name, at_us in (("late", 5_000_000), ("first", 1_000_000), ("second", 1_000_000)):
        scheduler.at(at_us, seen.append, name)
    scheduler.run_until(6_000_000)
    assert seen == ["first", "second", "late"]
    with pytest.raises(Stuck):
        scheduler.turn()


def test_asyncio_waits_in_virtual_time_and_has_no_threads() -> None:
    scheduler = Scheduler()
    loop = Loop(scheduler, lambda context: None)

    async def work() -> str:
        await asyncio.wait_for(asyncio.sleep(100), 3600)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.Event().wait(), 3600)
        with pytest.raises(NotImplementedError):
            await asyncio.to_thread(print)
        return "done"

    task = loop.create_task(work())
    scheduler.run_until(4_000_000_000)
    assert task.result() == "done"


def test_what_is_killed_runs_no_more_and_is_not_missed() -> None:
    scheduler, seen = Scheduler(), []
    loop = Loop(scheduler, lambda context: seen.append("complaint"))

    async def work() -> None:
        while True:
            await asyncio.sleep(1)
            seen.append("work")

    loop.create_task(work())
    scheduler.run_until(2_500_000)
    loop.kill()
    scheduler.run_until(9_000_000)
    assert seen == ["work", "work"]


def test_a_finding_ends_the_world_through_whatever_runs() -> None:
    scheduler = Scheduler()

    def nested() -> None:
        with contextlib.suppress(Exception):
            scheduler.soon(scheduler.abort, "why")
            scheduler.run_until(1_000)

    scheduler.soon(nested)
    with pytest.raises(Abort, match="why"):
        scheduler.turn()


# -- the disk


def test_a_late_commit_is_not_seen_until_the_file_is_opened_anew(stage: Stage) -> None:
    link = stage.connect()
    before = len(stage.commits)
    with stage.struck_by("unknown commit: late"):
        stage.bet(link, BET_ID)
        stage.until(lambda: stage.last("error") is not None)
    error = stage.last("error")
    assert error is not None
    assert error["code"] == "OUTCOME_UNKNOWN"
    assert len(stage.commits) == before
    count = "SELECT COUNT(*) FROM transaction_ledger WHERE ref_type = 'BET'"
    with contextlib.closing(sqlite3.connect(stage.disk.path)) as reader:
        assert reader.execute(count).fetchone() == (0,)
    stage.server.kill()
    stage.disk.power_off()
    assert len(stage.commits) == before + 1
    with contextlib.closing(sqlite3.connect(stage.disk.path)) as reader:
        assert reader.execute(count).fetchone() == (2,)


def test_a_late_commit_never_was_once_somebody_has_written_over_it(stage: Stage) -> None:
    writer = next(each for each in stage.disk._open if isinstance(each, Writing))
    writer.execute("BEGIN IMMEDIATE")
    writer.execute("UPDATE users SET status = 'blocked' WHERE id = 7")
    with stage.struck_by("unknown commit: late"), pytest.raises(sqlite3.OperationalError):
        writer.execute("COMMIT")
    writer.execute("ROLLBACK")
    writer.execute("BEGIN IMMEDIATE")
    assert writer.execute("SELECT status FROM users WHERE id = 7").fetchone() == ("open",)


def test_time_passes_for_others_while_a_commit_hangs(stage: Stage) -> None:
    link = stage.connect()
    with stage.struck_by("commit hangs"):
        stage.bet(link, BET_ID)
        link.send(json.dumps({"type": "balance.get", "id": "b"}))
        stage.until(lambda: stage.last("balance") is not None)
        balance = stage.last("balance")
        assert balance is not None
        assert balance["balance"] == 2_000  # as it was before
        assert balance["is_writing"]


def test_a_checkpoint_that_fails_ends_the_taking_of_money(stage: Stage) -> None:
    """The kernel may have dropped what it could not write: docs/adr/0018."""
    link = stage.connect()
    stage.bet(link, BET_ID)
    stage.until(lambda: stage.last("bet.confirmed") is not None)
    with stage.struck_by("checkpoint fails"):  # the log keeper asks for one within 6 s
        stage.until(lambda: stage.server.batcher.failure is not None, 7_000_000)
    stage.bet(link, BET_ID[:-1] + "2")
    stage.until(lambda: stage.last("bet.rejected") is not None)


def test_a_full_disk_refuses_for_now(stage: Stage) -> None:
    link = stage.connect()
    with stage.struck_by("no room"):
        stage.bet(link, BET_ID)
        stage.until(lambda: stage.last("bet.rejected") is not None)
    refused = stage.last("bet.rejected")
    assert refused is not None
    assert (refused["code"], refused["retryable"]) == ("OVERLOADED", True)
    stage.bet(link, BET_ID)
    stage.until(lambda: stage.last("bet.confirmed") is not None)


def test_whoever_writes_to_a_disk_that_has_failed_is_found_out(stage: Stage) -> None:
    writer = next(each for each in stage.disk._open if isinstance(each, Writing))
    with stage.struck_by("checkpoint fails"), pytest.raises(sqlite3.OperationalError):
        writer.execute("PRAGMA wal_checkpoint(PASSIVE)")
    writer.execute("BEGIN IMMEDIATE")
    with pytest.raises(Abort, match="has failed"):
        stage.scheduler.turn()


def test_errors_have_sqlites_codes() -> None:
    assert failing((sqlite3.SQLITE_FULL, "full")).sqlite_errorcode == sqlite3.SQLITE_FULL


# -- what the simulator has found


def test_a_rollback_that_fails_ends_the_taking_of_money_for_all_to_see(stage: Stage) -> None:
    """Until a restart every command heard CIRCUIT_OPEN, while the circuit was closed and all was well."""
    link = stage.connect()
    rolled_back = 0
    while not stage.weather.struck["rollback fails"]:
        rolled_back += 1
        with stage.struck_by("disk full", "rollback fails"):
            stage.bet(link, BET_ID[:-4] + f"{rolled_back:04d}")
            stage.until(lambda: stage.last("bet.rejected") is not None)
        stage.heard_by_client.clear()
    stage.bet(link, BET_ID[:-4] + "9999")
    stage.until(lambda: stage.last("bet.rejected") is not None)
    assert stage.server.batcher.failure is not None


def test_a_socket_that_is_closed_behind_a_slow_read_costs_no_turns(stage: Stage) -> None:
    """Each turn of the loop closed it again, until the read was over: a whole processor for nothing."""
    link = stage.connect(life_s=2)
    with stage.struck_by("read slow"):
        while not stage.closed:
            link.send(json.dumps({"type": "resume", "id": f"r{stage.scheduler.now_us}", "from_seq": 0}))
            before = stage.scheduler.turns
            stage.scheduler.run_until(stage.scheduler.now_us + 50_000)
            assert stage.scheduler.turns - before < 200


# -- the auditor


@pytest.fixture
def audited() -> tuple[Auditor, Link]:
    """A bet has been sent, and has come; it is not on disk yet."""
    auditor = Auditor(lambda: 100, 2_000_000, {})
    link: Any = mock.Mock(serial=1)
    auditor.opened(link, 7, "player", 1)
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


def test_a_late_commit_gives_the_lie_to_what_was_said_since(audited: tuple[Auditor, Link]) -> None:
    auditor, link = audited
    auditor.emitted(link, json.dumps(REFUSED))
    auditor.committed(*paid(2_000))  # of a later copy: well
    other = Auditor(lambda: 100, 2_000_000, {})
    other.opened(link, 7, "player", 1)
    other.sent(link, auditor.copies["r1"].body)
    other.arrived(link, json.dumps(auditor.copies["r1"].body))
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


def test_what_is_in_flight_when_a_token_ends_is_waited_for(audited: tuple[Auditor, Link]) -> None:
    auditor, link = audited
    auditor.emitted(link, json.dumps({"type": "bet.pending", "id": "r1", "bet_id": BET_ID}))
    auditor._sockets[1].owed.clear()
    auditor.wall_us = lambda: 1_599_999
    with pytest.raises(Finding, match="nobody waited"):
        auditor.ended(link, 4401)
    auditor.wall_us = lambda: 1_600_000
    auditor.ended(link, 4401)
    auditor.emitted(link, json.dumps(REFUSED))
    auditor.wall_us = lambda: 1_000_000
    auditor.ended(link, 4401)


def test_a_socket_outlives_its_token_by_a_second_at_most(audited: tuple[Auditor, Link]) -> None:
    auditor, link = audited
    welcome = {"type": "welcome", "role": "player", "seq": 1, "balance": 90, "held": 0, "available": 90}
    auditor.committed(*paid(90))
    auditor.emitted(link, json.dumps(welcome))
    auditor.wall_us = lambda: 2_000_000
    auditor.arrived(link, "{}")
    auditor.wall_us = lambda: 2_000_001
    with pytest.raises(Finding, match="token"):
        auditor.arrived(link, "{}")
    auditor.clock_set()
    auditor.arrived(link, "{}")


@pytest.mark.parametrize(("then", "is_found"), [(None, True), ("confirm", False), ("start", False)])
def test_the_books_follow_no_jump_that_nobody_confirmed(then: str | None, is_found: bool) -> None:
    now_us = [100_000_000]
    auditor = Auditor(lambda: now_us[0], 2_000_000, {})
    auditor.sealed(now_us[0], now_us[0], 5_000_000)
    now_us[0] += 20_000_000
    auditor.sealed(now_us[0], now_us[0], 5_000_000 + 20_000_000 + 190_000_000)  # three steps of a minute
    now_us[0] += 20_000_000
    if then == "start":
        auditor.started()
    if then == "confirm":
        link: Any = mock.Mock(serial=1)
        auditor.opened(link, 1, "operator", 1)
        auditor.sent(link, {"type": "clock.confirm", "id": "c"})
        auditor.arrived(link, '{"id": "c"}')
    with pytest.raises(Finding, match="jumped") if is_found else contextlib.nullcontext():
        auditor.sealed(now_us[0], now_us[0], 4_000_000_000)


def test_an_open_circuit_is_for_bets(audited: tuple[Auditor, Link]) -> None:
    auditor, link = audited
    answer = {"type": "error", "code": "CIRCUIT_OPEN", "retryable": True}
    for number, has_failed in ((2, True), (3, False)):
        body = {"type": "bet.settle", "bet_id": BET_ID, "result": "lost", "key": "k", "id": f"r{number}"}
        auditor.has_failed = lambda: has_failed  # noqa: B023
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
