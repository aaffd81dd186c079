/** What keeps a session connected: does what the table of `linkstate.js` says, with connections, tokens and a timer. */

import { Backoff } from "./backoff.js";
import { Connection } from "./connection.js";
import { closed, ParleyError } from "./errors.js";
import { lossOf, refusalOf, step } from "./linkstate.js";
import { CloseCodes } from "./messages.js";

/** @typedef {import("./messages.js").AuthOk} AuthOk */
/** @typedef {import("./connection.js").SocketClass} SocketClass */
/** @typedef {import("./tokens.js").Tokens} Tokens */
/** @typedef {import("./linkstate.js").LinkState} LinkState */
/** @typedef {import("./linkstate.js").LinkEvent} LinkEvent */
/** @typedef {import("./linkstate.js").LinkAction} LinkAction */

/**
 * @typedef {object} Owner what the link asks and tells
 * @property {() => Record<string, string>} cursors the last cursor seen in each room
 * @property {(message: AuthOk) => void} entered a new connection has the session, or a new session (`resumed` is false)
 * @property {(message: any) => void} heard
 * @property {() => void} lost there is no connection, for now
 * @property {(code: number, reason: string, error: ParleyError) => void} over it will not come back
 * @property {(error: ParleyError) => void} failed something that may yet go well
 */

/**
 * What comes with an event, for the actions.
 * @typedef {object} Facts
 * @property {AuthOk} [entry] with `entered`
 * @property {number} [milliseconds] with `go_away`
 * @property {number} [code] why a connection was closed, or the link is
 * @property {string} [reason]
 * @property {ParleyError} [error] why there is no token
 */

const ENTER_MS = 10_000;
const RENEW_AGAIN_MS = 5000;

/** The link between a session and whichever gateway has it. */
export class Link {
  #urls;
  #tokens;
  #deviceId;
  #socketClass;
  #owner;
  /** @type {LinkState} */ #state = "idle";
  /** @type {Connection | null} the one that has the session */ #current = null;
  /** @type {Connection | null} the one that is coming in */ #next = null;
  /** @type {any[]} what the current one says while the next one resumes */ #held = [];
  /** What the next one authenticates with. */ #token = { token: "", fresh: false };
  /** @type {string | null} */ #resumeToken = null;
  /** @type {ParleyError | null} what the gateway said before it closed */ #refusal = null;
  /** @type {ReturnType<typeof setTimeout> | undefined} until the next attempt */ #timer;
  #backoff = new Backoff();
  #enteredAt = 0;
  #turn = 0;
  #count = 0;

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
  dial() {
    this.#happen("dial");
  }

  /** The network is back: begin an attempt that is under way anew, and check the present connection. */
  online() {
    this.#happen("online");
  }

  /** The page runs again: try at once, and check the present connection. */
  wake() {
    this.#happen("wake");
  }

  /** @param {string} text */
  send(text) {
    this.#current?.send(text);
  }

  /** The end: nothing is heard any more. */
  close() {
    this.#happen("close");
  }

  /**
   * @param {LinkEvent} event
   * @param {Facts} [facts]
   */
  #happen(event, facts = {}) {
    const { to, actions } = step(this.#state, event);
    this.#state = to;
    for (const action of actions) {
      this.#do(action, facts);
      // The owner was told something, and closed the link for it: the other actions are void.
      if (this.#state !== to) return;
    }
  }

  /**
   * @param {LinkAction} action
   * @param {Facts} facts
   */
  #do(action, facts) {
    switch (action) {
      case "get_token":
        return void this.#getToken();
      case "open":
        return this.#open();
      case "authenticate":
        return this.#next?.send(this.#greeting());
      case "enter":
        return this.#enter(/** @type {AuthOk} */ (facts.entry));
      case "retry":
        return this.#dialAfter(this.#backoff.next());
      case "move_later":
        return this.#dialAfter(/** @type {number} */ (facts.milliseconds));
      case "probe":
        return this.#current?.probe();
      case "release":
        for (const message of this.#held.splice(0)) if (this.#state !== "closed") this.#heard(message);
        return;
      case "discard":
        return void this.#held.splice(0);
      case "drop_next":
        return this.#dropNext();
      case "spoil_token":
        return this.#tokens.spoil();
      case "lost":
        return this.#owner.lost();
      case "report":
        return this.#report(facts.error ?? this.#refusal);
      case "close":
        return this.#close();
      case "end":
        return this.#end(facts);
    }
  }

  async #getToken() {
    clearTimeout(this.#timer);
    try {
      this.#token = await this.#tokens.current(Date.now());
    } catch (error) {
      return this.#noToken(error);
    }
    this.#happen("token");
  }

  /**
   * The token's source may say that there will never be one.
   * @param {unknown} error
   */
  #noToken(error) {
    if (error instanceof ParleyError && !error.retryable) {
      return this.#happen("token_refused", { code: CloseCodes.UNAUTHENTICATED, reason: error.code, error });
    }
    this.#happen("no_token", { error: new ParleyError("unavailable", "there is no token", { retryable: true, cause: error }) });
  }

