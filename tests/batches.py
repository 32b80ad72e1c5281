"""A batcher over a real store on a real file, with time, COMMIT and the nonces in the test's hands."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Generator, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from batcher.batcher import Batcher
from batcher.breaker import Breaker, BreakerLimits
from batcher.jobs import Asker
from batcher.memory_nonces import MemoryGuard
from batcher.nonces import Claim, NonceGuard, Verdict
from batcher.policy import BatchLimits
from engine.accounts import open_books, open_wallets
from engine.actors import Actor
from engine.commands import Command, Deposit, PlaceBet
from engine.decide import decide
from engine.outcomes import Accepted, Code, Outcome, Rejected
from engine.reconcile import reconcile
from engine.store import Asked, Decide, Store
from engine.view import View
from tests.made_once import made_once
from ws.asking.signers import Signers
from ws.beside.checks import Checks

Found = TypeVar("Found")

NOW_US = 1_760_000_000_000_000
OPENING_MINOR = 1_000
ALICE, BOB = 7, 8  # behind the six books
WAIT_S = 5.0  # for what is certain to come; only a test that fails waits as long

SAYS_NO_MONEY_MOVED = frozenset(Code) - {
    Code.IDEMPOTENCY_CONFLICT,
    Code.STALE_REQUEST,
    Code.NONCE_REUSED,
    Code.OUTCOME_UNKNOWN,
    Code.INTERNAL,
}
"""Sent as `bet.rejected`, which says so (PROTOCOL); the others are an `error` and claim nothing."""

S = 1_000_000
PATIENT = BreakerLimits(
    queue_lower_us=90 * S, queue_upper_us=99 * S, commit_lower_us=90 * S, commit_upper_us=99 * S
)
"""Nothing but failed commits opens this one, whatever tests do to the time."""
FRAIL = replace(PATIENT, commit_faults=1, probes_max=1)
"""One failed commit opens this one, nothing else does, and it lets one probe in at a time."""

CONSTRAINT = (sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY, "FOREIGN KEY constraint failed")
FULL = (sqlite3.SQLITE_FULL, "database or disk is full")
IO_ERROR = (sqlite3.SQLITE_IOERR_FSYNC, "disk I/O error")


def bet_id(number: int) -> str:
    return f"0197a000-0000-7000-8000-{number:012d}"


def bet(number: int, *, stake: int = 10, user: int = ALICE, nonce: str | None = None) -> PlaceBet:
    """The bet of this number. Placing it again is a retry; with another stake it is a conflict."""
    return PlaceBet(bet_id(number), user, stake, nonce or f"nonce-{number:04d}", NOW_US)


class Clock:
    """Microseconds that pass when a test says so."""

    def __init__(self, now_us: int) -> None:
        self.now_us = now_us

    def __call__(self) -> int:
        return self.now_us


class Disk:
    """Stands between the store and its COMMIT: lets it through, holds it, or has it fail."""

    def __init__(self) -> None:
        self._gates = {"before": threading.Event(), "after": threading.Event()}
        self._held = threading.Semaphore(0)
        self._faults: deque[tuple[tuple[int, str] | None, bool]] = deque()
        self.release()

    def hold(self, when: str = "before") -> None:
        """The next COMMIT waits before SQLite sees it, or after SQLite has done it."""
        self._gates[when].clear()

    async def holds_one(self) -> None:
        """Return when a COMMIT stands at the gate."""
        assert await asyncio.to_thread(self._held.acquire, timeout=WAIT_S), "no COMMIT came"

    def release(self) -> None:
        for gate in self._gates.values():
            gate.set()

    def fail(self, *faults: tuple[int, str] | None, after: bool = False) -> None:
        """The next COMMITs fail like this, None succeeds; `after`: they fail though SQLite has done them."""
        self._faults.extend((fault, after) for fault in faults)

    def connection(self) -> type[sqlite3.Connection]:
        disk = self

        class Connection(sqlite3.Connection):
            def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
                if sql != "COMMIT":
                    return super().execute(sql, parameters)
                disk._pass("before")
                fault, after = disk._faults.popleft() if disk._faults else (None, True)
                cursor = super().execute(sql, parameters) if after or fault is None else self.cursor()
                disk._pass("after")
                if fault is not None:
                    raise sqlite_error(*fault)
                return cursor

        return Connection

    def _pass(self, when: str) -> None:
        if not self._gates[when].is_set():
            self._held.release()
            assert self._gates[when].wait(WAIT_S), "a COMMIT was never released"


class Guard:
    """A real guard that notes each call; a test may dictate verdicts by nonce, or hold the calls."""

    def __init__(self) -> None:
        self.calls: list[list[str]] = []
        self.verdicts: dict[str, Verdict] = {}
        self.gate = asyncio.Event()
        self.gate.set()
        self._called = asyncio.Event()
        self._guard = MemoryGuard(capacity=10_000)

    async def claim(self, claims: Sequence[Claim]) -> Sequence[Verdict]:
        self.calls.append([claim.bet_id for claim in claims])
        self._called.set()
        await self.gate.wait()
        verdicts = await self._guard.claim(claims)
        return [self.verdicts.get(claim.nonce, was) for claim, was in zip(claims, verdicts, strict=True)]

    async def reach(self) -> None:
        await self._guard.reach()

    async def calls_are(self, count: int) -> None:
        """Return when the guard has been asked `count` times."""
        async with asyncio.timeout(WAIT_S):
            while len(self.calls) < count:
                self._called.clear()
                await self._called.wait()

    def health(self) -> str | None:
        return None

    async def close(self) -> None:
        await self._guard.close()


class Answer:
    """Whoever asked for one command, and all that he was ever told. Await it for the outcome."""

    def __init__(self, world: World, command: Command, request_id: str) -> None:
        self.command = command
        self.outcomes: list[Outcome] = []
        self._world = world
        self._request_id = request_id
        self._came = asyncio.Event()

    def answer(self, request_id: str, command: Command, outcome: Outcome) -> None:
        assert (request_id, command) == (self._request_id, self.command)
        self.outcomes.append(outcome)
        self._world.told.append(self)
        says_no_money_moved = isinstance(outcome, Rejected) and outcome.code in SAYS_NO_MONEY_MOVED
        # True when it is said, not only when it was found out.
        if says_no_money_moved and self._world.is_done(command):
            self._world.lies.append(f"{command.key} was told {outcome} and has moved money")
        self._came.set()

    def __await__(self) -> Generator[Any, None, Outcome]:
        return self._wait().__await__()

    async def _wait(self) -> Outcome:
        async with asyncio.timeout(WAIT_S):
            await self._came.wait()
        return self.outcomes[0]

    async def code(self) -> Code | None:
        """Why the command was refused; None if it was accepted."""
        outcome = await self
        return outcome.code if isinstance(outcome, Rejected) else None


class Broken:
    """A caller whose answer cannot be delivered."""

    def answer(self, request_id: str, command: Command, outcome: Outcome) -> None:
        raise ConnectionResetError("gone")


class World:
    """One running batcher and everybody who asked it for something."""

    def __init__(self, path: Path, store: Store, disk: Disk) -> None:
        self.path, self.store, self.disk = path, store, disk
        self.checks, self.signers = Checks.of(path), Signers()
        self.clock, self.wall = Clock(5_000_000), Clock(NOW_US)
        self.batcher: Batcher
        self.answers: list[Answer] = []
        self.told: list[Answer] = []  # in the order in which they were
        self.posted: list[tuple[Accepted, Asker]] = []
        self.told_when_posted: list[bool] = []
        self.lies: list[str] = []
        self._shell: sqlite3.Connection | None = sqlite3.connect(path, isolation_level=None)

    def _posted(self, accepted: Accepted, asker: Asker) -> None:
        self.posted.append((accepted, asker))
        self.told_when_posted.append(asker in self.told)

    def submit(self, command: Command, objection: Code | None = None, actor: Actor | None = None) -> Answer:
        answer = Answer(self, command, f"r{len(self.answers)}")
        self.answers.append(answer)
        self.batcher.submit(command, answer, f"r{len(self.answers) - 1}", objection, actor)
        return answer

    def submit_all(self, commands: Iterable[Command]) -> list[Answer]:
        return [self.submit(command) for command in commands]

    async def codes(self, commands: Iterable[Command]) -> list[Code | None]:
        """What all of these are answered, sent at once."""
        return [await answer.code() for answer in self.submit_all(commands)]

    async def turns(self) -> None:
        """Let the loop do whatever is due, and what comes of it, as long as nothing waits for the writer."""
        for _ in range(3):
            for _ in range(20):
                await asyncio.sleep(0)
            await self.store.read(lambda connection: None)

    def is_done(self, command: Command) -> bool:
        """Whether this command has done what it asks for: from the file alone."""
        if isinstance(command, PlaceBet):
            return command.key in self.ledger()
        return command.key in self.keys(command.scope)

    def keys(self, scope: str) -> list[str]:
        """The keys of the transactions of `scope`, in order: from the file alone."""
        found = self.rows("SELECT key FROM transactions WHERE scope = ? ORDER BY id", scope)
        return [key for (key,) in found]

    def rows(self, sql: str, *values: Any) -> list[Any]:
        """Rows as any shell would read them."""
        if self._shell is not None:  # each connection reads the whole schema first
            return self._shell.execute(sql, values).fetchall()
        with contextlib.closing(sqlite3.connect(self.path, isolation_level=None)) as shell:
            return shell.execute(sql, values).fetchall()

    def close_the_shell(self) -> None:
        """So that the store is the last to close the file, and writes its log back."""
        assert self._shell is not None
        self._shell.close()
        self._shell = None

    def ledger(self) -> list[str]:
        """The bets that have taken a player's money, in order: from the file alone."""
        return [key for block in self.blocks() for key in block]

    def blocks(self) -> list[list[str]]:
        """The same, by the commit that took it."""
        rows = self.rows(
            """
            SELECT block_id, ref_id FROM transaction_ledger
            WHERE ref_type = 'BET' AND amount < 0 ORDER BY id
            """
        )
        found: dict[int, list[str]] = {}
        for block, key in rows:
            found.setdefault(block, []).append(key)
        return list(found.values())


