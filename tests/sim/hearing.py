"""The auditor's judgement of order: what one socket hears, and that nothing of it is missing."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from tests.sim.evidence import Body, Copy, Evidence, Finding
from tests.sim.rows import Entry

TOO_MUCH: Final = 4429


@dataclass
class Hearing:
    """What one socket has heard."""

    user_id: int
    role: str
    expires_at_s: int
    since: int | None = None
    """`seq` of its welcome."""
    malformed: int = 0
    """What it has sent that was no request."""
    in_flight: set[str] = field(default_factory=set)
    """Bets that it has heard to be pending, and nothing more."""
    _is_welcome: bool = False
    _known: set[int] = field(default_factory=set)
    _confirmed: int = 0
    _resuming: int = 0
    _run: list[int] = field(default_factory=list)  # entries since it last heard anything else
    _owed: set[str] = field(default_factory=set)  # whose answers the session has, and has not sent

    def asked(self, copy: Copy) -> None:
        """This has come from it."""
        if copy.body["type"] == "resume":
            self._resuming += 1

    def owed(self, request_id: str) -> None:
        """The session has been given the answer to this."""
        self._owed.add(request_id)

    def pending(self, request_id: str) -> None:
        """It hears that this is on its way."""
        self.in_flight.add(request_id)

    def answered(self, request_id: str) -> None:
        """It hears what became of this."""
        self._owed.discard(request_id)
        self.in_flight.discard(request_id)

    def heard(self, message: Body) -> None:
        """It has heard this; judged by now but for what follows."""
        self._is_welcome |= message["type"] == "welcome"
        if not self._is_welcome and message["type"] != "error":
            raise Finding(f"a socket of {self.user_id} heard {message} before its welcome")
        if message["type"] == "wallet.entry":
            self._run.append(message["seq"])
        else:
            self._run.clear()

    def told_of(self, message: Body, entry: Entry | None) -> None:
        """It hears of this entry, which the disk has so."""
        if entry is None:
            raise Finding(f"{message} is not on disk")
        shown = (message["transaction_id"], message["kind"], message["amount"], message["balance"])
        there = (entry.transaction_id, entry.ref_type, entry.amount, entry.balance_after)
        if shown != there or message["prev_seq"] != entry.prev_id or entry.user_id != self.user_id:
            raise Finding(f"to {self.user_id}: {message}, and on disk {entry}")
        self._learn(entry)

    def confirmed(self, message: Body, entry: Entry) -> None:
        """It hears of a bet that it asked for itself."""
        if self.role != "player":
            return
        if message["replayed"]:
            self._known.add(entry.id)
            return
        if entry.id <= self._confirmed:
            raise Finding(f"{message} came after the confirmation of {self._confirmed}")
        self._confirmed = entry.id
        self._learn(entry)

    def resumed(self, copy: Copy, message: Body, evidence: Evidence) -> None:
        """It hears that it has heard all that it asked for."""
        self._resuming -= 1
        from_seq = copy.body["from_seq"]
        later = evidence.entries_of(copy.user_id, from_seq, message["seq"])
        if missing := [id_ for id_ in later if id_ not in self._known]:
            raise Finding(f"resume from {from_seq} left out the entries {missing}")
        if later != self._run[len(self._run) - len(later) :]:
            raise Finding(f"resume from {from_seq} told {self._run} and not {later} in one go")

    def check_end(self, code: int) -> None:
        """The server closes. But for who reads too slowly, everybody has his answers by then."""
        if self._owed and code != TOO_MUCH:
            raise Finding(
                f"closed with {code}, and these were never sent their answers: {sorted(self._owed)}"
            )

    def check_quiet(self, evidence: Evidence) -> None:
        """All is quiet: it has heard of all that happened to its wallet since it was welcomed."""
        if self.since is None:
            return
        later = evidence.entries_of(self.user_id, self.since)
        if missing := [id_ for id_ in later if id_ not in self._known]:
            raise Finding(f"a socket of {self.user_id} never heard of {missing}")

    def _learn(self, entry: Entry) -> None:
        since = self.since
        if not self._resuming and since is not None and since < entry.prev_id not in self._known:
            raise Finding(f"a socket of {self.user_id} heard of {entry}, and not of the one before it")
        self._known.add(entry.id)
