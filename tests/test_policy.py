"""The queue against a plain list, by count and by age; the edges of a deadline; a writer that it feeds."""

from __future__ import annotations

import random
from collections import Counter
from itertools import chain
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batcher.policy import BatchLimits, Queue


class Arrived(NamedTuple):
    number: int
    arrived_us: int
    asker: int = 0
    is_bet: bool = True


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
    assert [len(queue.close_batch(0).batch) for _ in batch_sizes] == batch_sizes
    assert len(queue) == 0


def test_a_full_queue_refuses_and_takes_again_when_a_batch_has_left() -> None:
    queue = queue_of(4, BatchLimits(batch_max=3, queue_max=4))
    assert not queue.offer(Arrived(4, 0))
    assert len(queue) == 4
    assert [arrived.number for arrived in queue.close_batch(0).batch] == [0, 1, 2]
    assert all(queue.offer(Arrived(number, 0)) for number in (5, 6, 7))
    assert not queue.offer(Arrived(8, 0))
    assert [arrived.number for arrived in queue.close_batch(0).batch] == [3, 5, 6]


def test_a_closed_batch_does_not_grow_with_what_arrives_later() -> None:
    queue = queue_of(2, BatchLimits())
    batch = queue.close_batch(0).batch
    queue.offer(Arrived(2, 0))
    assert [arrived.number for arrived in batch] == [0, 1]


def test_the_age_of_a_queue_is_that_of_its_oldest_command() -> None:
    queue = queue_of(3, BatchLimits(batch_max=2))
    assert queue.oldest_age_us(107) == 7
    queue.close_batch(107)
    assert queue.oldest_age_us(107) == 5
    queue.close_batch(107)
    assert queue.oldest_age_us(107) == 0


def test_what_is_late_leaves_the_queue_and_the_rest_stays_in_order() -> None:
    queue = queue_of(4, BatchLimits(deadline_us=50))
    assert queue.take_late(150) == []
    assert [arrived.number for arrived in queue.take_late(152)] == [0, 1]
    assert [arrived.number for arrived in queue.close_batch(152).batch] == [2, 3]
    assert queue.take_late(10**9) == []


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


@pytest.mark.parametrize(
    "name", ["batch_max", "ahead_min", "queue_max", "reserve", "target_us", "interval_us", "deadline_us"]
)
def test_limits_are_at_least_one(name: str) -> None:
    BatchLimits(**{name: 1})
    with pytest.raises(AssertionError):
        BatchLimits(**{name: 0})


@given(st.lists(st.one_of(st.just("close"), st.integers(0, 9))), st.integers(1, 4), st.integers(1, 6))
def test_a_queue_that_is_not_old_is_a_list(events: list[str | int], batch_max: int, queue_max: int) -> None:
    queue: Queue[Arrived] = Queue(BatchLimits(batch_max=batch_max, queue_max=queue_max))
    waiting: list[Arrived] = []
    for at, event in enumerate(events):
        if event == "close":
            assert queue.close_batch(at) == (waiting[:batch_max], [])
            del waiting[:batch_max]
        else:
            arrived = Arrived(int(event), at)
            assert queue.offer(arrived) is (len(waiting) < queue_max)
            waiting = [*waiting, arrived][:queue_max]
        assert len(queue) == len(waiting) <= queue_max
        assert queue.oldest_age_us(100) == (100 - waiting[0].arrived_us if waiting else 0)


# --- bounded by count: bets, and what is owed -------------------------------------------------------------


def test_what_is_no_bet_has_room_where_bets_have_none() -> None:
    queue = queue_of(3, BatchLimits(queue_max=3, reserve=2))
    assert not queue.offer(Arrived(3, 0))
    assert [queue.offer(Arrived(number, 0, is_bet=False)) for number in (4, 5, 6)] == [True, True, False]
    assert len(queue) == 5


def test_what_is_no_bet_counts_like_one() -> None:
    queue: Queue[Arrived] = Queue(BatchLimits(queue_max=2))
    assert all(queue.offer(Arrived(number, 0, is_bet=False)) for number in range(3))
    assert not queue.offer(Arrived(3, 0))


# --- bounded by age ---------------------------------------------------------------------------------------

TARGET, INTERVAL = 50, 100
AGED = BatchLimits(batch_max=2, target_us=TARGET, interval_us=INTERVAL)


def filled(*arrived: Arrived) -> Queue[Arrived]:
    queue: Queue[Arrived] = Queue(AGED)
    assert all(map(queue.offer, arrived))
    return queue


def numbers(arrived: list[Arrived]) -> list[int]:
    return [each.number for each in arrived]


def standing_since_0(*arrived: Arrived) -> Queue[Arrived]:
    """A queue that was seen to be too old at 0, with `arrived` in it from then on."""
    queue = filled(*(Arrived(-number, -TARGET - 1) for number in (1, 2, 3)), *arrived)
    assert numbers(queue.close_batch(0).batch) == [-1, -2]
    return queue


