// A player's wallet as this page knows it: what is in it, and what has become of his bets. It tells of changes
// by events: "funds", "link", "entry", and "bet" with the bet as its `detail`.

import {Journal} from "../client/journal.js";
import {GivenUp, NotAuthenticated, Unresolved, Wallet, newBetId} from "../client/solidgreen.js";
import {SessionEnded} from "../shared/session.js";
import {inWords} from "../shared/words.js";
import {storage} from "./storage.js";

const CONNECTED_MS = 86_400_000; // whoever has a page open waits for the server, and sees that it is away
const ANSWER_MS = 30_000; // a server that is started again gets that long before a bet is only looked after
const FATE_MS = 100_000; // after 90 s it is sure that a bet never arrived
const BETS_MAX = 200; // that are remembered; ten times what is shown

const NOT_SENT = "It was never sent.", NO_ROOM = "This browser has no room to keep it.";

/** How a bet's state looks, and its word. */
export const LOOKS = {
  pending: ["pending", "Pending"],
  checking: ["grey.live", "Checking…"],
  confirmed: ["green", "Confirmed"],
  won: ["green", "Won"],
  cashed_out: ["green", "Cashed out"],
  lost: ["plain", "Lost"],
  void: ["plain", "Void"],
  rolled_back: ["plain", "Undone"],
  rejected: ["red", "Refused"],
  not_placed: ["red", "Never arrived"],
};

export class Account extends EventTarget {
  /** Newest first: `{bet_id, stake, state, why, game, selection, at, transaction_id, isOurs}`, placed in this tab. */
  bets = [];
  isOpen = false;
  #journal = new Journal(storage);
  #socket = null;
  #isClosed = false;

  constructor(session) {
    super();
    this.session = session;
    const account = this;
    class Socket extends WebSocket {
      constructor(...how) {
        super(...how);
        account.#broke();
        account.#socket = this;
        // A socket that was given up may take its time to close: by then there is another one.
        this.addEventListener("close", () => account.#socket === this && account.#broke());
      }
    }
    const newToken = session.tokens();
    const token = async () => {
      try {
        return await newToken();
      } catch (error) {
        throw error instanceof SessionEnded ? new NotAuthenticated(error.message) : error;
      }
    };
    const url = `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/ws`;
    const onPush = ({type}) => type === "welcome" && this.#welcomed();
    this.wallet = new Wallet(url, token, {storage, WebSocket: Socket, onPush, withinMs: CONNECTED_MS});
  }

  /** In minor units; null until the server has said so. */
  get funds() { return this.wallet.balance; }
  get currency() { return this.funds.currency; }
  get userId() { return this.session.userId; }

  /** Connected for the first time. What an earlier page has left behind is looked after. */
  async begin() {
    await this.wallet.ready();
    for (const bet_id of this.wallet.unresolved()) {
      const {stake, game, selection} = this.#journal.bet(this.userId, bet_id);
      this.#resolved(this.#note({bet_id, stake, game, selection, state: "checking", at: null, isOurs: true}));
    }
    this.#follow();
  }

  close() {
    this.#isClosed = true;
    this.wallet.close();
  }

  /** Ask anything but a bet. */
  ask(request) { return this.wallet.ask(request, {withinMs: ANSWER_MS}); }

  /** Place a bet; its state tells how it goes. */
  async place(terms) {
    const state = this.isOpen ? "pending" : "checking";
    const bet = {...terms, bet_id: newBetId(), state, at: Date.now(), isOurs: true};
    const answer = this.wallet.place({...terms, bet_id: bet.bet_id}, {withinMs: ANSWER_MS});
    this.#note(bet);
    try {
      this.#told(bet, await answer);
    } catch (error) {
      // The client forgets a bet when nothing can come of it, and another tab when it has found out what did.
      const wasSent = error instanceof Unresolved && error.was_sent;
      if (wasSent || this.#journal.bet(this.userId, bet.bet_id) !== null) await this.#resolved(bet);
      else if (error instanceof Unresolved) this.#became(bet, "rejected", NOT_SENT);
      else this.#became(bet, "rejected", error instanceof DOMException ? `${NOT_SENT} ${NO_ROOM}` : inWords(error));
    }
  }

  /** Ask how those of the newest bets stand that may have been lost: that posts nothing, and is not pushed. */
  async lookAfter(count) {
    if (!this.isOpen) return;
    const open = this.bets.slice(0, count).filter(({state}) => state === "confirmed");
    await Promise.allSettled(open.map((bet) => this.#looked(bet)));
  }

  /** Ask the wallet again: what is set aside is not pushed. */
  async look() {
    await this.wallet.refresh({withinMs: ANSWER_MS});
    this.#say("funds");
  }

  // -- what comes unasked

  #welcomed() {
    this.isOpen = true;
    this.#say("link");
    this.#say("funds");
  }

  #broke() {
    this.isOpen = false;
    for (const bet of this.bets) if (bet.state === "pending") this.#became(bet, "checking");
    this.#say("link");
  }

  async #follow() {
    try {
      for await (const entry of this.wallet.entries()) {
        this.#say("funds");
        this.#say("entry", entry);
        const {bet_id, kind, amount, at, transaction_id} = entry;
        const bet = this.bets.find((each) => each.bet_id === bet_id);
        if (kind === "BET" && bet === undefined) {
          this.#note({bet_id, stake: -amount, state: "confirmed", at, transaction_id}); // of another tab
        } else if (kind !== "BET" && bet !== undefined) {
          this.#looked(bet).catch(() => {});
        }
      }
    } catch (error) {
      if (!(error instanceof GivenUp)) throw error;
      this.session.onEnd(error.message); // unless it has said why
    }
  }

  // -- bets

  async #looked(bet) {
    const told = await this.wallet.state(bet.bet_id, {withinMs: ANSWER_MS});
    if (told !== null && told.state !== bet.state) this.#became(bet, told.state);
  }

