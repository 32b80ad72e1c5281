// What a player allows himself, and keeping himself out for a time.

import {newBetId as newKey} from "../client/solidgreen.js";
import {el, fill, time} from "../shared/dom.js";
import {shown, typed} from "../shared/money.js";
import {inWords} from "../shared/words.js";
import {confirmed} from "./confirm.js";

const KINDS = {stake: "Stakes", loss: "Losses", deposit: "Deposits", time: "Time spent"};
const PERIODS = {day: "a day", week: "a week", month: "a month"};
const HOUR_MS = 3_600_000;
const OUT = {"24 hours": 24, "7 days": 7 * 24, "30 days": 30 * 24, "6 months": 182 * 24, "5 years": 1826 * 24};

const options = (words) => Object.entries(words).map(([value, word]) => el("option", {value}, word));

export async function show(place, account) {
  const {currency} = account;
  const list = el("div", {});
  const note = el("p.note", {id: "limit-note", role: "status"});
  const kind = el("select", {id: "kind", onchange: () => turn()}, ...options(KINDS));
  const period = el("select", {id: "period"}, ...options(PERIODS));
  const most = el("input", {id: "most", inputmode: "decimal", autocomplete: "off", "aria-describedby": "limit-note"});
  const label = el("label", {for: "most"});
  const until = el("select", {id: "until"}, ...Object.keys(OUT).map((each) => el("option", {}, each)));
  const turn = () => fill(label, kind.value === "time" ? "At most, in hours" : `At most, in ${currency}`);
  const say = (look, words) => {
    note.className = `note ${look}`;
    fill(note, words);
  };
  const amountOf = ({kind: what}, amount) => {
    if (amount === null) return "no limit";
    return what === "time" ? `${(amount / 3600).toLocaleString()} h` : shown(amount, currency);
  };

  async function draw() {
    try {
      const {limits} = await account.ask({type: "limit.get"});
      fill(list, limits.length ? limits.map(drawn) : el("p.empty", {}, "You have set no limits."));
    } catch (error) {
      fill(list, el("p.note.red", {role: "alert"}, inWords(error)));
    }
  }

  const excluded = ({amount}) => el("div.apart.limit", {},
    el("h3", {}, "Keeping out until"),
    el("strong.amount", {}, time(amount)));

  const drawn = (limit) => (limit.kind === "exclusion" ? excluded(limit) : el("div.apart.limit", {},
    el("h3", {}, `${KINDS[limit.kind]} ${PERIODS[limit.period]}`),
    el("strong.amount", {}, amountOf(limit, limit.amount)),
    limit.used === undefined || !limit.amount ? null
      : el("progress", {max: limit.amount, value: Math.min(limit.used, limit.amount),
        "aria-label": `${amountOf(limit, limit.used)} of ${amountOf(limit, limit.amount)} used`}),
    limit.used === undefined ? null : el("span.small.soft", {}, `${amountOf(limit, limit.used)} used`),
    limit.pending_from_at === null ? null
      : el("span.small.soft", {}, amountOf(limit, limit.pending), " from ", time(limit.pending_from_at))));

  async function set(amount) {
    try {
      await account.ask({type: "limit.set", key: newKey(), kind: kind.value, period: period.value, amount});
      say("green", "It is set. What is stricter counts at once, what is looser later.");
      most.value = "";
    } catch (error) {
      say("red", inWords(error));
    }
    await draw();
  }

  function submit(event) {
    event.preventDefault();
    const hours = /^\s*\d{1,3}\s*$/.test(most.value) && Number(most.value) > 0 ? Number(most.value) * 3600 : null;
    const amount = kind.value === "time" ? hours : typed(most.value, currency);
    most.setAttribute("aria-invalid", amount === null);
    if (amount !== null) return set(amount);
    say("red", kind.value === "time" ? "Type whole hours." : "Type an amount above zero.");
    return most.focus();
  }

  async function exclude(event) {
    event.preventDefault();
    const atMs = Date.now() + OUT[until.value] * HOUR_MS;
    const what = ["You will not be able to bet until ", time(atMs), ". Nobody can take this back, you least of all."];
    if (!await confirmed(`Keep yourself out for ${until.value}?`, [el("span", {}, ...what)], "Keep me out")) return;
    try {
      await account.ask({type: "limit.exclude", key: newKey(), until: atMs});
      say("green", "It is set.");
    } catch (error) {
      say("red", inWords(error));
    }
    await draw();
  }

  turn();
  fill(place, el("h1", {}, "Limits"),
    el("p.soft", {}, "The house holds you to what you set here. Stricter counts at once; looser takes its time."),
    el("section.card.stack", {"aria-label": "Your limits"}, list),
    el("form.card.stack", {onsubmit: submit, novalidate: true},
      el("h2", {}, "Set a limit"),
      el("div.fields", {},
        el("div", {}, el("label", {for: "kind"}, "Of"), kind),
        el("div", {}, el("label", {for: "period"}, "In"), period),
        el("div", {}, label, most)),
      note,
      el("div.row", {}, el("button", {}, "Set limit"),
        el("button.quiet", {type: "button", onclick: () => set(null)}, "No limit"))),
    el("form.card.stack", {onsubmit: exclude},
      el("h2", {}, "Take a break"),
      el("p.soft", {}, "Keep yourself out for a time. Your money stays yours, and can be paid out."),
      el("div.fields", {}, el("div", {}, el("label", {for: "until"}, "For"), until)),
      el("div", {}, el("button.danger", {}, "Keep me out"))));
  await draw();
}
