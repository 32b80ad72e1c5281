// Parts of the operator's page that need no page, in Node: what a scene says is printed as JSON.
import {createInterface} from "node:readline";
import {pathToFileURL} from "node:url";
import {WebSocket} from "./websocket.mjs";

const [folder, scene, ...rest] = process.argv.slice(2);
const part = (name) => import(pathToFileURL(`${folder}/operator/${name}.js`));
const say = (told) => process.stdout.write(`${JSON.stringify(told)}\n`);

const scenes = {
  /** What is known after each of these messages. */
  async history(told) {
    const {History} = await part("history");
    const history = new History();
    say(JSON.parse(told).map((figures) => {
      history.add(figures);
      const name = "latency99";
      return {runs: history.runs(name), range: history.range(name), refusals: history.refusals(),
        confirmed: history.range("confirmed"), newest: history.newest.at, minutes: history.minutes,
        fromMs: history.fromMs};
    }));
  },

  async curve(told) {
    const {pathOf, topOf} = await part("curve");
    const {tops, runs, frame} = JSON.parse(told);
    say({tops: tops.map(topOf), path: pathOf(runs, frame)});
  },

  /** Closed while a token is fetched. */
  async late_token() {
    const {Live} = await part("live");
    let opened = 0, give;
    const asked = new Promise((resolve) => {
      const live = new Live("ws://nowhere", () => new Promise((answer) => {
        give = answer;
        resolve(live);
      }), class { constructor() { opened += 1; } close() {} });
    });
    (await asked).close();
    give("a token");
    await new Promise((resolve) => { setTimeout(resolve); });
    say({opened});
  },

  /** Until it has had enough of tokens that are refused. */
  async given_up(url, token) {
    const {Live} = await part("live");
    let given = 0;
    const live = new Live(url, async () => {
      given += 1;
      return token;
    }, WebSocket);
    while (!live.hasGivenUp) await new Promise((resolve) => { setTimeout(resolve, 10); });
    say({given});
  },

  /** Moves money over a connection that is cut; each line that comes in is a bet to be settled. */
  async live(url, ...tokens) {
    const {Live} = await part("live");
    let given = 0;
    const live = new Live(url, async () => tokens[Math.min(given++, tokens.length - 1)], WebSocket);
    live.on("welcome", ({role}) => say({welcome: role, given}));
    live.on("payout.progress", (told) => say({pushed: told.type}));
    for await (const line of createInterface({input: process.stdin})) {
      const {withinMs, ...question} = JSON.parse(line);
      live.ask(question, withinMs).then(
        (answer) => say({answer}),
        (error) => say({raised: error.name, code: error.code, was_sent: error.was_sent}),
      );
    }
    live.close();
  },
};

await scenes[scene](...rest);
