"""The auditor: hears what is said on the wire, sees what is on disk, and knows nothing of the engine.

It is written from PROTOCOL alone. Three sources: the frames that cross the server's door, the moment at
which a socket was given an answer, and the rows that a COMMIT left in the file. Each is held against the
others as it comes; what it raises is a `Finding`, one sentence for people. How it judges:

    stories   one command: what its copies are told, against what it did
    hearing   one socket: the order of what it hears, and that nothing is missing
    clocks    the time of the books, and the end of tokens
    books     at the end, the file alone: totals
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from typing import Final

from tests.sim.clocks import Clocks
from tests.sim.evidence import Body, Copy, Evidence, Finding, Surroundings
from tests.sim.hearing import Hearing
from tests.sim.network import Link
from tests.sim.rows import Entry, Transaction
from tests.sim.stories import Stories

EXPIRED: Final = 4401


class Auditor:
    """Believes nobody."""

    def __init__(self, around: Surroundings, deadline_us: int) -> None:
        """`deadline_us`: how long after its arrival a bet may begin to be executed."""
        self.evidence = Evidence()
        self.clocks = Clocks(around)
        self.answers: Counter[str] = Counter()
        """How often each was heard."""
        self.blocked_since_us: dict[int, int] = {}
        """Wallets that somebody has blocked, past the server."""
        self._around = around
        self._stories = Stories(self.evidence, around, deadline_us)
        self._hearings: dict[int, Hearing] = {}

    # -- what clients do

    def opened(self, link: Link, user_id: int, role: str, expires_at_s: int) -> None:
        self._hearings[link.serial] = Hearing(user_id, role, expires_at_s)

    def sent(self, link: Link, body: Body) -> None:
        """A client sends this; `id` is its alone."""
        hearing = self._hearings[link.serial]
        self.evidence.sent(Copy(body, hearing.user_id, hearing.role, link.serial, self._around.now_us()))

    def sent_nonsense(self, link: Link) -> None:
        self._hearings[link.serial].malformed += 1

    # -- what the disk has

    def committed(
        self, begun_us: int, at_us: int, transactions: list[Transaction], entries: list[Entry]
    ) -> None:
        self.evidence.committed(at_us, transactions, entries)
        self._stories.committed(begun_us, at_us, transactions)
        for entry in entries:
            since_us = self.blocked_since_us.get(entry.user_id)
            if entry.ref_type == "BET" and since_us is not None and begun_us > since_us:
                raise Finding(f"bet {entry.ref_id} was paid by a wallet that had been blocked before")

    # -- what crosses the door

    def arrived(self, link: Link, text: str) -> None:
        try:
            messages = json.loads(text)
        except ValueError:
            return
        hearing, now_us = self._hearings[link.serial], self._around.now_us()
        if hearing.since is not None:
            self.clocks.check_read(text, hearing.expires_at_s)
        for message in messages if isinstance(messages, list) else [messages]:
            copy = self.evidence.copies.get(str(message.get("id"))) if isinstance(message, dict) else None
            if copy is not None:
                copy.arrived_us = now_us
                copy.breaker = self._around.breaker()
                copy.newest = self.evidence.newest_of(copy.user_id)
                copy.is_known = self.evidence.bet(str(copy.body.get("bet_id"))) is not None
                hearing.asked(copy)
                if copy.body["type"] == "clock.confirm":
                    self.clocks.confirmed()

    def told(self, request_id: str) -> None:
        copy = self.evidence.copies[request_id]
        if copy.told_us is not None:
            raise Finding(f"{request_id} was answered twice")
        copy.told_us = self._around.now_us()
        copy.has_failed = self._around.has_failed()
        self._hearings[copy.link].owed(request_id)

    def emitted(self, link: Link, text: str) -> None:
        hearing = self._hearings[link.serial]
        for message in _each(text):
            self._hear(hearing, message)
            hearing.heard(message)

    def ended(self, link: Link, code: int) -> None:
        """The server closes."""
        self.answers[f"close {code}"] += 1
        hearing = self._hearings[link.serial]
        if code == EXPIRED:
            self.clocks.check_patience(hearing.in_flight, hearing.expires_at_s)
        hearing.check_end(code)

    def _hear(self, hearing: Hearing, message: Body) -> None:
        type_ = message["type"]
        code = message.get("code") if type_ in ("error", "bet.rejected") else None
        self.answers[f"{type_} {code}" if code else type_] += 1
        if type_ == "wallet.entry":
            hearing.told_of(message, self.evidence.entries.get(message["seq"]))
            return
        if type_ == "welcome":
            if message["role"] == "player":
                self._stories.balance(hearing.user_id, message, 0)
                hearing.since = message["seq"]
            return
        copy = self.evidence.copies.get(message.get("id") or "")
        if copy is None:
            if type_ == "error" and (hearing.malformed or code in ("UNAUTHORIZED", "RATE_LIMITED")):
                return
            raise Finding(f"an answer to nobody: {message}")
        if type_ == "bet.pending":
            copy.pending_us = self._around.now_us()
            hearing.pending(copy.body["id"])
            return
        if copy.answer is not None:
            raise Finding(f"{copy.body['id']} was answered twice: {copy.answer} and {message}")
        copy.answer = message
        if copy.told_us is None:  # of what is no command nobody says when it was given its answer
            copy.has_failed = self._around.has_failed()
        if copy.body["type"] == "clock.confirm":
            self.clocks.confirmed()  # as late as that: it waits until it is written down
        hearing.answered(copy.body["id"])
        if code is not None:
            self._stories.refused(copy, message, code)
        else:
            self._judge(hearing, copy, message)

    def _judge(self, hearing: Hearing, copy: Copy, message: Body) -> None:
        """What was asked for is told."""
        name = copy.name
        if name is not None:
            self._stories.done(copy, name, message)
        match message["type"]:
            case "bet.confirmed":
                hearing.confirmed(message, self._stories.confirmed(copy, message))
            case "clock" if message["state"] != "sure":
                raise Finding(f"the clock was confirmed, and is unsure: {message}")
            case "balance":
                self._stories.balance(copy.user_id, message, copy.newest)
            case "bet.state":
                self._stories.state(copy, message)
            case "resumed":
                hearing.resumed(copy, message, self.evidence)

    # -- at the end

    def check_socket(self, link: Link) -> None:
        """All is quiet: this link has heard of all that happened to its wallet since it was welcomed."""
        self._hearings[link.serial].check_quiet(self.evidence)


def _each(text: str) -> Iterable[Body]:
    messages = json.loads(text)
    return messages if isinstance(messages, list) else [messages]
