"""The auditor's judgement of one command's story: what its copies are told, held against what it did."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from batcher.breaker import State
from tests.sim.evidence import Body, Copy, Evidence, Finding, Name, Surroundings
from tests.sim.rows import Entry, Transaction

SLACK_US: Final = 1_000_000
"""What a batch that is decided anew may take from the look at its deadlines to its BEGIN."""

AT_ONCE_US: Final = 1_000
"""A bet that was taken in so soon after it came was not held back by anything else."""

CLAIMS_NOTHING: Final = frozenset(
    {
        *("INVALID_REQUEST", "UNAUTHORIZED", "FORBIDDEN", "NOT_FOUND", "IDEMPOTENCY_CONFLICT"),
        *("STALE_REQUEST", "NONCE_REUSED", "OUTCOME_UNKNOWN", "INTERNAL"),
    }
)
"""Codes that say nothing of whether money has moved; all others say that it has not."""


class Stories:
    """What everybody was told, command by command."""

    def __init__(self, evidence: Evidence, around: Surroundings, deadline_us: int) -> None:
        """`deadline_us`: how long after its arrival a bet may begin to be executed."""
        self._evidence = evidence
        self._around = around
        self._deadline_us = deadline_us
        self._said: dict[Name, Body] = {}

    def committed(self, begun_us: int, at_us: int, transactions: Iterable[Transaction]) -> None:
        """A COMMIT has left these: nobody was told otherwise, and none came too late."""
        for transaction in transactions:
            name = (transaction.scope, transaction.key)
            for copy in self._evidence.by_name.get(name, ()):
                _check_refusal(copy, transaction, at_us)
            if transaction.kind == "BET":
                self._check_deadline(name, begun_us)

    def refused(self, copy: Copy, message: Body, code: str) -> None:
        """This copy hears such a code."""
        body, name = copy.body, copy.name
        if message["type"] == "bet.rejected" and message["bet_id"] != body["bet_id"]:
            raise Finding(f"the refusal of another bet: {message} to {body}")
        if code == "NOT_FOUND" and body["type"] == "bet.get" and copy.is_known:
            self._check_hidden(copy)
        failed_us = max(map(self._around.last_us, ("read refused", "look too long")))
        if code == "INTERNAL" and failed_us < (copy.arrived_us or 0):
            raise Finding(f"INTERNAL, and no look-up has failed since it came: {body}")
        if code == "CIRCUIT_OPEN" and body["type"] != "bet.place" and not copy.has_failed:
            raise Finding(f"an open circuit is for bets, and held back {body}")
        if code == "NONCE_REUSED" and self._evidence.bets_with(copy.wallet, body["nonce"]) < 2:
            raise Finding(f"NONCE_REUSED, and no other bet ever had it: {body}")
        if name is None:
            return
        if code == "IDEMPOTENCY_CONFLICT" and len({each.terms for each in self._evidence.by_name[name]}) < 2:
            raise Finding(f"IDEMPOTENCY_CONFLICT, and nobody ever asked for something else: {body}")
        known = self._evidence.transactions.get(name)
        if known is not None:
            _check_refusal(copy, *known)
        if message["type"] == "bet.rejected" and not message["retryable"]:
            # Of a bet that was rolled back before it came, a copy that is turned away hears so without a
            # record: the wallet that it shows is that of the moment.
            wallet = {} if code != "BET_ROLLED_BACK" else dict.fromkeys(("balance", "held", "available"))
            self._check_same(("refusal", name[1]), message | wallet)

    def done(self, copy: Copy, name: Name, message: Body) -> None:
        """This copy hears that what it asked for is done."""
        known = self._evidence.transactions.get(name)
        if copy.body["type"] == "bet.rollback" and message["replayed"] and known is None:
            return  # rolled back under another key: that answer
        if known is None or copy.told_us is None or known[1] > copy.told_us:
            raise Finding(f"{copy.body} was told {message}, and it was not on disk then")
        transaction, _ = known
        if transaction.id != message["transaction_id"] and copy.body["type"] != "bet.rollback":
            raise Finding(f"{copy.body} was told {message}, and it is transaction {transaction.id}")
        self._check_same(name, message)
        if "seq" in message:
            entry = self._evidence.entries.get(message["seq"])
            if message["seq"] and (entry is None or entry.balance_after != message["balance"]):
                raise Finding(f"{message} shows a balance that no entry has: {entry}")

    def confirmed(self, copy: Copy, message: Body) -> Entry:
        """This copy of a bet hears that it is confirmed, by this entry."""
        entry, body = self._evidence.entries[message["seq"]], copy.body
        expected = (copy.wallet, -body["stake"], "BET", body["bet_id"], message["transaction_id"])
        if (entry.user_id, entry.amount, entry.ref_type, entry.ref_id, entry.transaction_id) != expected:
            raise Finding(f"{body} was told {message}, and the entry is {entry}")
        if message["stake"] != body["stake"]:
            raise Finding(f"{body} was confirmed with another stake: {message}")
        was_taken_in = (copy.pending_us or 0) - (copy.arrived_us or 0) < AT_ONCE_US
        if not message["replayed"] and copy.breaker is State.OPEN and was_taken_in:
            raise Finding(f"{body} came while the circuit was open, and was executed")
        return entry

    def balance(self, user_id: int, message: Body, newest: int) -> None:
        """Somebody hears the state of this wallet, of which `newest` was on disk when he asked."""
        seq = message["seq"]
        if seq < newest:
            raise Finding(f"{message} is of before {newest}, which was on disk when it was asked for")
        entry = self._evidence.entries.get(seq)
        if entry is None or entry.user_id != user_id or entry.balance_after != message["balance"]:
            raise Finding(f"{message}, and on disk {entry}")
        if not 0 <= message["available"] == message["balance"] - message["held"]:
            raise Finding(f"{message} does not add up")

    def state(self, copy: Copy, message: Body) -> None:
        """Somebody hears what became of a bet."""
        known = self._evidence.transactions.get(("bet", copy.body["bet_id"]))
        if message["state"] == "pending":
            if copy.is_known:
                raise Finding(f"{message}, and it was on disk before it was asked for")
        elif "transaction_id" in message and (known is None or known[0].id != message["transaction_id"]):
            raise Finding(f"{message}, and on disk {known}")

    def _check_hidden(self, copy: Copy) -> None:
        """It was not found: then it is another player's."""
        evidence, bet = self._evidence, self._evidence.bet(copy.body["bet_id"])
        assert bet is not None
        entries = [evidence.entries[id_] for id_ in evidence.entries_of(copy.user_id)]
        if copy.role != "player" or any(each.transaction_id == bet.id for each in entries):
            raise Finding(f"{copy.body['bet_id']} was on disk before it was asked for, and NOT_FOUND")

    def _check_same(self, name: Name, message: Body) -> None:
        told = {key: value for key, value in message.items() if key not in ("id", "replayed")}
        before = self._said.setdefault(name, told)
        if before != told:
            raise Finding(f"{name} was answered {before}, and then {told}")

    def _check_deadline(self, name: Name, begun_us: int) -> None:
        came = []
        for copy in self._evidence.by_name.get(name, ()):
            if copy.arrived_us is None or copy.arrived_us > begun_us:
                continue
            if copy.pending_us is None or copy.pending_us > begun_us:
                return  # it may be this one that is executed, and nobody knows when its turn came
            came.append(copy.pending_us)
        if came and begun_us - max(came) > self._deadline_us + SLACK_US:
            late_us = begun_us - max(came)
            raise Finding(f"{name} was executed {late_us} us after its newest copy had come")


def _check_refusal(copy: Copy, transaction: Transaction, at_us: int) -> None:
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
