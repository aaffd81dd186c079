/** Wake lock: keeps a phone's screen on during a call, where the browser can. */

let lock = null;
let wanted = false;

async function take() {
  // Refused on low battery, and taken back whenever the page is hidden.
  lock = wanted && !document.hidden ? await navigator.wakeLock?.request("screen").catch(() => null) : null;
  if (!wanted) await stayAwake(false);
}

document.addEventListener("visibilitychange", () => void take());

/** Keep the screen on from now, or let it sleep again. */
export async function stayAwake(awake) {
  wanted = awake;
  if (awake) return take();
  const held = lock;
  lock = null;
  await held?.release().catch(() => {});
}
