// Frames as a client reads and writes them. What is newer than this client is left alone: unknown fields of a
// reply, and messages of an unknown type.

/** @import {Bounds, Reply} from "./messages.js" */

const encoder = new TextEncoder();

/**
 * The messages of one frame, in order, taken at their word. Throws `SyntaxError` where it is no JSON.
 *
 * @param {string} text
 * @returns {Reply[]}
 */
export function decodeFrame(text) {
  return [JSON.parse(text)].flat().filter((message) => typeof message?.type === "string");
}

/** @param {string} text */
export const bytesOf = (text) => encoder.encode(text).length;

/**
 * These messages in as few frames as the server's bounds allow; each message fits into one alone.
 *
 * @param {string[]} sent
 * @param {Required<Bounds>} bounds
 */
export function* inFrames(sent, {frame_bytes, frame_messages}) {
  /** @type {string[]} */
  let some = [];
  let size = 1;
  for (const message of sent) {
    const bytes = bytesOf(message) + 1; // its comma, or the bracket
    if (some.length && (size + bytes > frame_bytes || some.length === frame_messages)) {
      yield frameOf(some);
      [some, size] = [[], 1];
    }
    some.push(message);
    size += bytes;
  }
  if (some.length) yield frameOf(some);
}

/** @param {string[]} some */
const frameOf = (some) => (some.length === 1 ? some[0] : `[${some.join(",")}]`);
