/** A call with everyone in a room who is there or comes: what we send, and what comes from them. */

import { Channels } from "./channels.js";
import { closed, ParleyError } from "./errors.js";
import { event, TypedEventTarget } from "./events.js";
import { LocalMedia } from "./localmedia.js";
import { Mesh } from "./mesh.js";
import { Meter } from "./meter.js";

/** @typedef {import("./peer.js").Peer} Peer */
/** @typedef {import("./stats.js").PeerStats} PeerStats */
/** @typedef {import("./incoming.js").Kind} Kind */
/** @typedef {import("./localmedia.js").Slot} Slot */
/** @typedef {import("./topology.js").Topology} Topology */
/** @typedef {import("./topology.js").TopologyHost} TopologyHost */
/** @template {object} F @typedef {import("./events.js").ParleyEvent<F>} ParleyEvent */

/**
 * @typedef {object} CallOptions
 * @property {RTCConfiguration} [rtcConfiguration] laid over what the gateway says, such as `{iceTransportPolicy: "relay"}`
 * @property {Partial<Record<Kind, MediaStreamTrack | null>>} [tracks] to send from the first offer on
 * @property {number} [statsIntervalMs] how often `quality` is told (3,000; 0 is never)
 * @property {(host: TopologyHost) => Topology} [topology] how the participants are connected; a full mesh if not given
 */

/**
 * @typedef {object} CallEvents
 * @property {ParleyEvent<{peer: Peer}>} peerjoined
 * @property {ParleyEvent<{peer: Peer, reason: string}>} peerleft
 * @property {ParleyEvent<{peer: Peer}>} peerchange its state is another one, or who it is says something else
 * @property {ParleyEvent<{peer: Peer, kind: Kind, track: MediaStreamTrack, stream: MediaStream}>} track
 * @property {ParleyEvent<{peer: Peer, kind: Kind, track: MediaStreamTrack}>} trackended
 * @property {ParleyEvent<{kind: Kind, track: MediaStreamTrack | null}>} localtrack what we send is another track, or none
 * @property {ParleyEvent<{peer: Peer, channel: RTCDataChannel}>} datachannel the other end made one
 * @property {ParleyEvent<{peer: Peer, stats: PeerStats}>} quality
 * @property {ParleyEvent<{peer: Peer | null, error: unknown}>} error
 * @property {ParleyEvent<{}>} closed
 */

const HARMLESS = ["participant_not_found", "not_in_room", "closed"];

/**
 * A call in a room.
 * @extends {TypedEventTarget<CallEvents>}
 */
export class Call extends TypedEventTarget {
  #room;
  #overlay;
  #channels = new Channels();
  #meter = new Meter();
  #media = new LocalMedia();
  /** @type {Map<Kind, string>} the state the room was told last */ #told = new Map();
  #closed = false;
  #entering = true;
  /** @type {ReturnType<typeof setInterval> | undefined} */ #timer;
  #hungUp;
  /** @internal @readonly @type {Topology} */ _topology;

