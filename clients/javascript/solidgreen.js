// A client of the wallet, `wallet.v1`: for browsers, and for Node 18 or later.
// A `Wallet` is one user's connection, over as many sockets as it takes; what was not answered is sent again
// with the same `bet_id`.
// All decisions are in state.js, the sockets in link.js; docs/clients.md tells how to use it.

import {Refused, Unresolved} from "./errors.js";
import {Journal, MemoryStorage} from "./journal.js";
import {Link} from "./link.js";

export {ClientError, GivenUp, NotAuthenticated, Refused, Unresolved} from "./errors.js";

/** @import {BetRejected, Replies, WalletEntry} from "./messages.js" */
/** @import {Bet, Options, Token, Within} from "./types.js" */
/** @import {Task} from "./tasks.js" */
/** @typedef {import("./types.js").Answer} Answer */
/** @typedef {import("./types.js").Fate} Fate */
/** @typedef {import("./types.js").Funds} Funds */
/** @typedef {import("./types.js").Gap} Gap */
/** @typedef {import("./types.js").Question} Question */

const WITHIN_MS = 10_000; // the server promises an answer in 2 s
const LATE_MAX = 1000; // answers, some 300 bytes each

/** A fresh UUID of version 7 (RFC 9562, section 5.7): 48 bits of milliseconds, then random bits. */
export function newBetId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  const view = new DataView(bytes.buffer);
  const atMs = Date.now();
  view.setUint16(0, Math.trunc(atMs / 2 ** 32));
  view.setUint32(2, atMs % 2 ** 32);
  bytes[6] = (bytes[6] & 0x0f) | 0x70; // version
  bytes[8] = (bytes[8] & 0x3f) | 0x80; // variant
  const hex = hexOf(bytes);
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}