@pytest.mark.parametrize(
    ("now_us", "sheds"),
    [
        (INTERVAL - 1, False),  # not for long enough
        (INTERVAL, True),
        (INTERVAL + 1000, True),
    ],
)
def test_a_queue_stands_when_its_oldest_has_been_too_old_for_long(now_us: int, sheds: bool) -> None:
    queue = standing_since_0(*(Arrived(number, now_us - TARGET) for number in (1, 2, 3)))
    batch, shed = queue.close_batch(now_us)
    assert (numbers(batch), numbers(shed)) == (([1, 2], [-3]) if sheds else ([-3, 1], []))


def test_one_look_at_a_queue_that_is_not_old_ends_it() -> None:
    queue = standing_since_0(*(Arrived(number, INTERVAL - TARGET) for number in range(1, 20)))
    assert numbers(queue.close_batch(INTERVAL - 1).batch) == [-3, 1]  # the oldest is the one left over
    assert queue.close_batch(INTERVAL) == ([Arrived(2, 50), Arrived(3, 50)], [])  # exactly at the target
    for now_us in (INTERVAL + 1, 2 * INTERVAL):
        assert queue.close_batch(now_us).shed == []
    assert queue.close_batch(2 * INTERVAL + 1).shed != []


def test_a_batch_that_takes_all_ends_it() -> None:
    """Then nothing stands, however slow the disk is; slow commits are the breaker's business."""
    queue = standing_since_0(Arrived(1, 0))
    assert queue.close_batch(1000) == ([Arrived(-3, -51), Arrived(1, 0)], [])
    for number in (2, 3, 4):
        queue.offer(Arrived(number, 1000))
    assert queue.close_batch(2000).shed == []


def test_a_stall_alone_sheds_nothing() -> None:
    """The writer stood still for long, and nobody looked meanwhile: what waits is worked off."""
    queue = filled(*(Arrived(number, number) for number in range(9)))
    closed = [queue.close_batch(1000 + 20 * number) for number in range(5)]
    assert [numbers(each.batch) for each in closed] == [[0, 1], [2, 3], [4, 5], [6, 7], [8]]
    assert all(each.shed == [] for each in closed)


@pytest.mark.parametrize(
    ("waiting", "batch", "shed"),
    [
        # The young one and whatever else fills the batch stay: shed is only what would not get into it.
        ([Arrived(1, 0), Arrived(2, 0), Arrived(3, 60)], [2, 3], [1]),
        ([Arrived(1, 0), Arrived(2, 0), Arrived(3, 0)], [2, 3], [1]),
        ([Arrived(1, 0), Arrived(2, 60), Arrived(3, 60), Arrived(4, 60)], [2, 3], [1]),
        ([Arrived(1, 0, is_bet=False), Arrived(2, 0), Arrived(3, 60), Arrived(4, 60)], [1, 3], [2]),
        ([Arrived(number, 0, is_bet=False) for number in range(1, 6)], [1, 2], []),
        # Askers 2 and 3 have one each, 1 has six: the mean is 8/3, and half of it more than one.
        (
            [*(Arrived(n, 0, 1) for n in range(1, 7)), Arrived(7, 0, 2), Arrived(8, 60, 3)],
            [7, 8],
            [*range(1, 7)],
        ),
        # All are alike: somebody has to go.
        ([Arrived(number, 0, number) for number in range(1, 5)], [3, 4], [1, 2]),
        # At half of the mean (2 of 8 by 2) one is spared, above it not.
        ([Arrived(1, 0, 1), Arrived(2, 0, 1), *(Arrived(n, 60, 2) for n in range(3, 9))], [1, 2], []),
        ([Arrived(1, 0, 1), Arrived(2, 0, 1), *(Arrived(n, 60, 2) for n in range(3, 8))], [3, 4], [1, 2]),
    ],
)
def test_what_a_standing_queue_sheds(waiting: list[Arrived], batch: list[int], shed: list[int]) -> None:
    queue = filled(Arrived(-1, -100), Arrived(-2, -100), Arrived(-3, -100))
    queue.close_batch(0)
    queue._waiting.clear()
    for each in waiting:
        queue.offer(each)
    closed = queue.close_batch(INTERVAL)
    assert (numbers(closed.batch), numbers(closed.shed)) == (batch, shed)
    assert len(queue) == len(waiting) - len(batch) - len(shed)


Event = tuple[int, int, bool] | int
"""An arrival (after how long, whose, a bet?), or a batch that closes after so long."""

EVENTS = st.lists(
    st.one_of(st.tuples(st.integers(0, 30), st.integers(0, 3), st.booleans()), st.integers(0, 60))
)


