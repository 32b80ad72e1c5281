// Receipts: what a signed block proves of a transaction, checked here, in the browser, by the verifier that
// anybody can run elsewhere. It asks no server, so it works offline as well.

import {announce, el, fill, time} from "../shared/dom.js";
import {shown, signed} from "../shared/money.js";
import {inWords} from "../shared/words.js";
import {Refused, checkReceipt, publicKeyOf} from "../verifier/check.mjs";
import {KINDS, groupOf} from "./kinds.js";
import {keep, kept} from "./storage.js";

const PROVEN = "These entries are in the signed books, and nobody can change them without breaking this receipt.";
const SAVED_MS = 60_000; // a browser may ask where to save it before it reads it
const KEYS = "keys"; // public ones: `{key_id: {pem, seenMs}}`, as this browser saw them first

/** The keys that this browser has seen, and those that the server shows now, if it can be reached. */
async function knownKeys(session) {
  const known = kept(KEYS) ?? {};
  try {
    for (const {key_id, public_key} of (await session.ask("/v1/keys")).items) {
      known[key_id] ??= {pem: public_key, seenMs: Date.now()};
    }
    keep(KEYS, known);
  } catch {} // offline, or a server that shows none: then those that are kept count
  return known;
}

export async function show(place, account, {about}) {
  const {session} = account;
  const told = el("div.stack", {});
  const key = el("textarea", {id: "key", rows: 3, spellcheck: "false", placeholder: "-----BEGIN PUBLIC KEY-----"});
  const file = el("input", {id: "file", type: "file", accept: ".json,application/json", onchange: async () => {
    if (file.files.length) await check(await file.files[0].text());
  }});
  let keys = knownKeys(session);

  async function check(text, name = null) {
    try {
      const {pem, whence} = await keyOf(text);
      drawProven(await checkReceipt(text, publicKeyOf(pem)), whence, text, name);
    } catch (error) {
      const isFalse = error instanceof Refused;
      const [verdict, why] = isFalse ? ["Not proven", `This receipt proves nothing: ${error.message}.`]
        : ["It cannot be checked here", inWords(error)];
      announce(`${verdict}. ${why}`);
      fill(told, el("section.card.stack", {"data-verdict": "refused"},
        el("div.note.red.stack", {},
          el("h2", {}, verdict),
          el("p", {}, why))));
    }
  }

  async function keyOf(text) {
    if (key.value.trim()) return {pem: key.value, whence: "the key that you have given"};
    let id;
    try {
      id = JSON.parse(text).block.key_id;
    } catch {} // whatever it is, the verifier says why it is no receipt
    const found = (await keys)[id];
    if (found) return {pem: found.pem, whence: ["the server's key, first seen by this browser ", time(found.seenMs)]};
    const [any] = Object.values(await keys);
    if (any === undefined) throw new Refused("no public key of the server is known: paste one below");
    return {pem: any.pem, whence: ""};
  }

  function drawProven({block, transaction, entries}, whence, text, name) {
    const facts = {
      "What": KINDS[transaction.kind] ?? transaction.kind,
      "Transaction": String(transaction.id),
      "Block": String(block.id),
      "Sealed and signed": time(Number(block.at / 1000n)),
      "Checked with": whence,
      "Key of the command": el("code", {}, transaction.key),
    };
    announce(`Proven. ${PROVEN}`);
    fill(told, el("section.card.stack", {"data-verdict": "proven"},
      el("div.note.green.stack", {},
        el("h2", {}, "Proven"),
        el("p", {}, PROVEN)),
      el("table", {}, el("tbody", {}, ...entries.map((entry) => el("tr", {},
        el("td", {}, KINDS[groupOf({kind: entry.ref_type, amount: entry.amount})] ?? entry.ref_type),
        el("td.number", {}, signed(entry.amount, entry.currency)),
        el("td.number.soft", {}, `balance ${shown(entry.balance_after, entry.currency)}`))))),
      el("dl.facts.small", {}, ...Object.entries(facts).map(([term, what]) => [el("dt", {}, term), el("dd", {}, what)]).flat()),
      name === null ? null : el("div", {}, el("button", {type: "button", onclick: () => save(text, name)}, "Save as a file"))));
  }

  fill(place, el("h1", {}, "Receipts"),
    el("p.soft", {}, "A receipt is checked on this device, also without a connection. Keep it somewhere else: ",
      "whoever changes the books later is found out by it."),
    told,
    el("section.card.stack", {},
      el("div", {}, el("label", {for: "file"}, "Check a saved receipt"), file),
      el("details", {},
        el("summary", {}, "With a key that I was given elsewhere"),
        el("div", {}, el("label.unseen", {for: "key"}, "Public key (PEM)"), key))));
  if (!about) return;
  try {
    const {receipt} = await account.ask({type: "receipt.get", transaction_id: Number(about)});
    await check(JSON.stringify(receipt), `receipt-${about}.json`);
  } catch (error) {
    fill(told, el("p.note.red", {role: "alert"}, inWords(error)));
  }
}

function save(text, name) {
  const href = URL.createObjectURL(new Blob([text], {type: "application/json"}));
  el("a", {href, download: name}).click();
  setTimeout(() => URL.revokeObjectURL(href), SAVED_MS);
}
