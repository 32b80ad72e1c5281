// Bets that a client has sent, or is about to send, and whose fate it does not know.
//
// A bet is kept before it is sent, and forgotten when its last word is told. So a page that is loaded again
// finds every bet that may have been placed.

/** @import {BetStorage, KeptBet} from "./types.js" */

const STORED = "solidgreen.bet."; // before the `bet_id`, in the names of what is stored

/**
 * Keeps bets as long as the page or the process lives.
 *
 * @implements {BetStorage}
 */
export class MemoryStorage {
  /** @type {Map<string, string>} */
  #items = new Map();
  /** Those of the items, until there is another one. @type {string[] | null} */
  #names = null;

  get length() { return this.#items.size; }
  /** @param {number} place @returns {string | null} */
  key(place) {
    this.#names ??= [...this.#items.keys()];
    return this.#names[place] ?? null;
  }

  /** @param {string} name */
  getItem(name) { return this.#items.get(name) ?? null; }

  /** @param {string} name @param {string} text */
  setItem(name, text) {
    this.#items.set(name, text);
    this.#names = null;
  }

  /** @param {string} name */
  removeItem(name) {
    this.#items.delete(name);
    this.#names = null;
  }
}

/** Bets in a storage, which other users, tabs and programs may use as well. */
export class Journal {
  #storage;

  /** @param {BetStorage} storage */
  constructor(storage) { this.#storage = storage; }

  /**
   * Before the bet is sent. Throws what the storage throws, where it is full for example.
   *
   * @param {number} userId  of the token
   * @param {KeptBet} bet
   */
  keep(userId, bet) { this.#storage.setItem(STORED + bet.bet_id, JSON.stringify({user_id: userId, bet})); }

  /** Its last word is there, and is told whatever the storage says. @param {string} betId */
  forget(betId) {
    try {
      this.#storage.removeItem(STORED + betId);
    } catch {} // it is found again, and told again
  }

  /** All of this user that are not forgotten. @param {number} userId */
  kept(userId) {
    const names = Array.from({length: this.#storage.length}, (_, place) => this.#storage.key(place));
    const ids = names.flatMap((name) => (name?.startsWith(STORED) ? [name.slice(STORED.length)] : []));
    return ids.map((betId) => this.bet(userId, betId)).filter((bet) => bet !== null);
  }

  /**
   * One of them; null: it is not kept, is another user's, or was written by somebody else and is none.
   *
   * @param {number} userId
   * @param {string} betId
   * @returns {KeptBet | null}
   */
  bet(userId, betId) {
    try {
      const {user_id, bet} = JSON.parse(this.#storage.getItem(STORED + betId) ?? "{}");
      return user_id === userId && bet.bet_id === betId ? bet : null;
    } catch {
      return null;
    }
  }
}
