/** When a peer's connection breaks: an ICE restart first, a new RTCPeerConnection if that does not help. */

/**
 * @typedef {object} RecoveryActions what is done about a connection that breaks
 * @property {() => void} restart
 * @property {() => void} rebuild
 * @property {() => boolean} reachable whether the other end hears us now; before that nothing helps
 */

const DISCONNECTED_MS = 5000;
const RESTARTED_MS = 10_000;
const CAP_MS = 60_000;

/** Watches the states of a peer's connections. */
export class Recovery {
  #actions;
  /** @type {ReturnType<typeof setTimeout> | undefined} */ #timer;
  #stage = /** @type {"well" | "waiting" | "restarted"} */ ("well");
  #rebuilds = 0;

  /** @param {RecoveryActions} actions */
  constructor(actions) {
    this.#actions = actions;
  }

  /** @param {RTCPeerConnectionState} state */
  heard(state) {
    switch (state) {
      case "connected":
        this.#rest();
        this.#rebuilds = 0;
        return;
      case "disconnected":
        if (this.#stage === "well") this.#wait("waiting", DISCONNECTED_MS, () => this.#restart());
        return;
      case "failed":
        if (this.#stage !== "restarted") this.#restart();
    }
  }

  /** Something else is broken: a description could not be set. */
  broken() {
    if (this.#stage !== "restarted") this.#arm();
  }

  /** Stop. */
  close() {
    clearTimeout(this.#timer);
  }

  #restart() {
    this.#actions.restart();
    this.#arm();
  }

  #arm() {
    const wait = Math.min(CAP_MS, RESTARTED_MS * 2 ** this.#rebuilds);
    this.#wait("restarted", wait, () => {
      if (!this.#actions.reachable()) return this.#arm();
      this.#rebuilds += 1;
      this.#arm();
      this.#actions.rebuild();
    });
  }

  #rest() {
    clearTimeout(this.#timer);
    this.#stage = "well";
  }

  /**
   * @param {"waiting" | "restarted"} stage
   * @param {number} milliseconds
   * @param {() => void} then
   */
  #wait(stage, milliseconds, then) {
    clearTimeout(this.#timer);
    this.#stage = stage;
    this.#timer = setTimeout(then, milliseconds);
  }
}
