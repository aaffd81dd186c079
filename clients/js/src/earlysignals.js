/** Signals that came before there was a call to take them: of each sender the last offer and its candidates. Pure. */

import { generationOf } from "./negotiation.js";

/** @typedef {import("./messages.js").SignalPush} SignalPush */

const CANDIDATES_AT_MOST = 64;

/** What the others have offered so far. */
export class EarlySignals {
  /** @type {Map<string, SignalPush[]>} */ #signals = new Map();

  /** @param {SignalPush} signal */
  keep(signal) {
    const kept = this.#signals.get(signal.from);
    if (signal.type === "offer") this.#signals.set(signal.from, [signal]);
    else if (signal.type === "candidate" && kept && kept.length <= CANDIDATES_AT_MOST && current(kept, signal)) kept.push(signal);
  }

  /**
   * What one has sent, in order; it is not kept any longer.
   * @param {string} participantId
   * @returns {SignalPush[]}
   */
  take(participantId) {
    const kept = this.#signals.get(participantId) ?? [];
    this.#signals.delete(participantId);
    return kept;
  }

  /** @param {string} participantId */
  drop(participantId) {
    this.#signals.delete(participantId);
  }

  /** Forget everything. */
  clear() {
    this.#signals.clear();
  }
}

/**
 * @param {SignalPush[]} kept
 * @param {SignalPush} signal
 */
function current(kept, signal) {
  return generationOf(kept[0]?.negotiation) === generationOf(signal.negotiation);
}
