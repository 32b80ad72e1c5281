// The figures of the running server, each second: charts, what was refused and why, and whether they come.

import {announce, byId, el, fill, state} from "../shared/dom.js";
import {inWords} from "../shared/words.js";
import {Breaker} from "./breaker.js";
import {Chart} from "./chart.js";
import {History} from "./history.js";
import {backTo, bytes, clockOf, count, ms, perSecond} from "./words.js";

const LATE_MS = 3500; // without a figure the page says so: they come each second
const LOOK_EVERY_MS = 500;
const GIVEN_UP = "No connection: reload the page";

const CHARTS = [
  [new Chart("Bets", perSecond, {confirmed: "confirmed", rejected: "refused"}),
    ({bets}) => `${count(bets.confirmed + bets.replayed)} accepted, ${count(bets.replayed)} of them asked again`],
  [new Chart("Confirmation latency", ms, {latency50: "p50", latency99: "p99"})],
  [new Chart("Queue age", ms, {queueAge: ""}), ({queue}) => `${count(queue.length)} waiting`],
  [new Chart("Batch size", count, {batch50: "p50", batch99: "p99"}), ({batch}) => `${count(batch.batches)} batches`],
  [new Chart("Commit time", ms, {commit50: "p50", commit99: "p99"})],
  [new Chart("Other commands", perSecond, {commands: ""})],
  [new Chart("Write-ahead log", bytes, {wal: ""})],
  [new Chart("Sockets", count, {sockets: ""})],
];

/** Follow the figures on this connection, for as long as it lives. Gives a function that ends it. */
export function showFigures(live) {
  const history = new History();
  const breaker = new Breaker();
  let heardMs = -Infinity, hasBeenWell = false, shown = "";
  fill(byId("charts"), CHARTS.map(([chart]) => chart.figure));

  function hear(figures) {
    heardMs = performance.now();
    history.add(figures);
    breaker.show(figures);
    for (const [chart, more] of CHARTS) chart.draw(history, more?.(figures));
    showRefusals(history, figures);
    look();
  }

  function look() {
    const isWell = live.isOpen && performance.now() - heardMs < LATE_MS;
    if (isWell) {
      byId("as-of").textContent = clockOf(history.newest.at);
      byId("span").textContent = backTo(history.minutes);
    }
    const [how, word, said] = isWell ? ["green", "Live", "The connection is back."]
      : live.hasGivenUp ? ["red", GIVEN_UP, `${GIVEN_UP}.`]
      : hasBeenWell ? ["grey.live", "Connection lost, trying again", "The connection is lost. Figures are old."]
      : ["grey.live", "Connecting", ""];
    if (word === shown) return;
    shown = word;
    fill(byId("connection"), state(how, word));
    byId("now").classList.toggle("stale", !isWell && hasBeenWell);
    if (hasBeenWell || live.hasGivenUp) announce(said);
    hasBeenWell ||= isWell;
  }

  live.on("figures", hear);
  live.on("welcome", () => live.ask({type: "figures.follow"}).then(hear, () => {})); // or the next one asks
  const timer = setInterval(look, LOOK_EVERY_MS);
  look();
  return () => clearInterval(timer);
}

function showRefusals(history, {totals}) {
  const refusals = history.refusals();
  const most = Math.max(1, ...refusals.map(([, times]) => times));
  fill(byId("refusals"), refusals.length === 0
    ? el("p.soft.small", {}, `None in the ${backTo(history.minutes)}.`)
    : el("ul.bars", {}, refusals.map(([code, times]) => el("li", {},
      el("code", {title: inWords({code})}, code), el("meter", {min: 0, max: most, value: times, "aria-hidden": "true"}),
      el("b.number", {}, count(times))))));
  byId("totals").textContent = `Since the start: ${count(totals.confirmed)} confirmed, `
    + `${count(totals.replayed)} asked again, ${count(totals.rejected)} refused.`;
}
