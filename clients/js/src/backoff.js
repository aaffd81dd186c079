/** How long to wait before the next attempt. Pure. */

export const BASE_MS = 250;
export const CAP_MS = 15_000;

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
