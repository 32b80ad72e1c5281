"""The auditor: hears what is said on the wire, sees what is on disk, and knows nothing of the engine.

It is written from PROTOCOL alone. Three sources: the frames that cross the server's door, the moment at
which a socket was given an answer, and the rows that a COMMIT left in the file. Each is held against the
others as it comes; what it raises is a `Finding`, one sentence for people. What can only be told at the end,
from the file alone, is in `books.py`.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from batcher.breaker import State
from tests.sim.disk import Entry, Transaction
from tests.sim.network import Link

Body = dict[str, Any]
Name = tuple[str, str]
"""What a command is known by for ever: its scope and key."""

SLACK_US: Final = 1_000_000
"""What a batch that is decided anew may take from the look at its deadlines to its BEGIN."""

STEPS_US: Final = 190_000_000
"""What time of the books may be ahead of the time that has passed since the block before: steps of up to a
minute are followed, a seed has three of them at the most, and a batch waits a few seconds for its COMMIT."""

DECIDED_US: Final = 12_000_000
"""How long before its BEGIN a batch may have been decided: the COMMIT in front of it may hang."""

EXPIRED_US: Final = 1_000_000
"""A socket whose token has expired is closed within it."""

IN_FLIGHT_US: Final = 600_000
"""But what is in flight by then has this long to be answered."""

CLAIMS_NOTHING: Final = frozenset(
    {
        *("INVALID_REQUEST", "UNAUTHORIZED", "FORBIDDEN", "NOT_FOUND", "IDEMPOTENCY_CONFLICT"),
        *("STALE_REQUEST", "NONCE_REUSED", "OUTCOME_UNKNOWN", "INTERNAL"),
    }
)
"""Codes that say nothing of whether money has moved; all others say that it has not."""

EXPIRED: Final = 4401
TOO_MUCH: Final = 4429

KINDS: Final = {
    **{"bet.settle": "settle", "bet.unsettle": "unsettle", "bet.rollback": "rollback"},
    **{"bet.cashout": "cashout", "wallet.deposit": "deposit", "wallet.withdraw": "withdraw"},
    **{"wallet.hold": "hold", "hold.capture": "capture", "hold.release": "release"},
    **{"wallet.transfer": "transfer", "wallet.status": "status", "payout.make": "pay"},
    **{"payout.open": "payout-open", "payout.add": "payout-add", "payout.start": "payout-start"},
}
"""Of each request that moves money, how its scope names it."""


class Finding(AssertionError):
    """Something that must never be."""


@dataclass(eq=False)
class Copy:
    """One sending of one request."""

    body: Body
    user_id: int
    role: str
    link: int
    sent_us: int
    arrived_us: int | None = None
    pending_us: int | None = None
    told_us: int | None = None
    answer: Body | None = None
    breaker: State | None = None
    has_failed: bool = False
    """Whether no money was taken any more when it was given its answer."""
    is_known: bool = False
    """Whether its bet was on disk when it arrived."""
    newest: int = 0
    """The newest entry of its wallet that was on disk then."""

    @property
    def name(self) -> Name | None:
        return name_of(self.body, self.user_id)


@dataclass
class Socket:
    """What one link has heard."""

    user_id: int
    role: str
    expires_at_s: int
    since: int | None = None
    """`seq` of its welcome."""
    known: set[int] = field(default_factory=set)
    confirmed: int = 0
    malformed: int = 0
    resuming: int = 0
    run: list[int] = field(default_factory=list)
    """Entries that it has heard of since it last heard anything else."""
    owed: set[str] = field(default_factory=set)
    """Requests whose answers the session has, and has not sent."""
    in_flight: set[str] = field(default_factory=set)
    """Bets that it has heard to be pending, and nothing more."""


class Auditor:
    """Believes nobody."""

    def __init__(self, clock: Callable[[], int], deadline_us: int, balances: dict[int, int]) -> None:
        """`clock`: virtual microseconds. `balances`: of all accounts, before anybody asked for anything."""
        self.copies: dict[str, Copy] = {}
        self.by_name: dict[Name, list[Copy]] = defaultdict(list)
        self.transactions: dict[Name, tuple[Transaction, int]] = {}
        self.entries: dict[int, Entry] = {}
        self.entries_of: dict[int, list[int]] = defaultdict(list)
        self.balances = balances
        self.answers: Counter[str] = Counter()
        self.blocked_since_us: dict[int, int] = {}
        self.faults_us: Callable[[str], int] = lambda fault: -1
        """When this fault struck last; -1: never."""
        self.breaker: Callable[[], State | None] = lambda: None
        self.has_failed: Callable[[], bool] = lambda: False
        """Whether no money is taken until a restart."""
        self.wall_us: Callable[[], int] = lambda: 0
        self._clock = clock
        self._deadline_us = deadline_us
        self._sockets: dict[int, Socket] = {}
        self._nonces: dict[tuple[int, str], set[str]] = defaultdict(set)
        self._said: dict[Name, Body] = {}
        self._by_transaction: dict[int, Transaction] = {}
        self._block: tuple[int, int, int] | None = None  # the newest one's time; of its BEGIN and its COMMIT
        self._started_us = self._confirmed_us = -DECIDED_US  # when the books may last have followed a jump
        self._clock_set_us = -EXPIRED_US

    # -- what clients do

    def opened(self, link: Link, user_id: int, role: str, expires_at_s: int) -> None:
        self._sockets[link.serial] = Socket(user_id, role, expires_at_s)

    def sent(self, link: Link, body: Body) -> None:
        """A client sends this; `id` is its alone."""
        socket = self._sockets[link.serial]
        copy = Copy(body, socket.user_id, socket.role, link.serial, self._clock())
        assert body["id"] not in self.copies
        self.copies[body["id"]] = copy
        if copy.name is not None:
            self.by_name[copy.name].append(copy)
        if body["type"] == "bet.place":
            self._nonces[_wallet(copy), body["nonce"]].add(body["bet_id"])

    def sent_nonsense(self, link: Link) -> None:
        self._sockets[link.serial].malformed += 1

    # -- what becomes of the clock

    def started(self) -> None:
        """A server starts: its books take the wall clock as it is."""
        self._started_us = self._clock()

    def clock_set(self) -> None:
        """The wall clock has been set, or went on while nobody could look."""
        self._clock_set_us = self._clock()

    # -- what the disk has

    def committed(
        self, begun_us: int, at_us: int, transactions: list[Transaction], entries: list[Entry]
    ) -> None:
        for transaction in transactions:
            name = (transaction.scope, transaction.key)
            self._by_transaction[transaction.id] = transaction
            self.transactions[name] = (transaction, at_us)
            for copy in self.by_name.get(name, ()):
                self._check_refusal(copy, transaction, at_us)
            if transaction.kind == "BET":
                self._check_deadline(name, begun_us)
        for entry in entries:
            self.entries[entry.id] = entry
            self.entries_of[entry.user_id].append(entry.id)
            since_us = self.blocked_since_us.get(entry.user_id)
            if entry.ref_type == "BET" and since_us is not None and begun_us > since_us:
                raise Finding(f"bet {entry.ref_id} was paid by a wallet that had been blocked before")

    def sealed(self, begun_us: int, at_us: int, block_at: int) -> None:
        """The newest block is of this time."""
        before, self._block = self._block, (block_at, begun_us, at_us)
        if before is None or self._started_us >= before[2] or self._confirmed_us > before[1] - DECIDED_US:
            return
        if block_at - before[0] > at_us - before[1] + STEPS_US:
            raise Finding(f"the time of the books has jumped, from {before[0]} to {block_at}")

    def newest_of(self, user_id: int) -> int:
        ids = self.entries_of.get(user_id)
        return ids[-1] if ids else 0

    # -- what crosses the door

    def arrived(self, link: Link, text: str) -> None:
        try:
            messages = json.loads(text)
        except ValueError:
            return
        socket, now_us = self._sockets[link.serial], self._clock()
        is_late = self.wall_us() > socket.expires_at_s * 1_000_000 + EXPIRED_US
        if is_late and now_us > self._clock_set_us + EXPIRED_US and socket.since is not None:
            raise Finding(f"{text} was read from a socket whose token ended at {socket.expires_at_s}")
        for message in messages if isinstance(messages, list) else [messages]:
            copy = self.copies.get(str(message.get("id"))) if isinstance(message, dict) else None
            if copy is not None:
                copy.arrived_us = now_us
                copy.breaker = self.breaker()
                copy.newest = self.newest_of(copy.user_id)
                known = self.transactions.get(("bet", str(copy.body.get("bet_id"))))
                copy.is_known = known is not None and known[0].kind == "BET"
                if copy.body["type"] == "resume":
                    socket.resuming += 1
                if copy.body["type"] == "clock.confirm":
                    self._confirmed_us = now_us

    def told(self, request_id: str) -> None:
        copy = self.copies[request_id]
        if copy.told_us is not None:
            raise Finding(f"{request_id} was answered twice")
        copy.told_us = self._clock()
        copy.has_failed = self.has_failed()
        self._sockets[copy.link].owed.add(request_id)

    def ended(self, link: Link, code: int) -> None:
        """The server closes. But for who reads too slowly, everybody has his answers by then."""
        self.answers[f"close {code}"] += 1
        socket, now_us = self._sockets[link.serial], self._clock()
        waited_us = self.wall_us() - socket.expires_at_s * 1_000_000
        is_hasty = code == EXPIRED and waited_us < IN_FLIGHT_US and now_us > self._clock_set_us + EXPIRED_US
        if socket.in_flight and is_hasty:
            raise Finding(
                f"its token ended {waited_us} us ago, and nobody waited for {sorted(socket.in_flight)}"
            )
        if (owed := socket.owed) and code != TOO_MUCH:
            raise Finding(f"closed with {code}, and these were never sent their answers: {sorted(owed)}")

    def emitted(self, link: Link, text: str) -> None:
        messages = json.loads(text)
        run = self._sockets[link.serial].run
        for message in messages if isinstance(messages, list) else [messages]:
            self._hear(link, message)
            if message["type"] == "wallet.entry":
                run.append(message["seq"])
            else:
                run.clear()

    def _hear(self, link: Link, message: Body) -> None:
        type_ = message["type"]
        code = message.get("code") if type_ in ("error", "bet.rejected") else None
        self.answers[f"{type_} {code}" if code else type_] += 1
        socket = self._sockets[link.serial]
        if type_ == "wallet.entry":
            self._check_entry(socket, message)
            return
        if type_ == "welcome":
            if message["role"] == "player":
                self._check_balance(socket.user_id, message, 0)
                socket.since = message["seq"]
            return
        copy = self.copies.get(message.get("id") or "")
        if copy is None:
            if type_ == "error" and (socket.malformed or code in ("UNAUTHORIZED", "RATE_LIMITED")):
                return
            raise Finding(f"an answer to nobody: {message}")
        if type_ == "bet.pending":
            copy.pending_us = self._clock()
            socket.in_flight.add(copy.body["id"])
            return
        if copy.answer is not None:
            raise Finding(f"{copy.body['id']} was answered twice: {copy.answer} and {message}")
        copy.answer = message
        socket.owed.discard(copy.body["id"])
        socket.in_flight.discard(copy.body["id"])
        self._check_answer(socket, copy, message, code)

    def _check_answer(self, socket: Socket, copy: Copy, message: Body, code: str | None) -> None:
        name, type_ = copy.name, message["type"]
        if code is not None:
            self._check_code(copy, message, code)
        elif name is not None:
            self._check_done(socket, copy, name, message)
        elif type_ == "clock":
            if message["state"] != "sure":
                raise Finding(f"the clock was confirmed, and is unsure: {message}")
        elif type_ == "balance":
            self._check_balance(copy.user_id, message, copy.newest)
        elif type_ == "bet.state":
            self._check_state(copy, message)
        elif type_ == "resumed":
            socket.resuming -= 1
            ids = self.entries_of.get(copy.user_id, [])
            later = ids[bisect_right(ids, copy.body["from_seq"]) : bisect_right(ids, message["seq"])]
            if missing := [id_ for id_ in later if id_ not in socket.known]:
                raise Finding(f"resume from {copy.body['from_seq']} left out the entries {missing}")
            if later != socket.run[len(socket.run) - len(later) :]:
                raise Finding(
                    f"resume from {copy.body['from_seq']} told {socket.run} and not {later} in one go"
                )

    def _check_code(self, copy: Copy, message: Body, code: str) -> None:
        name = copy.name
        if message["type"] == "bet.rejected" and message["bet_id"] != copy.body["bet_id"]:
            raise Finding(f"the refusal of another bet: {message} to {copy.body}")
        if code == "NOT_FOUND" and copy.body["type"] == "bet.get" and copy.is_known:
            found, _ = self.transactions["bet", copy.body["bet_id"]]
            if copy.role != "player" or any(
                each.transaction_id == found.id and each.user_id == copy.user_id
                for each in map(self.entries.__getitem__, self.entries_of.get(copy.user_id, ()))
            ):
                raise Finding(f"{copy.body['bet_id']} was on disk before it was asked for, and NOT_FOUND")
        failed_us = max(self.faults_us("read refused"), self.faults_us("look too long"))
        if code == "INTERNAL" and failed_us < (copy.arrived_us or 0):
            raise Finding(f"INTERNAL, and no look-up has failed since it came: {copy.body}")
        if code == "CIRCUIT_OPEN" and copy.body["type"] != "bet.place" and not copy.has_failed:
            raise Finding(f"an open circuit is for bets, and held back {copy.body}")
        if code == "NONCE_REUSED":
            used = self._nonces[_wallet(copy), copy.body["nonce"]]
            if len(used) < 2:
                raise Finding(f"NONCE_REUSED, and no other bet ever had it: {copy.body}")
        if name is None:
            return
        if code == "IDEMPOTENCY_CONFLICT" and len({_terms(each) for each in self.by_name[name]}) < 2:
            raise Finding(f"IDEMPOTENCY_CONFLICT, and nobody ever asked for something else: {copy.body}")
        known = self.transactions.get(name)
        if known is not None:
            self._check_refusal(copy, *known)
        if message["type"] == "bet.rejected" and not message["retryable"]:
            # Of a bet that was rolled back before it came, a copy that is turned away hears so without a
            # record: the wallet that it shows is that of the moment.
            wallet = {} if code != "BET_ROLLED_BACK" else dict.fromkeys(("balance", "held", "available"))
            self._check_same(("refusal", name[1]), message | wallet)

    def _check_refusal(self, copy: Copy, transaction: Transaction, at_us: int) -> None:
        """`copy` asks for what `transaction` did, at that time."""
        answer = copy.answer
        code = answer.get("code") if answer is not None else None
        if code is None or code in CLAIMS_NOTHING or answer is None:
            return
        if transaction.kind == "TOMBSTONE":
            return  # a bet that was rolled back before it came: it moves no money
        assert copy.told_us is not None
        if at_us <= copy.told_us:
            raise Finding(f"{copy.body} moved money at {at_us}, and heard {code} at {copy.told_us}")
        if answer["type"] == "bet.rejected" and not answer["retryable"]:
            raise Finding(f"{copy.body} was refused for good ({code}) at {copy.told_us}, and was paid later")

    def _check_done(self, socket: Socket, copy: Copy, name: Name, message: Body) -> None:
        known = self.transactions.get(name)
        if copy.body["type"] == "bet.rollback" and message["replayed"] and known is None:
            return  # rolled back under another key: that answer
        if known is None or copy.told_us is None or known[1] > copy.told_us:
            raise Finding(f"{copy.body} was told {message}, and it was not on disk then")
        transaction, _ = known
        if transaction.id != message["transaction_id"] and copy.body["type"] != "bet.rollback":
            raise Finding(f"{copy.body} was told {message}, and it is transaction {transaction.id}")
        self._check_same(name, message)
        if "seq" in message:
            entry = self.entries.get(message["seq"])
            if message["seq"] and (entry is None or entry.balance_after != message["balance"]):
                raise Finding(f"{message} shows a balance that no entry has: {entry}")
        if message["type"] == "bet.confirmed":
            self._check_confirmed(socket, copy, message)

    def _check_confirmed(self, socket: Socket, copy: Copy, message: Body) -> None:
        entry, body = self.entries[message["seq"]], copy.body
        expected = (_wallet(copy), -body["stake"], "BET", body["bet_id"], message["transaction_id"])
        if (entry.user_id, entry.amount, entry.ref_type, entry.ref_id, entry.transaction_id) != expected:
            raise Finding(f"{body} was told {message}, and the entry is {entry}")
        if message["stake"] != body["stake"]:
            raise Finding(f"{body} was confirmed with another stake: {message}")
        if message["replayed"]:
            if socket.role == "player":
                socket.known.add(entry.id)
            return
        if copy.breaker is State.OPEN and (copy.pending_us or 0) - (copy.arrived_us or 0) < 1_000:
            raise Finding(f"{body} came while the circuit was open, and was executed")
        if socket.role == "player":
            if entry.id <= socket.confirmed:
                raise Finding(f"{message} came after the confirmation of {socket.confirmed}")
            socket.confirmed = entry.id
            self._learn(socket, entry)

    def _check_entry(self, socket: Socket, message: Body) -> None:
        entry = self.entries.get(message["seq"])
        if entry is None:
            raise Finding(f"{message} is not on disk")
        shown = (message["transaction_id"], message["kind"], message["amount"], message["balance"])
        there = (entry.transaction_id, entry.ref_type, entry.amount, entry.balance_after)
        if shown != there or message["prev_seq"] != entry.prev_id or entry.user_id != socket.user_id:
            raise Finding(f"to {socket.user_id}: {message}, and on disk {entry}")
        self._learn(socket, entry)

    def _learn(self, socket: Socket, entry: Entry) -> None:
        since = socket.since
        if not socket.resuming and since is not None and since < entry.prev_id not in socket.known:
            raise Finding(f"a socket of {socket.user_id} heard of {entry}, and not of the one before it")
        socket.known.add(entry.id)

    def _check_balance(self, user_id: int, message: Body, newest: int) -> None:
        seq = message["seq"]
        if seq < newest:
            raise Finding(f"{message} is of before {newest}, which was on disk when it was asked for")
        entry = self.entries.get(seq)
        if entry is None or entry.user_id != user_id or entry.balance_after != message["balance"]:
            raise Finding(f"{message}, and on disk {entry}")
        if not 0 <= message["available"] == message["balance"] - message["held"]:
            raise Finding(f"{message} does not add up")

    def _check_state(self, copy: Copy, message: Body) -> None:
        known = self.transactions.get(("bet", copy.body["bet_id"]))
        if message["state"] == "pending":
            if copy.is_known:
                raise Finding(f"{message}, and it was on disk before it was asked for")
        elif "transaction_id" in message and (known is None or known[0].id != message["transaction_id"]):
            raise Finding(f"{message}, and on disk {known}")

    def _check_same(self, name: Name, message: Body) -> None:
        told = {key: value for key, value in message.items() if key not in ("id", "replayed")}
        before = self._said.setdefault(name, told)
        if before != told:
            raise Finding(f"{name} was answered {before}, and then {told}")

    def _check_deadline(self, name: Name, begun_us: int) -> None:
        came = []
        for copy in self.by_name.get(name, ()):
            if copy.arrived_us is None or copy.arrived_us > begun_us:
                continue
            if copy.pending_us is None or copy.pending_us > begun_us:
                return  # it may be this one that is executed, and nobody knows when its turn came
            came.append(copy.pending_us)
        if came and begun_us - max(came) > self._deadline_us + SLACK_US:
            late_us = begun_us - max(came)
            raise Finding(f"{name} was executed {late_us} us after its newest copy had come")

    # -- at the end

    def check_socket(self, link: Link) -> None:
        """All is quiet: this link has heard of all that happened to its wallet since it was welcomed."""
        socket = self._sockets[link.serial]
        if socket.since is None:
            return
        later = [id_ for id_ in self.entries_of.get(socket.user_id, ()) if id_ > socket.since]
        if missing := [id_ for id_ in later if id_ not in socket.known]:
            raise Finding(f"a socket of {socket.user_id} never heard of {missing}")

    def check_entries(self, entries: Iterable[Entry], transactions: Iterable[Transaction]) -> None:
        """What has once been committed is there, all of it, as it was, and nothing else."""
        found = {entry.id: entry for entry in entries}
        if found != self.entries:
            differing = sorted(set(found.items()) ^ set(self.entries.items()))
            raise Finding(f"the ledger is not what was committed: {differing[:3]}")
        if {each.id: each for each in transactions} != self._by_transaction:
            raise Finding("the transactions are not what was committed")


def name_of(body: Body, user_id: int) -> Name | None:
    """What this request is known by; None if it moves nothing."""
    if body["type"] == "bet.place":
        return ("bet", body["bet_id"])
    kind = KINDS.get(body["type"])
    return None if kind is None else (f"{user_id}:{kind}", body["key"])


def _wallet(copy: Copy) -> int:
    return copy.body.get("user_id", copy.user_id) if copy.role != "player" else copy.user_id


def _terms(copy: Copy) -> str:
    """What two requests under one name must have in common."""
    left_out = ("id", "nonce", "sent_at")
    return json.dumps([_wallet(copy), {k: v for k, v in copy.body.items() if k not in left_out}])
