// A small line chart, with its newest values and its range as words and numbers.

import {el} from "../shared/dom.js";
import {pathOf, topOf} from "./curve.js";
import {backTo} from "./words.js";

const SVG = "http://www.w3.org/2000/svg";
const [WIDTH, HEIGHT] = [300, 64];

const svg = (tag, attributes) => {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
};

/** One or two lines over the last minutes. */
export class Chart {
  #title; #shown; #drawing; #lines; #scale;
  #more = el("span.soft.small");

  /**
   * @param {string} title
   * @param {(value: number) => string} shown  a value with its unit
   * @param {Record<string, string>} lines  by the name of its series, what a line is called: the second one is
   *   dashed, so that nobody has to tell colours apart
   */
  constructor(title, shown, lines) {
    [this.#title, this.#shown] = [title, shown];
    this.#drawing = svg("svg", {viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img"});
    this.#lines = Object.entries(lines).map(([series, name], place) => ({
      series,
      name,
      path: this.#drawing.appendChild(svg("path", {class: `line${place}`})),
      value: el("b", {}, "–"),
    }));
    this.#scale = el("span.scale", {"aria-hidden": "true"});
    this.figure = el("figure.card.chart", {},
      el("figcaption", {},
        el("h3", {}, title),
        el("span.values", {}, this.#lines.map(({name, value}, place) =>
          el(`span.key.key${place}`, {}, name ? el("span.soft.small", {}, name) : null, value)))),
      el("div.plot", {}, this.#drawing, this.#scale),
      this.#more);
  }

  /** Draw what there is now. `more`: a further word on the newest figures, in place of the range. */
  draw(history, more) {
    const {newest: {at: toMs}, fromMs, minutes} = history;
    const ranges = this.#lines.map(({series}) => history.range(series));
    const top = topOf(Math.max(0, ...ranges.map((range) => range?.most ?? 0)));
    const words = this.#lines.map(({series, name, path, value}, place) => {
      const frame = {fromMs, toMs, top, width: WIDTH, height: HEIGHT};
      path.setAttribute("d", pathOf(history.runs(series), frame));
      const range = ranges[place];
      value.textContent = range === null || range.now === null ? "–" : this.#shown(range.now);
      return `${name} ${this.#inWords(range)}`;
    });
    this.#drawing.setAttribute("aria-label", `${this.#title}, the ${backTo(minutes)}: ${words.join("; ")}.`);
    this.#scale.textContent = this.#shown(top);
    const last = ranges.at(-1);
    this.#more.textContent = more ?? (last === null ? "" : this.#span(this.#lines.at(-1).name, last));
  }

  #span(name, {least, most}) { return `${name} from ${this.#shown(least)} to ${this.#shown(most)}`.trim(); }

  #inWords(range) {
    if (range === null) return "nothing yet";
    const now = range.now === null ? "nothing in the last second" : `${this.#shown(range.now)} now`;
    return this.#span(`${now},`, range);
  }
}
