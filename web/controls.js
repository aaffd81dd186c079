/** Controls: the buttons of the call and their keys. Knows what they are called, not what they do. */

import { byId, mark, setIcon, setText } from "./dom.js";
import { recall, remember } from "./storage.js";

const KEYS = { m: "mute", v: "camera", s: "share", d: "devices", p: "people-button", c: "copy-link", l: "leave", "?": "help" };

/** The bar of the call. `actions` maps the buttons' ids to functions. */
export class Controls {
  constructor(actions) {
    for (const [id, action] of Object.entries(actions)) byId(id).addEventListener("click", () => action(byId(id)));
    byId("help").addEventListener("click", () => byId("help-dialog").showModal());
    this.keysOn = byId("keys-on");
    this.keysOn.checked = recall("keys") !== "off";
    this.keysOn.addEventListener("change", () => remember("keys", this.keysOn.checked ? null : "off"));
    addEventListener("keydown", (event) => this.#key(event));
    document.querySelector(".controls").addEventListener("keydown", (event) => this.#step(event));
  }

  /** Show what is on and off now. */
  show(devices) {
    const silent = devices.muted || !devices.audio;
    this.#switch("mute", silent ? "mic-off" : "mic", silent ? "Unmute" : "Mute", silent);
    this.#switch("camera", devices.video ? "camera" : "camera-off", devices.video ? "Turn camera off" : "Turn camera on", !devices.video);
    this.#switch("share", devices.screen ? "screen-stop" : "screen", devices.screen ? "Stop sharing" : "Share screen", false);
    mark(byId("share"), "data-active", devices.screen !== null);
    byId("share").hidden = !devices.canShare;
  }

  #switch(id, picture, label, off) {
    const button = byId(id);
    setIcon(button, picture);
    setText(button.querySelector(".label"), label);
    mark(button, "data-off", off);
    button.title = matchMedia("(hover: hover)").matches ? `${label} (${button.getAttribute("aria-keyshortcuts")})` : "";
  }

  #key(event) {
    const elsewhere = event.target.closest?.("input, select, textarea, dialog") || document.querySelector("dialog[open]");
    if (document.body.dataset.state !== "call" || elsewhere || event.repeat || event.ctrlKey || event.metaKey || event.altKey) return;
    const button = KEYS[event.key.toLowerCase()];
    if (!button || byId(button).hidden || (!this.keysOn.checked && button !== "help")) return;
    event.preventDefault();
    byId(button).click();
  }

  // A toolbar's arrows, beside Tab.
  #step(event) {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const buttons = [...event.currentTarget.querySelectorAll("button")].filter((button) => button.offsetParent !== null);
    const next = buttons.indexOf(document.activeElement) + step;
    buttons[(next + buttons.length) % buttons.length].focus();
  }
}
