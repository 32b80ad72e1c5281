// Is this receipt or head true? check.py and heads.py in JavaScript, rule for rule and word for word, for
// browsers and Node: no other file, WebCrypto only. vectors.json is what all of them are held to.

// Fields and what they hold: i an integer, t a text, l a list, o an object, or so many bytes in hexadecimal.
const RECEIPT = "format:i transaction:o entries:l path:l block:o signature:64";
const BLOCK = `format:i id:i first_transaction_id:i last_transaction_id:i first_entry_id:i last_entry_id:i \
at:i prev_hash:32 history:32 root:32 key_id:16`;
const TRANSACTION = `id:i kind:t scope:t key:t fingerprint:32 answer:t block_id:i first_entry_id:i entries:i \
entries_root:32`;
const ENTRY = `id:i user_id:i currency:t amount:i balance_after:i ref_type:t ref_id:t transaction_id:i \
block_id:i prev_id:i`;
const HEAD = "format:i block:o signature:64";
const FOLLOWS = "id:i hash:32 path:l";

export class Refused extends Error {} // it proves nothing; the message says why

/** What a receipt shows, if all of it is proven, as BigInt and Uint8Array. `publicKey`: 32 bytes, Ed25519. */
export async function checkReceipt(text, publicKey) {
  const receipt = fields(parse(text), RECEIPT);
  const block = await signed(receipt, publicKey);
  const transaction = fields(receipt.transaction, TRANSACTION);
  const [first, last] = [block.first_transaction_id, block.last_transaction_id];
  const root = await climb(await leaf(transaction), transaction.id - first, last - first + 1n, receipt.path);
  demand(transaction.block_id === block.id && same(root, block.root), "the transaction is not in the block");
  const [start, count] = [transaction.first_entry_id, transaction.entries];
  const isWithin = block.first_entry_id <= start && count >= 0n && start + count <= block.last_entry_id + 1n;
  demand(isWithin, "the entries of the transaction are not in the block");
  const entries = receipt.entries.map((entry) => fields(entry, `${ENTRY} path:l`));
  for (const {path, ...row} of entries) {
    const isOwn = row.transaction_id === transaction.id && row.block_id === block.id;
    demand(isOwn, "an entry is one of another transaction");
    const found = await climb(await leaf(row), row.id - start, count, path);
    demand(same(found, transaction.entries_root), "an entry is not in the transaction");
  }
  const isInOrder = entries.every(({id}, place) => place === 0 || entries[place - 1].id < id);
  demand(isInOrder, "an entry is there twice, or before an earlier one");
  return {block, transaction, entries: entries.map(({path: _, ...row}) => row)};
}

/** The block of a head, if it is signed. With `kept`, the text of an earlier receipt or head: only if it is
 * proven that the head's block is that one's or comes after it. */
export async function checkHead(text, publicKey, kept = null) {
  const {follows: told, ...head} = parse(text);
  const follows = told === undefined ? null : fields(told, FOLLOWS);
  const block = await signed(fields(head, HEAD), publicKey);
  if (follows !== null) {
    const root = await climb(await sha256([0], follows.hash), follows.id - 1n, block.id - 1n, follows.path);
    demand(same(root, block.history), "the block that it says it follows is not in its history");
  }
  if (kept === null) return block;
  const before = fields(parse(kept).block, BLOCK);
  if (same(header(before), header(block))) return block;
  demand(follows !== null && follows.id === before.id && same(follows.hash, await sha256(header(before))),
    "it does not follow the block that was kept");
  return block;
}

/** The 32 bytes of a public key in PEM (SubjectPublicKeyInfo, RFC 8410: these 12 bytes, then the key). */
export function publicKeyOf(pem) {
  const found = /BEGIN PUBLIC KEY-+\s+MCowBQYDK2VwAyEA([A-Za-z0-9+/]{43}=)\s+-----END PUBLIC KEY/.exec(pem);
  demand(found !== null, "it is not a public key of Ed25519 in PEM");
  return Uint8Array.from(atob(found[1]), (letter) => letter.charCodeAt(0));
}

const demand = (holds, why) => { if (!holds) throw new Refused(why); };
const isObject = (found) => found !== null && typeof found === "object" && !Array.isArray(found);
const same = (one, other) => one !== null && String(one) === String(other);

async function signed(whole, publicKey) {
  const block = fields(whole.block, BLOCK);
  demand(whole.format === 1n && block.format === 1n, "the format is not 1");
  demand(same((await sha256(publicKey)).slice(0, 16), block.key_id), "the block is signed with another key");
  const key = await crypto.subtle.importKey("raw", publicKey, {name: "Ed25519"}, false, ["verify"]);
  const isGood = await crypto.subtle.verify({name: "Ed25519"}, key, whole.signature, header(block));
  demand(isGood, "the signature is not that of the block");
  return block;
}

