/** Sessions and rooms, with a real gateway. */
import WebSocket from "ws";
import { afterEach, expect, test } from "vitest";
import { connect, ParleyError } from "../src/index.js";
import { closeAll, freshRoom, listen, next, session, tokenFor, until, urls } from "./support/gateway.js";
import { Line } from "./support/line.js";

let line;
afterEach(async () => {
  await closeAll();
  line?.close();
  line = undefined;
});

test("connects, says who we are, and closes", async () => {
  const made = await session("alice");
  expect([made.state, made.agentId]).toEqual(["connected", "alice"]);
  expect(made.sessionId).toMatch(/^s_/);
  expect(made.limits.maxSdpBytes).toBeGreaterThan(0);
  const [closed] = await Promise.all([next(made, "closed"), made.close()]);
  expect([closed.code, closed.error, made.state]).toEqual([1000, null, "closed"]);
  await expect(made.join("anywhere")).rejects.toMatchObject({ code: "closed" });
});

test("a wrong token rejects with the protocol's code", async () => {
  const refused = connect(urls[0], { token: "not.a.token", WebSocket });
  await expect(refused).rejects.toBeInstanceOf(ParleyError);
  await expect(refused).rejects.toMatchObject({ code: "invalid_token", retryable: false });
});

test("a token function may say that asking again is of no use", async () => {
  let asked = 0;
  const token = () => {
    asked += 1;
    throw new ParleyError("forbidden", "guests are not let in");
  };
  await expect(connect(urls[0], { token, WebSocket })).rejects.toMatchObject({ code: "forbidden" });
  expect(asked).toBe(1);
});

test("where nobody listens, connect gives up after its time; of several gateways the one that answers is taken", async () => {
  const nobody = "http://127.0.0.1:9";
  const given = connect(nobody, { token: "x", WebSocket, timeoutMs: 400 });
  await expect(given).rejects.toMatchObject({ code: "unreachable", retryable: true });
  const made = await session("alice", { url: [nobody, urls[0]] });
  expect(made.state).toBe("connected");
});

