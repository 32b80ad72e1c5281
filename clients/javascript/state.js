// A client of `wallet.v1` as a state machine: what comes in, what is to be sent, when to connect. No socket,
// no clock, no chance: they are arguments. It is ws/client/state.py and ws/client/view.py in JavaScript, where
// the table of what follows what stands, and clients/scenarios.json keeps the two languages together.

/** @typedef {{type: string, [field: string]: any}} Message  a request or a reply, as PROTOCOL has it */
/** @typedef {{currency: string, balance: number, held: number, available: number, seq: number}} Funds */

const WELCOME_WITHIN_MS = 10_000;
const QUIET_MS = 15_000;
const PONG_WITHIN_MS = 10_000;
const ANSWER_WITHIN_MS = 10_000;
const EXPIRED_WITHIN_MS = 5000;
const RETRY_FIRST_MS = 200;
const RETRY_MAX_MS = 10_000;
const AFTER_STOP_MS = 500;
const AFTER_TOO_MUCH_MS = 1000;
const TOKENS_REFUSED_MAX = 3;
const STALE_MAX = 5;
const ENTRIES_MAX = 10_000;
const RESUME_EVERY_MS = 100;
const FAULTS = {1007: "no UTF-8", 1009: "a frame is too big", 4400: "not this protocol"};
const CHANGES_HELD = ["CAPTURE", "WITHDRAWAL"];
const BET_ANSWERS = ["bet.confirmed", "bet.rejected", "bet.state", "error"]; // and not `bet.pending`
const LIMITS = {frame_bytes: 262_144, frame_messages: 1000, in_flight: 1000, nonce_window_ms: 90_000};

/** Whatever a client raises on its own account. */
export class ClientError extends Error {
  get name() { return this.constructor.name; }
}

/** The server's `error`, which is final. Of a bet it says that *this* asking was refused, and no more. */
export class Refused extends ClientError {
  /** @param {Message} error */
  constructor(error) {
    super(`${error.code}: ${error.message}`);
    this.error = error;
    this.code = error.code;
  }
}

/** No final answer came in time. `bet_id`: to be given to `resolve`; null: it was no bet, and can be asked
 * again. `was_sent`: false if it surely never left. `last`: the newest answer that was not final, or null. */
export class Unresolved extends ClientError {
  constructor(what, bet_id, was_sent, last) {
    super(`no final answer in time: ${what}`);
    this.bet_id = bet_id;
    this.was_sent = was_sent;
    this.last = last;
  }
}

/** The client has ended: its socket could not be opened, or must not be opened again. */
export class GivenUp extends ClientError {}

/** The server takes no token that it was shown. */
export class NotAuthenticated extends GivenUp {}

/** The entries of a wallet after `cursor`, each once, in order. Nothing is followed until `follow`. */
export class Feed {
  cursor = null; // the newest entry that was handed on; null: nobody reads
  newest = 0; // the newest entry that any message has told of
  mayResumeMs = 0;
  waiting = [];
  #aside = new Map();
  #isResuming = false;
  #hasCome = false;
  #wasFull = false;
  #newestWhenAsked = 0;

  follow(fromSeq) {
    this.cursor = fromSeq;
    this.waiting.length = 0;
    this.newest = Math.max(this.newest, fromSeq + 1);
    this.#newestWhenAsked = -1; // a `resume` that is under way was asked for another reader
  }

  unfollow() {
    this.cursor = null;
    this.waiting.length = 0;
    this.#aside.clear();
  }

  saw(seq) { this.newest = Math.max(this.newest, seq); }

  /** From where to `resume` now; null: nothing is missing, or it is under way already. */
  wantsFrom(nowMs) {
    const atMs = this.wantsMs();
    return atMs === null || nowMs < atMs ? null : this.cursor;
  }

  /** When `wantsFrom` may say something, without anything that happens before; null: never. */
  wantsMs() {
    const isBehind = this.cursor !== null && this.cursor < this.newest;
    return isBehind && !this.#isResuming && !this.#isFull ? this.mayResumeMs : null;
  }

  asked() {
    this.#isResuming = true;
    this.#hasCome = this.#wasFull = false;
    this.#newestWhenAsked = this.newest;
  }

