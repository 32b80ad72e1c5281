// Amounts as people read and type them. Everywhere else they are integers of the currency's smallest unit;
// no amount is ever a fraction in floating point.

const formats = new Map();

function formatOf(currency) {
  if (!formats.has(currency)) {
    const format = new Intl.NumberFormat(undefined, {style: "currency", currency});
    formats.set(currency, {format, digits: format.resolvedOptions().maximumFractionDigits});
  }
  return formats.get(currency);
}

/** `shown(-250, "EUR")`: "−€2.50". A decimal text is formatted exactly (ECMA-402, since 2023). */
export function shown(minor, currency) {
  const {format, digits} = formatOf(currency);
  return format.format(`${minor}e-${digits}`).replace("-", "−");
}

/** With its sign, also above zero. */
export const signed = (minor, currency) => (minor > 0 ? "+" : "") + shown(minor, currency);

/** The sign that stands for a currency, `€`. */
export const signOf = (currency) =>
  formatOf(currency).format.formatToParts(0).find(({type}) => type === "currency").value;

/** Minor units in one of the currency. */
export const unitOf = (currency) => 10 ** formatOf(currency).digits;

/**
 * What was typed, in minor units; null: it is no amount above zero. A comma is a point, as half of the world
 * writes it; thousands are not grouped, since "1,000" could be either.
 */
export function typed(text, currency) {
  const {digits} = formatOf(currency);
  const [, whole, fraction = ""] = /^\s*(\d{1,12})(?:[.,](\d*))?\s*$/.exec(text) ?? [];
  if (whole === undefined || fraction.length > digits) return null;
  const minor = Number(whole + fraction.padEnd(digits, "0"));
  return minor > 0 && Number.isSafeInteger(minor) ? minor : null;
}

/** An amount as it would be typed: `typed` of it is the same. */
export function typeable(minor, currency) {
  const {digits} = formatOf(currency);
  const text = String(minor).padStart(digits + 1, "0");
  return digits ? `${text.slice(0, -digits)}.${text.slice(-digits)}` : text;
}