test("connect can be aborted", async () => {
  const made = connect("http://127.0.0.1:9", { token: "x", WebSocket, signal: AbortSignal.timeout(100) });
  await expect(made).rejects.toMatchObject({ code: "closed" });
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

test("after a cut the session resumes, and every missed push arrives once and in order", async () => {
  line = await Line.to(urls[0]);
  const id = freshRoom();
  const alice = await session("alice", { url: line.url });
  const room = await alice.join(id);
  const { sessionId } = alice;
  const own = room.self.id;
  const states = listen(alice, "statechange");
  const events = listen(room, "participantjoined", "participantupdated");
  line.down = true;
  line.cut();
  await next(alice, "statechange");
  const theirs = await (await session("bob")).join(id, { name: "Bob" });
  for (const n of [1, 2, 3]) await theirs.update({ metadata: { n } });
  const resumed = next(room, "resumed");
  line.down = false;
  expect(await resumed).toMatchObject({ recovered: true });
  expect([alice.sessionId, room.self.id, states.map(({ state }) => state)]).toEqual([sessionId, own, ["reconnecting", "connected"]]);
  const others = events.filter(({ participant }) => participant.id !== own);
  expect(others.map(({ participant }) => participant.metadata.n)).toEqual([undefined, 1, 2, 3]);
  expect(room.others).toMatchObject([{ name: "Bob", metadata: { n: 3 } }]);
});

test("a request whose answer got lost is sent again, and is done once", async () => {
  line = await Line.to(urls[0]);
  const id = freshRoom();
  const room = await (await session("alice", { url: line.url })).join(id);
  const seen = listen(await (await session("bob")).join(id), "participantupdated");
  const asked = [];
  line.fromClient = (message) => (message.type === "update_self" && asked.push(message.id), message);
  line.fromServer = (message) => {
    if (message.type !== "ok") return message;
    line.fromServer = (other) => other;
    setTimeout(() => line.cut());
  };
  await room.update({ metadata: { done: 1 } });
  await room.update({ metadata: { after: 1 } });
  await until(() => seen.some(({ participant }) => participant.metadata.after));
  expect(asked[1]).toBe(asked[0]);
  expect(seen.filter(({ participant, previous }) => participant.metadata.done !== previous.metadata.done)).toHaveLength(1);
});

test("what is asked while offline waits, is bounded, and is done in order", async () => {
  line = await Line.to(urls[0]);
  const id = freshRoom();
  const alice = await session("alice", { url: line.url });
  const room = await alice.join(id);
  const seen = listen(await (await session("bob")).join(id), "participantupdated");
  line.down = true;
  line.cut();
  await next(alice, "statechange");
  const waiting = [1, 2, 3].map((n) => room.update({ metadata: { n } }));
  const more = Array.from({ length: 253 }, () => room.update({ metadata: { n: 3 } }));
  await expect(room.update({ metadata: { n: 4 } })).rejects.toMatchObject({ code: "queue_full", retryable: true });
  line.down = false;
  await Promise.all(waiting);
  await Promise.allSettled(more);
  await until(() => seen.some(({ participant }) => participant.metadata.n === 3));
  const order = seen.map(({ participant }) => participant.metadata.n).filter(Boolean);
  expect([...new Set(order)]).toEqual([1, 2, 3]);
});

test("when the session is lost, rooms are joined anew with what we said of ourselves; the room object stays", async () => {
  line = await Line.to(urls[0]);
  const id = freshRoom();
  const alice = await session("alice", { url: line.url, deviceId: "laptop" });
  const room = await alice.join(id, { name: "Alice" });
  await room.update({ metadata: { hand: true } });
  const before = [alice.sessionId, room.self.id];
  line.fromClient = (message) => (message.resume ? { ...message, resume: { ...message.resume, token: "x.y.z" } } : message);
  const resumed = next(room, "resumed");
  line.cut();
  expect(await resumed).toMatchObject({ recovered: false, rejoined: true });
  expect(alice.sessionId).not.toBe(before[0]);
  expect(room.self.id).not.toBe(before[1]);
  expect(room.self).toMatchObject({ name: "Alice", metadata: { hand: true } });
  expect(await alice.join(id)).toBe(room);
});

test.each([
  ["error", (room) => ({ type: "error", code: "not_in_room", message: "not in that room", details: { roomId: room.id } })],
  ["user_left", ({ id, revision, self }) => ({ type: "user_left", roomId: id, revision: revision + 1, participantId: self.id, reason: "timeout" })],
])("a room that timed out while another was resumed is joined again (%s)", async (_, gone) => {
  line = await Line.to(urls[0]);
  const alice = await session("alice", { url: line.url });
  const [room, other] = [await alice.join(freshRoom(), { name: "Alice" }), await alice.join(freshRoom())];
  const before = [alice.sessionId, room.self.id];
  const ended = listen(room, "left");
  // When she resumes, the gateway has her leave; the line says that it was for the time.
  line.fromServer = (message) => {
    if (message.id === "gone") return gone(room);
    const first = message.type === "room_resumed" && message.roomId === room.id;
    return first ? void line.say({ type: "leave_room", id: "gone", roomId: room.id }) : message;
  };
  const resumed = Promise.all([next(room, "resumed"), next(other, "resumed")]);
  line.cut();
  expect(await resumed).toMatchObject([{ recovered: false, rejoined: true }, { recovered: true, rejoined: false }]);
  expect([alice.sessionId, room.self.name, ended, alice.rooms.get(room.id)]).toEqual([before[0], "Alice", [], room]);
  expect(room.self.id).not.toBe(before[1]);
});

test("a gateway that says nothing any more is taken for dead", async () => {
  line = await Line.to(urls[0]);
  line.fromServer = (message) => (message.type === "auth_ok" ? { ...message, heartbeatMs: 300 } : message);
  const alice = await session("alice", { url: line.url });
  line.silent = true;
  expect(await next(alice, "statechange")).toMatchObject({ state: "reconnecting" });
  line.silent = false;
  await until(() => alice.state === "connected");
  await until(() => new Promise((resolve) => setTimeout(() => resolve(line.connections === 2), 1000)));
});

test.each([4504, 1012])("moving, the old connection may close with %i before the new one is told that it has the session", async (code) => {
  line = await Line.to(urls[0]);
  const { alice, room, states, theirs, release } = await moving(line, code);
  const asked = room.update({ metadata: { meanwhile: true } });
  expect([states, alice.state]).toEqual([[], "connected"]);
  release();
  await asked;
  await until(() => theirs.others[0].metadata.meanwhile);
  expect([states, alice.state, line.connections]).toEqual([[], "connected", 2]);
});

test("moving, a new connection that fails after the old one was closed is a loss, and is come back from", async () => {
  line = await Line.to(urls[0]);
  const { alice, room, states, theirs } = await moving(line, 4504);
  const asked = room.update({ metadata: { meanwhile: true } });
  const resumed = next(room, "resumed");
  line.fromServer = (message) => message;
  line.cut();
  expect(await resumed).toMatchObject({ recovered: true });
  await asked;
  await until(() => theirs.others[0].metadata.meanwhile);
  expect([states.map(({ state }) => state), alice.state]).toEqual([["reconnecting", "connected"], "connected"]);
});

/** Alice, in a room with Bob, asked to move: her old connection is closed, what the new one is told waits for `release`. */
async function moving(line, code) {
  const id = freshRoom();
  const alice = await session("alice", { url: line.url });
  const room = await alice.join(id);
  const theirs = await (await session("bob")).join(id);
  await until(() => room.others.length === 1);
  const states = listen(alice, "statechange");
  const late = [];
  const closed = new Promise((resolve) => {
    line.fromServerClose = () => (setTimeout(resolve, 200), code);
  });
  line.fromServer = (message) => (message.type === "error" ? message : void late.push(message));
  line.inject({ type: "go_away", reason: "shutdown", reconnectAfterMs: 0 });
  await closed;
  await until(() => late.some(({ type }) => type === "room_resumed"));
  const release = () => {
    line.fromServer = (message) => message;
    for (const message of late) line.inject(message);
  };
  return { alice, room, states, theirs, release };
}

test("a hole in the revisions is seen, and the room asked for", async () => {
  line = await Line.to(urls[0]);
  const id = freshRoom();
  const room = await (await session("alice", { url: line.url })).join(id);
  line.fromServer = (message) => (message.type === "user_joined" ? undefined : message);
  const joined = next(room, "participantjoined");
  const theirs = await (await session("bob")).join(id, { name: "Bob" });
  await theirs.update({ metadata: { hand: true } });
  expect((await joined).participant).toMatchObject({ name: "Bob", metadata: { hand: true } });
  await until(() => room.revision === theirs.revision);
});

test("pushes and fields that are not known are skipped", async () => {
  line = await Line.to(urls[0]);
  const id = freshRoom();
  const alice = await session("alice", { url: line.url });
  const room = await alice.join(id);
  const errors = listen(alice, "error");
  line.inject({ type: "levitated", roomId: id, how: "high" });
  line.inject({ type: "announcement", text: "hello" });
  line.inject({ type: "offer", roomId: id, from: "p_nobody", agentId: "nobody", sdp: "v=0", cursor: room.revision.toString() });
  await room.update({ metadata: { still: "here" } });
  await until(() => room.self.metadata.still === "here");
  expect(errors).toEqual([]);
});

test("pushes are heard by their type, also one that is not known, when the room is as of them and before its events", async () => {
  line = await Line.to(urls[0]);
  const id = freshRoom();
  const room = await (await session("alice", { url: line.url })).join(id);
  const heard = [];
  const stop = room.onPush(["user_joined", "user_left", "levitated"], (push) => heard.push([push.type, push.how, room.others.length, push.revision === room.revision]));
  const stopOne = room.onPush("user_joined", ({ participant }) => heard.push(participant.name));
  room.addEventListener("participantjoined", () => heard.push("participantjoined"));
  const theirs = await (await session("bob")).join(id, { name: "Bob" });
  await until(() => heard.length === 3);
  line.inject({ type: "levitated", roomId: id, how: "high" });
  line.inject({ type: "levitated", roomId: "elsewhere", how: "low" });
  stopOne();
  await theirs.leave();
  await until(() => room.others.length === 0);
  stop();
  line.inject({ type: "levitated", roomId: id, how: "unheard" });
  await room.update({ metadata: { still: "here" } });
  expect(heard).toEqual([
    ["user_joined", undefined, 1, true], "Bob", "participantjoined", ["levitated", "high", 1, false], ["user_left", undefined, 0, true],
  ]);
});

test("a push that comes again is heard once; the last one is heard too", async () => {
  line = await Line.to(urls[0]);
  const id = freshRoom();
  const room = await (await session("alice", { url: line.url })).join(id);
  const heard = [];
  room.onPush(["user_joined", "user_left", "room_closed"], ({ type }) => heard.push(type));
  let joined;
  line.fromServer = (message) => (message.type === "user_joined" && (joined = message), message);
  await (await session("bob")).join(id);
  await until(() => joined);
  line.inject(joined);
  await fetch(`${urls[0]}/api/rooms/${id}`, { method: "DELETE", headers: { Authorization: `Bearer ${await tokenFor("alice")}` } });
  await until(() => room.left);
  expect([heard.filter((type) => type === "user_joined"), heard.at(-1)]).toEqual([["user_joined"], "user_left"]);
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

test("a token that is about to end is renewed by asking for another one", async () => {
  line = await Line.to(urls[0]);
  const renewed = [];
  line.fromServer = (message) => (message.type === "auth_ok" && renewed.push(message.expiresAt), message);
  let asked = 0;
  const token = () => tokenFor("alice", { ttl: (asked += 1) === 1 ? 4 : 3600 });
  const alice = await session("alice", { url: line.url, token });
  await until(() => renewed.length === 2);
  expect([asked, alice.state, line.connections]).toEqual([2, "connected", 1]);
  expect(Date.parse(renewed[1])).toBeGreaterThan(Date.parse(renewed[0]));
});

test("on reconnect a token that has ended is not used again", async () => {
  line = await Line.to(urls[0]);
  let asked = 0;
  const alice = await session("alice", { url: line.url, token: () => ((asked += 1), tokenFor("alice")) });
  line.cut();
  await next(alice, "statechange", ({ state }) => state === "connected");
  expect(asked).toBe(1);
  line.fromServer = (message) => (message.type === "auth_ok" ? { ...message, expiresAt: new Date().toISOString() } : message);
  line.cut();
  await next(alice, "statechange", ({ state }) => state === "connected");
  line.cut();
  await next(alice, "statechange", ({ state }) => state === "connected");
  expect(asked).toBe(2);
});

test("a renewal that is refused closes the session with 4501 and the protocol's code", async () => {
  let asked = 0;
  const alice = await session("alice", { token: () => tokenFor((asked += 1) === 1 ? "alice" : "mallory", { ttl: 4 }) });
  const room = await alice.join(freshRoom());
  const left = next(room, "left");
  expect(await next(alice, "closed")).toMatchObject({ code: 4501, error: { code: "subject_mismatch" } });
  expect((await left).reason).toBe("unauthenticated");
});

test("replaced by another connection (4504), it does not come back and cleans nothing up", async () => {
  line = await Line.to(urls[0]);
  let resumeToken;
  line.fromServer = (message) => ((resumeToken = message.resumeToken ?? resumeToken), message);
  const alice = await session("alice", { url: line.url });
  const room = await alice.join(freshRoom());
  const said = [];
  line.fromClient = (message) => (said.push(message.type), message);
  const other = new WebSocket(line.target);
  await new Promise((resolve) => (other.onopen = resolve));
  const resume = { token: resumeToken, cursors: { [room.id]: room._cursor } };
  other.send(JSON.stringify({ type: "authenticate", id: "1", token: await tokenFor("alice"), resume }));
  expect(await next(alice, "closed")).toMatchObject({ code: 4504, reason: "replaced" });
  expect([room.left, line.connections, said]).toEqual([true, 1, []]);
  other.close();
});

test("a call needs a browser", async () => {
  const room = await (await session("alice")).join(freshRoom());
  expect(() => room.call()).toThrow(/RTCPeerConnection/);
});
