/** Another participant's end of the call: the RTCPeerConnection to it, what we send there and what comes from there. */

import { Incoming } from "./incoming.js";
import { generationOf } from "./negotiation.js";
import { Negotiator } from "./negotiator.js";
import { Outgoing } from "./outgoing.js";
import { Recovery } from "./recovery.js";

/** @typedef {import("./messages.js").Participant} Participant */
/** @typedef {import("./messages.js").SignalPush} SignalPush */
/** @typedef {import("./incoming.js").Kind} Kind */

/**
 * @typedef {object} Host what a peer needs of its call
 * @property {() => RTCPeerConnection} connect
 * @property {(participantId: string) => boolean} polite
 * @property {() => boolean} online
 * @property {(signal: object) => Promise<unknown>} send
 * @property {import("./localmedia.js").LocalMedia} media
 * @property {(peer: Peer) => void} opened channels are to be made on its new connection
 * @property {(peer: Peer) => void} changed
 * @property {(peer: Peer, kind: Kind, track: MediaStreamTrack, stream: MediaStream) => void} track
 * @property {(peer: Peer, kind: Kind, track: MediaStreamTrack) => void} trackEnded
 * @property {(peer: Peer, channel: RTCDataChannel) => void} channel
 * @property {(peer: Peer, error: unknown) => void} failed
 */

/** @typedef {"new" | "connecting" | "connected" | "disconnected" | "failed" | "closed"} PeerState */

/** One pair of the mesh. */
export class Peer {
  /** @type {Participant} */ #participant;
  #host;
  #generation;
  /** @type {RTCPeerConnection} */ #connection;
  /** @type {Negotiator} */ #negotiator;
  /** @type {Outgoing} */ #outgoing;
  #incoming;
  #recovery;
  #closed = false;

  /**
   * @internal
   * @param {Participant} participant
   * @param {Host} host
   * @param {number} generation
   * @param {boolean} waits whether the other end makes the first offer
   */
  constructor(participant, host, generation, waits) {
    this.#participant = participant;
    this.#host = host;
    this.#generation = generation;
    this.#incoming = new Incoming(participant, {
      track: (kind, track, stream) => host.track(this, kind, track, stream),
      ended: (kind, track) => host.trackEnded(this, kind, track),
    });
    this.#recovery = new Recovery({
      restart: () => this.#connection.restartIce(),
      rebuild: () => this.#build(this.#generation + 1, false),
      reachable: () => this.#reachable,
    });
    // TypeScript cannot see that #build sets these.
    this.#connection = this.#negotiator = this.#outgoing = /** @type {any} */ (null);
    this.#build(generation, waits);
  }

  /** Who it is, as the room knows it now. */
  get participant() {
    return this.#participant;
  }

  /** The RTCPeerConnection. It can be replaced by another one when a connection cannot be repaired. */
  get connection() {
    return this.#connection;
  }

  /** Its camera and microphone: always the same stream, whatever is in it. */
  get stream() {
    return this.#incoming.stream;
  }

  /** The screen it shares, or null. */
  get screen() {
    return this.#incoming.screen;
  }

  /** How the connection is. @returns {PeerState} */
  get state() {
    return this.#closed ? "closed" : this.#connection.connectionState;
  }

  /** How loud it is now, from 0 to 1. */
  get audioLevel() {
    const receivers = this.#connection.getReceivers().filter(({ track }) => track.kind === "audio");
    const levels = receivers.flatMap((one) => one.getSynchronizationSources().map(({ audioLevel }) => audioLevel ?? 0));
    return Math.max(0, ...levels);
  }

  /** @internal Which connection of this pair it is. */
  get _generation() {
    return this.#generation;
  }

  /** @internal @param {SignalPush} signal */
  _hear(signal) {
    if (this.#negotiator.verdict(signal) === "replace") this.#build(/** @type {number} */ (generationOf(signal.negotiation)), true);
    void this.#negotiator.hear(signal);
  }

  /** @internal @param {Participant} participant */
  _updated(participant) {
    this.#participant = participant;
    this.#incoming.updated(participant);
  }

  /** @internal Our own track of this slot is another one now, or none. @param {import("./localmedia.js").Slot} slot */
  _send(slot) {
    this.#outgoing.put(slot);
  }

  /** @internal Signals may be lost. */
  _signalsLost() {
    if (this.#negotiator.busy || this.state !== "connected") this.#connection.restartIce();
  }

  /**
   * @internal
   * @param {RTCConfiguration} configuration
   * @param {boolean} renewed whether a connection that is relayed needs the new credentials
   */
  async _configure(configuration, renewed) {
    const connection = this.#connection;
    connection.setConfiguration(configuration);
    // A connection that has gathered nothing yet gathers with these servers.
    if (connection.signalingState === "closed" || !connection.localDescription) return;
    if (this.state !== "connected" || (renewed && (await relayed(connection)))) connection.restartIce();
  }

  /** @internal */
  _close() {
    this.#closed = true;
    this.#recovery.close();
    this.#negotiator.close();
    this.#connection.close();
    this.#incoming.clear();
  }

  get #polite() {
    return this.#host.polite(this.#participant.id);
  }

  get #reachable() {
    return this.#host.online() && this.#participant.connection === "connected";
  }

  /**
   * A new RTCPeerConnection.
   * @param {number} generation
   * @param {boolean} waits whether the other end makes the first offer
   */
  #build(generation, waits) {
    this.#negotiator?.close();
    this.#connection?.close();
    this.#incoming.clear();
    const connection = this.#host.connect();
    this.#generation = generation;
    this.#connection = connection;
    const outgoing = (this.#outgoing = new Outgoing(connection, this.#host.media));
    this.#watch(connection);
    const port = {
      send: (/** @type {object} */ signal) => this.#host.send({ ...signal, to: this.#participant.id }),
      reachable: () => this.#reachable,
      failed: (/** @type {unknown} */ error) => this.#failed(error),
    };
    const role = { generation, polite: this.#polite, waits };
    this.#negotiator = new Negotiator(connection, role, port, outgoing);
    this.#host.opened(this);
  }

  /** @param {RTCPeerConnection} connection */
  #watch(connection) {
    connection.ontrack = (event) => this.#incoming.add(event);
    connection.ondatachannel = ({ channel }) => this.#host.channel(this, channel);
    connection.onconnectionstatechange = () => {
      if (connection !== this.#connection || this.#closed) return;
      this.#recovery.heard(connection.connectionState);
      this.#host.changed(this);
    };
  }

  /** @param {unknown} error */
  #failed(error) {
    if (this.#closed) return;
    if (error instanceof DOMException) this.#recovery.broken();
    this.#host.failed(this, error);
  }
}

/**
 * Whether media flows through a TURN server.
 * @param {RTCPeerConnection} connection
 */
async function relayed(connection) {
  const report = /** @type {Map<string, any>} */ (/** @type {unknown} */ (await connection.getStats()));
  const pairs = [...report.values()].filter((one) => one.type === "candidate-pair" && one.nominated);
  return pairs.some((pair) => report.get(pair.localCandidateId)?.candidateType === "relay");
}
