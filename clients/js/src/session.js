/** A session with a gateway: its state, its rooms, and what becomes of them when the connection is lost. */

import { closed, ParleyError } from "./errors.js";
import { event, TypedEventTarget } from "./events.js";
import { Link } from "./link.js";
import { CloseCodes } from "./messages.js";
import { Requests } from "./requests.js";
import { Room } from "./room.js";
import { Tokens } from "./tokens.js";
import { watchPage } from "./wakeup.js";

/** @typedef {"connecting" | "connected" | "reconnecting" | "closed"} SessionState */

/**
 * @typedef {object} SessionEvents
 * @property {import("./events.js").ParleyEvent<{state: SessionState}>} statechange
 * @property {import("./events.js").ParleyEvent<{error: ParleyError}>} error a refusal without a request; a failed attempt
 * @property {import("./events.js").ParleyEvent<{code: number, reason: string, error: ParleyError | null}>} closed
 */

/**
 * @typedef {object} ConnectOptions
 * @property {import("./tokens.js").TokenSource} token an agent-link token, or a function that gets one
 * @property {string} [deviceId] the same one joining again takes its old seat over; random if not given
 * @property {number} [timeoutMs] how long `connect` tries (10,000)
 * @property {number} [requestTimeoutMs] how long an answer may take on a connection that lives (20,000)
 * @property {AbortSignal} [signal] aborts `connect`; closes the session later
 * @property {boolean} [leaveOnPageHide] leave all rooms when the page goes away (true)
 * @property {import("./connection.js").SocketClass} [WebSocket] for places without a global one
 */

/** @typedef {import("./room.js").JoinOptions} JoinOptions */

const FAREWELL_MS = 1000;

/**
 * Connects to a gateway: by its http(s) or ws(s) URL, or several, which are tried in turn.
 * @param {string | URL | (string | URL)[]} url
 * @param {ConnectOptions} options
 * @returns {Promise<Session>} rejects with a ParleyError
 */
export async function connect(url, options) {
  const session = new Session(url, options);
  await session._opened;
  return session;
}

/**
 * One authenticated presence. It survives its connection.
 * @extends {TypedEventTarget<SessionEvents>}
 */
export class Session extends TypedEventTarget {
  #requests;
  #link;
  /** @type {SessionState} */ #state = "connecting";
  /** @type {Map<string, Room>} */ #rooms = new Map();
  #unwatch;
  /** @type {import("./messages.js").AuthOk | null} */ #entry = null;
  /** @type {ParleyError | null} */ #lastError = null;
  /** @type {((error: ParleyError | null) => void) | null} */ #settle = null;
  /** @internal @type {Promise<void>} */ _opened;

