/** What we send: one track of each kind, the same to everyone. */

/** @typedef {"audio" | "video" | "screen" | "screenaudio"} Slot */

export const SLOTS = /** @type {Slot[]} */ (["audio", "video", "screen", "screenaudio"]);

/** Our tracks, and the two streams in which the others see them. */
export class LocalMedia {
  /** @type {Map<Slot, MediaStreamTrack>} */ #tracks = new Map();
  /** Our camera and microphone. @readonly */ stream = new MediaStream();
  /** Our screen. @readonly */ screen = new MediaStream();

  /** @param {Slot} slot */
  get(slot) {
    return this.#tracks.get(slot) ?? null;
  }

  /**
   * @param {Slot} slot
   * @param {MediaStreamTrack | null} track
   */
  set(slot, track) {
    const before = this.#tracks.get(slot);
    if (before) this.streamOf(slot).removeTrack(before);
    if (track) {
      this.#tracks.set(slot, track);
      this.streamOf(slot).addTrack(track);
    } else this.#tracks.delete(slot);
  }

  /** @param {Slot} slot */
  streamOf(slot) {
    return slot.startsWith("screen") ? this.screen : this.stream;
  }
}
