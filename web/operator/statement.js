// A player's statement: each entry with the balance after it, newest first.

import {announce, byId, el, fill, state} from "../shared/dom.js";
import {shown, signed} from "../shared/money.js";
import {inWords} from "../shared/words.js";
import {showTrail} from "./trail.js";
import {briefTime, kindOf} from "./words.js";

const PAGE = 15;
const NEWEST = Number.MAX_SAFE_INTEGER; // all entries are before that one

let turn = 0; // only what was asked for last is shown

export function closeStatement() {
  turn += 1;
  fill(byId("statement"));
}

/** Show it in place of another, from the newest entry on. `name`: what the player is called, if anything. */
export async function showStatement(room, userId, name) {
  const mine = ++turn;
  const place = byId("statement");
  const rows = el("tbody");
  const end = el("p.soft.small");
  const older = el("button.quiet", {onclick: () => page()}, "Older entries");
  let before = NEWEST, currency;

  async function page() {
    older.disabled = true;
    try {
      const query = {user_id: userId, before, limit: PAGE};
      const {items, next, gap} = await room.session.ask("/v1/wallet/entries", {query});
      rows.append(...items.map((entry) => row(room, entry, currency, name)));
      before = next;
      older.hidden = next === null;
      if (next === null) end.textContent = gap ? "What is older is in an archive." : "That is all.";
      if (rows.children.length > items.length) announce(`${items.length} more entries`);
    } catch (error) {
      end.textContent = inWords(error);
    }
    older.disabled = false;
  }

  try {
    const wallet = await room.session.ask("/v1/wallet", {query: {user_id: userId}});
    if (mine !== turn) return;
    ({currency} = wallet);
    const title = el("h3", {tabindex: "-1"}, name ?? `Wallet ${userId}`);
    fill(place,
      el("div.apart", {}, el("div.row", {}, title, el("span.soft.small", {}, `№ ${userId}`),
        wallet.status === "open" ? null : state("red", wallet.status)),
      el("button.plain", {onclick: () => showStatement(room, userId, name)}, "Read again")),
      el("dl.sums", {}, [["Balance", wallet.balance], ["Held", wallet.held], ["Available", wallet.available]].map(
        ([word, amount]) => el("div", {}, el("dt", {}, word), el("dd", {}, shown(amount, currency))))),
      el("div.wide", {tabindex: "0", role: "region", "aria-label": "Statement"}, el("table.dense", {},
        el("thead", {}, el("tr", {}, ["Time", "What", "Amount", "Balance", "Entry"].map((word, column) =>
          el(column > 1 ? "th.number" : "th", {scope: "col"}, word)))), rows)),
      older, end);
    await page();
    if (mine === turn) title.focus();
  } catch (error) {
    if (mine === turn) fill(place, el("p.note.red", {role: "alert"}, inWords(error)));
  }
}

function row(room, {seq, kind, amount, balance, at, bet_id: betId, transaction_id: id}, currency, name) {
  const what = betId === undefined
    ? kindOf(kind)
    : el("button.plain", {onclick: () => showTrail(room, betId, name), title: `Bet ${betId}`}, kindOf(kind));
  return el("tr", {},
    el("td", {}, briefTime(at)),
    el("td", {}, what),
    el("td.number", {}, signed(amount, currency)),
    el("td.number", {}, shown(balance, currency)),
    el("td.number", {title: `Transaction ${id}`}, String(seq)));
}
