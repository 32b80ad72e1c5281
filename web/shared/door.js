// The form through which people come in.

import {el, fill} from "./dom.js";
import {Session} from "./session.js";
import {inWords} from "./words.js";

const REFUSALS = {
  UNAUTHORIZED: "The name or the password is not right.",
  IDEMPOTENCY_CONFLICT: "That name is taken.",
  RATE_LIMITED: "There were too many tries. Wait a few minutes, then try again.",
  FORBIDDEN: "Nobody can register here. Ask the house for a log-in.",
};

/**
 * Let somebody in: resolves to his `Session`, once there is one.
 *
 * @param {HTMLElement} place  where the form stands; empty again afterwards
 * @param {{title: string, text: string, why?: string, mayRegister?: boolean, below?: Node}} about  `why`: what
 *   ended an earlier log-in
 */
export function letIn(place, {title, text, why = "", mayRegister = false, below = null}) {
  return new Promise((resolve) => {
    let isNew = false;
    const note = el("p.note.red", {role: "alert"});
    const name = el("input", {id: "username", name: "username", autocomplete: "username", autocapitalize: "none",
      spellcheck: "false", required: true, minlength: 3, maxlength: 64});
    const password = el("input", {id: "password", name: "password", type: "password", required: true, minlength: 8,
      maxlength: 256});
    const hint = el("p.hint", {id: "password-hint"}, "At least 8 characters: a sentence is best.");
    const go = el("button", {});
    const other = el("button.plain", {type: "button", onclick: () => { isNew = !isNew; turn(); name.focus(); }});

    function turn() {
      go.textContent = isNew ? "Register" : "Log in";
      other.textContent = isNew ? "I have a log-in already" : "Register as a new player";
      password.autocomplete = isNew ? "new-password" : "current-password";
      hint.hidden = !isNew;
      password.toggleAttribute("aria-describedby", false);
      if (isNew) password.setAttribute("aria-describedby", hint.id);
      fill(note);
    }

    async function submit(event) {
      event.preventDefault();
      fill(note);
      go.disabled = true;
      try {
        const session = await Session.begun(isNew ? "register" : "login", name.value, password.value);
        fill(place);
        resolve(session);
      } catch (error) {
        fill(note, REFUSALS[error.code] ?? inWords(error));
        password.focus();
      } finally {
        go.disabled = false;
      }
    }

    turn();
    fill(place, el("div.door.stack", {},
      el("span.brand", {}, "Solid Green"),
      el("h1", {}, title),
      el("p.soft", {}, text),
      why ? el("p.note", {role: "status"}, why) : null,
      el("form.card.stack", {onsubmit: submit},
        el("div", {}, el("label", {for: "username"}, "Name"), name),
        el("div", {}, el("label", {for: "password"}, "Password"), password, hint),
        note, go, mayRegister ? other : null),
      below));
    name.focus();
  });
}
