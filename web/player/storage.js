// What stays in this browser: bets and transfers whose fate is not known, and public keys. Nothing secret.

import {MemoryStorage} from "../client/journal.js";

/** `localStorage`; where a browser forbids it, what lasts as long as the page. */
export const storage = (() => {
  try {
    localStorage.getItem("solidgreen");
    return localStorage;
  } catch {
    return new MemoryStorage();
  }
})();

/** What is kept under this name; null: nothing, or nothing that can be read. */
export function kept(name) {
  try {
    return JSON.parse(storage.getItem(`solidgreen.${name}`));
  } catch {
    return null;
  }
}

/** Keep it; null: keep nothing any more. */
export const keep = (name, value) => (value === null
  ? storage.removeItem(`solidgreen.${name}`)
  : storage.setItem(`solidgreen.${name}`, JSON.stringify(value)));
