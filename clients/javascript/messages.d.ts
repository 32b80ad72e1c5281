// The messages of `wallet.v1`, made by tests/client_types.py from the types that the server itself uses.

/**
 * Where an archive stands. `state`: `copying`, `moving` or `moved`; `upto_block`: the last one that is in it;
 * of the ids up to there, how far they are moved.
 */
export interface Archive {
  type: "archive";
  /** The client's own name for this request; every reply to it carries the same. */
  id: string;
  /** The archive; of a request: absent for the newest one. */
  archive_id: number;
  /** Where it stands. */
  state: "copying" | "moving";
  /** The last block that is in the archive. */
  upto_block: number;
  /** The last transaction that is in it. */
  upto_transaction_id: number;
  /** The last ledger entry that is in it. */
  upto_entry_id: number;
  /** The transaction in the books. */
  transaction_id?: number;
  /** The block that seals the transaction. */
  block?: number;
  /**
   * True: this was done before under the same key, and nothing happened again. Wallet fields are those of
   * then.
   */
  replayed?: boolean;
  /** How far transactions are moved. */
  moved_transaction_id?: number;
  /** How far ledger entries are moved. */
  moved_entry_id?: number;
}

/** `before`: what is older is moved out of the file, up to the end of a block. */
export interface ArchiveBegin {
  type: "archive.begin";
  /** The client's own name for this request; every reply to it carries the same. */
  id: string;
  /**
   * The idempotency key: the same key is the same command, for ever. Keys belong to the token's user and to
   * the type of message.
   */
  key: string;
  /** What is older is archived: milliseconds since the Unix epoch. */
  before: number;
}

/** `archive_id`: absent for the newest one. */
export interface ArchiveGet {
  type: "archive.get";
  /** The client's own name for this request; every reply to it carries the same. */
  id: string;
  /** The archive; of a request: absent for the newest one. */
  archive_id?: number | null;
}

/** The first message of a client that cannot set headers: a browser. */
export interface Auth {
  type: "auth";
  /** An access token: a JWT as PROTOCOL describes it. */
  token: string;
  /** May be left out: `welcome` carries none. */
  id?: string | null;
}

/** what is in the wallet */
export interface Balance {
  type: "balance";
  /** The client's own name for this request; every reply to it carries the same. */
  id: string;
  /** ISO 4217. Of a bet: must be the wallet's, when given. */
  currency: string;
  /** All that is in the wallet, in minor units. */
  balance: number;
  /** What of it is set aside. */
  held: number;
  /** What of it can be spent: `balance` − `held`. */
  available: number;
  /** The newest ledger entry of the wallet. Take a balance only when its `seq` is newer than yours. */
  seq: number;
}

/** the balance of this socket's wallet */
export interface BalanceGet {
  type: "balance.get";
  /** The client's own name for this request; every reply to it carries the same. */
  id: string;
}

/** Batches that came to their end, and how many commands they had. */
export interface BatchesCounted {
  /** How many. */
  batches: number;
  /** The median; null where there was nothing. */
  p50: number | null;
  /** Of a hundred the second highest; null where there was nothing. */
  p99: number | null;
}

/** a part of the stake, or all of it, is over and paid */
export interface BetCashedOut {
  type: "bet.cashed_out";
  /** The client's own name for this request; every reply to it carries the same. */
  id: string;
  /** The bet: a UUID, made and kept by the client before it sends it. */
  bet_id: string;
  /** Where it stands. */
  state: "confirmed" | "won" | "lost" | "void" | "cashed_out" | "rolled_back";
  /** The part of the stake that this ended, in minor units. */
  stake: number;
  /** What was paid, or taken back, in minor units. */
  payout: number;
  /** The transaction in the books. */
  transaction_id: number;
  /** The block that seals the transaction. */
  block: number;
  /**
   * True: this was done before under the same key, and nothing happened again. Wallet fields are those of
   * then.
   */
  replayed: boolean;
  /** The newest ledger entry of the wallet. Take a balance only when its `seq` is newer than yours. */
  seq?: number;
  /** All that is in the wallet, in minor units. */
  balance?: number;
  /** What of it is set aside. */
  held?: number;
  /** What of it can be spent: `balance` − `held`. */
  available?: number;
}

/** pay for a part of its stake */
export interface BetCashout {
  type: "bet.cashout";
  /** The client's own name for this request; every reply to it carries the same. */
  id: string;
  /**
   * The idempotency key: the same key is the same command, for ever. Keys belong to the token's user and to
   * the type of message.
   */
  key: string;
  /** The bet: a UUID, made and kept by the client before it sends it. */
  bet_id: string;
  /** The part of the stake that is cashed out. */
  stake: number;
  /** The price, in minor units. */
  payout: number;
}

/** the stake has moved, on disk */
export interface BetConfirmed {
  type: "bet.confirmed";
  /** The client's own name for this request; every reply to it carries the same. */
  id: string;
  /** The bet: a UUID, made and kept by the client before it sends it. */
  bet_id: string;
  /** What is staked, in minor units. */
  stake: number;
  /** The transaction in the books. */
  transaction_id: number;
  /** The block that seals the transaction. */
  block: number;
  /** The newest ledger entry of the wallet. Take a balance only when its `seq` is newer than yours. */
  seq: number;
  /** All that is in the wallet, in minor units. */
  balance: number;
  /** What of it is set aside. */
  held: number;
  /** What of it can be spent: `balance` − `held`. */
  available: number;
  /**
   * True: this was done before under the same key, and nothing happened again. Wallet fields are those of
   * then.
   */
  replayed: boolean;
  /**
   * What of the stake the wallet has not paid: its bonus has, or a free bet. Absent: the wallet has paid all.
   */
  bonus?: number;
}

/** what has become of a bet */
export interface BetGet {
  type: "bet.get";
  /** The client's own name for this request; every reply to it carries the same. */
  id: string;
  /** The bet: a UUID, made and kept by the client before it sends it. */
  bet_id: string;
}

/** the bet was taken in; nothing has moved yet */
export interface BetPending {
  type: "bet.pending";
  /** The client's own name for this request; every reply to it carries the same. */
  id: string;
  /** The bet: a UUID, made and kept by the client before it sends it. */
  bet_id: string;
}

/** place a bet */
export interface BetPlace {
  type: "bet.place";
  /** The client's own name for this request; every reply to it carries the same. */
  id: string;
  /** The bet: a UUID, made and kept by the client before it sends it. */
  bet_id: string;
  /** What is staked, in minor units. */
  stake: number;
  /** Fresh for each bet; a retry sends the same one. */
  nonce: string;
  /**
   * When it was sent, by the client's clock: milliseconds since the Unix epoch. Taken from 80 s before to 10
   * s after the server's time.
   */
  sent_at: number;
  /** ISO 4217. Of a bet: must be the wallet's, when given. */
  currency?: string | null;
  /** For the client's own records. */
  game?: string | null;
  /** For the client's own records. */
  round?: string | null;
  /** For the client's own records. */
  selection?: string | null;
  /** Decimal odds times 1000. */
  odds_milli?: number | null;
  /** A player's wallet, if and only if an operator asks. */
  user_id?: number | null;
  /** Pays the whole stake, which must be exactly its amount. */
  free_bet_id?: number | null;
}

