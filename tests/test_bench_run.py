"""The orchestrator drops nothing silently: what fails is in the table, and in the exit status."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from bench import commands, machine, processes, run
from bench.cases import QUICK, WHOLE, Case, all_cases
from bench.latency import Idle, OpenLoop
from bench.machine import ROOT
from bench.stand import Figures, Stand
from bench.table import Row
from bench.throughput import Frames, WholePath
from harness.process import free_port, seed


def test_a_process_that_dies_before_it_listens_is_noticed() -> None:
    with (
        pytest.raises(RuntimeError, match="ended with status 3"),
        processes.listening([sys.executable, "-c", "raise SystemExit(3)"], free_port()),
    ):
        pytest.fail("it cannot have listened")


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A module `told` that each test writes, for `python -m told`."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return tmp_path / "told.py"


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        ("import sys; print('half a figure'); sys.exit(3)", "status 3: half a figure"),
        ("print('no JSON')", "expected one JSON object, not 'no JSON"),
        ("print('[1]')", "expected one JSON object"),
        ("import sys; sys.stdin.read(); import threading; threading.Event().wait()", "not done within 1 s"),
    ],
)
def test_a_program_that_gives_no_figures_says_why(program: Path, source: str, complaint: str) -> None:
    program.write_text(source)
    with pytest.raises(RuntimeError, match=r"python -m told") as failed:
        processes.ask("told", [], within_s=1 if "wait()" in source else 30)
    assert complaint in str(failed.value)


def test_a_program_is_asked_and_answers(program: Path) -> None:
    program.write_text(
        "import json, sys; print(json.dumps({'heard': sys.stdin.read(), 'told': sys.argv[1:]}))"
    )
    assert processes.ask("told", ["--x", "1"], 30, "job") == {"heard": "job", "told": ["--x", "1"]}


def test_a_job_travels_on_standard_input_and_its_figures_come_back(program: Path) -> None:
    program.write_text(
        "from dataclasses import dataclass\n"
        "from bench.processes import do_the_job\n"
        "@dataclass\n"
        "class Job:\n"
        "    bets: int\n"
        "async def do(job):\n"
        "    return {'twice': 2 * job.bets}\n"
        "do_the_job(Job, do)\n"
    )
    assert processes.ask("told", [], 30, json.dumps({"bets": 21})) == {"twice": 42}
    with pytest.raises(RuntimeError, match="ended with status 1"):
        processes.ask("told", [], 30, json.dumps({"no": "bets"}))


def test_work_is_done_beside_the_results_and_leaves_nothing(tmp_path: Path) -> None:
    with machine.work_folder(tmp_path / "out") as folder, machine.work_folder(tmp_path / "out") as other:
        (folder / "books.db").write_text("")
        assert {folder.parent, other.parent} == {tmp_path / "out"}
        assert folder != other
    assert [*(tmp_path / "out").iterdir()] == []


def test_a_figure_that_is_missing_fails_the_case(program: Path, tmp_path: Path) -> None:
    program.write_text("import json, sys; print(json.dumps({'per_s': 1, 'told': sys.argv[1:]}))")
    stand = Stand(tmp_path / "seeded.db", [], 0.0, 1.5)
    figures = commands.run("told", ["--clients", 32], stand, {"per_s"}, 30)
    assert figures["told"][0] == "--folder"
    assert figures["told"][2:] == ["--clients", "32", "--seconds", "2"]  # whole seconds, as pgbench wants
    assert not Path(figures["told"][1]).exists()
    with pytest.raises(RuntimeError, match="its figures lack bets_per_s, ratio"):
        commands.run("told", [], stand, {"per_s", "ratio", "bets_per_s"}, 30)


@dataclass
class Told:
    """A case that says what the test tells it to."""

    name: str
    rounds: list[Figures | Exception]
    wrong: list[str] = field(default_factory=list)
    rounds_max: int | None = None

    def measure(self, stand: Stand) -> Figures:
        figures = self.rounds.pop(0)
        if isinstance(figures, Exception):
            raise figures
        return figures

    def faults(self, round_: Figures) -> list[str]:
        return self.wrong

    def rows(self, rounds: Sequence[Figures], results: object) -> list[Row]:
        return [Row(self.name, figure=f"{len(rounds)} rounds", met=True)]


STAND = Stand(Path("no.db"), [], 0.0, 1.0)


def test_a_case_that_fails_is_told_and_the_others_go_on() -> None:
    failure = RuntimeError("it ended with status 3")
    failure.add_note("its last words")
    cases: list[Case] = [Told("broken", [failure]), Told("sound", [{}])]
    log = run.measure(cases, STAND, rounds=1)
    assert log.wrong == ["round 1 of 1, broken: it ended with status 3\nits last words"]
    assert run.rows_of(cases, log, 1) == [
        Row("broken", figure="FAILED", met=False),
        Row("sound", figure="1 rounds", met=True),
    ]
    assert run.figures_of(cases, log, 1)["wrong"] == log.wrong


def test_rounds_take_turns_and_a_costly_case_has_fewer() -> None:
    cheap = Told("cheap", [{"n": 1}, {"n": 2}, {"n": 3}])
    costly = Told("costly", [{"n": 9}], rounds_max=1)
    log = run.measure([cheap, costly], STAND, rounds=3)
    assert (log.wrong, cheap.rounds, costly.rounds) == ([], [], [])
    assert log.results == {"cheap": [{"n": 1}, {"n": 2}, {"n": 3}], "costly": [{"n": 9}]}
    assert [row.detail for row in run.rows_of([cheap, costly], log, 3)] == ["", "1 of 3 rounds"]


def test_a_round_that_does_not_count_is_told_and_kept() -> None:
    case = Told("doubtful", [{"n": 1}], wrong=["2 bets confirmed, 1 in the ledger"])
    log = run.measure([case], STAND, rounds=1)
    assert log.wrong == ["round 1 of 1, doubtful: 2 bets confirmed, 1 in the ledger"]
    assert log.results["doubtful"] == [{"n": 1}]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--only", "whole-path-7x7"], "no case 'whole-path-7x7' among engine-1000"),
        (["--rounds", "0"], "--rounds"),
        (["--seconds", "0"], "--seconds"),
        (["--only", "whole-path-400x1", "--players", "399"], "400 connections need as many players"),
        (["--only", "idle", "--players", "5099"], "5100 connections need as many players"),
    ],
)
def test_a_call_that_makes_no_sense_is_refused(
    arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as refused:
        run.options(arguments)
    assert refused.value.code == 2
    assert complaint in capsys.readouterr().err


def names(*arguments: str) -> list[str]:
    return [case.name for case in run.options(arguments).cases]


def test_cases_are_chosen_by_name_and_pattern() -> None:
    assert names() == [case.name for case in all_cases(WHOLE)]
    assert names("--quick") == [case.name for case in all_cases(QUICK)]
    assert names("--only", "postgres", "engine-*") == ["engine-1000", "engine-5000", "postgres"]
    assert names("--quick", "--only", "open-loop-*") == [
        f"open-loop-{per_s}" for per_s in QUICK.offered_per_s
    ]


def test_only_a_run_of_everything_draws_over_the_published_charts() -> None:
    assert run.options([]).charts == run.CHARTS
    assert run.options(["--quick"]).charts is None
    assert run.options(["--only", "ledger"]).charts is None
    assert run.options(["--only", "ledger", "--charts", "here"]).charts == Path("here")


def test_no_redis_is_no_silent_change_of_the_case(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(run, "redis_executable", lambda: None)
    assert run.main(["--only", "postgres"]) == 2
    assert "install one of them" in capsys.readouterr().err


def test_the_limit_of_open_files_is_raised_for_a_run() -> None:
    program = (
        "import resource\n"
        "from bench.machine import raise_file_limit\n"
        "hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))\n"
        "limit = raise_file_limit()\n"
        "assert limit == resource.getrlimit(resource.RLIMIT_NOFILE)[0] > 64, limit\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.long
@pytest.mark.alone
def test_a_short_run_of_the_command_counts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--only", "open-loop-1000", "--seconds", "1", "--warm-up", "0.3", "--rounds", "1"]
    status = run.main([*arguments, "--players", "100", "--out", str(tmp_path)])
    out, err = capsys.readouterr()
    assert status == 0, out + err
    (path,) = tmp_path.iterdir()  # the ledgers are gone
    report = json.loads(path.read_text())
    assert report["wrong"] == []
    assert {"machine", "commit", "versions"} <= report.keys()
    assert report["versions"]["redis-server"]
    assert report["ledger"] == {"sizes": []}
    (point,) = report["sweep"]
    assert point["offered_per_s"] == 1_000
    assert 0 < point["p50_ms"] <= point["p99_ms"] <= point["p999_ms"]
    (round_,) = report["cases"]["open-loop-1000"]["rounds"]
    assert round_["audit"]["bets_in_ledger"] == round_["open_loop"]["answered_in_all"] > 0
    assert [row["case"] for row in report["table"]] == ["open loop, 1,000/s over 100 connections"]
    assert "open loop, 1,000/s over 100 connections" in out.splitlines()[2]


@pytest.mark.long
@pytest.mark.alone
@pytest.mark.parametrize("nonces", ["memory", "redis"])
def test_every_case_over_the_wire_counts(tmp_path: Path, nonces: str) -> None:
    seeded = tmp_path / "seeded.db"
    tokens = [each["token"] for each in seed(seeded, 130, run.BALANCE_MINOR)]
    stand = Stand(seeded, tokens, 0.2, 0.5, nonces)
    cases: list[Any] = [WholePath(20, 5)]
    if nonces == "redis":  # the other cases do not care where nonces are
        cases += [Frames(4, 10), OpenLoop(200), Idle(30, 200)]
    log = run.measure(cases, stand, rounds=1)
    assert log.wrong == []
    rounds = {name: each for name, (each,) in log.results.items()}
    drivers = [
        part
        for round_ in rounds.values()
        for part in round_.values()
        if "decoded_frames" in part and "pending_in_all" in part
    ]
    assert len(drivers) == (7 if nonces == "redis" else 2)  # with the echo
    for figures in drivers:
        assert figures["decoded_frames"] == 0  # the cheap scan knows the server's spelling
        assert 0 < figures["latency_us"]["p50"] <= figures["latency_us"]["p99"]
    wallet = rounds["whole-path-20x5"]["wallet"]
    assert ("redis" in wallet["cores"]) == (nonces == "redis")
    assert wallet["cores"]["server"] > 0
    if nonces == "redis":
        assert rounds["idle"]["idle"]["connections"] == 30
        assert len(run.rows_of(cases, log, 1)) == 5
