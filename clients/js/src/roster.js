/** Who is in a room: the fold of what a gateway says about it. Pure; every change is returned. */

/** @typedef {import("./messages.js").Participant} Participant */
/** @typedef {import("./messages.js").Room} RoomInfo */
/** @typedef {import("./messages.js").RoomUsers} RoomUsers */

/**
 * @typedef {{change: "joined", participant: Participant}
 *   | {change: "left", participant: Participant, reason: string}
 *   | {change: "updated", participant: Participant, previous: Participant}
 *   | {change: "room", info: RoomInfo, previous: RoomInfo}} Change
 */

/** A room and everyone in it, at one revision. */
export class Roster {
  revision;
  selfId;
  /** @type {RoomInfo} */ info;
  /** In `order`. A new map after every change. @type {ReadonlyMap<string, Participant>} */ participants;

  /** @param {RoomUsers} snapshot */
  constructor(snapshot) {
    this.revision = snapshot.revision;
    this.selfId = snapshot.self;
    this.info = frozen(snapshot.room);
    this.participants = ordered(snapshot.participants);
  }

  /**
   * What changes with this push; null if pushes are missing before it. One that is known already changes nothing.
   * @param {any} push
   * @returns {Change[] | null}
   */
  apply(push) {
    if (push.revision <= this.revision) return [];
    if (push.revision > this.revision + 1) return null;
    this.revision = push.revision;
    switch (push.type) {
      case "user_joined":
      case "user_updated":
        return this.#put(frozen(push.participant));
      case "user_left":
        return this.#remove(push.participantId, push.reason);
      case "room_updated": {
        const previous = this.info;
        this.info = frozen(push.room);
        return [{ change: "room", info: this.info, previous }];
      }
      default:
        return [];
    }
  }

  /**
   * Everything anew; what is different from before. Our own stay may be another one: then `updated` has it. A snapshot that
   * is older than what is known changes nothing, unless the room's log is another one (`recovered` is false).
   * @param {RoomUsers} snapshot
   * @returns {Change[]}
   */
  replace(snapshot) {
    const { participants: before, selfId, info } = this;
    const older = snapshot.self === selfId && snapshot.revision < this.revision;
    if (older && snapshot.recovered !== false) return [];
    this.revision = snapshot.revision;
    this.selfId = snapshot.self;
    this.info = frozen(snapshot.room);
    this.participants = ordered(snapshot.participants);
    /** @type {Change[]} */
    const changes = same(info, this.info) ? [] : [{ change: "room", info: this.info, previous: info }];
    for (const one of before.values()) {
      if (!this.participants.has(one.id) && one.id !== selfId) changes.push({ change: "left", participant: one, reason: "left" });
    }
    for (const one of this.participants.values()) {
      const previous = before.get(one.id === this.selfId ? selfId : one.id);
      if (!previous) changes.push({ change: "joined", participant: one });
      else if (!same(previous, one)) changes.push({ change: "updated", participant: one, previous });
    }
    return changes;
  }

  /**
   * @param {Participant} participant
   * @returns {Change[]}
   */
  #put(participant) {
    const previous = this.participants.get(participant.id);
    this.participants = ordered([...this.participants.values()].filter((one) => one.id !== participant.id).concat(participant));
    return [previous ? { change: "updated", participant, previous } : { change: "joined", participant }];
  }

  /**
   * @param {string} id
   * @param {string} reason
   * @returns {Change[]}
   */
  #remove(id, reason) {
    const participant = this.participants.get(id);
    if (!participant) return [];
    const rest = new Map(this.participants);
    rest.delete(id);
    this.participants = rest;
    return [{ change: "left", participant, reason }];
  }
}

/**
 * @param {Participant[]} participants
 * @returns {ReadonlyMap<string, Participant>}
 */
function ordered(participants) {
  return new Map([...participants].sort((a, b) => a.order - b.order).map((one) => [one.id, frozen(one)]));
}

/**
 * @template T
 * @param {T} value
 * @returns {T}
 */
function frozen(value) {
  if (typeof value === "object" && value !== null) Object.values(Object.freeze(value)).forEach(frozen);
  return value;
}

/**
 * @param {unknown} a
 * @param {unknown} b
 */
function same(a, b) {
  return JSON.stringify(a) === JSON.stringify(b);
}
