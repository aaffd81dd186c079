/** A room we are in: who is there, and what happens. It stays the same object when a session is lost. */

import { Calling } from "./calling.js";
import { closed } from "./errors.js";
import { event, TypedEventTarget } from "./events.js";
import { IceServers } from "./iceservers.js";
import { Participation } from "./participation.js";
import { PushListeners } from "./pushes.js";
import { Roster } from "./roster.js";

/** @typedef {import("./messages.js").Participant} Participant */
/** @typedef {import("./messages.js").Room} RoomInfo */
/** @typedef {import("./messages.js").MediaPatch} MediaPatch */
/** @typedef {import("./errors.js").ParleyError} ParleyError */
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
 * @property {ParleyEvent<{recovered: boolean, rejoined: boolean}>} resumed the connection is back; without `recovered`, signals
 *   may be lost; with `rejoined`, ours is another stay, and `self` another participant
 * @property {ParleyEvent<{iceServers: RTCIceServer[], expiresAt: string | null}>} iceservers
 * @property {ParleyEvent<{reason: string, error: ParleyError | null}>} left our stay has ended
 */

/** The event of each change of the roster. @type {Record<import("./roster.js").Change["change"], keyof RoomEvents>} */
const EVENTS = { joined: "participantjoined", left: "participantleft", updated: "participantupdated", room: "roomupdated" };

/**
 * A stay in a room.
 * @extends {TypedEventTarget<RoomEvents>}
 */
export class Room extends TypedEventTarget {
  #session;
  #participation;
  #pushes = new PushListeners();
  #calling;
  /** @type {Roster | null} */ #roster = null;
  #recovered = true;
  #looking = false;
  /** @type {any} the push that ends our stay */ #last = null;
  #ice = new IceServers();
  /** Its id. @readonly */ id;
  /** @internal @type {string} */ _cursor = "";

