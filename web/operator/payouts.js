// Payouts to many winners: how far each is, and what could not be paid, to be tried again or given back.

import {byId, el, fill, state, time} from "../shared/dom.js";
import {shown} from "../shared/money.js";
import {inWords} from "../shared/words.js";
import {carryOut} from "./deeds.js";
import {count} from "./words.js";

const PAGE = 10;
const ITEMS = 1000; // in suspense, that the server tells at once
const LOOK_EVERY_MS = 5000; // for payouts that were opened meanwhile; how far one is comes as a push
const STATES = {collecting: ["plain", "Collecting"], paying: ["pending", "Paying"], paid: ["green", "Paid"]};
const NOT_ALL = ["pending", "Not all paid"];

/** Follow them for as long as the connection lives. Gives a function that ends it. */
export function showPayouts(room) {
  const {session, live} = room;
  const rows = new Map();
  const place = byId("payouts"), older = byId("older-payouts"), list = el("ul.stack");
  let before = null, isOver = false;

  async function page(query) {
    const {items, next} = await session.ask("/v1/payouts", {query: {limit: PAGE, ...query}});
    if (isOver) return;
    if (rows.size === 0) fill(place, items.length ? list : el("p.empty", {}, "There are no payouts yet."));
    const fresh = items.filter(({payout_id: id}) => !rows.has(id)).map((payout) => new Row(room, payout));
    fresh.forEach((row) => rows.set(row.id, row));
    for (const payout of items) rows.get(payout.payout_id).show(payout);
    // A row that stands where it should is let be: what is taken out and put back loses focus and clicks.
    [...rows.values()].sort((one, other) => other.id - one.id).forEach(({element}, index) => {
      if (list.children[index] !== element) list.insertBefore(element, list.children[index] ?? null);
    });
    // Where nothing in a newest page was known, what is before it may not be known either.
    if (query?.before !== undefined || fresh.length === items.length) {
      before = next;
      older.hidden = next === null;
    }
  }

  const look = (query) => page(query).catch((error) => {
    if (rows.size === 0) fill(place, el("p.note.red", {}, inWords(error)));
  });
  live.on("payout.progress", (told) => rows.get(told.payout_id)?.show(told));
  live.on("welcome", () => {
    look();
    rows.forEach((row) => row.follow());
  });
  older.onclick = () => look({before});
  const timer = setInterval(() => { if (live.isOpen && !document.hidden) look(); }, LOOK_EVERY_MS);
  return () => {
    isOver = true;
    clearInterval(timer);
  };
}

class Row {
  #room; #currency; #isFollowed = false; #suspended = null; #from = 0; #turn = 0;
  #sign = el("span"); #bar = el("progress"); #text = el("p.small"); #items = el("div");
  #open = el("button.plain", {"aria-expanded": "false", onclick: () => this.#toggle()});

  constructor(room, {payout_id: id, currency, opened_at: openedAt}) {
    [this.#room, this.id, this.#currency] = [room, id, currency];
    this.#bar.setAttribute("aria-label", `Payout ${id}: how far it is`);
    this.element = el("li.stack", {},
      el("div.apart", {}, el("span", {}, el("b", {}, `Payout ${id}`), " ", el("span.soft.small", {}, time(openedAt))), this.#sign),
      this.#bar, el("div.apart", {}, this.#text, this.#open), this.#items);
  }

  /** How far it is. */
  show({state: word, items, total, done, suspended}) {
    fill(this.#sign, state(...(word === "paid" && suspended > 0 ? NOT_ALL : STATES[word])));
    [this.#bar.max, this.#bar.value] = [Math.max(1, items), done];
    this.#bar.hidden = word === "collecting";
    fill(this.#text, `${count(done)} of ${count(items)} items, ${shown(total, this.#currency)}`);
    this.#open.hidden = suspended === 0 && this.#suspended === null;
    this.#open.textContent = `${count(suspended)} in suspense`;
    const hasChanged = this.#suspended !== null && this.#suspended !== suspended;
    if (suspended > 0 || this.#suspended !== null) this.#suspended = suspended;
    if (hasChanged && this.#isOpen) this.#list();
    if (!this.#isFollowed && (word === "paying" || suspended > 0)) this.follow();
  }

  /** Hear of each change, on the socket that there is now. */
  follow() {
    this.#isFollowed = true;
    this.#room.live.ask({type: "payout.follow", payout_id: this.id}).then((told) => this.show(told), () => {
      this.#isFollowed = false;
    });
  }

  get #isOpen() { return this.#open.getAttribute("aria-expanded") === "true"; }

  #toggle() {
    this.#open.setAttribute("aria-expanded", String(!this.#isOpen));
    this.#from = 0;
    if (this.#isOpen) this.#list();
    else fill(this.#items);
  }

  /** What is in suspense, and what has become of the rest of it, from item `#from` on. */
  async #list() {
    const mine = ++this.#turn;
    const isWanted = () => mine === this.#turn && this.#isOpen;
    try {
      const query = {suspended_from: this.#from};
      const {in_suspense: items} = await this.#room.session.ask(`/v1/payouts/${this.id}`, {query});
      if (!isWanted()) return;
      fill(this.#items, el("ul.suspense.small", {}, items.map((item) => this.#item(item))),
        items.length === 0 ? el("p.soft.small", {}, "There are no more.") : null,
        items.length < ITEMS ? null
          : el("button.quiet", {onclick: () => this.#goOn(items.at(-1).number + 1)}, "More items"));
    } catch (error) {
      if (isWanted()) fill(this.#items, el("p.note.red", {role: "alert"}, inWords(error)));
    }
  }

  async #goOn(from) {
    this.#from = from;
    await this.#list();
    this.#open.focus(); // what had it is gone
  }

  #item(item) {
    const {number, user_id: userId, amount, reason, state: word} = item;
    const button = (name, returns) => el("button.quiet", {onclick: () => this.#resolve(item, returns)}, name);
    const mayMove = this.#room.mayMove && word === "suspended";
    return el("li.stack", {},
      el("div.apart", {}, el("span", {}, `Item ${number}, № ${userId}`), el("b.amount", {}, shown(amount, this.#currency))),
      word === "suspended"
        ? el("p.soft", {}, inWords({code: reason}))
        : el("p", {}, state(word === "paid" ? "green" : "grey", word === "paid" ? "Paid" : "Returned")),
      mayMove ? el("div.row", {}, button("Try again …", false), button("Return …", true)) : null);
  }

  async #resolve({number, user_id: userId, amount, reason}, returns) {
    const answer = await carryOut(this.#room.live, {
      title: returns ? "Return this to the house" : "Pay this now",
      facts: {
        Payout: `${this.id}, item ${number}`, Player: `№ ${userId}`, Amount: shown(amount, this.#currency),
        "In suspense": inWords({code: reason}),
      },
      action: returns ? "Return" : "Pay",
      question: () => ({type: "payout.resolve", payout_id: this.id, number, ...(returns && {returns})}),
    });
    if (answer === null) return;
    this.show(answer);
    await this.#list();
    this.#open.focus();
  }
}
