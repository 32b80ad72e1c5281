"""What each field of the contracts means, an example of it, and the values that a reply may have. Pure.

Types and bounds come from the types themselves; here is what a type cannot say. `tests/test_contracts.py`
sees that every field is here, and that nothing else is.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from typing import Any, Final, NamedTuple

from batcher.breaker import State as CircuitState
from engine.lifecycle import ArchiveState, BetState, FreeBetState, HoldState, PayoutState
from engine.outcomes import Code
from ws.codec import AS_BET_REJECTED, WORDS
from ws.effects import ROLES
from ws.http.problems import Problem, problem
from ws.wire.messages import Limits

LEFT_OUT: Final = object()
"""For an optional field that an example does not show."""


class Field(NamedTuple):
    """What a field means. `values`: all that a reply may have there today; None: anything of its type."""

    meaning: str
    example: Any = LEFT_OUT
    values: tuple[str, ...] | None = None


def _values(values: Iterable[Enum]) -> tuple[str, ...]:
    return tuple(each.value for each in values)


_BOUNDS: Final = Limits()
_PROBLEM: Final[Problem] = problem(Code.INSUFFICIENT_FUNDS)
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

ID_OF_A_REPLY: Final = "The `id` of the request that this answers."
FIELDS: Final[dict[str, Field]] = {
    "type": Field("Which message this is."),
    "id": Field("The client's own name for this request; every reply to it carries the same.", "r1"),
    "token": Field(
        "An access token: a JWT as PROTOCOL describes it.",
        "eyJhbGciOiJIUzI1NiIsInR5cCI6ImF0K2p3dCJ9…",
    ),
    "key": Field(
        (
            "The idempotency key: the same key is the same command, for ever. Keys belong to the token's "
            "user and to the type of message."
        ),
        "round-9/won",
    ),
    "bet_id": Field("The bet: a UUID, made and kept by the client before it sends it.", BET_ID),
    "stake": Field("What is staked, in minor units.", 250),
    "nonce": Field("Fresh for each bet; a retry sends the same one.", "4f1c09aa27d3"),
    "sent_at": Field(
        (
            "When it was sent, by the client's clock: milliseconds since the Unix epoch. Taken from 80 s "
            "before to 10 s after the server's time."
        ),
        AT_MS,
    ),
    "currency": Field("ISO 4217. Of a bet: must be the wallet's, when given.", "EUR"),
    "game": Field("For the client's own records.", "roulette-3"),
    "round": Field("For the client's own records.", "round-9"),
    "selection": Field("For the client's own records.", "red"),
    "odds_milli": Field("Decimal odds times 1000.", 2000),
    "user_id": Field("The wallet.", 42),
    "free_bet_id": Field("The free bet.", 88241),
    "from_seq": Field("The `seq` of the newest entry that the client has; 0: all of them.", 917),
    "result": Field("What became of the bet.", "won"),
    "payout": Field("Gross, in minor units.", 500),
    "amount": Field("Minor units.", 5000),
    "for_approval": Field("True: the money is set aside until the hold is captured or released.", False),
    "hold_id": Field("The hold.", 88210),
    "expires_at": Field(
        "When it ends: milliseconds since the Unix epoch; left out or null: never.",
        LATER_MS,
    ),
    "legs": Field("The postings of the transfer. Their amounts sum to 0."),
    "name": Field("Of the service account, or of the staff.", "sportsbook"),
    "items": Field("The winners, paid in this order."),
    "payout_id": Field("The payout.", 88220),
    "first": Field("How many items the payout has so far: a chunk that came twice is refused.", 0),
    "total": Field("The sum of all items, in minor units.", 1500),
    "number": Field("The place of the item in the payout, from 0.", 1),
    "returns": Field("True: the money goes back to the house; false: it is paid now.", False),
    "suspended_from": Field("Shows items in suspense from this number on.", 0),
    "kind": Field("What is limited.", "loss"),
    "period": Field("The window, in UTC; weeks begin on Monday.", "week"),
    "until": Field("When the exclusion ends: milliseconds since the Unix epoch.", LATER_MS),
    "status": Field("`blocked`: takes no bets; `closed`: for good, and only when it is empty.", "blocked"),
    "participant_id": Field("The person: the number of his first wallet.", 42),
    "spend": Field(
        "Whether bonus money is spent before the wallet's own (`first`) or after it (`last`).",
        "last",
    ),
    "floor": Field("How far below zero the book may go, in minor units.", -50_000_000),
    "before": Field("What is older is archived: milliseconds since the Unix epoch.", 1_759_276_800_000),
    "archive_id": Field("The archive; of a request: absent for the newest one.", 88244),
    "transaction_id": Field("The transaction in the books.", 88200),
    "since": Field("An earlier block, of which the head proves that it comes after it.", 412),
    "block": Field("The block that seals the transaction.", 412),
    "seq": Field(
        ("The newest ledger entry of the wallet. Take a balance only when its `seq` is newer than yours."),
        918,
    ),
    "prev_seq": Field(
        "The entry of this wallet before it: whoever does not have that has missed one.",
        917,
    ),
    "balance": Field("All that is in the wallet, in minor units.", 99_750),
    "held": Field("What of it is set aside.", 0),
    "available": Field("What of it can be spent: `balance` − `held`.", 99_750),
    "replayed": Field(
        (
            "True: this was done before under the same key, and nothing happened again. Wallet fields are"
            " those of then."
        ),
        False,
    ),
    "retryable": Field("True: send the same again, with the same `bet_id` or `key`.", False),
    "retry_after_ms": Field("Come back after so many milliseconds.", LEFT_OUT),
    "code": Field("Why. The list may grow.", Code.INSUFFICIENT_FUNDS.name, _values(Code)),
    "message": Field("The same for people; the words may change.", WORDS[Code.INSUFFICIENT_FUNDS]),
    "bonus": Field(
        (
            "What of the stake the wallet has not paid: its bonus has, or a free bet. Absent: the wallet "
            "has paid all."
        ),
        LEFT_OUT,
    ),
    "state": Field("Where it stands.", "confirmed", _values(BetState)),
    "at": Field("When it was posted: milliseconds since the Unix epoch.", AT_MS),
    "server_time": Field("The server's clock: milliseconds since the Unix epoch.", AT_MS),
    "role": Field("Whose token it is.", "player", tuple(sorted(ROLES))),
    "limits": Field("The bounds that a client should know."),
    "gap": Field("True: older entries have been archived; take the `balance`.", False),
    "more": Field("True: there are more than 10,000; resume again from this `seq`.", False),
    "hold_state": Field("What became of the hold.", LEFT_OUT, _values(HoldState)),
    "hold_left": Field("What the hold still sets aside, in minor units.", LEFT_OUT),
    "done": Field("How many items were paid or put into suspense.", 2),
    "suspended": Field("How many items are in suspense now.", 1),
    "in_suspense": Field(
        (
            "Items that could not be paid, also those that were resolved; at most 1000, from "
            "`suspended_from` on."
        ),
    ),
    "reason": Field("Why it could not be paid.", Code.ACCOUNT_BLOCKED.name, _values(Code)),
    "limit": Field("The limit as it is now."),
    "pending": Field("What takes its place at `pending_from_at`; null: no limit.", 5000),
    "pending_from_at": Field(
        "When a looser limit begins to hold: milliseconds since the Unix epoch; null: none waits.",
        AT_MS + 86_400_000,
    ),
    "used": Field("What the running window has seen; below 0 if more was won than lost.", 150),
    "wallets": Field("All wallets of the person."),
    "free_bets": Field("Open free bets of the wallet that was asked for: the 100 that expire first."),
    "wallet_id": Field("Of a bonus wallet: the wallet that spends it.", LEFT_OUT),
    "expired": Field("Of a bonus wallet: true when what was in it has been taken back.", LEFT_OUT),
    "upto_block": Field("The last block that is in the archive.", 310),
    "upto_transaction_id": Field("The last transaction that is in it.", 60_112),
    "upto_entry_id": Field("The last ledger entry that is in it.", 120_411),
    "moved_transaction_id": Field("How far transactions are moved.", 60_112),
    "moved_entry_id": Field("How far ledger entries are moved.", 38_500),
    "receipt": Field(
        "The evidence, to be kept as it is; its format is in docs/evidence.md.",
        {"format": 1, "block": _BLOCK},
    ),
    "head": Field(
        "The newest signed block; its format is in docs/evidence.md.",
        {"format": 1, "block": _BLOCK},
    ),
    "jumped_ms": Field("How far the wall clock is from the time of the books; 0 while it is followed.", 0),
    "since_at": Field("When it was left, by the time of the books; null while it is followed.", None),
    "remaining_ms": Field(
        "How much longer all must be well before it closes; null: only a restart helps.",
        0,
    ),
    "frame_bytes": Field("The size of a frame.", _BOUNDS.frame_bytes),
    "frame_messages": Field("How many messages one frame may hold.", _BOUNDS.frame_messages),
    "in_flight": Field("How many commands of one socket may wait for their answer.", _BOUNDS.in_flight),
    "nonce_window_ms": Field("How long a nonce is remembered.", _BOUNDS.nonce_window_ms),
    "deadline_ms": Field(
        "How long a bet waits to be executed; then it is `TIMED_OUT`.",
        _BOUNDS.deadline_ms,
    ),
    "messages_per_s": Field(
        "How many messages a second one socket may send, with five seconds' worth at once.",
        _BOUNDS.messages_per_s,
    ),
    "after": Field("Shows what comes after this `seq`; 0: from the first entry on.", 0),
    "next": Field("What to ask for the next page with; null at the end.", None),
    "username": Field("The name that he logs in with: 3 to 64 characters, no spaces.", "ada"),
    "password": Field("8 to 256 characters.", "correct horse battery staple"),
    "cookie": Field("True: the refresh token goes into a cookie that no script can read.", LEFT_OUT),
    "refresh_token": Field("Good once, at `/v1/auth/refresh`; absent where a cookie has it.", "sgr_8b1f…"),
    "access_token": Field(
        "What requests and sockets are made with.",
        "eyJhbGciOiJIUzI1NiIsInR5cCI6ImF0K2p3dCJ9…",
    ),
    "token_type": Field("How it is shown: `Authorization: Bearer …`.", "Bearer"),
    "expires_in": Field("Seconds that the access token is good.", 900),
    "refresh_expires_in": Field(
        "Seconds that the log-in may last, however often it is refreshed.",
        2_592_000,
    ),
    "scope": Field(
        "What a service account may do of all that its role may; names with spaces between.",
        LEFT_OUT,
    ),
    "scopes": Field(
        "What a service account may do; null or absent: all that its role may.",
        ["bets", "read"],
    ),
    "grace_s": Field("How many seconds the keys before it stay good.", 3600),
    "created_at": Field("Since when: milliseconds since the Unix epoch.", AT_MS),
    "changed_at": Field("When the password was set: milliseconds since the Unix epoch.", AT_MS),
    "removed_at": Field("When he was removed: milliseconds since the Unix epoch; null: he was not.", None),
    "revoked_at": Field("When it was revoked: milliseconds since the Unix epoch; null: it was not.", None),
    "prefix": Field("How the key begins.", "sg_1f3a"),
    "good": Field("Whether it can be exchanged now.", True),
    "keys": Field("All keys that it ever had."),
    "title": Field("The status in words.", _PROBLEM.title),
    "detail": Field("What is wrong, for people; the words may change.", _PROBLEM.detail),
}
"""By the name of the field."""

FIELDS_OF: Final[dict[tuple[str, str], Field]] = {
    ("Auth", "id"): Field("May be left out: `welcome` carries none.", LEFT_OUT),
    ("BetPlace", "user_id"): Field("A player's wallet, if and only if an operator asks.", LEFT_OUT),
    ("BetPlace", "free_bet_id"): Field("Pays the whole stake, which must be exactly its amount.", LEFT_OUT),
    ("BetSettle", "payout"): Field(
        (
            "Gross, in minor units. `won`: required; `lost`: nothing unless given; `void`: the stake that"
            " is left, or absent."
        ),
        500,
    ),
    ("BetRollback", "user_id"): Field("Must match when given.", 42),
    ("BetRollback", "stake"): Field("Must match when given.", 250),
    ("BetRollback", "currency"): Field("Must match when given.", LEFT_OUT),
    ("BetCashout", "stake"): Field("The part of the stake that is cashed out.", 100),
    ("BetCashout", "payout"): Field("The price, in minor units.", 130),
    ("HoldCapture", "amount"): Field("Minor units; absent: all that is left.", 500),
    ("TransferLeg", "name"): Field("What kind of posting it is.", "TRANSFER"),
    ("TransferLeg", "user_id"): Field("A player's wallet, or a book of the house's.", 42),
    ("TransferLeg", "amount"): Field("What it gets; below 0: what it gives. Not 0.", -1000),
    ("PayoutStart", "items"): Field("How many items were collected.", 2),
    ("LimitSet", "amount"): Field("Minor units; of `time` seconds; null: no limit.", 5000),
    ("LimitSet", "user_id"): Field("The wallet, if and only if an operator asks.", LEFT_OUT),
    ("LimitExclude", "user_id"): Field("The wallet, if and only if an operator asks.", LEFT_OUT),
    ("LimitGet", "user_id"): Field("The wallet, if and only if an operator or auditor asks.", LEFT_OUT),
    ("WalletList", "user_id"): Field(
        "Any wallet of a person, if and only if an operator or auditor asks.",
        LEFT_OUT,
    ),
    ("WalletOpen", "participant_id"): Field("Whose further wallet it is; absent: somebody new.", 42),
    ("BonusGrant", "user_id"): Field("The wallet that will spend it.", 42),
    ("BookFloor", "user_id"): Field("A book of the house's.", 1),
    ("ReceiptGet", "user_id"): Field(
        "Whose entries to show, for operators and auditors; a player sees his own.",
        LEFT_OUT,
    ),
    ("Welcome", "user_id"): Field(
        "Whose token it is: a player's wallet, or the number of whoever else asks.",
        42,
    ),
    ("BetMoved", "stake"): Field("The part of the stake that this ended, in minor units.", 250),
    ("BetMoved", "payout"): Field("What was paid, or taken back, in minor units.", 500),
    ("BetRejected", "code"): Field(
        "Why. The list may grow.",
        Code.INSUFFICIENT_FUNDS.name,
        tuple(sorted(code.value for code in AS_BET_REJECTED)),
    ),
    ("BetRejected", "retryable"): Field(
        (
            "True: send the same bet again. False: this `bet_id` never moves money; a new attempt needs a"
            " new one."
        ),
        False,
    ),
    ("BetState", "state"): Field(
        "`pending` until it is decided.",
        "confirmed",
        ("pending", "rejected", *_values(BetState)),
    ),
    ("BetState", "payout"): Field("What it has paid so far, in minor units.", 0),
    ("BetState", "code"): Field(
        "Why it was rejected.",
        LEFT_OUT,
        tuple(sorted(code.value for code in AS_BET_REJECTED)),
    ),
    ("Error", "id"): Field(
        "The `id` of the request that this answers; null where none could be read.",
        "r1",
    ),
    ("Error", "code"): Field("Why. The list may grow.", Code.INVALID_REQUEST.name, _values(Code)),
    ("Error", "message"): Field(
        "The same for people; the words may change.",
        "stake: expected an integer above 0",
    ),
    ("WalletEntry", "seq"): Field("The ledger entry's number.", 918),
    ("WalletEntry", "kind"): Field(
        "Why the money moved.",
        "BET",
        (
            "BET",
            "BONUS",
            "CAPTURE",
            "CASHOUT",
            "DEPOSIT",
            "EXPIRY",
            "FEE",
            "PAYOUT",
            "RECEIVABLE",
            "REFUND",
            "ROLLBACK",
            "SUSPENSE",
            "TAX",
            "TRANSFER",
            "UNSETTLE",
            "WIN",
            "WITHDRAWAL",
        ),
    ),
    ("WalletEntry", "amount"): Field("What the wallet got; below 0: what it gave.", -250),
    ("WalletEntry", "balance"): Field("The balance after it.", 99_750),
    ("WalletEntry", "bet_id"): Field("The bet, where it is about one.", BET_ID),
    ("Resumed", "seq"): Field("The last entry that was told; without one, the newest that there is.", 918),
    ("Payout", "items"): Field("How many items it has.", 2),
    ("Payout", "state"): Field("Where it stands.", "paid", _values(PayoutState)),
    ("PayoutProgress", "items"): Field("How many items it has.", 2),
    ("PayoutProgress", "state"): Field("Where it stands.", "paid", _values(PayoutState)),
    ("SuspendedItem", "state"): Field("What became of it.", "suspended", ("suspended", "paid", "returned")),
    ("SuspendedItem", "user_id"): Field("The winner's wallet.", 43),
    ("SuspendedItem", "amount"): Field("Minor units.", 500),
    ("LimitShown", "kind"): Field(
        "What is limited.",
        "loss",
        ("stake", "loss", "deposit", "time", "exclusion"),
    ),
    ("LimitShown", "period"): Field(
        "The window, in UTC; `ever` of an exclusion.",
        "week",
        ("day", "week", "month", "ever"),
    ),
    ("LimitShown", "amount"): Field(
        (
            "Minor units; of `time` seconds; of an `exclusion` when it ends; null: nothing is limited any"
            " more."
        ),
        2000,
    ),
    ("Limits", "limits"): Field("Every limit that was ever set."),
    ("WalletShown", "kind"): Field(
        "`bonus`: the bonus money beside another wallet.",
        "cash",
        ("cash", "bonus"),
    ),
    ("WalletShown", "status"): Field(
        "`blocked`: takes no bets; `closed`: for good.",
        "open",
        ("open", "blocked", "closed"),
    ),
    ("WalletShown", "spend"): Field(
        "Of a bonus wallet: spent before the other's own money, or after it.",
        LEFT_OUT,
        ("first", "last"),
    ),
    ("WalletShown", "expires_at"): Field(
        "Of a bonus wallet: when it ends, in milliseconds since the Unix epoch; null: never.",
        LEFT_OUT,
    ),
    ("BonusGranted", "user_id"): Field("The bonus wallet.", 78),
    ("BonusGranted", "spend"): Field(
        "The newest terms hold for all that is in it.",
        "last",
        ("first", "last"),
    ),
    ("WalletOpened", "user_id"): Field("The new wallet.", 77),
    ("BookChanged", "user_id"): Field("The book.", 1),
    ("FreeBetChanged", "state"): Field("What became of it.", "open", _values(FreeBetState)),
    ("Archive", "state"): Field("Where it stands.", "moving", _values(ArchiveState)),
    ("ExchangeKey", "key"): Field("The key of a service account.", "sg_1f3a…"),
    ("NewKey", "key"): Field("The key, in full, this once.", "sg_1f3a…"),
    ("NewKey", "name"): Field("The service account.", "sportsbook"),
    ("AccountShown", "name"): Field("The service account.", "sportsbook"),
    ("CreateKey", "name"): Field("What the service account is called.", "sportsbook"),
    ("CreateKey", "role"): Field("What it may do: `operator`, `auditor` or `admin`.", "operator"),
    ("AddStaff", "role"): Field("What he may do: `operator`, `auditor` or `admin`.", "auditor"),
    ("AddStaff", "username"): Field("The name that he logs in with: 3 to 64 characters.", "grace"),
    ("StaffShown", "username"): Field("The name that he logs in with.", "grace"),
    ("StaffShown", "user_id"): Field("His number: above all wallets.", 2**50),
    ("AccountShown", "user_id"): Field("Its number: above all wallets.", 2**50 + 2**49),
    ("KeyShown", "expires_at"): Field(
        "When it ends: milliseconds since the Unix epoch; null: never.",
        None,
    ),
    ("Tokens", "user_id"): Field(
        "Whose token it is: a wallet, one of the staff, or a service account.",
        42,
    ),
    ("Register", "currency"): Field("Of the wallet; absent: the house's first.", "EUR"),
    ("EntriesGet", "limit"): Field("How many at most.", 100),
    ("BetsGet", "limit"): Field("How many at most.", 100),
    ("BetsGet", "before"): Field(
        "Shows what comes before this `seq`; absent: from the newest bet on.",
        LEFT_OUT,
    ),
    ("BetsGet", "state"): Field("Only bets that stand so.", LEFT_OUT),
    ("BetsGet", "user_id"): Field("The wallet, if and only if an operator or auditor asks.", LEFT_OUT),
    ("EntriesGet", "user_id"): Field("The wallet, if and only if an operator or auditor asks.", LEFT_OUT),
    ("WalletGet", "user_id"): Field("The wallet, if and only if an operator or auditor asks.", LEFT_OUT),
    ("AuditLogGet", "limit"): Field("How many at most.", 100),
    ("AuditLogGet", "before"): Field(
        "Shows what comes before this deed; absent: from the newest one on.",
        LEFT_OUT,
    ),
    ("AuditLogGet", "actor"): Field(
        "Only what he did: the `sub` of a token; 0: at the command line.", LEFT_OUT
    ),
    ("AuditLogGet", "action"): Field("Only requests of this type.", LEFT_OUT),
    ("AuditLog", "items"): Field("A page of them, newest first."),
    ("DeedShown", "deed"): Field("Its number; there is none missing between two.", 31),
    ("DeedShown", "at"): Field("When it was decided: milliseconds since the Unix epoch.", AT_MS),
    ("DeedShown", "actor"): Field(
        "Who asked: the `sub` of his token; 0: at the command line.", 1125899906842624
    ),
    ("DeedShown", "role"): Field("In which role; `shell`: at the command line.", "operator"),
    ("DeedShown", "address"): Field(
        "From which network address; `user@machine` at the command line.", "192.0.2.1"
    ),
    ("DeedShown", "door"): Field(
        "`ws`, `http` or `cli`, the machine's command line, whether a server ran beside it or not.", "http"
    ),
    ("DeedShown", "action"): Field("The type of the message, whatever the door.", "bet.settle"),
    ("DeedShown", "subject"): Field("What the request named.", {"bet_id": BET_ID}),
    ("DeedShown", "key"): Field("The idempotency key; null where there is none.", "settle-1"),
    ("DeedShown", "outcome"): Field("`accepted`, or the code of the refusal.", "accepted"),
    ("DeedShown", "transaction_id"): Field("What it did in the ledger; null if nothing.", 88200),
    ("BlockGet", "block"): Field("The number of the block.", 428),
    ("Wallet", "status"): Field(
        "`blocked`: takes no bets; `closed`: for good.",
        "open",
        ("open", "blocked", "closed"),
    ),
    ("Entries", "items"): Field("A page of them, oldest first."),
    ("Bets", "items"): Field("A page of them, newest first; it may hold few, or none, before the end."),
    ("BetShown", "payout"): Field("All that was paid for it and not taken back, in minor units.", 0),
    ("BetShown", "seq"): Field("The ledger entry that staked it.", 918),
    ("BetShown", "at"): Field("When it was placed: milliseconds since the Unix epoch.", AT_MS),
    ("Problem", "type"): Field("Which kind of problem: a URI that names it, for ever.", _PROBLEM.type),
    ("Problem", "status"): Field("The status of the answer.", _PROBLEM.status),
    ("Problem", "code"): Field("Why. The list may grow.", _PROBLEM.code, _values(Code)),
    ("ClockShown", "state"): Field(
        "`unsure`: the wall clock has jumped, and the books go by a time of their own.",
        "sure",
        ("sure", "unsure"),
    ),
    ("ClockShown", "at"): Field("The time of the books: milliseconds since the Unix epoch.", AT_MS),
    ("CircuitShown", "state"): Field(
        "`open`: bets are refused with `CIRCUIT_OPEN`; `half_open`: a few are tried.",
        "closed",
        _values(CircuitState),
    ),
    ("CircuitShown", "reason"): Field(
        "Why bets are held back, in words that may change; null while `closed`.",
        None,
    ),
    ("CircuitShown", "retry_after_ms"): Field(
        "When a bet that is refused now may come back; null: only a restart helps.",
        0,
    ),
}
"""Where it depends on the schema what a field means."""
