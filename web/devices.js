/** Devices: this browser's camera, microphone and screen; which are chosen, which are refused, and what is switched off. */

import { recall, remember } from "./storage.js";

/** 720p is what a mesh of browsers can carry for two; `fit` asks for less as the room fills. */
const PICTURE = { width: { ideal: 1280 }, height: { ideal: 720 }, frameRate: { ideal: 30, max: 30 } };
const SOUND = { echoCancellation: true, noiseSuppression: true, autoGainControl: true };
const INPUTS = { audio: "audioinput", video: "videoinput", speaker: "audiooutput" };
/** Refusals that pass when something is plugged in. */
const MISSING = new Set(["NotFoundError", "OverconstrainedError"]);

/**
 * The person's own tracks. `audio` and `video` are tracks or null, `problems` the names of the errors that say why one
 * is missing although it is wanted. A camera that is off is let go (its light goes out); a muted microphone stays open,
 * so that unmuting is instant. Events: "change" after anything of this, "lost" {kind} when a device ended by itself,
 * "list" when devices were plugged in or out.
 */
export class Devices extends EventTarget {
  audio = null;
  video = null;
  screen = null;
  screenSound = null;
  problems = {};
  #turn = Promise.resolve();
  #fitted = { track: null, height: 720 };
  #closed = false;

  constructor({ muted = false, cameraOff = false } = {}) {
    super();
    this.muted = muted;
    this.cameraOff = cameraOff;
    this.media = window.isSecureContext ? navigator.mediaDevices : undefined;
    this.media?.addEventListener("devicechange", () => this.#plugged());
  }

  /** Whether this browser can share a screen at all. Phones mostly cannot. */
  get canShare() {
    return typeof this.media?.getDisplayMedia === "function";
  }

  /** Open what is wanted and not there yet. Never throws: what is refused is in `problems`. */
  open() {
    return this.#inTurn(async () => {
      const wanted = [];
      if (!this.audio) wanted.push("audio");
      if (!this.video && !this.cameraOff) wanted.push("video");
      await this.#acquire(wanted);
    });
  }

  /** Mute or unmute; unmuting asks for the microphone where there is none yet. */
  setMuted(muted) {
    this.muted = muted;
    // Mute at once: nobody may hear what is said while a camera is still starting.
    if (this.audio) this.audio.enabled = !muted;
    return this.#inTurn(async () => {
      if (!this.muted && !this.audio) await this.#acquire(["audio"]);
    });
  }

  /** Turn the camera off or on. */
  setCameraOff(off) {
    this.cameraOff = off;
    return this.#inTurn(async () => {
      if (this.cameraOff) {
        this.#drop("video");
        delete this.problems.video;
      } else if (!this.video) {
        await this.#acquire(["video"]);
      }
    });
  }

  /** Use this device for "audio" or "video" from now on, and remember it. */
  choose(kind, deviceId) {
    remember(kind, deviceId);
    return this.#inTurn(async () => {
      if (kind === "video" && this.cameraOff) return;
      // Some phones open one camera at a time: let go first.
      this.#drop(kind);
      await this.#acquire([kind]);
    });
  }

  /** Ask for a screen, a window or a tab. Null if the person changed their mind. */
  async openScreen() {
    try {
      const stream = await this.media.getDisplayMedia({ video: { frameRate: { ideal: 15, max: 30 } }, audio: true });
      [this.screen] = stream.getVideoTracks();
      [this.screenSound = null] = stream.getAudioTracks();
    } catch (refusal) {
      if (refusal.name === "NotAllowedError" || refusal.name === "AbortError") return null;
      throw refusal;
    }
    this.screen.contentHint = "detail";
    const track = this.screen;
    track.addEventListener("ended", () => this.screen === track && this.closeScreen());
    this.#tell();
    return this.screen;
  }

  /** Stop sharing. */
  closeScreen() {
    this.#dropScreen();
    this.#tell();
  }

  /** The devices there are: `{audio, video, speaker}` of `{id, label, chosen}`. Labels are there once one is allowed. */
  async list() {
    const all = (await this.media?.enumerateDevices().catch(() => [])) ?? [];
    const chosen = (kind) => this[kind]?.getSettings?.().deviceId ?? recall(kind) ?? "";
    const listed = ([kind, input]) => [
      kind,
      all.filter((device) => device.kind === input && device.deviceId !== "").map((device) => ({ id: device.deviceId, label: device.label, chosen: device.deviceId === chosen(kind) })),
    ];
    return Object.fromEntries(Object.entries(INPUTS).map(listed));
  }

  /** Ask the camera for a picture that suits a mesh of this many people. */
  async fit(people) {
    const height = people <= 2 ? 720 : people <= 4 ? 540 : 360;
    if (this.#fitted.track === this.video && this.#fitted.height === height) return;
    this.#fitted = { track: this.video, height };
    const size = { ...PICTURE, width: { ideal: Math.round((height * 16) / 9) }, height: { ideal: height } };
    // A camera that cannot goes on as it is.
    await this.video?.applyConstraints?.(size).catch(() => {});
  }

  /** Let everything go. */
  close() {
    this.#closed = true;
    for (const kind of ["audio", "video"]) this.#drop(kind);
    this.#dropScreen();
  }

  /** Open again after `close`. */
  reopen() {
    this.#closed = false;
    return this.open();
  }

  // One at a time: two overlapping requests for a camera would leave one open without an owner.
  #inTurn(change) {
    this.#turn = this.#turn.then(change).then(() => this.#tell());
    return this.#turn;
  }

  #tell() {
    this.dispatchEvent(new Event("change"));
  }

  async #acquire(kinds) {
    if (kinds.length === 0) return;
    if (!this.media) return kinds.forEach((kind) => (this.problems[kind] = window.isSecureContext ? "NotFoundError" : "InsecureContext"));
    try {
      const constraints = Object.fromEntries(kinds.map((kind) => [kind, this.#constraints(kind)]));
      this.#take(await this.media.getUserMedia(constraints));
    } catch (refusal) {
      // One of the two may be there all the same.
      if (kinds.length === 1) this.problems[kinds[0]] = refusal.name;
      else for (const kind of kinds) await this.#acquire([kind]);
    }
  }

  #constraints(kind) {
    const basis = kind === "audio" ? SOUND : PICTURE;
    const deviceId = recall(kind);
    return deviceId ? { ...basis, deviceId: { ideal: deviceId } } : basis;
  }

  #take(stream) {
    for (const track of stream.getTracks()) {
      const { kind } = track;
      if (this.#closed) {
        track.stop();
        continue;
      }
      this.#drop(kind);
      this[kind] = track;
      delete this.problems[kind];
      if (kind === "audio") track.enabled = !this.muted;
      track.addEventListener("ended", () => this[kind] === track && this.#ended(kind));
    }
  }

  #drop(kind) {
    this[kind]?.stop();
    this[kind] = null;
  }

  #dropScreen() {
    this.#drop("screen");
    this.#drop("screenSound");
  }

  // `stop()` by ourselves makes no "ended": this is a cable that was pulled, or a permission that was taken back.
  #ended(kind) {
    this[kind] = null;
    this.dispatchEvent(Object.assign(new Event("lost"), { kind }));
    void this.#inTurn(() => this.#acquire([kind]));
  }

  #plugged() {
    this.dispatchEvent(new Event("list"));
    if (this.#closed) return;
    const back = ["audio", "video"].filter((kind) => MISSING.has(this.problems[kind]));
    if (back.length > 0) void this.#inTurn(() => this.#acquire(back));
  }
}