/** this bet_id has moved no money */
export interface BetRejected {
  type: "bet.rejected";
  /** The client's own name for this request; every reply to it carries the same. */
  id: string;
  /** The bet: a UUID, made and kept by the client before it sends it. */
  bet_id: string;
  /** Why. The list may grow. */
  code:
   
    | "ACCOUNT_BLOCKED"
    | "ACCOUNT_NOT_FOUND"
    | "BET_CLOSED"
    | "BET_ROLLED_BACK"
    | "CIRCUIT_OPEN"
    | "CURRENCY_MISMATCH"
    | "INSUFFICIENT_FUNDS"
    | "LIMIT_EXCEEDED"
    | "OVERLOADED"
    | "RATE_LIMITED"
    | "TIMED_OUT";
  /** The same for people; the words may change. */
  message: string;
  /** True: send the same bet again. False: this `bet_id` never moves money; a new attempt needs a new one. */
  retryable: boolean;
  /**
   * True: this was done before under the same key, and nothing happened again. Wallet fields are those of
   * then.
   */
  replayed: boolean;
  /** All that is in the wallet, in minor units. */
  balance?: number;
  /** What of it is set aside. */
  held?: number;
  /** What of it can be spent: `balance` − `held`. */
  available?: number;
  /** Come back after so many milliseconds. */
  retry_after_ms?: number;
}

/** as if the bet had never been */
export interface BetRollback {
  type: "bet.rollback";
  /** The client's own name for this request; every reply to it carries the same. */
  id: string;
  /**
   * The idempotency key: the same key is the same command, for ever. Keys belong to the token's user and to
   * the type of message.
   */
  key: string;
  /** The bet: a UUID, made and kept by the client before it sends it. */
  bet_id: string;
  /** Must match when given. */
  user_id?: number | null;
  /** Must match when given. */
  stake?: number | null;
  /** Must match when given. */
  currency?: string | null;
}

/** the bet is undone, or will be refused when it comes */
export interface BetRolledBack {
  type: "bet.rolled_back";
  /** The client's own name for this request; every reply to it carries the same. */
  id: string;
  /** The bet: a UUID, made and kept by the client before it sends it. */
  bet_id: string;
  /** Where it stands. */
  state: "confirmed" | "won" | "lost" | "void" | "cashed_out" | "rolled_back";
  /** The part of the stake that this ended, in minor units. */
  stake: number;
  /** What was paid, or taken back, in minor units. */
  payout: number;
  /** The transaction in the books. */
  transaction_id: number;
  /** The block that seals the transaction. */
  block: number;
  /**
   * True: this was done before under the same key, and nothing happened again. Wallet fields are those of
   * then.
   */
  replayed: boolean;
  /** The newest ledger entry of the wallet. Take a balance only when its `seq` is newer than yours. */
  seq?: number;
  /** All that is in the wallet, in minor units. */
  balance?: number;
  /** What of it is set aside. */
  held?: number;
  /** What of it can be spent: `balance` − `held`. */
  available?: number;
}

/** end a bet, and pay */
export interface BetSettle {
  type: "bet.settle";
  /** The client's own name for this request; every reply to it carries the same. */
  id: string;
  /**
   * The idempotency key: the same key is the same command, for ever. Keys belong to the token's user and to
   * the type of message.
   */
  key: string;
  /** The bet: a UUID, made and kept by the client before it sends it. */
  bet_id: string;
  /** What became of the bet. */
  result: Result;
  /**
   * Gross, in minor units. `won`: required; `lost`: nothing unless given; `void`: the stake that is left, or
   * absent.
   */
  payout?: number | null;
}

/** the bet is over, and paid */
export interface BetSettled {
  type: "bet.settled";
  /** The client's own name for this request; every reply to it carries the same. */
  id: string;
  /** The bet: a UUID, made and kept by the client before it sends it. */
  bet_id: string;
  /** Where it stands. */
  state: "confirmed" | "won" | "lost" | "void" | "cashed_out" | "rolled_back";
  /** The part of the stake that this ended, in minor units. */
  stake: number;
  /** What was paid, or taken back, in minor units. */
  payout: number;
  /** The transaction in the books. */
  transaction_id: number;
  /** The block that seals the transaction. */
  block: number;
  /**
   * True: this was done before under the same key, and nothing happened again. Wallet fields are those of
   * then.
   */
  replayed: boolean;
  /** The newest ledger entry of the wallet. Take a balance only when its `seq` is newer than yours. */
  seq?: number;
  /** All that is in the wallet, in minor units. */
  balance?: number;
  /** What of it is set aside. */
  held?: number;
  /** What of it can be spent: `balance` − `held`. */
  available?: number;
}

/** where a bet stands */
export interface BetState {
  type: "bet.state";
  /** The client's own name for this request; every reply to it carries the same. */
  id: string;
  /** The bet: a UUID, made and kept by the client before it sends it. */
  bet_id: string;
  /** `pending` until it is decided. */
  state: "pending" | "rejected" | "confirmed" | "won" | "lost" | "void" | "cashed_out" | "rolled_back";
  /** What is staked, in minor units. */
  stake: number;
  /** What it has paid so far, in minor units. */
  payout: number;
  /** The transaction in the books. */
  transaction_id?: number;
  /** The newest ledger entry of the wallet. Take a balance only when its `seq` is newer than yours. */
  seq?: number;
  /** Why it was rejected. */
  code?:
   
    | "ACCOUNT_BLOCKED"
    | "ACCOUNT_NOT_FOUND"
    | "BET_CLOSED"
    | "BET_ROLLED_BACK"
    | "CIRCUIT_OPEN"
    | "CURRENCY_MISMATCH"
    | "INSUFFICIENT_FUNDS"
    | "LIMIT_EXCEEDED"
    | "OVERLOADED"
    | "RATE_LIMITED"
    | "TIMED_OUT";
}

/** take a settlement back */
export interface BetUnsettle {
  type: "bet.unsettle";
  /** The client's own name for this request; every reply to it carries the same. */
  id: string;
  /**
   * The idempotency key: the same key is the same command, for ever. Keys belong to the token's user and to
   * the type of message.
   */
  key: string;
  /** The bet: a UUID, made and kept by the client before it sends it. */
  bet_id: string;
}

/** the bet is confirmed again */
export interface BetUnsettled {
  type: "bet.unsettled";
  /** The client's own name for this request; every reply to it carries the same. */
  id: string;
  /** The bet: a UUID, made and kept by the client before it sends it. */
  bet_id: string;
  /** Where it stands. */
  state: "confirmed" | "won" | "lost" | "void" | "cashed_out" | "rolled_back";
  /** The part of the stake that this ended, in minor units. */
  stake: number;
  /** What was paid, or taken back, in minor units. */
  payout: number;
  /** The transaction in the books. */
  transaction_id: number;
  /** The block that seals the transaction. */
  block: number;
  /**
   * True: this was done before under the same key, and nothing happened again. Wallet fields are those of
   * then.
   */
  replayed: boolean;
  /** The newest ledger entry of the wallet. Take a balance only when its `seq` is newer than yours. */
  seq?: number;
  /** All that is in the wallet, in minor units. */
  balance?: number;
  /** What of it is set aside. */
  held?: number;
  /** What of it can be spent: `balance` − `held`. */
  available?: number;
}