  #open() {
    const url = /** @type {string} */ (this.#urls[this.#turn % this.#urls.length]);
    this.#refusal = null;
    /** @type {Connection} */
    const connection = new Connection(url, this.#socketClass, {
      opened: () => this.#happen("opened"),
      heard: (message) => (connection === this.#next ? this.#entering(message) : this.#heard(message)),
      closed: (code, reason) => (connection === this.#next ? this.#refused(code, reason) : this.#lost(code, reason)),
    });
    connection.expire(ENTER_MS);
    this.#next = connection;
  }

  #greeting() {
    const message = { type: "authenticate", id: `a${++this.#count}`, token: this.#token.token, deviceId: this.#deviceId };
    if (this.#resumeToken === null) return JSON.stringify(message);
    return JSON.stringify({ ...message, resume: { token: this.#resumeToken, cursors: this.#owner.cursors() } });
  }

  /** @param {any} message */
  #entering(message) {
    if (message.type === "auth_ok") this.#happen("entered", { entry: message });
    else if (message.type === "auth_error" || message.type === "error") this.#refusal = ParleyError.from(message);
  }

  /** @param {AuthOk} message */
  #enter(message) {
    const before = this.#current;
    this.#current = this.#next;
    this.#next = null;
    this.#enteredAt = Date.now();
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
    if (this.#state === "resuming") return void this.#held.push(message);
    switch (message.type) {
      case "auth_ok":
        return this.#know(message);
      case "auth_error":
        this.#refusal = ParleyError.from(message);
        return;
      case "token_expiring":
        return void this.#renew();
      case "go_away":
        return this.#happen("go_away", { milliseconds: message.reconnectAfterMs });
      case "pong":
        return;
      default:
        // The last message before a close says why.
        if (message.type === "error" && message.id === undefined) this.#refusal = ParleyError.from(message);
        this.#owner.heard(message);
    }
  }

  async #renew() {
    const connection = this.#current;
    if (!this.#tokens.renewable) return;
    try {
      const token = await this.#tokens.fresh();
      connection?.send(JSON.stringify({ type: "authenticate", id: `a${++this.#count}`, token }));
    } catch (error) {
      this.#owner.failed(new ParleyError("unavailable", "there is no new token", { retryable: true, cause: error }));
      setTimeout(() => connection && connection === this.#current && void this.#renew(), RENEW_AGAIN_MS);
    }
  }

  /**
   * The next connection has ended before it had the session.
   * @param {number} code
   * @param {string} reason
   */
  #refused(code, reason) {
    this.#next = null;
    const renewable = !this.#token.fresh && this.#tokens.renewable;
    this.#happen(refusalOf(code, this.#refusal?.code, renewable), { code, reason });
  }

  /**
   * The present connection has ended.
   * @param {number} code
   * @param {string} reason
   */
  #lost(code, reason) {
    this.#current = null;
    this.#backoff.ended(Date.now() - this.#enteredAt);
    this.#happen(lossOf(code), { code, reason });
  }

  /** The next attempt: at the next URL. @param {number} milliseconds */
  #dialAfter(milliseconds) {
    this.#turn += 1;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#happen("timer"), milliseconds);
  }

  #dropNext() {
    this.#next?.close();
    this.#next = null;
  }

  /** @param {ParleyError | null} error */
  #report(error) {
    if (error) this.#owner.failed(error);
  }

  #close() {
    clearTimeout(this.#timer);
    this.#dropNext();
    this.#current?.close();
    this.#current = null;
  }

  /** @param {Facts} facts */
  #end({ code = 1006, reason = "", error }) {
    const why = error ?? this.#refusal ?? closed(`the gateway closed the connection with ${code}`);
    this.#close();
    this.#owner.over(code, reason, why);
  }
}
