/** Calls in a room: the one there is, and what is kept between two. It hears of the room by what every program can hear. */

import { Call } from "./call.js";
import { EarlySignals } from "./earlysignals.js";
import { ParleyError } from "./errors.js";

/** @typedef {import("./messages.js").SignalPush} SignalPush */

/** The calls of one room, one at a time. Made with the room, so it hears everything before the program does. */
export class Calling {
  #room;
  /** @type {Call | null} */ #call = null;
  #early = new EarlySignals();
  /** @type {Map<string, number>} which connection of each pair was the last: a later call in this room counts on */ #generations = new Map();
  #selfId = "";

  /** @param {import("./room.js").Room} room */
  constructor(room) {
    this.#room = room;
    room.onPush(["offer", "answer", "candidate"], (signal) => this.#take(signal));
    room.onPush("room_users", ({ self }) => this.#entered(self));
    room.addEventListener("participantjoined", ({ participant }) => this.#topology?.joined(participant));
    room.addEventListener("participantupdated", ({ participant }) => this.#topology?.updated(participant));
    room.addEventListener("participantleft", ({ participant, reason }) => {
      this.#early.drop(participant.id);
      this.#topology?.left(participant, reason);
    });
    room.addEventListener("resumed", ({ recovered, rejoined }) => {
      if (!recovered && !rejoined) this.#topology?.signalsLost();
    });
    room.addEventListener("iceservers", () => this.#topology?.iceServersChanged());
    room.addEventListener("left", () => this.#call?.close());
  }

  /**
   * The call there is, or a new one.
   * @param {import("./call.js").CallOptions} options
   */
  open(options) {
    if (!globalThis.RTCPeerConnection) throw new ParleyError("bad_state", "there is no RTCPeerConnection here");
    const history = { generations: this.#generations, earlySignals: (/** @type {string} */ id) => this.#early.take(id) };
    this.#call ??= new Call(this.#room, options, history, () => (this.#call = null));
    return this.#call;
  }

  get #topology() {
    return this.#call?._topology;
  }

  /** @param {SignalPush} signal */
  #take(signal) {
    if (this.#topology) this.#topology.take(signal);
    else this.#early.keep(signal);
  }

  /** A stay of another id: the others know nothing of our connections. @param {string} selfId */
  #entered(selfId) {
    const before = this.#selfId;
    this.#selfId = selfId;
    if (before === "" || before === selfId) return;
    this.#early.clear();
    this.#generations.clear();
    this.#topology?.reset();
    this.#topology?.begin();
  }
}