/** Bets that were answered. `rejected`: by code, those codes that there were. */
export interface BetsCounted {
  /** Told that they stand, for the first time. */
  confirmed: number;
  /** Told so again. */
  replayed: number;
  /** Refused, by code; codes that there were none of are left out. */
  rejected: {[field: string]: unknown};
}

/** `user_id`: the wallet that the bonus is spent from. `expires_at`: left out if never. */
export interface BonusGrant {
  type: "bonus.grant";
  /** The client's own name for this request; every reply to it carries the same. */
  id: string;
  /**
   * The idempotency key: the same key is the same command, for ever. Keys belong to the token's user and to
   * the type of message.
   */
  key: string;
  /** The wallet that will spend it. */
  user_id: number;
  /** Minor units. */
  amount: number;
  /** Whether bonus money is spent before the wallet's own (`first`) or after it (`last`). */
  spend: "first" | "last";
  /** When it ends: milliseconds since the Unix epoch; left out or null: never. */
  expires_at?: number | null;
}

/** The bonus wallet `user_id` afterwards, and the terms of all that is in it. `expires_at`: null if never. */
export interface BonusGranted {
  type: "bonus.granted";
  /** The client's own name for this request; every reply to it carries the same. */
  id: string;
  /** The bonus wallet. */
  user_id: number;
  /** The newest terms hold for all that is in it. */
  spend: "first" | "last";
  /** When it ends: milliseconds since the Unix epoch; left out or null: never. */
  expires_at: number | null;
  /** The transaction in the books. */
  transaction_id: number;
  /** The block that seals the transaction. */
  block: number;
  /**
   * True: this was done before under the same key, and nothing happened again. Wallet fields are those of
   * then.
   */
  replayed: boolean;
  /** The newest ledger entry of the wallet. Take a balance only when its `seq` is newer than yours. */
  seq?: number;
  /** All that is in the wallet, in minor units. */
  balance?: number;
  /** What of it is set aside. */
  held?: number;
  /** What of it can be spent: `balance` − `held`. */
  available?: number;
}

/** how far a book may go now */
export interface BookChanged {
  type: "book.changed";
  /** The client's own name for this request; every reply to it carries the same. */
  id: string;
  /** The book. */
  user_id: number;
  /** How far below zero the book may go, in minor units. */
  floor: number;
  /** The transaction in the books. */
  transaction_id: number;
  /** The block that seals the transaction. */
  block: number;
  /**
   * True: this was done before under the same key, and nothing happened again. Wallet fields are those of
   * then.
   */
  replayed: boolean;
}

/** `floor`: how far below zero the book may go from now on. */
export interface BookFloor {
  type: "book.floor";
  /** The client's own name for this request; every reply to it carries the same. */
  id: string;
  /**
   * The idempotency key: the same key is the same command, for ever. Keys belong to the token's user and to
   * the type of message.
   */
  key: string;
  /** A book of the house's. */
  user_id: number;
  /** How far below zero the book may go, in minor units. */
  floor: number;
}

/** The bounds that a client should know. Source: PROTOCOL, `welcome`. */
export interface Bounds {
  /** The size of a frame. */
  frame_bytes?: number;
  /** How many messages one frame may hold. */
  frame_messages?: number;
  /** How many commands of one socket may wait for their answer. */
  in_flight?: number;
  /** How long a nonce is remembered. */
  nonce_window_ms?: number;
  /** How long a bet waits to be executed; then it is `TIMED_OUT`. */
  deadline_ms?: number;
  /** How many messages a second one socket may send, with five seconds' worth at once. */
  messages_per_s?: number;
}

/** Whether bets are taken; `remaining_ms`: the health still missing before it closes. */
export interface BreakerShown {
  /** `open`: bets are refused with `CIRCUIT_OPEN`; `half_open`: a few are tried. */
  state: "closed" | "open" | "half_open";
  /** Why bets are held back; null while `closed`. */
  reason: string | null;
  /** Unbroken health still missing before it closes. */
  remaining_ms: number;
}

/** Where one is under way, it is that one. */
export interface CheckBegin {
  type: "check.begin";
  /** The client's own name for this request; every reply to it carries the same. */
  id: string;
  /** Which check: `reconcile` or `verify`. */
  check: "reconcile" | "verify";
}

/** how far that is, or what it has found */
export interface CheckGet {
  type: "check.get";
  /** The client's own name for this request; every reply to it carries the same. */
  id: string;
  /** Which check: `reconcile` or `verify`. */
  check: "reconcile" | "verify";
}

/**
 * A check under way, or what the newest one has found. A reply has the `id` of its request; a push has none.
 */
export interface CheckShown {
  type: "check";
  /** That of the request; absent where it is pushed. */
  id?: string;
  /** Which check. */
  check: "reconcile" | "verify";
  /** `failed`: there is no verdict, and `why` tells why. */
  state: "never" | "running" | "ok" | "findings" | "failed";
  /** How many transactions were read. */
  done: number;
  /** Of how many; 0: not known yet. */
  total: number;
  /** When it was begun: milliseconds since the Unix epoch; null: never. */
  began_at: number | null;
  /** When it ended: milliseconds since the Unix epoch; null while it runs, or where there was none. */
  at: number | null;
  /** How many ledger entries were looked at. */
  entries: number;
  /** How many findings there are. */
  found: number;
  /** The first 20 findings, each a line as the command line prints it. */
  findings: Array<string>;
  /** Why there is no verdict; null where there is one. */
  why: string | null;
  /** The newest block that was looked at; null: none. */
  head: CheckedHead | null;
  /**
   * Who began it, such as `operator anna`, or `operator 7` where nobody has a name for that number;
   * `self-check`: the server by itself.
   */
  by: string | null;
}

/** The newest block that was looked at, and its hash. */
export interface CheckedHead {
  /** Its number. */
  block: number;
  /** The hash of that block, hexadecimal. */
  hash: string;
}

/** whether bets are taken */
export interface CircuitGet {
  type: "circuit.get";
  /** The client's own name for this request; every reply to it carries the same. */
  id: string;
}

/** whether bets are taken */
export interface CircuitShown {
  type: "circuit";
  /** The client's own name for this request; every reply to it carries the same. */
  id: string;
  /** `open`: bets are refused with `CIRCUIT_OPEN`; `half_open`: a few are tried. */
  state: "closed" | "open" | "half_open";
  /** Why bets are held back, in words that may change; null while `closed`. */
  reason: string | null;
  /** How much longer all must be well before it closes; null: only a restart helps. */
  remaining_ms: number | null;
  /** When a bet that is refused now may come back; null: only a restart helps. */
  retry_after_ms: number | null;
}

/** The wall clock is right, wherever it stands. */
export interface ClockConfirm {
  type: "clock.confirm";
  /** The client's own name for this request; every reply to it carries the same. */
  id: string;
}

/** whether the time of the books follows the wall clock */
export interface ClockGet {
  type: "clock.get";
  /** The client's own name for this request; every reply to it carries the same. */
  id: string;
}

