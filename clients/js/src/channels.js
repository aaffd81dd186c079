/** The data channels of a call, by label: ours, and those that others have made. */

import { Channel } from "./channel.js";

/** @typedef {import("./peer.js").Peer} Peer */

/** All data channels of a call. */
export class Channels {
  /** @type {Map<string, Channel>} */ #byLabel = new Map();
  /** @type {WeakMap<RTCPeerConnection, Set<RTCDataChannel>>} */ #theirs = new WeakMap();

  /**
   * The one of this label; made if there is none.
   * @param {string} label
   * @param {RTCDataChannelInit} options
   * @param {Iterable<Peer>} peers
   */
  open(label, options, peers) {
    const known = this.#byLabel.get(label);
    if (known) return known;
    const channel = new Channel(label, options, () => this.#byLabel.delete(label));
    this.#byLabel.set(label, channel);
    for (const peer of peers) {
      channel._openTo(peer);
      for (const one of this.#theirs.get(peer.connection) ?? []) if (one.label === label) channel._attach(peer, one);
    }
    return channel;
  }

  /** A peer has a new connection. @param {Peer} peer */
  opened(peer) {
    for (const channel of this.#byLabel.values()) channel._openTo(peer);
  }

  /**
   * A peer has made one.
   * @param {Peer} peer
   * @param {RTCDataChannel} channel
   */
  attach(peer, channel) {
    const theirs = this.#theirs.get(peer.connection) ?? new Set();
    this.#theirs.set(peer.connection, theirs.add(channel));
    this.#byLabel.get(channel.label)?._attach(peer, channel);
  }

  /** A peer is gone. @param {Peer} peer */
  drop(peer) {
    for (const channel of this.#byLabel.values()) channel._drop(peer.participant.id);
  }

  /** Close all. */
  close() {
    for (const channel of [...this.#byLabel.values()]) channel.close();
  }
}
