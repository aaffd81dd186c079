/** Coming back, with a real gateway: lines that are cut or silent, gateways that ask us to move, sessions that are lost. */
import WebSocket from "ws";
import { afterEach, expect, test, vi } from "vitest";
import { closeAll, freshRoom, listen, next, session, tokenFor, until, urls } from "./support/gateway.js";
import { WebSocketProxy } from "./support/proxy.js";

let proxy;
afterEach(async () => {
  vi.restoreAllMocks();
  await closeAll();
  proxy?.close();
  proxy = undefined;
});

test("after a cut the session resumes, and every missed push arrives once and in order", async () => {
  proxy = await WebSocketProxy.to(urls[0]);
  const id = freshRoom();
  const alice = await session("alice", { url: proxy.url });
  const room = await alice.join(id);
  const { sessionId } = alice;
  const own = room.self.id;
  const states = listen(alice, "statechange");
  const events = listen(room, "participantjoined", "participantupdated");
  proxy.down = true;
  proxy.cut();
  await next(alice, "statechange");
  const theirs = await (await session("bob")).join(id, { name: "Bob" });
  for (const n of [1, 2, 3]) await theirs.update({ metadata: { n } });
  const resumed = next(room, "resumed");
  proxy.down = false;
  expect(await resumed).toMatchObject({ recovered: true });
  expect([alice.sessionId, room.self.id, states.map(({ state }) => state)]).toEqual([sessionId, own, ["reconnecting", "connected"]]);
  const others = events.filter(({ participant }) => participant.id !== own);
  expect(others.map(({ participant }) => participant.metadata.n)).toEqual([undefined, 1, 2, 3]);
  expect(room.others).toMatchObject([{ name: "Bob", metadata: { n: 3 } }]);
});

test("a request whose answer got lost is sent again, and is done once", async () => {
  proxy = await WebSocketProxy.to(urls[0]);
  const id = freshRoom();
  const room = await (await session("alice", { url: proxy.url })).join(id);
  const seen = listen(await (await session("bob")).join(id), "participantupdated");
  const asked = [];
  proxy.fromClient = (message) => (message.type === "update_self" && asked.push(message.id), message);
  proxy.fromServer = (message) => {
    if (message.type !== "ok") return message;
    proxy.fromServer = (other) => other;
    setTimeout(() => proxy.cut());
  };
  await room.update({ metadata: { done: 1 } });
  await room.update({ metadata: { after: 1 } });
  await until(() => seen.some(({ participant }) => participant.metadata.after));
  expect(asked[1]).toBe(asked[0]);
  expect(seen.filter(({ participant, previous }) => participant.metadata.done !== previous.metadata.done)).toHaveLength(1);
});

test("what is asked while offline waits, is bounded, and is done in order", async () => {
  proxy = await WebSocketProxy.to(urls[0]);
  const id = freshRoom();
  const alice = await session("alice", { url: proxy.url });
  const room = await alice.join(id);
  const seen = listen(await (await session("bob")).join(id), "participantupdated");
  proxy.down = true;
  proxy.cut();
  await next(alice, "statechange");
  const waiting = [1, 2, 3].map((n) => room.update({ metadata: { n } }));
  const more = Array.from({ length: 253 }, () => room.update({ metadata: { n: 3 } }));
  await expect(room.update({ metadata: { n: 4 } })).rejects.toMatchObject({ code: "queue_full", retryable: true });
  proxy.down = false;
  await Promise.all(waiting);
  await Promise.allSettled(more);
  await until(() => seen.some(({ participant }) => participant.metadata.n === 3));
  // Changes that wait together are stored as one, so others may see only the last of them.
  const order = seen.map(({ participant }) => participant.metadata.n).filter(Boolean);
  expect(order).toEqual([...order].sort());
  expect(order.at(-1)).toBe(3);
});

test("when the session is lost, rooms are joined anew with what we said of ourselves; the room object stays", async () => {
  proxy = await WebSocketProxy.to(urls[0]);
  const id = freshRoom();
  const alice = await session("alice", { url: proxy.url, deviceId: "laptop" });
  const room = await alice.join(id, { name: "Alice" });
  await room.update({ metadata: { hand: true } });
  const before = [alice.sessionId, room.self.id];
  proxy.fromClient = (message) => (message.resume ? { ...message, resume: { ...message.resume, token: "x.y.z" } } : message);
  const resumed = next(room, "resumed");
  proxy.cut();
  expect(await resumed).toMatchObject({ recovered: false, rejoined: true });
  expect(alice.sessionId).not.toBe(before[0]);
  expect(room.self.id).not.toBe(before[1]);
  expect(room.self).toMatchObject({ name: "Alice", metadata: { hand: true } });
  expect(await alice.join(id)).toBe(room);
});

