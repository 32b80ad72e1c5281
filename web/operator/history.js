// The figures of the last minutes, second by second. No clock and no page: what comes is added, what is old
// goes, and what is missing leaves a gap.

const KEPT_MS = 300_000; // five minutes: what somebody who was just called wants to see
const MINUTE_MS = 60_000;
const BREAK_MS = 2500; // pushes come each second: further apart, some are missing

/** Null: the first answer tells of no time at all. */
const perSecond = (count, {over_ms: overMs}) => (overMs > 0 ? (count * 1000) / overMs : null);
const sum = (counts) => Object.values(counts).reduce((all, each) => all + each, 0);

/** What can be drawn: by name, how it is read off one message `figures`; null: there was nothing. */
const READ = {
  confirmed: (figures) => perSecond(figures.bets.confirmed, figures),
  rejected: (figures) => perSecond(sum(figures.bets.rejected), figures),
  commands: (figures) => perSecond(figures.commands, figures),
  latency50: ({latency_ms: {p50}}) => p50,
  latency99: ({latency_ms: {p99}}) => p99,
  queueAge: ({queue}) => queue.oldest_ms,
  batch50: ({batch: {p50}}) => p50,
  batch99: ({batch: {p99}}) => p99,
  commit50: ({commit_ms: {p50}}) => p50,
  commit99: ({commit_ms: {p99}}) => p99,
  wal: ({wal_bytes: bytes}) => bytes,
  sockets: ({sockets}) => sockets,
};

export class History {
  #told = [];

  /** The newest; undefined: none has come. */
  get newest() { return this.#told.at(-1); }

  /** How far back there is something to be seen, in whole minutes: from one to five. */
  get minutes() { return Math.max(1, Math.ceil((this.newest.at - this.#told[0].at) / MINUTE_MS)); }

  /** Where a drawing of them begins. */
  get fromMs() { return this.newest.at - this.minutes * MINUTE_MS; }

  /**
   * A message `figures`. One that is older than the last says that the server's clock was set: begin anew. One
   * of the same time is the last one once more, as each new connection hears it first.
   */
  add(figures) {
    if (figures.at === this.newest?.at) return;
    if (figures.at < this.newest?.at) this.#told.length = 0;
    this.#told.push(figures);
    const old = this.#told.findIndex(({at}) => at > figures.at - KEPT_MS);
    this.#told.splice(0, old);
  }

  /** A line in pieces without a gap, each `{at, value}[]`, oldest first. */
  runs(name) {
    const runs = [];
    let run = null, lastAt = -Infinity;
    for (const figures of this.#told) {
      const value = READ[name](figures);
      if (figures.at - lastAt > BREAK_MS) run = null;
      lastAt = figures.at;
      if (value === null) {
        run = null;
        continue;
      }
      if (run === null) runs.push((run = []));
      run.push({at: figures.at, value});
    }
    return runs;
  }

  /** The newest value, null where the last second had none, and from where to where it went; null: never any. */
  range(name) {
    const values = this.runs(name).flat().map(({value}) => value);
    if (values.length === 0) return null;
    return {now: READ[name](this.newest), least: Math.min(...values), most: Math.max(...values)};
  }

  /** Bets that were refused in all that time: `[code, count]`, most first. */
  refusals() {
    const counts = new Map();
    for (const {bets} of this.#told) {
      for (const [code, count] of Object.entries(bets.rejected)) counts.set(code, (counts.get(code) ?? 0) + count);
    }
    return [...counts].sort(([, one], [, other]) => other - one);
  }
}
