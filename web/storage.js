/** Storage: what this browser keeps of the person, and what this tab keeps, so that a reload returns to the same seat. */

const PREFIX = "parley.";

/** What this browser remembers under `key`, or null. Storage may be forbidden; then nothing is remembered. */
export function recall(key) {
  try {
    return localStorage.getItem(PREFIX + key);
  } catch {
    return null;
  }
}

/** Remember a text in this browser; null forgets it. */
export function remember(key, value) {
  try {
    if (value === null) localStorage.removeItem(PREFIX + key);
    else localStorage.setItem(PREFIX + key, value);
  } catch {
    // Without storage the person types the name again.
  }
}

/**
 * What belongs to this tab: which agent it is, on which device id, in which room.
 *
 * It is taken out of sessionStorage while the page lives and put back when the page goes: browsers copy sessionStorage
 * into a duplicated tab, and two tabs with one device id would take the seat from each other.
 */
export class Tab {
  constructor() {
    this.values = {};
    this.#takeOut();
    addEventListener("pagehide", () => this.#putBack());
    addEventListener("pageshow", (event) => event.persisted && this.#takeOut());
    // A phone ends pages in the background without an event.
    document.addEventListener("visibilitychange", () => (document.hidden ? this.#putBack() : this.#takeOut()));
  }

  /** The value under `key`, made (and kept) by `make` the first time. */
  get(key, make = () => null) {
    this.values[key] ??= make();
    return this.values[key];
  }

  /** Keep a value that JSON can hold. */
  set(key, value) {
    this.values[key] = value;
    if (document.hidden) this.#putBack();
  }

  #takeOut() {
    try {
      this.values = { ...JSON.parse(sessionStorage.getItem(`${PREFIX}tab`) ?? "{}"), ...this.values };
      sessionStorage.removeItem(`${PREFIX}tab`);
    } catch {
      // No storage: a reload is then another agent, which asks for the name again.
    }
  }

  #putBack() {
    try {
      sessionStorage.setItem(`${PREFIX}tab`, JSON.stringify(this.values));
    } catch {
      // As above.
    }
  }
}

/** `bytes` random bytes as lower-case base 32, without letters that look like digits. */
export function randomText(bytes) {
  const alphabet = "abcdefghjkmnpqrstuvwxyz23456789x";
  return Array.from(crypto.getRandomValues(new Uint8Array(bytes)), (byte) => alphabet[byte % 32]).join("");
}
