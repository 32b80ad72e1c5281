import type { ErrorReply, Reply } from "./messages.js";
/** @import {ErrorReply, Reply} from "./messages.js" */
/** Whatever a client raises on its own account. */
export declare class ClientError extends Error {
    get name(): string;
}
/** The server's `error`, which is final. Of a bet it says that *this* asking was refused, and no more. */
export declare class Refused extends ClientError {
    error: ErrorReply;
    code: "ACCOUNT_BLOCKED" | "ACCOUNT_NOT_FOUND" | "BET_CLOSED" | "BET_ROLLED_BACK" | "CIRCUIT_OPEN" | "CURRENCY_MISMATCH" | "FORBIDDEN" | "HOLD_CLOSED" | "IDEMPOTENCY_CONFLICT" | "INSUFFICIENT_FUNDS" | "INTERNAL" | "INVALID_REQUEST" | "LIMIT_EXCEEDED" | "NONCE_REUSED" | "NOT_FOUND" | "OUTCOME_UNKNOWN" | "OVERLOADED" | "PAYOUT_CLOSED" | "RATE_LIMITED" | "STALE_REQUEST" | "TIMED_OUT" | "UNAUTHORIZED";
    /** @param {ErrorReply} error */
    constructor(error: ErrorReply);
}
/**
 * No final answer came in time. `bet_id`: of the bet, to be given to `resolve`; null: it was no bet, and can
 * be asked again, a move with the same `key`. `was_sent`: false if it surely never left, so that nothing can
 * come of it. `last`: the newest answer that was not final, or null.
 */
export declare class Unresolved extends ClientError {
    bet_id: string | null;
    was_sent: boolean;
    last: Reply | null;
    /**
     * @param {string} what
     * @param {string | null} bet_id
     * @param {boolean} was_sent
     * @param {Reply | null} last
     */
    constructor(what: string, bet_id: string | null, was_sent: boolean, last: Reply | null);
}
/** The client has ended: its socket could not be opened, or must not be opened again. */
export declare class GivenUp extends ClientError {
}
/** The server takes no token that it was shown. */
export declare class NotAuthenticated extends GivenUp {
}
