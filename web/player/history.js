// What was bet, newest first, and each bet's way through the ledger.

import {el, fill, state, time} from "../shared/dom.js";
import {shown, signed} from "../shared/money.js";
import {inWords} from "../shared/words.js";
import {LOOKS} from "./account.js";
import {subject} from "./bet.js";
import {KINDS} from "./kinds.js";

const PAGE = 25;

export async function show(place, account, {signal}) {
  const {currency, session} = account;
  const list = el("div", {});
  const note = el("p.note.red", {role: "alert"});
  const more = el("button.quiet", {type: "button", onclick: () => older()}, "Show older bets");
  let before;

  async function older() {
    more.disabled = again.disabled = true;
    try {
      const {items, next} = await session.ask("/v1/wallet/bets", {query: {before, limit: PAGE}});
      list.append(...items.map(drawn));
      before = next;
      more.hidden = next === null;
      fill(note);
      if (!list.children.length && next === null) list.append(el("p.empty", {}, "No bets yet."));
    } catch (error) {
      fill(note, inWords(error));
    } finally {
      more.disabled = again.disabled = false;
    }
  }

  function drawn(bet) {
    const way = el("div.stack", {}, el("p.soft.small", {}, "Looking…"));
    const details = el("details.bet", {"data-bet": bet.bet_id, ontoggle: () => {
      if (details.open) walked(way, bet.bet_id);
    }},
    el("summary", {},
      el("span", {}, subject(bet)),
      el("span.amount", {}, shown(bet.stake, currency)),
      el("span.small.soft", {}, time(bet.at), bet.payout ? ` · paid ${shown(bet.payout, currency)}` : null),
      el("span", {}, state(...LOOKS[bet.state]))),
    way);
    return details;
  }

  async function walked(way, betId) {
    try {
      const {transactions} = await session.ask(`/v1/bets/${betId}/trail`);
      fill(way, el("ol.way", {}, ...transactions.map((each) => el("li.stack", {},
        el("div.apart", {},
          el("h3", {}, KINDS[each.kind] ?? each.kind),
          el("span.small.soft", {}, time(each.at))),
        ...each.entries.map(({amount, balance}) => el("div.apart.small", {},
          el("span.amount", {}, signed(amount, currency)),
          el("span.soft", {}, `balance ${shown(balance, currency)}`))),
        el("p.small.soft", {}, `Transaction ${each.transaction_id}, sealed in block ${each.block}`, el("br"),
          el("code", {}, each.hash)),
        el("p.small", {}, el("a", {href: `#receipts/${each.transaction_id}`}, "Receipt"))))));
    } catch (error) {
      fill(way, el("p.note.red", {role: "alert"}, inWords(error)));
    }
  }

  const again = el("button.quiet", {type: "button", hidden: true, onclick: () => start()}, "There is news: show it");
  function start() {
    before = undefined;
    again.hidden = true;
    fill(list);
    return older();
  }
  account.addEventListener("entry", ({detail}) => {
    if (detail.bet_id !== undefined) again.hidden = false;
  }, {signal});
  fill(place, el("h1", {}, "History"),
    el("p.soft", {}, "Open a bet to see its way through the ledger: what moved, when, and in which signed block."),
    again, el("section.card", {"aria-label": "Bets"}, list), note, more);
  await start();
}
