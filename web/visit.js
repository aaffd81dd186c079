/** Visit: one visit to a room: the SDK's session, room and call, and the person's tracks in it. Draws nothing. */

import { connect } from "/clients/js/index.js";

const KINDS = ["audio", "video", "screen"];

/**
 * Go into a room with what the devices give. Throws what the SDK or the token's source throws; nothing is left behind then.
 * `visitor` is `{tokens, deviceId, name}`; aborting `signal` gives up, or ends the visit later.
 */
export async function enter(roomId, { tokens, deviceId, name }, devices, signal) {
  // Ask for a token here first: a refused one is an answer, while the SDK would try again for a while.
  await tokens.token();
  const session = await connect(location.origin, { token: () => tokens.token(), deviceId, signal });
  try {
    const room = await session.join(roomId, { name, media: stated(devices) });
    return new Visit(session, room, devices);
  } catch (error) {
    void session.close();
    throw error;
  }
}

/** What the roster should say of one's tracks: `{audio: {state}, video: {state}, screen: {state}}`. */
export function stated(devices) {
  const audio = !devices.audio ? "off" : devices.muted ? "muted" : "on";
  return { audio: { state: audio }, video: { state: devices.video ? "on" : "off" }, screen: { state: devices.screen ? "on" : "off" } };
}

/** A visit to a room. Event: "ended" {reason, error}. The SDK's objects are there for whoever draws. */
export class Visit extends EventTarget {
  #sent = {};
  #over = false;

  constructor(session, room, devices) {
    super();
    Object.assign(this, { session, room, devices });
    this.#sent = { audio: devices.audio, video: devices.video, screen: devices.screen, muted: devices.muted };
    this.call = room.call({ tracks: { audio: devices.audio, video: devices.video, screen: devices.screen } });
    // A room with muteOnEntry mutes our first microphone: the switch must say so.
    const hush = () => this.call.muted("audio") && !devices.muted && void devices.setMuted(true);
    this.call.addEventListener("localtrack", hush);
    hush();
    // A camera may have been turned off while we were joining: the room was told that it is on.
    for (const kind of KINDS) if (!devices[kind] && (room.self.media[kind]?.state ?? "off") !== "off") this.#try(this.call.setTrack(kind, null));
    devices.addEventListener("change", this.send);
    room.addEventListener("left", ({ reason, error }) => this.#end(reason, error));
    session.addEventListener("closed", ({ reason, error }) => this.#end(reason, error));
    this.call.addEventListener("error", ({ error }) => console.warn("Parley: a connection has trouble", error));
  }

  /** Send what the devices have now; the SDK tells the others what is on. */
  send = () => {
    const { audio, muted } = this.devices;
    for (const kind of KINDS) {
      const track = this.devices[kind];
      if (this.#sent[kind] === track) continue;
      this.#sent[kind] = track;
      // Do not wait: the SDK keeps the order of these changes, also while there is no connection.
      this.#try(this.call.setTrack(kind, track, kind === "screen" ? { audio: this.devices.screenSound } : {}));
    }
    if (!audio || this.#sent.muted === muted) return;
    this.#sent.muted = muted;
    this.#try(muted ? this.call.mute("audio") : this.call.unmute("audio"));
  };

  /** Leave, at once for the person; the others hear of it as soon as the network lets them. */
  leave() {
    this.#end("left", null);
  }

  #try(change) {
    change.catch((error) => this.#over || console.warn("Parley: the others could not be told what is sent", error));
  }

  #end(reason, error) {
    if (this.#over) return;
    this.#over = true;
    this.devices.removeEventListener("change", this.send);
    void this.session.close().catch(() => {});
    this.dispatchEvent(Object.assign(new Event("ended"), { reason, error }));
  }
}
