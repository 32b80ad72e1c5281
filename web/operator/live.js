// The socket of this page: what is asked, and what comes unasked. It is made of the same parts as the client in
// clients/javascript, without what that one keeps of bets and of a wallet: staff has neither, and this page is
// to stay small. What was asked and not answered when a connection broke is asked again on the next one: looks
// do no harm, and a move moves once, under its `key`.

import {Refused, Unresolved} from "../client/errors.js";
import {Reconnecting} from "../client/pauses.js";
import {decodeFrame} from "../client/wire.js";

const WITHIN_MS = 10_000; // the server promises an answer in 2 s
const SILENT_MS = 10_000; // figures come each second: whoever says nothing for so long is not there

const nowMs = () => Math.trunc(performance.now());

export class Live {
  /** Whether there is a socket that has been welcomed. */
  isOpen = false;
  /** Whether it will not connect again: there is no point in it. */
  hasGivenUp = false;
  #url; #tokens; #Socket;
  #token = null;
  #socket = null;
  #listeners = {};
  #waiting = new Map();
  #asked = 0;
  #reconnecting = new Reconnecting(Math.random);
  #isOver = false;
  #leave = () => {};
  #silence;

  /**
   * Connects at once, and again whenever the connection breaks.
   *
   * @param {string} url  `wss://…/ws`
   * @param {() => Promise<string>} tokens  gives another token each time: the last one was refused
   */
  constructor(url, tokens, Socket = WebSocket) {
    [this.#url, this.#tokens, this.#Socket] = [url, tokens, Socket];
    this.#run();
  }

  /** Hear each push of this type; `welcome`: there is a new socket, on which nothing is followed yet. */
  on(type, listener) { (this.#listeners[type] ??= []).push(listener); }

  /** Ask, and have the answer, over however many sockets. Throws `Refused`, or `Unresolved` where none came. */
  ask(question, withinMs = WITHIN_MS) {
    const id = `o${++this.#asked}`;
    return new Promise((resolve, reject) => {
      const task = {text: JSON.stringify({...question, id}), wasSent: false, end: (settle, result) => {
        clearTimeout(timer);
        this.#waiting.delete(id);
        settle(result);
      }, resolve, reject};
      const timer = setTimeout(() => {
        task.end(reject, new Unresolved(question.type, null, task.wasSent, null));
      }, withinMs);
      this.#waiting.set(id, task);
      if (this.isOpen) this.#send(task);
    });
  }

  /** End it. Whoever still waits hears `Unresolved`, in time. */
  close() {
    this.#isOver = true;
    this.#leave();
  }

  async #run() {
    while (!this.#isOver) {
      const pauseMs = Math.max(0, this.#reconnecting.connectMs - nowMs());
      await new Promise((resolve) => { setTimeout(resolve, pauseMs); });
      const code = this.#isOver ? null : await this.#oneSocket();
      if (this.#reconnecting.closed(code, nowMs(), null) !== null) this.hasGivenUp = this.#isOver = true;
    }
  }

  /** From its opening to its end: with which code it was closed; null: it was not. */
  async #oneSocket() {
    try {
      if (this.#token === null || this.#reconnecting.needsToken) this.#token = await this.#tokens();
      this.#reconnecting.needsToken = false;
    } catch {
      return null; // nobody gives tokens now; where the log-in has ended, the session says so
    }
    if (this.#isOver) return null; // closed meanwhile: whoever comes next is to see nothing of this one
    return new Promise((resolve) => {
      const socket = this.#socket = new this.#Socket(this.#url, "wallet.v1");
      const left = (code) => {
        if (this.#socket !== socket) return;
        this.#socket = null;
        this.isOpen = false;
        clearTimeout(this.#silence);
        resolve(code);
      };
      this.#leave = () => {
        left(null);
        socket.close(1000);
      };
      this.#heard();
      socket.onopen = () => socket.send(JSON.stringify({type: "auth", token: this.#token}));
      socket.onmessage = ({data}) => {
        if (this.#socket !== socket) return;
        this.#heard();
        decodeFrame(data).forEach((message) => this.#take(message));
      };
      socket.onerror = () => setTimeout(left, 0, null); // `close` follows at once, but not in every Node
      socket.onclose = ({code}) => left(code === 1006 ? null : code);
    });
  }

  #heard() {
    clearTimeout(this.#silence);
    this.#silence = setTimeout(() => this.#leave(), SILENT_MS);
  }

  #take(message) {
    if (message.type === "welcome") {
      this.isOpen = true;
      this.#reconnecting.welcomed();
      this.#waiting.forEach((task) => this.#send(task));
    }
    const task = this.#waiting.get(message.id);
    if (task === undefined) this.#listeners[message.type]?.forEach((listener) => listener(message));
    else if (message.type !== "error") task.end(task.resolve, message);
    // An expired token closes the socket: the next one asks again, with another.
    else if (message.code !== "UNAUTHORIZED") task.end(task.reject, new Refused(message));
  }

  #send(task) {
    task.wasSent = true;
    this.#socket.send(task.text);
  }
}
