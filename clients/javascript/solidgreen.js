// A client of the wallet, `wallet.v1`: for browsers, and for Node 18 or later. No dependency, no build step.
//
//   import {Wallet} from "./solidgreen.js";
//   const wallet = new Wallet("wss://example.com/ws", getToken, {storage: localStorage});
//   await wallet.ready();
//   const answer = await wallet.place({stake: 250, game: "roulette"});
//
// A `Wallet` is one user's connection, over as many sockets as it takes: when one breaks, another is opened,
// and what was not answered is sent again with the same `bet_id` and `nonce`, so that no money moves twice.
// All decisions are in state.js; here are the socket, the clock and the waiting. docs/clients.md tells more.

import {GivenUp, NotAuthenticated, Refused, State, Unresolved} from "./state.js";

export {ClientError, GivenUp, NotAuthenticated, Refused, Unresolved} from "./state.js";

/** @typedef {import("./state.js").Message} Message */
/** @typedef {import("./state.js").Funds} Funds */

const WITHIN_MS = 10_000;
const LATE_MAX = 1000; // answers that came too late for a call, and are kept for `resolve`
const STORED = "solidgreen.bet."; // before the `bet_id`, in the names of what is stored

const nowMs = () => Math.trunc(performance.now());

/** Whether it happens within so many milliseconds. */
function inTime(happening, ms) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms, false);
    happening.then(() => {
      clearTimeout(timer);
      resolve(true);
    });
  });
}


/** A fresh UUID of version 7 (RFC 9562, section 5.7): 48 bits of milliseconds, then random bits. */
export function newBetId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  new DataView(bytes.buffer).setUint16(0, Math.trunc(Date.now() / 2 ** 32));
  new DataView(bytes.buffer).setUint32(2, Date.now() % 2 ** 32);
  bytes[6] = (bytes[6] & 0x0f) | 0x70; // version
  bytes[8] = (bytes[8] & 0x3f) | 0x80; // variant
  const hex = hexOf(bytes);
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}

