// What verifier/check.mjs says of each vector in the file named: {"seconds", "verdicts": [...]}, where a
// verdict is {"refused": words} or {"shown": what is proven, integers as texts and bytes in hexadecimal}.
// Anything else that is thrown ends the run.
import {readFileSync} from "node:fs";
import {webcrypto} from "node:crypto";

import {checkHead, checkReceipt, Refused} from "../verifier/check.mjs";

globalThis.crypto ??= webcrypto; // Node 18 has it under another name

const unhex = (text) => Uint8Array.from(Buffer.from(text, "hex"));
const plain = (_, value) => {
  if (typeof value === "bigint") return String(value);
  return value instanceof Uint8Array ? Buffer.from(value).toString("hex") : value;
};

const {public_key: usual, vectors} = JSON.parse(readFileSync(process.argv[2], "utf8"));
const verdicts = [];
const begun = performance.now();
for (const {check, text, kept, public_key: other} of vectors) {
  const key = unhex(other ?? usual);
  try {
    const shown = check === "head" ? await checkHead(text, key, kept ?? null) : await checkReceipt(text, key);
    verdicts.push({shown});
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    verdicts.push({refused: error.message});
  }
}
const seconds = (performance.now() - begun) / 1000;
process.stdout.write(JSON.stringify({seconds, verdicts}, plain));
