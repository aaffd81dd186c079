/**
 * The tracks that come from another participant, sorted: camera and microphone, or screen.
 *
 * There is room for camera and microphone from the beginning, whether they are used or not. A track is shown while the
 * participant says that it sends this kind of media, or, of one who says nothing, as soon as something comes.
 */

/** @typedef {"audio" | "video" | "screen"} Kind */
/** @typedef {import("./messages.js").Participant} Participant */

/**
 * @typedef {object} Audience
 * @property {(kind: Kind, track: MediaStreamTrack, stream: MediaStream) => void} track
 * @property {(kind: Kind, track: MediaStreamTrack) => void} ended
 */

/** @typedef {{track: MediaStreamTrack, streamId: string, shown: Kind | null}} Known */

/** What one participant sends us. */
export class Incoming {
  #audience;
  /** @type {Participant} */ #participant;
  /** @type {unknown} the stream it named last as its screen's: a track comes, or goes, after it has said so */ #screenId;
  /** @type {Map<MediaStreamTrack, Known>} */ #tracks = new Map();
  /** @type {MediaStream | null} */ #screen = null;
  /** Camera and microphone. @readonly */ stream = new MediaStream();

  /**
   * @param {Participant} participant
   * @param {Audience} audience
   */
  constructor(participant, audience) {
    this.#participant = participant;
    this.#screenId = participant.metadata.screen;
    this.#audience = audience;
  }

  /** The screen, if one is shared. */
  get screen() {
    return this.#screen;
  }

  /** The participant says something else of what it sends. @param {Participant} participant */
  updated(participant) {
    const before = this.#participant;
    this.#participant = participant;
    this.#screenId = participant.metadata.screen ?? this.#screenId;
    for (const known of this.#tracks.values()) {
      const kind = this.#kindOf(known);
      const stopped = sends(before, kind) && !sends(participant, kind);
      if (known.shown && (known.shown !== kind || stopped)) this.#hide(known);
      if (sends(participant, kind)) this.#show(known);
    }
  }

  /** @param {RTCTrackEvent} event */
  add({ track, streams: [stream] }) {
    this.#remove(track);
    const known = { track, streamId: stream?.id ?? "", shown: null };
    this.#tracks.set(track, known);
    track.onunmute = () => this.#show(known);
    stream?.addEventListener("removetrack", (gone) => {
      if (gone.track === track && this.#tracks.get(track) === known) this.#remove(track);
    });
    if (!track.muted || sends(this.#participant, this.#kindOf(known))) this.#show(known);
  }

  /** Nothing comes any more. */
  clear() {
    for (const track of [...this.#tracks.keys()]) this.#remove(track);
  }

  /** @param {Known} known */
  #show(known) {
    if (known.shown || this.#tracks.get(known.track) !== known) return;
    known.shown = this.#kindOf(known);
    const stream = known.shown === "screen" ? (this.#screen ??= new MediaStream()) : this.stream;
    stream.addTrack(known.track);
    this.#audience.track(known.shown, known.track, stream);
  }

  /** @param {Known} known */
  #hide(known) {
    const kind = known.shown;
    if (!kind) return;
    known.shown = null;
    const stream = kind === "screen" ? this.#screen : this.stream;
    stream?.removeTrack(known.track);
    if (stream === this.#screen && !stream?.getTracks().length) this.#screen = null;
    this.#audience.ended(kind, known.track);
  }

  /** @param {MediaStreamTrack} track */
  #remove(track) {
    const known = this.#tracks.get(track);
    if (!known) return;
    this.#tracks.delete(track);
    track.onunmute = null;
    this.#hide(known);
  }

  /**
   * @param {Known} known
   * @returns {Kind}
   */
  #kindOf({ track, streamId }) {
    if (streamId && streamId === this.#screenId) return "screen";
    return /** @type {Kind} */ (track.kind);
  }
}

/**
 * @param {Participant} participant
 * @param {Kind} kind
 */
function sends(participant, kind) {
  return (participant.media[kind]?.state ?? "off") !== "off";
}
