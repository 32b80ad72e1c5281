// Where did my money go? A period's entries, summed up by what they were, from the balance before to the
// balance after.

import {el, fill, time} from "../shared/dom.js";
import {shown, signed} from "../shared/money.js";
import {inWords} from "../shared/words.js";
import {KINDS, groupOf} from "./kinds.js";

const PAGE = 1000;
const ENTRIES_MAX = 10_000;
const ROWS = 50;
const DAY_MS = 86_400_000;
const NEWEST = Number.MAX_SAFE_INTEGER;

const midnight = () => new Date().setHours(0, 0, 0, 0);
const PERIODS = {
  "Today": midnight,
  "The last 7 days": () => midnight() - 6 * DAY_MS,
  "The last 30 days": () => midnight() - 29 * DAY_MS,
  "This year": () => new Date(new Date().getFullYear(), 0).getTime(),
  "From the beginning": () => 0,
};

/** The entries since then, newest first, and whether there are more than are looked at; as long as `isWanted`. */
async function entriesSince(session, fromMs, isWanted) {
  const found = [];
  for (let before = NEWEST; before !== null && isWanted();) {
    const {items, next} = await session.ask("/v1/wallet/entries", {query: {before, limit: PAGE}});
    const older = items.findIndex(({at}) => at < fromMs);
    found.push(...(older === -1 ? items : items.slice(0, older)));
    if (older !== -1) break;
    if (found.length >= ENTRIES_MAX && next !== null) return {found, isCut: true};
    before = next;
  }
  return {found, isCut: false};
}

export async function show(place, account, {signal}) {
  const {currency, session} = account;
  const period = el("select", {id: "period", onchange: () => { turn += 1; draw(); }},
    ...Object.keys(PERIODS).map((each, number) => el("option", {selected: number === 1}, each)));
  const told = el("div.stack", {"aria-live": "off"});
  let turn = 0, isDrawing = false, again = false;

  /** One at a time, and once more at the end for all that has come meanwhile. */
  async function draw() {
    again = true;
    if (isDrawing) return;
    isDrawing = true;
    while (again && !signal.aborted) {
      again = false;
      await drawOnce();
    }
    isDrawing = false;
  }

  async function drawOnce() {
    const mine = turn;
    const isWanted = () => mine === turn && !signal.aborted;
    try {
      const {found, isCut} = await entriesSince(session, PERIODS[period.value](), isWanted);
      if (isWanted()) fill(told, isCut ? cut : null, summedUp(found), found.length ? listed(found) : null);
    } catch (error) {
      if (isWanted()) fill(told, el("p.note.red", {role: "alert"}, inWords(error)));
    }
  }

  const cut = el("p.note", {}, `These are the newest ${ENTRIES_MAX.toLocaleString()} entries of this period.`);

  function summedUp(entries) {
    const [newest] = entries;
    const oldest = entries.at(-1);
    const opening = oldest ? oldest.balance - oldest.amount : account.funds.balance;
    const closing = newest ? newest.balance : opening;
    const sums = new Map();
    for (const entry of entries) {
      const sum = sums.get(groupOf(entry)) ?? {amount: 0, count: 0};
      sums.set(groupOf(entry), {amount: sum.amount + entry.amount, count: sum.count + 1});
    }
    const largest = Math.max(...[...sums.values()].map(({amount}) => Math.abs(amount)));
    const rows = [...sums].sort(([, one], [, other]) => one.amount - other.amount).map(([kind, {amount, count}]) => {
      const bar = el("span.bar", {});
      bar.style.inlineSize = `${Math.max(2, (100 * Math.abs(amount)) / largest)}%`;
      return el("tr", {}, el("td", {}, KINDS[kind] ?? kind, el("span.soft", {}, ` × ${count}`), bar),
        el("td.number", {}, signed(amount, currency)));
    });
    return el("section.card", {"aria-label": "Summary"}, el("table.sums", {},
      el("tbody", {},
        el("tr", {}, el("td", {}, "Balance before"), el("td.number", {}, shown(opening, currency))),
        ...rows,
        el("tr.total", {}, el("th", {scope: "row"}, "Balance after"), el("td.number", {}, shown(closing, currency))))));
  }

  function listed(entries) {
    const body = el("tbody", {});
    const more = el("button.quiet", {onclick: () => add()}, "Show more");
    let rows = 0;
    function add() {
      body.append(...entries.slice(rows, rows + ROWS).map((entry) => el("tr", {},
        el("td", {}, el("span", {}, KINDS[groupOf(entry)] ?? entry.kind), el("br"),
          el("span.small.soft", {}, time(entry.at))),
        el("td.number", {}, signed(entry.amount, currency),
          el("span.small.soft", {}, shown(entry.balance, currency))))));
      rows += ROWS;
      more.hidden = rows >= entries.length;
    }
    add();
    return el("section.card.stack", {"aria-label": "Entries"}, el("table", {},
      el("thead", {}, el("tr", {}, el("th", {scope: "col"}, "Entry"),
        el("th.number", {scope: "col"}, "Amount", el("span.unseen", {}, ", and the balance after it")))), body), more);
  }

  account.addEventListener("entry", draw, {signal});
  fill(place, el("h1", {}, "Where did my money go?"),
    el("div", {}, el("label", {for: "period"}, "Period"), period), told);
  await draw();
}
