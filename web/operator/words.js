// Numbers with their units, and the names of what the ledger keeps, for people.

import {el} from "../shared/dom.js";

const whole = new Intl.NumberFormat(undefined, {maximumFractionDigits: 0});
const tenths = new Intl.NumberFormat(undefined, {maximumFractionDigits: 1});
const short = new Intl.NumberFormat(undefined, {maximumSignificantDigits: 3});

export const count = (number) => whole.format(number);
const rounded = (number) => (number < 10 ? tenths : whole).format(number);
export const perSecond = (number) => `${rounded(number)}/s`;
export const ms = (number) => (number < 1000 ? `${rounded(number)} ms` : `${tenths.format(number / 1000)} s`);
export const seconds = (milliseconds) => `${count(Math.ceil(milliseconds / 1000))} s`;

export function bytes(number) {
  const power = Math.min(3, Math.max(0, Math.floor(Math.log10(Math.max(number, 1)) / 3)));
  return `${short.format(number / 1000 ** power)} ${["B", "kB", "MB", "GB"][power]}`;
}

/** From now to so many minutes ago. */
export const backTo = (minutes) => (minutes === 1 ? "last minute" : `last ${minutes} minutes`);

const KINDS = {
  BET: "Bet", WIN: "Win", REFUND: "Stake back", ROLLBACK: "Rolled back", UNSETTLE: "Settlement taken back",
  CASHOUT: "Cash-out", DEPOSIT: "Deposit", WITHDRAWAL: "Withdrawal", CAPTURE: "Hold captured", TRANSFER: "Transfer",
  FEE: "Fee", TAX: "Tax", PAYOUT: "Payout", BONUS: "Bonus", EXPIRY: "Expired", SETTLE: "Settled", LOSS: "Lost",
  TOMBSTONE: "Rolled back before it came",
};

/** What an entry or a transaction is called. */
export const kindOf = (kind) => KINDS[kind] ?? kind.toLowerCase().replaceAll("_", " ");

/** The state of a bet, as a sentence begins. */
export const stateOf = (state) => state[0].toUpperCase() + state.slice(1).replaceAll("_", " ");

const brief = new Intl.DateTimeFormat(undefined, {month: "short", day: "numeric", hour: "2-digit", minute: "2-digit",
  second: "2-digit"});

/** A time in the reader's zone, for a narrow column; with the year where the pointer rests. */
export const briefTime = (atMs) =>
  el("time", {datetime: new Date(atMs).toISOString(), title: new Date(atMs).toLocaleString()}, brief.format(atMs));

const clock = new Intl.DateTimeFormat(undefined, {timeStyle: "medium"});

/** The time of day, to the second, in the reader's zone. */
export const clockOf = (atMs) => clock.format(atMs);
