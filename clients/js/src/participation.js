/** Our part in a room: how we come in, come back when the session is lost, say what we are, and go. */

import { backoff } from "./backoff.js";
import { closed, ParleyError } from "./errors.js";
import { Profile } from "./profile.js";

/** @typedef {import("./messages.js").RoomUsers} RoomUsers */

/**
 * @typedef {object} ParticipationListener
 * @property {(room: RoomUsers) => void} entered we are in the room, as it is now
 * @property {(reason: string, error: ParleyError | null) => void} ended called once, and nothing after it
 */

const GONE = ["not_in_room", "closed"];

/** One room's. */
export class Participation {
  #roomId;
  #session;
  #listener;
  #profile;
  /** @type {Promise<void> | null} */ #leaving = null;
  /** @type {ReturnType<typeof setTimeout> | undefined} */ #timer;
  #attempt = 0;
  /** @type {"joining" | "joined" | "left"} */ state = "joining";
  /** Rejects with the ParleyError that ends it. @type {Promise<void>} */ joined;

  /**
   * @param {string} roomId
   * @param {import("./room.js").JoinOptions} options
   * @param {Pick<import("./session.js").Session, "_ask">} session
   * @param {ParticipationListener} listener
   */
  constructor(roomId, options, session, listener) {
    this.#roomId = roomId;
    this.#session = session;
    this.#listener = listener;
    this.#profile = new Profile(options);
    this.joined = this.#join();
    this.joined.catch((error) => this.end(error.code ?? "internal", error));
  }

  /** The session is lost, or this room's part of it: join anew. */
  lost() {
    if (this.state !== "joined") return;
    if (this.#leaving) return this.end("left", null);
    this.state = "joining";
    this.joined = this.#join();
    this.joined.catch((error) => this.#again(error));
  }

  /** @param {import("./profile.js").ProfileChange} change */
  async update({ name, metadata, media }) {
    this.check();
    const change = { name, metadata, media };
    const takeBack = this.#profile.fold(change);
    // A join that is under way may have been sent without it.
    while (this.state === "joining") await this.joined.catch(() => {});
    this.check();
    try {
      await this.#session._ask("update", { type: "update_self", roomId: this.#roomId, ...change });
    } catch (error) {
      takeBack();
      throw error;
    }
  }

  /** Throws when it has ended. */
  check() {
    if (this.state === "left") throw closed("the room has been left");
  }

  /** @returns {Promise<void>} */
  leave() {
    if (this.state === "left") return Promise.resolve();
    this.#leaving ??= this.#leave();
    return this.#leaving;
  }

  /**
   * @param {string} reason
   * @param {ParleyError | null} error
   */
  end(reason, error) {
    if (this.state === "left") return;
    this.state = "left";
    clearTimeout(this.#timer);
    this.#listener.ended(reason, error);
  }

  async #join() {
    const source = this.#profile.token;
    const token = typeof source === "function" ? await source() : source;
    if (this.state === "left") return;
    const message = { type: "join_room", roomId: this.#roomId, token, ...this.#profile.said };
    await this.#session._ask("join", message, (reply) => this.#entered(reply));
  }

  /** @param {RoomUsers} reply */
  #entered(reply) {
    if (this.state === "left") return;
    this.state = "joined";
    this.#attempt = 0;
    this.#listener.entered(reply);
  }

  /**
   * Joining anew did not go well: later again, or our stay has ended.
   * @param {ParleyError} error
   */
  #again(error) {
    if (this.state !== "joining") return;
    if (error.retryable === false) return this.end(error.code ?? "internal", error);
    this.joined = new Promise((resolve, reject) => {
      const wait = Math.max(error.retryAfterMs ?? 0, backoff(++this.#attempt, Math.random()));
      this.#timer = setTimeout(() => this.#join().then(resolve, reject), wait);
    });
    this.joined.catch((again) => this.#again(again));
  }

  async #leave() {
    try {
      await this.#session._ask("leave", { type: "leave_room", roomId: this.#roomId });
    } catch (error) {
      if (!(error instanceof ParleyError) || !GONE.includes(error.code)) {
        this.#leaving = null;
        throw error;
      }
    }
    this.end("left", null);
  }
}
