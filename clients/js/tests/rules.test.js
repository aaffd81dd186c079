/** The pure parts. */
import { describe, expect, test } from "vitest";
import { backoff, BASE_MS, CAP_MS } from "../src/backoff.js";
import { EarlySignals } from "../src/earlysignals.js";
import { final, refusalOf } from "../src/linkstate.js";
import { label } from "../src/negotiation.js";
import { mergePatch } from "../src/patch.js";
import { Requests, WAITING_AT_MOST } from "../src/requests.js";
import { Roster } from "../src/roster.js";
import { NOTHING_YET, summarize } from "../src/stats.js";

describe("back-off", () => {
  test("is anything from 0 up to twice as much each time, and never above the cap", () => {
    expect(backoff(0, 0)).toBe(0);
    expect([0, 1, 2, 5].map((attempt) => backoff(attempt, 0.5))).toEqual([1, 2, 4, 32].map((times) => (BASE_MS * times) / 2));
    expect(backoff(6, 0.999_999)).toBeLessThan(CAP_MS);
    expect(backoff(1000, 1)).toBe(CAP_MS);
  });

  test("4500 to 4999 and what would only be repeated end it; everything else is come back from", () => {
    expect([4500, 4504, 4999, 1003, 1007, 1009].every(final)).toBe(true);
    expect([1000, 1001, 1006, 1011, 1012, 4000, 4001, 4002, 4499].some(final)).toBe(false);
  });
});

test("a refusal is for good by its code; not for an ended token that can be replaced, nor when there were too many", () => {
  const refusals = [[4501, "invalid_token"], [4501, "expired_token"], [4501, "throttled"], [4002, "unavailable"], [1006, undefined], [4500, undefined]];
  const means = (renewable) => refusals.map(([code, error]) => refusalOf(code, error, renewable));
  expect(means(true)).toEqual(["refused_for_good", "stale", "refused", "refused", "refused", "refused_for_good"]);
  expect(means(false)).toEqual(["refused_for_good", "refused_for_good", "refused", "refused", "refused", "refused_for_good"]);
});

const person = (id, order, more = {}) => ({ id, order, name: id, media: { audio: { state: "off" } }, metadata: {}, ...more });
const snapshot = (revision, ...participants) => ({ revision, cursor: "c", self: "p1", room: { name: "R" }, participants });

describe("roster", () => {
  test("is in order, frozen, and another map after every change", () => {
    const roster = new Roster(snapshot(3, person("p2", 2), person("p1", 1)));
    const before = roster.participants;
    expect([...before.keys()]).toEqual(["p1", "p2"]);
    expect(Object.isFrozen(before.get("p1").media.audio)).toBe(true);
    expect(roster.apply({ type: "user_joined", revision: 4, participant: person("p3", 3) })).toMatchObject([{ change: "joined" }]);
    expect([...before.keys()]).toEqual(["p1", "p2"]);
    expect([...roster.participants.keys()]).toEqual(["p1", "p2", "p3"]);
  });

  test("takes each revision once, and sees a hole", () => {
    const roster = new Roster(snapshot(3, person("p1", 1), person("p2", 2)));
    const left = { type: "user_left", revision: 4, participantId: "p2", reason: "left" };
    expect(roster.apply(left)).toMatchObject([{ change: "left", reason: "left", participant: { id: "p2" } }]);
    expect(roster.apply(left)).toEqual([]);
    expect(roster.apply({ type: "user_joined", revision: 6, participant: person("p4", 4) })).toBeNull();
    expect(roster.revision).toBe(4);
  });

  test("a push of a kind that is not known counts, and changes nothing", () => {
    const roster = new Roster(snapshot(3, person("p1", 1)));
    expect(roster.apply({ type: "user_levitated", revision: 4 })).toEqual([]);
    expect(roster.apply({ type: "room_updated", revision: 5, room: { name: "S" } })).toMatchObject([{ info: { name: "S" }, previous: { name: "R" } }]);
  });

  test("a new snapshot gives the differences; our own new stay is an update of ours", () => {
    const roster = new Roster(snapshot(3, person("p1", 1), person("p2", 2), person("p3", 3)));
    const changes = roster.replace({ ...snapshot(9, person("p3", 3, { name: "Neu" }), person("p4", 4), person("p5", 5)), self: "p5" });
    expect(changes.map(({ change, participant, previous }) => [change, participant.id, previous?.id])).toEqual([
      ["left", "p2", undefined],
      ["updated", "p3", "p3"],
      ["joined", "p4", undefined],
      ["updated", "p5", "p1"],
    ]);
  });
});

