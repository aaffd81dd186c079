/** Tile: one participant on the stage, or one screen that is shared. Says everything twice: to eyes and to screen readers. */

import { element, icon, mark, setText } from "./dom.js";

const QUALITY = { good: "good connection", fair: "fair connection", poor: "poor connection" };
const PEER = { new: "Connecting…", connecting: "Connecting…", disconnected: "Reconnecting…", failed: "No connection, trying again…" };

/** Up to two initials of a name. */
export function initials(name) {
  const words = name.trim().split(/\s+/u).filter(Boolean);
  const first = (word) => [...word][0] ?? "";
  return (words.length > 1 ? first(words[0]) + first(words.at(-1)) : first(words[0] ?? "?")).toUpperCase();
}

/** A hue (0 to 359) that stays with an id. */
export function hueOf(id) {
  let hash = 0;
  for (const character of id) hash = (hash * 31 + character.codePointAt(0)) >>> 0;
  return (hash * 137) % 360;
}

/** Draw the initials of a name into an avatar, in the colour of an id. */
export function drawAvatar(avatar, name, id) {
  setText(avatar, initials(name));
  avatar.style.setProperty("--hue", hueOf(id));
}

/** Give a media element this stream and play it. Resolves to false where the browser wants a click first. */
export async function play(media, stream) {
  if (media.srcObject !== stream) media.srcObject = stream;
  if (!stream || (!media.paused && !media.ended)) return true; // a stream that was empty for a while has ended
  try {
    await media.play();
    return true;
  } catch (refusal) {
    return refusal.name !== "NotAllowedError";
  }
}

async function hear(tile, stream) {
  if (!(await play(tile.sound, stream))) tile.dispatchEvent(new Event("held"));
}

async function route(sound, speaker) {
  // A speaker that is gone: the system's own plays on.
  if ((sound.sinkId ?? "") !== speaker) await sound.setSinkId?.(speaker).catch(() => {});
}

/** What a tile shows of a participant. Pictures and sound have an element each, so that a picture always may play. */
export class Tile extends EventTarget {
  constructor(participant, own) {
    super();
    this.video = element("video", { autoplay: "", playsinline: "", "aria-hidden": "true" });
    this.video.muted = true;
    this.avatar = element("div", { class: "avatar", "aria-hidden": "true" });
    this.name = element("span", { class: "name" });
    const more = own ? [element("span", { class: "you", text: "you" })] : [];
    if (participant.kind === "agent") more.push(element("span", { class: "kind", text: "AI" }));
    this.bars = element("span", { class: "bars", "aria-hidden": "true" }, element("i"), element("i"), element("i"));
    this.condition = element("p", { class: "condition" });
    const caption = element("div", { class: "caption", "aria-hidden": "true" }, icon("mic-off", "muted"), this.name, ...more, this.bars);
    this.element = element("article", { class: "tile new", role: "group", dataset: { participant: participant.id } }, this.video, this.avatar, caption, this.condition);
    this.element.addEventListener("animationend", () => this.element.classList.remove("new"));
    for (const event of ["resize", "emptied", "loadeddata"]) this.video.addEventListener(event, () => this.#pictured());
    if (own) mark(this.element, "data-own", true);
    else this.element.append((this.sound = element("audio", { autoplay: "" })));
  }

  /** Draw: `shown` is `{participant, own, media, peerState, quality, pictures, sounds, mirrored}`. */
  show(shown) {
    const { participant, own, media, peerState, quality } = shown;
    const there = participant.connection !== "reconnecting";
    mark(this.element, "data-audio", media.audio);
    mark(this.element, "data-video", media.video);
    mark(this.element, "data-screen", media.screen);
    mark(this.element, "data-connection", participant.connection);
    mark(this.element, "data-quality", quality);
    mark(this.element, "data-peer", own ? null : peerState);
    mark(this.element, "aria-label", this.#said(shown));
    setText(this.name, participant.name);
    setText(this.condition, there ? (own ? "" : (PEER[peerState] ?? "")) : "reconnecting…");
    drawAvatar(this.avatar, participant.name, participant.agentId);
    this.video.classList.toggle("mirrored", Boolean(shown.mirrored));
    void play(this.video, shown.pictures);
    if (this.sound) void hear(this, shown.sounds);
    this.#pictured();
  }

  /** Send the sound to this speaker. */
  route(speaker) {
    return this.sound ? route(this.sound, speaker) : undefined;
  }

  /** Let go of everything. */
  remove() {
    this.video.srcObject = null;
    if (this.sound) this.sound.srcObject = null;
    this.element.remove();
  }

  #pictured() {
    mark(this.element, "data-picture", this.element.dataset.video === "on" && this.video.videoWidth > 0);
  }

  #said({ participant, own, media, quality }) {
    return [
      own ? `${participant.name}, you` : participant.name,
      participant.kind === "human" ? null : participant.kind,
      media.audio === "on" ? null : media.audio === "muted" ? "muted" : "no microphone",
      media.video === "on" ? null : "camera off",
      media.screen === "on" ? "sharing the screen" : null,
      participant.connection === "reconnecting" ? "reconnecting" : (QUALITY[quality] ?? null),
    ].filter(Boolean).join(", ");
  }
}

/** A shared screen, with its sound. Event: "held" as of a tile. */
export class ScreenTile extends EventTarget {
  constructor(participant) {
    super();
    this.video = element("video", { autoplay: "", playsinline: "" });
    this.video.muted = true;
    this.name = element("span", { class: "name" });
    this.sound = element("audio", { autoplay: "" });
    const caption = element("div", { class: "caption", "aria-hidden": "true" }, icon("screen"), this.name);
    this.element = element("article", { class: "tile screen new", role: "group", dataset: { screenOf: participant.id } }, this.video, this.sound, caption);
    this.element.addEventListener("animationend", () => this.element.classList.remove("new"));
  }

  /** Draw the stream of this participant's screen. */
  show(participant, stream) {
    setText(this.name, `${participant.name}'s screen`);
    mark(this.element, "aria-label", `${participant.name}'s screen`);
    void play(this.video, stream);
    void hear(this, stream.getAudioTracks().length > 0 ? stream : null);
  }

  /** Send the sound to this speaker. */
  route(speaker) {
    return route(this.sound, speaker);
  }

  /** Let go of everything. */
  remove() {
    this.video.srcObject = this.sound.srcObject = null;
    this.element.remove();
  }
}
