/** A room we are in: its roster, what we say of ourselves in it, and its signals. Stays the same one when a session is lost. */

import { closed, ParleyError } from "./errors.js";
import { backoff } from "./backoff.js";
import { Call } from "./call.js";
import { event, TypedEventTarget } from "./events.js";
import { mergePatch } from "./patch.js";
import { Roster } from "./roster.js";
import { Unheard } from "./unheard.js";

/** @typedef {import("./messages.js").Participant} Participant */
/** @typedef {import("./messages.js").Room} RoomInfo */
/** @typedef {import("./messages.js").MediaPatch} MediaPatch */
/** @template {object} F @typedef {import("./events.js").ParleyEvent<F>} ParleyEvent */

/**
 * @typedef {object} JoinOptions
 * @property {string} [name] shown to the others; the token's if not given
 * @property {Record<string, any>} [metadata] up to 1 KiB of JSON
 * @property {MediaPatch} [media] what is sent; a call keeps it up to date by itself
 * @property {string | (() => string | Promise<string>)} [token] a join token, for rooms that want one. They are good once:
 *   a function is asked again when the room has to be joined anew
 */

/**
 * @typedef {object} RoomEvents
 * @property {ParleyEvent<{participant: Participant}>} participantjoined
 * @property {ParleyEvent<{participant: Participant, reason: string}>} participantleft
 * @property {ParleyEvent<{participant: Participant, previous: Participant}>} participantupdated
 * @property {ParleyEvent<{info: RoomInfo, previous: RoomInfo}>} roomupdated
 * @property {ParleyEvent<{}>} rosterchange after any of these, once per push
 * @property {ParleyEvent<{recovered: boolean}>} resumed the connection is back; without `recovered`, signals may be lost
 * @property {ParleyEvent<{iceServers: RTCIceServer[], expiresAt: string | null}>} iceservers
 * @property {ParleyEvent<{reason: string, error: ParleyError | null}>} left our stay has ended
 */

/**
 * A stay in a room.
 * @extends {TypedEventTarget<RoomEvents>}
 */
export class Room extends TypedEventTarget {
  #session;
  #joinToken;
  /** @type {{name?: string, metadata?: any, media?: any}} what we say of ourselves, to say it again */ #profile;
  /** @type {Roster | null} */ #roster = null;
  /** @type {Call | null} */ #call = null;
  /** @type {Promise<void> | null} */ #leaving = null;
  /** @type {ReturnType<typeof setTimeout> | undefined} */ #timer;
  #state = /** @type {"joining" | "joined" | "left"} */ ("joining");
  #recovered = true;
  #looking = false;
  #attempt = 0;
  #unheard = new Unheard();
  /** @type {RTCIceServer[]} */ #iceServers = [];
  /** @type {string | null} */ #iceExpiresAt = null;
  /** Its id. @readonly */ id;
  /** @internal @type {string} */ _cursor = "";
  /** @internal @type {Promise<void>} */ _joined;

  /**
   * Use `session.join`.
   * @internal
   * @param {string} id
   * @param {JoinOptions} options
   * @param {import("./session.js").Session} session
   */
  constructor(id, { token, name, metadata, media }, session) {
    super();
    this.id = id;
    this.#session = session;
    this.#joinToken = token;
    this.#profile = { name, metadata, media };
    this._joined = this.#join();
    this._joined.catch((error) => this._end(error.code ?? "internal", error));
  }

  /** The protocol's room object. @returns {RoomInfo} */
  get info() {
    return this.#known.info;
  }

  /** Its name. */
  get name() {
    return this.info.name;
  }

  /** `sfu_advised` when there are more participants than a mesh is good for. */
  get topology() {
    return this.info.topology ?? "mesh";
  }

  /** How many changes the room has had. */
  get revision() {
    return this.#known.revision;
  }

