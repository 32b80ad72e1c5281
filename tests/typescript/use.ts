// How TypeScript takes the client in JavaScript: what is right compiles, and what is wrong does not. Compiled
// by tests/test_client_types.py, never run.
import {GivenUp, Refused, Unresolved, Wallet, newBetId, type Answer, type Funds} from "solidgreen-client";
import type {BetConfirmed, BetSettled, Code, WalletEntry} from "solidgreen-client/messages.js";
import type {BetStorage, Options, Signal, SocketClass} from "solidgreen-client/types.js";

declare const storage: BetStorage;
declare const Socket: SocketClass;
declare const perhaps: string | undefined;
declare const signal: Signal;

const options: Options = {storage, WebSocket: Socket, withinMs: 5000};
const wallet: Wallet = await new Wallet("wss://example.com/ws", async () => "token", options).ready();
const url: string = "wss://example.com/ws";

// Bets: what narrows is the `type`, as on the wire.
const answer: Answer = await wallet.place({stake: 250, game: "roulette", bet_id: perhaps}, {withinMs: 5000});
if (answer.type === "bet.confirmed") answer satisfies BetConfirmed;
else if (answer.retryable) answer.code satisfies Code;
const confirmed: number | undefined = answer.type === "bet.confirmed" ? answer.transaction_id : undefined;
for (const bet_id of wallet.unresolved()) {
  const fate = await wallet.resolve(bet_id, {again: true});
  switch (fate.type) {
    case "bet.confirmed":
    case "bet.rejected":
    case "bet.state":
    case "not_placed":
      break;
    default:
      fate satisfies never;
  }
}
const state: "won" | "lost" | string | undefined = (await wallet.state(newBetId()))?.state;

// Anything else: the request says which reply it has.
const won: BetSettled = await wallet.ask({type: "bet.settle", key: "k", bet_id: newBetId(), result: "won"});
const time: number = (await wallet.ask({type: "ping"})).server_time;
const funds: Funds | null = await wallet.refresh({signal});
const available: number | undefined = wallet.balance?.available;

for await (const entry of wallet.entries(0)) {
  if (entry.type === "gap") entry.upto_seq satisfies number;
  else entry satisfies WalletEntry;
}

try {
  await wallet.place({stake: 1});
} catch (error) {
  if (error instanceof Unresolved && error.bet_id !== null) await wallet.resolve(error.bet_id);
  else if (error instanceof Refused && error.code === "FORBIDDEN") error.error.message satisfies string;
  else if (error instanceof GivenUp) error.message satisfies string;
}

// What is wrong: each of these is an error where it stands.
// @ts-expect-error  a signal can be listened to
wallet.refresh({signal: {aborted: false}});
// @ts-expect-error  no token
new Wallet(url);
// @ts-expect-error  a token is a text
new Wallet(url, () => 7);
// @ts-expect-error  a storage has methods
new Wallet(url, "token", {storage: {}});
// @ts-expect-error  a stake is a number
wallet.place({stake: "250"});
// @ts-expect-error  and there has to be one
wallet.place({game: "roulette"});
// @ts-expect-error  the wire has no such field
wallet.place({stake: 250, odds: 2});
// @ts-expect-error  the nonce is made by the client
wallet.place({stake: 250, nonce: "4f1c09aa27"});
// @ts-expect-error  a rejected bet has no transaction
answer.transaction_id;
// @ts-expect-error  an operator has no wallet
wallet.balance.available;
// @ts-expect-error  no such request
wallet.ask({type: "bet.settel", key: "k", bet_id: "b", result: "won"});
// @ts-expect-error  no such result
wallet.ask({type: "bet.settle", key: "k", bet_id: "b", result: "maybe"});
// @ts-expect-error  a move has a key
wallet.ask({type: "bet.settle", bet_id: "b", result: "won"});
// @ts-expect-error  a bet is kept before it is sent: place()
wallet.ask({type: "bet.place", bet_id: "b", stake: 250, nonce: "4f1c09aa27", sent_at: 0});
// @ts-expect-error  a ping is answered by a pong
(await wallet.ask({type: "ping"})).balance;
for await (const entry of wallet.entries()) {
  // @ts-expect-error  a gap has no amount
  entry.amount;
}
declare const refused: Refused;
// @ts-expect-error  no such code
refused.code === "NOT_FUND";
