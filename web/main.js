/** The page's composition root: which view is shown, and what leads from one to the next. */

import { Chooser } from "./chooser.js";
import { Controls } from "./controls.js";
import { Devices } from "./devices.js";
import { byId, element, setText } from "./dom.js";
import { Entry } from "./entry.js";
import { randomText, recall, Tab } from "./storage.js";
import { banner, toast } from "./notices.js";
import { People } from "./people.js";
import { addressOf, createRoom, roomIdOfAddress } from "./rooms.js";
import { CallView } from "./callview.js";
import { shareLink } from "./share.js";
import { SpeakingMeter } from "./speakingmeter.js";
import { Stage } from "./stage.js";
import { enter } from "./visit.js";
import { stayAwake } from "./wakelock.js";
import { Tokens } from "./tokens.js";
import { explain, explainDevices, explainEnd } from "./messages.js";

class Page {
  #entering = null;
  #visit = null;
  #view = null;
  #wish = null;
  #dismissed = "";
  #gone = false;

  constructor() {
    this.tab = new Tab();
    // The SDK leaves the room when the page goes. The tab keeps the room's id: a reload goes back.
    addEventListener("pagehide", ({ persisted }) => (this.#gone = !persisted));
    this.tokens = new Tokens(this.tab);
    this.devices = new Devices({ muted: this.tab.get("muted") ?? false, cameraOff: this.tab.get("cameraOff") ?? false });
    this.meter = new SpeakingMeter();
    this.chooser = new Chooser(this.devices);
    this.stage = new Stage(byId("stage"));
    this.people = new People();
    this.entry = new Entry(this.devices, this.meter, this.chooser);
    this.controls = new Controls({
      mute: () => this.#asked(() => this.devices.setMuted(!(this.devices.muted || !this.devices.audio))),
      camera: () => this.#asked(() => this.devices.setCameraOff(this.devices.video !== null)),
      share: () => void this.#share(),
      devices: () => this.chooser.open(),
      leave: () => this.#visit?.leave(),
      "copy-link": (button) => void shareLink(this.#wish.roomId, button),
      "invitation-copy": (button) => void shareLink(this.#wish.roomId, button),
      "joining-cancel": () => this.#cancel(),
      "sound-button": () => this.#hear(),
      "devices-retry": () => this.#asked(() => this.devices.open()),
      "devices-dismiss": () => this.#dismiss(),
    });
    this.#listen();
  }

  /** Begin: back into the call after a reload, or the entry. */
  start() {
    const roomId = roomIdOfAddress();
    const name = recall("name");
    if (roomId === null || !name || this.tab.get("room") !== roomId) return this.#showEntry(roomId);
    this.#show("joining");
    const opened = this.devices.open();
    // Open the tracks first, as before the reload. Do not wait for ever: a browser may ask the person again.
    void Promise.race([opened, new Promise((resolve) => setTimeout(resolve, 3_000))]).then(() => this.#go({ name, roomId }));
  }

  #listen() {
    this.entry.addEventListener("go", ({ name, roomId }) => void this.#go({ name, roomId }));
    this.devices.addEventListener("change", () => this.#equipped());
    this.devices.addEventListener("lost", ({ kind }) => toast(kind === "audio" ? "Your microphone stopped" : "Your camera stopped"));
    this.chooser.addEventListener("speaker", ({ deviceId }) => this.stage.route(deviceId));
    this.stage.addEventListener("held", () => (byId("banner-sound").hidden = false));
    // Browsers let sound begin with a click or a key; any will do.
    for (const event of ["pointerdown", "keydown"]) addEventListener(event, () => this.meter.wake(), { passive: true });
  }

  #show(state) {
    document.body.dataset.state = state;
    void stayAwake(state === "call");
  }

  #showEntry(roomId) {
    this.#show("entry");
    this.entry.show(roomId);
    void this.devices.reopen();
  }

  /** Go to a room; `roomId` is null for a new one. */
  async #go({ name, roomId }) {
    this.#wish = { name, roomId };
    this.tokens.name = name;
    const entering = new AbortController();
    this.#entering = entering;
    setText(byId("joining-title"), roomId === null ? "Opening a room…" : `Joining ${roomId}…`);
    this.#show("joining");
    try {
      this.#wish.roomId ??= await createRoom(await this.tokens.token());
      if (entering.signal.aborted) return;
      const visitor = { tokens: this.tokens, deviceId: this.tab.get("deviceId", () => `tab-${randomText(12)}`), name };
      const visit = await enter(this.#wish.roomId, visitor, this.devices, entering.signal);
      if (entering.signal.aborted) return visit.leave();
      this.#arrived(visit);
    } catch (error) {
      if (!entering.signal.aborted) this.#ended("error", explain(error));
    }
  }

  #cancel() {
    this.#entering?.abort();
    this.#showEntry(roomIdOfAddress());
  }

  #arrived(visit) {
    const { roomId } = this.#wish;
    this.#visit = visit;
    this.tab.set("room", roomId);
    // For whoever opens the console to see what the SDK gives: parley.room.participants, parley.call.getStats() …
    globalThis.parley = { session: visit.session, room: visit.room, call: visit.call };
    history.replaceState(null, "", addressOf(roomId));
    setText(byId("invitation-address"), addressOf(roomId).replace(/^https?:\/\//, ""));
    visit.addEventListener("ended", ({ reason, error }) => this.#left(reason, error));
    this.#dismissed = "";
    this.#show("call");
    this.#view = new CallView(visit, this);
    this.stage.route(this.chooser.speaker);
    this.#equipped();
    byId("mute").focus({ preventScroll: true });
  }

  #left(reason, error) {
    if (this.#gone) return;
    this.#view?.close();
    this.#view = this.#visit = null;
    this.tab.set("room", null);
    this.devices.close();
    this.meter.follow("own", null);
    for (const dialog of document.querySelectorAll("dialog[open]")) dialog.close();
    document.title = "Parley";
    const refused = error !== null && error.code !== "closed";
    this.#ended(reason === "left" ? "left" : "error", refused && reason !== "replaced" ? explain(error) : explainEnd(reason));
  }

  #ended(state, { title, text, ways }) {
    const { roomId } = this.#wish;
    setText(byId("ended-title"), title);
    setText(byId("ended-text"), text);
    const again = element("button", { type: "button", class: "button primary", text: state === "left" ? "Come back" : "Try again" });
    again.addEventListener("click", () => void this.devices.reopen().then(() => this.#go({ ...this.#wish })));
    const fresh = element("a", { class: ways.includes("again") ? "button" : "button primary", href: "/", text: "Start page" });
    byId("ended-ways").replaceChildren(...(ways.includes("again") ? [again] : []), fresh);
    this.#show(state);
    byId("ended-title").focus();
    if (roomId) history.replaceState(null, "", addressOf(roomId));
  }

  // The devices changed: update the switches, the meter, this tab's storage, and the banner about what is missing.
  #equipped() {
    const { devices } = this;
    this.controls.show(devices);
    this.meter.follow("own", devices.audio);
    this.tab.set("muted", devices.muted);
    this.tab.set("cameraOff", devices.cameraOff);
    const trouble = explainDevices(devices.problems);
    banner("banner-devices", trouble === this.#dismissed ? null : trouble, "banner-devices-text");
    byId("devices-retry").hidden = !devices.media;
  }

  // Explain why a device is missing each time the person asks for it.
  #asked(change) {
    this.#dismissed = "";
    void change();
  }

  #dismiss() {
    this.#dismissed = byId("banner-devices-text").textContent;
    byId("banner-devices").hidden = true;
  }

  async #share() {
    if (this.devices.screen) return this.devices.closeScreen();
    try {
      await this.devices.openScreen();
    } catch {
      toast("This browser could not share the screen");
    }
  }

  #hear() {
    this.meter.wake();
    this.stage.hear();
    byId("banner-sound").hidden = true;
  }
}

new Page().start();
