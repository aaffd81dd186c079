/** What we say of ourselves in a room: kept, so that we can come back as who we were. */

import { mergePatch } from "./patch.js";

/** @typedef {{name?: string | null, metadata?: Record<string, any>, media?: import("./messages.js").MediaPatch}} ProfileChange */

/** Name, metadata and media of our own participant, and where join tokens come from. */
export class Profile {
  /** @readonly */ token;
  /** @type {Record<string, any>} */ #said;

  /** @param {import("./room.js").JoinOptions} options */
  constructor({ token, name, metadata, media }) {
    this.token = token;
    this.#said = { name, metadata, media };
  }

  /** What a `join_room` says, but for the token. */
  get said() {
    return this.#said;
  }

  /**
   * Take an update in.
   * @param {ProfileChange} change
   * @returns {() => void} takes it back, if there was no other since
   */
  fold(change) {
    const before = this.#said;
    const after = (this.#said = mergePatch(before, change));
    return () => {
      if (this.#said === after) this.#said = before;
    };
  }
}
