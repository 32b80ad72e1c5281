// What a client knows of its own wallet: the balance, and every entry once, in order. How `seq` and
// `prev_seq` tell what is missing, and where the numbers come from, stands in ws/client/view.py.

/** @import {Reply, Resumed, WalletEntry, Welcome} from "./messages.js" */
/** @import {Funds, Gap} from "./types.js" */

const ENTRIES_MAX = 10_000;
const RESUME_EVERY_MS = 100;
const CHANGES_HELD = ["CAPTURE", "WITHDRAWAL"];

/** The entries of a wallet after `cursor`, each once, in order. Nothing is followed until `follow`. */
export class Feed {
  /** The newest entry that was handed on; null: nobody reads. @type {number | null} */
  cursor = null;
  /** The newest entry that any message has told of. */
  newest = 0;
  mayResumeMs = 0;
  /** @type {Array<WalletEntry | Gap>} */
  waiting = [];
  /** @type {Map<number, WalletEntry>} */
  #aside = new Map();
  #isResuming = false;
  #hasCome = false;
  #wasFull = false;
  #newestWhenAsked = 0;

  /**
   * Hand on what comes after `fromSeq`, from the ledger at first: it may be newer than all that was told.
   *
   * @param {number} fromSeq
   */
  follow(fromSeq) {
    this.cursor = fromSeq;
    this.waiting.length = 0;
    this.newest = Math.max(this.newest, fromSeq + 1);
    this.#newestWhenAsked = -1; // a `resume` that is under way was asked for another reader
  }

  /** Nobody reads any more. */
  unfollow() {
    this.cursor = null;
    this.waiting.length = 0;
    this.#aside.clear();
  }

  /** Some message knows of an entry `seq`. @param {number} seq */
  saw(seq) { this.newest = Math.max(this.newest, seq); }

  /** From where to `resume` now; null: nothing is missing, or it is under way. @param {number} nowMs */
  wantsFrom(nowMs) {
    const atMs = this.wantsMs();
    return atMs === null || nowMs < atMs ? null : this.cursor;
  }

  /** When `wantsFrom` may say something, without anything that happens before; null: never. */
  wantsMs() {
    const isBehind = this.cursor !== null && this.cursor < this.newest;
    return isBehind && !this.#isResuming && !this.#isFull ? this.mayResumeMs : null;
  }

  /** A `resume` is on its way. */
  asked() {
    this.#isResuming = true;
    this.#hasCome = this.#wasFull = false;
    this.#newestWhenAsked = this.newest;
  }

  /**
   * The `resume` will not be answered, or the socket has gone; what was handed on is right.
   *
   * @param {number} nowMs
   */
  dropped(nowMs) {
    this.#isResuming = false;
    this.#aside.clear();
    this.mayResumeMs = nowMs + RESUME_EVERY_MS;
  }

  /** An entry came, as a push or by `resume`. @param {WalletEntry} entry */
  take(entry) {
    this.saw(entry.seq);
    if (this.cursor === null || entry.seq <= this.cursor) return;
    if (entry.prev_seq <= this.cursor) this.#handOn(entry);
    // A push that overtook it, or what comes after entries that are archived.
    else if (this.#isResuming) this.#aside.set(entry.seq, entry);
  }

  /**
   * All entries of a `resume` have come.
   *
   * @param {Resumed} told
   * @param {number} nowMs
   */
  resumed(told, nowMs) {
    this.#isResuming = false;
    this.mayResumeMs = told.more ? nowMs : nowMs + RESUME_EVERY_MS;
    if (this.cursor === null) return;
    this.saw(told.seq);
    const {cursor} = this;
    const aside = [...this.#aside.values()].filter(({seq}) => seq > cursor);
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

  /** @param {WalletEntry} entry */
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

/** The newest balance, and the feed of entries. */
export class WalletView {
  /** Null for whoever has no wallet. @type {Funds | null} */
  funds = null;
  feed = new Feed();
  /** Of the first `welcome`: what came after it happened while this client lived. */
  firstSeq = 0;
  /** Whether what is held may have changed: ask `balance.get`. */
  isUnsure = false;

  /** A message came on the socket of this wallet. @param {Reply} message */
  take(message) {
    if (message.type === "welcome" && message.currency !== undefined) {
      // Whose token has a wallet is told all of it.
      const funds = fundsOf(/** @type {Required<Welcome>} */ (message), message.currency);
      if (this.funds === null) this.firstSeq = funds.seq;
      this.#told(funds);
    } else if (message.type === "balance") {
      this.#told(fundsOf(message, message.currency));
    } else if (message.type === "bet.confirmed" && this.funds !== null) {
      if (message.seq > this.funds.seq) this.#told(fundsOf(message, this.funds.currency));
    } else if (message.type === "wallet.entry" && this.funds !== null) {
      this.feed.take(message);
      if (message.seq > this.funds.seq) {
        const {seq, balance} = message;
        this.funds = {...this.funds, balance, available: balance - this.funds.held, seq};
        this.isUnsure ||= CHANGES_HELD.includes(message.kind);
      }
    }
  }

  /** @param {Funds} funds */
  #told(funds) {
    // Of the same seq the later word counts: a hold changes what is available and posts no entry.
    if (this.funds === null || funds.seq >= this.funds.seq) this.funds = funds;
    this.feed.saw(funds.seq);
  }
}

/** @param {Omit<Funds, "currency">} told @param {string} currency @returns {Funds} */
const fundsOf = ({balance, held, available, seq}, currency) => ({currency, balance, held, available, seq});
