export { ClientError, GivenUp, NotAuthenticated, Refused, Unresolved } from "./errors.js";
import type { Replies, WalletEntry } from "./messages.js";
import type { Bet, Options, Token, Within } from "./types.js";
export type Answer = import("./types.js").Answer;
export type Fate = import("./types.js").Fate;
export type Funds = import("./types.js").Funds;
export type Gap = import("./types.js").Gap;
export type Question = import("./types.js").Question;
/** A fresh UUID of version 7 (RFC 9562, section 5.7): 48 bits of milliseconds, then random bits. */
export declare function newBetId(): string;
/** A user's connection to the wallet engine. */
export declare class Wallet {
    #private;
    /**
     * Connects at once; `ready()` tells when it has.
     *
     * @param {string} url  of the door, `wss://…/ws`
     * @param {Token} token  an access token, or where to get one: asked at the start, and whenever the server
     *   refuses the last one
     * @param {Options} [options]
     */
    constructor(url: string, token: Token, { storage, withinMs, WebSocket, onPush }?: Options);
    /** Wait for the first `welcome`. Rejects with `GivenUp` where none comes in time; then this has ended. */
    ready(): Promise<this>;
    /** End the connection. Whoever still waits hears `Unresolved`. */
    close(): void;
    /** Of the token. */
    get userId(): number;
    /** Of the token. */
    get role(): "admin" | "auditor" | "operator" | "player";
    /** Whether a socket is open now and bets leave at once. */
    get isOpen(): boolean;
    /** The newest that is known, in minor units; null for whoever has no wallet. @returns {Funds | null} */
    get balance(): Funds | null;
    /**
     * The balance as it stands now, with what is held: a hold is the one thing that is not pushed.
     *
     * @param {Within} [options]
     */
    refresh(options?: Within): Promise<import("./types.js").Funds | null>;
    /**
     * Place a bet, and see it through. A `bet.rejected` with `retryable` true is a bet that the server could
     * not take before the time was over: it has moved no money.
     *
     * @param {Bet} bet
     * @param {Within} [options]
     * @returns {Promise<Answer>}
     */
    place(bet: Bet, options?: Within): Promise<Answer>;
    /**
     * The bets of this user whose fate nobody was told: of calls that ended in `Unresolved`, of a page that was
     * closed, and of calls that still wait.
     */
    unresolved(): string[];
    /**
     * Find out what became of a bet that is among `unresolved()`, or throw a `RangeError`: also `{type:
     * "not_placed"}`, sure 90 s after it was sent last, or the `bet.state` of one that is archived. Nothing is
     * placed anew, unless `again` says that the bet is still wanted.
     *
     * @param {string} bet_id
     * @param {{again?: boolean} & Within} [options]
     * @returns {Promise<Fate>}
     */
    resolve(bet_id: string, { again, ...options }?: {
        again?: boolean;
    } & Within): Promise<Fate>;
    /**
     * How a bet stands now; null: no such bet is known to the server, or it is another's.
     *
     * @param {string} bet_id
     * @param {Within} [options]
     */
    state(bet_id: string, options?: Within): Promise<import("./messages.js").BetState | null>;
    /**
     * The ledger entries of this wallet after `fromSeq`, each once, in order, those to come as well; without it
     * from where the wallet stood when this client connected first. `{type: "gap"}` stands for entries that
     * were archived. Ends when the client is closed, throws when it has given up. One reader at a time.
     *
     * @param {number} [fromSeq]
     * @returns {AsyncGenerator<WalletEntry | Gap, void, void>}
     */
    entries(fromSeq?: number): AsyncGenerator<WalletEntry | Gap, void, void>;
    /**
     * Ask anything, and have its answer: `wallet.ask({type: "bet.settle", key, bet_id, result: "lost"})`. A
     * move is asked again with the same `key` until its last word is there. Not for bets: see `place`.
     *
     * @template {Question} Q
     * @param {Q} request
     * @param {Within} [options]
     * @returns {Promise<Replies[Q["type"]]>}
     */
    ask<Q extends Question>(request: Q, options?: Within): Promise<Replies[Q["type"]]>;
}