@given(EVENTS, st.integers(1, 4), st.integers(1, 30), st.integers(1, 10))
def test_nothing_is_lost_doubled_or_overtaken_and_only_old_bets_are_shed(
    events: list[Event], batch_max: int, queue_max: int, reserve: int
) -> None:
    limits = BatchLimits(
        batch_max=batch_max, queue_max=queue_max, reserve=reserve, target_us=TARGET, interval_us=INTERVAL
    )
    queue: Queue[Arrived] = Queue(limits)
    now_us, taken, left = 0, [], []
    for number, event in enumerate(events):
        if isinstance(event, tuple):
            now_us += event[0]
            arrived = Arrived(number, now_us, event[1], event[2])
            if queue.offer(arrived):
                taken.append(arrived)
            continue
        now_us += event
        waited = len(queue)
        batch, shed = queue.close_batch(now_us)
        assert len(batch) == min(waited - len(shed), batch_max)
        assert not shed or len(batch) == batch_max, "a batch that sheds is full"
        assert all(each.is_bet and now_us - each.arrived_us > TARGET for each in shed)
        assert len(queue) + len(batch) + len(shed) == waited
        left += [batch, shed]
    while len(queue):
        left += queue.close_batch(now_us)
    batches, sheds = left[::2], left[1::2]
    assert sorted(chain(*left)) == taken
    for part in ([*chain(*batches)], *sheds):
        assert part == sorted(part), "somebody was overtaken"


# --- a writer that is fed by it ---------------------------------------------------------------------------


class Run:
    """Bets of many askers come at random to a writer who commits batch after batch; in microseconds."""

    def __init__(self, load: float, capacity_per_s: int, fixed_us: int, askers: int) -> None:
        """`load`: of the capacity. A batch takes `fixed_us` and as much a bet as makes full ones reach it."""
        self.limits = BatchLimits()
        self.queue: Queue[Arrived] = Queue(self.limits)
        self.chance = random.Random(1)
        self.rate_per_us = load * capacity_per_s / 1_000_000
        self.fixed_us = fixed_us
        self.each_us = 1_000_000 / capacity_per_s - fixed_us / self.limits.batch_max
        self.askers = askers
        self.next_us = 0.0
        self.waits_us: list[float] = []
        self.committed: Counter[int] = Counter()
        self.shed = 0
        self.busy_us = self.now_us = 0.0

    def run(self, seconds: float) -> None:
        """Two batches under way: the next one closes when the one before it is halfway."""
        self.arrive_until(1_000)
        batch = self.close()
        while self.now_us < seconds * 1_000_000:
            cost_us = self.fixed_us + self.each_us * len(batch) if batch else 1_000.0
            if batch:
                self.busy_us += cost_us
            for bet in batch:
                self.waits_us.append(self.now_us - bet.arrived_us)
                self.committed[bet.asker] += 1
            self.now_us += cost_us / 2
            self.arrive_until(self.now_us)
            following = self.close()
            self.now_us += cost_us / 2
            self.arrive_until(self.now_us)
            batch = following or self.close()

    def close(self) -> list[Arrived]:
        batch, shed = self.queue.close_batch(int(self.now_us))
        self.shed += len(shed)
        return batch

    def arrive_until(self, now_us: float) -> None:
        while self.next_us <= now_us:
            self.queue.offer(Arrived(0, int(self.next_us), self.chance.randrange(self.askers)))
            self.next_us += self.chance.expovariate(self.rate_per_us)


@pytest.mark.parametrize("askers", [100, 3000])
@pytest.mark.parametrize("load", [3, 10])
@pytest.mark.parametrize(("capacity_per_s", "fixed_us"), [(3_500, 250_000), (8_000, 5_000)])
def test_whatever_comes_the_writer_is_busy_and_nobody_waits_too_long(
    load: float, capacity_per_s: int, fixed_us: int, askers: int
) -> None:
    world = Run(load, capacity_per_s, fixed_us, askers)
    world.run(3.0)
    assert world.busy_us >= 0.98 * world.now_us
    assert sum(world.committed.values()) >= 0.9 * capacity_per_s * world.now_us / 1_000_000
    assert max(world.waits_us) < 0.75 * world.limits.deadline_us
    assert world.shed > 0


@pytest.mark.parametrize(("capacity_per_s", "fixed_us"), [(3_500, 250_000), (8_000, 5_000)])
def test_a_load_that_can_be_done_is_done(capacity_per_s: int, fixed_us: int) -> None:
    world = Run(0.9, capacity_per_s, fixed_us, 100)
    world.run(4.0)
    assert world.shed == 0


@pytest.mark.parametrize(("load", "shed_max"), [(0.2, 0), (0.3, 0), (0.5, 2_000), (0.7, 4_000)])
def test_a_sync_that_takes_a_second_sheds_little_and_nothing_where_little_comes(
    load: float, shed_max: int
) -> None:
    """Of some 5,000 bets that came in that second at half load, and 7,000 at 70 %."""
    world = Run(load, 10_000, 5_000, 100)
    world.run(1.0)
    world.now_us += 1_000_000
    world.arrive_until(world.now_us)
    world.run(4.0)
    assert world.shed <= shed_max
    assert max(world.waits_us) < 1_200_000
