// Runs the scripts of a file on the client's state machine in JavaScript, and prints what it does at each
// step, as tests/client_script.py does in Python: {scripts: [{steps, chances}]} becomes [[what is told]].
import {readFileSync} from "node:fs";
import {ClientState} from "../clients/javascript/state.js";

class Script {
  tasks = new Map();

  constructor(chances = [0.5]) {
    let next = 0;
    this.state = new ClientState(() => chances[next++ % chances.length]);
  }

  step(step) {
    const {state, tasks} = this;
    const {at} = step;
    if ("connected" in step) state.connected(at);
    if ("receive" in step) state.receive(JSON.stringify(step.receive), at);
    if ("closed" in step) state.disconnected(step.closed, at, step.retry_after_ms ?? null);
    if ("start" in step) {
      const {as, request, only_looks: onlyLooks = false, is_doubtful: isDoubtful = false} = step.start;
      tasks.set(as, state.start(request, {onlyLooks, isDoubtful}));
    }
    if ("abandon" in step) state.abandon(tasks.get(step.abandon));
    if ("follow" in step) state.view.feed.follow(step.follow);
    if ("unfollow" in step) state.view.feed.unfollow();
    return this.told(at, state.view.feed.waiting.splice(0, step.take ?? 0));
  }

  told(at, taken) {
    const {state, tasks} = this;
    const frames = state.toSend(at).map((frame) => JSON.parse(frame));
    const finished = state.finished.splice(0);
    const names = [...tasks.keys()];
    return {
      sent: frames.flat(),
      frames: frames.length,
      done: Object.fromEntries(names.filter((name) => finished.includes(tasks.get(name)))
        .map((name) => [name, tasks.get(name).result])),
      rejected: names.filter((name) => tasks.get(name).isRejected).sort(),
      phase: state.phase,
      wake_ms: ["offline", "ended"].includes(state.phase) ? null : state.wakeMs(),
      connect_ms: state.phase === "offline" ? state.reconnecting.connectMs : null,
      needs_token: state.reconnecting.needsToken,
      fault: state.fault === null ? null : state.fault.name,
      dead: state.isDead(at),
      funds: state.view.funds,
      cursor: state.view.feed.cursor,
      waiting: state.view.feed.waiting.length,
      taken,
      unasked: state.unasked.splice(0).map(({type}) => type),
    };
  }
}

const {scripts} = JSON.parse(readFileSync(process.argv[2], "utf8"));
const told = scripts.map(({steps, chances}) => {
  const script = new Script(chances);
  return steps.map((step) => script.step(step));
});
process.stdout.write(JSON.stringify(told));
