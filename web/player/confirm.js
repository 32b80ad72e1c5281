// What is asked before something is done that cannot be taken back.

import {el} from "../shared/dom.js";

/** Ask before something is done: resolves to whether it is wanted. `action`: the word on the button. */
export function confirmed(title, text, action) {
  return new Promise((resolve) => {
    const dialog = el("dialog", {"aria-labelledby": "dialog-title", onclose: () => {
      dialog.remove();
      resolve(dialog.returnValue === "yes");
    }},
    el("form", {method: "dialog"},
      el("h2", {id: "dialog-title"}, title),
      ...[text].flat().map((each) => el("p", {}, each)),
      el("div.actions", {},
        el("button.quiet", {value: "no"}, "Cancel"),
        el("button", {value: "yes"}, action))));
    document.body.append(dialog);
    dialog.showModal();
  });
}
