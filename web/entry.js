/** Entry: where a person gives a name, sees the own camera, and goes to a room. */

import { byId, setIcon, setText } from "./dom.js";
import { recall, remember } from "./storage.js";
import { roomIdIn } from "./rooms.js";
import { drawAvatar, play } from "./tile.js";
import { explainDevices } from "./messages.js";

/** The entry view. Event: "go" {name, roomId} where `roomId` is null for a new room. */
export class Entry extends EventTarget {
  #invited = false;

  constructor(devices, meter, chooser) {
    super();
    this.devices = devices;
    this.name = byId("entry-name");
    this.room = byId("entry-room");
    this.name.value = recall("name") ?? "";
    byId("entry-form").addEventListener("submit", (event) => this.#submit(event));
    this.name.addEventListener("input", () => this.#draw());
    byId("preview-audio").addEventListener("click", () => void devices.setMuted(!this.#muted));
    byId("preview-camera").addEventListener("click", () => void devices.setCameraOff(!devices.cameraOff && devices.video !== null));
    byId("preview-devices").addEventListener("click", () => chooser.open());
    byId("preview-retry").addEventListener("click", () => void devices.open());
    devices.addEventListener("change", () => this.#draw());
    meter.addEventListener("levels", ({ levels }) => this.#level(levels.get("own") ?? 0));
  }

  /** Show it; with a room's id, for that room only. */
  show(roomId) {
    document.title = "Parley";
    this.#invited = roomId !== null;
    byId("entry").classList.toggle("invited", this.#invited);
    byId("entry-another").hidden = roomId === null;
    byId("entry-title").classList.toggle("named", roomId !== null);
    setText(byId("entry-title"), roomId === null ? "Talk face to face." : `Join ${roomId}`);
    setText(byId("entry-lead"), roomId === null ? "Open a room, send the link, and talk. Nothing to install, nothing to sign up for." : "This link leads into a call. Say who you are, and go in.");
    this.room.value = roomId ?? "";
    this.say("");
    this.#draw();
    if (!this.name.value && matchMedia("(pointer: fine)").matches) this.name.focus();
  }

  /** Say what is wrong, at the field that it is about. */
  say(problem, field = null) {
    setText(byId("entry-problem"), problem);
    for (const input of [this.name, this.room]) {
      if (input === field) input.setAttribute("aria-invalid", "true");
      else input.removeAttribute("aria-invalid");
    }
    field?.focus();
  }

  get #muted() {
    return this.devices.muted || !this.devices.audio;
  }

  #submit(event) {
    event.preventDefault();
    const name = this.name.value.trim();
    if (!name) return this.say("Say who you are, so that the others know.", this.name);
    const typed = this.room.value.trim();
    // Enter presses the form's first button, also a hidden one. The person means the room that is shown.
    const entered = [this.name, this.room].includes(document.activeElement);
    const joins = entered || this.#invited ? typed !== "" : event.submitter?.value === "join";
    if (joins && !typed) return this.say("Which room? Type its name or paste its link, or create one.", this.room);
    const roomId = joins ? roomIdIn(typed) : null;
    if (joins && !roomId) return this.say("A room's name has letters, digits, - and _ only, and at most 64 of them.", this.room);
    remember("name", name);
    this.say("");
    this.dispatchEvent(Object.assign(new Event("go"), { name, roomId }));
  }

  #draw() {
    const { devices } = this;
    const seen = devices.video !== null;
    byId("preview").dataset.video = seen ? "on" : "off";
    if (seen && this.stream?.getVideoTracks()[0] !== devices.video) this.stream = new MediaStream([devices.video]);
    void play(byId("preview-video"), seen ? this.stream : null);
    byId("preview-video").classList.toggle("mirrored", devices.video?.getSettings?.().facingMode !== "environment");
    this.#avatar(this.name.value.trim());
    setText(byId("preview-note"), devices.cameraOff ? "Your camera is off" : devices.problems.video ? "No camera" : "Starting your camera…");
    this.#switch(byId("preview-audio"), !this.#muted, "mic");
    this.#switch(byId("preview-camera"), seen, "camera");
    const trouble = explainDevices(devices.problems);
    setText(byId("preview-trouble-text"), trouble);
    byId("preview-trouble").hidden = !trouble;
    byId("preview-retry").hidden = !devices.media;
  }

  #avatar(name) {
    if (name) drawAvatar(byId("preview-avatar"), name, name);
    else setText(byId("preview-avatar"), "You");
  }

  #switch(button, on, name) {
    button.setAttribute("aria-pressed", on);
    setIcon(button, on ? name : `${name}-off`);
  }

  #level(level) {
    for (const id of ["preview-level", "devices-level"]) byId(id).style.setProperty("--level", level.toFixed(2));
  }
}
