// Elements that are made and never parsed: text stays text, whatever stands in it.

const SVG = "http://www.w3.org/2000/svg";

/** The element with this id, which the page has. */
export const byId = (id) => document.getElementById(id);

/**
 * An element: `el("a.quiet", {href: "#x", onclick}, "text", other)`. Properties that are functions are
 * listeners, null and false leave an attribute out; children that are null are none.
 */
export function el(name, properties = {}, ...children) {
  const [tag, ...classes] = name.split(".");
  const made = document.createElement(tag);
  if (classes.length) made.className = classes.join(" ");
  for (const [key, value] of Object.entries(properties)) {
    if (typeof value === "function") made.addEventListener(key.slice(2), value);
    else if (value !== null && value !== false && value !== undefined) made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return made;
}

/** What stands in this element from now on. */
export const fill = (parent, ...children) => {
  parent.replaceChildren(...children.flat().filter((child) => child !== null && child !== undefined));
};

/** A drawing of 16 × 16, of lines as long as the text is high; readers of screens pass over it. */
export function icon(path) {
  const svg = document.createElementNS(SVG, "svg");
  for (const [key, value] of Object.entries({viewBox: "0 0 16 16", "aria-hidden": "true", class: "icon"})) {
    svg.setAttribute(key, value);
  }
  svg.appendChild(document.createElementNS(SVG, "path")).setAttribute("d", path);
  return svg;
}

const SIGNS = {
  pending: "M8 1.5a6.5 6.5 0 1 0 0 13a6.5 6.5 0 1 0 0-13M8 4.5V8l2.5 1.5",
  green: "M2.5 8.5l3.5 3.5l7.5-8",
  red: "M3.5 3.5l9 9M12.5 3.5l-9 9",
  plain: "M3 8h10",
  grey: "M13.5 8a5.5 5.5 0 1 1-1.7-4M13.5 1.5v3h-3",
};

/** A state that is seen by its sign and its word, and only then by its colour: pending, green, red, grey (or
 * grey.live: somebody looks after it), plain. */
export const state = (look, word) =>
  el(`span.state.${look}`, {}, icon(SIGNS[look.split(".")[0]]), el("span", {}, word));

/** Said once by readers of screens, when they have finished what they are saying. */
export function announce(text) {
  const live = byId("live");
  live.textContent = "";
  requestAnimationFrame(() => { live.textContent = text; });
}

const times = new Intl.DateTimeFormat(undefined, {dateStyle: "medium", timeStyle: "short"});

/** A time in the reader's zone, which says to the second when it was. `ms`: since 1970. */
export const time = (ms) => {
  const at = new Date(ms);
  return el("time", {datetime: at.toISOString(), title: at.toLocaleString()}, times.format(at));
};
