/** What keeps a session connected: authenticates, comes back when the connection is lost, moves when a gateway goes away. */

import { backoff } from "./backoff.js";
import { Connection } from "./connection.js";
import { closed, ParleyError } from "./errors.js";
import { CloseCodes } from "./messages.js";

/** @typedef {import("./messages.js").AuthOk} AuthOk */
/** @typedef {import("./connection.js").SocketClass} SocketClass */
/** @typedef {import("./tokens.js").Tokens} Tokens */

/**
 * @typedef {object} Owner what the link asks and tells
 * @property {() => Record<string, string>} cursors the last cursor seen in each room
 * @property {(message: AuthOk) => void} entered a new connection has the session, or a new session (`resumed` is false)
 * @property {(message: any) => void} heard
 * @property {() => void} lost there is no connection, for now
 * @property {(code: number, reason: string, error: ParleyError) => void} over it will not come back
 * @property {(error: ParleyError) => void} failed something that may yet go well
 */

const ENTER_MS = 10_000;
const TOKEN_MS = 30_000;
const RENEW_AGAIN_MS = 5000;
const NO_WAY_BACK = [1003, 1007, 1009];
/** @type {number[]} */
const HANDED_OVER = [CloseCodes.REPLACED, CloseCodes.SERVICE_RESTART];

/**
 * Whether a close code says not to come back.
 * @param {number} code
 */
export function final(code) {
  return (code >= 4500 && code <= 4999) || NO_WAY_BACK.includes(code);
}

/** The link between a session and whichever gateway has it. */
export class Link {
  #urls;
  #tokens;
  #deviceId;
  #socketClass;
  #owner;
  /** @type {Connection | null} the one that has the session */ #current = null;
  /** @type {Connection | null} the one that is coming in */ #next = null;
  /** @type {any[] | null} what the current one says while the next one resumes */ #held = null;
  /** @type {string | null} */ #resumeToken = null;
  /** @type {ParleyError | null} */ #refusal = null;
  /** @type {ReturnType<typeof setTimeout> | undefined} */ #timer;
  #attempt = 0;
  #turn = 0;
  #count = 0;
  #fresh = false;
  #dialling = false;
  #over = false;

  /**
   * @param {{urls: string[], tokens: Tokens, deviceId?: string, socketClass: SocketClass}} to
   * @param {Owner} owner
   */
  constructor({ urls, tokens, deviceId, socketClass }, owner) {
    this.#urls = urls;
    this.#tokens = tokens;
    this.#deviceId = deviceId;
    this.#socketClass = socketClass;
    this.#owner = owner;
  }

