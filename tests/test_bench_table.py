"""What counts, what is doubted, and what the table says was met: all of it from figures alone."""

from __future__ import annotations

from typing import Any

import pytest

from bench import checks, table
from bench.commands import ONE_BY_ONE, POSTGRES, Engine, Ledger
from bench.latency import Idle, OpenLoop
from bench.table import Row
from bench.throughput import Frames, WholePath

Figures = dict[str, Any]


def measured(per_s: float, driver: float = 0.5, others: float = 0.0, p99_ms: float = 9.0) -> Figures:
    """Figures as a driver gives them, faultless."""
    return {
        "per_s": per_s,
        "answered": int(per_s),
        "answered_in_all": int(per_s),
        "latency_us": {
            "p50": p99_ms * 500, "p90": p99_ms * 900, "p99": p99_ms * 1_000,
            "p999": p99_ms * 1_500, "max": p99_ms * 2_000,
        },
        "cores": {"server": 1.0, "driver": driver, "others": others},
        "refused": {},
        "other": {},
        "lost": {},
        "unanswered": 0,
        "unknown_ids": 0,
    }  # fmt: skip


def offered(per_s: float, p99_ms: float, *, kept_up: bool = True, **more: Any) -> Figures:
    """Figures as the open-loop driver gives them."""
    lateness_us = {"p50": 600.0, "p99": 1_200.0}
    figures = measured(per_s, p99_ms=p99_ms) | {"sent_per_s": per_s, "lateness_us": lateness_us}
    return figures | {"kept_up": kept_up, "in_flight_at_end": 12} | more


def audited(*drivers: Figures) -> Figures:
    bets = sum(each["answered_in_all"] for each in drivers)
    return {"verdict": {"ok": True, "findings": []}, "bets_in_ledger": bets, "log": ""}


def path_round(echo: float, wallet: float, **more: Any) -> Figures:
    figures = measured(wallet, **more)
    return {"echo": measured(echo), "wallet": figures, "audit": audited(figures)}


def open_round(figures: Figures) -> Figures:
    return {"open_loop": figures, "audit": audited(figures)}


PATH = WholePath(100, 20, goal_per_s=50_000)


def test_the_ratio_is_that_of_neighbours_not_of_medians() -> None:
    # The machine slows down by half from round to round; the wallet is at half of echo all the time.
    (row,) = PATH.rows([path_round(echo, echo / 2) for echo in (80_000, 40_000, 20_000)], {})
    assert (row.measured, row.beside, row.figure) == ("20,000 bets/s", "40,000 echoes/s", "0.50")
    (row,) = PATH.rows([path_round(*each) for each in ((100, 50), (1_000, 600), (10, 7))], {})
    assert row.figure == "0.60"


@pytest.mark.parametrize(
    ("echo", "wallet", "met", "goal_met"),
    [(60_000, 30_000, False, False), (60_000, 40_000, True, False), (80_000, 51_000, True, True)],
)
def test_a_target_and_a_goal_are_told_apart(echo: float, wallet: float, met: bool, goal_met: bool) -> None:
    (row,) = PATH.rows([path_round(echo, wallet)], {})
    assert (row.met, row.goal_met) == (met, goal_met)


def test_the_table_has_a_line_for_each_row_and_remarks_below() -> None:
    rows = [
        Row("first", "1 bets/s", "2 echoes/s", "0.50", "≥ 0.6", met=False, goal_met=False, detail="why"),
        Row("second", figure="p99 4 ms", target="p99 ≤ 8 ms", met=True),
        Row("third"),
    ]
    head, rule, *lines, legend, remark = table.render(rows, 3, ["others used 1 core"]).splitlines()
    assert head.split() == ["case", "measured", "beside", "it", "figure", "target", "met?", "detail"]
    assert set(rule) == {"-"}
    assert "NO, goal no" in lines[0]
    assert lines[0].endswith("why")
    assert "yes" in lines[1].split()
    assert lines[2].split() == ["third", *[table.NOTHING] * 6]
    assert legend.startswith("Medians of 3 rounds")
    assert remark == "others used 1 core"


def test_a_round_counts_only_if_the_ledger_agrees() -> None:
    good = path_round(60_000, 30_000)
    assert PATH.faults(good) == []
    short = good | {"audit": good["audit"] | {"bets_in_ledger": 29_999}}
    assert PATH.faults(short) == ["30000 bets confirmed, 29999 in the ledger"]
    finding = {"check": "balance", "user_id": 42, "balance": 5, "ledger": 4}
    wrong = good | {"audit": good["audit"] | {"verdict": {"ok": False, "findings": [finding]}}}
    assert PATH.faults(wrong) == [f"reconcile: {[finding]}"]