  /**
   * Use `connect`.
   * @param {string | URL | (string | URL)[]} url
   * @param {ConnectOptions} options
   */
  constructor(url, options) {
    super();
    this.#requests = new Requests(options.requestTimeoutMs ?? 20_000);
    const socketClass = options.WebSocket ?? globalThis.WebSocket;
    if (!socketClass) throw new TypeError("there is no WebSocket here: give one as an option");
    const to = { urls: addresses(url), tokens: new Tokens(options.token), deviceId: options.deviceId, socketClass };
    this.#link = new Link(to, {
      cursors: () => this.#cursors(),
      entered: (message) => this.#entered(message),
      heard: (message) => this.#heard(message),
      lost: () => this.#lost(),
      over: (code, reason, error) => this.#end(code, reason, error),
      failed: (error) => this.#failed(error),
    });
    this.#unwatch = watchPage({
      online: () => this.#link.online(),
      woke: () => this.#link.wake(),
      gone: () => options.leaveOnPageHide !== false && this.#vanish(),
    });
    this._opened = this.#open(options);
  }

  /** Whether there is a connection now. */
  get state() {
    return this.#state;
  }

  /** Who we are. */
  get agentId() {
    return this.#entry?.agentId ?? "";
  }

  /** Another one after a session was lost and begun anew. */
  get sessionId() {
    return this.#entry?.sessionId ?? "";
  }

  /** The gateway's limits, such as `maxSdpBytes`. */
  get limits() {
    return this.#entry?.limits ?? {};
  }

  /** The rooms we are in, by id. @returns {ReadonlyMap<string, Room>} */
  get rooms() {
    return this.#rooms;
  }

  /**
   * Enter a room. In a room one is in already this gives the same `Room`.
   * @param {string} roomId
   * @param {JoinOptions} [options]
   * @returns {Promise<Room>} rejects with a ParleyError
   */
  async join(roomId, options = {}) {
    let room = this.#rooms.get(roomId);
    if (!room) {
      room = new Room(roomId, options, this);
      this.#rooms.set(roomId, room);
    }
    await room._joined;
    return room;
  }

  /** Leave all rooms and close the connection. */
  async close() {
    if (this.#state === "closed") return;
    const leaving = Promise.allSettled([...this.#rooms.values()].map((room) => room.leave()));
    if (this.#state === "connected") await Promise.race([leaving, after(FAREWELL_MS)]);
    this.#end(1000, "closed", null);
  }

  /** The page goes away: there is no time to wait for an answer. */
  #vanish() {
    for (const room of this.#rooms.values()) room.leave().catch(() => {});
    this.#end(1000, "closed", null);
  }

  /**
   * @internal
   * @param {import("./requests.js").Purpose} purpose
   * @param {object} message
   * @param {(reply: any) => void} [take]
   * @returns {Promise<any>}
   */
  _ask(purpose, message, take) {
    return this.#requests.ask(purpose, message, take);
  }

  /** @internal @param {Room} room */
  _forget(room) {
    if (this.#rooms.get(room.id) === room) this.#rooms.delete(room.id);
  }

  /** @internal @param {ParleyError} error */
  _report(error) {
    this.dispatchEvent(event("error", { error }));
  }

  /** @param {ConnectOptions} options */
  #open({ timeoutMs = 10_000, signal }) {
    /** @type {Promise<void>} */
    const opened = new Promise((resolve, reject) => {
      this.#settle = (error) => (error ? reject(error) : resolve());
    });
    const timer = setTimeout(() => {
      const error = new ParleyError("unreachable", "no gateway let us in in time", { retryable: true, cause: this.#lastError });
      if (this.#state === "connecting") this.#end(1006, "", this.#lastError ?? error);
    }, timeoutMs);
    signal?.addEventListener("abort", () => void this.close(), { once: true });
    this.#link.dial();
    if (signal?.aborted) void this.close();
    return opened.finally(() => clearTimeout(timer));
  }

  #cursors() {
    /** @type {Record<string, string>} */
    const cursors = {};
    for (const room of this.#rooms.values()) if (room._cursor) cursors[room.id] = room._cursor;
    return cursors;
  }

  /** @param {import("./messages.js").AuthOk} message */
  #entered(message) {
    const anew = this.#entry !== null && !message.resumed;
    this.#entry = message;
    if (anew) this.#requests.forget();
    this.#become("connected");
    this.#requests.connected((text) => this.#link.send(text));
    if (anew) for (const room of [...this.#rooms.values()]) room._lost();
    this.#settle?.(null);
  }

  #lost() {
    this.#requests.disconnected();
    this.#become("reconnecting");
  }

  /** @param {any} message */
  #heard(message) {
    if (message.id !== undefined && message.id !== null) return void this.#requests.answer(message);
    const room = this.#rooms.get(message.roomId ?? message.details?.roomId);
    if (message.type === "error") this.#refused(message, room);
    else room?._hear(message);
  }

  /**
   * @param {any} message
   * @param {Room | undefined} room
   */
  #refused(message, room) {
    // Every request of ours has an id. So this is about a room that could not be resumed, or about the connection.
    if (room && message.code === "not_in_room") return room._lost();
    this._report(ParleyError.from(message));
  }

  /** @param {ParleyError} error */
  #failed(error) {
    this.#lastError = error;
    this._report(error);
  }

  /**
   * @param {number} code
   * @param {string} reason
   * @param {ParleyError | null} error
   */
  #end(code, reason, error) {
    if (this.#state === "closed") return;
    const first = this.#state === "connecting";
    this.#unwatch();
    this.#link.close();
    const why = reasonOf(code);
    for (const room of [...this.#rooms.values()]) room._end(why, error);
    this.#requests.end(error ?? closed());
    this.#become("closed");
    this.dispatchEvent(event("closed", { code, reason: reason || why, error }));
    if (first) this.#settle?.(error ?? closed("the session was closed before it was open"));
  }

  /** @param {SessionState} state */
  #become(state) {
    if (this.#state === state) return;
    this.#state = state;
    this.dispatchEvent(event("statechange", { state }));
  }
}

/**
 * The name of a close code, as a reason.
 * @param {number} code
 */
function reasonOf(code) {
  const name = Object.entries(CloseCodes).find(([, value]) => value === code)?.[0];
  return name?.toLowerCase() ?? "closed";
}

/**
 * @param {string | URL | (string | URL)[]} url
 * @returns {string[]}
 */
function addresses(url) {
  const given = Array.isArray(url) ? url : [url];
  if (!given.length) throw new TypeError("a session needs the URL of a gateway");
  return given.map((one) => {
    const address = new URL(one, globalThis.location?.href);
    address.protocol = address.protocol.replace("http", "ws");
    if (!address.pathname.endsWith("/ws")) address.pathname = address.pathname.replace(/\/?$/, "/ws");
    return address.href;
  });
}

/** @param {number} milliseconds */
function after(milliseconds) {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