@contextlib.asynccontextmanager
async def world(
    path: Path,
    *,
    guard: NonceGuard | None = None,
    decide: Decide = decide,
    limits: BatchLimits | None = None,
    breaker: Breaker | None = None,
    chance: Callable[[], float] = lambda: 0.0,
) -> AsyncIterator[World]:
    """A running batcher on the file in the folder `path`; ALICE and BOB have `OPENING_MINOR` each.

    At the end it is drained, and the books are right, nobody was told an untruth, and everybody was told
    exactly one thing. Opened again, the file is as it was left.
    """
    path, disk = path / "wallet.db", Disk()
    if not path.exists():
        await asyncio.to_thread(made_once, path, _funded)
    store = await Store.open(path, decide=decide, connection_factory=disk.connection())
    this = World(path, store, disk)
    this.batcher = Batcher(
        store,
        guard or MemoryGuard(capacity=10_000),
        breaker=breaker,
        limits=limits or BatchLimits(ahead_min=1),  # few commands are enough to see two batches under way
        posted=this._posted,
        clock=this.clock,
        wall_clock=this.wall,
        chance=chance,
    )
    try:
        this.batcher.start()
        yield this
        disk.release()
        async with asyncio.timeout(WAIT_S):
            await this.batcher.drain()
    finally:
        disk.release()
        this.close_the_shell()
        await store.close()
    findings = reconcile(path).findings
    assert findings == [], findings
    assert this.lies == [], this.lies
    told = {answer.command.key: len(answer.outcomes) for answer in this.answers if len(answer.outcomes) != 1}
    assert told == {}, f"not told exactly one thing: {told}"


