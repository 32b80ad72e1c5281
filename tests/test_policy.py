"""The queue against a plain list, and the two edges of a deadline."""

from __future__ import annotations

from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batcher.policy import BatchLimits, Queue


class Arrived(NamedTuple):
    number: int
    arrived_us: int


def queue_of(count: int, limits: BatchLimits) -> Queue[Arrived]:
    queue: Queue[Arrived] = Queue(limits)
    for number in range(count):
        assert queue.offer(Arrived(number, 100 + number))
    return queue


@pytest.mark.parametrize(
    ("waiting", "batch_sizes"), [(0, [0]), (1, [1, 0]), (3, [3, 0]), (4, [3, 1, 0]), (7, [3, 3, 1, 0])]
)
def test_a_batch_is_all_that_waits_up_to_its_maximum(waiting: int, batch_sizes: list[int]) -> None:
    queue = queue_of(waiting, BatchLimits(batch_max=3))
    assert [len(queue.close_batch()) for _ in batch_sizes] == batch_sizes
    assert len(queue) == 0


def test_a_full_queue_refuses_and_takes_again_when_a_batch_has_left() -> None:
    queue = queue_of(4, BatchLimits(batch_max=3, queue_max=4))
    assert not queue.offer(Arrived(4, 0))
    assert len(queue) == 4
    assert [arrived.number for arrived in queue.close_batch()] == [0, 1, 2]
    assert all(queue.offer(Arrived(number, 0)) for number in (5, 6, 7))
    assert not queue.offer(Arrived(8, 0))
    assert [arrived.number for arrived in queue.close_batch()] == [3, 5, 6]


def test_a_closed_batch_does_not_grow_with_what_arrives_later() -> None:
    queue = queue_of(2, BatchLimits())
    batch = queue.close_batch()
    queue.offer(Arrived(2, 0))
    assert [arrived.number for arrived in batch] == [0, 1]


def test_the_age_of_a_queue_is_that_of_its_oldest_command() -> None:
    queue = queue_of(3, BatchLimits(batch_max=2))
    assert queue.oldest_age_us(107) == 7
    queue.close_batch()
    assert queue.oldest_age_us(107) == 5
    queue.close_batch()
    assert queue.oldest_age_us(107) == 0


@pytest.mark.parametrize(("age_us", "expired"), [(0, False), (49, False), (50, False), (51, True)])
def test_a_command_may_be_executed_up_to_its_deadline(age_us: int, expired: bool) -> None:
    assert BatchLimits(deadline_us=50).expired(1000, 1000 + age_us) is expired


@pytest.mark.parametrize(
    ("waiting", "under_way", "is_halfway", "closes"),
    [
        (0, 0, False, False),
        (1, 0, False, True),  # nobody is at the writer: why wait?
        (49, 1, False, False),
        (50, 1, False, True),  # half full
        (9, 1, True, False),
        (10, 1, True, True),
        (0, 1, True, False),
        (100, 2, True, False),  # two are enough
    ],
)
def test_when_a_batch_closes(waiting: int, under_way: int, is_halfway: bool, closes: bool) -> None:
    limits = BatchLimits(batch_max=100, ahead_min=10)
    assert limits.may_close(waiting, under_way, is_halfway) is closes


@pytest.mark.parametrize("name", ["batch_max", "ahead_min", "queue_max", "deadline_us"])
def test_limits_are_at_least_one(name: str) -> None:
    BatchLimits(**{name: 1})
    with pytest.raises(AssertionError):
        BatchLimits(**{name: 0})


@given(st.lists(st.one_of(st.just("close"), st.integers(0, 9))), st.integers(1, 4), st.integers(1, 6))
def test_nothing_is_lost_doubled_or_overtaken(
    events: list[str | int], batch_max: int, queue_max: int
) -> None:
    queue: Queue[Arrived] = Queue(BatchLimits(batch_max=batch_max, queue_max=queue_max))
    waiting: list[Arrived] = []
    for at, event in enumerate(events):
        if event == "close":
            assert queue.close_batch() == waiting[:batch_max]
            del waiting[:batch_max]
        else:
            arrived = Arrived(int(event), at)
            assert queue.offer(arrived) is (len(waiting) < queue_max)
            waiting = [*waiting, arrived][:queue_max]
        assert len(queue) == len(waiting) <= queue_max
        assert queue.oldest_age_us(100) == (100 - waiting[0].arrived_us if waiting else 0)