test("a label is generation and round", () => expect(label(2, 7)).toBe("2.7"));

describe("signals without a call", () => {
  test("of each sender the last offer is kept, with its candidates", () => {
    const early = new EarlySignals();
    const from = (type, negotiation) => early.keep({ type, from: "p2", negotiation });
    from("candidate", "0.0");
    from("offer", "0.0");
    from("offer", "1.0");
    from("candidate", "1.0");
    from("candidate", "0.0");
    expect(early.take("p2").map(({ type, negotiation }) => [type, negotiation])).toEqual([["offer", "1.0"], ["candidate", "1.0"]]);
    expect(early.take("p2")).toEqual([]);
  });
});

describe("requests", () => {
  test("wait in order while there is no connection, up to a bound, and are sent again word for word", async () => {
    const requests = new Requests(60_000);
    const asked = Array.from({ length: WAITING_AT_MOST }, (_, n) => requests.ask("update", { type: "update_self", n }));
    await expect(requests.ask("update", {})).rejects.toMatchObject({ code: "queue_full", retryable: true });
    const sent = [];
    requests.connected((text) => sent.push(text));
    expect(sent.map((text) => JSON.parse(text).n)).toEqual([...Array(WAITING_AT_MOST).keys()]);
    requests.answer({ type: "ok", id: JSON.parse(sent[0]).id });
    await asked[0];
    const again = [];
    requests.connected((text) => again.push(text));
    expect(again).toEqual(sent.slice(1));
    requests.end();
    await expect(asked[1]).rejects.toMatchObject({ code: "closed" });
    await Promise.allSettled(asked);
  });

  test("of a lost session only joins are asked again", async () => {
    const requests = new Requests(60_000);
    const settled = ["signal", "update", "leave", "look"].map((purpose) => requests.ask(purpose, {}));
    const join = requests.ask("join", { type: "join_room" });
    requests.forget();
    await Promise.all(settled);
    const sent = [];
    requests.connected((text) => sent.push(JSON.parse(text).type));
    expect(sent).toEqual(["join_room"]);
    requests.end();
    await expect(join).rejects.toMatchObject({ code: "closed" });
  });
});

test("a merge patch is RFC 7396", () => {
  expect(mergePatch({ a: 1, b: { c: 2, d: 3 } }, { a: null, b: { c: null, e: 4 }, f: [1] })).toEqual({ b: { d: 3, e: 4 }, f: [1] });
});

describe("stats", () => {
  const report = (at, received, packets, lost) => [
    { id: "t", type: "transport", selectedCandidatePairId: "p" },
    { id: "p", type: "candidate-pair", timestamp: at, bytesReceived: received, bytesSent: received / 2, currentRoundTripTime: 0.25, localCandidateId: "l", remoteCandidateId: "r" },
    { id: "l", type: "local-candidate", candidateType: "relay" },
    { id: "r", type: "remote-candidate", candidateType: "host" },
    { id: "a", type: "inbound-rtp", kind: "audio", packetsReceived: packets, packetsLost: lost, jitter: 0.004, audioLevel: 0.5 },
  ];

  test("rates and loss are since the last time", () => {
    const first = summarize(report(1000, 1000, 100, 0), NOTHING_YET);
    expect(first.stats).toMatchObject({ bitrateIn: null, packetLoss: null, rttMs: 250, jitterMs: 4, relayed: true, quality: "fair" });
    const { stats } = summarize(report(3000, 3000, 180, 20), first.counters);
    expect(stats).toMatchObject({ bitrateIn: 8000, bitrateOut: 4000, packetLoss: 0.2, audioLevel: 0.5, quality: "poor" });
  });

  test("without a connection nothing is known", () => {
    expect(summarize([], NOTHING_YET).stats).toMatchObject({ rttMs: null, quality: "unknown", relayed: false });
  });
});
