// What reconcile and verify have found last, and having them look again.

import {announce, byId, el, fill, state, time} from "../shared/dom.js";
import {inWords} from "../shared/words.js";
import {count} from "./words.js";

const CHECKS = {
  reconcile: ["Reconcile", "Every sum and every seal of the ledger, counted anew."],
  verify: ["Verify", "The chain of signed blocks, from the first to the newest."],
};
const LOOKS = {
  never: ["plain", "Not looked yet"],
  running: ["pending", "Looking"],
  ok: ["green", "All rows agree"],
  findings: ["red", "Rows differ"],
  failed: ["red", "Could not look"],
};

export function showChecks(live) {
  const panels = Object.fromEntries(Object.keys(CHECKS).map((check) => [check, new Panel(check, live)]));
  fill(byId("checks"), Object.values(panels).map(({element}) => element));
  const hear = (told) => panels[told.check].show(told);
  live.on("check", hear);
  live.on("welcome", () => {
    for (const check of Object.keys(CHECKS)) live.ask({type: "check.get", check}).then(hear, () => {});
  });
}

class Panel {
  #sign = el("span"); #facts = el("dl.facts"); #rows = el("div"); #note = el("p.note.red", {role: "alert"});
  #told = null;

  constructor(check, live) {
    const [title, words] = CHECKS[check];
    this.name = title;
    this.bar = el("progress", {hidden: true, "aria-label": `${title}: how far it is`});
    this.again = el("button.quiet", {onclick: () => this.#begin(check, live)}, "Run again");
    this.element = el("article.stack", {"aria-labelledby": `${check}-title`},
      el("div.apart", {}, el("h3", {id: `${check}-title`}, title), this.#sign),
      el("p.soft.small", {}, words), this.bar, this.#facts, this.#rows, this.#note, el("div", {}, this.again));
  }

  async #begin(check, live) {
    this.again.disabled = true;
    fill(this.#note);
    try {
      this.show(await live.ask({type: "check.begin", check}));
    } catch (error) {
      this.again.disabled = false;
      fill(this.#note, inWords(error));
    }
  }

  /** A message `check`. */
  show({state: word, done, total, at, entries, found, findings, why, head, by}) {
    const isRunning = word === "running";
    const [look, verdict] = LOOKS[word];
    const text = word === "findings" ? `${verdict}: ${count(found)}` : verdict;
    fill(this.#sign, state(look, text));
    if (this.#told === "running" && !isRunning) announce(`${this.name}: ${text}.`);
    this.#told = word;
    this.again.disabled = isRunning;
    this.bar.hidden = !isRunning;
    this.bar.max = Math.max(1, total);
    this.bar.value = done; // 0 of 1 until it is known how much there is
    const facts = isRunning ? {Looked: total > 0 ? `${count(done)} of ${count(total)}` : "It has just begun"} : {
      ...(at !== null && {When: time(at), Entries: count(entries)}),
      ...(head !== null && {"Chain head": [`Block ${head.block} `, el("code", {}, head.hash)]}),
      ...(by !== null && {"Asked by": by}),
    };
    fill(this.#facts, Object.entries(facts).map(([name, fact]) => el("div", {}, el("dt", {}, name), el("dd", {}, ...[fact].flat()))));
    const rest = found - findings.length;
    fill(this.#rows,
      why === null ? null : el("p.note.red", {}, why),
      findings.length ? el("ol.findings", {}, findings.map((row) => el("li", {}, el("code", {}, row)))) : null,
      rest > 0 ? el("p.soft.small", {}, `And ${count(rest)} more: the command line prints all.`) : null);
  }
}
