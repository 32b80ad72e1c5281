"""Guards that are taken away, one at a time: the simulator must notice, or it proves nothing."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final
from unittest import mock

from batcher.batcher import Batcher
from batcher.breaker import State
from batcher.jobs import Job
from batcher.pipeline import Pipeline
from batcher.policy import BatchLimits
from batcher.undecided import Undecided
from engine import store
from engine.deeds import ACCEPTED, Deed
from engine.errors import BatchRefused, CommitUnknown
from engine.outcomes import Code, Outcome, Rejected
from engine.store import Asked, Store
from engine.writer import Prepared, Writer
from ws.effects import CloseCode, Effect
from ws.protocol import Conversation
from ws.sockets.expiries import Expiries
from ws.sockets.outbox import Outbox


@contextlib.contextmanager
def told_before_commit() -> Iterator[None]:
    """Clients hear of a batch while it is on its way to the disk."""
    write = Store.write

    async def hurried(self: Store, prepared: Prepared, *arguments: Any, **named: Any) -> bool:
        asyncio.get_running_loop().create_task(_quietly(write(self, prepared, *arguments, **named)))
        return True

    with mock.patch.object(Store, "write", hurried):
        yield


async def _quietly(writing: Any) -> None:
    with contextlib.suppress(Exception):
        await writing


@contextlib.contextmanager
def keys_not_looked_up() -> Iterator[None]:
    """Who is turned away is refused, whatever became of an earlier copy."""

    async def refused(self: Store, batch: Sequence[Asked], now_us: int) -> list[Outcome]:
        return [Rejected(asked.objection) for asked in batch if asked.objection is not None]

    with mock.patch.object(Store, "answer", refused):
        yield


@contextlib.contextmanager
def strangers_not_noticed() -> Iterator[None]:
    """A batch is written though somebody else has changed the file since it was decided."""
    with mock.patch.object(Writer, "_is_as_we_left_it", return_value=True):
        yield


@contextlib.contextmanager
def unknown_taken_for_failed() -> Iterator[None]:
    """A COMMIT of which nobody knows is rolled back, and said not to have been."""
    write = Store.write

    async def sure(self: Store, *arguments: Any, **named: Any) -> bool:
        try:
            return await write(self, *arguments, **named)
        except CommitUnknown as fault:
            self._on_writer.failure = None
            raw = self._writer._conn
            assert raw is not None
            if raw.in_transaction:
                raw.execute("ROLLBACK")
            raise BatchRefused("commit", str(fault)) from fault

    with mock.patch.object(Store, "write", sure):
        yield


@contextlib.contextmanager
def deadlines_ignored() -> Iterator[None]:
    """A command is executed however long it has waited."""
    with mock.patch.object(BatchLimits, "expired", return_value=False):
        yield


@contextlib.contextmanager
def books_follow_any_clock() -> Iterator[None]:
    """The time of the books goes wherever somebody sets the wall clock."""
    with mock.patch("batcher.steady.JUMP_US", 10**18):
        yield


@contextlib.contextmanager
def tokens_never_end() -> Iterator[None]:
    """A socket whose token has expired stays open."""
    with mock.patch.object(Expiries, "due", return_value=[]):
        yield


@contextlib.contextmanager
def tokens_end_at_once() -> Iterator[None]:
    """Nobody waits for what is in flight when a token expires."""

    def hasty(self: Conversation) -> list[Effect]:
        return self.close(CloseCode.NOT_AUTHENTICATED, "")

    with mock.patch.object(Conversation, "expire", hasty):
        yield


@contextlib.contextmanager
def circuit_for_all() -> Iterator[None]:
    """An open circuit holds back what is owed as well."""
    why_not = Batcher._why_not

    def strict(self: Batcher, job: Job, now_us: int) -> Code | None:
        if job.is_bet or self.breaker_status().state is not State.OPEN:
            return why_not(self, job, now_us)
        return Code.CIRCUIT_OPEN

    with mock.patch.object(Batcher, "_why_not", strict):
        yield


@contextlib.contextmanager
def checkpoints_unheard() -> Iterator[None]:
    """A sync of a checkpoint that failed is nobody's business."""
    with mock.patch.object(Writer, "heed"):
        yield


