// One scene of the client in JavaScript, against a real server: prints what came of it. Lines on standard input
// tell it to go on.
import {createInterface} from "node:readline";
import {mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync} from "node:fs";
import {GivenUp, NotAuthenticated, Refused, Unresolved, Wallet, newBetId} from "../clients/javascript/solidgreen.js";
import {MemoryStorage} from "../clients/javascript/journal.js";
import {WebSocket} from "./websocket.mjs";

const [scene, url, ...rest] = process.argv.slice(2);
const lines = createInterface({input: process.stdin})[Symbol.asyncIterator]();
const say = (told) => process.stdout.write(`${JSON.stringify(told)}\n`);
const connect = (token, options) => new Wallet(url, token, {WebSocket, ...options}).ready();
const why = async (call) => {
  try {
    return await call();
  } catch (error) {
    return {raised: error.name, code: error.code, message: error.message, was_sent: error.was_sent};
  }
};

/** What `localStorage` is to a page, in a folder: there when it is loaded again. */
class FolderStorage {
  constructor(folder) {
    this.folder = folder;
    mkdirSync(folder, {recursive: true});
    this.names = readdirSync(folder);
  }

  get length() { return this.names.length; }
  key(place) { return this.names[place] ?? null; }
  getItem(name) {
    try {
      return readFileSync(`${this.folder}/${name}`, "utf8");
    } catch {
      return null; // as localStorage says of what is not there
    }
  }
  setItem(name, text) {
    this.names.push(name);
    writeFileSync(`${this.folder}/${name}`, text);
  }

  removeItem(name) {
    this.names.splice(this.names.indexOf(name), 1);
    rmSync(`${this.folder}/${name}`);
  }
}

async function entriesUntil(wallet, seq) {
  const told = [];
  for await (const entry of wallet.entries()) {
    told.push(entry);
    if (entry.seq >= seq) return told;
  }
  return told;
}

