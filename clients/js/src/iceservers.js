/** The STUN and TURN servers of a room, as the gateway said last. */

/** One room's. */
export class IceServers {
  /** @type {RTCIceServer[]} */ servers = [];
  /** Until when their credentials are good. @type {string | null} */ expiresAt = null;

  /**
   * Whether these are other ones.
   * @param {{iceServers?: import("./messages.js").IceServer[] | null, expiresAt?: string | null}} message
   */
  take({ iceServers, expiresAt = null }) {
    const same = this.expiresAt === expiresAt && JSON.stringify(this.servers) === JSON.stringify(iceServers);
    if (!iceServers || same) return false;
    this.servers = /** @type {RTCIceServer[]} */ (iceServers);
    this.expiresAt = expiresAt;
    return true;
  }
}
