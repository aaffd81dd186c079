/** Rooms, with a real gateway: who is there, what happens, and what is refused. */
import { afterEach, expect, test } from "vitest";
import { closeAll, freshRoom, listen, next, session, tokenFor, until, urls } from "./support/gateway.js";
import { WebSocketProxy } from "./support/proxy.js";

let proxy;
afterEach(async () => {
  await closeAll();
  proxy?.close();
  proxy = undefined;
});

test("joins, sees others come, change and go, and leaves", async () => {
  const id = freshRoom();
  const [alice, bob] = await Promise.all([session("alice"), session("bob")]);
  const room = await alice.join(id, { name: "Alice", metadata: { team: "blue" } });
  expect(room.self).toMatchObject({ agentId: "alice", name: "Alice", metadata: { team: "blue" } });
  expect([room.id, room.name, room.topology, room.others]).toEqual([id, id, "mesh", []]);
  expect(await alice.join(id)).toBe(room);

  const events = listen(room, "participantjoined", "participantupdated", "participantleft", "rosterchange");
  const theirs = await bob.join(id, { name: "Bob" });
  await theirs.update({ media: { audio: { state: "on" } }, metadata: { hand: true } });
  await theirs.update({ metadata: { hand: null } });
  await theirs.leave();
  await until(() => room.others.length === 0 && events.length === 8);
  expect(events.map(({ type }) => type).filter((type) => type !== "rosterchange")).toEqual([
    "participantjoined", "participantupdated", "participantupdated", "participantleft",
  ]);
  expect(events[2]).toMatchObject({ participant: { metadata: { hand: true } }, previous: { metadata: {} } });
  expect(events[2].participant.media.audio.state).toBe("on");
  expect(events[4].participant.metadata).toEqual({});
  expect(events[6]).toMatchObject({ participant: { name: "Bob" }, reason: "left" });
  expect([theirs.left, bob.rooms.size]).toEqual([true, 0]);
  await expect(theirs.update({ name: "x" })).rejects.toMatchObject({ code: "closed" });
});

test("a refused request rejects with code, sentence and details", async () => {
  const alice = await session("alice", { token: () => tokenFor("alice", { permissions: ["rooms:join"] }) });
  await expect(alice.join(freshRoom())).rejects.toMatchObject({ name: "ParleyError", code: "room_not_found", retryable: false });
  await expect(alice.join("not a room")).rejects.toMatchObject({ code: "bad_message" });
  expect([alice.state, alice.rooms.size]).toEqual(["connected", 0]);
});

test("a room that is closed ends our stay, with the reason", async () => {
  const id = freshRoom();
  const room = await (await session("alice")).join(id);
  const ended = next(room, "left");
  await fetch(`${urls[0]}/api/rooms/${id}`, { method: "DELETE", headers: { Authorization: `Bearer ${await tokenFor("alice")}` } });
  expect(await ended).toMatchObject({ reason: "room_closed", error: null });
});

test("a hole in the revisions is seen, and the room asked for", async () => {
  proxy = await WebSocketProxy.to(urls[0]);
  const id = freshRoom();
  const room = await (await session("alice", { url: proxy.url })).join(id);
  proxy.fromServer = (message) => (message.type === "user_joined" ? undefined : message);
  const joined = next(room, "participantjoined");
  const theirs = await (await session("bob")).join(id, { name: "Bob" });
  await theirs.update({ metadata: { hand: true } });
  expect((await joined).participant).toMatchObject({ name: "Bob", metadata: { hand: true } });
  await until(() => room.revision === theirs.revision);
});

test("pushes and fields that are not known are skipped", async () => {
  proxy = await WebSocketProxy.to(urls[0]);
  const id = freshRoom();
  const alice = await session("alice", { url: proxy.url });
  const room = await alice.join(id);
  const errors = listen(alice, "error");
  proxy.inject({ type: "levitated", roomId: id, how: "high" });
  proxy.inject({ type: "announcement", text: "hello" });
  proxy.inject({ type: "offer", roomId: id, from: "p_nobody", agentId: "nobody", sdp: "v=0", cursor: room.revision.toString() });
  await room.update({ metadata: { still: "here" } });
  await until(() => room.self.metadata.still === "here");
  expect(errors).toEqual([]);
});

test("pushes are heard by their type, also one that is not known, when the room is as of them and before its events", async () => {
  proxy = await WebSocketProxy.to(urls[0]);
  const id = freshRoom();
  const room = await (await session("alice", { url: proxy.url })).join(id);
  const heard = [];
  const stop = room.onPush(["user_joined", "user_left", "levitated"], (push) => heard.push([push.type, push.how, room.others.length, push.revision === room.revision]));
  const stopOne = room.onPush("user_joined", ({ participant }) => heard.push(participant.name));
  room.addEventListener("participantjoined", () => heard.push("participantjoined"));
  const theirs = await (await session("bob")).join(id, { name: "Bob" });
  await until(() => heard.length === 3);
  proxy.inject({ type: "levitated", roomId: id, how: "high" });
  proxy.inject({ type: "levitated", roomId: "elsewhere", how: "low" });
  stopOne();
  await theirs.leave();
  await until(() => room.others.length === 0);
  stop();
  proxy.inject({ type: "levitated", roomId: id, how: "unheard" });
  await room.update({ metadata: { still: "here" } });
  expect(heard).toEqual([
    ["user_joined", undefined, 1, true], "Bob", "participantjoined", ["levitated", "high", 1, false], ["user_left", undefined, 0, true],
  ]);
});

test("a push that comes again is heard once; the last one is heard too", async () => {
  proxy = await WebSocketProxy.to(urls[0]);
  const id = freshRoom();
  const room = await (await session("alice", { url: proxy.url })).join(id);
  const own = room.self.id;
  const heard = [];
  room.onPush(["user_joined", "user_left", "room_closed"], ({ type }) => heard.push(type));
  const lefts = [];
  room.onPush("user_left", ({ participantId }) => participantId === own && lefts.push(room.left));
  room.addEventListener("left", () => lefts.push("left"));
  let joined;
  proxy.fromServer = (message) => (message.type === "user_joined" && (joined = message), message);
  await (await session("bob")).join(id);
  await until(() => joined);
  proxy.inject(joined);
  await fetch(`${urls[0]}/api/rooms/${id}`, { method: "DELETE", headers: { Authorization: `Bearer ${await tokenFor("alice")}` } });
  await until(() => room.left);
  expect([heard.filter((type) => type === "user_joined"), heard.at(-1)]).toEqual([["user_joined"], "user_left"]);
  expect(lefts).toEqual([true, "left"]);
});

test("too much at once is refused with rate_limited, and the session lives", async () => {
  const alice = await session("alice");
  const room = await alice.join(freshRoom());
  const refused = [];
  await until(async () => {
    const asked = Array.from({ length: 100 }, (_, n) => room.update({ metadata: { n } }));
    refused.push(...(await Promise.allSettled(asked)).filter(({ status }) => status === "rejected").map(({ reason }) => reason));
    return refused.length;
  });
  expect(refused[0]).toMatchObject({ code: "rate_limited", retryable: true });
  expect(refused[0].retryAfterMs).toBeGreaterThan(0);
  expect(alice.state).toBe("connected");
});

test("a call needs a browser", async () => {
  const room = await (await session("alice")).join(freshRoom());
  expect(() => room.call()).toThrow(/RTCPeerConnection/);
});
