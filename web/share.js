/** Share: gives the room's link to the person, by whatever way the device has. */

import { byId, setIcon } from "./dom.js";
import { toast } from "./notices.js";
import { addressOf } from "./rooms.js";

/** Phones have a sheet for this; desks have a clipboard; plain http has neither, so the link is shown to be copied. */
export async function shareLink(roomId, button) {
  const url = addressOf(roomId);
  if (navigator.share && matchMedia("(pointer: coarse)").matches) {
    const shared = await navigator.share({ title: "Parley", text: "Join me in a call", url }).then(() => true, (refusal) => refusal.name === "AbortError");
    if (shared) return;
  }
  try {
    await navigator.clipboard.writeText(url);
  } catch {
    return showLink(url);
  }
  toast("Link copied");
  setIcon(button, "check");
  setTimeout(() => setIcon(button, "link"), 2_000);
}

function showLink(url) {
  const text = byId("link-text");
  text.value = url;
  byId("link-dialog").showModal();
  text.select();
}
