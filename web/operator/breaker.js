// Whether bets are taken, and what stands in the way.

import {announce, byId, el, fill, state} from "../shared/dom.js";
import {seconds} from "./words.js";

const LOOKS = {
  closed: ["green", "Closed", "All bets are taken."],
  open: ["red", "Open", "Bets are refused"],
  half_open: ["pending", "Waiting", "A few bets are tried"],
};

/** The panel of the circuit breaker, and notes on what else is not well. */
export class Breaker {
  #told = null;
  #longestMs = 0;
  #noted = "";

  /** @param {object} figures  the newest */
  show({breaker, nonces, storage_failed: failed, stopping}) {
    const [look, word, sentence] = LOOKS[breaker.state];
    const {remaining_ms: leftMs, reason} = breaker;
    if (breaker.state !== this.#told) {
      fill(byId("breaker-state"), state(look, word));
      if (this.#told !== null) announce(`The circuit breaker is now ${word.toLowerCase()}.`);
      if (breaker.state === "closed") this.#longestMs = 0;
      this.#told = breaker.state;
    }
    this.#longestMs = Math.max(this.#longestMs, leftMs ?? 0);
    fill(byId("breaker-why"), reason === null ? sentence : `${sentence}: ${reason}.`);
    const bar = byId("breaker-left");
    bar.hidden = breaker.state === "closed" || leftMs === null;
    if (!bar.hidden) {
      byId("breaker-seconds").textContent = leftMs > 0
        ? `${seconds(leftMs)} of stability still missing`
        : "the next good commit closes it";
      const progress = byId("breaker-progress");
      [progress.max, progress.value] = [Math.max(1, this.#longestMs), this.#longestMs - leftMs];
    }
    this.#note(failed, nonces, stopping);
  }

  #note(failed, nonces, stopping) {
    const notes = [
      failed === null ? null : ["red", `The storage has failed: ${failed}. No money moves until a restart.`],
      stopping ? ["pending", "The server is stopping."] : null,
      nonces.status === "ok" ? null : ["pending", `Replays are filtered in memory, not in Redis: ${nonces.why}.`],
    ].filter((note) => note !== null);
    const text = notes.map(([, words]) => words).join(" ");
    if (text === this.#noted) return; // or it would be read out each second
    this.#noted = text;
    fill(byId("notes"), notes.map(([look, words]) => el(`p.note.${look}`, {}, words)));
  }
}
