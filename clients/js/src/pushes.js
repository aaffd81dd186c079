/** Who listens to the pushes of a room, by their type: also to types that this SDK does not know. */

import { event } from "./events.js";

/** The listeners of one room. As with events, one that fails harms nobody else. */
export class PushListeners {
  #target = new EventTarget();

  /**
   * @param {string | readonly string[]} types
   * @param {(push: any) => void} listener
   * @returns {() => void} ends it
   */
  on(types, listener) {
    const all = [types].flat();
    const heard = (/** @type {any} */ { push }) => listener(push);
    for (const type of all) this.#target.addEventListener(type, heard);
    return () => all.forEach((type) => this.#target.removeEventListener(type, heard));
  }

  /** @param {any} push */
  tell(push) {
    this.#target.dispatchEvent(event(push.type, { push }));
  }
}
