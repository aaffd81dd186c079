/** People: the list of who is in the room and how they are doing, beside the stage. */

import { byId, element, icon, setText } from "./dom.js";
import { drawAvatar } from "./tile.js";

/** The panel with everyone; closed at first. */
export class People {
  constructor() {
    this.button = byId("people-button");
    this.panel = byId("people");
    this.button.addEventListener("click", () => this.toggle());
    byId("people-close").addEventListener("click", () => this.toggle(false));
    this.panel.addEventListener("keydown", (event) => event.key === "Escape" && this.toggle(false));
  }

  /** Open or close it. The focus goes in with it, and back to the button. */
  toggle(open = this.panel.hidden) {
    this.panel.hidden = !open;
    this.button.setAttribute("aria-expanded", open);
    if (open) byId("people-close").focus();
    else this.button.focus();
  }

  /** Close it without moving the focus. */
  close() {
    this.panel.hidden = true;
    this.button.setAttribute("aria-expanded", false);
  }

  /** Draw everyone, as the stage is given them. */
  show(everyone) {
    setText(byId("people-count"), String(everyone.length));
    byId("people-list").replaceChildren(...everyone.map(row));
  }
}

function row({ participant, own, media }) {
  const avatar = element("div", { class: "avatar", "aria-hidden": "true" });
  drawAvatar(avatar, participant.name, participant.agentId);
  const name = element("b", { text: own ? `${participant.name} (you)` : participant.name });
  const who = element("div", { class: "who" }, name, element("small", { text: states(participant, media) }));
  return element("li", {}, avatar, who, icon(media.audio === "on" ? "mic" : "mic-off"));
}

function states({ kind, role, connection }, media) {
  const said = [
    connection === "reconnecting" ? "reconnecting" : null,
    kind === "human" ? null : kind,
    role === "owner" ? "opened this room" : null,
    media.audio === "on" ? null : media.audio === "muted" ? "muted" : "no microphone",
    media.video === "on" ? null : "camera off",
    media.screen === "on" ? "sharing the screen" : null,
  ].filter(Boolean).join(", ");
  return said || "in the call";
}
