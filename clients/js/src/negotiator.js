/** Perfect negotiation (W3C webrtc-pc) on one RTCPeerConnection: offers, answers, candidates, and offers that got lost. */

import { judge, label } from "./negotiation.js";

/** @typedef {import("./messages.js").SignalPush} SignalPush */

/**
 * @typedef {object} SignalPort where signals go
 * @property {(signal: object) => Promise<unknown>} send
 * @property {() => boolean} reachable whether the other end hears us now
 * @property {(error: unknown) => void} failed a description could not be set or sent
 */

/**
 * @typedef {object} NegotiationRole our part in a negotiation
 * @property {number} generation
 * @property {boolean} polite
 * @property {boolean} waits whether the other end makes the first offer
 */

const FIRST_OFFER_MS = 5000;
const ANSWER_MS = 10_000;
const OFFERS_AGAIN = 4;
const EARLY_AT_MOST = 256;

/** What is said about one RTCPeerConnection. */
export class Negotiator {
  #connection;
  #role;
  #port;
  #outgoing;
  #round = 0;
  #making = false;
  #settingAnswer = false;
  #described = false;
  #holding;
  /** @type {string | null} */ #pending = null;
  /** @type {string | undefined} the `negotiation` of our last description */ #said;
  /** @type {SignalPush[]} candidates that came before any description */ #early = [];
  /** @type {ReturnType<typeof setTimeout> | undefined} */ #timer;

  /**
   * @param {RTCPeerConnection} connection
   * @param {NegotiationRole} role
   * @param {SignalPort} port
   * @param {Pick<import("./outgoing.js").Outgoing, "invite" | "adopt">} outgoing
   */
  constructor(connection, role, port, outgoing) {
    this.#connection = connection;
    this.#role = role;
    this.#port = port;
    this.#outgoing = outgoing;
    this.#holding = role.waits;
    connection.onnegotiationneeded = () => void this.#offer();
    connection.onicecandidate = ({ candidate }) => this.#trickle(candidate);
    if (role.waits) this.#timer = setTimeout(() => this.#release(), FIRST_OFFER_MS);
    else outgoing.invite();
  }

  /** Whether an offer or answer is under way. */
  get busy() {
    return this.#making || this.#connection.signalingState !== "stable";
  }

  /** What is to be done with a signal now. @param {SignalPush} signal */
  verdict(signal) {
    return judge(signal, {
      generation: this.#role.generation,
      polite: this.#role.polite,
      makingOffer: this.#making,
      settingAnswer: this.#settingAnswer,
      signalingState: this.#connection.signalingState,
      pending: this.#pending,
    });
  }

  /** @param {SignalPush} signal */
  async hear(signal) {
    if (this.verdict(signal) !== "apply") return;
    try {
      if (signal.type === "candidate") await this.#candidate(signal);
      else await this.#description(signal);
    } catch (error) {
      if (this.#connection.signalingState !== "closed") this.#port.failed(error);
    }
  }

  /** Stop. */
  close() {
    clearTimeout(this.#timer);
    this.#connection.onnegotiationneeded = this.#connection.onicecandidate = null;
  }

  #release() {
    this.#holding = false;
    if (this.#described) return;
    this.#outgoing.invite();
    void this.#offer();
  }

  async #offer() {
    if (this.#holding || this.#connection.signalingState === "closed") return;
    try {
      this.#making = true;
      await this.#connection.setLocalDescription();
      this.#say(undefined);
    } catch (error) {
      if (this.#open) this.#port.failed(error);
    } finally {
      this.#making = false;
    }
  }

  get #open() {
    return this.#connection.signalingState !== "closed";
  }

  /**
   * Send our description.
   * @param {string | null | undefined} answered the `negotiation` of the offer, if it is an answer
   */
  #say(answered) {
    const description = this.#connection.localDescription;
    if (!description || !this.#open) return;
    if (description.type === "offer") {
      this.#said = this.#pending = label(this.#role.generation, this.#round++);
      this.#expectAnswer(0);
    } else {
      this.#said = answered ?? undefined;
    }
    this.#send({ type: description.type, sdp: description.sdp, negotiation: this.#said });
  }

  /** @param {object} signal */
  #send(signal) {
    this.#port.send(signal).catch((error) => this.#port.failed(error));
  }

  /**
   * An offer or its answer may be lost, with the other end's session: offer the same again.
   * @param {number} times
   */
  #expectAnswer(times) {
    clearTimeout(this.#timer);
    if (times >= OFFERS_AGAIN) return;
    this.#timer = setTimeout(() => {
      const offer = this.#connection.localDescription;
      if (this.#connection.signalingState !== "have-local-offer" || !offer || !this.#pending) return;
      if (!this.#port.reachable()) return this.#expectAnswer(times);
      this.#send({ type: "offer", sdp: offer.sdp, negotiation: this.#pending });
      this.#expectAnswer(times + 1);
    }, ANSWER_MS * 2 ** times);
  }

  /** @param {RTCIceCandidate | null} candidate */
  #trickle(candidate) {
    // Firefox says "" at the end of each generation, and then null as the others do.
    if (candidate?.candidate === "") return;
    const init = candidate && candidate.toJSON();
    // A candidate may be refused or lost: ICE goes on with the others.
    this.#port.send({ type: "candidate", candidate: init, negotiation: this.#said }).catch(() => {});
  }

  /** @param {SignalPush} signal */
  async #description(signal) {
    const type = /** @type {"offer" | "answer"} */ (signal.type);
    this.#described = true;
    if (type === "offer") this.#holding = false;
    clearTimeout(this.#timer);
    this.#pending = null;
    await this.#apply({ type, sdp: signal.sdp ?? "" });
    if (type === "offer") {
      this.#outgoing.adopt();
      await this.#connection.setLocalDescription();
      this.#say(signal.negotiation);
    }
  }

  /** @param {{type: "offer" | "answer", sdp: string}} description */
  async #apply(description) {
    try {
      this.#settingAnswer = description.type === "answer";
      const applied = this.#connection.setRemoteDescription(description);
      const early = this.#early.splice(0);
      // The connection puts these in line behind the description.
      const added = early.map((one) => this.#candidate(one));
      await applied;
      await Promise.all(added);
    } finally {
      this.#settingAnswer = false;
    }
  }

  /** @param {SignalPush} signal */
  async #candidate(signal) {
    if (!this.#described) {
      if (this.#early.length < EARLY_AT_MOST) this.#early.push(signal);
      return;
    }
    // A candidate of a description that was ignored, rolled back or replaced is refused here: it is of no use.
    await this.#connection.addIceCandidate(signal.candidate ?? undefined).catch(() => {});
  }
}
