/** Reads the statistics of a call's peers; remembers the last ones, since rates are differences. */

import { NOTHING_YET, summarize } from "./stats.js";

/** @typedef {import("./stats.js").PeerStats} PeerStats */

/** One call's. */
export class Meter {
  /** @type {WeakMap<RTCPeerConnection, import("./stats.js").Counters>} */ #counters = new WeakMap();

  /**
   * @param {Iterable<import("./peer.js").Peer>} peers
   * @returns {Promise<Map<string, PeerStats>>} by participant id
   */
  async read(peers) {
    return new Map(await Promise.all([...peers].map((peer) => this.#one(peer))));
  }

  /**
   * @param {import("./peer.js").Peer} peer
   * @returns {Promise<[string, PeerStats]>}
   */
  async #one({ connection, participant }) {
    const report = /** @type {Map<string, any>} */ (/** @type {unknown} */ (await connection.getStats()));
    const { stats, counters } = summarize(report.values(), this.#counters.get(connection) ?? NOTHING_YET);
    this.#counters.set(connection, counters);
    return [participant.id, stats];
  }
}