def test_each_wallet_of_a_case_is_audited() -> None:
    single, framed = measured(10_000), measured(20_000)
    good = {"single": single, "framed": framed, "single_audit": audited(single)}
    good["framed_audit"] = audited(framed)
    assert Frames().faults(good) == []
    assert Frames().faults(good | {"framed_audit": audited(single)}) == [
        "framed: 20000 bets confirmed, 10000 in the ledger"
    ]
    (row,) = Frames().rows([good], {})
    assert (row.figure, row.met) == ("2.00", True)


def test_what_was_not_simply_confirmed_does_not_count() -> None:
    trouble = {
        "refused": {"OVERLOADED": 3},
        "lost": {"1006": 1},
        "other": {"PONG": 1},
        "unanswered": 2,
        "unknown_ids": 4,
    }
    for name, value in trouble.items():
        assert checks.driver_faults(measured(1) | {name: value}) == [f"{name}: {value}"]
    assert checks.driver_faults(measured(0)) == ["nothing was answered"]


def test_an_open_loop_may_be_refused_but_nothing_else() -> None:
    case = OpenLoop(3_000)
    assert case.faults(open_round(offered(2_000, 4.0, refused={"OVERLOADED": 7}, kept_up=False))) == []
    assert case.faults(open_round(offered(2_000, 4.0, unanswered=7))) == ["unanswered: 7"]


def test_doubts_name_the_driver_and_the_neighbours() -> None:
    assert list(checks.doubts(path_round(60_000, 30_000))) == []
    doubtful = path_round(60_000, 30_000, driver=0.97, others=0.8)
    assert list(checks.doubts(doubtful)) == [
        "the driver was the bottleneck of wallet",
        "others used 0.80 cores beside wallet",
    ]
    late = open_round(offered(3_000, 4.0, lateness_us={"p99": 7_500.0}))
    assert list(checks.doubts(late)) == ["1 % of the bets of open_loop left 7.5 ms late or later"]


@pytest.mark.parametrize(
    ("p99_ms", "kept_up", "met"), [(7.9, True, True), (8.1, True, False), (2.0, False, False)]
)
def test_a_rate_that_was_not_kept_up_with_meets_no_target(p99_ms: float, kept_up: bool, met: bool) -> None:
    (row,) = OpenLoop(3_000, 8.0, 20.0).rows([open_round(offered(3_000, p99_ms, kept_up=kept_up))], {})
    assert row.met is met
    assert ("DID NOT KEEP UP" in row.figure) is not kept_up


def test_each_quantile_has_its_own_limit() -> None:
    rounds = [open_round(offered(3_000, 7.9))]  # its p99.9 is half as long again: 11.85 ms
    assert OpenLoop(3_000, 8.0, 11.9).rows(rounds, {})[0].met is True
    assert OpenLoop(3_000, 8.0, 11.8).rows(rounds, {})[0].met is False
    assert OpenLoop(3_000).rows(rounds, {})[0].met is None


def test_a_point_of_the_sweep_kept_up_only_if_every_round_did() -> None:
    rounds = [open_round(offered(3_000, ms, kept_up=ms < 9)) for ms in (4.0, 10.0, 5.0)]
    point = OpenLoop(3_000).point(rounds)
    assert (point["offered_per_s"], point["confirmed_per_s"]) == (3_000, 3_000)
    assert (point["p50_ms"], point["p99_ms"], point["p999_ms"]) == (2.5, 5.0, 7.5)
    assert point["kept_up"] is False
    assert OpenLoop(3_000).point(rounds[::2])["kept_up"] is True


def test_a_rate_of_which_nothing_was_confirmed_says_so() -> None:
    refused = offered(0, 1.0, kept_up=False, latency_us={}, refused={"CIRCUIT_OPEN": 90_000})
    (row,) = OpenLoop(30_000, 8.0).rows([open_round(refused)], {})
    assert row.figure == "none confirmed, DID NOT KEEP UP"
    assert row.met is False
    assert "refused 90,000" in row.detail


