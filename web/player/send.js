// Money to another player. A transfer has a key that is kept until its answer is there: asked again under the
// same key, it moves once.

import {Unresolved} from "../client/solidgreen.js";
import {confirmed, el, fill} from "../shared/dom.js";
import {shown, typeable, typed} from "../shared/money.js";
import {inWords} from "../shared/words.js";
import {keep, kept} from "./storage.js";

const KEPT = "transfer";

export function show(place, account) {
  const {currency, userId} = account;
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

  /** Ask, for the first time or again. */
  async function moved(transfer) {
    go.disabled = true;
    say("pending", "Sending…");
    try {
      const {transaction_id: id} = await account.ask({type: "wallet.transfer", key: transfer.key, legs: [
        {user_id: userId, amount: -transfer.amount}, {user_id: transfer.to, amount: transfer.amount}]});
      keep(KEPT, null);
      say("green", `Sent: ${shown(transfer.amount, currency)} to wallet ${transfer.to}. `,
        el("a", {href: `#receipts/${id}`}, "Receipt"));
      to.value = amount.value = "";
    } catch (error) {
      if (error instanceof Unresolved) {
        say("", "There is no answer yet. It may have been sent, and may not: ask again below, it moves once.");
      } else {
        keep(KEPT, null);
        say("red", `Nothing was sent. ${inWords(error)}`);
      }
    } finally {
      go.disabled = false;
      drawOpen();
    }
  }

  function drawOpen() {
    const transfer = kept(KEPT);
    const isOurs = transfer !== null && transfer.from === userId;
    fill(open, isOurs ? el("section.card.stack", {},
      el("h2", {}, "Not answered yet"),
      el("p", {}, `${shown(transfer.amount, currency)} to wallet ${transfer.to}. `,
        "If it was sent already, asking again sends nothing more."),
      el("div.row", {},
        el("button", {type: "button", onclick: () => moved(transfer)}, "Ask again"))) : null);
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
    const transfer = {key: crypto.randomUUID(), from: userId, to: number, amount: minor};
    keep(KEPT, transfer);
    await moved(transfer);
  }

  fill(place, el("h1", {}, "Send money"),
    el("p.soft", {}, `Your own wallet has the number ${userId}: whoever wants to send you something needs it.`),
    el("form.card.stack", {onsubmit: submit, novalidate: true},
      el("div.fields", {},
        el("div", {}, el("label", {for: "to"}, "To wallet number"), to),
        el("div", {}, el("label", {for: "amount"}, `Amount in ${currency}`), amount)),
      note, go),
    open);
  drawOpen();
}
