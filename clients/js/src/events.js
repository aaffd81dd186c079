/** Events, as the platform has them: an `Event` with its facts as properties, and an `EventTarget` that knows its events. */

/**
 * An event with these properties.
 * @template {object} F
 * @typedef {Event & Readonly<F>} ParleyEvent
 */

/**
 * Makes an event whose properties are these facts.
 * @template {object} F
 * @param {string} type
 * @param {F} facts
 * @returns {ParleyEvent<F>}
 */
export function event(type, facts) {
  return /** @type {any} */ (Object.assign(new Event(type), facts));
}

/**
 * An `EventTarget` whose events have types: `M` maps their names to them.
 * @template {object} M
 */
export class TypedEventTarget extends EventTarget {
  /**
   * @template {keyof M & string} K
   * @overload
   * @param {K} type
   * @param {((event: M[K]) => unknown) | null} listener
   * @param {boolean | AddEventListenerOptions} [options]
   * @returns {void}
   */
  /**
   * @overload
   * @param {string} type
   * @param {EventListenerOrEventListenerObject | null} listener
   * @param {boolean | AddEventListenerOptions} [options]
   * @returns {void}
   */
  /**
   * @param {string} type
   * @param {any} listener
   * @param {boolean | AddEventListenerOptions} [options]
   * @override
   */
  addEventListener(type, listener, options) {
    super.addEventListener(type, listener, options);
  }

  /**
   * @template {keyof M & string} K
   * @overload
   * @param {K} type
   * @param {((event: M[K]) => unknown) | null} listener
   * @param {boolean | EventListenerOptions} [options]
   * @returns {void}
   */
  /**
   * @overload
   * @param {string} type
   * @param {EventListenerOrEventListenerObject | null} listener
   * @param {boolean | EventListenerOptions} [options]
   * @returns {void}
   */
  /**
   * @param {string} type
   * @param {any} listener
   * @param {boolean | EventListenerOptions} [options]
   * @override
   */
  removeEventListener(type, listener, options) {
    super.removeEventListener(type, listener, options);
  }
}
