/** What a page knows and a connection does not: that the network is back, that the page is seen again, that it goes away. */

/**
 * @param {{online: () => void, woke: () => void, gone: () => void}} listener
 * @returns {() => void} stops it. Outside a page nothing is heard
 */
export function watchPage({ online, woke, gone }) {
  const page = "addEventListener" in globalThis ? globalThis : null;
  const seen = globalThis.document;
  const visible = () => void (seen.visibilityState === "visible" && woke());
  const hidden = (/** @type {any} */ { persisted }) => void (!persisted && gone());
  page?.addEventListener("online", online);
  page?.addEventListener("pagehide", hidden);
  seen?.addEventListener("visibilitychange", visible);
  return () => {
    page?.removeEventListener("online", online);
    page?.removeEventListener("pagehide", hidden);
    seen?.removeEventListener("visibilitychange", visible);
  };
}
