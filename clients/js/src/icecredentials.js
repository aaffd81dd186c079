/** When new TURN credentials are worth an ICE restart of a connection that is relayed with the last ones. Pure. */

/**
 * Restart when the credentials that are in use end well before the new ones do. Servers without an end have no
 * credentials: they say nothing of a relay that is in use, and the end that was known last is still the one that counts.
 * @param {string | null} known when the credentials that are in use end; null if there are none
 * @param {string | null} told when the new ones end; null if there are none
 * @param {number} now milliseconds since 1970
 * @returns {{restart: boolean, ends: string | null}} whether a relayed connection restarts, and what is `known` next
 */
export function renewed(known, told, now) {
  const restart = known !== null && told !== null && Date.parse(known) - now < 0.75 * (Date.parse(told) - now);
  return { restart, ends: told ?? known };
}
