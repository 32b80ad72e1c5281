// Placing a bet, and seeing it through.

import {announce, el, fill, state, time} from "../shared/dom.js";
import {shown, signOf, typeable, typed, unitOf} from "../shared/money.js";
import {LOOKS} from "./account.js";

const GAMES = ["Roulette", "Derby", "Football"];
const SHOWN = 20;
const LOOK_MS = 5000; // a bet that is lost is shown green so much longer
const DOUBLE_MS = 500; // within that the second click of a double click comes, and each one of a key held down
const CHIPS = [1, 5, 10, 50]; // of the currency's unit

/** What a bet is about, in a line. */
export const subject = ({game, selection}) => [game, selection].filter(Boolean).join(" · ") || "Bet";

export function show(place, account, {signal}) {
  const {currency} = account;
  const stake = el("input", {id: "stake", inputmode: "decimal", autocomplete: "off", required: true,
    placeholder: typeable(0, currency), "aria-describedby": "stake-note"});
  const note = el("p.note.red", {id: "stake-note", role: "alert"});
  const game = el("select", {id: "game"}, ...GAMES.map((each) => el("option", {}, each)));
  const selection = el("input", {id: "selection", autocomplete: "off", maxlength: 64, placeholder: "Red"});
  const list = el("ul.bets", {});
  let last = "", lastMs = -DOUBLE_MS;

  function submit(event) {
    event.preventDefault();
    const minor = typed(stake.value, currency);
    stake.setAttribute("aria-invalid", minor === null);
    fill(note, minor === null ? `Type an amount above zero, such as ${typeable(250, currency)}.` : null);
    if (minor === null) {
      stake.focus();
      return;
    }
    const terms = {stake: minor, currency, game: game.value};
    if (selection.value.trim()) terms.selection = selection.value.trim();
    const [text, nowMs] = [JSON.stringify(terms), performance.now()];
    const isDouble = text === last && nowMs - lastMs < DOUBLE_MS;
    [last, lastMs] = [text, nowMs];
    if (!isDouble) account.place(terms);
  }

  /** Only this bet is drawn anew: somebody may be about to click on another. */
  function draw(bet) {
    const old = [...list.children].find(({dataset}) => dataset.bet === bet.bet_id);
    const hasFocus = old?.contains(document.activeElement);
    if (old) old.replaceWith(drawn(bet));
    else if (bet === account.bets[0]) list.prepend(drawn(bet));
    list.children[SHOWN]?.remove();
    if (hasFocus) list.querySelector(`[data-bet="${bet.bet_id}"] a`)?.focus();
    empty.hidden = true;
  }

  const drawn = (bet) => el("li", {"data-bet": bet.bet_id, "data-state": bet.state},
    el("span", {}, subject(bet)),
    el("span.amount.end", {}, shown(bet.stake, currency)),
    el("span.small.soft", {}, bet.at ? time(bet.at) : "From before this page was loaded"),
    el("span.end", {}, state(...LOOKS[bet.state])),
    bet.why ? el("p.why.small.soft", {}, bet.why) : null,
    bet.transaction_id ? el("a.why.small", {href: `#receipts/${bet.transaction_id}`}, "Receipt") : null);

  const empty = el("p.empty", {}, "Nothing yet. What you place is here at once.");
  const add = (chip) => {
    stake.value = typeable((typed(stake.value, currency) ?? 0) + chip * unitOf(currency), currency);
    stake.focus();
  };
  fill(place,
    el("h1", {}, "Place a bet"),
    el("form.card.stack", {onsubmit: submit, novalidate: true},
      el("div", {},
        el("label", {for: "stake"}, "Stake"),
        el("div.stake", {}, el("span", {"aria-hidden": "true"}, signOf(currency)), stake)),
      el("div.chips", {}, ...CHIPS.map((chip) => el("button.quiet", {type: "button", onclick: () => add(chip)},
        `+${chip}`))),
      el("div.fields", {},
        el("div", {}, el("label", {for: "game"}, "Game"), game),
        el("div", {}, el("label", {for: "selection"}, "On what"), selection)),
      note,
      el("button.main", {}, "Place bet")),
    el("section.card", {"aria-label": "Your bets"}, el("h2", {}, "Your bets"), empty, list));
  account.addEventListener("bet", ({detail: bet}) => {
    draw(bet);
    const [, word] = LOOKS[bet.state];
    if (bet.isOurs) announce(`${word}: ${shown(bet.stake, currency)}. ${bet.why ?? ""}`);
  }, {signal});
  list.append(...account.bets.slice(0, SHOWN).map(drawn));
  empty.hidden = account.bets.length > 0;
  const timer = setInterval(() => document.hidden || account.lookAfter(SHOWN), LOOK_MS);
  signal.addEventListener("abort", () => clearInterval(timer));
}
