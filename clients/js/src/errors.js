/** What can go wrong, with the protocol's codes and a few of the client's own. */

/**
 * `closed`: the session is over. `timeout`: no answer came. `queue_full`: too much waits while there is no connection.
 * `unreachable`: no gateway could be reached.
 * @typedef {import("./messages.js").ErrorCode | "closed" | "timeout" | "queue_full" | "unreachable"} Code
 */

/** @typedef {{code: string, message: string, retryable?: boolean, retryAfterMs?: number | null, details?: object}} Refusal */

/** A request was refused, or could not be made. */
export class ParleyError extends Error {
  /**
   * @param {Code | (string & {})} code
   * @param {string} message one sentence for people
   * @param {{retryable?: boolean, retryAfterMs?: number | null, details?: object, cause?: unknown}} [more]
   */
  constructor(code, message, { retryable = false, retryAfterMs = null, details = {}, cause } = {}) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = "ParleyError";
    /** For machines; does not change. */
    this.code = code;
    /** Whether the same request may succeed later. */
    this.retryable = retryable;
    /** Milliseconds to wait before that, if the server said. @type {number | null} */
    this.retryAfterMs = retryAfterMs;
    /** What else the server said. @type {Record<string, any>} */
    this.details = details;
  }

  /**
   * What an `error` or `auth_error` says.
   * @param {Refusal} message
   * @returns {ParleyError}
   */
  static from({ code, message, ...more }) {
    const retryable = more.retryable ?? code === "throttled";
    return new ParleyError(code, message, { ...more, retryable });
  }
}

/**
 * The session is over, or the room.
 * @param {string} [message]
 */
export function closed(message = "the session is closed") {
  return new ParleyError("closed", message);
}