  /** Connect, now. */
  async dial() {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#dialling || this.#next || this.#over) return;
    this.#dialling = true;
    try {
      const { token, fresh } = await within(TOKEN_MS, this.#tokens.current(Date.now()));
      if (!this.#over) this.#open(token, fresh);
    } catch (error) {
      this.#noToken(error);
    } finally {
      this.#dialling = false;
    }
  }

  /**
   * Try again later, unless whoever issues tokens has said that it is of no use.
   * @param {unknown} error
   */
  #noToken(error) {
    if (error instanceof ParleyError && !error.retryable && !this.#current) {
      this.#refusal = error;
      return this.#end(CloseCodes.UNAUTHENTICATED, error.code);
    }
    this.#owner.failed(new ParleyError("unavailable", "there is no token", { retryable: true, cause: error }));
    this.#later();
  }

  /** The network is back: what was begun without it is worth nothing, what was there before it must prove itself. */
  online() {
    if (!this.#current) {
      this.#next?.close();
      this.#next = null;
    }
    this.wake();
  }

  /** The page was asleep: do not wait, and do not believe. */
  wake() {
    if (this.#current) this.#current.probe();
    else void this.dial();
  }

  /** @param {string} text */
  send(text) {
    this.#current?.send(text);
  }

  /** The end: nothing is heard any more. */
  close() {
    this.#over = true;
    clearTimeout(this.#timer);
    this.#current?.close();
    this.#next?.close();
    this.#current = this.#next = null;
  }

  /**
   * @param {string} token
   * @param {boolean} fresh
   */
  #open(token, fresh) {
    const url = /** @type {string} */ (this.#urls[this.#turn % this.#urls.length]);
    this.#refusal = null;
    this.#fresh = fresh;
    /** @type {Connection} */
    const connection = new Connection(url, this.#socketClass, {
      opened: () => connection.send(this.#greeting(token)),
      heard: (message) => (connection === this.#next ? this.#entering(message) : this.#heard(message)),
      closed: (code, reason) => (connection === this.#next ? this.#refused(code, reason) : this.#lost(code, reason)),
    });
    connection.expire(ENTER_MS);
    this.#next = connection;
  }

  /** @param {string} token */
  #greeting(token) {
    const id = `a${++this.#count}`;
    if (this.#resumeToken === null) return JSON.stringify({ type: "authenticate", id, token, deviceId: this.#deviceId });
    // From here on the current connection's messages come again on the new one.
    if (this.#current) this.#held = [];
    const resume = { token: this.#resumeToken, cursors: this.#owner.cursors() };
    return JSON.stringify({ type: "authenticate", id, token, deviceId: this.#deviceId, resume });
  }

  /** @param {any} message */
  #entering(message) {
    if (message.type === "auth_ok") this.#entered(message);
    else if (message.type === "auth_error" || message.type === "error") this.#refusal = ParleyError.from(message);
  }

  /** @param {AuthOk} message */
  #entered(message) {
    const before = this.#current;
    this.#current = this.#next;
    this.#next = null;
    this.#held = null;
    this.#attempt = 0;
    before?.close();
    this.#know(message);
    this.#current?.watch(message.heartbeatMs);
    this.#owner.entered(message);
  }

  /** @param {AuthOk} message */
  #know(message) {
    this.#resumeToken = message.resumeToken;
    this.#tokens.ends(message.expiresAt);
  }

  /** @param {any} message */
  #heard(message) {
    if (this.#held) return void this.#held.push(message);
    switch (message.type) {
      case "auth_ok":
        return this.#know(message);
      case "auth_error":
        this.#refusal = ParleyError.from(message);
        return;
      case "token_expiring":
        return void this.#renew();
      case "go_away":
        this.#move(message.reconnectAfterMs);
        return;
      case "pong":
        return;
      default:
        // The last message before a close says why.
        if (message.type === "error" && message.id === undefined) this.#refusal = ParleyError.from(message);
        this.#owner.heard(message);
    }
  }

  /** A new connection while the old one still works. @param {number} milliseconds */
  #move(milliseconds) {
    this.#turn += 1;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.dial(), milliseconds);
  }

  async #renew() {
    const connection = this.#current;
    if (!this.#tokens.renewable) return;
    try {
      const token = await this.#tokens.fresh();
      connection?.send(JSON.stringify({ type: "authenticate", id: `a${++this.#count}`, token }));
    } catch (error) {
      this.#owner.failed(new ParleyError("unavailable", "there is no new token", { retryable: true, cause: error }));
      setTimeout(() => connection === this.#current && !this.#over && void this.#renew(), RENEW_AGAIN_MS);
    }
  }

  /**
   * The connection that was coming in did not make it.
   * @param {number} code
   * @param {string} reason
   */
  #refused(code, reason) {
    this.#next = null;
    const held = this.#held ?? [];
    this.#held = null;
    if (this.#current) for (const message of held) this.#heard(message);
    else if (this.#resumeToken !== null) this.#owner.lost();
    const stale = this.#refusal?.code === "expired_token" && !this.#fresh && this.#tokens.renewable;
    if (stale) this.#tokens.spoil();
    if (final(code) && !stale && this.#refusal?.code !== "throttled") return this.#end(code, reason);
    if (this.#refusal) this.#owner.failed(this.#refusal);
    this.#later();
  }

  /**
   * The one that had the session is closed: by the next one's coming in, or else lost.
   * @param {number} code
   * @param {string} reason
   */
  #lost(code, reason) {
    const resuming = this.#held !== null;
    this.#current = null;
    this.#held = null;
    // A gateway lets go of a session as soon as another connection has it, so this can be heard before its `auth_ok`.
    if (resuming && HANDED_OVER.includes(code)) return;
    if (final(code)) return this.#end(code, reason);
    this.#owner.lost();
    if (!this.#next && !this.#dialling) this.#later();
  }

  #later() {
    this.#turn += 1;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.dial(), backoff(this.#attempt++, Math.random()));
  }

  /**
   * @param {number} code
   * @param {string} reason
   */
  #end(code, reason) {
    const error = this.#refusal ?? closed(`the gateway closed the connection with ${code}`);
    this.close();
    this.#owner.over(code, reason, error);
  }
}

/**
 * @template T
 * @param {number} milliseconds
 * @param {Promise<T>} promise
 * @returns {Promise<T>}
 */
function within(milliseconds, promise) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new ParleyError("timeout", "no token came in time")), milliseconds);
    promise.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}