  /** Ourselves. @returns {Participant} */
  get self() {
    return /** @type {Participant} */ (this.#known.participants.get(this.#known.selfId));
  }

  /** Everyone, by id, in order; a new map after every change. @returns {ReadonlyMap<string, Participant>} */
  get participants() {
    return this.#known.participants;
  }

  /** Everyone but ourselves. @returns {Participant[]} */
  get others() {
    return [...this.participants.values()].filter((one) => one.id !== this.#known.selfId);
  }

  /** STUN and TURN servers from the gateway. */
  get iceServers() {
    return this.#iceServers;
  }

  /** Until when their credentials are good. */
  get iceServersExpireAt() {
    return this.#iceExpiresAt;
  }

  /** Whether our stay has ended; then this object is dead. */
  get left() {
    return this.#state === "left";
  }

  /** Whether what we say gets through now. */
  get connected() {
    return this.#session.state === "connected" && this.#state === "joined";
  }

  /**
   * Change what we say of ourselves. Objects merge by key, and `null` removes a key.
   * @param {{name?: string | null, metadata?: Record<string, any>, media?: MediaPatch}} change
   * @returns {Promise<void>} rejects with a ParleyError
   */
  async update({ name, metadata, media }) {
    this.#open();
    const change = { name, metadata, media };
    const before = this.#profile;
    const after = (this.#profile = mergePatch(before, change));
    // A join that is under way may have been sent without it.
    while (this.#state === "joining") await this._joined.catch(() => {});
    this.#open();
    try {
      await this.#session._ask("update", { type: "update_self", roomId: this.id, ...change });
    } catch (error) {
      if (this.#profile === after) this.#profile = before;
      throw error;
    }
  }

  /** Leave. Nothing of the room is heard after it. */
  leave() {
    if (this.#state === "left") return Promise.resolve();
    this.#leaving ??= this.#leave();
    return this.#leaving;
  }

  /**
   * The call with everyone in the room who is there or comes. There is one per room.
   * @param {import("./call.js").CallOptions} [options]
   * @returns {Call}
   */
  call(options = {}) {
    this.#open();
    if (!globalThis.RTCPeerConnection) throw new ParleyError("bad_state", "there is no RTCPeerConnection here");
    this.#call ??= new Call(this, options);
    return this.#call;
  }

  /**
   * @internal
   * @param {object} signal
   * @returns {Promise<void>}
   */
  _signal(signal) {
    return this.#session._ask("signal", { roomId: this.id, ...signal });
  }

  /** @internal @returns {Unheard} signals that came while there was no call */
  get _unheard() {
    return this.#unheard;
  }

  /** @internal Which connection of each pair was the last: a later call in this room counts on. @readonly @type {Map<string, number>} */
  _generations = new Map();

  /** @internal */
  _callClosed() {
    this.#call = null;
  }

  /** @internal @param {any} message a push of this room */
  _hear(message) {
    if (this.#state === "left") return;
    if (message.type === "room_users") return this.#replace(message);
    if (!this.#roster || this.#state === "joining") return;
    if (typeof message.cursor === "string") this._cursor = message.cursor;
    switch (message.type) {
      case "offer":
      case "answer":
      case "candidate":
        return this.#signalled(message);
      case "room_resumed":
        return this.#resumed();
      case "ice_servers":
        return this.#serve(message);
      default:
        if (typeof message.revision === "number") this.#apply(message);
    }
  }

  /** @internal The session is lost, or this room's part of it: join anew. */
  _lost() {
    if (this.#state !== "joined") return;
    if (this.#leaving) return this._end("left", null);
    this.#state = "joining";
    this._cursor = "";
    this._joined = this.#join();
    this._joined.catch((error) => this.#again(error));
  }

  /**
   * @internal
   * @param {string} reason
   * @param {ParleyError | null} error
   */
  _end(reason, error) {
    if (this.#state === "left") return;
    this.#state = "left";
    clearTimeout(this.#timer);
    this.#session._forget(this);
    this.#call?.close();
    this.dispatchEvent(event("left", { reason, error }));
  }

  get #known() {
    if (!this.#roster) throw closed("the room has not been joined");
    return this.#roster;
  }

  #open() {
    if (this.#state === "left") throw closed("the room has been left");
  }

  async #join() {
    const token = typeof this.#joinToken === "function" ? await this.#joinToken() : this.#joinToken;
    if (this.#state === "left") return;
    const message = { type: "join_room", roomId: this.id, token, ...this.#profile };
    await this.#session._ask("join", message, (reply) => this.#enter(reply));
  }

  /**
   * Joining anew did not go well: later again, or our stay has ended.
   * @param {ParleyError} error
   */
  #again(error) {
    if (this.#state !== "joining") return;
    if (error.retryable === false) return this._end(error.code ?? "internal", error);
    this._joined = new Promise((resolve, reject) => {
      const wait = Math.max(error.retryAfterMs ?? 0, backoff(++this.#attempt, Math.random()));
      this.#timer = setTimeout(() => this.#join().then(resolve, reject), wait);
    });
    this._joined.catch((again) => this.#again(again));
  }

  /** @param {import("./messages.js").RoomUsers} message */
  #enter(message) {
    if (this.#state === "left") return;
    const anew = this.#roster !== null;
    this.#state = "joined";
    this.#attempt = 0;
    if (anew) {
      this.#unheard.clear();
      this.#call?._mesh.reset();
    }
    this.#replace(message);
    if (anew) this.#call?._mesh.meet();
    if (anew) this.dispatchEvent(event("resumed", { recovered: false }));
  }

  /** The room as it is now, whatever was known of it. @param {import("./messages.js").RoomUsers} message */
  #replace(message) {
    this._cursor = message.cursor;
    this.#looking = false;
    if (message.recovered === false) this.#recovered = false;
    const changes = this.#roster?.replace(message) ?? null;
    this.#roster ??= new Roster(message);
    if (message.iceServers) this.#serve(message);
    if (changes) this.#tell(changes);
  }

  /** @param {any} message */
  #apply(message) {
    const gone = message.type === "user_left" && message.participantId === this.#known.selfId;
    const changes = this.#known.apply(message);
    if (gone) return message.reason === "timeout" ? this._lost() : this._end(message.reason, null);
    if (message.type === "room_closed") return this._end("room_closed", null);
    if (changes) this.#tell(changes);
    else this.#look();
  }

  /** Pushes are missing: ask for the room as it is. */
  #look() {
    if (this.#looking) return;
    this.#looking = true;
    this.#session
      ._ask("look", { type: "get_room", roomId: this.id }, (reply) => reply.type === "room_users" && this.#replace(reply))
      .catch((error) => this.#session._report(error))
      .finally(() => (this.#looking = false));
  }

  /** @param {import("./roster.js").Change[]} changes */
  #tell(changes) {
    for (const one of changes) {
      switch (one.change) {
        case "joined":
          this.#call?._mesh.joined(one.participant);
          this.dispatchEvent(event("participantjoined", { participant: one.participant }));
          break;
        case "left":
          this.#unheard.drop(one.participant.id);
          this.#call?._mesh.left(one.participant, one.reason);
          this.dispatchEvent(event("participantleft", { participant: one.participant, reason: one.reason }));
          break;
        case "updated":
          this.#call?._mesh.updated(one.participant);
          this.dispatchEvent(event("participantupdated", { participant: one.participant, previous: one.previous }));
          break;
        case "room":
          this.dispatchEvent(event("roomupdated", { info: one.info, previous: one.previous }));
      }
      if (this.#state === "left") return;
    }
    if (changes.length) this.dispatchEvent(event("rosterchange", {}));
  }

  /** @param {import("./messages.js").SignalPush} message */
  #signalled(message) {
    if (this.#call) this.#call._mesh.hear(message);
    else this.#unheard.keep(message);
  }

  #resumed() {
    const recovered = this.#recovered;
    this.#recovered = true;
    if (!recovered) this.#call?._mesh.signalsLost();
    this.dispatchEvent(event("resumed", { recovered }));
  }

  /** @param {{iceServers: import("./messages.js").IceServer[], expiresAt?: string | null}} message */
  #serve({ iceServers, expiresAt = null }) {
    if (this.#iceExpiresAt === expiresAt && JSON.stringify(this.#iceServers) === JSON.stringify(iceServers)) return;
    this.#iceServers = /** @type {RTCIceServer[]} */ (iceServers);
    this.#iceExpiresAt = expiresAt;
    this.#call?._iceServers();
    this.dispatchEvent(event("iceservers", { iceServers: this.#iceServers, expiresAt }));
  }

  async #leave() {
    try {
      await this.#session._ask("leave", { type: "leave_room", roomId: this.id });
    } catch (error) {
      if (!(error instanceof ParleyError) || !["not_in_room", "closed"].includes(error.code)) {
        this.#leaving = null;
        throw error;
      }
    }
    this._end("left", null);
  }
}