  /**
   * Use `room.call`.
   * @internal
   * @param {import("./room.js").Room} room
   * @param {CallOptions} options
   * @param {import("./topology.js").CallHistory} history
   * @param {() => void} hungUp
   */
  constructor(room, options, history, hungUp) {
    const { rtcConfiguration = {}, tracks = {}, statsIntervalMs = 3000, topology = (host) => new Mesh(host) } = options;
    super();
    this.#room = room;
    this.#overlay = rtcConfiguration;
    this.#hungUp = hungUp;
    const configuration = () => this.#configuration;
    this._topology = topology({ room, configuration, ...this.#host(), ...this.#listener(), ...history });
    for (const [kind, track] of Object.entries(tracks)) if (track) this.#later(this.setTrack(/** @type {Kind} */ (kind), track));
    this._topology.begin();
    if (statsIntervalMs) this.#timer = setInterval(() => this.#later(this.#quality()), statsIntervalMs);
  }

  /** The room it is in. */
  get room() {
    return this.#room;
  }

  /** The others' ends, by participant id. @returns {ReadonlyMap<string, Peer>} */
  get peers() {
    return this._topology.peers;
  }

  /** Our own camera and microphone, as the others get them. */
  get stream() {
    return this.#media.stream;
  }

  /** Our own screen. */
  get screen() {
    return this.#media.screen;
  }

  /** The track of this kind that we send. @param {Kind} kind */
  track(kind) {
    return this.#media.get(kind);
  }

  /**
   * Send this track to everyone, another one in its place, or none. The room is told what we send.
   * @param {Kind} kind
   * @param {MediaStreamTrack | null} track
   * @param {{audio?: MediaStreamTrack | null}} [more] the sound of a screen
   * @returns {Promise<void>} when the room knows
   */
  async setTrack(kind, track, { audio = null } = {}) {
    if (this.#closed) throw closed("the call is closed");
    if (kind === "audio" && track && this.#entering) {
      this.#entering = false;
      if (this.#room.info.settings.muteOnEntry) track.enabled = false;
    }
    // Tell the room first: the others must know which stream is a screen before its track arrives.
    const told = this.#tell(kind, track);
    this.#put(kind, track);
    if (kind === "screen") this.#put("screenaudio", track && audio);
    track?.addEventListener("ended", () => this.#ended(kind, track));
    this.dispatchEvent(event("localtrack", { kind, track }));
    await told;
  }

  /** Send silence, or black, and say so. @param {Kind} kind */
  mute(kind) {
    return this.#enable(kind, false);
  }

  /** Send again. @param {Kind} kind */
  unmute(kind) {
    return this.#enable(kind, true);
  }

  /** Whether what we send of this kind is muted. @param {Kind} kind */
  muted(kind) {
    return this.#media.get(kind)?.enabled === false;
  }

  /**
   * A data channel to each participant, present or to come. Those of the same label that others made belong to it.
   * @param {string} label
   * @param {RTCDataChannelInit} [options]
   */
  createDataChannel(label, options = {}) {
    if (this.#closed) throw closed("the call is closed");
    return this.#channels.open(label, options, this.peers.values());
  }

  /**
   * How it goes with each participant.
   * @returns {Promise<Map<string, PeerStats>>}
   */
  async getStats() {
    return this.#meter.read(this.peers.values());
  }

  /** Hang up. The room stays; tracks are the caller's to stop. */
  close() {
    if (this.#closed) return;
    this.#closed = true;
    clearInterval(this.#timer);
    const sent = /** @type {Kind[]} */ (["audio", "video", "screen"]).filter((kind) => this.#media.get(kind));
    this._topology.close("closed");
    this.#channels.close();
    this.#hungUp();
    if (!this.#room.left) for (const kind of sent) this.#later(this.#tell(kind, null));
    this.dispatchEvent(event("closed", {}));
  }

  /** What peers need of us. @returns {Omit<import("./peer.js").Host, "opened" | "polite">} */
  #host() {
    return {
      connect: () => new RTCPeerConnection(this.#configuration),
      online: () => this.#room.connected,
      send: (signal) => this.#room._signal(signal),
      media: this.#media,
      changed: (peer) => this.dispatchEvent(event("peerchange", { peer })),
      track: (peer, kind, track, stream) => this.dispatchEvent(event("track", { peer, kind, track, stream })),
      trackEnded: (peer, kind, track) => this.dispatchEvent(event("trackended", { peer, kind, track })),
      channel: (peer, channel) => this.#attach(peer, channel),
      failed: (peer, error) => this.#failed(peer, error),
    };
  }

  /** @returns {import("./topology.js").MeshListener} */
  #listener() {
    return {
      came: (peer) => this.dispatchEvent(event("peerjoined", { peer })),
      went: (peer, reason) => this.#went(peer, reason),
      opened: (peer) => this.#channels.opened(peer),
      updated: (peer) => this.dispatchEvent(event("peerchange", { peer })),
      failed: (peer, error) => this.#failed(peer, error),
    };
  }

  /** @returns {RTCConfiguration} */
  get #configuration() {
    return { iceServers: this.#room.iceServers, ...this.#overlay };
  }

  /**
   * @param {Slot} slot
   * @param {MediaStreamTrack | null} track
   */
  #put(slot, track) {
    if (this.#media.get(slot) === track) return;
    this.#media.set(slot, track);
    this._topology.trackChanged(slot);
  }

  /**
   * Tell the room what we send.
   * @param {Kind} kind
   * @param {MediaStreamTrack | null} track
   */
  async #tell(kind, track) {
    const state = track ? (track.enabled ? "on" : "muted") : "off";
    const screen = track ? this.#media.screen.id : null;
    const { media, metadata } = this.#room.self;
    const known = (media[kind]?.state ?? "off") === state && (kind !== "screen" || (metadata.screen ?? null) === screen);
    // An update that is under way may change what the room knows.
    if (known && (this.#told.get(kind) ?? state) === state) return;
    this.#told.set(kind, state);
    const change = { media: { [kind]: { state } } };
    await this.#room.update(kind === "screen" ? { ...change, metadata: { screen } } : change);
  }

  /**
   * A track has ended by itself: its device is gone, or its user stopped sharing.
   * @param {Kind} kind
   * @param {MediaStreamTrack} track
   */
  #ended(kind, track) {
    if (!this.#closed && this.#media.get(kind) === track) this.#later(this.setTrack(kind, null));
  }

  /**
   * @param {Kind} kind
   * @param {boolean} enabled
   */
  async #enable(kind, enabled) {
    const track = this.#media.get(kind);
    if (!track) throw new ParleyError("bad_state", `there is no ${kind} track`);
    track.enabled = enabled;
    await this.#tell(kind, track);
  }

  /**
   * @param {Peer} peer
   * @param {string} reason
   */
  #went(peer, reason) {
    this.#channels.drop(peer);
    this.dispatchEvent(event("peerleft", { peer, reason }));
  }

  /**
   * @param {Peer} peer
   * @param {RTCDataChannel} channel
   */
  #attach(peer, channel) {
    this.#channels.attach(peer, channel);
    this.dispatchEvent(event("datachannel", { peer, channel }));
  }

  /**
   * @param {Peer | null} peer
   * @param {unknown} error
   */
  #failed(peer, error) {
    if (error instanceof ParleyError && HARMLESS.includes(error.code)) return;
    this.dispatchEvent(event("error", { peer, error }));
  }

  async #quality() {
    for (const [id, stats] of await this.getStats()) {
      const peer = this.peers.get(id);
      if (peer) this.dispatchEvent(event("quality", { peer, stats }));
    }
  }

  /** Nobody awaits this: its error becomes an event. @param {Promise<unknown>} doing */
  #later(doing) {
    doing.catch((error) => this.#closed || this.dispatchEvent(event("error", { peer: null, error })));
  }
}