  /** Find out what became of a bet that may have been placed; grey until that is known. */
  async #resolved(bet) {
    this.#became(bet, "checking");
    while (!this.#isClosed) {
      try {
        return this.#told(bet, await this.#fate(bet.bet_id));
      } catch (error) {
        if (error instanceof GivenUp) break;
        // That it may not be asked does not say what became of it.
        if (!(error instanceof Unresolved)) return this.#became(bet, "checking", inWords(error));
      }
    }
    return null;
  }

  async #fate(bet_id) {
    try {
      const told = await this.wallet.resolve(bet_id, {withinMs: FATE_MS});
      if (told.type !== "bet.confirmed") return told;
      // So it began; it may have ended since.
      const now = await this.wallet.state(bet_id, {withinMs: FATE_MS});
      return {...told, ...now, transaction_id: told.transaction_id};
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      const told = await this.wallet.state(bet_id, {withinMs: FATE_MS}); // another tab has found out
      return told ?? {type: "not_placed"};
    }
  }

  #told(bet, told) {
    if (told.transaction_id !== undefined) bet.transaction_id = told.transaction_id;
    const NEVER = "The server never had it, and will not take it any more. Nothing was taken.";
    if (told.type === "bet.confirmed") this.#became(bet, "confirmed");
    else if (told.type === "bet.state") this.#became(bet, told.state, told.code ? inWords(told) : null);
    else if (told.type === "not_placed") this.#became(bet, "not_placed", NEVER);
    else this.#became(bet, "rejected", inWords(told));
    this.#say("funds");
  }

  #became(bet, state, why = null) {
    Object.assign(bet, {state, why});
    this.#say("bet", bet);
  }

  #note(bet) {
    this.bets.unshift(bet);
    this.bets.splice(BETS_MAX);
    this.#say("bet", bet);
    return bet;
  }

  #say(type, detail = null) { this.dispatchEvent(new CustomEvent(type, {detail})); }
}
