/** What was asked and not answered yet, in order. Kept while there is no connection, and sent (again) on the next one. */

import { closed, ParleyError } from "./errors.js";

export const WAITING_AT_MOST = 256;
const SIGNAL_TRIES = 6;
const RETRY_MS = 500;
const RETRY_CAP_MS = 4000;

/**
 * What becomes of a request when the session it belongs to is lost: a `join` is asked in the new one; a `signal` is
 * dropped; an `update` is part of the new join; a `leave` is done; a `look` is not needed.
 * @typedef {"join" | "signal" | "update" | "leave" | "look"} Purpose
 */

/**
 * @typedef {object} Waiting
 * @property {string} id
 * @property {string} text the very same each time it is sent: so it has no second effect
 * @property {Purpose} purpose
 * @property {number} tries
 * @property {ReturnType<typeof setTimeout>} [timer]
 * @property {(reply: any) => void} done
 * @property {(error: ParleyError) => void} refused
 */

/** The requests of a session. */
export class Requests {
  /** @type {Map<string, Waiting>} */ #waiting = new Map();
  /** @type {((text: string) => void) | null} */ #send = null;
  /** @type {ParleyError | null} */ #over = null;
  #timeoutMs;
  #count = 0;

  /** @param {number} timeoutMs how long an answer may take on a connection that lives */
  constructor(timeoutMs) {
    this.#timeoutMs = timeoutMs;
  }

  /**
   * Ask, now or on the next connection. `take` is called with the reply at once, before anything that came after it.
   * @param {Purpose} purpose
   * @param {object} message without its id
   * @param {(reply: any) => void} [take]
   * @returns {Promise<any>} the reply; rejects with a ParleyError
   */
  ask(purpose, message, take) {
    return new Promise((resolve, reject) => {
      if (this.#over) return reject(this.#over);
      if (!this.#send && this.#waiting.size >= WAITING_AT_MOST) {
        const sentence = `${WAITING_AT_MOST} requests wait for a connection already`;
        return reject(new ParleyError("queue_full", sentence, { retryable: true }));
      }
      const id = `q${++this.#count}`;
      /** @type {Waiting} */
      const request = {
        id,
        text: JSON.stringify({ ...message, id }),
        purpose,
        tries: 0,
        done: (reply) => (take?.(reply), resolve(reply)),
        refused: reject,
      };
      this.#waiting.set(id, request);
      this.#put(request);
    });
  }

  /**
   * A reply. False if nobody waits for it.
   * @param {any} message
   */
  answer(message) {
    const request = this.#waiting.get(message.id);
    if (!request) return false;
    clearTimeout(request.timer);
    if (message.type === "error") return this.#refuse(request, ParleyError.from(message));
    this.#waiting.delete(request.id);
    request.done(message);
    return true;
  }

  /** There is no connection now. */
  disconnected() {
    this.#send = null;
    for (const request of this.#waiting.values()) clearTimeout(request.timer);
  }

  /**
   * There is one, of the same session: everything that was not answered is sent, in order.
   * @param {(text: string) => void} send
   */
  connected(send) {
    this.disconnected();
    this.#send = send;
    for (const request of this.#waiting.values()) this.#put(request);
  }

  /** The session is lost; see `Purpose`. */
  forget() {
    for (const request of [...this.#waiting.values()]) {
      if (request.purpose === "join") continue;
      clearTimeout(request.timer);
      this.#waiting.delete(request.id);
      request.done({ type: "ok", id: request.id });
    }
  }

  /** Nothing is asked or answered any more. @param {ParleyError} error */
  end(error = closed()) {
    this.disconnected();
    this.#over = error;
    const waiting = [...this.#waiting.values()];
    this.#waiting.clear();
    for (const request of waiting) request.refused(error);
  }

  /** @param {Waiting} request */
  #put(request) {
    if (!this.#send) return;
    this.#send(request.text);
    request.timer = setTimeout(() => {
      const error = new ParleyError("timeout", "no answer came in time", { retryable: true });
      this.#waiting.delete(request.id);
      request.refused(error);
    }, this.#timeoutMs);
  }

  /**
   * A signal that may succeed later is sent again, always after the same time: so those of one receiver keep their order.
   * Everything else is for the caller to repeat.
   * @param {Waiting} request
   * @param {ParleyError} error
   */
  #refuse(request, error) {
    if (request.purpose === "signal" && error.retryable && ++request.tries < SIGNAL_TRIES) {
      const wait = Math.max(error.retryAfterMs ?? 0, Math.min(RETRY_CAP_MS, RETRY_MS * 2 ** (request.tries - 1)));
      request.timer = setTimeout(() => this.#put(request), wait);
      return true;
    }
    this.#waiting.delete(request.id);
    request.refused(error);
    return true;
  }
}