def idle_round(each_kib: float, beside_ms: float, alone_ms: float, **more: Any) -> Figures:
    memory = {"before_kib": {"uss": 1, "rss": 1}, "each_kib": {"uss": each_kib, "rss": each_kib + 1}}
    beside, alone = offered(3_000, beside_ms), offered(3_000, alone_ms)
    idle = {"opened_in_s": 3.2, "lost": {}, "other": {}} | more
    return {"idle": idle, "memory": memory, "beside": beside, "alone": alone, "audit": audited(beside, alone)}


@pytest.mark.parametrize(
    ("beside_ms", "alone_ms", "met"), [(10.9, 10.0, True), (11.5, 10.0, False), (2.4, 2.0, True)]
)
def test_idle_connections_are_judged_by_memory_and_by_what_others_wait(
    beside_ms: float, alone_ms: float, met: bool
) -> None:
    memory, others = Idle().rows([idle_round(39.9, beside_ms, alone_ms)], {})
    assert (memory.figure, memory.met) == ("39.9 KiB each", True)
    assert others.met is met
    assert Idle().rows([idle_round(40.1, beside_ms, alone_ms)], {})[0].met is False


def test_idle_connections_that_are_lost_do_not_count() -> None:
    assert Idle().faults(idle_round(30.0, 4.0, 4.0)) == []
    assert Idle().faults(idle_round(30.0, 4.0, 4.0, lost={"1006": 2})) == ["idle lost: {'1006': 2}"]


def ledger_round(*points: tuple[int, int, float, float, float]) -> Figures:
    names = ("entries", "version", "ratio", "startup_s", "startup_after_kill_s")
    rates = {"bets_per_s": 50_000.0, "reference_per_s": 51_000.0, "file_mib": 100.0}
    return {"ledger": {"sizes": [dict(zip(names, point, strict=True)) | rates for point in points]}}


def test_a_ledger_is_judged_by_throughput_and_by_both_start_ups() -> None:
    case = Ledger(sizes=(100_000, 1_000_000, 10_000_000))
    round_ = ledger_round(
        (1_000_000, 7, 0.89, 0.5, 0.5),
        (100_000, 7, 1.0, 0.4, 1.9),
        (10_000_000, 7, 0.95, 0.5, 2.1),
        (100_000, 4, 1.0, 9.0, 9.0),
        (1_000_000, 4, 0.5, 9.0, 9.0),
        (10_000_000, 4, 0.1, 9.0, 9.0),
    )
    assert case.faults(round_) == []
    rows = case.rows([round_, round_], {})
    assert [(row.figure, row.met) for row in rows] == [
        ("1.00, start-up 0.40 s", True),
        ("0.89, start-up 0.50 s", False),  # its throughput
        ("0.95, start-up 0.50 s", False),  # its start-up after a kill
        ("1.00, start-up 9.00 s", None),  # only reported
        ("0.50, start-up 9.00 s", None),
        ("0.10, start-up 9.00 s", None),
    ]


def test_a_size_that_is_missing_does_not_count() -> None:
    case = Ledger(sizes=(100_000, 1_000_000), versions=(7,))
    assert case.faults(ledger_round((100_000, 7, 1.0, 1.0, 1.0))) == [
        "no figures of 1,000,000 entries with version 7"
    ]


def test_the_engine_has_two_targets() -> None:
    figures = {
        "bets_per_s": 60_000.0, "bare_per_s": 110_000.0, "hot_player_per_s": 50_000.0,
        "ratio": 0.55, "hot_ratio": 0.91,
    }  # fmt: skip
    many, hot = Engine(1_000, 10_000).rows([{"engine": figures}], {})
    assert (many.met, many.goal_met, hot.met) == (False, False, True)


def test_how_many_times_faster_needs_the_case_to_compare_with() -> None:
    rounds = [{"other": {"per_s": 2_000.0, "version": "18.1"}}]
    results = {
        "engine-1000": [{"engine": {"bets_per_s": 60_000.0}}],
        "whole-path-100x20": [path_round(80_000, 30_000)],
    }
    (postgres,) = POSTGRES.rows(rounds, results)
    assert (postgres.figure, postgres.beside) == ("15.0 times", "30,000 bets/s")
    assert "engine-1000 is 30.0 times as fast" in postgres.detail
    (one_by_one,) = ONE_BY_ONE.rows(rounds, results)
    assert one_by_one.figure == "30.0 times"
    (alone,) = POSTGRES.rows(rounds, {"engine-1000": [], "whole-path-100x20": []})
    assert (alone.figure, alone.met) == ("", None)
    assert "was not measured" in alone.detail
