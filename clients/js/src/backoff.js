/** How long to wait before the next attempt. Pure. */

export const BASE_MS = 250;
export const CAP_MS = 15_000;
/** A connection that lived so long was a good one; a gateway that lets in and closes at once is left alone more and more. */
const STABLE_MS = 5000;

/**
 * Full jitter: anything from 0 to twice as much with each attempt, up to a cap. So those that lost their connection at
 * the same moment do not come back at the same moment.
 * @param {number} attempt 0 for the first
 * @param {number} chance from 0 to below 1
 * @returns {number} milliseconds
 */
export function backoff(attempt, chance) {
  return chance * Math.min(CAP_MS, BASE_MS * 2 ** Math.min(attempt, 30));
}

/** Counts the attempts. It begins anew after a connection that lasted. */
export class Backoff {
  #attempt = 0;

  /** @returns {number} milliseconds to wait before the next attempt */
  next() {
    return backoff(this.#attempt++, Math.random());
  }

  /** A connection has ended. @param {number} lived milliseconds */
  ended(lived) {
    if (lived > STABLE_MS) this.#attempt = 0;
  }
}
