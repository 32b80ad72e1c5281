"""Which figures of `make overload` miss their targets: each of them by itself."""

from __future__ import annotations

from typing import Any

import pytest

from bench.overload import missed, point

WELL = {
    "faults": [],
    "at": {
        "1": {"goodput": 0.7, "admitted_ms": {"p99": 1999.0}},
        "3": {"goodput": 0.9, "admitted_ms": {"p99": 1999.0}},
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
        (at_three(admitted_ms={"p99": 2000.0}), ["a: at 3 times p99 is 2000 ms"]),
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


def test_goodput_is_of_the_peak_and_what_was_not_sent_is_shown() -> None:
    quantiles = {"p50": 1000.0, "p99": 2000.0}
    run = {
        "offered_per_s": 300.0, "sent_per_s": 200.0, "per_s": 90.0, "latency_us": quantiles,
        "lateness_us": quantiles, "refusal_us": quantiles, "refused": {"OVERLOADED": 7},
        "held_back_in_all": 100, "cores": {},
    }  # fmt: skip
    shown = point(run, 100.0)
    assert (shown["goodput"], shown["admitted_ms"]["p99"]) == (0.9, 2.0)
    assert (shown["offered_per_s"], shown["sent_per_s"], shown["held_back_in_all"]) == (300.0, 200.0, 100)