/**
 * Whether the time of the books follows the wall clock. `state`: `sure` or `unsure`; `at`: the time of the
 * books; `jumped_ms`: how far the wall clock is from it, below 0 if behind, 0 while it is followed;
 * `since_at`: the time of the books when it was left, null while it is followed.
 */
export interface ClockShown {
  type: "clock";
  /** The client's own name for this request; every reply to it carries the same. */
  id: string;
  /** `unsure`: the wall clock has jumped, and the books go by a time of their own. */
  state: "sure" | "unsure";
  /** The time of the books: milliseconds since the Unix epoch. */
  at: number;
  /** How far the wall clock is from the time of the books; 0 while it is followed. */
  jumped_ms: number;
  /** When it was left, by the time of the books; null while it is followed. */
  since_at: number | null;
}

/** the request was not carried out, or nobody knows: it says nothing about a bet */
export interface ErrorReply {
  type: "error";
  /** The `id` of the request that this answers; null where none could be read. */
  id: string | null;
  /** Why. The list may grow. */
  code:
   
    | "INVALID_REQUEST"
    | "UNAUTHORIZED"
    | "FORBIDDEN"
    | "NOT_FOUND"
    | "IDEMPOTENCY_CONFLICT"
    | "STALE_REQUEST"
    | "NONCE_REUSED"
    | "OUTCOME_UNKNOWN"
    | "INTERNAL"
    | "RATE_LIMITED"
    | "CIRCUIT_OPEN"
    | "OVERLOADED"
    | "TIMED_OUT"
    | "ACCOUNT_NOT_FOUND"
    | "ACCOUNT_BLOCKED"
    | "CURRENCY_MISMATCH"
    | "BET_ROLLED_BACK"
    | "BET_CLOSED"
    | "HOLD_CLOSED"
    | "PAYOUT_CLOSED"
    | "LIMIT_EXCEEDED"
    | "INSUFFICIENT_FUNDS";
  /** The same for people; the words may change. */
  message: string;
  /** True: send the same again, with the same `bet_id` or `key`. */
  retryable: boolean;
  /** Come back after so many milliseconds. */
  retry_after_ms?: number;
}

/** What the last `over_ms` have brought, up to `at`. A reply has the `id` of its request, a push has none. */
export interface Figures {
  type: "figures";
  /** That of the request, of the first one; absent where it is pushed. */
  id?: string;
  /** Up to when: milliseconds since the Unix epoch. */
  at: number;
  /** How long the time was that these count; 0: none was counted yet. */
  over_ms: number;
  /** Bets that were answered. */
  bets: BetsCounted;
  /** Commands answered that are no bets. */
  commands: number;
  /** From a bet's arrival until all of its batch were told. */
  latency_ms: Quantiles;
  /** Batches that came to their end, and their sizes. */
  batch: BatchesCounted;
  /** What COMMIT took. */
  commit_ms: Quantiles;
  /** Commands that wait for a batch. */
  queue: QueueShown;
  /** The size of the write-ahead log; null: it cannot be looked at. */
  wal_bytes: number | null;
  /** Open sockets. */
  sockets: number;
  /** Whether bets are taken. */
  breaker: BreakerShown;
  /** The nonce store. */
  nonces: NoncesShown;
  /** Why no money is taken until a restart; null while all is well. */
  storage_failed: string | null;
  /** True: the server is stopping. */
  stopping: boolean;
  /** Bets answered since the server was started. */
  totals: Totals;
}

/** how the server does, now and each second from now on */
export interface FiguresFollow {
  type: "figures.follow";
  /** The client's own name for this request; every reply to it carries the same. */
  id: string;
}

/** what became of a free bet */
export interface FreeBetChanged {
  type: "free_bet.changed";
  /** The client's own name for this request; every reply to it carries the same. */
  id: string;
  /** The free bet. */
  free_bet_id: number;
  /** What became of it. */
  state: "open" | "used" | "revoked" | "expired";
  /** Minor units. */
  amount: number;
  /** The transaction in the books. */
  transaction_id: number;
  /** The block that seals the transaction. */
  block: number;
  /**
   * True: this was done before under the same key, and nothing happened again. Wallet fields are those of
   * then.
   */
  replayed: boolean;
}

/** `expires_at`: left out if never. */
export interface FreeBetGrant {
  type: "free_bet.grant";
  /** The client's own name for this request; every reply to it carries the same. */
  id: string;
  /**
   * The idempotency key: the same key is the same command, for ever. Keys belong to the token's user and to
   * the type of message.
   */
  key: string;
  /** The wallet. */
  user_id: number;
  /** Minor units. */
  amount: number;
  /** When it ends: milliseconds since the Unix epoch; left out or null: never. */
  expires_at?: number | null;
}

/** take it back */
export interface FreeBetRevoke {
  type: "free_bet.revoke";
  /** The client's own name for this request; every reply to it carries the same. */
  id: string;
  /**
   * The idempotency key: the same key is the same command, for ever. Keys belong to the token's user and to
   * the type of message.
   */
  key: string;
  /** The free bet. */
  free_bet_id: number;
}

/** A bet that may be placed without paying for it. `expires_at`: null if never. */
export interface FreeBetShown {
  /** The free bet. */
  free_bet_id: number;
  /** Minor units. */
  amount: number;
  /** When it ends: milliseconds since the Unix epoch; left out or null: never. */
  expires_at: number | null;
}

/** `since`: an earlier block, of which the head proves that it comes after it. */
export interface HeadGet {
  type: "head.get";
  /** The client's own name for this request; every reply to it carries the same. */
  id: string;
  /** An earlier block, of which the head proves that it comes after it. */
  since?: number | null;
}

/** `head`: as `engine.receipts.head` makes it. */
export interface HeadShown {
  type: "head";
  /** The client's own name for this request; every reply to it carries the same. */
  id: string;
  /** The newest signed block; its format is in docs/evidence.md. */
  head: {[field: string]: unknown};
}

/** take what is set aside */
export interface HoldCapture {
  type: "hold.capture";
  /** The client's own name for this request; every reply to it carries the same. */
  id: string;
  /**
   * The idempotency key: the same key is the same command, for ever. Keys belong to the token's user and to
   * the type of message.
   */
  key: string;
  /** The hold. */
  hold_id: number;
  /** Minor units; absent: all that is left. */
  amount?: number | null;
}

/** give it back */
export interface HoldRelease {
  type: "hold.release";
  /** The client's own name for this request; every reply to it carries the same. */
  id: string;
  /**
   * The idempotency key: the same key is the same command, for ever. Keys belong to the token's user and to
   * the type of message.
   */
  key: string;
  /** The hold. */
  hold_id: number;
}

/** The keys that have signed blocks, the newest first. */
export interface Keys {
  type: "keys";
  /** The client's own name for this request; every reply to it carries the same. */
  id: string;
  /** Those that have signed blocks, the newest first. */
  items: Array<SignerShown>;
}

/** the keys that have signed blocks, newest first */
export interface KeysGet {
  type: "keys.get";
  /** The client's own name for this request; every reply to it carries the same. */
  id: string;
}

