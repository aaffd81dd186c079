/** A data channel to each participant of the call, present or to come, used as one. */

import { ParleyError } from "./errors.js";
import { event, TypedEventTarget } from "./events.js";

/** @typedef {import("./messages.js").Participant} Participant */
/** @typedef {import("./peer.js").Peer} Peer */
/** @typedef {string | ArrayBuffer | ArrayBufferView<ArrayBuffer> | Blob} Data */
/** @template {object} F @typedef {import("./events.js").ParleyEvent<F>} ParleyEvent */

/**
 * @typedef {object} ChannelEvents
 * @property {ParleyEvent<{participant: Participant, data: any}>} message text, or an ArrayBuffer
 * @property {ParleyEvent<{participant: Participant}>} open it can be written to this participant without waiting
 * @property {ParleyEvent<{participant: Participant}>} close
 */

/** @typedef {{ours: RTCDataChannel | null, all: Set<RTCDataChannel>, waiting: Data[], open: boolean}} Line */

const WAITING_AT_MOST = 256;

/**
 * A data channel with everyone.
 * @extends {TypedEventTarget<ChannelEvents>}
 */
export class Channel extends TypedEventTarget {
  /** @type {Map<string, Line>} */ #lines = new Map();
  #closed = false;
  #gone;
  /** @readonly */ label;
  /** @readonly */ options;

  /**
   * Use `call.createDataChannel`.
   * @internal
   * @param {string} label
   * @param {RTCDataChannelInit} options
   * @param {() => void} gone
   */
  constructor(label, options, gone) {
    super();
    this.label = label;
    this.options = options;
    this.#gone = gone;
  }

  /** Ids of the participants that can be written to without waiting. */
  get openTo() {
    return [...this.#lines].filter(([, line]) => usable(line)).map(([id]) => id);
  }

  /**
   * Send to everyone, or to one. What is sent before a channel is open waits for it.
   * @param {Data} data
   * @param {{to?: string}} [options]
   */
  send(data, { to } = {}) {
    if (this.#closed) throw new ParleyError("closed", "the channel is closed");
    const one = to === undefined ? null : this.#lines.get(to);
    if (one === undefined) throw new ParleyError("participant_not_found", "no such participant in this call");
    for (const line of one ? [one] : this.#lines.values()) put(line, data);
  }

  /** Close it to everyone. */
  close() {
    if (this.#closed) return;
    this.#closed = true;
    for (const { all } of this.#lines.values()) for (const one of all) one.close();
    this.#lines.clear();
    this.#gone();
  }

  /** @internal Make our channel on a connection that is new. @param {Peer} peer */
  _openTo(peer) {
    const waiting = this.#lines.get(peer.participant.id)?.waiting ?? [];
    const ours = peer.connection.createDataChannel(this.label, this.options);
    this.#lines.set(peer.participant.id, { ours, all: new Set(), waiting, open: false });
    this._attach(peer, ours);
  }

  /**
   * @internal
   * @param {Peer} peer
   * @param {RTCDataChannel} channel ours, or one of the same label that the other end has made
   */
  _attach(peer, channel) {
    const line = this.#lines.get(peer.participant.id);
    if (!line) return;
    line.all.add(channel);
    channel.binaryType = "arraybuffer";
    channel.onmessage = ({ data }) => this.dispatchEvent(event("message", { participant: peer.participant, data }));
    channel.onopen = () => this.#opened(peer, line);
    channel.onclose = () => this.#ended(peer, line, channel);
    if (channel.readyState === "open") this.#opened(peer, line);
  }

  /** @internal @param {string} participantId */
  _drop(participantId) {
    this.#lines.delete(participantId);
  }

  /**
   * @param {Peer} peer
   * @param {Line} line
   */
  #opened(peer, line) {
    const channel = usable(line);
    if (!channel) return;
    const first = !line.open;
    line.open = true;
    for (const data of line.waiting.splice(0)) channel.send(/** @type {any} */ (data));
    if (first) this.dispatchEvent(event("open", { participant: peer.participant }));
  }

  /**
   * @param {Peer} peer
   * @param {Line} line
   * @param {RTCDataChannel} channel
   */
  #ended(peer, line, channel) {
    line.all.delete(channel);
    if (!line.all.size) this.dispatchEvent(event("close", { participant: peer.participant }));
  }
}

/**
 * Ours if it is open, else theirs.
 * @param {Line} line
 */
function usable(line) {
  const open = [...line.all].filter(({ readyState }) => readyState === "open");
  return open.find((one) => one === line.ours) ?? open[0];
}

/**
 * @param {Line} line
 * @param {Data} data
 */
function put(line, data) {
  const channel = line.waiting.length ? undefined : usable(line);
  if (channel) channel.send(/** @type {any} */ (data));
  else if (line.waiting.length < WAITING_AT_MOST) line.waiting.push(data);
  else throw new ParleyError("queue_full", `${WAITING_AT_MOST} messages wait for this channel already`, { retryable: true });
}
