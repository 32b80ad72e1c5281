// What users of the client see beside the messages.

import type {Auth, BetConfirmed, BetPlace, BetRejected, BetState, Reply, Request, Resume} from "./messages.js";

/** To be placed. `bet_id`: a UUID, made by the client if not given. `user_id`: for operators, who must say it. */
export interface Bet extends Omit<BetPlace, "type" | "id" | "nonce" | "sent_at" | "bet_id"> {
  bet_id?: string | undefined;
}

/** A bet as it is kept: `id` and `sent_at` are of each sending. */
export type KeptBet = Omit<BetPlace, "id" | "sent_at">;

/** The last word on a bet. */
export type Answer = BetConfirmed | BetRejected;

/** What became of a bet: nothing, and nothing will. No wallet has paid for it. */
export interface NotPlaced {
  type: "not_placed";
  bet_id: string;
}

/** What became of a bet. A `bet.state` tells of one that is archived. */
export type Fate = Answer | BetState | NotPlaced;

type WithoutId<R extends Request> = R extends Request ? Omit<R, "id"> : never;

/** What can be asked, but for what the client asks by itself. Its `id` is made by the client. */
export type Question = WithoutId<Exclude<Request, Auth | BetPlace | Resume>>;

/** What is used of an `AbortSignal`. */
export interface Signal {
  readonly aborted: boolean;
  readonly reason: any;
  addEventListener(type: "abort", listener: () => void): void;
  removeEventListener(type: "abort", listener: () => void): void;
}

/**
 * How long to wait for an answer, in milliseconds, through however many sockets. When `signal` is aborted the
 * call throws its `reason` at once; a bet that has left by then is among `unresolved()`.
 */
export interface Within {
  withinMs?: number | undefined;
  signal?: Signal | undefined;
}

/** A wallet, in minor units of `currency`. `held` is as it was last told: a hold is not pushed. */
export interface Funds {
  currency: string;
  balance: number;
  held: number;
  available: number;
  seq: number;
}

/**
 * In a stream of entries: between these two, some were archived and are not told. The balance is right all
 * the same. `after_seq`: the entry before them; `upto_seq`: the newest that may be missing.
 */
export interface Gap {
  type: "gap";
  after_seq: number;
  upto_seq: number;
}

/** An access token, or where to get one: asked at the start, and whenever the server refuses the last one. */
export type Token = string | (() => string | Promise<string>);

/** What is used of `localStorage`. */
export interface BetStorage {
  readonly length: number;
  key(place: number): string | null;
  getItem(name: string): string | null;
  setItem(name: string, text: string): void;
  removeItem(name: string): void;
}

/** What is used of a WebSocket: that of browsers and of Node 22 has it, and that of the package `ws`. */
export interface Socket {
  readonly readyState: number;
  send(text: string): void;
  close(code?: number): void;
  onopen: any;
  onmessage: any;
  onerror: any;
  onclose: any;
}

export type SocketClass = new (url: string, protocol: string) => Socket;

export interface Options {
  /**
   * Where bets are kept that are not answered yet: with `localStorage` a page that is loaded again finds them
   * in `unresolved()`. By default they go with the page.
   */
  storage?: BetStorage | undefined;
  /** How long to wait for an answer, unless a call says otherwise: 10,000. */
  withinMs?: number | undefined;
  /**
   * Hears what comes unasked, in order: the `welcome` of each socket, so that what was followed on the one
   * before can be followed again, and pushes, `payout.progress` for example.
   */
  onPush?: ((message: Reply) => void) | undefined;
  /** For Node before 22, which has none of its own. */
  WebSocket?: SocketClass | undefined;
}