/** what a limit is now */
export interface LimitChanged {
  type: "limit.changed";
  /** The client's own name for this request; every reply to it carries the same. */
  id: string;
  /** The limit as it is now. */
  limit: LimitShown;
  /** The transaction in the books. */
  transaction_id: number;
  /** The block that seals the transaction. */
  block: number;
  /**
   * True: this was done before under the same key, and nothing happened again. Wallet fields are those of
   * then.
   */
  replayed: boolean;
}

/** `user_id`: for operators, who must say it. */
export interface LimitExclude {
  type: "limit.exclude";
  /** The client's own name for this request; every reply to it carries the same. */
  id: string;
  /**
   * The idempotency key: the same key is the same command, for ever. Keys belong to the token's user and to
   * the type of message.
   */
  key: string;
  /** When the exclusion ends: milliseconds since the Unix epoch. */
  until: number;
  /** The wallet, if and only if an operator asks. */
  user_id?: number | null;
}

/** the limits of a wallet */
export interface LimitGet {
  type: "limit.get";
  /** The client's own name for this request; every reply to it carries the same. */
  id: string;
  /** The wallet, if and only if an operator or auditor asks. */
  user_id?: number | null;
}

/** `user_id`: for operators, who must say it. */
export interface LimitSet {
  type: "limit.set";
  /** The client's own name for this request; every reply to it carries the same. */
  id: string;
  /**
   * The idempotency key: the same key is the same command, for ever. Keys belong to the token's user and to
   * the type of message.
   */
  key: string;
  /** What is limited. */
  kind: "deposit" | "loss" | "stake" | "time";
  /** The window, in UTC; weeks begin on Monday. */
  period: "day" | "month" | "week";
  /** Minor units; of `time` seconds; null: no limit. */
  amount: number | null;
  /** The wallet, if and only if an operator asks. */
  user_id?: number | null;
}

/**
 * One limit. `amount`: null if nothing is limited any more; of a `time` limit seconds, of an `exclusion` when
 * it ends, else minor units. `pending` takes its place at `pending_from_at`, unless that is null. `used`: of
 * the window that is running.
 */
export interface LimitShown {
  /** What is limited. */
  kind: "stake" | "loss" | "deposit" | "time" | "exclusion";
  /** The window, in UTC; `ever` of an exclusion. */
  period: "day" | "week" | "month" | "ever";
  /** Minor units; of `time` seconds; of an `exclusion` when it ends; null: nothing is limited any more. */
  amount: number | null;
  /** What takes its place at `pending_from_at`; null: no limit. */
  pending: number | null;
  /** When a looser limit begins to hold: milliseconds since the Unix epoch; null: none waits. */
  pending_from_at: number | null;
  /** What the running window has seen; below 0 if more was won than lost. */
  used?: number;
}

/** all limits of a wallet */
export interface Limits {
  type: "limits";
  /** The client's own name for this request; every reply to it carries the same. */
  id: string;
  /** The wallet. */
  user_id: number;
  /** Every limit that was ever set. */
  limits: Array<LimitShown>;
}

/** The nonce store. `state`, `remaining_ms`: of the breaker in front of it, null where there is none. */
export interface NoncesShown {
  /** `degraded`: the store is away, and nonces are checked in memory. */
  status: "ok" | "degraded";
  /** What is wrong, in words that may change; null where nothing is. */
  why: string | null;
  /** Of the breaker in front of the store; null: there is none. */
  state: string | null;
  /** Unbroken health still missing before that closes; null: there is none. */
  remaining_ms: number | null;
}

/**
 * Where a payout stands: `done` of its `items` were paid, or are in suspense, as `suspended` of them are now.
 */
export interface Payout {
  type: "payout";
  /** The client's own name for this request; every reply to it carries the same. */
  id: string;
  /** The payout. */
  payout_id: number;
  /** Where it stands. */
  state: "collecting" | "paying" | "paid";
  /** How many items it has. */
  items: number;
  /** The sum of all items, in minor units. */
  total: number;
  /** How many items were paid or put into suspense. */
  done: number;
  /** How many items are in suspense now. */
  suspended: number;
  /** The transaction in the books. */
  transaction_id?: number;
  /** The block that seals the transaction. */
  block?: number;
  /**
   * True: this was done before under the same key, and nothing happened again. Wallet fields are those of
   * then.
   */
  replayed?: boolean;
  /** Items that could not be paid, also those that were resolved; at most 1000, from `suspended_from` on. */
  in_suspense?: Array<SuspendedItem>;
}

/** add items to it */
export interface PayoutAdd {
  type: "payout.add";
  /** The client's own name for this request; every reply to it carries the same. */
  id: string;
  /**
   * The idempotency key: the same key is the same command, for ever. Keys belong to the token's user and to
   * the type of message.
   */
  key: string;
  /** The payout. */
  payout_id: number;
  /** How many items the payout has so far: a chunk that came twice is refused. */
  first: number;
  /** The winners, paid in this order. */
  items: Array<PayoutWinner>;
}

/** how far a payout is, now and from now on */
export interface PayoutFollow {
  type: "payout.follow";
  /** The client's own name for this request; every reply to it carries the same. */
  id: string;
  /** The payout. */
  payout_id: number;
}

/** how far a payout is */
export interface PayoutGet {
  type: "payout.get";
  /** The client's own name for this request; every reply to it carries the same. */
  id: string;
  /** The payout. */
  payout_id: number;
  /** Shows items in suspense from this number on. */
  suspended_from?: number;
}

/** Payouts, newest first: those before `before` (a `payout_id`). */
export interface PayoutList {
  type: "payout.list";
  /** The client's own name for this request; every reply to it carries the same. */
  id: string;
  /** How many at most. */
  limit?: number;
  /** Shows what comes before this payout; absent: from the newest one on. */
  before?: number | null;
}

/** A payout in a list: as in `payout`, without the items in suspense. */
export interface PayoutListed {
  /** The payout. */
  payout_id: number;
  /** Where it stands. */
  state: "collecting" | "paying" | "paid";
  /** How many items it has. */
  items: number;
  /** The sum of all items, in minor units. */
  total: number;
  /** How many items were paid or put into suspense. */
  done: number;
  /** How many items are in suspense now. */
  suspended: number;
  /** ISO 4217. */
  currency: string;
  /** When it was opened: milliseconds since the Unix epoch. */
  opened_at: number;
}

/** pay up to 100 winners at once */
export interface PayoutMake {
  type: "payout.make";
  /** The client's own name for this request; every reply to it carries the same. */
  id: string;
  /**
   * The idempotency key: the same key is the same command, for ever. Keys belong to the token's user and to
   * the type of message.
   */
  key: string;
  /** ISO 4217. Of a bet: must be the wallet's, when given. */
  currency: string;
  /** The winners, paid in this order. */
  items: Array<PayoutWinner>;
}

/** begin to collect the items of a payout */
export interface PayoutOpen {
  type: "payout.open";
  /** The client's own name for this request; every reply to it carries the same. */
  id: string;
  /**
   * The idempotency key: the same key is the same command, for ever. Keys belong to the token's user and to
   * the type of message.
   */
  key: string;
  /** ISO 4217. Of a bet: must be the wallet's, when given. */
  currency: string;
}

