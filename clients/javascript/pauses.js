// How long a client waits before it tries again: what was refused for now, and a connection that broke.

import {GivenUp, NotAuthenticated} from "./errors.js";

const RETRY_FIRST_MS = 200;
const RETRY_MAX_MS = 10_000;
const AFTER_STOP_MS = 500; // nobody starts faster than this
const AFTER_TOO_MUCH_MS = 1000;
const TOKENS_REFUSED_MAX = 3;
const NOT_AUTHENTICATED = 4401;
/** @type {Record<number, string>} */
const FAULTS = {1007: "no UTF-8", 1009: "a frame is too big", 4400: "not this protocol"};

/**
 * By chance, so that not all come back at once; who is told when never comes earlier.
 *
 * @param {() => number} chance  numbers from 0 to below 1
 * @param {number} tries  so far
 * @param {number | null} [atLeastMs]  what the server has asked for
 */
export function pauseMs(chance, tries, atLeastMs = null) {
  if (atLeastMs) return Math.trunc(atLeastMs * (1 + chance() / 2));
  const longestMs = Math.min(RETRY_MAX_MS, RETRY_FIRST_MS * 2 ** Math.min(tries, 10));
  return Math.trunc((longestMs * (1 + chance())) / 2);
}

/** When to connect again, if at all. */
export class Reconnecting {
  /** While there is no socket: when to connect. */
  connectMs = 0;
  /** Whether the token that was shown is refused, and another has to be fetched before connecting. */
  needsToken = false;
  #chance;
  #attempts = 0;
  #refusals = 0;

  /** @param {() => number} chance  numbers from 0 to below 1 */
  constructor(chance) { this.#chance = chance; }

  /** The server has taken the token. */
  welcomed() { this.#attempts = this.#refusals = 0; }

  /**
   * The socket has gone, or could not be opened.
   *
   * @param {number | null} code  how it was closed; null: it was not
   * @param {number} nowMs
   * @param {number | null} retryAfterMs
   * @returns {GivenUp | null}  why there is no point in connecting again
   */
  closed(code, nowMs, retryAfterMs) {
    let atLeastMs = retryAfterMs;
    if (code !== null && code in FAULTS) {
      return new GivenUp(`the server does not take what this client sends: ${FAULTS[code]} (${code})`);
    }
    if (code === NOT_AUTHENTICATED) {
      this.needsToken = true;
      this.#refusals += 1;
      if (this.#refusals >= TOKENS_REFUSED_MAX) {
        return new NotAuthenticated(`the server has refused ${this.#refusals} tokens in a row`);
      }
      if (this.#refusals === 1) {
        this.connectMs = nowMs;
        return null;
      }
    } else if (code === 1001) atLeastMs = Math.max(atLeastMs ?? 0, AFTER_STOP_MS);
    else if (code === 4429) atLeastMs = Math.max(atLeastMs ?? 0, AFTER_TOO_MUCH_MS);
    this.connectMs = nowMs + pauseMs(this.#chance, this.#attempts, atLeastMs);
    this.#attempts += 1;
    return null;
  }
}
