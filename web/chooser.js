/** Chooser: the dialog where one picks camera, microphone and speaker, and tries them. */

import { byId, element } from "./dom.js";
import { recall, remember } from "./storage.js";
import { explainDevices } from "./messages.js";

const NAMES = { video: "Camera", audio: "Microphone", speaker: "Speaker" };

/** Whether sound can be sent to another speaker than the system's. */
const canRoute = "setSinkId" in HTMLMediaElement.prototype;

/** The devices dialog. Event: "speaker" {deviceId} when another speaker was chosen. */
export class Chooser extends EventTarget {
  constructor(devices) {
    super();
    this.devices = devices;
    this.dialog = byId("devices-dialog");
    byId("speaker-part").hidden = !canRoute;
    for (const kind of Object.keys(NAMES)) byId(`choose-${kind}`).addEventListener("change", (event) => this.#choose(kind, event.target.value));
    byId("speaker-test").addEventListener("click", () => this.#chime());
    const again = () => this.dialog.open && void this.#fill();
    devices.addEventListener("change", again);
    devices.addEventListener("list", again);
  }

  /** The speaker that was chosen, or "" for the system's. */
  get speaker() {
    return canRoute ? (recall("speaker") ?? "") : "";
  }

  /** Show the dialog. */
  open() {
    if (!this.dialog.open) this.dialog.showModal();
    void this.#fill();
  }

  async #fill() {
    const listed = await this.devices.list();
    for (const [kind, devices] of Object.entries(listed)) this.#options(kind, devices);
    byId("devices-problem").textContent = explainDevices(this.devices.problems);
  }

  #options(kind, devices) {
    const select = byId(`choose-${kind}`);
    const options = devices.map(({ id, label }, index) => element("option", { value: id, text: label || `${NAMES[kind]} ${index + 1}` }));
    if (options.length === 0) options.push(element("option", { value: "", text: kind === "speaker" ? "The system's speaker" : `No ${NAMES[kind].toLowerCase()} found` }));
    select.replaceChildren(...options);
    select.disabled = devices.length === 0;
    const chosen = kind === "speaker" ? this.speaker : devices.find((device) => device.chosen)?.id;
    if (devices.some((device) => device.id === chosen)) select.value = chosen;
  }

  #choose(kind, deviceId) {
    if (kind !== "speaker") return void this.devices.choose(kind, deviceId);
    remember("speaker", deviceId);
    this.dispatchEvent(Object.assign(new Event("speaker"), { deviceId }));
  }

  async #chime() {
    const context = new AudioContext();
    const output = context.createMediaStreamDestination();
    const gain = new GainNode(context, { gain: 0 });
    gain.connect(output);
    [523.25, 659.25, 783.99].forEach((frequency, index) => {
      const tone = new OscillatorNode(context, { frequency });
      tone.connect(gain);
      tone.start(context.currentTime + index * 0.16);
      tone.stop(context.currentTime + 1);
    });
    gain.gain.linearRampToValueAtTime(0.12, context.currentTime + 0.05);
    gain.gain.linearRampToValueAtTime(0, context.currentTime + 1);
    const player = new Audio();
    player.srcObject = output.stream;
    if (this.speaker) await player.setSinkId(this.speaker).catch(() => {});
    await player.play().catch(() => {});
    setTimeout(() => void context.close(), 1_500);
  }
}