/** Pushed to those who follow a payout, with each change. */
export interface PayoutProgress {
  type: "payout.progress";
  /** The payout. */
  payout_id: number;
  /** Where it stands. */
  state: "collecting" | "paying" | "paid";
  /** How many items it has. */
  items: number;
  /** The sum of all items, in minor units. */
  total: number;
  /** How many items were paid or put into suspense. */
  done: number;
  /** How many items are in suspense now. */
  suspended: number;
}

/** pay an item in suspense, or give it back */
export interface PayoutResolve {
  type: "payout.resolve";
  /** The client's own name for this request; every reply to it carries the same. */
  id: string;
  /**
   * The idempotency key: the same key is the same command, for ever. Keys belong to the token's user and to
   * the type of message.
   */
  key: string;
  /** The payout. */
  payout_id: number;
  /** The place of the item in the payout, from 0. */
  number: number;
  /** True: the money goes back to the house; false: it is paid now. */
  returns?: boolean;
}

/** have it paid */
export interface PayoutStart {
  type: "payout.start";
  /** The client's own name for this request; every reply to it carries the same. */
  id: string;
  /**
   * The idempotency key: the same key is the same command, for ever. Keys belong to the token's user and to
   * the type of message.
   */
  key: string;
  /** The payout. */
  payout_id: number;
  /** How many items were collected. */
  items: number;
  /** The sum of all items, in minor units. */
  total: number;
}

/** What one winner gets. */
export interface PayoutWinner {
  /** The wallet. */
  user_id: number;
  /** Minor units. */
  amount: number;
}

/** A page of payouts. `next`: what to ask `before` for the next one, null at the end. */
export interface Payouts {
  type: "payouts";
  /** The client's own name for this request; every reply to it carries the same. */
  id: string;
  /** A page of them, newest first. */
  items: Array<PayoutListed>;
  /** What to ask for the next page with; null at the end. */
  next: string | null;
}

/** is anybody there? */
export interface Ping {
  type: "ping";
  /** The client's own name for this request; every reply to it carries the same. */
  id: string;
}

/** `text`: the number of a wallet, or the beginning of a name. */
export interface PlayerFind {
  type: "player.find";
  /** The client's own name for this request; every reply to it carries the same. */
  id: string;
  /** The number of a wallet, or the beginning of a name. */
  text: string;
}

/** A wallet. `username`: the name that its player logs in with, null where he has none. */
export interface PlayerFound {
  /** The wallet. */
  user_id: number;
  /** The name that its player logs in with; null: he has none. */
  username: string | null;
  /** ISO 4217. Of a bet: must be the wallet's, when given. */
  currency: string;
  /** `blocked`: takes no bets; `closed`: for good. */
  status: "open" | "blocked" | "closed";
  /** All that is in the wallet, in minor units. */
  balance: number;
  /** What of it is set aside. */
  held: number;
  /** What of it can be spent: `balance` − `held`. */
  available: number;
}

/** Those that were found. `more`: there are others. */
export interface Players {
  type: "players";
  /** The client's own name for this request; every reply to it carries the same. */
  id: string;
  /** Those that were found, at most 20: the number first, then by name. */
  items: Array<PlayerFound>;
  /** True: there are others; say more of the name. */
  more: boolean;
}

/** yes */
export interface Pong {
  type: "pong";
  /** The client's own name for this request; every reply to it carries the same. */
  id: string;
  /** The server's clock: milliseconds since the Unix epoch. */
  server_time: number;
}

/** Milliseconds; null where there was nothing. */
export interface Quantiles {
  /** The median; null where there was nothing. */
  p50: number | null;
  /** Of a hundred the second highest; null where there was nothing. */
  p99: number | null;
}

/** Commands that wait for a batch, and since when the oldest of them does. */
export interface QueueShown {
  /** How many wait. */
  length: number;
  /** How long the oldest of them has waited. */
  oldest_ms: number;
}

/** `user_id`: whose entries to show, for operators and auditors only; a player sees his own. */
export interface ReceiptGet {
  type: "receipt.get";
  /** The client's own name for this request; every reply to it carries the same. */
  id: string;
  /** The transaction in the books. */
  transaction_id: number;
  /** Whose entries to show, for operators and auditors; a player sees his own. */
  user_id?: number | null;
}

/** `receipt`: as `engine.receipts.receipt` makes it, to be kept as it is. */
export interface ReceiptShown {
  type: "receipt";
  /** The client's own name for this request; every reply to it carries the same. */
  id: string;
  /** The transaction in the books. */
  transaction_id: number;
  /** The evidence, to be kept as it is; its format is in docs/evidence.md. */
  receipt: {[field: string]: unknown};
}

/** How a bet ends. */
export type Result = "lost" | "void" | "won";

/** what was missed: each later entry, and from then on pushes */
export interface Resume {
  type: "resume";
  /** The client's own name for this request; every reply to it carries the same. */
  id: string;
  /** The `seq` of the newest entry that the client has; 0: all of them. */
  from_seq: number;
}

/** all that was missed has been told */
export interface Resumed {
  type: "resumed";
  /** The client's own name for this request; every reply to it carries the same. */
  id: string;
  /** The last entry that was told; without one, the newest that there is. */
  seq: number;
  /** True: there are more than 10,000; resume again from this `seq`. */
  more: boolean;
  /** True: older entries have been archived; take the `balance`. */
  gap: boolean;
}

/**
 * A key that has signed. `public_key`: PEM (SubjectPublicKeyInfo); `since_block`: the first that it has
 * signed.
 */
export interface SignerShown {
  /** The name of the key: the first half of its SHA-256, hexadecimal. */
  key_id: string;
  /** The key that checks signatures: Ed25519, SubjectPublicKeyInfo in PEM. */
  public_key: string;
  /** The first block that it has signed. */
  since_block: number;
}

/** An item that could not be paid when its turn came. `state`: suspended, paid or returned. */
export interface SuspendedItem {
  /** The place of the item in the payout, from 0. */
  number: number;
  /** The winner's wallet. */
  user_id: number;
  /** Minor units. */
  amount: number;
  /** Why it could not be paid. */
  reason:
   
    | "INVALID_REQUEST"
    | "UNAUTHORIZED"
    | "FORBIDDEN"
    | "NOT_FOUND"
    | "IDEMPOTENCY_CONFLICT"
    | "STALE_REQUEST"
    | "NONCE_REUSED"
    | "OUTCOME_UNKNOWN"
    | "INTERNAL"
    | "RATE_LIMITED"
    | "CIRCUIT_OPEN"
    | "OVERLOADED"
    | "TIMED_OUT"
    | "ACCOUNT_NOT_FOUND"
    | "ACCOUNT_BLOCKED"
    | "CURRENCY_MISMATCH"
    | "BET_ROLLED_BACK"
    | "BET_CLOSED"
    | "HOLD_CLOSED"
    | "PAYOUT_CLOSED"
    | "LIMIT_EXCEEDED"
    | "INSUFFICIENT_FUNDS";
  /** What became of it. */
  state: "suspended" | "paid" | "returned";
}

