// The server's codes in plain words. The codes are the contract; what is not here is told in its own words.

const WORDS = {
  OFFLINE: "The server cannot be reached. Try again in a moment.",
  RATE_LIMITED: "That was too often. Wait a moment, then try again.",
  OVERLOADED: "The server has too much to do. Try again in a moment.",
  CIRCUIT_OPEN: "The house takes no bets and moves no money at the moment. Nothing was taken.",
  TIMED_OUT: "It could not be done in time. Nothing was taken.",
  OUTCOME_UNKNOWN: "It is not known yet whether that was done.",
  INSUFFICIENT_FUNDS: "There is not enough available for that.",
  LIMIT_EXCEEDED: "A limit stops this, or a player is keeping himself out.",
  ACCOUNT_BLOCKED: "The wallet is blocked.",
  ACCOUNT_NOT_FOUND: "There is no such wallet.",
  CURRENCY_MISMATCH: "That is another currency.",
  BET_ROLLED_BACK: "The house has cancelled this bet.",
  BET_CLOSED: "This bet is over already.",
  STALE_REQUEST: "It came too late. Nothing was taken.",
  IDEMPOTENCY_CONFLICT: "That has been used for something else already.",
  FORBIDDEN: "You may not do that.",
  NOT_FOUND: "There is nothing of that name.",
  INTERNAL: "An error in the server.",
};

/** Why something was refused, as a sentence. `refusal`: whatever has a `code`, or any error. */
export const inWords = (refusal) =>
  WORDS[refusal.code] ?? sentence(refusal.error?.message || refusal.message || "It did not work.");

const sentence = (words) => `${words[0].toUpperCase()}${words.slice(1)}${/[.!?]$/.test(words) ? "" : "."}`;