@contextlib.contextmanager
def traces_left() -> Iterator[None]:
    """Who has gone is remembered until his token ends."""
    with mock.patch.object(Expiries, "leave"):
        yield


@contextlib.contextmanager
def look_up_believed() -> Iterator[None]:
    """Who is turned away hears what was found, whatever a copy has done since."""
    with mock.patch.object(Undecided, "overtaken", return_value=frozenset()):
        yield


@contextlib.contextmanager
def batch_believed() -> Iterator[None]:
    """Who is refused in a batch hears it, whatever a copy in it, or behind it, has done."""
    with mock.patch.object(Pipeline, "_by_now", lambda self, job, refused, done: refused):
        yield


@contextlib.contextmanager
def nothing_held_back() -> Iterator[None]:
    """What comes before a welcome, or while a long answer is told, is sent at once."""
    with mock.patch.object(Outbox, "hold", Outbox.send):
        yield


@contextlib.contextmanager
def long_answers_unguarded() -> Iterator[None]:
    """What comes while a long answer is told is sent in the middle of it."""
    never = property(lambda self: False, lambda self, value: None)
    with mock.patch.object(Outbox, "is_telling", never, create=True):
        yield


def _deeds_kept(keep: Callable[[Deed], int]) -> contextlib.AbstractContextManager[Any]:
    """The audit log has each deed so many times."""
    deeds_of = store._deeds_of

    def others(batch: Sequence[Asked], outcomes: Sequence[Outcome], at_us: int) -> list[Deed]:
        return [deed for deed in deeds_of(batch, outcomes, at_us) for _ in range(keep(deed))]

    return mock.patch.object(store, "_deeds_of", others)


@contextlib.contextmanager
def deeds_left_out() -> Iterator[None]:
    """What was done is in the books, and nobody knows by whom."""
    with _deeds_kept(lambda deed: deed.outcome != ACCEPTED):
        yield


@contextlib.contextmanager
def refusals_left_out() -> Iterator[None]:
    """What operators tried in vain is not written down."""
    with _deeds_kept(lambda deed: deed.outcome == ACCEPTED):
        yield


@contextlib.contextmanager
def refusals_told_twice() -> Iterator[None]:
    """It is written down twice. (What was done cannot be: the schema holds it.)"""
    with _deeds_kept(lambda deed: 1 + (deed.outcome != ACCEPTED)):
        yield


@contextlib.contextmanager
def clock_confirmed_by_nobody() -> Iterator[None]:
    """The clock is confirmed, and not a word of it is written."""
    with mock.patch("engine.audit_log.record"):
        yield


CONTROLS: Final[dict[str, tuple[Callable[[], contextlib.AbstractContextManager[None]], int]]] = {
    "told before COMMIT": (told_before_commit, 10),
    "keys not looked up": (keys_not_looked_up, 100),
    "strangers not noticed": (strangers_not_noticed, 100),
    "unknown taken for failed": (unknown_taken_for_failed, 200),
    "deadlines ignored": (deadlines_ignored, 200),
    "books follow any clock": (books_follow_any_clock, 100),
    "tokens never end": (tokens_never_end, 40),
    "tokens end at once": (tokens_end_at_once, 100),
    "circuit for all": (circuit_for_all, 100),
    "checkpoints unheard": (checkpoints_unheard, 100),
    "traces left": (traces_left, 10),
    "look-up believed": (look_up_believed, 200),
    "batch believed": (batch_believed, 40),
    "nothing held back": (nothing_held_back, 100),
    "long answers unguarded": (long_answers_unguarded, 150),
    "deeds left out": (deeds_left_out, 10),
    "refusals left out": (refusals_left_out, 20),
    "refusals told twice": (refusals_told_twice, 20),
    "clock confirmed by nobody": (clock_confirmed_by_nobody, 10),
}
"""Each with the number of seeds within which it must be found."""
