/** The agent-link token: given once, or asked for when it is needed and when the last one ends. */

import { ParleyError } from "./errors.js";

/** @typedef {string | (() => string | Promise<string>)} TokenSource */

const MARGIN_MS = 5000;
const WAIT_MS = 30_000;

/** Where tokens come from. */
export class Tokens {
  #source;
  /** @type {string | null} */ #last = null;
  #endsAt = Infinity;

  /** @param {TokenSource} source */
  constructor(source) {
    this.#source = source;
  }

  /** Whether another one can be had. */
  get renewable() {
    return typeof this.#source === "function";
  }

  /**
   * The one there is, or a new one if it has ended.
   * @param {number} now milliseconds since 1970
   * @returns {Promise<{token: string, fresh: boolean}>} rejects when none comes in time, and with what its source throws
   */
  async current(now) {
    if (this.#last !== null && now < this.#endsAt - MARGIN_MS) return { token: this.#last, fresh: false };
    return { token: await within(WAIT_MS, this.fresh()), fresh: true };
  }

  /** A new one. */
  async fresh() {
    const token = typeof this.#source === "function" ? await this.#source() : this.#source;
    this.#last = token;
    this.#endsAt = Infinity;
    return token;
  }

  /** The server says when the last one ends. @param {string} expiresAt */
  ends(expiresAt) {
    if (this.renewable) this.#endsAt = Date.parse(expiresAt);
  }

  /** The last one is no longer good. */
  spoil() {
    this.#last = null;
  }
}

/**
 * @template T
 * @param {number} milliseconds
 * @param {Promise<T>} promise
 * @returns {Promise<T>}
 */
function within(milliseconds, promise) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new ParleyError("timeout", "no token came in time")), milliseconds);
    promise.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}