const hexOf = (bytes) => [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");

/** Keeps bets as long as the page or the process lives. */
class MemoryStorage {
  #items = new Map();
  get length() { return this.#items.size; }
  key(place) { return [...this.#items.keys()][place] ?? null; }
  getItem(name) { return this.#items.get(name) ?? null; }
  setItem(name, text) { this.#items.set(name, text); }
  removeItem(name) { this.#items.delete(name); }
}

/** A user's connection to the wallet engine. */
export class Wallet {
  #url;
  #source;
  #token = null;
  #storage;
  #withinMs;
  #WebSocket;
  #state = new State(Math.random);
  #socket = null;
  #trouble = "none was opened";
  #isClosed = false;
  #isOver = false;
  #waiters = new Map();
  #late = new Map(); // last words on bets that nobody waited for any more
  #timer = null;
  #pausing = null;
  #isOwing = false;
  #news = [];
  #welcomed;
  #onWelcome;

  /**
   * Connects at once; `ready()` tells when it has.
   *
   * @param {string} url  of the door, `wss://…/ws`
   * @param {string | (() => string | Promise<string>)} token  an access token, or where to get one: asked at
   *   the start, and whenever the server refuses the last one
   * @param {object} [options]
   * @param {Storage} [options.storage]  where bets are kept that are not answered yet: with `localStorage` a
   *   page that is loaded again finds them in `unresolved()`; by default they go with the page
   * @param {number} [options.withinMs]  how long to wait for an answer, unless a call says otherwise
   * @param {typeof WebSocket} [options.WebSocket]  for Node before 22, which has none of its own
   */
  constructor(url, token, {storage = new MemoryStorage(), withinMs = WITHIN_MS, WebSocket} = {}) {
    this.#url = url;
    this.#source = token;
    this.#storage = storage;
    this.#withinMs = withinMs;
    this.#WebSocket = WebSocket ?? globalThis.WebSocket;
    if (this.#WebSocket === undefined) throw new TypeError("no WebSocket here: give options.WebSocket");
    this.#welcomed = new Promise((resolve) => { this.#onWelcome = resolve; });
    this.#run();
  }

  /** Wait for the first `welcome`. Rejects with `GivenUp` where none comes in time; then this has ended. */
  async ready() {
    if (!(await inTime(this.#welcomed, this.#withinMs))) {
      this.close();
      throw new GivenUp(`no welcome from ${this.#url} in ${this.#withinMs} ms: ${this.#trouble}`);
    }
    if (this.#state.fault !== null) throw this.#state.fault;
    return this;
  }

  /** End the connection. Whoever still waits hears `Unresolved`. */
  close() {
    this.#isClosed = true;
    this.#pausing?.();
    this.#leave();
    this.#ended();
  }

  // -- who and how much

  get userId() { return this.#welcome.user_id; }
  get role() { return this.#welcome.role; }
  /** Whether a socket is open now and bets leave at once. */
  get isOpen() { return this.#state.phase === "open"; }

  /** The newest that is known, in minor units; null for whoever has no wallet. @returns {Funds | null} */
  get balance() { return this.#state.view.funds; }

  /** The balance as it stands now, with what is held: a hold is the one thing that is not pushed. */
  async refresh(options) {
    await this.ask({type: "balance.get"}, options);
    return this.balance;
  }

  // -- bets

  /**
   * Place a bet, and see it through: the `bet.confirmed` or `bet.rejected` that is its last word. One with
   * `retryable` true is a bet that the server could not take before the time was over: it has moved no money.
   *
   * @param {{stake: number, bet_id?: string, currency?: string, game?: string, round?: string,
   *   selection?: string, odds_milli?: number, free_bet_id?: number, user_id?: number}} bet
   * @param {{withinMs?: number}} [options]
   * @returns {Promise<Message>}
   */
  async place(bet, options) {
    const nonce = hexOf(crypto.getRandomValues(new Uint8Array(12)));
    const request = {type: "bet.place", bet_id: newBetId(), ...bet, nonce};
    const isDoubtful = this.#storage.getItem(STORED + request.bet_id) !== null; // an earlier call's: it may have left
    this.#storage.setItem(STORED + request.bet_id, JSON.stringify({user_id: this.userId, bet: request}));
    return this.#betSettled(this.#state.start(request, {isDoubtful}), options);
  }

  /** The bets of this user whose fate is not known. @returns {string[]} */
  unresolved() { return this.#kept().map(({bet_id}) => bet_id); }

  /**
   * Find out what became of a bet that is among `unresolved()`: also `{type: "not_placed"}`, which takes 90 s
   * to be sure of, or the `bet.state` of one that is archived. Nothing is placed anew, unless `again` says
   * that the bet is still wanted.
   *
   * @param {string} bet_id
   * @param {{again?: boolean, withinMs?: number}} [options]
   * @returns {Promise<Message>}
   */
  async resolve(bet_id, {again = false, ...options} = {}) {
    const late = this.#late.get(bet_id);
    if (late !== undefined) {
      this.#late.delete(bet_id);
      return late;
    }
    const bet = this.#kept().find((each) => each.bet_id === bet_id);
    if (bet === undefined) throw new RangeError(`${bet_id}: not among the unresolved bets`);
    return this.#betSettled(this.#state.start(bet, {onlyLooks: !again, isDoubtful: true}), options);
  }

  /** How a bet stands now; null: no such bet is known to the server, or it is another's. */
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
   */
  async *entries(fromSeq) {
    const {view} = this.#state;
    if (view.funds === null) throw new TypeError("there is no wallet whose entries could be read");
    if (view.feed.cursor !== null) throw new RangeError("the entries of this wallet are read already");
    view.feed.follow(fromSeq ?? view.firstSeq);
    try {
      while (true) {
        while (view.feed.waiting.length) yield view.feed.waiting.shift();
        if (this.#isOver) break;
        this.#owe();
        await new Promise((resolve) => { this.#news.push(resolve); });
      }
    } finally {
      view.feed.unfollow();
    }
    if (this.#state.fault !== null) throw this.#state.fault;
  }

  // -- anything

  /**
   * Ask anything, and have its answer: `wallet.ask({type: "bet.settle", key, bet_id, result: "lost"})`. Its
   * `id` is made here. A move is asked again with the same `key` until its last word is there.
   *
   * @param {Message} request
   * @param {{withinMs?: number}} [options]
   * @returns {Promise<Message>}
   */
  async ask(request, options) {
    if (request.type === "bet.place") throw new TypeError("a bet is kept before it is sent: use place()");
    return this.#settled(this.#state.start({...request}), options);
  }

  // -- waiting

  async #betSettled(task, options) {
    try {
      const result = await this.#settled(task, options);
      this.#forget(task);
      return result;
    } catch (error) {
      if (error instanceof Refused && !task.isDoubtful) this.#forget(task);
      if (error instanceof Unresolved && !error.was_sent) this.#forget(task);
      if (!(error instanceof Unresolved && task.isRejected)) throw error;
      this.#forget(task);
      return task.last;
    }
  }

  /** The caller has gone, and may still ask. */
  #keepLate(task) {
    this.#forget(task);
    this.#late.set(task.request.bet_id, task.result);
    if (this.#late.size > LATE_MAX) this.#late.delete(this.#late.keys().next().value);
  }

  #forget(task) { this.#storage.removeItem(STORED + task.request.bet_id); }

  async #settled(task, {withinMs = this.#withinMs} = {}) {
    this.#owe();
    if (!this.#isOver) {
      const finished = new Promise((resolve) => { this.#waiters.set(task, resolve); });
      await inTime(finished, withinMs);
      this.#waiters.delete(task);
    }
    const {result, isBet, request} = task;
    if (result === null) this.#state.abandon(task);
    if (result?.type === "error") throw new Refused(result);
    if (result !== null) return result;
    const wasSent = task.sentAt !== null || task.isDoubtful;
    if (this.#state.fault !== null && !wasSent) throw this.#state.fault;
    const what = isBet ? `bet ${request.bet_id}` : request.type;
    throw new Unresolved(what, isBet ? request.bet_id : null, wasSent, task.last);
  }

  #kept() {
    const names = [...Array(this.#storage.length).keys()].map((place) => this.#storage.key(place));
    const texts = names.filter((name) => name?.startsWith(STORED)).map((name) => this.#storage.getItem(name));
    const kept = texts.map((text) => JSON.parse(text));
    return kept.filter(({user_id}) => user_id === this.userId).map(({bet}) => bet);
  }

  // -- the connection

  get #welcome() {
    if (this.#state.welcome === null) throw new Error("not connected yet: await ready()");
    return this.#state.welcome;
  }

  async #run() {
    while (!this.#isClosed && this.#state.fault === null) {
      const leftMs = this.#state.connectMs - nowMs();
      if (leftMs > 0) {
        await inTime(new Promise((resolve) => { this.#pausing = resolve; }), leftMs);
        continue;
      }
      try {
        if (this.#token === null || this.#state.needsToken) this.#token = await this.#newToken();
      } catch (error) {
        this.#trouble = error;
        if (error instanceof GivenUp) this.#state.end(error);
        else this.#state.disconnected(null, nowMs()); // what is asked for tokens may be away as well
        continue;
      }
      if (!this.#isClosed) await this.#oneSocket();
    }
    this.#ended();
  }

  async #newToken() {
    if (typeof this.#source === "string" && this.#token !== null) {
      throw new NotAuthenticated("the server has refused the token, or it has expired");
    }
    const token = typeof this.#source === "string" ? this.#source : await this.#source();
    this.#state.needsToken = false;
    return token;
  }

  /** Until it is closed. */
  #oneSocket() {
    return new Promise((resolve) => {
      let socket;
      try {
        socket = this.#socket = new this.#WebSocket(this.#url, "wallet.v1");
      } catch (error) {
        this.#state.end(new GivenUp(`cannot connect to ${this.#url}: ${error}`));
        resolve();
        return;
      }
      const leave = (code, reason) => {
        if (this.#socket !== socket) return; // it was given up before it closed
        this.#socket = null;
        clearTimeout(this.#timer);
        this.#trouble = `closed with ${code} ${reason}`;
        if (this.#state.fault === null) this.#state.disconnected(code === 1006 ? null : code, nowMs());
        resolve();
      };
      this.#state.connected(nowMs()); // the time to connect counts as well: browsers have no limit for it
      this.#leave = () => {
        leave(1006, "nobody is there");
        socket.close(1000);
      };
      socket.onopen = () => {
        socket.send(JSON.stringify({type: "auth", token: this.#token}));
        this.#owe();
      };
      socket.onmessage = ({data}) => {
        if (this.#socket !== socket) return;
        try {
          this.#state.receive(data, nowMs());
        } catch {
          this.#leave(); // no JSON: whatever is there, it is not the wallet
          return;
        }
        this.#tell();
        if (this.#state.fault !== null) this.#leave();
        else this.#owe();
      };
      // `close` follows, but not in Node 20 where the server is away.
      socket.onerror = () => setTimeout(leave, 0, 1006, "it failed");
      socket.onclose = ({code, reason}) => leave(code, reason);
      this.#owe();
    });
  }

  #leave = () => {};

  /** Send what is due, soon: all that is asked for in one go leaves in one frame. */
  #owe() {
    if (this.#isOwing) return;
    this.#isOwing = true;
    queueMicrotask(() => {
      this.#isOwing = false;
      this.#send();
    });
  }

  #send() {
    clearTimeout(this.#timer);
    if (this.#socket === null) return;
    if (this.#state.isDead(nowMs())) {
      this.#leave();
      return;
    }
    if (this.#socket.readyState === 1) {
      for (const frame of this.#state.toSend(nowMs())) this.#socket.send(frame);
    }
    this.#tell(); // what is too long is finished without being sent
    const wakeMs = this.#state.wakeMs();
    if (wakeMs !== null) this.#timer = setTimeout(() => this.#send(), Math.max(1, wakeMs - nowMs()));
  }

  #tell() {
    if (this.#state.welcome !== null) this.#onWelcome();
    if (this.#state.view.feed.waiting.length) this.#wakeReaders();
    for (const task of this.#state.finished.splice(0)) {
      const waiter = this.#waiters.get(task);
      if (waiter !== undefined) waiter();
      else if (task.isBet && task.result.type !== "error") this.#keepLate(task);
    }
  }

  #wakeReaders() { this.#news.splice(0).forEach((resolve) => resolve()); }

  #ended() {
    this.#isOver = true;
    clearTimeout(this.#timer);
    this.#onWelcome();
    this.#wakeReaders();
    this.#waiters.forEach((resolve) => resolve());
  }
}
