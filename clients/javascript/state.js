// A client of `wallet.v1` as a state machine: what comes in, what is to be sent, when to connect. No socket,
// no clock, no chance: they are arguments. It is ws/client/state.py in JavaScript, which tells what follows what
// and where the numbers come from; clients/scenarios.json keeps the two languages together.

import {NotAuthenticated} from "./errors.js";
import {Reconnecting, pauseMs} from "./pauses.js";
import {Queue, Task} from "./tasks.js";
import {WalletView} from "./view.js";
import {bytesOf, decodeFrame, inFrames} from "./wire.js";

/** @import {Bounds, ErrorReply, Reply, Request, Welcome} from "./messages.js" */
/** @import {GivenUp} from "./errors.js" */
/** @import {KeptBet, NotPlaced, Question} from "./types.js" */

const WELCOME_WITHIN_MS = 10_000;
const QUIET_MS = 15_000;
const PONG_WITHIN_MS = 10_000;
const ANSWER_WITHIN_MS = 10_000;
const EXPIRED_WITHIN_MS = 5000;
const STALE_MAX = 5;
const BET_ANSWERS = ["bet.confirmed", "bet.rejected", "bet.state", "error"]; // and not `bet.pending`
/** @type {Required<Bounds>} */
const LIMITS = {
  frame_bytes: 262_144,
  frame_messages: 1000,
  in_flight: 1000,
  nonce_window_ms: 90_000,
  deadline_ms: 2000,
  messages_per_s: 50_000,
};

/** One client of one wallet, over any number of sockets. All times (`…Ms`) are of a clock that never goes back. */
export class ClientState {
  /** @type {"offline" | "waiting" | "open" | "ended"} */
  phase = "offline";
  view = new WalletView();
  /** @type {Welcome | null} */
  welcome = null;
  limits = LIMITS;
  /** Those that have their last word; the shell takes them out. @type {Task[]} */
  finished = [];
  /** What came unasked: each `welcome`, and pushes; the shell takes them out. @type {Reply[]} */
  unasked = [];
  /** @type {GivenUp | null} */
  fault = null;
  reconnecting;
  #chance;
  #number = 0;
  #idNumber = 0;
  #queue = new Queue();
  /** @type {Map<string, Task>} */
  #waiting = new Map();
  /** Server time since which a bet that is not answered was not sent, here. @type {Map<string, number>} */
  #unsentSince = new Map();
  /** @type {string | null} */
  #resumeId = null;
  /** @type {string | null} */
  #pingId = null;
  /** @type {string | null} */
  #lookId = null;
  #mayLookMs = 0;
  /** Times in a row that what this asks by itself was refused. */
  #ownRefused = 0;
  #wantsTime = false;
  #isExpired = false;
  /** @type {number | null} */
  #deadMs = null;
  #heardMs = 0;
  #serverAheadMs = 0;

  /** @param {() => number} chance  numbers from 0 to below 1 */
  constructor(chance) {
    this.#chance = chance;
    this.reconnecting = new Reconnecting(chance);
  }

  // -- what the caller wants