const join = (...parts) => Uint8Array.from(parts.flatMap((part) => [...part]));
const sha256 = async (...parts) => new Uint8Array(await crypto.subtle.digest("SHA-256", join(...parts)));
const utf8 = (text) => new TextEncoder().encode(text);
const leaf = (row) => sha256([0, 0x90 + Object.keys(row).length], ...Object.values(row).map(packed));
const bigEndian = (value, size) => size ? [...bigEndian(value >> 8n, size - 1), Number(value & 255n)] : [];

// What is hashed and signed of a block: the integers in 8 bytes each, then the hashes.
const header = (block) => join(utf8("SGBLOCK\0"),
  ...Object.values(block).map((value) => (typeof value === "bigint" ? bigEndian(value, 8) : value)));

// The root of a tree of `count` leaves with `found` at `index`, or null (RFC 9162, 2.1.3.2).
async function climb(found, index, count, path) {
  let last = count - 1n;
  for (const each of path) {
    const beside = valueOf("path", each, "32");
    if (index < 0n || index > last || last === 0n) return null;
    const isRight = index % 2n === 1n || index === last;
    found = isRight ? await sha256([1], beside, found) : await sha256([1], found, beside);
    while (isRight && index > 0n && index % 2n === 0n) [index, last] = [index / 2n, last / 2n];
    [index, last] = [index / 2n, last / 2n];
  }
  return index === 0n && last === 0n ? found : null;
}

// MessagePack, in its shortest form, of what rows hold.
function packed(value) {
  if (typeof value === "bigint") {
    if (value >= -32n && value < 128n) return bigEndian(value, 1);
    const step = [0, 1, 2, 3].find((n) => BigInt[value < 0n ? "asIntN" : "asUintN"](8 << n, value) === value);
    return [(value < 0n ? 0xd0 : 0xcc) + step, ...bigEndian(value, 1 << step)];
  }
  const [isText, data] = typeof value === "string" ? [true, utf8(value)] : [false, value];
  if (isText && data.length < 32) return [0xa0 + data.length, ...data];
  const power = [0, 1, 2].find((each) => data.length < 256 ** (1 << each));
  return [(isText ? 0xd9 : 0xc4) + power, ...bigEndian(BigInt(data.length), 1 << power), ...data];
}

// A JSON object that every program reads alike. JSON.parse takes 1.0 for 1, and the last value of a name.
function parse(text) {
  let [found, again] = [null, ""];
  try {
    found = JSON.parse(text);
    again = JSON.stringify(found);
  } catch {} // not JSON, or nested too deeply to be a receipt
  const [words, kept] = [text, again].map((each) => each.match(/"(?:[^"\\]+|\\.)*"|[0-9][0-9.eE+-]*/g) ?? []);
  const isPlain = words.every((word) => /^"|^[0-9]+$/.test(word)) && words.length === kept.length;
  demand(isObject(found) && isPlain, "it is not a JSON object with integers and each name once");
  return found;
}

// Exactly the fields that are named, in that order: what is not proven is not let in.
function fields(found, names) {
  const kinds = names.split(" ").map((each) => each.split(":"));
  const isExact = isObject(found) && Object.keys(found).length === kinds.length
    && kinds.every(([name]) => Object.hasOwn(found, name));
  demand(isExact, `expected an object with the fields ${kinds.map(([name]) => name).join(", ")}`);
  return Object.fromEntries(kinds.map(([name, kind]) => [name, valueOf(name, found[name], kind)]));
}

function valueOf(name, value, kind) {
  if (kind === "i" && Number.isSafeInteger(value)) return BigInt(value);
  if (kind === "l" ? Array.isArray(value) : kind === "o" && isObject(value)) return value;
  if (typeof value === "string") {
    const size = kind === "i" && /^-?[1-9][0-9]{15,18}$/.test(value) ? BigInt(value.replace("-", "")) : 0n;
    if (size >= 2n ** 53n && size < 2n ** 63n) return BigInt(value);
    if (kind === "t" && !/\p{Surrogate}/u.test(value)) return value;
    if (kind > 0 && value.length === 2 * kind && /^[0-9a-f]*$/.test(value))
      return Uint8Array.from(value.match(/../g), (byte) => parseInt(byte, 16));
  }
  throw new Refused(`${name} is not what stands in its place`);
}