/** Bets that were answered since the server was started. */
export interface Totals {
  /** Told that they stand, for the first time. */
  confirmed: number;
  /** Told so again. */
  replayed: number;
  /** Refused, whatever the code. */
  rejected: number;
}

/** A bet, and all transactions that it went through, in their order. A player sees his own entries. */
export interface Trail {
  type: "bet.trail";
  /** The client's own name for this request; every reply to it carries the same. */
  id: string;
  /** The bet: a UUID, made and kept by the client before it sends it. */
  bet_id: string;
  /** The wallet; 0: it was rolled back before it came, and is nobody's. */
  user_id: number;
  /** Where it stands. */
  state: "rejected" | "confirmed" | "won" | "lost" | "void" | "cashed_out" | "rolled_back";
  /** What is staked, in minor units. */
  stake: number;
  /** All that was paid for it and not taken back, in minor units. */
  payout: number;
  /** What it went through, in order. */
  transactions: Array<TrailStep>;
}

/** A posting of one of its transactions. `user_id`: a wallet, or a book of the house's. */
export interface TrailEntry {
  /** The ledger entry's number. */
  seq: number;
  /** A wallet, or a book of the house's. */
  user_id: number;
  /** What it got; below 0: what it gave. */
  amount: number;
  /** The balance after it. */
  balance: number;
}

/** its way through the ledger */
export interface TrailGet {
  type: "bet.trail";
  /** The client's own name for this request; every reply to it carries the same. */
  id: string;
  /** The bet: a UUID, made and kept by the client before it sends it. */
  bet_id: string;
}

/** A transaction of the bet's life, and the block that seals it. `hash`: that block's. */
export interface TrailStep {
  /** The transaction in the books. */
  transaction_id: number;
  /** What it did. */
  kind: "BET" | "CASHOUT" | "LOSS" | "REFUND" | "ROLLBACK" | "TOMBSTONE" | "UNSETTLE" | "WIN";
  /** When it was posted: milliseconds since the Unix epoch. */
  at: number;
  /** The block that seals the transaction. */
  block: number;
  /** The hash of that block, hexadecimal. */
  hash: string;
  /** What it posted; a player sees his own. */
  entries: Array<TrailEntry>;
}

/** One posting of a transfer: what this account gets (above 0) or gives (below 0). */
export interface TransferLeg {
  /** A player's wallet, or a book of the house's. */
  user_id: number;
  /** What it gets; below 0: what it gives. Not 0. */
  amount: number;
  /** What kind of posting it is. */
  name?: "FEE" | "TAX" | "TRANSFER";
}

/** money in */
export interface WalletDeposit {
  type: "wallet.deposit";
  /** The client's own name for this request; every reply to it carries the same. */
  id: string;
  /**
   * The idempotency key: the same key is the same command, for ever. Keys belong to the token's user and to
   * the type of message.
   */
  key: string;
  /** The wallet. */
  user_id: number;
  /** Minor units. */
  amount: number;
}

/** an entry was posted to the wallet */
export interface WalletEntry {
  type: "wallet.entry";
  /** The ledger entry's number. */
  seq: number;
  /** The entry of this wallet before it: whoever does not have that has missed one. */
  prev_seq: number;
  /** The transaction in the books. */
  transaction_id: number;
  /** Why the money moved. */
  kind:
   
    | "BET"
    | "BONUS"
    | "CAPTURE"
    | "CASHOUT"
    | "DEPOSIT"
    | "EXPIRY"
    | "FEE"
    | "PAYOUT"
    | "RECEIVABLE"
    | "REFUND"
    | "ROLLBACK"
    | "SUSPENSE"
    | "TAX"
    | "TRANSFER"
    | "UNSETTLE"
    | "WIN"
    | "WITHDRAWAL";
  /** What the wallet got; below 0: what it gave. */
  amount: number;
  /** The balance after it. */
  balance: number;
  /** When it was posted: milliseconds since the Unix epoch. */
  at: number;
  /** The bet, where it is about one. */
  bet_id?: string;
}

/** set money aside */
export interface WalletHold {
  type: "wallet.hold";
  /** The client's own name for this request; every reply to it carries the same. */
  id: string;
  /**
   * The idempotency key: the same key is the same command, for ever. Keys belong to the token's user and to
   * the type of message.
   */
  key: string;
  /** The wallet. */
  user_id: number;
  /** Minor units. */
  amount: number;
  /** When it ends: milliseconds since the Unix epoch; left out or null: never. */
  expires_at?: number | null;
}

/** `user_id`: for operators and auditors, who must say it. */
export interface WalletList {
  type: "wallet.list";
  /** The client's own name for this request; every reply to it carries the same. */
  id: string;
  /** Any wallet of a person, if and only if an operator or auditor asks. */
  user_id?: number | null;
}

/** Money has moved, or was set aside: the wallet afterwards, and the hold if there is one. */
export interface WalletMoved {
  type: "wallet.moved";
  /** The client's own name for this request; every reply to it carries the same. */
  id: string;
  /** The transaction in the books. */
  transaction_id: number;
  /** The block that seals the transaction. */
  block: number;
  /**
   * True: this was done before under the same key, and nothing happened again. Wallet fields are those of
   * then.
   */
  replayed: boolean;
  /** The newest ledger entry of the wallet. Take a balance only when its `seq` is newer than yours. */
  seq?: number;
  /** All that is in the wallet, in minor units. */
  balance?: number;
  /** What of it is set aside. */
  held?: number;
  /** What of it can be spent: `balance` − `held`. */
  available?: number;
  /** The hold. */
  hold_id?: number;
  /** What became of the hold. */
  hold_state?: "open" | "captured" | "released" | "expired";
  /** What the hold still sets aside, in minor units. */
  hold_left?: number;
}

/** `participant_id`: whose wallet it shall be; left out for somebody new. */
export interface WalletOpen {
  type: "wallet.open";
  /** The client's own name for this request; every reply to it carries the same. */
  id: string;
  /**
   * The idempotency key: the same key is the same command, for ever. Keys belong to the token's user and to
   * the type of message.
   */
  key: string;
  /** ISO 4217. Of a bet: must be the wallet's, when given. */
  currency: string;
  /** Whose further wallet it is; absent: somebody new. */
  participant_id?: number | null;
}

/** there is a new wallet */
export interface WalletOpened {
  type: "wallet.opened";
  /** The client's own name for this request; every reply to it carries the same. */
  id: string;
  /** The new wallet. */
  user_id: number;
  /** The person: the number of his first wallet. */
  participant_id: number;
  /** ISO 4217. Of a bet: must be the wallet's, when given. */
  currency: string;
  /** The transaction in the books. */
  transaction_id: number;
  /** The block that seals the transaction. */
  block: number;
  /**
   * True: this was done before under the same key, and nothing happened again. Wallet fields are those of
   * then.
   */
  replayed: boolean;
}

/**
 * One wallet. `kind`: `cash`, or `bonus` for the bonus wallet beside `wallet_id`; `expired`: what was in it
 * has been taken back.
 */