  /**
   * Ask this until its last word is there. Its `id` is made here, and so is a bet's `sent_at`.
   *
   * @param {Question | KeptBet} request
   * @param {{onlyLooks?: boolean, isDoubtful?: boolean}} [how]  it may have been sent before; then do not
   *   place it anew
   */
  start(request, {onlyLooks = false, isDoubtful = false} = {}) {
    const task = new Task(++this.#number, request, onlyLooks, isDoubtful);
    this.#queue.add(task);
    return task;
  }

  /**
   * Nobody waits for it: it is not sent again. Its answer may still come, and is among `finished`.
   *
   * @param {Task} task
   */
  abandon(task) {
    task.isAbandoned = true;
    if (task.bet !== null && task.isRejected) this.#unsentSince.delete(task.bet.bet_id);
  }

  /** The server's time, as well as it is known: too early by what a message takes. @param {number} nowMs */
  serverMs(nowMs) { return nowMs + this.#serverAheadMs; }

  // -- what the socket brings

  /** A socket is open, and the token was shown or is the first message. @param {number} nowMs */
  connected(nowMs) {
    this.phase = "waiting";
    this.#heardMs = nowMs;
    this.#deadMs = nowMs + WELCOME_WITHIN_MS;
  }

  /**
   * A frame came. Throws `SyntaxError` where it is no JSON.
   *
   * @param {string} text
   * @param {number} nowMs
   */
  receive(text, nowMs) {
    this.#heardMs = nowMs;
    if (this.phase === "open" && !this.#isExpired) {
      this.#deadMs = this.#pingId === null ? null : nowMs + PONG_WITHIN_MS;
    }
    for (const message of decodeFrame(text)) this.#take(message, nowMs);
  }

  /**
   * The socket has gone, or could not be opened.
   *
   * @param {number | null} code  how it was closed; null: it was not
   * @param {number} nowMs
   * @param {number | null} [retryAfterMs]
   */
  disconnected(code, nowMs, retryAfterMs = null) {
    this.phase = "offline";
    this.#isExpired = this.#wantsTime = false;
    this.#deadMs = this.#resumeId = this.#pingId = this.#lookId = null;
    this.view.feed.dropped(nowMs);
    this.#allWaitAgain();
    const fault = this.reconnecting.closed(code, nowMs, retryAfterMs);
    if (fault !== null) this.end(fault);
  }

  /** Connect no more. @param {GivenUp} fault */
  end(fault) {
    this.phase = "ended";
    this.fault = fault;
  }

  // -- what is to be done

  /** The frames that are due. @param {number} nowMs */
  toSend(nowMs) {
    if (this.phase !== "open" || this.#isExpired) return [];
    this.#lookForOverdue(nowMs);
    const sent = this.#ownRequests(nowMs).map((request) => JSON.stringify(request));
    for (const task of this.#queue.take(() => this.#isRoom, nowMs)) {
      const message = this.#message(task, nowMs);
      if (bytesOf(message) > this.limits.frame_bytes) {
        const message = `longer than the ${this.limits.frame_bytes} bytes that the server takes`;
        this.#finish(task, {type: "error", id: null, code: "INVALID_REQUEST", message, retryable: false});
        continue;
      }
      this.#waiting.set(/** @type {string} */ (task.id), task);
      sent.push(message);
    }
    return [...inFrames(sent, this.limits)];
  }

  /** When to look again though nothing happens; null: need not be. */
  wakeMs() {
    if (this.phase !== "open" || this.#isExpired) return this.#deadMs; // nothing is sent
    const times = [this.#pingId === null ? this.#heardMs + QUIET_MS : null, this.#deadMs];
    if (this.#resumeId === null) times.push(this.view.feed.wantsMs());
    if (this.view.isUnsure && this.#lookId === null) times.push(this.#mayLookMs);
    if (this.#isRoom) times.push(this.#queue.dueMs);
    const [oldest] = this.#waiting.values();
    if (oldest !== undefined) times.push(oldest.askedMs + ANSWER_WITHIN_MS);
    return Math.min(...times.filter((each) => each !== null));
  }

  /** Whether the socket is to be dropped: nobody is at its other end. @param {number} nowMs */
  isDead(nowMs) { return this.#deadMs !== null && nowMs >= this.#deadMs; }

  get #isRoom() { return this.#waiting.size < this.limits.in_flight; }

  /** @param {number} nowMs */
  #ownRequests(nowMs) {
    /** @type {Request[]} */
    const own = [];
    const fromSeq = this.view.feed.wantsFrom(nowMs);
    if (fromSeq !== null && this.#resumeId === null) {
      this.view.feed.asked();
      this.#resumeId = this.#nextId();
      own.push({type: "resume", id: this.#resumeId, from_seq: fromSeq});
    }
    if (this.view.isUnsure && this.#lookId === null && nowMs >= this.#mayLookMs) {
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

  /** @param {Task} task @param {number} nowMs */
  #message(task, nowMs) {
    task.id = this.#nextId();
    task.askedMs = nowMs;
    if (task.bet !== null && task.looks) {
      this.#sinceOf(task.bet, nowMs);
      return JSON.stringify({type: "bet.get", id: task.id, bet_id: task.bet.bet_id});
    }
    task.sentAt = this.serverMs(nowMs);
    if (task.bet !== null) this.#unsentSince.set(task.bet.bet_id, task.sentAt);
    return JSON.stringify({...task.request, id: task.id, ...(task.bet && {sent_at: task.sentAt})});
  }

  // -- messages

  /** @param {Reply} message @param {number} nowMs */
  #take(message, nowMs) {
    if (message.type === "welcome" && !this.#welcomed(message, nowMs)) return;
    this.view.take(message);
    if (!("id" in message)) this.unasked.push(message);
    const id = "id" in message ? message.id : null;
    if (id === null) return;
    if (id === this.#resumeId && message.type === "resumed") {
      this.#resumeId = null;
      this.#ownRefused = 0;
      this.view.feed.resumed(message, nowMs);
    } else if ((id === this.#resumeId || id === this.#lookId) && message.type === "error") {
      this.#askLater(message, nowMs);
    } else if (id === this.#pingId && message.type === "pong") {
      this.#pingId = null;
      if (!this.#isExpired) this.#deadMs = null;
      this.#serverAheadMs = message.server_time - nowMs;
    } else {
      if (id === this.#lookId) {
        this.#lookId = null;
        this.#ownRefused = 0;
      }
      const task = this.#waiting.get(id);
      if (task === undefined || (task.bet !== null && !BET_ANSWERS.includes(message.type))) return;
      this.#waiting.delete(id);
      task.id = null;
      task.last = message;
      if (message.type === "error") this.#failed(task, message, nowMs);
      else this.#answered(task, message, nowMs);
    }
  }

  /**
   * What this asks by itself is asked again, more and more slowly.
   *
   * @param {ErrorReply} refused
   * @param {number} nowMs
   */
  #askLater(refused, nowMs) {
    const laterMs = nowMs + pauseMs(this.#chance, this.#ownRefused++, refused.retry_after_ms);
    if (refused.id === this.#resumeId) {
      this.#resumeId = null;
      this.view.feed.dropped(nowMs);
      this.view.feed.mayResumeMs = laterMs;
    } else {
      this.#lookId = null;
      this.view.isUnsure = true;
      this.#mayLookMs = laterMs;
    }
  }

  /** @param {Welcome} welcome @param {number} nowMs */
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
    this.reconnecting.welcomed();
    return true;
  }

  /** @param {Task} task @param {Exclude<Reply, ErrorReply>} reply @param {number} nowMs */
  #answered(task, reply, nowMs) {
    if (reply.type === "bet.state" && task.looks && reply.state === "pending") {
      this.#again(task, nowMs);
    } else if (reply.type === "bet.state" && task.looks) {
      // Its replay tells all that the first answer did.
      task.decided = reply;
      task.looks = false;
      task.tries = 0;
      this.#queue.add(task);
    } else if (reply.type === "bet.rejected" && reply.retryable) {
      this.#again(task, nowMs, reply.retry_after_ms);
    } else {
      this.#finish(task, reply);
    }
  }

  /** @param {Task} task @param {ErrorReply} error @param {number} nowMs */
  #failed(task, error, nowMs) {
    const {code, retryable, retry_after_ms: retryAfterMs} = error;
    if (code === "UNAUTHORIZED") {
      this.#isExpired = true;
      this.#deadMs ??= nowMs + EXPIRED_WITHIN_MS;
      this.#queue.add(task);
    } else if (code === "NOT_FOUND" && task.looks) {
      this.#notFound(task, nowMs);
    } else if (code === "IDEMPOTENCY_CONFLICT" && task.decided && task.onlyLooks) {
      this.#finish(task, task.decided); // archived, so that there is no replay
    } else if (code === "OUTCOME_UNKNOWN" && task.bet !== null) {
      task.lost();
      task.looks = true;
      this.#again(task, nowMs, retryAfterMs);
    } else if (code === "STALE_REQUEST" && task.bet !== null && task.stale < STALE_MAX) {
      task.stale += 1;
      this.#wantsTime = true;
      this.#again(task, nowMs);
    } else if (retryable) {
      task.lost();
      this.#again(task, nowMs, retryAfterMs);
    } else {
      this.#finish(task, error);
    }
  }

  /** @param {Task} task @param {number} nowMs */
  #notFound(task, nowMs) {
    const bet = /** @type {KeptBet} */ (task.bet);
    if (!task.onlyLooks) {
      task.looks = false;
      this.#again(task, nowMs);
    // `sent_at` is accepted for less than that, so what has not arrived by then never will.
    } else if (this.serverMs(nowMs) > this.#sinceOf(bet, nowMs) + this.limits.nonce_window_ms) {
      this.#finish(task, {type: "not_placed", bet_id: bet.bet_id});
    } else {
      this.#again(task, nowMs);
    }
  }

  /**
   * Its newest sending, or the first look where it was sent before this page was loaded.
   *
   * @param {{bet_id: string}} bet
   * @param {number} nowMs
   */
  #sinceOf({bet_id}, nowMs) {
    const since = this.#unsentSince.get(bet_id) ?? this.serverMs(nowMs);
    this.#unsentSince.set(bet_id, since);
    return since;
  }

  /** @param {Task} task @param {Reply | NotPlaced} result */
  #finish(task, result) {
    if (task.bet !== null) this.#unsentSince.delete(task.bet.bet_id);
    task.result = result;
    this.finished.push(task);
  }

  /**
   * @param {Task} task
   * @param {number} nowMs
   * @param {number} [atLeastMs]
   */
  #again(task, nowMs, atLeastMs) {
    this.#queue.addLater(task, nowMs + pauseMs(this.#chance, task.tries, atLeastMs));
    task.tries += 1;
  }

  /** What was sent goes back to its place in the order of asking. */
  #allWaitAgain() {
    const tasks = [...this.#waiting.values()];
    tasks.forEach((task) => task.lost());
    this.#waiting.clear();
    this.#queue.putBack(tasks);
  }

  /** @param {number} nowMs */
  #lookForOverdue(nowMs) {
    for (const [id, task] of [...this.#waiting]) {
      if (nowMs < task.askedMs + ANSWER_WITHIN_MS) return; // as are all that were asked later
      this.#waiting.delete(id);
      task.lost();
      task.looks = task.bet !== null;
      this.#again(task, nowMs);
    }
  }

  #nextId() {
    this.#idNumber += 1;
    return `c${this.#idNumber}`;
  }
}