def _funded(path: Path) -> None:
    async def fund() -> None:
        store = await Store.open(path, create=True)
        try:
            await store.set_up(lambda connection: open_books(connection, "EUR"))
            ids = await store.set_up(lambda connection: open_wallets(connection, "EUR", 2))
            assert ids == range(ALICE, BOB + 1)
            await store.refresh_books()
            deposits = [Deposit(user, OPENING_MINOR, key=f"open-{user}", caller="test") for user in ids]
            await store.commit([Asked(deposit) for deposit in deposits], NOW_US)
        finally:
            await store.close()

    asyncio.run(fund())


def hold_up_the_loop_until(condition: Callable[[], bool]) -> None:
    """What a busy loop does: nobody is told meanwhile, and the writer's thread goes on."""
    until_s = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < until_s


def sqlite_error(code: int, message: str) -> sqlite3.OperationalError:
    """What the driver raises for this result code (sqlite.org/rescode.html)."""
    error = sqlite3.OperationalError(message)
    error.sqlite_errorcode = code
    return error


Bend = Callable[[View, Command], None]


def raises(view: View, command: Command) -> None:
    raise ZeroDivisionError(command.key)


def does_not_sum_to_zero(view: View, command: Command) -> None:
    view.new_entries[-1] = view.new_entries[-1]._replace(amount_minor=11)


def spoilt_by(bend: Bend, *culprits: int) -> Decide:
    """`decide`, but these bets are bent after they were decided."""
    spoilt = {bet_id(number) for number in culprits}

    def decide_and_bend(view: View, command: Command, now_us: int, objection: Code | None) -> Outcome:
        outcome = decide(view, command, now_us, objection)
        if command.key in spoilt and objection is None:
            bend(view, command)
        return outcome

    return decide_and_bend


def unreadable_at(*calls: int, then: Callable[..., Found]) -> Callable[..., Found]:
    """A query of `engine.queries`, but these calls of it, counted from 1, fail."""
    count = 0

    def query(*arguments: Any) -> Found:
        nonlocal count
        count += 1
        if count in calls:
            raise sqlite3.OperationalError("disk I/O error")
        return then(*arguments)

    return query