test.each([
  ["error", (room) => ({ type: "error", code: "not_in_room", message: "not in that room", details: { roomId: room.id } })],
  ["user_left", ({ id, self }, revision) => ({ type: "user_left", roomId: id, revision, participantId: self.id, reason: "timeout" })],
])("a room that timed out while another was resumed is joined again (%s)", async (_, gone) => {
  proxy = await WebSocketProxy.to(urls[0]);
  const alice = await session("alice", { url: proxy.url });
  const [room, other] = [await alice.join(freshRoom(), { name: "Alice" }), await alice.join(freshRoom())];
  const before = [alice.sessionId, room.self.id];
  const ended = listen(room, "left");
  // When she resumes, the gateway has her leave; the proxy says that it was for the time.
  let revision;
  proxy.fromServer = (message) => {
    if (message.id === "gone") return gone(room, revision + 1);
    if (message.type !== "room_resumed" || message.roomId !== room.id) return message;
    revision = message.revision;
    proxy.say({ type: "leave_room", id: "gone", roomId: room.id });
  };
  const resumed = Promise.all([next(room, "resumed"), next(other, "resumed")]);
  proxy.cut();
  expect(await resumed).toMatchObject([{ recovered: false, rejoined: true }, { recovered: true, rejoined: false }]);
  expect([alice.sessionId, room.self.name, ended, alice.rooms.get(room.id)]).toEqual([before[0], "Alice", [], room]);
  expect(room.self.id).not.toBe(before[1]);
});

test("a gateway that says nothing any more is taken for dead", async () => {
  proxy = await WebSocketProxy.to(urls[0]);
  proxy.fromServer = (message) => (message.type === "auth_ok" ? { ...message, heartbeatMs: 300 } : message);
  const alice = await session("alice", { url: proxy.url });
  proxy.silent = true;
  expect(await next(alice, "statechange")).toMatchObject({ state: "reconnecting" });
  proxy.silent = false;
  await until(() => alice.state === "connected");
  await until(() => new Promise((resolve) => setTimeout(() => resolve(proxy.connections === 2), 1000)));
});

test.each([4504, 1012])("moving, the old connection may close with %i before the new one is told that it has the session", async (code) => {
  proxy = await WebSocketProxy.to(urls[0]);
  const { alice, room, states, theirs, release } = await moving(proxy, code);
  const asked = room.update({ metadata: { meanwhile: true } });
  expect([states, alice.state]).toEqual([[], "connected"]);
  release();
  await asked;
  await until(() => theirs.others[0].metadata.meanwhile);
  expect([states, alice.state, proxy.connections]).toEqual([[], "connected", 2]);
});

test("moving, a new connection that fails after the old one was closed is a loss, and is come back from", async () => {
  proxy = await WebSocketProxy.to(urls[0]);
  const { alice, room, states, theirs } = await moving(proxy, 4504);
  const asked = room.update({ metadata: { meanwhile: true } });
  const resumed = next(room, "resumed");
  proxy.fromServer = (message) => message;
  proxy.cut();
  expect(await resumed).toMatchObject({ recovered: true });
  await asked;
  await until(() => theirs.others[0].metadata.meanwhile);
  expect([states.map(({ state }) => state), alice.state]).toEqual([["reconnecting", "connected"], "connected"]);
});

/** Alice, in a room with Bob, asked to move: her old connection is closed, what the new one is told waits for `release`. */
async function moving(proxy, code) {
  const id = freshRoom();
  const alice = await session("alice", { url: proxy.url });
  const room = await alice.join(id);
  const theirs = await (await session("bob")).join(id);
  await until(() => room.others.length === 1);
  const states = listen(alice, "statechange");
  const late = [];
  const closed = new Promise((resolve) => {
    proxy.fromServerClose = () => (setTimeout(resolve, 200), code);
  });
  proxy.fromServer = (message) => (message.type === "error" ? message : void late.push(message));
  proxy.inject({ type: "go_away", reason: "shutdown", reconnectAfterMs: 0 });
  await closed;
  await until(() => late.some(({ type }) => type === "room_resumed"));
  const release = () => {
    proxy.fromServer = (message) => message;
    for (const message of late) proxy.inject(message);
  };
  return { alice, room, states, theirs, release };
}

test("replaced by another connection (4504), it does not come back and cleans nothing up", async () => {
  proxy = await WebSocketProxy.to(urls[0]);
  let resumeToken;
  proxy.fromServer = (message) => ((resumeToken = message.resumeToken ?? resumeToken), message);
  const alice = await session("alice", { url: proxy.url });
  const room = await alice.join(freshRoom());
  const said = [];
  proxy.fromClient = (message) => (said.push(message.type), message);
  const other = new WebSocket(proxy.target);
  await new Promise((resolve) => (other.onopen = resolve));
  const resume = { token: resumeToken, cursors: { [room.id]: room._cursor } };
  other.send(JSON.stringify({ type: "authenticate", id: "1", token: await tokenFor("alice"), resume }));
  expect(await next(alice, "closed")).toMatchObject({ code: 4504, reason: "replaced" });
  expect([room.left, proxy.connections, said]).toEqual([true, 1, []]);
  other.close();
});

test("a gateway that lets in and closes at once is asked less and less often", async () => {
  vi.spyOn(Math, "random").mockReturnValue(0.999);
  proxy = await WebSocketProxy.to(urls[0]);
  const entered = [];
  proxy.fromServer = (message) => {
    if (message.type === "auth_ok") {
      entered.push(Date.now());
      if (entered.length < 4) setTimeout(() => proxy.cut(), 20);
    }
    return message;
  };
  await session("alice", { url: proxy.url });
  await until(() => entered.length === 4);
  // 250, 500 and 1000 ms, had one of them begun anew it would be 250 again.
  expect(entered[3] - entered[2]).toBeGreaterThan(900);
});
