// The sockets under a client, one after the other: connecting, sending, reading and waiting. What is sent and
// when is decided by state.js.

import {GivenUp, NotAuthenticated, Refused, Unresolved} from "./errors.js";
import {ClientState} from "./state.js";

/** @import {Task} from "./tasks.js" */
/** @import {ErrorReply, Reply} from "./messages.js" */
/** @import {NotPlaced, Signal, Socket, SocketClass, Token} from "./types.js" */

const OPEN = 1; // of `readyState`
const BROKEN = 1006; // the close code of a socket that was not closed

const nowMs = () => Math.trunc(performance.now());

/**
 * Whether it happens within so many milliseconds, at most the 24 days that timers have.
 *
 * @param {Promise<unknown>} happening
 * @param {number} ms
 * @returns {Promise<boolean>}
 */
function inTime(happening, ms) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, Math.min(ms, 2 ** 31 - 1), false);
    happening.then(() => {
      clearTimeout(timer);
      resolve(true);
    });
  });
}

/** A client's connection, from the constructor to `close`, over as many sockets as it takes. */
export class Link {
  state = new ClientState(Math.random);
  #url;
  #source;
  #withinMs;
  #Socket;
  #onLate;
  #onUnasked;
  /** @type {string | null} */
  #token = null;
  /** @type {Socket | null} */
  #socket = null;
  /** Why there was no socket when there was none last. @type {unknown} */
  #trouble = "none was opened";
  #isClosed = false;
  #isOver = false;
  /** @type {Map<Task, () => void>} */
  #waiters = new Map();
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  #endPause = () => {};
  #isOwing = false;
  /** @type {Array<() => void>} */
  #readers = [];
  #onWelcome = () => {};
  /** @type {Promise<void>} */
  #welcomed = new Promise((resolve) => { this.#onWelcome = resolve; });

  /**
   * Connects at once.
   *
   * @param {string} url
   * @param {Token} token
   * @param {number} withinMs  for the first `welcome`
   * @param {SocketClass} Socket
   * @param {(task: Task) => void} onLate  hears of each task that was finished when nobody waited for it
   * @param {(message: Reply) => void} onUnasked  hears of each message that answers nothing
   */
  constructor(url, token, withinMs, Socket, onLate, onUnasked) {
    this.#url = url;
    this.#source = token;
    this.#withinMs = withinMs;
    this.#Socket = Socket;
    this.#onLate = onLate;
    this.#onUnasked = onUnasked;
    this.#run();
  }

