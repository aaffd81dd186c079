/** Tokens: asks the gateway for this tab's agent-link token, and renews it. The page's HTML says where. */

import { randomText } from "./storage.js";
import { Refusal } from "./messages.js";

/** A token this young is handed out again: creating a room and connecting to it is one visit, and one question. */
const FRESH_MS = 5_000;

/**
 * One tab's tokens. A development gateway names no agent, so the tab names itself; a gateway with guest access names
 * one, and gives the same again to whoever shows the token from before.
 */
export class Tokens {
  #asked = null;
  #askedAt = -Infinity;

  constructor(tab, url = document.querySelector('meta[name="parley-token-url"]').content) {
    this.tab = tab;
    this.url = url;
    this.name = "";
  }

  /** A token that was issued just now. The SDK asks whenever it needs one. */
  async token() {
    // The age is counted here, not read from the token: a wrong clock must not end a call.
    if (this.#asked === null || performance.now() - this.#askedAt > FRESH_MS) {
      this.#askedAt = performance.now();
      this.#asked = this.#issue();
      this.#asked.catch(() => (this.#asked = null));
    }
    return this.#asked;
  }

  async #issue() {
    const issued = this.url.endsWith("/dev/token") ? await this.#ask(this.#agent()) : await this.#guest();
    return issued.token;
  }

  #agent() {
    const agentId = this.tab.get("agentId", () => `web-${randomText(12)}`);
    return this.name ? { agentId, name: this.name } : { agentId };
  }

  async #guest() {
    const before = this.tab.get("guestToken");
    const body = this.name ? { name: this.name } : {};
    const issued = await this.#ask(body, before).catch((refusal) => {
      // The earlier token has ended, or came from another gateway: ask as somebody new.
      if (before && [401, 403, 422].includes(refusal.status)) return this.#ask(body);
      throw refusal;
    });
    this.tab.set("guestToken", issued.token);
    return issued;
  }

  async #ask(body, bearer = null) {
    const headers = { "Content-Type": "application/json" };
    if (bearer) headers.Authorization = `Bearer ${bearer}`;
    const response = await fetch(this.url, { method: "POST", headers, body: JSON.stringify(body) });
    if (!response.ok) throw await Refusal.of(response, "token_refused");
    return response.json();
  }
}
