"""What a field means where that depends on the schema that it is in. Pure.

By the names of the schema and of the field; whatever is not here means what `ws/contracts/meanings.py` says.
"""

from __future__ import annotations

from typing import Final

from batcher.breaker import State as CircuitState
from engine.lifecycle import ArchiveState, BetState, FreeBetState, PayoutState
from engine.outcomes import Code
from ws.contracts.meanings import AT_MS, BET_ID, LEFT_OUT, PROBLEM, Meaning, values_of
from ws.wire.outcomes import AS_BET_REJECTED

SPECIAL_MEANINGS: Final[dict[tuple[str, str], Meaning]] = {
    ("Auth", "id"): Meaning("May be left out: `welcome` carries none.", LEFT_OUT),
    ("BetPlace", "user_id"): Meaning("A player's wallet, if and only if an operator asks.", LEFT_OUT),
    ("BetPlace", "free_bet_id"): Meaning("Pays the whole stake, which must be exactly its amount.", LEFT_OUT),
    ("BetSettle", "payout"): Meaning(
        (
            "Gross, in minor units. `won`: required; `lost`: nothing unless given; `void`: the stake that"
            " is left, or absent."
        ),
        500,
    ),
    ("BetRollback", "user_id"): Meaning("Must match when given.", 42),
    ("BetRollback", "stake"): Meaning("Must match when given.", 250),
    ("BetRollback", "currency"): Meaning("Must match when given.", LEFT_OUT),
    ("BetCashout", "stake"): Meaning("The part of the stake that is cashed out.", 100),
    ("BetCashout", "payout"): Meaning("The price, in minor units.", 130),
    ("HoldCapture", "amount"): Meaning("Minor units; absent: all that is left.", 500),
    ("TransferLeg", "name"): Meaning("What kind of posting it is.", "TRANSFER"),
    ("TransferLeg", "user_id"): Meaning("A player's wallet, or a book of the house's.", 42),
    ("TransferLeg", "amount"): Meaning("What it gets; below 0: what it gives. Not 0.", -1000),
    ("PayoutStart", "items"): Meaning("How many items were collected.", 2),
    ("LimitSet", "amount"): Meaning("Minor units; of `time` seconds; null: no limit.", 5000),
    ("LimitSet", "user_id"): Meaning("The wallet, if and only if an operator asks.", LEFT_OUT),
    ("LimitExclude", "user_id"): Meaning("The wallet, if and only if an operator asks.", LEFT_OUT),
    ("LimitGet", "user_id"): Meaning("The wallet, if and only if an operator or auditor asks.", LEFT_OUT),
    ("WalletList", "user_id"): Meaning(
        "Any wallet of a person, if and only if an operator or auditor asks.",
        LEFT_OUT,
    ),
    ("WalletOpen", "participant_id"): Meaning("Whose further wallet it is; absent: somebody new.", 42),
    ("BonusGrant", "user_id"): Meaning("The wallet that will spend it.", 42),
    ("BookFloor", "user_id"): Meaning("A book of the house's.", 1),
    ("ReceiptGet", "user_id"): Meaning(
        "Whose entries to show, for operators and auditors; a player sees his own.",
        LEFT_OUT,
    ),
    ("Welcome", "user_id"): Meaning(
        "Whose token it is: a player's wallet, or the number of whoever else asks.",
        42,
    ),
    ("BetMoved", "stake"): Meaning("The part of the stake that this ended, in minor units.", 250),
    ("BetMoved", "payout"): Meaning("What was paid, or taken back, in minor units.", 500),
    ("BetRejected", "code"): Meaning(
        "Why. The list may grow.",
        Code.INSUFFICIENT_FUNDS.name,
        tuple(sorted(code.value for code in AS_BET_REJECTED)),
    ),
    ("BetRejected", "retryable"): Meaning(
        (
            "True: send the same bet again. False: this `bet_id` never moves money; a new attempt needs a"
            " new one."
        ),
        False,
    ),
    ("BetState", "state"): Meaning(
        "`pending` until it is decided.",
        "confirmed",
        ("pending", "rejected", *values_of(BetState)),
    ),
    ("BetState", "payout"): Meaning("What it has paid so far, in minor units.", 0),
    ("BetState", "code"): Meaning(
        "Why it was rejected.",
        LEFT_OUT,
        tuple(sorted(code.value for code in AS_BET_REJECTED)),
    ),
    ("Error", "id"): Meaning(
        "The `id` of the request that this answers; null where none could be read.",
        "r1",
    ),
    ("Error", "code"): Meaning("Why. The list may grow.", Code.INVALID_REQUEST.name, values_of(Code)),
    ("Error", "message"): Meaning(
        "The same for people; the words may change.",
        "stake: expected an integer above 0",
    ),
    ("WalletEntry", "seq"): Meaning("The ledger entry's number.", 918),
    ("WalletEntry", "kind"): Meaning(
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
    ("WalletEntry", "amount"): Meaning("What the wallet got; below 0: what it gave.", -250),
    ("WalletEntry", "balance"): Meaning("The balance after it.", 99_750),
    ("WalletEntry", "bet_id"): Meaning("The bet, where it is about one.", BET_ID),
    ("Resumed", "seq"): Meaning("The last entry that was told; without one, the newest that there is.", 918),
    ("Payout", "items"): Meaning("How many items it has.", 2),
    ("Payout", "state"): Meaning("Where it stands.", "paid", values_of(PayoutState)),
    ("PayoutProgress", "items"): Meaning("How many items it has.", 2),
    ("PayoutProgress", "state"): Meaning("Where it stands.", "paid", values_of(PayoutState)),
    ("SuspendedItem", "state"): Meaning("What became of it.", "suspended", ("suspended", "paid", "returned")),
    ("SuspendedItem", "user_id"): Meaning("The winner's wallet.", 43),
    ("SuspendedItem", "amount"): Meaning("Minor units.", 500),
    ("LimitShown", "kind"): Meaning(
        "What is limited.",
        "loss",
        ("stake", "loss", "deposit", "time", "exclusion"),
    ),
    ("LimitShown", "period"): Meaning(
        "The window, in UTC; `ever` of an exclusion.",
        "week",
        ("day", "week", "month", "ever"),
    ),
    ("LimitShown", "amount"): Meaning(
        (
            "Minor units; of `time` seconds; of an `exclusion` when it ends; null: nothing is limited any"
            " more."
        ),
        2000,
    ),
    ("Limits", "limits"): Meaning("Every limit that was ever set."),
    ("WalletShown", "kind"): Meaning(
        "`bonus`: the bonus money beside another wallet.",
        "cash",
        ("cash", "bonus"),
    ),
    ("WalletShown", "status"): Meaning(
        "`blocked`: takes no bets; `closed`: for good.",
        "open",
        ("open", "blocked", "closed"),
    ),
    ("WalletShown", "spend"): Meaning(
        "Of a bonus wallet: spent before the other's own money, or after it.",
        LEFT_OUT,
        ("first", "last"),
    ),
    ("WalletShown", "expires_at"): Meaning(
        "Of a bonus wallet: when it ends, in milliseconds since the Unix epoch; null: never.",
        LEFT_OUT,
    ),
    ("BonusGranted", "user_id"): Meaning("The bonus wallet.", 78),
    ("BonusGranted", "spend"): Meaning(
        "The newest terms hold for all that is in it.",
        "last",
        ("first", "last"),
    ),
    ("WalletOpened", "user_id"): Meaning("The new wallet.", 77),
    ("BookChanged", "user_id"): Meaning("The book.", 1),
    ("FreeBetChanged", "state"): Meaning("What became of it.", "open", values_of(FreeBetState)),
    ("Archive", "state"): Meaning("Where it stands.", "moving", values_of(ArchiveState)),
    ("ExchangeKey", "key"): Meaning("The key of a service account.", "sg_1f3a…"),
    ("NewKey", "key"): Meaning("The key, in full, this once.", "sg_1f3a…"),
    ("NewKey", "name"): Meaning("The service account.", "sportsbook"),
    ("AccountShown", "name"): Meaning("The service account.", "sportsbook"),
    ("CreateKey", "name"): Meaning("What the service account is called.", "sportsbook"),
    ("CreateKey", "role"): Meaning("What it may do: `operator`, `auditor` or `admin`.", "operator"),
    ("AddStaff", "role"): Meaning("What he may do: `operator`, `auditor` or `admin`.", "auditor"),
    ("AddStaff", "username"): Meaning("The name that he logs in with: 3 to 64 characters.", "grace"),
    ("StaffShown", "username"): Meaning("The name that he logs in with.", "grace"),
    ("StaffShown", "user_id"): Meaning("His number: above all wallets.", 2**50),
    ("AccountShown", "user_id"): Meaning("Its number: above all wallets.", 2**50 + 2**49),
    ("KeyShown", "expires_at"): Meaning(
        "When it ends: milliseconds since the Unix epoch; null: never.",
        None,
    ),
    ("Tokens", "user_id"): Meaning(
        "Whose token it is: a wallet, one of the staff, or a service account.",
        42,
    ),
    ("Register", "currency"): Meaning("Of the wallet; absent: the house's first.", "EUR"),
    ("Figures", "id"): Meaning("That of the request, of the first one; absent where it is pushed.", LEFT_OUT),
    ("Figures", "at"): Meaning("Up to when: milliseconds since the Unix epoch.", AT_MS),
    ("BetsCounted", "replayed"): Meaning("Told so again.", 2),
    ("Totals", "confirmed"): Meaning("Told that they stand, for the first time.", 8_120_441),
    ("Totals", "replayed"): Meaning("Told so again.", 903),
    ("Totals", "rejected"): Meaning("Refused, whatever the code.", 20_115),
    ("BreakerShown", "state"): Meaning(
        "`open`: bets are refused with `CIRCUIT_OPEN`; `half_open`: a few are tried.",
        "closed",
        values_of(CircuitState),
    ),
    ("BreakerShown", "reason"): Meaning("Why bets are held back; null while `closed`.", None),
    ("BreakerShown", "remaining_ms"): Meaning("Unbroken health still missing before it closes.", 0),
    ("NoncesShown", "status"): Meaning(
        "`degraded`: the store is away, and nonces are checked in memory.", "ok", ("ok", "degraded")
    ),
    ("NoncesShown", "state"): Meaning("Of the breaker in front of the store; null: there is none.", None),
    ("NoncesShown", "remaining_ms"): Meaning(
        "Unbroken health still missing before that closes; null: there is none.", None
    ),
    ("CheckShown", "id"): Meaning("That of the request; absent where it is pushed.", LEFT_OUT),
    ("CheckShown", "check"): Meaning("Which check.", "verify", ("reconcile", "verify")),
    ("CheckShown", "state"): Meaning(
        "`failed`: there is no verdict, and `why` tells why.",
        "ok",
        ("never", "running", "ok", "findings", "failed"),
    ),
    ("CheckShown", "done"): Meaning("How many transactions were read.", 60_112),
    ("CheckShown", "total"): Meaning("Of how many; 0: not known yet.", 60_112),
    ("CheckShown", "at"): Meaning(
        "When it ended: milliseconds since the Unix epoch; null while it runs, or where there was none.",
        AT_MS,
    ),
    ("CheckShown", "why"): Meaning("Why there is no verdict; null where there is one.", None),
    ("CheckShown", "head"): Meaning(
        "The newest block that was looked at; null: none.", {"block": 428, "hash": "6b86b273" * 8}
    ),
    ("CheckedHead", "block"): Meaning("Its number.", 428),
    ("Players", "items"): Meaning("Those that were found, at most 20: the number first, then by name."),
    ("Players", "more"): Meaning("True: there are others; say more of the name.", False),
    ("PlayerFound", "username"): Meaning("The name that its player logs in with; null: he has none.", "ada"),
    ("PlayerFound", "status"): Meaning(
        "`blocked`: takes no bets; `closed`: for good.",
        "open",
        ("open", "blocked", "closed"),
    ),
    ("PayoutList", "limit"): Meaning("How many at most.", 100),
    ("PayoutList", "before"): Meaning(
        "Shows what comes before this payout; absent: from the newest one on.",
        LEFT_OUT,
    ),
    ("Payouts", "items"): Meaning("A page of them, newest first."),
    ("PayoutListed", "items"): Meaning("How many items it has.", 2),
    ("PayoutListed", "state"): Meaning("Where it stands.", "paid", values_of(PayoutState)),
    ("PayoutListed", "currency"): Meaning("ISO 4217.", "EUR"),
    ("Trail", "user_id"): Meaning("The wallet; 0: it was rolled back before it came, and is nobody's.", 42),
    ("Trail", "state"): Meaning("Where it stands.", "won", ("rejected", *values_of(BetState))),
    ("Trail", "payout"): Meaning("All that was paid for it and not taken back, in minor units.", 500),
    ("TrailStep", "kind"): Meaning(
        "What it did.",
        "BET",
        ("BET", "CASHOUT", "LOSS", "REFUND", "ROLLBACK", "TOMBSTONE", "UNSETTLE", "WIN"),
    ),
    ("TrailStep", "entries"): Meaning("What it posted; a player sees his own."),
    ("TrailEntry", "seq"): Meaning("The ledger entry's number.", 918),
    ("TrailEntry", "user_id"): Meaning("A wallet, or a book of the house's.", 42),
    ("TrailEntry", "amount"): Meaning("What it got; below 0: what it gave.", -250),
    ("TrailEntry", "balance"): Meaning("The balance after it.", 99_750),
    ("Keys", "items"): Meaning("Those that have signed blocks, the newest first."),
    ("EntriesGet", "after"): Meaning("Shows what comes after this `seq`; 0: from the first on.", LEFT_OUT),
    ("EntriesGet", "before"): Meaning(
        "Shows what comes before this `seq`, newest first; above the newest: from that on. Not with `after`.",
        LEFT_OUT,
    ),
    ("EntriesGet", "limit"): Meaning("How many at most.", 100),
    ("BetsGet", "limit"): Meaning("How many at most.", 100),
    ("BetsGet", "before"): Meaning(
        "Shows what comes before this `seq`; absent: from the newest bet on.",
        LEFT_OUT,
    ),
    ("BetsGet", "state"): Meaning("Only bets that stand so.", LEFT_OUT),
    ("BetsGet", "user_id"): Meaning("The wallet, if and only if an operator or auditor asks.", LEFT_OUT),
    ("EntriesGet", "user_id"): Meaning("The wallet, if and only if an operator or auditor asks.", LEFT_OUT),
    ("WalletGet", "user_id"): Meaning("The wallet, if and only if an operator or auditor asks.", LEFT_OUT),
    ("AuditLogGet", "limit"): Meaning("How many at most.", 100),
    ("AuditLogGet", "before"): Meaning(
        "Shows what comes before this deed; absent: from the newest one on.",
        LEFT_OUT,
    ),
    ("AuditLogGet", "actor"): Meaning(
        "Only what he did: the `sub` of a token; 0: at the command line.", LEFT_OUT
    ),
    ("AuditLogGet", "action"): Meaning("Only requests of this type.", LEFT_OUT),
    ("AuditLog", "items"): Meaning("A page of them, newest first."),
    ("DeedShown", "deed"): Meaning("Its number; there is none missing between two.", 31),
    ("DeedShown", "at"): Meaning("When it was decided: milliseconds since the Unix epoch.", AT_MS),
    ("DeedShown", "actor"): Meaning(
        "Who asked: the `sub` of his token; 0: at the command line.", 1125899906842624
    ),
    ("DeedShown", "role"): Meaning("In which role; `shell`: at the command line.", "operator"),
    ("DeedShown", "address"): Meaning(
        "From which network address; `user@machine` at the command line.", "192.0.2.1"
    ),
    ("DeedShown", "door"): Meaning(
        "`ws`, `http` or `cli`, the machine's command line, whether a server ran beside it or not.", "http"
    ),
    ("DeedShown", "action"): Meaning("The type of the message, whatever the door.", "bet.settle"),
    ("DeedShown", "subject"): Meaning("What the request named.", {"bet_id": BET_ID}),
    ("DeedShown", "key"): Meaning("The idempotency key; null where there is none.", "settle-1"),
    ("DeedShown", "outcome"): Meaning("`accepted`, or the code of the refusal.", "accepted"),
    ("DeedShown", "transaction_id"): Meaning("What it did in the ledger; null if nothing.", 88200),
    ("DeedShown", "name"): Meaning(
        "What the `actor` is called, who may have been removed since; null where nobody of the staff and no "
        "service account has this number.",
        "anna",
    ),
    ("BlockGet", "block"): Meaning("The number of the block.", 428),
    ("Wallet", "status"): Meaning(
        "`blocked`: takes no bets; `closed`: for good.",
        "open",
        ("open", "blocked", "closed"),
    ),
    ("Entries", "items"): Meaning("A page of them: oldest first, or with `before` newest first."),
    ("Bets", "items"): Meaning("A page of them, newest first; it may hold few, or none, before the end."),
    ("BetShown", "payout"): Meaning("All that was paid for it and not taken back, in minor units.", 0),
    ("BetShown", "seq"): Meaning("The ledger entry that staked it.", 918),
    ("BetShown", "at"): Meaning("When it was placed: milliseconds since the Unix epoch.", AT_MS),
    ("Problem", "type"): Meaning("Which kind of problem: a URI that names it, for ever.", PROBLEM.type),
    ("Problem", "status"): Meaning("The status of the answer.", PROBLEM.status),
    ("Problem", "code"): Meaning("Why. The list may grow.", PROBLEM.code, values_of(Code)),
    ("ClockShown", "state"): Meaning(
        "`unsure`: the wall clock has jumped, and the books go by a time of their own.",
        "sure",
        ("sure", "unsure"),
    ),
    ("ClockShown", "at"): Meaning("The time of the books: milliseconds since the Unix epoch.", AT_MS),
    ("CircuitShown", "state"): Meaning(
        "`open`: bets are refused with `CIRCUIT_OPEN`; `half_open`: a few are tried.",
        "closed",
        values_of(CircuitState),
    ),
    ("CircuitShown", "reason"): Meaning(
        "Why bets are held back, in words that may change; null while `closed`.",
        None,
    ),
    ("CircuitShown", "retry_after_ms"): Meaning(
        "When a bet that is refused now may come back; null: only a restart helps.",
        0,
    ),
}
