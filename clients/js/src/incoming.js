/** The tracks that come from another participant, sorted: camera and microphone, or screen. */

/** @typedef {"audio" | "video" | "screen"} Kind */

/**
 * @typedef {object} Audience
 * @property {(kind: Kind, track: MediaStreamTrack, stream: MediaStream) => void} track
 * @property {(kind: Kind, track: MediaStreamTrack) => void} ended
 */

/** What one participant sends us. */
export class Incoming {
  #audience;
  /** @type {Map<MediaStreamTrack, {streamId: string, kind: Kind}>} */ #tracks = new Map();
  /** @type {unknown} the id of the stream that is a screen */ #screenId;
  /** @type {MediaStream | null} */ #screen = null;
  /** Camera and microphone. @readonly */ stream = new MediaStream();

  /** @param {Audience} audience */
  constructor(audience) {
    this.#audience = audience;
  }

  /** The screen, if one is shared. */
  get screen() {
    return this.#screen;
  }

  /** The participant says which of its streams is its screen. @param {unknown} streamId */
  screenIs(streamId) {
    this.#screenId = streamId;
    for (const [track, { streamId: id, kind }] of [...this.#tracks]) {
      if (kind !== this.#kindOf(track, id)) {
        this.#remove(track);
        this.#put(track, id);
      }
    }
  }

  /** @param {RTCTrackEvent} event */
  add({ track, streams: [stream] }) {
    this.#remove(track);
    this.#put(track, stream?.id ?? "");
    stream?.addEventListener("removetrack", (gone) => {
      if (gone.track === track) this.#remove(track);
    });
  }

  /** Nothing comes any more. */
  clear() {
    for (const track of [...this.#tracks.keys()]) this.#remove(track);
  }

  /**
   * @param {MediaStreamTrack} track
   * @param {string} streamId
   */
  #put(track, streamId) {
    const kind = this.#kindOf(track, streamId);
    this.#tracks.set(track, { streamId, kind });
    const stream = kind === "screen" ? (this.#screen ??= new MediaStream()) : this.stream;
    stream.addTrack(track);
    this.#audience.track(kind, track, stream);
  }

  /** @param {MediaStreamTrack} track */
  #remove(track) {
    const known = this.#tracks.get(track);
    if (!known) return;
    this.#tracks.delete(track);
    const stream = known.kind === "screen" ? this.#screen : this.stream;
    stream?.removeTrack(track);
    if (stream === this.#screen && !stream?.getTracks().length) this.#screen = null;
    this.#audience.ended(known.kind, track);
  }

  /**
   * @param {MediaStreamTrack} track
   * @param {string} streamId
   * @returns {Kind}
   */
  #kindOf(track, streamId) {
    if (streamId && streamId === this.#screenId) return "screen";
    return /** @type {Kind} */ (track.kind);
  }
}