  /** Wait for the first `welcome`. Throws `NotAuthenticated` or `GivenUp`; then this has ended. */
  async ready() {
    const isInTime = await inTime(this.#welcomed, this.#withinMs);
    if (this.state.fault !== null) throw this.state.fault;
    if (this.state.welcome !== null) return;
    const when = isInTime ? "before it was closed" : `in ${this.#withinMs} ms`;
    this.close();
    throw new GivenUp(`no welcome from ${this.#url} ${when}: ${this.#trouble}`);
  }

  /** End the connection. Whoever still waits hears `Unresolved`. */
  close() {
    this.#isClosed = true;
    this.#endPause();
    this.#leave("it was closed here");
    this.#ended();
  }

  /** Whether nothing will be sent or read any more. */
  get isOver() { return this.#isOver; }

  /** Whether some call waits to hear what becomes of this bet. @param {string} betId */
  waitsFor(betId) { return [...this.#waiters.keys()].some(({bet}) => bet?.bet_id === betId); }

  /** Something is to be sent: soon, so that all that is asked for in one go leaves in one frame. */
  stir() {
    if (this.#isOwing) return;
    this.#isOwing = true;
    queueMicrotask(() => {
      this.#isOwing = false;
      this.#send();
    });
  }

  /** An entry has come, or the end. @returns {Promise<void>} */
  news() { return new Promise((resolve) => { this.#readers.push(resolve); }); }

  /**
   * The last word on a task that was just started. Throws `Refused`, `Unresolved`, `GivenUp` or why the
   * signal was aborted.
   *
   * @param {Task} task
   * @param {number} withinMs
   * @param {Signal} [signal]
   * @returns {Promise<Exclude<Reply, ErrorReply> | NotPlaced>}
   */
  async settled(task, withinMs, signal) {
    this.stir();
    if (!this.#isOver && !signal?.aborted) {
      let wake = () => {};
      /** @type {Promise<void>} */
      const finished = new Promise((resolve) => { wake = resolve; });
      this.#waiters.set(task, wake);
      signal?.addEventListener("abort", wake);
      await inTime(finished, withinMs);
      signal?.removeEventListener("abort", wake);
      this.#waiters.delete(task);
    }
    const {result, bet, request, isDoubtful} = task;
    if (result?.type === "error") throw new Refused(result);
    if (result !== null) return result;
    this.state.abandon(task);
    if (signal?.aborted) throw signal.reason;
    const wasSent = task.sentAt !== null || isDoubtful;
    if (this.state.fault !== null && !wasSent) throw this.state.fault;
    const what = bet === null ? request.type : `bet ${bet.bet_id}`;
    throw new Unresolved(what, bet?.bet_id ?? null, wasSent, task.last);
  }

  async #run() {
    const {state} = this;
    while (!this.#isClosed && state.fault === null) {
      const leftMs = state.reconnecting.connectMs - nowMs();
      if (leftMs > 0) {
        await inTime(new Promise((resolve) => { this.#endPause = () => resolve(undefined); }), leftMs);
        continue;
      }
      try {
        if (this.#token === null || state.reconnecting.needsToken) this.#token = await this.#newToken();
      } catch (error) {
        this.#trouble = error;
        if (error instanceof GivenUp) state.end(error);
        else state.disconnected(null, nowMs()); // what is asked for tokens may be away as well
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
    this.state.reconnecting.needsToken = false;
    return token;
  }

  /** Until it is closed. @returns {Promise<void>} */
  #oneSocket() {
    return new Promise((resolve) => {
      /** @type {Socket} */
      let socket;
      try {
        socket = this.#socket = new this.#Socket(this.#url, "wallet.v1");
      } catch (error) {
        this.state.end(new GivenUp(`cannot connect to ${this.#url}: ${error}`));
        resolve();
        return;
      }
      let failure = "";
      const left = (/** @type {number} */ code, /** @type {string} */ why) => {
        if (this.#socket !== socket) return; // it was given up before it closed
        this.#socket = null;
        clearTimeout(this.#timer);
        this.#trouble = `closed with ${code} ${why || failure}`.trimEnd();
        if (this.state.fault === null) this.state.disconnected(code === BROKEN ? null : code, nowMs());
        resolve();
      };
      this.state.connected(nowMs()); // the time to connect counts as well: browsers have no limit for it
      this.#leave = (why) => {
        left(BROKEN, why);
        socket.close(1000);
      };
      socket.onopen = () => {
        socket.send(JSON.stringify({type: "auth", token: this.#token}));
        this.stir();
      };
      socket.onmessage = (/** @type {{data: string}} */ {data}) => {
        if (this.#socket === socket) this.#receive(data);
      };
      socket.onerror = (/** @type {{message?: string}} */ {message}) => {
        failure = message ?? "";
        setTimeout(left, 0, BROKEN, ""); // `close` follows, but not in Node 20 where the server is away
      };
      socket.onclose = (/** @type {{code: number, reason: string}} */ {code, reason}) => left(code, reason);
      this.stir();
    });
  }

  /** Give up the socket that is there. @type {(why: string) => void} */
  #leave = () => {};

  /** @param {string} frame */
  #receive(frame) {
    try {
      this.state.receive(frame, nowMs());
    } catch (error) {
      this.#leave(`not understood: ${error}`); // no JSON: whatever is there, it is not the wallet
      return;
    }
    this.#tell();
    if (this.state.fault !== null) this.#leave("there is no point in it");
    else this.stir();
  }

  #send() {
    clearTimeout(this.#timer);
    if (this.#socket === null) return;
    if (this.state.isDead(nowMs())) {
      this.#leave("nobody is there");
      return;
    }
    if (this.#socket.readyState === OPEN) {
      for (const frame of this.state.toSend(nowMs())) this.#socket.send(frame);
    }
    this.#tell(); // what is too long is finished without being sent
    const wakeMs = this.state.wakeMs();
    if (wakeMs !== null) this.#timer = setTimeout(() => this.#send(), Math.max(1, wakeMs - nowMs()));
  }

  #tell() {
    if (this.state.welcome !== null) this.#onWelcome();
    if (this.state.view.feed.waiting.length) this.#wakeReaders();
    for (const task of this.state.finished.splice(0)) {
      const waiter = this.#waiters.get(task);
      if (waiter === undefined) this.#onLate(task);
      else waiter();
    }
    // What it throws is its own fault, and not that of this connection.
    for (const message of this.state.unasked.splice(0)) queueMicrotask(() => this.#onUnasked(message));
  }

  #wakeReaders() { this.#readers.splice(0).forEach((resolve) => resolve()); }

  #ended() {
    this.#isOver = true;
    clearTimeout(this.#timer);
    this.#onWelcome();
    this.#wakeReaders();
    this.#waiters.forEach((resolve) => resolve());
  }
}
