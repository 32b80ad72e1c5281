"""Parts of the operator's page that need no page, in Node: what is kept and drawn, and its socket."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from harness.wire import bet, connect
from tests.in_node import FOLDER, command, node
from tests.server_fixture import World, mint
from tests.tcp_proxy import TcpProxy

pytestmark = pytest.mark.long

WEB = FOLDER.parent / "web"
START_MS = 1_760_000_000_000
FIVE_MINUTES_S = 300

Json = dict[str, Any]


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pages' modules as a browser sees them: with the client beside them."""
    folder = tmp_path_factory.mktemp("parts") / "web"
    shutil.copytree(WEB, folder)
    shutil.copytree(
        FOLDER.parent / "clients/javascript", folder / "client", ignore=lambda *_: ["node_modules"]
    )
    (folder / "package.json").write_text('{"type": "module"}')
    return folder


def told_by(web: Path, scene: str, given: object) -> Any:
    return json.loads(node("operator_parts.mjs", str(web), scene, json.dumps(given)))


def figures(second: float, p99: float | None = 5.0, confirmed: int = 0, **rejected: int) -> Json:
    """A message of that second, as far as is looked at here."""
    return {
        "at": START_MS + int(second * 1000), "over_ms": 500, "latency_ms": {"p50": 1, "p99": p99},
        "bets": {"confirmed": confirmed, "replayed": 0, "rejected": rejected},
    }  # fmt: skip


def test_a_line_breaks_where_seconds_are_missing_or_had_nothing(web: Path) -> None:
    told = told_by(
        web, "history", [figures(0, 1), figures(1, 2), figures(2, None), figures(3, 4), figures(7, 5)]
    )

    assert [[point["value"] for point in run] for run in told[-1]["runs"]] == [[1, 2], [4], [5]]
    assert told[-1]["runs"][0][1]["at"] == START_MS + 1000
    assert told[2]["range"] == {"now": None, "least": 1, "most": 2}
    assert told[-1]["range"] == {"now": 5, "least": 1, "most": 5}
    assert told_by(web, "history", [figures(0, None)])[0]["range"] is None


def test_five_minutes_are_kept_and_refusals_of_that_time_are_added_up(web: Path) -> None:
    seconds = range(FIVE_MINUTES_S + 50)
    told = told_by(
        web, "history", [figures(each, each, 2, RATE_LIMITED=1, **{f"C{each}": 3}) for each in seconds]
    )[-1]

    (run,) = told["runs"]
    assert [point["value"] for point in run] == list(seconds)[-FIVE_MINUTES_S:]
    assert told["refusals"][0] == ["RATE_LIMITED", FIVE_MINUTES_S]
    assert len(told["refusals"]) == 1 + FIVE_MINUTES_S
    # A second, though it was told of half a one.
    assert told["confirmed"] == {"now": 4, "least": 4, "most": 4}, (
        "a second, though it was told of half a one"
    )


def test_a_clock_that_was_set_back_begins_anew(web: Path) -> None:
    told = told_by(web, "history", [figures(100, 1), figures(101, 2), figures(50, 3), figures(51, 4)])

    assert [[point["value"] for point in run] for run in told[-1]["runs"]] == [[3, 4]]
    assert told[-1]["newest"] == START_MS + 51_000


def test_the_second_that_is_told_once_more_on_a_new_connection_changes_nothing(web: Path) -> None:
    told = told_by(web, "history", [figures(100, 1), figures(101, 2), figures(101, 2), figures(102, 3)])

    assert [[point["value"] for point in run] for run in told[-1]["runs"]] == [[1, 2, 3]]
    assert told[2] == told[1]


def test_what_is_drawn_goes_back_as_far_as_there_is_something_and_five_minutes_at_most(web: Path) -> None:
    told = told_by(web, "history", [figures(each) for each in (0, 1, 60, 61, 200, 299, 300, 400, 1000)])

    assert [each["minutes"] for each in told] == [1, 1, 1, 2, 4, 5, 5, 4, 1]
    assert told[3]["fromMs"] == START_MS + 61_000 - 120_000


