/** One WebSocket to a gateway: messages in and out, and whether the other end is still there. */

/** @typedef {import("./messages.js").ServerMessage} ServerMessage */

/**
 * What a connection needs of a WebSocket: that of browsers, of Node.js, or of a package such as `ws`.
 * @typedef {object} Socket
 * @property {number} readyState
 * @property {(data: string) => void} send
 * @property {(code?: number, reason?: string) => void} close
 * @property {((event: any) => any) | null} onopen
 * @property {((event: any) => any) | null} onmessage
 * @property {((event: any) => any) | null} onclose
 * @property {((event: any) => any) | null} onerror
 */

/** @typedef {new (url: string) => any} SocketClass */

/**
 * @typedef {object} Listener
 * @property {() => void} opened
 * @property {(message: any) => void} heard
 * @property {(code: number, reason: string) => void} closed called once, and nothing after it
 */

const ABNORMAL = 1006;
const OPEN = 1;
const PROBE_MS = 4000;

/** A connection; it tells its listener everything at once and in order. */
export class Connection {
  /** @type {Socket} */ #socket;
  /** @type {Listener | null} */ #listener;
  /** @type {ReturnType<typeof setTimeout> | undefined} */ #timer;
  #heardAt = Date.now();
  #pingedAt = 0;
  #beatMs = 0;

  /**
   * @param {string} url
   * @param {SocketClass} socketClass
   * @param {Listener} listener
   */
  constructor(url, socketClass, listener) {
    this.#listener = listener;
    this.#socket = new socketClass(url);
    this.#socket.onopen = () => this.#listener?.opened();
    this.#socket.onmessage = ({ data }) => this.#heard(data);
    this.#socket.onclose = ({ code, reason }) => this.#ended(code, reason);
    // A close event always follows an error event, and says more.
    this.#socket.onerror = () => {};
  }

  /** @param {string} text */
  send(text) {
    if (this.#socket.readyState === OPEN) this.#socket.send(text);
  }

  /**
   * Take the connection for dead when nothing is heard any more: `ping` after a silence of so long, and an answer
   * within as long again.
   * @param {number} beatMs
   */
  watch(beatMs) {
    this.#beatMs = beatMs;
    this.#arm(beatMs);
  }

  /** Ask at once whether the other end is still there. */
  probe() {
    if (this.#beatMs && !this.#pingedAt) this.#ping(Math.min(this.#beatMs, PROBE_MS));
  }

  /** End after so long, unless it is watched by then. @param {number} milliseconds */
  expire(milliseconds) {
    this.#timer = setTimeout(() => this.abandon(), milliseconds);
  }

  /** Take it for dead. */
  abandon() {
    this.#ended(ABNORMAL, "");
    this.#socket.close();
  }

  /** Close it; its listener hears nothing more. */
  close() {
    this.#forget();
    this.#socket.close(1000);
  }

  /** @param {unknown} data */
  #heard(data) {
    this.#heardAt = Date.now();
    this.#pingedAt = 0;
    if (typeof data === "string") this.#listener?.heard(JSON.parse(data));
  }

  /** @param {number} milliseconds */
  #arm(milliseconds) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#beat(), milliseconds);
  }

  #beat() {
    if (this.#pingedAt) return this.abandon();
    const silence = Date.now() - this.#heardAt;
    if (silence < this.#beatMs) return this.#arm(this.#beatMs - silence);
    this.#ping(this.#beatMs);
  }

  /** @param {number} patience */
  #ping(patience) {
    this.#pingedAt = Date.now();
    this.send('{"type":"ping"}');
    this.#arm(patience);
  }

  /**
   * @param {number} code
   * @param {string} reason
   */
  #ended(code, reason) {
    const listener = this.#listener;
    this.#forget();
    listener?.closed(code, reason);
  }

  #forget() {
    clearTimeout(this.#timer);
    this.#listener = null;
  }
}
