"""Archives over real sockets against the real server: who may, what is answered, that nothing that goes on
meanwhile is refused or lost, and what is answered of the past afterwards.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from engine.archives import file_of
from harness.process import Server, seed, token
from harness.wire import Wire, bet, connect, new_bet_id, now_ms
from tests.books_open import look
from tests.command import well
from tests.operating import move, refused
from tests.server_fixture import Json, World, mint, running

NOBODY = 10**12
PATIENCE_S = 60.0
BETS = 1_500
"""Of the past: enough for the file to shrink."""

SHOWN = {"type", "id", "archive_id", "state", "upto_block", "upto_transaction_id", "upto_entry_id"}
UNDER_WAY = "before: expected a time that is past, while no archive is under way and fewer than ten are there"


async def until_moved(wire: Wire, archive_id: int) -> list[Json]:
    """What is told on the way, the last once all of it is moved."""
    told: list[Json] = []
    async with asyncio.timeout(PATIENCE_S):
        while not told or told[-1]["state"] != "moved":
            told.append(await wire.ask({"type": "archive.get", "archive_id": archive_id}))
            await asyncio.sleep(0.01)
    return told


@asynccontextmanager
async def sockets(server: Server, *tokens: str) -> AsyncIterator[list[Wire]]:
    opened = [connect(server.ws, each) for each in tokens]
    wires = [await each.__aenter__() for each in opened]
    try:
        yield wires
    finally:
        for each in opened:
            await each.__aexit__(None, None, None)


def later_than_now() -> int:
    """A time at which all that is there is older, and which is past."""
    before_ms = now_ms() + 1
    while now_ms() <= before_ms + 1:
        time.sleep(0.001)
    return before_ms


# -- who may, and what is answered


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with running(tmp_path, players=4) as live:
        yield live
        live.assert_sound()


def test_who_may_begin_and_look(world: World) -> None:
    user_id, bearer = world.player()

    async def scenario() -> None:
        roles = (bearer, world.auditor, mint(1, "admin"), world.operator)
        async with sockets(world.server, *roles) as (player, auditor, admin, operator):
            begin = {"type": "archive.begin", "key": "a", "before": later_than_now()}
            get = {"type": "archive.get"}
            for wire in (auditor, admin, operator):
                assert refused(await wire.ask(get), "NOT_FOUND"), "there is none yet"
            for request in (begin, get):
                assert refused(await player.ask(request), "FORBIDDEN")
            assert refused(await auditor.ask(begin), "FORBIDDEN")
            assert world.query("SELECT count(*) FROM archives") == [(0,)]

            begun = await admin.ask(begin)
            assert {*begun} == SHOWN | {"transaction_id", "block", "replayed"}
            assert (begun["type"], begun["state"], begun["replayed"]) == ("archive", "copying", False)
            assert begun["archive_id"] == begun["transaction_id"]
            assert begun["upto_block"] < begun["block"]
            assert begun["upto_transaction_id"] < begun["transaction_id"]
            for wire in (auditor, admin, operator):
                for asked in (get, get | {"archive_id": begun["archive_id"]}):
                    shown = await wire.ask(asked)
                    assert {*shown} == SHOWN | {"moved_transaction_id", "moved_entry_id"}
                    for name in ("archive_id", "upto_block", "upto_transaction_id", "upto_entry_id"):
                        assert shown[name] == begun[name]
                assert refused(await wire.ask(get | {"archive_id": NOBODY}), "NOT_FOUND")
            for request in (get, get | {"archive_id": begun["archive_id"]}):
                assert refused(await player.ask(request), "FORBIDDEN")
            await until_moved(operator, begun["archive_id"])
        async with connect(world.server.ws, None) as stranger:
            (asked_for,) = await stranger.send(get)
            assert refused(await asked_for.answer(), "UNAUTHORIZED")
            assert await stranger.close_code() == 4401

    asyncio.run(scenario())
    assert user_id


def test_the_same_key_again_is_the_same_archive_and_one_at_a_time_is_enough(world: World) -> None:
    async def scenario() -> None:
        _, bearer = world.player()
        async with sockets(world.server, world.operator, bearer) as (operator, player):
            before = later_than_now()
            assert refused(await move(operator, "archive.begin", before=2**52), "INVALID_REQUEST", UNDER_WAY)
            nothing = "before: no block that is older is left to be archived"
            assert refused(await move(operator, "archive.begin", before=1), "NOT_FOUND", nothing)
            begun, again, other, second = await operator.ask_all(
                {"type": "archive.begin", "key": "a", "before": before},
                {"type": "archive.begin", "key": "a", "before": before},
                {"type": "archive.begin", "key": "a", "before": before - 1},
                {"type": "archive.begin", "key": "b", "before": before},
            )
            assert begun["type"] == "archive", begun
            assert again == begun | {"replayed": True, "id": again["id"]}
            assert refused(other, "IDEMPOTENCY_CONFLICT")
            assert refused(second, "INVALID_REQUEST", UNDER_WAY)
            told = await until_moved(operator, begun["archive_id"])
            assert [state for state, _ in itertools.groupby(each["state"] for each in told)][-1] == "moved"
            for done, upto in (
                ("moved_transaction_id", "upto_transaction_id"),
                ("moved_entry_id", "upto_entry_id"),
            ):
                went = [each[done] for each in told]
                assert went == sorted(went)
                assert went[-1] == told[-1][upto]

            # The first answer is told again, also behind its end and behind a second one.
            again = await operator.ask({"type": "archive.begin", "key": "a", "before": before})
            assert again == begun | {"replayed": True, "id": again["id"]}
            assert (await player.ask(bet(1)))["type"] == "bet.confirmed"
            second = await move(operator, "archive.begin", before=later_than_now())
            assert second["upto_block"] > begun["upto_block"]
            await until_moved(operator, second["archive_id"])
            first = await operator.ask({"type": "archive.get", "archive_id": begun["archive_id"]})
            assert (first["state"], first["upto_block"]) == ("moved", begun["upto_block"])
            newest = await operator.ask({"type": "archive.get"})
            assert newest["archive_id"] == second["archive_id"]

    asyncio.run(scenario())
    assert len(world.query("SELECT id FROM archives")) == 2


@pytest.mark.parametrize(
    "fields", [{}, {"before": -1}, {"before": "2026"}, {"before": 1.5}, {"before": 1, "upto": 1}]
)
def test_what_is_no_request_changes_nothing(still: World, fields: dict[str, object]) -> None:
    async def scenario() -> None:
        async with connect(still.server.ws, still.operator) as operator:
            assert refused(await move(operator, "archive.begin", **fields), "INVALID_REQUEST")
            assert refused(await operator.ask({"type": "archive.begin", "before": 1}), "INVALID_REQUEST")
            assert refused(
                await operator.ask({"type": "archive.get", "archive_id": "newest"}), "INVALID_REQUEST"
            )

    asyncio.run(scenario())
    assert still.query("SELECT count(*) FROM archives") == [(0,)]


@pytest.fixture(scope="module")
def still(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with running(tmp_path_factory.mktemp("still"), players=1) as live:
        yield live


# -- while everything else goes on, and afterwards


class Past:
    """Two players with a past that is archived while they and an operator go on."""

    def __init__(self, folder: Path) -> None:
        self.db = folder / "wallet.db"
        self.player, self.other = seed(self.db, 2, 10_000_000)
        self.operator = token(self.db, 1, "operator")
        self.caller = token(self.db, 2, "operator")
        """Another operator, whose keys are of his own."""
        self.lost: list[Json] = []
        self.won: list[Json] = []
        self.open: list[Json] = []
        self.others: list[Json] = []
        """Requests that placed bets: what became of those that the player placed, and the other player's."""
        self.deposit: Json = {}
        self.settlement: Json = {}
        self.hold_id = 0
        self.answered: dict[str, list[Json]] = {}
        """What was answered meanwhile, by what was asked for."""
        self.told: list[Json] = []
        self.verified: list[int] = []
        self.seqs: list[int] = []

    @property
    def id(self) -> int:
        return int(self.player["id"])

    async def begin(self, server: Server) -> None:
        """Bets that are over, and open ones, a deposit and a hold."""
        tokens = (self.player["token"], self.other["token"], self.operator)
        async with sockets(server, *tokens) as (player, other, operator):
            placed = [bet(1 + number % 7, game="roulette") for number in range(BETS)]
            for start in range(0, BETS, 150):
                some = placed[start : start + 150]
                answers = await player.ask_all(*some)
                assert all(answer["type"] == "bet.confirmed" for answer in answers), answers[-1]
                self.seqs += [answer["seq"] for answer in answers]
                assert all(
                    answer["type"] == "bet.settled"
                    for answer in await operator.ask_all(
                        *(
                            {"type": "bet.settle", "key": f"s{start + place}", "bet_id": each["bet_id"]}
                            | ({"result": "lost"} if place % 2 else {"result": "won", "payout": 9})
                            for place, each in enumerate(some[:-1])
                        )
                    )
                )
                self.won += some[:-1:2]
                self.lost += some[1:-1:2]
                self.open += some[-1:]
            self.others = [bet(5), bet(6)]
            answers = await other.ask_all(*self.others)
            self.settlement = {
                "type": "bet.settle",
                "key": "other",
                "bet_id": self.others[0]["bet_id"],
                "result": "won",
                "payout": 11,
            }
            assert (await operator.ask(self.settlement))["type"] == "bet.settled"
            self.deposit = {"type": "wallet.deposit", "key": "d", "user_id": self.id, "amount": 77}
            assert (await operator.ask(self.deposit))["type"] == "wallet.moved"
            held = await move(operator, "wallet.hold", user_id=self.id, amount=500)
            self.hold_id = held["hold_id"]

    async def archive(self, server: Server) -> None:
        """All of that is archived while everybody goes on."""
        tokens = (self.player["token"], self.other["token"], self.operator, self.operator)
        async with sockets(server, *tokens) as (player, other, operator, watching):
            done = asyncio.Event()
            going_on = [
                asyncio.create_task(each(done))
                for each in (self._bets(player, operator), self._bets(other, operator), self._cash(operator))
            ]
            begun = await move(watching, "archive.begin", before=later_than_now())
            verifying = asyncio.create_task(asyncio.to_thread(self._verify, done))
            self.told = await until_moved(watching, begun["archive_id"])
            done.set()
            await asyncio.gather(*going_on)
            await verifying

    def _bets(self, player: Wire, operator: Wire) -> Any:
        async def go_on(done: asyncio.Event) -> None:
            """Bets, each settled at once; one in three is rolled back, one cashed out."""
            for number in itertools.count():
                if done.is_set():
                    return
                request = bet(3)
                self.note("bet.place", await player.ask(request))
                bet_id = request["bet_id"]
                if number % 3 == 0:
                    self.note("bet.rollback", await move(operator, "bet.rollback", bet_id=bet_id))
                elif number % 3 == 1:
                    cashed = {"stake": 3, "payout": 2}
                    self.note("bet.cashout", await move(operator, "bet.cashout", bet_id=bet_id, **cashed))
                else:
                    self.note("bet.settle", await move(operator, "bet.settle", bet_id=bet_id, result="lost"))

        return go_on

    def _cash(self, operator: Wire) -> Any:
        async def go_on(done: asyncio.Event) -> None:
            """Deposits, holds that are captured or released, payouts; what was open before is settled."""
            still_open = iter(self.open)
            while not done.is_set():
                whose: Json = {"user_id": self.id}
                self.note("wallet.deposit", await move(operator, "wallet.deposit", **whose, amount=1))
                held = await move(operator, "wallet.hold", **whose, amount=2)
                self.note("wallet.hold", held)
                type_ = "hold.capture" if held["hold_id"] % 2 else "hold.release"
                self.note(type_, await move(operator, type_, hold_id=held["hold_id"]))
                items = [{"user_id": self.id, "amount": 1}, {"user_id": self.other["id"], "amount": 1}]
                self.note("pay", await move(operator, "payout.make", currency="EUR", items=items))
                if late := next(still_open, None):
                    settled = {"bet_id": late["bet_id"], "result": "won", "payout": 1}
                    self.note("late", await move(operator, "bet.settle", **settled))

        return go_on

    def note(self, what: str, answer: Json) -> None:
        self.answered.setdefault(what, []).append(answer)

    def _verify(self, done: asyncio.Event) -> None:
        """As anybody may beside the server, again and again."""
        while not done.is_set():
            report = well("verify", "--db", self.db, "--json").json
            assert report["findings"] == [], report
            self.verified.append(report["blocks"])

    def size_bytes(self) -> int:
        """Of the database, as its pages are counted."""
        ((pages, page_bytes),) = look(
            self.db, "SELECT page_count, page_size FROM pragma_page_count, pragma_page_size"
        )
        return int(pages * page_bytes)


