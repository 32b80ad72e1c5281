// The script of verifier/check.html, without a browser: puts the receipt and the key that are named into its
// two fields, lets it check, and prints what it then says and under which class.
import {readFileSync, writeFileSync} from "node:fs";
import {webcrypto} from "node:crypto";
import {pathToFileURL} from "node:url";

const [page, receipt, key, folder] = process.argv.slice(2);
const [, script] = /<script type="module">(.*?)<\/script>/s.exec(readFileSync(page, "utf8"));
const here = new URL("../verifier/check.mjs", import.meta.url).href;
const file = `${folder}/page.mjs`;
writeFileSync(file, script.replace('"./check.mjs"', JSON.stringify(here)));

globalThis.crypto ??= webcrypto;
const element = () => ({value: "", on: {}, addEventListener(name, act) { this.on[name] = act; }});
const elements = {receipt: element(), key: element(), told: element()};
globalThis.document = {getElementById: (id) => elements[id]};
await import(pathToFileURL(file).href);

elements.receipt.value = readFileSync(receipt, "utf8");
let isHindered = false; // the browser would leave the page for the file
const files = [{text: async () => readFileSync(key, "utf8")}];
await elements.key.on.drop({dataTransfer: {files}, preventDefault: () => { isHindered = true; }});
const {textContent: told, className: look} = elements.told;
process.stdout.write(JSON.stringify({isHindered, told, look}));