  dropped(nowMs) {
    this.#isResuming = false;
    this.#aside.clear();
    this.mayResumeMs = nowMs + RESUME_EVERY_MS;
  }

  take(entry) {
    this.saw(entry.seq);
    if (this.cursor === null || entry.seq <= this.cursor) return;
    if (entry.prev_seq <= this.cursor) this.#handOn(entry);
    else if (this.#isResuming) this.#aside.set(entry.seq, entry);
  }

  resumed(told, nowMs) {
    this.#isResuming = false;
    this.mayResumeMs = told.more ? nowMs : nowMs + RESUME_EVERY_MS;
    if (this.cursor === null) return;
    this.saw(told.seq);
    const aside = [...this.#aside.values()].filter(({seq}) => seq > this.cursor);
    aside.sort((a, b) => a.seq - b.seq);
    this.#aside.clear();
    if (told.gap && !this.#hasCome && !this.#isFull) {
      const upto = aside.length ? aside[0].prev_seq : told.seq;
      if (upto > this.cursor) {
        this.waiting.push({type: "gap", after_seq: this.cursor, upto_seq: upto});
        this.cursor = upto;
        this.#hasCome = true;
      }
    }
    for (const entry of aside) {
      if (entry.prev_seq <= this.cursor && this.cursor < entry.seq) this.#handOn(entry);
    }
    const cameNone = !this.#hasCome && !this.#wasFull && !told.more;
    // What was told of meanwhile may have come too late for this look at the ledger: then look again.
    if (cameNone && this.newest === this.#newestWhenAsked) this.newest = this.cursor;
  }

  #handOn(entry) {
    if (this.#isFull) {
      this.#wasFull = true;
      return;
    }
    this.cursor = entry.seq;
    this.#hasCome = true;
    this.waiting.push(entry);
  }

  get #isFull() { return this.waiting.length >= ENTRIES_MAX; }
}

/** The newest balance, and the feed of entries. `funds` is null for whoever has no wallet. */
export class View {
  /** @type {Funds | null} */ funds = null;
  feed = new Feed();
  firstSeq = 0;
  isUnsure = false;

  take(message) {
    const {type, currency, balance, held, available, seq} = message;
    if (type === "welcome" && currency !== undefined) {
      if (this.funds === null) this.firstSeq = seq;
      this.#told({currency, balance, held, available, seq});
    } else if (type === "balance") {
      this.#told({currency, balance, held, available, seq});
    } else if (type === "bet.confirmed" && this.funds !== null) {
      if (seq > this.funds.seq) this.#told({currency: this.funds.currency, balance, held, available, seq});
    } else if (type === "wallet.entry" && this.funds !== null) {
      this.feed.take(message);
      if (seq > this.funds.seq) {
        const {currency, held} = this.funds;
        this.funds = {currency, balance, held, available: balance - held, seq};
        this.isUnsure ||= CHANGES_HELD.includes(message.kind);
      }
    }
  }

  #told(funds) {
    // Of the same seq the later word counts: a hold changes what is available and posts no entry.
    if (this.funds === null || funds.seq >= this.funds.seq) this.funds = funds;
    this.feed.saw(funds.seq);
  }
}

/** One request, until its last word is there. */
class Task {
  id = null;
  askedMs = 0;
  looksFrom = null;
  sentAt = null;
  tries = 0;
  stale = 0;
  decided = null;
  last = null;
  result = null;
  isAbandoned = false;

  constructor(number, request, onlyLooks, isDoubtful) {
    Object.assign(this, {number, request, onlyLooks, isDoubtful, looks: onlyLooks});
  }

  get isBet() { return this.request.type === "bet.place"; }
  get isRejected() { return this.last?.type === "bet.rejected" && !this.isDoubtful && this.id === null; }
}

/** One client of one wallet, over any number of sockets: what comes in, what is to be sent, when to connect.
 * See the table in ws/client/state.py. All times (`…Ms`) are of one clock that never goes back. */
export class State {
  phase = "offline";
  view = new View();
  welcome = null;
  limits = LIMITS;
  finished = [];
  connectMs = 0;
  needsToken = false;
  fault = null;
  #chance;
  #number = 0;
  #idNumber = 0;
  #ready = [];
  #later = []; // in the order of their due times
  #waiting = new Map();
  #resumeId = null;
  #pingId = null;
  #lookId = null;
  #wantsTime = false;
  #isExpired = false;
  #deadMs = null;
  #heardMs = 0;
  #serverAheadMs = 0;
  #attempts = 0;
  #refusals = 0;