@pytest.fixture(scope="module")
def past(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Past, Server]]:
    made = Past(tmp_path_factory.mktemp("past"))
    with Server(made.db) as server:
        asyncio.run(made.begin(server))
        asyncio.run(made.archive(server))
        yield made, server
        assert server.log is not None
        assert "Traceback" not in server.log.read_text()
    for options in ((), ("--alone",)):
        assert well("verify", "--db", made.db, *options, "--json").json["findings"] == []


def test_nothing_that_went_on_meanwhile_was_refused_or_lost(past: tuple[Past, Server]) -> None:
    made, server = past
    counts = {what: len(answers) for what, answers in made.answered.items()}
    assert {*counts} == {
        *("bet.place", "bet.rollback", "bet.cashout", "bet.settle", "late"),
        *("wallet.deposit", "wallet.hold", "hold.capture", "hold.release", "pay"),
    }
    refusals = [
        answer for answers in made.answered.values() for answer in answers if answer["type"] == "error"
    ]
    assert refusals == []
    assert {answer["type"] for answer in made.answered["bet.place"]} == {"bet.confirmed"}

    async def scenario() -> None:
        async with connect(server.ws, made.operator) as operator:
            for answer in made.answered["bet.place"]:
                state = await operator.ask({"type": "bet.get", "bet_id": answer["bet_id"]})
                assert state["state"] in ("rolled_back", "cashed_out", "lost")
            for answer in made.answered["late"]:
                assert (await operator.ask({"type": "bet.get", "bet_id": answer["bet_id"]}))["state"] == "won"

    asyncio.run(scenario())
    posted = "SELECT count(*) FROM transaction_ledger WHERE transaction_id = ? AND user_id = ?"
    for answer in made.answered["wallet.deposit"]:
        assert look(made.db, posted, answer["transaction_id"], made.id) == [(1,)]


