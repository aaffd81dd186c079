/** The peers of a call: one for each other participant of the room, made when it comes and closed when it goes. */

import { renewed } from "./icecredentials.js";
import { generationOf } from "./negotiation.js";
import { Peer } from "./peer.js";

/** @typedef {import("./messages.js").Participant} Participant */
/** @typedef {import("./messages.js").SignalPush} SignalPush */
/** @typedef {import("./topology.js").Topology} Topology */

/**
 * A full mesh: the topology of calls that are asked for no other.
 * @implements {Topology}
 */
export class Mesh {
  #host;
  #peerHost;
  #room;
  /** @type {string | null} when the TURN credentials that are in use end */ #credentialsEnd;
  /** By participant id. @readonly @type {Map<string, Peer>} */ peers = new Map();

  /** @param {import("./topology.js").TopologyHost} host */
  constructor(host) {
    this.#host = host;
    this.#room = host.room;
    this.#credentialsEnd = host.room.iceServersExpireAt;
    this.#peerHost = { ...host, polite: (/** @type {string} */ id) => this.#polite(id), opened: (/** @type {Peer} */ peer) => this.#opened(peer) };
  }

  /** Meet everyone who is there. */
  begin() {
    for (const one of this.#room.others) this.joined(one);
  }

  /** @param {Participant} participant */
  joined(participant) {
    const { id } = participant;
    if (this.peers.has(id) || id === this.#room.self.id) return;
    const signals = this.#host.earlySignals(id);
    const before = this.#host.generations.get(id);
    const offered = signals.length ? (generationOf(signals[0]?.negotiation) ?? 0) : -1;
    const generation = Math.max(before === undefined ? 0 : before + 1, offered);
    // The one that came later offers. After an earlier call in this room we do: the other end does not know of this one.
    const waits = generation === offered || (before === undefined && !this.#polite(id));
    const peer = new Peer(participant, this.#peerHost, generation, waits);
    this.peers.set(id, peer);
    this.#opened(peer);
    this.#host.came(peer);
    for (const signal of signals) peer._hear(signal);
  }

  /**
   * @param {Participant} participant
   * @param {string} reason
   */
  left({ id }, reason) {
    this.#drop(id, reason);
    this.#host.generations.delete(id);
  }

  /** @param {Participant} participant */
  updated(participant) {
    const peer = this.peers.get(participant.id);
    if (!peer) return;
    peer._updated(participant);
    this.#host.updated(peer);
  }

  /** @param {SignalPush} signal */
  take(signal) {
    this.peers.get(signal.from)?._hear(signal);
  }

  /** Signals may be lost. */
  signalsLost() {
    for (const peer of this.peers.values()) peer._signalsLost();
  }

  /** Our stay is another one: nothing of these connections goes on. */
  reset() {
    this.close("timeout");
  }

  /** There are other ICE servers. */
  iceServersChanged() {
    const { restart, ends } = renewed(this.#credentialsEnd, this.#room.iceServersExpireAt, Date.now());
    this.#credentialsEnd = ends;
    for (const peer of this.peers.values()) {
      peer._configure(this.#host.configuration(), restart).catch((error) => this.#host.failed(peer, error));
    }
  }

  /** @param {import("./localmedia.js").Slot} slot */
  trackChanged(slot) {
    for (const peer of this.peers.values()) peer._send(slot);
  }

  /** @param {string} reason */
  close(reason) {
    for (const id of [...this.peers.keys()]) this.#drop(id, reason);
  }

  /** @param {string} id */
  #polite(id) {
    return this.#room.self.order > (this.#room.participants.get(id)?.order ?? 0);
  }

  /** @param {Peer} peer */
  #opened(peer) {
    // A peer's first connection opens before it is one of ours.
    if (this.peers.get(peer.participant.id) !== peer) return;
    this.#host.generations.set(peer.participant.id, peer._generation);
    this.#host.opened(peer);
  }

  /**
   * @param {string} id
   * @param {string} reason
   */
  #drop(id, reason) {
    const peer = this.peers.get(id);
    if (!peer) return;
    this.peers.delete(id);
    peer._close();
    this.#host.went(peer, reason);
  }
}
