"""The budget of a bet: each stack in its stage, lines that add up to what was spent, and nothing hidden."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import Any

import pytest

from bench import budget
from bench.budget import Line, Sampling, Spent, Windows
from bench.machine import ROOT
from bench.stages import MARKS, OTHER, REDIS, ROOTS, STAGES, StageTable, read_stacks

LOOP, WRITER, READER, SHORT = 5581, 5582, 5583, 5584


@pytest.fixture(scope="module")
def table() -> StageTable:
    """The real table, on the real sources: whoever renames a function that it names hears of it here."""
    return StageTable()


def line_of(file: str, text: str) -> int:
    """The only line of `file` with `text`."""
    lines = (ROOT / file).read_text(encoding="utf-8").splitlines()
    (number,) = [number for number, line in enumerate(lines, 1) if text in line]
    return number


RUN = "_run_module_as_main (<frozen runpy>:198);serve (cli/operate.py:49);Runner.run (asyncio/runners.py:118)"
SANSIO = "uvicorn/protocols/websockets/websockets_sansio_impl.py"
DOOR = "ws/transport/websocket_door.py"
RECEIVED = (
    f"{RUN};WebSocketDoor.data_received ({DOOR}:139);WebSocketDoor._parse ({DOOR}:160);"
    f"WebSocketsSansIOProtocol.data_received ({SANSIO}:199)"
)
TAKEN = (
    f"{RECEIVED};WebSocketsSansIOProtocol.handle_text ({SANSIO}:281);"
    f"WebSocketDoor.send_receive_event_to_app ({DOOR}:116);Session.take (ws/sockets/session.py:142)"
)
DELIVERED = f"{RUN};Hub._deliver (ws/sockets/hub.py:82);Session.deliver (ws/sockets/session.py:168)"
HANDED = f"{RUN};Pipeline.gather (batcher/pipeline.py:113);Pipeline._hand_over (batcher/pipeline.py:127)"
PREPARED = f"{HANDED};Store.prepare (engine/store.py:149)"
SETTLED = f"{RUN};Pipeline.write (batcher/pipeline.py:180);Pipeline._settle (batcher/pipeline.py:230)"
HOP = "_on_thread (engine/store.py:328);Connection._execute (aiosqlite/core.py:158)"
THREAD = "Thread.run (threading.py:982);_connection_worker_thread (aiosqlite/core.py:63)"


@pytest.mark.parametrize(
    ("calls", "stage"),
    [
        (f"{RECEIVED};Frame.parse (websockets/frames.py:309)", "receive and parse frames"),
        (TAKEN.rpartition(";")[0], "receive and parse frames"),
        (f"{TAKEN};Conversation.read (ws/protocol.py:170);_decode_one (ws/codec.py:218)", "decode"),
        (f"{TAKEN};Conversation.receive (ws/protocol.py:179);to_command (ws/codec.py:118)", "decode"),
        (TAKEN, "protocol and admission"),
        (f"{TAKEN};Batcher.submit (batcher/batcher.py:101);monotonic_us (batcher/batcher.py:41)",
         "protocol and admission"),
        (f"{TAKEN};Batcher.submit (batcher/batcher.py:112);Undecided.enter (batcher/undecided.py:33)",
         "protocol and admission"),
        (f"{HANDED};Queue.close_batch (batcher/policy.py:80)", "close a batch, hand it over"),
        (f"{RUN};Store.write (engine/store.py:190);{HOP}", "close a batch, hand it over"),
        (f"{PREPARED};Store._next_view (engine/store.py:256);{HOP}", "look-up"),
        (f"{HANDED};Pipeline._ask_nonces (batcher/pipeline.py:151);"
         "Pipeline._ask_nonces.<locals>.<listcomp> (batcher/pipeline.py:151)", "nonces"),
        (f"{HANDED};RedisGuard.claim (batcher/redis_nonces.py:90);"
         "Connection.send_command (redis/asyncio/connection.py:500)", "nonces"),
        (f"{PREPARED};Store.prepare.<locals>.<listcomp> (engine/store.py:149)", "decide"),
        (f"{PREPARED};place (engine/decide/place.py:33);fingerprint_bet (engine/commands.py:83)", "decide"),
        (f"{PREPARED};seal (engine/blocks.py:66);root_of (engine/blocks.py:75)", "seal"),
        (f"{SETTLED};Undecided.leave (batcher/undecided.py:46)", "resolve"),
        (f"{SETTLED};Undecided.leave (batcher/undecided.py:46);"
         "Pipeline._settle.<locals>.<genexpr> (batcher/pipeline.py:219)", "resolve"),
        (f"{SETTLED};Batcher._tell (batcher/batcher.py:210);Session.answer (ws/sockets/session.py:156);"
         "Conversation.answered (ws/protocol.py:191);bet_answer (ws/wire/outcomes.py:90)", "resolve"),
        (f"{DELIVERED};encode_frame (ws/codec.py:113)", "encode"),
        (f"{DELIVERED};WebSocketDoor.write ({DOOR}:130)", "send"),
        (f"{DELIVERED};WebSocketDoor.write ({DOOR}:129);Frame.serialize (websockets/frames.py:200)",
         "send"),
        (RUN, "event loop and recv(2)"),
        (f"{RUN};something_new (ws/news.py:3)", OTHER),  # called by the loop, but not the loop
        (THREAD, "wake up, hand back"),
        (f"{THREAD};look_up (engine/prefetch.py:97);look_up.<locals>.<listcomp> (engine/prefetch.py:97)",
         "look up keys (SQLite)"),
        (f"{THREAD};Writer.write (engine/writer.py:275);Writer._is_as_we_left_it (engine/writer.py:300)",
         "begin, call the next batch"),
        (f"{THREAD};something_new (engine/news.py:3)", OTHER),
    ],
)  # fmt: skip
def test_a_stack_is_in_the_stage_of_its_innermost_known_function(
    table: StageTable, calls: str, stage: str
) -> None:
    (stack,) = read_stacks(f"thread (5581): MainThread;{calls} 3")
    assert table.stage_of(stack) == stage


@pytest.mark.parametrize(
    ("statement", "stage"),
    [
        ("in_bulk(connection, _ADD_TRANSACTION", "rows of transactions (bind, SQLite)"),
        ("in_bulk(connection, _ADD_ENTRY", "rows of transaction_ledger (bind, SQLite)"),
        ("in_bulk(connection, _ADD_BET", "rows of bets (bind, SQLite)"),
        ("in_bulk(connection, _CHANGE_ACCOUNTS", "rows of users (bind, SQLite)"),
        ("connection.execute(_OPEN_BATCH", "block: open, check, seal (SQLite)"),
        ("connection.execute(_SEAL", "block: open, check, seal (SQLite)"),
        ("    at_halfway()", "begin, call the next batch"),
    ],
)
def test_the_line_that_calls_says_which_table_is_written(
    table: StageTable, statement: str, stage: str
) -> None:
    line = line_of("engine/rows.py", statement)
    writing = f"{THREAD};Writer.write (engine/writer.py:277);write (engine/rows.py:{line})"
    for calls in (writing, f"{writing};in_bulk (engine/bulk.py:33)"):
        (stack,) = read_stacks(f"thread (5582): Thread-1;{calls} 1")
        assert table.stage_of(stack) == stage


def test_a_commit_is_told_from_what_comes_before_it(table: StageTable) -> None:
    for function, statement, stage in (
        ("Writer._commit", 'connection.execute("COMMIT")\n', "COMMIT (WAL, fsync)"),
        ("Writer.write", 'connection.execute("BEGIN IMMEDIATE")\n', "begin, call the next batch"),
    ):
        source = (ROOT / "engine/writer.py").read_text()
        begins = source.index(f"    def {function.removeprefix('Writer.')}(")
        line = source.count("\n", 0, source.index(statement, begins)) + 1
        calls = f"{THREAD};Writer.write (engine/writer.py:277);{function} (engine/writer.py:{line})"
        (stack,) = read_stacks(f"thread (5582): Thread-1;{calls} 1")
        assert table.stage_of(stack) == stage


SOURCE = """\
def load(path):
    return path

