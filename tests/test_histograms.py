"""Counts by size, against the plain way to count."""

from __future__ import annotations

import random

import pytest

from engine.histograms import SIZES, TIMES_US, Histogram, quantile


def counted(bounds: tuple[int, ...], values: list[int]) -> list[int]:
    return [*(sum(value <= bound for value in values) for bound in bounds), len(values)]


def test_a_bound_belongs_to_its_own_bucket() -> None:
    histogram = Histogram((10, 20))
    for value in (10, 11, 20, 21):
        histogram.add(value)
    assert (histogram.cumulative(), histogram.total) == ([1, 3, 4], 62)


def test_nothing_is_counted_of_nothing() -> None:
    histogram = Histogram()
    histogram.add_all([])
    assert (histogram.cumulative(), histogram.total) == ([0] * (len(TIMES_US) + 1), 0)


@pytest.mark.parametrize("bounds", [TIMES_US, SIZES, (7,)], ids=len)
@pytest.mark.parametrize("seed", range(50))
def test_many_at_once_and_one_by_one_are_counted_alike(bounds: tuple[int, ...], seed: int) -> None:
    chance = random.Random(seed)
    spread = chance.choice((3, 30, bounds[-1], bounds[-1] * 3))
    values = [chance.choice((chance.randrange(spread), *bounds)) for _ in range(chance.randrange(1, 200))]
    at_once, one_by_one = Histogram(bounds), Histogram(bounds)
    half = len(values) // 2
    at_once.add_all(values[:half])
    at_once.add_all(iter(values[half:]))
    for value in values:
        one_by_one.add(value)
    assert at_once.cumulative() == one_by_one.cumulative() == counted(bounds, values), f"{seed=}"
    assert at_once.total == one_by_one.total == sum(values)


@pytest.mark.parametrize(
    ("values", "share", "expected"),
    [
        ([], 0.5, None),
        ([5], 0.5, 5.0),  # half-way into the first bucket, which begins at 0
        ([5] * 4, 1.0, 10.0),
        ([15] * 4, 0.5, 15.0),
        ([5, 15, 15, 15], 0.5, 10 + 10 / 3),
        ([5] * 99 + [15], 0.99, 10.0),
        ([99], 0.5, 20.0),  # behind the last bound
    ],
)
def test_quantiles_lie_evenly_within_a_bucket(
    values: list[int], share: float, expected: float | None
) -> None:
    histogram = Histogram((10, 20))
    histogram.add_all(values)
    assert quantile((10, 20), histogram.counts(), share) == (
        None if expected is None else pytest.approx(expected)
    )


def test_nothing_is_below_the_least() -> None:
    histogram = Histogram(SIZES)
    histogram.add_all([1] * 7)
    assert [quantile(SIZES, histogram.counts(), share, least=1) for share in (0.5, 0.99)] == [1.0, 1.0]


@pytest.mark.parametrize("seed", range(20))
def test_a_quantile_is_in_the_bucket_of_the_value_that_it_stands_for(seed: int) -> None:
    chance = random.Random(seed)
    values = sorted(chance.randrange(1, TIMES_US[-1]) for _ in range(chance.randrange(1, 300)))
    histogram = Histogram()
    histogram.add_all(values)
    for share in (0.5, 0.99):
        told = quantile(TIMES_US, histogram.counts(), share)
        assert told is not None
        true = values[max(0, -(-len(values) * round(share * 100) // 100) - 1)]
        upper = next(bound for bound in TIMES_US if true <= bound)
        lower = max((bound for bound in TIMES_US if bound < upper), default=0)
        assert lower <= told <= upper
