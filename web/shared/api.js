// HTTP of this server, `/v1`.

/** The server's no (RFC 9457), or that there was no answer: then `code` is "OFFLINE". */
export class Problem extends Error {
  constructor(status, {code = "INTERNAL", detail = "something went wrong", retryable = false, ...rest}, retryAfterS) {
    super(detail);
    Object.assign(this, {status, code, retryable, retryAfterS, rest});
  }
}

const WITHIN_MS = 30_000; // the server promises 2 s; other tabs may be waiting for whoever waits for it
const OFFLINE = {code: "OFFLINE", detail: "the server cannot be reached", retryable: true};

/**
 * Ask, and have the answer as an object; null where there is none (204). Throws `Problem`.
 *
 * @param {string} path
 * @param {{method?: string, body?: object, query?: object, token?: string, key?: string}} [how]  `query`:
 *   undefined values are left out; `key`: the idempotency key
 */
export async function ask(path, {method = "GET", body, query = {}, token, key} = {}) {
  const asked = Object.entries(query).filter(([, value]) => value !== undefined);
  const headers = {};
  if (body !== undefined) headers["Content-Type"] = "application/json";
  if (token !== undefined) headers.Authorization = `Bearer ${token}`;
  if (key !== undefined) headers["Idempotency-Key"] = key;
  let response, told;
  try {
    response = await fetch(asked.length ? `${path}?${new URLSearchParams(asked)}` : path,
      {method, headers, body: body && JSON.stringify(body), signal: AbortSignal.timeout(WITHIN_MS)});
    told = response.status === 204 ? null : await response.json();
  } catch {
    throw new Problem(response?.status ?? 0, OFFLINE);
  }
  if (response.ok) return told;
  const later = response.headers.get("Retry-After");
  throw new Problem(response.status, told, later === null ? undefined : Number(later));
}