class Writer:
    async def write(self, rows):
        await self.execute(
            BETS,
            rows,
        )
        self.execute(USERS, rows)
"""


def test_a_call_over_several_lines_is_known_on_each_of_them(tmp_path: Path) -> None:
    (tmp_path / "writer.py").write_text(SOURCE)
    stages = {
        "rest": ("writer.py",),
        "bets": ("writer.py:Writer.write:BETS",),
        "users": ("writer.py:Writer.write:USERS",),
    }
    found = StageTable(stages, {}, {}, [tmp_path])
    for line, stage in ((5, "rest"), (6, "bets"), (7, "bets"), (9, "bets"), (10, "users")):
        (stack,) = read_stacks(f"thread (1): writer;Writer.write (writer.py:{line}) 1")
        assert found.stage_of(stack) == stage, line
    assert found.lines == ["rest", "bets", "users", OTHER]


@pytest.mark.parametrize(
    ("place", "complaint"),
    [
        ("reader.py", "there is no reader.py"),
        ("writer.py:write", "writer.py has no function write"),
        ("writer.py:Writer.read", "writer.py has no function Writer.read"),
        ("writer.py:Writer.write:WALLETS", "Writer.write in writer.py calls nothing like WALLETS"),
        ("writer.py:load", "writer.py:load: known as 'first' and as 'second'"),
    ],
)
def test_a_table_that_does_not_fit_the_code_is_refused(tmp_path: Path, place: str, complaint: str) -> None:
    (tmp_path / "writer.py").write_text(SOURCE)
    with pytest.raises(LookupError) as refused:
        StageTable({"first": ("writer.py:load",), "second": (place,)}, {}, {}, [tmp_path])
    assert str(refused.value) == complaint


def test_a_renamed_function_is_an_error_before_anything_is_measured(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stages = {**STAGES, "decode": ("ws/codec.py:decode_frames",)}
    monkeypatch.setattr(budget, "StageTable", lambda: StageTable(stages, ROOTS, MARKS))
    monkeypatch.setattr(budget, "py_spy", lambda: "py-spy")
    assert budget.main(["--nonces", "memory"]) == 2
    assert "ws/codec.py has no function decode_frames" in capsys.readouterr().err


RAW = f"""\
thread (5581): MainThread;{RUN} 60
thread (5581): MainThread;{TAKEN} 30
thread (5581): MainThread 10
thread (5582): Thread-1 (_connection_worker_thread);{THREAD};Writer.write (engine/writer.py:1) 20
thread (5583): Thread-2 (_connection_worker_thread);{THREAD};look_up (engine/prefetch.py:97) 5
"""


def test_stacks_are_read_with_their_thread_and_number() -> None:
    loop, taken, starting, writer, _ = read_stacks(RAW)
    assert [stack.thread_id for stack in (loop, taken, starting, writer)] == [LOOP, LOOP, LOOP, WRITER]
    assert [stack.samples for stack in (loop, taken, starting, writer)] == [60, 30, 10, 20]
    assert loop.frames[0] == ("_run_module_as_main", "<frozen runpy>", 198)
    assert loop.frames[-1] == ("Runner.run", "asyncio/runners.py", 118)
    assert starting.frames == ()
    assert read_stacks("") == []


@pytest.mark.parametrize(
    "text",
    ["{}", "main (cli/main.py:3) 7", "thread (0x7F2A): MainThread;a (b:1) 7", "thread (7): Main;a (b:1)"],
)
def test_what_is_no_stack_of_a_known_thread_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no stack of a thread"):
        read_stacks(text)


def test_threads_are_known_by_what_they_do(table: StageTable) -> None:
    parts = table.parts(read_stacks(RAW), LOOP)
    assert [parts[thread] for thread in (LOOP, WRITER, READER, SHORT)] == [
        "loop", "writer", "reader", "other threads",
    ]  # fmt: skip


PLAIN = Spent(wall_s=2.0, bets=10_000, threads_s={LOOP: 1.0, WRITER: 0.5, SHORT: 0.02}, redis_s=0.1)


def lines_of(table: StageTable, plain: Spent, raw: str = RAW) -> list[Line]:
    stacks = read_stacks(raw)
    return budget.budget(table, table.parts(stacks, LOOP), plain, stacks)


def test_a_threads_time_is_split_as_its_samples_are(table: StageTable) -> None:
    lines = {(line.thread, line.line): line for line in lines_of(table, PLAIN)}
    found: dict[Any, Any] = {key: (line.us, line.samples) for key, line in lines.items()}
    assert found == {
        ("loop", "event loop and recv(2)"): (
            pytest.approx(60.0),
            60,
        ),  # 100 µs of the loop, 60 of its 100 samples
        ("loop", "protocol and admission"): (pytest.approx(30.0), 30),
        ("loop", OTHER): (pytest.approx(10.0), 10),
        ("writer", "begin, call the next batch"): (pytest.approx(50.0), 20),
        ("redis", REDIS): (pytest.approx(10.0), 0),
        ("other threads", OTHER): (pytest.approx(2.0), 0),  # it was never seen, and is told all the same
    }
    error_us = lines["loop", "protocol and admission"].error_us
    assert error_us == pytest.approx(100 * math.sqrt(0.3 * 0.7 / 100))
    assert lines["writer", "begin, call the next batch"].error_us == 0
    assert lines["other threads", OTHER].error_us == pytest.approx(2.0)  # all of it may be anywhere


def test_the_lines_add_up_to_what_was_spent_and_keep_the_order_of_the_table(table: StageTable) -> None:
    lines = lines_of(table, PLAIN)
    assert sum(line.us for line in lines) == pytest.approx(PLAIN.us_per_bet) == pytest.approx(162.0)
    places = [table.lines.index(line.line) for line in lines]
    assert places == sorted(places)
    assert lines[-1].line == OTHER


def test_without_a_redis_there_is_no_line_of_it(table: StageTable) -> None:
    assert REDIS not in {line.line for line in lines_of(table, PLAIN._replace(redis_s=0.0))}


def test_the_lock_is_held_by_whom_it_was_seen(table: StageTable) -> None:
    stacks = read_stacks(RAW)
    held = budget.lock_held(table.parts(stacks, LOOP), Sampling(stacks, readings=250, failed=50))
    assert held == {"loop": 0.5, "writer": 0.1, "reader": 0.025}


def test_a_thread_has_work_unless_it_stands_in_its_root_and_does_not_run(table: StageTable) -> None:
    every = read_stacks(
        f"thread (5581): MainThread;{RUN} 40\n"
        f"thread (5581): MainThread;{TAKEN} 60\n"
        f"thread (5582): Thread-1;{THREAD} 10\n"
        f"thread (5582): Thread-1;{THREAD};Writer.write (engine/writer.py:1) 90\n"
        f"thread (5584): Thread-3;{THREAD} 100\n"
    )
    running = read_stacks(f"thread (5581): MainThread;{RUN} 30\n")
    work = budget.has_work(
        table, table.parts(every, LOOP), Sampling(running, 200, 0), Sampling(every, 100, 0)
    )
    assert work == {"loop": pytest.approx(0.75), "writer": pytest.approx(0.9)}


def found_in(table: StageTable, raw: str = RAW, *, failed: int = 0, **cores: float) -> dict[str, Any]:
    sampling = Sampling(read_stacks(raw), 200, failed)
    driven = {"cores": {"driver": 0.1}}
    seen = Windows(PLAIN, {"others": 0.15, **cores}, PLAIN, sampling, sampling, sampling)
    return {
        "shape": "100x20",
        "nonces": "redis",
        "wrong": [],
        **budget.figures(table, seen, driven, LOOP),
    }


def test_the_driver_is_none_of_the_others(table: StageTable) -> None:
    found = found_in(table)
    expected = {
        "loop": 0.5,
        "writer": 0.25,
        "redis": 0.05,
        "other threads": 0.01,
        "driver": 0.1,
        "others": 0.05,
    }
    assert found["cores"] == {name: pytest.approx(value) for name, value in expected.items()}


def test_what_is_not_known_is_told(table: StageTable) -> None:
    assert found_in(table)["doubts"] == []  # 12 of 162 µs
    unknown = RAW.replace("Session.take (ws/sockets/session.py:142)", "news (ws/news.py:3)").replace(
        f"{TAKEN.rpartition(';')[0]};", f"{RUN};"
    )
    (doubt,) = found_in(table, unknown)["doubts"]
    assert doubt == "26% of the budget is 'other': bench/stages.py does not know where it goes"


def test_a_look_that_often_failed_and_a_busy_machine_are_told(table: StageTable) -> None:
    said = "\n".join(found_in(table, failed=30, others=0.5)["doubts"])
    assert "15% of the readings of 'running' have failed" in said
    assert "others used 0.40 cores beside the plain window" in said


def test_the_table_shows_each_line_and_the_sum(table: StageTable) -> None:
    found = found_in(table) | {"wrong": ["2 bets confirmed, 1 in the ledger"]}
    text = budget.render(found)
    rows = [line.split() for line in text.splitlines()]
    assert ["30.00", "4.58", "18.5%", "loop", "protocol", "and", "admission"] in rows
    assert ["162.00", "100.0%", "the", "server", "and", "Redis"] in rows
    assert sum(row[-1:] == [OTHER] for row in rows) == 2
    assert ["writer", "0.25", "10%", "100%"] in rows
    assert "held for 62% of the time" in text
    assert text.endswith("DOES NOT COUNT: 2 bets confirmed, 1 in the ledger")


def test_a_missing_profiler_is_a_clear_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    assert budget.main(["--nonces", "memory"]) == 2
    assert "no py-spy beside this Python or on the PATH" in capsys.readouterr().err
    profiler = tmp_path / "py-spy"
    profiler.write_text("#!/bin/sh\n")
    profiler.chmod(0o755)
    assert budget.py_spy() == str(profiler)


WRITES = 'while [ "$1" != --output ]; do shift; done; : > "$2"'


@pytest.mark.parametrize(
    ("script", "complaint"),
    [
        ("echo 'Permission Denied: Try running again with …' >&2; exit 1", "Run this as root"),
        ("echo 'Error: Failed to find python version' >&2; exit 1", "status 1: Error: Failed to find python"),
        ("echo 'Wrote raw data. Samples: 0 Errors: 0'", "py-spy: status 0: Wrote raw"),
        (f"{WRITES}; echo done", "does not say how many"),
        (f"{WRITES}; echo Samples: 0 Errors: 500", "all 500 readings have failed"),
    ],
)  # fmt: skip
def test_a_profiler_that_fails_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, complaint: str
) -> None:
    profiler = tmp_path / "py-spy"
    profiler.write_text(f"#!/bin/sh\n{script}\n")
    profiler.chmod(0o755)
    monkeypatch.setattr(budget, "py_spy", lambda: str(profiler))
    with pytest.raises(RuntimeError, match=complaint):
        budget.sample(1, 1)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--shape", "100"], "as in 100x20"),
        (["--shape", "0x20"], "as in 100x20"),
        (["--seconds", "1"], "--seconds"),
        (["--warm-up", "-1"], "--warm-up"),
        (["--shape", "400x1", "--players", "399"], "400 connections need as many"),
    ],
)
def test_a_call_that_makes_no_sense_is_refused(
    arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as refused:
        budget.options(arguments)
    assert refused.value.code == 2
    assert complaint in capsys.readouterr().err


def test_the_load_outlasts_all_windows() -> None:
    assert budget.load_s(5) >= 5 + 5 + 2 + 2
    chosen = budget.options(["--shape", "400x1"])
    assert (chosen.connections, chosen.in_flight) == (400, 1)


@pytest.mark.long
@pytest.mark.alone
def test_a_short_run_accounts_for_the_servers_time(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--shape", "20x20", "--seconds", "2", "--warm-up", "0.5", "--players", "100", "--json"]
    status = budget.main([*arguments, "--nonces", "redis"])
    out, err = capsys.readouterr()
    assert status == 0, out + err
    found = json.loads(out)
    assert {"machine", "commit", "versions"} <= found.keys()
    assert found["versions"]["py-spy"]
    assert found["bets_per_s"] > 100
    assert sum(line["us"] for line in found["budget"]) == pytest.approx(found["us_per_bet"])
    seen = {line["line"] for line in found["budget"] if line["us"] > 0}
    assert {REDIS, "decode", "decide", "send", "COMMIT (WAL, fsync)", "look up keys (SQLite)"} <= seen
    assert {line for line in STAGES if line.startswith("rows of transaction")} <= seen
    by_other = sum(line["us"] for line in found["budget"] if line["line"] == OTHER)
    assert by_other <= budget.OTHER_MAX * found["us_per_bet"], out
    assert found["samples"]["running"]["stacks"] > 100
    assert {"loop", "writer"} <= found["gil"].keys()
    assert 0.05 < sum(found["gil"].values()) <= 1
    assert 0 < found["has_work"]["writer"] <= 1
