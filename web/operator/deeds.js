// Whatever moves money is asked for once more, in a dialog that says how much and whose.

import {announce, el, fill} from "../shared/dom.js";
import {inWords} from "../shared/words.js";

const OPEN = ["INTERNAL", "OUTCOME_UNKNOWN"]; // after these it may have been done, as after no answer

/**
 * Ask, and do it. Resolves to the server's answer; null: it was not wanted. The idempotency key is made once,
 * with the dialog: whoever clicks twice, or asks again after a broken connection, moves the money once.
 *
 * @param {import("./live.js").Live} live
 * @param {{title: string, facts: Record<string, string | Node>, fields?: Node[], action: string,
 *   question: () => object | string}} deed  `question`: the message without its key; a text says why not yet
 */
export function carryOut(live, {title, facts, fields = [], action, question}) {
  const key = [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  let answer = null, asked = null;
  const note = el("p.note.red", {role: "alert"});
  const cancel = el("button.quiet", {type: "button", autofocus: fields.length === 0, onclick: () => dialog.close()},
    "Cancel");
  const go = el("button", {}, action);
  const inputs = el("fieldset.stack", {}, fields);

  async function submit(event) {
    event.preventDefault();
    const message = asked ?? question();
    fill(note, typeof message === "string" ? message : null);
    if (typeof message === "string") return;
    asked = message;
    go.disabled = cancel.disabled = inputs.disabled = true; // a disabled button submits nothing, nor does Enter
    try {
      answer = await live.ask({...message, key});
      announce("Done.");
      dialog.close();
    } catch (error) {
      const isOpen = error.code === undefined ? error.was_sent : OPEN.includes(error.code);
      fill(note, isOpen ? "It is not known whether that was done. Ask again: it is done once." : inWords(error));
      if (isOpen) go.textContent = "Ask again";
      else [asked, inputs.disabled] = [null, false];
    }
    go.disabled = cancel.disabled = false;
  }

  const stay = (event) => { if (go.disabled) event.preventDefault(); }; // until the answer is there
  const dialog = el("dialog", {"aria-labelledby": "deed-title", oncancel: stay},
    el("form", {onsubmit: submit},
      el("h2", {id: "deed-title"}, title),
      el("dl.facts", {}, Object.entries(facts).map(([name, fact]) => el("div", {}, el("dt", {}, name), el("dd", {}, fact)))),
      fields.length ? inputs : null,
      note,
      el("div.actions", {}, cancel, go)));
  document.body.append(dialog);
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(answer);
    });
  });
}
