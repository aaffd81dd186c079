/** What RTCPeerConnection.getStats says, in the few figures a person cares about. Pure. */

/** @typedef {"good" | "fair" | "poor" | "unknown"} Quality */

/**
 * @typedef {object} PeerStats
 * @property {number | null} rttMs
 * @property {number | null} packetLoss of what we receive, 0 to 1, since the last time it was asked
 * @property {number | null} jitterMs
 * @property {number | null} bitrateIn bit/s, since the last time it was asked
 * @property {number | null} bitrateOut bit/s, likewise
 * @property {number | null} framesPerSecond
 * @property {number | null} audioLevel 0 to 1
 * @property {string | null} localCandidateType `host`, `srflx`, `prflx` or `relay`
 * @property {string | null} remoteCandidateType
 * @property {boolean} relayed whether our side goes through a TURN server
 * @property {Quality} quality
 */

/** @typedef {{at: number, received: number, sent: number, packets: number, lost: number}} Counters */

/** @type {Counters} */
export const NOTHING_YET = { at: 0, received: 0, sent: 0, packets: 0, lost: 0 };

/**
 * @param {Iterable<any>} report the values of an RTCStatsReport
 * @param {Counters} before those of the last time
 * @returns {{stats: PeerStats, counters: Counters}}
 */
export function summarize(report, before) {
  const all = [...report];
  const byId = new Map(all.map((one) => [one.id, one]));
  const pair = selectedPair(all, byId);
  const inbound = all.filter((one) => one.type === "inbound-rtp");
  const counters = {
    at: pair?.timestamp ?? before.at,
    received: pair?.bytesReceived ?? 0,
    sent: pair?.bytesSent ?? 0,
    packets: sum(inbound, "packetsReceived"),
    lost: sum(inbound, "packetsLost"),
  };
  const local = byId.get(pair?.localCandidateId)?.candidateType ?? null;
  const rates = between(before, counters);
  const rttMs = pair?.currentRoundTripTime === undefined ? null : pair.currentRoundTripTime * 1000;
  const jitter = most(inbound, "jitter");
  const jitterMs = jitter === null ? null : jitter * 1000;
  return {
    counters,
    stats: {
      rttMs,
      jitterMs,
      ...rates,
      framesPerSecond: most(inbound, "framesPerSecond"),
      audioLevel: most(inbound, "audioLevel"),
      localCandidateType: local,
      remoteCandidateType: byId.get(pair?.remoteCandidateId)?.candidateType ?? null,
      relayed: local === "relay",
      quality: pair ? judge(rttMs, rates.packetLoss, jitterMs) : "unknown",
    },
  };
}

/**
 * @param {any[]} all
 * @param {Map<string, any>} byId
 */
function selectedPair(all, byId) {
  const transport = all.find((one) => one.type === "transport" && one.selectedCandidatePairId);
  // Firefox has no transport stats; it marks the pair.
  return byId.get(transport?.selectedCandidatePairId) ?? all.find((one) => one.type === "candidate-pair" && one.selected);
}

/**
 * @param {Counters} before
 * @param {Counters} now
 */
function between(before, now) {
  const seconds = (now.at - before.at) / 1000;
  const packets = now.packets - before.packets;
  const lost = Math.max(0, now.lost - before.lost);
  // A new connection counts from nothing again.
  const known = before.at > 0 && seconds > 0 && now.received >= before.received && packets >= 0;
  return {
    bitrateIn: known ? ((now.received - before.received) * 8) / seconds : null,
    bitrateOut: known ? (Math.max(0, now.sent - before.sent) * 8) / seconds : null,
    packetLoss: known && packets + lost > 0 ? lost / (packets + lost) : null,
  };
}

/**
 * By what people notice: ITU-T G.114 (delay), and loss that audio codecs no longer hide.
 * @param {number | null} rttMs
 * @param {number | null} loss
 * @param {number | null} jitterMs
 * @returns {Quality}
 */
function judge(rttMs, loss, jitterMs) {
  const worst = (/** @type {number} */ rtt, /** @type {number} */ lost, /** @type {number} */ jitter) =>
    (rttMs ?? 0) > rtt || (loss ?? 0) > lost || (jitterMs ?? 0) > jitter;
  if (worst(400, 0.08, 60)) return "poor";
  return worst(200, 0.02, 30) ? "fair" : "good";
}

/**
 * @param {any[]} all
 * @param {string} key
 * @returns {number}
 */
function sum(all, key) {
  return all.reduce((total, one) => total + (one[key] ?? 0), 0);
}

/**
 * @param {any[]} all
 * @param {string} key
 * @returns {number | null}
 */
function most(all, key) {
  const found = all.map((one) => one[key]).filter((one) => typeof one === "number");
  return found.length ? Math.max(...found) : null;
}
