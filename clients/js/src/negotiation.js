/** The rules of who may set which description: generations, rounds, and collisions of offers. Pure. */

/**
 * What a negotiator knows of its RTCPeerConnection.
 * @typedef {object} Standing
 * @property {number} generation which RTCPeerConnection of this pair it is
 * @property {boolean} polite whether our own offer gives way
 * @property {boolean} makingOffer
 * @property {boolean} settingAnswer
 * @property {RTCSignalingState} signalingState
 * @property {string | null} pending the `negotiation` of our offer that has no answer yet
 */

/** @typedef {"apply" | "ignore" | "drop" | "replace"} Verdict */

/**
 * `<generation>.<round>`; the round counts the sender's offers.
 * @param {number} generation
 * @param {number} round
 */
export function label(generation, round) {
  return `${generation}.${round}`;
}

/**
 * The generation that a message belongs to; null if it does not say.
 * @param {string | null | undefined} negotiation
 * @returns {number | null}
 */
export function generationOf(negotiation) {
  const found = /^(\d{1,9})\.\d{1,9}$/.exec(negotiation ?? "");
  return found ? Number(found[1]) : null;
}

/**
 * What is done with a signal: `apply` it; `ignore` it, as it collides with our own offer, which wins; `drop` it, as it
 * belongs to something that is gone; or `replace` the RTCPeerConnection and apply it to the new one.
 * @param {{type: string, negotiation?: string | null}} signal
 * @param {Standing} standing
 * @returns {Verdict}
 */
export function judge({ type, negotiation }, standing) {
  const generation = generationOf(negotiation) ?? standing.generation;
  if (generation < standing.generation) return "drop";
  if (type === "candidate") return generation === standing.generation ? "apply" : "drop";
  if (type === "answer") {
    if (generation > standing.generation || standing.signalingState !== "have-local-offer") return "drop";
    return negotiation == null || negotiation === standing.pending ? "apply" : "drop";
  }
  if (generation > standing.generation) return "replace";
  // W3C webrtc-pc, perfect negotiation example.
  const ready = !standing.makingOffer && (standing.signalingState === "stable" || standing.settingAnswer);
  return ready || standing.polite ? "apply" : "ignore";
}
