/** Sessions with a real gateway: who is let in, and for how long. */
import WebSocket from "ws";
import { afterEach, expect, test } from "vitest";
import { connect, ParleyError } from "../src/index.js";
import { closeAll, freshRoom, next, session, tokenFor, until, urls } from "./support/gateway.js";
import { WebSocketProxy } from "./support/proxy.js";

let proxy;
afterEach(async () => {
  await closeAll();
  proxy?.close();
  proxy = undefined;
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

test("a token that is about to end is renewed by asking for another one", async () => {
  proxy = await WebSocketProxy.to(urls[0]);
  const renewed = [];
  proxy.fromServer = (message) => (message.type === "auth_ok" && renewed.push(message.expiresAt), message);
  let asked = 0;
  const token = () => tokenFor("alice", { ttl: (asked += 1) === 1 ? 4 : 3600 });
  const alice = await session("alice", { url: proxy.url, token });
  await until(() => renewed.length === 2);
  expect([asked, alice.state, proxy.connections]).toEqual([2, "connected", 1]);
  expect(Date.parse(renewed[1])).toBeGreaterThan(Date.parse(renewed[0]));
});

test("on reconnect a token that has ended is not used again", async () => {
  proxy = await WebSocketProxy.to(urls[0]);
  let asked = 0;
  const alice = await session("alice", { url: proxy.url, token: () => ((asked += 1), tokenFor("alice")) });
  proxy.cut();
  await next(alice, "statechange", ({ state }) => state === "connected");
  expect(asked).toBe(1);
  proxy.fromServer = (message) => (message.type === "auth_ok" ? { ...message, expiresAt: new Date().toISOString() } : message);
  proxy.cut();
  await next(alice, "statechange", ({ state }) => state === "connected");
  proxy.cut();
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
