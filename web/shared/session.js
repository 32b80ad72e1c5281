// Who is logged in. The refresh token is in a cookie that no script can read; the access token is in this
// object, in memory, and nowhere else.
//
// One tab at a time refreshes (a Web Lock): each refresh token is good once. All tabs share the cookie, so
// they are logged in as the same person: where another tab logs out, or in, this one is told.

import {Problem, ask} from "./api.js";

const EARLY_MS = 30_000; // before a token ends it is not shown any more: a request takes time
const LOCK = "solidgreen.refresh";
const told = new BroadcastChannel("solidgreen.session");

/** Nobody is logged in any more: the log-in has ended, or another tab is somebody else. */
export class SessionEnded extends Error {}

/** One at a time of all tabs. Without locks (no secure context) the server heals what collides. */
const alone = (act) => (navigator.locks ? navigator.locks.request(LOCK, act) : act());

export class Session {
  userId;
  role;
  /** Called once, with why, in words; not for what this tab asked for itself. */
  onEnd = () => {};
  #token;
  #untilMs = 0;
  #isOver = false;
  #renewing = null;

  constructor(tokens) {
    [this.userId, this.role] = [tokens.user_id, tokens.role];
    this.#take(tokens);
    this.heard = ({data}) => {
      if (data.ended === this.userId) this.#end("You have logged out in another tab.");
      if (data.began !== undefined && data.began !== this.userId) {
        this.#end("Somebody else has logged in, in another tab.");
      }
    };
    told.addEventListener("message", this.heard);
  }

  /** From the cookie of an earlier visit; null: nobody is logged in. Throws `Problem` where it is not known. */
  static async resumed() {
    try {
      return new Session(await alone(refreshed));
    } catch (error) {
      if (error instanceof Problem && error.status === 401) return null;
      throw error;
    }
  }

  /** Log in, or register. `how`: "login" or "register"; `more`: a `currency` to register with. Throws `Problem`. */
  static async begun(how, username, password, more = {}) {
    const body = {username, password, cookie: true, ...more};
    const session = new Session(await alone(() => ask(`/v1/auth/${how}`, {method: "POST", body})));
    told.postMessage({began: session.userId});
    return session;
  }

  /** A token that is good now. Throws `SessionEnded`, or `Problem` where the server cannot be reached. */
  async token() { return Date.now() < this.#untilMs - EARLY_MS ? this.#token : this.renewed(); }

  /** Another token, also where the last one looks good: the server has refused it. */
  async renewed() {
    if (this.#isOver) throw new SessionEnded("The log-in has ended.");
    this.#renewing ??= this.#renew().finally(() => { this.#renewing = null; }); // one for all who wait for it
    return this.#renewing;
  }

  async #renew() {
    try {
      const tokens = await alone(refreshed);
      if (tokens.user_id !== this.userId) throw this.#end("Somebody else has logged in, in another tab.");
      this.#take(tokens);
      return this.#token;
    } catch (error) {
      if (!(error instanceof Problem && error.status === 401)) throw error;
      throw this.#end("Your log-in has ended.");
    }
  }

  /**
   * A function that tells a good token and never the same one twice: for `Wallet`, which asks for another
   * when one was refused.
   */
  tokens() {
    let last = null;
    return async () => {
      const token = await this.token();
      return (last = token === last ? await this.renewed() : token);
    };
  }

  /** `ask` with this session's token, once more with another one where it was refused. */
  async ask(path, how = {}) {
    try {
      return await ask(path, {...how, token: await this.token()});
    } catch (error) {
      if (!(error instanceof Problem && error.status === 401)) throw error;
      return ask(path, {...how, token: await this.renewed()});
    }
  }

  /**
   * Log out, here and in all tabs: resolves to how that went, in words. The pages forget in any case; the
   * server hears of it if it can be reached.
   */
  async logOut() {
    let token = null, isTold = true;
    try {
      token = await this.token();
    } catch (error) {
      isTold = error instanceof SessionEnded; // then the server has ended it already
    }
    this.#isOver = true;
    this.onEnd = () => {}; // the server closes the socket of this tab as well, before it answers
    told.removeEventListener("message", this.heard);
    told.postMessage({ended: this.userId}); // before those of the other tabs: they should know why
    if (token !== null) {
      isTold = await ask("/v1/auth/logout", {method: "POST", body: {}, token}).then(() => true, () => false);
    }
    return isTold ? "You have logged out."
      : "The server could not be told that you log out. Log in and out again to be sure.";
  }

  #take({access_token: token, expires_in: lifeS}) {
    [this.#token, this.#untilMs] = [token, Date.now() + lifeS * 1000];
  }

  #end(why) {
    if (!this.#isOver) {
      this.#isOver = true;
      told.removeEventListener("message", this.heard);
      this.onEnd(why);
    }
    return new SessionEnded(why);
  }
}

const refreshed = () => ask("/v1/auth/refresh", {method: "POST", body: {}});
