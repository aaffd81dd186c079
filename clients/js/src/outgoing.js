/** Which sender of an RTCPeerConnection carries which of our tracks. */

import { SLOTS } from "./localmedia.js";

/** @typedef {import("./localmedia.js").LocalMedia} LocalMedia */
/** @typedef {import("./localmedia.js").Slot} Slot */

/** What goes out on one RTCPeerConnection. */
export class Outgoing {
  #connection;
  /** @type {Map<Slot, RTCRtpTransceiver>} */ #transceivers = new Map();

  /** @param {RTCPeerConnection} connection */
  constructor(connection) {
    this.#connection = connection;
  }

  /** @param {LocalMedia} media */
  putAll(media) {
    for (const slot of SLOTS) this.put(slot, media);
  }

  /**
   * Send the track there is now, or none. Another track needs no negotiation, one more or less does.
   * @param {Slot} slot
   * @param {LocalMedia} media
   */
  put(slot, media) {
    const track = media.get(slot);
    const transceiver = this.#transceivers.get(slot);
    if (transceiver && transceiver.direction !== "stopped") {
      // Of a track that cannot be replaced (another kind), or a connection that was just closed, nothing is to be said.
      transceiver.sender.replaceTrack(track).catch(() => {});
      const direction = track ? "sendrecv" : "recvonly";
      if (transceiver.direction !== direction) transceiver.direction = direction;
    } else if (track) {
      const sender = this.#connection.addTrack(track, media.streamOf(slot));
      const added = this.#connection.getTransceivers().find((one) => one.sender === sender);
      if (added) this.#transceivers.set(slot, added);
    }
  }

  /** Be ready to receive audio and video, so that the first offer has room for what the other end sends. */
  invite() {
    for (const kind of ["audio", "video"]) {
      const ready = this.#connection.getTransceivers().some(({ receiver }) => receiver.track.kind === kind);
      if (!ready) this.#connection.addTransceiver(kind, { direction: "recvonly" });
    }
  }
}
