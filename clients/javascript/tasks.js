// What was asked of a client, and the order in which it is sent.

/** @import {BetState, Reply} from "./messages.js" */
/** @import {KeptBet, NotPlaced, Question} from "./types.js" */

/** One request, until its last word is there. `number`: its place in the order of asking. */
export class Task {
  /** Of the message that waits for its answer on this socket. @type {string | null} */
  id = null;
  askedMs = 0;
  /** Server time of the newest sending; null: it never left. @type {number | null} */
  sentAt = null;
  tries = 0;
  stale = 0;
  /** @type {BetState | null} */
  decided = null;
  /** @type {Reply | null} */
  last = null;
  /** @type {Reply | NotPlaced | null} */
  result = null;
  isAbandoned = false;

  /**
   * @param {number} number
   * @param {Question | KeptBet} request
   * @param {boolean} onlyLooks  of a bet: find out what became of it, and place it only where it is known to
   *   be decided
   * @param {boolean} isDoubtful  whether an earlier sending may still take place, though nobody waits for its
   *   answer
   */
  constructor(number, request, onlyLooks, isDoubtful) {
    this.number = number;
    this.request = request;
    this.onlyLooks = onlyLooks;
    this.isDoubtful = isDoubtful;
    /** What is sent next, or waits for its answer, is `bet.get`. */
    this.looks = onlyLooks;
  }

  /** The bet that this is about, if it is about one. */
  get bet() { return this.request.type === "bet.place" ? this.request : null; }

  /** Whether a bet is surely not placed now, though it could be tried again. */
  get isRejected() { return this.last?.type === "bet.rejected" && !this.isDoubtful && this.id === null; }

  /** No answer will come for what was sent last; it may take place all the same. */
  lost() {
    this.id = null;
    this.isDoubtful ||= !this.looks;
  }
}

/** Tasks that are to be sent, at once or later. */
export class Queue {
  /** @type {Task[]} */
  #ready = [];
  /** In the order of their due times. @type {Array<{dueMs: number, task: Task}>} */
  #later = [];

  /** When the first of those that are to be sent later is due; null: there is none. */
  get dueMs() { return this.#later.length ? this.#later[0].dueMs : null; }

  /** At once, as the last one. @param {Task} task */
  add(task) { this.#ready.push(task); }

  /** @param {Task} task @param {number} dueMs */
  addLater(task, dueMs) {
    let place = this.#later.length;
    while (place > 0 && isAfter(this.#later[place - 1], dueMs, task.number)) place -= 1;
    this.#later.splice(place, 0, {dueMs, task});
  }

  /** These go back to their places in the order of asking. @param {Task[]} tasks */
  putBack(tasks) {
    this.#ready = [...tasks, ...this.#ready].filter(({isAbandoned}) => !isAbandoned);
    this.#ready.sort((a, b) => a.number - b.number);
  }

  /**
   * Those that are due and still wanted, in order, as long as there `isRoom`.
   *
   * @param {() => boolean} isRoom
   * @param {number} nowMs
   */
  *take(isRoom, nowMs) {
    const due = this.#later.findIndex(({dueMs}) => dueMs > nowMs);
    const those = this.#later.splice(0, due === -1 ? this.#later.length : due);
    this.#ready.push(...those.map(({task}) => task));
    let taken = 0;
    while (isRoom() && taken < this.#ready.length) {
      const task = this.#ready[taken++];
      if (!task.isAbandoned) yield task;
    }
    this.#ready.splice(0, taken);
  }
}

/** @param {{dueMs: number, task: Task}} one @param {number} ms @param {number} number */
const isAfter = ({dueMs, task}, ms, number) => dueMs > ms || (dueMs === ms && task.number > number);