const scenes = {
  async answers([token, operator, unseen]) {
    const wallet = await connect(token), house = await connect(operator);
    const first = await wallet.place({stake: 250, game: "roulette"});
    say({
      first,
      balance: wallet.balance,
      rejected: await wallet.place({stake: 10 ** 9}),
      invalid: await why(() => wallet.place({stake: 0})),
      state: (await wallet.state(first.bet_id)).state,
      unseen: await wallet.state(unseen),
      settled: await house.ask({type: "bet.settle", key: `js-${first.bet_id}`, bet_id: first.bet_id, result: "lost"}),
      forbidden: await why(() => wallet.ask({type: "wallet.deposit", key: "k", user_id: 7, amount: 1})),
      is_bet: await why(() => wallet.ask({type: "bet.place"})),
      unresolved: wallet.unresolved(),
      resolved: await why(() => wallet.resolve(unseen)),
      house: house.balance,
      role: house.role,
    });
    wallet.close();
    house.close();
  },

  async refused([expired, good]) {
    const tokens = [expired, expired, good];
    const gone = new Wallet("ws://127.0.0.1:1/ws", "token", {WebSocket, withinMs: 300});
    const wallet = await connect(() => tokens.shift());
    const sockets = [];
    const ending = await connect(good, {
      WebSocket: class extends WebSocket {
        constructor(...given) {
          super(...given);
          sockets.push(this);
        }
      },
    });
    sockets[0].onclose({code: 4401, reason: "the token has expired"});
    sockets[0].close();
    say({
      ended: await why(() => entriesUntil(ending, Infinity)),
      too_late: await why(() => ending.place({stake: 1})),
      unresolved: ending.unresolved(),
      expired: await why(() => connect(expired)),
      always: await why(() => connect(async () => expired)),
      gone: await why(() => gone.ready()),
      welcome: wallet.userId,
      left: tokens.length,
      is_error: new NotAuthenticated("…") instanceof GivenUp && !(new Unresolved("…") instanceof Refused),
    });
    wallet.close();
  },

  /** Many bets; one line is said at every `each` answers. */
  async many([token, count, each]) {
    const wallet = await connect(token, {withinMs: 50_000});
    let next = 0, answered = 0;
    const answers = [];
    const bettor = async () => {
      while (next < Number(count)) {
        answers.push(await wallet.place({stake: 1 + (next++ % 7)}));
        answered += 1;
        if (answered % Number(each) === 0) say({answered});
      }
    };
    await Promise.all(Array.from({length: 30}, bettor));
    const last = Math.max(...answers.map(({seq}) => seq));
    const told = await entriesUntil(wallet, last);
    say({
      types: [...new Set(answers.map(({type}) => type))],
      bets: new Set(answers.map(({bet_id}) => bet_id)).size,
      entries: told.length,
      in_order: told.every((entry, place) => place === 0 || entry.prev_seq === told[place - 1].seq),
      balance: wallet.balance,
      refreshed: await wallet.refresh(),
      unresolved: wallet.unresolved(),
    });
    wallet.close();
  },

  async one_at_a_time([token, count]) {
    const wallet = await connect(token, {withinMs: 50_000});
    for (let number = 0; number < Number(count); number += 1) {
      const call = wallet.place({stake: 100 + number});
      say({placed: number});
      const {type, replayed} = await call;
      say({type, replayed});
      await lines.next();
    }
    say({balance: wallet.balance, refreshed: await wallet.refresh(), unresolved: wallet.unresolved()});
    wallet.close();
  },

  /** Leaves with bets in flight, as a page that is closed. */
  async leave([token, path]) {
    const wallet = await connect(token, {storage: new FolderStorage(path)});
    const calls = Array.from({length: 900}, () => wallet.place({stake: 1}));
    await Promise.race(calls);
    process.kill(process.pid, "SIGKILL");
  },

  /** Leaves with a bet that is kept, and has not left. */
  async leave_before_sending([token, path]) {
    const wallet = await connect(token, {storage: new FolderStorage(path)});
    wallet.place({stake: 9});
    process.kill(process.pid, "SIGKILL");
  },

  /** What others have written into the storage, and what another tab takes out of it while it is read. */
  async strange_storage([token, path]) {
    const storage = new FolderStorage(path);
    for (const text of ["{", "null", "7", '{"user_id": 7}', '{"bet": {"bet_id": "other"}}']) {
      storage.setItem(`solidgreen.bet.${storage.length}`, text);
    }
    storage.setItem("another.program", "1");
    const wallet = await connect(token, {storage});
    storage.setItem("solidgreen.bet.mine", JSON.stringify({user_id: wallet.userId, bet: {bet_id: "mine"}}));
    storage.names.push("solidgreen.bet.gone");
    const unresolved = wallet.unresolved();
    const {type, bet_id} = await wallet.place({stake: 1});
    say({unresolved, type, is_forgotten: storage.getItem(`solidgreen.bet.${bet_id}`) === null});
    wallet.close();
  },

  /** What a page before this one may have sent is not forgotten for an asking of now that is refused. */
  async place_again([token, path]) {
    const storage = new FolderStorage(path);
    const wallet = await connect(token, {storage});
    const bet_id = newBetId();
    await wallet.place({bet_id, stake: 5});
    const bet = {type: "bet.place", bet_id, stake: 5, nonce: "12345678"};
    storage.setItem(`solidgreen.bet.${bet_id}`, JSON.stringify({user_id: wallet.userId, bet}));
    const refused = [await why(() => wallet.place({bet_id, stake: 6})), await why(() => wallet.place({bet_id, stake: 0}))];
    const unresolved = wallet.unresolved();
    const {type, replayed} = await wallet.resolve(bet_id);
    wallet.close();
    say({refused: refused.map(({code}) => code), is_kept: unresolved[0] === bet_id, type, replayed, unresolved: wallet.unresolved()});
  },

  /** Closed in the middle of everything. */
  async closing([token, path]) {
    const storage = new FolderStorage(path);
    const wallet = await connect(token, {storage, withinMs: 90_000});
    const reader = entriesUntil(wallet, Infinity);
    const sent = wallet.place({stake: 10, bet_id: newBetId()});
    await Promise.resolve(); // what is asked for in one go has left after that
    const unsent = wallet.place({stake: 20});
    wallet.close();
    const soon = new Wallet(url, token, {WebSocket, withinMs: 90_000});
    const ready = why(() => soon.ready());
    soon.close();
    const waits = new Wallet(url, () => new Promise(() => {}), {WebSocket, withinMs: 90_000});
    waits.close();
    say({
      sent: await why(() => sent),
      unsent: await why(() => unsent),
      late: await why(() => wallet.place({stake: 30})),
      left: wallet.unresolved().length,
      read: (await reader).length,
      ready: await ready,
      waits: await why(() => waits.ready()),
      timers: process.getActiveResourcesInfo().filter((each) => each === "Timeout").length,
    });
    const next = await connect(token, {storage});
    const [bet_id] = next.unresolved();
    say({fate: await next.resolve(bet_id, {again: true}), unresolved: next.unresolved()});
    next.close();
  },

  /** With a server that is made up, and answers as each of these wants it to; 20 ms later. */
  async made_up() {
    const asked = [], told = {};
    let answers, server;
    class MadeUp {
      readyState = 1;
      constructor() {
        server = this;
        queueMicrotask(() => this.onopen());
      }

      say(...messages) { this.onmessage({data: JSON.stringify(messages)}); }
      send(text) {
        for (const message of [JSON.parse(text)].flat()) {
          if (message.type === "auth") return this.say(welcome);
          asked.push(message);
          setTimeout(() => answers(message).forEach((each) => this.say({id: message.id, ...each})), 20);
        }
      }

      close() {}
    }
    const funds = {seq: 918, balance: 999, held: 0, available: 999};
    const welcome = {type: "welcome", user_id: 42, role: "player", currency: "EUR", ...funds, server_time: 1.76e12, limits: {nonce_window_ms: 400}};
    const confirmed = ({bet_id, stake}) => ({type: "bet.confirmed", bet_id, stake, transaction_id: 8, block: 4, ...funds, replayed: false});
    const refusal = (code, more) => ({type: "error", code, message: "…", retryable: false, ...more});
    const storage = new MemoryStorage();
    const wallet = await connect("token", {WebSocket: MadeUp, storage});

    // An answer that comes too late is kept until somebody is told.
    answers = () => [];
    const late = await why(() => wallet.place({stake: 1}, {withinMs: 50}));
    const [{id, bet_id}] = asked;
    server.say({id, ...confirmed({bet_id, stake: 1})});
    told.late = [late.raised, wallet.unresolved()[0] === bet_id, storage.length];
    told.late.push((await wallet.resolve(bet_id)).type, storage.length);

    // That a bet never arrived is known to whoever comes back later.
    answers = ({type}) => (type === "bet.get" ? [refusal("NOT_FOUND")] : []);
    await why(() => wallet.place({stake: 1}, {withinMs: 50}));
    const [lost] = wallet.unresolved();
    let fate, looks = 0;
    for (; fate?.type === undefined && looks < 50; looks += 1) fate = await why(() => wallet.resolve(lost, {withinMs: 100}));
    told.never_arrived = [fate.type, looks > 1];

    // What cannot be written is the fault of whoever asks for it.
    const unwritable = await why(() => wallet.ask({type: "wallet.deposit", key: "k", user_id: 7, amount: 10n}));
    answers = ({type}) => (type === "ping" ? [{type: "pong", server_time: 1.76e12}] : []);
    told.unwritable = [unwritable.raised, (await wallet.ask({type: "ping"})).type];

    // What is sent again is what was asked for, whatever has become of it since.
    const legs = [{user_id: 42, amount: -1}, {user_id: 43, amount: 1}];
    const refused = [refusal("OVERLOADED", {retryable: true, retry_after_ms: 1})];
    answers = () => [refused.shift() ?? {type: "wallet.moved"}];
    const transfer = wallet.ask({type: "wallet.transfer", key: "k", legs});
    legs[0].amount = -5;
    await transfer;
    told.sent_again = asked.slice(-2).map((each) => each.legs[0].amount);

    // For ever is longer than any timer.
    answers = (bet) => [confirmed(bet)];
    told.for_ever = (await wallet.place({stake: 1}, {withinMs: Infinity})).type;

    // Whoever aborts a call hears why, and its bet is not forgotten if it has left.
    answers = () => [];
    const enough = new AbortController();
    const call = why(() => wallet.place({stake: 7}, {signal: enough.signal}));
    while (asked.at(-1).stake !== 7) await Promise.resolve();
    enough.abort(new RangeError("enough"));
    const patience = new Promise((resolve) => { setTimeout(resolve, 2000, {}).unref(); });
    told.aborted = [(await Promise.race([call, patience])).raised, wallet.unresolved()[0] === asked.at(-1).bet_id];
    await why(() => wallet.place({stake: 8}, {signal: enough.signal}));
    told.aborted.push(wallet.unresolved().length, asked.at(-1).stake);

    // Asked for twice, and the first one gives up before it has left: the other still has it placed.
    server.onclose({code: 1001, reason: "the server stops"});
    const twice = {stake: 1, bet_id: newBetId()};
    const calls = [why(() => wallet.place(twice, {withinMs: 20})), wallet.place(twice)];
    told.twice = [(await calls[0]).was_sent, wallet.unresolved().includes(twice.bet_id)];
    answers = (bet) => [confirmed(bet)];
    told.twice.push((await calls[1]).type, wallet.unresolved().includes(twice.bet_id));

    // A storage that cannot forget costs no answer.
    storage.removeItem = () => { throw new Error("not now"); };
    answers = (bet) => [confirmed(bet)];
    told.stubborn = (await wallet.place({stake: 1})).type;
    wallet.close();
    say(told);
  },

  async come_back([token, path, other]) {
    const storage = new FolderStorage(path);
    const [wallet, stranger] = [await connect(token, {storage}), await connect(other, {storage})];
    const left = wallet.unresolved();
    const found = await Promise.all(left.map((bet_id) => wallet.resolve(bet_id, {again: true})));
    say({
      left: left.length,
      found: [...new Set(found.map(({type}) => type))],
      unresolved: wallet.unresolved(),
      stranger: stranger.unresolved(),
      stored: storage.length,
    });
    wallet.close();
    stranger.close();
  },

  /** Says all that came unasked, each time that there is more; the listener throws each time as well. */
  async pushes([token]) {
    const told = [];
    let isOver;
    const over = new Promise((resolve) => { isOver = resolve; });
    process.on("uncaughtException", () => {});
    const wallet = await connect(token, {onPush: ({type}) => {
      told.push(type);
      say(told);
      if (type === "wallet.entry") isOver();
      if (told.length === 2) connect(token).then((third) => third.place({stake: 5}));
      throw new Error("of whoever listens");
    }});
    await over;
    wallet.close();
    process.exit(0);
  },

  async tokens([...tokens]) {
    let given = 0, asked = 0;
    const wallet = await connect(async () => {
      if (asked++ % 2 === 0) throw new Error("who gives tokens is away");
      return tokens[given++];
    });
    const types = new Set();
    let bets = 0;
    while (given < tokens.length) {
      const answers = await Promise.all(Array.from({length: 20}, () => wallet.place({stake: 1})));
      answers.forEach(({type}) => types.add(type));
      bets += answers.length;
      await new Promise((resolve) => { setTimeout(resolve, 20); });
    }
    say({asked, types: [...types], bets, balance: await wallet.refresh(), unresolved: wallet.unresolved()});
    wallet.close();
  },
};

await scenes[scene](rest);
lines.return?.();
process.stdin.destroy();
