"""What each field of the contracts means, an example of it, and the values that a reply may have. Pure.

Types and bounds come from the types themselves; here is what a type cannot say. `tests/test_contracts.py`
sees that no field lacks one, and that nothing else has one.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from typing import Any, Final, NamedTuple

from engine.lifecycle import BetState, HoldState
from engine.outcomes import Code
from ws.effects import ROLES
from ws.http.problems import Problem, problem
from ws.wire.messages import Limits
from ws.wire.outcomes import WORDS

LEFT_OUT: Final = object()
"""For an optional field that an example does not show."""


class Meaning(NamedTuple):
    """What a field means. `values`: all that a reply may have there today; None: anything of its type."""

    words: str
    example: Any = LEFT_OUT
    values: tuple[str, ...] | None = None


def values_of(values: Iterable[Enum]) -> tuple[str, ...]:
    """What the wire has for each of these."""
    return tuple(each.value for each in values)


_BOUNDS: Final = Limits()
PROBLEM: Final[Problem] = problem(Code.INSUFFICIENT_FUNDS)
BET_ID: Final = "0199a5f0-1111-7222-8333-444455556666"
AT_MS: Final = 1_760_000_000_000
LATER_MS: Final = 1_762_592_000_000
_HEX: Final = "6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b"
_BLOCK: Final = {
    "format": 1,
    "id": 428,
    "first_transaction_id": 88240,
    "last_transaction_id": 88243,
    "first_entry_id": 940,
    "last_entry_id": 946,
    "at": AT_MS * 1000,
    "prev_hash": _HEX,
    "history": _HEX,
    "root": _HEX,
    "key_id": _HEX,
}

MEANINGS: Final[dict[str, Meaning]] = {
    "type": Meaning("Which message this is."),
    "id": Meaning("The client's own name for this request; every reply to it carries the same.", "r1"),
    "token": Meaning(
        "An access token: a JWT as PROTOCOL describes it.",
        "eyJhbGciOiJIUzI1NiIsInR5cCI6ImF0K2p3dCJ9…",
    ),
    "key": Meaning(
        (
            "The idempotency key: the same key is the same command, for ever. Keys belong to the token's "
            "user and to the type of message."
        ),
        "round-9/won",
    ),
    "bet_id": Meaning("The bet: a UUID, made and kept by the client before it sends it.", BET_ID),
    "stake": Meaning("What is staked, in minor units.", 250),
    "nonce": Meaning("Fresh for each bet; a retry sends the same one.", "4f1c09aa27d3"),
    "sent_at": Meaning(
        (
            "When it was sent, by the client's clock: milliseconds since the Unix epoch. Taken from 80 s "
            "before to 10 s after the server's time."
        ),
        AT_MS,
    ),
    "currency": Meaning("ISO 4217. Of a bet: must be the wallet's, when given.", "EUR"),
    "game": Meaning("For the client's own records.", "roulette-3"),
    "round": Meaning("For the client's own records.", "round-9"),
    "selection": Meaning("For the client's own records.", "red"),
    "odds_milli": Meaning("Decimal odds times 1000.", 2000),
    "user_id": Meaning("The wallet.", 42),
    "free_bet_id": Meaning("The free bet.", 88241),
    "from_seq": Meaning("The `seq` of the newest entry that the client has; 0: all of them.", 917),
    "result": Meaning("What became of the bet.", "won"),
    "payout": Meaning("Gross, in minor units.", 500),
    "amount": Meaning("Minor units.", 5000),
    "for_approval": Meaning("True: the money is set aside until the hold is captured or released.", False),
    "hold_id": Meaning("The hold.", 88210),
    "expires_at": Meaning(
        "When it ends: milliseconds since the Unix epoch; left out or null: never.",
        LATER_MS,
    ),
    "legs": Meaning("The postings of the transfer. Their amounts sum to 0."),
    "name": Meaning("Of the service account, or of the staff.", "sportsbook"),
    "items": Meaning("The winners, paid in this order."),
    "payout_id": Meaning("The payout.", 88220),
    "first": Meaning("How many items the payout has so far: a chunk that came twice is refused.", 0),
    "total": Meaning("The sum of all items, in minor units.", 1500),
    "number": Meaning("The place of the item in the payout, from 0.", 1),
    "returns": Meaning("True: the money goes back to the house; false: it is paid now.", False),
    "suspended_from": Meaning("Shows items in suspense from this number on.", 0),
    "kind": Meaning("What is limited.", "loss"),
    "period": Meaning("The window, in UTC; weeks begin on Monday.", "week"),
    "until": Meaning("When the exclusion ends: milliseconds since the Unix epoch.", LATER_MS),
    "status": Meaning("`blocked`: takes no bets; `closed`: for good, and only when it is empty.", "blocked"),
    "participant_id": Meaning("The person: the number of his first wallet.", 42),
    "spend": Meaning(
        "Whether bonus money is spent before the wallet's own (`first`) or after it (`last`).",
        "last",
    ),
    "floor": Meaning("How far below zero the book may go, in minor units.", -50_000_000),
    "before": Meaning("What is older is archived: milliseconds since the Unix epoch.", 1_759_276_800_000),
    "archive_id": Meaning("The archive; of a request: absent for the newest one.", 88244),
    "transaction_id": Meaning("The transaction in the books.", 88200),
    "since": Meaning("An earlier block, of which the head proves that it comes after it.", 412),
    "block": Meaning("The block that seals the transaction.", 412),
    "seq": Meaning(
        ("The newest ledger entry of the wallet. Take a balance only when its `seq` is newer than yours."),
        918,
    ),
    "prev_seq": Meaning(
        "The entry of this wallet before it: whoever does not have that has missed one.",
        917,
    ),
    "balance": Meaning("All that is in the wallet, in minor units.", 99_750),
    "held": Meaning("What of it is set aside.", 0),
    "available": Meaning("What of it can be spent: `balance` − `held`.", 99_750),
    "replayed": Meaning(
        (
            "True: this was done before under the same key, and nothing happened again. Wallet fields are"
            " those of then."
        ),
        False,
    ),
    "retryable": Meaning("True: send the same again, with the same `bet_id` or `key`.", False),
    "retry_after_ms": Meaning("Come back after so many milliseconds.", LEFT_OUT),
    "code": Meaning("Why. The list may grow.", Code.INSUFFICIENT_FUNDS.name, values_of(Code)),
    "message": Meaning("The same for people; the words may change.", WORDS[Code.INSUFFICIENT_FUNDS]),
    "bonus": Meaning(
        (
            "What of the stake the wallet has not paid: its bonus has, or a free bet. Absent: the wallet "
            "has paid all."
        ),
        LEFT_OUT,
    ),
    "state": Meaning("Where it stands.", "confirmed", values_of(BetState)),
    "at": Meaning("When it was posted: milliseconds since the Unix epoch.", AT_MS),
    "server_time": Meaning("The server's clock: milliseconds since the Unix epoch.", AT_MS),
    "role": Meaning("Whose token it is.", "player", tuple(sorted(ROLES))),
    "limits": Meaning("The bounds that a client should know."),
    "gap": Meaning("True: older entries have been archived; take the `balance`.", False),
    "more": Meaning("True: there are more than 10,000; resume again from this `seq`.", False),
    "hold_state": Meaning("What became of the hold.", LEFT_OUT, values_of(HoldState)),
    "hold_left": Meaning("What the hold still sets aside, in minor units.", LEFT_OUT),
    "done": Meaning("How many items were paid or put into suspense.", 2),
    "suspended": Meaning("How many items are in suspense now.", 1),
    "in_suspense": Meaning(
        (
            "Items that could not be paid, also those that were resolved; at most 1000, from "
            "`suspended_from` on."
        ),
    ),
    "reason": Meaning("Why it could not be paid.", Code.ACCOUNT_BLOCKED.name, values_of(Code)),
    "limit": Meaning("The limit as it is now."),
    "pending": Meaning("What takes its place at `pending_from_at`; null: no limit.", 5000),
    "pending_from_at": Meaning(
        "When a looser limit begins to hold: milliseconds since the Unix epoch; null: none waits.",
        AT_MS + 86_400_000,
    ),
    "used": Meaning("What the running window has seen; below 0 if more was won than lost.", 150),
    "wallets": Meaning("All wallets of the person."),
    "free_bets": Meaning("Open free bets of the wallet that was asked for: the 100 that expire first."),
    "wallet_id": Meaning("Of a bonus wallet: the wallet that spends it.", LEFT_OUT),
    "expired": Meaning("Of a bonus wallet: true when what was in it has been taken back.", LEFT_OUT),
    "upto_block": Meaning("The last block that is in the archive.", 310),
    "upto_transaction_id": Meaning("The last transaction that is in it.", 60_112),
    "upto_entry_id": Meaning("The last ledger entry that is in it.", 120_411),
    "moved_transaction_id": Meaning("How far transactions are moved.", 60_112),
    "moved_entry_id": Meaning("How far ledger entries are moved.", 38_500),
    "receipt": Meaning(
        "The evidence, to be kept as it is; its format is in docs/evidence.md.",
        {"format": 1, "block": _BLOCK},
    ),
    "head": Meaning(
        "The newest signed block; its format is in docs/evidence.md.",
        {"format": 1, "block": _BLOCK},
    ),
    "jumped_ms": Meaning("How far the wall clock is from the time of the books; 0 while it is followed.", 0),
    "since_at": Meaning("When it was left, by the time of the books; null while it is followed.", None),
    "remaining_ms": Meaning(
        "How much longer all must be well before it closes; null: only a restart helps.",
        0,
    ),
    "frame_bytes": Meaning("The size of a frame.", _BOUNDS.frame_bytes),
    "frame_messages": Meaning("How many messages one frame may hold.", _BOUNDS.frame_messages),
    "in_flight": Meaning("How many commands of one socket may wait for their answer.", _BOUNDS.in_flight),
    "nonce_window_ms": Meaning("How long a nonce is remembered.", _BOUNDS.nonce_window_ms),
    "deadline_ms": Meaning(
        "How long a bet waits to be executed; then it is `TIMED_OUT`.",
        _BOUNDS.deadline_ms,
    ),
    "messages_per_s": Meaning(
        "How many messages a second one socket may send, with five seconds' worth at once.",
        _BOUNDS.messages_per_s,
    ),
    "after": Meaning("Shows what comes after this `seq`; 0: from the first entry on.", 0),
    "next": Meaning("What to ask for the next page with; null at the end.", None),
    "username": Meaning("The name that he logs in with: 3 to 64 characters, no spaces.", "ada"),
    "password": Meaning("8 to 256 characters.", "correct horse battery staple"),
    "cookie": Meaning("True: the refresh token goes into a cookie that no script can read.", LEFT_OUT),
    "refresh_token": Meaning("Good once, at `/v1/auth/refresh`; absent where a cookie has it.", "sgr_8b1f…"),
    "access_token": Meaning(
        "What requests and sockets are made with.",
        "eyJhbGciOiJIUzI1NiIsInR5cCI6ImF0K2p3dCJ9…",
    ),
    "token_type": Meaning("How it is shown: `Authorization: Bearer …`.", "Bearer"),
    "expires_in": Meaning("Seconds that the access token is good.", 900),
    "refresh_expires_in": Meaning(
        "Seconds that the log-in may last, however often it is refreshed.",
        2_592_000,
    ),
    "scope": Meaning(
        "What a service account may do of all that its role may; names with spaces between.",
        LEFT_OUT,
    ),
    "scopes": Meaning(
        "What a service account may do; null or absent: all that its role may.",
        ["bets", "read"],
    ),
    "grace_s": Meaning("How many seconds the keys before it stay good.", 3600),
    "created_at": Meaning("Since when: milliseconds since the Unix epoch.", AT_MS),
    "changed_at": Meaning("When the password was set: milliseconds since the Unix epoch.", AT_MS),
    "removed_at": Meaning("When he was removed: milliseconds since the Unix epoch; null: he was not.", None),
    "revoked_at": Meaning("When it was revoked: milliseconds since the Unix epoch; null: it was not.", None),
    "prefix": Meaning("How the key begins.", "sg_1f3a"),
    "good": Meaning("Whether it can be exchanged now.", True),
    "keys": Meaning("All keys that it ever had."),
    "over_ms": Meaning("How long the time was that these count; 0: none was counted yet.", 1000),
    "bets": Meaning("Bets that were answered."),
    "confirmed": Meaning("Told that they stand, for the first time.", 19_204),
    "rejected": Meaning("Refused, by code; codes that there were none of are left out.", {"OVERLOADED": 3}),
    "commands": Meaning("Commands answered that are no bets.", 12),
    "latency_ms": Meaning("From a bet's arrival until all of its batch were told."),
    "batch": Meaning("Batches that came to their end, and their sizes."),
    "batches": Meaning("How many.", 61),
    "commit_ms": Meaning("What COMMIT took."),
    "p50": Meaning("The median; null where there was nothing.", 11.25),
    "p99": Meaning("Of a hundred the second highest; null where there was nothing.", 23.7),
    "queue": Meaning("Commands that wait for a batch."),
    "length": Meaning("How many wait.", 310),
    "oldest_ms": Meaning("How long the oldest of them has waited.", 9),
    "wal_bytes": Meaning("The size of the write-ahead log; null: it cannot be looked at.", 4_194_304),
    "sockets": Meaning("Open sockets.", 402),
    "breaker": Meaning("Whether bets are taken."),
    "nonces": Meaning("The nonce store."),
    "why": Meaning("What is wrong, in words that may change; null where nothing is.", None),
    "storage_failed": Meaning("Why no money is taken until a restart; null while all is well.", None),
    "stopping": Meaning("True: the server is stopping.", False),
    "totals": Meaning("Bets answered since the server was started."),
    "check": Meaning("Which check: `reconcile` or `verify`.", "verify"),
    "began_at": Meaning("When it was begun: milliseconds since the Unix epoch; null: never.", AT_MS),
    "entries": Meaning("How many ledger entries were looked at.", 120_411),
    "found": Meaning("How many findings there are.", 0),
    "findings": Meaning("The first 20 findings, each a line as the command line prints it.", []),
    "by": Meaning(
        "Who began it, such as `operator anna`, or `operator 7` where nobody has a name for that number; "
        "`self-check`: the server by itself.",
        "self-check",
    ),
    "text": Meaning("The number of a wallet, or the beginning of a name.", "ad"),
    "hash": Meaning("The hash of that block, hexadecimal.", _HEX),
    "transactions": Meaning("What it went through, in order."),
    "opened_at": Meaning("When it was opened: milliseconds since the Unix epoch.", AT_MS),
    "key_id": Meaning("The name of the key: the first half of its SHA-256, hexadecimal.", _HEX[:32]),
    "public_key": Meaning(
        "The key that checks signatures: Ed25519, SubjectPublicKeyInfo in PEM.",
        "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA…\n-----END PUBLIC KEY-----\n",
    ),
    "since_block": Meaning("The first block that it has signed.", 1),
    "title": Meaning("The status in words.", PROBLEM.title),
    "detail": Meaning("What is wrong, for people; the words may change.", PROBLEM.detail),
}
"""By the name of the field, wherever it is; but see `ws/contracts/special_meanings.py`."""