export interface WalletShown {
  /** The wallet. */
  user_id: number;
  /** `bonus`: the bonus money beside another wallet. */
  kind: "cash" | "bonus";
  /** ISO 4217. Of a bet: must be the wallet's, when given. */
  currency: string;
  /** `blocked`: takes no bets; `closed`: for good. */
  status: "open" | "blocked" | "closed";
  /** All that is in the wallet, in minor units. */
  balance: number;
  /** What of it is set aside. */
  held: number;
  /** What of it can be spent: `balance` − `held`. */
  available: number;
  /** The newest ledger entry of the wallet. Take a balance only when its `seq` is newer than yours. */
  seq: number;
  /** Of a bonus wallet: the wallet that spends it. */
  wallet_id?: number;
  /** Of a bonus wallet: spent before the other's own money, or after it. */
  spend?: "first" | "last";
  /** Of a bonus wallet: when it ends, in milliseconds since the Unix epoch; null: never. */
  expires_at?: number | null;
  /** Of a bonus wallet: true when what was in it has been taken back. */
  expired?: boolean;
}

/** open, block or close a wallet */
export interface WalletStatus {
  type: "wallet.status";
  /** The client's own name for this request; every reply to it carries the same. */
  id: string;
  /**
   * The idempotency key: the same key is the same command, for ever. Keys belong to the token's user and to
   * the type of message.
   */
  key: string;
  /** The wallet. */
  user_id: number;
  /** `blocked`: takes no bets; `closed`: for good, and only when it is empty. */
  status: "blocked" | "closed" | "open";
}

/** money across */
export interface WalletTransfer {
  type: "wallet.transfer";
  /** The client's own name for this request; every reply to it carries the same. */
  id: string;
  /**
   * The idempotency key: the same key is the same command, for ever. Keys belong to the token's user and to
   * the type of message.
   */
  key: string;
  /** The postings of the transfer. Their amounts sum to 0. */
  legs: Array<TransferLeg>;
}

/** money out */
export interface WalletWithdraw {
  type: "wallet.withdraw";
  /** The client's own name for this request; every reply to it carries the same. */
  id: string;
  /**
   * The idempotency key: the same key is the same command, for ever. Keys belong to the token's user and to
   * the type of message.
   */
  key: string;
  /** The wallet. */
  user_id: number;
  /** Minor units. */
  amount: number;
  /** True: the money is set aside until the hold is captured or released. */
  for_approval?: boolean;
}

/** All wallets of a person; the free bets are those of the wallet that was asked for. */
export interface Wallets {
  type: "wallets";
  /** The client's own name for this request; every reply to it carries the same. */
  id: string;
  /** The person: the number of his first wallet. */
  participant_id: number;
  /** All wallets of the person. */
  wallets: Array<WalletShown>;
  /** Open free bets of the wallet that was asked for: the 100 that expire first. */
  free_bets: Array<FreeBetShown>;
}

/** who the server takes this socket for, and its bounds */
export interface Welcome {
  type: "welcome";
  /** Whose token it is: a player's wallet, or the number of whoever else asks. */
  user_id: number;
  /** Whose token it is. */
  role: "admin" | "auditor" | "operator" | "player";
  /** The server's clock: milliseconds since the Unix epoch. */
  server_time: number;
  /** The bounds that a client should know. */
  limits: Bounds;
  /** ISO 4217. Of a bet: must be the wallet's, when given. */
  currency?: string;
  /** All that is in the wallet, in minor units. */
  balance?: number;
  /** What of it is set aside. */
  held?: number;
  /** What of it can be spent: `balance` − `held`. */
  available?: number;
  /** The newest ledger entry of the wallet. Take a balance only when its `seq` is newer than yours. */
  seq?: number;
}

/** Why a request was refused. The list may grow. */
export type Code = ErrorReply["code"];

/** Whatever a client may send. */
export type Request =
  | Auth
  | BetPlace
  | BetGet
  | BalanceGet
  | Resume
  | Ping
  | BetSettle
  | BetUnsettle
  | BetRollback
  | BetCashout
  | WalletDeposit
  | WalletWithdraw
  | WalletHold
  | WalletTransfer
  | WalletStatus
  | HoldCapture
  | HoldRelease
  | PayoutMake
  | PayoutOpen
  | PayoutAdd
  | PayoutStart
  | PayoutResolve
  | PayoutGet
  | PayoutFollow
  | LimitSet
  | LimitExclude
  | LimitGet
  | WalletOpen
  | WalletList
  | BonusGrant
  | FreeBetGrant
  | FreeBetRevoke
  | BookFloor
  | ArchiveBegin
  | ArchiveGet
  | ReceiptGet
  | HeadGet
  | ClockGet
  | ClockConfirm
  | CircuitGet
  | FiguresFollow
  | CheckBegin
  | CheckGet
  | PlayerFind
  | PayoutList
  | TrailGet
  | KeysGet;

/** Whatever a server sends. */
export type Reply =
  | Welcome
  | BetPending
  | BetConfirmed
  | BetRejected
  | BetState
  | Balance
  | WalletEntry
  | Resumed
  | Pong
  | BetSettled
  | BetUnsettled
  | BetRolledBack
  | BetCashedOut
  | WalletMoved
  | Payout
  | LimitChanged
  | Limits
  | WalletOpened
  | Wallets
  | BonusGranted
  | FreeBetChanged
  | BookChanged
  | Archive
  | ReceiptShown
  | HeadShown
  | ClockShown
  | CircuitShown
  | Figures
  | CheckShown
  | Players
  | Payouts
  | Trail
  | Keys
  | PayoutProgress
  | ErrorReply;

/** What answers a request of each `type`, beside `error`. */
export interface Replies {
  "auth": Welcome;
  "bet.place": BetPending | BetConfirmed | BetRejected;
  "bet.get": BetState;
  "balance.get": Balance;
  "resume": WalletEntry | Resumed;
  "ping": Pong;
  "bet.settle": BetSettled;
  "bet.unsettle": BetUnsettled;
  "bet.rollback": BetRolledBack;
  "bet.cashout": BetCashedOut;
  "wallet.deposit": WalletMoved;
  "wallet.withdraw": WalletMoved;
  "wallet.hold": WalletMoved;
  "wallet.transfer": WalletMoved;
  "wallet.status": WalletMoved;
  "hold.capture": WalletMoved;
  "hold.release": WalletMoved;
  "payout.make": Payout;
  "payout.open": Payout;
  "payout.add": Payout;
  "payout.start": Payout;
  "payout.resolve": Payout;
  "payout.get": Payout;
  "payout.follow": Payout;
  "limit.set": LimitChanged;
  "limit.exclude": LimitChanged;
  "limit.get": Limits;
  "wallet.open": WalletOpened;
  "wallet.list": Wallets;
  "bonus.grant": BonusGranted;
  "free_bet.grant": FreeBetChanged;
  "free_bet.revoke": FreeBetChanged;
  "book.floor": BookChanged;
  "archive.begin": Archive;
  "archive.get": Archive;
  "receipt.get": ReceiptShown;
  "head.get": HeadShown;
  "clock.get": ClockShown;
  "clock.confirm": ClockShown;
  "circuit.get": CircuitShown;
  "figures.follow": Figures;
  "check.begin": CheckShown;
  "check.get": CheckShown;
  "player.find": Players;
  "payout.list": Payouts;
  "bet.trail": Trail;
  "keys.get": Keys;
}
