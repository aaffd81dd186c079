/** Notices: what just happened (toasts, which a screen reader speaks) and what holds for now (banners). */

import { byId, element, setText } from "./dom.js";
import { listed } from "./messages.js";

const SHOWN_MS = 4_000;
/** A person who reloads the page leaves and comes back within this time, in milliseconds: one toast, not two. */
const GATHER_MS = 900;

/** Say something for a moment. */
export function toast(text) {
  const shown = element("div", { class: "toast", text });
  const toasts = byId("toasts");
  toasts.append(shown);
  while (toasts.children.length > 3) toasts.firstChild.remove();
  setTimeout(() => shown.remove(), SHOWN_MS);
}

/** Show a banner with this text, or hide it when there is none. */
export function banner(id, text, target = id) {
  setText(byId(target), text ?? "");
  byId(id).hidden = !text;
}

/** Tells who came and went, gathered, so that ten people arriving are one sentence. */
export class Arrivals {
  #news = new Map();
  #timer = null;

  /** Somebody came. */
  joined(participant) {
    this.#note(participant, (before) => (before === "left" ? "back" : "joined"));
  }

  /** Somebody went, for a reason of the protocol. */
  left(participant, reason) {
    this.#note(participant, (before) => (before === "joined" ? null : reason === "timeout" ? "lost" : "left"));
  }

  /** Forget what was not told yet. */
  clear() {
    clearTimeout(this.#timer);
    this.#timer = null;
    this.#news.clear();
  }

  #note({ agentId, name }, next) {
    this.#news.set(agentId, { name, what: next(this.#news.get(agentId)?.what) });
    this.#timer ??= setTimeout(() => this.#tell(), GATHER_MS);
  }

  #tell() {
    const said = { joined: "joined", back: "came back", left: "left", lost: "lost the connection" };
    for (const [what, verb] of Object.entries(said)) {
      const names = [...this.#news.values()].filter((news) => news.what === what).map((news) => news.name);
      if (names.length > 0) toast(`${listed(names)} ${verb}`);
    }
    this.clear();
  }
}