/** @param {Uint8Array} bytes */
const hexOf = (bytes) => [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");

/** A user's connection to the wallet engine. */
export class Wallet {
  #link;
  #state;
  #journal;
  #withinMs;
  /** Last words on bets that nobody waited for any more, until somebody asks. @type {Map<string, Fate>} */
  #late = new Map();

  /**
   * Connects at once; `ready()` tells when it has.
   *
   * @param {string} url  of the door, `wss://…/ws`
   * @param {Token} token  an access token, or where to get one: asked at the start, and whenever the server
   *   refuses the last one
   * @param {Options} [options]
   */
  constructor(url, token, {storage = new MemoryStorage(), withinMs = WITHIN_MS, WebSocket, onPush} = {}) {
    const Socket = WebSocket ?? globalThis.WebSocket;
    if (Socket === undefined) throw new TypeError("no WebSocket here: give options.WebSocket");
    this.#journal = new Journal(storage);
    this.#withinMs = withinMs;
    this.#link = new Link(url, token, withinMs, Socket, (task) => this.#keepLate(task), onPush ?? (() => {}));
    this.#state = this.#link.state;
  }

  /** Wait for the first `welcome`. Rejects with `GivenUp` where none comes in time; then this has ended. */
  async ready() {
    await this.#link.ready();
    return this;
  }

  /** End the connection. Whoever still waits hears `Unresolved`. */
  close() { this.#link.close(); }

  // -- who and how much

  /** Of the token. */
  get userId() { return this.#welcome.user_id; }
  /** Of the token. */
  get role() { return this.#welcome.role; }
  /** Whether a socket is open now and bets leave at once. */
  get isOpen() { return this.#state.phase === "open"; }

  /** The newest that is known, in minor units; null for whoever has no wallet. @returns {Funds | null} */
  get balance() { return this.#state.view.funds; }

  /**
   * The balance as it stands now, with what is held: a hold is the one thing that is not pushed.
   *
   * @param {Within} [options]
   */
  async refresh(options) {
    await this.ask({type: "balance.get"}, options);
    return this.balance;
  }

  // -- bets

  /**
   * Place a bet, and see it through. A `bet.rejected` with `retryable` true is a bet that the server could
   * not take before the time was over: it has moved no money.
   *
   * @param {Bet} bet
   * @param {Within} [options]
   * @returns {Promise<Answer>}
   */
  async place(bet, options) {
    const nonce = hexOf(crypto.getRandomValues(new Uint8Array(12)));
    const bet_id = bet.bet_id ?? newBetId();
    const isDoubtful = this.#journal.bet(this.userId, bet_id) !== null; // an earlier call's: it may have left
    const request = /** @type {const} */ ({...bet, type: "bet.place", bet_id, nonce});
    if (!isDoubtful) this.#journal.keep(this.userId, request); // else what may have left stays as it was
    const task = this.#state.start(request, {isDoubtful});
    return /** @type {Answer} */ (await this.#betSettled(bet_id, task, options)); // it is not only looked for
  }

  /**
   * The bets of this user whose fate nobody was told: of calls that ended in `Unresolved`, of a page that was
   * closed, and of calls that still wait.
   */
  unresolved() { return this.#journal.kept(this.userId).map(({bet_id}) => bet_id); }

  /**
   * Find out what became of a bet that is among `unresolved()`, or throw a `RangeError`: also `{type:
   * "not_placed"}`, sure 90 s after it was sent last, or the `bet.state` of one that is archived. Nothing is
   * placed anew, unless `again` says that the bet is still wanted.
   *
   * @param {string} bet_id
   * @param {{again?: boolean} & Within} [options]
   * @returns {Promise<Fate>}
   */
  async resolve(bet_id, {again = false, ...options} = {}) {
    const late = this.#late.get(bet_id);
    if (late !== undefined) {
      this.#forget(bet_id);
      return late;
    }
    const bet = this.#journal.bet(this.userId, bet_id);
    if (bet === null) throw new RangeError(`${bet_id}: not among the unresolved bets`);
    return this.#betSettled(bet_id, this.#state.start(bet, {onlyLooks: !again, isDoubtful: true}), options);
  }

  /**
   * How a bet stands now; null: no such bet is known to the server, or it is another's.
   *
   * @param {string} bet_id
   * @param {Within} [options]
   */
  async state(bet_id, options) {
    try {
      return await this.ask({type: "bet.get", bet_id}, options);
    } catch (error) {
      if (error instanceof Refused && error.code === "NOT_FOUND") return null;
      throw error;
    }
  }

  // -- entries

  /**
   * The ledger entries of this wallet after `fromSeq`, each once, in order, those to come as well; without it
   * from where the wallet stood when this client connected first. `{type: "gap"}` stands for entries that
   * were archived. Ends when the client is closed, throws when it has given up. One reader at a time.
   *
   * @param {number} [fromSeq]
   * @returns {AsyncGenerator<WalletEntry | Gap, void, void>}
   */
  async *entries(fromSeq) {
    const {view} = this.#state;
    if (view.funds === null) throw new TypeError("there is no wallet whose entries could be read");
    if (view.feed.cursor !== null) throw new RangeError("the entries of this wallet are read already");
    view.feed.follow(fromSeq ?? view.firstSeq);
    try {
      while (true) {
        for (let entry = view.feed.waiting.shift(); entry; entry = view.feed.waiting.shift()) yield entry;
        if (this.#link.isOver) break;
        this.#link.stir();
        await this.#link.news();
      }
    } finally {
      view.feed.unfollow();
    }
    if (this.#state.fault !== null) throw this.#state.fault;
  }

  // -- anything

  /**
   * Ask anything, and have its answer: `wallet.ask({type: "bet.settle", key, bet_id, result: "lost"})`. A
   * move is asked again with the same `key` until its last word is there. Not for bets: see `place`.
   *
   * @template {Question} Q
   * @param {Q} request
   * @param {Within} [options]
   * @returns {Promise<Replies[Q["type"]]>}
   */
  async ask(request, options) {
    if (/** @type {{type: string}} */ (request).type === "bet.place") {
      throw new TypeError("a bet is kept before it is sent: use place()");
    }
    const kept = JSON.parse(JSON.stringify(request)); // throws here, and stays as it is for each sending
    const reply = await this.#settled(this.#state.start(kept), options);
    return /** @type {Replies[Q["type"]]} */ (reply); // as the server promises
  }

  // -- waiting

  /**
   * @param {string} bet_id
   * @param {Task} task
   * @param {Within} [options]
   * @returns {Promise<Fate>}
   */
  async #betSettled(bet_id, task, options) {
    try {
      const result = await this.#settled(task, options);
      this.#forget(bet_id);
      return /** @type {Fate} */ (result); // state.js takes nothing else for the last word on a bet
    } catch (error) {
      const isRejected = error instanceof Unresolved && task.isRejected;
      const isOver = isRejected || ((task.sentAt === null || error instanceof Refused) && !task.isDoubtful);
      if (isOver && !this.#link.waitsFor(bet_id)) this.#forget(bet_id);
      if (!isRejected) throw error;
      return /** @type {BetRejected} */ (task.last);
    }
  }

  /** The caller has gone: until somebody asks it stays unresolved. @param {Task} task */
  #keepLate({bet, result}) {
    if (bet === null || result === null || result.type === "error") return;
    this.#late.set(bet.bet_id, /** @type {Fate} */ (result));
    if (this.#late.size > LATE_MAX) this.#late.delete(/** @type {string} */ (this.#late.keys().next().value));
  }

  /** @param {string} bet_id */
  #forget(bet_id) {
    this.#late.delete(bet_id);
    this.#journal.forget(bet_id);
  }

  /**
   * @param {Task} task
   * @param {Within} [options]
   */
  #settled(task, {withinMs = this.#withinMs, signal} = {}) {
    return this.#link.settled(task, withinMs, signal);
  }

  get #welcome() {
    if (this.#state.welcome === null) throw new Error("not connected yet: await ready()");
    return this.#state.welcome;
  }
}
