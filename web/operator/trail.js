// A bet's way through the ledger: its transactions, their entries, the block that seals each, and its hash.
// Here it can be settled or rolled back, by whoever may.

import {byId, el, fill, state, time} from "../shared/dom.js";
import {shown, signOf, signed, typed, typeable} from "../shared/money.js";
import {inWords} from "../shared/words.js";
import {carryOut} from "./deeds.js";
import {showStatement} from "./statement.js";
import {kindOf, stateOf} from "./words.js";

const NOBODY = 0; // whose a bet is that was rolled back before it came: it has no wallet, and moved nothing
let turn = 0; // only what was asked for last is shown

export function closeTrail() {
  turn += 1;
  fill(byId("trail"));
}

/**
 * Show it in place of another, and go there.
 *
 * @param {import("./main.js").Room} room
 * @param {string} betId
 * @param {string} [name]  what its player is called, if that is known
 */
export async function showTrail(room, betId, name) {
  const mine = ++turn;
  const place = byId("trail");
  try {
    const trail = await room.session.ask(`/v1/bets/${betId}/trail`);
    const {currency} = trail.user_id === NOBODY ? {}
      : await room.session.ask("/v1/wallet", {query: {user_id: trail.user_id}});
    if (mine !== turn) return;
    const title = el("h3", {tabindex: "-1"}, "The way of a bet");
    fill(place,
      el("div.apart", {}, title, el("button.plain", {onclick: closeTrail}, "Close")),
      el("dl.facts", {}, Object.entries(factsOf(trail, currency)).map(([name, fact]) =>
        el("div", {}, el("dt", {}, name), el("dd", {}, fact)))),
      room.mayMove ? deeds(room, trail, currency, name) : null,
      el("ol.steps", {}, trail.transactions.map((step) => stepShown(room, step, currency))));
    title.focus();
    place.scrollIntoView({block: "nearest"});
  } catch (error) {
    if (mine === turn) fill(place, el("p.note.red", {role: "alert"}, inWords(error)));
  }
}

const factsOf = ({bet_id: betId, user_id: userId, state: word, stake, payout}, currency) => ({
  Bet: el("code", {}, betId),
  ...(userId === NOBODY ? {Player: "Nobody's"} : {
    Player: `№ ${userId}`, Stake: shown(stake, currency), Paid: shown(payout, currency),
  }),
  State: stateOf(word),
});

function stepShown(room, {transaction_id: id, kind, at, block, hash, entries}, currency) {
  const details = el("div");
  const open = el("button.plain", {"aria-expanded": "false", onclick: () => showBlock(room, block, details, open)},
    `Block ${block}`);
  return el("li", {},
    el("div.apart", {}, el("b", {}, kindOf(kind)), el("span.soft.small", {}, `Transaction ${id}, `, time(at))),
    el("ul.entries.small", {}, entries.map(({seq, user_id: userId, amount, balance}) => el("li.apart", {},
      el("span", {}, `№ ${userId}`), el("span.soft", {}, `entry ${seq}`), el("b.amount", {}, signed(amount, currency)),
      el("span.soft.amount", {}, `then ${shown(balance, currency)}`)))),
    el("p.small", {}, open, " ", el("code", {}, hash)), details);
}

async function showBlock(room, block, place, button) {
  const isOpen = button.getAttribute("aria-expanded") === "true";
  button.setAttribute("aria-expanded", String(!isOpen));
  if (isOpen) return fill(place);
  const isWanted = () => button.getAttribute("aria-expanded") === "true";
  try {
    const {head: {block: sealed, signature}} = await room.session.ask(`/v1/blocks/${block}`);
    if (!isWanted()) return;
    const facts = {
      Sealed: time(sealed.at / 1000),
      Transactions: `${sealed.first_transaction_id} to ${sealed.last_transaction_id}`,
      "Hash before": el("code", {}, sealed.prev_hash), Root: el("code", {}, sealed.root),
      "Signed by": el("code", {}, sealed.key_id), Signature: el("code", {}, signature),
    };
    fill(place, el("dl.facts.sealed", {}, Object.entries(facts).map(([name, fact]) =>
      el("div", {}, el("dt", {}, name), el("dd", {}, fact)))));
  } catch (error) {
    if (isWanted()) fill(place, el("p.note.red", {role: "alert"}, inWords(error)));
  }
}

// -- what may be done about it

function deeds(room, trail, currency, name) {
  const {state: word, user_id: userId, bet_id: betId, transactions} = trail;
  if (word === "rolled_back") return el("div", {}, state("grey", "Nothing is left to be done"));
  if (word !== "confirmed") return null;
  const after = async (answer) => {
    if (answer === null) return;
    const mine = turn;
    await showStatement(room, userId, name);
    if (mine === turn) await showTrail(room, betId, name);
  };
  const button = (name, deed) => el("button.quiet", {onclick: () => deed(room, trail, currency).then(after)}, name);
  const isCashed = transactions.some(({kind}) => kind === "CASHOUT"); // of a part: that one is over
  return el("div.row", {}, button("Settle …", settle), isCashed ? null : button("Roll back …", rollBack));
}

const RESULTS = {won: "Won", lost: "Lost", void: "Void: the stake goes back"};

function settle(room, trail, currency) {
  const form = Object.entries(RESULTS).map(([value, word]) => el("label.choice", {},
    el("input", {type: "radio", name: "result", value, required: true}), word));
  const payout = el("input", {id: "payout", inputmode: "decimal", autocomplete: "off"});
  const field = el("div", {hidden: true}, el("label", {for: "payout"}, `Payout, in ${signOf(currency)}, with the stake`),
    payout, el("p.hint", {}, `The stake was ${typeable(trail.stake, currency)}.`));
  const chosen = () => form.map((label) => label.firstChild).find(({checked}) => checked)?.value;
  const choices = el("div", {onchange: () => { field.hidden = chosen() !== "won"; }}, form);
  return carryOut(room.live, {
    title: "Settle this bet",
    facts: factsOf(trail, currency),
    fields: [choices, field],
    action: "Settle",
    question() {
      const bet = {type: "bet.settle", bet_id: trail.bet_id, result: chosen()};
      if (bet.result !== "won") return bet;
      const amount = typed(payout.value, currency);
      return amount === null ? "How much is paid out? An amount such as 12.50." : {...bet, payout: amount};
    },
  });
}

const rollBack = (room, trail, currency) => carryOut(room.live, {
  title: "Roll this bet back",
  facts: factsOf(trail, currency),
  fields: [el("p", {}, "The stake goes back to the player, as if he had not bet; a free bet can be used again.")],
  action: "Roll back",
  question: () => ({type: "bet.rollback", bet_id: trail.bet_id, user_id: trail.user_id}),
});
