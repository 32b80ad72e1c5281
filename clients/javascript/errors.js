// What a client throws. A rejected bet is none of these: it is a normal answer, and returned.

/** @import {ErrorReply, Reply} from "./messages.js" */

/** Whatever a client raises on its own account. */
export class ClientError extends Error {
  get name() { return this.constructor.name; }
}

/** The server's `error`, which is final. Of a bet it says that *this* asking was refused, and no more. */
export class Refused extends ClientError {
  /** @param {ErrorReply} error */
  constructor(error) {
    super(`${error.code}: ${error.message}`);
    this.error = error;
    this.code = error.code;
  }
}

/**
 * No final answer came in time. `bet_id`: of the bet, to be given to `resolve`; null: it was no bet, and can
 * be asked again, a move with the same `key`. `was_sent`: false if it surely never left, so that nothing can
 * come of it. `last`: the newest answer that was not final, or null.
 */
export class Unresolved extends ClientError {
  /**
   * @param {string} what
   * @param {string | null} bet_id
   * @param {boolean} was_sent
   * @param {Reply | null} last
   */
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