  /** @param {() => number} chance  numbers from 0 to below 1 */
  constructor(chance) { this.#chance = chance; }

  // -- what the caller wants

  start(request, {onlyLooks = false, isDoubtful = false} = {}) {
    const task = new Task(++this.#number, request, onlyLooks, isDoubtful);
    this.#ready.push(task);
    return task;
  }

  abandon(task) { task.isAbandoned = true; }

  serverMs(nowMs) { return nowMs + this.#serverAheadMs; }

  // -- what the socket brings

  connected(nowMs) {
    this.phase = "waiting";
    this.#heardMs = nowMs;
    this.#deadMs = nowMs + WELCOME_WITHIN_MS;
  }

  /** A frame came. Throws `SyntaxError` where it is no JSON. */
  receive(text, nowMs) {
    this.#heardMs = nowMs;
    if (this.phase === "open" && !this.#isExpired) {
      this.#deadMs = this.#pingId === null ? null : nowMs + PONG_WITHIN_MS;
    }
    for (const message of [JSON.parse(text)].flat()) {
      if (typeof message?.type === "string") this.#take(message, nowMs);
    }
  }

  disconnected(code, nowMs, retryAfterMs = null) {
    this.phase = "offline";
    this.#isExpired = this.#wantsTime = false;
    this.#deadMs = this.#resumeId = this.#pingId = this.#lookId = null;
    this.view.feed.dropped(nowMs);
    this.#allWaitAgain();
    let atLeastMs = retryAfterMs;
    if (code in FAULTS) {
      this.end(new GivenUp(`the server does not take what this client sends: ${FAULTS[code]} (${code})`));
      return;
    }
    if (code === 4401) {
      this.needsToken = true;
      this.#refusals += 1;
      if (this.#refusals >= TOKENS_REFUSED_MAX) {
        this.end(new NotAuthenticated(`the server has refused ${this.#refusals} tokens in a row`));
        return;
      }
      if (this.#refusals === 1) {
        this.connectMs = nowMs;
        return;
      }
    } else if (code === 1001) atLeastMs = Math.max(atLeastMs ?? 0, AFTER_STOP_MS);
    else if (code === 4429) atLeastMs = Math.max(atLeastMs ?? 0, AFTER_TOO_MUCH_MS);
    this.connectMs = nowMs + this.#pauseMs(this.#attempts, atLeastMs);
    this.#attempts += 1;
  }

  end(fault) {
    this.phase = "ended";
    this.fault = fault;
  }

  // -- what is to be done

  /** The frames that are due. */
  toSend(nowMs) {
    if (this.phase !== "open" || this.#isExpired) return [];
    this.#lookForOverdue(nowMs);
    const sent = this.#ownRequests(nowMs).map((request) => JSON.stringify(request));
    while (this.#later.length && this.#later[0].dueMs <= nowMs) this.#ready.push(this.#later.shift().task);
    let taken = 0;
    while (this.#waiting.size < this.limits.in_flight && taken < this.#ready.length) {
      const task = this.#ready[taken++];
      if (task.isAbandoned) continue;
      const message = this.#message(task, nowMs);
      if (bytesOf(message) > this.limits.frame_bytes) {
        const words = `longer than the ${this.limits.frame_bytes} bytes that the server takes`;
        const error = {type: "error", id: null, code: "INVALID_REQUEST", message: words, retryable: false};
        this.#finish(task, error);
        continue;
      }
      this.#waiting.set(task.id, task);
      sent.push(message);
    }
    this.#ready.splice(0, taken);
    return [...inFrames(sent, this.limits)];
  }

  /** When to look again though nothing happens; null: need not be. */
  wakeMs() {
    if (this.phase !== "open") return this.#deadMs;
    const times = [this.#pingId === null ? this.#heardMs + QUIET_MS : null, this.#deadMs];
    if (this.#resumeId === null) times.push(this.view.feed.wantsMs());
    if (this.#later.length && this.#waiting.size < this.limits.in_flight) times.push(this.#later[0].dueMs);
    for (const {askedMs} of this.#waiting.values()) {
      times.push(askedMs + ANSWER_WITHIN_MS);
      break;
    }
    return Math.min(...times.filter((each) => each !== null));
  }

  isDead(nowMs) { return this.#deadMs !== null && nowMs >= this.#deadMs; }

  #ownRequests(nowMs) {
    const own = [];
    const fromSeq = this.view.feed.wantsFrom(nowMs);
    if (fromSeq !== null && this.#resumeId === null) {
      this.view.feed.asked();
      this.#resumeId = this.#nextId();
      own.push({type: "resume", id: this.#resumeId, from_seq: fromSeq});
    }
    if (this.view.isUnsure && this.#lookId === null) {
      this.view.isUnsure = false;
      this.#lookId = this.#nextId();
      own.push({type: "balance.get", id: this.#lookId});
    }
    if (this.#pingId === null && (this.#wantsTime || nowMs >= this.#heardMs + QUIET_MS)) {
      this.#wantsTime = false;
      this.#pingId = this.#nextId();
      this.#deadMs = nowMs + PONG_WITHIN_MS;
      own.push({type: "ping", id: this.#pingId});
    }
    return own;
  }

  #message(task, nowMs) {
    task.id = this.#nextId();
    task.askedMs = nowMs;
    if (task.isBet && task.looks) {
      task.looksFrom ??= this.serverMs(nowMs);
      return JSON.stringify({type: "bet.get", id: task.id, bet_id: task.request.bet_id});
    }
    task.sentAt = this.serverMs(nowMs);
    return JSON.stringify({...task.request, id: task.id, ...(task.isBet && {sent_at: task.sentAt})});
  }

  // -- messages

  #take(message, nowMs) {
    if (message.type === "welcome" && !this.#welcomed(message, nowMs)) return;
    this.view.take(message);
    const {type, id = null} = message;
    if (id === null) return;
    if (id === this.#resumeId && type === "resumed") {
      this.#resumeId = null;
      this.view.feed.resumed(message, nowMs);
    } else if (id === this.#resumeId && type === "error") {
      this.#resumeId = null;
      this.view.feed.dropped(nowMs);
      this.view.feed.mayResumeMs = nowMs + this.#pauseMs(0, message.retry_after_ms);
    } else if (id === this.#pingId && type === "pong") {
      this.#pingId = null;
      if (!this.#isExpired) this.#deadMs = null;
      this.#serverAheadMs = message.server_time - nowMs;
    } else {
      if (id === this.#lookId) this.#lookId = null;
      const task = this.#waiting.get(id);
      if (task === undefined || (task.isBet && !BET_ANSWERS.includes(type))) return;
      this.#answered(task, message, nowMs);
    }
  }

  #welcomed(welcome, nowMs) {
    const was = this.welcome;
    if (was !== null && (was.user_id !== welcome.user_id || was.role !== welcome.role)) {
      this.end(new NotAuthenticated(`the new token is of another user: ${welcome.user_id}`));
      return false;
    }
    this.phase = "open";
    this.welcome = welcome;
    this.limits = {...LIMITS, ...welcome.limits};
    this.#serverAheadMs = welcome.server_time - nowMs;
    this.#deadMs = null;
    this.#attempts = this.#refusals = 0;
    return true;
  }

  #answered(task, reply, nowMs) {
    this.#waiting.delete(task.id);
    task.id = null;
    task.last = reply;
    const {type, code, retryable, retry_after_ms: retryAfterMs = null} = reply;
    const isError = type === "error";
    const looks = task.isBet && task.looks;
    if (isError && code === "UNAUTHORIZED") {
      this.#isExpired = true;
      this.#deadMs ??= nowMs + EXPIRED_WITHIN_MS;
      this.#ready.push(task);
    } else if (type === "bet.state" && looks && reply.state === "pending") {
      this.#again(task, nowMs);
    } else if (type === "bet.state" && looks) {
      // Its replay tells all that the first answer did.
      task.decided = reply;
      task.looks = false;
      task.tries = 0;
      this.#ready.push(task);
    } else if (isError && code === "NOT_FOUND" && looks) {
      this.#notFound(task, nowMs);
    } else if (isError && code === "IDEMPOTENCY_CONFLICT" && task.decided !== null) {
      this.#finish(task, task.decided); // archived, so that there is no replay
    } else if (isError && code === "OUTCOME_UNKNOWN" && task.isBet) {
      this.#lost(task);
      task.looks = true;
      this.#again(task, nowMs, retryAfterMs);
    } else if (isError && code === "STALE_REQUEST" && task.isBet && task.stale < STALE_MAX) {
      task.stale += 1;
      this.#wantsTime = true;
      this.#again(task, nowMs);
    } else if (type === "bet.rejected" && retryable) {
      this.#again(task, nowMs, retryAfterMs);
    } else if (isError && retryable) {
      this.#lost(task);
      this.#again(task, nowMs, retryAfterMs);
    } else {
      this.#finish(task, reply);
    }
  }

  #notFound(task, nowMs) {
    if (!task.onlyLooks) {
      task.looks = false;
      this.#again(task, nowMs);
    // `sent_at` is accepted for less than that, so what has not arrived by then never will.
    } else if (this.serverMs(nowMs) > task.looksFrom + this.limits.nonce_window_ms) {
      this.#finish(task, {type: "not_placed", bet_id: task.request.bet_id});
    } else {
      this.#again(task, nowMs);
    }
  }

  #finish(task, result) {
    task.result = result;
    this.finished.push(task);
  }

  #again(task, nowMs, atLeastMs = null) {
    const dueMs = nowMs + this.#pauseMs(task.tries, atLeastMs);
    task.tries += 1;
    let place = this.#later.length;
    while (place > 0 && isAfter(this.#later[place - 1], dueMs, task.number)) place -= 1;
    this.#later.splice(place, 0, {dueMs, task});
  }

  /** No answer will come for what was sent last; it may take place all the same. */
  #lost(task) {
    task.id = null;
    task.isDoubtful ||= !task.looks;
  }

  #allWaitAgain() {
    const tasks = [...this.#waiting.values()];
    tasks.forEach((task) => this.#lost(task));
    this.#waiting.clear();
    this.#ready = [...tasks, ...this.#ready].filter(({isAbandoned}) => !isAbandoned);
    this.#ready.sort((a, b) => a.number - b.number);
  }

  #lookForOverdue(nowMs) {
    for (const task of [...this.#waiting.values()]) {
      if (nowMs < task.askedMs + ANSWER_WITHIN_MS) return;
      this.#waiting.delete(task.id);
      this.#lost(task);
      task.looks = task.isBet;
      this.#again(task, nowMs);
    }
  }

  #pauseMs(tries, atLeastMs = null) {
    if (atLeastMs !== null) return Math.trunc(atLeastMs * (1 + this.#chance() / 2));
    const longestMs = Math.min(RETRY_MAX_MS, RETRY_FIRST_MS * 2 ** Math.min(tries, 10));
    return Math.trunc((longestMs * (1 + this.#chance())) / 2);
  }

  #nextId() {
    this.#idNumber += 1;
    return `c${this.#idNumber}`;
  }
}

const isAfter = ({dueMs, task}, ms, number) => dueMs > ms || (dueMs === ms && task.number > number);

/** These messages in as few frames as the server's `limits` allow; each message fits into one alone. */
function* inFrames(sent, {frame_bytes, frame_messages}) {
  let some = [];
  let size = 1;
  for (const message of sent) {
    const bytes = bytesOf(message) + 1;
    if (some.length && (size + bytes > frame_bytes || some.length === frame_messages)) {
      yield frameOf(some);
      [some, size] = [[], 1];
    }
    some.push(message);
    size += bytes;
  }
  if (some.length) yield frameOf(some);
}

const frameOf = (some) => (some.length === 1 ? some[0] : `[${some.join(",")}]`);
const encoder = new TextEncoder();
const bytesOf = (text) => encoder.encode(text).length;
