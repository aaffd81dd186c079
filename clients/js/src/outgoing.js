/**
 * Which transceiver of an RTCPeerConnection carries which of our tracks.
 *
 * Camera and microphone have theirs from the first negotiation on, `sendrecv` whether there is a track or not: so a track
 * comes, goes and changes without another negotiation. (And Chromium loses the picture it receives on a transceiver when
 * an offer that turns it from `recvonly` to `sendrecv` is rolled back.) A screen has one of its own that only sends.
 */

import { SLOTS } from "./localmedia.js";

/** @typedef {import("./localmedia.js").LocalMedia} LocalMedia */
/** @typedef {import("./localmedia.js").Slot} Slot */

/** What goes out on one RTCPeerConnection. */
export class Outgoing {
  #connection;
  #media;
  /** @type {Map<Slot, RTCRtpTransceiver>} */ #transceivers = new Map();
  #begun = false;

  /**
   * @param {RTCPeerConnection} connection
   * @param {LocalMedia} media
   */
  constructor(connection, media) {
    this.#connection = connection;
    this.#media = media;
  }

  /** Make room for camera and microphone, ours and theirs, in our own first offer. */
  invite() {
    if (!this.#begun) for (const slot of /** @type {const} */ (["audio", "video"])) this.#add(slot, "sendrecv");
    this.#begin();
  }

  /** The other end's first offer is set: answer it with our camera and microphone in the places it has for them. */
  adopt() {
    const offered = this.#connection.getTransceivers().filter(({ mid }) => mid !== null);
    for (const slot of /** @type {const} */ (["audio", "video"])) {
      const own = this.#transceivers.get(slot);
      const theirs = offered.find(({ receiver }) => receiver.track.kind === slot);
      if (!theirs || (own && own.mid !== null)) continue;
      own?.stop(); // of our own first offer, which gave way
      theirs.direction = "sendrecv";
      theirs.sender.setStreams(this.#media.stream);
      this.#transceivers.set(slot, theirs);
      this.put(slot);
    }
    this.#begin();
  }

  /** Send the track there is now, or none. @param {Slot} slot */
  put(slot) {
    if (!this.#begun && !this.#transceivers.has(slot)) return; // it comes with the first description
    const track = this.#media.get(slot);
    const transceiver = this.#transceivers.get(slot);
    if (!transceiver || transceiver.direction === "stopped") {
      if (track) this.#add(slot, slot.startsWith("screen") ? "sendonly" : "sendrecv");
      return;
    }
    // The sender of a connection that was just closed refuses it: nothing is lost.
    transceiver.sender.replaceTrack(track).catch(() => {});
    if (slot.startsWith("screen")) transceiver.direction = track ? "sendonly" : "inactive";
  }

  #begin() {
    if (this.#begun) return;
    this.#begun = true;
    for (const slot of SLOTS) if (!this.#transceivers.has(slot)) this.put(slot);
  }

  /**
   * @param {Slot} slot
   * @param {RTCRtpTransceiverDirection} direction
   */
  #add(slot, direction) {
    const kind = slot === "audio" || slot === "screenaudio" ? "audio" : "video";
    const init = { direction, streams: [this.#media.streamOf(slot)] };
    this.#transceivers.set(slot, this.#connection.addTransceiver(this.#media.get(slot) ?? kind, init));
  }
}
