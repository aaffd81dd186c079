/** Speaking meter: how loud each sound track is, by the platform's audio analyser, and who speaks now. */

const EVERY_MS = 90;
const LOUD = 0.018;
/** People pause between words: the ring stays a little. */
const HOLD_MS = 500;

/**
 * Listens to tracks by a name (a participant's id). Events: "speaking" {participant, speaking} when it changes,
 * "levels" {levels: Map<name, 0..1>} at every look.
 */
export class SpeakingMeter extends EventTarget {
  #context = null;
  #heard = new Map();
  #timer = null;

  /** Listen to this track under this name; null stops. The same track again changes nothing. */
  follow(name, track) {
    const before = this.#heard.get(name);
    if (before?.track === track) return;
    if (before) this.#forget(name, before);
    if (!track || typeof AudioContext === "undefined") return;
    this.#context ??= new AudioContext();
    const analyser = new AnalyserNode(this.#context, { fftSize: 512, smoothingTimeConstant: 0 });
    const source = this.#context.createMediaStreamSource(new MediaStream([track]));
    source.connect(analyser);
    this.#heard.set(name, { track, source, analyser, samples: new Float32Array(analyser.fftSize), until: 0, speaking: false });
    this.#timer ??= setInterval(() => this.#look(performance.now()), EVERY_MS);
    this.wake();
  }

  /** Let the browser run the analysis; it may wait for a click. */
  wake() {
    if (this.#context?.state === "suspended") this.#context.resume().catch(() => {});
  }

  /** Stop listening to all but these names. */
  keep(names) {
    for (const [name, heard] of this.#heard) if (!names.has(name)) this.#forget(name, heard);
  }

  #forget(name, heard) {
    heard.source.disconnect();
    this.#heard.delete(name);
    if (heard.speaking) this.#tell(name, false);
    if (this.#heard.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = null;
  }

  #look(now) {
    const levels = new Map();
    for (const [name, heard] of this.#heard) {
      const level = heard.track.enabled ? loudness(heard) : 0;
      levels.set(name, Math.min(1, level * 6));
      if (level > LOUD) heard.until = now + HOLD_MS;
      const speaking = now < heard.until;
      if (speaking === heard.speaking) continue;
      heard.speaking = speaking;
      this.#tell(name, speaking);
    }
    this.dispatchEvent(Object.assign(new Event("levels"), { levels }));
  }

  #tell(name, speaking) {
    this.dispatchEvent(Object.assign(new Event("speaking"), { participant: name, speaking }));
  }
}

function loudness({ analyser, samples }) {
  analyser.getFloatTimeDomainData(samples);
  let sum = 0;
  for (const sample of samples) sum += sample * sample;
  return Math.sqrt(sum / samples.length);
}
