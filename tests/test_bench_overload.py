"""Which figures of `make overload` miss their targets: each of them by itself."""

from __future__ import annotations

from typing import Any

import pytest

from bench.overload import goodputs, missed, point

WELL = {
    "faults": [],
    "at": {
        "best": {"goodput": 0.7, "admitted_p99_ms": 1999.0},
        "1": {"goodput": 0.7, "admitted_p99_ms": 1999.0},
        "3": {"goodput": 0.9, "admitted_p99_ms": 1999.0},
    },
}
AT_ONCE = {"faults": [], "refused_us": {"p99": 4999.0}, "refused_in_all": {"CIRCUIT_OPEN": 1}}
FAIR = {"faults": [], "polite_refused": {}, "polite_during_ms": {"p99": 1999.0}}


def at_three(**figures: Any) -> dict[str, Any]:
    return {"a": WELL | {"at": {"3": WELL["at"]["3"] | figures}}}  # type: ignore[index]


@pytest.mark.parametrize(
    ("report", "found"),
    [
        ({"a": WELL, "b": AT_ONCE, "c": FAIR}, []),
        ({"a": WELL | {"faults": ["lost: 1"]}}, ["a: lost: 1"]),
        (at_three(goodput=0.89), ["a: goodput at 3 times the peak is 0.89 of it"]),
        (at_three(admitted_p99_ms=2000.0), ["a: at 3 times p99 is 2000 ms"]),
        ({"a": AT_ONCE | {"refused_us": {"p99": 5000.0}}}, ["a: p99 of refusals is 5.0 ms"]),
        ({"a": AT_ONCE | {"refused_us": {}, "refused_in_all": {}}}, ["a: the circuit never was open"]),
        (
            {"a": FAIR | {"polite_refused": {"OVERLOADED": 1}}},
            ["a: who is polite was refused for who floods: {'OVERLOADED': 1}"],
        ),
        (
            {"a": FAIR | {"polite_during_ms": {"p99": 2000.0}}},
            ["a: who is polite waits 2000 ms beside a flood"],
        ),
    ],
    ids=["well", "a fault", "little goodput", "late", "refused late", "never open", "unfair", "slow"],
)
def test_what_is_missed(report: dict[str, Any], found: list[str]) -> None:
    assert missed(report) == found


def run(per_s: float, p99_ms: float = 1.0, server: float = 1.0) -> dict[str, Any]:
    quantiles = {"p50": 1000.0, "p99": p99_ms * 1000}
    return {
        "offered_per_s": 300.0, "sent_per_s": 200.0, "per_s": per_s, "latency_us": quantiles,
        "lateness_us": quantiles, "refusal_us": quantiles, "refused": {"OVERLOADED": 7},
        "held_back_in_all": 100, "cores": {"server": server},
    }  # fmt: skip


def test_goodput_is_of_the_peak_of_the_same_round_and_the_peak_of_whichever_rate_gives_most() -> None:
    slow = {"best": run(45.0), "1": run(50.0), "3": run(45.0, p99_ms=1500.0, server=0.5)}
    rounds = [
        {"best": run(90.0), "1": run(100.0), "3": run(80.0)},
        slow,
        {"best": run(79.0), "1": run(80.0), "3": run(60.0)},
    ]
    shown = goodputs(rounds)
    assert shown["peak"] == {"at": "1", "per_s": 80.0}
    assert {name: each["goodput"] for name, each in shown["at"].items()} == {"best": 0.9, "1": 1.0, "3": 0.8}
    three = shown["at"]["3"]
    assert (three["goodput_of_cpu"], three["admitted_p99_ms"], three["per_s"]) == (0.8, 1500.0, 60.0)


def test_what_was_not_sent_is_shown() -> None:
    shown = point(run(90.0, p99_ms=2.0))
    assert (shown["confirmed_per_s"], shown["admitted_ms"]["p99"]) == (90.0, 2.0)
    assert (shown["offered_per_s"], shown["sent_per_s"], shown["held_back_in_all"]) == (300.0, 200.0, 100)
