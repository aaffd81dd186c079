/** Rooms: ids a person can read out, addresses to share, and the REST request that creates one. */

import { randomText } from "./storage.js";
import { Refusal } from "./messages.js";

const FIRST = "amber bold brave bright brisk calm candid clear clever copper coral cosy crisp early easy fair fond free fresh gentle glad golden good grand green happy hazel honest ivory jolly keen kind light lively lucky mellow merry mild misty neat noble olive open pearl plain proud quick quiet ready royal rustic silver simple smooth snowy soft spry still sunny swift tidy warm wise".split(" ");
const SECOND = "acorn alder aspen badger beach birch bison brook cedar cherry cliff cloud clover comet coral crane creek dune eagle elm falcon fern field finch fjord forest fox garden glade grove harbor hare hazel heron hill island ivy jay lake lark linden lynx maple marten meadow moon oak orchid otter owl peak pine plum pond reed river robin sparrow spruce stone swan thistle tulip valley willow wren".split(" ");
const ROOM_ID = /^[A-Za-z0-9_-]{1,64}$/;

/** Whether a text can be a room's id. */
export function isRoomId(text) {
  return ROOM_ID.test(text);
}

/** The id in what a person typed or pasted: an id, words with blanks, or a whole link. Null when it can be none. */
export function roomIdIn(text) {
  const trimmed = text.trim();
  const linked = URL.canParse(trimmed) ? new URL(trimmed).searchParams.get("room") : null;
  const id = linked ?? trimmed.replace(/\s+/g, "-");
  return isRoomId(id) ? id : null;
}

/** The id in this page's address, or null. */
export function roomIdOfAddress() {
  const id = new URLSearchParams(location.search).get("room");
  return id !== null && isRoomId(id) ? id : null;
}

/** The link to share: the id and nothing else. */
export function addressOf(roomId) {
  return `${location.origin}/?room=${encodeURIComponent(roomId)}`;
}

/** A new id: two words to say aloud, and enough chance that nobody walks in by guessing. */
export function inventRoomId() {
  const [first, second] = crypto.getRandomValues(new Uint16Array(2));
  return `${FIRST[first % FIRST.length]}-${SECOND[second % SECOND.length]}-${randomText(5)}`;
}

/** Create a video room with an id of ours, and say which. `token` is an agent-link token. Throws a `Refusal`. */
export async function createRoom(token) {
  const roomId = inventRoomId();
  const [first, second] = roomId.split("-");
  const name = `${first[0].toUpperCase()}${first.slice(1)} ${second}`;
  const response = await fetch("/api/rooms", {
    method: "POST",
    headers: { "Content-Type": "application/json", Authorization: `Bearer ${token}` },
    body: JSON.stringify({ roomId, name, type: "video" }),
  });
  if (!response.ok) throw await Refusal.of(response, "create_refused");
  return roomId;
}
