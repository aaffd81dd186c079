/** Gateways that go away under a session. Each test ends one of the two; the launcher starts it again. */
import { afterEach, expect, test } from "vitest";
import { closeAll, freshRoom, listen, next, pids, session, until, urls } from "./support/gateway.js";

afterEach(closeAll);

test("a gateway that shuts down asks us away: we are elsewhere before it closes, and miss nothing", async () => {
  const id = freshRoom();
  const alice = await session("alice", { url: urls });
  const room = await alice.join(id);
  const theirs = await (await session("bob", { url: urls[1] })).join(id);
  const states = listen(alice, "statechange");
  const seen = listen(room, "participantupdated");
  const resumed = next(room, "resumed");
  process.kill(pids[0], "SIGTERM");
  for (let n = 1; n <= 20; n++) await theirs.update({ metadata: { n } });
  expect(await resumed).toMatchObject({ recovered: true });
  await until(() => room.others[0]?.metadata.n === 20);
  const heard = seen.filter(({ participant }) => participant.id === theirs.self.id).map(({ participant }) => participant.metadata.n);
  expect(heard).toEqual(Array.from({ length: 20 }, (_, n) => n + 1));
  expect(states.map(({ state }) => state)).toEqual([]);
});

test("a gateway that is killed: the session goes on with the other one, and what was asked meanwhile is done", async () => {
  await until(async () => (await fetch(`${urls[0]}/readyz`).catch(() => null))?.ok);
  const id = freshRoom();
  const alice = await session("alice", { url: [urls[1], urls[0]] });
  const room = await alice.join(id);
  const theirs = await (await session("bob", { url: urls[0] })).join(id);
  const { sessionId } = alice;
  const resumed = next(room, "resumed");
  process.kill(pids[1], "SIGKILL");
  await next(alice, "statechange", ({ state }) => state === "reconnecting");
  const asked = room.update({ metadata: { meanwhile: true } });
  expect(await resumed).toMatchObject({ recovered: true });
  await asked;
  expect(alice.sessionId).toBe(sessionId);
  await until(() => theirs.others[0]?.metadata.meanwhile);
});
