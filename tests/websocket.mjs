// A WebSocket for Node: its own, or that of the package `ws`, for a Node that has none (18). Node 18 also
// lacks the global `crypto` that browsers have.
import {createRequire} from "node:module";
import {webcrypto} from "node:crypto";

globalThis.crypto ??= webcrypto;
const given = () => createRequire(new URL("../clients/javascript/", import.meta.url))("ws").WebSocket;
export const {WebSocket} = globalThis.WebSocket ? globalThis : {WebSocket: given()};