  /**
   * Use `session.join`.
   * @internal
   * @param {string} id
   * @param {JoinOptions} options
   * @param {import("./session.js").Session} session
   */
  constructor(id, options, session) {
    super();
    this.id = id;
    this.#session = session;
    this.#calling = new Calling(this);
    this.#participation = new Participation(id, options, session, {
      entered: (reply) => this.#entered(reply),
      ended: (reason, error) => this.#ended(reason, error),
    });
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
    return this.#ice.servers;
  }

  /** Until when their credentials are good. */
  get iceServersExpireAt() {
    return this.#ice.expiresAt;
  }

  /** Whether our stay has ended; then this object is dead. */
  get left() {
    return this.#participation.state === "left";
  }

  /** Whether what we say gets through now. */
  get connected() {
    return this.#session.state === "connected" && this.#participation.state === "joined";
  }

  /**
   * Change what we say of ourselves. Objects merge by key, and `null` removes a key.
   * @param {import("./profile.js").ProfileChange} change
   * @returns {Promise<void>} rejects with a ParleyError
   */
  update(change) {
    return this.#participation.update(change);
  }

  /** Leave. Nothing of the room is heard after it. */
  leave() {
    return this.#participation.leave();
  }

  /**
   * The call with everyone in the room who is there or comes. There is one per room.
   * @param {import("./call.js").CallOptions} [options]
   * @returns {import("./call.js").Call}
   */
  call(options = {}) {
    this.#participation.check();
    return this.#calling.open(options);
  }

  /**
   * Hear pushes of this room as they come over the wire (docs/protocol.md), also of types that this SDK does not know. The
   * room is then as of the push already, and its own events follow.
   * @param {string | readonly string[]} types
   * @param {(push: any) => void} listener
   * @returns {() => void} ends it
   */
  onPush(types, listener) {
    return this.#pushes.on(types, listener);
  }

  /**
   * @internal
   * @param {object} signal
   * @returns {Promise<void>}
   */
  _signal(signal) {
    return this.#session._ask("signal", { roomId: this.id, ...signal });
  }

  /** @internal @param {any} message a push of this room */
  _hear(message) {
    if (this.left) return;
    if (message.type === "room_users") return this.#replace(message);
    if (!this.#roster || this.#participation.state === "joining") return;
    if (typeof message.cursor === "string") this._cursor = message.cursor;
    const resumed = message.type === "room_resumed";
    if (typeof message.revision === "number" && !resumed) return this.#apply(message);
    const served = message.type === "ice_servers" && this.#ice.take(message);
    this.#pushes.tell(message);
    if (served) this.#tellServers();
    if (resumed) this.#resumed();
  }

  /** @internal When the join that is under way is answered. */
  get _joined() {
    return this.#participation.joined;
  }

  /** @internal The session is lost, or this room's part of it: join anew. */
  _lost() {
    this.#participation.lost();
    if (this.#participation.state === "joining") this._cursor = "";
  }

  /**
   * @internal
   * @param {string} reason
   * @param {ParleyError | null} error
   */
  _end(reason, error) {
    this.#participation.end(reason, error);
  }

  get #known() {
    if (!this.#roster) throw closed("the room has not been joined");
    return this.#roster;
  }

  /** @param {import("./messages.js").RoomUsers} message */
  #entered(message) {
    const before = this.#roster?.selfId;
    this.#replace(message);
    if (before) this.dispatchEvent(event("resumed", { recovered: false, rejoined: before !== message.self }));
  }

  /**
   * @param {string} reason
   * @param {ParleyError | null} error
   */
  #ended(reason, error) {
    this.#session._forget(this);
    if (this.#last) this.#pushes.tell(this.#last);
    this.dispatchEvent(event("left", { reason, error }));
  }

  /** The room as it is now, whatever was known of it. @param {import("./messages.js").RoomUsers} message */
  #replace(message) {
    this._cursor = message.cursor;
    this.#looking = false;
    if (message.recovered === false) this.#recovered = false;
    const changes = this.#roster?.replace(message) ?? [];
    this.#roster ??= new Roster(message);
    const served = this.#ice.take(message);
    this.#pushes.tell(message);
    if (served) this.#tellServers();
    this.#tell(changes);
  }

  /** @param {any} message */
  #apply(message) {
    const gone = message.type === "user_left" && message.participantId === this.#known.selfId;
    const ends = gone || message.type === "room_closed";
    if (message.revision <= this.revision && !ends) return;
    const changes = this.#known.apply(message);
    if (message.type === "room_closed") return this.#endBy(message, "room_closed");
    if (gone && message.reason !== "timeout") return this.#endBy(message, message.reason);
    this.#pushes.tell(message);
    if (gone) this._lost();
    else if (changes) this.#tell(changes);
    else this.#look();
  }

  /**
   * The last push: whoever hears it finds the room left.
   * @param {any} push
   * @param {string} reason
   */
  #endBy(push, reason) {
    this.#last = push;
    this._end(reason, null);
  }

  /** Pushes are missing: ask for the room as it is. */
  #look() {
    if (this.#looking) return;
    this.#looking = true;
    this.#session
      ._ask("look", { type: "get_room", roomId: this.id }, (reply) => reply.type === "room_users" && !this.left && this.#replace(reply))
      .catch((error) => this.#session._report(error))
      .finally(() => (this.#looking = false));
  }

  /** @param {import("./roster.js").Change[]} changes */
  #tell(changes) {
    for (const { change, ...facts } of changes) {
      if (this.left) return;
      this.dispatchEvent(event(EVENTS[change], facts));
    }
    if (changes.length && !this.left) this.dispatchEvent(event("rosterchange", {}));
  }

  #resumed() {
    const recovered = this.#recovered;
    this.#recovered = true;
    this.dispatchEvent(event("resumed", { recovered, rejoined: false }));
  }

  #tellServers() {
    this.dispatchEvent(event("iceservers", { iceServers: this.#ice.servers, expiresAt: this.#ice.expiresAt }));
  }
}
