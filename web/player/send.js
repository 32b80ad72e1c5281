// Money to another player. A transfer has a key that is kept until its last word is there: asked again under
// the same key, it moves once. Each is kept under a name of its own, so that no other tab, and no other user of
// this browser, writes over it.

import {Refused, newBetId as newKey} from "../client/solidgreen.js";
import {el, fill} from "../shared/dom.js";
import {shown, typeable, typed} from "../shared/money.js";
import {inWords} from "../shared/words.js";
import {confirmed} from "./confirm.js";
import {keep, kept, storage} from "./storage.js";

const OPEN = ["INTERNAL", "OUTCOME_UNKNOWN"]; // after these it may have been sent, as after no answer

/** The names of what is kept that begin so. */
const namesOf = (beginning) => Array.from({length: storage.length}, (_, place) => storage.key(place))
  .filter((name) => name.startsWith(`solidgreen.${beginning}`)).map((name) => name.slice("solidgreen.".length));

export function show(place, account, {signal}) {
  const {currency, userId} = account;
  const ours = `transfer.${userId}.`; // and the key, whose beginning is its time
  const to = el("input", {id: "to", inputmode: "numeric", autocomplete: "off", required: true, "aria-describedby": "send-note"});
  const amount = el("input", {id: "amount", inputmode: "decimal", autocomplete: "off", required: true,
    placeholder: typeable(0, currency), "aria-describedby": "send-note"});
  const note = el("p.note", {id: "send-note", role: "status"});
  const go = el("button.main", {}, "Send");
  const open = el("div", {});

  const say = (look, ...words) => {
    note.className = `note ${look}`;
    fill(note, ...words);
  };

  /** Ask, for the first time or again: whether something has come of it, or may come. */
  async function moved(transfer) {
    go.disabled = true;
    say("pending", "Sending…");
    try {
      const {transaction_id: id} = await account.ask({type: "wallet.transfer", key: transfer.key, legs: [
        {user_id: userId, amount: -transfer.amount}, {user_id: transfer.to, amount: transfer.amount}]});
      keep(ours + transfer.key, null);
      say("green", `Sent: ${shown(transfer.amount, currency)} to wallet ${transfer.to}. `,
        el("a", {href: `#receipts/${id}`}, "Receipt"));
      return true;
    } catch (error) {
      const isOver = error instanceof Refused && !OPEN.includes(error.code);
      if (isOver) {
        keep(ours + transfer.key, null);
        say("red", `Nothing was sent. ${inWords(error)}`);
      } else {
        say("", "There is no answer yet. It may have been sent, and may not: ask again below, it moves once.");
      }
      return !isOver;
    } finally {
      go.disabled = false;
      account.dispatchEvent(new Event("transfers")); // this view may be another one by now
    }
  }

  function drawOpen() {
    const transfers = namesOf(ours).sort().map(kept).filter((transfer) => transfer !== null);
    fill(open, transfers.length ? el("section.card.stack", {},
      el("h2", {}, "Not answered yet"),
      el("p", {}, "If it was sent already, asking again sends nothing more."),
      ...transfers.map((transfer) => el("div.row", {},
        el("span", {}, `${shown(transfer.amount, currency)} to wallet ${transfer.to}`),
        el("button", {type: "button", onclick: () => moved(transfer)}, "Ask again")))) : null);
  }

  async function submit(event) {
    event.preventDefault();
    const [number, minor] = [Number(to.value.trim()), typed(amount.value, currency)];
    const isWallet = /^\d+$/.test(to.value.trim()) && Number.isSafeInteger(number) && number !== userId;
    to.setAttribute("aria-invalid", !isWallet);
    amount.setAttribute("aria-invalid", minor === null);
    if (!isWallet || minor === null) {
      say("red", isWallet ? "Type an amount above zero." : "Type the number of another player's wallet.");
      (isWallet ? amount : to).focus();
      return;
    }
    say("");
    const what = `${shown(minor, currency)} from your wallet to wallet ${number}.`;
    if (!await confirmed("Send it?", [what, "It cannot be taken back by you."], "Send")) return;
    if (namesOf(ours).length) {
      say("red", "Nothing was sent: an earlier transfer is not answered yet. Ask again below first.");
      drawOpen();
      return;
    }
    const transfer = {key: newKey(), to: number, amount: minor};
    try {
      keep(ours + transfer.key, transfer);
    } catch {
      say("red", "Nothing was sent: this browser has no room to keep it until it is answered.");
      return;
    }
    if (await moved(transfer)) to.value = amount.value = ""; // else the same could be sent by mistake
  }

  fill(place, el("h1", {}, "Send money"),
    el("p.soft", {}, `Your own wallet has the number ${userId}: whoever wants to send you something needs it.`),
    el("form.card.stack", {onsubmit: submit, novalidate: true},
      el("div.fields", {},
        el("div", {}, el("label", {for: "to"}, "To wallet number"), to),
        el("div", {}, el("label", {for: "amount"}, `Amount in ${currency}`), amount)),
      note, go),
    open);
  account.addEventListener("transfers", drawOpen, {signal});
  addEventListener("storage", ({key}) => key?.includes(ours) && drawOpen(), {signal}); // of other tabs
  drawOpen();
}