def test_it_moved_between_them_and_verify_held_all_the_time(past: tuple[Past, Server]) -> None:
    made, _ = past
    assert {each["state"] for each in made.told} == {"copying", "moving", "moved"}
    assert len({each["moved_transaction_id"] for each in made.told}) > 2
    assert made.verified, "verify ran beside it"


def test_the_file_keeps_no_room_of_what_was_moved(past: tuple[Past, Server], tmp_path: Path) -> None:
    made, _ = past
    deadline = time.monotonic() + PATIENCE_S
    while look(made.db, "PRAGMA freelist_count") != [(0,)]:
        assert time.monotonic() < deadline
        time.sleep(0.05)  # nothing is told of it
    packed = tmp_path / "packed.db"
    look(made.db, "VACUUM INTO ?", str(packed))
    assert made.size_bytes() < 1.3 * packed.stat().st_size
    file = file_of(made.db, made.told[-1]["upto_block"])
    assert look(file, "SELECT count(*) FROM bets") == [(len(made.won) + len(made.lost) + 1,)]


def test_an_archived_bet_stays_as_it_is_in_words(past: tuple[Past, Server]) -> None:
    made, server = past
    used = "this bet_id or key was used by a command that is archived, and nothing happens twice"
    closed = "this bet is archived: it is over, and stays as it is"

    async def scenario() -> None:
        tokens = (made.player["token"], made.other["token"], made.operator, made.caller)
        async with sockets(server, *tokens) as (player, other, operator, caller):
            balance = (await player.ask({"type": "balance.get"}))["balance"]
            for request in (made.won[0], made.lost[0], bet(1, bet_id=made.won[3]["bet_id"])):
                again = request | {"sent_at": now_ms(), "nonce": new_bet_id()}
                assert refused(await player.ask(again), "IDEMPOTENCY_CONFLICT", used)
                assert refused(await other.ask(again), "IDEMPOTENCY_CONFLICT", used), "another player's"
                assert refused(await operator.ask(again | {"user_id": made.id}), "IDEMPOTENCY_CONFLICT", used)
            for number, bet_ in enumerate((made.won[1], made.lost[1], made.others[0])):
                whose = {"bet_id": bet_["bet_id"]}
                for answer in (
                    await move(operator, "bet.settle", **whose, result="lost"),
                    await move(operator, "bet.settle", **whose, result="won", payout=9),
                    await move(operator, "bet.unsettle", **whose),
                    await move(operator, "bet.cashout", **whose, stake=1, payout=1),
                    await move(operator, "bet.rollback", **whose),
                ):
                    assert refused(answer, "BET_CLOSED", closed), (number, answer)
            for request in (made.deposit, made.deposit | {"amount": 78}, made.settlement):
                assert refused(await operator.ask(request), "IDEMPOTENCY_CONFLICT", used)
            assert (await player.ask({"type": "balance.get"}))["balance"] == balance
            # Another caller's key is another key.
            assert (await caller.ask(made.deposit))["type"] == "wallet.moved"
            assert (await player.ask({"type": "balance.get"}))["balance"] == balance + 77
            # What is not over, or is no bet, goes on: the hold of before.
            released = await move(operator, "hold.release", hold_id=made.hold_id)
            assert (released["type"], released["hold_state"]) == ("wallet.moved", "released")
            assert refused(
                await move(operator, "bet.settle", bet_id=new_bet_id(), result="lost"), "NOT_FOUND"
            )

    asyncio.run(scenario())