def test_a_curve_is_as_high_as_its_scale(web: Path) -> None:
    frame = {"fromMs": 0, "toMs": 100, "top": 20, "width": 300, "height": 60}
    runs = [
        [{"at": 0, "value": 0}, {"at": 50, "value": 10}, {"at": 100, "value": 30}],
        [{"at": 25, "value": 20}],
    ]

    told = told_by(
        web, "curve", {"tops": [0, 0.3, 1, 1.1, 2, 5.5, 10, 11, 4999], "runs": runs, "frame": frame}
    )

    assert told["tops"] == [1, 1, 1, 2, 2, 10, 10, 20, 5000]
    assert told["path"] == "M0 60L150 30L300 0M75 0h0"


# -- its socket, against a real server


class Talk:
    """The socket in Node: asked by lines, and heard by lines."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    def ask(self, **question: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(question).encode() + b"\n")

    async def hear(self) -> Json:
        assert self._process.stdout is not None
        line = await asyncio.wait_for(self._process.stdout.readline(), 30)
        assert line, "it has ended"
        told: Json = json.loads(line)
        return told


@asynccontextmanager
async def talking(web: Path, url: str, *tokens: str) -> AsyncIterator[Talk]:
    process = await asyncio.create_subprocess_exec(
        *command(), FOLDER / "operator_parts.mjs", str(web), "live", url, *tokens,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        yield Talk(process)
        assert process.stdin is not None
        process.stdin.close()
        assert await asyncio.wait_for(process.wait(), 20) == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def placed(world: World, stake: int) -> Mapping[str, Any]:
    _, token = world.player()
    async with connect(world.server.ws, token) as wire:
        return await wire.ask(bet(stake))


def test_a_move_whose_answer_was_lost_is_asked_again_and_moves_once(web: Path, world: World) -> None:
    async def scene() -> None:
        (bet_id,) = [(await placed(world, 100))["bet_id"]]
        cut = asyncio.Event()

        def lose(_: bytes) -> None:
            """The first answer to the settlement, which is committed by then."""
            is_done = world.query("SELECT 1 FROM transactions WHERE scope != 'bet' AND key = ?", "once")
            if is_done and not cut.is_set():
                cut.set()
                proxy.reset()

        proxy = TcpProxy(world.server.port, on_reply=lose)
        async with proxy.serving(), talking(web, proxy.ws, world.operator) as talk:
            assert await talk.hear() == {"welcome": "operator", "given": 1}
            talk.ask(type="bet.settle", key="once", bet_id=bet_id, result="won", payout=300)
            assert await talk.hear() == {"welcome": "operator", "given": 1}
            answer = (await talk.hear())["answer"]
            assert (answer["type"], answer["payout"], answer["replayed"]) == ("bet.settled", 300, True)
            assert cut.is_set()
        assert world.query("SELECT count(*) FROM transactions WHERE key = 'once'") == [(1,)]

    asyncio.run(scene())


def test_what_is_refused_and_what_is_not_answered(web: Path, world: World) -> None:
    async def scene() -> None:
        proxy = TcpProxy(world.server.port)
        async with proxy.serving(), talking(web, proxy.ws, world.auditor) as talk:
            assert (await talk.hear())["welcome"] == "auditor"
            talk.ask(type="wallet.deposit", key="k", user_id=7, amount=1)
            assert await talk.hear() == {"raised": "Refused", "code": "FORBIDDEN"}
            proxy.reads.clear()
            talk.ask(type="circuit.get", withinMs=100)
            assert await talk.hear() == {"raised": "Unresolved", "was_sent": True}
            proxy.reads.set()

    asyncio.run(scene())


def test_no_socket_is_opened_once_it_was_closed(web: Path) -> None:
    """A token that came too late would show one person's figures to the next."""
    assert json.loads(node("operator_parts.mjs", str(web), "late_token")) == {"opened": 0}


def test_it_says_so_when_there_is_no_point_in_connecting_again(web: Path, world: World) -> None:
    expired = mint(1, "operator", life_s=-10)
    told = json.loads(node("operator_parts.mjs", str(web), "given_up", world.server.ws, expired))
    assert told == {"given": 3}


def test_a_refused_token_is_followed_by_another_one(web: Path, world: World) -> None:
    async def scene() -> None:
        expired = mint(1, "operator", life_s=-10)
        async with talking(web, world.server.ws, expired, world.operator) as talk:
            assert await talk.hear() == {"welcome": "operator", "given": 2}

    asyncio.run(scene())