def test_who_sees_an_archived_bet(past: tuple[Past, Server]) -> None:
    made, server = past

    async def scenario() -> None:
        tokens = (made.player["token"], made.other["token"], made.operator, mint(1, "auditor"))
        async with sockets(server, *tokens) as (player, other, operator, auditor):
            for state, payout, placed in (("won", 9, made.won[5]), ("lost", 0, made.lost[5])):
                get = {"type": "bet.get", "bet_id": placed["bet_id"]}
                for wire in (player, operator, auditor):
                    told = await wire.ask(get)
                    assert (told["type"], told["state"], told["stake"]) == (
                        "bet.state", state, placed["stake"],
                    )  # fmt: skip
                    assert told.get("payout", 0) == payout
                stranger = await other.ask(get)
                unknown = await other.ask({"type": "bet.get", "bet_id": new_bet_id()})
                assert refused(stranger, "NOT_FOUND")
                assert stranger["message"] == unknown["message"], "it tells nothing of what there is"

    asyncio.run(scenario())


def test_resume_says_where_entries_are_archived(past: tuple[Past, Server]) -> None:
    made, server = past
    upto = made.told[-1]["upto_entry_id"]
    rows = look(
        made.db, "SELECT id FROM transaction_ledger WHERE user_id = ? AND id > ? ORDER BY id", made.id, upto
    )
    left = [id_ for (id_,) in rows]

    async def resumed(from_seq: int) -> tuple[list[int], bool]:
        async with connect(server.ws, made.player["token"]) as wire:
            came: list[int] = []
            while True:
                answer = await wire.ask({"type": "resume", "from_seq": from_seq})
                assert answer["type"] == "resumed", answer
                came += [push["seq"] for push in wire.pushes if push["type"] == "wallet.entry"]
                return came, answer["gap"]

    came, gap = asyncio.run(resumed(0))
    assert gap is True
    assert came == left[: len(came)]
    assert asyncio.run(resumed(made.seqs[0]))[1] is True
    assert asyncio.run(resumed(upto)) == (came, False)
    newest = left[-1]
    assert asyncio.run(resumed(newest)) == ([], False)
